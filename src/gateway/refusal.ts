// What a gateway tells senders of packets that go no further here: to its own address, where nobody listens, and to
// neighbours that don't answer (RFC 1122, sections 3.2.2.1 and 4.2.3.6; RFC 1812, section 5.2.7.1).
import { isUnicast } from "../config/cidr.js";
import { ICMP, IP_HEADER, ipv4Packet, onesSum, sealHeader, TCP, UDP } from "../ipv4.js";
import { ETHER_IPV4, ETHERNET_HEADER, frameFor } from "./ethernet.js";

const UNREACHABLE = 3;
export const HOST_UNREACHABLE = 1;
const PROTOCOL_UNREACHABLE = 2;
const PORT_UNREACHABLE = 3;
const ICMP_HEADER = 8;
/** Bytes that an error has at most (RFC 1812, section 4.3.2.3). */
const MOST = 576;

const TCP_HEADER = 20;
const FIN = 1;
const SYN = 2;
const RST = 4;
const ACK = 16;

/** How many may be told at once, and how many more a millisecond (RFC 1812, section 4.3.2.8: errors are limited). */
const AT_ONCE = 100;
const PER_MILLISECOND = 0.1;

/** A limit on what is told. */
export class Allowance {
  #left = AT_ONCE;
  #at = 0;

  /** Whether one more may be told; times in ms. */
  take(now: number): boolean {
    this.#left = Math.min(AT_ONCE, this.#left + Math.max(0, now - this.#at) * PER_MILLISECOND);
    this.#at = now;
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}

/** The frame that refuses one to an own address where nobody listens; null where nothing is to be said. */
export function refuse(frame: Buffer, mac: Uint8Array): Buffer | null {
  const packet = wholePacket(frame);
  if (packet === null) return null;
  const protocol = packet[9]!;
  const own = packet.readUInt32BE(16);
  const answer =
    protocol === TCP
      ? reset(packet)
      : icmpError(packet, protocol === UDP ? PORT_UNREACHABLE : PROTOCOL_UNREACHABLE, own);
  if (answer === null) return null;
  const reply = frameFor(frame.subarray(6, 12), mac, ETHER_IPV4, answer.length);
  answer.copy(reply, ETHERNET_HEADER);
  return reply;
}

/** The packet that tells a packet's sender that its destination can't be reached; null where that is not to be told. */
export function icmpError(packet: Buffer, code: number, from: number): Buffer | null {
  const header = (packet[0]! & 15) * 4;
  const source = packet.readUInt32BE(12);
  // No error about an error; what is not known may be one.
  const isError = packet[9] === ICMP && ![0, 8, 13, 14].includes(packet[header] ?? UNREACHABLE);
  if (isError || !isUnicast(source) || (packet.readUInt16BE(6) & 0x1fff) !== 0) return null;
  const quoted = packet.subarray(0, MOST - IP_HEADER - ICMP_HEADER);
  const body = Buffer.concat([Buffer.from([UNREACHABLE, code, 0, 0, 0, 0, 0, 0]), quoted]);
  return ipv4Packet(ICMP, from, source, body);
}

/** The reset of a segment that no connection has (RFC 9293, section 3.10.7.1). */
function reset(packet: Buffer): Buffer | null {
  const header = (packet[0]! & 15) * 4;
  const segment = packet.subarray(header);
  if (segment.length < TCP_HEADER) return null;
  const flags = segment[13]!;
  if ((flags & RST) !== 0) return null;
  const body = Buffer.alloc(TCP_HEADER);
  segment.copy(body, 0, 2, 4);
  segment.copy(body, 2, 0, 2);
  body[12] = (TCP_HEADER / 4) << 4;
  if ((flags & ACK) !== 0) {
    segment.copy(body, 4, 8, 12);
    body[13] = RST;
  } else {
    const data = segment.length - (segment[12]! >> 4) * 4;
    const taken = Math.max(0, data) + ((flags & SYN) !== 0 ? 1 : 0) + ((flags & FIN) !== 0 ? 1 : 0);
    body.writeUInt32BE((segment.readUInt32BE(4) + taken) >>> 0, 8);
    body[13] = RST | ACK;
  }
  return ipv4Packet(TCP, packet.readUInt32BE(16), packet.readUInt32BE(12), body);
}

/** The sound and unfragmented IPv4 packet of a frame, sent to one station by another, or null. */
function wholePacket(frame: Buffer): Buffer | null {
  const ip = frame.subarray(ETHERNET_HEADER);
  if (ip.length < IP_HEADER || (frame[0]! & 1) !== 0) return null;
  const header = (ip[0]! & 15) * 4;
  // A super-packet has more than it says.
  const total = ip.readUInt16BE(2) || ip.length;
  if (header < IP_HEADER || total < header || total > ip.length) return null;
  if (onesSum(ip.subarray(0, header)) !== 0xffff || (ip.readUInt16BE(6) & 0x3fff) !== 0) return null;
  return isUnicast(ip.readUInt32BE(12)) ? ip.subarray(0, total) : null;
}

/** Gives a packet another source. */
export function withSource(packet: Buffer, source: number): Buffer {
  packet.writeUInt32BE(source, 12);
  sealHeader(packet.subarray(0, (packet[0]! & 15) * 4));
  return packet;
}
