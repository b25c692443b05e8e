// `npm run bench:snapshot`: what it takes to keep a million sessions, and to bring them back.
import Table from "cli-table3";
import { Command } from "commander";
import { Nat } from "../src/index.js";
import { filled } from "./memory.js";
import { configFor } from "./traffic.js";

const { sessions, runs } = new Command("bench:snapshot")
  .option("--sessions <n>", "how many sessions", Number, 1_048_576)
  .option("--runs <n>", "how often", Number, 5)
  .parse()
  .opts<{ sessions: number; runs: number }>();

const MEBI = 1 << 20;
const ms = (value: number) => value.toFixed(value < 10 ? 2 : 0);

const table = new Table({
  head: ["run", "sessions", "MiB", "taken in ms", "longest chunk ms", "restored in ms"],
  style: { head: [], border: [] },
});
using nat = filled(sessions);
for (let run = 1; run <= runs; run++) {
  const chunks: Uint8Array[] = [];
  // Packets wait for as long as one chunk takes, and no longer.
  let longest = 0;
  const begin = performance.now();
  let last = begin;
  for (const chunk of nat.conntrack.snapshot({ now: 0 })) {
    chunks.push(chunk);
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  }
  const taken = performance.now() - begin;
  const snapshot = Buffer.concat(chunks);
  using other = new Nat(configFor(sessions), { seed: 1 });
  const restoring = performance.now();
  const { restored } = other.conntrack.restore(snapshot, { now: 0 });
  const back = performance.now() - restoring;
  if (restored !== sessions) throw new Error(`${restored} of ${sessions} sessions came back`);
  table.push([run, restored, (snapshot.length / MEBI).toFixed(1), ms(taken), ms(longest), ms(back)]);
}
console.log(table.toString());
