// SCTP tracking by verification tags (RFC 9260, section 8.5).
//
// SCTP's ports are not changed: its checksum covers no addresses, and each side knows the other's
// ports by more than the packets. What tells two inside hosts with the same port apart is the tag
// that each chose for its association: it comes in every packet from the remote.
//
//   opening      until both sides have sent a packet with the other's tag   sctpTransitory
//   established  from then                                                  sctpEstablished
//   closing      an ABORT or SHUTDOWN COMPLETE came last                    sctpTransitory
//
// A packet with a wrong tag changes nothing.
#pragma once

#include "nat/session.h"

namespace napt {

/// Chunk types (RFC 9260, section 3.2).
enum SctpChunk : uint8_t {
  kSctpInit = 1,
  kSctpInitAck = 2,
  kSctpAbort = 6,
  kSctpShutdownComplete = 14,
};

/// Whether a packet carries its sender's own tag instead of the receiver's (the T bit).
constexpr bool isReflected(const Segment& segment) {
  return (segment.type == kSctpAbort || segment.type == kSctpShutdownComplete) &&
         (segment.flags & 1) != 0;
}

/// Runs one packet of a session through the state machine. True when it restarts the idle time.
bool trackSctp(Session& s, Side side, const Segment& segment);

}  // namespace napt
