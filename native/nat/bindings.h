// Bindings: which inside endpoint owns which public endpoint (RFC 4787's mappings).
//
// A binding has no record of its own. It is the list of its sessions, and it lives as long as one
// of them: so binding, port and sessions always end together. The list hangs on the entry of its
// port in the PortMap, where the port is the binding's alone. Where bindings share public
// endpoints, each for its own remotes, it is found by public endpoint and remote through an Index
// instead: by choice (`overloading`; RFC 7857, section 3), and for transports whose ports a NAT
// can't change, or that have none. Of those only the address is translated.
//
// Outbound a binding is found by its inside endpoint (and remote address, for address-dependent
// mapping) through an Index keyed by the list's first session; with address-and-port-dependent
// mapping the session is the binding.
//
// Forwards and 1:1 mappings are bindings by configuration: permanent, without a list.
#pragma once

#include "nat/census.h"
#include "nat/permits.h"
#include "nat/port_blocks.h"
#include "nat/session_table.h"
#include "nat/verdict.h"

namespace napt {

/// Where an inbound packet arrives, and from whom; ports in network order.
struct Arrival {
  uint8_t protocol;
  PublicEndpoint to;
  uint32_t remote;
  uint16_t remotePort;
  uint32_t tag = 0;        // of SCTP: what the inside host has its remote's packets marked with
  bool reflected = false;  // or it the other way round: the tag of what the inside host sends
};

/// What a new binding has to be found for.
struct BindingWish {
  const Key& key;
  uint32_t tag;   // SCTP: what its inbound packets will carry
  uint32_t host;  // slot
  const Policy& policy;
  bool ideal;  // only what meets every wish, in a block that the host has, if it has any
  uint32_t address = 0xffffffff;  // the only public address to do, if it is one
};

class Bindings {
 public:
  static constexpr uint32_t kNone = Index::kNone;

  /// `now` is the translator's clock.
  Bindings(const Config& config, const PublicAddresses& addresses, const InsidePrefixes& inside,
           SessionTable& sessions, Events& events, const uint64_t& now);

  bool reserve();

  /// What an inbound packet finds at a public endpoint.
  struct Entry {
    uint32_t session = kNone;  // the first session of the binding there
    const Forward* forward = nullptr;
  };
  Entry at(const Arrival& arrival);

  /// For the batched path: the address of a port's entry.
  uint32_t* entry(uint32_t space, uint32_t address, uint16_t port) {
    return &map_.at(space, address, port);
  }

  /// Where a new binding of an inside endpoint will be looked for.
  const Index::Bucket* prefetch(const Key& key) const {
    const Index::Bucket* bucket =
        mappings_.bucket(mappingHash(key, Behaviour::EndpointIndependent));
    napt::prefetch(bucket);
    return bucket;
  }
  /// What ending a session's binding touches.
  const Index::Bucket* prefetch(const Session& s) {
    const uint32_t space = portSpace(s.protocol);
    if (space < kPortSpaces) {
      napt::prefetch(&map_.at(space, endpointOf(s)));
      pool_.prefetch(space, endpointOf(s));
    }
    return prefetch(Key::of(s));
  }
  const Index::Bucket* next(const Index::Bucket* bucket) const { return mappings_.next(bucket); }

  /// The configured binding of an inside endpoint, if it has one.
  bool findPermanent(const Key& key, PublicEndpoint& out) const;

  /// The binding that the mapping behaviour prescribes for an outbound flow: the first session of
  /// it, or kNone.
  uint32_t findDynamic(const Key& key, const Policy& policy) const;

  /// Chooses a public endpoint for a new binding. Takes nothing yet.
  Reason choose(const BindingWish& wish, PublicEndpoint& out, Random& random);

  /// Whether a host may have (or keep) this very endpoint for a dynamic binding of a session: for
  /// what is taken over from an earlier config.
  bool claim(const Session& session, PublicEndpoint e, uint32_t host);
  /// Whether a port is the NAT's to give, and nobody has it.
  bool isFree(uint8_t protocol, PublicEndpoint e);

  /// Adds a session to its binding, taking the port when it is the first, which is certain of an
  /// endpoint that was chosen just now (`fresh`). False when out of room.
  bool attach(uint32_t slot, uint32_t host, bool fresh);
  void detach(uint32_t slot, uint32_t host);

