// What is kept for each inside host while it has sessions: their number, the public address that
// paired pooling gave it (RFC 4787, REQ-2), its port blocks, and what it has used of its quotas
// (RFC 6888, REQ-4 and REQ-5).
#pragma once

#include "nat/events.h"
#include "nat/index.h"

namespace napt {

struct Host {
  uint32_t address;   // network order
  uint32_t sessions;  // 0: the slot is free
  uint32_t visitors;  // of them begun from outside
  uint32_t pooled;    // of them through ports of the pool; with none the pairing ends
  uint32_t blocks;    // its newest port block plus one; of a free slot: the next free one
  uint16_t paired;    // the public address, if `isPaired`
  bool isPaired;
  uint8_t policy;  // its Policy
};

/// Lets `rate` things happen in a second (0: any number), and `burst` at once (GCRA).
class RateLimit {
 public:
  bool allows(uint32_t rate, uint32_t burst, uint64_t now) const {
    return rate == 0 || due_ <= now + (burst - 1) * (kSecond / rate);
  }
  void count(uint32_t rate, uint64_t now) {
    if (rate != 0) due_ = (due_ < now ? now : due_) + kSecond / rate;
  }

 private:
  static constexpr uint64_t kSecond = 1'000'000'000;
  uint64_t due_ = 0;  // ns: when all that happened is paid for
};

/// What a host has used; kept only where something is limited.
struct Quota {
  uint32_t ports[4];  // bindings in all, and of TCP, UDP, ICMP
  RateLimit sessions;
};

/// When a host was last told to be over its quotas. Not cleared with the host: nobody minds.
struct ToldQuotas {
  uint32_t host;      // network order
  uint32_t times[3];  // by HostQuota, in units of 2^27 ns; 0: never
};

class Hosts {
 public:
  static constexpr uint32_t kNone = Index::kNone;

  explicit Hosts(const HashKey& key) : key_(key) {}

  bool reserve(uint32_t capacity) {
    return hosts_.reserve(capacity) && quotas_.reserve(capacity) && told_.reserve(capacity) &&
           index_.reserve(capacity);
  }

  Host& operator[](uint32_t slot) { return hosts_[slot]; }
  const Host& operator[](uint32_t slot) const { return hosts_[slot]; }
  /// To be touched only where something is limited, as untouched memory costs nothing.
  Quota& quota(uint32_t slot) { return quotas_[slot]; }
  uint32_t size() const { return index_.size(); }

  uint32_t find(uint32_t address) const {
    return index_.find(hash(address),
                       [&](uint32_t slot) { return hosts_[slot].address == address; });
  }

  /// The host's slot, made when it is new (`sessions` is 0 then); kNone when there is no room.
  uint32_t obtain(uint32_t address) {
    uint32_t slot = find(address);
    if (slot != kNone) return slot;
    slot = free_ != 0 ? free_ - 1 : used_;
    if (slot >= hosts_.capacity()) return kNone;
    const uint32_t next = free_ != 0 ? hosts_[slot].blocks : 0;
    hosts_[slot] = Host{};
    hosts_[slot].address = address;
    const auto hashOf = [this](uint32_t at) { return hash(hosts_[at].address); };
    if (!index_.insert(hash(address), slot, hashOf)) return kNone;
    if (free_ != 0) {
      free_ = next;
    } else {
      used_++;
    }
    return slot;
  }

  /// Forgets a host that has no session.
  void release(uint32_t slot) {
    index_.erase(hash(hosts_[slot].address), slot);
    hosts_[slot] = Host{};
    hosts_[slot].blocks = free_;
    free_ = slot + 1;
  }

  /// Whether it is time to tell that a host is over a quota; then it is told.
  bool mayTell(uint32_t slot, HostQuota quota, uint64_t now) {
    constexpr uint64_t kApart = 10'000'000'000;
    constexpr int kShift = 27;
    ToldQuotas& told = told_[slot];
    if (told.host != hosts_[slot].address) told = {hosts_[slot].address, {}};
    uint32_t& last = told.times[static_cast<uint32_t>(quota)];
    const auto tick = static_cast<uint32_t>(now >> kShift);
    if (last != 0 && tick - last < kApart >> kShift) return false;
    last = tick == 0 ? 1 : tick;
    return true;
  }

  uint64_t hash(uint32_t address) const { return hash128(address, 0, key_); }

 private:
  friend class Audit;

  Arena<Host> hosts_;
  Arena<Quota> quotas_;
  Arena<ToldQuotas> told_;  // touched only where something is told
  Index index_;
  HashKey key_;
  uint32_t used_ = 0;
  uint32_t free_ = 0;  // slot plus one
};

}  // namespace napt
