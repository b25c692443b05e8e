// What the RFCs ask of a NAT, a row for each requirement, in our words. The tests of a section are in the file of
// its name; docs/scorecard.md is made from both (npm run scorecard).
//
// Words: X is an inside endpoint, X' its outside endpoint, Y and Z are remote ones. EIM, ADM, APDM:
// endpoint-independent, address-dependent, address-and-port-dependent mapping; EIF, ADF, APDF: filtering.

export type Level = "MUST" | "MUST NOT" | "SHOULD" | "SHOULD NOT" | "MAY" | "INFO";

/** What was decided where there is a choice, or why there is nothing to meet. Tests may show it all the same. */
export interface Decision {
  /** Why napt does otherwise, or what it does where the RFC leaves it open. */
  readonly choice?: string;
  readonly notApplicable?: string;
  /** Met when the MUST rows whose ids begin so are. */
  readonly follows?: readonly string[];
}

export interface Row extends Decision {
  readonly id: string;
  readonly level: Level;
  readonly requirement: string;
}

export interface Section {
  readonly title: string;
  /** In this folder. */
  readonly file: string;
  readonly rows: readonly Row[];
}

const MUST = "MUST";
const MUST_NOT = "MUST NOT";
const SHOULD = "SHOULD";
const SHOULD_NOT = "SHOULD NOT";
const MAY = "MAY";
const INFO = "INFO";

function row(id: string, level: Level, requirement: string, decision: Decision = {}): Row {
  return { id, level, requirement, ...decision };
}

const terms = [
  row("RFC2663-S2", INFO, "Session, TU port, realm, inside and outside mean what RFC 2663 says."),
  row("RFC2663-S4.1", INFO, "Basic NAT changes addresses only, NAPT addresses and TU ports."),
  row("RFC2663-S4.2", INFO, "Twice NAT rewrites source and destination of one packet."),
  row(
    "RFC2663-S2.5",
    INFO,
    "A TCP session starts with SYN, others with their first packet; idle timers end them.",
  ),
  row("RFC3022-S2.1", INFO, "Basic NAT: one inside address has one outside address for everything."),
  row(
    "RFC3022-S2.2",
    INFO,
    "NAPT: each inside endpoint has an outside endpoint of its own; else nothing comes in.",
  ),
  row("RFC3022-S2.2-OTHER", INFO, "A NAPT carries TCP, UDP and ICMP queries; nothing else leaks out."),
  row(
    "RFC3022-S3.1",
    INFO,
    "The first outbound packet makes the binding; it serves all sessions of the endpoint.",
  ),
  row("RFC3022-S3.3", INFO, "A binding may go with its last session."),
];

const mapping = [
  row("RFC4787-REQ-1", MUST, "UDP mapping is endpoint-independent."),
  row("RFC5382-REQ-1", MUST, "TCP mapping is endpoint-independent."),
  row("RFC5508-REQ-1a", SHOULD, "The outside ICMP query id does not depend on the remote host."),
  row(
    "RFC4787-S4.1-ADM",
    INFO,
    "ADM: the same outside endpoint if and only if the remote address is the same.",
  ),
  row("RFC4787-S4.1-APDM", INFO, "APDM: the same if and only if remote address and port are the same."),
  row("RFC4787-REQ-7", MUST, "Outside addresses that change keep clear of the inside's."),
  row("RFC4787-REQ-11", MUST, "Mapping and filtering never change with conditions such as port conflicts."),
  row("RFC7857-S5", SHOULD, "Endpoint-independent mappings are per protocol."),
  row("RFC7857-S3", MAY, "Inside endpoints may share an outside endpoint when their remotes differ."),
  row("RFC6888-REQ-1", MUST, "A CGN meets the behavioural RFC of each transport that it forwards.", {
    follows: ["RFC4787-", "RFC5382-", "RFC5508-", "RFC5597-"],
  }),
  row("RFC6888-REQ-6", MUST, "Translation can be switched off for destination addresses and ports."),
  row("RFC4787-REQ-10", SHOULD, "ALGs for UDP protocols are off."),
  row("RFC4787-REQ-10a", SHOULD, "Each ALG has a switch of its own."),
  row("RFC5382-REQ-6", SHOULD, "TCP ALGs are off by default; for FTP either is fine."),
  row("RFC3022-S4.4", INFO, "An FTP ALG rewrites addresses and ports, and shifts TCP's numbers accordingly."),
  row("RFC3022-S4.5", INFO, "DNS needs no ALG."),
];

