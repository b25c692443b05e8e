// What a translator holds now, by kind: for monitoring. Nothing here is counted by packets; a
// census looks at the tables, a bounded part of them at a time.
#pragma once

#include "nat/config.h"
#include "nat/tcp.h"

namespace napt {

/// Sessions by what they are, those included that are due but not yet swept.
struct SessionCensus {
  static constexpr uint32_t kProtocols = 256, kPhases = 6;
  static constexpr uint32_t kAtATime = 16384;  // slots: a megabyte to look through

  uint32_t byProtocol[kProtocols];  // without those of `byPhase`
  uint32_t byPhase[kPhases];        // TCP's
};
static_assert(static_cast<uint32_t>(TcpPhase::Reset) + 1 == SessionCensus::kPhases);

/// What is in use of a public address of the pool.
struct PortUse {
  uint32_t address;            // network order
  uint32_t ports;              // of each protocol, that can be handed out
  uint32_t used[kPortSpaces];  // of those; forwards' own count, resting ones don't
  uint32_t blocks;             // that can be given to hosts
  uint32_t blocksUsed;         // given or at rest
};

}  // namespace napt
