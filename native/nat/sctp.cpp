#include "nat/sctp.h"

namespace napt {

namespace {
enum SctpBit : uint8_t { kHeardOut = 1, kHeardIn = 2, kEnding = 4 };
constexpr uint8_t kBoth = kHeardOut | kHeardIn;
}  // namespace

bool trackSctp(Session& s, Side side, const Segment& segment) {
  if (!segment.known) return true;  // cut before the first chunk
  const Side other = side == kOut ? kIn : kOut;
  if (segment.type == kSctpInit) {
    // In an open association it may be a restart, which its answer's cookie has to prove.
    if (s.timeout == Timeout::SctpEstablished) return false;
    s.state = 0;
    s.end[other] = segment.initTag;
    return true;
  }
  uint32_t& tag = s.end[isReflected(segment) ? other : side];
  if (tag == 0) tag = segment.tag;  // picked up in mid-stream
  if (tag != segment.tag) return false;
  switch (segment.type) {
    case kSctpInitAck:
      s.end[other] = segment.initTag;
      return true;
    case kSctpAbort:
    case kSctpShutdownComplete:
      s.state |= kEnding;
      s.timeout = Timeout::SctpTransitory;
      return true;
    default:
      s.state |= side == kOut ? kHeardOut : kHeardIn;
      s.state &= static_cast<uint8_t>(~kEnding);
      s.timeout = (s.state & kBoth) == kBoth ? Timeout::SctpEstablished : Timeout::SctpTransitory;
      return true;
  }
}

}  // namespace napt
