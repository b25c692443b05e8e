// Established flows through the public batch API, measured by benchmark.js.
import Benchmark from "benchmark";
import { Nat } from "../src/index.js";
import { JavaScriptNat } from "./javascript-nat.js";
import { configFor, establish, Replay, SLOT_BYTES } from "./workload.js";

export const BATCH = 256;

/** One measurement; ns are per packet. */
export interface Row {
  readonly work: string;
  readonly sessions: number;
  readonly batch: number;
  readonly bytes: number;
  /** Median over samples, filling the batch included. */
  readonly nsPerPacket: number;
  readonly min: number;
  readonly max: number;
  readonly mpps: number;
  /** Packets/s by packets/s of the pure JavaScript reference in the same run. */
  readonly ratioToJs: number | null;
}

/** Runs benchmarks one after the other. An operation is one batch. */
function measure(works: Map<string, () => void>, seconds: number): Map<string, number[]> {
  const samples = new Map<string, number[]>();
  const failures: unknown[] = [];
  const suite = new Benchmark.Suite();
  for (const [name, fn] of works) {
    suite.add(name, fn, { maxTime: seconds, minSamples: 5 });
  }
  // An error that nobody listens to is lost, and with it the figure.
  suite.on("error", (event: Benchmark.Event) => failures.push((event.target as { error?: unknown }).error));
  suite.on("cycle", (event: Benchmark.Event) => {
    const { name, stats } = event.target as unknown as Benchmark & { name: string };
    samples.set(name, stats?.sample.map((s) => (s * 1e9) / BATCH) ?? []);
  });
  suite.run({ async: false });
  if (failures.length > 0 || samples.size !== works.size) {
    throw new Error(`${samples.size} of ${works.size} benchmarks ended: ${failures.join("; ")}`);
  }
  return samples;
}

/** Measures one number of sessions. */
export function establishedRows(sessions: number, seconds: number): Row[] {
  using nat = new Nat(configFor(sessions), { seed: 1 });
  const { outbound, inbound } = establish(nat, sessions);
  const batch = nat.batch({ slots: BATCH, bytes: BATCH * SLOT_BYTES });
  const javascript = new JavaScriptNat(outbound);
  const out = new Replay(batch, [outbound]);
  const back = new Replay(batch, [inbound]);
  const both = new Replay(batch, [outbound, inbound]);
  const before = nat.stats.packets.in;
  const translating = (replay: Replay) => () => {
    replay.fill();
    nat.translateBatch(batch, 1);
  };
  const works = new Map<string, () => void>([
    ["copy only", () => out.fill()],
    [
      "javascript outbound",
      () => {
        out.fill();
        javascript.translate(batch.bytes, BATCH);
      },
    ],
    ["outbound", translating(out)],
    ["inbound", translating(back)],
    ["established", translating(both)],
  ]);
  const samples = measure(works, seconds);
  const { drops, packets } = nat.stats;
  if (
    Object.keys(drops).length > 0 ||
    packets.in === before ||
    javascript.translate(outbound.bytes, 1) !== 1
  ) {
    throw new Error(`the benchmark did not do its work: ${JSON.stringify(drops)}`);
  }
  const reference = median(samples.get("javascript outbound")!);
  return [...samples].map(([work, values]) => {
    const ns = median(values);
    return {
      work,
      sessions,
      batch: BATCH,
      bytes: 64,
      nsPerPacket: round(ns),
      min: round(Math.min(...values)),
      max: round(Math.max(...values)),
      mpps: round(1000 / ns),
      ratioToJs: work === "copy only" ? null : round(reference / ns),
    };
  });
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1]!;
}

export function round(value: number): number {
  return Math.round(value * 100) / 100;
}
