// Who is on a network: hardware addresses by ARP, with the states of RFC 4861, section 7.3, as far as ARP has them.
import { type ArpEnd, type ArpPacket, arpRequest } from "./arp.js";
import { formatMac, isStation } from "./ethernet.js";

/** Milliseconds between requests, and how many go unanswered before nobody is there. */
const RETRY = 1000;
const TRIES = 3;
/** Milliseconds that an answer is believed, and that it is kept while it is asked for again. */
const REACHABLE = 30_000;
/** Frames that wait for one neighbour (RFC 1122, 2.3.2.2: at least one), and neighbours that are asked for at once. */
const MOST_WAITING = 16;
const MOST_ASKED = 1024;
/** Neighbours that are known at once. */
const MOST_KNOWN = 16_384;

/** A frame that waits for its neighbour's hardware address. */
export interface WaitingFrame {
  readonly frame: Buffer;
  readonly offload: Uint8Array;
}

interface Known {
  mac: Uint8Array;
  /** When it was last heard of. */
  confirmed: number;
  tries: number;
  asked: number;
}

interface Asked {
  readonly waiting: WaitingFrame[];
  tries: number;
  asked: number;
}

/** What a table of neighbours does to its network. */
export interface NeighbourEffects {
  send(frame: Buffer, offload?: Uint8Array): void;
  known(address: number, mac: Uint8Array): void;
  forgotten(address: number): void;
  /** Nobody answers for an address: its frames are lost. */
  unreachable(address: number, frames: readonly WaitingFrame[]): void;
}

/** The neighbours on one network. Addresses are numbers in host order, times in ms. */
export class Neighbours {
  readonly #known = new Map<number, Known>();
  readonly #asked = new Map<number, Asked>();
  readonly #own: ArpEnd;
  readonly #effects: NeighbourEffects;

  constructor(own: ArpEnd, effects: NeighbourEffects) {
    this.#own = own;
    this.#effects = effects;
  }

  get size(): number {
    return this.#known.size;
  }

  /** Whether somebody other than `mac` is known at an address. */
  isOthers(address: number, mac: string): boolean {
    const known = this.#known.get(address);
    return known !== undefined && formatMac(known.mac) !== mac;
  }

  /** Holds a frame until its next hop is known, and asks for it. */
  resolve(address: number, frame: WaitingFrame, now: number): void {
    const known = this.#known.get(address);
    if (known !== undefined) {
      // It was answered while this one was on its way here.
      this.#deliver(frame, known.mac);
      return;
    }
    let entry = this.#asked.get(address);
    if (entry === undefined) {
      if (this.#asked.size >= MOST_ASKED) return;
      entry = { waiting: [], tries: 1, asked: now };
      this.#asked.set(address, entry);
      this.#effects.send(arpRequest(this.#own, address));
    }
    // The newest are worth most.
    if (entry.waiting.length >= MOST_WAITING) entry.waiting.shift();
    entry.waiting.push(frame);
  }

  /**
   * Takes over what an ARP packet tells of its sender (RFC 826: who asks for us is learnt, who is known is updated).
   * What nobody asked for makes no new entry, so a flood of lies can't fill the table.
   */
  hear({ kind, sender, target }: ArpPacket, now: number): void {
    const { address, mac } = sender;
    if (address === 0 || address === this.#own.address || !isStation(mac)) return;
    const asked = this.#asked.get(address);
    const known = this.#known.get(address);
    const forUs = kind === "request" && target.address === this.#own.address;
    if (known === undefined && asked === undefined && !forUs) return;
    if (known === undefined && this.#known.size >= MOST_KNOWN && !this.#forgetOldest(now)) return;
    // Whose address somebody else claims is asked, and keeps it as long as he answers: a claim alone takes nothing.
    if (known !== undefined && Buffer.compare(known.mac, mac) !== 0) {
      if (known.tries === 0) {
        known.confirmed = now - REACHABLE;
        this.#probe(address, known, now);
      }
      return;
    }
    this.#known.set(address, { mac, confirmed: now, tries: 0, asked: now });
    this.#effects.known(address, mac);
    if (asked === undefined) return;
    this.#asked.delete(address);
    for (const frame of asked.waiting) this.#deliver(frame, mac);
  }

  /** Asks again, and forgets who does not answer; to be called about once a second. */
  tick(now: number): void {
    for (const [address, asked] of this.#asked) {
      if (now - asked.asked < RETRY) continue;
      if (asked.tries >= TRIES) {
        this.#asked.delete(address);
        this.#effects.unreachable(address, asked.waiting);
        continue;
      }
      asked.tries++;
      asked.asked = now;
      this.#effects.send(arpRequest(this.#own, address));
    }
    for (const [address, known] of this.#known) {
      if (now - known.confirmed < REACHABLE) continue;
      if (known.tries === 0 || now - known.asked >= RETRY) {
        if (known.tries >= TRIES) {
          this.#forget(address);
        } else {
          this.#probe(address, known, now);
        }
      }
    }
  }

  #deliver({ frame, offload }: WaitingFrame, mac: Uint8Array): void {
    frame.set(mac, 0);
    frame.set(this.#own.mac, 6);
    this.#effects.send(frame, offload);
  }

  /** Asks one who is known whether he still is. */
  #probe(address: number, known: Known, now: number): void {
    known.tries++;
    known.asked = now;
    this.#effects.send(arpRequest(this.#own, address, known.mac));
  }

  #forget(address: number): void {
    this.#known.delete(address);
    this.#effects.forgotten(address);
  }

  #forgetOldest(now: number): boolean {
    for (const [address, { confirmed }] of this.#known) {
      if (now - confirmed < REACHABLE) continue;
      this.#forget(address);
      return true;
    }
    return false;
  }
}
