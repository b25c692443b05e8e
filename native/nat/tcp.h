// TCP tracking (RFC 5382 section 5, RFC 6146 section 3.5.2, RFC 7857 section 2).
//
// A session's TCP state is the set of things it has seen, one bit each; the phase that rules its
// timeout follows from the set by one table:
//
//   opening      until both sides have sent an ACK        tcpOpening
//   established  from then, a half-close included         tcpEstablished
//   closing      both sides have sent FIN                 tcpClosing
//   time-wait    and both FINs are acknowledged           tcpTimeWait
//   reset        a RST in the window came last            tcpTransitory
//
// A SYN reopens what is closing, in time-wait or reset; a segment after a RST takes the session
// back to where it was (RFC 7857, section 2.2). RST and FIN count only in the window, so a guesser
// off the path can't end a session; they are translated all the same.
#pragma once

#include "nat/session.h"

namespace napt {

enum TcpBit : uint8_t {
  kAckOut = 1,
  kAckIn = 2,
  kFinOut = 4,
  kFinIn = 8,
  kFinOutAcked = 16,
  kFinInAcked = 32,
  kReset = 64,
  kBegunOutside = 128,  // the first SYN came from outside
};
constexpr uint8_t kTcpEstablished = kAckOut | kAckIn;

enum class TcpPhase : uint8_t { Opening, Established, HalfClosed, Closing, TimeWait, Reset };
constexpr const char* kTcpPhaseNames[] = {"opening", "established", "half-closed",
                                          "closing", "time-wait",   "reset"};

constexpr TcpPhase tcpPhase(uint8_t state) {
  if ((state & kReset) != 0) return TcpPhase::Reset;
  const bool finOut = (state & kFinOut) != 0, finIn = (state & kFinIn) != 0;
  if (finOut && finIn) {
    const bool acked = (state & kFinOutAcked) != 0 && (state & kFinInAcked) != 0;
    return acked ? TcpPhase::TimeWait : TcpPhase::Closing;
  }
  if ((state & kTcpEstablished) != kTcpEstablished) return TcpPhase::Opening;
  return finOut || finIn ? TcpPhase::HalfClosed : TcpPhase::Established;
}

constexpr Timeout tcpTimeout(uint8_t state) {
  switch (tcpPhase(state)) {
    case TcpPhase::Established:
    case TcpPhase::HalfClosed:
      return Timeout::TcpEstablished;
    case TcpPhase::TimeWait:
      return Timeout::TcpTimeWait;
    case TcpPhase::Closing:
      return Timeout::TcpClosing;
    case TcpPhase::Reset:
      return Timeout::TcpReset;
    default:
      return Timeout::TcpOpening;
  }
}

/// Flags of a segment that the fast path leaves to `trackTcp`.
constexpr uint8_t kTcpSpecial = kFin | kSyn | kRst;

/// The window scale of a session that was picked up in mid-stream. What a side may send is then
/// bounded by the largest scale there is (RFC 7323, section 2.3).
constexpr uint32_t kUnknownScale = 15;
constexpr uint32_t windowShift(uint32_t scale) { return scale < 14 ? scale : 14; }

/// Takes over what a segment tells about both windows. Cheap: part of the fast path.
inline void trackWindow(Session& s, Side side, uint32_t sequence, uint32_t length, uint32_t ack,
                        uint32_t window, bool hasAck) {
  const auto other = static_cast<Side>(side ^ 1);
  const uint32_t end = sequence + length;
  // Beyond what the receiver allows it can't be right, and must not move the window.
  if (static_cast<int32_t>(end - s.end[side]) > 0 &&
      static_cast<int32_t>(end - s.edge[side]) <= 0) {
    s.end[side] = end;
  }
  if (hasAck) {
    const uint32_t scale = s.scales >> 4 * side & 15u;
    const uint32_t edge = ack + (window << windowShift(scale));
    if (static_cast<int32_t>(edge - s.edge[other]) > 0) s.edge[other] = edge;
  }
  if (window > s.window[side]) s.window[side] = static_cast<uint16_t>(window);
}

/// Whether an established segment needs no more than `trackWindow`.
inline bool isPlainTcp(const Session& s, Side side, uint8_t flags) {
  // Flags and state lie side by side, and are compared at once.
  static_assert(offsetof(Session, state) == offsetof(Session, flags) + 1);
  static_assert(kSeenOutside == kSeenInside >> kIn && kBegunOutside == 0x80);
  const auto both = load<uint16_t>(&s.flags);
  const uint32_t seen = uint32_t{kSeenInside} >> side;
  return (flags & (kTcpSpecial | kAck)) == kAck &&
         (both & (seen | kWatched | 0x7f00u)) == (seen | kTcpEstablished << 8);
}

/// Prepares a new session for its first segment.
void openTcp(Session& s, Side side, const Segment& segment);

/// Runs one segment of a session through the state machine. True when it restarts the idle time.
/// `liberal`: RST and FIN count whatever their sequence numbers.
bool trackTcp(Session& s, Side side, const Segment& segment, bool liberal);

/// Could this sequence number have been sent by `side` and still be of interest? For the packet
/// that an ICMP error quotes.
bool isInFlight(const Session& s, Side side, uint32_t sequence);

}  // namespace napt
