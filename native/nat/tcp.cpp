#include "nat/tcp.h"

#include <algorithm>

namespace napt {

namespace {

constexpr uint8_t seenFlag(Side side) { return side == kOut ? kSeenInside : kSeenOutside; }
constexpr uint8_t ackBit(Side side) { return side == kOut ? kAckOut : kAckIn; }
constexpr uint8_t finBit(Side side) { return side == kOut ? kFinOut : kFinIn; }
constexpr uint8_t finAckedBit(Side side) { return side == kOut ? kFinOutAcked : kFinInAcked; }
constexpr Side otherOf(Side side) { return side == kOut ? kIn : kOut; }

bool isNotAfter(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) <= 0; }

uint32_t scaleOf(const Session& s, Side side) {
  return side == kOut ? s.scales & 15u : s.scales >> 4;
}
void setScale(Session& s, Side side, const Segment& segment) {
  const uint8_t scale = segment.hasWindowScale ? segment.windowScale : 0;
  if (!segment.hasWindowScale && (segment.flags & kAck) != 0) {
    s.scales = 0;  // both sides must offer it (RFC 7323, section 2.2)
  } else if (side == kOut) {
    s.scales = static_cast<uint8_t>((s.scales & 0xf0) | scale);
  } else {
    s.scales = static_cast<uint8_t>((s.scales & 0x0f) | scale << 4);
  }
}

/// The largest window that `side` ever offered, in bytes.
uint32_t windowOf(const Session& s, Side side) {
  const uint32_t scale = scaleOf(s, side);
  if (scale == kUnknownScale) return 1 << 20;
  const uint32_t window = static_cast<uint32_t>(s.window[side]) << scale;
  return window == 0 ? 1 : window;
}

/// Bytes of sequence space that a segment takes.
uint32_t spanOf(const Segment& segment) {
  return segment.length + ((segment.flags & kSyn) != 0 ? 1 : 0) +
         ((segment.flags & kFin) != 0 ? 1 : 0);
}

/// The first segment of a side: its numbers start from here.
void learn(Session& s, Side side, const Segment& segment) {
  s.flags |= seenFlag(side);
  s.end[side] = segment.sequence + spanOf(segment);
  const bool allowed = (s.state & ackBit(otherOf(side))) != 0;
  if (!allowed || isNotAfter(s.edge[side], s.end[side])) s.edge[side] = s.end[side];
}

/// The first acknowledgement of a side: from now on it bounds what the other may send.
void learnEdge(Session& s, Side side, const Segment& segment) {
  const Side other = otherOf(side);
  // The window of a SYN is never scaled (RFC 7323, section 2.2).
  const uint32_t scale = (segment.flags & kSyn) != 0 ? 0 : windowShift(scaleOf(s, side));
  const uint32_t edge = segment.ack + (segment.window << scale);
  const bool seen = (s.flags & seenFlag(other)) != 0;
  s.edge[other] = seen && isNotAfter(edge, s.end[other]) ? s.end[other] : edge;
}

/// Would the receiver take this sequence number (RFC 9293, 3.10.7.4)? Looking from the middle, the
/// receiver's next number lies within one of its windows before the highest that was sent.
bool isInWindow(const Session& s, Side side, const Segment& segment) {
  const Side other = otherOf(side);
  if ((s.flags & seenFlag(side)) == 0) {
    // The side never spoke: only an answer to what was sent to it is believed (RFC 9293, 3.10.7.3).
    return (segment.flags & kAck) != 0 && segment.ack == s.end[other];
  }
  // Where the window is not known, numbers far beyond what was sent are not believed either.
  const uint32_t beyond =
      scaleOf(s, other) == kUnknownScale ? s.end[side] + windowOf(s, other) : s.edge[side];
  const bool next = segment.sequence == s.end[side];  // right even where the window is closed
  return next || (isNotAfter(s.end[side] - windowOf(s, other), segment.sequence) &&
                  !isNotAfter(beyond, segment.sequence));
}

/// A segment's farthest reach from what its sender sent last, where windows are smaller than that.
constexpr uint32_t kReach = 65535;

/// Could the remote have sent this? More is allowed than the receiver would take, so that what the
/// middle has missed does no harm; but one who guesses is wrong in all but 1 of 30,000 cases.
bool isPlausible(const Session& s, const Segment& segment) {
  if ((s.flags & kSeenOutside) == 0) return true;
  const uint32_t window = std::max(windowOf(s, kOut), kReach);
  const uint32_t furthest =
      isNotAfter(s.edge[kIn], s.end[kIn] + kReach) ? s.end[kIn] + kReach : s.edge[kIn];
  return isNotAfter(s.end[kIn] - window, segment.sequence) &&
         isNotAfter(segment.sequence, furthest);
}

/// Does the remote acknowledge what it can have got? Completes a handshake only if so.
bool isPlausibleAck(const Session& s, const Segment& segment) {
  if ((s.flags & kSeenInside) == 0) return true;
  const uint32_t window = std::max(windowOf(s, kIn), kReach);
  return isNotAfter(segment.ack, s.end[kOut]) && isNotAfter(s.end[kOut] - window, segment.ack);
}

/// A SYN from one side alone with a new sequence number: that side begins afresh.
bool isNewAttempt(const Session& s, Side side, const Segment& segment) {
  return (s.state & kTcpEstablished) == 0 && (s.flags & seenFlag(side)) != 0 &&
         segment.sequence + spanOf(segment) != s.end[side];
}

}  // namespace

