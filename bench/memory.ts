// What a session costs in memory, everything counted: the growth of the process's resident set.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { Nat } from "../src/index.js";
import { configFor, layOut, PACKET_BYTES, SLOT_BYTES, writeFlow } from "./traffic.js";

export interface MemoryRow {
  readonly work: "memory";
  readonly sessions: number;
  readonly bytesPerSession: number;
}

function residentBytes(): number {
  const kilobytes = /VmRSS:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  return Number(kilobytes) * 1024;
}

/** A `Nat` with so many sessions, half TCP and half UDP. */
export function filled(sessions: number): Nat {
  const nat = new Nat(configFor(sessions), { seed: 1 });
  const batch = nat.batch({ slots: 256, bytes: 256 * SLOT_BYTES });
  layOut(batch, SLOT_BYTES);
  for (let first = 0; first < sessions; first += 256) {
    batch.count = Math.min(256, sessions - first);
    for (let i = 0; i < batch.count; i++) {
      writeFlow(batch.bytes.subarray(i * SLOT_BYTES, i * SLOT_BYTES + PACKET_BYTES), first + i);
    }
    nat.translateBatch(batch, 0);
  }
  if (nat.conntrack.size !== sessions) throw new Error(`${nat.conntrack.size} of ${sessions} sessions made`);
  return nat;
}

/** The bytes that each session takes. */
function measureHere(sessions: number): number {
  // Once before, so that the growth of code and heap is not taken for that of sessions.
  filled(100_000).close();
  globalThis.gc?.();
  const before = residentBytes();
  using nat = filled(sessions);
  globalThis.gc?.();
  const grown = residentBytes() - before;
  return grown / nat.conntrack.size;
}

/** Measures in a process of its own, so that nothing else is counted. */
export function memoryRow(sessions: number): MemoryRow {
  const output = execFileSync(
    process.execPath,
    ["--expose-gc", "--import", "tsx", __filename, String(sessions)],
    { encoding: "utf8" },
  );
  return { work: "memory", sessions, bytesPerSession: Math.round(Number(output) * 10) / 10 };
}

if (require.main === module) console.log(measureHere(Number(process.argv[2])));
