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

  bool reserve() { return sets_.reserve(kSets); }

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
  static constexpr uint32_t kSets = 8192, kWays = 4;
  // The maximum datagram lifetime, taken as 2 minutes (RFC 6864, section 3).
  static constexpr uint64_t kLifetime = 120'000'000'000;

  struct Use {
    uint64_t key;
    uint32_t host, time;  // time in units of 2^27 ns
  };
  /// A cache line: the last uses whose keys fall together.
  struct alignas(64) Set {
    Use ways[kWays];
  };

  bool claim(uint16_t id, uint32_t host, uint32_t publicAddress, uint32_t remote, uint8_t protocol,
             uint64_t now) {
    const uint64_t key =
        hash128(remote | uint64_t{publicAddress} << 32, id | uint64_t{protocol} << 16, key_);
    Set& set = sets_[key % kSets];
    const auto time = static_cast<uint32_t>(now >> 27);
    Use* oldest = &set.ways[0];
    for (Use& use : set.ways) {
      if (use.key == key) {
        if (use.host != host && time - use.time <= (kLifetime >> 27)) return false;
        oldest = &use;
        break;
      }
      if (time - use.time > time - oldest->time) oldest = &use;
    }
    *oldest = {key, host, time};
    return true;
  }

  Arena<Set> sets_;
  HashKey key_;
};

}  // namespace napt