const filtering = [
  row(
    "RFC4787-REQ-8",
    SHOULD,
    "EIF for transparency, ADF for a stricter filter; nothing passes to an unmapped port.",
  ),
  row("RFC4787-REQ-8a", MAY, "The filter is configurable."),
  row("RFC5382-REQ-3", SHOULD, "The same for inbound TCP connections."),
  row("RFC5382-REQ-3a", MAY, "The TCP filter is configurable."),
  row("RFC5382-REQ-3b", MAY, "The TCP filter is independent of the UDP one."),
  row("RFC6888-REQ-7", SHOULD, "A CGN uses EIF."),
  row("RFC7857-S6", SHOULD, "EIF is per protocol."),
  row("RFC7857-S7", SHOULD, "Inbound packets that the filter refuses do not refresh."),
];

const ports = [
  row("RFC4787-REQ-2", SHOULD, "Pooling is paired: all sessions of a host use one outside address."),
  row("RFC4787-REQ-3", MUST, "No port overloading: inside endpoints never share an outside endpoint."),
  row("RFC4787-REQ-3a", SHOULD, "Ports below 1024 map below 1024, the others above."),
  row("RFC4787-REQ-4", SHOULD, "Parity is kept (UDP)."),
  row("RFC7857-S8", MAY, "Parity may be switched off."),
  row("RFC4787-S4.2.1-PRESERVE", INFO, "Preservation: the inside port while it is free, else another one."),
  row("RFC4787-S4.2.1-PORT0", INFO, "Source port 0: anything but harm."),
  row("RFC5382-REQ-7", MUST, "No port overloading for TCP."),
  row(
    "RFC7857-S4",
    SHOULD,
    "Paired for TCP too: the address full, new sessions are dropped; soft pooling as an option.",
  ),
  row("RFC7857-S9", SHOULD, "Ports are chosen as RFC 6056 says."),
  row(
    "RFC6056-S4",
    SHOULD,
    "Outside ports are hard to guess: without preservation, of replaced ones, within a parity.",
  ),
  row("RFC6056-S3.2", SHOULD, "The range is large, 1024-65535, less ports that services need."),
  row("RFC6888-REQ-2", MUST, "CGN: paired for all protocols together."),
  row("RFC6888-REQ-3", MUST, "The outside pool may be non-contiguous and of any size."),
  row(
    "RFC6888-REQ-8",
    SHOULD,
    "A freed port rests 120 s; time and number of resting ports are configurable.",
  ),
  row("RFC6888-REQ-8a", MAY, "TCP ports need not rest."),
  row("RFC6888-REQ-8b", MAY, "Ports fixed to a host need not rest: it would wait for its own."),
  row("RFC6888-REQ-8c", MAY, "Ports with ADF or APDF need not rest when state was lost.", {
    choice: "state that was lost has no memory of freed ports either, so nothing rests after a restart",
  }),
  row("RFC6888-REQ-13", SHOULD, "Ports are used efficiently."),
  row("RFC6888-REQ-14", SHOULD, "Logs stay small, as with port blocks."),
  row("RFC6888-REQ-15", SHOULD, "Ports are hard to guess."),
  row(
    "RFC7422-S2",
    INFO,
    "Deterministic NAT: inside address and (outside address, ports) follow from each other.",
  ),
  row("RFC7422-S2-RESERVED", SHOULD, "System ports are left out before the split."),
  row("RFC7422-S2-RANGE", MUST, "A host's own range is used, at random, while it has ports."),
  row("RFC7422-S2-DYNAMIC", MUST, "More ports come in logged blocks from the dynamic pool; D=0 means none."),
  row(
    "RFC7422-S2.3",
    INFO,
    "The example: 14 hosts, D=2, 1024-65535 gives 4032 ports each and the pool 57472-65535.",
  ),
  row(
    "RFC7422-S3-LOG",
    MUST,
    "Changes of the parameters are recorded, so that past owners of a port can be named.",
  ),
];

