// Changing a packet's endpoints in place, checksums by difference (RFC 3022, 4.1 and 4.2).
//
// A checksum that was wrong before is as wrong after; bytes that are not here are not touched.
#pragma once

#include "packet/ipv4.h"

namespace napt {

/// The header fields that a NAT may write, all in network order.
struct Endpoints {
  uint32_t source, destination;
  uint16_t sourcePort, destinationPort;  // of an ICMP query both are its identifier
  uint16_t id;                           // IPv4 identification

  static Endpoints of(const Parsed& p) {
    return {p.source, p.destination, p.sourcePort, p.destinationPort, p.id};
  }
};

/// Writes the IPv4 header: addresses, identification, TTL less one if asked, header checksum.
void rewriteHeader(const PacketView& packet, const Endpoints& to, bool decrementTtl);

/// Writes header and transport of a whole packet or a first fragment (Kind::Flow).
void rewritePacket(const PacketView& packet, const Parsed& parsed, const Endpoints& to,
                   bool decrementTtl);

/// Makes a partial checksum whole, where all of the packet is here and it can have one.
void completeChecksum(const PacketView& packet, const Parsed& parsed);

/// Writes an ICMP identifier (network order); `here` bytes of the message can be read.
void rewriteIcmpId(uint8_t* message, uint32_t here, uint16_t id);

/// The packet that an ICMP error quotes, as far as it is there.
struct Quoted {
  bool usable;  // a whole IPv4 header of a carried protocol, with its ports
  bool badChecksum;
  bool atomic;        // never fragmented (RFC 6864, section 4)
  Parsed parsed;      // `end` bounds what may be read, extensions (RFC 4884) excluded
  bool hasSequence;   // TCP
  uint32_t sequence;  // host order; to be changed if the sender counts otherwise
};

/// Looks at the quotation in an ICMP error (`parsed` is the error's own header).
Quoted parseQuoted(const PacketView& packet, const Parsed& parsed, bool verifyChecksum,
                   const Protocols& carried);

/// Writes the quoted packet's endpoints and identification, and the checksums that they are part
/// of: its own two, as far as quoted, and the error's. Nothing else changes (RFC 5508, REQ-4,
/// REQ-5; RFC 4884).
void rewriteQuoted(const PacketView& packet, const Parsed& parsed, const Quoted& quoted,
                   const Endpoints& to);

}  // namespace napt
