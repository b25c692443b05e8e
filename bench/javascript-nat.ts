// The same work in plain JavaScript, to compare with: established flows only, found by open addressing in typed
// arrays, checksums by difference. What good JavaScript can do; no TCP states, filtering, fragments or expiry.
import { SLOT_BYTES, type Templates } from "./workload.js";

const WORDS = 8;

/** Rewrites outbound packets of the flows that it was given. */
export class JavaScriptNat {
  readonly #mask: number;
  /** Source, destination, ports, protocol | used, public address, public port, last seen, packets. */
  readonly #table: Uint32Array;
  #now = 0;

  constructor({ flows, bytes }: Templates) {
    let size = 16;
    while (size < flows * 2) size *= 2;
    this.#mask = size - 1;
    this.#table = new Uint32Array(size * WORDS);
    const view = new DataView(bytes.buffer);
    for (let flow = 0; flow < flows; flow++) {
      const at = flow * SLOT_BYTES;
      const slot = this.#slot(
        view.getUint32(at + 12),
        view.getUint32(at + 16),
        view.getUint32(at + 20),
        bytes[at + 9]!,
      );
      this.#table.set(
        [
          view.getUint32(at + 12),
          view.getUint32(at + 16),
          view.getUint32(at + 20),
          bytes[at + 9]! | 0x100,
          (0xcb007100 + (flow & 0xff)) >>> 0,
          1024 + (flow % 64_000),
        ],
        slot,
      );
    }
  }

  /** Translates `count` packets that lie a slot apart; returns how many it knew. */
  translate(packets: Uint8Array, count: number): number {
    const table = this.#table;
    this.#now++;
    let known = 0;
    for (let i = 0; i < count; i++) {
      const p = i * SLOT_BYTES;
      if (
        packets[p] !== 0x45 ||
        (packets[p + 6]! & 0x3f) !== 0 ||
        packets[p + 7] !== 0 ||
        packets[p + 8]! < 2
      )
        continue;
      let sum = 0;
      for (let at = p; at < p + 20; at += 2) sum += (packets[at]! << 8) | packets[at + 1]!;
      sum = (sum & 0xffff) + (sum >>> 16);
      if ((sum & 0xffff) + (sum >>> 16) !== 0xffff) continue;
      const source = word(packets, p + 12);
      const slot = this.#slot(source, word(packets, p + 16), word(packets, p + 20), packets[p + 9]!);
      if (table[slot + 3] === 0) continue;
      const address = table[slot + 4]!;
      const port = table[slot + 5]!;
      const sourcePort = (packets[p + 20]! << 8) | packets[p + 21]!;
      const addresses =
        (~(source >>> 16) & 0xffff) + (~source & 0xffff) + (address >>> 16) + (address & 0xffff);
      const transport = p + (packets[p + 9] === 6 ? 36 : 26);
      adjust(packets, transport, addresses + (~sourcePort & 0xffff) + port);
      adjust(packets, p + 10, addresses + 0xfeff);
      packets[p + 8]!--;
      packets[p + 12] = address >>> 24;
      packets[p + 13] = address >>> 16;
      packets[p + 14] = address >>> 8;
      packets[p + 15] = address;
      packets[p + 20] = port >>> 8;
      packets[p + 21] = port;
      table[slot + 6] = this.#now;
      table[slot + 7]!++;
      known++;
    }
    return known;
  }

  /** Where a flow is, or belongs. */
  #slot(source: number, destination: number, ports: number, protocol: number): number {
    const table = this.#table;
    let hash = Math.imul(source ^ 0x9e3779b1, 0x85ebca6b) ^ Math.imul(destination ^ ports, 0xc2b2ae35);
    hash = Math.imul(hash ^ (hash >>> 15) ^ ports, 0x27d4eb2f) ^ protocol;
    hash ^= hash >>> 13;
    for (let at = hash & this.#mask; ; at = (at + 1) & this.#mask) {
      const slot = at * WORDS;
      if (table[slot + 3] === 0) return slot;
      if (
        table[slot] === source &&
        table[slot + 1] === destination &&
        table[slot + 2] === ports &&
        table[slot + 3] === (protocol | 0x100)
      ) {
        return slot;
      }
    }
  }
}

function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** RFC 1624, equation 3. */
function adjust(bytes: Uint8Array, at: number, delta: number): void {
  let sum = (~((bytes[at]! << 8) | bytes[at + 1]!) & 0xffff) + delta;
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  bytes[at] = ~sum >>> 8;
  bytes[at + 1] = ~sum;
}