const lifetimes = [
  row("RFC4787-REQ-5", MUST, "A UDP mapping lives at least 2 minutes idle."),
  row("RFC4787-REQ-5a", MAY, "Shorter timers for well-known destination ports."),
  row("RFC4787-REQ-5b", MAY, "The UDP timer is configurable."),
  row("RFC4787-REQ-5c", SHOULD, "The UDP timer's default is 5 minutes or more."),
  row("RFC4787-REQ-6", MUST, "Outbound packets refresh, whatever the remote."),
  row("RFC4787-REQ-6a", MAY, "Inbound packets may refresh."),
  row(
    "RFC7857-S7.1",
    SHOULD,
    "An outbound ICMP error, or a RST in answer to an inbound packet, does not refresh.",
  ),
  row("RFC5508-REQ-2", MUST, "An ICMP query session lives at least 60 s."),
  row("RFC5508-REQ-2a", SHOULD, "The ICMP timer is configurable."),
  row("RFC7857-S11", MAY, "An ICMP query mapping may go with its last session."),
  row("RFC5508-REQ-6", MUST, "An ICMP error about a query neither refreshes nor ends its session."),
  row(
    "RFC5382-REQ-5",
    MUST,
    "TCP: established 2 h 4 min idle, opening and closing 4 min; traffic of either side counts.",
  ),
  row("RFC5382-REQ-5a", MAY, "The TCP timers are configurable."),
  row(
    "RFC5382-S5-PHASES",
    INFO,
    "Opening until both have sent ACK, established until both have sent FIN, then closing.",
  ),
  row("RFC5382-S5-TIMEWAIT", MAY, "State may be kept for repeated FIN and last ACK."),
  row("RFC5382-S5-NOMAP", MAY, "Segments without SYN and without mapping: dropped, or answered by RST."),
  row("RFC5382-S5-ABANDON", MAY, "Giving up a live session: RST to both, or silence."),
  row("RFC7857-S2", SHOULD, "TCP is tracked by the state machine of RFC 6146."),
  row("RFC7857-S2.1", SHOULD, "Opening and closing have timeouts of their own, 4 min or more by default."),
  row(
    "RFC7857-S2.2",
    MUST,
    "A RST is translated; then 4 min without packets end the session, segments revive it.",
  ),
  row("RFC7857-S2.2-CHECK", SHOULD, "A RST counts only if it belongs to the connection."),
];

const tcp = [
  row("RFC5382-REQ-2", MUST, "Every valid sequence of segments passes, whichever side begins."),
  row("RFC5382-REQ-2a", MUST, "Simultaneous open passes."),
  row(
    "RFC5382-REQ-4",
    MUST,
    "An unsolicited SYN is not answered for 6 s, and never if the inside opens meanwhile.",
  ),
  row("RFC5382-REQ-4a", MUST, "It is dropped silently where policy forbids an answer."),
  row(
    "RFC5382-REQ-9",
    SHOULD,
    "Destination unreachable about TCP is translated, above all fragmentation needed.",
  ),
  row("RFC5382-REQ-10", MUST, "No ICMP message ends a TCP mapping or connection."),
  row("RFC9293-S3.7.1", INFO, "The MSS that a SYN offers fits the path: its MTU less 40 (`clampMss`)."),
];

