// The kinds of fields that the schema is made of. Each says, when a value is wrong, what it was and what
// would be right; the keys' meanings and defaults are the schema's.
import { z } from "zod";
import { closest, show, showChoices } from "./wording.js";

/** No list in a config may be longer: enough for every address and forward that one engine can own. */
export const LONGEST_LIST = 65536;

/** `"x" is not WHAT; give RIGHT` */
function wants(what: string, right: string) {
  const error = ({ input }: { input?: unknown }) =>
    input === undefined ? `missing; give ${right}` : `${show(input)} is not ${what}; give ${right}`;
  return { error };
}

/** Text of a given form. The pattern goes into the JSON Schema; `accepts` checks what a pattern can't. */
export function text(what: string, right: string, pattern: RegExp, accepts: (text: string) => boolean) {
  const wanted = wants(what, right);
  return z
    .string(wanted)
    .regex(pattern, { ...wanted, abort: true })
    .refine(accepts, wanted);
}

/** true or false. */
export function flag() {
  return z.boolean({ error: ({ input }) => `${show(input)} is not true or false` });
}

/** One of a few words. */
export function choice<const Words extends readonly [string, ...string[]]>(...words: Words) {
  return z.enum(words, {
    error: ({ input }) => {
      if (input === undefined) return `missing; give ${showChoices(words)}`;
      const near = typeof input === "string" ? closest(input, words) : null;
      const hint = near === null ? "" : `; did you mean ${JSON.stringify(near)}?`;
      return `${show(input)} is not ${showChoices(words)}${hint}`;
    },
  });
}

/** A whole number from `least` to `most`. */
export function count(least: number, most: number) {
  const wanted = wants("a count", `a whole number from ${least} to ${most}`);
  return z.int(wanted).min(least, wanted).max(most, wanted);
}

/** A time span in seconds, fractions allowed. The bound, 31 years, keeps milliseconds exact. */
export function seconds() {
  const most = 1e9;
  const wanted = wants("a time in seconds", `a number above 0 and at most ${most}, such as 300 or 0.5`);
  return z.number(wanted).positive(wanted).max(most, wanted);
}

/** A list; `example` is one valid entry, as it is written in JSON. */
export function list<Item extends z.ZodType>(item: Item, example: string, least = 0) {
  const right = `a list such as [${example}]`;
  const wanted = {
    error: ({ code, input }: { code?: string; input?: unknown }) => {
      if (code === "too_big") return `more than ${LONGEST_LIST} entries`;
      if (code === "too_small") return `an empty list; give ${right}`;
      return wants("a list", right).error({ input });
    },
  };
  const items = z.array(item, wanted).max(LONGEST_LIST, wanted);
  return least > 0 ? items.min(least, wanted) : items;
}

/** An object that has these keys and no others. */
export function section<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  return z.strictObject(shape, {
    error: ({ input }) =>
      `${show(input)} is not an object; give one with the keys ${Object.keys(shape).join(", ")}`,
  });
}
