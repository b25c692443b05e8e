// Fragments from outside that came before the first one of their datagram, which has the port that tells the shard.
// Bounded as the translators' own: the datagram that waits longest makes room, and none waits longer than
// `timeouts.fragment`.

export interface WaitingFragment {
  readonly packet: Uint8Array;
  readonly flags: number;
  readonly wireLength: number;
  readonly tag: number;
}

interface Datagram {
  readonly since: number;
  readonly fragments: WaitingFragment[];
}

export class WaitingFragments {
  readonly #datagrams = new Map<string, Datagram>(); // the oldest first
  #limit: number;
  #timeout: number;
  #size = 0;

  constructor(limit: number, timeout: number) {
    this.#limit = limit;
    this.#timeout = timeout;
  }

  get size(): number {
    return this.#size;
  }

  set bounds({ fragmentLimit, fragmentTimeout }: { fragmentLimit: number; fragmentTimeout: number }) {
    this.#limit = fragmentLimit;
    this.#timeout = fragmentTimeout;
  }

  *[Symbol.iterator](): IterableIterator<WaitingFragment> {
    for (const { fragments } of this.#datagrams.values()) yield* fragments;
  }

  /** Keeps a fragment. Gives those that had to make room; it may be among them. */
  add(key: string, fragment: WaitingFragment, now: number): WaitingFragment[] {
    const own = this.#datagrams.get(key);
    const evicted: WaitingFragment[] = [];
    for (const [oldest] of this.#datagrams) {
      if (this.#size < this.#limit || oldest === key) break;
      evicted.push(...this.take(oldest));
    }
    if (this.#size >= this.#limit) return [...evicted, fragment];
    if (own !== undefined) own.fragments.push(fragment);
    else this.#datagrams.set(key, { since: now, fragments: [fragment] });
    this.#size++;
    return evicted;
  }

  /** Takes the fragments of a datagram, in the order that they came in. */
  take(key: string): WaitingFragment[] {
    const fragments = this.#datagrams.get(key)?.fragments ?? [];
    this.#datagrams.delete(key);
    this.#size -= fragments.length;
    return fragments;
  }

  /** Takes those that have waited too long. */
  expired(now: number): WaitingFragment[] {
    const expired: WaitingFragment[] = [];
    for (const [key, { since }] of this.#datagrams) {
      if (now - since < this.#timeout) break;
      expired.push(...this.take(key));
    }
    return expired;
  }
}
