#include "addon/engine.h"

#include <algorithm>
#include <cmath>

#include "addon/config_reader.h"

namespace napt {

namespace {

napi_value fail(napi_env env, const char* code, const char* message) {
  napi_throw_error(env, code, message);
  return nullptr;
}

napi_value toNumber(napi_env env, uint32_t value) {
  napi_value result;
  napi_create_uint32(env, value, &result);
  return result;
}

/// The first seven arguments of `map` and `keep`.
MappingRequest readRequest(const Napi::CallbackInfo& info) {
  const auto number = [&](size_t i) { return info[i].As<Napi::Number>().Uint32Value(); };
  const auto port = [&](size_t i) { return static_cast<uint16_t>(number(i)); };
  MappingRequest request{};
  request.protocol = static_cast<uint8_t>(number(0));
  request.inside = swap32(number(1));
  request.insidePort = swap16(port(2));
  request.outside = swap32(number(3));
  request.outsidePort = port(4);
  request.exact = info[5].As<Napi::Boolean>().Value();
  request.lifetime = static_cast<uint64_t>(info[6].As<Napi::Number>().DoubleValue() * 1e6);
  return request;
}

/// An optional number argument.
uint32_t optional(napi_env env, size_t count, napi_value* arguments, size_t at) {
  uint32_t value = 0;
  if (at < count) napi_get_value_uint32(env, arguments[at], &value);
  return value;
}

}  // namespace

Napi::Function Engine::define(Napi::Env env) {
  return DefineClass(env, "Engine",
                     {InstanceMethod<&Engine::inTurn<&Engine::createBatch>>("createBatch"),
                      InstanceMethod<&Engine::inTurn<&Engine::explain>>("explain"),
                      InstanceMethod<&Engine::inTurn<&Engine::pending>>("pending"),
                      InstanceMethod<&Engine::inTurn<&Engine::take>>("take"),
                      InstanceMethod<&Engine::inTurn<&Engine::recordEvents>>("recordEvents"),
                      InstanceMethod<&Engine::takeEvents>("takeEvents"),
                      InstanceMethod<&Engine::eventsLost>("eventsLost"),
                      InstanceMethod<&Engine::inTurn<&Engine::flush>>("flush"),
                      InstanceMethod<&Engine::inTurn<&Engine::sweep>>("sweep"),
                      InstanceMethod<&Engine::inTurn<&Engine::read>>("read"),
                      InstanceMethod<&Engine::inTurn<&Engine::find>>("find"),
                      InstanceMethod<&Engine::inTurn<&Engine::remove>>("remove"),
                      InstanceMethod<&Engine::inTurn<&Engine::map>>("map"),
                      InstanceMethod<&Engine::inTurn<&Engine::keep>>("keep"),
                      InstanceMethod<&Engine::inTurn<&Engine::unmap>>("unmap"),
                      InstanceMethod<&Engine::inTurn<&Engine::findMapping>>("findMapping"),
                      InstanceMethod<&Engine::inTurn<&Engine::publicAddressOf>>("publicAddressOf"),
                      InstanceMethod<&Engine::inTurn<&Engine::readStats>>("readStats"),
                      InstanceMethod<&Engine::inTurn<&Engine::countSessions>>("countSessions"),
                      InstanceMethod<&Engine::inTurn<&Engine::readPorts>>("readPorts"),
                      InstanceMethod<&Engine::inTurn<&Engine::readPortRanges>>("readPortRanges"),
                      InstanceMethod<&Engine::inTurn<&Engine::save>>("save"),
                      InstanceMethod<&Engine::inTurn<&Engine::restore>>("restore"),
                      InstanceMethod<&Engine::inTurn<&Engine::reconfigure>>("reconfigure"),
                      InstanceMethod<&Engine::inTurn<&Engine::close>>("close"),
                      InstanceMethod<&Engine::openTap>("openTap"),
                      InstanceMethod<&Engine::closeTap>("closeTap")});
}

/// new Engine(compiledConfig, seed: BigUint64Array of 2)
Engine::Engine(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Engine>(info) {
  const Napi::Env env = info.Env();
  if (info.Length() < 2 || !info[0].IsObject() || !info[1].IsTypedArray()) {
    Napi::TypeError::New(env, "internal: Engine(config, seed)").ThrowAsJavaScriptException();
    return;
  }
  const auto seed = info[1].As<Napi::BigUint64Array>();
  seed_ = {seed[0], seed[1]};
  Config config;
  if (!readConfig(info[0].As<Napi::Object>(), config)) return;
  nat_ = Translator::create(config, seed_);
  if (nat_ == nullptr) {
    fail(env, "NAT_ERR_MEMORY", "the system refused the address space for the session table");
    return;
  }
  const auto attach = [&](const char* name, napi_callback call) {
    napi_value function;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, call, this, &function);
    info.This().As<Napi::Object>().Set(name, Napi::Value(env, function));
  };
  attach("translate", &Engine::translate);
  attach("translateBatch", &Engine::translateBatch);
}

Engine::~Engine() {
  // A thread that shares the translator finds none from here on.
  const Turn own = turn();
  if (shared_ == nullptr) return;
  shared_->nat = nullptr;
  shared_->taps.close(0);
}

std::shared_ptr<SharedTranslator> Engine::share() {
  if (shared_ == nullptr) {
    shared_ = std::make_shared<SharedTranslator>();
    shared_->nat = nat_.get();
  }
  return shared_;
}

bool Engine::isOpen(Napi::Env env) const {
  if (nat_ != nullptr) return true;
  fail(env, "NAT_ERR_CLOSED", "this Nat is closed");
  return false;
}

uint64_t Engine::toTime(double ms) {
  if (!started_) {
    started_ = true;
    epoch_ = ms;
  }
  const double passed = (ms - epoch_) * 1e6;
  // Before the first time: no time passed. (TypeScript has refused what is not finite.)
  return kOrigin + (passed > 0 && passed < 9e18 ? static_cast<uint64_t>(std::llround(passed)) : 0);
}

/// translate(packet: Uint8Array, nowMs, wireLength = 0, flags = 0, tag = 0): packed result
napi_value Engine::translate(napi_env env, napi_callback_info info) {
  size_t count = 5;
  napi_value arguments[5];
  void* self;
  napi_get_cb_info(env, info, &count, arguments, nullptr, &self);
  auto& engine = *static_cast<Engine*>(self);
  if (engine.nat_ == nullptr) return fail(env, "NAT_ERR_CLOSED", "this Nat is closed");
  size_t length = 0;
  void* data = nullptr;
  double now = 0;
  bool isBytes = false;
  // TypeScript has made sure that it is a Uint8Array; what can't be one must not get further.
  if (count < 2 || napi_is_typedarray(env, arguments[0], &isBytes) != napi_ok || !isBytes ||
      napi_get_buffer_info(env, arguments[0], &data, &length) != napi_ok ||
      napi_get_value_double(env, arguments[1], &now) != napi_ok) {
    return fail(env, "NAT_ERR_ARGUMENT", "translate expects a Uint8Array and a time in ms");
  }
  if (data == nullptr) length = 0;  // detached
  const auto size = static_cast<uint32_t>(length < 0x7fffffff ? length : 0x7fffffff);
  const uint32_t wire = optional(env, count, arguments, 2);
  const uint32_t flags = optional(env, count, arguments, 3);
  const PacketView packet = viewOf(static_cast<uint8_t*>(data), size, wire, flags);
  const Turn own = engine.turn();
  if (engine.isTapped()) {
    Descriptor d{0, size, wire, flags, 0, 0, optional(env, count, arguments, 4), 0};
    engine.translateTapped(&d, 1, packet.data, size, now);
    return toNumber(env, d.verdict);
  }
  const Result result =
      engine.nat_->translate(packet, optional(env, count, arguments, 4), engine.toTime(now));
  return toNumber(env, result.packed());
}

/// translateBatch(number of a batch, nowMs): how many packets wait to be taken
napi_value Engine::translateBatch(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2];
  void* self;
  napi_get_cb_info(env, info, &count, arguments, nullptr, &self);
  auto& engine = *static_cast<Engine*>(self);
  if (engine.nat_ == nullptr) return fail(env, "NAT_ERR_CLOSED", "this Nat is closed");
  uint32_t number = 0;
  double now = 0;
  if (count < 2 || napi_get_value_uint32(env, arguments[0], &number) != napi_ok ||
      napi_get_value_double(env, arguments[1], &now) != napi_ok ||
      number >= engine.batches_->size() || (*engine.batches_)[number] == nullptr) {
    return fail(env, "NAT_ERR_BATCH", "translateBatch expects the number of a batch and a time");
  }
  const Batch& batch = *(*engine.batches_)[number];
  // The shared header may change under us: read once, and never believe more than there is.
  const uint32_t wanted = *static_cast<const volatile uint32_t*>(&batch.header->count);
  const uint32_t packets = wanted < batch.slots ? wanted : batch.slots;
  const Turn own = engine.turn();
  if (engine.isTapped()) {
    engine.translateTapped(batch.descriptors, packets, batch.bytes, batch.length, now);
  } else {
    engine.nat_->translateBatch(batch.descriptors, packets, batch.bytes, batch.length,
                                engine.toTime(now));
  }
  return toNumber(env, engine.nat_->pending());
}

