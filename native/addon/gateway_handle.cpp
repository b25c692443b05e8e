#include "addon/gateway_handle.h"

#include <cmath>
#include <cstring>

#include "addon/engine.h"
#include "io/packet_port.h"
#include "io/qemu_port.h"
#include "io/tun_port.h"

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

Filter filterOf(const Napi::Value& value) {
  const auto bytes = value.As<Napi::Uint8Array>();
  return {bytes.Data(), bytes.ByteLength()};
}

std::unique_ptr<Port> openPort(const std::string& kind, const std::string& name, const Mac& mac,
                               const Filter& filter, Fault& fault) {
  if (kind == "tun") return TunPort::open(TunPort::Kind::Tun, name, mac.data(), fault);
  if (kind == "tap") return TunPort::open(TunPort::Kind::Tap, name, mac.data(), fault);
  if (kind == "qemu") return QemuPort::open(name, mac.data(), fault);
  return PacketPort::open(name, filter, fault);
}

/// {kind, name, mac, filter, local, network, mask, router}: numbers in host order; `mac` is for
/// kinds that have none of their own, `filter` a BPF program, empty for none. Throws what the
/// system says when the port can't be opened.
bool join(Napi::Env env, const Napi::Object& from, Joined& out) {
  out.network = {addressOf(from.Get("local")), addressOf(from.Get("network")),
                 addressOf(from.Get("mask")), addressOf(from.Get("router")), Mac{}};
  const std::string name = from.Get("name").ToString();
  Fault fault;
  out.port = openPort(from.Get("kind").ToString(), name, macOf(from.Get("mac")),
                      filterOf(from.Get("filter")), fault);
  if (out.port != nullptr) {
    std::memcpy(out.network.mac.data(), out.port->hardwareAddress(), out.network.mac.size());
    return true;
  }
  Napi::Error error = Napi::Error::New(
      env, std::string("can't ") + fault.step + " \"" + name + "\": " + std::strerror(fault.error));
  error.Set("errno", Napi::Number::New(env, fault.error));
  error.Set("port", Napi::String::New(env, name));
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
       InstanceMethod<&GatewayHandle::setBusyPoll>("setBusyPoll"),
       InstanceMethod<&GatewayHandle::setNetwork>("setNetwork"),
       InstanceMethod<&GatewayHandle::setFilter>("setFilter"),
       InstanceMethod<&GatewayHandle::setNeighbour>("setNeighbour"),
       InstanceMethod<&GatewayHandle::forgetNeighbour>("forgetNeighbour"),
       InstanceMethod<&GatewayHandle::inject>("inject"),
       InstanceMethod<&GatewayHandle::takePunts>("takePunts"),
       InstanceMethod<&GatewayHandle::readCounters>("readCounters")});
}

