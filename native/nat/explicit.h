// Explicit mappings: what a host asks for, rather than what its packets bring about (RFC 6887's
// MAP and PEER, RFC 6886). Who may ask for what is for the control protocol to say.
#pragma once

#include "nat/verdict.h"

namespace napt {

/// Remotes that an explicit mapping lets in.
struct RemoteFilter {
  uint32_t address, mask;  // network order
  uint16_t port;           // network order; 0: any

  bool admits(uint32_t remote, uint16_t remotePort) const {
    return ((remote ^ address) & mask) == 0 && (port == 0 || port == remotePort);
  }
};

struct MappingRequest {
  static constexpr uint32_t kMostFilters = 2;

  uint8_t protocol;
  uint32_t inside;           // network order
  uint16_t insidePort;       // network order
  uint64_t lifetime;         // ns
  uint32_t outside = 0;      // the public address that is wished for, network order; 0: any
  uint16_t outsidePort = 0;  // and its port, host order; 0: any
  bool exact = false;        // that or nothing
  uint32_t filters = 0;      // how many; none: every remote is let in
  RemoteFilter filter[kMostFilters] = {};
};

/// What was granted, or why nothing was; then the endpoint is what the host has already.
struct Granted {
  Reason reason = Reason::None;
  uint32_t outside = 0;      // network order
  uint16_t outsidePort = 0;  // host order
  bool permanent = false;    // by configuration, so it never ends
  uint64_t until = 0;        // ns
};

}  // namespace napt
