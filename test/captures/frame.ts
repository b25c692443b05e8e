// What a NAT looks at in a captured frame, found without the product's own parsers. Nothing here throws on
// frames that are cut or nonsense: it says null.
import { get16, get32 } from "../support/packets.js";

export const ICMP = 1;
export const TCP = 6;
export const UDP = 17;

/** An IPv4 packet in a frame. Offsets count from the frame's start, addresses and ports are host numbers. */
export interface Ip {
  readonly at: number;
  /** Where the header ends. */
  readonly payload: number;
  /** Where the datagram ends, or the captured bytes do. */
  readonly end: number;
  /** All of the datagram was captured. */
  readonly whole: boolean;
  readonly protocol: number;
  readonly source: number;
  readonly destination: number;
  readonly id: number;
  readonly ttl: number;
  readonly mayFragment: boolean;
  readonly more: boolean;
  readonly offset: number;
  /** What carries addresses and ports, besides the header. */
  readonly kind: "ports" | "query" | "error" | "later-fragment" | "other";
  /** Of "ports"; of "query" the identifier stands in both. */
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Of the transport checksum, or -1 where there is none or it was not captured. */
  readonly checksumAt: number;
}

const CHECKSUM: Record<number, number> = { [ICMP]: 2, [TCP]: 16, [UDP]: 6 };
const ERRORS = new Set([3, 4, 11, 12]);
const QUERIES = new Set([8, 0, 13, 14, 15, 16, 17, 18]);

/** The IPv4 packet of a frame; null when there is none, or not all of its header. */
export function ipOf(frame: Uint8Array, linkType: number): Ip | null {
  const at = startOfIp(frame, linkType);
  return at === null ? null : ipAt(frame, at, frame.length);
}

/** Whether the link header says that an IPv4 packet follows, sensible or not. */
export const saysIpv4 = (frame: Uint8Array, linkType: number) => startOfIp(frame, linkType) !== null;

/** The packet that an ICMP error quotes. Its lengths are those of the packet that was sent. */
export function quotedBy(frame: Uint8Array, ip: Ip): Ip | null {
  return ip.kind === "error" ? ipAt(frame, ip.payload + 8, ip.end) : null;
}

function ipAt(frame: Uint8Array, at: number, limit: number): Ip | null {
  if (at + 20 > limit || frame[at]! >> 4 !== 4) return null;
  const payload = at + (frame[at]! & 15) * 4;
  if (payload < at + 20 || payload > limit) return null;
  const total = get16(frame, at + 2);
  const end = total < payload - at ? limit : Math.min(limit, at + total);
  const fragment = get16(frame, at + 6);
  const offset = (fragment & 0x1fff) * 8;
  const protocol = frame[at + 9]!;
  const kind = kindOf(frame, protocol, offset, payload, end);
  const ported = kind === "ports";
  const identifier = kind === "query" ? get16(frame, payload + 4) : 0;
  const checksumAt = payload + (CHECKSUM[protocol] ?? 0);
  return {
    at,
    payload,
    end,
    whole: end === at + total,
    protocol,
    source: get32(frame, at + 12),
    destination: get32(frame, at + 16),
    id: get16(frame, at + 4),
    ttl: frame[at + 8]!,
    mayFragment: (fragment & 0x4000) === 0,
    more: (fragment & 0x2000) !== 0,
    offset,
    kind,
    sourcePort: ported ? get16(frame, payload) : identifier,
    destinationPort: ported ? get16(frame, payload + 2) : identifier,
    checksumAt: kind === "other" || kind === "later-fragment" || checksumAt + 2 > end ? -1 : checksumAt,
  };
}

function kindOf(frame: Uint8Array, protocol: number, offset: number, payload: number, end: number) {
  if (CHECKSUM[protocol] === undefined) return "other";
  if (offset !== 0) return "later-fragment";
  if (protocol !== ICMP) return payload + 4 <= end ? "ports" : "other";
  if (payload + 6 > end) return "other";
  const type = frame[payload]!;
  return ERRORS.has(type) ? "error" : QUERIES.has(type) ? "query" : "other";
}

/** Where the IPv4 header is, or null (LINKTYPE_ numbers of tcpdump.org). */
function startOfIp(frame: Uint8Array, linkType: number): number | null {
  const typeAt = { 1: 12, 113: 14, 276: 0 }[linkType];
  if (typeAt === undefined) {
    if (linkType === 0) return frame[0]! + frame[3]! === 2 ? 4 : null;
    return linkType === 101 || linkType === 228 ? 0 : null;
  }
  let type = get16(frame, typeAt);
  let at = { 1: 14, 113: 16, 276: 20 }[linkType]!;
  for (; type === 0x8100 || type === 0x88a8 || type === 0x9100; at += 4) type = get16(frame, at + 2);
  if (type === 0x0800) return at;
  return type === 0x8864 && get16(frame, at + 6) === 0x21 ? at + 8 : null;
}

/** Whether the header's checksum is right. */
export function isHeaderGood(frame: Uint8Array, { at, payload }: Ip): boolean {
  let sum = 0;
  for (let i = at; i < payload; i += 2) sum += get16(frame, i);
  return sum % 0xffff === 0;
}

const HIDDEN = 0;

/** A copy of the frame with everything zero that a NAT may write. Equal copies: the rest was left alone. */
export function withoutNatFields(frame: Uint8Array, linkType: number): Uint8Array {
  const copy = new Uint8Array(frame);
  const ip = ipOf(frame, linkType);
  if (ip === null) return copy;
  copy.fill(HIDDEN, ip.at + 4, ip.at + 6);
  copy[ip.at + 8] = HIDDEN;
  hideEndpoints(copy, ip);
  const quoted = quotedBy(frame, ip);
  if (quoted !== null) hideEndpoints(copy, quoted);
  return copy;
}

function hideEndpoints(copy: Uint8Array, ip: Ip): void {
  copy.fill(HIDDEN, ip.at + 10, ip.at + 20);
  if (ip.checksumAt !== -1) copy.fill(HIDDEN, ip.checksumAt, ip.checksumAt + 2);
  if (ip.kind === "ports") copy.fill(HIDDEN, ip.payload, ip.payload + 4);
  if (ip.kind === "query") copy.fill(HIDDEN, ip.payload + 4, ip.payload + 6);
}
