// The little of IPv4 that the demo needs for itself: building its capture, and reading what came out.
import { onesSum } from "../checksum.js";
import { formatIpv4, parseIpv4 } from "../config/cidr.js";

const IP_HEADER = 20;
export const ICMP = 1;
export const TCP = 6;
export const UDP = 17;

const viewOf = (packet: Uint8Array) => new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
const checksumAt = (protocol: number) => IP_HEADER + (protocol === TCP ? 16 : protocol === UDP ? 6 : 2);

/** The sum of a transport segment and of its pseudo-header, which ICMP has none of. */
function transportSum(packet: Uint8Array): number {
  const segment = packet.subarray(IP_HEADER);
  const protocol = packet[9]!;
  const pseudo = protocol === ICMP ? 0 : onesSum(packet.subarray(12, 20), protocol + segment.length);
  return onesSum(segment, pseudo);
}

/** Computes both checksums of a packet anew. */
export function seal(packet: Uint8Array): Uint8Array {
  const view = viewOf(packet);
  view.setUint16(10, 0);
  view.setUint16(10, ~onesSum(packet.subarray(0, IP_HEADER)));
  const at = checksumAt(view.getUint8(9));
  view.setUint16(at, 0);
  view.setUint16(at, ~transportSum(packet) & 0xffff || 0xffff);
  return packet;
}

/** Whether both checksums of a packet are what a full computation gives. */
export function isSound(packet: Uint8Array): boolean {
  return onesSum(packet.subarray(0, IP_HEADER)) === 0xffff && transportSum(packet) === 0xffff;
}

/** Builds a packet around a transport header and payload. */
export function ipv4(
  protocol: number,
  source: string,
  destination: string,
  ttl: number,
  id: number,
  body: Uint8Array,
): Uint8Array {
  const packet = new Uint8Array(IP_HEADER + body.length);
  const view = viewOf(packet);
  packet.set([0x45, 0]);
  view.setUint16(2, packet.length);
  view.setUint16(4, id);
  view.setUint16(6, 0x4000);
  packet.set([ttl, protocol], 8);
  view.setUint32(12, parseIpv4(source)!);
  view.setUint32(16, parseIpv4(destination)!);
  packet.set(body, IP_HEADER);
  return seal(packet);
}

/** What the demo shows of a packet. */
export interface Fields {
  readonly protocol: number;
  readonly source: string;
  readonly destination: string;
  readonly ttl: number;
  readonly headerChecksum: number;
  readonly checksum: number;
  /** Ports; of ICMP both are the identifier. */
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** From the transport header on. */
  readonly body: DataView;
}

export function fieldsOf(packet: Uint8Array): Fields {
  const view = viewOf(packet);
  const protocol = view.getUint8(9);
  const icmp = protocol === ICMP;
  return {
    protocol,
    source: formatIpv4(view.getUint32(12)),
    destination: formatIpv4(view.getUint32(16)),
    ttl: view.getUint8(8),
    headerChecksum: view.getUint16(10),
    checksum: view.getUint16(checksumAt(protocol)),
    sourcePort: view.getUint16(IP_HEADER + (icmp ? 4 : 0)),
    destinationPort: view.getUint16(IP_HEADER + (icmp ? 4 : 2)),
    body: new DataView(packet.buffer, packet.byteOffset + IP_HEADER, packet.byteLength - IP_HEADER),
  };
}

/**
 * An answer as its sender would have addressed it, who knows the asker only from what arrived: the answer of the
 * capture, sent to the source of the translated question.
 */
export function addressedTo(answer: Uint8Array, asked: Uint8Array): Uint8Array {
  const packet = answer.slice();
  const view = viewOf(packet);
  const { protocol, sourcePort } = fieldsOf(asked);
  packet.set(asked.subarray(12, 16), 16);
  view.setUint16(IP_HEADER + (protocol === ICMP ? 4 : 2), sourcePort);
  view.setUint8(8, answer[8]! + 1); // the NAT is a hop of its own
  return seal(packet);
}
