// What an operator has to keep to tell later who had a port (RFC 6888, section 4; RFC 7422): one
// line for each block given or taken back. Bounded: what nobody takes in time is lost.
#pragma once

#include <vector>

#include "nat/arena.h"

namespace napt {

struct BlockEvent {
  uint64_t at;      // ns
  uint32_t inside;  // network order
  uint32_t outside;
  uint16_t low, high;
  bool given;  // else taken back
};

class BlockLog {
 public:
  static constexpr uint32_t kMost = 65536;

  bool reserve() { return events_.reserve(kMost); }

  void add(const BlockEvent& event) {
    if (count_ < kMost) events_[count_++] = event;
  }
  /// Shows all events, oldest first, and forgets them.
  template <class Visit>
  void take(Visit visit) {
    for (uint32_t i = 0; i < count_; i++) visit(events_[i]);
    count_ = 0;
  }

 private:
  Arena<BlockEvent> events_;
  uint32_t count_ = 0;
};

}  // namespace napt