const hairpinning = [
  row("RFC4787-REQ-9", MUST, "UDP from inside to a mapped outside endpoint arrives."),
  row("RFC4787-REQ-9a", MUST, "It comes from the sender's outside endpoint."),
  row("RFC5382-REQ-8", MUST, "The same for TCP."),
  row("RFC5382-REQ-8a", MUST, "TCP too comes from the sender's outside endpoint."),
  row("RFC5508-REQ-7", MUST, "Hairpinned ICMP errors pass, and with Basic NAT queries."),
  row("RFC5508-REQ-7a", MUST, "A hairpinned error goes to the embedded packet's translated source."),
  row("RFC7857-S12", MUST, "Outside addresses map to inside ones for queries and errors (Basic NAT)."),
];

const icmp = [
  row("RFC5508-REQ-1", MUST, "ICMP queries from inside and their answers pass."),
  row("RFC5508-REQ-3", SHOULD, "An error with a wrong ICMP checksum is dropped silently."),
  row("RFC5508-REQ-3a", SHOULD, "So is one whose embedded IP header checksum is wrong."),
  row("RFC5508-REQ-3b", MUST, "IP options of the embedded packet are skipped to find its ports."),
  row("RFC5508-REQ-3c", SHOULD, "The embedded transport checksum is not judged."),
  row("RFC5508-REQ-3d", MUST, "Padding and RFC 4884 extensions are no part of the embedded packet."),
  row("RFC5508-REQ-4", SHOULD, "An error from outside about no active mapping is dropped silently."),
  row("RFC5508-REQ-4a", MUST, "Embedded headers are put back as the inside host sent them."),
  row("RFC5508-REQ-4b", MUST, "Type and code stay."),
  row("RFC5508-REQ-4c", MUST, "The error goes to the inside host; its source stays."),
  row("RFC5508-REQ-5", SHOULD, "An error from inside about no active mapping is dropped silently."),
  row("RFC5508-REQ-5a", MUST, "The embedded destination is put back to the outside endpoint."),
  row("RFC5508-REQ-5b", MUST, "Type and code stay, outbound too."),
  row("RFC5508-REQ-5c", MUST, "It comes from the sender's 1:1 address, or from the NAT's own."),
  row(
    "RFC5508-REQ-8",
    SHOULD,
    "A refused session is answered by type 3 code 13; nothing is stolen from others.",
  ),
  row("RFC5508-REQ-9", MAY, "A policy may stop generated ICMP."),
  row("RFC5508-REQ-10a1", MUST, "Destination unreachable is supported."),
  row("RFC5508-REQ-10a2", MUST, "Time exceeded is supported."),
  row("RFC5508-REQ-10a3", MUST, "Echo and echo reply are supported."),
  row("RFC5508-REQ-10b1", MAY, "Redirect.", {
    choice: "dropped: it speaks of the sender's own link, and would carry inside addresses across",
  }),
  row("RFC5508-REQ-10b2", MAY, "Timestamp queries are supported."),
  row("RFC5508-REQ-10b3", MAY, "Source route options.", {
    choice: "not translated: the option passes unchanged, as RFC 3022 4.6 allows",
  }),
  row("RFC5508-REQ-10b4", MAY, "Address mask queries are supported."),
  row("RFC5508-REQ-10b5", MAY, "Parameter problem is supported."),
  row("RFC5508-REQ-10b6", MAY, "Router advertisement and solicitation.", {
    choice: "dropped: they are for one link and never routed",
  }),
  row("RFC5508-REQ-10c1", SHOULD_NOT, "Source quench is generated."),
  row("RFC5508-REQ-10c2", SHOULD_NOT, "Information request and reply are supported."),
  row("RFC5508-REQ-10d", SHOULD, "A generated error has the diffserv class of its cause."),
  row(
    "RFC5508-REQ-10e",
    SHOULD,
    "No error about errors, later fragments, multicast, bad sources, bad headers.",
  ),
  row("RFC5508-REQ-10f", SHOULD, "Generated errors are limited in rate."),
  row("RFC5508-REQ-11", MAY, "ICMP that is neither query nor error.", {
    choice: "dropped: there is nothing in it by which to find a session",
  }),
  row(
    "RFC5508-S7.1.1",
    MUST,
    "DF is honoured: too big is answered by type 3 code 4; without DF it is fragmented.",
  ),
  row("RFC5508-S7.1.2", MUST, "Packet-too-big from the network is forwarded with its MTU."),
  row("RFC5508-S7.2", MUST, "A packet discarded for its TTL is answered by time exceeded."),
  row(
    "RFC1812-S4.3.2.7",
    MUST,
    "No error is ever sent about an error, a fragment, a broadcast or a bad source.",
  ),
  row("RFC4787-REQ-12", MUST, "No ICMP message ends a UDP mapping."),
  row("RFC4787-REQ-12a", SHOULD, "ICMP errors are not filtered by their source."),
  row("RFC4787-REQ-12b", SHOULD, "Destination unreachable about UDP is supported."),
  row(
    "RFC3022-S4.3",
    INFO,
    "An error's translation touches outer IP, embedded IP, port and the checksums; no more.",
  ),
  row("RFC4884-S4", INFO, "The length octet bounds the embedded datagram; extensions follow it."),
  row("RFC4884-S6", SHOULD, "Length octet and extension stay as they are."),
  row(
    "RFC6146-S3.4-NESTED",
    MUST,
    "An error about an error, or that embeds too little, is dropped silently.",
  ),
];

