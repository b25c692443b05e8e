// What the mutation run (run.ts) breaks, one at a time. `find` stands exactly once in its file.

export interface Mutant {
  /** What it breaks belongs to this. */
  readonly concept: string;
  /** What is wrong with it then. */
  readonly name: string;
  /** Under native/. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  /** Why nobody can tell; such a mutant is expected to survive. */
  readonly equivalent?: string;
}

type Entry = [name: string, find: string, replace: string, equivalent?: string];

const group = (concept: string, file: string, entries: Entry[]): Mutant[] =>
  entries.map(([name, find, replace, equivalent]) => ({
    concept,
    name,
    file,
    find,
    replace,
    ...(equivalent === undefined ? {} : { equivalent }),
  }));

export const mutants: readonly Mutant[] = [
  ...group("checksums", "packet/checksum.h", [
    ["the carry between halves is lost", "(sum + std::rotl(sum, 16)) >> 16", "(sum & 0xffff) + (sum >> 16)"],
    ["the upper half is lost", "(sum + std::rotl(sum, 32)) >> 32", "sum"],
    ["the carry of a sum is lost", "return sum + carry;", "return sum;"],
    ["a word's old value is added", "static_cast<uint16_t>(~from)", "static_cast<uint16_t>(from)"],
    ["an address's old value is added", "addWithCarry(~from, to)", "addWithCarry(from, to)"],
    ["the way back is the way out", "static_cast<Delta>(~d)", "d"],
    ["the second change is lost", "fold(uint32_t{a} + b)", "fold(uint32_t{a})"],
    ["the TTL is taken as the high byte", "kTtlDelta = 0xfffe", "kTtlDelta = 0xfeff"],
    ["a UDP checksum appears where there was none", "if (checksum == 0) return 0;", ""],
    ["a UDP checksum vanishes", "updated == 0 ? uint16_t{0xffff} : updated", "updated"],
    ["a partial checksum keeps the old addresses", "fold(field + addressDelta)", "field"],
    ["the odd byte is not summed", "if (length != 0) sum += *p;", ""],
    ["the last word is summed by half", "if (length >= 2)", "if (length > 2)"],
  ]),

  ...group("parse", "packet/ipv4.cpp", [
    ["any version is IPv4", "p[0] >> 4 != 4 || ", ""],
    ["a header may be too short", " || out.header < kIpHeader", ""],
    ["a packet may be longer than its frame", "(out.total > packet.wire && !cut)", "false"],
    ["a packet may end in its header", "out.total < out.header || ", ""],
    ["a total of 0 is no packet", "if (out.total == 0) out.total = packet.wire;", ""],
    [
      "padding belongs to the packet",
      "out.end = std::min(out.total, packet.length);",
      "out.end = packet.length;",
    ],
    ["options are not in the header checksum", "sumBytes(p, out.header)", "sumBytes(p, kIpHeader)"],
    ["fragments may end beyond 65,535", "> 65535u - kIpHeader", "> 131072u"],
    ["a fragment may cover the TCP flags", "offset < kTcpHeader;", "offset < 8;"],
    [
      "a first fragment may be tiny",
      "out.kind = out.first ? Kind::Tiny : Kind::Malformed;",
      "out.kind = Kind::Malformed;",
    ],
    ["half a transport header will do", "whole < minimumHeader(out.protocol)", "whole < 4"],
    [
      "fragments of any protocol are carried",
      "carried.hasSome(out.protocol) ? Kind::Fragment : Kind::Other",
      "Kind::Fragment",
    ],
    [
      "ICMP errors may come in fragments",
      "if (out.first && out.kind == Kind::IcmpError) out.kind = Kind::Malformed;",
      "",
    ],
    ["an identifier may be cut off", "if (here < kIcmpId + 2)", "if (here < kIcmpId)"],
    ["a window scale may be any", "std::min<uint8_t>(option[2], 14)", "option[2]"],
    ["TCP options are data", "? whole - header : 0", "? whole - kTcpHeader : 0"],
    ["a DCCP type is read with its X bit", "tcp[kDccpType] >> 1 & 15", "tcp[kDccpType] & 15"],
  ]),
  ...group("parse", "packet/ipv4.h", [
    [
      "Parameter Problem is no error",
      "type == kTimeExceeded || type == kParameterProblem",
      "type == kTimeExceeded",
    ],
    [
      "an address mask request is no query",
      "type == kTimestamp || type == kAddressMask;",
      "type == kTimestamp;",
    ],
    ["SCTP's checksum covers addresses", "hasPorts(protocol) && protocol != kSctp", "hasPorts(protocol)"],
  ]),

  ...group("rewrite", "packet/rewrite.cpp", [
    [
      "the header checksum forgets the identification",
      "delta += delta16(load<uint16_t>(p + kIpId), to.id);",
      "",
    ],
    ["the TTL stays", "p[kIpTtl]--;", ""],
    [
      "the checksum of an ICMP message of zeros is 0",
      "if (sumBytes(message, here) == 0) checksum = 0xffff;",
      "",
    ],
    [
      "a partial checksum is updated as a whole one",
      "adjustPartial(checksum, addresses)",
      "adjust(checksum, addresses)",
    ],
    [
      "UDP-Lite may have no checksum",
      "return protocol == kUdp || protocol == kUdpLite;",
      "return protocol == kUdp;",
    ],
    ["UDP-Lite covers all of a packet", "covered = load16be(transport + kUdpLiteCoverage);", ""],
    ["UDP-Lite may cover less than its header", "if (covered < kUdpHeader) covered = 0;", ""],
    ["DCCP covers all of a packet", "(transport[kDccpCoverage] & 15u) != 0", "false"],
    ["a checksum covers more than there is", "std::min(covered, length)", "covered"],
    ["half a checksum is written", "if (at + 2 <= here) {", "if (at < here) {"],
    [
      "a quoted header keeps its checksum",
      "adjust(load<uint16_t>(p + kIpChecksum), addresses + delta16(q.id, to.id))",
      "load<uint16_t>(p + kIpChecksum)",
    ],
    [
      "a quotation goes on into its padding",
      "if (q.total >= q.header) q.end = std::min(q.end, q.total);",
      "",
    ],
    [
      "an error about an error is translated",
      "!(isIcmpQuery(transport[0]) || isIcmpReply(transport[0]))",
      "false",
    ],
    ["a quoted later fragment has ports", "if (laterFragment || !carried", "if (!carried"],
    [
      "a quoted TCP segment has no sequence number",
      "out.hasSequence = q.protocol",
      "out.hasSequence = false && q.protocol",
    ],
    ["an error keeps its checksum", "adjust(checksum, fold(patch.delta))", "checksum"],
  ]),

  ...group("TCP states", "nat/tcp.h", [
    ["one ACK establishes", "(state & kTcpEstablished) != kTcpEstablished", "(state & kTcpEstablished) == 0"],
    [
      "one acknowledged FIN is time-wait",
      "(state & kFinOutAcked) != 0 && ",
      "(state & kFinOutAcked) != 0 || ",
    ],
    [
      "half-closed is closing",
      "finOut || finIn ? TcpPhase::HalfClosed",
      "finOut || finIn ? TcpPhase::Closing",
    ],
    ["data beyond the window move it", "static_cast<int32_t>(end - s.edge[side]) <= 0", "true"],
    ["windows are not scaled", "ack + (window << windowShift(scale))", "ack + window"],
    [
      "the fast path takes SYN, FIN and RST",
      "(flags & (kTcpSpecial | kAck)) == kAck",
      "(flags & kAck) == kAck",
    ],
    [
      "the fast path takes any state",
      "(seen | kTcpEstablished << 8)",
      "(both & (seen | kWatched | 0x7f00u))",
    ],
  ]),
  ...group("TCP states", "nat/tcp.cpp", [
    ["any RST counts", "if (!liberal && !isInWindow(s, side, segment)) return false;", ""],
    ["liberal is strict about RST", "if (!liberal && !isInWindow", "if (!isInWindow"],
    ["liberal is strict about FIN", "!seen || liberal || isInWindow", "!seen || isInWindow"],
    ["a RST refreshes a closing session", "return shortens;", "return true;"],
    ["a RST shortens an opening session", "if (shortens) s.timeout", "s.timeout"],
    ["any FIN counts", "(segment.flags & kFin) != 0 && inWindow", "(segment.flags & kFin) != 0"],
    [
      "any ACK acknowledges the FIN",
      "finBit(other)) != 0 && segment.ack == s.end[other]",
      "finBit(other)) != 0",
    ],
    [
      "any RST of one who never spoke counts",
      "return (segment.flags & kAck) != 0 && segment.ack == s.end[other];",
      "return true;",
    ],
    ["a stray SYN refreshes", "return false;  // a stray", "return true;  // a stray"],
    ["a SYN reopens nothing", "if (syn && !ack && (!opening", "if (false && (!opening"],
    ["a SYN in the remote's name begins all of it afresh", "(anew && side == beganBy)", "anew"],
    ["a SYN without a scale takes the other side's", "!segment.hasWindowScale && (segment", "(segment"],
    [
      "a SYN of one side decides for both",
      "!segment.hasWindowScale && (segment.flags & kAck) != 0",
      "!segment.hasWindowScale",
    ],
    [
      "SYNs need not be plausible",
      "if (side == kIn && !liberal) {",
      "if (side == kIn && !syn && !liberal) {",
    ],
    ["the SYN that came last counts, not the answered one", "s.end[kIn] = segment.ack;", ""],
    ["a new attempt goes on with old numbers", "segment.sequence + spanOf(segment) != s.end[side]", "false"],
    ["one side's window scale is enough", "s.scales = 0;  // both", ";  // both"],
    ["the window of a SYN is scaled", "(segment.flags & kSyn) != 0 ? 0 : windowShift", "windowShift"],
    ["a reset session stays reset", "if (!syn) s.state &= static_cast<uint8_t>(~kReset);", ""],
    ["what was not sent yet is in flight", "isNotAfter(sequence, s.end[side]) && ", ""],
    ["all that was ever sent is in flight", "isNotAfter(s.end[side] - 2 * window, sequence)", "true"],
    ["one who never spoke has something in flight", "if ((s.flags & seenFlag(side)) == 0) return false;", ""],
    ["a picked-up connection has no scale", "kUnknownScale << 4 | kUnknownScale", "0"],
    [
      "a picked-up connection believes any edge",
      "scaleOf(s, other) == kUnknownScale ? s.end[side] + windowOf(s, other) : s.edge[side]",
      "s.edge[side]",
    ],
    ["a SYN takes no sequence number", "((segment.flags & kSyn) != 0 ? 1 : 0)", "0"],
  ]),
  ...group("TCP states", "nat/slow_path.cpp", [
    ["any segment from outside opens", "(segment.flags & (kSyn | kAck)) == kSyn", "true"],
    ["pick-up can't be switched off", "if (midStream && ", "if (false && "],
  ]),

  ...group("DCCP", "nat/dccp.cpp", [
    ["a stray Request refreshes", "if (wasOpen) return false;", ""],
    ["any Reset refreshes", "return wasOpen || segment.type == kDccpClose;", "return true;"],
    ["one side alone establishes", "(s.state & (kBoth | kEnding)) == kBoth", "(s.state & kBoth) != 0"],
    ["a Reset is for good", "      s.state &= static_cast<uint8_t>(~kEnding);", ""],
    ["a Close keeps the long timeout", "s.timeout = Timeout::DccpTransitory;", ""],
    ["what is ending can't begin afresh", "if ((s.state & kEnding) != 0) s.state = 0;", ""],
  ]),
  ...group("SCTP", "nat/sctp.cpp", [
    ["any tag counts", "if (tag != segment.tag) return false;", ""],
    ["an INIT restarts an open association", "if (s.timeout == Timeout::SctpEstablished) return false;", ""],
    [
      "an INIT ACK tells no tag",
      "case kSctpInitAck:\n      s.end[other] = segment.initTag;",
      "case kSctpInitAck:",
    ],
    ["an ABORT keeps the long timeout", "s.timeout = Timeout::SctpTransitory;", ""],
    ["one side alone establishes", "(s.state & kBoth) == kBoth", "(s.state & kBoth) != 0"],
  ]),
  ...group("SCTP", "nat/sctp.h", [["the T bit is not known", "(segment.flags & 1) != 0", "false"]]),
  ...group("SCTP", "nat/bindings.cpp", [
    [
      "the tag tells no hosts apart",
      "(s.protocol != kSctp || s.end[a.reflected ? kOut : kIn] == a.tag)",
      "true",
    ],
  ]),
  ...group("SCTP", "nat/slow_path.cpp", [
    [
      "a picked-up association gets no answer",
      "if (head == kNone && parsed.protocol == kSctp)",
      "if (false)",
    ],
  ]),
  ...group("SCTP", "nat/session_life.cpp", [
    ["an INIT's tag is not kept", "segment.known && segment.type == kSctpInit ? segment.initTag : 0", "0"],
  ]),

  ...group("mapping", "nat/bindings.h", [
    [
      "mapping is always endpoint-independent",
      "return policy.mapping[space];",
      "return Behaviour::EndpointIndependent;",
    ],
    ["mapping is TCP's for all", "return policy.mapping[space];", "return policy.mapping[0];"],
  ]),
  ...group("filtering", "nat/bindings.h", [
    ["filtering is TCP's for all", "policy.filtering[space]", "policy.filtering[0]"],
    [
      "endpoint-independent filtering admits nobody",
      "return findInList(head, counts) != kNone;",
      "return false;",
    ],
    ["what outsiders begin holds a mapping", "return findInList(head, counts) != kNone;", "return true;"],
    ["strict filtering admits all", "return isExpected(first, remote, counts);", "return true;"],
    [
      "address-dependent filtering admits all",
      "if (witness == nullptr) return false;",
      "if (witness == nullptr) return true;",
    ],
    [
      "a session that is due still permits",
      "s.publicPort == swap16(e.port) && counts(slot)",
      "s.publicPort == swap16(e.port)",
    ],
  ]),
  ...group("filtering", "nat/permits.h", [
    [
      "a permit goes with its first session",
      "slot == Index::kNone || --permits_[slot].sessions != 0",
      "slot == Index::kNone",
    ],
    [
      "a permit is for all protocols",
      "o) const {\n      return protocol == o.protocol && ",
      "o) const {\n      return ",
      "the protocol is in the hash as well: only a collision of 64 bits could tell",
    ],
  ]),
  ...group("filtering", "nat/slow_path.cpp", [
    [
      "queries reach a mapped identifier",
      "if (parsed.protocol == kIcmp && !isIcmpReply(parsed.icmpType)) return Reason::NoMapping;",
      "",
    ],
    [
      "a session opens another endpoint to its remote",
      "if (own.address == e.address && own.port == e.port) return",
      "return",
    ],
    [
      "what outsiders send makes sessions",
      "clash || inboundRefreshes_[sessions_[head].profile] == 0",
      "clash",
    ],
    ["an unroutable source comes in", "isUnroutable(parsed.source) ||\n", "\n"],
    [
      "a spoofed own source comes in",
      "const bool spoofed = !fromInside && (",
      "const bool spoofed = fromInside && (",
    ],
    [
      "unroutable destinations are mapped",
      "if (fromInside && !isUnroutable(parsed.destination)) {",
      "if (fromInside) {",
    ],
    [
      "a reply needs no query",
      "if (reply && (sessions_[slot].flags & kPermanent) == 0) return Reason::NoMapping;",
      "",
    ],
    [
      "inside traffic is translated",
      "if (fromInside && inside_.contains(parsed.destination)) {",
      "if (false) {",
    ],
    ["hairpinning can't be switched off", "!policyAt(parsed.source).hairpinning", "false"],
    ["a TTL of 1 is forwarded", "packet.data[kIpTtl] <= (takesHop", "packet.data[kIpTtl] < (takesHop"],
  ]),

  ...group("ports", "nat/ports.cpp", [
    ["parity is not kept", "wish.parity && sameParity", "false"],
    ["parity is always kept", "wish.parity && sameParity", "sameParity"],
    ["the class below 1024 is not kept", "wish.classes && sameClass", "false"],
    ["ports are always preserved", "wish.preserve && wish.port >= low", "wish.port >= low"],
    ["sequential order stands still", "if (port >= 0 && !wish.random)", "if (false)"],
    ["random order is sequential", "if (random) {", "if (false) {"],
    ["a search does not begin again below", "if (port < 0 && start > low)", "if (false)"],
    ["the farther parity is next", "distance(port) < distance(best)", "distance(port) > distance(best)"],
    ["a range may rest entirely", "std::min(config_.holdDownPorts, count / 8)", "config_.holdDownPorts"],
    ["small ranges rest", " || count < kSmall", ""],
    ["any number of ports rests", "std::min(config_.holdDownPorts, count / 8)", "count / 8"],
    ["the longest at rest is not freed", "if (resting.count == most) rouse(set, resting);", ""],
    [
      "rest begins anew with a new config",
      "to.push(port, uint64_t{rest.since - 1} << 16)",
      "to.push(port, now_)",
    ],
  ]),
  ...group("ports", "nat/ports.h", [
    ["nothing rests", "return config_.holdDown != 0 && space != kTcpSpace;", "return false;"],
    [
      "TCP's ports rest",
      "return config_.holdDown != 0 && space != kTcpSpace;",
      "return config_.holdDown != 0;",
    ],
    ["ports rest half the time", "<< 16) + config_.holdDown)", "<< 16) + config_.holdDown / 2)"],
    ["a word's last port hides its group", "if (word == 0) summary_", "summary_"],
    [
      "free ports beyond the range are found",
      "return port <= to ? static_cast<int32_t>(port) : -1;",
      "return static_cast<int32_t>(port);",
    ],
    ["a shared port need not suit", "(!parity || ((port ^ other) & 1) == 0)", "true"],
  ]),
  ...group("ports", "nat/bindings.cpp", [
    ["forwards' ports are handed out", "pool_.withhold(space, address, f.outsidePort);", ""],
    [
      "preserving is not insisted on",
      ": port.preserve && inRange ? PortQuality::Same",
      ": port.preserve && inRange ? PortQuality::ClassAndParity",
    ],
    [
      "contiguity goes the wrong way",
      "(key.insidePort() & kOne) != 0 ? 1 : -1",
      "(key.insidePort() & kOne) != 0 ? -1 : 1",
    ],
    [
      "contiguity may leave the range",
      "if (port < range.low || port > range.high) return -1;",
      "",
      "ports outside the range are never free, which is asked next",
    ],
    [
      "contiguity leaves no room for the sibling",
      "if (pool_.isFree(space, {number, neighbour})) break;",
      "break;",
    ],
    ["nothing is contiguous", "if (beside >= 0) return beside;", ""],
    [
      "rest is forgotten with a new config",
      "if (now < addresses_.pool()) pool_.adoptResting",
      "if (false) pool_.adoptResting",
    ],
    [
      "endpoint-dependent mapping never shares",
      "if (sharing) return wish.ideal ? -1 : sharedPort",
      "if (sharing) return true ? -1 : sharedPort",
    ],
    [
      "ports are shared while there are free ones",
      "if (sharing && port.preserve && inRange && canShare",
      "if (sharing && inRange && canShare",
    ],
    [
      "one remote may have two behind a port",
      "return findShared(arrival, mapping) == kNone;",
      "return true;",
    ],
    ["both kinds of sharing mix", "if ((value & kKinds) != kind) return false;", ""],
    ["a shared port is any", "if (port.suits(candidate)) return candidate;", "return candidate;"],
    [
      "a shared port comes free with its first binding",
      "sharing && (entry & kCount) > 1 ? entry - 1 : 0",
      "0",
    ],
  ]),
  ...group("ports", "nat/bindings.h", [
    [
      "endpoint-independent mapping shares",
      "return policy.overloading && mappingOf",
      "return policy.overloading || mappingOf",
    ],
  ]),

  ...group("pooling", "nat/bindings.cpp", [
    [
      "hosts crowd on one address",
      "hostsPaired_[a] < hostsPaired_[best]",
      "hostsPaired_[a] > hostsPaired_[best]",
    ],
    [
      "the better of two is the worse",
      "hostsPaired_[one] <= hostsPaired_[two]",
      "hostsPaired_[one] > hostsPaired_[two]",
    ],
    ["hard pairing is soft", "if (pooling == Pooling::Paired || wish.ideal)", "if (wish.ideal)"],
    [
      "soft pairing leaves too soon",
      "if (pooling == Pooling::Paired || wish.ideal)",
      "if (pooling == Pooling::Paired)",
    ],
    ["soft pairing is hard", "if (pooling == Pooling::Paired || wish.ideal)", "if (true)"],
    [
      "a pairing is for good",
      "if (host.pooled == 0 && config_.deterministic.portsPerHost == 0) unpair(host);",
      "",
    ],
  ]),

  ...group("port blocks", "nat/port_blocks.cpp", [
    [
      "a host gets one block more",
      "return has < config_.blocksPerHost;",
      "return has <= config_.blocksPerHost;",
    ],
    ["the fixed block counts", "if (!blocks_[link - 1].fixed) has++;", "has++;"],
    ["blocks never rest", "if (config_.blockHold == 0) {", "if (true) {"],
    ["blocks rest too long", "since >= config_.blockHold", "since > config_.blockHold"],
    [
      "a deterministic host is the next one",
      "number += inside - range.first;",
      "number += inside - range.first + 1;",
    ],
    ["hosts of earlier prefixes don't count", "number += range.count;", ""],
    [
      "hosts of the second address are beyond it",
      "number % d.hostsPerAddress * d.portsPerHost",
      "number * d.portsPerHost",
    ],
    [
      "blocks of others are claimed",
      " || owners_[at(e.address, number)] != 0) return false;",
      ") return false;",
    ],
  ]),
  ...group("port blocks", "nat/port_blocks.h", [
    ["blocks lie in the fixed ranges", ".low + d.portsPerHost * d.hostsPerAddress", ".low"],
    ["a fixed block goes with its last binding", "bindings == 0 && !blocks_[slot].fixed", "bindings == 0"],
    ["a block has several owners", "owners_[at(address, number)] == 0 && hasPort", "hasPort"],
    ["a block of a forward's port alone is given", "== 0 && hasPort(low, low + size_ - 1)", "== 0"],
    ["a block is never taken back", "if (--blocks_[slot].bindings == 0 && ", "if (false && "],
  ]),

  ...group("bindings", "nat/bindings.cpp", [
    [
      "a port forgets its binding with its first session",
      "map_.at(space, e) = next;",
      "map_.at(space, e) = 0;",
    ],
    [
      "a mapping is lost with its first session",
      "if (keyed && findDynamic(Key::of(sessions_[first])",
      "if (false && findDynamic(Key::of(sessions_[first])",
    ],
    [
      "a session in the middle breaks the list",
      "sessions_.links(links.bindingPrevious - 1).bindingNext = links.bindingNext;",
      "",
    ],
    [
      "the third session breaks the list",
      "sessions_.links(first.bindingNext - 1).bindingPrevious = slot + 1;",
      "",
    ],
    ["permits stay", "if (needsPermits(s)) permits_.remove(", "if (false) permits_.remove("],
    ["a port is never given back", "if (entry == 0) pool_.give(space, e);", ""],
    ["a taken port stays free", "if (!sharing) {\n    pool_.take(space, e);", "if (!sharing) {"],
  ]),
  ...group("reconfigure", "nat/bindings.cpp", [
    [
      "ports outside the new range stay",
      "if (e.port < range.low || e.port > range.high) return false;",
      "",
      "the pool has no such ports: isFree refuses them, next",
    ],
    [
      "another's endpoint is taken over",
      "if (head.inside != session.inside || head.insidePort != session.insidePort) return false;",
      "",
    ],
    [
      "a host is taken over on two addresses",
      "if (paired && host.isPaired && host.paired != e.address) return false;",
      "",
    ],
  ]),
  ...group("reconfigure", "nat/session_life.cpp", [
    ["sessions with inside remotes stay", "inside_.contains(was.remote) || ", ""],
    ["sessions of hosts outside stay", "!inside_.contains(was.inside) ||", ""],
    ["sessions of a protocol switched off stay", " || exempt || !carried", " || exempt"],
    ["sessions with exempt remotes stay", "exempt || !carried", "!carried"],
    [
      "what is configured now does not win",
      "if (!permanent && (configured || forward != nullptr || staticNow)) return kNone;",
      "",
    ],
    [
      "sessions keep their old policy",
      "adopted.profile = profileOf(bindings_.hosts[host].policy, was.protocol, was.remotePort);",
      "",
    ],
    ["their age is lost", "now.created = links.created;", ""],
    ["their counters lose the carry", "now.packetCarry[side] = links.packetCarry[side];", ""],
    ["time begins again", "now_ = old.now_;", ""],
    ["held fragments are lost", "store_ = std::move(old.store_);", ""],
  ]),

  ...group("hosts", "nat/bindings.cpp", [
    ["one binding more", "used[0] < limits[0]", "used[0] <= limits[0]"],
    ["no limit by protocol", "(limits[own] == 0 || used[own] < limits[own])", "true"],
    ["bindings count for ever", "used[0] += more ? 1u : ~0u;", "used[0] += more ? 1u : 0u;"],
    [
      "new sessions of a host are not counted",
      "if (rate != 0) hosts.quota(host).sessions.count(rate, now_);",
      "",
    ],
  ]),
  ...group("hosts", "nat/bindings.h", [
    ["one session more", "host.sessions - host.visitors) < limit", "host.sessions - host.visitors) <= limit"],
    [
      "visitors use up the host's quota",
      "(fromOutside ? host.visitors : host.sessions - host.visitors)",
      "host.sessions",
    ],
  ]),
  ...group("hosts", "nat/hosts.h", [
    ["the burst is one more", "(burst - 1) * (kSecond / rate)", "burst * (kSecond / rate)"],
    ["idle time is saved up", "(due_ < now ? now : due_)", "due_"],
    ["a host's slot is lost", "    free_ = slot + 1;\n  }\n\n  /// Whether", "  }\n\n  /// Whether"],
  ]),
  ...group("hosts", "nat/session_life.cpp", [
    ["new sessions in all are not counted", "sessionRate_.count(config_.sessionRate, now_);", ""],
  ]),
  ...group("hosts", "nat/addresses.h", [
    ["the last prefix counts", "prefixes[*open.begin()]", "prefixes[*open.rbegin()]"],
    [
      "the last address of a prefix is outside",
      "uint64_t{p.network | ~p.mask} + 1",
      "uint64_t{p.network | ~p.mask}",
    ],
    ["neighbours have one policy", "ranges_.back().policy == range.policy &&", ""],
    ["what lies before a prefix is inside", "&& a >= ranges_[low].low", ""],
    ["loopback is routed", "first == 127 || ", ""],
    ["multicast is routed", "first >= 224", "first >= 240"],
  ]),

  ...group("timers", "nat/timers.h", [
    [
      "what lies far ahead is never handed down",
      "level.shift) - 1)) != 0) continue;",
      "level.shift) - 1)) != 0 || true) continue;",
    ],
    [
      "the next round begins a round late",
      "return round + level.turn();",
      "return round + 2 * level.turn();",
    ],
    ["there is no budget", "if (budget == 0) return;", ""],
    ["what is overdue is filed in the past", "if (tick < tick_) tick = tick_;", ""],
    ["a moved deadline ends a session", "if (deadline <= now) {", "if (true) {"],
    ["the first of a slot can't be removed", "heads_[links.timerPrevious & ~kHead] = links.timerNext;", ""],
    ["a tick begins late", "return now >> kTickShift > tick_;", "return false;"],
    ["a slot in use looks empty", "used_[list / 64] |= uint64_t{1} << (list % 64);", ""],
  ]),
  ...group("timers", "nat/translator.h", [
    ["sessions live a moment longer", "deadlineOf(slot) > now_", "deadlineOf(slot) >= now_"],
  ]),
  ...group("timers", "nat/session_life.cpp", [
    ["what is due does not make room", "sweep(now_, kBudget);", ""],
    ["a rule's last port is not in it", "port <= rule.high", "port < rule.high"],
    ["a rule is for all protocols", "rule.protocol == protocol && ", ""],
    [
      "inbound packets always refresh",
      "return side == kOut || inboundRefreshes_",
      "return true || inboundRefreshes_",
    ],
    [
      "a shorter timeout is found late",
      "timeoutOf(s.profile, s.timeout) < timeoutOf(s.profile, before)",
      "false",
    ],
    [
      "a session that is due is used",
      "const uint32_t slot = sessions_.find(key);\n  if (slot == kNone || isLive(slot)) return slot;",
      "const uint32_t slot = sessions_.find(key);\n  return slot;",
    ],
    [
      "a hairpinned session is not marked",
      "!= PublicAddresses::kNone) s.flags |= kHairpinned;",
      "!= PublicAddresses::kNone) s.flags |= 0;",
    ],
    ["outsiders refresh what nobody has taken", "(counts || isTaken(s))", "true"],
    ["UDP has ICMP's timeout", "return Timeout::Udp;", "return Timeout::Icmp;"],
    [
      "an opening connection counts as established",
      "return Timeout::TcpOpening;",
      "return Timeout::TcpEstablished;",
    ],
  ]),
  ...group("counters", "nat/session_table.h", [
    ["packets stop at 256", "linksOf(s).packetCarry[side]++;", "{}"],
    ["bytes stop at 4 GiB", "linksOf(s).byteCarry[side]++;", "{}"],
  ]),

  ...group("ICMP errors", "nat/icmp_errors.cpp", [
    ["a wrong checksum is fine", "if (here == whole && sumBytes", "if (false && sumBytes"],
    ["a 1:1 sender hides behind the NAT", "mapped ? sender.address : e.address", "e.address"],
    ["any sequence number will do", "!isInFlight(sessions_[slot], sentBy, quoted.sequence)", "false"],
    ["liberal is strict", "slot == kNone || bindings_.policyOf(sessions_[slot]).tcpLiberal", "slot == kNone"],
    ["the window of the wrong side", "sentBy = kIn;", "sentBy = kOut;"],
    [
      "errors pass about remotes never spoken to",
      "if (slot == kNone && !permanent) return Reason::IcmpNoSession;",
      "",
    ],
    [
      "an error about another endpoint's session passes",
      "if (other || isAnchor(sessions_[slot])) slot = kNone;",
      "if (isAnchor(sessions_[slot])) slot = kNone;",
    ],
    ["the sender is not hidden", "outer.source = addresses_", "addresses_"],
    ["a quoted query's identifier stays", "if (protocol == kIcmp) to.sourcePort = port;", ""],
    [
      "an error keeps its identification",
      "if (route.direction != Direction::Inbound) outer.id = ",
      "if (false) outer.id = ",
    ],
  ]),
  ...group("originated errors", "nat/icmp_origin.cpp", [
    [
      "errors outside come from inside",
      "if (toInside && config_.insideAddress != 0)",
      "if (config_.insideAddress != 0)",
    ],
    ["no error comes from the address inside", "if (toInside && config_.insideAddress != 0)", "if (false)"],
    ["errors are answered", "parsed.kind == Kind::IcmpError || ", ""],
    ["later fragments are answered", "parsed.kind == Kind::Fragment ||", ""],
    ["unroutable sources are answered", " ||\n      isUnroutable(parsed.source)", ""],
    [
      "a 1:1 address has no voice of its own",
      "if (addresses_.find(destination) != PublicAddresses::kNone) return destination;",
      "",
    ],
    ["a 1:1 host is told by another", "mapped ? e.address : 0", "0"],
    ["there is no limit of rate", "limit.count(config_.icmpErrorRate, now_);", ""],
    ["a SYN is answered a second too soon", "kAnswerAfter = 6 * kSecond", "kAnswerAfter = 5 * kSecond"],
    ["a simultaneous open is answered", "store_[link].length = 0;", ""],
    ["an ACK forgets a waiting SYN", "if (s.protocol == kTcp && (segment.flags & kSyn) == 0) return;", ""],
    ["any number of SYNs waits", "unanswered_.size() >= kMostUnanswered", "false"],
    ["errors are too large", "kLargest = 576", "kLargest = 1500"],
    ["the class of service is lost", "tos & 0xfc", "0"],
    ["the ports are not compared", "load<uint16_t>(p + header + 2) == s.publicPort", "true"],
  ]),
  ...group("originated errors", "nat/slow_path.cpp", [
    [
      "time exceeded always goes inside",
      "kTimeExceeded, 0, route.direction != Direction::Inbound, tag",
      "kTimeExceeded, 0, true, tag",
    ],
    [
      "refused hosts are told of a network",
      "kAdministrativelyProhibited = 13",
      "kAdministrativelyProhibited = 0",
    ],
    [
      "outsiders are told of limits",
      "const bool fromInside = why.direction != Direction::Inbound && ",
      "const bool fromInside = ",
    ],
    ["SYN-ACKs and RSTs wait for an answer", "(segment.flags & (kSyn | kAck | kRst)) == kSyn", "true"],
  ]),

  ...group("fragments", "nat/fragment_path.cpp", [
    [
      "datagrams live a moment longer",
      "now_ - oldest->began >= config_.fragmentTimeout",
      "now_ - oldest->began > config_.fragmentTimeout",
    ],
    [
      "a refused copy undoes the accepted one",
      "if (datagram->state == DatagramState::Translated) return;",
      "",
    ],
    ["any number waits", "stats.packetsHeld < config_.fragmentLimit && ", ""],
    ["what follows a refused one waits", "fragments_.decide(*datagram, DatagramState::Refused);", ""],
    ["the first one's translation is forgotten", "datagram->to = to;", ""],
    [
      "released fragments go the wrong way",
      "stored.toInside = datagram.toInside;",
      "stored.toInside = !datagram.toInside;",
    ],
    ["released fragments are not translated", "rewriteHeader(packet, datagram.to, takesHop(packet));", ""],
    [
      "released fragments don't count",
      "stats.byProtocol[std::min(portSpace(packet.data[kIpProtocol]), 3u)]++;",
      "",
    ],
    ["a flood of datagrams is not bounded", "if (fragments_.full()) endDatagram", "if (false) endDatagram"],
    ["a dead fragment is not counted", "stats.drops[static_cast<uint32_t>(reason)]++;", ""],
    ["the caller hears nothing of dead ones", "stored.origin = Origin::Discarded;", ""],
  ]),
  ...group("fragments", "nat/fragments.h", [
    ["the identification does not matter", "p.id, p.protocol}", "uint16_t{0}, p.protocol}"],
    ["the protocol does not matter", "p.id, p.protocol}", "p.id, uint8_t{0}}"],
    ["the list of ages breaks", "(d.newer != 0 ? datagrams_[d.newer - 1].older : newest_) = d.older;", ""],
  ]),
  ...group("IP identification", "nat/identification.h", [
    ["a host's own repetition is replaced", "use.host == host && use.original() == original", "false"],
    ["two hosts may use one at once", "kLifetime = 120'000'000'000", "kLifetime = 0"],
    ["an identification is taken for ever", "time - use.time <= (kLifetime >> 27)", "true"],
    ["it is one for all protocols", "sent | uint64_t{protocol} << 16", "sent"],
    [
      "the latest use is forgotten first",
      "time - use.time > time - oldest->time",
      "time - use.time < time - oldest->time",
    ],
  ]),
  ...group("IP identification", "nat/slow_path.cpp", [
    ["atomic packets are renumbered", "if (isAtomic(packet.data)) return parsed.id;", ""],
    ["nothing is renumbered", "if (outbound != kNone) to.id = ", "if (false) to.id = "],
  ]),

  ...group("eviction", "nat/eviction.cpp", [
    ["established connections may go", "(s.state & kTcpEstablished) == kTcpEstablished", "false"],
    ["half-open connections are safe", "(s.state & kTcpEstablished) == kTcpEstablished", "true"],
    ["answered flows may go", "sessions_.packets(slot, kIn) != 0", "false"],
    ["one-way flows are safe", "sessions_.packets(slot, kIn) != 0", "true"],
    ["open DCCP and SCTP may go", "(s.state & 3) == 3", "false"],
    [
      "the latest goes",
      "s.last < sessions_[oldest].last) oldest = evictionHand_",
      "s.last > sessions_[oldest].last) oldest = evictionHand_",
    ],
    ["a binding of several sessions goes", " || sessions_.links(entry - 1).bindingNext != 0", ""],
    ["its port rests", "bindings_.hurry(space, address);", ""],
    [
      "evicted sessions are not counted",
      "removeSession(oldest, EventType::SessionEvicted);\n  bindings_",
      "removeSession(oldest, EventType::SessionDeleted);\n  bindings_",
    ],
  ]),
  ...group("eviction", "nat/session_life.cpp", [["it can't be switched off", "!config_.evict || ", ""]]),

  ...group("exemptions", "nat/exemptions.h", [
    ["a rule is for all protocols", "rule.protocol != 0 && rule.protocol != protocol", "false"],
    ["a rule's last port is not in it", "swap16(port) <= rule.high", "swap16(port) < rule.high"],
    ["a later fragment is not exempt", "if (!portKnown) result = Exempt::Unknown;", ""],
    [
      "a prefix is an address",
      "(address & rule.mask) != (rule.network & rule.mask)",
      "address != rule.network",
    ],
  ]),
  ...group("exemptions", "nat/slow_path.cpp", [
    ["errors are judged by their sender", "if (parsed.kind == Kind::IcmpError) {", "if (false) {"],
    ["the way back is not exempt", "fromInside || toInside ? exemption", "fromInside ? exemption"],
    [
      "the rest of an exempt datagram waits",
      "} else if (parsed.first && !exemptions_.empty()) {",
      "} else if (false) {",
    ],
  ]),

  ...group("batch", "nat/fast_path.cpp", [
    ["a TTL of 1 is taken", "if ((second & 0xff) < 2) [[unlikely]]", "if (false)"],
    ["fragments are taken", "0xff | uint64_t{kFragmentMask} << (8 * kIpFragment)", "0xff"],
    ["headers with options are taken", "(first & kShape) != 0x45", "((first ^ 0x45) & kShape & ~15ull) != 0"],
    ["cut packets are taken", "if (total > size) [[unlikely]]", "if (false)"],
    [
      "packets too short are taken",
      "if (total < kShapes.least[protocol]) [[unlikely]]",
      "if (kShapes.least[protocol] > 1500)",
    ],
    ["a wrong header checksum is taken", "if (nat_.config_.verifyHeaderChecksum) return false;", ""],
    [
      "other transports are taken",
      "for (uint16_t& total : least) total = 0xffff;",
      "for (uint16_t& total : least) total = 28;",
    ],
    [
      "ICMP errors are taken",
      "if (!isIcmpQuery(p[kIpHeader]) && !isIcmpReply(p[kIpHeader])) return false;",
      "",
    ],
    ["a spoofed own source is taken", "s.flags & lane.side << 2", "0"],
    ["address 0 is somebody's", "if (second >> 32 == 0 || destination == 0) [[unlikely]]", "if (false)"],
    [
      "a session that is due is used",
      "if (last + known.timeouts[Translator::idleClass(s)] <= now) [[unlikely]]",
      "if (false)",
    ],
    ["inbound packets always refresh", "touched = now & (uint64_t{side} - 1);", ""],
    ["inbound packets never refresh", "if (known.inboundRefreshes[s.profile] != 0) touched = now;", ""],
    [
      "the endpoints are not compared",
      "(addresses | ports | spoofed | (s.protocol ^ lane.protocol)) == 0",
      "(spoofed | (s.protocol ^ lane.protocol)) == 0",
    ],
    [
      "the protocol is not compared",
      "spoofed | (s.protocol ^ lane.protocol)",
      "spoofed",
      "found by a hash, or an entry, of its protocol: only equal tags could mislead it",
    ],
    ["replies go out", "isIcmpQuery(p[kIpHeader]) != (side == kOut)", "false"],
    [
      "a session answers at any public endpoint",
      "s.publicPort != lane.ports >> 16 ||",
      "",
      "isOf() compares the session that is found, too",
    ],
    [
      "a partial checksum is updated as a whole one",
      "if ((lane.flags & kPartialChecksum) != 0) {",
      "if (false) {",
    ],
    [
      "a UDP checksum appears where there was none",
      "if (checksum == 0 && protocol == kUdp) [[unlikely]]",
      "if (false)",
    ],
    ["a UDP checksum vanishes", "if (next == 0 && protocol == kUdp) [[unlikely]]", "if (false)"],
    ["a TCP header may be any length", " || header - kTcpHeader > whole - kTcpHeader", ""],
    ["a descriptor may point outside", "size_t{offset} + kLeast > length_ || ", ""],
    ["a packet may reach beyond the memory", "|| size > length_ - offset) [[unlikely]] {", ") {"],
    ["all packets come at once", "base_ + shared.delay", "base_"],
    ["nothing is renumbered", "(p[kIpFragment] & kDontFragment) == 0 && side == kOut", "false"],
    ["a TTL stays", "p[kIpTtl] - known.ttlStep", "p[kIpTtl]"],
    ["no TCP is counted", "    tcp_++;\n", ""],
    ["no ICMP is counted", "    icmp_++;\n", ""],
    ["it does not pay for the sweep", "  credited_ = forwarded;", "  nat_.sweepCredit_ = 0;"],
    ["new flows from anywhere", "nat_.inside_.contains(load<uint32_t>(lane.p + kIpSource)) &&", ""],
    ["new flows to the inside", "!nat_.inside_.contains(destination) && ", ""],
    ["new flows to nowhere", " && !isUnroutable(destination)", ""],
    ["exempt remotes are translated for", "nat_.exemptions_.empty() && (lane", "(lane"],
    ["no ALG sees a connection begin", "(lane.protocol != kTcp || !nat_.hasAlgs())", "true"],
    ["an old obstacle stands", "  nat_.obstacle_ = Reason::None;\n", ""],
    ["a new flow is not accounted for", "nat_.account(lane.slot, segment, kOut, lane.total);", ""],
    ["a new flow pays twice for the sweep", "  credited_++;\n", ""],
    ["a refused flow is not counted", "    nat_.count(result, packet, parsed.protocol);\n", ""],
    ["a refused flow is not answered", "    nat_.refuse(packet, parsed, segment, result, tag);\n", ""],
    ["the new keep their identification", "isAtomic(p) ? 0 : renumber", "true ? 0 : renumber"],
    ["what is beside the inspected begins", "(keyed_ >> number & 1) != 0 && mayBegin", "mayBegin"],
    [
      "what comes due within a batch lives until its end",
      "nat_.deadlineOf(lane.slot) <= now)",
      "nat_.deadlineOf(lane.slot) <= std::min(now, nat_.now_))",
    ],
  ]),

  ...group("TCP states", "nat/tcp.cpp", [
    [
      "what is not plausible counts",
      "if (!isPlausible(s, segment) || (completes && !isPlausibleAck(s, segment))) return false;",
      "",
    ],
    ["any ACK completes a handshake", " || (completes && !isPlausibleAck(s, segment))", ""],
    ["much is plausible", "kReach = 65535", "kReach = 6553500"],
    ["a SYN-ACK goes on with old numbers", "s.flags &= static_cast<uint8_t>(~seenFlag(side));", ""],
  ]),
  ...group("batch", "nat/fast_path.cpp", [
    ["what is not plausible is taken", "if (sequence - s.end[side] + kNear > 2 * kNear) return false;", ""],
    [
      "a spoofed inside source is taken",
      "(kFromOutside & ~(side << 1)) | kHairpinnedPacket",
      "kHairpinnedPacket",
    ],
    [
      "a sibling's packet is taken",
      "(kFromOutside & ~(side << 1)) | kHairpinnedPacket",
      "kFromOutside & ~(side << 1)",
    ],
    ["packets too big are taken", "if (total > nat_.smallestMtu_) [[unlikely]]", "if (false)"],
  ]),
  ...group("batch", "nat/translator.cpp", [
    ["the larger MTU is forgotten", "smallestMtu_ = std::min(smallestMtu_, mtu);", "smallestMtu_ = mtu;"],
  ]),
  ...group("filtering", "nat/slow_path.cpp", [
    ["a spoofed inside source comes in", "if (fromInside && packet.fromOutside) {", "if (false) {"],
  ]),
  ...group("hosts", "nat/session_life.cpp", [
    ["visitors are not known", "if (opening.side == kIn) s.flags |= kVisitor;", ""],
    [
      "outsiders take a host's rate",
      "if (opening.side == kOut) bindings_.countRate(host);",
      "bindings_.countRate(host);",
    ],
    [
      "outsiders are held to a host's rate",
      "(opening.side == kOut && !bindings_.withinRate(host))",
      "!bindings_.withinRate(host)",
    ],
  ]),
  ...group("eviction", "nat/eviction.cpp", [
    ["a packet's own binding goes", "evictionHand_ == opening.head || ", ""],
    ["a hairpinned packet's other half goes", " || evictionHand_ == opening.outbound", ""],
  ]),
  ...group("forwards", "nat/bindings.cpp", [
    [
      "an SCTP association has a forward's endpoint",
      "} else if (sctpForward(wish.key.protocol(), e) != nullptr) {",
      "} else if (false) {",
    ],
  ]),
  ...group("fragments", "nat/fragment_path.cpp", [
    ["two first fragments may differ", "fragments_.decide(*datagram, DatagramState::Disputed);", ""],
    ["what is disputed can be decided again", "if (datagram->state == DatagramState::Disputed) return;", ""],
    ["orphans keep others out", "if (full && oldest != nullptr", "if (false && oldest != nullptr"],
  ]),
  ...group("originated errors", "nat/icmp_origin.cpp", [
    ["both sides have one limit of rate", "icmpErrors_[toInside ? 1 : 0]", "icmpErrors_[0]"],
    ["no MTU is told", "store16be(message + kIcmpMtu, static_cast<uint16_t>(mtu));", ""],
  ]),
  ...group("originated errors", "nat/slow_path.cpp", [
    ["too big is told as something else", "kFragmentationNeeded = 4", "kFragmentationNeeded = 3"],
  ]),
  ...group("ICMP errors", "nat/icmp_errors.cpp", [
    ["the sender does not know the quoted identification", "if (!quoted.atomic) {", "if (false) {"],
  ]),

  ...group("MTU", "nat/too_big.cpp", [
    [
      "what fits is too big",
      "load16be(packet.data + kIpTotal) > mtu ? mtu : 0",
      "load16be(packet.data + kIpTotal) >= mtu ? mtu : 0",
    ],
    [
      "the other side's counts",
      "toInside ? config_.insideMtu : config_.outsideMtu",
      "toInside ? config_.outsideMtu : config_.insideMtu",
    ],
    ["it may be tiny", "std::max(given, kLeastMtu)", "given"],
    ["DF does not matter", "& kDontFragment) != 0) return Reason::TooBig;", "& kDontFragment) != 0) {}"],
    [
      "there is always room for pieces",
      "return room ? Reason::None : Reason::FragmentLimit;",
      "return Reason::None;",
    ],
    [
      "pieces have a partial checksum",
      "if (parsed.kind == Kind::Flow) completeChecksum(packet, parsed);",
      "",
    ],
  ]),
  ...group("MTU", "nat/session_life.cpp", [
    ["what is too big makes a session", "if (obstacle_ != Reason::None) return obstacle_;", ""],
    ["what is too big refreshes a session", "if (obstacle_ != Reason::None) return;", ""],
  ]),
  ...group("MTU", "packet/fragment.cpp", [
    ["a piece may end anywhere", "room & ~7u", "room"],
    ["the last piece promises more", "(size < rest ? kMoreFragments : 0u)", "kMoreFragments"],
    ["all pieces begin the packet", "flags + at_ / 8", "flags"],
    ["a fragment's pieces begin anew", "fragment_ | (size", "0u | (size"],
    ["all options are copied", "(options[at] & kCopied) != 0", "true"],
    ["pieces keep the packet's checksum", "adjust(checksum_, change)", "checksum_"],
  ]),

  ...group("MSS", "packet/tcp_options.cpp", [
    ["any segment's is lowered", " || (tcp[kTcpFlags] & kSyn) == 0", ""],
    ["other protocols' bytes are options", "parsed.protocol != kTcp || ", ""],
    [
      "a header may end beyond its segment",
      "header > parsed.total - parsed.header && !parsed.first",
      "false",
    ],
    ["a first fragment's is left", " && !parsed.first", ""],
    ["it is raised", "load16be(option + 2) <= most", "load16be(option + 2) == most"],
    ["another option is taken for it", "kind != kMss || ", ""],
    ["it may have any length", " || length != kMssLength", ""],
    ["a partial checksum is updated", "if (packet.partial) return;", ""],
    ["an odd place weighs like an even one", "at % 2 == 0 ? delta : swap16(delta)", "delta"],
  ]),
  ...group("MSS", "packet/tcp_options.h", [
    ["a NOP has a length", "if (kind == kNoOperation) {", "if (kind == 2) {"],
    ["options go on behind their end", "if (kind == kEnd) return;", ""],
    ["an option may end beyond the header", " || length > end - at", ""],
    ["what is not here is an option", "std::min((tcp[12] >> 4) * 4u, here)", "(tcp[12] >> 4) * 4u"],
  ]),
  ...group("MSS", "nat/slow_path.cpp", [
    ["a dropped SYN is changed", "result.reason == Reason::None && mostMss_ != 0", "mostMss_ != 0"],
    ["the slow path leaves it", "clampMss(packet, parsed, mostMss_);", ";"],
  ]),
  ...group("MSS", "nat/fast_path.cpp", [
    ["the fast path leaves it", "clampMss(packet, parsed, nat_.mostMss_);", ";"],
  ]),
  ...group("MSS", "nat/translator.cpp", [
    ["it fits without headers", " - kIpHeader - kTcpHeader);", ");"],
    ["it is always on", "if (config_.clampMss && ", "if ("],
  ]),

  ...group("snapshots", "nat/snapshot.cpp", [
    ["a piece is written beyond its room", "piece.bytes + kLargestRecord > room", "piece.bytes > room"],
    [
      "sessions that are over are saved",
      "if (!isLive(piece.next)) continue;",
      "if (sessions_[piece.next].protocol == 0) continue;",
    ],
    [
      "what a control connection has changed is forgotten",
      "if (slot != kNone && isWatched) {",
      "if (false) {",
    ],
    ["it may end within a record", "if (length - out.bytes < size) break;", ""],
    [
      "what is over comes back",
      "if (expired || !hasPlace(s)) return kNone;",
      "if (!hasPlace(s)) return kNone;",
    ],
    ["a full host gets more", "if (expired || !hasPlace(s)) return kNone;", "if (expired) return kNone;"],
    ["no time has passed", "static_cast<int64_t>(std::min(passed, kLongest))", "int64_t{0}"],
    [
      "times may be anything",
      "if (__builtin_add_overflow(then, record.last, &last)) return kNone;",
      "last = static_cast<int64_t>(static_cast<uint64_t>(then) + static_cast<uint64_t>(record.last));",
    ],
    [
      "all are new",
      "then / (int64_t{1} << kCreatedShift) - record.age",
      "then / (int64_t{1} << kCreatedShift)",
    ],
    ["any record is believed", "if (!isWellFormed(s)) return kNone;", ""],
    ["idle classes are not looked at", "s.remote != 0 && hasFittingTimeout(s)", "s.remote != 0"],
    ["any number of filters is believed", "s.state <= MappingRequest::kMostFilters", "true"],
    [
      "a flow may have two sessions",
      "|| sessions_.find(Key::of(s)) != kNone) return false;",
      ") return false;",
    ],
    ["a binding may be half explicit", "((sessions_[head].flags ^ s.flags) & kExplicit) != 0", "false"],
    ["who joins a binding needs a port", "(joins || bindings_", "(bindings_"],
    ["counts begin anew", "links.packetCarry[side] = record.packetCarry[side];", ""],
    ["any edits are believed", "if (!shift.isSound()) return;", ""],
    ["the clock stays", "if (when.now > now_) now_ = when.now;", ""],
    ["nothing is counted", "stats.sessionsCreated++;", ""],
  ]),
  ...group("snapshots", "nat/alg/sequence_shift.cpp", [
    ["edits may overlap", "from < end || ", ""],
    ["edits may lie anywhere", " || from > kFar", ""],
  ]),
  ...group("snapshots", "nat/bindings.cpp", [
    ["a binding may have two addresses", "sessions_[head].address == e.address &&", "true &&"],
  ]),
  ...group("snapshots", "nat/session_life.cpp", [
    ["exempt visitors end", "(was.flags & kVisitor) == 0 &&", "true &&"],
  ]),

  ...group("FTP", "nat/alg/ftp.cpp", [
    ["ports of services are opened", "kLeastPort = 1024", "kLeastPort = 1"],
    ["other hosts' ports are opened", "found.endpoint.address != control_.session().inside || ", ""],
    ["a client may speak first", "if (fromClient && !ftp_.greeted) return false;", ""],
    ["a browser may be tricked", "if (!ftp_.commanded && !isOneOf(word, kFirstCommands)) return false;", ""],
    ["HTTP methods are commands", 'word == "" || isOneOf(word, kHttpMethods)', 'word == ""'],
    ["a server is not heard out", 'if (word == "PASV") ftp_.passive = 227;', ""],
    ["what TLS hides is read on", "if (code == kAccepted || code == kAcceptedMore) return false;", ""],
    ["a reply to nothing opens ports", "if (code == passive || code >= 400) ftp_.passive = 0;", ""],
    ["any line of several is a reply", "if (more) ftp_.several = code;", ""],
    ["ports stay open one after the other", "control_.forget(kTcp, ftp_.expected);", ";"],
    ["something may follow the port", "found.to == line.text.size()", "true"],
    ["IPv6 is read as IPv4", " || family != 1", ""],
    ["numbers may be too large", "at_ != first && out <= most", "at_ != first"],
  ]),
  ...group("FTP", "nat/alg/sequence_shift.cpp", [
    ["what is within an edit is beyond it", "return e->from + offset;", "return sequence + offset;"],
    ["a SACK begins within an edit", "return up ? e->end() : e->from;", "return e->from;"],
    ["the sender's numbers are the receiver's", "return sequence + offset;", "return sequence;"],
    ["the receiver's numbers are the sender's", "return number - offset;", "return number;"],
    ["a forgotten edit is undone", "offset_ += edits_[0].growth();", ""],
    ["half an edit is text", "if (!whole || e->growth() != 0)", "if (e->growth() != 0)"],
  ]),
  ...group("FTP", "nat/alg/segment_rewrite.cpp", [
    ["an odd place weighs like an even one", "(at & 1) == 0 ? change : swap16(change)", "change"],
    [
      "SACK keeps its numbers",
      "renumberSack(header, std::min((header.tcp[12] >> 4) * 4u, here), other);",
      "",
    ],
    ["the urgent pointer stays", "if ((flags & kUrg) != 0) {", "if (false) {"],
    ["a partial checksum is updated", "if (packet.partial) return;", ""],
  ]),
  ...group("FTP", "nat/alg_path.cpp", [
    [
      "a segment with a wrong checksum is read",
      "readable && (packet.partial || hasGoodChecksum(packet, parsed))",
      "readable",
    ],
    ["a segment with a partial checksum is not read", "packet.partial || hasGoodChecksum", "hasGoodChecksum"],
    ["segments that are still one are read", "whole && !packet.segmented &&", "whole &&"],
    ["a new segment has a partial checksum", "if (link != 0) completeChecksum(view, changed);", ""],
    ["a gap in the client's stream is read over", "more = side == kIn;", "more = true;"],
    ["a guess moves the stream", "segment.sequence - stream.next > kBelievable", "false"],
    [
      "what is repeated is read again",
      "if (more && seen >= segment.length) return;",
      "if (more && seen > segment.length) return;",
      "a repetition that ends where the stream does has nothing new in it",
    ],
    ["a reconfigured connection forgets its edits", "*watch = was;", ""],
  ]),
  ...group("FTP", "nat/bindings.h", [
    [
      "what was expected is expected for ever",
      "if (slot == kNone || !isLive(slot)) return false;",
      "if (slot == kNone) return false;",
    ],
    [
      "an expected remote opens all ports",
      "(s.flags & kExpected) != 0 && s.address == first.address &&\n           s.publicPort == first.publicPort",
      "true",
    ],
  ]),
  ...group("FTP", "nat/tcp.h", [
    ["the fast path takes what is read", "(seen | kWatched | 0x7f00u)", "(s.flags & seen) == seen"],
  ]),
  ...group("FTP", "nat/slow_path.cpp", [
    [
      "a second connection comes in",
      "endExpected(Key::of(leg.inside, from.source, leg.insidePort, 0, parsed.protocol));",
      "",
    ],
  ]),
  ...group("PPTP", "nat/alg/pptp.cpp", [
    ["messages of any size are read", "if (size != layout->size) return false;", ""],
    ["messages without the cookie are read", "load32be(message + kCookie) != kMagicCookie", "false"],
    [
      "a call of the inside host is not paired",
      "if (layout.peer != 0) control.callPaired(own, idAt(layout.peer));",
      "",
    ],
    [
      "a call of the remote is not paired",
      "if (layout.own != 0) control.callPaired(own, idAt(layout.own));",
      "",
    ],
  ]),
  ...group("PPTP", "packet/ipv4.cpp", [
    ["any enhanced GRE is a call", "load16be(gre + 2) != kPpp", "false"],
    ["a call may have no id", "return id != 0;", "return true;"],
  ]),
  ...group("PPTP", "packet/rewrite.cpp", [
    ["the call id stays", "if (parsed.isCall) store(transport + kGreCallId, to.destinationPort);", ""],
  ]),

  ...group("explicit mappings", "nat/explicit.cpp", [
    [
      "the port filter is not looked at",
      "return true;\n  }\n  return anchor.state == 0;",
      "return true;\n  }\n  return true;",
    ],
    [
      "a shorter life is found late",
      "setFilters(s, request);\n  restartTimer(slot);",
      "setFilters(s, request);",
    ],
    ["filters are forgotten", "setFilters(s, request);\n  restartTimer", "restartTimer"],
    ["it never ends", "s.timeout = Timeout::Explicit;", ""],
    ["an implicit mapping is not joined", "if (there != kNone) makeExplicit(slot);", ""],
    ["another endpoint will do", "has.reason = Reason::PortsExhausted;\n    return has;", ""],
    ["who is outside may ask", "if (!inside_.contains(request.inside)) return Reason::InvalidSource;", ""],
    ["any protocol can be asked for", "carried && portSpace(request.protocol) != kNoPortSpace", "true"],
    ["a kept session ends early", "if (until > idle) s.last = std::max(s.last, until - idle);", ""],
    [
      "keeping may shorten",
      "if (until > idle) s.last = std::max(s.last, until - idle);",
      "if (until > idle) s.last = until - idle;",
    ],
    [
      "nobody is let in",
      "if (anchor != kNone && admits(sessions_[anchor], remote, remotePort)) return true;",
      "",
    ],
    [
      "a taken port is given",
      "free && bindings_.claim(like, e, hostSlot)",
      "bindings_.claim(like, e, hostSlot)",
    ],
    ["a host is seen from a second address", "} else if (host.isPaired) {", "} else if (false) {"],
  ]),
  ...group("explicit mappings", "nat/explicit.h", [
    ["any remote is let in", "((remote ^ address) & mask) == 0 && ", ""],
    ["any port is let in", " && (port == 0 || port == remotePort)", ""],
  ]),
  ...group("explicit mappings", "nat/session_life.cpp", [
    ["its flows have ports of their own", "if (anchor != kNone) return anchor;\n", ""],
    ["a packet takes from the promised time", "s.last = std::max(s.last, now_);", "s.last = now_;"],
    [
      "sessions don't know of it",
      "if (explicitly) s.flags |= kExplicit;",
      "if (anchor) s.flags |= kExplicit;",
    ],
    ["a forward keeps it", "if (permanent && isAnchor(was)) return kNone;", ""],
  ]),
  ...group("explicit mappings", "nat/fast_path.cpp", [
    [
      "a packet in a batch takes from the promised time",
      "s.last = touched > last ? touched : last;",
      "s.last = touched;",
    ],
  ]),
  ...group("explicit mappings", "nat/eviction.cpp", [
    ["it can be evicted", "if (isAnchor(s)) return true;", ""],
  ]),

  ...group("events", "nat/events.h", [
    ["what nobody wants is recorded", "if (!wants(event.type)) return;", ""],
    ["a full ring is written over", "== kMost) {", "== 2 * kMost) {"],
    [
      "what is lost is not counted",
      "lost_.load(std::memory_order_relaxed) + 1",
      "lost_.load(std::memory_order_relaxed)",
    ],
    ["events are told again", "read_.store(from + count", "read_.store(from"],
    ["more is told than was asked for", "there < most ? there : most", "there"],
    [
      "a new config begins with an empty ring",
      "written_ = other.written_.load();",
      "written_ = other.read_.load();",
    ],
    ["a new config records nothing", "mask_ = other.mask_;", ""],
  ]),
  ...group("events", "nat/pressure.h", [
    ["the threshold is told with each binding", "level = Level::Tight;", ""],
    ["relief is told each time", "level = Level::Easy;\n      tell", "tell"],
    ["nobody is relieved", "level != Level::Easy && !isAbove", "false && !isAbove"],
    [
      "relief comes at the threshold",
      "level != Level::Easy && !isAbove(fill, threshold_ - kSlack)",
      "level != Level::Easy && !isAbove(fill, threshold_)",
    ],
    ["exhaustion is told with each packet", "if (level == Level::Exhausted) return;", ""],
    ["a new config forgets what was told", "levels_[size_t{address} * kSpaces + space] = level;", ""],
    [
      "who listens anew is told nothing of what goes on",
      "std::fill(levels_.begin(), levels_.end(), Level::Easy);",
      "",
    ],
    ["a pool has no protocol", "if (portSpace(protocol) == space) event.protocol = protocol;", ""],
  ]),
  ...group("events", "nat/event_path.cpp", [
    ["any packet establishes", "side == answers && sessions_.packets(slot, side) == 1", "side == answers"],
    ["the first packet establishes", "side == answers && sessions_", "sessions_"],
    ["who came from outside answers himself", "(s.flags & kVisitor) != 0 ? kOut : kIn", "kIn"],
    ["a connection is established time and again", "isOpen(now) && !isOpen(was)", "isOpen(now)"],
    ["a connection is closed time and again", "isOver && was <= TcpPhase::HalfClosed", "isOver"],
    ["half closed is closed", "now > TcpPhase::HalfClosed", "now > TcpPhase::Established"],
    [
      "the first try is the last word",
      "reason == Reason::HostLimit && !ideal",
      "reason == Reason::HostLimit",
    ],
    ["each quota is that of sessions", "? HostQuota::Bindings", "? HostQuota::Sessions"],
    ["the rate of all is a host's", "!fromOutside && !bindings_.withinRate(host)", "!fromOutside"],
    [
      "what was due is deleted",
      "old.isLive(slot) ? EventType::SessionDeleted : EventType::SessionExpired",
      "EventType::SessionDeleted",
    ],
    [
      "what stays is told to end",
      "s.protocol == 0 || sessions_.find(Key::of(s)) != SessionTable::kNone",
      "s.protocol == 0",
    ],
    [
      "a pool's pressure outlives its listeners",
      "if (!events_.wantsPools()) bindings_.forgetPressure();",
      "",
    ],
  ]),
  ...group("events", "nat/bindings.cpp", [
    [
      "bindings that share are none",
      "tell(EventType::BindingCreated, s, isNew);",
      "if (isNew) tell(EventType::BindingCreated, s, isNew);",
    ],
    [
      "a wish that may yet be met is an exhausted pool",
      "if (!events_.isOn() || wish.ideal ||",
      "if (!events_.isOn() ||",
    ],
    [
      "a host with all of its blocks exhausts the pool",
      "(now.total != 0 && blocks_.free(address) == 0)",
      "true",
    ],
    ["ports that rest can be given", "total - pool_.free(space, address)", "pool_.used(space, address)"],
    [
      "one that became several is one",
      "there != kNone && to.successor(there, from) == head",
      "there != kNone",
    ],
    [
      "a forward's sessions have a binding of the pool",
      "there != kNone && (other.sessions_[there].flags & kPermanent) == 0",
      "there != kNone",
    ],
    ["blocks are ports", "(space == Pressure::kBlocks) == blocks_.enabled()", "true"],
  ]),
  ...group("events", "nat/port_blocks.cpp", [
    [
      "no word of a released block",
      "tell(EventType::BlockReleased, host.address, addresses_[block.address].address, block);",
      ";",
    ],
    ["all blocks are told to be new", "if (!old.hasSame(oldHosts, inside, outside, block)) {", "{"],
    ["all blocks are told to be gone", "if (!hasSame(hosts, inside, outside, block)) {", "{"],
    [
      "blocks that come free relieve nobody",
      "taken_[address]--;\n  if (events_.wantsPools())",
      "taken_[address]--;\n  if (false)",
    ],
  ]),
  ...group("events", "nat/hosts.h", [
    ["a host is told with each packet", "if (last != 0 && tick - last < kApart >> kShift) return false;", ""],
    [
      "a host is told once and never again",
      "if (last != 0 && tick - last < kApart >> kShift) return false;",
      "if (last != 0) return false;",
    ],
    [
      "a slot's new host was told",
      "if (told.host != hosts_[slot].address) told = {hosts_[slot].address, {}};",
      "",
    ],
  ]),
  ...group("events", "nat/timers.h", [
    ["a notice is the end", "next = deadline;", ""],
    ["no notice is given", "notice(session);", ""],
    [
      "what is handed down is not noticed",
      "file(session, noticeOf(session) >> kTickShift);",
      "file(session, (noticeOf(session) + 60'000'000'000) >> kTickShift);",
    ],
  ]),
  ...group("events", "nat/session_life.cpp", [
    [
      "a short time is near its end from its beginning",
      "std::min(config_.expiringBefore, half)",
      "config_.expiringBefore",
    ],
    ["what ends at a time is not noticed", "timeout == 0 ? config_.expiringBefore : ", ""],
    ["a new session is not noticed", "noticeOf(now_ + idle, idle)", "now_ + idle"],
  ]),
  ...group("events", "nat/fast_path.cpp", [
    [
      "a first answer in a batch is not told",
      "if (s.packets[side] == 0 && nat_.events_.wants(EventType::SessionEstablished)) return false;",
      "",
    ],
  ]),
  ...group("taps", "nat/tap.cpp", [
    ["what is not wanted is shown", "if (!filter.wants(packet)) return;", ""],
    ["a snaplen cuts nothing", "filter.snaplen, kMostBytes", "kMostBytes"],
    ["a record may be in two pieces", "rest < size ? rest + size : size", "size"],
    ["nobody tells that a record begins anew", "store<uint32_t>(to, 0);", ""],
    ["a reader's word is believed", "used > size_ || ", ""],
    ["what is not read is overwritten", "size_ - used < need", "false"],
    ["the ring is never quite full", "size_ - used < need", "size_ - used <= need + 1000"],
    ["lost ones are not told in the next record", "    lost_++;\n", ""],
    ["lost ones are told again", "  lost_ = 0;\n", ""],
    ["lost ones are not counted", "fetch_add(1, std::memory_order_relaxed)", "fetch_add(0)"],
    ["the length is what was captured", "record.length = packet.length;", "record.length = captured;"],
    ["a ring may have any size", "!std::has_single_bit(size) || ", ""],
    ["a ring may be too large to count in", " || size > uint32_t{1} << 30", ""],
    ["a burst keeps whole packets", "length, demand_.kept, Tap", "length, Tap"],
    [
      "a packet's bytes begin where the burst's do",
      "starts_[i] = static_cast<uint32_t>(used_);",
      "starts_[i] = 0;",
    ],
    ["a session of the burst before stays", "sessions_[i].protocol = 0;", ""],
    ["there may be any number of taps", "if (entries_.size() >= kMost) return 0;", ""],
    ["a closed tap stays", "number == 0 || entry.number == number", "number == 0"],
    ["taps are not closed all at once", "number == 0 || entry.number == number", "entry.number == number"],
    ["packets are kept for who wants dropped ones only", "if (entry.tap->filter.others)", "if (true)"],
    [
      "the last tap's snaplen holds for all",
      "std::max(demand.kept, entry.tap->filter.snaplen)",
      "entry.tap->filter.snaplen",
    ],
    ["an error is a fragment", "if (packet.origin == Origin::Icmp) return TapKind::Originated;", ""],
    ["a released fragment is a piece", "if (packet.waited) return TapKind::Released;", ""],
    ["DF makes a piece", "(fragment & kFragmentMask) != 0", "fragment != 0"],
  ]),
  ...group("taps", "nat/tap.h", [
    ["either side is shown", "sides[packet.side] && ", ""],
    ["dropped ones are others", "(drop ? dropped : others)", "others"],
    ["a tap is shown the burst within which it was opened", "entry.number <= demand.newest", "true"],
  ]),
  ...group("taps", "nat/fragment_path.cpp", [["nobody knows that it waited", "stored.waited = true;", ""]]),
  ...group("taps", "addon/taps.cpp", [
    ["what came is what left", "seen.bytes = tapBurst_.bytes(i);", ""],
    ["a passed packet does not leave", " || verdict == Verdict::Passed;", ";"],
    [
      "what concerns no side leaves",
      "if (!went || direction == Direction::None) continue;",
      "if (!went) continue;",
    ],
    [
      "without a direction all come from outside",
      "? kTapInside : kTapOutside;\n}",
      "? kTapOutside : kTapOutside;\n}",
    ],
    ["the caller's word for a side counts nothing", "(d.flags & kFromOutside) != 0 || ", ""],
    ["a delay does not count", "nanoseconds(now) + d.delay", "nanoseconds(now)"],
    [
      "only the first burst of a batch is translated",
      "first < count; first += TapBurst::kMost",
      "first < 1; first += TapBurst::kMost",
    ],
    ["nobody is told the session", "descriptors[first + i].session = burst[i].session;", ""],
    ["word of a loss is a packet", "packet.origin == Origin::Discarded || ", ""],
  ]),
  ...group("gateway", "gateway/punts.h", [
    ["one host may have all the room", " || share == kShare", ""],
    ["what was taken counts", "    shares_ = {};\n", ""],
    ["all share one share", "* 2654435769U >> 24", "* 0"],
    ["who asks by ARP is looked for in an IPv4 header", "== kEtherArp ? 14 : 12", "== 0 ? 14 : 12"],
    ["a hop's share is its senders'", "(hop != 0 ? hop : sender(frame))", "sender(frame)"],
    ["an address is read beyond the end", "frame.length >= at + 4", "frame.length >= at"],
  ]),
  ...group("taps", "gateway/gateway.cpp", [
    ["nobody is looked for", "tapped_ = shared_->taps.any();", "tapped_ = false;"],
    ["frames are not kept", "if (tapped_) keepForTaps(from);", ""],
    ["sessions are not told", "if (tapped_) tapBurst_.meet(nat, descriptors_, count_);", ""],
    ["what came is what left", "seen.bytes = tapBurst_.bytes(i);", ""],
    ["what has no next hop leaves", "if ((sent_ >> i & 1) == 0) continue;", ""],
    ["what has no next hop leaves, if it was made", "if (made.sent) show", "show"],
    ["packets for the gateway are not shown", "if (tapped_ && hop == 0)", "if (false)"],
    ["packets that wait for a next hop are for the gateway", "if (tapped_ && hop == 0)", "if (tapped_)"],
    ["packets from the gateway are not shown", "if (tapped_) showMade(made);", ""],
    ["what the NAT makes is not shown", "  showMade(emitted_);\n", ""],
    ["nobody knows what the NAT made", "made.kind = tapKindOf(packet, bytes);", "made.kind = TapKind::Own;"],
    ["other translations are shown, too", "shared_->taps.isLive = true;", ""],
    ["there is no other life for taps", "shared_->taps.isLive = false;", ""],
  ]),
];
