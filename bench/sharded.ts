// One shard against two: established flows, steered beforehand, that lie ready in each worker's ring.
// Alone: node --import tsx bench/sharded.ts [--json] [--quick]
import { type PacketBatch, type ProducerHandle, ShardedNat, ShardProducer } from "../src/index.js";
import { Ring } from "../src/sharded/ring.js";
import { median, round } from "./measure.js";
import { configFor, layOut, PACKET_BYTES, SLOT_BYTES, turn, writeFlow } from "./traffic.js";

const SLOTS = 1024;
/** So many that a run needs nobody to fill them: two shards then have two cores for themselves. */
const BATCHES = 1024;

/** One measurement over all rounds; rates are of all shards together. */
export interface ShardedRow {
  readonly work: "sharded";
  readonly shards: number;
  readonly sessionsPerShard: number;
  /** Median over the rounds, M packets/s. */
  readonly mpps: number;
  readonly min: number;
  readonly max: number;
  /** Median of the ratios to one shard in the same round; with their least and most. */
  readonly ratio: number;
  readonly ratioMin: number;
  readonly ratioMax: number;
  /** CPU time of the whole process, ns a packet: what others take of the cores is not in it. */
  readonly cpuNsPerPacket: number;
  /** Shards by how much more of it a packet takes than with one: the ratio where all cores are free. */
  readonly scaling: number;
}

/** What a shard is fed with: packets of its own flows in random order, laid out in its ring. */
class Feed {
  readonly #batches: readonly PacketBatch[];
  readonly #stream = new Uint8Array(BATCHES * SLOTS * SLOT_BYTES);

  constructor(
    readonly shard: number,
    { buffers, shape }: ProducerHandle,
    templates: readonly Uint8Array[],
  ) {
    this.#batches = new Ring(buffers[shard]!, shape, 1).batches;
    for (const batch of this.#batches) {
      batch.descriptors.fill(0);
      layOut(batch, SLOT_BYTES);
      batch.count = SLOTS;
    }
    let random = 0x2545f491;
    for (let at = 0; at < this.#stream.length; at += SLOT_BYTES) {
      random ^= random << 13;
      random ^= random >>> 17;
      random ^= random << 5;
      this.#stream.set(templates[(random >>> 0) % templates.length]!, at);
    }
  }

  /** Lays the same packets out anew, as they were before they were translated. */
  fill(): void {
    const bytes = SLOTS * SLOT_BYTES;
    this.#batches.forEach((batch, i) => {
      batch.bytes.set(this.#stream.subarray(i * bytes, (i + 1) * bytes));
    });
  }
}

/** Sends packets through one shard, and gives them as they came out. */
function pass(producer: ShardProducer, shard: number, packets: readonly Uint8Array[]): Uint8Array[] {
  const out: Uint8Array[] = [];
  for (let first = 0; first < packets.length; first += SLOTS) {
    const batch = producer.acquire(shard)!;
    batch.clear();
    for (const packet of packets.slice(first, first + SLOTS)) batch.push(packet);
    producer.submit(shard, 0);
    producer.waitFinished(shard);
    for (let slot = 0; slot < batch.count; slot++) {
      if (batch.verdict(slot).verdict !== "forwarded") throw new Error(JSON.stringify(batch.verdict(slot)));
      out.push(batch.packet(slot).slice());
    }
    producer.release(shard);
  }
  return out;
}

/** Establishes so many flows of a shard's hosts, and returns a packet of each direction of each. */
function establish(producer: ShardProducer, shard: number, sessions: number): Uint8Array[] {
  const outbound: Uint8Array[] = [];
  for (let flow = 0; outbound.length < sessions; flow++) {
    const packet = new Uint8Array(PACKET_BYTES);
    writeFlow(packet, flow);
    if (producer.shardOf(packet) === shard) outbound.push(packet);
    else flow += 999 - (flow % 1000); // the next host
  }
  const inbound = pass(producer, shard, outbound);
  for (const packet of inbound) turn(packet);
  pass(producer, shard, inbound);
  return [...outbound, ...inbound];
}

const nothing = new Int32Array(new SharedArrayBuffer(4));

/** Has some shards translate all that lies in their rings; packets/s, and ns of CPU time a packet. */
function run(producer: ShardProducer, feeds: readonly Feed[]): { rate: number; cpu: number } {
  for (const feed of feeds) feed.fill();
  const packets = feeds.length * BATCHES * SLOTS;
  const before = process.cpuUsage();
  const began = performance.now();
  for (let i = 0; i < BATCHES; i++) for (const { shard } of feeds) producer.submit(shard, 1);
  for (const { shard } of feeds) {
    while (producer.outstanding(shard) > 0) {
      // Woken for each batch, this thread would take the workers' time.
      if (producer.finished(shard) === null) Atomics.wait(nothing, 0, 0, 0.5);
      else producer.release(shard);
    }
  }
  const rate = (packets * 1000) / (performance.now() - began);
  const { user, system } = process.cpuUsage(before);
  return { rate, cpu: ((user + system) * 1000) / packets };
}

/** Measures one shard, then two, again and again. */
export async function shardedRows(sessionsPerShard = 65_536, rounds = 41): Promise<ShardedRow[]> {
  const nat = await ShardedNat.create(configFor(4 * sessionsPerShard), {
    shards: 2,
    seed: 1,
    slots: SLOTS,
    bytes: SLOTS * SLOT_BYTES,
    batches: BATCHES,
  });
  try {
    const handle = nat.producer();
    const producer = new ShardProducer(handle);
    const templates = [0, 1].map((shard) => establish(producer, shard, sessionsPerShard));
    const feeds = templates.map((packets, shard) => new Feed(shard, handle, packets));
    const rates: [number[], number[]] = [[], []];
    const cpus: [number[], number[]] = [[], []];
    for (let i = 0; i < rounds + 1; i++) {
      const one = run(producer, [feeds[i % 2]!]);
      const two = run(producer, feeds);
      if (i === 0) continue; // touches all memory for the first time
      rates[0].push(one.rate);
      rates[1].push(two.rate);
      cpus[0].push(one.cpu);
      cpus[1].push(two.cpu);
    }
    const { drops, sessions } = await nat.stats();
    if (Object.keys(drops).length > 0 || sessions.active !== 2 * sessionsPerShard) {
      throw new Error(`the benchmark did not do its work: ${JSON.stringify([drops, sessions])}`);
    }
    return rates.map((values, index) => {
      const ratios = values.map((value, i) => value / rates[0][i]!);
      const scalings = cpus[0].map((cpu, i) => ((index + 1) * cpu) / cpus[index]![i]!);
      return {
        work: "sharded",
        shards: index + 1,
        sessionsPerShard,
        mpps: round(median(values) / 1e6),
        min: round(Math.min(...values) / 1e6),
        max: round(Math.max(...values) / 1e6),
        ratio: round(median(ratios)),
        ratioMin: round(Math.min(...ratios)),
        ratioMax: round(Math.max(...ratios)),
        cpuNsPerPacket: round(median(cpus[index]!)),
        scaling: round(median(scalings)),
      };
    });
  } finally {
    await nat.close();
  }
}

async function main(): Promise<void> {
  const quick = process.argv.includes("--quick");
  const rows = await (quick ? shardedRows(1000, 3) : shardedRows());
  console.log(process.argv.includes("--json") ? JSON.stringify(rows, null, 2) : "");
  if (!process.argv.includes("--json")) console.table(rows);
}

if (process.argv[1]?.endsWith("sharded.ts")) void main();
