// Changes to the bytes of an input, as fuzzers make them.

/** Numbers from a seed (xorshift32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
  }
  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state;
  }
  below(bound: number): number {
    return bound < 1 ? 0 : this.next() % bound;
  }
  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}

const NUMBERS = [
  0, 1, 2, 3, 4, 6, 8, 9, 12, 16, 20, 24, 28, 32, 64, 127, 128, 255, 256, 1000, 4096, 32767, 32768,
].concat([65535, 65536, 262144, 262145, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff]);

/**
 * One to a few changes; `others` are inputs to take pieces from, `words` what the format knows, `cuts` places where
 * pieces fit.
 */
export function mutate(
  bytes: Uint8Array,
  others: readonly Uint8Array[],
  words: readonly Uint8Array[],
  cuts: readonly number[],
  random: Random,
): Uint8Array {
  if (cuts.length > 1 && random.below(4) === 0) return rearrange(bytes, words, cuts, random);
  let changed = Uint8Array.from(bytes);
  for (let n = 1 + random.below(random.of([1, 2, 4, 8])); n > 0; n--) {
    changed = change(changed, others, words, random);
  }
  return changed;
}

/** A piece between cuts moves, goes, comes again, or makes room for another. */
function rearrange(
  bytes: Uint8Array,
  words: readonly Uint8Array[],
  cuts: readonly number[],
  random: Random,
): Uint8Array {
  const [from, at] = [random.below(cuts.length), random.of(cuts)];
  const piece = bytes.subarray(cuts[from], cuts[from + 1] ?? bytes.length);
  if (random.below(4) === 0) return splice(bytes, cuts[from]!, piece.length, []);
  return splice(bytes, at, 0, random.below(2) === 0 && words.length > 0 ? random.of(words) : piece);
}

function change(
  bytes: Uint8Array,
  others: readonly Uint8Array[],
  words: readonly Uint8Array[],
  random: Random,
): Uint8Array<ArrayBuffer> {
  const copy = Uint8Array.from(bytes);
  const at = random.below(copy.length);
  const span = 1 + random.below(random.of([1, 4, 16, 64]));
  switch (copy.length === 0 ? 5 : random.below(8)) {
    case 0:
      copy[at]! ^= 1 << random.below(8);
      return copy;
    case 1:
      copy[at] = random.below(256);
      return copy;
    case 2:
      copy[at]! += random.of([1, -1, 4, -4, 16]);
      return copy;
    case 3: {
      const view = new DataView(copy.buffer);
      const [value, little] = [random.of(NUMBERS), random.below(2) === 0];
      if (at + 4 <= copy.length && random.below(2) === 0) view.setUint32(at, value, little);
      else if (at + 2 <= copy.length) view.setUint16(at, value, little);
      return copy;
    }
    case 4:
      return splice(copy, at, span, []);
    case 5:
      return splice(copy, at, 0, words.length > 0 ? random.of(words) : [random.below(256)]);
    case 6: // a piece of its own once more
      return splice(copy, random.below(copy.length), 0, copy.subarray(at, at + span));
    default: {
      const other = others.length > 0 ? random.of(others) : copy;
      const from = random.below(other.length);
      return splice(
        copy,
        at,
        random.below(copy.length - at),
        other.subarray(from, from + 1 + random.below(other.length)),
      );
    }
  }
}

function splice(
  bytes: Uint8Array,
  at: number,
  remove: number,
  put: ArrayLike<number>,
): Uint8Array<ArrayBuffer> {
  const rest = bytes.subarray(Math.min(bytes.length, at + remove));
  const whole = new Uint8Array(at + put.length + rest.length);
  whole.set(bytes.subarray(0, at));
  whole.set(put, at);
  whole.set(rest, at + put.length);
  return whole;
}
