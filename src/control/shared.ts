// A costly answer that all share who ask for it.

/** How many times as long as it took to make an answer holds: making it takes a tenth of the time at most. */
const HOLDS = 10;

export interface SharedOptions {
  /** Milliseconds that an answer holds, at least. */
  readonly least: number;
  /** Milliseconds that an older one will still do, while the next is being made. @default 0 */
  readonly grace?: number;
}

/** An answer that is made when somebody asks, and given to all who ask while it holds. */
export class Shared<T> {
  readonly #make: () => Promise<T>;
  readonly #least: number;
  readonly #grace: number;
  #answer: { readonly value: T; readonly until: number } | null = null;
  #next: Promise<T> | null = null;

  constructor(make: () => Promise<T>, { least, grace = 0 }: SharedOptions) {
    this.#make = make;
    this.#least = least;
    this.#grace = grace;
  }

  /** The answer. @throws what making it throws */
  async get(): Promise<T> {
    const now = performance.now();
    const answer = this.#answer;
    if (answer !== null && now < answer.until) return answer.value;
    this.#next ??= this.#renew(now).finally(() => {
      this.#next = null;
    });
    if (answer === null || now >= answer.until + this.#grace) return this.#next;
    this.#next.catch(() => {}); // who asks once it is too old is told
    return answer.value;
  }

  async #renew(began: number): Promise<T> {
    const value = await this.#make();
    const now = performance.now();
    this.#answer = { value, until: now + Math.max(this.#least, (now - began) * HOLDS) };
    return value;
  }
}
