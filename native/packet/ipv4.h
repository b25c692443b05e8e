// IPv4, TCP, UDP and ICMP headers as bounds-checked views over bytes.
//
// `parse` looks at each packet once and says what it is. It reads only bytes that are there
// (`length`), and judges them by how long the packet was on the wire: a capture may have cut it
// (snaplen), and such a packet is translated as far as its bytes go.
#pragma once

#include "packet/bytes.h"
#include "packet/checksum.h"

namespace napt {

enum Protocol : uint8_t {
  kHopByHop = 0,  // means something in IPv6 only
  kIcmp = 1,
  kIgmp = 2,
  kTcp = 6,
  kUdp = 17,
  kDccp = 33,
  kGre = 47,
  kEsp = 50,
  kAh = 51,
  kSctp = 132,
  kUdpLite = 136,
};

// Offsets in the IPv4 header.
constexpr uint32_t kIpTos = 1, kIpTotal = 2, kIpId = 4, kIpFragment = 6, kIpTtl = 8,
                   kIpProtocol = 9, kIpChecksum = 10, kIpSource = 12, kIpDestination = 16,
                   kIpHeader = 20;
// Offsets in the transport headers.
constexpr uint32_t kTcpSequence = 4, kTcpAck = 8, kTcpFlags = 13, kTcpWindow = 14,
                   kTcpChecksum = 16, kTcpHeader = 20;
constexpr uint32_t kUdpChecksum = 6, kUdpHeader = 8;
constexpr uint32_t kUdpLiteCoverage = 4;
constexpr uint32_t kDccpOffset = 4, kDccpCoverage = 5, kDccpType = 8;
constexpr uint32_t kGreCallId = 6, kGreHeader = 8;  // enhanced GRE (RFC 2637, section 4.1)
constexpr uint32_t kSctpTag = 4;
constexpr uint32_t kIcmpChecksum = 2, kIcmpId = 4, kIcmpHeader = 8;

// Flag bits in the IPv4 fragment word, network order as loaded.
constexpr uint16_t kDontFragment = 0x0040;
constexpr uint16_t kFragmentMask = 0xff3f;  // more-fragments and the offset

/// Whether a packet neither is a fragment nor may become one (RFC 6864, section 4).
inline bool isAtomic(const uint8_t* header) {
  return (load<uint16_t>(header + kIpFragment) & (kFragmentMask | kDontFragment)) == kDontFragment;
}

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

/// Whether the transport header begins with a source and a destination port.
constexpr bool hasPorts(uint8_t protocol) {
  return protocol == kTcp || protocol == kUdp || protocol == kUdpLite || protocol == kDccp ||
         protocol == kSctp;
}
/// Whether the transport checksum covers the addresses, by a pseudo-header.
constexpr bool coversAddresses(uint8_t protocol) { return hasPorts(protocol) && protocol != kSctp; }
/// Where a checksum lies in a transport header that has one to adjust.
constexpr uint32_t checksumOffset(uint8_t protocol) {
  return protocol == kTcp ? kTcpChecksum : protocol == kIcmp ? kIcmpChecksum : kUdpChecksum;
}
/// The least transport header that a whole packet or a first fragment must have (RFC 1858).
constexpr uint32_t minimumHeader(uint8_t protocol) {
  switch (protocol) {
    case kTcp:
      return kTcpHeader;
    case kIcmp:
    case kUdp:
    case kUdpLite:
      return kUdpHeader;
    case kDccp:
    case kSctp:
      return 12;
    default:
      return 0;
  }
}

/// The protocols that a translator carries.
class Protocols {
 public:
  /// All but 0, which marks what has no protocol: free slots of tables.
  constexpr void add(uint8_t protocol) {
    if (protocol != kHopByHop) bits_[protocol >> 6] |= uint64_t{1} << (protocol & 63);
  }
  constexpr bool has(uint8_t protocol) const {
    return (bits_[protocol >> 6] >> (protocol & 63) & 1) != 0;
  }
  /// Enhanced GRE, by its call ids.
  constexpr void addCalls() { calls_ = true; }
  constexpr bool hasCalls() const { return calls_; }
  /// Whether some packets of a protocol are carried.
  constexpr bool hasSome(uint8_t protocol) const {
    return has(protocol) || (calls_ && protocol == kGre);
  }
  /// What every NAPT carries (RFC 3022, section 2.2).
  static constexpr Protocols traditional() {
    Protocols out;
    out.add(kTcp);
    out.add(kUdp);
    out.add(kIcmp);
    return out;
  }

 private:
  uint64_t bits_[4] = {};
  bool calls_ = false;
};

/// One packet in the caller's memory.
struct PacketView {
  uint8_t* data;             // the first byte of the IPv4 header
  uint32_t length;           // bytes that may be read and written
  uint32_t wire;             // bytes that the packet had on the wire, at least `length`
  bool partial;              // its transport checksum is partial
  bool fromOutside = false;  // it came in on the outside, for certain
  bool hairpinned = false;   // from an own public endpoint, and rightly so
  bool segmented = false;    // to be cut into segments later, so that no MTU applies to all of it
};

enum class Kind : uint8_t {
  Flow,       // of a carried protocol, with its ports if it has any; an ICMP query
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
  bool isCall;               // enhanced GRE: the call id is the destination port
  uint32_t source;           // network order
  uint32_t destination;      // network order
  uint16_t sourcePort;       // network order; of an ICMP query the identifier
  uint16_t destinationPort;  // network order; of an ICMP query the identifier too
  uint16_t id;               // network order
  uint32_t tag;              // SCTP: the verification tag, host order
  uint32_t header;           // bytes of the IPv4 header
  uint32_t total;            // bytes of the packet; the frame's where the field is 0 (TSO)
  uint32_t end;              // bytes of it that are here
};

/// The remote end's port of a flow that has `port` there; an ICMP query has none.
constexpr uint16_t remotePort(const Parsed& parsed, uint16_t port) {
  return parsed.protocol == kIcmp ? uint16_t{0} : port;
}

/// What kind of packet is this? Addresses are valid unless `kind` is Malformed or BadChecksum.
Parsed parse(const PacketView& packet, bool verifyChecksum, const Protocols& carried);

/// Whether a GRE header is enhanced as PPTP sends it, and its call id, network order (RFC 2637,
/// section 4.1): only the sequence and acknowledgement numbers are optional.
bool readCall(const uint8_t* gre, uint32_t here, uint16_t& id);

/// What a transport header tells of its connection, host order. `known` is false where it was cut
/// off, and for transports without connections.
struct Segment {
  bool known;
  uint8_t flags;        // TCP; SCTP: of the first chunk
  uint8_t windowScale;  // TCP: 0..14, of a SYN that offers it
  bool hasWindowScale;
  uint32_t sequence, ack, length, window;  // TCP
  uint8_t type;                            // DCCP: of the packet; SCTP: of the first chunk
  uint32_t tag, initTag;                   // SCTP: of the packet, and offered by an INIT
};

Segment parseSegment(const PacketView& packet, const Parsed& parsed);

}  // namespace napt
