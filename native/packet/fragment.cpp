#include "packet/fragment.h"

#include <algorithm>

namespace napt {

namespace {
constexpr uint8_t kCopied = 0x80;  // of an option's type: goes into every fragment
constexpr uint16_t kMoreFragments = 0x2000;

/// Copies the options that every fragment has, up to the first broken one. Returns their length,
/// padded to whole words.
uint32_t copyOptions(const uint8_t* options, uint32_t length, uint8_t* to) {
  uint32_t copied = 0;
  for (uint32_t at = 0; at < length && options[at] != 0;) {
    if (options[at] == 1) {
      at++;
      continue;
    }
    const uint32_t size = at + 1 < length ? options[at + 1] : 0u;
    if (size < 2 || size > length - at) break;
    if ((options[at] & kCopied) != 0) {
      std::memcpy(to + copied, options + at, size);
      copied += size;
    }
    at += size;
  }
  while (copied % 4 != 0) to[copied++] = 0;
  return copied;
}
}  // namespace

Fragmenter::Fragmenter(const PacketView& packet, uint32_t mtu) : mtu_(mtu) {
  const uint8_t* p = packet.data;
  first_.length = (p[0] & 15u) * 4;
  std::memcpy(first_.bytes, p, first_.length);
  checksum_ = load<uint16_t>(p + kIpChecksum);
  store<uint16_t>(first_.bytes + kIpChecksum, 0);
  sum_ = sumBytes(first_.bytes, first_.length);
  fragment_ = load16be(p + kIpFragment);
  std::memcpy(later_.bytes, first_.bytes, kIpHeader);
  later_.length =
      kIpHeader + copyOptions(p + kIpHeader, first_.length - kIpHeader, later_.bytes + kIpHeader);
  later_.bytes[0] = static_cast<uint8_t>(0x40 | later_.length / 4);
  payload_ = p + first_.length;
  length_ = load16be(p + kIpTotal) - first_.length;
}

/// Payload of the next piece: all of the rest, or as many units of 8 bytes as fit.
uint32_t Fragmenter::sizeOf(const Header& header, uint32_t rest) const {
  const uint32_t room = mtu_ - header.length;
  return rest <= room ? rest : room & ~7u;
}

uint32_t Fragmenter::count() const {
  const uint32_t rest = length_ - sizeOf(first_, length_);
  const uint32_t last = mtu_ - later_.length, unit = last & ~7u;
  // The last piece needs no multiple of 8.
  return rest == 0 ? 1 : 2 + (std::max(rest, last) - last + unit - 1) / unit;
}

uint32_t Fragmenter::next(uint8_t* out) {
  const uint32_t rest = length_ - at_;
  if (rest == 0) return 0;
  const Header& header = at_ == 0 ? first_ : later_;
  const uint32_t size = sizeOf(header, rest);
  std::memcpy(out, header.bytes, header.length);
  std::memcpy(out + header.length, payload_ + at_, size);
  store16be(out + kIpTotal, static_cast<uint16_t>(header.length + size));
  const uint32_t flags = fragment_ | (size < rest ? kMoreFragments : 0u);
  store16be(out + kIpFragment, static_cast<uint16_t>(flags + at_ / 8));
  const Delta change = combine(reverse(sum_), sumBytes(out, header.length));
  store(out + kIpChecksum, adjust(checksum_, change));
  at_ += size;
  return header.length + size;
}

}  // namespace napt
