// The fast path: established sessions, stage by stage over blocks of a batch.
//
//   1  parse, direction, hash; prefetch the bucket or the port's entry
//   2  read the candidate slot there; prefetch the session
//   3  compare, check, rewrite; or hand the packet to the slow path, in order
//
// A stage only ever prepares the next: stage 3 compares the whole key and the session's clock, so
// what the packets before it did to the tables can't mislead it.
#include "nat/translator.h"

namespace napt {

/// PPTP carries GRE of its own kind, whatever else is carried.
static Config withCalls(Config config) {
  if (config.pptp) config.protocols.addCalls();
  return config;
}

Translator::Translator(const Config& config, Seed seed)
    : config_(withCalls(config)),
      addresses_(config_),
      inside_(config_.inside),
      exemptions_(config_.exemptions),
      random_(seed),
      sessions_(seed),
      bindings_(config_, addresses_, inside_, sessions_, now_),
      fragments_(sessions_.hashKey()),
      watches_(sessions_.hashKey()),
      calls_(sessions_),
      identifications_(sessions_.hashKey()) {
  for (const Profile& profile : config_.profiles) {
    const size_t at = timeouts_.size();
    timeouts_.resize(at + (size_t{1} << kTimeoutShift));
    std::copy(profile.timeouts, profile.timeouts + kIdleTimeouts, &timeouts_[at]);
    inboundRefreshes_.push_back(config_.policies[profile.policy].inboundRefresh);
  }
  for (const uint32_t mtu : {config_.insideMtu, config_.outsideMtu}) {
    if (mtu != 0) smallestMtu_ = std::min(smallestMtu_, mtu);
  }
}

bool Translator::reserve() {
  const uint32_t limit = config_.sessionLimit;
  const uint32_t capacity = limit == 0 || limit > SessionTable::kMost ? SessionTable::kMost : limit;
  // Room for errors of its own, and for the pieces of a batch of packets that are too big.
  constexpr uint32_t kOwnPackets = 16384;
  return sessions_.reserve(capacity) && bindings_.reserve() && fragments_.reserve() &&
         identifications_.reserve() && watches_.reserve() && calls_.reserve() &&
         store_.reserve(config_.fragmentLimit + kOwnPackets);
}

std::unique_ptr<Translator> Translator::create(const Config& config, Seed seed) {
  std::unique_ptr<Translator> made(new Translator(config, seed));
  if (!made->reserve()) return nullptr;
  return made;
}

namespace {

constexpr uint32_t kBlock = 64;
constexpr uint32_t kNone = SessionTable::kNone;

enum class Path : uint8_t {
  Slow,    // not for the fast path
  Keyed,   // by the hash of its key: outbound, and inbound to a 1:1 address
  Mapped,  // inbound, by the entry of its public port
};

/// One packet between the stages.
struct Lane {
  uint8_t* p;
  Key key;  // of Keyed; of Mapped only the remote's half is meant
  uint64_t hash;
  uint64_t now;
  const uint32_t* entry;  // of Mapped
  uint32_t length, wire, total, slot;
  uint32_t own;  // the public address it is for, kNone outbound
  Path path;
  bool partial, keepsId, fromOutside;
  uint8_t icmpType;
};

}  // namespace

/// One call of translateBatch: what it carries from block to block.
struct BatchRun {
  Translator& nat;
  Descriptor* descriptors;
  uint8_t* bytes;
  size_t length;
  uint64_t base;
  uint64_t forwarded[3] = {}, forwardedBytes[3] = {};  // outbound, inbound; by protocol below
  uint64_t protocols[3] = {};
  Lane lanes[kBlock];

  void block(uint32_t first, uint32_t count);

