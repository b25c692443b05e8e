#include "nat/audit.h"

namespace napt {

void Audit::require(bool ok, const char* what, uint64_t a, uint64_t b) {
  if (!ok) throw Fault{what + (" (" + std::to_string(a)) + ", " + std::to_string(b) + ")"};
}

std::string Audit::of(Translator& nat) {
  Audit audit(nat);
  try {
    audit.sessions();
    audit.timers();
    audit.lists();
    audit.owners();
    audit.portMap();
    audit.indexes();
    audit.freePorts();
    audit.hosts();
    audit.blocks();
    audit.permits();
    audit.fragments();
    audit.packets();
    audit.gateways();
    audit.counts();
  } catch (const Fault& fault) {
    return fault.what;
  }
  return "";
}

bool Audit::shares(uint32_t slot) const {
  const Session& s = nat_.sessions_[slot];
  return Bindings::shares(Key::of(s), bindings_.policyOf(s));
}
Behaviour Audit::mappingOf(uint32_t slot) const {
  const Session& s = nat_.sessions_[slot];
  return Bindings::mappingOf(Key::of(s), bindings_.policyOf(s));
}

/// Every entry lies in its bucket with its tag, and none is lost.
template <class HashOf>
void Audit::index(const Index& index, HashOf hashOf) {
  uint32_t entries = 0, chained = 0, spare = 0;
  require(index.live_ >= index.round_ && index.live_ < 2 * index.round_, "index: round");
  for (size_t at = 0; at < index.live_; at++) {
    for (const Index::Bucket* bucket = &index.buckets_[at];;
         bucket = &index.overflow_[bucket->next - 1]) {
      for (uint32_t i = 0; i < Index::kSlots; i++) {
        if (bucket->tag[i] == 0) continue;
        const uint64_t hash = hashOf(bucket->slot[i]);
        require(bucket->tag[i] == Index::tagOf(hash), "index: tag", at, bucket->slot[i]);
        require(index.bucketOf(hash) == at, "index: bucket", at, bucket->slot[i]);
        entries++;
      }
      if (bucket->next == 0) break;
      require(++chained <= index.usedOverflow_, "index: overflow loops", at);
    }
  }
  for (uint32_t link = index.freeOverflow_; link != 0; link = index.overflow_[link - 1].next) {
    require(++spare <= index.usedOverflow_, "index: free overflow loops");
  }
  require(entries == index.count_, "index: entries", entries, index.count_);
  require(chained + spare == index.usedOverflow_, "index: overflow lost", chained, spare);
}

void Audit::sessions() {
  const SessionTable& table = nat_.sessions_;
  std::set<uint32_t> free;
  for (uint32_t link = table.free_; link != 0; link = table.links_[link - 1].timerNext) {
    require(link <= table.used_ && free.insert(link - 1).second, "sessions: free list", link);
  }
  for (uint32_t slot = 0; slot < table.used_; slot++) {
    const bool used = table[slot].protocol != 0;
    require(used != free.contains(slot), "sessions: neither free nor used, or both", slot);
    if (!used) continue;
    live_.insert(slot);
    require(table.find(Key::of(table[slot])) == slot, "sessions: not found by its key", slot);
    session(slot);
  }
  require(table.size() == live_.size(), "sessions: size", table.size(), live_.size());
  index(table.index_, [&](uint32_t slot) { return table.hash(Key::of(table[slot])); });
}

/// One record: what it says about itself.
void Audit::session(uint32_t slot) {
  const Session& s = nat_.sessions_[slot];
  require(s.address < nat_.addresses_.size(), "session: address", slot, s.address);
  const PublicAddress& own = nat_.addresses_[s.address];
  require(s.publicAddress == own.address, "session: public address", slot);
  require(s.profile == nat_.profileOf(nat_.inside_.policyOf(s.inside), s.protocol, s.remotePort),
          "session: profile", slot, s.profile);
  require(s.last <= std::max(nat_.now_, nat_.latest_) || isAnchor(s),
          "session: idle since the future", slot);
  const auto isOneOf = [&](Timeout a, Timeout b) { return s.timeout == a || s.timeout == b; };
  // A RST in a connection that is opening or closing leaves it its time.
  const bool reset = (s.state & kReset) != 0 && isOneOf(Timeout::TcpOpening, Timeout::TcpClosing);
  const bool fits =
      isAnchor(s)           ? s.timeout == Timeout::Explicit
      : s.protocol == kTcp  ? s.timeout == tcpTimeout(s.state) || reset
      : s.protocol == kDccp ? isOneOf(Timeout::DccpEstablished, Timeout::DccpTransitory)
      : s.protocol == kSctp ? isOneOf(Timeout::SctpEstablished, Timeout::SctpTransitory)
      : s.protocol == kIcmp ? s.timeout == Timeout::Icmp
      : s.protocol == kGre  ? s.timeout == Timeout::Gre
      : s.protocol == kEsp  ? s.timeout == Timeout::Esp
                            : s.timeout == (hasPorts(s.protocol) ? Timeout::Udp : Timeout::Other);
  require(fits, "session: timeout", slot, static_cast<uint64_t>(s.timeout));
  const bool hairpinned = nat_.addresses_.find(s.remote) != PublicAddresses::kNone;
  require(((s.flags & kHairpinned) != 0) == hairpinned, "session: hairpinned", slot);
  const bool permanent = own.isStatic || isForward(placeOf(s));
  require(((s.flags & kPermanent) != 0) == permanent, "session: permanent", slot);
}

/// Whether a forward leads from a public endpoint.
bool Audit::isForward(const Place& place) const {
  const auto [space, address, port] = place;
  for (const Forward& f : config_.forwards) {
    if (portSpace(f.protocol) == space && f.outsidePort == port &&
        f.outside == nat_.addresses_[address].address) {
      return true;
    }
  }
  return false;
}

/// Every session is in one slot of the wheel, which comes no later than its deadline.
void Audit::timers() {
  const Timers& timers = nat_.sessions_.timers;
  std::set<uint32_t> filed;
  for (uint32_t head = 0; head < Timers::kHeads; head++) {
    if (timers.heads_[head] == 0) continue;
    const Timers::Level* level = Timers::kLevels;
    while (head >= level->first + level->slots()) level++;
    const uint64_t turn = level->turn();
    uint64_t visited = (timers.tick_ & ~(turn - 1)) | uint64_t{head - level->first} << level->shift;
    if (visited < timers.tick_) visited += turn;
    require((timers.used_[head / 64] >> (head % 64) & 1) != 0, "timers: unmarked", head);
    uint32_t previous = Timers::kHead | head;
    for (uint32_t link = timers.heads_[head]; link != 0;) {
      const SessionLinks& links = nat_.sessions_.links(link - 1);
      require(live_.contains(link - 1), "timers: no session", link - 1);
      require(filed.insert(link - 1).second, "timers: filed twice", link - 1);
      require(links.timerPrevious == previous, "timers: back link", link - 1);
      const uint64_t deadline = nat_.deadlineOf(link - 1) >> Timers::kTickShift;
      require(visited <= std::max(deadline, timers.tick_), "timers: too late", link - 1, head);
      previous = link;
      link = links.timerNext;
    }
  }
  require(filed.size() == live_.size(), "timers: filed", filed.size(), live_.size());
}

/// Each dynamic session is in the list of one binding, and the list has one inside endpoint and one
/// public endpoint.
void Audit::lists() {
  size_t listed = 0, dynamic = 0, anchors = 0;
  for (const uint32_t slot : live_) {
    const Session& first = nat_.sessions_[slot];
    anchors += isAnchor(first) ? 1 : 0;
    const SessionLinks& links = nat_.sessions_.links(slot);
    if ((first.flags & kPermanent) != 0) {
      require(links.bindingNext == 0 && links.bindingPrevious == 0, "binding: permanent", slot);
      continue;
    }
    dynamic++;
    if (links.bindingPrevious != 0) continue;
    std::set<uint32_t>& list = lists_[slot];
    uint32_t previous = 0;
    for (uint32_t link = slot + 1; link != 0; link = nat_.sessions_.links(link - 1).bindingNext) {
      const Session& s = nat_.sessions_[link - 1];
      require(live_.contains(link - 1) && list.insert(link - 1).second, "binding: list", link - 1);
      require(nat_.sessions_.links(link - 1).bindingPrevious == previous, "binding: back link",
              link - 1);
      require(s.protocol == first.protocol && s.inside == first.inside &&
                  s.insidePort == first.insidePort && s.address == first.address &&
                  s.publicPort == first.publicPort && s.profile < config_.profiles.size(),
              "binding: two endpoints in one", slot, link - 1);
      require(((s.flags ^ first.flags) & kExplicit) == 0, "binding: half explicit", slot);
      previous = link;
    }
    listed += list.size();
  }
  require(anchors == nat_.anchors_, "explicit mappings: number", anchors, nat_.anchors_);
  require(listed == dynamic, "bindings: a session in none, or in two", listed, dynamic);
}

/// A public endpoint is one binding's, or each of its bindings has remotes of its own.
void Audit::owners() {
  std::set<std::tuple<uint8_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t>> shared;
  for (const auto& [head, list] : lists_) {
    const Session& s = nat_.sessions_[head];
    if (choosesPort(head)) {
      require(!isForward(placeOf(s)), "binding: a forward's port", head);
      taken_[placeOf(s)].insert(head);
    }
    if (!shares(head)) continue;
    const bool byPort = mappingOf(head) == Behaviour::AddressAndPortDependent;
    const uint32_t tag = s.protocol == kSctp ? s.end[kIn] : 0;
    require(shared
                .insert({s.protocol, s.address, s.publicPort, s.remote,
                         byPort ? s.remotePort : uint16_t{0}, tag})
                .second,
            "two owners of a public endpoint, for one remote", head, swap16(s.publicPort));
  }
  for (const auto& [place, heads] : taken_) {
    for (const uint32_t head : heads) {
      require(heads.size() == 1 || shares(head), "two owners of a public port", head,
              std::get<2>(place));
      require(mappingOf(head) == mappingOf(*heads.begin()), "shared alike", head);
    }
  }
}

/// The map says what the bindings say, and nothing more.
void Audit::portMap() {
  size_t found = 0;
  for (uint32_t i = 0; i < config_.forwards.size(); i++) {
    const Forward& f = config_.forwards[i];
    const uint32_t space = portSpace(f.protocol), address = nat_.addresses_.find(f.outside);
    if (space == kNoPortSpace) continue;
    require(bindings_.map_.at(space, address, f.outsidePort) == (PortMap::kForward | i),
            "port map: forward", i);
  }
  for (uint32_t address = 0; address < nat_.addresses_.pool(); address++) {
    const PublicAddress& range = nat_.addresses_[address];
    for (uint32_t space = 0; space < kPortSpaces; space++) {
      for (uint32_t port = range.low; port <= range.high; port++) {
        const uint32_t entry = bindings_.map_.at(space, address, static_cast<uint16_t>(port));
        if (entry == 0 || (entry & PortMap::kForward) != 0) continue;
        const auto taken = taken_.find({space, address, port});
        require(taken != taken_.end(), "port map: nobody's", port, entry);
        const uint32_t head = *taken->second.begin();
        const auto count = static_cast<uint32_t>(taken->second.size());
        const uint32_t kind = mappingOf(head) == Behaviour::AddressDependent
                                  ? PortMap::kShared | PortMap::kByAddress
                                  : PortMap::kShared;
        require(entry == (shares(head) ? kind | count : head + 1), "port map: entry", port, entry);
        found++;
      }
    }
  }
  require(found == taken_.size(), "ports taken outside their range", found, taken_.size());
}

/// Each binding is found by its inside endpoint, as the mapping behaviour prescribes, and where it
/// shares its public endpoint by that and the remote.
void Audit::indexes() {
  size_t keyed = 0, shared = 0;
  for (const auto& [head, list] : lists_) {
    const Session& s = nat_.sessions_[head];
    if (mappingOf(head) != Behaviour::AddressAndPortDependent) {
      keyed++;
      // Left to a visitor, a binding for another remote's address may be nobody's way out.
      const bool visitors =
          mappingOf(head) == Behaviour::AddressDependent && (s.flags & kVisitor) != 0;
      const uint32_t found = bindings_.findDynamic(Key::of(s), bindings_.policyOf(s));
      require(visitors || found != Bindings::kNone, "mappings: binding not found", head);
    }
    if (!shares(head)) continue;
    shared++;
    const Arrival arrival{s.protocol, endpointOf(s), s.remote, s.remotePort,
                          s.protocol == kSctp ? s.end[kIn] : 0};
    require(bindings_.findShared(arrival, mappingOf(head)) == head, "shared: not found", head);
  }
  const auto isHead = [&](uint32_t slot) {
    require(lists_.contains(slot), "bindings: an index has no first session", slot);
    return slot;
  };
  index(bindings_.mappings_, [&](uint32_t slot) { return bindings_.mappingHash(isHead(slot)); });
  index(bindings_.shared_, [&](uint32_t slot) { return bindings_.sharedHash(isHead(slot)); });
  // Bindings of one inside endpoint, such as an earlier config allowed, need only one entry.
  require(bindings_.mappings_.size() <= keyed, "mappings: too many", keyed);
  require(bindings_.shared_.size() == shared, "shared: number", shared);
}

/// A port is free exactly if nobody has it and it does not rest.
void Audit::freePorts() {
  PortPool& pool = bindings_.pool_;
  for (uint32_t address = 0; address < nat_.addresses_.size(); address++) {
    const PublicAddress& range = nat_.addresses_[address];
    for (uint32_t space = 0; space < kPortSpaces; space++) {
      const PortSet& set = pool.sets_[pool.numberOf(space, address)];
      const Place from{space, address, 0}, to{space, address, 65536};
      if (!set.filled) {
        require(set.count() == 0 && taken_.lower_bound(from) == taken_.lower_bound(to),
                "ports: a set that was not filled", space, address);
        continue;
      }
      PortSet expected{};
      for (uint32_t port = range.low; port <= range.high; port++) {
        expected.add(static_cast<uint16_t>(port));
      }
      const auto remove = [&](uint32_t port) {
        const auto number = static_cast<uint16_t>(port);
        if (expected.contains(number)) expected.remove(number);
      };
      for (auto at = taken_.lower_bound(from); at != taken_.lower_bound(to); at++) {
        remove(std::get<2>(at->first));
      }
      for (const Forward& f : config_.forwards) {
        const bool here = f.outside == range.address && portSpace(f.protocol) == space;
        if (here) remove(f.outsidePort);
      }
      for (const Sibling& s : config_.siblings) {
        if (s.outside == range.address && portSpace(s.protocol) == space) remove(s.low);
      }
      if (pool.rests(space)) {
        const RestingPorts& resting = pool.resting_[pool.numberOf(space, address)];
        require(resting.count <= pool.mostResting(address), "ports: too many rest", address);
        for (uint32_t i = 0; i < resting.count; i++) {
          const auto port =
              static_cast<uint16_t>(resting.rests[(resting.first + i) % RestingPorts::kMost].port);
          require(expected.contains(port), "ports: rests, and is taken or rests twice", port);
          expected.remove(port);
        }
      }
      require(set.count() == expected.count(), "ports: count", set.count(), expected.count());
      require(std::memcmp(set.words_, expected.words_, sizeof set.words_) == 0 &&
                  std::memcmp(set.summary_, expected.summary_, sizeof set.summary_) == 0,
              "ports: free", space, address);
    }
  }
}

/// Hosts: exactly those with sessions, with what they have.
void Audit::hosts() {
  Hosts& hosts = bindings_.hosts;
  for (const uint32_t slot : live_) {
    const uint32_t host = hosts.find(nat_.sessions_[slot].inside);
    require(host != Hosts::kNone, "host: not found", slot);
    byHost_[host].insert(slot);
  }
  require(hosts.size() == byHost_.size(), "hosts: number", hosts.size(), byHost_.size());
  std::vector<uint32_t> paired(nat_.addresses_.size());
  for (const auto& [slot, slots] : byHost_) {
    host(slot, slots);
    if (hosts[slot].isPaired) paired[hosts[slot].paired]++;
  }
  require(paired == bindings_.hostsPaired_, "hosts: pairings by address");
  index(hosts.index_, [&](uint32_t slot) { return hosts.hash(hosts[slot].address); });
  uint32_t free = 0;
  for (uint32_t link = hosts.free_; link != 0; link = hosts[link - 1].blocks) {
    require(hosts[link - 1].sessions == 0 && ++free <= hosts.used_, "hosts: free list", link);
  }
  require(free + byHost_.size() == hosts.used_, "hosts: lost", free, hosts.used_);
}

void Audit::host(uint32_t slot, const std::set<uint32_t>& slots) {
  const Host& host = bindings_.hosts[slot];
  const Policy& policy = config_.policies[host.policy];
  uint32_t pooled = 0, visitors = 0, ports[4] = {};
  for (const uint32_t at : slots) {
    const Session& s = nat_.sessions_[at];
    if ((s.flags & kVisitor) != 0) visitors++;
    if ((s.flags & kPermanent) != 0) continue;
    pooled++;
    // An ALG's connections come to the public address of their control connection.
    const bool elsewhere = policy.pooling != Pooling::Paired || config_.ftp || config_.pptp;
    require(elsewhere || s.address == host.paired, "host: pairing broken", at, host.paired);
    if (!lists_.contains(at) || !choosesPort(at)) continue;
    ports[0]++;
    if (portSpace(s.protocol) < 3) ports[portSpace(s.protocol) + 1]++;
  }
  require(host.sessions == slots.size(), "host: sessions", host.sessions, slots.size());
  require(host.pooled == pooled, "host: pooled", host.pooled, pooled);
  require(host.visitors == visitors, "host: visitors", host.visitors, visitors);
  require(host.policy == nat_.inside_.policyOf(host.address), "host: policy", host.policy);
  if (config_.deterministic.portsPerHost == 0) {
    require(host.isPaired == (policy.pooling != Pooling::Arbitrary && pooled != 0),
            "host: is paired", slot, pooled);
  }
  for (uint32_t i = 0; bindings_.countsPorts_ && i < 4; i++) {
    require(bindings_.hosts.quota(slot).ports[i] == ports[i], "host: ports", i, ports[i]);
  }
}

/// Blocks: every port in use lies in a block of its host's, whose bindings are counted.
void Audit::blocks() {
  PortBlocks& blocks = bindings_.blocks_;
  const Hosts& hosts = bindings_.hosts;
  if (!blocks.enabled()) return;
  std::set<uint32_t> used, free;
  std::vector<uint32_t> taken(nat_.addresses_.size());
  size_t inBlocks = 0;
  for (const auto& [host, slots] : byHost_) {
    for (uint32_t link = hosts[host].blocks; link != 0; link = blocks[link - 1].next) {
      const PortBlock& block = blocks[link - 1];
      require(used.insert(link - 1).second, "block: twice", link - 1);
      require(block.host == host, "block: another host's", link - 1, host);
      uint32_t bindings = 0;
      for (const auto& [place, heads] : taken_) {
        const auto [space, address, port] = place;
        if (address != block.address || port < block.low || port > block.high) continue;
        bindings++;
        require(heads.size() == 1 && slots.contains(*heads.begin()), "block: another's port", port);
      }
      require(block.bindings == bindings, "block: bindings", block.bindings, bindings);
      inBlocks += bindings;
      if (block.fixed) continue;
      const uint32_t number = (block.low - blocks.firstOf(block.address)) / blocks.size_;
      require(block.high - block.low + 1u == blocks.size_ &&
                  blocks.owners_[blocks.at(block.address, number)] == link,
              "block: owner", link, number);
      taken[block.address]++;
    }
  }
  require(inBlocks == taken_.size(), "blocks: a port in none", inBlocks, taken_.size());
  for (size_t i = 0; i < blocks.restCount_; i++) {
    const auto& rest = blocks.resting_[(blocks.restFirst_ + i) % blocks.resting_.capacity()];
    require(blocks.owners_[blocks.at(rest.address, rest.number)] == PortBlocks::kResting,
            "block: rests, and has an owner", rest.number);
    taken[rest.address]++;
  }
  require(taken == blocks.taken_, "blocks: taken");
  for (uint32_t at = blocks.free_; at != 0; at = blocks[at - 1].next) {
    require(!used.contains(at - 1) && free.insert(at - 1).second, "blocks: free list", at);
  }
  require(used.size() + free.size() == blocks.used_, "blocks: lost", used.size(), free.size());
}

/// Address-dependent filtering lets in exactly the remotes of sessions.
void Audit::permits() {
  const Permits& permits = bindings_.permits_;
  std::map<std::tuple<uint8_t, uint16_t, uint16_t, uint32_t>, uint32_t> expected;
  for (const auto& [head, list] : lists_) {
    for (const uint32_t slot : list) {
      const Session& s = nat_.sessions_[slot];
      const PublicEndpoint e = endpointOf(s);
      if (bindings_.needsPermits(s)) expected[{s.protocol, e.address, e.port, s.remote}]++;
    }
  }
  for (const auto& [key, sessions] : expected) {
    const auto [protocol, address, port, remote] = key;
    const uint32_t slot = permits.find({protocol, {address, port}, remote});
    require(slot != Index::kNone, "permits: missing", port, remote);
    require(permits.permits_[slot].sessions == sessions, "permits: sessions", port, sessions);
  }
  require(permits.index_.size() == expected.size(), "permits: number", permits.index_.size());
  index(permits.index_, [&](uint32_t slot) { return permits.hash(permits.permits_[slot].entry); });
}

/// Datagrams by age, and those among them that wait; only these have fragments that wait.
void Audit::fragments() {
  Fragments& fragments = nat_.fragments_;
  uint32_t datagrams = 0, free = 0, older = 0, olderWaiting = 0;
  uint64_t began = 0;
  for (uint32_t link = fragments.oldest_; link != 0;) {
    Datagram& d = fragments.datagrams_[link - 1];
    require(++datagrams <= fragments.used_, "fragments: list loops");
    require(d.older == older && d.began >= began, "fragments: order", link);
    require(fragments.find(d.key) == &d, "fragments: not found by its key", link);
    if (d.state == DatagramState::Waiting) {
      require(d.olderWaiting == olderWaiting, "fragments: order of those that wait", link);
      require((olderWaiting == 0 ? fragments.oldestWaiting_
                                 : fragments.datagrams_[olderWaiting - 1].newerWaiting) == link,
              "fragments: list of those that wait", link);
      olderWaiting = link;
    } else {
      require(d.waiting.empty(), "fragments: decided, and some wait", link);
    }
    waiting_ += d.waiting.size();
    list(d.waiting, "packets: waiting");
    began = d.began;
    older = link;
    link = d.newer;
  }
  require(fragments.newest_ == older, "fragments: newest");
  require(fragments.newestWaiting_ == olderWaiting, "fragments: newest that waits");
  for (uint32_t link = fragments.free_; link != 0; link = fragments.datagrams_[link - 1].newer) {
    require(++free <= fragments.used_, "fragments: free list loops");
  }
  require(datagrams + free == fragments.used_, "fragments: lost", datagrams, free);
  index(fragments.index_,
        [&](uint32_t slot) { return fragments.hash(fragments.datagrams_[slot].key); });
}

/// Each stored packet is in one list.
void Audit::packets() {
  list(nat_.outbox_, "packets: outbox");
  list(nat_.unanswered_, "packets: unanswered");
  const PacketStore& store = nat_.store_;
  require(store.taken_ == stored_.size(), "packets: taken", store.taken_, stored_.size());
  for (uint32_t link = store.free_; link != 0; link = store.packets_[link - 1].next) {
    require(stored_.insert(link).second, "packets: free and used", link);
  }
  require(stored_.size() == store.used_, "packets: lost", stored_.size(), store.used_);
}

void Audit::list(const PacketList& packets, const char* name) {
  uint32_t size = 0, last = 0;
  packets.each(nat_.store_, [&](uint32_t link) {
    require(stored_.insert(link).second, name, link);
    last = link;
    size++;
  });
  require(size == packets.size_ && last == packets.last_, name, size, packets.size_);
}

/// What ALGs keep belongs to sessions.
void Audit::gateways() {
  uint32_t watched = 0, calls = 0;
  for (const uint32_t slot : live_) {
    const Session& s = nat_.sessions_[slot];
    if ((s.flags & kWatched) != 0) {
      const Watch* watch = nat_.watches_.find(slot);
      require(watch != nullptr && watch->session == slot, "watches: missing", slot);
      watched++;
    }
    if (s.protocol != kGre || s.end[kOut] == 0) continue;
    calls++;
    const auto id = static_cast<uint16_t>(s.end[kOut]);
    require(nat_.calls_.find(s.inside, s.remote, id) == slot, "calls: not found", slot, id);
  }
  require(nat_.watches_.size() == watched, "watches: number", nat_.watches_.size(), watched);
  require(nat_.calls_.index_.size() == calls, "calls: number", calls);
  index(nat_.watches_.index_,
        [&](uint32_t at) { return nat_.watches_.hash(nat_.watches_.watches_[at].session); });
  index(nat_.calls_.index_, [&](uint32_t slot) { return nat_.calls_.hash(slot); });
}

void Audit::counts() {
  const Stats& stats = nat_.stats;
  uint64_t drops = 0;
  for (const uint64_t n : stats.drops) drops += n;
  require(stats.drops[0] == 0, "stats: dropped for no reason", stats.drops[0]);
  require(stats.packetsHeld == waiting_, "stats: held", stats.packetsHeld, waiting_);
  // What goes on to a sibling is counted out there.
  require(
      !config_.siblings.empty() || stats.packetsIn == stats.packetsOut + drops + stats.packetsHeld,
      "stats: packets", stats.packetsIn, stats.packetsOut);
  require(stats.sessionsActive == live_.size(), "stats: active", stats.sessionsActive);
  require(stats.sessionsCreated == stats.sessionsActive + stats.sessionsExpired +
                                       stats.sessionsDeleted + stats.sessionsEvicted,
          "stats: sessions", stats.sessionsCreated, stats.sessionsActive);
}

}  // namespace napt
