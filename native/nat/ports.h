// Who owns which public port.
//
// `PortMap` answers the inbound question without a hash: an array entry for every (protocol, public
// address, port). It holds the newest session of the binding that owns the port, a forward, or 0.
// Address space is reserved for all of them, memory only comes for pages in use.
//
// `PortPool` hands free ports out: a bitmap for each parity with a summary above it, so a search
// looks at a bounded number of words however full the range is.
#pragma once

#include "nat/addresses.h"
#include "nat/arena.h"
#include "nat/session.h"

namespace napt {

/// Protocols that have ports of their own (RFC 7857, section 5: bindings are per protocol).
constexpr uint32_t kPortSpaces = 3;
constexpr uint32_t portSpace(uint8_t protocol) {
  return protocol == kTcp ? 0 : protocol == kUdp ? 1 : 2;
}

class PortMap {
 public:
  static constexpr uint32_t kForward = 0x80000000;  // entry: this bit and a forward's number

  bool reserve(uint32_t addresses) {
    addresses_ = addresses;
    return entries_.reserve(size_t{addresses} * kPortSpaces << 16);
  }
  /// The entry of a port (host order): 0 free, kForward | number, or a session's slot plus one.
  uint32_t& at(uint32_t space, uint32_t address, uint16_t port) {
    return entries_[(size_t{space} * addresses_ + address) << 16 | port];
  }
  uint32_t& at(uint8_t protocol, PublicEndpoint endpoint) {
    return at(portSpace(protocol), endpoint.address, endpoint.port);
  }

 private:
  Arena<uint32_t> entries_;
  uint32_t addresses_ = 0;
};

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

  /// The first free port of a parity within [from, to], or -1.
  int32_t next(uint32_t parity, uint32_t from, uint32_t to) const {
    const uint32_t start = (from + ((from ^ parity) & 1)) >> 1;  // as number within the parity
    const int32_t found = nextInPlane(parity, start);
    if (found < 0) return -1;
    const uint32_t port = static_cast<uint32_t>(found) << 1 | parity;
    return port <= to ? static_cast<int32_t>(port) : -1;
  }

 private:
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
  bool filled;      // set once the range was added
  uint16_t cursor;  // sequential order: where the next search begins
};

/// What is asked for when a binding needs a port.
struct PortWish {
  uint16_t port;  // host order: the inside port or identifier
  bool parity;    // keep its parity (RFC 4787, REQ-4)
  bool classes;   // keep to its side of 1024 (RFC 4787, REQ-3a)
};

/// How much of a wish a port has to meet; tried in this order.
enum class PortQuality : uint8_t { Same, ClassAndParity, Class, Parity, Any };
constexpr PortQuality kPortQualities[] = {PortQuality::Same, PortQuality::ClassAndParity,
                                          PortQuality::Class, PortQuality::Parity,
                                          PortQuality::Any};

class PortPool {
 public:
  bool reserve(const PublicAddresses& addresses) {
    addresses_ = &addresses;
    return sets_.reserve(size_t{addresses.size()} * kPortSpaces);
  }

  /// Keeps a port (a forward's) out of the pool for good.
  void withhold(uint32_t space, uint32_t address, uint16_t port) {
    PortSet& set = get(space, address);
    if (set.contains(port)) set.remove(port);
  }

  uint32_t free(uint32_t space, uint32_t address) { return get(space, address).count(); }
  void take(uint32_t space, PublicEndpoint e) { get(space, e.address).remove(e.port); }
  void give(uint32_t space, PublicEndpoint e) { get(space, e.address).add(e.port); }
  bool isFree(uint32_t space, PublicEndpoint e) { return get(space, e.address).contains(e.port); }

  /// Whether any port within [low, high] is free.
  bool anyFree(uint32_t space, uint32_t address, uint32_t low, uint32_t high) {
    const PortSet& set = get(space, address);
    return set.next(0, low, high) >= 0 || set.next(1, low, high) >= 0;
  }

  /// Finds a free port of an address within [low, high]; -1 if there is none. Does not take it.
  int32_t find(uint32_t space, uint32_t address, uint32_t low, uint32_t high, const PortWish& wish,
               PortQuality quality, const Config& config, Random& random);

 private:
  PortSet& get(uint32_t space, uint32_t address) {
    PortSet& set = sets_[size_t{space} * addresses_->size() + address];
    if (!set.filled) fill(set, (*addresses_)[address]);
    return set;
  }
  static void fill(PortSet& set, const PublicAddress& address);
  static int32_t search(PortSet& set, uint32_t low, uint32_t high, uint32_t parities, bool random,
                        Random& numbers);

  Arena<PortSet> sets_;
  const PublicAddresses* addresses_ = nullptr;
};

}  // namespace napt
