// The records of watched connections: a bounded number, found by the session's slot. When there is
// no room a new connection goes unwatched.
#pragma once

#include "nat/alg/alg.h"
#include "nat/index.h"

namespace napt {

class Watches {
 public:
  static constexpr uint32_t kMost = 65536;

  explicit Watches(const HashKey& key) : key_(key) {}

  bool reserve() { return watches_.reserve(kMost) && index_.reserve(kMost); }
  uint32_t size() const { return index_.size(); }

  /// Null if it has none.
  Watch* find(uint32_t session) {
    const uint32_t slot = slotOf(session);
    return slot == Index::kNone ? nullptr : &watches_[slot];
  }
  const Watch* find(uint32_t session) const {
    const uint32_t slot = slotOf(session);
    return slot == Index::kNone ? nullptr : &watches_[slot];
  }

  /// A new record; null when there is no room.
  Watch* begin(uint32_t session) {
    const uint32_t slot = free_ != 0 ? free_ - 1 : used_;
    if (slot >= kMost) return nullptr;
    const uint32_t next = free_ != 0 ? watches_[slot].session : 0;
    watches_[slot] = Watch{};
    watches_[slot].session = session;
    const auto hashOf = [this](uint32_t at) { return hash(watches_[at].session); };
    if (!index_.insert(hash(session), slot, hashOf)) {
      watches_[slot].session = next;
      return nullptr;
    }
    if (free_ != 0) {
      free_ = next;
    } else {
      used_++;
    }
    return &watches_[slot];
  }

  void end(uint32_t session) {
    const uint32_t slot = slotOf(session);
    if (slot == Index::kNone) return;
    index_.erase(hash(session), slot);
    watches_[slot].session = free_;  // of a free slot: the next free one, slot plus one
    free_ = slot + 1;
  }

 private:
  friend class Audit;

  uint64_t hash(uint32_t session) const { return hash128(session, 0, key_); }
  uint32_t slotOf(uint32_t session) const {
    return index_.find(hash(session),
                       [&](uint32_t slot) { return watches_[slot].session == session; });
  }

  Arena<Watch> watches_;
  Index index_;
  HashKey key_;
  uint32_t used_ = 0, free_ = 0;  // `free_`: slot plus one
};

}  // namespace napt
