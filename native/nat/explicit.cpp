// Explicit mappings (RFC 6887).
//
// A mapping that a host asked for is a session without a remote, its anchor, which keeps the
// binding alive until its time has come and says whom it lets in. Such a binding is the same for
// all remotes, whatever the mapping behaviour: its sessions are marked `kExplicit`. Without its
// anchor it goes on as long as it has sessions.
#include "nat/translator.h"

namespace napt {

namespace {
constexpr uint32_t kNone = SessionTable::kNone;

// Filters lie where other sessions have their TCP windows.
void setFilters(Session& s, const MappingRequest& request) {
  s.state = static_cast<uint8_t>(request.filters);
  for (uint32_t i = 0; i < request.filters; i++) {
    s.end[i] = request.filter[i].address;
    s.edge[i] = request.filter[i].mask;
    s.window[i] = request.filter[i].port;
  }
}
bool admits(const Session& anchor, uint32_t remote, uint16_t remotePort) {
  for (uint32_t i = 0; i < anchor.state; i++) {
    const RemoteFilter filter{anchor.end[i], anchor.edge[i], anchor.window[i]};
    if (filter.admits(remote, remotePort)) return true;
  }
  return anchor.state == 0;
}
}  // namespace

/// Makes the mapping of an inside endpoint, or gives the one that there is a new end and filters.
Granted Translator::map(const MappingRequest& request, uint64_t now) {
  if (now > now_) now_ = now;
  obstacle_ = Reason::None;
  const Reason refused = refusal(request);
  if (refused != Reason::None) return {refused};
  const Key key = Key::of(request.inside, 0, request.insidePort, 0, request.protocol);
  const uint32_t there = liveBinding(key, policyAt(request.inside));
  Granted has = findMapping(request.protocol, request.inside, request.insidePort);
  if (has.reason == Reason::None && !suits(request, has)) {
    has.reason = Reason::PortsExhausted;
    return has;
  }
  if (has.permanent) return has;
  uint32_t slot = lookup(key);
  if (slot == kNone) {
    Opening opening{key, kOut, Segment{}, nullptr, false};
    opening.request = &request;
    const Reason reason = open(opening, slot);
    if (reason != Reason::None) return {reason};
    if (there != kNone) makeExplicit(slot);
  }
  Session& s = sessions_[slot];
  s.timeout = Timeout::Explicit;
  s.last = now_ + request.lifetime;
  setFilters(s, request);
  restartTimer(slot);
  return granted(slot);
}

/// The mapping that all flows of an inside endpoint have, if there is one: by configuration, asked
/// for, or as the mapping behaviour prescribes.
Granted Translator::findMapping(uint8_t protocol, uint32_t inside, uint16_t insidePort) {
  const Key key = Key::of(inside, 0, insidePort, 0, protocol);
  PublicEndpoint e{};
  if (bindings_.findPermanent(key, e)) {
    return {Reason::None, addresses_[e.address].address, e.port, true, ~uint64_t{0}};
  }
  const uint32_t slot = liveBinding(key, policyAt(inside));
  return slot == kNone ? Granted{Reason::NoMapping} : granted(slot);
}

/// Ends an explicit mapping, but not the sessions through it. False if there was none.
bool Translator::unmap(uint8_t protocol, uint32_t inside, uint16_t insidePort) {
  const uint32_t slot = explicitMapping(inside, insidePort, protocol);
  if (slot == kNone) return false;
  removeSession(slot, EventType::SessionDeleted);
  return true;
}

/// Makes the session of an outbound flow, or sees to it that it does not end before its time.
Granted Translator::keep(const MappingRequest& request, uint32_t remote, uint16_t remotePort,
                         uint64_t now) {
  if (now > now_) now_ = now;
  obstacle_ = Reason::None;
  Reason reason = refusal(request);
  if (remote == 0 || inside_.contains(remote)) reason = Reason::Unmatched;
  if (reason != Reason::None) return {reason};
  const Key key = Key::of(request.inside, remote, request.insidePort, remotePort, request.protocol);
  uint32_t slot = lookup(key);
  if (slot == kNone) {
    Opening opening{key, kOut, Segment{}, nullptr, false};
    opening.request = &request;
    reason = open(opening, slot);
    if (reason != Reason::None) return {reason};
  }
  Session& s = sessions_[slot];
  const uint64_t idle = timeoutOf(s.profile, s.timeout);
  const uint64_t until = now_ + request.lifetime;
  if (until > idle) s.last = std::max(s.last, until - idle);
  latest_ = std::max(latest_, s.last);
  return granted(slot);
}

/// The public address that a host is seen with, as far as that is settled; 0 if there is none.
uint32_t Translator::publicAddressOf(uint32_t inside) const {
  PublicEndpoint e{};
  if (bindings_.findPermanent(Key::of(inside, 0, 0, 0, kIcmp), e)) {
    return addresses_[e.address].address;
  }
  const uint32_t host = bindings_.hosts.find(inside);
  if (host != Hosts::kNone && bindings_.hosts[host].isPaired) {
    return addresses_[bindings_.hosts[host].paired].address;
  }
  return addresses_.pool() == 0 ? 0 : addresses_[0].address;
}

Granted Translator::granted(uint32_t slot) const {
  const Session& s = sessions_[slot];
  return {Reason::None, s.publicAddress, swap16(s.publicPort), false, deadlineOf(slot)};
}

Reason Translator::refusal(const MappingRequest& request) const {
  if (!inside_.contains(request.inside)) return Reason::InvalidSource;
  const bool carried = hasPorts(request.protocol) && config_.protocols.has(request.protocol);
  return carried && portSpace(request.protocol) != kNoPortSpace ? Reason::None
                                                                : Reason::UnsupportedProtocol;
}

bool Translator::suits(const MappingRequest& request, const Granted& has) const {
  return !request.exact || ((request.outside == 0 || request.outside == has.outside) &&
                            (request.outsidePort == 0 || request.outsidePort == has.outsidePort));
}

/// The endpoint that was wished for, if the host can have it.
bool Translator::suggested(const Opening& opening, uint32_t hostSlot, PublicEndpoint& e) {
  const MappingRequest& request = *opening.request;
  if (request.outsidePort == 0 && request.outside == 0) return false;
  const Host& host = bindings_.hosts[hostSlot];
  Session like{};
  like.inside = request.inside;
  like.insidePort = request.insidePort;
  like.remote = opening.key.remote();
  like.remotePort = opening.key.remotePort();
  like.protocol = request.protocol;
  like.profile = profileOf(inside_.policyOf(like.inside), like.protocol, like.remotePort);
  if (like.remote == 0) like.flags = kExplicit;
  constexpr uint32_t kMost = 64;
  for (uint32_t address = 0; address < addresses_.pool() && address < kMost; address++) {
    uint32_t at = address;
    if (request.outside != 0) {
      at = addresses_.find(request.outside);
    } else if (host.isPaired) {
      at = host.paired;
    }
    const uint16_t port = request.outsidePort != 0 ? request.outsidePort : swap16(like.insidePort);
    e = {static_cast<uint16_t>(at), port};
    const bool free = at < addresses_.pool() && bindings_.isFree(request.protocol, e);
    if (free && bindings_.claim(like, e, hostSlot)) return true;
    if (request.outside != 0 || host.isPaired) break;
  }
  return false;
}

/// The anchor of an inside endpoint's explicit mapping, or kNone.
uint32_t Translator::explicitMapping(uint32_t inside, uint16_t insidePort, uint8_t protocol) {
  if (anchors_ == 0) return kNone;
  return lookup(Key::of(inside, 0, insidePort, 0, protocol));
}

/// Whether a remote that has no session with the binding of `head` is let in: by the filtering
/// behaviour, or because the host asked for it.
bool Translator::mayEnter(uint32_t head, uint32_t remote, uint16_t remotePort) {
  const Session& s = sessions_[head];
  if ((s.flags & kExplicit) != 0) {
    const uint32_t anchor = explicitMapping(s.inside, s.insidePort, s.protocol);
    if (anchor != kNone && admits(sessions_[anchor], remote, remotePort)) return true;
  }
  const auto counts = [this](uint32_t at) { return isLive(at) && isTaken(sessions_[at]); };
  return bindings_.admits(head, remote, counts);
}

/// Marks all sessions of a binding. Its mapping was endpoint-independent, and so stays as it was.
void Translator::makeExplicit(uint32_t slot) {
  for (uint32_t at = slot + 1; at != 0; at = sessions_.links(at - 1).bindingPrevious) {
    sessions_[at - 1].flags |= kExplicit;
  }
  for (uint32_t at = slot + 1; at != 0; at = sessions_.links(at - 1).bindingNext) {
    sessions_[at - 1].flags |= kExplicit;
  }
}

}  // namespace napt
