// A log of a NAT's events, whatever it is written in: events go in, chunks of bytes go out, nobody waits.
import { wallOffset } from "../clock.js";
import { NAT_EVENTS, type NatEvent, type NatEventType } from "../events/event.js";
import type { EventSink } from "../events/event-stream.js";
import { eventAt } from "../events/rows.js";
import { FIELD } from "../session.js";
import type { OpenLink } from "./link.js";
import { Outbox, type OutboxOptions } from "./outbox.js";
import { typesOf, type What } from "./what.js";

/** What makes bytes of events. It gives them to the outbox as chunks. */
export interface Encoder {
  /** @param time ms since 1970 */
  add(event: NatEvent, time: number): void;
  /** The same, of a row of numbers; who can't read those does without. */
  addRow?(rows: Float64Array, at: number, time: number): void;
  /** So many events are not in the log. */
  addLost?(count: number, time: number): void;
  /** Gives away what is not yet a full chunk. */
  flush(): void;
}

/** What all logs of events can be told. */
export interface EventLogOptions {
  /** What is logged. @default "bindings" */
  what?: What;
  /** The time of an event in ms since 1970. @default for events whose clock is `performance.now` */
  wallTime?: (at: number) => number;
  /** Where warnings go: that a collector is unreachable, is back, or that events are lost. */
  warn?: (text: string) => void;
}

/** How a log fares. */
export interface EventLogStats {
  /** Events that the system has taken for the other end. */
  readonly exported: number;
  /** Events that the log could not keep up with, or that nobody took. */
  readonly lost: number;
}

/** Events, as `nat.conntrack.events()` gives them. */
export interface EventFeed extends AsyncIterable<NatEvent> {
  /** Those that it lost. */
  readonly lost?: number;
  /** Takes all that there is, without waiting. */
  take?(): NatEvent[];
  /** @internal Gives a sink all that comes, until it ends; null: it can't. */
  pour?(sink: EventSink): Promise<void> | null;
}

/** Milliseconds that an event may wait for others to go with. */
const FLUSH_AFTER = 100;
/** Milliseconds that the end may take. */
const CLOSE_WITHIN = 1000;

/**
 * A log of events. Writing never waits and never throws; what the other end does not take is kept for a while, then
 * lost and counted.
 * @example
 * const log = new IpfixExporter({ to: "udp://192.0.2.5:4739" });
 * await log.follow(nat.conntrack.events({ types: log.types }));   // until the NAT is closed
 * await log.close();
 */
export abstract class EventLog {
  /** The events that it makes something of. */
  readonly types: readonly NatEventType[];
  protected readonly outbox: Outbox;
  readonly #known: ReadonlySet<NatEventType>;
  readonly #wallTime: ((at: number) => number) | undefined;
  readonly #sources = new Set<EventFeed>();
  #lostBefore = 0;
  #toldLost = 0;
  #offset = wallOffset();
  #timer: NodeJS.Timeout | undefined;

  protected constructor(
    open: OpenLink,
    { what = "bindings", wallTime, warn = () => {} }: EventLogOptions,
    outbox: Omit<OutboxOptions, "warn"> = {},
  ) {
    this.types = typesOf(what);
    this.#known = new Set(this.types);
    this.#wallTime = wallTime;
    this.outbox = new Outbox(open, { ...outbox, warn });
  }

  protected abstract readonly encoder: Encoder;

  /** Logs an event, unless it is of another type than {@link types}. */
  add(event: NatEvent): void {
    if (!this.#known.has(event.type)) return;
    this.encoder.add(event, this.#timeOf(event.at));
  }

  /** @internal The event in a row of numbers. */
  addRow(rows: Float64Array, at: number): void {
    if (!this.#known.has(NAT_EVENTS[rows[at + FIELD.slot]!]!)) return;
    const time = this.#timeOf(rows[at + FIELD.lastSeen]!);
    if (this.encoder.addRow !== undefined) this.encoder.addRow(rows, at, time);
    else this.encoder.add(eventAt(rows, at), time);
  }

  /** When an event that is about to be added was, in ms since 1970; what was lost before it is added first. */
  #timeOf(at: number): number {
    if (this.#timer === undefined) {
      this.#offset = wallOffset();
      this.#timer = setTimeout(() => this.flush(), FLUSH_AFTER).unref();
    }
    const time = this.#wallTime?.(at) ?? at + this.#offset;
    if (this.encoder.addLost === undefined) return time;
    const lost = this.#lost();
    if (lost > this.#toldLost) {
      this.encoder.addLost(lost - this.#toldLost, time);
      this.#toldLost = lost;
    }
    return time;
  }

  /** Logs all events that come, until there are no more; those that the source loses are counted here, too. */
  async follow(events: EventFeed): Promise<void> {
    this.#sources.add(events);
    try {
      const poured = events.pour?.(this) ?? null;
      if (poured !== null) return await poured;
      for await (const event of events) {
        this.add(event);
        // One turn of the event loop for all that came, as there may be many.
        for (const more of events.take?.() ?? []) this.add(more);
      }
    } finally {
      this.#sources.delete(events);
      this.#lostBefore += events.lost ?? 0;
    }
  }

  /** What it has passed on so far, and what it has lost. */
  get stats(): EventLogStats {
    return { exported: this.outbox.exported, lost: this.#lost() };
  }

  #lost(): number {
    let lost = this.#lostBefore + this.outbox.lost;
    for (const source of this.#sources) lost += source.lost ?? 0;
    return lost;
  }

  /** Sends what waits for more to go with. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.encoder.flush();
  }

  /** Sends what there is, and closes; what can't go within a second is lost. */
  async close(): Promise<void> {
    this.flush();
    await this.outbox.close(CLOSE_WITHIN);
  }
}