/// createBatch(memory: Uint8Array over the whole SharedArrayBuffer, slots): {number}
Napi::Value Engine::createBatch(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!isOpen(env)) return env.Undefined();
  auto memory = info[0].As<Napi::Uint8Array>();
  const uint32_t slots = info[1].As<Napi::Number>().Uint32Value();
  const size_t head = sizeof(BatchHeader) + size_t{slots} * sizeof(Descriptor);
  if (memory.ByteLength() < head) {
    fail(env, "NAT_ERR_BATCH", "the batch's memory is too small for its slots");
    return env.Undefined();
  }
  auto* batch = new Batch{};
  batch->all = batches_;
  const auto free = std::find(batches_->begin(), batches_->end(), nullptr);
  batch->number = static_cast<uint32_t>(free - batches_->begin());
  if (free == batches_->end()) {
    batches_->push_back(batch);
  } else {
    *free = batch;
  }
  batch->header = reinterpret_cast<BatchHeader*>(memory.Data());
  batch->descriptors = reinterpret_cast<Descriptor*>(memory.Data() + sizeof(BatchHeader));
  batch->bytes = memory.Data() + head;
  batch->length = memory.ByteLength() - head;
  batch->slots = slots;
  napi_create_reference(env, memory, 1, &batch->memory);
  Napi::Object object = Napi::Object::New(env);
  const auto finalize = [](napi_env e, void* data, void*) {
    auto* dying = static_cast<Batch*>(data);
    (*dying->all)[dying->number] = nullptr;
    napi_delete_reference(e, dying->memory);
    delete dying;
  };
  napi_wrap(env, object, batch, finalize, nullptr, nullptr);
  object.Set("number", batch->number);
  return object;
}

