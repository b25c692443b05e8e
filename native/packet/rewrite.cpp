#include "packet/rewrite.h"

#include <algorithm>

namespace napt {

/// Whether a computed checksum of 0 is sent as 0xffff (RFC 768; RFC 3828, section 3.1).
static bool isUdpLike(uint8_t protocol) { return protocol == kUdp || protocol == kUdpLite; }

void rewriteHeader(const PacketView& packet, const Endpoints& to, bool decrementTtl) {
  uint8_t* p = packet.data;
  uint32_t delta = delta32(load<uint32_t>(p + kIpSource), to.source);
  delta += delta32(load<uint32_t>(p + kIpDestination), to.destination);
  delta += delta16(load<uint16_t>(p + kIpId), to.id);
  if (decrementTtl) {
    p[kIpTtl]--;
    delta += kTtlDelta;
  }
  store(p + kIpSource, to.source);
  store(p + kIpDestination, to.destination);
  store(p + kIpId, to.id);
  store(p + kIpChecksum, adjust(load<uint16_t>(p + kIpChecksum), delta));
}

void rewriteIcmpId(uint8_t* message, uint32_t here, uint16_t id) {
  const uint16_t before = load<uint16_t>(message + kIcmpId);
  store(message + kIcmpId, id);
  uint16_t checksum = load<uint16_t>(message + kIcmpChecksum);
  checksum = adjust(checksum, delta16(before, id));
  // No pseudo-header: a message can be zero throughout, and then only 0xffff verifies. The
  // arithmetic can't tell, so in the one case of 65,536 where it matters the message is looked at.
  if (checksum == 0) {
    store<uint16_t>(message + kIcmpChecksum, 0);
    if (sumBytes(message, here) == 0) checksum = 0xffff;
  }
  store(message + kIcmpChecksum, checksum);
}

void rewritePacket(const PacketView& packet, const Parsed& parsed, const Endpoints& to,
                   bool decrementTtl) {
  uint8_t* transport = packet.data + parsed.header;
  const uint32_t here = parsed.end - parsed.header;
  if (parsed.protocol == kIcmp) {
    rewriteIcmpId(transport, here, to.sourcePort);
  } else if (coversAddresses(parsed.protocol)) {
    const uint32_t addresses =
        combine(delta32(parsed.source, to.source), delta32(parsed.destination, to.destination));
    const uint32_t ports = combine(delta16(parsed.sourcePort, to.sourcePort),
                                   delta16(parsed.destinationPort, to.destinationPort));
    store(transport, to.sourcePort);
    store(transport + 2, to.destinationPort);
    const uint32_t at = checksumOffset(parsed.protocol);
    if (at + 2 <= here) {
      const uint16_t checksum = load<uint16_t>(transport + at);
      store(transport + at, packet.partial               ? adjustPartial(checksum, addresses)
                            : isUdpLike(parsed.protocol) ? adjustUdp(checksum, addresses + ports)
                                                         : adjust(checksum, addresses + ports));
    }
  }
  if (parsed.isCall) store(transport + kGreCallId, to.destinationPort);
  rewriteHeader(packet, to, decrementTtl);
}

/// Bytes of a transport packet that its checksum covers; all of them where the field makes no
/// sense.
static uint32_t coverageOf(uint8_t protocol, const uint8_t* transport, uint32_t length) {
  uint32_t covered = 0;
  if (protocol == kUdpLite) {
    covered = load16be(transport + kUdpLiteCoverage);
    if (covered < kUdpHeader) covered = 0;  // 0 is all of it (RFC 3828, section 3.1)
  } else if (protocol == kDccp && (transport[kDccpCoverage] & 15u) != 0) {
    // The header and so many words of data, less one (RFC 4340, section 9.2).
    covered = (transport[kDccpOffset] + (transport[kDccpCoverage] & 15u) - 1) * 4;
  }
  return covered == 0 ? length : std::min(covered, length);
}

void completeChecksum(const PacketView& packet, const Parsed& parsed) {
  const bool possible = coversAddresses(parsed.protocol) && !parsed.first;
  if (!packet.partial || !possible || parsed.end < parsed.total) return;
  uint8_t* transport = packet.data + parsed.header;
  const uint32_t covered = coverageOf(parsed.protocol, transport, parsed.total - parsed.header);
  // The field holds the pseudo-header's sum, so the sum over all is that of both.
  const auto sum = static_cast<uint16_t>(~sumBytes(transport, covered));
  store(transport + checksumOffset(parsed.protocol),
        sum == 0 && isUdpLike(parsed.protocol) ? uint16_t{0xffff} : sum);
}

Quoted parseQuoted(const PacketView& packet, const Parsed& parsed, bool verifyChecksum,
                   const Protocols& carried) {
  Quoted out{};
  const uint32_t at = parsed.header + kIcmpHeader;
  if (parsed.end < at + kIpHeader) return out;
  const uint8_t* p = packet.data + at;
  Parsed& q = out.parsed;
  q.header = (p[0] & 15u) * 4;
  q.total = load16be(p + kIpTotal);
  q.end = parsed.end - at;
  if (p[0] >> 4 != 4 || q.header < kIpHeader || q.end < q.header) return out;
  if (verifyChecksum && sumBytes(p, q.header) != 0xffff) {
    out.badChecksum = true;
    return out;
  }
  if (q.total >= q.header) q.end = std::min(q.end, q.total);
  q.protocol = p[kIpProtocol];
  q.source = load<uint32_t>(p + kIpSource);
  q.destination = load<uint32_t>(p + kIpDestination);
  q.id = load<uint16_t>(p + kIpId);
  const bool laterFragment = (load16be(p + kIpFragment) & 0x1fff) != 0;
  out.atomic = isAtomic(p);
  const uint32_t here = q.end - q.header;
  if (laterFragment || !carried.hasSome(q.protocol)) return out;
  const uint8_t* transport = p + q.header;
  if (q.protocol == kGre) {
    q.isCall = carried.hasCalls() && readCall(transport, here, q.destinationPort);
    if (!q.isCall) q.destinationPort = 0;
    if (!q.isCall && !carried.has(kGre)) return out;
  }
  if (q.protocol == kIcmp) {
    // An error is never sent about an error (RFC 1812, 4.3.2.7).
    if (here < kIcmpId + 2 || !(isIcmpQuery(transport[0]) || isIcmpReply(transport[0]))) return out;
    q.icmpType = transport[0];
    q.sourcePort = q.destinationPort = load<uint16_t>(transport + kIcmpId);
  } else if (hasPorts(q.protocol)) {
    if (here < 4) return out;
    q.sourcePort = load<uint16_t>(transport);
    q.destinationPort = load<uint16_t>(transport + 2);
    if (q.protocol == kSctp && here >= kSctpTag + 4) q.tag = load32be(transport + kSctpTag);
  }
  out.hasSequence = q.protocol == kTcp && here >= kTcpSequence + 4;
  if (out.hasSequence) out.sequence = load32be(transport + kTcpSequence);
  out.usable = true;
  return out;
}

namespace {
/// Stores words and keeps the sum of their differences, for the checksum that covers them.
struct Patch {
  uint32_t delta = 0;

