// IPv4 and UDP as bytes, for what the gateway says itself.
import { onesSum } from "../checksum.js";
import { ETHER_IPV4, ETHERNET_HEADER, frameFor } from "./ethernet.js";

export const IP_HEADER = 20;
export const UDP_HEADER = 8;
export const ICMP = 1;
export const TCP = 6;
export const UDP = 17;

/** Computes an IPv4 header's checksum anew. */
export function sealHeader(header: Buffer): void {
  header.writeUInt16BE(0, 10);
  header.writeUInt16BE(~onesSum(header) & 0xffff, 10);
}

/** A datagram; addresses are numbers in host order. */
export interface Datagram {
  readonly source: number;
  readonly destination: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly payload: Buffer;
}

/** The whole and sound UDP datagram in a frame, or null. One whose checksum the sender left to the card is sound. */
export function readDatagram(frame: Buffer, isPartial = false): Datagram | null {
  const ip = frame.subarray(ETHERNET_HEADER);
  if (ip.length < IP_HEADER + UDP_HEADER || ip[0]! >> 4 !== 4 || ip[9] !== UDP) return null;
  const header = (ip[0]! & 15) * 4;
  const total = ip.readUInt16BE(2);
  const isFragment = (ip.readUInt16BE(6) & 0x3fff) !== 0;
  if (header < IP_HEADER || isFragment || total > ip.length || total < header + UDP_HEADER) return null;
  if (onesSum(ip.subarray(0, header)) !== 0xffff) return null;
  const segment = ip.subarray(header, total);
  const length = segment.readUInt16BE(4);
  if (length < UDP_HEADER || length > segment.length) return null;
  const whole = segment.subarray(0, length);
  if (!isPartial && segment.readUInt16BE(6) !== 0) {
    if (onesSum(whole, onesSum(ip.subarray(12, 20)) + UDP + length) !== 0xffff) return null;
  }
  return {
    source: ip.readUInt32BE(12),
    destination: ip.readUInt32BE(16),
    sourcePort: segment.readUInt16BE(0),
    destinationPort: segment.readUInt16BE(2),
    payload: whole.subarray(UDP_HEADER),
  };
}

/** A packet around a transport header and its data; addresses in host order. */
export function ipv4Packet(protocol: number, source: number, destination: number, body: Uint8Array): Buffer {
  const packet = Buffer.alloc(IP_HEADER + body.length);
  packet[0] = 0x45;
  packet.writeUInt16BE(packet.length, 2);
  packet[8] = 64;
  packet[9] = protocol;
  packet.writeUInt32BE(source, 12);
  packet.writeUInt32BE(destination, 16);
  sealHeader(packet.subarray(0, IP_HEADER));
  packet.set(body, IP_HEADER);
  return packet;
}

/** A datagram as a frame. */
export function datagramFrame(to: Uint8Array, from: Uint8Array, datagram: Datagram): Buffer {
  const { source, destination, sourcePort, destinationPort, payload } = datagram;
  const segment = Buffer.alloc(UDP_HEADER + payload.length);
  segment.writeUInt16BE(sourcePort, 0);
  segment.writeUInt16BE(destinationPort, 2);
  segment.writeUInt16BE(segment.length, 4);
  payload.copy(segment, UDP_HEADER);
  const packet = ipv4Packet(UDP, source, destination, segment);
  const sum = ~onesSum(segment, onesSum(packet.subarray(12, 20)) + UDP + segment.length) & 0xffff;
  packet.writeUInt16BE(sum === 0 ? 0xffff : sum, IP_HEADER + 6);
  const frame = frameFor(to, from, ETHER_IPV4, packet.length);
  packet.copy(frame, ETHERNET_HEADER);
  return frame;
}
