// docs/scorecard.md: every row of rows.ts with its result and the tests that show it. Run by itself it writes the
// file (npm run scorecard); scorecard.test.ts compares.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROWS, type Row, SECTIONS } from "./rows.js";
import { type Outcome, pendingFeature, runAll } from "./suite.js";

export const SCORECARD = join(__dirname, "../../docs/scorecard.md");

type Kind = "meets" | "by choice" | "not applicable" | "FAILS (pending)" | "FAILS";
const KINDS: readonly Kind[] = ["meets", "by choice", "not applicable", "FAILS (pending)", "FAILS"];

export interface Result {
  readonly row: Row;
  readonly kind: Kind;
  /** Why, for all that is not plainly met. */
  readonly reason: string;
  readonly shownBy: readonly Outcome[];
}

/** The result of every row. */
export function judge(outcomes: readonly Outcome[]): Result[] {
  const own = new Map(ROWS.map((row) => [row.id, ownResult(row, outcomes)]));
  return ROWS.map((row) => (row.follows ? followingResult(row, row.follows, own) : own.get(row.id)!));
}

function ownResult(row: Row, outcomes: readonly Outcome[]): Result {
  const shownBy = outcomes.filter(({ ids }) => ids.includes(row.id));
  const failed = shownBy.filter(({ error }) => error !== null);
  const broken = failed.find(({ pending }) => pending === null);
  const result = (kind: Kind, reason = ""): Result => ({ row, kind, reason, shownBy });
  if (broken) return result("FAILS", broken.title);
  const waits = pendingFeature([row.id]) ?? failed[0]?.pending;
  if (waits && (failed.length > 0 || shownBy.length === 0)) return result("FAILS (pending)", waits);
  if (row.notApplicable) return result("not applicable", row.notApplicable);
  if (row.choice) return result("by choice", row.choice);
  return shownBy.length > 0 ? result("meets") : result("FAILS", "no test");
}

/** A row that asks for others is met when all that they demand is. */
function followingResult(row: Row, prefixes: readonly string[], own: ReadonlyMap<string, Result>): Result {
  const wanted = [...own.values()].filter(
    ({ row: { id, level } }) => level.startsWith("MUST") && prefixes.some((prefix) => id.startsWith(prefix)),
  );
  const worst = wanted.reduce((a, b) => (KINDS.indexOf(b.kind) > KINDS.indexOf(a.kind) ? b : a));
  if (!worst.kind.startsWith("FAILS")) return { row, kind: "meets", reason: "", shownBy: [] };
  return { row, kind: worst.kind, reason: `as ${worst.row.id}`, shownBy: [] };
}

export function markdown(results: readonly Result[]): string {
  return [
    "# Scorecard",
    "",
    "What the IETF asks of a NAT, row by row, and what napt does. `npm run scorecard` runs the tests in",
    "[test/conformance](../test/conformance) and writes this file; the tests fail when it is stale or a MUST is red.",
    "The requirements are in our words: X is an inside endpoint, EIM and EIF endpoint-independent mapping and",
    "filtering, ADM and ADF address-dependent, APDM and APDF address-and-port-dependent.",
    "",
    ...summary(results),
    ...SECTIONS.flatMap(({ title, file, rows }, index) => [
      "",
      `## ${index + 1}. ${title}`,
      "",
      `Tests: [${file}](../test/conformance/${file})`,
      "",
      "| Row | Level | Requirement | Result | Shown by |",
      "| --- | --- | --- | --- | --- |",
      ...rows.map((row) => line(results.find((result) => result.row === row)!, file)),
    ]),
    "",
  ].join("\n");
}

function summary(results: readonly Result[]): string[] {
  const levels = [...new Set(ROWS.map(({ level }) => level))].sort();
  const kinds = KINDS.filter((kind) => results.some((result) => result.kind === kind));
  const count = (level: string | null, kind: Kind | null) =>
    results.filter(
      (result) => (level === null || result.row.level === level) && (kind === null || result.kind === kind),
    ).length;
  const cells = (level: string | null) => [...kinds.map((kind) => count(level, kind)), count(level, null)];
  return [
    `| Level | ${kinds.join(" | ")} | all |`,
    `| --- | ${kinds.map(() => "---").join(" | ")} | --- |`,
    ...levels.map((level) => `| ${level} | ${cells(level).join(" | ")} |`),
    `| all | ${cells(null).join(" | ")} |`,
  ];
}

function line({ row, kind, reason, shownBy }: Result, sectionFile: string): string {
  const result = reason === "" ? kind : `${kind}: ${reason}`;
  const tests = shownBy.map(({ file, title }) => (file === sectionFile ? title : `${file}: ${title}`));
  if (row.follows) tests.push(`the MUST rows of ${row.follows.map((id) => id.slice(0, -1)).join(", ")}`);
  const cells = [row.id, row.level, row.requirement, result].map(escaped);
  return `| ${[...cells, tests.map(escaped).join("<br>")].join(" | ")} |`;
}

function escaped(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
}

/** What stands in the way of a release: MUST rows that are red and not pending, and choices that are none. */
export function faults(results: readonly Result[]): string[] {
  return results
    .filter(({ row, kind }) => row.level.startsWith("MUST") && (kind === "FAILS" || kind === "by choice"))
    .map(({ row, kind, reason }) => `${row.id} (${row.level}): ${kind}: ${reason}`);
}

export function readScorecard(): string {
  return readFileSync(SCORECARD, "utf8");
}

if (require.main === module) {
  const results = judge(runAll());
  writeFileSync(SCORECARD, markdown(results));
  for (const { row, kind, reason } of results)
    if (kind === "FAILS") console.error(`${row.id} fails: ${reason}`);
  for (const text of summary(results)) console.log(text);
}
