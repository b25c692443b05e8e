// Sessions of calls (PPTP), by what their outbound packets tell: who sends them, to whom, and the
// receiver's call id.
#pragma once

#include "nat/session_table.h"

namespace napt {

class Calls {
 public:
  static constexpr uint32_t kNone = Index::kNone;
  static constexpr uint32_t kMost = 65536;

  explicit Calls(const SessionTable& sessions) : sessions_(sessions) {}

  bool reserve() { return index_.reserve(kMost); }

  /// The session of an inside host's call to a remote that gave it this id (network order).
  uint32_t find(uint32_t inside, uint32_t remote, uint16_t remoteId) const {
    return index_.find(hash(remote, remoteId), [&](uint32_t slot) {
      const Session& s = sessions_[slot];
      return s.inside == inside && s.remote == remote && s.end[kOut] == remoteId;
    });
  }

  /// The same as its remote sees it: from a public address of this number.
  uint32_t findOutside(uint32_t address, uint32_t remote, uint16_t remoteId) const {
    return index_.find(hash(remote, remoteId), [&](uint32_t slot) {
      const Session& s = sessions_[slot];
      return s.address == address && s.remote == remote && s.end[kOut] == remoteId;
    });
  }

  /// A session that knows its remote's id. False when there is no room.
  bool add(uint32_t slot) {
    return index_.size() < kMost &&
           index_.insert(hash(slot), slot, [this](uint32_t at) { return hash(at); });
  }
  void remove(uint32_t slot) { index_.erase(hash(slot), slot); }

 private:
  friend class Audit;

  uint64_t hash(uint32_t remote, uint32_t remoteId) const {
    return hash128(remote, remoteId, sessions_.hashKey());
  }
  uint64_t hash(uint32_t slot) const {
    return hash(sessions_[slot].remote, sessions_[slot].end[kOut]);
  }

  const SessionTable& sessions_;
  Index index_;
};

}  // namespace napt
