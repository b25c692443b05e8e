// The addon: the Engine class, and the tables that TypeScript must agree with.
#include "addon/engine.h"
#ifdef __linux__
#include "addon/gateway_handle.h"
#endif

namespace napt {

template <size_t N>
static Napi::Array names(Napi::Env env, const char* const (&list)[N]) {
  Napi::Array array = Napi::Array::New(env, N);
  for (uint32_t i = 0; i < N; i++) array[i] = list[i];
  return array;
}

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports["Engine"] = Engine::define(env);
#ifdef __linux__
  exports["Gateway"] = GatewayHandle::define(env);
#endif
  Napi::Object layout = Napi::Object::New(env);
  layout["verdicts"] = names(env, kVerdictNames);
  layout["directions"] = names(env, kDirectionNames);
  layout["reasons"] = names(env, kReasonNames);
  layout["tcpPhases"] = names(env, kTcpPhaseNames);
  layout["events"] = names(env, kEventNames);
  layout["quotas"] = names(env, kHostQuotaNames);
  layout["batchMagic"] = kBatchMagic;
  layout["headerBytes"] = static_cast<uint32_t>(sizeof(BatchHeader));
  layout["descriptorBytes"] = static_cast<uint32_t>(sizeof(Descriptor));
  layout["sessionFields"] = kSessionFields;
  layout["sessionKinds"] = SessionCensus::kPhases + SessionCensus::kProtocols;
  layout["portFields"] = kPortFields;
  layout["counters"] = static_cast<uint32_t>(sizeof(Stats) / 8);
  layout["eventRing"] = Events::kMost;
  exports["layout"] = layout;
  return exports;
}

NODE_API_MODULE(napt, init)

}  // namespace napt
