// Which side does an address belong to?
//
// `InsidePrefixes` answers for the inside, `PublicAddresses` for the NAT's own addresses: the pool,
// addresses that only carry forwards, and the outside addresses of 1:1 mappings.
#pragma once

#include <algorithm>
#include <vector>

#include "nat/config.h"
#include "packet/bytes.h"

namespace napt {

class InsidePrefixes {
 public:
  explicit InsidePrefixes(const std::vector<Prefix>& prefixes) {
    for (const Prefix& p : prefixes) ranges_.push_back({p.network & p.mask, p.network | ~p.mask});
    std::sort(ranges_.begin(), ranges_.end(),
              [](const Range& a, const Range& b) { return a.low < b.low; });
    // Overlapping prefixes merge, so that one binary search decides.
    size_t kept = 0;
    for (const Range& r : ranges_) {
      if (kept != 0 && r.low <= ranges_[kept - 1].high) {
        ranges_[kept - 1].high = std::max(ranges_[kept - 1].high, r.high);
      } else {
        ranges_[kept++] = r;
      }
    }
    ranges_.resize(kept);
  }

  bool contains(uint32_t address) const {
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
    return low < ranges_.size() && a >= ranges_[low].low;
  }

 private:
  struct Range {
    uint32_t low, high;  // host order, inclusive
  };
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
  }

  /// The number of an own address (network order), or kNone.
  uint32_t find(uint32_t address) const {
    for (uint32_t at = place(address);; at = (at + 1) & mask_) {
      if (table_[at].number == 0) return kNone;
      if (table_[at].address == address) return table_[at].number - 1;
    }
  }

  const PublicAddress& operator[](uint32_t number) const { return list_[number]; }
  uint32_t size() const { return static_cast<uint32_t>(list_.size()); }
  /// The first `pool()` numbers are the pool.
  uint32_t pool() const { return pool_; }

 private:
  struct Entry {
    uint32_t address, number;  // number plus one; 0 is free
  };

  uint32_t place(uint32_t address) const { return (address * 0x9e3779b1u >> 7) & mask_; }
  uint32_t lookup(uint32_t address) const { return list_.empty() ? kNone : find(address); }

  void add(const PublicAddress& a) {
    list_.push_back(a);
    if (list_.size() * 4 > table_.size()) {
      table_.assign(std::max<size_t>(8, table_.size() * 2), Entry{0, 0});
      mask_ = static_cast<uint32_t>(table_.size() - 1);
      for (uint32_t i = 0; i < list_.size(); i++) enter(list_[i].address, i);
    } else {
      enter(a.address, static_cast<uint32_t>(list_.size() - 1));
    }
  }
  void enter(uint32_t address, uint32_t number) {
    uint32_t at = place(address);
    while (table_[at].number != 0) at = (at + 1) & mask_;
    table_[at] = {address, number + 1};
  }

  std::vector<PublicAddress> list_;
  std::vector<Entry> table_;
  uint32_t mask_ = 0;
  uint32_t pool_ = 0;
};

/// Addresses (network order) that never are the source or destination of forwarded unicast:
/// 0/8, 127/8, 224/4, 240/4 (RFC 1812, 5.3.7; RFC 2663 for multicast).
inline bool isUnroutable(uint32_t address) {
  const uint32_t first = address & 0xff;
  return first == 0 || first == 127 || first >= 224;
}

}  // namespace napt
