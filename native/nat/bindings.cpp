#include "nat/bindings.h"

#include <tuple>

namespace napt {

static auto insideOf(const Forward& f) { return std::tuple(f.inside, f.insidePort, f.protocol); }

Bindings::Bindings(const Config& config, const PublicAddresses& addresses,
                   const InsidePrefixes& inside, SessionTable& sessions, Events& events,
                   const uint64_t& now)
    : hosts(sessions.hashKey()),
      config_(config),
      addresses_(addresses),
      inside_(inside),
      sessions_(sessions),
      events_(events),
      now_(now),
      pressure_(config, addresses, events, now),
      pool_(addresses, config, now),
      blocks_(config, addresses, events, pressure_, now),
      permits_(sessions.hashKey()),
      hostsPaired_(addresses.size()),
      statics_(config.statics),
      forwards_(config.forwards) {
  std::stable_sort(forwards_.begin(), forwards_.end(),
                   [](const Forward& a, const Forward& b) { return insideOf(a) < insideOf(b); });
  std::sort(statics_.begin(), statics_.end(),
            [](const StaticMapping& a, const StaticMapping& b) { return a.inside < b.inside; });
  for (const Policy& policy : config.policies) {
    for (const uint32_t limit : policy.portLimits) countsPorts_ |= limit != 0;
    limitsRate_ |= policy.sessionRate != 0;
    Policy& one = explicitPolicies_.emplace_back(policy);
    std::fill(one.mapping, one.mapping + kPortSpaces, Behaviour::EndpointIndependent);
    one.overloading = false;
  }
}

bool Bindings::reserve() {
  const uint32_t capacity = sessions_.capacity();
  // As many as that touch every small page of the map all the same.
  constexpr uint32_t kDense = 32768;
  const bool dense = capacity / kDense >= addresses_.size();
  if (!map_.reserve(addresses_.size(), dense) || !pool_.reserve() || !hosts.reserve(capacity) ||
      !blocks_.reserve(capacity) || !mappings_.reserve(capacity) || !shared_.reserve(capacity) ||
      !permits_.reserve(capacity)) {
    return false;
  }
  for (uint32_t i = 0; i < config_.forwards.size(); i++) {
    const Forward& f = config_.forwards[i];
    const uint32_t space = portSpace(f.protocol), address = addresses_.find(f.outside);
    if (space == kNoPortSpace) {
      sctpForwards_.push_back(f);
      continue;
    }
    map_.at(space, address, f.outsidePort) = PortMap::kForward | i;
    pool_.withhold(space, address, f.outsidePort);
  }
  for (const Sibling& s : config_.siblings) {
    const uint32_t space = portSpace(s.protocol);
    if (space != kNoPortSpace) pool_.withhold(space, addresses_.find(s.outside), s.low);
  }
  return true;
}

const Forward* Bindings::sctpForward(uint8_t protocol, PublicEndpoint e) const {
  for (const Forward& f : sctpForwards_) {
    if (f.protocol == protocol && f.outsidePort == e.port &&
        f.outside == addresses_[e.address].address) {
      return &f;
    }
  }
  return nullptr;
}

Bindings::Entry Bindings::at(const Arrival& arrival) {
  Entry entry;
  const uint32_t space = portSpace(arrival.protocol);
  if (space == kNoPortSpace || (arrival.protocol == kGre && arrival.to.port == 0)) {
    const Behaviour kind = hasPorts(arrival.protocol) ? Behaviour::AddressAndPortDependent
                                                      : Behaviour::AddressDependent;
    entry.forward = sctpForward(arrival.protocol, arrival.to);
    if (entry.forward == nullptr) entry.session = findShared(arrival, kind);
    return entry;
  }
  const uint32_t value = map_.at(space, arrival.to);
  if ((value & PortMap::kForward) != 0) {
    entry.forward = &config_.forwards[value & ~PortMap::kForward];
  } else if ((value & PortMap::kShared) != 0) {
    const bool byAddress = (value & PortMap::kByAddress) != 0;
    entry.session = findShared(
        arrival, byAddress ? Behaviour::AddressDependent : Behaviour::AddressAndPortDependent);
    if (entry.session == kNone && !byAddress) {
      // What is expected there comes from any of the remote's ports.
      Arrival any = arrival;
      any.remotePort = 0;
      entry.session = findShared(any, Behaviour::AddressAndPortDependent);
      const bool found = entry.session != kNone;
      if (found && (sessions_[entry.session].flags & kExpected) == 0) entry.session = kNone;
    }
  } else if (value != 0) {
    entry.session = value - 1;
  }
  return entry;
}

bool Bindings::findPermanent(const Key& key, PublicEndpoint& out) const {
  const auto mapped =
      std::lower_bound(statics_.begin(), statics_.end(), key.inside(),
                       [](const StaticMapping& m, uint32_t inside) { return m.inside < inside; });
  if (mapped != statics_.end() && mapped->inside == key.inside()) {
    out = {static_cast<uint16_t>(addresses_.find(mapped->outside)), swap16(key.insidePort())};
    return true;
  }
  const auto wanted = std::tuple(key.inside(), swap16(key.insidePort()), key.protocol());
  const auto forward =
      std::lower_bound(forwards_.begin(), forwards_.end(), wanted,
                       [](const Forward& f, const auto& inside) { return insideOf(f) < inside; });
  if (forward == forwards_.end() || insideOf(*forward) != wanted) return false;
  out = {static_cast<uint16_t>(addresses_.find(forward->outside)), forward->outsidePort};
  return true;
}

// The two indexes: what finds a binding outbound, and inbound where endpoints are shared.

uint64_t Bindings::mappingHash(uint32_t slot) const {
  const Session& s = sessions_[slot];
  const Key key = Key::of(s);
  return mappingHash(key, mappingOf(key, policyOf(s)));
}

uint32_t Bindings::findDynamic(const Key& key, const Policy& policy) const {
  const Behaviour mapping = mappingOf(key, policy);
  if (mapping == Behaviour::AddressAndPortDependent) return kNone;
  return mappings_.find(mappingHash(key, mapping), [&](uint32_t slot) {
    const Session& s = sessions_[slot];
    return s.inside == key.inside() && s.insidePort == key.insidePort() &&
           s.protocol == key.protocol() &&
           (mapping == Behaviour::EndpointIndependent || s.remote == key.remote());
  });
}

uint64_t Bindings::sharedHash(const Arrival& a, Behaviour mapping) const {
  const uint64_t port = mapping == Behaviour::AddressDependent ? 0 : a.remotePort;
  return hash128(a.remote | port << 32 | uint64_t{a.protocol} << 48,
                 uint32_t{a.to.address} << 16 | a.to.port, sessions_.hashKey());
}
uint64_t Bindings::sharedHash(uint32_t slot) const {
  const Session& s = sessions_[slot];
  return sharedHash({s.protocol, endpointOf(s), s.remote, s.remotePort},
                    mappingOf(Key::of(s), policyOf(s)));
}

uint32_t Bindings::findShared(const Arrival& a, Behaviour mapping) const {
  return shared_.find(sharedHash(a, mapping), [&](uint32_t slot) {
    const Session& s = sessions_[slot];
    return s.protocol == a.protocol && s.remote == a.remote && s.address == a.to.address &&
           s.publicPort == swap16(a.to.port) &&
           (mapping == Behaviour::AddressDependent || s.remotePort == a.remotePort) &&
           (s.protocol != kSctp || s.end[a.reflected ? kOut : kIn] == a.tag);
  });
}

// Choosing a public endpoint.

/// Whether a host could get a port of an address.
bool Bindings::hasRoom(const BindingWish& wish, uint32_t address) {
  const PublicAddress& range = addresses_[address];
  if (!choosesPort(wish.key)) return true;
  if (shares(wish.key, wish.policy)) return range.low <= range.high;
  return pool_.free(portSpace(wish.key.protocol()), address) != 0 &&
         (!blocks_.enabled() || blocks_.free(address) != 0);
}

uint32_t Bindings::pairedAddress(const BindingWish& wish) {
  const uint32_t count = addresses_.pool();
  // The least loaded of a few; of many, the better of two, so that hosts spread evenly.
  constexpr uint32_t kFew = 16;
  if (count <= kFew) {
    uint32_t best = kNone;
    for (uint32_t a = 0; a < count; a++) {
      if (hasRoom(wish, a) && (best == kNone || hostsPaired_[a] < hostsPaired_[best])) best = a;
    }
    for (uint32_t a = 0; a < count && best == kNone; a++) tellFull(wish, a);
    return best;
  }
  const uint64_t hash = hosts.hash(wish.key.inside());
  const auto one = static_cast<uint32_t>((hash & 0xffffffff) * count >> 32);
  const auto two = static_cast<uint32_t>((hash >> 32) * count >> 32);
  const uint32_t better = hostsPaired_[one] <= hostsPaired_[two] ? one : two;
  constexpr uint32_t kProbes = 256;  // bounded, however large and full the pool is
  const auto probed = [&](uint32_t i) {
    return better + i < count ? better + i : better + i - count;
  };
  for (uint32_t i = 0; i < count && i < kProbes; i++) {
    if (hasRoom(wish, probed(i))) return probed(i);
  }
  for (uint32_t i = 0; i < count && i < kProbes; i++) tellFull(wish, probed(i));
  return kNone;
}

bool Bindings::canShare(const BindingWish& wish, PublicEndpoint e) {
  const Behaviour mapping = mappingOf(wish.key, wish.policy);
  if (choosesPort(wish.key)) {
    const uint32_t value = map_.at(portSpace(wish.key.protocol()), e);
    const uint32_t kind = mapping == Behaviour::AddressDependent
                              ? PortMap::kShared | PortMap::kByAddress
                              : PortMap::kShared;
    constexpr uint32_t kKinds = PortMap::kForward | PortMap::kShared | PortMap::kByAddress;
    if ((value & kKinds) != kind) return false;
  } else if (sctpForward(wish.key.protocol(), e) != nullptr) {
    return false;
  }
  const Arrival arrival{wish.key.protocol(), e, wish.key.remote(), wish.key.remotePort(), wish.tag};
  return findShared(arrival, mapping) == kNone;
}

/// Contiguity (RFC 4787, section 4.2.3): the port beside that of the even-odd sibling.
int32_t Bindings::besideSibling(const BindingWish& wish, uint32_t address) {
  const Key& key = wish.key;
  constexpr uint16_t kOne = swap16(1);
  const Key sibling = Key::of(key.inside(), key.remote(), key.insidePort() ^ kOne, key.remotePort(),
                              key.protocol());
  const uint32_t head = findDynamic(sibling, wish.policy);
  if (head == kNone || sessions_[head].address != address) return -1;
  const int32_t step = (key.insidePort() & kOne) != 0 ? 1 : -1;
  const int32_t port = swap16(sessions_[head].publicPort) + step;
  const PublicAddress& range = addresses_[address];
  if (port < range.low || port > range.high) return -1;
  const PublicEndpoint e{static_cast<uint16_t>(address), static_cast<uint16_t>(port)};
  if (blocks_.enabled() && !blocks_.has(hosts, wish.host, e)) return -1;
  return pool_.isFree(portSpace(key.protocol()), e) ? port : -1;
}

/// Free ports have run out: one that other bindings have, for other remotes.
int32_t Bindings::sharedPort(const BindingWish& wish, const PortWish& port, uint32_t address,
                             Random& random) {
  const PublicAddress& range = addresses_[address];
  const uint32_t count = uint32_t{range.high} - range.low + 1;
  constexpr uint32_t kProbes = 1024;  // bounded, however crowded the range is
  const uint32_t start = port.random ? random.below(count) : 0;
  int32_t other = -1;
  for (uint32_t i = 0; i < count && i < kProbes; i++) {
    const uint32_t at = start + i < count ? start + i : start + i - count;
    const auto candidate = static_cast<uint16_t>(range.low + at);
    if (!canShare(wish, {static_cast<uint16_t>(address), candidate})) continue;
    if (port.suits(candidate)) return candidate;
    if (other < 0) other = candidate;
  }
  return other;
}

int32_t Bindings::portOf(const BindingWish& wish, uint32_t address, Random& random) {
  const Policy& policy = wish.policy;
  const uint8_t protocol = wish.key.protocol();
  const uint32_t space = portSpace(protocol), host = wish.host;
  const bool ports = hasPorts(protocol);
  const PortWish port{swap16(wish.key.insidePort()), policy.preservePorts, policy.parity && ports,
                      ports, policy.randomPorts};
  const auto number = static_cast<uint16_t>(address);
  const auto within = [&](uint32_t low, uint32_t high, PortQuality quality) {
    return pool_.find(space, address, low, high, port, quality, random);
  };
  const PublicAddress& range = addresses_[address];
  const bool contiguous = policy.contiguity && ports;
  if (contiguous) {
    const int32_t beside = besideSibling(wish, address);
    if (beside >= 0) return beside;
  }
  const bool inRange = port.port >= range.low && port.port <= range.high;
  const bool sharing = shares(wish.key, policy);
  if (sharing && port.preserve && inRange && canShare(wish, {number, port.port})) return port.port;
  // Who wants a port preserved is content with another only where it can't be had at all.
  const PortQuality worst = !wish.ideal                ? PortQuality::Any
                            : port.preserve && inRange ? PortQuality::Same
                                                       : PortQuality::ClassAndParity;
  for (const PortQuality quality : kPortQualities) {
    if (quality > worst) break;
    if (quality == PortQuality::Same && !port.preserve) continue;
    int32_t found = -1;
    if (!blocks_.enabled()) {
      // The neighbour should be there for the sibling.
      constexpr int kTries = 16;
      for (int i = 0; i < kTries; i++) {
        found = within(range.low, range.high, quality);
        if (!contiguous || found < 0) break;
        const auto neighbour = static_cast<uint16_t>(found ^ ((port.port ^ found) & 1 ? 0 : 1));
        if (pool_.isFree(space, {number, neighbour})) break;
      }
    }
    for (uint32_t at = hosts[host].blocks; at != 0 && found < 0; at = blocks_[at - 1].next) {
      const PortBlock& block = blocks_[at - 1];
      if (block.address == address) found = within(block.low, block.high, quality);
    }
    if (found >= 0) return found;
  }
  if (sharing) return wish.ideal ? -1 : sharedPort(wish, port, address, random);
  if (!blocks_.enabled() || (wish.ideal && hosts[host].blocks != 0)) return -1;
  const auto hasPort = [&](uint32_t low, uint32_t high) {
    return pool_.anyFree(space, address, low, high);
  };
  const uint32_t fresh =
      blocks_.allocate(hosts, host, address, policy.randomPorts, random, hasPort);
  if (fresh == kNone) return -1;
  const uint32_t low = blocks_[fresh].low, high = blocks_[fresh].high;
  for (const PortQuality quality : kPortQualities) {
    const int32_t found = within(low, high, quality);
    if (found >= 0) return found;
  }
  return -1;
}

Reason Bindings::choose(const BindingWish& wish, PublicEndpoint& out, Random& random) {
  Host& host = hosts[wish.host];
  const uint32_t count = addresses_.pool();
  const auto take = [&](uint32_t address) {
    out.address = static_cast<uint16_t>(address);
    if (!choosesPort(wish.key)) {
      out.port = swap16(wish.key.insidePort());
      return canShare(wish, out);
    }
    const int32_t port = portOf(wish, address, random);
    if (port < 0) return false;
    out.port = static_cast<uint16_t>(port);
    // The entry of the next one, which will be about there.
    const uint32_t space = portSpace(wish.key.protocol());
    const uint16_t next = pool_.outlook(space, address);
    napt::prefetch(&map_.at(space, address, next));
    napt::prefetch(&map_.at(space, address, static_cast<uint16_t>(next + 16)));
    return true;
  };
  const Pooling pooling = wish.policy.pooling;
  if (wish.address != kNone) {
    if (wish.address >= count) return Reason::PortsExhausted;
    if (pooling != Pooling::Arbitrary && !host.isPaired) pair(host, wish.address);
    if (take(wish.address)) return Reason::None;
    tellFull(wish, wish.address);
    return Reason::PortsExhausted;
  }
  if (pooling != Pooling::Arbitrary) {
    if (!host.isPaired) {
      const uint32_t address = pairedAddress(wish);
      if (address == kNone) return Reason::PortsExhausted;
      pair(host, address);
    }
    if (take(host.paired)) return Reason::None;
    tellFull(wish, host.paired);
    // Full: refused, rather than seen from a second address (RFC 7857, section 4).
    if (pooling == Pooling::Paired || wish.ideal) return Reason::PortsExhausted;
  }
  const uint32_t start = count == 0 ? 0 : random.below(count);
  const uint32_t most = shares(wish.key, wish.policy) ? 16 : 256;
  for (uint32_t i = 0; i < count && i < most; i++) {
    const uint32_t a = start + i < count ? start + i : start + i - count;
    if (take(a)) return Reason::None;
    tellFull(wish, a);
  }
  return Reason::PortsExhausted;
}

bool Bindings::isFree(uint8_t protocol, PublicEndpoint e) {
  const uint32_t space = portSpace(protocol);
  if (space == kNoPortSpace || e.address >= addresses_.pool()) return false;
  const PublicAddress& range = addresses_[e.address];
  return e.port >= range.low && e.port <= range.high && map_.at(space, e) == 0 &&
         pool_.isFree(space, e);
}

bool Bindings::claim(const Session& session, PublicEndpoint e, uint32_t hostSlot) {
  const Key key = Key::of(session);
  const Policy& policy = policyOf(session);
  Host& host = hosts[hostSlot];
  const bool paired = policy.pooling == Pooling::Paired;
  if (e.address >= addresses_.pool()) return false;
  if (paired && host.isPaired && host.paired != e.address) return false;
  const uint32_t tag = session.protocol == kSctp ? session.end[kIn] : 0;
  const BindingWish wish{key, tag, hostSlot, policy, false};
  if (!choosesPort(key)) {
    if (!canShare(wish, e) && findDynamic(key, policy) == kNone) return false;
  } else {
    const PublicAddress& range = addresses_[e.address];
    if (e.port < range.low || e.port > range.high) return false;
    const uint32_t space = portSpace(session.protocol);
    const uint32_t value = map_.at(space, e);
    if (value == 0) {
      if (!pool_.isFree(space, e)) return false;
    } else if (shares(key, policy)) {
      const uint32_t head = findDynamic(key, policy);
      const bool same = head != kNone && sessions_[head].address == e.address &&
                        sessions_[head].publicPort == session.publicPort;
      if (!same && !canShare(wish, e)) return false;
    } else {
      if ((value & (PortMap::kForward | PortMap::kShared)) != 0) return false;
      const Session& head = sessions_[value - 1];
      if (head.inside != session.inside || head.insidePort != session.insidePort) return false;
    }
    if (blocks_.enabled() && !blocks_.claim(hosts, hostSlot, e)) return false;
  }
  if (policy.pooling != Pooling::Arbitrary && !host.isPaired) pair(host, e.address);
  return true;
}

// The life of a binding.

bool Bindings::attach(uint32_t slot, uint32_t host, bool fresh) {
  const Session& s = sessions_[slot];
  if ((s.flags & kPermanent) != 0) return true;
  const Key key = Key::of(s);
  const PublicEndpoint e = endpointOf(s);
  const Policy& policy = policyOf(s);
  uint32_t head = kNone;
  if (!shares(key, policy)) {
    if (!fresh) head = map_.at(portSpace(s.protocol), e) - 1;
  } else if (mappingOf(key, policy) == Behaviour::AddressDependent) {
    head = findShared({s.protocol, e, s.remote, s.remotePort}, Behaviour::AddressDependent);
  }
  const bool permits = needsPermits(s);
  const bool own = (s.flags & kVisitor) == 0;
  if (permits && !permits_.add(s.protocol, e, s.remote, slot, own)) return false;
  if (head == kNone) {
    if (begin(slot, host)) return true;
    if (permits) permits_.remove(s.protocol, e, s.remote);
    return false;
  }
  // Second in the list: the first one keys the mapping, and stays.
  SessionLinks& first = sessions_.links(head);
  SessionLinks& links = sessions_.links(slot);
  links.bindingPrevious = head + 1;
  links.bindingNext = first.bindingNext;
  if (first.bindingNext != 0) sessions_.links(first.bindingNext - 1).bindingPrevious = slot + 1;
  first.bindingNext = slot + 1;
  return true;
}

/// The first session of a binding.
bool Bindings::begin(uint32_t slot, uint32_t host) {
  const Session& s = sessions_[slot];
  const Key key = Key::of(s);
  const Policy& policy = policyOf(s);
  const Behaviour mapping = mappingOf(key, policy);
  const bool keyed = mapping != Behaviour::AddressAndPortDependent;
  if (keyed && !mappings_.insert(mappingHash(key, mapping), slot,
                                 [this](uint32_t at) { return mappingHash(at); })) {
    return false;
  }
  const PublicEndpoint e = endpointOf(s);
  const bool sharing = shares(key, policy);
  if (sharing &&
      !shared_.insert(sharedHash(slot), slot, [this](uint32_t at) { return sharedHash(at); })) {
    if (keyed) mappings_.erase(mappingHash(key, mapping), slot);
    return false;
  }
  if (!choosesPort(key)) {
    if (events_.isOn()) [[unlikely]]
      tell(EventType::BindingCreated, s, false);
    return true;
  }
  const uint32_t space = portSpace(s.protocol);
  uint32_t& entry = map_.at(space, e);
  const bool isNew = entry == 0;
  if (!sharing) {
    pool_.take(space, e);
    entry = slot + 1;
  } else {
    if (isNew) {
      pool_.take(space, e);
      entry =
          PortMap::kShared | (mapping == Behaviour::AddressDependent ? PortMap::kByAddress : 0u);
    }
    entry++;
  }
  if (blocks_.enabled()) blocks_.bindingMade(hosts, host, e);
  countPort(host, s.protocol, true);
  if (events_.isOn()) [[unlikely]]
    tell(EventType::BindingCreated, s, isNew);
  return true;
}

void Bindings::detach(uint32_t slot, uint32_t host) {
  const Session& s = sessions_[slot];
  if ((s.flags & kPermanent) != 0) return;
  if (needsPermits(s)) permits_.remove(s.protocol, endpointOf(s), s.remote);
  const SessionLinks links = sessions_.links(slot);
  if (links.bindingNext != 0) {
    sessions_.links(links.bindingNext - 1).bindingPrevious = links.bindingPrevious;
  }
  if (links.bindingPrevious != 0) {
    sessions_.links(links.bindingPrevious - 1).bindingNext = links.bindingNext;
    return;
  }
  end(slot, host, links.bindingNext);
}

/// The first session of a binding has ended; `next` (a slot plus one) is first now, or there is
/// none.
void Bindings::end(uint32_t slot, uint32_t host, uint32_t next) {
  const Session& s = sessions_[slot];
  const Key key = Key::of(s);
  const Policy& policy = policyOf(s);
  const PublicEndpoint e = endpointOf(s);
  const uint32_t space = portSpace(s.protocol);
  const Behaviour mapping = mappingOf(key, policy);
  const bool keyed = mapping != Behaviour::AddressAndPortDependent;
  const bool sharing = shares(key, policy);
  if (keyed) mappings_.erase(mappingHash(key, mapping), slot);
  if (sharing) shared_.erase(sharedHash(slot), slot);
  if (next != 0) {
    // There is room where the first one was.
    const uint32_t first = next - 1;
    if (keyed && findDynamic(Key::of(sessions_[first]), policy) == kNone) {
      mappings_.insert(mappingHash(first), first, [this](uint32_t at) { return mappingHash(at); });
    }
    if (sharing) {
      shared_.insert(sharedHash(first), first, [this](uint32_t at) { return sharedHash(at); });
    } else {
      map_.at(space, e) = next;
    }
    return;
  }
  if (!choosesPort(key)) {
    if (events_.isOn()) [[unlikely]]
      tell(EventType::BindingReleased, s, false);
    return;
  }
  uint32_t& entry = map_.at(space, e);
  constexpr uint32_t kCount = PortMap::kByAddress - 1;
  entry = sharing && (entry & kCount) > 1 ? entry - 1 : 0;
  if (entry == 0) pool_.give(space, e);
  if (events_.isOn()) [[unlikely]]
    tell(EventType::BindingReleased, s, entry == 0);
  if (blocks_.enabled()) blocks_.bindingEnded(hosts, host, e);
  countPort(host, s.protocol, false);
}

// Hosts and their quotas.

uint32_t Bindings::obtainHost(uint32_t inside) {
  const uint32_t slot = hosts.obtain(inside);
  if (slot == kNone || hosts[slot].sessions != 0) return slot;
  Host& host = hosts[slot];
  host.policy = inside_.policyOf(inside);
  if (countsPorts_ || limitsRate_) hosts.quota(slot) = Quota{};
  const std::optional<uint16_t> fixed = blocks_.begin(hosts, slot);
  if (fixed.has_value()) pair(host, *fixed);
  return slot;
}

static uint32_t quotaOf(uint8_t protocol) {
  const uint32_t space = portSpace(protocol);
  return space < 3 ? space + 1 : 0;
}

bool Bindings::mayBind(uint32_t host, uint8_t protocol) {
  if (!countsPorts_) return true;
  const uint32_t* limits = config_.policies[hosts[host].policy].portLimits;
  const uint32_t* used = hosts.quota(host).ports;
  const uint32_t own = quotaOf(protocol);
  return (limits[0] == 0 || used[0] < limits[0]) && (limits[own] == 0 || used[own] < limits[own]);
}

void Bindings::countPort(uint32_t host, uint8_t protocol, bool more) {
  if (!countsPorts_) return;
  uint32_t* used = hosts.quota(host).ports;
  const uint32_t own = quotaOf(protocol);
  used[0] += more ? 1u : ~0u;
  if (own != 0) used[own] += more ? 1u : ~0u;
}

bool Bindings::withinRate(uint32_t host) {
  const uint32_t rate = config_.policies[hosts[host].policy].sessionRate;
  return rate == 0 || hosts.quota(host).sessions.allows(rate, rate, now_);
}

void Bindings::countRate(uint32_t host) {
  const uint32_t rate = config_.policies[hosts[host].policy].sessionRate;
  if (rate != 0) hosts.quota(host).sessions.count(rate, now_);
}

void Bindings::pair(Host& host, uint32_t address) {
  host.paired = static_cast<uint16_t>(address);
  host.isPaired = true;
  hostsPaired_[address]++;
}

void Bindings::unpair(Host& host) {
  if (host.isPaired) hostsPaired_[host.paired]--;
  host.isPaired = false;
}

void Bindings::sessionBegan(uint32_t slot, const Session& session) {
  Host& host = hosts[slot];
  host.sessions++;
  if ((session.flags & kVisitor) != 0) host.visitors++;
  if ((session.flags & kPermanent) == 0) host.pooled++;
}

void Bindings::sessionEnded(uint32_t slot, const Session& session) {
  Host& host = hosts[slot];
  host.sessions--;
  if ((session.flags & kVisitor) != 0) host.visitors--;
  if ((session.flags & kPermanent) == 0) host.pooled--;
  releaseIdle(slot);
}

void Bindings::releaseIdle(uint32_t slot) {
  Host& host = hosts[slot];
  // Deterministic NAT's pairing is for good; it is found again with the next session.
  if (host.pooled == 0 && config_.deterministic.portsPerHost == 0) unpair(host);
  if (host.sessions != 0) return;
  unpair(host);
  blocks_.end(hosts, slot);
  hosts.release(slot);
}

void Bindings::adoptResting(Bindings& old) {
  if (config_.holdDown == 0 || old.config_.holdDown == 0) return;
  for (uint32_t a = 0; a < old.addresses_.pool(); a++) {
    const uint32_t now = addresses_.find(old.addresses_[a].address);
    if (now < addresses_.pool()) pool_.adoptResting(old.pool_, a, now);
  }
}

// Events.

/// Ports of an address in use or at rest.
Pressure::Fill Bindings::fill(uint32_t space, uint32_t address) {
  if (space == Pressure::kBlocks) return blocks_.fill(address);
  const PublicAddress& range = addresses_[address];
  const uint32_t total = range.low > range.high ? 0 : uint32_t{range.high} + 1 - range.low;
  return {total - pool_.free(space, address), total};
}

/// A binding begins or ends; `portMoved`: and takes its port from the pool, or gives it back.
void Bindings::tell(EventType type, const Session& s, bool portMoved) {
  events_.add(bindingEvent(type, now_, s));
  // Where ports are given in blocks, these are what runs out.
  if (!portMoved || blocks_.enabled() || !events_.wantsPools()) return;
  const uint32_t space = portSpace(s.protocol);
  pressure_.changed(space, s.address, fill(space, s.address));
}

/// A new binding found no port of an address, wish as it may.
void Bindings::tellFull(const BindingWish& wish, uint32_t address) {
  if (!events_.isOn() || wish.ideal || !choosesPort(wish.key)) return;
  const uint32_t space = blocks_.enabled() ? Pressure::kBlocks : portSpace(wish.key.protocol());
  const Pressure::Fill now = fill(space, address);
  if (space != Pressure::kBlocks || (now.total != 0 && blocks_.free(address) == 0)) {
    pressure_.exhausted(space, address, now);
  } else {
    tellOverQuota(wish.host, HostQuota::Bindings);  // what it has is full, and it may have no more
  }
}

void Bindings::tellOverQuota(uint32_t host, HostQuota quota) {
  if (!events_.wants(EventType::HostLimit) || !hosts.mayTell(host, quota, now_)) return;
  Event event{};
  event.at = now_;
  event.type = EventType::HostLimit;
  event.inside = hosts[host].address;
  event.numbers[0] = static_cast<uint32_t>(quota);
  events_.add(event);
}

uint32_t Bindings::headOf(uint32_t slot) const {
  while (sessions_.links(slot).bindingPrevious != 0) {
    slot = sessions_.links(slot).bindingPrevious - 1;
  }
  return slot;
}

/// What a binding has become under another config: the head there of its first session that still
/// has a binding of the pool; kNone if none has.
uint32_t Bindings::successor(uint32_t head, const Bindings& other) const {
  for (uint32_t at = head + 1; at != 0; at = sessions_.links(at - 1).bindingNext) {
    const uint32_t there = other.sessions_.find(Key::of(sessions_[at - 1]));
    if (there != kNone && (other.sessions_[there].flags & kPermanent) == 0) {
      return other.headOf(there);
    }
  }
  return kNone;
}

/// Calls `visit(slot)` for the first session of each binding of the pool.
template <class Visit>
void Bindings::forEachHead(Visit visit) const {
  for (uint32_t slot = 0; slot < sessions_.used(); slot++) {
    const Session& s = sessions_[slot];
    const bool isHead = s.protocol != 0 && (s.flags & kPermanent) == 0;
    if (isHead && sessions_.links(slot).bindingPrevious == 0) visit(slot);
  }
}

void Bindings::tellChange(Bindings& old) {
  // One may have become several, or several one: those go on that each other's first sessions lead
  // to.
  const auto goesOn = [](uint32_t head, const Bindings& from, const Bindings& to) {
    const uint32_t there = from.successor(head, to);
    return there != kNone && to.successor(there, from) == head;
  };
  old.forEachHead([&](uint32_t head) {
    if (!goesOn(head, old, *this)) tell(EventType::BindingReleased, old.sessions_[head], false);
  });
  blocks_.tellChange(hosts, old.blocks_, old.hosts);
  forEachHead([&](uint32_t head) {
    if (!goesOn(head, *this, old)) tell(EventType::BindingCreated, sessions_[head], false);
  });
  const auto fillOf = [this](uint32_t space, uint32_t address) {
    // Ports run out, or blocks do.
    const bool counts = (space == Pressure::kBlocks) == blocks_.enabled();
    return counts ? fill(space, address) : Pressure::Fill{0, 0};
  };
  pressure_.adopt(old.pressure_, fillOf);
}

}  // namespace napt