const fragments = [
  row("RFC4787-REQ-13", MUST, "Too big with DF: type 3 code 4 to the inside host."),
  row("RFC4787-REQ-13a", MUST, "Too big without DF: fragmented, the pieces in order."),
  row("RFC4787-REQ-14", MUST, "Fragments are translated in any order."),
  row("RFC4787-REQ-14a", MUST, "Fragment floods do not harm other traffic."),
  row("RFC3022-FRAG", INFO, "Later fragments follow the first one's translation."),
  row("RFC6864-S4.1", MUST, "The ID of atomic datagrams is ignored."),
  row("RFC6864-S4.3-ID", MUST, "No ID of non-atomic datagrams repeats within their lifetime."),
  row("RFC6864-S4.3-DF", MUST, "With DF nothing is fragmented, and DF is never cleared."),
  row("RFC6864-S5.3.1", MUST, "A rewriting device meets the ID rule as if it were the source."),
  row("RFC7857-S10", SHOULD, "IDs follow RFC 6864 5.3.1."),
  row("RFC6146-FRAGMENT_MIN", MUST, "Waiting for fragments is configurable, 2 s or more, and bounded."),
  row("RFC1858-S2", SHOULD, "Tiny first fragments and overlaps cannot change the header that was seen."),
];

const headers = [
  row("RFC3022-S4.1", MUST, "Addresses, ports or ids and checksums change; nothing else (but TTL)."),
  row(
    "RFC3022-S4.2",
    MUST,
    "Incremental adjustment equals full recomputation, odd lengths and options included.",
  ),
  row("RFC1624-EQN3", SHOULD, "The adjustment gives no -0 where recomputation gives +0."),
  row("RFC1624-S4", INFO, "The example: 0xDD2F, 0x5555 to 0x3285 gives 0x0000."),
  row("RFC768-ZERO", MUST, "A computed zero is sent as 0xFFFF by UDP, and only by UDP."),
  row("RFC3022-S4.1-UDP0", MUST, "UDP checksum 0 stays 0."),
  row("RFC768-LEN", INFO, "Octets behind the UDP length are not summed."),
  row("RFC3022-S4.2-WRONG", INFO, "A wrong checksum stays as wrong as it was."),
  row("RFC3022-S4.6", MAY, "IP options: ports are found behind them, the options stay."),
  row("RFC1812-S5.2.2", MUST, "Bad version, lengths or header checksum: discarded silently."),
  row("RFC1812-S5.3.1", MUST, "TTL is decremented; nothing is forwarded at 0."),
  row("RFC1812-S5.3.7", SHOULD, "Invalid sources and destinations are not forwarded."),
  row("RFC2663-MCAST", INFO, "Only unicast is translated."),
  row("RFC2827", SHOULD, "Inside and own sources do not come from outside, foreign ones do not leave."),
];

