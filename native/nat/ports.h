// Who owns which public port.
//
// `PortMap` answers the inbound question without a hash: an array entry for every (protocol, public
// address, port). It holds the first session of the binding that owns the port, how many bindings
// share it (RFC 7857, section 3), a forward, or 0. Address space is reserved for all of them,
// memory only comes for pages in use.
//
// `PortPool` hands free ports out: a bitmap for each parity with a summary above it, so a search
// looks at a bounded number of words however full the range is. A port that was given back rests
// before it is free again (RFC 6888, REQ-8), except TCP's, whose sessions have an end (8a).
#pragma once

#include "nat/addresses.h"
#include "nat/arena.h"
#include "nat/random.h"
#include "nat/session.h"

namespace napt {

class PortMap {
 public:
  static constexpr uint32_t kForward = 0x80000000;    // entry: this bit and a forward's number
  static constexpr uint32_t kShared = 0x40000000;     // entry: this bit and how many share it, each
  static constexpr uint32_t kByAddress = 0x20000000;  // for remote addresses, not endpoints

  /// `dense`: a good part of the ports may be in use at a time.
  bool reserve(uint32_t addresses, bool dense) {
    addresses_ = addresses;
    return entries_.reserve(size_t{addresses} * kPortSpaces << 16,
                            dense ? Pages::Huge : Pages::Small);
  }
  /// The entry of a port (host order): 0 free, kForward | number, kShared | count, or a session's
  /// slot plus one.
  uint32_t& at(uint32_t space, uint32_t address, uint16_t port) {
    return entries_[(size_t{space} * addresses_ + address) << 16 | port];
  }
  uint32_t& at(uint32_t space, PublicEndpoint e) { return at(space, e.address, e.port); }

 private:
  Arena<uint32_t> entries_;
  uint32_t addresses_ = 0;
};

/// Ports whose use is told of together, and how many such ranges there are.
constexpr uint32_t kPortRange = 1024, kPortRanges = 65536 / kPortRange;

/// The free ports of one (protocol, address). Starts empty; zero bytes are a valid empty set.
class PortSet {
 public:
  void add(uint16_t port) {
    uint64_t& word = words_[port & 1][port >> 7];
    word |= uint64_t{1} << (port >> 1 & 63);
    summary_[port & 1][port >> 13] |= uint64_t{1} << (port >> 7 & 63);
    count_++;
  }
  void remove(uint16_t port) {
    uint64_t& word = words_[port & 1][port >> 7];
    word &= ~(uint64_t{1} << (port >> 1 & 63));
    if (word == 0) summary_[port & 1][port >> 13] &= ~(uint64_t{1} << (port >> 7 & 63));
    count_--;
  }
  bool contains(uint16_t port) const {
    return (words_[port & 1][port >> 7] >> (port >> 1 & 63) & 1) != 0;
  }
  uint32_t count() const { return count_; }
  /// How many it has of the ports from range * kPortRange on.
  uint32_t countOfRange(uint32_t range) const {
    static constexpr uint32_t kWords = kPortRange / 128;  // of each parity
    uint32_t count = 0;
    for (const auto& plane : words_) {
      for (uint32_t i = 0; i < kWords; i++)
        count += static_cast<uint32_t>(__builtin_popcountll(plane[range * kWords + i]));
    }
    return count;
  }
  /// The word that a port's bit is in.
  const uint64_t* wordOf(uint16_t port) const { return &words_[port & 1][port >> 7]; }

  /// The first free port of a parity within [from, to], or -1.
  int32_t next(uint32_t parity, uint32_t from, uint32_t to) const {
    const uint32_t start = (from + ((from ^ parity) & 1)) >> 1;  // as number within the parity
    const int32_t found = nextInPlane(parity, start);
    if (found < 0) return -1;
    const uint32_t port = static_cast<uint32_t>(found) << 1 | parity;
    return port <= to ? static_cast<int32_t>(port) : -1;
  }

