import { ok } from "node:assert/strict";
import { type Lab, passes, type Sent } from "./lab.js";
import { tcp } from "./traffic.js";

type Fields = NonNullable<Parameters<typeof tcp>[3]>;
type Side = "out" | "in";

/** One TCP connection, which keeps count of both sides' numbers. */
export class Connection {
  /** What each side sends next. */
  readonly #next = { out: 1000, in: 5_000_000 };
  readonly #began = { out: -1, in: -1 };
  /** Where the last segment of these flags began. */
  readonly #sent = new Map<string, { seq: number; ack: number }>();
  #outside: string | null = null;

  /** @param fields of every segment */
  constructor(
    readonly lab: Lab,
    readonly inside: string,
    readonly remote: string,
    readonly fields: Fields = {},
  ) {}

  /** The inside's endpoint as the remote sees it. */
  get outside(): string {
    ok(this.#outside !== null, "nothing has left yet");
    return this.#outside;
  }
  set outside(where: string) {
    this.#outside = where;
  }

  /** The number that a side sends next. */
  next(side: Side): number {
    return this.#next[side];
  }

  /** Other first numbers. */
  startAt(numbers: Readonly<Record<Side, number>>): void {
    Object.assign(this.#next, numbers);
  }

  /** What the inside sends next. Fields that are given count for this segment only; a number is not counted on. */
  out(flags: string, fields: Fields = {}): Sent {
    const sent = this.lab.out(tcp(this.inside, this.remote, flags, this.#fields("out", flags, fields)));
    if (sent.cameThrough) this.#outside ??= sent.source;
    return sent;
  }
  /** What the remote sends next. */
  in(flags: string, fields: Fields = {}): Sent {
    return this.lab.in(tcp(this.remote, this.outside, flags, this.#fields("in", flags, fields)));
  }

  /** Runs steps such as "S> <SA A>", all of which must pass. Segments with P carry data. */
  run(steps: string): this {
    for (const step of steps.split(" ")) passes(this.#step(step), `${step} of ${steps}:`);
    return this;
  }
  /** Sends a step's last segment again. */
  again(step: string): Sent {
    return this.#step(step, this.#sent.get(step));
  }

  /** The three-way handshake from inside. */
  open(): this {
    return this.run("S> <SA A>");
  }

  #step(step: string, numbers?: { seq: number; ack: number }): Sent {
    const side = step.startsWith("<") ? "in" : "out";
    const flags = step.replace(/[<>]/, "");
    const other = side === "in" ? "out" : "in";
    if (numbers === undefined) {
      this.#sent.set(step, { seq: this.#next[side], ack: flags.includes("A") ? this.#next[other] : 0 });
    }
    return this[side](flags, { ...(flags.includes("P") ? { payload: "data" } : {}), ...numbers });
  }

  #fields(side: Side, flags: string, fields: Fields): Fields {
    const ack = flags.includes("A") ? this.#next[side === "in" ? "out" : "in"] : 0;
    // A SYN is repeated with the number it had, alone or with an ACK, until more was sent.
    const repeats = flags.includes("S") && this.#next[side] === this.#began[side] + 1;
    const seq = this.#next[side] - (repeats ? 1 : 0);
    if (flags.includes("S")) this.#began[side] = seq;
    if (fields.seq === undefined) this.#next[side] = seq + span(flags, fields.payload);
    return { seq, ack, ...this.fields, ...fields };
  }
}

/** What a segment takes of the sequence space. */
function span(flags: string, payload: Uint8Array | string = ""): number {
  return payload.length + (flags.includes("S") ? 1 : 0) + (flags.includes("F") ? 1 : 0);
}
