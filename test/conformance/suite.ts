// The register of tests, each for one row. In a test run they are ordinary tests; the scorecard collects and runs
// them by itself.
import { join } from "node:path";
import { test } from "node:test";
import { closeLabs, type Path, usePath } from "./lab.js";
import { PENDING } from "./pending.js";
import { ROWS, type Row, SECTIONS } from "./rows.js";

interface Case {
  readonly ids: readonly string[];
  readonly title: string;
  readonly file: string;
  readonly body: () => void;
}

export interface Outcome extends Omit<Case, "body"> {
  /** What went wrong; null when nothing did. */
  readonly error: string | null;
  /** The feature that it waits for. */
  readonly pending: string | null;
}

const nameOf = ({ ids, title }: Pick<Case, "ids" | "title">) => `${ids.join(", ")}: ${title}`;

/** Where the cases go while the scorecard collects them. */
let collected: { file: string; cases: Case[] } | null = null;

/**
 * A test for a row, or for several that ask the same: a stimulus and what must be seen. It runs twice, once a packet
 * at a time and once through batches, which take the engine's fast path where they can.
 * @param title what is done and seen, in a few words
 */
export function row(id: string | readonly string[], title: string, body: () => void): void {
  const ids = typeof id === "string" ? [id] : id;
  for (const each of ids) if (!ROWS.some((known) => known.id === each)) throw new Error(`${each} is no row`);
  if (collected !== null) {
    collected.cases.push({ ids, title, file: collected.file, body });
    return;
  }
  const pending = pendingFeature(ids, title);
  test(nameOf({ ids, title }), (context) => {
    if (pending === null) return run(body);
    try {
      run(body);
    } catch (error) {
      context.todo(`waits for ${pending}: ${messageOf(error)}`);
    }
  });
}

function run(body: () => void): void {
  for (const path of ["packet", "batch"] satisfies Path[]) {
    usePath(path);
    try {
      body();
      closeLabs({ check: true });
    } catch (error) {
      (error as Error).message += ` (${path} by ${path})`;
      throw error;
    } finally {
      closeLabs({ check: false });
    }
  }
}

/** Runs every test there is and tells what came of it. */
export function runAll(): Outcome[] {
  return SECTIONS.flatMap(({ file }) => {
    collected = { file, cases: [] };
    require(join(__dirname, file));
    const { cases } = collected;
    collected = null;
    return cases.map(({ body, ...rest }) => {
      const pending = pendingFeature(rest.ids, rest.title);
      try {
        run(body);
        return { ...rest, pending, error: null };
      } catch (error) {
        return { ...rest, pending, error: messageOf(error) };
      }
    });
  });
}

/** The feature that a row, or one of its tests, waits for. */
export function pendingFeature(ids: readonly string[], title?: string): string | null {
  const names = title === undefined ? ids : [...ids, nameOf({ ids, title })];
  return (
    Object.entries(PENDING).find(([, waiting]) => names.some((name) => waiting.includes(name)))?.[0] ?? null
  );
}

/** Entries of PENDING that name no row and no test, and features that nothing waits for any more. */
export function stalePending(outcomes: readonly Outcome[]): string[] {
  const known = new Set([...ROWS.map(({ id }) => id), ...outcomes.map(nameOf)]);
  const unknown = Object.values(PENDING)
    .flat()
    .filter((name) => !known.has(name));
  const done = Object.keys(PENDING).filter((feature) => {
    const waiting = outcomes.filter(({ pending }) => pending === feature);
    return waiting.length > 0 && waiting.every(({ error }) => error === null);
  });
  return [
    ...unknown.map((name) => `pending.ts names "${name}", which is no row and no test`),
    ...done.map((feature) => `all tests that wait for "${feature}" pass: take it out of pending.ts`),
  ];
}

/** Rows that nothing shows and nobody decided. */
export function openRows(outcomes: readonly Outcome[]): Row[] {
  const shown = new Set(outcomes.flatMap(({ ids }) => ids));
  return ROWS.filter(
    ({ id, choice, notApplicable, follows }) =>
      !shown.has(id) && !choice && !notApplicable && !follows && pendingFeature([id]) === null,
  );
}

function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replaceAll(/\s+/g, " ").slice(0, 300);
}