 private:
  friend class Audit;

  int32_t nextInPlane(uint32_t parity, uint32_t start) const {
    if (start >= 32768) return -1;
    uint32_t word = start >> 6;
    const uint64_t here = words_[parity][word] & (~uint64_t{0} << (start & 63));
    if (here != 0) return static_cast<int32_t>(word << 6 | bit(here));
    if (++word >= 512) return -1;
    uint64_t above = summary_[parity][word >> 6] & (~uint64_t{0} << (word & 63));
    for (uint32_t group = word >> 6;;) {
      if (above != 0) {
        word = group << 6 | bit(above);
        return static_cast<int32_t>(word << 6 | bit(words_[parity][word]));
      }
      if (++group >= 8) return -1;
      above = summary_[parity][group];
    }
  }
  static uint32_t bit(uint64_t bits) { return static_cast<uint32_t>(__builtin_ctzll(bits)); }

  uint64_t words_[2][512];
  uint64_t summary_[2][8];
  uint32_t count_;

 public:
  bool filled;       // set once the range was added
  bool hasDrawn;     // random order: the next search's number is drawn
  uint16_t cursor;   // sequential order: where the next search begins
  uint16_t outlook;  // random order: likewise, if it is within the same bounds
  uint32_t drawn;
};

/// The ports of one (protocol, address) that were given back lately, oldest first. Zero bytes are a
/// valid empty ring.
struct RestingPorts {
  static constexpr uint32_t kMost = 8192;  // an eighth of a range is never more

  struct Rest {
    uint64_t since : 48;  // ns >> 16, rounded up
    uint64_t port : 16;
  };
  uint32_t first, count;
  Rest rests[kMost];

  void push(uint16_t port, uint64_t now) {
    rests[(first + count++) % kMost] = {((now >> 16) + 1) & 0xffffffffffff, port};
  }
  const Rest& oldest() const { return rests[first]; }
  uint16_t pop() {
    const auto port = static_cast<uint16_t>(rests[first].port);
    first = (first + 1) % kMost;
    count--;
    return port;
  }
};

/// What is asked for when a binding needs a port.
struct PortWish {
  uint16_t port;  // host order: the inside port or identifier
  bool preserve;  // the same one, if it is free
  bool parity;    // keep its parity (RFC 4787, REQ-4)
  bool classes;   // keep to its side of 1024 (RFC 4787, REQ-3a)
  bool random;    // in random order (RFC 6056), else one after the other

  /// Whether a port has the class and the parity that are asked for.
  bool suits(uint16_t other) const {
    constexpr uint16_t kWellKnown = 1024;
    return (!parity || ((port ^ other) & 1) == 0) &&
           (!classes || (port < kWellKnown) == (other < kWellKnown));
  }
};

/// How much of a wish a port has to meet; tried in this order.
enum class PortQuality : uint8_t { Same, ClassAndParity, Class, Parity, Any };
constexpr PortQuality kPortQualities[] = {PortQuality::Same, PortQuality::ClassAndParity,
                                          PortQuality::Class, PortQuality::Parity,
                                          PortQuality::Any};

class PortPool {
 public:
  /// `now` is the translator's clock.
  PortPool(const PublicAddresses& addresses, const Config& config, const uint64_t& now)
      : addresses_(addresses), config_(config), now_(now) {}

  bool reserve() {
    const size_t sets = size_t{addresses_.size()} * kPortSpaces;
    return sets_.reserve(sets) && (config_.holdDown == 0 || resting_.reserve(sets));
  }

  /// Keeps a port (a forward's) out of the pool for good.
  void withhold(uint32_t space, uint32_t address, uint16_t port) {
    PortSet& set = get(space, address);
    if (set.contains(port)) set.remove(port);
  }

