/**
 * What happens to the routers: steps as plain data. "The third flow" means what it means when the step is taken,
 * modulo the flows that there are.
 */
import fc from "fast-check";
import { STRAYS, type StrayKind } from "./strays.js";
import { HOSTS, REMOTE_PORTS, REMOTES, SOURCE_PORTS, STATIC } from "./worlds.js";

export type Protocol = "tcp" | "udp" | "icmp";

/**
 * TCP segments with the numbers that their sender is at; a wild one's are a quarter of the sequence space ahead.
 * Some flags are of no use to anybody but scanners.
 */
const SEGMENTS = ["syn", "new syn", "synack", "ack", "data", "fin", "rst"] as const;
const ODD_SEGMENTS = [
  "rst ack",
  "keepalive",
  "wild data",
  "wild rst",
  "no flags",
  "syn fin",
  "christmas",
] as const;
export type SegmentKind = (typeof SEGMENTS)[number] | (typeof ODD_SEGMENTS)[number];

const QUERIES = ["echo", "timestamp", "information", "address mask"] as const;
export type QueryKind = (typeof QUERIES)[number];

/** IP options, as octets. */
export const OPTIONS = {
  none: [],
  "no operation": [1, 1, 1, 0],
  "router alert": [0x94, 4, 0, 0],
  experimental: [0x9e, 4, 0, 0],
  "record route": [7, 7, 4, 0, 0, 0, 0, 0],
  timestamp: [68, 8, 5, 0, 0, 0, 0, 0],
  "source route": [0x83, 7, 4, 198, 51, 100, 2, 0],
};
export type OptionKind = keyof typeof OPTIONS;

/** How a datagram is cut up and in which order, or whether, its fragments come. */
export interface Pieces {
  /** Offsets into the datagram's payload, multiples of 8. */
  cuts: number[];
  /** Numbers of the pieces; those left out never come, those named twice come twice. */
  order: number[];
}

/** What any packet has. */
export interface Shape {
  segment: SegmentKind;
  query: QueryKind;
  ttl: number;
  tos: number;
  df: boolean;
  options: OptionKind;
  /** Bytes of payload. */
  length: number;
  /** Of the transport; "none" is UDP's 0. */
  checksum: "right" | "wrong" | "none";
  headerChecksum: "right" | "wrong";
  pieces: Pieces | null;
}

export const PLAIN: Shape = {
  segment: "data",
  query: "echo",
  ttl: 64,
  tos: 0,
  df: false,
  options: "none",
  length: 8,
  checksum: "right",
  headerChecksum: "right",
  pieces: null,
};

/** What is peculiar about an ICMP error. */
const PECULIARITIES = [
  /** The quoted TCP sequence number was never sent. */
  "wild sequence",
  "wrong checksum",
  "wrong quoted header checksum",
  /** Nobody is to check the quoted transport's (RFC 5508, REQ-3c). */
  "wrong quoted checksum",
  /** It quotes an ICMP error. */
  "nested",
  /** It quotes a packet of this endpoint and a remote that have nothing to do with each other. */
  "other remote",
  /** It goes to another host than the one that sent what it quotes. */
  "other receiver",
  /** It carries an RFC 4884 extension. */
  "extension",
  "fragmented",
] as const;
export type Peculiarity = (typeof PECULIARITIES)[number] | "none";

export interface Ends {
  host: string;
  port: number;
  remote: string;
  remotePort: number;
}

export type Step =
  /** From an inside endpoint to a remote one. */
  | ({ op: "send"; protocol: Protocol; shape: Shape } & Ends)
  /** From inside, or from outside, on a flow. */
  | { op: "again" | "reply"; n: number; shape: Shape }
  /** To the public endpoint of a flow, from anybody. */
  | { op: "knock"; n: number; remote: string; remotePort: number; shape: Shape }
  /** To a forward, or to the host with an address of its own. */
  | { op: "visit"; n: number; protocol: Protocol; remote: string; remotePort: number; shape: Shape }
  /** From inside to one of those, or to the public endpoint of a flow. */
  | {
      op: "hairpin";
      to: "forward" | "flow";
      n: number;
      protocol: Protocol;
      host: string;
      port: number;
      shape: Shape;
    }
  /** TCP: SYN, SYN-ACK, ACK. */
  | ({ op: "connect" } & Ends)
  /** The TCP connection of a flow ends: FIN, FIN, ACK. */
  | { op: "finish"; n: number; first: "inside" | "outside" }
  /** An ICMP error about the last packet that left on a flow, or that was delivered. */
  | {
      op: "error";
      n: number;
      about: "sent" | "delivered";
      type: number;
      code: number;
      /** Of the packet, quoted behind its IP header. */
      octets: number;
      /** Who reports it: the packet's receiver, or a router before it. */
      reporter: "receiver" | "router";
      peculiarity: Peculiarity;
    }
  /** Two hosts send datagrams of one identification to one remote, the fragments of both interleaved. */
  | { op: "twins"; hosts: [string, string]; port: number; remote: string; remotePort: number }
  | { op: "stray"; kind: StrayKind };

