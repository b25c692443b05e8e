import { NatError } from "../errors.js";
import type { NatEvent, NatEventType } from "./event.js";
import { NAT_EVENTS } from "./event.js";
import { maskOf } from "./rows.js";

/** What a reader wants to hear of. */
export interface EventOptions {
  /** @default all */
  types?: Iterable<NatEventType>;
  /** Picks events; what it throws ends the stream, and is thrown by `next` and `take`. */
  filter?: (event: NatEvent) => boolean;
  /** Events that wait for the reader, at most; what goes beyond is lost and counted. @default 16384 */
  capacity?: number;
}

const MOST_CAPACITY = 1 << 20;

interface Waiting {
  resolve(result: IteratorResult<NatEvent, undefined>): void;
  reject(error: unknown): void;
}

/**
 * Events for one reader, with a bounded queue of its own. Ends by `break`, `return()`, or with its `Nat`. Waiting for an
 * event does not keep the process alive.
 */
export class EventStream implements AsyncIterableIterator<NatEvent> {
  /** @internal */
  readonly mask: number;
  readonly #filter: (event: NatEvent) => boolean;
  readonly #capacity: number;
  readonly #pull: () => void;
  readonly #leave: () => void;
  readonly #waiting: Waiting[] = [];
  #queue: NatEvent[] = [];
  #taken = 0; // of the queue
  #lost = 0;
  #isOver = false;
  #failure: { error: unknown } | null = null;

  /** @internal `conntrack.events` is the way to one. @throws NatError NAT_ERR_ARGUMENT */
  constructor(options: EventOptions, pull: () => void, leave: (stream: EventStream) => void) {
    const { types = NAT_EVENTS, filter = () => true, capacity = 16_384 } = options;
    this.mask = maskOf(checkTypes(types));
    if (typeof filter !== "function") {
      throw new NatError("NAT_ERR_ARGUMENT", "filter: expected a function that takes an event");
    }
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > MOST_CAPACITY) {
      const right = `a whole number from 1 to ${MOST_CAPACITY}`;
      throw new NatError("NAT_ERR_ARGUMENT", `capacity: ${String(capacity)} is not ${right}`);
    }
    this.#filter = filter;
    this.#capacity = capacity;
    this.#pull = pull;
    this.#leave = () => leave(this);
  }

  /** Events that were lost since it began: it was full, or (then of any type) nobody took them from the engine. */
  get lost(): number {
    return this.#lost;
  }

  /** Takes all that there is now, without waiting; of a `ShardedNat`: that has come so far. */
  take(): NatEvent[] {
    if (!this.#isOver) this.#pull();
    this.#checkFailure();
    const events = this.#queue.slice(this.#taken);
    this.#queue = [];
    this.#taken = 0;
    return events;
  }

  async next(): Promise<IteratorResult<NatEvent, undefined>> {
    if (this.#taken === this.#queue.length && !this.#isOver) this.#pull();
    const value = this.#queue[this.#taken];
    if (value !== undefined) {
      this.#taken++;
      if (this.#taken === this.#queue.length) {
        this.#queue = [];
        this.#taken = 0;
      }
      return { done: false, value };
    }
    this.#checkFailure();
    if (this.#isOver) return { done: true, value: undefined };
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** Ends it; what waits in it is gone. */
  async return(): Promise<IteratorResult<NatEvent, undefined>> {
    this.#queue = [];
    this.#taken = 0;
    this.end();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** @internal */
  deliver(event: NatEvent): void {
    try {
      if (this.#isOver || !this.#filter(event)) return;
    } catch (error) {
      this.end({ error });
      return;
    }
    const reader = this.#waiting.shift();
    if (reader !== undefined) reader.resolve({ done: false, value: event });
    else if (this.#queue.length - this.#taken < this.#capacity) this.#queue.push(event);
    else this.#lost++;
  }

  /** @internal Events never came here. */
  miss(events: number): void {
    this.#lost += events;
  }

  /** @internal No more events come; those that wait can still be taken. */
  end(failure: { error: unknown } | null = null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#failure = failure;
    for (const { resolve, reject } of this.#waiting.splice(0)) {
      if (failure === null) resolve({ done: true, value: undefined });
      else reject(failure.error);
    }
    this.#leave();
  }

  #checkFailure(): void {
    if (this.#failure !== null && this.#taken === this.#queue.length) throw this.#failure.error;
  }
}

function checkTypes(types: Iterable<NatEventType>): NatEventType[] {
  const list = typeof types === "string" ? [types as NatEventType] : [...types];
  const unknown = list.find((type) => !NAT_EVENTS.includes(type));
  if (unknown === undefined) return list;
  const right = `a list of ${NAT_EVENTS.join(", ")}`;
  throw new NatError("NAT_ERR_ARGUMENT", `types: ${JSON.stringify(unknown)} is no event; give ${right}`);
}
