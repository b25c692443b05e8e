// Fragments (RFC 4787, REQ-14): each goes singly, translated as its datagram's first one was.
//
// Only the first fragment has ports. What it was translated to is remembered by (source,
// destination, protocol, identification) for the `fragment` timeout, counted from the first
// fragment seen; those that come before it wait. Datagrams and waiting fragments are both bounded:
// the oldest datagram makes room, so a flood of orphans only harms itself.
#pragma once

#include "nat/index.h"
#include "nat/packet_store.h"
#include "packet/rewrite.h"

namespace napt {

/// `Disputed`: two first fragments led to different places, so nobody gets the rest.
enum class DatagramState : uint8_t { Waiting, Translated, Exempt, Refused, Disputed };

struct DatagramKey {
  uint32_t source, destination;
  uint16_t id;
  uint8_t protocol;

  static DatagramKey of(const Parsed& p) { return {p.source, p.destination, p.id, p.protocol}; }
  bool operator==(const DatagramKey& o) const {
    return source == o.source && destination == o.destination && id == o.id &&
           protocol == o.protocol;
  }
};

struct Datagram {
  DatagramKey key;
  DatagramState state;
  bool toInside;   // where the fragments go
  bool toSibling;  // by way of a sibling
  Endpoints to;    // what to write; ports unused
  uint64_t began;  // ns: when its first fragment was seen
  uint32_t newer;  // the next one by age, slot plus one; of a free slot: the next free one
  uint32_t older;
  uint32_t newerWaiting, olderWaiting;  // likewise, among those that wait for their first one
  PacketList waiting;
};

class Fragments {
 public:
  static constexpr uint32_t kDatagrams = 8192;

  explicit Fragments(const HashKey& key) : key_(key) {}

  bool reserve() { return datagrams_.reserve(kDatagrams) && index_.reserve(kDatagrams); }

  Datagram* find(const DatagramKey& key) {
    const uint32_t slot =
        index_.find(hash(key), [&](uint32_t at) { return datagrams_[at].key == key; });
    return slot == Index::kNone ? nullptr : &datagrams_[slot];
  }

  bool full() const { return index_.size() == kDatagrams; }
  Datagram* oldest() { return oldest_ == 0 ? nullptr : &datagrams_[oldest_ - 1]; }
  Datagram* oldestWaiting() {
    return oldestWaiting_ == 0 ? nullptr : &datagrams_[oldestWaiting_ - 1];
  }

  /// A new datagram. There must be room.
  Datagram& begin(const DatagramKey& key, uint64_t now) {
    const uint32_t link = free_ != 0 ? free_ : ++used_;
    Datagram& d = datagrams_[link - 1];
    if (free_ != 0) free_ = d.newer;
    d = Datagram{};
    d.key = key;
    d.began = now;
    index_.insert(hash(key), link - 1, [this](uint32_t at) { return hash(datagrams_[at].key); });
    d.older = newest_;
    if (newest_ != 0) {
      datagrams_[newest_ - 1].newer = link;
    } else {
      oldest_ = link;
    }
    newest_ = link;
    d.olderWaiting = newestWaiting_;
    (newestWaiting_ != 0 ? datagrams_[newestWaiting_ - 1].newerWaiting : oldestWaiting_) = link;
    newestWaiting_ = link;
    return d;
  }

  /// Shows all datagrams, the oldest first.
  template <class Visit>
  void each(Visit visit) {
    for (uint32_t at = oldest_; at != 0; at = datagrams_[at - 1].newer) visit(datagrams_[at - 1]);
  }

  /// What the fragments of a datagram do from now on.
  void decide(Datagram& d, DatagramState state) {
    if (d.state == DatagramState::Waiting) leaveWaiting(d);
    d.state = state;
  }

  /// Forgets a datagram; its waiting fragments must have been taken out.
  void end(Datagram& d) {
    if (d.state == DatagramState::Waiting) leaveWaiting(d);
    const auto link = static_cast<uint32_t>(&d - datagrams_.data()) + 1;
    index_.erase(hash(d.key), link - 1);
    (d.older != 0 ? datagrams_[d.older - 1].newer : oldest_) = d.newer;
    (d.newer != 0 ? datagrams_[d.newer - 1].older : newest_) = d.older;
    d.newer = free_;
    free_ = link;
  }

 private:
  friend class Audit;

  void leaveWaiting(Datagram& d) {
    (d.olderWaiting != 0 ? datagrams_[d.olderWaiting - 1].newerWaiting : oldestWaiting_) =
        d.newerWaiting;
    (d.newerWaiting != 0 ? datagrams_[d.newerWaiting - 1].olderWaiting : newestWaiting_) =
        d.olderWaiting;
  }
  uint64_t hash(const DatagramKey& k) const {
    return hash128(k.source | uint64_t{k.destination} << 32, k.id | uint64_t{k.protocol} << 16,
                   key_);
  }

  Arena<Datagram> datagrams_;
  Index index_;
  HashKey key_;
  uint32_t used_ = 0, free_ = 0;  // links: slot plus one
  uint32_t oldest_ = 0, newest_ = 0;
  uint32_t oldestWaiting_ = 0, newestWaiting_ = 0;
};

}  // namespace napt
