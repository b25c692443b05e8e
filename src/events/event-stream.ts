import { NatError } from "../errors.js";
import { NAT_EVENTS, type NatEvent, type NatEventOf, type NatEventType } from "./event.js";
import { maskOf } from "./rows.js";

/** What a reader wants to hear of. */
export interface EventOptions<Type extends NatEventType = NatEventType> {
  /** @default all */
  types?: Iterable<Type>;
  /** Picks events; what it throws ends the stream, and is thrown by `next` and `take`. */
  filter?: (event: NatEventOf<Type>) => boolean;
  /** Events that wait for the reader, at most; what goes beyond is lost and counted. @default 16384 */
  capacity?: number;
}

const MOST_CAPACITY = 1 << 20;

/** @internal What takes events as the engine tells them, at once. */
export interface EventSink {
  add(event: NatEvent): void;
  /** The event in the row that begins at a number; the rows are others' afterwards. */
  addRow(rows: Float64Array, at: number): void;
}

interface Waiting<Event> {
  resolve(result: IteratorResult<Event, undefined>): void;
  reject(error: unknown): void;
}

/**
 * Events for one reader, with a bounded queue of its own. Ends by `break`, `return()`, or with its `Nat`. Waiting for an
 * event does not keep the process alive.
 */
export class EventStream<Type extends NatEventType = NatEventType>
  implements AsyncIterableIterator<NatEventOf<Type>>
{
  /** @internal */
  readonly mask: number;
  readonly #filter: ((event: NatEventOf<Type>) => boolean) | undefined;
  readonly #capacity: number;
  readonly #pull: () => void;
  readonly #leave: () => void;
  readonly #waiting: Waiting<NatEventOf<Type>>[] = [];
  #queue: NatEventOf<Type>[] = [];
  #taken = 0; // of the queue
  #lost = 0;
  #sink: EventSink | null = null;
  #poured: (Pick<Waiting<never>, "reject"> & { resolve(): void }) | null = null;
  #isOver = false;
  #failure: { error: unknown } | null = null;

  /** @internal `conntrack.events` is the way to one. @throws NatError NAT_ERR_ARGUMENT */
  constructor(options: EventOptions<Type>, pull: () => void, leave: () => void) {
    const { types = NAT_EVENTS, filter, capacity = 16_384 } = options;
    this.mask = maskOf(checkTypes(types));
    if (filter !== undefined && typeof filter !== "function") {
      throw new NatError("NAT_ERR_ARGUMENT", "filter: expected a function that takes an event");
    }
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > MOST_CAPACITY) {
      const right = `a whole number from 1 to ${MOST_CAPACITY}`;
      throw new NatError("NAT_ERR_ARGUMENT", `capacity: ${String(capacity)} is not ${right}`);
    }
    this.#filter = filter;
    this.#capacity = capacity;
    this.#pull = pull;
    this.#leave = leave;
  }

  /** Events that were lost since it began: it was full, or (then of any type) nobody took them from the engine. */
  get lost(): number {
    return this.#lost;
  }

  /** Takes all that there is now, without waiting; of a `ShardedNat`: that has come so far. */
  take(): NatEventOf<Type>[] {
    if (!this.#isOver) this.#pull();
    this.#checkFailure();
    const events = this.#queue.slice(this.#taken);
    this.#queue = [];
    this.#taken = 0;
    return events;
  }

  /** The next event, once there is one. */
  async next(): Promise<IteratorResult<NatEventOf<Type>, undefined>> {
    if (this.#taken === this.#queue.length && !this.#isOver) this.#pull();
    const value = this.#queue[this.#taken];
    if (value !== undefined) {
      this.#taken++;
      // Those that were taken go, too, where some always wait.
      if (2 * this.#taken >= this.#queue.length) {
        this.#queue = this.#queue.slice(this.#taken);
        this.#taken = 0;
      }
      return { done: false, value };
    }
    this.#checkFailure();
    if (this.#isOver) return { done: true, value: undefined };
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** Ends it; what waits in it is gone. */
  async return(): Promise<IteratorResult<NatEventOf<Type>, undefined>> {
    this.#queue = [];
    this.#taken = 0;
    this.end();
    return { done: true, value: undefined };
  }

  /** Itself, for `for await`. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /**
   * @internal Gives a sink all events until it ends, without making objects of them or keeping them.
   * @returns when it has ended; null where objects are needed, for its filter
   */
  pour(sink: EventSink): Promise<void> | null {
    if (this.#filter !== undefined) return null;
    for (const event of this.take()) sink.add(event);
    if (this.#isOver) return Promise.resolve();
    this.#sink = sink;
    return new Promise((resolve, reject) => {
      this.#poured = { resolve, reject };
    });
  }

  /** @internal An event of its types, as a row; false: it wants an object. */
  deliverRow(rows: Float64Array, at: number): boolean {
    if (this.#sink === null) return false;
    try {
      this.#sink.addRow(rows, at);
    } catch (error) {
      this.end({ error });
    }
    return true;
  }

  /** @internal An event of its types. */
  deliver(told: NatEvent): void {
    const event = told as NatEventOf<Type>;
    try {
      if (this.#isOver || this.#filter?.(event) === false) return;
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
    this.#sink = null;
    if (failure === null) this.#poured?.resolve();
    else this.#poured?.reject(failure.error);
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