const limits = [
  row("RFC6888-REQ-4", MUST, "A limit of outside ports and ids for each subscriber."),
  row("RFC6888-REQ-4a", MUST, "That limit is configurable."),
  row("RFC6888-REQ-4b", MAY, "And per protocol."),
  row("RFC6888-REQ-4c", SHOULD, "Thresholds against CPU use, such as the rate of new mappings."),
  row("RFC6888-REQ-5", SHOULD, "A limit of state for each subscriber."),
  row("RFC6888-REQ-5a", SHOULD, "That limit is configurable."),
  row("RFC6888-REQ-5b", SHOULD, "The rate of state creation can be limited."),
  row("RFC6888-REQ-9", MUST, "Subscribers control their mappings by a protocol, best PCP."),
  row("RFC6888-REQ-11a", MUST, "Where no mapping can be made the packet is dropped."),
  row("RFC6888-REQ-11b", SHOULD, "The sender gets an ICMP error (3/1, or 3/13 as RFC 5508 has it)."),
  row("RFC6888-REQ-11c", SHOULD, "Management is told."),
  row("RFC6888-REQ-11d", MUST_NOT, "Existing mappings are deleted to make room."),
];

const IPFIX = "napt exports no IPFIX: it writes no log of its own, the host program decides where events go";

const management = [
  row("RFC6888-S4", INFO, "What a log needs is there: protocol, subscriber, outside address and port, time."),
  row("RFC6888-REQ-10", SHOULD, "It is manageable: counters, a dump of the table."),
  row("RFC6888-REQ-12", SHOULD_NOT, "Destinations are logged."),
  row("RFC8158-S4", SHOULD, "IPFIX: each event is exported.", { notApplicable: IPFIX }),
  row("RFC8158-S4.3", MUST, "IPFIX: natEvent numbers.", { notApplicable: IPFIX }),
  row("RFC8158-S4.4", MUST, "IPFIX: natQuotaExceededEvent numbers.", { notApplicable: IPFIX }),
  row("RFC8158-S4.5", MAY, "IPFIX: natThresholdEvent numbers.", { notApplicable: IPFIX }),
  row("RFC8158-S4.6.1", MUST, "IPFIX: fields of session and BIB records.", { notApplicable: IPFIX }),
  row("RFC8158-S4.6.5", SHOULD, "IPFIX: exhaustion events are limited in rate.", { notApplicable: IPFIX }),
  row("RFC8158-S4.6.10", MUST, "IPFIX: fields of port block records.", { notApplicable: IPFIX }),
];

const transports = [
  row("RFC5597-S3", INFO, "DCCP is carried only with ports and checksum rewritten; otherwise dropped."),
  row("RFC5597-REQ-1", MUST, "DCCP mapping is endpoint-independent."),
  row("RFC5597-REQ-2", MUST, "All valid DCCP sequences pass, simultaneous open with Listen included."),
  row("RFC5597-REQ-3", SHOULD, "DCCP filtering is EIF or ADF, configurable on its own."),
  row(
    "RFC5597-REQ-4",
    MUST,
    "An unsolicited Listen or Sync is not answered for 6 s, nor when a Request goes out.",
  ),
  row("RFC5597-REQ-5", MUST, "DCCP: established 124 min, transitory 4 min."),
  row("RFC5597-REQ-6", MUST_NOT, "ALGs touch DCCP."),
  row("RFC5597-REQ-7", MUST_NOT, "DCCP ports are overloaded."),
  row("RFC5597-REQ-8", MUST, "DCCP is hairpinned, with the external source."),
  row("RFC5597-REQ-9", SHOULD, "Destination unreachable about DCCP is translated."),
  row("RFC5597-REQ-10", MUST_NOT, "An ICMP message ends a DCCP mapping or connection."),
  row("RFC5597-REQ-11", MUST, "A valid DCCP checksum stays valid, whatever its coverage."),
  row("RFC5597-REQ-12", MUST_NOT, "The checksum coverage changes."),
  row("RFC5597-REQ-13", MUST_NOT, "The service code changes."),
  row("SCTP-BASIC", INFO, "SCTP: addresses change and nothing else; off by default."),
];