 private:
  bool read(const Descriptor& d, Lane& lane) const;
  void classify(Lane& lane) const;
  void probe(Lane& lane) const;
  bool fast(Lane& lane, Result& result);
  bool outbound(Lane& lane, uint32_t slot);
  bool inbound(Lane& lane, uint32_t slot);
  bool track(const Lane& lane, Session& s, Side side) const;
  void rewrite(const Lane& lane, Session& s, Side side, uint32_t extraDelta);
  void touch(const Lane& lane, Session& s, uint32_t slot, Side side);
};

void Translator::translateBatch(Descriptor* descriptors, uint32_t count, uint8_t* bytes,
                                size_t length, uint64_t now) {
  if (now > now_) now_ = now;
  if (!unanswered_.empty()) answerUnsolicited(now_);
  BatchRun run{*this, descriptors, bytes, length, now, {}, {}, {}, {}};
  for (uint32_t first = 0; first < count; first += kBlock) {
    run.block(first, std::min(kBlock, count - first));
  }
  for (uint32_t side : {kOut, kIn}) {
    const auto direction =
        static_cast<uint32_t>(side == kOut ? Direction::Outbound : Direction::Inbound);
    stats.packetsIn += run.forwarded[side];
    stats.packetsOut += run.forwarded[side];
    stats.bytesIn += run.forwardedBytes[side];
    stats.bytesOut += run.forwardedBytes[side];
    stats.byDirection[direction] += run.forwarded[side];
    stats.bytesByDirection[direction] += run.forwardedBytes[side];
  }
  for (uint32_t space = 0; space < 3; space++) stats.byProtocol[space] += run.protocols[space];
}

/// Reads a descriptor once and checks it against the memory; false if it points outside.
bool BatchRun::read(const Descriptor& d, Lane& lane) const {
  const volatile Descriptor& shared = d;
  const uint32_t offset = shared.offset, size = shared.length, wire = shared.wire;
  const uint32_t flags = shared.flags;
  lane.partial = (flags & kPartialChecksum) != 0;
  lane.fromOutside = (flags & kFromOutside) != 0;
  lane.now = base + shared.delay;
  const bool inside = offset <= length && size <= length - offset;
  lane.p = bytes + (inside ? offset : 0);
  lane.length = inside ? size : 0;
  lane.wire = wire > lane.length ? wire : lane.length;
  return inside;
}

/// Stage 1. Anything unusual is left to the slow path.
void BatchRun::classify(Lane& lane) const {
  lane.path = Path::Slow;
  const uint8_t* p = lane.p;
  if (lane.length < kIpHeader + kUdpHeader) return;
  const uint16_t fragment = load<uint16_t>(p + kIpFragment);
  const uint8_t protocol = p[kIpProtocol];
  const uint32_t total = load16be(p + kIpTotal);
  const uint32_t least = kIpHeader + (protocol == kTcp ? kTcpHeader : kUdpHeader);
  if (p[0] != 0x45 || (fragment & kFragmentMask) != 0 || total > lane.length || total < least ||
      p[kIpTtl] < 2 || total > nat.smallestMtu_ || portSpace(protocol) > portSpace(kIcmp)) {
    return;
  }
  if (nat.config_.verifyHeaderChecksum) {
    const uint64_t sum = uint64_t{load<uint32_t>(p)} + load<uint32_t>(p + 4) +
                         load<uint32_t>(p + 8) + load<uint32_t>(p + 12) + load<uint32_t>(p + 16);
    if (fold(sum) != 0xffff) return;
  }
  lane.total = total;
  lane.keepsId = (fragment & kDontFragment) != 0;
  const uint32_t source = load<uint32_t>(p + kIpSource);
  const uint32_t destination = load<uint32_t>(p + kIpDestination);
  uint16_t sourcePort = load<uint16_t>(p + kIpHeader);
  uint16_t destinationPort = load<uint16_t>(p + kIpHeader + 2);
  uint16_t remotePort = destinationPort;
  if (protocol == kIcmp) {
    lane.icmpType = p[kIpHeader];
    if (!isIcmpQuery(lane.icmpType) && !isIcmpReply(lane.icmpType)) return;
    sourcePort = destinationPort = load<uint16_t>(p + kIpHeader + kIcmpId);
    remotePort = 0;
  }
  lane.own = nat.addresses_.find(destination);
  if (lane.own == PublicAddresses::kNone) {
    lane.key = Key::of(source, destination, sourcePort, remotePort, protocol);
  } else {
    const PublicAddress& own = nat.addresses_[lane.own];
    lane.key = Key::of(own.inside, source, destinationPort,
                       protocol == kIcmp ? uint16_t{0} : sourcePort, protocol);
    if (!own.isStatic) {
      lane.path = Path::Mapped;
      lane.entry = nat.bindings_.entry(portSpace(protocol), lane.own, swap16(destinationPort));
      __builtin_prefetch(lane.entry, 0, 3);
      return;
    }
  }
  lane.path = Path::Keyed;
  lane.hash = nat.sessions_.hash(lane.key);
  nat.sessions_.prefetch(lane.hash);
}

/// Stage 2.
void BatchRun::probe(Lane& lane) const {
  lane.slot = kNone;
  if (lane.path == Path::Keyed) {
    lane.slot = nat.sessions_.candidate(lane.hash);
  } else if (lane.path == Path::Mapped) {
    const uint32_t entry = *lane.entry;
    if (entry != 0 && (entry & (PortMap::kForward | PortMap::kShared)) == 0) {
      lane.slot = entry - 1;
    }
    if ((entry & PortMap::kForward) != 0) {
      const Forward& f = nat.config_.forwards[entry & ~PortMap::kForward];
      lane.key = Key::of(f.inside, lane.key.remote(), swap16(f.insidePort), lane.key.remotePort(),
                         f.protocol);
      lane.hash = nat.sessions_.hash(lane.key);
      lane.path = Path::Keyed;
      lane.slot = nat.sessions_.candidate(lane.hash);
    }
  }
  if (lane.slot != kNone) __builtin_prefetch(&nat.sessions_[lane.slot], 1, 3);
}

/// TCP and ICMP: does the packet leave the session's state as it is? Takes over the window.
bool BatchRun::track(const Lane& lane, Session& s, Side side) const {
  if (s.protocol == kUdp) return true;
  const uint8_t* transport = lane.p + kIpHeader;
  if (s.protocol == kIcmp) {
    return (s.flags & kPermanent) != 0 || isIcmpQuery(lane.icmpType) == (side == kOut);
  }
  const uint8_t flags = transport[kTcpFlags];
  const uint32_t header = (transport[12] >> 4) * 4u, whole = lane.total - kIpHeader;
  if (!isPlainTcp(s, side, flags) || header < kTcpHeader || header > whole) return false;
  const uint32_t sequence = load32be(transport + kTcpSequence);
  // Far from what was sent last: whether it is plausible is for `trackTcp` to say.
  constexpr uint32_t kNear = 65535;
  if (sequence - s.end[side] + kNear > 2 * kNear) return false;
  trackWindow(s, side, sequence, whole - header, load32be(transport + kTcpAck),
              load16be(transport + kTcpWindow), true);
  return true;
}

/// Writes the packet from the deltas that the session keeps.
void BatchRun::rewrite(const Lane& lane, Session& s, Side side, uint32_t extraDelta) {
  uint8_t* p = lane.p;
  uint8_t* transport = p + kIpHeader;
  const bool out = side == kOut;
  const uint32_t address = nat.addressOf(s);
  const uint32_t addressDelta = out ? delta32(s.inside, address) : delta32(address, s.inside);
  const uint32_t transportDelta = out ? s.transportDelta : reverse(s.transportDelta);
  const uint16_t port = out ? s.publicPort : s.insidePort;
  if (s.protocol == kIcmp) {
    rewriteIcmpId(transport, lane.total - kIpHeader, port);
  } else {
    const uint32_t at = s.protocol == kTcp ? kTcpChecksum : kUdpChecksum;
    const uint16_t before = load<uint16_t>(transport + at);
    if (lane.partial) {
      store(transport + at, adjustPartial(before, addressDelta));
    } else {
      // No branch for UDP's two rules: traffic mixes, and a wrong guess costs more than this.
      const bool udp = s.protocol == kUdp;
      uint16_t after = adjust(before, transportDelta);
      after = udp && after == 0 ? uint16_t{0xffff} : after;
      after = udp && before == 0 ? uint16_t{0} : after;
      store(transport + at, after);
    }
    store(transport + (out ? 0 : 2), port);
  }
  const uint32_t ttlDelta = nat.config_.decrementTtl ? kTtlDelta : 0;
  p[kIpTtl] = static_cast<uint8_t>(p[kIpTtl] - (nat.config_.decrementTtl ? 1 : 0));
  store(p + kIpChecksum,
        adjust(load<uint16_t>(p + kIpChecksum), addressDelta + ttlDelta + extraDelta));
  store(p + (out ? kIpSource : kIpDestination), out ? address : s.inside);
}

void BatchRun::touch(const Lane& lane, Session& s, uint32_t slot, Side side) {
  nat.sessions_.count(slot, side, lane.total);
  forwarded[side]++;
  forwardedBytes[side] += lane.length;
  protocols[portSpace(s.protocol)]++;
}

bool BatchRun::outbound(Lane& lane, uint32_t slot) {
  Session& s = nat.sessions_[slot];
  if (!matches(s, lane.key) || !nat.isLive(slot) || !track(lane, s, kOut)) return false;
  s.last = std::max(s.last, nat.now_);
  uint32_t idDelta = 0;
  if (!lane.keepsId) {
    const uint16_t id = load<uint16_t>(lane.p + kIpId);
    const uint16_t sent = nat.identifications_.assign(id, s.inside, nat.addressOf(s), s.remote,
                                                      s.protocol, nat.now_, nat.random_);
    if (sent != id) {
      idDelta = delta16(id, sent);
      store(lane.p + kIpId, sent);
    }
  }
  rewrite(lane, s, kOut, idDelta);
  touch(lane, s, slot, kOut);
  return true;
}

bool BatchRun::inbound(Lane& lane, uint32_t slot) {
  Session& s = nat.sessions_[slot];
  // Only hairpinned packets may come from an own endpoint; from outside it would be spoofed.
  if ((s.flags & kHairpinned) != 0) return false;
  if (!nat.isLive(slot) || !track(lane, s, kIn)) return false;
  if (s.protocol == kTcp || nat.inboundRefreshes_[s.profile] != 0) {
    s.last = std::max(s.last, nat.now_);
  }
  rewrite(lane, s, kIn, 0);
  touch(lane, s, slot, kIn);
  return true;
}

/// Stage 3. False when the slow path must look at it; the packet is untouched then.
bool BatchRun::fast(Lane& lane, Result& result) {
  uint32_t slot = lane.slot;
  if (lane.path == Path::Slow || slot == kNone) return false;
  if (lane.own == PublicAddresses::kNone) {
    if (lane.fromOutside || !outbound(lane, slot)) return false;
    result.direction = Direction::Outbound;
  } else {
    const uint8_t protocol = lane.key.protocol();
    const Session* s = &nat.sessions_[slot];
    const uint16_t port = load<uint16_t>(lane.p + kIpHeader + (protocol == kIcmp ? kIcmpId : 2));
    if (lane.path == Path::Mapped && s->remote == lane.key.remote() &&
        s->remotePort == lane.key.remotePort()) {
      // The newest session of the binding, as expected.
    } else {
      // Another session of the binding, or a configured one: the inside endpoint is known now.
      Key key = lane.key;
      if (lane.path == Path::Mapped) {
        // The slow path ends a first session that is due.
        if (s->protocol != protocol || s->publicPort != port || s->address != lane.own ||
            !nat.isLive(slot)) {
          return false;
        }
        key = Key::of(s->inside, key.remote(), s->insidePort, key.remotePort(), protocol);
      }
      if (lane.path == Path::Mapped || !matches(*s, key)) slot = nat.sessions_.find(key);
      if (slot == kNone) return false;
      s = &nat.sessions_[slot];
    }
    if (s->protocol != protocol || s->publicPort != port || s->address != lane.own) return false;
    if (!inbound(lane, slot)) return false;
    result.direction = Direction::Inbound;
  }
  result.verdict = Verdict::Forwarded;
  result.session = slot + 1;
  return true;
}

void BatchRun::block(uint32_t first, uint32_t count) {
  constexpr uint32_t kAhead = 8;
  Descriptor* d = descriptors + first;
  for (uint32_t i = 0; i < count; i++) {
    if (i + kAhead < count) __builtin_prefetch(bytes + d[i + kAhead].offset, 1, 3);
    if (read(d[i], lanes[i])) {
      classify(lanes[i]);
    } else {
      lanes[i].path = Path::Slow;
    }
  }
  for (uint32_t i = 0; i < count; i++) probe(lanes[i]);
  for (uint32_t i = 0; i < count; i++) {
    Lane& lane = lanes[i];
    if (lane.now > nat.now_) nat.now_ = lane.now;
    Result result;
    if (fast(lane, result)) {
      nat.sweepCredit_ += Translator::kSweepPerPacket;
    } else {
      const PacketView packet{lane.p, lane.length, lane.wire, lane.partial, lane.fromOutside};
      result = nat.process(packet, d[i].tag);
    }
    d[i].verdict = result.packed();
    d[i].session = result.session;
  }
}

}  // namespace napt
