// The captures of other projects' test suites, and what each is run with.
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

/** What a small reference translator counted in one run. */
export interface Counts {
  readonly packets: number;
  /** Packets that a correct NAT has to translate. */
  readonly must_translate: number;
  readonly translated: number;
  readonly mappings: number;
}

export interface ReplyCounts extends Counts {
  /** Packets that came in as they are in the capture. */
  readonly restored: number;
}

export interface Case {
  readonly id: string;
  readonly file: string;
  readonly inside: readonly string[];
  readonly public: readonly string[];
  /** Worth a second run, with the replies readdressed to the public endpoints. */
  readonly replies: boolean;
  readonly reference: { readonly "as-is": Counts; readonly replies?: ReplyCounts };
}

/** Where the captures are; they are too many to be part of the sources. */
export const captures = process.env.NAPT_CAPTURES ?? resolve(__dirname, "../../../shared/captures");
const list = join(captures, "cases.json");

/** For a test's `skip`: false, or why there is nothing to run. */
export const noCaptures = !existsSync(list) && `no captures in ${captures} (set NAPT_CAPTURES)`;

export const cases: readonly Case[] = noCaptures ? [] : JSON.parse(readFileSync(list, "utf8")).cases;

export const pathOf = (file: string) => join(captures, file);

const files = new Map<string, Uint8Array>();

/** A capture's bytes, read once. The caller does not change them. */
export function bytesOf(file: string): Uint8Array {
  const known = files.get(file) ?? new Uint8Array(readFileSync(pathOf(file)));
  files.set(file, known);
  return known;
}

export function caseOf(id: string): Case {
  const found = cases.find((one) => one.id === id);
  if (found === undefined) throw new Error(`no case ${id}`);
  return found;
}