  /// The slot of an inside host, made when it is new; kNone when there is no room.
  uint32_t obtainHost(uint32_t inside);
  /// Whether the host's quota has room for one more session, or for one more binding. Sessions
  /// begun from outside have a quota of their own, or outsiders could use up the host's.
  bool mayOpen(uint32_t host, bool fromOutside) const {
    return withinLimit(hosts[host], fromOutside);
  }
  bool mayBind(uint32_t host, uint8_t protocol);
  /// Whether it may open one more now, and that it did.
  bool withinRate(uint32_t host);
  void countRate(uint32_t host);

  /// A host got a session, or lost one. With its last one it is forgotten.
  void sessionBegan(uint32_t host, const Session& session);
  void sessionEnded(uint32_t host, const Session& session);
  /// Forgets a host if it has no session: its pairing, and a block that was given but never used.
  void releaseIdle(uint32_t host);

  const Policy& policyOf(const Session& s) const {
    const uint8_t policy = config_.profiles[s.profile].policy;
    return (s.flags & kExplicit) != 0 ? explicitPolicies_[policy] : config_.policies[policy];
  }
  /// What an explicit mapping goes by: it is one for all remotes, and shares its port with nobody.
  const Policy& explicitPolicy(uint8_t policy) const { return explicitPolicies_[policy]; }

  /// Whether the filtering behaviour lets a remote in that has no session with the binding of
  /// `head`; `counts(slot)` tells sessions of the inside host from those that are due, and from
  /// what outsiders do alone: that holds no binding, and permits nobody.
  template <class Counts>
  bool admits(uint32_t head, uint32_t remote, Counts counts) {
    const Session& first = sessions_[head];
    switch (filteringOf(first.protocol, policyOf(first))) {
      case Behaviour::EndpointIndependent:
        return findInList(head, counts) != kNone;
      case Behaviour::AddressAndPortDependent:
        return isExpected(first, remote, counts);
      case Behaviour::AddressDependent:
        break;
    }
    const uint8_t protocol = first.protocol;
    const PublicEndpoint e = endpointOf(first);
    uint32_t* witness = permits_.witness(protocol, e, remote);
    if (witness == nullptr) return false;
    const auto stands = [&](uint32_t slot) {
      const Session& s = sessions_[slot];
      return s.protocol == protocol && s.remote == remote && s.address == e.address &&
             s.publicPort == swap16(e.port) && counts(slot);
    };
    if (stands(*witness)) return true;
    // It has ended; another session of the binding may stand for it.
    const uint32_t other = findInList(head, stands);
    if (other == kNone) return false;
    *witness = other;
    return true;
  }

  /// Eviction: frees the port that has rested longest, if any.
  void hurry(uint32_t space, uint32_t address) { pool_.hurry(space, address); }
  const PortBlock& block(uint32_t link) { return blocks_[link - 1]; }
  bool givesBlocks() const { return blocks_.enabled(); }
  /// What is in use of an address of the pool.
  PortUse portUse(uint32_t address) const;
  void portRanges(uint32_t space, uint32_t address, uint32_t (&used)[kPortRanges]) const {
    pool_.usedOfRanges(space, address, used);
  }
  void adoptResting(Bindings& old);

  // Events (events.h).

  /// A host would go beyond a quota: told the first time, and then every ten seconds at most.
  void tellOverQuota(uint32_t host, HostQuota quota);
  /// The next change of the pool is told as if none had been before.
  void forgetPressure() { pressure_.reset(); }
  /// Tells which bindings and blocks there were under another config that are no more, and which
  /// there are instead.
  void tellChange(Bindings& old);

  Hosts hosts;

 private:
  friend class Audit;

