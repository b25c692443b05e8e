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

/** A part of a whole. */
export function fraction(least: number, most: number) {
  const wanted = wants("a fraction", `a number from ${least} to ${most}`);
  return z.number(wanted).min(least, wanted).max(most, wanted);
}

/** The size of a packet in bytes. Below 68 nothing that is fragmented gets through (RFC 791). */
export function mtu() {
  const wanted = wants("an MTU", "0 for none, or a whole number from 68 to 65535");
  return z
    .int(wanted)
    .min(0, { ...wanted, abort: true })
    .max(65535, wanted)
    .refine((value) => value === 0 || value >= 68, wanted);
}

/** A time span in seconds, fractions allowed. The bound, 31 years, keeps milliseconds exact. */
export function seconds() {
  const [least, most] = [0.001, 1e9];
  const wanted = wants("a time in seconds", `a number from ${least} to ${most}, such as 300 or 0.5`);
  return z.number(wanted).min(least, wanted).max(most, wanted);
}

/** A time span in whole seconds within bounds. */
export function secondsBetween(least: number, most: number) {
  const wanted = wants("a time in seconds", `a whole number from ${least} to ${most}`);
  return z.int(wanted).min(least, wanted).max(most, wanted);
}

/** A time span in seconds that may be none. */
export function secondsOrNone() {
  const most = 1e9;
  const wanted = wants("a time in seconds", `a number from 0 to ${most}, such as 120`);
  return z.number(wanted).min(0, wanted).max(most, wanted);
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

type Bare<Field> = Field extends
  | z.ZodDefault<infer Inner>
  | z.ZodPrefault<infer Inner>
  | z.ZodOptional<infer Inner>
  ? Inner
  : Field;

/** Some fields of a shape, with the same meaning but without their defaults. */
export function optionalFields<Shape extends z.ZodRawShape, Key extends keyof Shape & string>(
  shape: Shape,
  ...keys: Key[]
) {
  const fields = keys.map((key) => {
    const field = shape[key] as unknown as z.ZodType;
    const wrapped =
      field instanceof z.ZodDefault || field instanceof z.ZodPrefault || field instanceof z.ZodOptional;
    const bare = wrapped ? field.unwrap() : field;
    return [key, z.optional(bare).describe(field.description ?? "")];
  });
  return Object.fromEntries(fields) as { [K in Key]: z.ZodOptional<Bare<Shape[K]> & z.ZodType> };
}