  void write16(uint8_t* p, uint16_t value) {
    delta += delta16(load<uint16_t>(p), value);
    store(p, value);
  }
  void write32(uint8_t* p, uint32_t value) {
    delta += delta32(load<uint32_t>(p), value);
    store(p, value);
  }
};
}  // namespace

void rewriteQuoted(const PacketView& packet, const Parsed& parsed, const Quoted& quoted,
                   const Endpoints& to) {
  uint8_t* message = packet.data + parsed.header;
  uint8_t* p = message + kIcmpHeader;
  const Parsed& q = quoted.parsed;
  uint8_t* transport = p + q.header;
  const uint32_t here = q.end - q.header;

  Patch patch;
  const uint32_t addresses =
      combine(delta32(q.source, to.source), delta32(q.destination, to.destination));
  patch.write32(p + kIpSource, to.source);
  patch.write32(p + kIpDestination, to.destination);
  patch.write16(p + kIpId, to.id);
  patch.write16(p + kIpChecksum,
                adjust(load<uint16_t>(p + kIpChecksum), addresses + delta16(q.id, to.id)));

  const uint32_t at = checksumOffset(q.protocol);
  const bool hasChecksum = at + 2 <= here;
  if (q.protocol == kIcmp) {
    const uint16_t checksum = load<uint16_t>(transport + at);
    rewriteIcmpId(transport, here, to.sourcePort);
    patch.delta += delta16(q.sourcePort, to.sourcePort);
    patch.delta += delta16(checksum, load<uint16_t>(transport + at));
  } else if (coversAddresses(q.protocol)) {
    uint32_t change = addresses + combine(delta16(q.sourcePort, to.sourcePort),
                                          delta16(q.destinationPort, to.destinationPort));
    if (quoted.hasSequence) {
      const uint32_t sequence = swap32(quoted.sequence);
      change += delta32(load<uint32_t>(transport + kTcpSequence), sequence);
      patch.write32(transport + kTcpSequence, sequence);
    }
    patch.write16(transport, to.sourcePort);
    patch.write16(transport + 2, to.destinationPort);
    if (hasChecksum) {
      const uint16_t checksum = load<uint16_t>(transport + at);
      patch.write16(transport + at,
                    isUdpLike(q.protocol) ? adjustUdp(checksum, change) : adjust(checksum, change));
    }
  }
  if (q.isCall) patch.write16(transport + kGreCallId, to.destinationPort);
  const uint16_t checksum = load<uint16_t>(message + kIcmpChecksum);
  store(message + kIcmpChecksum, adjust(checksum, fold(patch.delta)));
}

}  // namespace napt