void openTcp(Session& s, Side side, const Segment& segment) {
  s.state = side == kIn ? uint8_t{kBegunOutside} : uint8_t{0};
  s.flags &= static_cast<uint8_t>(~(kSeenInside | kSeenOutside));
  s.window[kOut] = s.window[kIn] = 0;
  s.end[kOut] = s.end[kIn] = s.edge[kOut] = s.edge[kIn] = 0;
  // Picked up in mid-stream there was no SYN to tell the scales.
  s.scales = (segment.flags & kSyn) != 0 ? 0 : kUnknownScale << 4 | kUnknownScale;
}

bool trackTcp(Session& s, Side side, const Segment& segment, bool liberal) {
  if (!segment.known) return true;  // cut before the flags
  const TcpPhase phase = tcpPhase(s.state);
  const bool syn = (segment.flags & kSyn) != 0, ack = (segment.flags & kAck) != 0;

  if ((segment.flags & kRst) != 0) {
    if (!liberal && !isInWindow(s, side, segment)) return false;
    const bool shortens = phase == TcpPhase::Established || phase == TcpPhase::HalfClosed ||
                          phase == TcpPhase::TimeWait;
    s.state |= kReset;
    if (shortens) s.timeout = Timeout::TcpReset;
    return shortens;  // a RST never lengthens a session's life (RFC 7857, section 7)
  }
  if (syn && (phase == TcpPhase::Established || phase == TcpPhase::HalfClosed)) {
    return false;  // a stray or repeated SYN: the endpoints will sort it out
  }
  const Side other = otherOf(side), beganBy = (s.state & kBegunOutside) != 0 ? kIn : kOut;
  const bool opening = phase == TcpPhase::Opening;
  const bool anew = syn && !ack && opening && isNewAttempt(s, side, segment);
  if (syn && !ack && (!opening || (anew && side == beganBy))) {
    openTcp(s, side, segment);
  } else if (anew || (syn && ack && (s.state & ackBit(side)) == 0 &&
                      (s.flags & seenFlag(other)) != 0 && segment.ack == s.end[other])) {
    // The answer to the other side's SYN tells where this side begins, whatever came before; and
    // nobody but the one who began can begin all of it afresh.
    s.flags &= static_cast<uint8_t>(~seenFlag(side));
  }
  // What someone off the path makes up is passed on, but neither refreshes nor changes anything.
  if (side == kIn && !liberal) {
    const bool completes = ack && (s.state & kAckIn) == 0;
    if (!isPlausible(s, segment) || (completes && !isPlausibleAck(s, segment))) return false;
  }
  if (syn && ack && side == kOut && (s.state & kTcpEstablished) == 0) {
    // The inside host says what it has got: of several SYNs in one remote's name, one counts.
    s.flags |= kSeenOutside;
    s.end[kIn] = segment.ack;
  }
  const bool seen = (s.flags & seenFlag(side)) != 0;
  const bool inWindow = !seen || liberal || isInWindow(s, side, segment);
  if (syn) setScale(s, side, segment);
  if (!seen) learn(s, side, segment);
  if ((s.state & ackBit(other)) == 0) {
    // Nobody has bounded this side yet.
    const uint32_t end = segment.sequence + spanOf(segment);
    if (isNotAfter(s.edge[side], end)) s.edge[side] = end;
  }
  if (ack && (s.state & ackBit(side)) == 0) learnEdge(s, side, segment);
  trackWindow(s, side, segment.sequence, spanOf(segment), segment.ack, syn ? 0 : segment.window,
              ack && !syn);

  if (!syn) s.state &= static_cast<uint8_t>(~kReset);
  if (ack) {
    s.state |= ackBit(side);
    if ((s.state & finBit(other)) != 0 && segment.ack == s.end[other]) {
      s.state |= finAckedBit(other);
    }
  }
  if ((segment.flags & kFin) != 0 && inWindow) s.state |= finBit(side);
  s.timeout = tcpTimeout(s.state);
  return true;
}

bool isInFlight(const Session& s, Side side, uint32_t sequence) {
  if ((s.flags & seenFlag(side)) == 0) return false;
  // At most a window is under way; twice that allows for an error that comes late.
  uint32_t window = windowOf(s, otherOf(side));
  if (window < 65535) window = 65535;
  return isNotAfter(sequence, s.end[side]) && isNotAfter(s.end[side] - 2 * window, sequence);
}

}  // namespace napt
