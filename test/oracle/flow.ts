/** Flows, and the packets that their hosts send: the same for both routers but for what these chose. */
import {
  type Common,
  checksumError,
  type Endpoint,
  endpointText,
  errorAbout,
  fragments,
  fullChecksums,
  get32,
  headerChecksumOf,
  icmp,
  inPrefix,
  PROTOCOL,
  put32,
  replaceFields,
  setHeaderChecksum,
  setTransportChecksum,
  tcp,
  transportChecksumIn,
  udp,
} from "../support/packets.js";
import { Connection } from "./connection.js";
import { type Both, both, type Side } from "./routers.js";
import { OPTIONS, type Peculiarity, type Protocol, type QueryKind, type Shape } from "./steps.js";

/** What one inside endpoint and one remote endpoint say to each other. For ICMP the remote's port is 0. */
export interface Flow {
  protocol: Protocol;
  inside: Endpoint;
  /** Each router's own where it is a public endpoint too (hairpinning). */
  remote: Both<Endpoint>;
  public: Both<Endpoint>;
  /** Who sent its first packet. */
  opener: Side;
  connection: Connection;
  /** Of a connection between two inside hosts, which has a flow for each: which of them this is. */
  role: Side;
  hairpinned: boolean;
  /** Of ICMP between inside hosts: the identifier that each router gave it. */
  identifiers: Both<number> | null;
  /** ICMP: what was asked. */
  queries: Set<QueryKind>;
  /** The last packet that inside, or the remote, sent, and what its receiver got. */
  last: Partial<Record<Side, { sent: Both<Uint8Array>; seen: Both<Uint8Array> }>>;
}

const NOWHERE: Endpoint = { address: "0.0.0.0", port: 0 };

export function newFlow(
  protocol: Protocol,
  inside: Endpoint,
  remote: Both<Endpoint>,
  opener: Side = "inside",
): Flow {
  return {
    protocol,
    inside,
    remote,
    public: both(() => NOWHERE),
    opener,
    connection: new Connection(),
    role: "inside",
    hairpinned: false,
    identifiers: null,
    queries: new Set(),
    last: {},
  };
}

/** A packet that a flow's host sends. */
export interface Dispatch {
  /** The datagram, for each router. */
  whole: Both<Uint8Array>;
  /** What is sent of it: itself, or its fragments in some order. */
  packets: Both<Uint8Array[]>;
  /** To be called when both routers delivered it. */
  delivered(seen: Both<Uint8Array>): void;
}

const QUERY_TYPES = {
  echo: [8, 0],
  timestamp: [13, 14],
  information: [15, 16],
  "address mask": [17, 18],
} as const;

/** MSS 1460, window scale 7. */
const SYN_OPTIONS = Uint8Array.from([2, 4, 5, 180, 1, 3, 3, 7]);

/** The next packet of a flow, from one of its ends. */
export function dispatch(flow: Flow, from: Side, shape: Shape, id: number): Dispatch {
  const host = flow.role === from ? "inside" : "outside";
  const numbers = flow.connection.numbers(shape.segment, host, shape.length);
  const whole = both((who) => {
    const inside = { ...flow.inside, port: flow.identifiers?.[who] ?? flow.inside.port };
    const [src, dst] = from === "inside" ? [inside, flow.remote[who]] : [flow.remote[who], flow.public[who]];
    const fields: Common = {
      src: endpointText(src),
      dst: endpointText(dst),
      id,
      // Conntrack heeds a segment even if its TTL is up.
      ttl: flow.protocol === "tcp" && shape.segment !== "data" ? Math.max(2, shape.ttl) : shape.ttl,
      tos: shape.tos,
      df: shape.df,
      options: Uint8Array.from(OPTIONS[shape.options]),
      payload: new Uint8Array(flow.protocol === "tcp" ? numbers.length : shape.length).fill(id),
    };
    if (flow.protocol === "udp") return flawed(udp(fields), shape);
    if (flow.protocol === "tcp") {
      const tcpOptions = numbers.flags.includes("S") ? SYN_OPTIONS : new Uint8Array(0);
      return flawed(tcp({ ...fields, ...numbers, tcpOptions }), shape);
    }
    const asks = (from === "inside") === (flow.opener === "inside");
    const identifier = from === "inside" ? src.port : dst.port;
    const type = QUERY_TYPES[shape.query][asks ? 0 : 1];
    return flawed(icmp({ ...fields, type, rest: identifier * 65536 + 7 }), shape);
  });
  return {
    whole,
    packets: both((who) => cut(whole[who], shape)),
    delivered(seen) {
      flow.connection.delivered(shape.segment, host, numbers);
      if (flow.opener === from) flow.queries.add(shape.query);
      if (numbers.flags === "S") flow.last = {}; // another connection
      // What the kernel writes into options would be quoted, too.
      if (shape.pieces !== null || shape.options === "record route" || shape.options === "timestamp") return;
      flow.last[from] = { sent: whole, seen };
    },
  };
}

