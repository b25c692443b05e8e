// What happens in a gateway's NAT, as a stream of lines for whoever asks the control socket.
import type { ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { wallOffset } from "../clock.js";
import { NatError } from "../errors.js";
import { NAT_EVENTS, type NatEvent, type NatEventType, type SessionEvent } from "../events/event.js";
import type { EventOptions, EventStream } from "../events/event-stream.js";
import { BusyError } from "./busy.js";
import { eventSessionFilter } from "./session-filter.js";
import { seconds } from "./told-session.js";

/** An event as the control socket tells of it: `at` in ms since 1970, a session's age in seconds. */
export type ToldEvent =
  | Exclude<NatEvent, SessionEvent>
  | (Omit<SessionEvent, "session"> & {
      readonly session: Omit<SessionEvent["session"], "createdAt"> & { readonly age: number };
    });

/** So many events did not go into the stream, as its reader is too slow. */
export interface LostEvents {
  readonly type: "lost";
  readonly count: number;
}

/** Where events come from: a NAT's conntrack. */
export interface EventSource {
  events(options: EventOptions): EventStream;
}

/** Events that wait for a slow reader, at most. */
const CAPACITY = 4096;
/** Streams at a time. */
const MOST_STREAMS = 16;

/** Streams of a NAT's events. */
export class EventStreams {
  readonly #source: EventSource;
  #open = 0;

  constructor(source: EventSource) {
    this.#source = source;
  }

  /**
   * Answers with a line for each event from now on, until the reader goes or the NAT is closed. A reader who is too
   * slow is told how many he has missed.
   * @param types those to tell of; none: all
   * @param terms what an event's session has to fit; with any, events of no session are left out
   * @throws NatError NAT_ERR_ARGUMENT for a type or a term that is none
   * @throws BusyError when there are too many streams
   */
  async send(types: readonly string[], terms: readonly string[], response: ServerResponse): Promise<void> {
    const unknown = types.find((type) => !(NAT_EVENTS as readonly string[]).includes(type));
    if (unknown !== undefined) {
      throw new NatError("NAT_ERR_ARGUMENT", `"${unknown}" is no event; give ${NAT_EVENTS.join(", ")}`);
    }
    const fits = eventSessionFilter(terms);
    if (this.#open >= MOST_STREAMS) {
      throw new BusyError(`${MOST_STREAMS} others read events already; end one`);
    }
    const events = this.#source.events({
      capacity: CAPACITY,
      ...(types.length > 0 && { types: types as NatEventType[] }),
      ...(terms.length > 0 && { filter: (event) => "session" in event && fits(event.session, event.at) }),
    });
    this.#open++;
    // Without it the end would be noticed with the next event only.
    response.once("close", () => void events.return());
    try {
      response.writeHead(200, { "content-type": "application/x-ndjson" });
      response.flushHeaders();
      await pipeline(Readable.from(linesOf(events), { highWaterMark: 1 }), response);
    } finally {
      this.#open--;
    }
  }
}

async function* linesOf(events: EventStream): AsyncIterable<string> {
  let lost = 0;
  for await (const event of events) {
    if (events.lost > lost) yield line({ type: "lost", count: events.lost - lost });
    lost = events.lost;
    yield line(toldEvent(event));
  }
}

function toldEvent(event: NatEvent): ToldEvent {
  const at = Math.round(wallOffset() + event.at);
  if (!("session" in event)) return { ...event, at };
  const { createdAt, ...session } = event.session;
  return { ...event, at, session: { ...session, age: Math.max(0, seconds(createdAt, event.at)) } };
}

function line(what: ToldEvent | LostEvents): string {
  return `${JSON.stringify(what)}\n`;
}
