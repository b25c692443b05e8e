// IPv4 as bytes, for what is not the engine's: packets that the gateway says itself, that a question names, that the
// demo shows. Nothing here is on the path of a packet that is translated.
import { PROTOCOLS } from "./config/protocols.js";

export const { icmp: ICMP, tcp: TCP, udp: UDP } = PROTOCOLS;
export const IP_HEADER = 20;
export const DONT_FRAGMENT = 0x4000;

/** Where the checksum of a protocol is in its header. */
const CHECKSUM_AT: Readonly<Record<number, number>> = { [ICMP]: 2, [TCP]: 16, [UDP]: 6 };

/** The one's complement sum of 16-bit words (RFC 1071), over `start`; an odd last byte is a word's first. */
export function onesSum(bytes: Uint8Array, start = 0): number {
  let total = start;
  for (let i = 0; i < bytes.length; i += 2) total += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}

/** The sum of an ICMP, TCP or UDP segment with the pseudo-header, which ICMP has none of: 0xffff where it is right. */
export function transportSum(header: Uint8Array, segment: Uint8Array): number {
  const protocol = header[9]!;
  const pseudo = protocol === ICMP ? 0 : onesSum(header.subarray(12, 20), protocol + segment.length);
  return onesSum(segment, pseudo);
}

/** Computes an IPv4 header's checksum anew. */
export function sealHeader(header: Uint8Array): void {
  put(header, 10, 0);
  put(header, 10, ~onesSum(header));
}

/** Computes the checksums of a packet anew whose header has no options: its own, and that of ICMP, TCP or UDP. */
export function seal<Packet extends Uint8Array>(packet: Packet): Packet {
  sealHeader(packet.subarray(0, IP_HEADER));
  const segment = packet.subarray(IP_HEADER);
  const protocol = packet[9]!;
  const at = CHECKSUM_AT[protocol];
  if (at === undefined) return packet;
  put(segment, at, 0);
  const sum = ~transportSum(packet, segment) & 0xffff;
  // For UDP 0 would say that there is none (RFC 768).
  put(segment, at, sum === 0 && protocol === UDP ? 0xffff : sum);
  return packet;
}

/** What a packet's header may say besides. */
export interface HeaderFields {
  /** @default 64 */
  readonly ttl?: number;
  /** @default 0 */
  readonly id?: number;
  /** Flags and fragment offset. @default 0 */
  readonly fragment?: number;
}

/** A packet around a transport header and its data, sealed; addresses in host order. */
export function ipv4Packet(
  protocol: number,
  source: number,
  destination: number,
  body: Uint8Array,
  { ttl = 64, id = 0, fragment = 0 }: HeaderFields = {},
): Buffer {
  const packet = Buffer.alloc(IP_HEADER + body.length);
  packet[0] = 0x45;
  packet.writeUInt16BE(packet.length, 2);
  packet.writeUInt16BE(id, 4);
  packet.writeUInt16BE(fragment, 6);
  packet[8] = ttl;
  packet[9] = protocol;
  packet.writeUInt32BE(source, 12);
  packet.writeUInt32BE(destination, 16);
  packet.set(body, IP_HEADER);
  return seal(packet);
}

function put(bytes: Uint8Array, at: number, word: number): void {
  bytes[at] = word >>> 8;
  bytes[at + 1] = word;
}
