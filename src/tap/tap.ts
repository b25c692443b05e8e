import { TimeUnit } from "../capture/section.js";
import { NatError } from "../errors.js";
import { packetFilter } from "./filter.js";
import { TapRing } from "./ring.js";
import type { TappedPacket } from "./tapped-packet.js";

/** What a tap shows. */
export interface TapOptions {
  /**
   * Which packets, in words that each have to fit; "not" before one turns it round: `inside`, `outside`, `dropped`,
   * `dropped:REASON`, a protocol (`tcp`), an address or prefix (`192.168.226.0/24`), an endpoint (`203.0.113.8:443`), a
   * port (`:443`). Addresses and ports may be the packet's own or those of its session. @default all
   */
  filter?: string;
  /** Most bytes of a packet that are copied. @default 262144 */
  snaplen?: number;
  /** Bytes that wait at most to be read; beyond them packets are lost, and counted. @default 4 MiB */
  capacity?: number;
  /**
   * What time it was at 0 of the caller's clock, in ms since 1970: 0 where calls say `now: Date.now()`. A gateway's
   * packets have the system's time.
   * @default right for the `Nat`'s default clock; with a `clock` of your own 0, which is right for `Date.now`
   */
  epoch?: number;
}

/** What opens and closes a tap for the engine: 0 when there are too many. */
export interface TapSource {
  open(memory: Uint8Array, wanted: number, snaplen: number): number;
  close(number: number): void;
}

const LEAST_CAPACITY = 1 << 20;
const MOST_CAPACITY = 1 << 30;
const MOST_SNAPLEN = 1 << 18;
/** Milliseconds between looks for packets while somebody waits for them. */
const LOOK_EVERY = 10;

/**
 * Packets as they came and as they left, one after the other, while a NAT translates.
 *
 * A slow reader holds nobody up: what it has no room for is lost, and counted. Ends by `break`, `close` or with the
 * `Nat`; it does not keep the process alive.
 */
export class Tap implements AsyncIterableIterator<TappedPacket> {
  /** @internal Where packets lie until they are read; who uses this does not iterate. */
  readonly ring: TapRing;
  readonly #fits: (ring: TapRing) => boolean;
  readonly #epoch: { seconds: number; nanos: number };
  #close: (() => void) | null;
  #lost = 0;
  #pausing: Promise<void> | null = null;
  #wake = () => {};

  /** @internal `nat.tap()` is the way to one. */
  constructor(
    source: TapSource,
    { filter = "", snaplen = MOST_SNAPLEN, capacity = 4 << 20, epoch = 0 }: TapOptions,
  ) {
    checkWhole("snaplen", snaplen, 1, MOST_SNAPLEN);
    checkWhole("capacity", capacity, 1, MOST_CAPACITY);
    if (typeof filter !== "string" || !Number.isFinite(epoch)) {
      throw new NatError("NAT_ERR_ARGUMENT", "tap: expected filter to be a string and epoch a number of ms");
    }
    const { wanted, fits } = packetFilter(filter);
    this.#fits = fits;
    const seconds = Math.floor(epoch / 1000);
    this.#epoch = { seconds, nanos: Math.round((epoch - seconds * 1000) * 1e6) };
    this.ring = new TapRing(2 ** Math.ceil(Math.log2(Math.max(capacity, LEAST_CAPACITY))));
    const number = source.open(this.ring.memory, wanted, snaplen);
    if (number === 0) {
      throw new NatError("NAT_ERR_ARGUMENT", "tap: this Nat has as many as it may have; close one");
    }
    this.#close = () => source.close(number);
  }

  /** Packets that were lost so far, for want of `capacity`. */
  get lost(): number {
    return this.ring.lost;
  }

  /** The next packet, once there is one. */
  async next(): Promise<IteratorResult<TappedPacket, undefined>> {
    const value = await this.take(() => this.#packet());
    return value === null ? { done: true, value: undefined } : { done: false, value };
  }

  /** Ends it; what waits is gone. */
  async return(): Promise<IteratorResult<TappedPacket, undefined>> {
    this.close();
    while (this.ring.next()); // nobody reads what is left
    return { done: true, value: undefined };
  }

  /** Itself, for `for await`. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Shows no more packets; those that wait can still be read. */
  close(): void {
    this.#close?.();
    this.#close = null;
    this.#wake();
  }

  /** `close`, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** @internal Goes on to the next record that is wanted; false where there is none now. */
  advance(): boolean {
    while (this.ring.next()) {
      this.#lost += this.ring.lostBefore;
      if (this.#fits(this.ring)) return true;
    }
    return false;
  }

  /** @internal The same, and waits for it; what `read` makes of it, or null when there is no more. */
  async take<T>(read: () => T): Promise<T | null> {
    for (;;) {
      const isClosed = this.#close === null;
      if (this.advance()) return read();
      if (isClosed) return null;
      await this.#pause();
    }
  }

  /** The record as an object of its own. */
  #packet(): TappedPacket {
    const { side, way, kind, verdict, session, linkType, length, tag } = this.ring;
    const { seconds, nanos } = this.time;
    const time = seconds * 1000 + nanos / 1e6;
    const packet = Uint8Array.from(this.ring.bytes); // of memory that is not shared
    const lost = this.takeLost();
    return { side, way, kind, verdict, session, packet, linkType, length, time, tag, lost };
  }

  /** Until it is time to look again, or the tap is closed. */
  #pause(): Promise<void> {
    this.#pausing ??= new Promise((resolve) => {
      this.#wake = () => {
        this.#pausing = null;
        resolve();
      };
      setTimeout(this.#wake, LOOK_EVERY).unref();
    });
    return this.#pausing;
  }

  /** @internal Packets lost before this record and since it was asked last. */
  takeLost(): number {
    const lost = this.#lost;
    this.#lost = 0;
    return lost;
  }

  /** @internal When the record's packet was there, since 1970. */
  get time(): { seconds: number; nanos: number } {
    const { ring } = this;
    const clock = TimeUnit.NANOSECONDS;
    clock.decode(ring.timeHigh, ring.timeLow);
    if (ring.isWallTime) return { seconds: clock.seconds, nanos: clock.nanos };
    const nanos = clock.nanos + this.#epoch.nanos;
    const carry = nanos >= 1e9 ? 1 : 0;
    return { seconds: clock.seconds + this.#epoch.seconds + carry, nanos: nanos - carry * 1e9 };
  }
}

function checkWhole(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new NatError(
    "NAT_ERR_ARGUMENT",
    `${name}: ${String(value)} is not a number of bytes from ${least} to ${most}`,
  );
}
