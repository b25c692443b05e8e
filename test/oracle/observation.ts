/** What came out of a router, as fields that can be compared with another router's. */
import {
  addressNumber,
  checksumError,
  decode,
  type Endpoint,
  endpoints,
  endpointText,
  get16,
  headerChecksumOf,
  hex,
  type Packet,
  PROTOCOL,
  put16,
  reassemble,
  transportChecksumIn,
  transportChecksumOf,
} from "../support/packets.js";
import type { Passage, Side } from "./routers.js";

/** Names of fields, and what they hold; the same text means the same thing for both routers. */
export type Observation = Record<string, string>;

/** An endpoint; of an ICMP error only the address. */
export interface PublicEndpoint {
  address: string;
  port: number | null;
}

/** A whole datagram that somebody received. */
export interface Datagram {
  side: Side;
  packet: Uint8Array;
  /** Of its fragments. */
  ttls: Set<number>;
}

/**
 * What the hosts on either side receive: fragments put together as soon as they are all there. What stays
 * incomplete, or overlaps, is thrown away.
 */
export function received(out: readonly Passage[]): Datagram[] {
  const whole: Datagram[] = [];
  const waiting = new Map<string, Map<string, Uint8Array>>();
  for (const { side, packet } of out) {
    if (!isFragment(packet)) {
      whole.push({ side, packet, ttls: new Set([packet[8]!]) });
      continue;
    }
    const { src, dst, protocol, id, fragmentOffset, headerChecksum } = decode(packet);
    if (headerChecksum !== headerChecksumOf(packet)) continue;
    const key = `${side} ${src} ${dst} ${protocol} ${id}`;
    const pieces = waiting.get(key) ?? new Map<string, Uint8Array>();
    waiting.set(key, pieces.set(`${fragmentOffset} ${packet.length}`, packet));
    const datagram = reassemble([...pieces.values()]);
    if (datagram === null) continue;
    whole.push({ side, packet: datagram, ttls: new Set([...pieces.values()].map((piece) => piece[8]!)) });
    waiting.delete(key);
  }
  return whole;
}

function isFragment(packet: Uint8Array): boolean {
  return (get16(packet, 6) & 0x3fff) !== 0;
}

const ERRORS = [3, 4, 5, 11, 12];

export function isIcmpError(packet: Packet): boolean {
  return packet.body.kind === "icmp" && ERRORS.includes(packet.body.type);
}

/** The endpoints of a datagram; of an ICMP query both with its identifier. */
export function endsOf(packet: Uint8Array): { src: Endpoint; dst: Endpoint } {
  const fields = decode(packet);
  const ends = endpoints(fields);
  if (fields.body.kind === "icmp" && !isIcmpError(fields)) {
    ends.src.port = ends.dst.port = fields.body.rest >>> 16;
  }
  return ends;
}

/** How a checksum stands to the right one. */
function checksumState(actual: number, right: number): string {
  if (actual === right) return "right";
  const error = checksumError(actual, right);
  return error === 0 ? `${hexWord(actual)} for ${hexWord(right)}` : `off by ${error}`;
}

export function hexWord(value: number): string {
  return `0x${value.toString(16).padStart(4, "0")}`;
}

function transportState(packet: Uint8Array): string {
  const actual = transportChecksumIn(packet);
  if (actual === -1) return "";
  if (packet[9] === PROTOCOL.udp && actual === 0) return "none";
  const right = transportChecksumOf(packet);
  return right === -1 ? hexWord(actual) : checksumState(actual, right);
}

/** The transport part without what a NAT is to change: ports, identifier, checksum. */
function transportOf(packet: Uint8Array): string {
  const { protocol, options } = decode(packet);
  const bytes = new Uint8Array(packet.subarray(20 + options.length, get16(packet, 2)));
  const blank = { [PROTOCOL.udp]: [0, 2, 6], [PROTOCOL.tcp]: [0, 2, 16], [PROTOCOL.icmp]: [2, 4] }[protocol];
  for (const at of blank ?? []) if (at + 2 <= bytes.length) put16(bytes, at, 0);
  return hex(bytes);
}

/**
 * The packet that an ICMP error quotes, as far as it is not what its receiver once sent.
 * @param sent as the receiver sent it; undefined when that isn't known
 */
function quoted(packet: Uint8Array, sent: Uint8Array | undefined): Observation {
  const quote = packet.subarray(20 + decode(packet).options.length + 8, get16(packet, 2));
  if (quote.length < 20) return { quoted: hex(quote) };
  const header = checksumState(get16(quote, 10), headerChecksumOf(quote));
  if (sent === undefined) return { quoted: hex(quote), "quoted header checksum": header };
  const changes: string[] = [];
  for (let at = 0; at < quote.length; at++) {
    if (at === 10 || at === 11 || quote[at] === sent[at]) continue;
    changes.push(`${at}: ${sent[at] ?? "nothing"} is ${quote[at]}`);
  }
  return {
    quoted: changes.length === 0 ? "as sent" : changes.join(", "),
    "quoted header checksum": header,
    "quoted octets": String(quote.length),
  };
}

/**
 * A datagram as fields.
 * @param nameOf what to call a public endpoint, which each router chooses for itself
 * @param sent for an ICMP error: the packet that it is about, as the error's receiver sent it
 */
export function observe(
  { side, packet, ttls }: Datagram,
  nameOf: (endpoint: PublicEndpoint, peer: Endpoint) => string | null,
  sent: Uint8Array | undefined,
): Observation {
  const fields = decode(packet);
  const { src, dst } = endsOf(packet);
  const error = isIcmpError(fields);
  const plain = (one: Endpoint) => {
    if (fields.protocol !== PROTOCOL.icmp) return endpointText(one);
    // The identifier of a query is an inside endpoint's, not the remote's; a hairpinned one keeps its public one.
    return one === dst && side === "inside" && !isPublicAddress(src.address)
      ? endpointText(one)
      : one.address;
  };
  const name = (one: Endpoint, peer: Endpoint) =>
    nameOf(error ? { ...one, port: null } : one, peer) ?? plain(one);
  const body = packet.subarray(20 + fields.options.length);
  return {
    side,
    protocol: String(fields.protocol),
    source: name(src, dst),
    destination: name(dst, src),
    ttl: [...ttls].join(" and "),
    tos: hexWord(fields.tos),
    id: String(fields.id),
    df: String(fields.df),
    options: hex(fields.options),
    "header checksum": checksumState(fields.headerChecksum, headerChecksumOf(packet)),
    checksum: transportState(packet),
    ...(error
      ? { icmp: `${body[0]}/${body[1]} ${hex(body.subarray(4, 8))}`, ...quoted(packet, sent) }
      : { transport: transportOf(packet) }),
  };
}

export function isPublicAddress(address: string): boolean {
  return addressNumber(address) >>> 8 === addressNumber("203.0.113.0") >>> 8;
}
