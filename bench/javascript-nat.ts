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
    const table = this.#table;
    const words = new Uint32Array(bytes.buffer);
    for (let flow = 0; flow < flows; flow++) {
      const [, , , source = 0, destination = 0, ports = 0] = words.subarray(flow * (SLOT_BYTES / 4));
      const protocol = bytes[flow * SLOT_BYTES + 9]!;
      const slot = this.#slot(source, destination, ports, protocol);
      const address = (0x007100cb | ((flow & 0xff) << 24)) >>> 0;
      table.set([source, destination, ports, protocol | 0x100, address, 1024 + (flow % 64_000)], slot);
    }
  }

  /** Translates `count` packets that lie a slot apart; returns how many it knew. */
  translate(packets: Uint8Array, count: number): number {
    const table = this.#table;
    // Words as they lie: one's complement sums don't mind byte order.
    const halves = new Uint16Array(packets.buffer, packets.byteOffset, (count * SLOT_BYTES) / 2);
    const words = new Uint32Array(packets.buffer, packets.byteOffset, (count * SLOT_BYTES) / 4);
    this.#now++;
    let known = 0;
    for (let i = 0; i < count; i++) {
      const h = i * (SLOT_BYTES / 2);
      const w = i * (SLOT_BYTES / 4);
      const timeAndProtocol = halves[h + 4]!;
      if ((halves[h]! & 0xff) !== 0x45 || (halves[h + 3]! & 0xff3f) !== 0 || (timeAndProtocol & 0xff) < 2)
        continue;
      let sum = halves[h]! + halves[h + 1]! + halves[h + 2]! + halves[h + 3]! + timeAndProtocol;
      sum += halves[h + 5]! + halves[h + 6]! + halves[h + 7]! + halves[h + 8]! + halves[h + 9]!;
      sum = (sum & 0xffff) + (sum >>> 16);
      if ((sum & 0xffff) + (sum >>> 16) !== 0xffff) continue;
      const protocol = timeAndProtocol >>> 8;
      const source = words[w + 3]!;
      const slot = this.#slot(source, words[w + 4]!, words[w + 5]!, protocol);
      if (table[slot + 3] === 0) continue;
      const address = table[slot + 4]!;
      const port = table[slot + 5]!;
      const addresses =
        (~(source >>> 16) & 0xffff) + (~source & 0xffff) + (address >>> 16) + (address & 0xffff);
      const transport = h + (protocol === 6 ? 18 : 13);
      halves[transport] = adjusted(halves[transport]!, addresses + (~halves[h + 10]! & 0xffff) + port);
      halves[h + 5] = adjusted(halves[h + 5]!, addresses + 0xfffe);
      halves[h + 4] = timeAndProtocol - 1;
      words[w + 3] = address;
      halves[h + 10] = port;
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

/** RFC 1624, equation 3. */
function adjusted(checksum: number, delta: number): number {
  let sum = (~checksum & 0xffff) + delta;
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
