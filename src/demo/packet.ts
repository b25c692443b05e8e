// What the demo does with packets of its own: builds those of its capture, and reads what came out.
import { formatIpv4, parseIpv4 } from "../config/cidr.js";
import {
  DONT_FRAGMENT,
  ICMP,
  IP_HEADER,
  ipv4Packet,
  onesSum,
  seal,
  TCP,
  transportSum,
  UDP,
} from "../ipv4.js";

const viewOf = (packet: Uint8Array) => new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
const checksumAt = (protocol: number) => IP_HEADER + (protocol === TCP ? 16 : protocol === UDP ? 6 : 2);

/** Whether both checksums of a packet are what a full computation gives. */
export function isSound(packet: Uint8Array): boolean {
  const isRight = onesSum(packet.subarray(0, IP_HEADER)) === 0xffff;
  return isRight && transportSum(packet, packet.subarray(IP_HEADER)) === 0xffff;
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
  const header = { ttl, id, fragment: DONT_FRAGMENT };
  return ipv4Packet(protocol, parseIpv4(source)!, parseIpv4(destination)!, body, header);
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
