// By what sessions are sorted, and the first few of many.
import { parseIpv4 } from "../config/cidr.js";
import type { SessionEndpoint } from "../session.js";
import type { ToldSession } from "./told-session.js";

interface Order {
  readonly key: (session: ToldSession) => number;
  /** Whether the largest comes first. */
  readonly descending: boolean;
}

/** An endpoint as a number: by address first, then by port. */
const place = ({ address, port }: SessionEndpoint) => parseIpv4(address)! * 65536 + port;

/** What sessions can be sorted by, the most telling ones first. */
export const SESSION_ORDERS = {
  bytes: { key: ({ bytes }) => bytes.outbound + bytes.inbound, descending: true },
  packets: { key: ({ packets }) => packets.outbound + packets.inbound, descending: true },
  age: { key: ({ age }) => age, descending: true },
  idle: { key: ({ idle }) => idle, descending: true },
  expires: { key: ({ expiresIn }) => expiresIn ?? Number.POSITIVE_INFINITY, descending: false },
  inside: { key: ({ inside }) => place(inside), descending: false },
  remote: { key: ({ remote }) => place(remote), descending: false },
} as const satisfies Readonly<Record<string, Order>>;

export type SessionOrder = keyof typeof SESSION_ORDERS;

/** The first of many things in the order of a number, in memory for about twice as many as are wanted. */
export class First<Thing> {
  readonly #limit: number;
  readonly #sign: number;
  #kept: { readonly key: number; readonly thing: Thing }[] = [];
  /** What can't be among them any more: as far behind as the last one is, or farther. */
  #worst: number | null = null;

  /**
   * @param limit how many, from 1; Infinity: all
   * @param descending whether the largest number comes first
   */
  constructor(limit: number, descending: boolean) {
    this.#limit = limit;
    this.#sign = descending ? -1 : 1;
  }

  /** Whether something with this number may be among them, as things stand. */
  takes(number: number): boolean {
    return this.#worst === null || this.#sign * number < this.#worst;
  }

  /** Takes something that may be among them. */
  add(number: number, thing: Thing): void {
    if (!this.takes(number)) return;
    this.#kept.push({ key: this.#sign * number, thing });
    if (this.#kept.length >= 2 * this.#limit) this.#cut();
  }

  /** They, in order. */
  all(): Thing[] {
    this.#cut();
    return this.#kept.map(({ thing }) => thing);
  }

  /** Sorts, and forgets what is too much: rarely, so that an offer costs little. */
  #cut(): void {
    this.#kept.sort((a, b) => a.key - b.key || 0);
    if (this.#kept.length < this.#limit) return;
    this.#kept.length = this.#limit;
    this.#worst = this.#kept.at(-1)!.key;
  }
}
