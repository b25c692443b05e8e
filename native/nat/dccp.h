// DCCP tracking (RFC 5597, REQ-2 and REQ-5; RFC 4340, section 8).
//
//   opening      until both sides have sent more than Request or Listen   dccpTransitory
//   established  from then                                                dccpEstablished
//   closing      a Close or a Reset came last                             dccpTransitory
//
// As with a TCP RST, what follows a forged Reset takes the session back to where it was.
#pragma once

#include "nat/session.h"

namespace napt {

/// Packet types (RFC 4340, section 5.1; Listen: RFC 5596).
enum DccpType : uint8_t {
  kDccpRequest = 0,
  kDccpResponse = 1,
  kDccpClose = 6,
  kDccpReset = 7,
  kDccpSync = 8,
  kDccpListen = 10,
};

/// Whether the inside host has answered a connection that was begun from outside.
bool isTakenDccp(const Session& s);

/// Runs one packet of a session through the state machine. True when it restarts the idle time.
bool trackDccp(Session& s, Side side, const Segment& segment);

}  // namespace napt
