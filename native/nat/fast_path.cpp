// The fast path: established sessions, stage by stage over blocks of a batch.
//
//   1  read the descriptor and the header; which side is it from? Anything unusual is left to the
//      slow path
//   2  prefetch what names the session: outbound (and inbound to a 1:1 address) the bucket of its
//      key's hash, inbound the entry of its port
//   3  read the slot there; prefetch the session
//   4  in order: compare, check, rewrite, count; or hand the packet to the slow path
//
// A stage only ever prepares the next: the last one compares all that it writes by and the
// session's clock, so what the packets before it did to the tables can't mislead it.
//
// Traffic mixes directions and protocols, and a branch that is guessed wrong costs as much as a
// dozen instructions. So a session's endpoints lie as packets have them, and a packet's direction
// is an offset to compare and to write at (session.h).
#include "nat/translator.h"
#include "packet/tcp_options.h"

namespace napt {

namespace {

constexpr uint32_t kBlock = 64;
constexpr uint32_t kNone = SessionTable::kNone;

/// What the path has to know of a protocol: the least that a packet has to be (of others: more than
/// it can), its port space, and where its checksum lies.
struct Shapes {
  uint16_t least[256];
  uint8_t space[256] = {}, checksum[256] = {};

  constexpr Shapes() : least() {
    for (uint16_t& total : least) total = 0xffff;
    for (const uint8_t protocol : {kTcp, kUdp, kIcmp}) {
      least[protocol] = static_cast<uint16_t>(kIpHeader + minimumHeader(protocol));
      space[protocol] = static_cast<uint8_t>(portSpace(protocol));
      checksum[protocol] = static_cast<uint8_t>(kIpHeader + checksumOffset(protocol));
    }
  }
};
constexpr Shapes kShapes;
constexpr uint32_t kLeast = kIpHeader + kUdpHeader;

/// One packet between the stages. Nothing in it is a byte: what stores bytes could store anything,
/// and the compiler would read all it knows again.
struct alignas(64) Lane {
  uint8_t* p;
  const void* place;  // what leads to its session: a bucket of the index, or the entry of its port
  uint64_t hash;
  uint32_t length, total;
  uint32_t ports;  // source's, destination's << 16; of ICMP: the identifier at its own end, and 0
  uint32_t protocol, flags;
  uint32_t side;
  uint32_t address;  // the public address that it is for, plus one; 0 outbound
  uint32_t slot;
};

/// Whether a header of 20 bytes, given as three words, sums to zero.
inline bool isSound(uint64_t first, uint64_t second, uint32_t third) {
  return fold(addWithCarry(addWithCarry(first, second), uint64_t{third})) == 0xffff;
}

template <class T>
inline T at(const Session& s, size_t offset) {
  return load<T>(reinterpret_cast<const uint8_t*>(&s) + offset);
}

/// Whether a packet is a session's: both ends and the protocol are what this session's packets have
/// in this direction.
inline bool isOf(const Session& s, const Lane& lane) {
  const size_t side = lane.side;
  const uint64_t addresses =
      at<uint64_t>(s, offsetof(Session, inside) + 4 * side) ^ load<uint64_t>(lane.p + kIpSource);
  const uint32_t ports = at<uint32_t>(s, offsetof(Session, insidePort) + 2 * side) ^ lane.ports;
  // Only hairpinned packets may come from an own endpoint; from outside it would be spoofed.
  static_assert(kHairpinned == kIn << 2);
  const uint32_t spoofed = s.flags & lane.side << 2;
  return (addresses | ports | spoofed | (s.protocol ^ lane.protocol)) == 0;
}

/// Whether a TCP segment leaves the session's state as it is. Takes over the window.
inline bool trackPlain(Session& s, const uint8_t* transport, uint32_t whole, Side side) {
  const uint8_t flags = transport[kTcpFlags];
  const uint32_t header = transport[12] >> 2 & ~3u;
  if (!isPlainTcp(s, side, flags) || header - kTcpHeader > whole - kTcpHeader) return false;
  const uint32_t sequence = load32be(transport + kTcpSequence);
  // Far from what was sent last: whether it is plausible is for `trackTcp` to say.
  constexpr uint32_t kNear = 65535;
  if (sequence - s.end[side] + kNear > 2 * kNear) return false;
  trackWindow(s, side, sequence, whole - header, load32be(transport + kTcpAck),
              load16be(transport + kTcpWindow), true);
  return true;
}

}  // namespace

/// One call of translateBatch.
class FastPath {
 public:
  FastPath(Translator& nat, uint8_t* bytes, size_t length, uint64_t base)
      : nat_(nat), bytes_(bytes), length_(length), base_(base) {}

