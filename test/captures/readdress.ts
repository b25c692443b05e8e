// Writes other endpoints into a packet and carries its checksums over by difference (RFC 1624, equation 3), so
// that a wrong checksum is as wrong as before. The tests' own arithmetic: it judges the engine's.
import { get16, get32, put16, put32 } from "../support/packets.js";
import { type Ip, UDP } from "./frame.js";

/** What to write; what is left out stays. For an ICMP query `sourcePort` and `destinationPort` mean the identifier. */
export interface Rewrite {
  readonly source?: number;
  readonly destination?: number;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  readonly id?: number;
  readonly ttl?: number;
}

/** Rewrites the packet at `ip` in place, and the packet that it quotes if `quote` says so. */
export function readdress(frame: Uint8Array, ip: Ip, to: Rewrite, quoted?: Ip, quote: Rewrite = {}): void {
  if (quoted !== undefined) {
    const before = frame.slice(ip.payload, ip.end);
    rewrite(frame, quoted, quote);
    if (ip.checksumAt !== -1) {
      let sum = ~get16(frame, ip.checksumAt) & 0xffff;
      for (let i = 4; i + 1 < before.length; i += 2) {
        sum += (~get16(before, i) & 0xffff) + get16(frame, ip.payload + i);
      }
      put16(frame, ip.checksumAt, ~folded(sum) & 0xffff);
    }
  }
  rewrite(frame, ip, to);
}

function rewrite(frame: Uint8Array, ip: Ip, to: Rewrite): void {
  const addresses = new Difference();
  if (to.source !== undefined) addresses.word32(frame, ip.at + 12, to.source);
  if (to.destination !== undefined) addresses.word32(frame, ip.at + 16, to.destination);
  const header = addresses.copy();
  if (to.id !== undefined) header.word16(frame, ip.at + 4, to.id);
  if (to.ttl !== undefined) header.word16(frame, ip.at + 8, to.ttl * 256 + frame[ip.at + 9]!);
  put16(frame, ip.at + 10, header.applied(get16(frame, ip.at + 10)));

  if (ip.kind === "query") {
    const identifier = to.sourcePort ?? to.destinationPort;
    if (identifier === undefined) return;
    const change = new Difference();
    change.word16(frame, ip.payload + 4, identifier);
    const checksum = change.applied(get16(frame, ip.checksumAt));
    put16(frame, ip.checksumAt, 0);
    // Nothing but zeros: 0xffff is the checksum (no pseudo-header makes the sum differ from zero).
    const allZero = frame.subarray(ip.payload, ip.end).every((byte) => byte === 0);
    put16(frame, ip.checksumAt, checksum === 0 && allZero ? 0xffff : checksum);
  } else if (ip.kind === "ports") {
    const change = addresses;
    if (to.sourcePort !== undefined) change.word16(frame, ip.payload, to.sourcePort);
    if (to.destinationPort !== undefined) change.word16(frame, ip.payload + 2, to.destinationPort);
    if (ip.checksumAt === -1) return;
    const before = get16(frame, ip.checksumAt);
    const after = change.applied(before);
    if (ip.protocol === UDP) put16(frame, ip.checksumAt, before === 0 ? 0 : after || 0xffff);
    else put16(frame, ip.checksumAt, after);
  }
}

/** Sums up what words of a checksummed range change by. */
class Difference {
  #sum = 0;

  copy(): Difference {
    const copy = new Difference();
    copy.#sum = this.#sum;
    return copy;
  }

  word16(frame: Uint8Array, at: number, value: number): void {
    this.#sum += (~get16(frame, at) & 0xffff) + value;
    put16(frame, at, value);
  }

  word32(frame: Uint8Array, at: number, value: number): void {
    const before = get32(frame, at);
    this.#sum += (~(before >>> 16) & 0xffff) + (value >>> 16) + (~before & 0xffff) + (value & 0xffff);
    put32(frame, at, value);
  }

  applied(checksum: number): number {
    return ~folded((~checksum & 0xffff) + this.#sum) & 0xffff;
  }
}

function folded(sum: number): number {
  let rest = sum;
  while (rest > 0xffff) rest = (rest % 0x10000) + Math.floor(rest / 0x10000);
  return rest;
}