/// pending(): how many packets wait to be taken
Napi::Value Engine::pending(const Napi::CallbackInfo& info) {
  if (!isOpen(info.Env())) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), nat_->pending());
}

/// take(): [bytes, kind, side (0 outside, 1 inside, 2 a sibling), tag, cause, atMs] for each packet
/// that the engine puts out
Napi::Value Engine::take(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!isOpen(env)) return env.Undefined();
  Napi::Array list = Napi::Array::New(env);
  uint32_t at = 0;
  const bool tapped = isTapped();
  nat_->take([&](const StoredPacket& packet, const uint8_t* bytes) {
    if (tapped) showEmitted(packet, bytes);
    Napi::Array entry = Napi::Array::New(env, 6);
    entry[0u] = Napi::Buffer<uint8_t>::Copy(env, bytes, packet.length);
    entry[1u] = static_cast<uint32_t>(packet.origin);
    entry[2u] = packet.toSibling ? 2u : packet.toInside ? 1u : 0u;
    entry[3u] = packet.tag;
    entry[4u] = packet.cause;
    entry[5u] = toMs(packet.at);
    list[at++] = entry;
  });
  return list;
}

/// recordEvents(mask): what is recorded from now on
Napi::Value Engine::recordEvents(const Napi::CallbackInfo& info) {
  if (!isOpen(info.Env())) return info.Env().Undefined();
  nat_->record(info[0].As<Napi::Number>().Uint32Value());
  return info.Env().Undefined();
}

