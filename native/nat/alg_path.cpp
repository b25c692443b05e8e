// Control connections on their way through the translator, and the ports that ALGs have opened.
//
// A session counts both directions as their senders do: acknowledgements are translated before TCP
// tracking sees them. A segment whose length changes can't stay where it is: it is held, and what
// it becomes comes out of the outbox at once.
//
// An expected session holds a port for a connection that was announced: its remote port is 0, so
// no packet is its own. It lives as long as an opening connection, counts and is evicted like any
// other, and ends when the connection that it waits for gets its own session in the same binding.
#include "nat/alg/segment_rewrite.h"
#include "nat/translator.h"

namespace napt {

namespace {
constexpr uint32_t kNone = SessionTable::kNone;

constexpr Side otherOf(Side side) { return side == kOut ? kIn : kOut; }

/// Whether a packet's TCP checksum is right; all of it must be here.
bool hasGoodChecksum(const PacketView& packet, const Parsed& parsed) {
  const uint8_t* p = packet.data;
  const uint32_t length = parsed.total - parsed.header;
  const uint64_t pseudo = uint64_t{load<uint32_t>(p + kIpSource)} +
                          load<uint32_t>(p + kIpDestination) + swap16(kTcp) +
                          swap16(static_cast<uint16_t>(length));
  return sumBytes(p + parsed.header, length, pseudo) == 0xffff;
}
}  // namespace

/// The control connection that an ALG reads.
struct Translator::WatchedControl final : Control {
  Translator& nat;
  uint32_t slot;

