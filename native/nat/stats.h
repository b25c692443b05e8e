// What a translator counts. TypeScript reads it as an array of numbers in this order
// (src/nat.ts); direction arrays are indexed by Direction.
#pragma once

#include "nat/verdict.h"

namespace napt {

struct Stats {
  uint64_t packetsIn, bytesIn;
  uint64_t packetsOut, bytesOut;  // forwarded or passed, released and cut ones included
  uint64_t packetsPassed;
  uint64_t packetsHeld;  // fragments waiting now
  uint64_t byDirection[4], bytesByDirection[4];
  uint64_t byProtocol[4];  // forwarded: TCP, UDP, ICMP, others
  uint64_t sessionsCreated, sessionsExpired, sessionsDeleted, sessionsActive, sessionsPeak;
  uint64_t sessionsEvicted;  // to make room for new ones
  uint64_t originated;       // ICMP errors that the NAT sent
  uint64_t fragmented;       // too big for the MTU: each is one of packetsOut
  uint64_t pieces;           // that these went out in
  uint64_t eventsLost;       // their ring was full (events.h)
  uint64_t drops[kReasons];
};

}  // namespace napt
