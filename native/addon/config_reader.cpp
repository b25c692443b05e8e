#include "addon/config_reader.h"

#include <algorithm>

#include "packet/bytes.h"

namespace napt {

namespace {

class Reader {
 public:
  explicit Reader(const Napi::Object& from) : from_(from) {}

  bool ok() const { return ok_; }

  uint32_t number(const char* key) {
    const Napi::Value value = from_.Get(key);
    if (!value.IsNumber()) return fail(key);
    return value.As<Napi::Number>().Uint32Value();
  }
  bool flag(const char* key) {
    const Napi::Value value = from_.Get(key);
    if (!value.IsBoolean()) return fail(key) != 0;
    return value.As<Napi::Boolean>().Value();
  }
  /// Rows of `width` numbers from a Uint32Array.
  template <class Row>
  void rows(const char* key, size_t width, Row row) {
    const Napi::Value value = from_.Get(key);
    if (!value.IsTypedArray() ||
        value.As<Napi::TypedArray>().TypedArrayType() != napi_uint32_array) {
      fail(key);
      return;
    }
    const auto array = value.As<Napi::Uint32Array>();
    for (size_t i = 0; i + width <= array.ElementLength(); i += width) row(array.Data() + i);
  }
  /// A number of nanoseconds.
  uint64_t time(const char* key) {
    const Napi::Value value = from_.Get(key);
    if (!value.IsNumber()) return fail(key);
    return static_cast<uint64_t>(value.As<Napi::Number>().DoubleValue());
  }
  /// Rows of `width` times from a Float64Array.
  template <class Row>
  void times(const char* key, size_t width, Row row) {
    const Napi::Value value = from_.Get(key);
    if (!value.IsTypedArray() ||
        value.As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) {
      fail(key);
      return;
    }
    const auto array = value.As<Napi::Float64Array>();
    for (size_t i = 0; i + width <= array.ElementLength(); i += width) row(array.Data() + i);
  }
  /// Objects of an array, each with a reader of its own.
  template <class Each>
  void objects(const char* key, Each each) {
    const Napi::Value value = from_.Get(key);
    if (!value.IsArray()) {
      fail(key);
      return;
    }
    const auto array = value.As<Napi::Array>();
    for (uint32_t i = 0; i < array.Length() && ok_; i++) {
      const Napi::Value element = array[i];
      if (!element.IsObject()) {
        fail(key);
        return;
      }
      const auto object = element.As<Napi::Object>();
      Reader reader(object);
      each(reader);
      ok_ = reader.ok();
    }
  }

 private:
  uint32_t fail(const char* key) {
    if (ok_) {
      const std::string message = std::string("internal: compiled config lacks ") + key;
      Napi::TypeError::New(from_.Env(), message).ThrowAsJavaScriptException();
    }
    ok_ = false;
    return 0;
  }

