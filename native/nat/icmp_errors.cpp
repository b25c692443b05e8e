// ICMP errors (RFC 5508, sections 4 and 5; RFC 4787, REQ-12).
//
// An error belongs to the session of the packet that it quotes. It is translated so that the
// receiver finds its own packet quoted; it never makes, refreshes or ends a session. Type, code,
// the rest of the ICMP header and RFC 4884 extensions stay as they are.
#include "nat/translator.h"

namespace napt {

namespace {
constexpr uint32_t kNone = SessionTable::kNone;

/// Writes a port into its own field; of an identifier the source's counts.
void setSource(Endpoints& to, uint32_t address, uint16_t port) {
  to.source = address;
  to.sourcePort = port;
}
void setDestination(Endpoints& to, uint8_t protocol, uint32_t address, uint16_t port) {
  to.destination = address;
  to.destinationPort = port;
  if (protocol == kIcmp) to.sourcePort = port;
}
}  // namespace

Result Translator::icmpError(const PacketView& packet, const Parsed& parsed, Route& route) {
  Result result;
  const uint8_t* message = packet.data + parsed.header;
  const uint32_t whole = parsed.total - parsed.header, here = parsed.end - parsed.header;
  if (here == whole && sumBytes(message, whole) != 0xffff) {
    result.reason = Reason::IcmpChecksum;
    return result;
  }
  Quoted quoted = parseQuoted(packet, parsed, config_.verifyHeaderChecksum, config_.protocols);
  if (!quoted.usable) {
    result.reason = quoted.badChecksum ? Reason::IcmpChecksum : Reason::IcmpEmbedded;
    return result;
  }

  Endpoints inner = Endpoints::of(quoted.parsed), outer = Endpoints::of(parsed);
  uint32_t slot = kNone;
  Side sentBy = kOut;
  if (route.direction != Direction::Inbound) {
    PublicEndpoint e;
    result.reason = quotedOutbound(quoted, inner, e, slot);
    if (result.reason != Reason::None) return result;
    // RFC 5508, REQ-5c: a 1:1 address of the sender, else the NAT's own.
    PublicEndpoint sender;
    const Key from = Key::of(parsed.source, parsed.destination, 0, 0, kIcmp);
    const bool mapped = bindings_.findPermanent(from, sender);
    outer.source = addresses_[mapped ? sender.address : e.address].address;
    sentBy = kIn;
  }
  if (route.direction == Direction::Hairpin && !quoted.parsed.isCall) {
    const uint32_t sentTo = addresses_.find(quoted.parsed.source);
    route.toSibling = isSiblings(quoted.parsed.protocol, sentTo, inner.sourcePort);
  }
  if (route.direction != Direction::Outbound && !route.toSibling) {
    uint32_t receiver = kNone;
    result.reason = quotedInbound(quoted, inner, receiver);
    if (result.reason != Reason::None) return result;
    outer.destination = inner.source;
    const Parsed& q = quoted.parsed;
    if (!quoted.atomic) {
      inner.id = identifications_.original(q.id, inner.source, q.source, q.destination, q.protocol);
    }
    if (receiver != kNone) {
      slot = receiver;
      sentBy = kOut;
    }
  }
  // Without its number anybody could have made up a segment (RFC 792 has errors quote it).
  const bool cut = here < whole;
  const bool liberal = slot == kNone || bindings_.policyOf(sessions_[slot]).tcpLiberal;
  if (quoted.parsed.protocol == kTcp && !quoted.hasSequence && !cut && !liberal) {
    result.reason = Reason::IcmpEmbedded;
    return result;
  }
  if (slot != kNone) quoted.sequence = asSent(slot, sentBy, quoted.sequence);
  if (!liberal && quoted.hasSequence && !isInFlight(sessions_[slot], sentBy, quoted.sequence)) {
    result.reason = Reason::IcmpOutOfWindow;
    return result;
  }
  if (obstacle_ != Reason::None) {
    result.reason = obstacle_;
    return result;
  }
  if (route.direction != Direction::Inbound) outer.id = outboundId(packet, parsed, outer);
  rewriteQuoted(packet, parsed, quoted, inner);
  rewriteHeader(packet, outer, takesHop(packet));
  result.verdict = route.toSibling ? Verdict::Punted
                                   : send(packet, parsed, route.direction != Direction::Outbound);
  result.session = slot == kNone ? 0 : slot + 1;
  return result;
}

/// The quoted packet left through a public endpoint: puts its source back.
Reason Translator::quotedInbound(const Quoted& quoted, Endpoints& to, uint32_t& slot) {
  const Parsed& q = quoted.parsed;
  const uint32_t own = addresses_.find(q.source);
  if (own == PublicAddresses::kNone) return Reason::IcmpNoSession;
  // Of a hairpinned packet `to` has the outer half put back already, a query's identifier too.
  const PublicEndpoint e{static_cast<uint16_t>(own), swap16(to.sourcePort)};
  const uint16_t remote = remotePort(q, to.destinationPort);
  const Arrival arrival{q.protocol, e, to.destination, remote, q.tag, true};
  if (q.isCall) {
    // Sent by the inside host, so the id is the remote's.
    slot = calls_.findOutside(e.address, to.destination, q.destinationPort);
    if (slot == kNone || !isLive(slot)) return Reason::IcmpNoSession;
    to.source = sessions_[slot].inside;
    return Reason::None;
  }
  uint32_t inside;
  uint16_t port;
  bool permanent = true;
  if (addresses_[own].isStatic) {
    inside = addresses_[own].inside;
    port = to.sourcePort;
  } else if (const Forward* f = bindings_.at(arrival).forward; f != nullptr) {
    inside = f->inside;
    port = swap16(f->insidePort);
  } else {
    const uint32_t head = liveHead(arrival);
    if (head == kNone) return Reason::IcmpNoSession;
    inside = sessions_[head].inside;
    port = sessions_[head].insidePort;
    permanent = false;
  }
  slot = lookup(Key::of(inside, to.destination, port, remote, q.protocol));
  if (slot != kNone) {
    const PublicEndpoint taken = endpointOf(sessions_[slot]);
    const bool other = taken.address != e.address || taken.port != e.port;
    if (other || isAnchor(sessions_[slot])) slot = kNone;
  }
  if (slot == kNone && !permanent) return Reason::IcmpNoSession;
  setSource(to, inside, port);
  return Reason::None;
}

/// The quoted packet had come to an inside endpoint: puts its public one in again.
Reason Translator::quotedOutbound(const Quoted& quoted, Endpoints& to, PublicEndpoint& e,
                                  uint32_t& slot) {
  const Parsed& q = quoted.parsed;
  const Key key =
      Key::of(q.destination, q.source, q.destinationPort, remotePort(q, q.sourcePort), q.protocol);
  slot = lookup(key);
  if (slot != kNone) {
    e = endpointOf(sessions_[slot]);
  } else if (!bindings_.findPermanent(key, e)) {
    const uint32_t head = liveBinding(key, policyAt(key.inside()));
    if (head == kNone) return Reason::IcmpNoSession;
    e = endpointOf(sessions_[head]);
  }
  setDestination(to, q.protocol, addresses_[e.address].address, swap16(e.port));
  return Reason::None;
}

}  // namespace napt
