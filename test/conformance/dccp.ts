// DCCP packets (RFC 4340 section 5, RFC 5596), built from fields; checksums computed from scratch.
import { get16, onesSum, put16, put32, raw } from "../support/packets.js";
import { portOf } from "./traffic.js";

const DCCP = 33;
export const TYPES = [
  "Request",
  "Response",
  "Data",
  "Ack",
  "DataAck",
  "CloseReq",
  "Close",
  "Reset",
  "Sync",
  "SyncAck",
  "Listen",
] as const;
export type DccpType = (typeof TYPES)[number];

/** What follows the generic header of 16 octets: an acknowledgement (8), a service or reset code (4). */
const WITH_ACK: readonly DccpType[] = [
  "Response",
  "Ack",
  "DataAck",
  "CloseReq",
  "Close",
  "Reset",
  "Sync",
  "SyncAck",
];
const WITH_CODE: readonly DccpType[] = ["Request", "Response", "Reset", "Listen"];

export interface DccpFields {
  payload?: string;
  /** 0: all is summed; n: the header and n-1 words of data. */
  coverage?: number;
  serviceCode?: number;
  id?: number;
}

export function dccp(type: DccpType, src: string, dst: string, fields: DccpFields = {}): Uint8Array {
  const { payload = "", coverage = 0, serviceCode = 0x66747020, id = 0 } = fields;
  const ack = WITH_ACK.includes(type) ? 8 : 0;
  const header = 16 + ack + (WITH_CODE.includes(type) ? 4 : 0);
  const segment = new Uint8Array(header + payload.length);
  put16(segment, 0, portOf(src));
  put16(segment, 2, portOf(dst));
  segment[4] = header / 4;
  segment[5] = coverage;
  segment[8] = (TYPES.indexOf(type) << 1) | 1; // long sequence numbers
  if (type !== "Listen") put32(segment, 12, 4711);
  if (ack > 0) put32(segment, 20, 815);
  if (header - ack === 20) put32(segment, 16 + ack, serviceCode);
  segment.set(Buffer.from(payload), header);
  const packet = raw({ src, dst, protocol: DCCP, payload: segment, id });
  put16(packet, 26, checksumOf(packet));
  return packet;
}

/** The checksum that a packet should have, by its coverage. */
export function checksumOf(packet: Uint8Array): number {
  const segment = packet.slice((packet[0]! & 15) * 4);
  put16(segment, 6, 0);
  const coverage = segment[5]! & 15;
  const covered = coverage === 0 ? segment.length : segment[4]! * 4 + (coverage - 1) * 4;
  const pseudo = onesSum(packet.subarray(12, 20), DCCP + segment.length);
  return onesSum(segment.subarray(0, covered), pseudo) ^ 0xffff;
}

/** The checksum that stands in it, its coverage, its service code. */
export function checksumIn(packet: Uint8Array): number {
  return get16(packet, 26);
}