function flawed(packet: Uint8Array, { checksum, headerChecksum }: Shape): Uint8Array {
  if (checksum === "wrong") spoilTransport(packet);
  if (checksum === "none" && packet[9] === PROTOCOL.udp) setTransportChecksum(packet, 0);
  if (headerChecksum === "wrong") packet[10]! ^= 0x55;
  return packet;
}

/** Makes a transport checksum wrong, if there is one, by the same amount whatever it was. */
function spoilTransport(packet: Uint8Array): void {
  if (packet[9] === PROTOCOL.udp && transportChecksumIn(packet) === 0) return;
  setTransportChecksum(packet, checksumError(transportChecksumIn(packet), 0x1234) || 0xffff);
}

function cut(packet: Uint8Array, { pieces }: Shape): Uint8Array[] {
  if (pieces === null) return [packet];
  const all = fragments(packet, pieces.cuts);
  return pieces.order.filter((n) => n < all.length).map((n) => all[n]!);
}

/** An ICMP error for one router: itself, and what it is about as its receiver sent that. */
export interface ErrorPacket {
  packet: Uint8Array;
  about: Uint8Array;
}

interface ErrorFields {
  src: string;
  dst: string;
  id: number;
  type: number;
  code: number;
  octets: number;
}

/**
 * Makes an ICMP error with its peculiarity.
 * @param quote what is quoted: the packet as the reporter saw it
 * @param about the same packet as the error's receiver sent it
 */
export function errorPacket(
  fields: ErrorFields,
  peculiarity: Peculiarity,
  quote: Uint8Array,
  about: Uint8Array,
): ErrorPacket {
  const [seen, sent] = [aged(quote), aged(about)];
  const plain = { ...fields, rest: 1400 };
  switch (peculiarity) {
    case "wild sequence":
      return { packet: errorAbout(ahead(seen), plain), about: ahead(sent) };
    case "wrong quoted checksum":
      spoilTransport(seen);
      spoilTransport(sent);
      return { packet: errorAbout(seen, plain), about: sent };
    case "wrong quoted header checksum":
      seen[10]! ^= 0x55;
      return { packet: errorAbout(seen, plain), about: sent };
    case "wrong checksum":
      return { packet: icmp({ ...plain, payload: seen, checksum: 0x1234 }), about: sent };
    case "nested": {
      const inner = errorAbout(seen, { ...plain, src: fields.dst, dst: fields.src });
      return { packet: errorAbout(inner, { ...plain, octets: 1000 }), about: sent };
    }
    case "other remote": {
      const stranger = { address: "198.51.100.99", port: 99 };
      const end = inPrefix(fields.dst, "203.0.113.0/24") ? "dst" : "src";
      const change = (packet: Uint8Array) => fullChecksums(replaceFields(packet, { [end]: stranger }));
      return { packet: errorAbout(change(seen), plain), about: change(sent) };
    }
    case "other receiver":
      return {
        packet: errorAbout(seen, { ...plain, dst: fields.dst.replace(/[0-9]+$/, "99") }),
        about: sent,
      };
    case "extension":
      return { packet: icmp({ ...plain, rest: 0x00200000, payload: extended(seen) }), about: sent };
    default:
      return { packet: errorAbout(seen, plain), about: sent };
  }
}

/** As a router sees a packet whose time is up. */
function aged(packet: Uint8Array): Uint8Array {
  const copy = new Uint8Array(packet);
  copy[8] = 1;
  setHeaderChecksum(copy, headerChecksumOf(copy));
  return copy;
}

/** A segment with a sequence number a quarter of the space ahead; other packets as they are. */
function ahead(packet: Uint8Array): Uint8Array {
  if (packet[9] !== PROTOCOL.tcp) return packet;
  const copy = new Uint8Array(packet);
  const at = (copy[0]! & 15) * 4 + 4;
  put32(copy, at, (get32(copy, at) + 2 ** 30) >>> 0);
  return fullChecksums(copy);
}

/** The packet, padded, and an extension behind it: one object of class 1 with four octets (RFC 4884, section 7). */
function extended(packet: Uint8Array): Uint8Array {
  const payload = new Uint8Array(140);
  payload.set(packet.subarray(0, 128));
  payload.set([0x20, 0, 0xdd, 0xf3, 0, 8, 1, 1, 0, 1, 2, 3], 128);
  return payload;
}
