// Where sessions live: slots that never move, found by the inside view of the flow (Index), linked
// into the timer wheel. A free slot has protocol 0, so it matches no key.
#pragma once

#include "nat/index.h"
#include "nat/session.h"
#include "nat/timers.h"

namespace napt {

class SessionTable {
 public:
  static constexpr uint32_t kNone = Index::kNone;
  static constexpr uint32_t kMost = 1u << 26;

  explicit SessionTable(Seed seed) : key_(HashKey::from(seed)), timers(links_) {}

  /// Reserves room for `capacity` sessions; false when the system refuses.
  bool reserve(uint32_t capacity) {
    return sessions_.reserve(capacity, Pages::Huge) && links_.reserve(capacity, Pages::Huge) &&
           index_.reserve(capacity) && timers.reserve();
  }

  uint32_t size() const { return index_.size(); }
  uint32_t capacity() const { return static_cast<uint32_t>(sessions_.capacity()); }
  /// Slots that were ever used; all above are free.
  uint32_t used() const { return used_; }

  Session& operator[](uint32_t slot) { return sessions_[slot]; }
  const Session& operator[](uint32_t slot) const { return sessions_[slot]; }
  SessionLinks& links(uint32_t slot) { return links_[slot]; }
  const SessionLinks& links(uint32_t slot) const { return links_[slot]; }

  uint64_t hash(const Key& key) const { return hash128(key.low, key.high, key_); }
  const HashKey& hashKey() const { return key_; }
  // For the batched path (Index::candidate).
  const Index::Bucket* bucket(uint64_t hash) const { return index_.bucket(hash); }
  const Index::Bucket* next(const Index::Bucket* bucket) const { return index_.next(bucket); }
  uint32_t candidate(const Index::Bucket* bucket, uint64_t hash) const {
    return index_.candidate(bucket, hash);
  }
  /// Of all buckets that a hash may be in.
  uint32_t candidate(uint64_t hash) const {
    uint32_t slot = kNone;
    for (const Index::Bucket* at = bucket(hash); at != nullptr && slot == kNone; at = next(at)) {
      slot = candidate(at, hash);
    }
    return slot;
  }
  /// To be written soon. Any number will do: a prefetch never faults.
  void prefetch(uint32_t slot) const { napt::prefetch(sessions_.data() + slot); }

  /// Where the index has a session: what ending it touches.
  const Index::Bucket* prefetchKey(uint32_t slot) const {
    const Index::Bucket* bucket = index_.bucket(hash(Key::of(sessions_[slot])));
    napt::prefetch(bucket);
    return bucket;
  }

  uint32_t find(const Key& key, uint64_t hash) const {
    return index_.find(hash, [&](uint32_t slot) { return matches(sessions_[slot], key); });
  }
  uint32_t find(const Key& key) const { return find(key, hash(key)); }

  /// A slot for a session with this key, all else zero; kNone when the table is full.
  uint32_t insert(const Key& key) {
    uint32_t slot = free_ != 0 ? free_ - 1 : used_;
    if (slot >= sessions_.capacity()) return kNone;
    Session& session = sessions_[slot];
    const uint32_t next = free_ != 0 ? links_[slot].timerNext : 0;
    session = Session{};
    session.inside = key.inside();
    session.remote = key.remote();
    session.insidePort = key.insidePort();
    session.remotePort = key.remotePort();
    session.protocol = key.protocol();
    const auto hashOf = [this](uint32_t at) { return hash(Key::of(sessions_[at])); };
    if (!index_.insert(hash(key), slot, hashOf)) {
      session.protocol = 0;
      return kNone;
    }
    if (free_ != 0) {
      free_ = next;
    } else {
      used_++;
    }
    links_[slot] = SessionLinks{};
    return slot;
  }

  /// Counts a packet of a session; what overflows the hot record is carried to its links.
  void count(Session& s, Side side, uint32_t bytes) {
    if (++s.packets[side] == 0) [[unlikely]]
      linksOf(s).packetCarry[side]++;
    s.bytes[side] += bytes;
    if (s.bytes[side] < bytes) [[unlikely]]
      linksOf(s).byteCarry[side]++;
  }
  uint64_t packets(uint32_t slot, Side side) const {
    return uint64_t{links_[slot].packetCarry[side]} << 8 | sessions_[slot].packets[side];
  }
  uint64_t bytes(uint32_t slot, Side side) const {
    return uint64_t{links_[slot].byteCarry[side]} << 32 | sessions_[slot].bytes[side];
  }

  void erase(uint32_t slot) {
    Session& session = sessions_[slot];
    index_.erase(hash(Key::of(session)), slot);
    session.protocol = 0;
    links_[slot] = SessionLinks{};
    links_[slot].timerNext = free_;
    free_ = slot + 1;
  }

 private:
  friend class Audit;

  SessionLinks& linksOf(const Session& s) {
    return links_[static_cast<size_t>(&s - sessions_.data())];
  }

  Arena<Session> sessions_;
  Arena<SessionLinks> links_;
  Index index_;
  HashKey key_;
  uint32_t used_ = 0;
  uint32_t free_ = 0;  // slot plus one

 public:
  Timers timers;
};

}  // namespace napt
