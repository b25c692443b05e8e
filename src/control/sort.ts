// Sorting in parts, so that others in this thread get their turn.
import { setImmediate as turn } from "node:timers/promises";

/** Numbers sorted at a time, and merged: a millisecond or two. */
const BLOCK = 4096;
const STEP = 1 << 16;

/** The order of keys, ascending: the indices of the first, the second … Equal keys keep their order. */
export async function orderOf(keys: Float64Array): Promise<Uint32Array> {
  let order = new Uint32Array(keys.length);
  for (let i = 0; i < order.length; i++) order[i] = i;
  for (let from = 0; from < order.length; from += BLOCK) {
    order.subarray(from, from + BLOCK).sort((a, b) => keys[a]! - keys[b]! || a - b);
    await turn();
  }
  let other = new Uint32Array(order.length);
  for (let width = BLOCK; width < order.length; width *= 2) {
    await mergePairs(keys, order, other, width);
    [order, other] = [other, order];
  }
  return order;
}

/** Merges each two neighbouring runs of a width. */
async function mergePairs(
  keys: Float64Array,
  from: Uint32Array,
  to: Uint32Array,
  width: number,
): Promise<void> {
  for (let start = 0; start < from.length; start += 2 * width) {
    const middle = Math.min(start + width, from.length);
    const end = Math.min(start + 2 * width, from.length);
    let [left, right] = [start, middle];
    for (let at = start; at < end; at++) {
      if (at % STEP === 0) await turn();
      const takesLeft = left < middle && (right >= end || keys[from[left]!]! <= keys[from[right]!]!);
      to[at] = from[takesLeft ? left++ : right++]!;
    }
  }
}
