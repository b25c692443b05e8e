import { EventEmitter } from "node:events";
import { NatError } from "../errors.js";
import { LAYOUT } from "../native.js";
import { NAT_EVENTS, type NatEvent, type NatEventOf, type NatEventType } from "./event.js";
import { type EventOptions, EventStream } from "./event-stream.js";
import { eventAt, maskOf } from "./rows.js";

/** Where events come from: an engine, or a worker's. */
export interface EventSource {
  /** What is recorded from now on. */
  record(mask: number): void;
  /** Hands over all that there is, in rows, and how many were lost since the last time, until nobody listens. */
  take(deliver: (rows: Float64Array, lost: number) => boolean): void | Promise<void>;
}

/** ms between looks at what has happened, while somebody listens. */
const INTERVAL = 20;

type EventMap = { [Type in NatEventType]: [event: NatEventOf<Type>] };

/**
 * What happens in a NAT, for any number of readers: streams (`events`) and listeners (`on`). Nothing is recorded that
 * nobody listens to. Listeners are called from the event loop, 20 ms after the fact at the most if that is free; neither
 * they nor streams keep the process alive.
 */
export class NatEvents extends EventEmitter<EventMap> {
  readonly #source: EventSource;
  readonly #streams = new Set<Pick<EventStream, "mask" | "deliver" | "deliverRow" | "miss" | "end">>();
  #timer: NodeJS.Timeout | undefined;
  #mask = 0;
  /** What listeners, not streams, want. */
  #heard = 0;
  /** What is being taken, where that takes its time. */
  #taking: Promise<void> | true | null = null;
  #isOver = false;

  /** @internal */
  constructor(source: EventSource) {
    super();
    this.#source = source;
    this.#watchListeners();
  }

  /**
   * A stream of events, from now on.
   * @throws NatError NAT_ERR_ARGUMENT, NAT_ERR_CLOSED
   * @example
   * for await (const event of nat.conntrack.events({ types: ["session-opened"] })) console.log(event.session.public);
   */
  events<Type extends NatEventType = NatEventType>(options: EventOptions<Type> = {}): EventStream<Type> {
    if (this.#isOver) throw new NatError("NAT_ERR_CLOSED", "this Nat is closed");
    const leave = () => {
      this.#streams.delete(stream);
      this.#renew();
    };
    const stream: EventStream<Type> = new EventStream(options, () => void this.#take(), leave);
    void this.#take(); // what others were told of before is not for it
    this.#streams.add(stream);
    this.#renew();
    return stream;
  }

  override removeAllListeners(type?: NatEventType): this {
    if (type !== undefined) return super.removeAllListeners(type);
    super.removeAllListeners();
    this.#watchListeners();
    this.#renew();
    return this;
  }

  /** @internal Delivers what there is, and ends all streams. */
  protected endEvents(): Promise<void> | undefined {
    const taking = this.#take();
    if (taking === undefined) this.#end(null);
    return taking?.then(() => this.#end(null));
  }

  #end(failure: { error: unknown } | null): void {
    this.#isOver = true;
    clearInterval(this.#timer);
    for (const stream of [...this.#streams]) stream.end(failure);
  }

  #watchListeners(): void {
    const emitter: EventEmitter = this as unknown as EventEmitter;
    emitter.on("newListener", (type: string) => {
      void this.#take();
      this.#renew(type);
    });
    emitter.on("removeListener", () => this.#renew());
  }

  /** Records what somebody wants; `type` is about to get a listener. */
  #renew(type?: string): void {
    if (this.#isOver) return;
    const heard = NAT_EVENTS.filter((one) => one === type || this.listenerCount(one) > 0);
    this.#heard = maskOf(heard);
    let mask = this.#heard;
    for (const stream of this.#streams) mask |= stream.mask;
    if (mask === this.#mask) return;
    this.#source.record(mask);
    if (this.#mask === 0) this.#timer = setInterval(() => void this.#take(), INTERVAL).unref();
    if (mask === 0) clearInterval(this.#timer);
    this.#mask = mask;
  }

  /** Takes what there is, and tells it; one at a time. */
  #take(): Promise<void> | undefined {
    if (this.#mask === 0 || this.#isOver || this.#taking === true) return undefined;
    if (this.#taking !== null) return this.#taking;
    this.#taking = true; // listeners may ask for more
    const pending = this.#source.take((rows, lost) => this.#deliver(rows, lost));
    const done = () => {
      this.#taking = null;
    };
    if (pending === undefined) {
      done();
      return undefined;
    }
    this.#taking = pending.then(done, (error: unknown) => this.#end({ error }));
    return this.#taking;
  }

  /** @returns whether to go on: a listener may have closed the Nat */
  #deliver(rows: Float64Array, lost: number): boolean {
    if (lost > 0) for (const stream of this.#streams) stream.miss(lost);
    for (let row = 0; row < rows.length; row += LAYOUT.sessionFields) {
      const bit = 1 << rows[row]!;
      let event: NatEvent | undefined;
      for (const stream of this.#streams) {
        if ((stream.mask & bit) === 0 || stream.deliverRow(rows, row)) continue;
        event ??= eventAt(rows, row);
        stream.deliver(event);
      }
      if ((this.#heard & bit) === 0) continue;
      event ??= eventAt(rows, row);
      try {
        this.emit(event.type, event as never);
      } catch (error) {
        // A listener's fault is not the others'.
        process.nextTick(() => {
          throw error;
        });
      }
    }
    return !this.#isOver;
  }
}