  /// Whether the NAT chooses the binding's public port.
  static bool choosesPort(const Key& key) {
    return portSpace(key.protocol()) != kNoPortSpace &&
           (key.protocol() != kGre || key.insidePort() != 0);
  }
  static Behaviour mappingOf(const Key& key, const Policy& policy) {
    const uint32_t space = portSpace(key.protocol());
    if (space < kPortSpaces && choosesPort(key)) return policy.mapping[space];
    return hasPorts(key.protocol()) ? Behaviour::AddressAndPortDependent
                                    : Behaviour::AddressDependent;
  }
  static Behaviour filteringOf(uint8_t protocol, const Policy& policy) {
    const uint32_t space = portSpace(protocol);
    return space == kNoPortSpace ? Behaviour::AddressAndPortDependent : policy.filtering[space];
  }
  /// Whether its public endpoint may be another binding's too, for other remotes.
  static bool shares(const Key& key, const Policy& policy) {
    if (!choosesPort(key)) return true;
    return policy.overloading && mappingOf(key, policy) != Behaviour::EndpointIndependent;
  }
  bool needsPermits(const Session& s) const {
    return filteringOf(s.protocol, policyOf(s)) == Behaviour::AddressDependent;
  }
  bool withinLimit(const Host& host, bool fromOutside) const {
    const uint32_t limit = config_.policies[host.policy].sessionLimit;
    return limit == 0 || (fromOutside ? host.visitors : host.sessions - host.visitors) < limit;
  }
  /// The first session of a binding that `suits`, or kNone. Bounded, as a remote asks.
  template <class Suits>
  uint32_t findInList(uint32_t head, Suits suits) const {
    uint32_t budget = 256;
    for (uint32_t at = head + 1; at != 0 && budget != 0; budget--) {
      if (suits(at - 1)) return at - 1;
      at = sessions_.links(at - 1).bindingNext;
    }
    return kNone;
  }
  /// A port that an ALG has read of is open for the remote address that it was told to.
  template <class IsLive>
  bool isExpected(const Session& first, uint32_t remote, IsLive isLive) const {
    const uint32_t slot =
        sessions_.find(Key::of(first.inside, remote, first.insidePort, 0, first.protocol));
    if (slot == kNone || !isLive(slot)) return false;
    const Session& s = sessions_[slot];
    return (s.flags & kExpected) != 0 && s.address == first.address &&
           s.publicPort == first.publicPort;
  }

  uint64_t mappingHash(const Key& key, Behaviour mapping) const {
    const uint64_t remote =
        mapping == Behaviour::AddressDependent ? uint64_t{key.remote()} << 8 : 0;
    return hash128(key.inside() | uint64_t{key.insidePort()} << 32, key.protocol() | remote,
                   sessions_.hashKey());
  }
  uint64_t mappingHash(uint32_t slot) const;
  uint64_t sharedHash(const Arrival& arrival, Behaviour mapping) const;
  uint64_t sharedHash(uint32_t slot) const;
  uint32_t findShared(const Arrival& arrival, Behaviour mapping) const;
  const Forward* sctpForward(uint8_t protocol, PublicEndpoint e) const;
  bool begin(uint32_t slot, uint32_t host);
  void end(uint32_t slot, uint32_t host, uint32_t next);

  bool hasRoom(const BindingWish& wish, uint32_t address);
  uint32_t pairedAddress(const BindingWish& wish);
  void pair(Host& host, uint32_t address);
  void unpair(Host& host);
  int32_t portOf(const BindingWish& wish, uint32_t address, Random& random);
  int32_t besideSibling(const BindingWish& wish, uint32_t address);
  int32_t sharedPort(const BindingWish& wish, const PortWish& port, uint32_t address,
                     Random& random);
  bool canShare(const BindingWish& wish, PublicEndpoint e);
  void countPort(uint32_t host, uint8_t protocol, bool more);
  Pressure::Fill fill(uint32_t space, uint32_t address);
  void tellFull(const BindingWish& wish, uint32_t address);
  void tell(EventType type, const Session& s, bool portMoved);
  uint32_t headOf(uint32_t slot) const;
  uint32_t successor(uint32_t head, const Bindings& other) const;
  template <class Visit>
  void forEachHead(Visit visit) const;

  const Config& config_;
  const PublicAddresses& addresses_;
  const InsidePrefixes& inside_;
  SessionTable& sessions_;
  Events& events_;
  const uint64_t& now_;
  Pressure pressure_;
  PortMap map_;
  PortPool pool_;
  PortBlocks blocks_;
  Permits permits_;
  Index mappings_;                      // by inside endpoint: first sessions of bindings
  Index shared_;                        // by public endpoint and remote: likewise
  std::vector<uint32_t> hostsPaired_;   // by public address
  std::vector<StaticMapping> statics_;  // sorted by inside address
  std::vector<Forward> forwards_;       // sorted by inside endpoint
  std::vector<Forward> sctpForwards_;   // these have no place in the PortMap
  std::vector<Policy> explicitPolicies_;
  bool countsPorts_ = false, limitsRate_ = false;
};

}  // namespace napt
