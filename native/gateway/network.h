// One of the two networks that a gateway joins: its port, and who is on it.
#pragma once

#include <unordered_map>

#include "gateway/ethernet.h"
#include "io/port.h"

namespace napt {

/// The network that a port is on. Addresses are in network order.
struct Network {
  uint32_t local;  // the gateway's own there, unless it is the translator's; then 0
  uint32_t prefix, mask;
  uint32_t router;  // for what lies beyond; 0: nothing does
  Mac mac;          // the gateway's own there

  /// Who takes a packet for this destination; 0 when nobody does.
  uint32_t nextHop(uint32_t destination) const {
    return (destination & mask) == prefix ? destination : router;
  }
};

/// Hardware addresses of those on a network whose address is known. Who they are is for TypeScript
/// to find out.
class Neighbours {
 public:
  const Mac* find(uint32_t address) const {
    const auto found = known_.find(address);
    return found == known_.end() ? nullptr : &found->second;
  }
  void set(uint32_t address, const Mac& mac) { known_[address] = mac; }
  void forget(uint32_t address) { known_.erase(address); }
  void forgetAll() { known_.clear(); }

 private:
  std::unordered_map<uint32_t, Mac> known_;
};

}  // namespace napt