  WatchedControl(Translator& translator, uint32_t control) : nat(translator), slot(control) {}
  bool expect(uint8_t protocol, uint16_t insidePort, Endpoint& out) override {
    return nat.expect(slot, protocol, insidePort, out);
  }
  void forget(uint8_t protocol, uint16_t insidePort) override {
    nat.endExpected(keyOf(protocol, insidePort));
  }
  bool outsideOf(uint8_t protocol, uint16_t insidePort, Endpoint& out) override {
    const uint32_t at = nat.lookup(keyOf(protocol, insidePort));
    if (at == kNone || nat.sessions_[at].address != session().address) return false;
    out = {nat.sessions_[at].publicAddress, nat.sessions_[at].publicPort};
    return true;
  }
  bool insideOf(uint8_t protocol, uint16_t publicPort, uint16_t& out) override {
    const Session& c = session();
    const PublicEndpoint e{c.address, swap16(publicPort)};
    if (nat.addresses_[c.address].isStatic) {
      out = publicPort;
      return true;
    }
    const uint32_t head = nat.liveHead({protocol, e, c.remote, 0});
    if (head == kNone || nat.sessions_[head].inside != c.inside) return false;
    out = nat.sessions_[head].insidePort;
    return true;
  }
  void callPaired(uint16_t insideId, uint16_t remoteId) override {
    nat.pairCall(keyOf(kGre, insideId), remoteId);
  }
  Key keyOf(uint8_t protocol, uint16_t insidePort) const {
    return Key::of(session().inside, session().remote, insidePort, 0, protocol);
  }
  const Session& session() const override { return nat.sessions_[slot]; }
};

const Alg* Translator::algOf(uint16_t port) const {
  if (config_.ftp && port == ftp_.port()) return &ftp_;
  if (config_.pptp && port == pptp_.port()) return &pptp_;
  return nullptr;
}

/// A connection begins, or begins again: watches it if its server's port is an ALG's. Hairpinned
/// ones never come here, as both their ends are inside.
void Translator::watch(uint32_t slot, Side side) {
  Session& s = sessions_[slot];
  const Alg* alg = side == kOut ? algOf(swap16(s.remotePort)) : algOf(swap16(s.insidePort));
  if (alg == nullptr && side == kIn) alg = algOf(swap16(s.publicPort));
  if (alg == nullptr) return;
  Watch* watch = watches_.find(slot);
  if (watch == nullptr) watch = watches_.begin(slot);
  if (watch == nullptr) return;
  *watch = Watch{};
  watch->session = slot;
  watch->alg = alg;
  watch->clientInside = side == kOut;
  s.flags |= kWatched;
}

void Translator::unwatch(uint32_t slot) {
  watches_.end(slot);
  sessions_[slot].flags &= static_cast<uint8_t>(~kWatched);
}

/// A segment in the numbers that its session counts in.
Segment Translator::asSent(uint32_t slot, Side side, const Segment& segment) const {
  Segment out = segment;
  if ((sessions_[slot].flags & kWatched) != 0) {
    out.ack = watches_.find(slot)->streams[otherOf(side)].shift.toSender(segment.ack);
  }
  return out;
}

/// A number in what a side's packets became, as that side counts.
uint32_t Translator::asSent(uint32_t slot, Side side, uint32_t sequence) const {
  if ((sessions_[slot].flags & kWatched) == 0) return sequence;
  return watches_.find(slot)->streams[side].shift.toSender(sequence);
}

/// Forwards a TCP segment of a session that is or may become watched. Its state is up to date.
Result Translator::forwardSegment(const PacketView& packet, const Parsed& parsed,
                                  const Segment& segment, const Endpoints& to, uint32_t slot,
                                  Side side, uint32_t tag) {
  constexpr uint8_t kOpens = kSyn | kAck | kRst | kFin;
  const bool opening = segment.known && tcpPhase(sessions_[slot].state) == TcpPhase::Opening;
  if (opening && (segment.flags & kOpens) == kSyn) watch(slot, side);
  Result result;
  result.session = slot + 1;
  if (!segment.known || (sessions_[slot].flags & kWatched) == 0) {
    rewritePacket(packet, parsed, to, config_.decrementTtl);
    result.verdict = Verdict::Forwarded;
    return result;
  }
  Watch& watch = *watches_.find(slot);
  Stream& stream = watch.streams[side];
  SequenceShift& other = watch.streams[otherOf(side)].shift;
  if (opening && (segment.flags & kSyn) != 0) {
    stream = {segment.sequence + 1, true, true, {}};
    stream.shift.start(stream.next);
  }
  if ((segment.flags & kAck) != 0) {
    const uint32_t ack = other.toSender(segment.ack);
    if (!isBefore(watch.streams[otherOf(side)].next, ack)) other.acknowledge(ack);
  }

  // Only what is all here and says how long it is can be read, or have its length changed.
  const bool whole = !parsed.first && parsed.end == parsed.total &&
                     load16be(packet.data + kIpTotal) == parsed.total && segment.length != 0 &&
                     (segment.flags & (kSyn | kRst)) == 0;
  const uint32_t mtu = side == kOut ? config_.outsideMtu : config_.insideMtu;
  const uint32_t most = mtu == 0 ? 65535 : std::max(mtu, parsed.total);
  // Only of an established connection, which no session that it asks for can displace. One that
  // becomes several packets may be longer than what it would become alone.
  const bool readable = whole && !packet.segmented && watch.alg != nullptr && isAssured(slot);
  // A partial checksum is that of a host whose packet has not been on a wire yet.
  if (readable && (packet.partial || hasGoodChecksum(packet, parsed))) {
    read(watch, packet, parsed, segment, side, most - parsed.total);
  }

  const SequenceShift& shift = stream.shift;
  const uint32_t header = parsed.total - segment.length;
  const uint32_t length = shift.lengthOf(segment.sequence, segment.length);
  const auto change = whole && header + length <= most
                          ? shift.changeOf(segment.sequence, segment.length)
                          : SequenceShift::Change::None;
  PacketView view = packet;
  Parsed changed = parsed;
  uint32_t link = 0;
  if (change == SequenceShift::Change::Length) {
    link = store_.take();
    if (link == 0) {  // it will be sent again
      result.reason = Reason::FragmentLimit;
      return result;
    }
    changed.total = changed.end = header + length;
    view = {store_.bytes(link), changed.total, changed.total, packet.partial};
    std::memcpy(view.data, packet.data, header);
  }
  if (change != SequenceShift::Change::None) {
    rewriteText(view, parsed, packet.data + header, segment.length, shift);
  }
  renumber(view, changed, shift, other);
  rewritePacket(view, changed, to, config_.decrementTtl);
  if (link != 0) completeChecksum(view, changed);
  result.verdict = link == 0 ? Verdict::Forwarded : Verdict::Held;
  if (link != 0) putOut(link, changed.total, tag, side == kIn);
  if (watch.alg == nullptr && shift.isIdentity() && other.isIdentity()) unwatch(slot);
  return result;
}

/// Shows an ALG what a segment adds to its stream.
void Translator::read(Watch& watch, const PacketView& packet, const Parsed& parsed,
                      const Segment& segment, Side side, uint32_t room) {
  Stream& stream = watch.streams[side];
  bool more = stream.begun;
  if (more && isBefore(stream.next, segment.sequence)) {
    // A gap. Of the inside host's stream, where text is changed, every byte must have been read.
    // The remote's is taken up again where its next line begins.
    constexpr uint32_t kBelievable = 65535;
    if (side == kIn && segment.sequence - stream.next > kBelievable) return;
    more = side == kIn;
    stream.next = segment.sequence;
    stream.atStart = false;
  }
  const uint32_t seen = stream.next - segment.sequence;
  if (more && seen >= segment.length) return;
  if (more) {
    const uint8_t* payload = packet.data + (parsed.total - segment.length);
    Passage passage{side, payload + seen, segment.length - seen, stream.next, room, stream};
    stream.next = segment.sequence + segment.length;
    WatchedControl control(*this, watch.session);
    more = watch.alg->read(passage, watch, control);
  }
  if (!more) watch.alg = nullptr;
}

/// A packet that the engine has made of another one leaves.
void Translator::putOut(uint32_t link, uint32_t length, uint32_t tag, bool toInside) {
  StoredPacket& stored = store_[link];
  stored.length = stored.wire = length;
  stored.tag = tag;
  stored.cause = tag_;
  stored.at = now_;
  stored.origin = Origin::Fragment;
  stored.toInside = toInside;
  outbox_.push(store_, link);
  stats.packetsOut++;
  stats.bytesOut += length;
  stats.byProtocol[portSpace(kTcp)]++;
}

bool Translator::expect(uint32_t control, uint8_t protocol, uint16_t insidePort, Endpoint& out) {
  const Session& c = sessions_[control];
  const Key key = Key::of(c.inside, c.remote, insidePort, 0, protocol);
  const Policy& policy = policyAt(c.inside);
  PublicEndpoint e{};
  const bool permanent = bindings_.findPermanent(key, e);
  if (!permanent || protocol == kGre) {  // a permanent binding admits any remote's connections
    uint32_t slot = lookup(key);
    if (slot == kNone) {
      // The remote will look for it where it knows the control connection.
      const uint32_t head = permanent ? kNone : liveBinding(key, policy);
      if (head != kNone && sessions_[head].address != c.address) return false;
      if (open({key, kOut, Segment{}, nullptr, false, &c}, slot) != Reason::None) return false;
    }
    Session& s = sessions_[slot];
    if (protocol == kTcp && (s.flags & kExpected) == 0) return false;  // the remote's port is 0
    s.last = now_;
    e = endpointOf(s);
  }
  if (e.address != c.address) return false;
  out = {addresses_[e.address].address, swap16(e.port)};
  return true;
}

/// A call knows both its ids now: its outbound packets carry the remote's.
void Translator::pairCall(const Key& key, uint16_t remoteId) {
  const uint32_t slot = lookup(key);
  if (slot == kNone || remoteId == 0 || sessions_[slot].end[kOut] == remoteId) return;
  unpairCall(slot);
  const uint32_t other = calls_.find(key.inside(), key.remote(), remoteId);
  if (other != kNone) unpairCall(other);  // the remote has given the id anew
  sessions_[slot].end[kOut] = remoteId;
  if (!calls_.add(slot)) sessions_[slot].end[kOut] = 0;
}

void Translator::unpairCall(uint32_t slot) {
  Session& s = sessions_[slot];
  if (s.protocol != kGre || s.end[kOut] == 0) return;
  calls_.remove(slot);
  s.end[kOut] = 0;
}

/// Takes over what a call's session knows of its remote's id.
void Translator::adoptCall(uint32_t slot) {
  Session& s = sessions_[slot];
  const auto id = static_cast<uint16_t>(s.end[kOut]);
  if (calls_.find(s.inside, s.remote, id) != kNone || !calls_.add(slot)) s.end[kOut] = 0;
}

/// The session of an outbound packet of a call, or kNone.
uint32_t Translator::findCall(uint32_t inside, uint32_t remote, uint16_t remoteId) {
  const uint32_t slot = calls_.find(inside, remote, remoteId);
  if (slot == kNone || isLive(slot)) return slot;
  removeSession(slot, EventType::SessionExpired);
  return kNone;
}

/// What was expected has come, or will not come any more.
void Translator::endExpected(const Key& key) {
  const uint32_t slot = sessions_.find(key);
  if (slot != kNone && (sessions_[slot].flags & kExpected) != 0) {
    removeSession(slot, EventType::SessionDeleted);
  }
}

/// Takes over how a watched session's streams are changed, and whether they are read on.
void Translator::adoptWatch(const Translator& old, uint32_t from, uint32_t slot) {
  Session& s = sessions_[slot];
  if ((s.flags & kWatched) == 0) return;
  Watch* watch = watches_.begin(slot);
  if (watch == nullptr) {
    s.flags &= static_cast<uint8_t>(~kWatched);
    return;
  }
  const Watch& was = *old.watches_.find(from);
  *watch = was;
  watch->session = slot;
  if (was.alg != nullptr) watch->alg = algOf(was.alg->port());
}

}  // namespace napt
