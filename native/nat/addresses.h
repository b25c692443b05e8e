// Which side does an address belong to?
//
// `InsidePrefixes` answers for the inside, `PublicAddresses` for the NAT's own addresses: the pool,
// addresses that only carry forwards, the outside addresses of 1:1 mappings, and those of siblings.
#pragma once

#include <algorithm>
#include <set>
#include <vector>

#include "nat/config.h"
#include "packet/bytes.h"

namespace napt {

class InsidePrefixes {
 public:
  explicit InsidePrefixes(const std::vector<Prefix>& prefixes) {
    // Cuts the address space where a prefix begins or ends, and gives each piece the first prefix
    // that covers it: so one binary search decides.
    std::vector<Edge> edges;
    for (uint32_t i = 0; i < prefixes.size(); i++) {
      const Prefix& p = prefixes[i];
      edges.push_back({p.network & p.mask, i, true});
      edges.push_back({uint64_t{p.network | ~p.mask} + 1, i, false});
    }
    std::sort(edges.begin(), edges.end(), [](const Edge& a, const Edge& b) { return a.at < b.at; });
    std::set<uint32_t> open;
    for (size_t i = 0; i < edges.size(); i++) {
      if (edges[i].begins) {
        open.insert(edges[i].prefix);
      } else {
        open.erase(edges[i].prefix);
      }
      if (open.empty() || i + 1 == edges.size() || edges[i + 1].at == edges[i].at) continue;
      add({static_cast<uint32_t>(edges[i].at), static_cast<uint32_t>(edges[i + 1].at - 1),
           prefixes[*open.begin()].policy});
    }
  }

  bool contains(uint32_t address) const { return find(address) != nullptr; }

  /// The policy of an inside host (network order); the first one for who is none.
  uint8_t policyOf(uint32_t address) const {
    const Range* range = find(address);
    return range == nullptr ? uint8_t{0} : range->policy;
  }

 private:
  struct Edge {
    uint64_t at;
    uint32_t prefix;
    bool begins;
  };
  struct Range {
    uint32_t low, high;  // host order, inclusive
    uint8_t policy;
  };

  void add(const Range& range) {
    if (!ranges_.empty() && ranges_.back().policy == range.policy &&
        ranges_.back().high + 1 == range.low) {
      ranges_.back().high = range.high;
    } else {
      ranges_.push_back(range);
    }
  }

  const Range* find(uint32_t address) const {
    const uint32_t a = swap32(address);
    size_t low = 0, high = ranges_.size();
    while (low < high) {
      const size_t middle = (low + high) / 2;
      if (a > ranges_[middle].high) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low < ranges_.size() && a >= ranges_[low].low ? &ranges_[low] : nullptr;
  }

  std::vector<Range> ranges_;
};

struct PublicAddress {
  uint32_t address;    // network order
  uint32_t inside;     // 1:1 mappings: the inside host, else 0
  uint16_t low, high;  // ports handed out; low > high for none
  bool isStatic;
};

class PublicAddresses {
 public:
  static constexpr uint32_t kNone = 0xffffffff;

  explicit PublicAddresses(const Config& config) {
    for (const PoolAddress& a : config.outside) add({a.address, 0, a.low, a.high, false});
    pool_ = static_cast<uint32_t>(list_.size());
    for (const Forward& f : config.forwards) {
      if (lookup(f.outside) == kNone) add({f.outside, 0, 1, 0, false});
    }
    for (const StaticMapping& s : config.statics) {
      if (lookup(s.outside) == kNone) add({s.outside, s.inside, 1, 0, true});
    }
    for (const Sibling& s : config.siblings) {
      if (lookup(s.outside) == kNone) add({s.outside, 0, 1, 0, false});
    }
  }

  /// The number of an own address (network order), or kNone.
  uint32_t find(uint32_t address) const {
    for (uint32_t at = place(address);; at = next(at)) {
      const Entry entry = table_[at];
      // One branch, and the same one whether found or not: zero if either is.
      if (uint64_t{entry.address ^ address} * entry.number == 0) return entry.number - 1;
    }
  }

  const PublicAddress& operator[](uint32_t number) const { return list_[number]; }
  uint32_t size() const { return static_cast<uint32_t>(list_.size()); }
  /// The first `pool()` numbers are the pool.
  uint32_t pool() const { return pool_; }
  bool hasStatics() const { return hasStatics_; }

 private:
  struct Entry {
    uint32_t address, number;  // number plus one; 0 is free
  };

  // The upper bits of the product: all of an address counts there.
  uint32_t place(uint32_t address) const { return address * 0x9e3779b1u >> shift_; }
  uint32_t next(uint32_t at) const { return at + 1 < table_.size() ? at + 1 : 0; }
  uint32_t lookup(uint32_t address) const { return list_.empty() ? kNone : find(address); }

  void add(const PublicAddress& a) {
    list_.push_back(a);
    hasStatics_ |= a.isStatic;
    // Sparse, so that a remote's address meets a free entry at once.
    if (list_.size() * 16 > table_.size()) {
      table_.assign(std::max<size_t>(64, table_.size() * 2), Entry{0, 0});
      shift_ = 32 - static_cast<uint32_t>(std::countr_zero(table_.size()));
      for (uint32_t i = 0; i < list_.size(); i++) enter(list_[i].address, i);
    } else {
      enter(a.address, static_cast<uint32_t>(list_.size() - 1));
    }
  }
  void enter(uint32_t address, uint32_t number) {
    uint32_t at = place(address);
    while (table_[at].number != 0) at = next(at);
    table_[at] = {address, number + 1};
  }

  std::vector<PublicAddress> list_;
  std::vector<Entry> table_;
  uint32_t shift_ = 0;
  uint32_t pool_ = 0;
  bool hasStatics_ = false;
};

/// Addresses (network order) that never are the source or destination of forwarded unicast:
/// 0/8, 127/8, 224/4, 240/4 (RFC 1812, 5.3.7; RFC 2663 for multicast).
inline bool isUnroutable(uint32_t address) {
  const uint32_t first = address & 0xff;
  return first == 0 || first == 127 || first >= 224;
}

}  // namespace napt