  void block(Descriptor* descriptors, uint32_t count);
  void finish();

  /// The stages for a lone packet.
  Result alone(const PacketView& packet, uint32_t tag);

 private:
  struct Known;

  Known known() const;
  void read(const Descriptor* descriptors, uint32_t count);
  bool readOne(const Descriptor& d, Lane& lane) const;
  bool inspect(Lane& lane) const;
  void find();
  void findRest(uint64_t missing);
  const uint32_t* entryOf(const Lane& lane) const;
  uint32_t behind(const Lane& lane, uint32_t entry) const;
  Key keyOf(const Lane& lane) const;
  void translate(Descriptor* descriptors, uint32_t count);
  bool translateOne(const Known& known, Lane& lane, uint64_t now);
  void rewrite(const Known& known, const Lane& lane, const Session& s, uint32_t idDelta);
  bool belongsToAnother(Lane& lane, uint64_t now) const;
  uint32_t renumber(const Lane& lane, const Session& s, uint64_t now);
  bool mayBegin(const Lane& lane) const;
  Result begin(const Known& known, Lane& lane, const PacketView& packet, uint32_t tag);
  Result otherwise(const Known& known, const Descriptor& d, Lane& lane);
  void credit();

  Translator& nat_;
  uint8_t* const bytes_;
  const size_t length_;
  const uint64_t base_;
  // What was forwarded, by direction and by protocol.
  uint64_t packets_[2] = {}, octets_[2] = {};
  uint64_t tcp_ = 0, icmp_ = 0;
  uint64_t credited_ = 0;  // packets that the sweeping of sessions knows of
  // Lanes, a bit each, by how they find their session: by their key's hash, or by the entry of
  // their port.
  uint64_t keyed_ = 0, mapped_ = 0;
  Lane lanes_[kBlock];
};

void Translator::translateBatch(Descriptor* descriptors, uint32_t count, uint8_t* bytes,
                                size_t length, uint64_t now) {
  if (now > now_) now_ = now;
  if (!unanswered_.empty()) answerUnsolicited(now_);
  FastPath path(*this, bytes, length, now);
  // Nothing is believed of an offset here: a prefetch never faults.
  const auto prefetch = [&](uint32_t from) {
    const uint32_t to = std::min(count, from + kBlock);
    for (uint32_t i = from; i < to; i++) napt::prefetch(bytes + descriptors[i].offset);
  };
  prefetch(0);
  for (uint32_t first = 0; first < count; first += kBlock) {
    prefetch(first + kBlock);
    path.block(descriptors + first, std::min(kBlock, count - first));
  }
  path.finish();
}

Result Translator::translate(const PacketView& packet, uint32_t tag, uint64_t now) {
  if (now > now_) now_ = now;
  if (!unanswered_.empty()) answerUnsolicited(now_);
  FastPath path(*this, packet.data, packet.length, now_);
  return path.alone(packet, tag);
}

void FastPath::block(Descriptor* descriptors, uint32_t count) {
  read(descriptors, count);
  find();
  translate(descriptors, count);
}

/// Calls `visit` for the lanes of a set, in order.
template <class Visit>
inline void forEach(uint64_t set, Visit visit) {
  for (; set != 0; set &= set - 1) visit(static_cast<size_t>(std::countr_zero(set)));
}

/// Stage 1.
[[gnu::noinline]] void FastPath::read(const Descriptor* descriptors, uint32_t count) {
  uint64_t keyed = 0, mapped = 0;
  for (uint32_t i = 0; i < count; i++) {
    Lane& lane = lanes_[i];
    lane.slot = kNone;
    if (!readOne(descriptors[i], lane)) continue;
    const uint64_t in = lane.address != 0;
    mapped |= in << i;
    keyed |= (in ^ 1) << i;
  }
  if (nat_.addresses_.hasStatics()) {
    forEach(mapped, [&](size_t i) {
      if (nat_.addresses_[lanes_[i].address - 1].isStatic) keyed |= uint64_t{1} << i;
    });
    mapped &= ~keyed;
  }
  keyed_ = keyed;
  mapped_ = mapped;
}

/// Reads a descriptor once and checks it against the memory. False when the packet is not for the
/// fast path; then `p` and `length` are what there is of it.
inline bool FastPath::readOne(const Descriptor& d, Lane& lane) const {
  const volatile Descriptor& shared = d;
  const uint32_t offset = shared.offset, size = shared.length, flags = shared.flags;
  lane.flags = flags;
  // Of what is too short for a header, the bytes behind it are looked at: all in the memory.
  if (size_t{offset} + kLeast > length_ || size > length_ - offset) [[unlikely]] {
    // Where less than a header is left in the memory, it may still be a packet.
    const bool here = offset <= length_ && size <= length_ - offset;
    lane.p = bytes_ + (here ? offset : 0);
    lane.length = here ? size : 0;
    return false;
  }
  lane.p = bytes_ + offset;
  lane.length = size;
  return inspect(lane);
}

/// What is this packet, of which at least `kLeast` bytes can be read? False when it is not for the
/// fast path.
inline bool FastPath::inspect(Lane& lane) const {
  const uint8_t* p = lane.p;
  const uint32_t size = lane.length, flags = lane.flags;
  const auto first = load<uint64_t>(p), second = load<uint64_t>(p + 8);
  const auto destination = load<uint32_t>(p + kIpDestination);
  const uint32_t protocol = second >> 8 & 0xff;
  const uint32_t total = load16be(p + kIpTotal);
  constexpr uint64_t kShape = 0xff | uint64_t{kFragmentMask} << (8 * kIpFragment);
  if ((first & kShape) != 0x45) [[unlikely]]
    return false;
  if (total < kShapes.least[protocol]) [[unlikely]]
    return false;
  if (total > size) [[unlikely]]
    return false;
  if (total > nat_.smallestMtu_) [[unlikely]]
    return false;
  if ((second & 0xff) < 2) [[unlikely]]
    return false;
  if (!isSound(first, second, destination)) [[unlikely]] {
    if (nat_.config_.verifyHeaderChecksum) return false;
  }

  // Nobody's address: what only holds an explicit mapping has it for its remote.
  if (second >> 32 == 0 || destination == 0) [[unlikely]]
    return false;

  const uint32_t address = nat_.addresses_.find(destination) + 1;
  const uint32_t side = address != 0 ? kIn : kOut;
  uint32_t ports = load<uint32_t>(p + kIpHeader);
  if (protocol == kIcmp) [[unlikely]] {
    if (!isIcmpQuery(p[kIpHeader]) && !isIcmpReply(p[kIpHeader])) return false;
    ports = uint32_t{load<uint16_t>(p + kIpHeader + kIcmpId)} << (side == kOut ? 0 : 16);
  }
  static_assert(kFromOutside == kIn << 1);
  if ((flags & ((kFromOutside & ~(side << 1)) | kHairpinnedPacket)) != 0) [[unlikely]]
    return false;
  lane.total = total;
  lane.protocol = protocol;
  lane.ports = ports;
  lane.side = side;
  lane.address = address;
  return true;
}

/// The key of a packet from inside, or to a 1:1 address.
inline Key FastPath::keyOf(const Lane& lane) const {
  if (lane.side == kOut) [[likely]]
    return {load<uint64_t>(lane.p + kIpSource), lane.ports | uint64_t{lane.protocol} << 32};
  return Key::of(nat_.addresses_[lane.address - 1].inside, load<uint32_t>(lane.p + kIpSource),
                 static_cast<uint16_t>(lane.ports >> 16), static_cast<uint16_t>(lane.ports),
                 static_cast<uint8_t>(lane.protocol));
}

/// The entry of the public port that a packet is for.
inline const uint32_t* FastPath::entryOf(const Lane& lane) const {
  return nat_.bindings_.entry(kShapes.space[lane.protocol], lane.address - 1,
                              swap16(static_cast<uint16_t>(lane.ports >> 16)));
}

/// The slot behind the entry of a public port.
inline uint32_t FastPath::behind(const Lane& lane, uint32_t entry) const {
  if ((entry & (PortMap::kForward | PortMap::kShared)) == 0) return entry - 1;  // of 0: kNone
  if ((entry & PortMap::kForward) == 0) return kNone;
  const Forward& f = nat_.config_.forwards[entry & ~PortMap::kForward];
  const Key key = Key::of(f.inside, load<uint32_t>(lane.p + kIpSource), swap16(f.insidePort),
                          static_cast<uint16_t>(lane.ports), f.protocol);
  return nat_.sessions_.candidate(nat_.sessions_.hash(key));
}

/// Stages 2 and 3.
[[gnu::noinline]] void FastPath::find() {
  forEach(keyed_, [&](size_t i) {
    Lane& lane = lanes_[i];
    lane.hash = nat_.sessions_.hash(keyOf(lane));
    lane.place = nat_.sessions_.bucket(lane.hash);
    napt::prefetch(lane.place);
  });
  forEach(mapped_, [&](size_t i) {
    Lane& lane = lanes_[i];
    lane.place = entryOf(lane);
    napt::prefetch(lane.place);
  });

  uint64_t missing = 0;
  forEach(keyed_, [&](size_t i) {
    Lane& lane = lanes_[i];
    const auto* bucket = static_cast<const Index::Bucket*>(lane.place);
    lane.slot = nat_.sessions_.candidate(bucket, lane.hash);
    nat_.sessions_.prefetch(lane.slot);
    if (lane.slot != kNone) [[likely]]
      return;
    missing |= uint64_t{1} << i;
    lane.place = nat_.sessions_.next(bucket);
    napt::prefetch(lane.place);
  });
  forEach(mapped_, [&](size_t i) {
    Lane& lane = lanes_[i];
    lane.slot = behind(lane, *static_cast<const uint32_t*>(lane.place));
    nat_.sessions_.prefetch(lane.slot);
  });
  if (missing != 0) [[unlikely]]
    findRest(missing);
}

/// Of those that their first bucket does not have: a few are in the next one, and new flows will
/// need a binding.
[[gnu::noinline]] void FastPath::findRest(uint64_t missing) {
  const SessionTable& sessions = nat_.sessions_;
  uint64_t fresh = 0;
  forEach(missing, [&](size_t i) {
    Lane& lane = lanes_[i];
    const auto* bucket = static_cast<const Index::Bucket*>(lane.place);
    for (; bucket != nullptr && lane.slot == kNone; bucket = sessions.next(bucket)) {
      lane.slot = sessions.candidate(bucket, lane.hash);
    }
    sessions.prefetch(lane.slot);
    if (lane.slot != kNone) return;
    fresh |= uint64_t{1} << i;
    lane.place = nat_.bindings_.prefetch(keyOf(lane));
  });
  forEach(fresh, [&](size_t i) {
    napt::prefetch(nat_.bindings_.next(static_cast<const Index::Bucket*>(lanes_[i].place)));
  });
}

/// What every packet is looked at with. A copy that nothing points to: the compiler need not fear
/// that writing a packet changes it.
struct FastPath::Known {
  Session* sessions;
  const uint64_t* timeouts;
  const uint8_t* inboundRefreshes;
  bool looksCloser;  // at what has no TCP state: inbound packets may refresh, or first ones be told
  bool tellsFirst;
  uint8_t ttlStep;
  uint32_t ttlDelta;
};

inline FastPath::Known FastPath::known() const {
  const bool decrement = nat_.config_.decrementTtl;
  return {&nat_.sessions_[0],
          nat_.timeouts_.data(),
          nat_.inboundRefreshes_.data(),
          nat_.refreshesInbound_ || nat_.events_.wants(EventType::SessionEstablished),
          nat_.events_.wants(EventType::SessionEstablished),
          decrement ? uint8_t{1} : uint8_t{0},
          decrement ? kTtlDelta : 0u};
}

/// Whether a packet belongs to another session than the one that was expected: of the same binding,
/// or of the same forward or 1:1 mapping. Outbound there is none.
[[gnu::noinline]] bool FastPath::belongsToAnother(Lane& lane, uint64_t now) const {
  if (lane.side == kOut) return false;
  const Session& s = nat_.sessions_[lane.slot];
  // The slow path ends a first session that is due.
  if (s.protocol != lane.protocol || s.publicPort != lane.ports >> 16 ||
      s.address != lane.address - 1 || nat_.deadlineOf(lane.slot) <= now) {
    return false;
  }
  lane.slot = nat_.sessions_.find(Key::of(s.inside, load<uint32_t>(lane.p + kIpSource),
                                          s.insidePort, static_cast<uint16_t>(lane.ports),
                                          static_cast<uint8_t>(lane.protocol)));
  return lane.slot != kNone && isOf(nat_.sessions_[lane.slot], lane);
}

/// Gives a datagram that may be fragmented an identification of its own (RFC 6864).
[[gnu::noinline]] uint32_t FastPath::renumber(const Lane& lane, const Session& s, uint64_t now) {
  const uint16_t id = load<uint16_t>(lane.p + kIpId);
  const uint16_t sent = nat_.identifications_.assign(id, s.inside, s.publicAddress, s.remote,
                                                     s.protocol, now, nat_.random_);
  store(lane.p + kIpId, sent);
  return sent == id ? 0 : delta16(id, sent);
}

/// Stage 4. False when the slow path must look at it; the packet is untouched then.
inline bool FastPath::translateOne(const Known& known, Lane& lane, uint64_t now) {
  if (lane.slot == kNone) [[unlikely]]
    return false;
  if (!isOf(known.sessions[lane.slot], lane) && !belongsToAnother(lane, now)) [[unlikely]]
    return false;
  uint8_t* const p = lane.p;
  const uint32_t total = lane.total, slot = lane.slot, side = lane.side, protocol = lane.protocol;
  Session& s = known.sessions[slot];
  const uint64_t last = s.last;
  if (last + known.timeouts[Translator::idleClass(s)] <= now) [[unlikely]]
    return false;
  uint64_t touched = now;
  if (protocol == kTcp) {
    if (!trackPlain(s, p + kIpHeader, total - kIpHeader, static_cast<Side>(side))) return false;
    tcp_++;
  } else {
    if (protocol == kIcmp && (s.flags & kPermanent) == 0 &&
        isIcmpQuery(p[kIpHeader]) != (side == kOut)) [[unlikely]] {
      return false;
    }
    touched = now & (uint64_t{side} - 1);
    if (known.looksCloser) {
      // The slow path tells (event_path.cpp). It gets one of 256, as this is the count's low part.
      if (known.tellsFirst && s.packets[side] == 0) return false;
      if (known.inboundRefreshes[s.profile] != 0) touched = now;
    }
  }
  s.last = touched > last ? touched : last;

  uint32_t idDelta = 0;
  if ((p[kIpFragment] & kDontFragment) == 0 && side == kOut) [[unlikely]] {
    idDelta = renumber(lane, s, now);
  }
  rewrite(known, lane, s, idDelta);

  nat_.sessions_.count(s, static_cast<Side>(side), total);
  packets_[side]++;
  octets_[side] += lane.length;
  return true;
}

/// Writes a packet's endpoints and what follows from them.
inline void FastPath::rewrite(const Known& known, const Lane& lane, const Session& s,
                              uint32_t idDelta) {
  uint8_t* const p = lane.p;
  const uint32_t total = lane.total, side = lane.side, protocol = lane.protocol;
  const size_t here = side, there = side ^ 1;
  const uint32_t before = at<uint32_t>(s, 8 * here), after = at<uint32_t>(s, 8 * there);
  const uint32_t portBefore = at<uint16_t>(s, offsetof(Session, insidePort) + 4 * here);
  const uint32_t port = at<uint16_t>(s, offsetof(Session, insidePort) + 4 * there);
  // Checksums by RFC 1624, equation 3: HC' = ~(~HC + ~m + m'). The complement of 16 bits is what
  // they lack of 0xffff; sums stay far below 32 bits.
  const uint32_t words = addWithCarry(~before, after), delta = (words & 0xffff) + (words >> 16);
  if (protocol == kIcmp) [[unlikely]] {
    rewriteIcmpId(p + kIpHeader, total - kIpHeader, static_cast<uint16_t>(port));
    icmp_++;
  } else {
    uint8_t* field = p + kShapes.checksum[protocol];
    const uint32_t checksum = load<uint16_t>(field);
    if ((lane.flags & kPartialChecksum) != 0) {
      store(field, fold(checksum + delta));
    } else {
      auto next = static_cast<uint16_t>(~fold(delta + port + 2 * 0xffff - portBefore - checksum));
      // UDP: a computed 0 is sent as 0xffff, and 0 says "no checksum" (RFC 768).
      if (next == 0 && protocol == kUdp) [[unlikely]]
        next = 0xffff;
      if (checksum == 0 && protocol == kUdp) [[unlikely]]
        next = 0;
      store(field, next);
    }
    store(p + kIpHeader + 2 * side, static_cast<uint16_t>(port));
  }
  store(p + kIpSource + 4 * side, after);
  p[kIpTtl] = static_cast<uint8_t>(p[kIpTtl] - known.ttlStep);
  const uint32_t change = delta + known.ttlDelta + idDelta;
  const uint32_t checksum = load<uint16_t>(p + kIpChecksum);
  store(p + kIpChecksum, static_cast<uint16_t>(~fold(change + 0xffff - checksum)));
}

/// Whether an inspected packet goes from an inside host to the world and may begin a session there,
/// and nothing but the tables has to be asked about it.
inline bool FastPath::mayBegin(const Lane& lane) const {
  if (lane.slot != kNone || lane.side != kOut) return false;
  const auto destination = load<uint32_t>(lane.p + kIpDestination);
  return nat_.inside_.contains(load<uint32_t>(lane.p + kIpSource)) &&
         !nat_.inside_.contains(destination) && !isUnroutable(destination) &&
         nat_.exemptions_.empty() && (lane.protocol != kTcp || !nat_.hasAlgs());
}

/// The first packet of a session: what the slow path would do, who knows what the lane tells.
[[gnu::noinline]] Result FastPath::begin(const Known& known, Lane& lane, const PacketView& packet,
                                         uint32_t tag) {
  const uint8_t* p = lane.p;
  const bool icmp = lane.protocol == kIcmp;
  Parsed parsed{};
  parsed.kind = Kind::Flow;
  parsed.protocol = static_cast<uint8_t>(lane.protocol);
  parsed.icmpType = icmp ? p[kIpHeader] : uint8_t{0};
  parsed.source = load<uint32_t>(p + kIpSource);
  parsed.destination = load<uint32_t>(p + kIpDestination);
  parsed.sourcePort = static_cast<uint16_t>(lane.ports);
  parsed.destinationPort = static_cast<uint16_t>(icmp ? lane.ports : lane.ports >> 16);
  parsed.id = load<uint16_t>(p + kIpId);
  parsed.header = kIpHeader;
  parsed.total = parsed.end = lane.total;

  nat_.beginPacket(tag);
  nat_.obstacle_ = Reason::None;
  const Segment segment = parseSegment(packet, parsed);
  const Reason reason = nat_.outboundSession(parsed, segment, lane.slot);
  if (reason != Reason::None) {
    const Result result{Verdict::Dropped, Direction::Outbound, reason};
    nat_.refuse(packet, parsed, segment, result, tag);
    nat_.count(result, packet, parsed.protocol);
    return result;
  }
  const Session& s = known.sessions[lane.slot];
  nat_.account(lane.slot, segment, kOut, lane.total);
  if (nat_.mostMss_ != 0) clampMss(packet, parsed, nat_.mostMss_);
  rewrite(known, lane, s, isAtomic(p) ? 0 : renumber(lane, s, nat_.now_));
  packets_[kOut]++;
  octets_[kOut] += lane.length;
  credited_++;
  if (lane.protocol == kTcp) tcp_++;
  return {Verdict::Forwarded, Direction::Outbound, Reason::None, lane.slot + 1};
}

/// What the fast path does not know.
[[gnu::noinline]] Result FastPath::otherwise(const Known& known, const Descriptor& d, Lane& lane) {
  const volatile Descriptor& shared = d;
  credit();
  const uint32_t wire = shared.wire, tag = shared.tag;
  const PacketView packet = viewOf(lane.p, lane.length, wire, lane.flags);
  const auto number = static_cast<size_t>(&lane - lanes_);
  if ((keyed_ >> number & 1) != 0 && mayBegin(lane)) return begin(known, lane, packet, tag);
  return nat_.process(packet, tag);
}

/// Every packet pays for looking at a few sessions (session_life.cpp).
void FastPath::credit() {
  const uint64_t forwarded = packets_[kOut] + packets_[kIn];
  nat_.sweepCredit_ += Translator::kSweepPerPacket * static_cast<uint32_t>(forwarded - credited_);
  credited_ = forwarded;
}

[[gnu::noinline]] void FastPath::translate(Descriptor* descriptors, uint32_t count) {
  const Known known = this->known();
  uint64_t now = nat_.now_;
  for (uint32_t i = 0; i < count; i++) {
    Lane& lane = lanes_[i];
    Descriptor& d = descriptors[i];
    const volatile Descriptor& shared = d;
    now = std::max(now, base_ + shared.delay);
    if (translateOne(known, lane, now)) [[likely]] {
      constexpr auto kOutbound = static_cast<uint32_t>(Direction::Outbound);
      static_assert(static_cast<uint32_t>(Direction::Inbound) == kOutbound + kIn);
      static_assert(Result{Verdict::Forwarded, Direction::Outbound}.packed() == kOutbound << 8);
      d.verdict = (kOutbound + lane.side) << 8;
      d.session = lane.slot + 1;
      continue;
    }
    nat_.now_ = now;
    const Result result = otherwise(known, d, lane);
    now = nat_.now_;
    d.verdict = result.packed();
    d.session = result.session;
  }
  nat_.now_ = now;
}

/// Hands over what was counted.
void FastPath::finish() {
  Stats& stats = nat_.stats;
  credit();
  for (const Side side : {kOut, kIn}) {
    const auto direction = static_cast<uint32_t>(Direction::Outbound) + side;
    stats.packetsIn += packets_[side];
    stats.packetsOut += packets_[side];
    stats.bytesIn += octets_[side];
    stats.bytesOut += octets_[side];
    stats.byDirection[direction] += packets_[side];
    stats.bytesByDirection[direction] += octets_[side];
  }
  stats.byProtocol[portSpace(kTcp)] += tcp_;
  stats.byProtocol[portSpace(kUdp)] += packets_[kOut] + packets_[kIn] - tcp_ - icmp_;
  stats.byProtocol[portSpace(kIcmp)] += icmp_;
}

Result FastPath::alone(const PacketView& packet, uint32_t tag) {
  Lane& lane = lanes_[0];
  lane.p = packet.data;
  lane.length = packet.length;
  lane.flags = flagsOf(packet);
  if (packet.length < kLeast || !inspect(lane)) return nat_.process(packet, tag);
  const bool isMapped = lane.address != 0 && !nat_.addresses_[lane.address - 1].isStatic;
  if (isMapped) {
    lane.slot = behind(lane, *entryOf(lane));
  } else {
    lane.slot = nat_.sessions_.candidate(nat_.sessions_.hash(keyOf(lane)));
  }
  const Known known = this->known();
  Result result{Verdict::Forwarded, lane.side == kOut ? Direction::Outbound : Direction::Inbound};
  if (translateOne(known, lane, base_)) {
    result.session = lane.slot + 1;
  } else if (!isMapped && mayBegin(lane)) {
    result = begin(known, lane, packet, tag);
  } else {
    return nat_.process(packet, tag);
  }
  finish();
  return result;
}

}  // namespace napt
