import { ok } from "node:assert/strict";
import { type Lab, passes, type Sent } from "./lab.js";
import { tcp } from "./traffic.js";

type Fields = NonNullable<Parameters<typeof tcp>[3]>;

/** One TCP connection, which keeps count of both sides' numbers. */
export class Connection {
  #outNext = 1000;
  #inNext = 5_000_000;
  #outside: string | null = null;

  constructor(
    readonly lab: Lab,
    readonly inside: string,
    readonly remote: string,
  ) {}

  /** The inside's endpoint as the remote sees it. */
  get outside(): string {
    ok(this.#outside !== null, "nothing has left yet");
    return this.#outside;
  }
  set outside(where: string) {
    this.#outside = where;
  }

  /** What the inside sends next. Fields that are given count for this segment only. */
  out(flags: string, fields: Fields = {}): Sent {
    const numbers = { seq: this.#outNext, ack: flags.includes("A") ? this.#inNext : 0 };
    if (fields.seq === undefined) this.#outNext += span(flags, fields.payload);
    const sent = this.lab.out(tcp(this.inside, this.remote, flags, { ...numbers, ...fields }));
    if (sent.cameThrough) this.#outside ??= sent.source;
    return sent;
  }
  /** What the remote sends next. */
  in(flags: string, fields: Fields = {}): Sent {
    const numbers = { seq: this.#inNext, ack: flags.includes("A") ? this.#outNext : 0 };
    if (fields.seq === undefined) this.#inNext += span(flags, fields.payload);
    return this.lab.in(tcp(this.remote, this.outside, flags, { ...numbers, ...fields }));
  }

  /** The three-way handshake from inside. */
  open(): this {
    passes(this.out("S"));
    passes(this.in("SA"));
    passes(this.out("A"));
    return this;
  }
  /** FIN from inside, FIN from outside, and the last ACK. */
  close(): this {
    passes(this.out("FA"));
    passes(this.in("A"));
    passes(this.in("FA"));
    passes(this.out("A"));
    return this;
  }
}

function span(flags: string, payload: Uint8Array | string = ""): number {
  return payload.length + (flags.includes("S") ? 1 : 0) + (flags.includes("F") ? 1 : 0);
}
