// Randomness that an observer of some of it can't continue: SipHash-2-4 of a counter, keyed with
// the seed (RFC 6056 asks for ports that are hard to guess). The same seed gives the same numbers.
#pragma once

#include <cstdint>

namespace napt {

struct Seed {
  uint64_t low, high;
};

class Random {
 public:
  explicit Random(Seed seed) : seed_(seed) {}

  uint64_t next() {
    uint64_t v0 = seed_.low ^ 0x736f6d6570736575, v1 = seed_.high ^ 0x646f72616e646f6d;
    uint64_t v2 = seed_.low ^ 0x6c7967656e657261, v3 = seed_.high ^ 0x7465646279746573;
    const uint64_t message = counter_++, last = uint64_t{8} << 56;
    v3 ^= message;
    rounds(v0, v1, v2, v3, 2);
    v0 ^= message;
    v3 ^= last;
    rounds(v0, v1, v2, v3, 2);
    v0 ^= last;
    v2 ^= 0xff;
    rounds(v0, v1, v2, v3, 4);
    return v0 ^ v1 ^ v2 ^ v3;
  }

  /// 32 bits: half of a number, and then the other half.
  uint32_t half() {
    const uint64_t drawn = halved_ != 0 ? halved_ : next();
    halved_ = halved_ != 0 ? 0 : drawn >> 32 | uint64_t{1} << 32;
    return static_cast<uint32_t>(drawn);
  }

  /// A number below `bound` (not 0).
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>((next() >> 32) * bound >> 32); }

 private:
  static uint64_t rotate(uint64_t x, int by) { return x << by | x >> (64 - by); }
  static void rounds(uint64_t& v0, uint64_t& v1, uint64_t& v2, uint64_t& v3, int n) {
    while (n-- > 0) {
      v0 += v1;
      v1 = rotate(v1, 13) ^ v0;
      v0 = rotate(v0, 32);
      v2 += v3;
      v3 = rotate(v3, 16) ^ v2;
      v0 += v3;
      v3 = rotate(v3, 21) ^ v0;
      v2 += v1;
      v1 = rotate(v1, 17) ^ v2;
      v2 = rotate(v2, 32);
    }
  }

  Seed seed_;
  uint64_t counter_ = 0;
  uint64_t halved_ = 0;  // what is left of a number, and a bit above it; 0: nothing
};

}  // namespace napt
