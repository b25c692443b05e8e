#include "packet/ipv4.h"

#include "packet/tcp_options.h"

namespace napt {

bool readCall(const uint8_t* gre, uint32_t here, uint16_t& id) {
  constexpr uint8_t kSequencePresent = 0x10, kKeyPresent = 0x20, kAckPresent = 0x80, kVersion = 1;
  constexpr uint16_t kPpp = 0x880b;
  if (here < kGreHeader || (gre[0] & ~kSequencePresent) != kKeyPresent ||
      (gre[1] & ~kAckPresent) != kVersion || load16be(gre + 2) != kPpp) {
    return false;
  }
  id = load<uint16_t>(gre + kGreCallId);
  return id != 0;
}

static void readPorts(const PacketView& packet, Parsed& out, const Protocols& carried) {
  const uint8_t* transport = packet.data + out.header;
  const uint32_t whole = out.total - out.header;
  const uint32_t here = out.end - out.header;
  if (whole < minimumHeader(out.protocol)) {
    out.kind = out.first ? Kind::Tiny : Kind::Malformed;
    return;
  }
  if (!hasPorts(out.protocol) && out.protocol != kIcmp) {
    out.isCall = out.protocol == kGre && carried.hasCalls() &&
                 readCall(transport, here, out.destinationPort);
    if (!out.isCall) out.destinationPort = 0;
    out.kind = out.isCall || carried.has(out.protocol) ? Kind::Flow : Kind::Other;
    return;
  }
  if (out.protocol != kIcmp) {
    if (here < 4) {
      out.kind = Kind::Truncated;
      return;
    }
    out.sourcePort = load<uint16_t>(transport);
    out.destinationPort = load<uint16_t>(transport + 2);
    if (out.protocol == kSctp && here >= kSctpTag + 4) out.tag = load32be(transport + kSctpTag);
    out.kind = Kind::Flow;
    return;
  }
  if (here < kIcmpId + 2) {
    out.kind = Kind::Truncated;
    return;
  }
  out.icmpType = transport[0];
  if (isIcmpError(out.icmpType)) {
    out.kind = Kind::IcmpError;
  } else if (isIcmpQuery(out.icmpType) || isIcmpReply(out.icmpType)) {
    out.sourcePort = out.destinationPort = load<uint16_t>(transport + kIcmpId);
    out.kind = Kind::Flow;
  } else {
    out.kind = Kind::Other;
  }
}

Parsed parse(const PacketView& packet, bool verifyChecksum, const Protocols& carried) {
  const uint8_t* p = packet.data;
  Parsed out{};
  out.kind = Kind::Malformed;
  if (packet.length < kIpHeader) {
    if (packet.wire >= kIpHeader && packet.wire > packet.length) out.kind = Kind::Truncated;
    return out;
  }
  out.header = (p[0] & 15u) * 4;
  if (p[0] >> 4 != 4 || out.header < kIpHeader) return out;
  out.total = load16be(p + kIpTotal);
  if (out.total == 0) out.total = packet.wire;  // segmentation offload: the frame's length counts
  const bool cut = packet.length < packet.wire;
  if (out.total < out.header || (out.total > packet.wire && !cut)) return out;
  out.end = std::min(out.total, packet.length);
  out.protocol = p[kIpProtocol];
  out.source = load<uint32_t>(p + kIpSource);
  out.destination = load<uint32_t>(p + kIpDestination);
  out.id = load<uint16_t>(p + kIpId);
  if (out.end < out.header) {
    out.kind = cut ? Kind::Truncated : Kind::Malformed;
    return out;
  }
  if (verifyChecksum && sumBytes(p, out.header) != 0xffff) {
    out.kind = Kind::BadChecksum;
    return out;
  }
  const uint16_t fragment = load16be(p + kIpFragment);
  const uint32_t offset = (fragment & 0x1fffu) * 8;
  out.first = offset == 0 && (fragment & 0x2000) != 0;
  if (offset != 0) {
    // A datagram can't exceed 65,535 bytes ("ping of death").
    if (offset + (out.total - out.header) > 65535u - kIpHeader) return out;
    const bool splits = out.protocol == kTcp && offset < kTcpHeader;
    out.kind = splits ? Kind::Tiny : carried.hasSome(out.protocol) ? Kind::Fragment : Kind::Other;
    return out;
  }
  if (!carried.hasSome(out.protocol)) {
    out.kind = Kind::Other;
    return out;
  }
  readPorts(packet, out, carried);
  // An error that comes in fragments can't be checked, and none should (RFC 1812, 4.3.2.3).
  if (out.first && out.kind == Kind::IcmpError) out.kind = Kind::Malformed;
  return out;
}

static void readWindowScale(const uint8_t* tcp, uint32_t here, Segment& out) {
  constexpr uint8_t kWindowScale = 3, kWindowScaleLength = 3;
  eachTcpOption(tcp, here, [&out](uint8_t kind, const uint8_t* option, uint32_t length) {
    if (kind != kWindowScale || length != kWindowScaleLength || out.hasWindowScale) return;
    out.hasWindowScale = true;
    out.windowScale = std::min<uint8_t>(option[2], 14);  // RFC 7323, section 2.3
  });
}

static Segment parseSctp(const uint8_t* sctp, uint32_t here, uint32_t tag) {
  Segment out{};
  constexpr uint32_t kChunk = 12, kInitTag = kChunk + 4;
  if (here < kInitTag + 4) return out;
  out.known = true;
  out.type = sctp[kChunk];
  out.flags = sctp[kChunk + 1];
  out.tag = tag;
  out.initTag = load32be(sctp + kInitTag);
  return out;
}

Segment parseSegment(const PacketView& packet, const Parsed& parsed) {
  Segment out{};
  const uint32_t here = parsed.end - parsed.header;
  const uint8_t* tcp = packet.data + parsed.header;
  if (parsed.protocol == kSctp) return parseSctp(tcp, here, parsed.tag);
  if (parsed.protocol == kDccp && here > kDccpType) {
    out.known = true;
    out.type = tcp[kDccpType] >> 1 & 15;
    return out;
  }
  if (parsed.protocol != kTcp || here < kTcpWindow + 2) return out;
  const uint32_t header = (tcp[12] >> 4) * 4u;
  const uint32_t whole = parsed.total - parsed.header;
  out.known = true;
  out.flags = tcp[kTcpFlags];
  out.sequence = load32be(tcp + kTcpSequence);
  out.ack = load32be(tcp + kTcpAck);
  out.window = load16be(tcp + kTcpWindow);
  out.length = header >= kTcpHeader && header <= whole ? whole - header : 0;
  if ((out.flags & kSyn) != 0) readWindowScale(tcp, here, out);
  return out;
}

}  // namespace napt
