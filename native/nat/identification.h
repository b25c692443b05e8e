// IPv4 identification (RFC 6864, section 5.3.1).
//
// Behind one public address two inside hosts may send datagrams with the same identification to
// the same remote; if those can be fragmented, the receiver could mix their pieces. A bounded
// table remembers who used an identification last; only where another host used it within a
// datagram's lifetime is it replaced, and the original kept beside it for ICMP errors that quote
// the datagram (RFC 5508, REQ-4a). Atomic datagrams (DF set, not a fragment) are left alone.
//
// Shards that share a public address can't know what the others sent, so each has identifications
// of its own: those that leave its number as remainder.
#pragma once

#include "nat/index.h"
#include "nat/random.h"
#include "packet/bytes.h"

namespace napt {

class Identifications {
 public:
  explicit Identifications(const HashKey& key, uint32_t shard = 0, uint32_t shards = 1)
      : key_(key), shard_(shard), shards_(shards) {}

  bool reserve() { return sets_.reserve(kSets); }

  /// The identification to send for a datagram of `host` (all in network order).
  uint16_t assign(uint16_t id, uint32_t host, uint32_t publicAddress, uint32_t remote,
                  uint8_t protocol, uint64_t now, Random& random) {
    const auto claims = [&](uint16_t sent) {
      return claim(hash(sent, publicAddress, remote, protocol), id, host, now);
    };
    if ((shards_ == 1 || swap16(id) % shards_ == shard_) && claims(id)) return id;
    for (int tries = 0; tries < 8; tries++) {
      const uint16_t other = any(random);
      if (claims(other)) return other;
    }
    return any(random);
  }

  /// The identification that `host` had given to what it last sent with `sent`; `sent` itself where
  /// that isn't known.
  uint16_t original(uint16_t sent, uint32_t host, uint32_t publicAddress, uint32_t remote,
                    uint8_t protocol) const {
    const uint64_t hashed = hash(sent, publicAddress, remote, protocol);
    for (const Use& use : sets_[hashed % kSets].ways) {
      if (use.isOf(hashed) && use.host == host) return use.original();
    }
    return sent;
  }

 private:
  static constexpr uint32_t kSets = 8192, kWays = 4;
  // The maximum datagram lifetime, taken as 2 minutes (RFC 6864, section 3).
  static constexpr uint64_t kLifetime = 120'000'000'000;

  struct Use {
    uint64_t word;        // 48 bits of the hash; below them the identification that the host gave
    uint32_t host, time;  // time in units of 2^27 ns, 0: never

    bool isOf(uint64_t hashed) const { return (word ^ hashed) >> 16 == 0; }
    uint16_t original() const { return static_cast<uint16_t>(word); }
  };
  /// A cache line: the last uses whose keys fall together.
  struct alignas(64) Set {
    Use ways[kWays];
  };

  uint16_t any(Random& random) const {
    const auto drawn = static_cast<uint16_t>(random.next());
    if (shards_ == 1) return drawn;
    return swap16(static_cast<uint16_t>(drawn % (65536 / shards_) * shards_ + shard_));
  }

  uint64_t hash(uint16_t sent, uint32_t publicAddress, uint32_t remote, uint8_t protocol) const {
    return hash128(remote | uint64_t{publicAddress} << 32, sent | uint64_t{protocol} << 16, key_);
  }

  /// Takes an identification for a datagram that `host` had given `original`, unless another
  /// datagram went out with it lately.
  bool claim(uint64_t hashed, uint16_t original, uint32_t host, uint64_t now) {
    Set& set = sets_[hashed % kSets];
    const auto time = static_cast<uint32_t>((now >> 27) + 1);
    Use* oldest = &set.ways[0];
    for (Use& use : set.ways) {
      if (use.isOf(hashed)) {
        const bool same = use.host == host && use.original() == original;
        if (!same && time - use.time <= (kLifetime >> 27)) return false;
        oldest = &use;
        break;
      }
      if (time - use.time > time - oldest->time) oldest = &use;
    }
    *oldest = {(hashed & ~uint64_t{0xffff}) | original, host, time};
    return true;
  }

  Arena<Set> sets_;
  HashKey key_;
  const uint32_t shard_, shards_;
};

}  // namespace napt
