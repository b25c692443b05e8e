// What a whole run leaves in docs/performance.md: tables of its rows, and the chart.
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import type { CaptureRow } from "./capture.js";
import { chart } from "./chart.js";
import { type Row, round } from "./measure.js";
import type { MemoryRow } from "./memory.js";
import type { ShardedRow } from "./sharded.js";
import { WORKS } from "./works.js";

export const DOCS = join(__dirname, "../docs");

export const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]) =>
  [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");

const number = (value: number) => value.toLocaleString("en");

export const HEAD = [
  "work",
  "sessions",
  "a call",
  "ns",
  "min",
  "max",
  "M/s",
  "x limit",
  "JS x",
  "instr.",
  "p99.9 us",
  "longest us",
] as const;

/** A row as it is shown. */
export function cells(row: Row): (string | number)[] {
  return [
    row.work,
    number(row.sessions),
    row.batch,
    row.nsPerPacket,
    row.min,
    row.max,
    row.mpps,
    row.ratioToLimit ?? "",
    row.ratioToJs ?? "",
    row.instructionsPerPacket ?? "",
    row.p999 ?? "",
    row.longest ?? "",
  ];
}

export const SHARD_HEAD = [
  "shards",
  "sessions each",
  "M packets/s",
  "min",
  "max",
  "x one shard",
  "min",
  "max",
  "by CPU time",
] as const;

export function shardCells(row: ShardedRow): (string | number)[] {
  return [
    row.shards,
    number(row.sessionsPerShard),
    row.mpps,
    row.min,
    row.max,
    row.ratio,
    row.ratioMin,
    row.ratioMax,
    row.scaling,
  ];
}

function draw(rows: readonly Row[]): void {
  const line = (name: string, color: string, work: string, ns: (row: Row) => number | null) => ({
    name,
    color,
    points: rows
      .filter((row) => row.work === work && row.batch === 256 && row.sessions >= 1000)
      .map((row) => [row.sessions, ns(row)] as const)
      .filter((point): point is readonly [number, number] => point[1] !== null),
  });
  const own = WORKS.established.name;
  const lines = [
    line("new sessions", "#b45f06", WORKS.fresh.name, (row) => row.nsPerPacket),
    line("pure JavaScript", "#8a6d00", own, (row) => row.ratioToJs && round(row.nsPerPacket * row.ratioToJs)),
    line("napt, established", "#0b5394", own, (row) => row.nsPerPacket),
    line("limit", "#777777", own, (row) => row.ratioToLimit && round(row.nsPerPacket / row.ratioToLimit)),
  ].filter((one) => one.points.length > 1);
  const title = "ns a packet by sessions in the table";
  const note = "64-byte packets, random flows, 256 a call, one core; both scales logarithmic";
  if (lines.length > 0) writeFileSync(join(DOCS, "performance.svg"), chart(lines, title, note));
}

/** Writes the tables and the chart of a whole run, and what the README says of them. */
export function report(
  rows: readonly Row[],
  sharded: readonly ShardedRow[],
  memory: readonly MemoryRow[],
  capture: readonly CaptureRow[],
): void {
  draw(rows);
  const parts = [
    measuredBy("npm run bench"),
    table(HEAD, rows.map(cells)),
    'Shards on a core each, their packets steered beforehand. "By CPU time": the ratio if both had a core to themselves:',
    table(SHARD_HEAD, sharded.map(shardCells)),
    "Memory, everything counted (growth of the process's resident set):",
    table(
      ["sessions", "bytes a session"],
      memory.map((row) => [number(row.sessions), row.bytesPerSession]),
    ),
    "`napt translate`, a process of its own, from and to the page cache, the simple IMIX:",
    table(
      ["format", "MB", "packets/s", "MB/s", "resident MB"],
      capture.map((row) => [
        row.format,
        Math.round(row.fileBytes / 1e6),
        number(row.packetsPerSecond),
        row.megabytesPerSecond,
        row.residentMegabytes,
      ]),
    ),
  ];
  place(join(DOCS, "performance.md"), parts.join("\n\n"));
  place(join(DOCS, "../README.md"), summary(rows, memory, capture));
}

/** What and on which machine: the line above figures. */
export function measuredBy(command: string): string {
  return (
    `Measured by \`${command}\` on ${cpus().length} cores of ${cpus()[0]?.model.trim()}, a shared virtual machine, ` +
    `Node ${process.version}:`
  );
}

/** Puts figures where a document has a place for them. */
export function place(path: string, figures: string, name = "bench"): void {
  const text = readFileSync(path, "utf8");
  const [begin, end] = [`<!-- ${name}: begin -->`, `<!-- ${name}: end -->`];
  const [before, after] = [text.indexOf(begin), text.indexOf(end)];
  if (before < 0 || after < before) throw new Error(`${path} has no place for figures: ${begin} ... ${end}`);
  writeFileSync(path, `${text.slice(0, before)}${begin}\n${figures}\n${text.slice(after)}`);
}

/** What the README says of it. */
function summary(rows: readonly Row[], memory: readonly MemoryRow[], capture: readonly CaptureRow[]): string {
  const find = (work: string, sessions: number) =>
    rows.find((row) => row.work === work && row.sessions === sessions && row.batch === 256);
  const sizes = [1000, 65_536, 1_048_576, 4_194_304];
  const lines = sizes.flatMap((sessions) => {
    const row = find(WORKS.established.name, sessions);
    if (row === undefined) return [];
    const cost = memory.find((one) => one.sessions === sessions)?.bytesPerSession;
    return [
      [
        number(sessions),
        `${row.nsPerPacket} (${row.min} to ${row.max})`,
        row.mpps,
        row.ratioToLimit ?? "",
        row.ratioToJs ?? "",
        find(WORKS.fresh.name, sessions)?.nsPerPacket ?? "",
        cost ?? "",
      ],
    ];
  });
  const head = [
    "sessions",
    "ns a packet",
    "M packets/s",
    "x limit",
    "JS x",
    "ns a new session, its end included",
    "bytes a session",
  ];
  const [pcap] = capture;
  const translate =
    pcap === undefined
      ? ""
      : `\n\n\`napt translate\`, from and to the page cache, the simple IMIX: ${number(pcap.packetsPerSecond)} packets/s ` +
        `(${pcap.megabytesPerSecond} MB/s), in ${pcap.residentMegabytes} MB of memory.`;
  return `${table(head, lines)}${translate}`;
}