/// takeEvents(rows: Float64Array): rows filled. Waits for nobody's turn: JavaScript is the only
/// reader, and the only one to change what it reads from.
Napi::Value Engine::takeEvents(const Napi::CallbackInfo& info) {
  if (!isOpen(info.Env())) return info.Env().Undefined();
  auto rows = info[0].As<Napi::Float64Array>();
  double* row = rows.Data();
  const auto room = static_cast<uint32_t>(rows.ElementLength() / kSessionFields);
  const uint32_t filled = nat_->events().take(room, [&](const Event& event) {
    writeRow(event, row);
    row += kSessionFields;
  });
  return Napi::Number::New(info.Env(), filled);
}

/// eventsLost(): how many, as their ring was full
Napi::Value Engine::eventsLost(const Napi::CallbackInfo& info) {
  if (!isOpen(info.Env())) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), static_cast<double>(nat_->events().lost()));
}

/// A row as that of a session, with the event's type in place of the slot, and its time in place of
/// when the session was last seen. What is not about a session has its numbers where that has its
/// packets.
void Engine::writeRow(const Event& event, double* row) const {
  const bool isSession = event.type <= EventType::SessionDeleted;
  const bool isAnchor = (event.flags & kExplicit) != 0 && event.remote == 0;
  const bool hasPhase = isSession && event.protocol == kTcp && !isAnchor;
  const double values[kSessionFields] = {
      static_cast<double>(event.type),
      static_cast<double>(event.protocol),
      static_cast<double>(swap32(event.inside)),
      static_cast<double>(swap16(event.insidePort)),
      static_cast<double>(swap32(event.publicAddress)),
      static_cast<double>(swap16(event.publicPort)),
      static_cast<double>(swap32(event.remote)),
      static_cast<double>(swap16(event.remotePort)),
      hasPhase ? static_cast<double>(tcpPhase(event.state)) : -1,
      static_cast<double>(event.flags),
      static_cast<double>(event.state),
      toMs(event.at),
      0,
      toMs(uint64_t{event.created} << 27),
      isSession ? static_cast<double>(event.packets[kOut]) : event.numbers[0],
      isSession ? static_cast<double>(event.packets[kIn]) : event.numbers[1],
      static_cast<double>(event.bytes[kOut]),
      static_cast<double>(event.bytes[kIn]),
  };
  std::copy(values, values + kSessionFields, row);
}

/// flush()
Napi::Value Engine::flush(const Napi::CallbackInfo& info) {
  if (!isOpen(info.Env())) return info.Env().Undefined();
  nat_->flush();
  return info.Env().Undefined();
}

/// sweep(nowMs | undefined, budget): sessions ended
Napi::Value Engine::sweep(const Napi::CallbackInfo& info) {
  if (!isOpen(info.Env())) return info.Env().Undefined();
  const uint64_t now =
      info[0].IsNumber() ? toTime(info[0].As<Napi::Number>().DoubleValue()) : nat_->now();
  return Napi::Number::New(info.Env(), nat_->sweep(now, info[1].As<Napi::Number>().Uint32Value()));
}

