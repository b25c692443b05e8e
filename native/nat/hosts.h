// What is kept for each inside host while it has sessions: their number, the public address that
// paired pooling gave it (RFC 4787, REQ-2), and its port blocks.
#pragma once

#include "nat/index.h"

namespace napt {

struct Host {
  uint32_t address;   // network order
  uint32_t sessions;  // 0: the slot is free
  uint32_t pooled;    // of them through ports of the pool; with none the pairing ends
  uint32_t blocks;    // its newest port block plus one; of a free slot: the next free one
  uint16_t paired;    // the public address, if `isPaired`
  bool isPaired;
};

class Hosts {
 public:
  static constexpr uint32_t kNone = Index::kNone;

  explicit Hosts(const HashKey& key) : key_(key) {}

  bool reserve(uint32_t capacity) { return hosts_.reserve(capacity) && index_.reserve(capacity); }

  Host& operator[](uint32_t slot) { return hosts_[slot]; }
  uint32_t size() const { return index_.size(); }

  uint32_t find(uint32_t address) const {
    return index_.find(hash(address),
                       [&](uint32_t slot) { return hosts_[slot].address == address; });
  }

  /// The host's slot, made when it is new; kNone when there is no room.
  uint32_t obtain(uint32_t address) {
    uint32_t slot = find(address);
    if (slot != kNone) return slot;
    slot = free_ != 0 ? free_ - 1 : used_;
    if (slot >= hosts_.capacity()) return kNone;
    const uint32_t next = free_ != 0 ? hosts_[slot].blocks : 0;
    hosts_[slot] = Host{address, 0, 0, 0, 0, false};
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
    hosts_[slot] = Host{0, 0, 0, free_, 0, false};
    free_ = slot + 1;
  }

  uint64_t hash(uint32_t address) const { return hash128(address, 0, key_); }

 private:
  Arena<Host> hosts_;
  Index index_;
  HashKey key_;
  uint32_t used_ = 0;
  uint32_t free_ = 0;  // slot plus one
};

}  // namespace napt
