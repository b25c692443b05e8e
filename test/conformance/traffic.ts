// Who talks in the tests, and the packets they send.
import {
  addressText,
  decode,
  echo as echoPacket,
  endpoint,
  errorAbout,
  get16,
  get32,
  icmp as icmpPacket,
  tcp as tcpPacket,
  udp as udpPacket,
} from "../support/packets.js";

/** The NAT's address. */
export const A = "203.0.113.1";
/** X and X2 are inside hosts that use the same source port; Y and Z remote ones. */
export const X = "10.0.0.1:4000";
export const X2 = "10.0.0.2:4000";
export const Y = "198.51.100.1:5000";
export const Z = "198.51.100.2:5000";

/** Protocols that have mappings. */
export const PROTOCOLS = ["udp", "tcp", "icmp"] as const;
export type Protocol = (typeof PROTOCOLS)[number];

/** The same host, another port. */
export function at(where: string, port: number): string {
  return `${addressOf(where)}:${port}`;
}
export function addressOf(where: string): string {
  return endpoint(where).address;
}
export function portOf(where: string): number {
  return endpoint(where).port;
}

/** The n-th inside host, from 1 on. */
export function inside(n: number, port = 4000): string {
  return `${addressText(0x0a000000 + n)}:${port}`;
}
/** The n-th remote host, from 1 on: 198.51.100.n and, beyond 250, 198.18.0.0/15. */
export function remote(n: number, port = 5000): string {
  return `${n <= 250 ? `198.51.100.${n}` : addressText(0xc6120000 + n)}:${port}`;
}

export function udp(src: string, dst: string, fields: Partial<Parameters<typeof udpPacket>[0]> = {}) {
  return udpPacket({ src, dst, payload: "datagram!", ...fields });
}
/** @param flags letters of FSRPAUEC */
export function tcp(
  src: string,
  dst: string,
  flags: string,
  fields: Partial<Parameters<typeof tcpPacket>[0]> = {},
) {
  return tcpPacket({ src, dst, flags, seq: 1000, ...fields });
}
/** The identifier stands in both endpoints; that of `src` counts. */
export function echo(src: string, dst: string, fields: Partial<Parameters<typeof echoPacket>[0]> = {}) {
  return echoPacket({ src, dst, identifier: portOf(src), payload: "ping?", ...fields });
}
/** The answer to an echo; its identifier is in `dst`. */
export function echoReply(src: string, dst: string, fields: Partial<Parameters<typeof echoPacket>[0]> = {}) {
  return echo(src, dst, { identifier: portOf(dst), reply: true, ...fields });
}
export function icmp(
  src: string,
  dst: string,
  type: number,
  fields: Partial<Parameters<typeof icmpPacket>[0]> = {},
) {
  return icmpPacket({ src, dst, type, ...fields });
}

/** Timestamp (13, 14) and address mask (17, 18) messages; the identifier is the inside's, as with an echo. */
export function query(type: 13 | 14 | 17 | 18, src: string, dst: string): Uint8Array {
  const identifier = portOf(type % 2 === 1 ? src : dst);
  return icmp(src, dst, type, { rest: identifier * 65536 + 1, payload: new Uint8Array(type < 17 ? 12 : 4) });
}

const ICMP = 1;
const ICMP_QUERIES = [0, 8, 13, 14, 17, 18];
/** TCP, UDP, DCCP, SCTP, UDP-Lite. */
const PORTED = [6, 17, 33, 132, 136];

/** Where a packet comes from or goes to, `address:port`; of an ICMP query both have the identifier. */
export function endpointOf(packet: Uint8Array, end: "src" | "dst"): string {
  const transport = (packet[0]! & 15) * 4;
  const isQuery = packet[9] === ICMP && ICMP_QUERIES.includes(packet[transport]!);
  const at = PORTED.includes(packet[9]!) ? (end === "src" ? 0 : 2) : isQuery ? 4 : -1;
  const address = addressText(get32(packet, end === "src" ? 12 : 16));
  return `${address}:${at < 0 ? 0 : get16(packet, transport + at)}`;
}

/** A packet that makes a mapping: a datagram, a SYN or an echo request. */
export function opening(protocol: Protocol, src: string, dst: string): Uint8Array {
  return protocol === "udp" ? udp(src, dst) : protocol === "tcp" ? tcp(src, dst, "S") : echo(src, dst);
}

/** What a remote may try to send in: a datagram, a SYN or an echo reply. */
export function probe(protocol: Protocol, src: string, dst: string): Uint8Array {
  return protocol === "icmp" ? echoReply(src, dst) : opening(protocol, src, dst);
}

/** An ICMP error from `src` about a packet, to that packet's source; type 3 code 1 unless said otherwise. */
export function error(
  src: string,
  packet: Uint8Array,
  fields: Partial<Omit<Parameters<typeof errorAbout>[1], "src">> = {},
): Uint8Array {
  return errorAbout(packet, { src, dst: decode(packet).src, type: 3, code: 1, ...fields });
}
