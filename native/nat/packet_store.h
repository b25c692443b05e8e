// Copies of packets that the engine keeps: fragments that wait for their first one, and packets
// that it puts out itself. A bounded number of slots; each has address space for the largest
// packet, and memory for what was ever written to it.
#pragma once

#include <algorithm>

#include "nat/arena.h"
#include "packet/ipv4.h"

namespace napt {

/// What a packet in the outbox is: a fragment that was held or that the NAT cut, an error of the
/// NAT's own, or word that a held fragment died (no bytes).
enum class Origin : uint8_t { Fragment, Icmp, Discarded };

struct StoredPacket {
  uint32_t length;  // bytes kept
  uint32_t wire;    // bytes it had on the wire
  uint32_t tag;     // the caller's mark of this packet, or of the one that the error is about
  uint32_t cause;   // the mark of the packet that brought it out; 0: time did
  uint32_t next;    // list link: slot plus one
  uint64_t at;      // ns: when it was released or made
  Origin origin;
  bool toInside;
  bool toSibling;   // its inbound half is a sibling's
  bool hairpinned;  // came from one
  bool waited;      // a fragment that was held, as it came
};

class PacketStore {
 public:
  static constexpr uint32_t kSlotBytes = 65536;

  bool reserve(uint32_t slots) {
    return packets_.reserve(slots) && bytes_.reserve(size_t{slots} * kSlotBytes);
  }

  /// How many slots are free.
  uint32_t room() const { return static_cast<uint32_t>(packets_.capacity()) - taken_; }

  /// A free slot plus one, or 0.
  uint32_t take() {
    uint32_t link = free_;
    if (link != 0) {
      free_ = packets_[link - 1].next;
    } else {
      if (used_ >= packets_.capacity()) return 0;
      link = ++used_;
    }
    packets_[link - 1] = StoredPacket{};
    taken_++;
    return link;
  }
  void give(uint32_t link) {
    taken_--;
    packets_[link - 1].next = free_;
    free_ = link;
  }

  StoredPacket& operator[](uint32_t link) { return packets_[link - 1]; }
  uint8_t* bytes(uint32_t link) { return &bytes_[size_t{link - 1} * kSlotBytes]; }
  PacketView view(uint32_t link) {
    const StoredPacket& p = packets_[link - 1];
    return {bytes(link), p.length, p.wire, false, false, p.hairpinned};
  }

 private:
  friend class Audit;

  Arena<StoredPacket> packets_;
  Arena<uint8_t> bytes_;
  uint32_t used_ = 0, free_ = 0, taken_ = 0;
};

/// A first-in, first-out list of stored packets.
class PacketList {
 public:
  bool empty() const { return first_ == 0; }
  uint32_t size() const { return size_; }
  uint32_t first() const { return first_; }
  template <class Visit>
  void each(PacketStore& store, Visit visit) const {
    for (uint32_t link = first_; link != 0; link = store[link].next) visit(link);
  }
  void push(PacketStore& store, uint32_t link) {
    store[link].next = 0;
    if (last_ != 0) {
      store[last_].next = link;
    } else {
      first_ = link;
    }
    last_ = link;
    size_++;
  }
  uint32_t pop(PacketStore& store) {
    const uint32_t link = first_;
    first_ = store[link].next;
    if (first_ == 0) last_ = 0;
    size_--;
    return link;
  }

 private:
  friend class Audit;

  uint32_t first_ = 0, last_ = 0, size_ = 0;
};

}  // namespace napt
