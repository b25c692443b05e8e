// Engine::explain: what would become of a packet, told by a copy.
#include <algorithm>

#include "addon/engine.h"
#include "addon/in_copy.h"

namespace napt {

namespace {

/// A packet that the engine would put out for the one that is asked about.
struct Emitted {
  uint32_t length;
  uint32_t origin;
  uint32_t side;  // as `take` has it
};

/// What the copy tells. The packet's bytes follow, then those of what would be put out.
struct Report {
  static constexpr uint32_t kMostEmitted = 128;
  static constexpr size_t kEmittedBytes = size_t{256} << 10;

  bool isDone;
  uint32_t packed;
  uint32_t policy;
  uint32_t alone;  // bits: whether a session is the only one of its binding
  double now;
  double sessions[2][kSessionFields];  // protocol 0: none
  double owner[kSessionFields];
  uint32_t emitted;
  Emitted list[kMostEmitted];
};

/// A tag that no caller's packet is likely to have, to know what is put out for this one.
constexpr uint32_t kAsked = 0xffffffff;

}  // namespace

/// In the copy: translates the packet behind the report, and fills that in.
void Engine::foresee(uint8_t* memory, uint32_t length, double now, uint32_t wire, uint32_t flags) {
  auto& report = *reinterpret_cast<Report*>(memory);
  uint8_t* bytes = memory + sizeof(Report);
  const uint32_t waiting = nat_->pending();
  const Trace trace = nat_->trace(viewOf(bytes, length, wire, flags), kAsked, toTime(now));
  report.packed = trace.result.packed();
  report.policy = trace.policy;
  report.now = toMs(nat_->now());
  for (uint32_t i = 0; i < 2; i++) {
    const uint32_t slot = trace.sessions[i];
    if (slot == SessionTable::kNone) continue;
    writeRow(slot, report.sessions[i]);
    if (nat_->isAlone(slot)) report.alone |= 1u << i;
  }
  if (trace.owner != SessionTable::kNone) writeRow(trace.owner, report.owner);

  uint8_t* out = bytes + length;
  size_t room = Report::kEmittedBytes;
  uint32_t number = 0;
  nat_->take([&](const StoredPacket& packet, const uint8_t* from) {
    const bool ours = number++ >= waiting && packet.cause == kAsked;
    if (!ours || report.emitted == Report::kMostEmitted || packet.length > room) return;
    report.list[report.emitted++] = {packet.length, static_cast<uint32_t>(packet.origin),
                                     packet.toSibling  ? 2u
                                     : packet.toInside ? 1u
                                                       : 0u};
    std::copy(from, from + packet.length, out);
    out += packet.length;
    room -= packet.length;
  });
  report.isDone = true;
}

/// explain(packet: Uint8Array, nowMs, wireLength, flags): [packed result, packet, nowMs, policy
/// (0xffffffff: not known), rows, which sessions are their bindings' only ones (bits), emitted]:
/// `rows` are those of `read`, protocol 0 for none: each of two sessions as it is and as it would
/// be, and the first session of whose the packet's public endpoint is; `emitted` has [bytes, kind,
/// side] for each
Napi::Value Engine::explain(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!isOpen(env)) return env.Undefined();
  const auto packet = info[0].As<Napi::Uint8Array>();
  const auto length = static_cast<uint32_t>(std::min<size_t>(packet.ByteLength(), 1u << 20));
  const double now = info[1].As<Napi::Number>().DoubleValue();
  const uint32_t wire = info[2].As<Napi::Number>().Uint32Value();
  const uint32_t flags = info[3].As<Napi::Number>().Uint32Value();
  const CommonMemory memory(sizeof(Report) + length + Report::kEmittedBytes);
  const auto refuse = [&](const char* why) {
    Napi::Error error = Napi::Error::New(env, why);
    error.Set("code", Napi::String::New(env, "NAT_ERR_MEMORY"));
    error.ThrowAsJavaScriptException();
    return env.Undefined();
  };
  if (memory.data() == nullptr) return refuse("the system refused the memory to explain a packet");
  const auto& report = *reinterpret_cast<const Report*>(memory.data());
  uint8_t* bytes = memory.data() + sizeof(Report);
  if (length != 0) std::copy(packet.Data(), packet.Data() + length, bytes);
  if (!inCopy([&] { foresee(memory.data(), length, now, wire, flags); })) {
    return refuse("the system refused a copy of the process to explain a packet in");
  }
  if (!report.isDone) return refuse("the copy of the process that explains a packet was ended");

  Napi::Float64Array rows = Napi::Float64Array::New(env, size_t{5} * kSessionFields);
  for (uint32_t i = 0; i < 2; i++) {
    const double* row = report.sessions[i];
    if (row[1] == 0) continue;
    std::copy(row, row + kSessionFields, rows.Data() + size_t{2 * i + 1} * kSessionFields);
    const uint32_t slot = nat_->findSession(keyOf(row));
    if (slot != SessionTable::kNone) writeRow(slot, rows.Data() + size_t{2 * i} * kSessionFields);
  }
  std::copy(report.owner, report.owner + kSessionFields, rows.Data() + size_t{4} * kSessionFields);
  Napi::Array emitted = Napi::Array::New(env, report.emitted);
  const uint8_t* out = bytes + length;
  for (uint32_t i = 0; i < report.emitted; i++) {
    Napi::Array entry = Napi::Array::New(env, 3);
    entry[0u] = Napi::Buffer<uint8_t>::Copy(env, out, report.list[i].length);
    entry[1u] = report.list[i].origin;
    entry[2u] = report.list[i].side;
    emitted[i] = entry;
    out += report.list[i].length;
  }
  Napi::Array result = Napi::Array::New(env, 7);
  result[0u] = report.packed;
  result[1u] = Napi::Buffer<uint8_t>::Copy(env, bytes, length);
  result[2u] = report.now;
  result[3u] = report.policy;
  result[4u] = rows;
  result[5u] = report.alone;
  result[6u] = emitted;
  return result;
}

}  // namespace napt