/// new Gateway(engine, nowMs, offsetMs to CLOCK_MONOTONIC, inside, outside, onPunts, onLinks)
GatewayHandle::GatewayHandle(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<GatewayHandle>(info) {
  const Napi::Env env = info.Env();
  Engine& engine = *Engine::Unwrap(info[0].As<Napi::Object>());
  Joined inside, outside;
  if (!join(env, info[3].As<Napi::Object>(), inside)) return;
  if (!join(env, info[4].As<Napi::Object>(), outside)) return;
  engine_ = Napi::Persistent(info[0].As<Napi::Object>());
  const double now = info[1].As<Napi::Number>().DoubleValue();
  const double offset = info[2].As<Napi::Number>().DoubleValue();
  // Not what the clock is here: to join both took a while.
  const auto then = static_cast<uint64_t>(std::llround((now + offset) * kMillisecond));
  const uint64_t clock = then - engine.toTime(now);
  onPunts_ = Napi::ThreadSafeFunction::New(env, info[5].As<Napi::Function>(), "napt punts", 0, 1);
  onLinks_ = Napi::ThreadSafeFunction::New(env, info[6].As<Napi::Function>(), "napt links", 0, 1);
  gateway_ = std::make_unique<Gateway>(
      engine.share(), clock, std::move(inside), std::move(outside),
      GatewayHooks{[this] { onPunts_.NonBlockingCall(); }, [this] { onLinks_.NonBlockingCall(); }});
}

GatewayHandle::~GatewayHandle() { end(); }

void GatewayHandle::end() {
  if (gateway_ == nullptr) return;
  gateway_.reset();
  onPunts_.Release();
  onLinks_.Release();
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

/// describe(side): {mac, mtu, up}
Napi::Value GatewayHandle::describe(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Object link = Napi::Object::New(env);
  if (gateway_ == nullptr) return link;
  const Port& port = gateway_->port(sideOf(info[0]));
  link.Set("mac", Napi::Buffer<uint8_t>::Copy(env, port.hardwareAddress(), Mac{}.size()));
  link.Set("mtu", port.mtu());
  link.Set("up", port.isUp());
  return link;
}

/// setMtu(side, mtu)
Napi::Value GatewayHandle::setMtu(const Napi::CallbackInfo& info) {
  if (gateway_ != nullptr) {
    gateway_->setMtu(sideOf(info[0]), info[1].As<Napi::Number>().Uint32Value());
  }
  return info.Env().Undefined();
}

/// setBusyPoll(on)
Napi::Value GatewayHandle::setBusyPoll(const Napi::CallbackInfo& info) {
  if (gateway_ != nullptr) gateway_->setBusyPoll(info[0].ToBoolean());
  return info.Env().Undefined();
}

/// setNetwork(side, network, mask, router)
Napi::Value GatewayHandle::setNetwork(const Napi::CallbackInfo& info) {
  if (gateway_ != nullptr) {
    gateway_->setNetwork(sideOf(info[0]), addressOf(info[1]), addressOf(info[2]),
                         addressOf(info[3]));
  }
  return info.Env().Undefined();
}

/// setFilter(side, program): whether the port has it now
Napi::Value GatewayHandle::setFilter(const Napi::CallbackInfo& info) {
  const bool done =
      gateway_ != nullptr && gateway_->port(sideOf(info[0])).filter(filterOf(info[1]));
  return Napi::Boolean::New(info.Env(), done);
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

/// inject(side, frame, offload of a frame that waited, route)
Napi::Value GatewayHandle::inject(const Napi::CallbackInfo& info) {
  if (gateway_ == nullptr) return info.Env().Undefined();
  auto bytes = info[1].As<Napi::Uint8Array>();
  Frame frame{bytes.Data(), static_cast<uint32_t>(bytes.ByteLength()), Offload{}};
  TapKind kind = TapKind::Own;
  if (info[2].IsTypedArray()) {
    kind = TapKind::Delayed;
    const auto offload = info[2].As<Napi::Uint8Array>();
    if (offload.ByteLength() == sizeof(Offload)) {
      std::memcpy(&frame.offload, offload.Data(), sizeof(Offload));
    }
  }
  gateway_->inject(sideOf(info[0]), frame, info[3].ToBoolean(), kind);
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
  const auto putAll = [&](Napi::Object& in, const char* name, const auto& histogram) {
    constexpr uint32_t kCounts = std::decay_t<decltype(histogram)>::kBounds + 1;
    Napi::Array counts = Napi::Array::New(env, kCounts);
    for (uint32_t i = 0; i < kCounts; i++) {
      counts.Set(i, Napi::Number::New(env, static_cast<double>(histogram.count(i))));
    }
    Napi::Object told = Napi::Object::New(env);
    told.Set("counts", counts);
    told.Set("sum", Napi::Number::New(env, static_cast<double>(histogram.sum())));
    in.Set(name, told);
  };
  const GatewayCounters& of = gateway_->counters();
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
    put(port, "spoofed", c.spoofed);
    put(port, "tooLong", c.tooLong);
    put(port, "refused", c.refused);
    putAll(port, "burstFrames", of.burstFrames[side]);
    putAll(port, "burstTime", of.burstTime[side]);
    all.Set(side == kInside ? "inside" : "outside", port);
  }
  put(all, "foreign", of.foreign);
  put(all, "unroutable", of.unroutable);
  put(all, "punted", of.punted);
  put(all, "puntsLost", of.puntsLost);
  return all;
}

}  // namespace napt
