// Loads and stores at any alignment, and byte order.
//
// Addresses, ports and checksums are kept as they lie in the packet ("network order"): one's
// complement sums, comparisons and hashes don't care, so a swap is only paid where a number is
// meant (lengths, sequence numbers, the index of a port).
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace napt {

static_assert(std::endian::native == std::endian::little, "napt expects a little-endian machine");

template <class T>
inline T load(const uint8_t* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

template <class T>
inline void store(uint8_t* p, T value) {
  std::memcpy(p, &value, sizeof value);
}

constexpr uint16_t swap16(uint16_t v) { return static_cast<uint16_t>(v << 8 | v >> 8); }
constexpr uint32_t swap32(uint32_t v) { return __builtin_bswap32(v); }

inline uint16_t load16be(const uint8_t* p) { return swap16(load<uint16_t>(p)); }
inline uint32_t load32be(const uint8_t* p) { return swap32(load<uint32_t>(p)); }
inline void store16be(uint8_t* p, uint16_t value) { store<uint16_t>(p, swap16(value)); }

}  // namespace napt