void Engine::writeRow(uint32_t slot, double* row) const {
  const Session& s = nat_->sessions()[slot];
  const SessionLinks& links = nat_->sessions().links(slot);
  const auto packets = [&](Side side) {
    return static_cast<double>(nat_->sessions().packets(slot, side));
  };
  const auto bytes = [&](Side side) {
    return static_cast<double>(nat_->sessions().bytes(slot, side));
  };
  const double values[kSessionFields] = {
      static_cast<double>(slot),
      static_cast<double>(s.protocol),
      static_cast<double>(swap32(s.inside)),
      static_cast<double>(swap16(s.insidePort)),
      static_cast<double>(swap32(s.publicAddress)),
      static_cast<double>(swap16(s.publicPort)),
      static_cast<double>(swap32(s.remote)),
      static_cast<double>(swap16(s.remotePort)),
      s.protocol == kTcp && !isAnchor(s) ? static_cast<double>(tcpPhase(s.state)) : -1,
      static_cast<double>(s.flags),
      static_cast<double>(s.state),
      toMs(s.last),
      toMs(nat_->deadlineOf(slot)),
      toMs(uint64_t{links.created} << 27),
      packets(kOut),
      packets(kIn),
      bytes(kOut),
      bytes(kIn),
  };
  std::copy(values, values + kSessionFields, row);
}

/// The session's key in a row.
Key Engine::keyOf(const double* row) {
  const auto address = [&](size_t i) { return swap32(static_cast<uint32_t>(row[i])); };
  const auto port = [&](size_t i) { return swap16(static_cast<uint16_t>(row[i])); };
  return Key::of(address(2), address(6), port(3), port(7), static_cast<uint8_t>(row[1]));
}

/// read(from, rows: Float64Array): [rows filled, where to go on; 0 at the end]
Napi::Value Engine::read(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!isOpen(env)) return env.Undefined();
  uint32_t slot = info[0].As<Napi::Number>().Uint32Value();
  auto rows = info[1].As<Napi::Float64Array>();
  const size_t room = rows.ElementLength() / kSessionFields;
  const uint32_t used = nat_->sessions().used();
  // A table that was full once has many empty slots: packets don't wait for all of them.
  const uint32_t end = std::min(used, slot + SessionCensus::kAtATime);
  size_t filled = 0;
  for (; slot < end && filled < room; slot++) {
    if (nat_->isLive(slot)) writeRow(slot, rows.Data() + kSessionFields * filled++);
  }
  Napi::Array result = Napi::Array::New(env, 2);
  result[0u] = static_cast<double>(filled);
  result[1u] = slot < used ? slot : 0;
  return result;
}

/// find(protocol, inside, insidePort, remote, remotePort, row: Float64Array): found
Napi::Value Engine::find(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!isOpen(env)) return env.Undefined();
  const auto number = [&](size_t i) { return info[i].As<Napi::Number>().Uint32Value(); };
  const auto port = [&](size_t i) { return swap16(static_cast<uint16_t>(number(i))); };
  const Key key = Key::of(swap32(number(1)), swap32(number(3)), port(2), port(4),
                          static_cast<uint8_t>(number(0)));
  const uint32_t slot = nat_->findSession(key);
  if (slot != SessionTable::kNone) writeRow(slot, info[5].As<Napi::Float64Array>().Data());
  return Napi::Boolean::New(env, slot != SessionTable::kNone);
}

/// map(protocol, inside, insidePort, outside (0: any), outsidePort (0: any), exact, lifetimeMs,
/// nowMs, filters: Uint32Array of address, mask, port): [reason, outside, outsidePort, permanent,
/// untilMs]
Napi::Value Engine::map(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!isOpen(env)) return env.Undefined();
  MappingRequest request = readRequest(info);
  const auto rows = info[8].As<Napi::Uint32Array>();
  for (; request.filters < MappingRequest::kMostFilters &&
         3 * request.filters + 2 < rows.ElementLength();
       request.filters++) {
    const size_t at = size_t{3} * request.filters;
    request.filter[request.filters] = {swap32(rows[at]), swap32(rows[at + 1]),
                                       swap16(static_cast<uint16_t>(rows[at + 2]))};
  }
  return answer(env, nat_->map(request, toTime(info[7].As<Napi::Number>().DoubleValue())));
}

