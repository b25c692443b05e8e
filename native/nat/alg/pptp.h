// PPTP (RFC 2637): the call ids of tunnels.
//
// A tunnel's packets are enhanced GRE, with the receiver's call id and no ports. Each end tells its
// own id in control messages. A NAT maps the inside end's like a port (RFC 2663, section 4.1.2):
// outbound messages get the public id for the sender's own, inbound ones the inside id for the
// receiver's ("Peer's Call ID"). Of GRE packets that come in the call id is put back; of those that
// leave it is the remote's, and only tells which call they belong to. No `protocols.gre` is needed.
#pragma once

#include "nat/alg/alg.h"

namespace napt {

class Pptp final : public Alg {
 public:
  uint16_t port() const override { return 1723; }
  bool read(Passage& passage, Watch& watch, Control& control) const override;
};

}  // namespace napt
