#include "packet/segment.h"

#include <algorithm>
#include <cstring>

#include "packet/checksum.h"

namespace napt {

namespace {
constexpr uint8_t kPsh = 8, kCwr = 128;

uint32_t sumOfAddresses(const uint8_t* ip) { return sumBytes(ip + kIpSource, 8); }
}  // namespace

Segmenter::Segmenter(const uint8_t* packet, uint32_t length, uint32_t size)
    : packet_(packet), size_(size) {
  if (length < kIpHeader || size == 0) return;
  ip_ = (packet[0] & 15u) * 4;
  const uint8_t protocol = packet[kIpProtocol];
  uint32_t transport = 0;
  if (protocol == kTcp && length >= ip_ + kTcpHeader) {
    transport = (packet[ip_ + 12] >> 4) * 4u;
    if (transport < kTcpHeader) return;
  } else if (protocol == kUdp) {
    transport = kUdpHeader;
  } else {
    return;
  }
  if (ip_ < kIpHeader || length < ip_ + transport || ip_ + transport + size > 0xffff) return;
  headers_ = ip_ + transport;
  payload_ = length - headers_;
}

uint32_t Segmenter::nextLength() const {
  const uint32_t rest = payload_ - at_;
  return number_ != 0 && rest == 0 ? 0 : headers_ + std::min(size_, rest);
}

void Segmenter::next(uint8_t* out) {
  const uint32_t length = nextLength(), carried = length - headers_;
  const bool isLast = at_ + carried == payload_;
  std::memcpy(out, packet_, headers_);
  std::memcpy(out + headers_, packet_ + headers_ + at_, carried);
  store16be(out + kIpTotal, static_cast<uint16_t>(length));
  store16be(out + kIpId, static_cast<uint16_t>(load16be(packet_ + kIpId) + number_));
  store<uint16_t>(out + kIpChecksum, 0);
  store(out + kIpChecksum, static_cast<uint16_t>(~sumBytes(out, ip_)));

  uint8_t* transport = out + ip_;
  const uint32_t covered = length - ip_;
  const uint8_t protocol = out[kIpProtocol];
  uint32_t field = kTcpChecksum;
  if (protocol == kTcp) {
    const uint32_t sequence = load32be(transport + kTcpSequence) + at_;
    store(transport + kTcpSequence, swap32(sequence));
    // What tells of the end is for the last, what tells of congestion for the first (RFC 3168).
    if (!isLast) transport[kTcpFlags] &= static_cast<uint8_t>(~(kFin | kPsh));
    if (number_ != 0) transport[kTcpFlags] &= static_cast<uint8_t>(~kCwr);
  } else {
    store16be(transport + 4, static_cast<uint16_t>(covered));
    field = kUdpChecksum;
  }
  const uint32_t pseudo =
      sumOfAddresses(out) + uint32_t{swap16(protocol)} + swap16(static_cast<uint16_t>(covered));
  store(transport + field, fold(pseudo));
  completeChecksumAt(out, length, ip_, field);
  at_ += carried;
  number_++;
}

bool completeChecksumAt(uint8_t* packet, uint32_t length, uint32_t start, uint32_t offset) {
  if (start >= length || length - start < offset + 2) return false;
  const auto sum = static_cast<uint16_t>(~sumBytes(packet + start, length - start));
  // 0 would say that there is none (RFC 768); to all others both zeros are the same.
  store(packet + start + offset, sum == 0 ? uint16_t{0xffff} : sum);
  return true;
}

}  // namespace napt
