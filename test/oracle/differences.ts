/**
 * Where napt and Linux differ, and why napt is right, or why either will do. What is not in this table fails the
 * test; what is in it and no longer happens fails it too. docs/oracle.md is made from it.
 */

import { endpoint, endpoints, endpointText, hex } from "../support/packets.js";
import { ABSENT, type Difference, type Judge } from "./compare.js";
import { hexWord } from "./observation.js";
import { PLAIN, type Protocol, type Shape, type Step } from "./steps.js";
import type { StrayKind } from "./strays.js";
import { FORWARDS, type Forward, PUBLIC, STATIC, type WorldName } from "./worlds.js";

export interface KnownDifference {
  name: string;
  kernel: string;
  napt: string;
  /** With the RFC, or row of it, that decides. */
  reason: string;
  matches(difference: Difference): boolean;
  /** Both routers have the same sessions afterwards. */
  harmless?: true;
  /** Shows it. */
  example: { world: WorldName; steps: Step[] };
}

// ---------------------------------------------------------------------------------------------- conditions

const onlyNapt = (d: Difference) => d.field === "packet" && d.kernel === ABSENT;
const onlyKernel = (d: Difference) => d.field === "packet" && d.napt === ABSENT;
/** Conntrack called the packet invalid; napt forwarded it. */
const invalid = (d: Difference) => onlyNapt(d) && d.reasons.kernel.includes("invalid");
const naptSays = (d: Difference, reason: string) => onlyKernel(d) && d.reasons.napt.includes(reason);
const shapeOf = (d: Difference) => ("shape" in d.step ? d.step.shape : null);
const flagsOf = (d: Difference) => (d.packet.body.kind === "tcp" ? d.packet.body.flags : null);
const strayOf = (d: Difference) => (d.step.op === "stray" ? d.step.kind : null);
const peculiarityOf = (d: Difference) => (d.step.op === "error" ? d.step.peculiarity : null);

/** Of a flow: whether a forward or a 1:1 mapping made its binding. */
const isPermanent = ({ flow, world }: Difference) =>
  flow !== null &&
  (flow.inside.address === STATIC.inside ||
    world.forwards.some(({ inside }) => inside === endpointText(flow.inside)));

// ---------------------------------------------------------------------------------------------- examples

const ends = { host: "10.0.0.1", port: 4000, remote: "198.51.100.1", remotePort: 53 };
const shaped = (shape: Partial<Shape>): Shape => ({ ...PLAIN, ...shape });
const send = (protocol: Protocol, shape: Partial<Shape> = {}, host = ends.host): Step => ({
  op: "send",
  protocol,
  ...ends,
  host,
  shape: shaped(shape),
});
/** From a host to the public endpoint of flow `n`. */
const hairpin = (host: string, n: number): Step => ({
  op: "hairpin",
  to: "flow",
  n,
  protocol: "udp",
  host,
  port: ends.port,
  shape: PLAIN,
});
const again = (shape: Partial<Shape> = {}): Step => ({ op: "again", n: 0, shape: shaped(shape) });
const reply = (shape: Partial<Shape> = {}): Step => ({ op: "reply", n: 0, shape: shaped(shape) });
const visit = (n: number, shape: Partial<Shape> = {}): Step => ({
  op: "visit",
  n,
  protocol: "udp",
  remote: "198.51.100.1",
  remotePort: 53,
  shape: shaped(shape),
});
const stray = (kind: StrayKind): Step => ({ op: "stray", kind });
const connect: Step = { op: "connect", ...ends };
const error = (fields: Partial<Step & { op: "error" }> = {}): Step => ({
  op: "error",
  n: 0,
  about: "sent",
  type: 3,
  code: 3,
  octets: 28,
  reporter: "router",
  peculiarity: "none",
  ...fields,
});
const endpointOf = ({ inside }: Forward) => ({ host: endpoint(inside).address, port: endpoint(inside).port });
const masquerade = (...steps: Step[]) => ({ world: "masquerade" as const, steps });

