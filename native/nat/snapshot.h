// What is kept of sessions over a restart.
//
// A snapshot is a row of records, one a session, each as it was when its turn came: it is taken in
// pieces while packets are translated. Times are relative to one moment, the snapshot's, and a
// restore says how long ago that was. Which config made them does not matter: a session comes back
// if the one in force could have it, with its public endpoint.
//
// Not kept: fragments that wait, identifications that were given, ports and blocks that rest, rates
// that were used up. Explicit mappings are sessions too (explicit.cpp), and come back as such.
#pragma once

#include <type_traits>

#include "nat/alg/alg.h"

namespace napt {

/// One session, as Session and SessionLinks have it; addresses and ports in network order.
struct SessionRecord {
  uint32_t inside, remote, publicAddress;
  uint16_t insidePort, remotePort, publicPort;
  uint8_t protocol;
  uint8_t flags;
  uint8_t state, scales;
  uint8_t timeout;
  uint8_t first;  // 1: the first of its binding, which others join
  uint16_t window[2];
  int32_t age;   // since it was made, in units of 2^27 ns
  int64_t last;  // ns: when its idle time began, after the snapshot's time
  uint32_t packetCarry[2], bytes[2];
  uint16_t byteCarry[2];
  uint8_t packets[2];
  uint16_t unused;
  uint32_t end[2], edge[2];
};
static_assert(sizeof(SessionRecord) == 80);

/// Behind the record of a session that an ALG reads, or has changed the text of (`kWatched`).
struct WatchRecord {
  static constexpr uint8_t kClientInside = 1, kGreeted = 2, kCommanded = 4;
  static constexpr uint8_t kBegun = 8, kAtStart = 32;  // of [kOut]; of [kIn] the next bit

  uint16_t port;  // of its ALG's servers, host order; 0: it reads no more
  uint8_t flags, unused;
  uint16_t passive, several, expected, unused2;  // FtpDialogue
  uint32_t next[2];
  SequenceShift shift[2];
};
static_assert(std::is_trivially_copyable_v<WatchRecord> && sizeof(WatchRecord) == 300);

/// Room that any one session fits into, in bytes.
constexpr size_t kLargestRecord = sizeof(SessionRecord) + sizeof(WatchRecord);

/// What a call has written of a snapshot.
struct SnapshotPiece {
  uint32_t next;  // the slot to go on with; 0 at the end
  size_t bytes;
};

/// When a snapshot is restored.
struct RestoreTime {
  uint64_t now;     // ns
  uint64_t passed;  // ns since the snapshot's time
};

/// What has become of the records that a call has read.
struct Restored {
  size_t bytes = 0;  // of them
  uint32_t sessions = 0;
  uint32_t expired = 0;  // their time was over meanwhile
  uint32_t refused = 0;  // this config, or what there is already, has no place for them
};

}  // namespace napt
