// What a translator tells of its sessions (events.h). Called only while something is recorded.
#include "nat/translator.h"

namespace napt {

void Translator::record(uint32_t mask) {
  if (!events_.wantsPools()) bindings_.forgetPressure();
  events_.record(mask);
}

/// Something has become of a session: one of this translator's, or of that whose config it changes.
void Translator::tell(EventType type, const SessionTable& table, uint32_t slot) {
  if (!events_.wants(type)) return;
  const Session& s = table[slot];
  Event event = bindingEvent(type, now_, s);
  event.state = s.state;
  event.flags = s.flags;
  event.remote = s.remote;
  event.remotePort = s.remotePort;
  event.created = table.links(slot).created;
  for (const Side side : {kOut, kIn}) {
    event.packets[side] = table.packets(slot, side);
    event.bytes[side] = table.bytes(slot, side);
  }
  events_.add(event);
}

/// A packet has gone through a session, whose state was `before`.
void Translator::tellProgress(uint32_t slot, Side side, uint8_t before) {
  const Session& s = sessions_[slot];
  if (s.protocol != kTcp) {
    const Side answers = (s.flags & kVisitor) != 0 ? kOut : kIn;
    const bool isFirst = side == answers && sessions_.packets(slot, side) == 1;
    if (isFirst) tell(EventType::SessionEstablished, slot);
    return;
  }
  const auto isOpen = [](TcpPhase phase) {
    return phase == TcpPhase::Established || phase == TcpPhase::HalfClosed;
  };
  const TcpPhase was = tcpPhase(before), now = tcpPhase(s.state);
  if (isOpen(now) && !isOpen(was)) tell(EventType::SessionEstablished, slot);
  const bool isOver = now > TcpPhase::HalfClosed;
  if (isOver && was <= TcpPhase::HalfClosed) tell(EventType::SessionClosed, slot);
}

/// A host got no session. The first try (`ideal`) is not the last word, but where it is about
/// rates.
void Translator::tellRefusal(uint32_t host, const Opening& opening, Reason reason, bool ideal) {
  const bool fromOutside = opening.side == kIn;
  if (reason == Reason::RateLimit && !fromOutside && !bindings_.withinRate(host)) {
    bindings_.tellOverQuota(host, HostQuota::Rate);
  } else if (reason == Reason::HostLimit && !ideal) {
    bindings_.tellOverQuota(
        host, bindings_.mayOpen(host, fromOutside) ? HostQuota::Bindings : HostQuota::Sessions);
  }
}

/// What a change of config has ended, and what it has made.
void Translator::tellChange(Translator& old) {
  for (uint32_t slot = 0; slot < old.sessions_.used(); slot++) {
    const Session& s = old.sessions_[slot];
    if (s.protocol == 0 || sessions_.find(Key::of(s)) != SessionTable::kNone) continue;
    tell(old.isLive(slot) ? EventType::SessionDeleted : EventType::SessionExpired, old.sessions_,
         slot);
  }
  bindings_.tellChange(old.bindings_);
}

}  // namespace napt
