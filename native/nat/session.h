// One session: a binding (inside endpoint <-> public endpoint) plus one remote endpoint.
//
// The record is one cache line and has all that an established packet needs: both endpoints to
// compare and to write, the idle clock, the counters and the TCP window. What only the slow path
// touches (timer, binding list, carries of the counters) lies in a `SessionLinks` beside it, 32
// bytes more.
#pragma once

#include <cstddef>

#include "nat/config.h"
#include "packet/ipv4.h"

namespace napt {

enum SessionFlag : uint8_t {
  kSeenOutside = 1,  // the remote has sent a segment: end[kIn] counts
  kSeenInside = 2,   // the inside host has sent one: end[kOut] counts
  kHairpinned = 4,   // the remote is one of our own endpoints: such packets come from inside only
  kVisitor = 8,      // its first packet came from outside
  kPermanent = 16,   // its binding is configured: a forward or a 1:1 mapping
  kExpected = 32,    // holds a port for a connection that an ALG has read of
  kWatched = 64,     // an ALG reads it
  kExplicit = 128,   // of a binding that its host asked for (explicit.cpp)
};

/// Index of what is kept for each direction.
enum Side : uint8_t { kOut, kIn };

/// Addresses and ports in network order. A packet has source and destination side by side, and so
/// have the first three addresses and the first three ports: inside and remote as they are
/// outbound, remote and public as they are inbound. Hence a packet's direction is where to compare
/// from, and no choice (fast_path.cpp).
struct alignas(64) Session {
  uint32_t inside, remote, publicAddress;
  uint16_t insidePort, remotePort, publicPort;  // of ICMP: the identifiers, and 0
  uint8_t protocol;                             // 0: the slot is free
  uint8_t flags;
  uint8_t state;       // bits of tcp.h, dccp.h or sctp.h
  uint8_t scales;      // window scales, inside's in the low half
  uint16_t address;    // which of PublicAddresses `publicAddress` is
  uint64_t last;       // ns: when its idle time began
  Timeout timeout;     // its class of idle time
  uint8_t profile;     // which Profile
  uint8_t packets[2];  // low parts; carries go to SessionLinks
  uint32_t bytes[2];   // likewise
  uint32_t end[2];     // TCP: highest sequence sent, plus one; SCTP: tag that a side is sent;
                       // GRE of a call: [kOut] the remote's call id, network order
  uint32_t edge[2];    // TCP: highest sequence that the other side allows
  uint16_t window[2];  // TCP: largest window that this side offered, unscaled
};
static_assert(sizeof(Session) == 64);
static_assert(offsetof(Session, remote) == 4 && offsetof(Session, publicAddress) == 8);
static_assert(offsetof(Session, insidePort) == 12 && offsetof(Session, remotePort) == 14 &&
              offsetof(Session, publicPort) == 16);

struct SessionLinks {
  uint32_t timerNext, timerPrevious;      // see timers.h; `timerNext` links free slots too
  uint32_t bindingNext, bindingPrevious;  // sessions of one binding, slot plus one
  uint32_t packetCarry[2];
  uint16_t byteCarry[2];
  uint32_t created;  // in units of 2^27 ns (134 ms)
};
static_assert(sizeof(SessionLinks) == 32);

/// The inside view of a flow.
struct Key {
  uint64_t low;   // inside address, remote address
  uint64_t high;  // inside port, remote port, protocol

  static Key of(uint32_t inside, uint32_t remote, uint16_t insidePort, uint16_t remotePort,
                uint8_t protocol) {
    return {inside | static_cast<uint64_t>(remote) << 32,
            insidePort | static_cast<uint64_t>(remotePort) << 16 |
                static_cast<uint64_t>(protocol) << 32};
  }
  static Key of(const Session& s) {
    return of(s.inside, s.remote, s.insidePort, s.remotePort, s.protocol);
  }
  uint32_t inside() const { return static_cast<uint32_t>(low); }
  uint32_t remote() const { return static_cast<uint32_t>(low >> 32); }
  uint16_t insidePort() const { return static_cast<uint16_t>(high); }
  uint16_t remotePort() const { return static_cast<uint16_t>(high >> 16); }
  uint8_t protocol() const { return static_cast<uint8_t>(high >> 32); }
};

inline bool matches(const Session& s, const Key& key) {
  const Key own = Key::of(s);
  return ((own.low ^ key.low) | (own.high ^ key.high)) == 0;
}

/// A public endpoint: which public address, and a port in host order.
struct PublicEndpoint {
  uint16_t address;
  uint16_t port;
};

/// Whether a session only holds an explicit mapping: nobody has the remote endpoint 0.
inline bool isAnchor(const Session& s) { return (s.flags & kExplicit) != 0 && s.remote == 0; }

/// The public endpoint of a session.
inline PublicEndpoint endpointOf(const Session& s) { return {s.address, swap16(s.publicPort)}; }

}  // namespace napt
