// The same work in plain JavaScript, to compare with: established flows only, found by open addressing in typed
// arrays, checksums by difference. What good JavaScript can do; no TCP states, filtering, fragments or expiry.
import { SLOT_BYTES, type Templates } from "./traffic.js";

const WORDS = 8;
const USED = 0x100;
const INBOUND = 0x200;

/** Rewrites packets of the flows that it was given, in both directions. */
export class JavaScriptNat {
  readonly #mask: number;
  /** Source, destination, ports, protocol and flags, new address, new port, last seen, packets. */
  readonly #table: Uint32Array;
  #now = 0;

  constructor({ out, in: inbound }: { out: Templates; in: Templates }) {
    let size = 16;
    while (size < out.flows * 4) size *= 2;
    this.#mask = size - 1;
    this.#table = new Uint32Array(size * WORDS);
    const outWords = new Uint32Array(out.bytes.buffer);
    const inWords = new Uint32Array(inbound.bytes.buffer);
    for (let flow = 0; flow < out.flows; flow++) {
      const at = flow * (SLOT_BYTES / 4);
      const protocol = out.bytes[flow * SLOT_BYTES + 9]!;
      const [inside = 0, remote = 0, ports = 0] = outWords.subarray(at + 3, at + 6);
      const [, own = 0, back = 0] = inWords.subarray(at + 3, at + 6);
      this.#enter(inside, remote, ports, protocol | USED, own, back >>> 16);
      this.#enter(remote, own, back, protocol | USED | INBOUND, inside, ports & 0xffff);
    }
  }

  #enter(source: number, destination: number, ports: number, flags: number, to: number, port: number): void {
    const slot = this.#slot(source, destination, ports, flags & 0xff);
    this.#table.set([source, destination, ports, flags, to, port], slot);
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
      const slot = this.#slot(words[w + 3]!, words[w + 4]!, words[w + 5]!, protocol);
      const flags = table[slot + 3]!;
      if (flags === 0) continue;
      const side = flags >>> 9;
      const before = words[w + 3 + side]!;
      const address = table[slot + 4]!;
      const port = table[slot + 5]!;
      const addresses =
        (~(before >>> 16) & 0xffff) + (~before & 0xffff) + (address >>> 16) + (address & 0xffff);
      const transport = h + (protocol === 6 ? 18 : 13);
      const ports = (~halves[h + 10 + side]! & 0xffff) + port;
      halves[transport] = adjusted(halves[transport]!, addresses + ports);
      halves[h + 5] = adjusted(halves[h + 5]!, addresses + 0xfffe);
      halves[h + 4] = timeAndProtocol - 1;
      words[w + 3 + side] = address;
      halves[h + 10 + side] = port;
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
      const flags = table[slot + 3]!;
      if (flags === 0) return slot;
      if (
        table[slot] === source &&
        table[slot + 1] === destination &&
        table[slot + 2] === ports &&
        (flags & 0xff) === protocol
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
