#include "addon/gateway_handle.h"

#include <cstring>

#include "addon/engine.h"
#include "io/packet_port.h"

namespace napt {

namespace {

GatewaySide sideOf(const Napi::Value& value) {
  return value.As<Napi::Number>().Uint32Value() == 0 ? kInside : kOutside;
}

uint32_t addressOf(const Napi::Value& value) {
  return swap32(value.As<Napi::Number>().Uint32Value());
}

Mac macOf(const Napi::Value& value) {
  Mac mac{};
  const auto bytes = value.As<Napi::Uint8Array>();
  if (bytes.ByteLength() == mac.size()) std::memcpy(mac.data(), bytes.Data(), mac.size());
  return mac;
}

/// {interface, local, network, mask, router}: numbers in host order. Throws what the system says
/// when the port can't be opened.
bool join(Napi::Env env, const Napi::Object& from, Joined& out) {
  out.network = {addressOf(from.Get("local")), addressOf(from.Get("network")),
                 addressOf(from.Get("mask")), addressOf(from.Get("router")), Mac{}};
  const std::string interface = from.Get("interface").ToString();
  Fault fault;
  out.port = PacketPort::open(interface, fault);
  if (out.port != nullptr) {
    std::memcpy(out.network.mac.data(), out.port->hardwareAddress(), out.network.mac.size());
    return true;
  }
  Napi::Error error = Napi::Error::New(env, std::string("can't ") + fault.step + " \"" + interface +
                                                "\": " + std::strerror(fault.error));
  error.Set("errno", Napi::Number::New(env, fault.error));
  error.Set("interface", Napi::String::New(env, interface));
  error.ThrowAsJavaScriptException();
  return false;
}

}  // namespace

Napi::Function GatewayHandle::define(Napi::Env env) {
  return DefineClass(
      env, "Gateway",
      {InstanceMethod<&GatewayHandle::start>("start"), InstanceMethod<&GatewayHandle::stop>("stop"),
       InstanceMethod<&GatewayHandle::describe>("describe"),
       InstanceMethod<&GatewayHandle::setMtu>("setMtu"),
       InstanceMethod<&GatewayHandle::setNeighbour>("setNeighbour"),
       InstanceMethod<&GatewayHandle::forgetNeighbour>("forgetNeighbour"),
       InstanceMethod<&GatewayHandle::inject>("inject"),
       InstanceMethod<&GatewayHandle::takePunts>("takePunts"),
       InstanceMethod<&GatewayHandle::readCounters>("readCounters")});
}

/// new Gateway(engine, nowMs, inside, outside, onPunt)
GatewayHandle::GatewayHandle(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<GatewayHandle>(info) {
  const Napi::Env env = info.Env();
  Engine& engine = *Engine::Unwrap(info[0].As<Napi::Object>());
  Joined inside, outside;
  if (!join(env, info[2].As<Napi::Object>(), inside)) return;
  if (!join(env, info[3].As<Napi::Object>(), outside)) return;
  engine_ = Napi::Persistent(info[0].As<Napi::Object>());
  const uint64_t clock = monotonic() - engine.toTime(info[1].As<Napi::Number>().DoubleValue());
  onPunt_ = Napi::ThreadSafeFunction::New(env, info[4].As<Napi::Function>(), "napt gateway", 0, 1);
  gateway_ = std::make_unique<Gateway>(engine.share(), clock, std::move(inside), std::move(outside),
                                       [this] { onPunt_.NonBlockingCall(); });
}

GatewayHandle::~GatewayHandle() { end(); }

void GatewayHandle::end() {
  if (gateway_ == nullptr) return;
  gateway_.reset();
  onPunt_.Release();
}

/// start()
Napi::Value GatewayHandle::start(const Napi::CallbackInfo& info) {
  if (gateway_ != nullptr) gateway_->start();
  return info.Env().Undefined();
}

/// stop(): what was received is sent, and both ports are closed
Napi::Value GatewayHandle::stop(const Napi::CallbackInfo& info) {
  end();
  return info.Env().Undefined();
}

/// describe(side): [hardware address, MTU]
Napi::Value GatewayHandle::describe(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array pair = Napi::Array::New(env, 2);
  if (gateway_ == nullptr) return pair;
  const Port& port = gateway_->port(sideOf(info[0]));
  pair[0u] = Napi::Buffer<uint8_t>::Copy(env, port.hardwareAddress(), Mac{}.size());
  pair[1u] = port.mtu();
  return pair;
}

/// setMtu(side, mtu)
Napi::Value GatewayHandle::setMtu(const Napi::CallbackInfo& info) {
  if (gateway_ != nullptr) {
    gateway_->setMtu(sideOf(info[0]), info[1].As<Napi::Number>().Uint32Value());
  }
  return info.Env().Undefined();
}

/// setNeighbour(side, address, mac)
Napi::Value GatewayHandle::setNeighbour(const Napi::CallbackInfo& info) {
  if (gateway_ != nullptr) {
    gateway_->setNeighbour(sideOf(info[0]), addressOf(info[1]), macOf(info[2]));
  }
  return info.Env().Undefined();
}

/// forgetNeighbour(side, address)
Napi::Value GatewayHandle::forgetNeighbour(const Napi::CallbackInfo& info) {
  if (gateway_ != nullptr) gateway_->forgetNeighbour(sideOf(info[0]), addressOf(info[1]));
  return info.Env().Undefined();
}

/// inject(side, frame, offload)
Napi::Value GatewayHandle::inject(const Napi::CallbackInfo& info) {
  if (gateway_ == nullptr) return info.Env().Undefined();
  auto bytes = info[1].As<Napi::Uint8Array>();
  Frame frame{bytes.Data(), static_cast<uint32_t>(bytes.ByteLength()), Offload{}};
  if (info[2].IsTypedArray()) {
    const auto offload = info[2].As<Napi::Uint8Array>();
    if (offload.ByteLength() == sizeof(Offload)) {
      std::memcpy(&frame.offload, offload.Data(), sizeof(Offload));
    }
  }
  gateway_->inject(sideOf(info[0]), frame);
  return info.Env().Undefined();
}

/// takePunts(): [side, hop or 0, frame, offload] for each
Napi::Value GatewayHandle::takePunts(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array list = Napi::Array::New(env);
  if (gateway_ == nullptr) return list;
  uint32_t at = 0;
  for (const Punt& punt : gateway_->takePunts()) {
    Napi::Array entry = Napi::Array::New(env, 4);
    entry[0u] = static_cast<uint32_t>(punt.side);
    entry[1u] = swap32(punt.hop);
    entry[2u] = Napi::Buffer<uint8_t>::Copy(env, punt.frame.data(), punt.frame.size());
    entry[3u] = Napi::Buffer<uint8_t>::Copy(env, reinterpret_cast<const uint8_t*>(&punt.offload),
                                            sizeof(Offload));
    list[at++] = entry;
  }
  return list;
}

/// readCounters(): {inside: {received, ...}, outside: {...}, foreign, ...} as GatewayStats
Napi::Value GatewayHandle::readCounters(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Object all = Napi::Object::New(env);
  if (gateway_ == nullptr) return all;
  const auto put = [&](Napi::Object& in, const char* name, const Tally& tally) {
    in.Set(name, Napi::Number::New(env, static_cast<double>(tally.get())));
  };
  for (const GatewaySide side : {kInside, kOutside}) {
    const PortCounters& c = gateway_->port(side).counters();
    Napi::Object port = Napi::Object::New(env);
    put(port, "received", c.received);
    put(port, "receivedBytes", c.receivedBytes);
    put(port, "sent", c.sent);
    put(port, "sentBytes", c.sentBytes);
    put(port, "lost", c.lost);
    put(port, "cut", c.cut);
    put(port, "tagged", c.tagged);
    put(port, "tooLong", c.tooLong);
    put(port, "refused", c.refused);
    all.Set(side == kInside ? "inside" : "outside", port);
  }
  const GatewayCounters& c = gateway_->counters();
  put(all, "foreign", c.foreign);
  put(all, "unroutable", c.unroutable);
  put(all, "punted", c.punted);
  put(all, "puntsLost", c.puntsLost);
  return all;
}

}  // namespace napt
