#include "nat/bindings.h"

#include <tuple>

namespace napt {

static auto insideOf(const Forward& f) { return std::tuple(f.inside, f.insidePort, f.protocol); }

Bindings::Bindings(const Config& config, const PublicAddresses& addresses, SessionTable& sessions)
    : hosts(sessions.hashKey()),
      config_(config),
      addresses_(addresses),
      sessions_(sessions),
      permits_(sessions.hashKey()),
      hostsPaired_(addresses.size()),
      statics_(config.statics),
      forwards_(config.forwards) {
  std::stable_sort(forwards_.begin(), forwards_.end(),
                   [](const Forward& a, const Forward& b) { return insideOf(a) < insideOf(b); });
  std::sort(statics_.begin(), statics_.end(),
            [](const StaticMapping& a, const StaticMapping& b) { return a.inside < b.inside; });
}

bool Bindings::reserve() {
  const uint32_t capacity = sessions_.capacity();
  if (!map_.reserve(addresses_.size()) || !pool_.reserve(addresses_) || !hosts.reserve(capacity) ||
      !blocks_.reserve(addresses_, config_.blockSize, capacity)) {
    return false;
  }
  for (Index& index : mappings_) {
    if (!index.reserve(capacity)) return false;
  }
  if (config_.filtering == Behaviour::AddressDependent && !permits_.reserve(capacity)) return false;
  for (uint32_t i = 0; i < config_.forwards.size(); i++) {
    const Forward& f = config_.forwards[i];
    const uint32_t space = portSpace(f.protocol), address = addresses_.find(f.outside);
    map_.at(space, address, f.outsidePort) = PortMap::kForward | i;
    pool_.withhold(space, address, f.outsidePort);
  }
  return true;
}

Bindings::Entry Bindings::at(uint8_t protocol, PublicEndpoint e) {
  const uint32_t value = map_.at(protocol, e);
  Entry entry;
  if ((value & PortMap::kForward) != 0) {
    entry.forward = &config_.forwards[value & ~PortMap::kForward];
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

uint64_t Bindings::hashOf(const Key& key) const {
  const uint64_t remote =
      config_.mapping == Behaviour::AddressDependent ? uint64_t{key.remote()} << 8 : 0;
  return hash128(key.inside() | uint64_t{key.insidePort()} << 32, key.protocol() | remote,
                 sessions_.hashKey());
}
uint64_t Bindings::hashOf(const Session& s) const { return hashOf(Key::of(s)); }

bool Bindings::sameBinding(const Session& first, const Key& key) const {
  return first.inside == key.inside() && first.insidePort == key.insidePort() &&
         first.protocol == key.protocol() &&
         (config_.mapping != Behaviour::AddressDependent || first.remote == key.remote());
}

uint32_t Bindings::findDynamic(const Key& key) const {
  if (config_.mapping == Behaviour::AddressAndPortDependent) return kNone;
  const uint32_t space = portSpace(key.protocol());
  const auto first = [&](uint32_t value) {
    return const_cast<PortMap&>(map_).at(key.protocol(), decode(value)) - 1;
  };
  const uint32_t found = mappings_[space].find(
      hashOf(key), [&](uint32_t value) { return sameBinding(sessions_[first(value)], key); });
  return found == kNone ? kNone : first(found);
}

/// Whether a new host could get a port of an address.
bool Bindings::hasRoom(uint32_t space, uint32_t address) const {
  return pool_.free(space, address) != 0 && (!blocks_.enabled() || blocks_.free(address) != 0);
}

uint32_t Bindings::pairedAddress(uint32_t space, const Host& host) const {
  const uint32_t count = addresses_.pool();
  const auto usable = [&](uint32_t a) { return hasRoom(space, a); };
  // The least loaded of a few; of many, the better of two, so that hosts spread evenly.
  constexpr uint32_t kFew = 16;
  if (count <= kFew) {
    uint32_t best = kNone;
    for (uint32_t a = 0; a < count; a++) {
      if (usable(a) && (best == kNone || hostsPaired_[a] < hostsPaired_[best])) best = a;
    }
    return best;
  }
  const uint64_t hash = hosts.hash(host.address);
  const auto one = static_cast<uint32_t>((hash & 0xffffffff) * count >> 32);
  const auto two = static_cast<uint32_t>((hash >> 32) * count >> 32);
  const uint32_t better = hostsPaired_[one] <= hostsPaired_[two] ? one : two;
  constexpr uint32_t kProbes = 256;  // bounded, however large and full the pool is
  for (uint32_t i = 0; i < count && i < kProbes; i++) {
    const uint32_t a = better + i < count ? better + i : better + i - count;
    if (usable(a)) return a;
  }
  return kNone;
}

int32_t Bindings::portOf(const Key& key, uint32_t host, uint32_t address, bool ideal,
                         Random& random) {
  const uint32_t space = portSpace(key.protocol());
  const bool query = key.protocol() == kIcmp;
  const PortWish wish{swap16(key.insidePort()), config_.parity && !query, !query};
  const auto within = [&](uint32_t low, uint32_t high, PortQuality quality) {
    return pool_.find(space, address, low, high, wish, quality, config_, random);
  };
  const PublicAddress& range = addresses_[address];
  // Who wants a port preserved is content with another only where it can't be had at all.
  const bool keepable = config_.preservePorts && wish.port >= range.low && wish.port <= range.high;
  const PortQuality worst = !ideal     ? PortQuality::Any
                            : keepable ? PortQuality::Same
                                       : PortQuality::ClassAndParity;
  for (const PortQuality quality : kPortQualities) {
    if (quality > worst) break;
    int32_t port = -1;
    if (!blocks_.enabled()) port = within(range.low, range.high, quality);
    for (uint32_t at = hosts[host].blocks; at != 0 && port < 0; at = blocks_[at - 1].next) {
      const PortBlock& block = blocks_[at - 1];
      if (block.address == address) port = within(block.low, block.high, quality);
    }
    if (port >= 0) return port;
  }
  if (!blocks_.enabled() || (ideal && hosts[host].blocks != 0)) return -1;
  const auto hasPort = [&](uint32_t low, uint32_t high) {
    return pool_.anyFree(space, address, low, high);
  };
  const uint32_t fresh =
      blocks_.allocate(hosts[host], host, address, config_.randomPorts, random, hasPort);
  if (fresh == kNone) return -1;
  const uint32_t low = blocks_[fresh].low, high = blocks_[fresh].high;
  for (const PortQuality quality : kPortQualities) {
    const int32_t port = within(low, high, quality);
    if (port >= 0) return port;
  }
  return -1;
}

Reason Bindings::choose(const Key& key, uint32_t hostSlot, bool ideal, PublicEndpoint& out,
                        Random& random) {
  const uint32_t space = portSpace(key.protocol());
  Host& host = hosts[hostSlot];
  const uint32_t count = addresses_.pool();
  const auto take = [&](uint32_t address) {
    const int32_t port = portOf(key, hostSlot, address, ideal, random);
    if (port < 0) return false;
    out = {static_cast<uint16_t>(address), static_cast<uint16_t>(port)};
    return true;
  };
  if (config_.paired) {
    if (!host.isPaired) {
      const uint32_t address = pairedAddress(space, host);
      if (address == kNone) return Reason::PortsExhausted;
      host.paired = static_cast<uint16_t>(address);
      host.isPaired = true;
      hostsPaired_[address]++;
    }
    // Full: refused, rather than seen from a second address (RFC 7857, section 4).
    return take(host.paired) ? Reason::None : Reason::PortsExhausted;
  }
  const uint32_t start = count == 0 ? 0 : random.below(count);
  constexpr uint32_t kProbes = 256;
  for (uint32_t i = 0; i < count && i < kProbes; i++) {
    const uint32_t a = start + i < count ? start + i : start + i - count;
    if (pool_.free(space, a) != 0 && take(a)) return Reason::None;
  }
  return Reason::PortsExhausted;
}

bool Bindings::claim(uint8_t protocol, PublicEndpoint e, uint32_t hostSlot) {
  const PublicAddress& range = addresses_[e.address];
  if (e.port < range.low || e.port > range.high) return false;
  Host& host = hosts[hostSlot];
  if (config_.paired && host.isPaired && host.paired != e.address) return false;
  const bool free = pool_.isFree(portSpace(protocol), e);
  if (!free && map_.at(protocol, e) == 0) return false;
  if (blocks_.enabled() && !blocks_.claim(e, host, hostSlot)) return false;
  if (config_.paired && !host.isPaired) {
    host.paired = e.address;
    host.isPaired = true;
    hostsPaired_[e.address]++;
  }
  return true;
}

bool Bindings::attach(uint32_t slot) {
  const Session& s = sessions_[slot];
  if ((s.flags & kPermanent) != 0) return true;
  const PublicEndpoint e = endpointOf(s);
  const bool permits = config_.filtering == Behaviour::AddressDependent;
  if (permits && !permits_.add(s.protocol, e, s.remote, slot)) return false;
  uint32_t& entry = map_.at(s.protocol, e);
  if (entry != 0) {
    // Second in the list: the first one keys the mapping, and stays.
    SessionLinks& first = sessions_.links(entry - 1);
    SessionLinks& links = sessions_.links(slot);
    links.bindingPrevious = entry;
    links.bindingNext = first.bindingNext;
    if (first.bindingNext != 0) sessions_.links(first.bindingNext - 1).bindingPrevious = slot + 1;
    first.bindingNext = slot + 1;
    return true;
  }
  entry = slot + 1;
  const uint32_t space = portSpace(s.protocol);
  if (config_.mapping != Behaviour::AddressAndPortDependent) {
    const auto hash = [this, &s](uint32_t value) {
      return hashOf(sessions_[map_.at(s.protocol, decode(value)) - 1]);
    };
    if (!mappings_[space].insert(hashOf(s), code(e), hash)) {
      entry = 0;
      if (permits) permits_.remove(s.protocol, e, s.remote);
      return false;
    }
  }
  pool_.take(space, e);
  if (blocks_.enabled()) blocks_.bindingMade(e);
  return true;
}

void Bindings::detach(uint32_t slot) {
  const Session& s = sessions_[slot];
  if ((s.flags & kPermanent) != 0) return;
  const PublicEndpoint e = endpointOf(s);
  const uint32_t space = portSpace(s.protocol);
  if (config_.filtering == Behaviour::AddressDependent) permits_.remove(s.protocol, e, s.remote);
  const SessionLinks links = sessions_.links(slot);
  if (links.bindingNext != 0) {
    sessions_.links(links.bindingNext - 1).bindingPrevious = links.bindingPrevious;
  }
  if (links.bindingPrevious != 0) {
    sessions_.links(links.bindingPrevious - 1).bindingNext = links.bindingNext;
    return;
  }
  // It was the first, which keys the mapping.
  const bool keyed = config_.mapping != Behaviour::AddressAndPortDependent;
  if (keyed) mappings_[space].erase(hashOf(s), code(e));
  uint32_t& entry = map_.at(s.protocol, e);
  entry = links.bindingNext;
  if (entry != 0) {
    const Session& next = sessions_[entry - 1];
    if (keyed && findDynamic(Key::of(next)) == kNone) {
      const auto hash = [this, &s](uint32_t value) {
        return hashOf(sessions_[map_.at(s.protocol, decode(value)) - 1]);
      };
      mappings_[space].insert(hashOf(next), code(e), hash);
    }
    return;
  }
  pool_.give(space, e);
  if (blocks_.enabled()) blocks_.bindingEnded(e, hosts);
}

void Bindings::unpair(Host& host) {
  if (host.isPaired) hostsPaired_[host.paired]--;
  host.isPaired = false;
}

void Bindings::sessionBegan(uint32_t slot, const Session& session) {
  hosts[slot].sessions++;
  if ((session.flags & kPermanent) == 0) hosts[slot].pooled++;
}

void Bindings::sessionEnded(uint32_t slot, const Session& session) {
  Host& host = hosts[slot];
  host.sessions--;
  if ((session.flags & kPermanent) == 0 && --host.pooled == 0) unpair(host);
  releaseIdle(slot);
}

void Bindings::releaseIdle(uint32_t slot) {
  Host& host = hosts[slot];
  if (host.pooled == 0) unpair(host);
  if (host.sessions != 0) return;
  while (host.blocks != 0) blocks_.release(host.blocks - 1, hosts);
  hosts.release(slot);
}

}  // namespace napt
