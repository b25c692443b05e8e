// PCP's messages (RFC 6887, section 7): a header of 24 bytes, what the opcode adds, and options.
import { formatIpv4, parseIpv4 } from "../config/cidr.js";

export const VERSION = 2;
export const HEADER_BYTES = 24;
export const MOST_BYTES = 1100;
export const RESPONSE_BIT = 0x80;

export const OPCODES = { announce: 0, map: 1, peer: 2 } as const;

/** Result codes (RFC 6887, section 7.4). */
export const RESULTS = {
  success: 0,
  unsupportedVersion: 1,
  notAuthorized: 2,
  malformedRequest: 3,
  unsupportedOpcode: 4,
  unsupportedOption: 5,
  malformedOption: 6,
  networkFailure: 7,
  noResources: 8,
  unsupportedProtocol: 9,
  userExceededQuota: 10,
  cannotProvideExternal: 11,
  addressMismatch: 12,
  excessiveRemotePeers: 13,
} as const;
export type Result = keyof typeof RESULTS;

/** Errors that may be over soon. */
const PASSING: readonly Result[] = [
  "networkFailure",
  "noResources",
  "userExceededQuota",
  "cannotProvideExternal",
];

/** For how many seconds a client need not ask again. */
export function errorLifetime(result: Result): number {
  return PASSING.includes(result) ? 30 : 1800;
}

/** A request that can't be granted. */
export class PcpError extends Error {
  constructor(readonly result: Result) {
    super(result);
    this.name = "PcpError";
  }
}

/** An IPv6 address of 16 bytes that stands for an IPv4 one; null for any other. */
export function readAddress(bytes: Buffer, at: number): string | null {
  const mapped = bytes.readUInt32BE(at + 8) === 0xffff && bytes.readBigUInt64BE(at) === 0n;
  return mapped ? formatIpv4(bytes.readUInt32BE(at + 12)) : null;
}

/** Writes ::ffff:address. */
export function writeAddress(bytes: Buffer, at: number, address: string): void {
  bytes.fill(0, at, at + 10);
  bytes.fill(0xff, at + 10, at + 12);
  bytes.writeUInt32BE(parseIpv4(address)!, at + 12);
}

export interface Option {
  readonly code: number;
  readonly data: Buffer;
}

/** Options from `at` on, in order; each is padded to 4 bytes. */
export function readOptions(message: Buffer, at: number): Option[] {
  const options: Option[] = [];
  while (at < message.length) {
    const length = message.readUInt16BE(at + 2);
    const end = at + 4 + length;
    if (end > message.length) throw new PcpError("malformedOption");
    options.push({ code: message[at]!, data: message.subarray(at + 4, end) });
    at = (end + 3) & ~3;
  }
  return options;
}

/** A response to a request: the same with another header. */
export function response(
  request: Buffer,
  result: Result,
  { lifetime, epoch }: { lifetime: number; epoch: number },
): Buffer {
  const size = Math.min(MOST_BYTES, Math.max(HEADER_BYTES, (request.length + 3) & ~3));
  const message = Buffer.alloc(size);
  request.copy(message);
  message[0] = VERSION;
  message[1] = request[1]! | RESPONSE_BIT;
  message[2] = 0;
  message[3] = RESULTS[result];
  message.writeUInt32BE(lifetime, 4);
  message.writeUInt32BE(epoch, 8);
  message.fill(0, 12, HEADER_BYTES);
  return message;
}
