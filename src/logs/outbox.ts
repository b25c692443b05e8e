// What stands between a log and where it goes: a queue with a bound, and somebody who opens the link again when it
// broke. Whatever the other end does, nobody waits here; what there is no room for is lost and counted.
import type { Link, OpenLink } from "./link.js";

/** Bytes with some events in them, which arrive all or not at all. */
export interface Chunk {
  readonly bytes: Uint8Array;
  readonly events: number;
}

export interface OutboxOptions {
  /** What is told as text: that it is unreachable, back, or loses events; the same not more than once a minute. */
  readonly warn: (text: string) => void;
  /** Called when the link is open (again); what it gives goes first. */
  readonly opened?: () => Chunk | null;
  /** Called just before a chunk goes. */
  readonly stamp?: (chunk: Chunk) => void;
  /** Bytes that may wait. */
  readonly room?: number;
}

const ROOM = 32 << 20;
/** Bytes, and chunks, that the link may have at a time. */
const AT_ONCE = 4 << 20;
const CHUNKS_AT_ONCE = 1024;
/** Milliseconds until a broken link is opened again, the first time and at most. */
const SOON = 100;
const LATEST = 30_000;
/** Milliseconds from one warning of losses to the next. */
const WARN_EVERY = 60_000;

export class Outbox {
  readonly #open: OpenLink;
  readonly #options: OutboxOptions;
  #link: Link | null = null;
  /** Those of an earlier link don't speak for this one. */
  #turn = 0;
  /** What waits, from `#first` on. */
  #queue: Chunk[] = [];
  #first = 0;
  #queuedBytes = 0;
  readonly #sent = new Set<Chunk>();
  #sentBytes = 0;
  #pause = SOON;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  #isDown = false;
  #warnedAt = Number.NEGATIVE_INFINITY;
  #toldLost = 0;
  #emptied: (() => void) | null = null;
  /** Events that the system has taken. */
  exported = 0;
  /** Events that there was no room for, or that the system did not take. */
  lost = 0;

  constructor(open: OpenLink, options: OutboxOptions) {
    this.#open = open;
    this.#options = options;
    void this.#connect();
  }

  /** Takes a chunk along; never waits, never throws. */
  put(chunk: Chunk): void {
    if (this.#isClosed) {
      this.lost += chunk.events;
      return;
    }
    if (this.#queuedBytes + chunk.bytes.length > (this.#options.room ?? ROOM)) {
      this.#lose(chunk, "there is no more room for what waits");
      return;
    }
    this.#queue.push(chunk);
    this.#queuedBytes += chunk.bytes.length;
    this.#pump();
  }

  /** Closes the link once it has what it was given, and opens it anew. */
  reopen(): void {
    const before = this.#link;
    if (before === null) return;
    this.#link = null;
    before.close();
    void this.#connect();
  }

  /** Waits until all has gone, for so many ms at most, and closes the link; what is left is lost. */
  async close(within: number): Promise<void> {
    this.#isClosed = true;
    if (!this.#isEmpty) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, within);
        this.#emptied = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    clearTimeout(this.#timer);
    this.#turn++;
    this.#link?.close();
    this.#link = null;
    for (const chunk of [...this.#sent, ...this.#queue.slice(this.#first)]) this.lost += chunk.events;
    this.#sent.clear();
    this.#queue = [];
  }

  get #isEmpty(): boolean {
    return this.#sent.size === 0 && this.#first === this.#queue.length;
  }

  async #connect(): Promise<void> {
    const turn = ++this.#turn;
    let link: Link;
    try {
      link = await this.#open((error) => turn === this.#turn && this.#broke(error));
    } catch (error) {
      if (turn === this.#turn) this.#broke(error as Error);
      return;
    }
    if (turn !== this.#turn) return link.close();
    this.#link = link;
    this.#pause = SOON;
    if (this.#isDown) {
      this.#isDown = false;
      this.#tell("it is back");
    }
    const greeting = this.#options.opened?.() ?? null;
    if (greeting !== null) this.#send(link, greeting);
    this.#pump();
  }

  #broke({ message }: Error): void {
    this.#link = null;
    this.#turn++;
    // Whole chunks again: of one that went by half the other end makes nothing.
    const again = [...this.#sent].filter(({ events }) => events > 0);
    this.#queue = [...again, ...this.#queue.slice(this.#first)];
    this.#first = 0;
    this.#queuedBytes = this.#queue.reduce((sum, { bytes }) => sum + bytes.length, 0);
    this.#sent.clear();
    this.#sentBytes = 0;
    if (!this.#isDown) this.#tell(`${message}; trying again`);
    this.#isDown = true;
    this.#timer = setTimeout(() => void this.#connect(), this.#pause).unref();
    this.#pause = Math.min(2 * this.#pause, LATEST);
  }

  #pump(): void {
    while (
      this.#link !== null &&
      this.#first < this.#queue.length &&
      this.#sentBytes < AT_ONCE &&
      this.#sent.size < CHUNKS_AT_ONCE
    ) {
      const chunk = this.#queue[this.#first++]!;
      this.#queuedBytes -= chunk.bytes.length;
      // Shifting one by one would take the square of their number.
      if (this.#first === this.#queue.length || this.#first === 4096) {
        this.#queue.splice(0, this.#first);
        this.#first = 0;
      }
      this.#send(this.#link, chunk);
    }
  }

  #send(link: Link, chunk: Chunk): void {
    this.#options.stamp?.(chunk);
    this.#sent.add(chunk);
    this.#sentBytes += chunk.bytes.length;
    link.send(chunk.bytes, (error) => {
      if (!this.#sent.delete(chunk)) return; // it was put back, or is lost
      this.#sentBytes -= chunk.bytes.length;
      if (error === null) this.exported += chunk.events;
      else this.#lose(chunk, error.message);
      if (this.#isEmpty) this.#emptied?.();
      else this.#pump();
    });
  }

  #lose({ events }: Chunk, why: string): void {
    this.lost += events;
    const now = performance.now();
    if (now - this.#warnedAt < WARN_EVERY) return;
    this.#warnedAt = now;
    this.#tell(why);
  }

  #tell(text: string): void {
    const lost = this.lost - this.#toldLost;
    this.#toldLost = this.lost;
    this.#options.warn(lost === 0 ? text : `${text}; lost: ${lost}`);
  }
}
