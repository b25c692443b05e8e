// What a call into the addon costs: single packets beside a native function that only looks at a Buffer.
import { createRequire } from "node:module";
import Benchmark from "benchmark";
import { Nat } from "../src/index.js";
import { UDP } from "../src/ipv4.js";
import { median, type Row, round } from "./measure.js";
import { nativePath } from "./native.js";
import { configFor, establish, MIXED, PACKET_BYTES, SLOT_BYTES } from "./traffic.js";

/** An operation is a call. */
function run(works: ReadonlyMap<string, () => void>, seconds: number): Map<string, number[]> {
  const samples = new Map<string, number[]>();
  const failures: unknown[] = [];
  const suite = new Benchmark.Suite();
  for (const [name, fn] of works) suite.add(name, fn, { maxTime: seconds, minSamples: 5 });
  // An error that nobody listens to is lost, and with it the figure.
  suite.on("error", (event: Benchmark.Event) => failures.push((event.target as { error?: unknown }).error));
  suite.on("cycle", (event: Benchmark.Event) => {
    const { name, stats } = event.target as unknown as Benchmark & { name: string };
    samples.set(name, stats?.sample.map((s) => s * 1e9) ?? []);
  });
  suite.run({ async: false });
  if (failures.length > 0 || samples.size !== works.size) {
    throw new Error(`${samples.size} of ${works.size} benchmarks ended: ${failures.join("; ")}`);
  }
  return samples;
}

/** One packet a call, measured by benchmark.js. */
export function boundaryRows(seconds: number, withNative: boolean): Row[] {
  using nat = new Nat(configFor(1), { seed: 1 });
  const shape = { ...MIXED, protocols: [UDP, UDP] as const };
  const { out } = establish(nat, 1, shape);
  const packet = Buffer.from(out.bytes.buffer, 0, PACKET_BYTES);
  const template = Buffer.from(packet);
  const batch = nat.batch({ slots: 1, bytes: SLOT_BYTES });
  batch.push(packet);
  const options = { now: 1 };
  // Each translation begins with the packet as it came from inside: 50 bytes are copied.
  const works = new Map<string, () => void>([
    ["copy of a packet", () => void template.copy(packet)],
    [
      "single packet",
      () => {
        template.copy(packet);
        nat.translate(packet, options);
      },
    ],
    [
      "batch of one",
      () => {
        batch.bytes.set(template);
        nat.translateBatch(batch, 1);
      },
    ],
  ]);
  if (withNative) {
    const empty = createRequire(__filename)(nativePath("napt_empty.node")) as (packet: Buffer) => number;
    works.set("empty Node-API call with a Buffer", () => void empty(packet));
  }
  const samples = run(works, seconds);
  if (Object.keys(nat.stats.drops).length > 0) throw new Error(JSON.stringify(nat.stats.drops));
  return [...samples].map(([work, values]) => {
    const ns = median(values);
    return {
      work,
      sessions: 1,
      batch: 1,
      bytes: 64,
      nsPerPacket: round(ns),
      min: round(Math.min(...values)),
      max: round(Math.max(...values)),
      mpps: round(1000 / ns),
      ratioToLimit: null,
      ratioToJs: null,
    };
  });
}
