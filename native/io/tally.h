// What one thread counts and any thread may read.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>

namespace napt {

/// A count that any thread may read and add to.
class Tally {
 public:
  void add(uint64_t more) { value_.fetch_add(more, std::memory_order_relaxed); }
  uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_ = 0;
};

/// How often a figure was at most 1, 2, 4, 8 ... times a unit.
template <uint64_t kUnit>
class Histogram {
 public:
  static constexpr uint32_t kBounds = 16;

  void add(uint64_t value) {
    const uint64_t units = (value + kUnit - 1) / kUnit;
    const uint32_t bucket = units <= 1 ? 0 : static_cast<uint32_t>(std::bit_width(units - 1));
    counts_[std::min(bucket, kBounds)].add(1);
    sum_.add(value);
  }
  /// Those above 2^(bucket - 1) units, up to 2^bucket; at kBounds all that are larger.
  uint64_t count(uint32_t bucket) const { return counts_[bucket].get(); }
  uint64_t sum() const { return sum_.get(); }

 private:
  Tally counts_[kBounds + 1];
  Tally sum_;
};

}  // namespace napt
