// Bindings: which inside endpoint owns which public endpoint (RFC 4787's mappings).
//
// A binding has no record of its own. It is the list of its sessions, hung on the entry of its port
// in the PortMap, and it lives as long as one of them: so binding, port and sessions always end
// together. Outbound it is found by its inside endpoint (and remote address, for address-dependent
// mapping) through an Index keyed by the list's first session; with address-and-port-dependent
// mapping the session is the binding.
//
// Forwards and 1:1 mappings are bindings by configuration: permanent, without a list.
#pragma once

#include "nat/permits.h"
#include "nat/port_blocks.h"
#include "nat/session_table.h"
#include "nat/verdict.h"

namespace napt {

class Bindings {
 public:
  static constexpr uint32_t kNone = Index::kNone;

  Bindings(const Config& config, const PublicAddresses& addresses, SessionTable& sessions);

  bool reserve();

  /// What an inbound packet finds at a public endpoint.
  struct Entry {
    uint32_t session = kNone;  // the first session of the binding there
    const Forward* forward = nullptr;
  };
  Entry at(uint8_t protocol, PublicEndpoint e);

  /// For the batched path: the address of a port's entry.
  const uint32_t* entry(uint8_t protocol, uint32_t address, uint16_t port) {
    return &map_.at(portSpace(protocol), address, port);
  }

  /// The configured binding of an inside endpoint, if it has one.
  bool findPermanent(const Key& key, PublicEndpoint& out) const;

  /// The binding that the mapping behaviour prescribes for an outbound flow: the first session of
  /// it, or kNone.
  uint32_t findDynamic(const Key& key) const;

  /// Chooses a free public endpoint for a new binding of this host. Takes nothing yet. When
  /// `ideal`, only one that meets every wish, in a block that the host has, if it has any.
  Reason choose(const Key& key, uint32_t host, bool ideal, PublicEndpoint& out, Random& random);

  /// Whether a host may have (or keep) this very endpoint for a dynamic binding: for sessions that
  /// are taken over from an earlier config.
  bool claim(uint8_t protocol, PublicEndpoint e, uint32_t host);

  /// Adds a session to its binding, taking the port when it is the first. False when out of room.
  bool attach(uint32_t slot);
  void detach(uint32_t slot);

  /// A host got a session, or lost one. With its last one it is forgotten.
  void sessionBegan(uint32_t host, const Session& session);
  void sessionEnded(uint32_t host, const Session& session);
  /// Forgets a host if it has no session: its pairing, and a block that was given but never used.
  void releaseIdle(uint32_t host);

  /// Whether the filtering behaviour lets a remote in that has no session; `isLive(slot)` tells a
  /// session from one that is due.
  template <class IsLive>
  bool admits(uint8_t protocol, PublicEndpoint e, uint32_t remote, IsLive isLive) {
    if (config_.filtering != Behaviour::AddressDependent) {
      return config_.filtering == Behaviour::EndpointIndependent;
    }
    uint32_t* witness = permits_.witness(protocol, e, remote);
    if (witness == nullptr) return false;
    const auto stands = [&](uint32_t slot) {
      const Session& s = sessions_[slot];
      return s.protocol == protocol && s.remote == remote && s.address == e.address &&
             s.publicPort == swap16(e.port) && isLive(slot);
    };
    if (stands(*witness)) return true;
    // It has ended; another session of the binding may stand for it. Bounded, as a remote asks.
    uint32_t budget = 256;
    for (uint32_t at = map_.at(protocol, e); at != 0 && budget != 0; budget--) {
      if (stands(at - 1)) {
        *witness = at - 1;
        return true;
      }
      at = sessions_.links(at - 1).bindingNext;
    }
    return false;
  }

  Hosts hosts;

 private:
  uint64_t hashOf(const Session& s) const;
  uint64_t hashOf(const Key& key) const;
  bool sameBinding(const Session& first, const Key& key) const;
  bool hasRoom(uint32_t space, uint32_t address) const;
  uint32_t pairedAddress(uint32_t space, const Host& host) const;
  int32_t portOf(const Key& key, uint32_t host, uint32_t address, bool ideal, Random& random);
  void unpair(Host& host);
  static uint32_t code(PublicEndpoint e) { return uint32_t{e.address} << 16 | e.port; }
  static PublicEndpoint decode(uint32_t code) {
    return {static_cast<uint16_t>(code >> 16), static_cast<uint16_t>(code)};
  }

  const Config& config_;
  const PublicAddresses& addresses_;
  SessionTable& sessions_;
  PortMap map_;
  mutable PortPool pool_;
  PortBlocks blocks_;
  Permits permits_;
  Index mappings_[kPortSpaces];         // values: code() of a public endpoint
  std::vector<uint32_t> hostsPaired_;   // by public address
  std::vector<StaticMapping> statics_;  // sorted by inside address
  std::vector<Forward> forwards_;       // sorted by inside endpoint
};

/// The public endpoint of a session.
inline PublicEndpoint endpointOf(const Session& s) { return {s.address, swap16(s.publicPort)}; }

}  // namespace napt
