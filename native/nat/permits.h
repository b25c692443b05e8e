// Address-dependent filtering (RFC 4787, section 5): which remote addresses may answer to a public
// endpoint. One record for each (binding, remote address) that has sessions, with their number.
#pragma once

#include "nat/index.h"
#include "nat/session.h"

namespace napt {

class Permits {
 public:
  explicit Permits(const HashKey& key) : key_(key) {}

  bool reserve(uint32_t capacity) { return permits_.reserve(capacity) && index_.reserve(capacity); }

  /// A session that may stand for the permit: of the inside host's own the one that was added or
  /// named last. Null if nothing permits this remote. The caller sees whether it still lives, and
  /// may name another.
  uint32_t* witness(uint8_t protocol, PublicEndpoint e, uint32_t remote) {
    const uint32_t slot = find({protocol, e, remote});
    return slot == Index::kNone ? nullptr : &permits_[slot].witness;
  }

  /// A session with this remote began; `own`: by the inside host. False when there is no room.
  bool add(uint8_t protocol, PublicEndpoint e, uint32_t remote, uint32_t session, bool own) {
    const Entry entry{protocol, e, remote};
    uint32_t slot = find(entry);
    if (slot == Index::kNone) {
      slot = free_ != 0 ? free_ - 1 : used_;
      if (slot >= permits_.capacity()) return false;
      const uint32_t next = free_ != 0 ? permits_[slot].sessions : 0;
      permits_[slot] = {entry, 0, session};
      const auto hashOf = [this](uint32_t at) { return hash(permits_[at].entry); };
      if (!index_.insert(hash(entry), slot, hashOf)) return false;
      if (free_ != 0) {
        free_ = next;
      } else {
        used_++;
      }
    }
    permits_[slot].sessions++;
    if (own) permits_[slot].witness = session;
    return true;
  }

  void remove(uint8_t protocol, PublicEndpoint e, uint32_t remote) {
    const Entry entry{protocol, e, remote};
    const uint32_t slot = find(entry);
    if (slot == Index::kNone || --permits_[slot].sessions != 0) return;
    index_.erase(hash(entry), slot);
    permits_[slot].sessions = free_;
    free_ = slot + 1;
  }

 private:
  friend class Audit;

  struct Entry {
    uint8_t protocol;
    PublicEndpoint endpoint;
    uint32_t remote;

    bool operator==(const Entry& o) const {
      return protocol == o.protocol && endpoint.address == o.endpoint.address &&
             endpoint.port == o.endpoint.port && remote == o.remote;
    }
  };
  struct Permit {
    Entry entry;
    uint32_t sessions;  // of a free slot: the next free one
    uint32_t witness;   // slot of a session with this remote
  };

  uint64_t hash(const Entry& e) const {
    return hash128(e.remote | uint64_t{e.endpoint.port} << 32 | uint64_t{e.endpoint.address} << 48,
                   e.protocol, key_);
  }
  uint32_t find(const Entry& e) const {
    return index_.find(hash(e), [&](uint32_t slot) { return permits_[slot].entry == e; });
  }

  Arena<Permit> permits_;
  Index index_;
  HashKey key_;
  uint32_t used_ = 0;
  uint32_t free_ = 0;  // slot plus one
};

}  // namespace napt