function rarely<T>(usual: T, ...others: T[]): fc.Arbitrary<T> {
  return fc.oneof(
    { weight: 15, arbitrary: fc.constant(usual) },
    { weight: 1, arbitrary: fc.constantFrom(...others) },
  );
}

const pieces: fc.Arbitrary<Pieces> = fc.record({
  cuts: fc.constantFrom([24], [8, 48], [24, 32, 64], [40, 80]),
  order: fc.constantFrom(
    [0, 1, 2, 3],
    [3, 2, 1, 0],
    [1, 0, 3, 2],
    [2, 0, 1, 3],
    [0, 0, 1, 2, 2, 3],
    [0, 2, 3],
  ),
});

const shape: fc.Arbitrary<Shape> = fc
  .record({
    segment: fc.oneof(
      { weight: 10, arbitrary: fc.constantFrom<SegmentKind>(...SEGMENTS) },
      { weight: 1, arbitrary: fc.constantFrom<SegmentKind>(...ODD_SEGMENTS) },
    ),
    query: rarely<QueryKind>(...QUERIES),
    ttl: rarely(64, 2, 255, 1, 1, 0),
    tos: rarely(0, 0xb8, 1),
    df: fc.boolean(),
    options: rarely<OptionKind>(...(Object.keys(OPTIONS) as [OptionKind])),
    length: fc.oneof(fc.nat({ max: 9 }), fc.constantFrom(0, 1, 100, 1000)),
    checksum: rarely<Shape["checksum"]>("right", "wrong", "none"),
    headerChecksum: rarely<Shape["headerChecksum"]>("right", "right", "wrong"),
    pieces: fc.oneof({ weight: 9, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: pieces }),
  })
  // Of a segment of which fragments are missing only one of the routers takes notice.
  .map((one) =>
    one.pieces === null ? one : { ...one, segment: "data" as const, df: false, length: 100, ttl: 64 },
  );

const pick = fc.nat({ max: 30 });
const protocol = fc.constantFrom<Protocol>("udp", "udp", "tcp", "icmp");
const source = {
  host: fc.constantFrom(...HOSTS, ...HOSTS, STATIC.inside),
  port: fc.constantFrom(...SOURCE_PORTS),
};
const remote = { remote: fc.constantFrom(...REMOTES), remotePort: fc.constantFrom(...REMOTE_PORTS) };
/** Somebody that no flow leads to, too. */
const anybody = {
  remote: fc.constantFrom(...REMOTES, "198.51.100.77"),
  remotePort: fc.constantFrom(...REMOTE_PORTS, 7777),
};
const op = <T extends string>(...names: T[]) => fc.constantFrom(...names);

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ op: op("send"), protocol, ...source, ...remote, shape }) },
  { weight: 14, arbitrary: fc.record({ op: op("again", "reply"), n: pick, shape }) },
  { weight: 3, arbitrary: fc.record({ op: op("knock"), n: pick, ...anybody, shape }) },
  { weight: 2, arbitrary: fc.record({ op: op("visit"), n: pick, protocol, ...anybody, shape }) },
  {
    weight: 2,
    arbitrary: fc.record({
      op: op("hairpin"),
      to: fc.constantFrom("forward" as const, "flow" as const),
      n: pick,
      protocol,
      ...source,
      shape,
    }),
  },
  { weight: 3, arbitrary: fc.record({ op: op("connect"), ...source, ...remote }) },
  { weight: 2, arbitrary: fc.record({ op: op("finish"), n: pick, first: op("inside", "outside") }) },
  {
    weight: 5,
    arbitrary: fc.record({
      op: op("error"),
      n: pick,
      about: op("sent", "delivered"),
      type: fc.constantFrom(3, 3, 11, 12, 4),
      code: fc.nat({ max: 4 }),
      octets: fc.constantFrom(8, 8, 12, 20, 28, 1000, 1000),
      reporter: op("receiver", "router"),
      peculiarity: fc.oneof(
        { weight: 2, arbitrary: fc.constant("none" as const) },
        { weight: 1, arbitrary: fc.constantFrom<Peculiarity>(...PECULIARITIES) },
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      op: op("twins"),
      hosts: fc.constantFrom<[string, string]>(["10.0.0.1", "10.0.0.2"], ["10.0.0.3", "10.0.0.1"]),
      port: fc.constantFrom(...SOURCE_PORTS),
      ...remote,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: op("stray"),
      kind: fc.constantFrom(...(Object.keys(STRAYS) as StrayKind[])),
    }),
  },
);

export function steps(maxLength: number): fc.Arbitrary<Step[]> {
  return fc.array(step, { minLength: 1, maxLength, size: "max" });
}
