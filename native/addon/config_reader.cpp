#include "addon/config_reader.h"

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
  void times(const char* key, uint64_t* to, size_t count) {
    const Napi::Value value = from_.Get(key);
    if (!value.IsTypedArray() ||
        value.As<Napi::TypedArray>().TypedArrayType() != napi_float64_array ||
        value.As<Napi::Float64Array>().ElementLength() != count) {
      fail(key);
      return;
    }
    const auto array = value.As<Napi::Float64Array>();
    for (size_t i = 0; i < count; i++) to[i] = static_cast<uint64_t>(array[i]);
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

}  // namespace

bool readConfig(const Napi::Object& from, Config& to) {
  Reader read(from);
  read.rows("inside", 2, [&](const uint32_t* r) { to.inside.push_back({r[0], r[1]}); });
  read.rows("outside", 3, [&](const uint32_t* r) {
    to.outside.push_back({swap32(r[0]), port(r[1]), port(r[2])});
  });
  read.rows("forwards", 5, [&](const uint32_t* r) {
    to.forwards.push_back(
        {static_cast<uint8_t>(r[0]), swap32(r[1]), port(r[2]), swap32(r[3]), port(r[4])});
  });
  read.rows("statics", 2, [&](const uint32_t* r) {
    to.statics.push_back({swap32(r[0]), swap32(r[1])});
  });
  to.mapping = static_cast<Behaviour>(read.number("mapping"));
  to.filtering = static_cast<Behaviour>(read.number("filtering"));
  to.randomPorts = read.flag("randomPorts");
  to.preservePorts = read.flag("preservePorts");
  to.parity = read.flag("parity");
  to.blockSize = read.number("blockSize");
  to.paired = read.flag("paired");
  to.hairpinning = read.flag("hairpinning");
  read.times("timeouts", to.timeouts, kTimeouts);
  read.times("fragmentTimeout", &to.fragmentTimeout, 1);
  to.sessionLimit = read.number("sessionLimit");
  to.hostLimit = read.number("hostLimit");
  to.fragmentLimit = read.number("fragmentLimit");
  to.decrementTtl = read.flag("decrementTtl");
  to.icmpErrors = read.flag("icmpErrors");
  to.inboundRefresh = read.flag("inboundRefresh");
  to.tcpPickup = read.flag("tcpPickup");
  to.verifyHeaderChecksum = read.flag("verifyHeaderChecksum");
  to.passUnmatched = read.flag("passUnmatched");
  return read.ok();
}

}  // namespace napt