/// keep(as map without filters, but then remote, remotePort): as map
Napi::Value Engine::keep(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!isOpen(env)) return env.Undefined();
  const uint32_t remote = swap32(info[8].As<Napi::Number>().Uint32Value());
  const auto port = static_cast<uint16_t>(info[9].As<Napi::Number>().Uint32Value());
  return answer(env, nat_->keep(readRequest(info), remote, swap16(port),
                                toTime(info[7].As<Napi::Number>().DoubleValue())));
}

/// findMapping(protocol, inside, insidePort): as map
Napi::Value Engine::findMapping(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!isOpen(env)) return env.Undefined();
  const auto number = [&](size_t i) { return info[i].As<Napi::Number>().Uint32Value(); };
  return answer(env, nat_->findMapping(static_cast<uint8_t>(number(0)), swap32(number(1)),
                                       swap16(static_cast<uint16_t>(number(2)))));
}

/// unmap(protocol, inside, insidePort): whether there was one
Napi::Value Engine::unmap(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!isOpen(env)) return env.Undefined();
  const auto number = [&](size_t i) { return info[i].As<Napi::Number>().Uint32Value(); };
  return Napi::Boolean::New(env, nat_->unmap(static_cast<uint8_t>(number(0)), swap32(number(1)),
                                             swap16(static_cast<uint16_t>(number(2)))));
}

/// publicAddressOf(inside): address, or 0
Napi::Value Engine::publicAddressOf(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!isOpen(env)) return env.Undefined();
  const uint32_t inside = swap32(info[0].As<Napi::Number>().Uint32Value());
  return Napi::Number::New(env, swap32(nat_->publicAddressOf(inside)));
}

Napi::Value Engine::answer(Napi::Env env, const Granted& granted) const {
  Napi::Array result = Napi::Array::New(env, 5);
  result[0u] = static_cast<double>(granted.reason);
  result[1u] = static_cast<double>(swap32(granted.outside));
  result[2u] = static_cast<double>(granted.outsidePort);
  result[3u] = granted.permanent;
  result[4u] = toMs(granted.until);
  return result;
}

/// remove(slot)
Napi::Value Engine::remove(const Napi::CallbackInfo& info) {
  if (!isOpen(info.Env())) return info.Env().Undefined();
  nat_->deleteSession(info[0].As<Napi::Number>().Uint32Value());
  return info.Env().Undefined();
}

/// readStats(counters: Float64Array)
Napi::Value Engine::readStats(const Napi::CallbackInfo& info) {
  if (!isOpen(info.Env())) return info.Env().Undefined();
  auto to = info[0].As<Napi::Float64Array>();
  nat_->stats.eventsLost = nat_->events().lost();
  const auto* from = reinterpret_cast<const uint64_t*>(&nat_->stats);
  for (size_t i = 0; i < sizeof(Stats) / 8 && i < to.ElementLength(); i++) {
    to[i] = static_cast<double>(from[i]);
  }
  return info.Env().Undefined();
}

/// countSessions(from, counts: Float64Array): where to go on; 0 at the end. Adds to the counts: TCP
/// by phase, then all others by protocol.
Napi::Value Engine::countSessions(const Napi::CallbackInfo& info) {
  if (!isOpen(info.Env())) return info.Env().Undefined();
  SessionCensus census{};
  const uint32_t next = nat_->countSessions(info[0].As<Napi::Number>().Uint32Value(), census);
  auto counts = info[1].As<Napi::Float64Array>();
  for (uint32_t i = 0; i < SessionCensus::kPhases; i++) counts[i] += census.byPhase[i];
  for (uint32_t i = 0; i < SessionCensus::kProtocols; i++) {
    counts[SessionCensus::kPhases + i] += census.byProtocol[i];
  }
  return Napi::Number::New(info.Env(), next);
}