  const Napi::Object& from_;
  bool ok_ = true;
};

uint16_t port(uint32_t value) { return static_cast<uint16_t>(value); }
uint8_t byte(uint32_t value) { return static_cast<uint8_t>(value); }

void readBehaviours(Reader& read, const char* key, Behaviour (&to)[kPortSpaces]) {
  read.rows(key, 5, [&](const uint32_t* r) {
    for (int i = 0; i < 5; i++) to[i] = static_cast<Behaviour>(r[i]);
  });
}

void readPolicy(Reader& read, Policy& to) {
  readBehaviours(read, "mapping", to.mapping);
  readBehaviours(read, "filtering", to.filtering);
  to.randomPorts = read.flag("randomPorts");
  to.preservePorts = read.flag("preservePorts");
  to.parity = read.flag("parity");
  to.overloading = read.flag("overloading");
  to.contiguity = read.flag("contiguity");
  to.pooling = static_cast<Pooling>(read.number("pooling"));
  to.hairpinning = read.flag("hairpinning");
  to.inboundRefresh = read.flag("inboundRefresh");
  to.tcpPickup = read.flag("tcpPickup");
  to.tcpLiberal = read.flag("tcpLiberal");
  to.sessionLimit = read.number("sessionLimit");
  to.sessionRate = read.number("sessionRate");
  read.rows("portLimits", 4, [&](const uint32_t* r) { std::copy(r, r + 4, to.portLimits); });
}

/// The policies, and the idle times that go with each.
void readPolicies(Reader& read, Config& to) {
  to.policies.clear();
  read.objects("policies", [&](Reader& policy) {
    to.policies.emplace_back();
    readPolicy(policy, to.policies.back());
  });
  to.profiles.clear();
  read.times("timeouts", kIdleTimeouts, [&](const double* r) {
    Profile& profile = to.profiles.emplace_back();
    for (uint32_t i = 0; i < kIdleTimeouts; i++) profile.timeouts[i] = static_cast<uint64_t>(r[i]);
  });
  size_t at = 0;
  read.rows("profilePolicies", 1, [&](const uint32_t* r) {
    if (at < to.profiles.size()) to.profiles[at++].policy = byte(r[0]);
  });
  read.rows("portTimeouts", 5, [&](const uint32_t* r) {
    to.portTimeouts.push_back({byte(r[0]), byte(r[1]), port(r[2]), port(r[3]), byte(r[4])});
  });
}

void readDeterministic(Reader& read, Deterministic& to) {
  read.rows("deterministic", 2, [&](const uint32_t* r) {
    to.portsPerHost = r[0];
    to.hostsPerAddress = r[1];
  });
  read.rows("deterministicHosts", 2, [&](const uint32_t* r) { to.hosts.push_back({r[0], r[1]}); });
}

/// Other transports and ALGs, by bits as src/config/compile.ts sets them.
void readProtocols(Reader& read, Config& to) {
  const uint32_t bits = read.number("protocols");
  constexpr uint8_t kOptional[] = {kUdpLite, kDccp, kSctp, kGre, kEsp};
  for (uint32_t i = 0; i < 5; i++) {
    if ((bits >> i & 1) != 0) to.protocols.add(kOptional[i]);
  }
  if ((bits >> 5 & 1) != 0) {
    // All the rest, but what has switches of its own, what goes to neighbours only, and AH, whose
    // checks cover the addresses.
    const Protocols named = to.protocols;
    for (uint32_t protocol = 0; protocol < 256; protocol++) {
      const bool own =
          std::find(std::begin(kOptional), std::end(kOptional), protocol) != std::end(kOptional);
      if (!own && !named.has(byte(protocol)) && protocol != kIgmp && protocol != kAh) {
        to.protocols.add(byte(protocol));
      }
    }
  }
  const uint32_t algs = read.number("algs");
  to.ftp = (algs & 1) != 0;
  to.pptp = (algs & 2) != 0;
}

}  // namespace

bool readConfig(const Napi::Object& from, Config& to) {
  Reader read(from);
  read.rows("inside", 3, [&](const uint32_t* r) { to.inside.push_back({r[0], r[1], byte(r[2])}); });
  read.rows("outside", 3, [&](const uint32_t* r) {
    to.outside.push_back({swap32(r[0]), port(r[1]), port(r[2])});
  });
  read.rows("forwards", 5, [&](const uint32_t* r) {
    to.forwards.push_back({byte(r[0]), swap32(r[1]), port(r[2]), swap32(r[3]), port(r[4])});
  });
  read.rows("statics", 2, [&](const uint32_t* r) {
    to.statics.push_back({swap32(r[0]), swap32(r[1])});
  });
  read.rows("exempt", 5, [&](const uint32_t* r) {
    to.exemptions.push_back({r[0], r[1], byte(r[2]), port(r[3]), port(r[4])});
  });
  read.rows("siblings", 4, [&](const uint32_t* r) {
    to.siblings.push_back({byte(r[0]), swap32(r[1]), port(r[2]), port(r[3])});
  });
  to.shard = read.number("shard");
  to.shards = std::max(1u, read.number("shards"));
  readPolicies(read, to);
  readDeterministic(read, to.deterministic);
  readProtocols(read, to);
  to.fragmentTimeout = read.time("fragmentTimeout");
  to.blockSize = read.number("blockSize");
  to.blocksPerHost = read.number("blocksPerHost");
  to.blockHold = read.time("blockHold");
  to.holdDown = read.time("holdDown");
  to.holdDownPorts = read.number("holdDownPorts");
  to.sessionLimit = read.number("sessionLimit");
  to.sessionRate = read.number("sessionRate");
  to.fragmentLimit = read.number("fragmentLimit");
  to.icmpErrorRate = read.number("icmpErrorRate");
  to.evict = read.flag("evict");
  to.insideMtu = read.number("insideMtu");
  to.outsideMtu = read.number("outsideMtu");
  to.clampMss = read.flag("clampMss");
  to.insideAddress = swap32(read.number("insideAddress"));
  to.decrementTtl = read.flag("decrementTtl");
  to.icmpErrors = read.flag("icmpErrors");
  to.verifyHeaderChecksum = read.flag("verifyHeaderChecksum");
  to.passUnmatched = read.flag("passUnmatched");
  to.expiringBefore = read.time("expiringBefore");
  to.poolThreshold = read.number("poolThreshold");
  return read.ok();
}

}  // namespace napt