export const DIFFERENCES: KnownDifference[] = [
  {
    name: "IP identification",
    kernel: "leaves it",
    napt: "replaces it where two hosts' datagrams to one remote would have the same",
    reason: "RFC 6864, 5.3.1, and RFC 7857, 10: otherwise the receiver may mix their fragments up",
    matches: (d) => d.field === "id" && d.step.op === "twins",
    harmless: true,
    example: masquerade({
      op: "twins",
      hosts: ["10.0.0.1", "10.0.0.2"],
      port: 4000,
      remote: "198.51.100.1",
      remotePort: 53,
    }),
  },
  {
    name: "originated error: IP identification and DF",
    kernel: "a random identification, DF clear",
    napt: "identification 0, DF set: atomic",
    reason: "RFC 6864, 4.1: an atomic datagram may have any identification",
    matches: (d) =>
      d.originated && ((d.field === "id" && d.napt === "0") || (d.field === "df" && d.napt === "true")),
    harmless: true,
    example: masquerade(send("udp", { ttl: 1 })),
  },
  {
    name: "originated error: diffserv class",
    kernel: "precedence 6 (RFC 1812, 4.3.2.5)",
    napt: "the class of the packet that it is about",
    reason: "RFC 5508, 7.7, is newer",
    matches: (d) => d.originated && d.field === "tos" && d.napt === hexWord(d.packet.tos & 0xfc),
    harmless: true,
    example: masquerade(send("udp", { ttl: 1 })),
  },
  {
    name: "record route and timestamp options",
    kernel: "writes its address or the time into them, as a router, and repeats them in its own errors",
    napt: "leaves options as they are",
    reason: "RFC 3022, 4.6, lets a NAT leave them alone",
    matches: (d) =>
      ["record route", "timestamp"].includes(shapeOf(d)?.options ?? "none") &&
      ((d.field === "options" && d.napt === (d.originated ? "" : hex(d.packet.options))) ||
        (d.field === "quoted" && d.napt === "as sent") ||
        (d.field === "quoted header checksum" && d.napt === "right") ||
        (d.field === "quoted octets" && d.originated)),
    harmless: true,
    example: masquerade(send("udp", { options: "record route" }), again({ options: "timestamp" })),
  },
  {
    name: "source route",
    kernel: "drops it (accept_source_route is off)",
    napt: "forwards it, the option untouched",
    reason: "RFC 3022, 4.6, lets a NAT leave it alone; to refuse it is a firewall's affair",
    matches: (d) => onlyNapt(d) && shapeOf(d)?.options === "source route",
    example: masquerade(send("udp", { options: "source route" })),
  },
  {
    name: "tiny fragments",
    kernel: "puts the datagram together and translates it",
    napt: "drops fragments that split the TCP header",
    reason: "RFC 1858, 2, and RFC 3128: no honest sender makes them, and napt does not reassemble",
    matches: (d) => d.fragmented && naptSays(d, "fragment-tiny"),
    example: masquerade(connect, again({ length: 100, pieces: { cuts: [8], order: [0, 1] } })),
  },
  {
    name: "ICMP errors in fragments",
    kernel: "puts them together and translates them",
    napt: "drops them",
    reason:
      "RFC 1812, 4.3.2.3: an error has at most 576 octets; its checksum can't be verified in pieces (RFC 5508, REQ-3)",
    matches: (d) => d.fragmented && peculiarityOf(d) === "fragmented" && onlyKernel(d),
    harmless: true,
    example: masquerade(send("udp", { length: 100 }), error({ peculiarity: "fragmented" })),
  },
  {
    name: "wrong transport checksums",
    kernel: "conntrack calls the packet invalid (nf_conntrack_checksum)",
    napt: "translates it; the checksum stays exactly as wrong",
    reason: "RFC 3022, 4.2: the receiver verifies it; a NAT must only not launder it",
    matches: (d) =>
      onlyNapt(d) &&
      shapeOf(d)?.checksum === "wrong" &&
      d.world.kernel.sysctl["net.netfilter.nf_conntrack_checksum"] === 1,
    example: masquerade(send("udp", { checksum: "wrong" })),
  },
  {
    name: "lengths in transport headers",
    kernel: "conntrack calls UDP lengths and TCP header lengths that don't fit invalid",
    napt: "translates the packet",
    reason: "the receiver looks at them; the NAT needs only the ports",
    matches: (d) => invalid(d) && /length|tcp header/.test(strayOf(d) ?? ""),
    example: masquerade(
      stray("a udp length beyond the packet"),
      stray("a udp length below the header"),
      stray("a tcp header beyond the packet"),
      stray("a tcp header too short"),
    ),
  },
  {
    name: "impossible TCP flags",
    kernel: "conntrack calls them invalid",
    napt: "translates the segment of a session, or one that may begin one",
    reason: "a NAT is no firewall; RFC 5382, REQ-2, only says what must pass",
    matches: (d) => invalid(d) && ["", "FS", "FPU"].includes(flagsOf(d) ?? "none"),
    example: masquerade(connect, again({ segment: "no flags" }), reply({ segment: "christmas" })),
  },
  {
    name: "outbound TCP that begins with a FIN, RST or SYN-ACK",
    kernel: "conntrack calls it invalid: only a SYN or an ACK begins a connection",
    napt: "picks the connection up (tcpPickup)",
    reason:
      "after a restart whatever is said first must get out, the end of a connection too (RFC 5382, REQ-2)",
    matches: (d) => invalid(d) && d.flow === null && d.side === "inside" && /[FR]|SA/.test(flagsOf(d) ?? ""),
    example: masquerade(send("tcp", { segment: "fin" })),
  },
  {
    name: "inbound TCP that begins in mid-stream",
    kernel: "an ACK to a forward begins a connection (nf_conntrack_tcp_loose)",
    napt: "only a SYN does",
    reason: "RFC 2663, 2.5: a TCP session begins with a SYN; RFC 5382, 5, lets others be dropped",
    matches: (d) => d.flow === null && naptSays(d, "tcp-no-session"),
    example: masquerade(visit(1, { segment: "ack" })),
  },
  {
    name: "a RST before any answer",
    kernel: "forgets the connection at once",
    napt: "keeps the session for the transitory timeout",
    reason: "RFC 7857, 2.2: after a RST the session stays for 4 minutes, as the RST may be forged",
    matches: (d) => onlyNapt(d) && d.flow?.connection.stillborn === true,
    example: masquerade(
      send("tcp", { segment: "syn" }),
      again({ segment: "rst" }),
      reply({ segment: "rst ack" }),
    ),
  },
  {
    name: "TCP windows and states",
    kernel:
      "conntrack calls segments invalid that do not fit the window or the state it takes a connection to be in",
    napt: "translates every segment of a session; only what a RST or FIN does to it depends on the window",
    reason:
      "RFC 5382, REQ-2: every valid sequence passes, and only the ends know which is; RFC 7857, 2.2: a RST that matches a mapping is forwarded",
    matches: (d) => invalid(d) && d.flow !== null && flagsOf(d) !== null,
    example: masquerade(connect, again({ segment: "wild data" }), reply({ segment: "wild rst" })),
  },
  {
    name: "ICMP errors about segments never sent",
    kernel: "translates them",
    napt: "drops an error whose quoted sequence number is not in the window",
    reason: "RFC 5927, 4.1: who can't see the connection can't forge an error about it",
    matches: (d) => naptSays(d, "icmp-out-of-window") && peculiarityOf(d) === "wild sequence",
    harmless: true,
    example: masquerade(connect, error({ peculiarity: "wild sequence" })),
  },
  {
    name: "ICMP errors about a SYN or RST in mid-connection",
    kernel: "translates them",
    napt: "drops those whose number is not in the window, which such a segment does not move",
    reason: "RFC 5927, 4.1: the number is all that tells an error from a forged one",
    matches: (d) =>
      naptSays(d, "icmp-out-of-window") && d.about?.body.kind === "tcp" && /[SR]/.test(d.about.body.flags),
    harmless: true,
    example: masquerade(connect, again({ segment: "new syn" }), error()),
  },
  {
    name: "ICMP errors that quote a wrong header checksum",
    kernel: "translates them",
    napt: "drops them",
    reason: "RFC 5508, REQ-3a",
    matches: (d) => naptSays(d, "icmp-checksum") && peculiarityOf(d) === "wrong quoted header checksum",
    harmless: true,
    example: masquerade(send("udp"), error({ peculiarity: "wrong quoted header checksum" })),
  },
  {
    name: "ICMP errors about a mapping without a session",
    kernel: "translates only errors about a connection",
    napt: "translates errors about what a 1:1 mapping or a forward, or outbound any mapping, stands for",
    reason: "RFC 5508, REQ-4 and 5: an active mapping suffices",
    matches: (d) =>
      onlyNapt(d) && peculiarityOf(d) === "other remote" && (isPermanent(d) || d.world.endpointIndependent),
    harmless: true,
    example: { world: "static", steps: [visit(0), reply(), again(), error({ peculiarity: "other remote" })] },
  },
  {
    name: "ICMP errors to somebody else",
    kernel: "conntrack calls an error invalid that does not go to whom it quotes",
    napt: "translates it",
    reason: "RFC 5508, REQ-5: what is quoted decides; its receiver ignores what it never sent",
    matches: (d) => onlyNapt(d) && peculiarityOf(d) === "other receiver",
    harmless: true,
    example: masquerade(send("udp"), reply(), error({ about: "delivered", peculiarity: "other receiver" })),
  },
  {
    name: "ICMP information requests",
    kernel: "translates them",
    napt: "drops them",
    reason: "RFC 5508, REQ-10c2: they are obsolete and should not be supported",
    matches: (d) => naptSays(d, "unsupported-protocol") && shapeOf(d)?.query === "information",
    example: masquerade(send("icmp", { query: "information" })),
  },
  {
    name: "answers to another kind of query",
    kernel: "an address mask reply does not answer an echo request",
    napt: "any ICMP reply with the identifier does",
    reason: "RFC 5508, 3.1: a mapping is of the identifier; the host ignores what it did not ask",
    matches: (d) =>
      invalid(d) && d.flow?.protocol === "icmp" && !d.flow.queries.has(shapeOf(d)?.query ?? "echo"),
    example: masquerade(send("icmp"), reply({ query: "timestamp" })),
  },
  {
    name: "originated error: about what would not come in",
    kernel:
      "drops such a packet silently, however short its TTL is or great its length: nothing leads it inside",
    napt: "answers before it looks whether anything leads inside",
    reason: "RFC 1812, 5.3.1: an expired packet goes nowhere; either will do",
    matches: (d) =>
      onlyNapt(d) &&
      d.originated &&
      d.flow === null &&
      d.reasons.napt.some((one) => one === "ttl-expired" || one === "too-big"),
    example: masquerade(send("udp"), {
      op: "knock",
      n: 0,
      remote: "198.51.100.77",
      remotePort: 7777,
      shape: shaped({ ttl: 1 }),
    }),
  },
  {
    name: "a SYN from outside in TIME_WAIT",
    kernel: "forgets the connection, and then nothing lets the SYN in",
    napt: "reopens the session",
    reason: "RFC 5382, REQ-2: re-use after TIME_WAIT, from either side (RFC 9293, 3.6.1)",
    matches: (d) =>
      onlyNapt(d) &&
      flagsOf(d) === "S" &&
      d.flow !== null &&
      (d.side === "outside" || d.flow.role === "outside"),
    example: masquerade(connect, { op: "finish", n: 0, first: "outside" }, reply({ segment: "new syn" })),
  },
  {
    name: "originated error: source address",
    kernel: "the public address that the packet was sent to",
    napt: "the first public address",
    reason: "RFC 5508, REQ-5c: any of the NAT's own addresses",
    matches: (d) => d.originated && d.field === "source" && d.napt === PUBLIC,
    harmless: true,
    example: { world: "static", steps: [visit(0), reply({ ttl: 1 })] },
  },
  {
    name: "hairpinned packets open filters",
    kernel: "a packet to a public endpoint that lets nobody in leaves no trace",
    napt: "it counts as sent, so the host that it was for may now send to its sender",
    reason: "RFC 4787, REQ-9: inside hosts reach each other as remotes do, and punch holes as they do",
    matches: (d) => onlyNapt(d) && d.step.op === "hairpin" && d.punched,
    example: {
      world: "restrictedCone",
      steps: [send("udp"), send("udp", {}, "10.0.0.2"), hairpin("10.0.0.1", 1), hairpin("10.0.0.2", 0)],
    },
  },
  {
    name: "a connection begins again",
    kernel: "forgets the old one: the new one may get another public port",
    napt: "keeps the session and its public endpoint",
    reason: "RFC 5382, REQ-1: a mapping lasts as long as it is known",
    matches: (d) =>
      d.field === "source" &&
      d.side === "inside" &&
      flagsOf(d) === "S" &&
      d.flow !== null &&
      d.kernel === "a new public endpoint",
    harmless: true,
    example: {
      world: "random",
      steps: [connect, { op: "finish", n: 0, first: "inside" }, again({ segment: "new syn" })],
    },
  },
  {
    name: "what a forward's inside endpoint sends",
    kernel: "a connection of its own, from whatever public port is free",
    napt: "leaves from the forward's public endpoint",
    reason: "RFC 4787, REQ-1, and RFC 5382, REQ-1: an inside endpoint has one mapping",
    matches: (d) => {
      const source = endpointText(endpoints(d.packet).src);
      const forward = d.world.forwards.find(({ inside }) => inside === source);
      return d.field === "source" && forward !== undefined && d.napt === forward.outside;
    },
    example: masquerade({ ...send("udp"), ...endpointOf(FORWARDS[0]!) } as Step),
  },
  {
    name: "another kind of query with the same identifier",
    kernel: "a connection of its own, with an identifier of its own",
    napt: "one mapping for all queries with an identifier",
    reason: "RFC 5508, REQ-1 and 3.1: a mapping is of the identifier",
    matches: (d) =>
      d.field === "source" &&
      d.flow?.protocol === "icmp" &&
      !d.flow.queries.has(shapeOf(d)?.query ?? "echo") &&
      d.kernel === "a new public endpoint",
    example: { world: "random", steps: [send("icmp"), again({ query: "timestamp" })] },
  },
  {
    name: "a fault: a packet that comes back to its sender",
    kernel: "a packet to a public endpoint that nobody has does not come in",
    napt: "may give its sender just that endpoint, and so the packet back",
    reason: "to be mended: an endpoint is not free for talking to itself",
    matches: (d) =>
      onlyNapt(d) && d.step.op === "hairpin" && d.napt.endsWith(`> ${d.step.host}:${d.step.port}`),
    example: masquerade(send("udp"), hairpin("10.0.0.2", 0)),
  },
  {
    name: "reserved addresses",
    kernel: "takes class E and network 0 for addresses like others",
    napt: "drops packets from there, and leaves those to there to `unmatched`",
    reason: "RFC 1812, 5.3.7: they are not forwarded",
    matches: (d) =>
      (naptSays(d, "unmatched") && ["to class E", "to network zero"].includes(strayOf(d) ?? "")) ||
      (naptSays(d, "invalid-source") && strayOf(d) === "from class E"),
    example: masquerade(stray("to class E"), stray("to network zero"), stray("from class E")),
  },
  {
    name: "between inside hosts",
    kernel: "forwards, as a router",
    napt: "passes the packet untouched",
    reason: "RFC 3022, 2: a NAT stands between inside and outside; this is a switch's",
    matches: (d) => d.field === "ttl" && strayOf(d) === "between inside hosts",
    harmless: true,
    example: masquerade(stray("between inside hosts")),
  },
];

/** Judges by the table, and tells which rows were used. */
export function judging(used: Set<string>): Judge {
  return (difference) => {
    const known = DIFFERENCES.find((one) => one.matches(difference));
    if (known === undefined) return null;
    used.add(known.name);
    return { name: known.name, harmless: known.harmless === true };
  };
}
