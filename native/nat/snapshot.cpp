#include "nat/snapshot.h"

#include "nat/translator.h"

namespace napt {

namespace {

constexpr uint32_t kNone = SessionTable::kNone;
// One call is no pause: so many slots to save, or records to restore, take a millisecond at most.
constexpr uint32_t kSavedAtOnce = 8192, kRestoredAtOnce = 1024;
constexpr uint32_t kCreatedShift = 27;            // SessionLinks::created
constexpr uint64_t kLongest = uint64_t{1} << 57;  // ns: what has passed beyond that, has not

/// What comes back as it was. Of the others the config decides.
constexpr uint8_t kKeptFlags =
    kSeenOutside | kSeenInside | kVisitor | kExpected | kWatched | kExplicit;

/// Copies what a session and its record have alike, the one way or the other.
template <typename From, typename To>
void copyAlike(const From& from, To& to) {
  to.inside = from.inside;
  to.remote = from.remote;
  to.publicAddress = from.publicAddress;
  to.insidePort = from.insidePort;
  to.remotePort = from.remotePort;
  to.publicPort = from.publicPort;
  to.protocol = from.protocol;
  to.flags = from.flags & kKeptFlags;
  to.state = from.state;
  to.scales = from.scales;
  to.timeout = static_cast<decltype(to.timeout)>(from.timeout);
  for (const uint32_t side : {kOut, kIn}) {
    to.window[side] = from.window[side];
    to.packets[side] = from.packets[side];
    to.bytes[side] = from.bytes[side];
    to.end[side] = from.end[side];
    to.edge[side] = from.edge[side];
  }
}

SessionRecord recordOf(const Session& s, const SessionLinks& links, uint64_t at) {
  SessionRecord r{};
  copyAlike(s, r);
  r.first = links.bindingPrevious == 0 ? 1 : 0;
  r.age = static_cast<int32_t>(static_cast<uint32_t>(at >> kCreatedShift) - links.created);
  r.last = static_cast<int64_t>(s.last - at);
  for (const uint32_t side : {kOut, kIn}) {
    r.packetCarry[side] = links.packetCarry[side];
    r.byteCarry[side] = links.byteCarry[side];
  }
  return r;
}

/// The session of a record, but for what this translator numbers in its own way, and its times.
Session sessionOf(const SessionRecord& r) {
  Session s{};
  copyAlike(r, s);
  s.flags &= static_cast<uint8_t>(~kWatched);
  return s;
}

WatchRecord recordOf(const Watch& watch) {
  WatchRecord r{};
  const auto flag = [&r](bool on, int bit) { r.flags |= static_cast<uint8_t>(on ? bit : 0); };
  r.port = watch.alg == nullptr ? uint16_t{0} : watch.alg->port();
  flag(watch.clientInside, WatchRecord::kClientInside);
  flag(watch.ftp.greeted, WatchRecord::kGreeted);
  flag(watch.ftp.commanded, WatchRecord::kCommanded);
  r.passive = watch.ftp.passive;
  r.several = watch.ftp.several;
  r.expected = watch.ftp.expected;
  for (const int side : {kOut, kIn}) {
    flag(watch.streams[side].begun, WatchRecord::kBegun << side);
    flag(watch.streams[side].atStart, WatchRecord::kAtStart << side);
    r.next[side] = watch.streams[side].next;
    r.shift[side] = watch.streams[side].shift;
  }
  return r;
}

/// Whether the idle class of a session is one that its protocol and state have.
bool hasFittingTimeout(const Session& s) {
  const auto isOneOf = [&](Timeout a, Timeout b) { return s.timeout == a || s.timeout == b; };
  switch (s.protocol) {
    case kTcp:
      // A RST in a connection that is opening or closing leaves it its time.
      return s.timeout == tcpTimeout(s.state) ||
             ((s.state & kReset) != 0 && isOneOf(Timeout::TcpOpening, Timeout::TcpClosing));
    case kDccp:
      return isOneOf(Timeout::DccpEstablished, Timeout::DccpTransitory);
    case kSctp:
      return isOneOf(Timeout::SctpEstablished, Timeout::SctpTransitory);
    case kUdp:
    case kUdpLite:
      return s.timeout == Timeout::Udp;
    case kIcmp:
      return s.timeout == Timeout::Icmp;
    case kGre:
      return s.timeout == Timeout::Gre;
    case kEsp:
      return s.timeout == Timeout::Esp;
    default:
      return s.timeout == Timeout::Other;
  }
}

/// Whether packets can have made such a session: what the rest of the translator relies on.
bool isWellFormed(const Session& s) {
  const bool isCall = s.protocol == kGre && s.insidePort != 0;
  const bool chosen = portSpace(s.protocol) != kNoPortSpace && (s.protocol != kGre || isCall);
  if ((s.flags & kExplicit) != 0 && (!chosen || !hasPorts(s.protocol))) return false;
  if ((s.flags & kExpected) != 0 && (s.protocol != kTcp || s.remotePort != 0)) return false;
  if (!chosen && s.publicPort != s.insidePort) return false;
  if (!hasPorts(s.protocol) && s.remotePort != 0) return false;
  if (!hasPorts(s.protocol) && !chosen && s.insidePort != 0) return false;
  if (s.protocol == kGre && s.end[kOut] > (isCall ? 0xffffu : 0u)) return false;
  if (!isAnchor(s)) return s.remote != 0 && hasFittingTimeout(s);
  return s.remotePort == 0 && s.timeout == Timeout::Explicit &&
         s.state <= MappingRequest::kMostFilters;
}

}  // namespace

SnapshotPiece Translator::save(uint32_t from, uint64_t at, uint8_t* out, size_t room) {
  if (at > now_) now_ = at;
  SnapshotPiece piece{from, 0};
  for (uint32_t seen = 0; piece.next < sessions_.used(); piece.next++, seen++) {
    if (seen == kSavedAtOnce || piece.bytes + kLargestRecord > room) return piece;
    if (!isLive(piece.next)) continue;
    const Session& s = sessions_[piece.next];
    const auto put = [&](const auto& record) {
      store(out + piece.bytes, record);
      piece.bytes += sizeof record;
    };
    put(recordOf(s, sessions_.links(piece.next), at));
    if ((s.flags & kWatched) != 0) put(recordOf(*watches_.find(piece.next)));
  }
  piece.next = 0;
  return piece;
}

Restored Translator::restore(const uint8_t* records, size_t length, bool first,
                             const RestoreTime& when) {
  if (when.now > now_) now_ = when.now;
  if (sessions_.size() == 0) sessions_.timers.start(now_);
  Restored out;
  for (uint32_t read = 0; read < kRestoredAtOnce && length - out.bytes >= sizeof(SessionRecord);
       read++) {
    const auto record = load<SessionRecord>(records + out.bytes);
    constexpr size_t kAhead = 8 * sizeof record;
    if (length - out.bytes >= kAhead + sizeof record) {
      approach(load<SessionRecord>(records + out.bytes + kAhead));
    }
    const bool isWatched = (record.flags & kWatched) != 0;
    const size_t size = sizeof record + (isWatched ? sizeof(WatchRecord) : 0);
    if (length - out.bytes < size) break;
    if ((record.first != 0) == first) {
      bool expired = false;
      const uint32_t slot = restoreSession(record, when.passed, expired);
      if (slot != kNone && isWatched) {
        restoreWatch(slot, load<WatchRecord>(records + out.bytes + sizeof record));
      }
      (slot != kNone ? out.sessions : expired ? out.expired : out.refused)++;
    }
    out.bytes += size;
  }
  return out;
}

/// Prefetches what restoring a record will touch. A hint: it need not be one.
void Translator::approach(const SessionRecord& r) {
  const Key key = Key::of(r.inside, r.remote, r.insidePort, r.remotePort, r.protocol);
  prefetch(sessions_.bucket(sessions_.hash(key)));
  bindings_.prefetch(key);
  const uint32_t space = portSpace(r.protocol), address = addresses_.find(r.publicAddress);
  if (space == kNoPortSpace || address == PublicAddresses::kNone) return;
  prefetch(bindings_.entry(space, address, swap16(r.publicPort)));
}

/// Makes the session of a record; kNone if it has no place here, or is over (`expired`).
uint32_t Translator::restoreSession(const SessionRecord& record, uint64_t passed, bool& expired) {
  Session s = sessionOf(record);
  if (!isWellFormed(s)) return kNone;
  // The snapshot's time by this clock, which may lie before its zero.
  const int64_t then =
      static_cast<int64_t>(now_) - static_cast<int64_t>(std::min(passed, kLongest));
  int64_t last = 0;
  if (__builtin_add_overflow(then, record.last, &last)) return kNone;
  s.last = static_cast<uint64_t>(std::max(int64_t{0}, last));
  s.profile = profileOf(inside_.policyOf(s.inside), s.protocol, s.remotePort);
  expired = s.last + timeoutOf(s.profile, s.timeout) <= now_;
  if (expired || !hasPlace(s)) return kNone;

  SessionLinks links{};
  const int64_t created = then / (int64_t{1} << kCreatedShift) - record.age;
  links.created = static_cast<uint32_t>(std::max(int64_t{0}, created));
  for (const uint32_t side : {kOut, kIn}) {
    links.packetCarry[side] = record.packetCarry[side];
    links.byteCarry[side] = record.byteCarry[side];
  }
  const uint32_t slot = takeOver(s, links);
  if (slot == kNone) return kNone;
  latest_ = std::max(latest_, s.last);
  stats.sessionsCreated++;
  stats.sessionsPeak = std::max(stats.sessionsPeak, stats.sessionsActive);
  return slot;
}

/// Whether there is room for one more session, it is the only one of its flow, and it goes with
/// what its binding has already.
bool Translator::hasPlace(const Session& s) {
  if (sessions_.size() >= sessions_.capacity() || sessions_.find(Key::of(s)) != kNone) return false;
  const uint32_t number = addresses_.find(s.publicAddress);
  if (number == PublicAddresses::kNone) return false;
  const PublicEndpoint e{static_cast<uint16_t>(number), swap16(s.publicPort)};
  const uint32_t tag = s.protocol == kSctp ? s.end[kIn] : 0;
  const auto [head, forward] = bindings_.at({s.protocol, e, s.remote, s.remotePort, tag});
  // One is explicit with all of its sessions, or none.
  if (head != kNone && ((sessions_[head].flags ^ s.flags) & kExplicit) != 0) return false;
  const uint32_t host = bindings_.hosts.find(s.inside);
  if (host == Hosts::kNone) return true;
  const bool joins = head != kNone || forward != nullptr || addresses_[number].isStatic;
  return bindings_.mayOpen(host, (s.flags & kVisitor) != 0) &&
         (joins || bindings_.mayBind(host, s.protocol));
}

/// Watches a session that was, unless what is told of that makes no sense.
void Translator::restoreWatch(uint32_t slot, const WatchRecord& record) {
  if (sessions_[slot].protocol != kTcp) return;
  for (const SequenceShift& shift : record.shift) {
    if (!shift.isSound()) return;
  }
  Watch* watch = watches_.begin(slot);
  if (watch == nullptr) return;
  const auto flag = [&record](int bit) { return (record.flags & bit) != 0; };
  watch->alg = record.port == 0 ? nullptr : algOf(record.port);
  watch->clientInside = flag(WatchRecord::kClientInside);
  watch->ftp = {flag(WatchRecord::kGreeted), flag(WatchRecord::kCommanded), record.passive,
                record.several, record.expected};
  for (const int side : {kOut, kIn}) {
    watch->streams[side] = {record.next[side], flag(WatchRecord::kBegun << side),
                            flag(WatchRecord::kAtStart << side), record.shift[side]};
  }
  sessions_[slot].flags |= kWatched;
}

}  // namespace napt
