// One shard against two: established flows, steered beforehand, each worker fed through its ring from the main thread.
// Alone: node --import tsx bench/sharded.ts [--json] [--quick]
import { type PacketBatch, ShardedNat, ShardProducer } from "../src/index.js";
import { round } from "./established.js";
import { answer, configFor, layOut, PACKET_BYTES, SLOT_BYTES, writeFlow } from "./workload.js";

/** Packets in a batch; large ones, as the feeding thread needs a core's time as well. */
const SLOTS = 1024;
const BATCHES = 16;
const STREAM_PACKETS = 1 << 18;

/** One measurement over all rounds; rates are of all shards together, filling the batches included. */
export interface ShardedRow {
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
}

/** What a shard is fed with: packets of its own flows in random order, laid out as its batches are. */
class Feed {
  readonly #stream = new Uint8Array(STREAM_PACKETS * SLOT_BYTES);
  #at = 0;

  constructor(
    readonly shard: number,
    templates: readonly Uint8Array[],
  ) {
    let random = 0x2545f491;
    for (let i = 0; i < STREAM_PACKETS; i++) {
      random ^= random << 13;
      random ^= random >>> 17;
      random ^= random << 5;
      this.#stream.set(templates[(random >>> 0) % templates.length]!, i * SLOT_BYTES);
    }
  }

  fill(batch: PacketBatch): void {
    batch.bytes.set(this.#stream.subarray(this.#at, this.#at + SLOTS * SLOT_BYTES));
    batch.count = SLOTS;
    this.#at = (this.#at + SLOTS * SLOT_BYTES) % this.#stream.length;
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
  for (const packet of inbound) answer(packet);
  pass(producer, shard, inbound);
  return [...outbound, ...inbound];
}

/** Feeds some shards for a while; packets/s. */
function run(producer: ShardProducer, feeds: readonly Feed[], seconds: number): number {
  let packets = 0;
  const submit = (feed: Feed) => {
    const batch = producer.acquire(feed.shard);
    if (batch === null) return;
    feed.fill(batch);
    producer.submit(feed.shard, 1);
  };
  const reap = ({ shard }: Feed) => {
    if (producer.finished(shard) === null) return false;
    packets += SLOTS;
    producer.release(shard);
    return true;
  };
  const began = performance.now();
  for (let i = 0; i < BATCHES; i++) for (const feed of feeds) submit(feed);
  while (performance.now() - began < seconds * 1000) {
    let idle = true;
    for (const feed of feeds) {
      for (; reap(feed); idle = false) submit(feed);
    }
    if (idle) producer.waitFinished(feeds[0]!.shard, 1);
  }
  for (const feed of feeds) {
    while (producer.outstanding(feed.shard) > 0) {
      if (!reap(feed)) producer.waitFinished(feed.shard);
    }
  }
  return (packets / (performance.now() - began)) * 1000;
}

/** Measures one shard, then two, again and again. */
export async function shardedRows(sessionsPerShard = 65_536, seconds = 1, rounds = 9): Promise<ShardedRow[]> {
  const nat = await ShardedNat.create(configFor(4 * sessionsPerShard), {
    shards: 2,
    seed: 1,
    slots: SLOTS,
    bytes: SLOTS * SLOT_BYTES,
    batches: BATCHES,
  });
  try {
    const producer = new ShardProducer(nat.producer());
    const feeds = [0, 1].map((shard) => new Feed(shard, establish(producer, shard, sessionsPerShard)));
    // Every packet of the stream lies where the batch's descriptors point.
    for (const { shard } of feeds) {
      for (let i = 0; i < BATCHES; i++) {
        const batch = producer.acquire(shard)!;
        layOut(batch, SLOT_BYTES);
        for (let slot = 0; slot < SLOTS; slot++) batch.descriptors[slot * 8 + 3] = 0;
        feeds[shard]!.fill(batch);
        producer.submit(shard, 0);
        producer.waitFinished(shard);
        producer.release(shard);
      }
    }
    const rates: [number[], number[]] = [[], []];
    for (let i = 0; i < rounds; i++) {
      rates[0].push(run(producer, [feeds[i % 2]!], seconds));
      rates[1].push(run(producer, feeds, seconds));
    }
    const { drops, sessions } = await nat.stats();
    if (Object.keys(drops).length > 0 || sessions.active !== 2 * sessionsPerShard) {
      throw new Error(`the benchmark did not do its work: ${JSON.stringify([drops, sessions])}`);
    }
    return rates.map((values, index) => {
      const ratios = values.map((value, i) => value / rates[0][i]!);
      return {
        shards: index + 1,
        sessionsPerShard,
        mpps: round(median(values) / 1e6),
        min: round(Math.min(...values) / 1e6),
        max: round(Math.max(...values) / 1e6),
        ratio: round(median(ratios)),
        ratioMin: round(Math.min(...ratios)),
        ratioMax: round(Math.max(...ratios)),
      };
    });
  } finally {
    await nat.close();
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1]!;
}

async function main(): Promise<void> {
  const quick = process.argv.includes("--quick");
  const rows = await (quick ? shardedRows(1000, 0.1, 3) : shardedRows());
  console.log(process.argv.includes("--json") ? JSON.stringify(rows, null, 2) : "");
  if (!process.argv.includes("--json")) console.table(rows);
}

if (process.argv[1]?.endsWith("sharded.ts")) void main();
