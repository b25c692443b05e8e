#include "nat/dccp.h"

namespace napt {

namespace {
enum DccpBit : uint8_t { kSpokeOut = 1, kSpokeIn = 2, kEnding = 4 };
constexpr uint8_t kBoth = kSpokeOut | kSpokeIn;
}  // namespace

bool isTakenDccp(const Session& s) { return (s.state & kSpokeOut) != 0; }

bool trackDccp(Session& s, Side side, const Segment& segment) {
  if (!segment.known) return true;  // cut before the type
  const bool wasOpen = s.timeout == Timeout::DccpEstablished;
  switch (segment.type) {
    case kDccpRequest:
    case kDccpListen:
      // What is ending may be begun afresh; in an open connection it is a stray.
      if ((s.state & kEnding) != 0) s.state = 0;
      if (wasOpen) return false;
      break;
    case kDccpClose:
    case kDccpReset:
      s.state |= kEnding;
      s.timeout = Timeout::DccpTransitory;
      return wasOpen || segment.type == kDccpClose;
    default:
      s.state |= side == kOut ? kSpokeOut : kSpokeIn;
      s.state &= static_cast<uint8_t>(~kEnding);
      break;
  }
  s.timeout =
      (s.state & (kBoth | kEnding)) == kBoth ? Timeout::DccpEstablished : Timeout::DccpTransitory;
  return true;
}

}  // namespace napt
