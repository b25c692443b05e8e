// IPv4 identification (RFC 6864, section 5.3.1).
//
// Behind one public address two inside hosts may send datagrams with the same identification to
// the same remote; if those can be fragmented, the receiver could mix their pieces. A bounded
// table remembers who used an identification last; only where another host used it within a
// datagram's lifetime is it replaced. Atomic datagrams (DF set, not a fragment) are left alone.
#pragma once

#include "nat/index.h"
#include "nat/random.h"

namespace napt {

class Identifications {
 public:
  explicit Identifications(const HashKey& key) : key_(key) {}

  bool reserve() { return uses_.reserve(kUses); }

  /// The identification to send for a datagram of `host` (all in network order).
  uint16_t assign(uint16_t id, uint32_t host, uint32_t publicAddress, uint32_t remote,
                  uint8_t protocol, uint64_t now, Random& random) {
    if (claim(id, host, publicAddress, remote, protocol, now)) return id;
    for (int tries = 0; tries < 8; tries++) {
      const auto other = static_cast<uint16_t>(random.next());
      if (claim(other, host, publicAddress, remote, protocol, now)) return other;
    }
    return static_cast<uint16_t>(random.next());
  }

 private:
  static constexpr uint32_t kUses = 16384;
  // The maximum datagram lifetime, taken as 2 minutes (RFC 6864, section 3).
  static constexpr uint64_t kLifetime = 120'000'000'000;

  struct Use {
    uint64_t key;
    uint32_t host, time;  // time in units of 2^27 ns
  };

  bool claim(uint16_t id, uint32_t host, uint32_t publicAddress, uint32_t remote, uint8_t protocol,
             uint64_t now) {
    const uint64_t key =
        hash128(remote | uint64_t{publicAddress} << 32, id | uint64_t{protocol} << 16, key_);
    Use& use = uses_[key % kUses];
    const auto time = static_cast<uint32_t>(now >> 27);
    if (use.key == key && use.host != host && time - use.time <= (kLifetime >> 27)) return false;
    use = {key, host, time};
    return true;
  }

  Arena<Use> uses_;
  HashKey key_;
};

}  // namespace napt
