// `npm run bench`: what this package claims about speed and memory.
import Table from "cli-table3";
import { Command, Option } from "commander";
import { boundaryRows } from "./boundary.js";
import { captureRow } from "./capture.js";
import { measure, type Row, round } from "./measure.js";
import { memoryRow } from "./memory.js";
import { buildNative, instructionsPerPacket, type LimitRow, nativePath, runLimit } from "./native.js";
import { cells, HEAD, report, SHARD_HEAD, shardCells } from "./report.js";
import { shardedRows } from "./sharded.js";
import { WORKS, type Work } from "./works.js";

interface Options {
  json: boolean;
  quick: boolean;
  runs: number;
  only?: string;
  limit?: string;
  peer?: string;
}

const { json, quick, runs, only, limit, peer } = new Command("bench")
  .option("--json", "print an array of rows", false)
  .option("--quick", "run everything on a small scale, to see that it works", false)
  .addOption(new Option("--runs <n>", "runs that a median is of").default(5).argParser(Number))
  .option("--only <text>", "only works whose name has this in it")
  .option(
    "--limit <path>",
    "a program in place of ours: SESSIONS SECONDS; prints JSON of outbound and inbound ns",
  )
  .option("--peer <path>", "another data plane's program, called and read in the same way")
  .parse()
  .opts<Options>();

const K = 1000;
const FULL = [1, K, 65_536, 1_048_576, 4_194_304];
const LARGE = [65_536, 1_048_576];
const PACKETS = quick ? 20_000 : 1_000_000;

/** Works, table sizes and batches. */
const PLAN: readonly (readonly [Work, readonly number[], readonly number[]])[] = [
  [WORKS.established, FULL, [256]],
  [WORKS.established, [65_536], [1, 8, 32, 64, 128, 512, 1024]],
  [WORKS.outbound, FULL.slice(1), [256]],
  [WORKS.inbound, FULL.slice(1), [256]],
  [WORKS.udp, FULL.slice(1), [256]],
  [WORKS.tcp, FULL.slice(1), [256]],
  [WORKS.icmp, [K, 65_536], [256]],
  [WORKS.csit, [64_512, 1_032_192], [256]],
  [WORKS.fresh, [K, ...LARGE], [256]],
  [WORKS.crowded, LARGE, [256]],
  [WORKS.churn, LARGE, [256]],
  [WORKS.mixed, LARGE, [256]],
  [WORKS.hairpin, [65_536], [256]],
  [WORKS.fragments, [65_536], [256]],
];

function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** The limit's figures by sessions, measured anew each time: it takes turns with what it is compared to. */
function limitOf(path: string, kind: "outbound" | "inbound"): (sessions: number) => number {
  return (sessions) => (runLimit(path, sessions, quick ? 0.02 : 0.3) as LimitRow)[kind];
}

/** Programs that are not napt, as rows of their own. */
function programRows(name: string, path: string): Row[] {
  return (quick ? [K] : FULL.slice(1)).flatMap((sessions) => {
    const samples = Array.from({ length: quick ? 1 : runs }, () =>
      runLimit(path, sessions, quick ? 0.02 : 0.3),
    );
    return (["outbound", "inbound"] as const).map((kind): Row => {
      const values = samples.map((sample) => sample[kind]).sort((a, b) => a - b);
      const ns = values[values.length >> 1]!;
      return {
        work: `${name} ${kind}`,
        sessions,
        batch: 256,
        bytes: 64,
        nsPerPacket: round(ns),
        min: round(values[0]!),
        max: round(values.at(-1)!),
        mpps: round(1000 / ns),
        ratioToLimit: null,
        ratioToJs: null,
      };
    });
  });
}

function works(limitPath: string | null): Row[] {
  const rows: Row[] = [];
  for (const [work, sizes, batches] of PLAN) {
    if (only !== undefined && !work.name.includes(only)) continue;
    for (const sessions of quick ? [Math.min(K, sizes.at(-1)!)] : sizes) {
      for (const batch of quick ? batches.slice(0, 1) : batches) {
        const row = measure({
          work,
          sessions,
          batch,
          runs: quick ? 1 : runs,
          packets: PACKETS,
          calls: work === WORKS.churn,
          ...(limitPath !== null && work.limit !== undefined && { limit: limitOf(limitPath, work.limit) }),
        });
        rows.push(row);
        note(`${work.name}, ${sessions} sessions, ${batch} a call: ${row.nsPerPacket} ns`);
      }
    }
  }
  return rows;
}

/** Instructions a packet, for the works that the core alone does too. */
function withInstructions(rows: readonly Row[]): Row[] {
  const counted = new Map<string, number | null>();
  const names: Record<string, string> = {
    [WORKS.established.name]: "established",
    [WORKS.outbound.name]: "outbound",
    [WORKS.inbound.name]: "inbound",
    [WORKS.udp.name]: "udp",
    [WORKS.tcp.name]: "tcp",
    [WORKS.icmp.name]: "icmp",
    [WORKS.fresh.name]: "new",
  };
  return rows.map((row) => {
    const core = names[row.work];
    if (core === undefined || row.sessions !== K || row.batch !== 256 || quick) return row;
    if (!counted.has(core)) counted.set(core, instructionsPerPacket(core, K));
    const instructions = counted.get(core) ?? null;
    return instructions === null ? row : { ...row, instructionsPerPacket: instructions };
  });
}

function print(head: string[], rows: (string | number)[][]): void {
  const table = new Table({ head, style: { head: [], border: [], compact: true } });
  table.push(...rows);
  console.log(table.toString());
}

async function main(): Promise<void> {
  const failure = buildNative();
  if (failure !== null) note(`no native programs, so no limit to compare with: ${failure}`);
  const limitPath = limit ?? (failure === null ? nativePath("napt_limit") : null);
  const rows = withInstructions(works(limitPath));
  if (only === undefined) {
    rows.push(...boundaryRows(quick ? 0.05 : 1, failure === null));
    if (limitPath !== null) rows.push(...programRows("limit", limitPath));
  }
  if (peer !== undefined) rows.push(...programRows("peer", peer));
  const memory = only === undefined ? (quick ? [100_000] : [1_048_576, 4_194_304]).map(memoryRow) : [];
  const capture =
    only === undefined
      ? [await captureRow(quick ? 20e6 : 1e9, "pcap"), await captureRow(quick ? 20e6 : 1e9, "pcapng")]
      : [];
  const sharded = only === undefined ? await (quick ? shardedRows(1000, 3) : shardedRows()) : [];
  if (!quick && only === undefined) report(rows, sharded, memory, capture);
  if (json) {
    console.log(JSON.stringify([...rows, ...sharded, ...memory, ...capture], null, 2));
    return;
  }
  print([...HEAD], rows.map(cells));
  if (memory.length === 0) return;
  console.log("\nShards on a core each, their packets steered beforehand:");
  print([...SHARD_HEAD], sharded.map(shardCells));
  console.log("\nMemory, everything counted:");
  print(
    ["sessions", "bytes/session"],
    memory.map((r) => [r.sessions, r.bytesPerSession]),
  );
  console.log("\nnapt translate, a process of its own, from the page cache:");
  print(
    ["format", "MB", "packets", "packets/s", "MB/s", "resident MB"],
    capture.map((c) => [
      c.format,
      Math.round(c.fileBytes / 1e6),
      c.packets,
      c.packetsPerSecond,
      c.megabytesPerSecond,
      c.residentMegabytes,
    ]),
  );
}

void main();
