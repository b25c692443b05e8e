// UDP datagrams as frames, for what the gateway answers itself.
import { IP_HEADER, ipv4Packet, onesSum, transportSum, UDP } from "../ipv4.js";
import { ETHER_IPV4, ETHERNET_HEADER, frameFor } from "./ethernet.js";

export const UDP_HEADER = 8;

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
    if (transportSum(ip, whole) !== 0xffff) return null;
  }
  return {
    source: ip.readUInt32BE(12),
    destination: ip.readUInt32BE(16),
    sourcePort: segment.readUInt16BE(0),
    destinationPort: segment.readUInt16BE(2),
    payload: whole.subarray(UDP_HEADER),
  };
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
  const frame = frameFor(to, from, ETHER_IPV4, packet.length);
  packet.copy(frame, ETHERNET_HEADER);
  return frame;
}
