// The slow path: all that a NAT knows, one packet at a time.
//
// Nothing is written to a packet before it is certain that it will be forwarded, so a dropped one
// keeps its bytes, and an untranslated packet can't leave half done.
#include "nat/dccp.h"
#include "nat/sctp.h"
#include "nat/translator.h"
#include "packet/tcp_options.h"

namespace napt {

namespace {
constexpr uint32_t kNone = SessionTable::kNone;

/// Whether the transport has connections, which only some packets can begin.
constexpr bool isConnected(uint8_t protocol) {
  return protocol == kTcp || protocol == kDccp || protocol == kSctp;
}

/// Whether a packet from outside can begin a connection. What was cut off may.
bool mayOpen(uint8_t protocol, const Segment& segment) {
  if (!segment.known) return true;
  switch (protocol) {
    case kTcp:
      return (segment.flags & (kSyn | kAck)) == kSyn;
    case kDccp:
      return segment.type == kDccpRequest;
    case kSctp:
      return segment.type == kSctpInit;
    default:
      return true;
  }
}

/// Whether a refused packet from outside may be half of a simultaneous open (RFC 5382, REQ-4;
/// RFC 5597, REQ-4).
bool awaitsAnswer(uint8_t protocol, const Segment& segment) {
  if (!segment.known) return false;
  if (protocol == kTcp) return (segment.flags & (kSyn | kAck | kRst)) == kSyn;
  return protocol == kDccp &&
         (segment.type == kDccpListen || segment.type == kDccpSync || segment.type == kDccpRequest);
}

Reason reasonOf(Kind kind) {
  switch (kind) {
    case Kind::Malformed:
      return Reason::Malformed;
    case Kind::BadChecksum:
      return Reason::HeaderChecksum;
    case Kind::Truncated:
      return Reason::Truncated;
    case Kind::Tiny:
      return Reason::FragmentTiny;
    case Kind::Other:
      return Reason::UnsupportedProtocol;
    default:
      return Reason::None;
  }
}
}  // namespace

Result Translator::translateSlowly(const PacketView& packet, uint32_t tag, uint64_t now) {
  if (now > now_) now_ = now;
  return process(packet, tag);
}

void Translator::beginPacket(uint32_t tag) {
  tag_ = tag;
  sweepCredit_ += kSweepPerPacket;
  if (!unanswered_.empty()) answerUnsolicited(now_);
}

Result Translator::process(const PacketView& packet, uint32_t tag) {
  beginPacket(tag);
  const Parsed parsed = parse(packet, config_.verifyHeaderChecksum, config_.protocols);
  Route route;
  Result result;
  if (parsed.kind == Kind::Malformed || parsed.kind == Kind::BadChecksum || parsed.end == 0) {
    result.reason = reasonOf(parsed.kind);
  } else if (classify(packet, parsed, route, result)) {
    obstacle_ = obstacleOf(packet, route.direction != Direction::Outbound);
    result = dispatch(packet, parsed, route, tag);
    result.direction = packet.hairpinned ? Direction::Hairpin : route.direction;
  } else if (parsed.first && !exemptions_.empty()) {
    firstFragment(parsed, route, result, Endpoints::of(parsed));
  }
  count(result, packet, parsed.protocol);
  return result;
}

/// Whether a packet's remote is exempt from translation; of an ICMP error: whose packet it quotes.
Exempt Translator::exemption(const PacketView& packet, const Parsed& parsed, bool outbound) const {
  if (exemptions_.empty()) return Exempt::No;
  const uint32_t remote = outbound ? parsed.destination : parsed.source;
  if (parsed.kind == Kind::IcmpError) {
    const Quoted quoted =
        parseQuoted(packet, parsed, config_.verifyHeaderChecksum, config_.protocols);
    const Parsed& q = quoted.parsed;
    // An error goes to the sender of what it quotes (RFC 792), or else it is about nothing of his.
    if (quoted.usable && q.source == parsed.destination) {
      return exemptions_.judge(outbound ? q.source : q.destination, q.protocol,
                               outbound ? q.sourcePort : q.destinationPort, true);
    }
  }
  const uint16_t port = outbound ? parsed.destinationPort : parsed.sourcePort;
  return exemptions_.judge(remote, parsed.protocol, port, parsed.kind != Kind::Fragment);
}

bool Translator::classify(const PacketView& packet, const Parsed& parsed, Route& route,
                          Result& result) {
  const bool fromInside = inside_.contains(parsed.source);
  if (packet.hairpinned) {
    // What a sibling hands on comes from a public endpoint, to one of this translator's.
    route.own = addresses_.find(parsed.destination);
    route.direction = Direction::Inbound;
    if (route.own != PublicAddresses::kNone &&
        addresses_.find(parsed.source) != PublicAddresses::kNone) {
      return true;
    }
    result.direction = Direction::Hairpin;
    result.reason = Reason::InvalidSource;
    return false;
  }
  if (fromInside && packet.fromOutside) {
    result.direction = Direction::Inbound;
    result.reason = Reason::InvalidSource;
    return false;
  }
  if (fromInside && inside_.contains(parsed.destination)) {
    result.verdict = Verdict::Passed;
    return false;
  }
  route.own = addresses_.find(parsed.destination);
  if (route.own != PublicAddresses::kNone) {
    route.direction = fromInside ? Direction::Hairpin : Direction::Inbound;
    const bool spoofed = !fromInside && (isUnroutable(parsed.source) ||
                                         addresses_.find(parsed.source) != PublicAddresses::kNone);
    if (!spoofed) return true;
    result.direction = route.direction;
    result.reason = Reason::InvalidSource;
    return false;
  }
  const bool toInside = inside_.contains(parsed.destination);
  const Exempt exempt = fromInside || toInside ? exemption(packet, parsed, fromInside) : Exempt::No;
  // Who was reached through a public endpoint is answered through it.
  const bool known =
      exempt == Exempt::Yes && fromInside && parsed.kind == Kind::Flow &&
      findSession(Key::of(parsed.source, parsed.destination, parsed.sourcePort,
                          remotePort(parsed, parsed.destinationPort), parsed.protocol)) != kNone;
  if (exempt == Exempt::Yes && !known) {
    result.verdict = Verdict::Passed;
    result.direction = fromInside ? Direction::Outbound : Direction::Inbound;
    return false;
  }
  if (fromInside && !isUnroutable(parsed.destination)) {
    route.direction = Direction::Outbound;
    return true;
  }
  if (exempt == Exempt::Unknown) {
    route.direction = Direction::Inbound;
    return true;
  }
  result.verdict = config_.passUnmatched ? Verdict::Passed : Verdict::Dropped;
  if (!config_.passUnmatched) result.reason = Reason::Unmatched;
  return false;
}

/// Whether the inbound half of a packet to an own public endpoint (port in network order) is a
/// sibling's to do.
bool Translator::isSiblings(uint8_t protocol, uint32_t own, uint16_t port) {
  if (siblings_.empty() || own == PublicAddresses::kNone) return false;
  const PublicEndpoint e{static_cast<uint16_t>(own), swap16(port)};
  return siblings_.own(protocol, own, e.port) &&
         bindings_.at({protocol, e, 0, 0}).forward == nullptr;
}

Result Translator::dispatch(const PacketView& packet, const Parsed& parsed, Route& route,
                            uint32_t tag) {
  Result result;
  result.reason = reasonOf(parsed.kind);
  if (result.reason != Reason::None) return result;
  if (route.direction == Direction::Hairpin && !policyAt(parsed.source).hairpinning) {
    result.reason = Reason::HairpinningOff;
    return result;
  }
  if (packet.data[kIpTtl] <= (takesHop(packet) ? 1 : 0)) {
    result.reason = Reason::TtlExpired;
    originate(packet, parsed, kTimeExceeded, 0, route.direction != Direction::Inbound, tag);
    return result;
  }
  switch (parsed.kind) {
    case Kind::Fragment:
      return fragment(packet, parsed, route, tag);
    case Kind::IcmpError:
      return icmpError(packet, parsed, route);
    default:
      return flow(packet, parsed, route, tag);
  }
}

Result Translator::flow(const PacketView& packet, const Parsed& parsed, Route& route,
                        uint32_t tag) {
  const Segment segment = parseSegment(packet, parsed);
  const bool toInside = route.direction != Direction::Outbound;
  Endpoints to = Endpoints::of(parsed);
  uint32_t slot = kNone;
  Result result;
  result.reason = resolve(packet, parsed, route, segment, to, slot);
  const bool hairpin = route.direction == Direction::Hairpin || packet.hairpinned;
  if (result.reason == Reason::None && mostMss_ != 0) clampMss(packet, parsed, mostMss_);
  const bool mayWatch = parsed.protocol == kTcp && hasAlgs() && slot != kNone;
  if (result.reason == Reason::None && mayWatch && !hairpin) {
    const Side side = route.direction == Direction::Outbound ? kOut : kIn;
    result = forwardSegment(packet, parsed, segment, to, slot, side, tag);
  } else if (result.reason == Reason::None) {
    rewritePacket(packet, parsed, to, takesHop(packet));
    result.verdict = route.toSibling ? Verdict::Punted : send(packet, parsed, toInside);
    result.session = slot == kNone ? 0 : slot + 1;
  } else {
    result.direction = packet.hairpinned ? Direction::Hairpin : route.direction;
    refuse(packet, parsed, segment, result, tag);
  }
  if (parsed.first) firstFragment(parsed, route, result, to);
  return result;
}

/// Tells the sender, or will, why a packet goes no further.
void Translator::refuse(const PacketView& packet, const Parsed& parsed, const Segment& segment,
                        const Result& why, uint32_t tag) {
  constexpr uint8_t kFragmentationNeeded = 4, kAdministrativelyProhibited = 13;  // RFC 5508, REQ-8
  const bool fromInside = why.direction != Direction::Inbound && !packet.hairpinned;
  switch (why.reason) {
    case Reason::TooBig:
      originate(packet, parsed, kUnreachable, kFragmentationNeeded, fromInside, tag,
                exceededMtu(packet, why.direction != Direction::Outbound));
      break;
    case Reason::PortsExhausted:
    case Reason::SessionLimit:
    case Reason::HostLimit:
    case Reason::RateLimit:
      if (fromInside) {
        originate(packet, parsed, kUnreachable, kAdministrativelyProhibited, true, tag);
      }
      break;
    default:
      if (why.direction == Direction::Inbound && awaitsAnswer(parsed.protocol, segment)) {
        answerLater(packet, tag);
      }
  }
}

/// Finds or makes the sessions of a packet with ports, and says what to write.
Reason Translator::resolve(const PacketView& packet, const Parsed& parsed, Route& route,
                           const Segment& segment, Endpoints& to, uint32_t& slot) {
  uint32_t outbound = kNone;
  if (route.direction != Direction::Inbound) {
    const Reason reason = outboundSession(parsed, segment, outbound);
    if (reason != Reason::None) return reason;
    const Session& s = sessions_[outbound];
    to.source = addresses_[s.address].address;
    to.sourcePort = s.publicPort;
    if (parsed.protocol == kIcmp) to.destinationPort = s.publicPort;
    // A hairpinned packet has left by now, whether or not the other half lets it in again.
    account(outbound, segment, kOut, parsed.total);
    slot = outbound;
  }
  if (route.direction == Direction::Hairpin) {
    route.toSibling = isSiblings(parsed.protocol, route.own, to.destinationPort);
  }
  if (route.direction != Direction::Outbound && !route.toSibling) {
    Leg leg;
    leg.outbound = outbound;
    const Reason reason = inboundLeg(parsed, route.own, to, segment, leg);
    if (reason != Reason::None) return reason;
    to.destination = leg.inside;
    to.destinationPort = leg.insidePort;
    if (parsed.protocol == kIcmp) to.sourcePort = leg.insidePort;
    if (leg.slot != kNone) {
      account(leg.slot, segment, kIn, parsed.total);
      slot = leg.slot;
    }
  }
  if (obstacle_ != Reason::None) return obstacle_;
  if (outbound != kNone) to.id = outboundId(packet, parsed, to);
  return Reason::None;
}

/// The identification that a packet leaves with (RFC 6864).
uint16_t Translator::outboundId(const PacketView& packet, const Parsed& parsed,
                                const Endpoints& to) {
  if (isAtomic(packet.data)) return parsed.id;
  if (parsed.first) {
    // A first fragment that comes again belongs to the same datagram.
    const Datagram* datagram = fragments_.find(DatagramKey::of(parsed));
    if (datagram != nullptr && datagram->state == DatagramState::Translated &&
        datagram->to.source == to.source && datagram->to.destination == to.destination) {
      return datagram->to.id;
    }
  }
  return identifications_.assign(parsed.id, parsed.source, to.source, to.destination,
                                 parsed.protocol, now_, random_);
}

Reason Translator::outboundSession(const Parsed& parsed, const Segment& segment, uint32_t& slot) {
  if (parsed.isCall) {
    slot = findCall(parsed.source, parsed.destination, parsed.destinationPort);
    return slot == kNone ? Reason::NoMapping : Reason::None;
  }
  const Key key = Key::of(parsed.source, parsed.destination, parsed.sourcePort,
                          remotePort(parsed, parsed.destinationPort), parsed.protocol);
  const bool reply = parsed.protocol == kIcmp && !isIcmpQuery(parsed.icmpType);
  slot = lookup(key);
  if (slot != kNone) {
    if ((sessions_[slot].flags & kExpected) != 0) return Reason::TcpNoSession;  // nobody has port 0
    // The answer to a query that never came: only 1:1 mappings let queries in.
    if (reply && (sessions_[slot].flags & kPermanent) == 0) return Reason::NoMapping;
    return Reason::None;
  }
  if (reply) return Reason::NoMapping;
  const bool midStream = parsed.protocol == kTcp && segment.known && (segment.flags & kSyn) == 0;
  if (midStream && !policyAt(parsed.source).tcpPickup) return Reason::TcpNoSession;
  return open({key, kOut, segment, nullptr, false}, slot);
}

Reason Translator::inboundLeg(const Parsed& parsed, uint32_t own, const Endpoints& from,
                              const Segment& segment, Leg& leg) {
  const PublicEndpoint e{static_cast<uint16_t>(own), swap16(from.destinationPort)};
  const uint16_t port = remotePort(parsed, from.sourcePort);
  if (addresses_[own].isStatic) {
    const Key key =
        Key::of(addresses_[own].inside, from.source, from.destinationPort, port, parsed.protocol);
    return permanentLeg(parsed, e, key, segment, leg);
  }
  const Arrival arrival{parsed.protocol, e, from.source, port};
  if (const Forward* f = bindings_.at(arrival).forward; f != nullptr) {
    const Key key = Key::of(f->inside, from.source, swap16(f->insidePort), port, parsed.protocol);
    return permanentLeg(parsed, e, key, segment, leg);
  }
  return dynamicLeg(parsed, e, from, segment, leg);
}

/// Forwards and 1:1 mappings admit any remote.
Reason Translator::permanentLeg(const Parsed& parsed, PublicEndpoint e, const Key& key,
                                const Segment& segment, Leg& leg) {
  leg.inside = key.inside();
  leg.insidePort = key.insidePort();
  leg.slot = lookup(key);
  if (leg.slot != kNone) {
    // The same remote endpoint already talks to this inside endpoint through another public one:
    // the packet is delivered, and the session stays where it is.
    const PublicEndpoint taken = endpointOf(sessions_[leg.slot]);
    if (taken.address != e.address || taken.port != e.port) leg.slot = kNone;
    return Reason::None;
  }
  if (!mayOpen(parsed.protocol, segment)) return Reason::TcpNoSession;
  return open({key, kIn, segment, &e, true, nullptr, kNone, leg.outbound}, leg.slot);
}

Reason Translator::dynamicLeg(const Parsed& parsed, PublicEndpoint e, const Endpoints& from,
                              const Segment& segment, Leg& leg) {
  const uint16_t port = remotePort(parsed, from.sourcePort);
  Arrival arrival{parsed.protocol, e, from.source, port, segment.tag, isReflected(segment)};
  uint32_t head = liveHead(arrival);
  if (head == kNone && parsed.protocol == kSctp) {
    // Of an association that was picked up in mid-stream the tag is not known yet.
    arrival.tag = 0;
    arrival.reflected = false;
    head = liveHead(arrival);
  }
  if (head == kNone) return Reason::NoMapping;
  // Nobody asked a NAPT's mapped identifier anything: only answers come in.
  if (parsed.protocol == kIcmp && !isIcmpReply(parsed.icmpType)) return Reason::NoMapping;
  leg.inside = sessions_[head].inside;
  leg.insidePort = sessions_[head].insidePort;
  const Key key = Key::of(leg.inside, from.source, leg.insidePort, port, parsed.protocol);
  leg.slot = lookup(key);
  if (leg.slot != kNone) {
    if ((sessions_[leg.slot].flags & kExpected) != 0) return Reason::TcpNoSession;
    const PublicEndpoint own = endpointOf(sessions_[leg.slot]);
    if (own.address == e.address && own.port == e.port) return Reason::None;
  }
  if (!mayEnter(head, from.source, port)) return Reason::Filtered;
  // With endpoint-dependent mapping the remote may have a session through another port: then, and
  // for UDP and ICMP always, the binding alone translates. No session is made by what the remote
  // sends, so it neither fills the table nor keeps the binding alive (RFC 4787, REQ-6).
  const bool clash = leg.slot != kNone;
  leg.slot = kNone;
  if (isConnected(parsed.protocol)) {
    if (clash) return Reason::None;
    if (!mayOpen(parsed.protocol, segment)) return Reason::TcpNoSession;
  } else if (clash || inboundRefreshes_[sessions_[head].profile] == 0) {
    return Reason::None;
  }
  const Reason reason = open({key, kIn, segment, &e, false, nullptr, head, leg.outbound}, leg.slot);
  if (reason == Reason::None && hasAlgs()) {
    endExpected(Key::of(leg.inside, from.source, leg.insidePort, 0, parsed.protocol));
  }
  return reason;
}

void Translator::count(const Result& result, const PacketView& packet, uint8_t protocol) {
  const uint32_t bytes = packet.length;
  // Who does a hairpinned packet's first half counts it in, who does the second counts it out.
  if (!packet.hairpinned) {
    stats.packetsIn++;
    stats.bytesIn += bytes;
    const auto direction = static_cast<uint32_t>(result.direction);
    stats.byDirection[direction]++;
    stats.bytesByDirection[direction] += bytes;
  }
  switch (result.verdict) {
    case Verdict::Forwarded:
      stats.byProtocol[std::min(portSpace(protocol), 3u)]++;
      [[fallthrough]];
    case Verdict::Passed:
      if (result.verdict == Verdict::Passed) stats.packetsPassed++;
      stats.packetsOut++;
      stats.bytesOut += bytes;
      break;
    case Verdict::Dropped:
      stats.drops[static_cast<uint32_t>(result.reason)]++;
      break;
    default:
      break;
  }
}

}  // namespace napt