const portControl = [
  row(
    "RFC6887-S7",
    MUST,
    "Messages: version 2, a header of 24 octets, at most 1100, a multiple of 4; R in responses.",
  ),
  row(
    "RFC6887-S8.2",
    MUST,
    "Requests from inside only; what is no request is dropped; each fault has its result.",
  ),
  row("RFC6887-S7.3", MUST, "Unknown mandatory options and bad ones are refused, and change no state."),
  row("RFC6887-S8.5", MUST, "Epoch time counts seconds, and starts again when mappings are lost."),
  row(
    "RFC6887-S11.3-NEW",
    SHOULD,
    "MAP gives the suggested outside endpoint when it is free, else another (MUST).",
  ),
  row(
    "RFC6887-S11.3-SAME",
    MUST,
    "MAP for a mapped endpoint gives its mapping a new lifetime; another nonce is refused.",
  ),
  row("RFC6887-S11.3-STATIC", MUST, "A configured mapping is told as it is, with lifetime 2^32-1."),
  row(
    "RFC6887-S11.3-PROTO",
    MUST_NOT,
    "A request for one protocol maps another; outside UDP 5350 or 5351 is mapped.",
  ),
  row("RFC6887-S11-INBOUND", MUST, "Traffic to a MAP mapping is forwarded, subject to its filters."),
  row("RFC6887-S12", MUST, "PEER makes or extends an outbound mapping; it neither shortens nor deletes one."),
  row("RFC6887-S13.1", MUST_NOT, "THIRD_PARTY is served by default."),
  row("RFC6887-S13.2", MUST, "PREFER_FAILURE: that endpoint, or CANNOT_PROVIDE_EXTERNAL."),
  row("RFC6887-S13.3", MUST, "FILTER: one for each MAP mapping at least."),
  row("RFC6887-S15", MUST, "Lifetimes as told; 0 deletes, but not before outbound traffic would let it end."),
  row("RFC6887-S17.2", SHOULD, "Limits for each host."),
  row("RFC6887-A", SHOULD, "Version 0 requests are NAT-PMP's."),
  row("RFC6886-S3.2", MUST, "Operation 0 tells the outside address and the epoch."),
  row(
    "RFC6886-S3.3",
    MUST,
    "Operations 1 and 2 map UDP and TCP; the other protocol's port is kept for the host.",
  ),
  row("RFC6886-S3.3-LIFE", MUST, "A mapping goes at the end of its lifetime."),
  row("RFC6886-S3.4", MUST, "Lifetime 0 deletes one mapping, or all of a protocol; deleting twice succeeds."),
  row("RFC6886-S3.5", MUST, "Result codes; requests from outside are ignored."),
];

export const SECTIONS: readonly Section[] = [
  { title: "Terms (RFC 2663, RFC 3022)", file: "terms.test.ts", rows: terms },
  { title: "Mapping", file: "mapping.test.ts", rows: mapping },
  { title: "Filtering", file: "filtering.test.ts", rows: filtering },
  { title: "Ports and pools", file: "ports.test.ts", rows: ports },
  { title: "Lifetimes and refresh", file: "lifetimes.test.ts", rows: lifetimes },
  { title: "TCP", file: "tcp.test.ts", rows: tcp },
  { title: "Hairpinning", file: "hairpinning.test.ts", rows: hairpinning },
  { title: "ICMP", file: "icmp.test.ts", rows: icmp },
  { title: "Fragments and IP ID", file: "fragments.test.ts", rows: fragments },
  { title: "Checksums and headers", file: "headers.test.ts", rows: headers },
  { title: "Limits and exhaustion", file: "limits.test.ts", rows: limits },
  { title: "Logging and management", file: "management.test.ts", rows: management },
  { title: "Other transports", file: "transports.test.ts", rows: transports },
  { title: "Port control (PCP, NAT-PMP)", file: "port-control.test.ts", rows: portControl },
];

export const ROWS: readonly Row[] = SECTIONS.flatMap(({ rows }) => rows);
