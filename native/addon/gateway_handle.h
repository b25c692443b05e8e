// A gateway as a JavaScript object. Linux only.
#pragma once

#include <napi.h>

#include "gateway/gateway.h"

namespace napt {

class GatewayHandle : public Napi::ObjectWrap<GatewayHandle> {
 public:
  static Napi::Function define(Napi::Env env);

  explicit GatewayHandle(const Napi::CallbackInfo& info);
  ~GatewayHandle() override;

 private:
  Napi::Value start(const Napi::CallbackInfo& info);
  Napi::Value stop(const Napi::CallbackInfo& info);
  Napi::Value describe(const Napi::CallbackInfo& info);
  Napi::Value setMtu(const Napi::CallbackInfo& info);
  Napi::Value setBusyPoll(const Napi::CallbackInfo& info);
  Napi::Value setNetwork(const Napi::CallbackInfo& info);
  Napi::Value setFilter(const Napi::CallbackInfo& info);
  Napi::Value setNeighbour(const Napi::CallbackInfo& info);
  Napi::Value forgetNeighbour(const Napi::CallbackInfo& info);
  Napi::Value inject(const Napi::CallbackInfo& info);
  Napi::Value takePunts(const Napi::CallbackInfo& info);
  Napi::Value readCounters(const Napi::CallbackInfo& info);

  void end();

  std::unique_ptr<Gateway> gateway_;
  Napi::ObjectReference engine_;  // lives as long as this
  Napi::ThreadSafeFunction onPunts_, onLinks_;
};

}  // namespace napt