  uint32_t free(uint32_t space, uint32_t address) { return get(space, address).count(); }
  void take(uint32_t space, PublicEndpoint e) { get(space, e.address).remove(e.port); }
  /// Gives a port back: to rest, or at once where nothing rests.
  void give(uint32_t space, PublicEndpoint e);
  /// Frees the port that has rested longest, if any.
  void hurry(uint32_t space, uint32_t address) {
    PortSet& set = get(space, address);
    if (!rests(space)) return;
    RestingPorts& resting = resting_[numberOf(space, address)];
    if (resting.count != 0) rouse(set, resting);
  }
  /// Takes over what rests in another pool.
  void adoptResting(PortPool& old, uint32_t oldAddress, uint32_t address);
  /// What giving a port back touches.
  void prefetch(uint32_t space, PublicEndpoint e) const {
    napt::prefetch(sets_[numberOf(space, e.address)].wordOf(e.port));
  }
  bool isFree(uint32_t space, PublicEndpoint e) { return get(space, e.address).contains(e.port); }

  /// How many ports of an address are neither free nor at rest; those that have rested long enough
  /// but were not asked for since still rest.
  uint32_t used(uint32_t space, uint32_t address) const {
    const size_t number = numberOf(space, address);
    const PortSet& set = sets_[number];
    if (!set.filled) return 0;
    const PublicAddress& range = addresses_[address];
    const uint32_t all = uint32_t{range.high} + 1 - range.low;
    return all - set.count() - (rests(space) ? resting_[number].count : 0);
  }

  /// The same by ranges of kPortRange ports.
  void usedOfRanges(uint32_t space, uint32_t address, uint32_t (&used)[kPortRanges]) const;

  /// Whether any port within [low, high] is free.
  bool anyFree(uint32_t space, uint32_t address, uint32_t low, uint32_t high) {
    const PortSet& set = get(space, address);
    return set.next(0, low, high) >= 0 || set.next(1, low, high) >= 0;
  }

  /// Where the next port will be found, about.
  uint16_t outlook(uint32_t space, uint32_t address) const {
    return sets_[numberOf(space, address)].outlook;
  }

  /// Finds a free port of an address within [low, high]; -1 if there is none. Does not take it.
  int32_t find(uint32_t space, uint32_t address, uint32_t low, uint32_t high, const PortWish& wish,
               PortQuality quality, Random& random);

 private:
  friend class Audit;

  static constexpr uint32_t kTcpSpace = portSpace(kTcp);

  size_t numberOf(uint32_t space, uint32_t address) const {
    return size_t{space} * addresses_.size() + address;
  }
  PortSet& get(uint32_t space, uint32_t address) {
    PortSet& set = sets_[numberOf(space, address)];
    if (!set.filled) fill(set, addresses_[address]);
    if (rests(space)) wake(set, resting_[numberOf(space, address)]);
    return set;
  }
  bool rests(uint32_t space) const { return config_.holdDown != 0 && space != kTcpSpace; }
  uint32_t mostResting(uint32_t address) const;
  /// Frees what has rested long enough: each port once, so the cost is its giver's.
  void wake(PortSet& set, RestingPorts& resting) const {
    while (resting.count != 0 &&
           now_ >= (uint64_t{resting.oldest().since} << 16) + config_.holdDown) {
      rouse(set, resting);
    }
  }
  /// Frees the port that has rested longest.
  static void rouse(PortSet& set, RestingPorts& resting) {
    set.add(resting.pop());
    napt::prefetch(set.wordOf(static_cast<uint16_t>(resting.oldest().port)));
  }
  static void fill(PortSet& set, const PublicAddress& address);
  static int32_t search(PortSet& set, uint32_t low, uint32_t high, uint32_t parities, bool random,
                        Random& numbers);

  Arena<PortSet> sets_;
  Arena<RestingPorts> resting_;
  const PublicAddresses& addresses_;
  const Config& config_;
  const uint64_t& now_;
};

}  // namespace napt
