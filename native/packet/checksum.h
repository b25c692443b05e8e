// The Internet checksum (RFC 1071) and its incremental update by RFC 1624, equation 3:
//
//   HC' = ~(~HC + ~m + m')
//
// A `Delta` is the folded one's complement sum of all (~m + m') of a rewrite. It is computed once
// for each session; the other direction's is its complement. One's complement sums don't depend on
// byte order as long as all words are read alike (RFC 1071, section 2B), so nothing is swapped.
#pragma once

#include <cstddef>

#include "packet/bytes.h"

namespace napt {

using Delta = uint16_t;

/// Folds a sum of words to 16 bits with end-around carry: added to itself with its halves swapped,
/// its upper half has both, and the carry between them.
constexpr uint16_t fold(uint32_t sum) {
  return static_cast<uint16_t>((sum + std::rotl(sum, 16)) >> 16);
}
constexpr uint16_t fold(uint64_t sum) {
  return fold(static_cast<uint32_t>((sum + std::rotl(sum, 32)) >> 32));
}

/// One's complement sum of two words, with its carry.
template <class Word>
constexpr Word addWithCarry(Word a, Word b) {
  Word sum = 0;
  const bool carry = __builtin_add_overflow(a, b, &sum);
  return sum + carry;
}

constexpr Delta delta16(uint16_t from, uint16_t to) {
  return fold(static_cast<uint32_t>(static_cast<uint16_t>(~from)) + to);
}
constexpr Delta delta32(uint32_t from, uint32_t to) { return fold(addWithCarry(~from, to)); }
constexpr Delta combine(Delta a, Delta b) { return fold(uint32_t{a} + b); }
constexpr Delta reverse(Delta d) { return static_cast<Delta>(~d); }

/// Time to live less one: the TTL is the low byte of its word as loaded here.
constexpr Delta kTtlDelta = 0xfffe;

/// RFC 1624 equation 3. Never turns a checksum into 0xffff unless the data sum to zero.
constexpr uint16_t adjust(uint16_t checksum, uint32_t delta) {
  const uint32_t sum = static_cast<uint32_t>(static_cast<uint16_t>(~checksum)) + delta;
  return static_cast<uint16_t>(~fold(sum));
}

/// The same for UDP (RFC 768): 0 says "no checksum" and stays, a computed 0 is sent as 0xffff.
constexpr uint16_t adjustUdp(uint16_t checksum, uint32_t delta) {
  if (checksum == 0) return 0;
  const uint16_t updated = adjust(checksum, delta);
  return updated == 0 ? uint16_t{0xffff} : updated;
}

/// A partial checksum (CHECKSUM_PARTIAL, NEEDS_CSUM): the field holds the folded sum of the
/// pseudo-header, not complemented, so only the change of addresses applies to it.
constexpr uint16_t adjustPartial(uint16_t field, uint32_t addressDelta) {
  return fold(field + addressDelta);
}

/// Folded sum of `length` bytes; an odd last byte counts as padded with zero.
inline uint16_t sumBytes(const uint8_t* p, size_t length, uint64_t initial = 0) {
  uint64_t sum = initial;
  while (length >= 4) {
    sum += load<uint32_t>(p);
    p += 4;
    length -= 4;
  }
  if (length >= 2) {
    sum += load<uint16_t>(p);
    p += 2;
    length -= 2;
  }
  if (length != 0) sum += *p;
  return fold(sum);
}

}  // namespace napt