/// readPorts(from, rows: Float64Array): [rows filled, where to go on; 0 at the end]. A row: public
/// address, ports, blocks, blocks in use, ports in use of each protocol.
Napi::Value Engine::readPorts(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!isOpen(env)) return env.Undefined();
  uint32_t address = info[0].As<Napi::Number>().Uint32Value();
  auto rows = info[1].As<Napi::Float64Array>();
  const size_t room = rows.ElementLength() / kPortFields;
  size_t filled = 0;
  for (; address < nat_->poolSize() && filled < room; address++) {
    const PortUse use = nat_->portUse(address);
    double* row = rows.Data() + kPortFields * filled++;
    row[0] = swap32(use.address);
    row[1] = use.ports;
    row[2] = use.blocks;
    row[3] = use.blocksUsed;
    std::copy(use.used, use.used + kPortSpaces, row + 4);
  }
  Napi::Array result = Napi::Array::New(env, 2);
  result[0u] = static_cast<double>(filled);
  result[1u] = address < nat_->poolSize() ? address : 0;
  return result;
}

/// readPortRanges(address, ranges: Float64Array): found. Ports in use of a public address, the
/// pool's first being 0: of each protocol by ranges of kPortRange.
Napi::Value Engine::readPortRanges(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!isOpen(env)) return env.Undefined();
  const uint32_t address = info[0].As<Napi::Number>().Uint32Value();
  auto ranges = info[1].As<Napi::Float64Array>();
  // The pool may be another than when its addresses were read.
  if (address >= nat_->poolSize()) return Napi::Boolean::New(env, false);
  uint32_t used[kPortRanges];
  for (uint32_t space = 0; space < kPortSpaces; space++) {
    nat_->portRanges(space, address, used);
    std::copy(used, used + kPortRanges, ranges.Data() + size_t{space} * kPortRanges);
  }
  return Napi::Boolean::New(env, true);
}

/// save(from, nowMs, room: Uint8Array): [bytes written, where to go on; 0 at the end]
Napi::Value Engine::save(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!isOpen(env)) return env.Undefined();
  auto room = info[2].As<Napi::Uint8Array>();
  const SnapshotPiece piece =
      nat_->save(info[0].As<Napi::Number>().Uint32Value(),
                 toTime(info[1].As<Napi::Number>().DoubleValue()), room.Data(), room.ByteLength());
  Napi::Array result = Napi::Array::New(env, 2);
  result[0u] = static_cast<double>(piece.bytes);
  result[1u] = piece.next;
  return result;
}

/// restore(records: Uint8Array, first, nowMs, passedMs): [bytes read, restored, expired, refused]
Napi::Value Engine::restore(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!isOpen(env)) return env.Undefined();
  const auto records = info[0].As<Napi::Uint8Array>();
  const double passed = info[3].As<Napi::Number>().DoubleValue() * 1e6;
  const RestoreTime when{toTime(info[2].As<Napi::Number>().DoubleValue()),
                         passed < 9e18 ? static_cast<uint64_t>(passed) : uint64_t{1} << 62};
  const Restored restored = nat_->restore(records.Data(), records.ByteLength(),
                                          info[1].As<Napi::Boolean>().Value(), when);
  Napi::Array result = Napi::Array::New(env, 4);
  result[0u] = static_cast<double>(restored.bytes);
  result[1u] = restored.sessions;
  result[2u] = restored.expired;
  result[3u] = restored.refused;
  return result;
}

/// reconfigure(compiledConfig): all or nothing
Napi::Value Engine::reconfigure(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!isOpen(env)) return env.Undefined();
  Config config;
  if (!readConfig(info[0].As<Napi::Object>(), config)) return env.Undefined();
  std::unique_ptr<Translator> next = Translator::create(config, seed_);
  if (next == nullptr) {
    fail(env, "NAT_ERR_MEMORY", "the system refused the address space for the session table");
    return env.Undefined();
  }
  next->adopt(*nat_);
  nat_ = std::move(next);
  if (shared_ != nullptr) shared_->nat = nat_.get();
  return env.Undefined();
}

Napi::Value Engine::close(const Napi::CallbackInfo& info) {
  if (shared_ != nullptr) shared_->nat = nullptr;
  nat_.reset();
  return info.Env().Undefined();
}

}  // namespace napt
