// Who had a public endpoint at a time, from the events that a JsonLog wrote. Each is looked at once; only what has the
// endpoint at that moment is remembered, so a log may be of any size.
import type { SessionEndpoint, SessionProtocol } from "../conntrack.js";

/** What is asked for. */
export interface HolderQuestion {
  readonly address: string;
  readonly port: number;
  /** Of this protocol alone; null: of any. */
  readonly protocol: string | null;
  /** ms since 1970 */
  readonly at: number;
}

/** An inside host that had it. Times are ISO 8601. */
export interface Holder {
  /** null: a port block is of all protocols. */
  readonly protocol: SessionProtocol | null;
  readonly inside: string;
  /** The inside port (ICMP: identifier); null where the log has port blocks. */
  readonly insidePort: number | null;
  /** null: it had it when the log began. */
  readonly since: string | null;
  /** null: the log tells of no end. */
  readonly until: string | null;
  /** When the log begins anew, so that it does not tell how this went on; null: it goes on to its end. */
  readonly toldUntil: string | null;
}

/** A line of the log that may be of interest, as far as it is known to be one. */
interface Entry {
  readonly time: string;
  readonly type: string;
  readonly protocol?: SessionProtocol;
  readonly session?: Entry & { readonly remote: SessionEndpoint };
  readonly inside?: SessionEndpoint | string;
  readonly public?: SessionEndpoint;
  readonly address?: string;
  readonly ports?: readonly [low: number, high: number];
  readonly count?: number;
}

interface Held extends Holder {
  since: string | null;
  until: string | null;
  toldUntil: string | null;
  /** Bindings of the same endpoints that are there: with overloading, each has its own remotes. */
  open: number;
}

const BEGINS = new Set(["session-opened", "binding-created", "block-allocated"]);
const ENDS = new Set([
  "session-expired",
  "session-evicted",
  "session-deleted",
  "binding-released",
  "block-released",
]);

export class Holders {
  readonly #question: HolderQuestion;
  /** What every line of interest has. */
  readonly #marks: readonly string[];
  /** Had it at the time that is asked for, by what names the session, binding or block. */
  readonly #held = new Map<string, Held>();
  /** Got it only later, and how many times. */
  readonly #later = new Map<string, number>();
  /** The log was begun anew after the time that is asked for: what follows tells nothing of it. */
  #isOver = false;
  /** Events that the log does not have, up to the time that is asked for. */
  lost = 0;

  constructor(question: HolderQuestion) {
    this.#question = question;
    this.#marks = [`"${question.address}"`, '"log-begun"', '"lost"'];
  }

  /**
   * Takes the next line, in the order in which they were written.
   * @returns whether it is a line of such a log
   */
  take(line: string): boolean {
    if (!this.#marks.some((mark) => line.includes(mark))) return line.startsWith("{");
    let entry: Entry;
    try {
      entry = JSON.parse(line);
    } catch {
      return false;
    }
    const time = Date.parse(entry?.time);
    if (Number.isNaN(time)) return false;
    this.#look(entry, time > this.#question.at);
    return true;
  }

  /** Who had it; the sessions and bindings of one inside endpoint together. */
  get answers(): Holder[] {
    const answers = new Map<string, Held>();
    for (const one of this.#held.values()) {
      const name = `${one.protocol} ${one.inside} ${one.insidePort}`;
      const same = answers.get(name);
      answers.set(name, same === undefined ? one : together(same, one));
    }
    return [...answers.values()].map(({ open: _, ...holder }) => holder);
  }

  #look(entry: Entry, isLater: boolean): void {
    if (this.#isOver) return;
    if (entry.type === "log-begun") {
      this.#begunAnew(entry.time, isLater);
    } else if (entry.type === "lost") {
      if (!isLater) this.lost += entry.count ?? 0;
    } else if (BEGINS.has(entry.type) || ENDS.has(entry.type)) {
      const found = this.#holderIn(entry);
      if (found === null) return;
      if (BEGINS.has(entry.type)) this.#begin(...found, entry.time, isLater);
      else this.#end(...found, entry.time, isLater);
    }
  }

  /** What ended meanwhile is not told, and what goes on may be told again or not. */
  #begunAnew(time: string, isLater: boolean): void {
    this.#isOver = isLater;
    if (!isLater) this.#held.clear();
    for (const held of this.#held.values()) if (held.until === null) held.toldUntil = time;
  }

  #begin(name: string, holder: Holder, since: string, isLater: boolean): void {
    const held = this.#held.get(name);
    if (isLater) this.#later.set(name, (this.#later.get(name) ?? 0) + 1);
    else if (held !== undefined) held.open++;
    else this.#held.set(name, { ...holder, since, open: 1 });
  }

  #end(name: string, holder: Holder, until: string, isLater: boolean): void {
    // What ends and never began had it before the log began.
    const held = this.#held.get(name) ?? { ...holder, open: 1 };
    const later = this.#later.get(name) ?? 0;
    if (later > 1) {
      this.#later.set(name, later - 1);
    } else if (later === 1) {
      this.#later.delete(name);
    } else {
      held.open--;
      if (isLater) {
        this.#held.set(name, held);
        if (held.open <= 0) held.until = until;
      } else if (held.open <= 0) {
        this.#held.delete(name);
      }
    }
  }

  /** Whom an event is of, where it is of the endpoint. */
  #holderIn(entry: Entry): [name: string, holder: Holder] | null {
    const { address, port, protocol } = this.#question;
    const none = { since: null, until: null, toldUntil: null };
    if (entry.ports !== undefined) {
      const [low, high] = entry.ports;
      if (entry.address !== address || port < low || port > high || typeof entry.inside !== "string")
        return null;
      const holder = { protocol: null, inside: entry.inside, insidePort: null, ...none };
      return [`${entry.inside} ${low}`, holder];
    }
    const { public: outer, inside, protocol: own = null } = entry.session ?? entry;
    if (outer?.address !== address || outer.port !== port) return null;
    if ((protocol !== null && own !== protocol) || typeof inside !== "object") return null;
    const remote = entry.session?.remote;
    const name = `${own} ${inside.address} ${inside.port} ${remote?.address} ${remote?.port}`;
    return [name, { protocol: own, inside: inside.address, insidePort: inside.port, ...none }];
  }
}

/** From the first beginning to the last end. */
function together(one: Held, other: Held): Held {
  const isFirst = one.since === null || (other.since !== null && one.since <= other.since);
  const isLast = one.until === null || (other.until !== null && one.until >= other.until);
  const { until, toldUntil } = isLast ? one : other;
  return { ...one, since: isFirst ? one.since : other.since, until, toldUntil };
}
