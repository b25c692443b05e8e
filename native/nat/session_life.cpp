// The life of sessions: how they begin, what each packet does to them, how they end, and how they
// move to another config.
#include "nat/dccp.h"
#include "nat/sctp.h"
#include "nat/translator.h"

namespace napt {

namespace {
constexpr uint32_t kNone = SessionTable::kNone;
}  // namespace

/// Makes a session.
Reason Translator::open(const Opening& opening, uint32_t& slot) {
  if (obstacle_ != Reason::None) return obstacle_;
  // Every packet pays for looking at a few sessions, and the next new one spends it: so sweeping
  // keeps up with traffic, and what is free does not depend on how packets were grouped into calls.
  // No call takes long for it.
  constexpr uint32_t kMostAtOnce = 64;
  if (sessions_.timers.isBehind(now_)) advance(now_, std::min(sweepCredit_, kMostAtOnce));
  sweepCredit_ = 0;
  Reason reason = tryOpen(opening, true, slot);
  if (reason == Reason::None || reason == Reason::RateLimit) return reason;
  // Something has run out, if only ports of the right kind. What is due makes room first.
  reclaim();
  reason = tryOpen(opening, false, slot);
  if (reason == Reason::None || !config_.evict || !makeRoom(opening, reason)) return reason;
  return tryOpen(opening, false, slot);
}

namespace {
Timeout firstTimeout(uint8_t protocol) {
  switch (protocol) {
    case kTcp:
      return Timeout::TcpOpening;
    case kUdp:
    case kUdpLite:
      return Timeout::Udp;
    case kIcmp:
      return Timeout::Icmp;
    case kDccp:
      return Timeout::DccpTransitory;
    case kSctp:
      return Timeout::SctpTransitory;
    case kGre:
      return Timeout::Gre;
    case kEsp:
      return Timeout::Esp;
    default:
      return Timeout::Other;
  }
}

/// What an association's packets from outside will be marked with, as far as its first one tells.
uint32_t inboundTag(const Segment& segment, Side side) {
  if (side == kIn) return segment.tag;
  return segment.known && segment.type == kSctpInit ? segment.initTag : 0;
}
}  // namespace

/// The profile of a new session: its host's policy, or what a rule for its remote port says.
uint8_t Translator::profileOf(uint8_t policy, uint8_t protocol, uint16_t remotePort) const {
  const uint16_t port = swap16(remotePort);
  for (const PortTimeout& rule : config_.portTimeouts) {
    if (rule.policy == policy && rule.protocol == protocol && port >= rule.low &&
        port <= rule.high) {
      return rule.profile;
    }
  }
  return policy;
}

Reason Translator::tryOpen(const Opening& opening, bool ideal, uint32_t& slot) {
  const Key& key = opening.key;
  PublicEndpoint e{};
  bool permanent = opening.permanent, chosen = true;
  uint32_t head = kNone;
  if (opening.inbound != nullptr) {
    e = *opening.inbound;
    head = opening.head;
  } else if (bindings_.findPermanent(key, e)) {
    permanent = true;
  } else if (head = liveBinding(key, policyAt(key.inside())); head != kNone) {
    e = endpointOf(sessions_[head]);
  } else {
    chosen = false;
  }

  if (sessions_.size() >= sessions_.capacity()) return Reason::SessionLimit;
  const uint32_t host = bindings_.obtainHost(key.inside());
  if (host == kNone) return Reason::SessionLimit;
  const bool anchor = opening.request != nullptr && key.remote() == 0;
  const bool explicitly = anchor || (head != kNone && (sessions_[head].flags & kExplicit) != 0);
  const uint32_t tag = key.protocol() == kSctp ? inboundTag(opening.segment, opening.side) : 0;
  Reason reason = Reason::None;
  if (!bindings_.mayOpen(host, opening.side == kIn) ||
      (!chosen && !bindings_.mayBind(host, key.protocol()))) {
    reason = Reason::HostLimit;
  } else if (!sessionRate_.allows(config_.sessionRate, config_.sessionRate, now_) ||
             (opening.side == kOut && !bindings_.withinRate(host))) {
    reason = Reason::RateLimit;
  } else if (!chosen) {
    const uint32_t beside = opening.control == nullptr ? kNone : opening.control->address;
    const uint8_t policy = bindings_.hosts[host].policy;
    const Policy& own = anchor ? bindings_.explicitPolicy(policy) : config_.policies[policy];
    if (opening.request != nullptr && suggested(opening, host, e)) {
      reason = Reason::None;
    } else if (opening.request != nullptr && opening.request->exact) {
      reason = Reason::PortsExhausted;
    } else {
      reason = bindings_.choose({key, tag, host, own, ideal, beside}, e, random_);
    }
  }
  if (reason == Reason::None) {
    slot = sessions_.insert(key);
    if (slot == kNone) reason = Reason::SessionLimit;
  }
  if (reason != Reason::None) {
    if (events_.isOn()) [[unlikely]]
      tellRefusal(host, opening, reason, ideal);
    bindings_.releaseIdle(host);
    return reason;
  }

  Session& s = sessions_[slot];
  s.publicAddress = addresses_[e.address].address;
  s.address = e.address;
  s.publicPort = swap16(e.port);
  s.last = now_;
  const uint8_t profile = profileOf(bindings_.hosts[host].policy, s.protocol, s.remotePort);
  const Timeout timeout = firstTimeout(s.protocol);
  s.profile = profile;
  s.timeout = timeout;
  mark(s, permanent);
  if (opening.side == kIn) s.flags |= kVisitor;
  // A call has no connections of its own that would take its place.
  if (opening.control != nullptr && s.protocol == kTcp) s.flags |= kExpected;
  if (s.protocol == kTcp) openTcp(s, opening.side, opening.segment);
  if (explicitly) s.flags |= kExplicit;
  if (s.protocol == kSctp) s.end[kIn] = tag;
  sessions_.links(slot).created = static_cast<uint32_t>(now_ >> 27);
  if (!bindings_.attach(slot, host, !chosen)) {
    sessions_.erase(slot);
    bindings_.releaseIdle(host);
    slot = kNone;
    return Reason::SessionLimit;
  }
  if (anchor) anchors_++;
  bindings_.sessionBegan(host, s);
  sessionRate_.count(config_.sessionRate, now_);
  if (opening.side == kOut) bindings_.countRate(host);  // what outsiders begin is not its doing
  // Not by `deadlineOf`: bytes just stored singly are slow to load as one word.
  const uint64_t idle = timeoutOf(profile, timeout);
  sessions_.timers.add(slot, noticeOf(now_ + idle, idle));
  stats.sessionsCreated++;
  stats.sessionsActive++;
  if (stats.sessionsActive > stats.sessionsPeak) stats.sessionsPeak = stats.sessionsActive;
  if (events_.isOn()) [[unlikely]]
    tell(EventType::SessionOpened, slot);
  return Reason::None;
}

/// Marks what a session's binding and remote are.
void Translator::mark(Session& s, bool permanent) const {
  s.flags &= static_cast<uint8_t>(~(kPermanent | kHairpinned));
  if (permanent) s.flags |= kPermanent;
  if (addresses_.find(s.remote) != PublicAddresses::kNone) s.flags |= kHairpinned;
}

/// Runs a packet through its session's state machine. True when it restarts the idle time.
bool Translator::track(uint32_t slot, Side side, const Segment& segment) {
  Session& s = sessions_[slot];
  switch (s.protocol) {
    case kTcp:
      return trackTcp(s, side, asSent(slot, side, segment), bindings_.policyOf(s).tcpLiberal);
    case kDccp:
      return trackDccp(s, side, segment);
    case kSctp:
      return trackSctp(s, side, segment);
    default:
      return side == kOut || inboundRefreshes_[s.profile] != 0;
  }
}

/// Whether the inside host began a connection, or has taken it. What outsiders try alone is given
/// its time once, and keeps no binding of the pool (RFC 7857, section 7). Not asked of others.
bool Translator::isTaken(const Session& s) const {
  if (isAnchor(s)) return true;
  switch (s.protocol) {
    case kTcp:
      return (s.flags & kSeenInside) != 0 || (s.state & kBegunOutside) == 0;
    case kDccp:
      return (s.flags & kVisitor) == 0 || isTakenDccp(s);
    default:
      return true;
  }
}

/// Runs a packet through its session: state, idle clock, counters.
void Translator::account(uint32_t slot, const Segment& segment, Side side, uint32_t bytes) {
  if (obstacle_ != Reason::None) return;
  Session& s = sessions_[slot];
  const Timeout before = s.timeout;
  const uint8_t state = s.state;
  const bool refreshes = track(slot, side, segment);
  // A connection that is begun once more has its time, too, as a new one has.
  const bool counts = side == kOut || (s.flags & kPermanent) != 0 || s.timeout != before;
  if (refreshes && (counts || isTaken(s))) s.last = std::max(s.last, now_);
  if (side == kOut) forgetUnanswered(s, segment);
  if (s.timeout != before && timeoutOf(s.profile, s.timeout) < timeoutOf(s.profile, before)) {
    restartTimer(slot);
  }
  sessions_.count(s, side, bytes);
  if (events_.isOn()) [[unlikely]]
    tellProgress(slot, side, state);
}

/// Files a session anew whose end has moved.
void Translator::restartTimer(uint32_t slot) {
  sessions_.timers.remove(slot);
  sessions_.timers.add(slot, noticeOf(slot));
}

/// When the wheel is to look at a session: at its end, or before, where that is to be told. An end
/// that every other packet puts off is not near at half the time; what ends at a time has none.
uint64_t Translator::noticeOf(uint64_t deadline, uint64_t timeout) const {
  if (config_.expiringBefore == 0) [[likely]]
    return deadline;
  const uint64_t half = timeout / 2;
  const uint64_t before =
      timeout == 0 ? config_.expiringBefore : std::min(config_.expiringBefore, half);
  return deadline > before ? deadline - before : 0;
}

/// The live session of a flow; one that is due is ended on the way.
uint32_t Translator::lookup(const Key& key) {
  const uint32_t slot = sessions_.find(key);
  if (slot == kNone || isLive(slot)) return slot;
  removeSession(slot, EventType::SessionExpired);
  return kNone;
}

/// The first live session of the binding at a public endpoint.
uint32_t Translator::liveHead(const Arrival& arrival) {
  for (;;) {
    const uint32_t slot = bindings_.at(arrival).session;
    if (slot == kNone || isLive(slot)) return slot;
    removeSession(slot, EventType::SessionExpired);
  }
}

/// A live session of the binding that an outbound flow belongs to: of the one that its host asked
/// for, or that the mapping behaviour prescribes.
uint32_t Translator::liveBinding(const Key& key, const Policy& policy) {
  const uint32_t anchor = explicitMapping(key.inside(), key.insidePort(), key.protocol());
  if (anchor != kNone) return anchor;
  for (;;) {
    const uint32_t slot = bindings_.findDynamic(key, policy);
    if (slot == kNone || isLive(slot)) return slot;
    removeSession(slot, EventType::SessionExpired);
  }
}

/// Ends a session, which has expired, or was evicted or deleted.
void Translator::removeSession(uint32_t slot, EventType why) {
  if (events_.isOn()) [[unlikely]]
    tell(why, slot);
  const Session& s = sessions_[slot];
  const uint32_t host = bindings_.hosts.find(s.inside);
  if (isAnchor(s)) anchors_--;
  if ((s.flags & kWatched) != 0) watches_.end(slot);
  unpairCall(slot);
  bindings_.detach(slot, host);
  bindings_.sessionEnded(host, s);
  sessions_.timers.remove(slot);
  sessions_.erase(slot);
  stats.sessionsActive--;
  if (why == EventType::SessionExpired) {
    stats.sessionsExpired++;
  } else {
    (why == EventType::SessionEvicted ? stats.sessionsEvicted : stats.sessionsDeleted)++;
  }
}

uint32_t Translator::advance(uint64_t now, uint32_t budget) {
  if (now > now_) now_ = now;
  const uint64_t before = stats.sessionsExpired;
  sessions_.timers.advance(
      now_, budget, [this](uint32_t slot) { return deadlineOf(slot); },
      [this](uint32_t slot) { return noticeOf(slot); },
      [this](uint32_t slot) { removeSession(slot, EventType::SessionExpired); },
      [this](uint32_t slot) { tell(EventType::SessionExpiring, slot); },
      [this](uint32_t slot) { sessions_.prefetch(slot); },
      [this](uint32_t slot) {
        Ending& ending = endings_[endingsSeen_++ % kEndings];
        if (ending.session != nullptr) {
          prefetch(sessions_.next(ending.session));
          prefetch(bindings_.next(ending.mapping));
        }
        ending = {sessions_.prefetchKey(slot), bindings_.prefetch(sessions_[slot])};
      });
  expireFragments();
  answerUnsolicited(now_);
  return static_cast<uint32_t>(stats.sessionsExpired - before);
}

uint32_t Translator::sweep(uint64_t now, uint32_t budget) {
  const uint64_t before = stats.sessionsExpired;
  advance(now, budget);
  sessions_.timers.visitCurrent(budget, [this](uint32_t slot) {
    if (!isLive(slot)) removeSession(slot, EventType::SessionExpired);
  });
  return static_cast<uint32_t>(stats.sessionsExpired - before);
}

/// Something has run out: ends what is due to the nanosecond. Bounded, as an attacker can ask for
/// it with every packet.
void Translator::reclaim() {
  constexpr uint32_t kBudget = 256;
  sweep(now_, kBudget);
}

uint32_t Translator::findSession(const Key& key) {
  const uint32_t slot = sessions_.find(key);
  return slot != kNone && isLive(slot) ? slot : kNone;
}

void Translator::deleteSession(uint32_t slot) {
  if (slot < sessions_.used() && sessions_[slot].protocol != 0) {
    removeSession(slot, EventType::SessionDeleted);
  }
}

void Translator::adopt(Translator& old) {
  stats = old.stats;
  stats.sessionsActive = 0;
  now_ = old.now_;
  latest_ = old.latest_;
  sessions_.timers.start(now_);
  random_ = old.random_;
  for (uint32_t at = 0; at < old.sessions_.used(); at++) {
    if (old.isLive(at)) {
      if (!adoptSession(old, at)) stats.sessionsDeleted++;
    } else if (old.sessions_[at].protocol != 0) {
      stats.sessionsExpired++;
    }
  }
  bindings_.adoptResting(old.bindings_);
  adoptFragments(old);
  store_ = std::move(old.store_);
  outbox_ = old.outbox_;
  unanswered_ = old.unanswered_;
  old.outbox_ = old.unanswered_ = PacketList{};
  events_.adopt(old.events_);
  if (events_.isOn()) tellChange(old);
}

/// Takes over one session of another config.
bool Translator::adoptSession(Translator& old, uint32_t from) {
  const uint32_t slot = takeOver(old.sessions_[from], old.sessions_.links(from));
  if (slot == kNone) return false;
  adoptWatch(old, from, slot);
  return true;
}

/// Makes a session that was, with its public endpoint, its idle time and what was counted, if this
/// config could have made it; else kNone. It is new to the table. Who watched it is not asked.
uint32_t Translator::takeOver(const Session& was, const SessionLinks& links) {
  const Key key = Key::of(was);
  // Whom the remote itself has reached answers through the session.
  const bool exempt =
      (was.flags & kVisitor) == 0 &&
      exemptions_.judge(was.remote, was.protocol, was.remotePort, true) == Exempt::Yes;
  const bool isCall = was.protocol == kGre && was.insidePort != 0;
  const bool carried = isCall ? config_.pptp : config_.protocols.has(was.protocol);
  const uint32_t number = addresses_.find(was.publicAddress);
  if (number == PublicAddresses::kNone || !inside_.contains(was.inside) ||
      inside_.contains(was.remote) || exempt || !carried) {
    return kNone;
  }
  const PublicEndpoint e{static_cast<uint16_t>(number), swap16(was.publicPort)};
  PublicEndpoint fixed;
  const bool configured = bindings_.findPermanent(key, fixed);
  const Forward* forward = bindings_.at({was.protocol, e, was.remote, was.remotePort}).forward;
  const bool permanent = (configured && fixed.address == e.address && fixed.port == e.port) ||
                         (forward != nullptr && forward->inside == was.inside &&
                          swap16(forward->insidePort) == was.insidePort);
  const bool staticNow = addresses_[number].isStatic;
  if (permanent && isAnchor(was)) return kNone;  // it needs none
  if (!permanent && (configured || forward != nullptr || staticNow)) return kNone;
  const uint32_t host = bindings_.obtainHost(was.inside);
  if (host == Hosts::kNone) return kNone;
  Session adopted = was;
  adopted.address = e.address;
  adopted.profile = profileOf(bindings_.hosts[host].policy, was.protocol, was.remotePort);
  if (permanent || bindings_.claim(adopted, e, host)) {
    const uint32_t slot = sessions_.insert(key);
    if (slot != kNone) {
      Session& s = sessions_[slot];
      s = adopted;
      mark(s, permanent);
      SessionLinks& now = sessions_.links(slot);
      now.created = links.created;
      for (uint32_t side : {kOut, kIn}) {
        now.packetCarry[side] = links.packetCarry[side];
        now.byteCarry[side] = links.byteCarry[side];
      }
      if (bindings_.attach(slot, host, false)) {
        bindings_.sessionBegan(host, s);
        if (isAnchor(s)) anchors_++;
        if (isCall && s.end[kOut] != 0) adoptCall(slot);
        stats.sessionsActive++;
        sessions_.timers.add(slot, noticeOf(slot));
        if (events_.isOn()) [[unlikely]]
          tell(EventType::SessionOpened, slot);
        return slot;
      }
      sessions_.erase(slot);
    }
  }
  bindings_.releaseIdle(host);
  return kNone;
}

}  // namespace napt
