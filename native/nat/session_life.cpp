// The life of sessions: how they begin, what each packet does to them, how they end, and how they
// move to another config.
#include "nat/translator.h"

namespace napt {

namespace {
constexpr uint32_t kNone = SessionTable::kNone;
}  // namespace

/// Makes a session.
Reason Translator::open(const Opening& opening, uint32_t& slot) {
  // Every packet pays for looking at a few sessions, and the next new one spends it: so sweeping
  // keeps up with traffic, and what is free does not depend on how packets were grouped into calls.
  constexpr uint32_t kMostAtOnce = 4096;
  if (sessions_.timers.isBehind(now_)) advance(now_, std::min(sweepCredit_, kMostAtOnce));
  sweepCredit_ = 0;
  if (tryOpen(opening, true, slot) == Reason::None) return Reason::None;
  // Something has run out, if only ports of the right kind. What is due makes room first.
  reclaim();
  return tryOpen(opening, false, slot);
}

Reason Translator::tryOpen(const Opening& opening, bool ideal, uint32_t& slot) {
  const Key& key = opening.key;
  PublicEndpoint e{};
  bool permanent = opening.permanent, chosen = true;
  if (opening.inbound != nullptr) {
    e = *opening.inbound;
  } else if (bindings_.findPermanent(key, e)) {
    permanent = true;
  } else if (const uint32_t head = liveBinding(key); head != kNone) {
    e = endpointOf(sessions_[head]);
  } else {
    chosen = false;
  }

  if (sessions_.size() >= sessions_.capacity()) return Reason::SessionLimit;
  const uint32_t host = bindings_.hosts.obtain(key.inside());
  if (host == kNone) return Reason::SessionLimit;
  Reason reason = Reason::None;
  if (config_.hostLimit != 0 && bindings_.hosts[host].sessions >= config_.hostLimit) {
    reason = Reason::HostLimit;
  } else if (!chosen) {
    reason = bindings_.choose(key, host, ideal, e, random_);
  }
  if (reason == Reason::None) {
    slot = sessions_.insert(key);
    if (slot == kNone) reason = Reason::SessionLimit;
  }
  if (reason != Reason::None) {
    bindings_.releaseIdle(host);
    return reason;
  }

  Session& s = sessions_[slot];
  const uint32_t address = addresses_[e.address].address;
  s.address = e.address;
  s.publicPort = swap16(e.port);
  s.addressDelta = delta32(s.inside, address);
  const Delta ports = delta16(s.insidePort, s.publicPort);
  s.transportDelta = s.protocol == kIcmp ? ports : combine(s.addressDelta, ports);
  s.last = now_;
  setTimeout(s, s.protocol == kUdp   ? Timeout::Udp
                : s.protocol == kTcp ? Timeout::TcpTransitory
                                     : Timeout::Icmp);
  mark(s, permanent);
  if (s.protocol == kTcp) openTcp(s, opening.side, opening.segment);
  sessions_.links(slot).created = static_cast<uint32_t>(now_ >> 27);
  if (!bindings_.attach(slot)) {
    sessions_.erase(slot);
    bindings_.releaseIdle(host);
    slot = kNone;
    return Reason::SessionLimit;
  }
  bindings_.sessionBegan(host, s);
  sessions_.timers.add(slot, deadlineOf(slot));
  stats.sessionsCreated++;
  stats.sessionsActive++;
  if (stats.sessionsActive > stats.sessionsPeak) stats.sessionsPeak = stats.sessionsActive;
  return Reason::None;
}

/// Marks what a session's binding and remote are.
void Translator::mark(Session& s, bool permanent) const {
  s.flags &= static_cast<uint8_t>(~(kPermanent | kBothWays | kHairpinned));
  if (permanent) s.flags |= kPermanent | kBothWays;
  if (addresses_.find(s.remote) != PublicAddresses::kNone) s.flags |= kHairpinned;
}

/// Runs a packet through its session: TCP state, idle clock, counters.
void Translator::account(uint32_t slot, const Segment& segment, Side side, uint32_t bytes) {
  Session& s = sessions_[slot];
  bool refreshes = side == kOut || config_.inboundRefresh;
  if (s.protocol == kTcp) {
    const Timeout before = timeoutOf(s);
    refreshes = trackTcp(s, side, segment);
    if (side == kOut && segment.known && (segment.flags & kSyn) != 0) forgetSyn(s);
    if (refreshes) s.last = now_;
    if (config_.timeouts[static_cast<int>(timeoutOf(s))] <
        config_.timeouts[static_cast<int>(before)]) {
      sessions_.timers.remove(slot);
      sessions_.timers.add(slot, deadlineOf(slot));
    }
  } else if (refreshes) {
    s.last = now_;
  }
  sessions_.count(slot, side, bytes);
}

/// The live session of a flow; one that is due is ended on the way.
uint32_t Translator::lookup(const Key& key) {
  const uint32_t slot = sessions_.find(key);
  if (slot == kNone || isLive(slot)) return slot;
  removeSession(slot, true);
  return kNone;
}

/// The first live session of the binding at a public endpoint.
uint32_t Translator::liveHead(uint8_t protocol, PublicEndpoint e) {
  for (;;) {
    const uint32_t slot = bindings_.at(protocol, e).session;
    if (slot == kNone || isLive(slot)) return slot;
    removeSession(slot, true);
  }
}

/// The first live session of the binding that the mapping behaviour prescribes.
uint32_t Translator::liveBinding(const Key& key) {
  for (;;) {
    const uint32_t slot = bindings_.findDynamic(key);
    if (slot == kNone || isLive(slot)) return slot;
    removeSession(slot, true);
  }
}

void Translator::removeSession(uint32_t slot, bool expired) {
  const Session& s = sessions_[slot];
  const uint32_t host = bindings_.hosts.find(s.inside);
  bindings_.detach(slot);
  bindings_.sessionEnded(host, s);
  sessions_.timers.remove(slot);
  sessions_.erase(slot);
  stats.sessionsActive--;
  (expired ? stats.sessionsExpired : stats.sessionsDeleted)++;
}

uint32_t Translator::advance(uint64_t now, uint32_t budget) {
  if (now > now_) now_ = now;
  const uint64_t before = stats.sessionsExpired;
  sessions_.timers.advance(
      now_, budget, [this](uint32_t slot) { return deadlineOf(slot); },
      [this](uint32_t slot) { removeSession(slot, true); });
  expireFragments();
  answerSyns(now_);
  return static_cast<uint32_t>(stats.sessionsExpired - before);
}

uint32_t Translator::sweep(uint64_t now, uint32_t budget) {
  const uint64_t before = stats.sessionsExpired;
  advance(now, budget);
  sessions_.timers.visitCurrent(budget, [this](uint32_t slot) {
    if (!isLive(slot)) removeSession(slot, true);
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
  if (slot < sessions_.used() && sessions_[slot].protocol != 0) removeSession(slot, false);
}

void Translator::adopt(Translator& old) {
  stats = old.stats;
  stats.sessionsActive = 0;
  now_ = old.now_;
  sessions_.timers.start(now_);
  random_ = old.random_;
  for (uint32_t at = 0; at < old.sessions_.used(); at++) {
    if (old.isLive(at)) {
      if (!adoptSession(old, at)) stats.sessionsDeleted++;
    } else if (old.sessions_[at].protocol != 0) {
      stats.sessionsExpired++;
    }
  }
  fragments_ = std::move(old.fragments_);
  store_ = std::move(old.store_);
  outbox_ = old.outbox_;
  pendingSyns_ = old.pendingSyns_;
  old.outbox_ = old.pendingSyns_ = PacketList{};
}

/// Takes over one session with its public endpoint, if this config could have made it.
bool Translator::adoptSession(Translator& old, uint32_t from) {
  const Session& was = old.sessions_[from];
  const Key key = Key::of(was);
  const uint32_t number = addresses_.find(old.addressOf(was));
  if (number == PublicAddresses::kNone || !inside_.contains(was.inside) ||
      inside_.contains(was.remote)) {
    return false;
  }
  const PublicEndpoint e{static_cast<uint16_t>(number), swap16(was.publicPort)};
  PublicEndpoint fixed;
  const bool configured = bindings_.findPermanent(key, fixed);
  const Forward* forward = bindings_.at(was.protocol, e).forward;
  const bool permanent = (configured && fixed.address == e.address && fixed.port == e.port) ||
                         (forward != nullptr && forward->inside == was.inside &&
                          swap16(forward->insidePort) == was.insidePort);
  const bool staticNow = addresses_[number].isStatic;
  if (!permanent && (configured || forward != nullptr || staticNow)) return false;
  const uint32_t host = bindings_.hosts.obtain(was.inside);
  if (host == Hosts::kNone) return false;
  if (permanent || bindings_.claim(was.protocol, e, host)) {
    const uint32_t slot = sessions_.insert(key);
    if (slot != kNone) {
      Session& s = sessions_[slot];
      s = was;
      s.address = e.address;
      mark(s, permanent);
      const SessionLinks& links = old.sessions_.links(from);
      SessionLinks& now = sessions_.links(slot);
      now.created = links.created;
      for (uint32_t side : {kOut, kIn}) {
        now.packetCarry[side] = links.packetCarry[side];
        now.byteCarry[side] = links.byteCarry[side];
      }
      if (bindings_.attach(slot)) {
        bindings_.sessionBegan(host, s);
        stats.sessionsActive++;
        sessions_.timers.add(slot, deadlineOf(slot));
        return true;
      }
      sessions_.erase(slot);
    }
  }
  bindings_.releaseIdle(host);
  return false;
}

}  // namespace napt
