// IPv4, TCP, UDP and ICMP headers as bounds-checked views over bytes.
//
// `parse` looks at each packet once and says what it is. It reads only bytes that are there
// (`length`), and judges them by how long the packet was on the wire: a capture may have cut it
// (snaplen), and such a packet is translated as far as its bytes go.
#pragma once

#include "packet/bytes.h"
#include "packet/checksum.h"

namespace napt {

enum Protocol : uint8_t { kIcmp = 1, kTcp = 6, kUdp = 17 };

// Offsets in the IPv4 header.
constexpr uint32_t kIpTos = 1, kIpTotal = 2, kIpId = 4, kIpFragment = 6, kIpTtl = 8,
                   kIpProtocol = 9, kIpChecksum = 10, kIpSource = 12, kIpDestination = 16,
                   kIpHeader = 20;
// Offsets in the transport headers.
constexpr uint32_t kTcpSequence = 4, kTcpAck = 8, kTcpFlags = 13, kTcpWindow = 14,
                   kTcpChecksum = 16, kTcpHeader = 20;
constexpr uint32_t kUdpChecksum = 6, kUdpHeader = 8;
constexpr uint32_t kIcmpChecksum = 2, kIcmpId = 4, kIcmpHeader = 8;

// Flag bits in the IPv4 fragment word, network order as loaded.
constexpr uint16_t kDontFragment = 0x0040;
constexpr uint16_t kFragmentMask = 0xff3f;  // more-fragments and the offset

enum TcpFlag : uint8_t { kFin = 1, kSyn = 2, kRst = 4, kAck = 16 };

enum IcmpType : uint8_t {
  kEchoReply = 0,
  kUnreachable = 3,
  kSourceQuench = 4,
  kEcho = 8,
  kTimeExceeded = 11,
  kParameterProblem = 12,
  kTimestamp = 13,
  kTimestampReply = 14,
  kAddressMask = 17,
  kAddressMaskReply = 18,
};

/// An error quotes the packet that caused it (RFC 792); redirects are not translated.
constexpr bool isIcmpError(uint8_t type) {
  return type == kUnreachable || type == kTimeExceeded || type == kParameterProblem ||
         type == kSourceQuench;
}
/// RFC 5508 section 3: queries carry an identifier that a NAT maps.
constexpr bool isIcmpQuery(uint8_t type) {
  return type == kEcho || type == kTimestamp || type == kAddressMask;
}
constexpr bool isIcmpReply(uint8_t type) {
  return type == kEchoReply || type == kTimestampReply || type == kAddressMaskReply;
}

/// Where the checksum lies in a transport header.
constexpr uint32_t checksumOffset(uint8_t protocol) {
  return protocol == kTcp ? kTcpChecksum : protocol == kUdp ? kUdpChecksum : kIcmpChecksum;
}
/// The least transport header that a whole packet or a first fragment must have (RFC 1858).
constexpr uint32_t minimumHeader(uint8_t protocol) {
  return protocol == kTcp ? kTcpHeader : kUdpHeader;
}
constexpr bool isTranslatable(uint8_t protocol) {
  return protocol == kTcp || protocol == kUdp || protocol == kIcmp;
}

/// One packet in the caller's memory.
struct PacketView {
  uint8_t* data;    // the first byte of the IPv4 header
  uint32_t length;  // bytes that may be read and written
  uint32_t wire;    // bytes that the packet had on the wire, at least `length`
  bool partial;     // its transport checksum is partial
};

enum class Kind : uint8_t {
  Flow,       // TCP, UDP or an ICMP query, with its ports
  IcmpError,  // quotes another packet
  Fragment,   // not the first one: no ports
  Other,      // a protocol or ICMP type that a NAPT does not carry
  Malformed,
  BadChecksum,
  Truncated,  // cut before the ports
  Tiny,       // a fragment that splits the transport header (RFC 1858, RFC 3128)
};

struct Parsed {
  Kind kind;
  uint8_t protocol;
  uint8_t icmpType;
  bool first;                // the first of several fragments
  uint32_t source;           // network order
  uint32_t destination;      // network order
  uint16_t sourcePort;       // network order; of an ICMP query the identifier
  uint16_t destinationPort;  // network order; of an ICMP query the identifier too
  uint16_t id;               // network order
  uint32_t header;           // bytes of the IPv4 header
  uint32_t total;            // bytes of the packet; the frame's where the field is 0 (TSO)
  uint32_t end;              // bytes of it that are here
};

/// The remote end's port of a flow that has `port` there; an ICMP query has none.
constexpr uint16_t remotePort(const Parsed& parsed, uint16_t port) {
  return parsed.protocol == kIcmp ? uint16_t{0} : port;
}

/// What kind of packet is this? Addresses are valid unless `kind` is Malformed or BadChecksum.
Parsed parse(const PacketView& packet, bool verifyChecksum);

/// TCP fields of a segment, host order. `known` is false where they were cut off.
struct Segment {
  bool known;
  uint8_t flags;
  uint8_t windowScale;  // 0..14, of a SYN that offers it
  bool hasWindowScale;
  uint32_t sequence, ack, length, window;
};

Segment parseSegment(const PacketView& packet, const Parsed& parsed);

}  // namespace napt
