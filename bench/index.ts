// `npm run bench`: what this package claims about speed and memory. --json prints an array of rows; --quick runs
// everything on a small scale, to see that it works.
import Table from "cli-table3";
import { captureRow } from "./capture.js";
import { establishedRows, type Row } from "./established.js";
import { memoryRow } from "./memory.js";
import { shardedRows } from "./sharded.js";

const quick = process.argv.includes("--quick");
const json = process.argv.includes("--json");

const SESSIONS = quick ? [1000] : [1000, 65_536, 1_048_576];
const MEMORY = quick ? [100_000] : [1_048_576, 4_194_304];
const CAPTURE_BYTES = quick ? 20e6 : 1e9;
const SECONDS = quick ? 0.1 : 2;

function print(head: string[], rows: (string | number)[][]): void {
  const table = new Table({ head, style: { head: [], border: [], compact: true } });
  table.push(...rows);
  console.log(table.toString());
}

async function main(): Promise<void> {
  const established: Row[] = [];
  for (const sessions of SESSIONS) established.push(...establishedRows(sessions, SECONDS));
  const memory = MEMORY.map(memoryRow);
  const sharded = await (quick ? shardedRows(1000, 3) : shardedRows());
  const capture = await captureRow(CAPTURE_BYTES);
  if (json) {
    console.log(JSON.stringify([...established, ...memory, ...sharded, capture], null, 2));
    return;
  }
  console.log("Established flows in random order, 64-byte packets, 256 a call, filling the batch included:");
  print(
    ["work", "sessions", "ns/packet", "min", "max", "M packets/s", "x JavaScript"],
    established.map((r) => [r.work, r.sessions, r.nsPerPacket, r.min, r.max, r.mpps, r.ratioToJs ?? ""]),
  );
  console.log("\nShards on a core each, their packets steered beforehand:");
  print(
    ["shards", "sessions each", "M packets/s", "min", "max", "x one shard", "min", "max", "by CPU time"],
    sharded.map((r) => [
      r.shards,
      r.sessionsPerShard,
      r.mpps,
      r.min,
      r.max,
      r.ratio,
      r.ratioMin,
      r.ratioMax,
      r.scaling,
    ]),
  );
  console.log("\nMemory, everything counted:");
  print(
    ["sessions", "bytes/session"],
    memory.map((r) => [r.sessions, r.bytesPerSession]),
  );
  console.log("\nnapt translate, a process of its own, from the page cache:");
  print(
    ["MB", "packets", "packets/s", "MB/s", "resident MB"],
    [
      [
        Math.round(capture.bytes / 1e6),
        capture.packets,
        capture.packetsPerSecond,
        capture.megabytesPerSecond,
        capture.residentMegabytes,
      ],
    ],
  );
}

void main();
