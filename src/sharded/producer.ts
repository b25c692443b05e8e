import { NatError } from "../errors.js";
import type { PacketBatch } from "../packet-batch.js";
import type { SteeringPlan } from "./plan.js";
import { Ring, type RingShape } from "./ring.js";
import { Steering } from "./steering.js";

/** What a {@link ShardProducer} is made from: plain data and shared memory, which `postMessage` carries anywhere. */
export interface ProducerHandle {
  /** Which of the producers, from 0; each may be used by one thread. */
  readonly producer: number;
  readonly steering: SteeringPlan;
  readonly shape: RingShape;
  readonly buffers: readonly SharedArrayBuffer[];
  readonly generation: number;
}

/**
 * The fast path to the shards of a `ShardedNat`, from any thread: batches in shared memory, which a producer fills,
 * hands over, and reads when they are translated. Each producer has a ring of its own to each shard. Handing over
 * copies nothing and allocates nothing.
 *
 * A full ring is told (`acquire` gives null), so nothing is ever lost. Packets with the verdict `punted` and the
 * direction `hairpin` are for another shard: hand them on to `shardOf(packet, HAIRPINNED)`, flagged
 * {@link HAIRPINNED}. What the engine puts out by itself goes to `take` of the `ShardedNat`.
 *
 * @example
 * const producer = new ShardProducer(workerData.handle);    // nat.producer() in the main thread
 * const shard = producer.shardOf(packet);
 * const batch = producer.acquire(shard);                    // null: full, take what is finished first
 * batch.clear();
 * batch.push(packet);
 * producer.submit(shard, now);
 * await producer.whenFinished(shard);
 * producer.finished(shard).verdict(0);
 * producer.release(shard);
 */
export class ShardProducer {
  /** How many shards there are. */
  readonly shards: number;
  readonly #steering: Steering;
  readonly #rings: readonly Ring[];
  readonly #generation: number;

  /** @throws NatError NAT_ERR_ARGUMENT for what is no handle */
  constructor(handle: ProducerHandle) {
    if (typeof handle?.producer !== "number" || !Array.isArray(handle.buffers)) {
      throw new NatError("NAT_ERR_ARGUMENT", "handle: expected what nat.producer() gives");
    }
    const { producer, steering, shape, buffers, generation } = handle;
    this.shards = buffers.length;
    this.#steering = new Steering(steering);
    this.#rings = buffers.map((buffer) => new Ring(buffer, shape, producer + 1)); // 0 is the ShardedNat's own
    this.#generation = generation;
  }

  /**
   * The shard that a packet belongs to, from 0. {@link SHARD_UNKNOWN} is for fragments from outside that came before
   * the first one of their datagram: ask again when that has been steered. All fragments of a datagram have to be
   * steered by one producer. {@link SHARD_DISPUTED}: drop it.
   * @param packet from its IPv4 header on
   * @param flags as in its descriptor
   * @param now ms
   */
  shardOf(packet: Uint8Array, flags = 0, now = 0): number {
    return this.#steering.shardOf(packet, flags, now);
  }

  /** Whether the config has changed since the handle was made; ask for a new one, and carry on with its rings. */
  get isStale(): boolean {
    return this.#rings[0]!.bell.generation !== this.#generation;
  }

  /**
   * The batch to fill next for a shard; null while all are under way.
   * @throws NatError NAT_ERR_SHARD, NAT_ERR_CLOSED
   */
  acquire(shard: number): PacketBatch | null {
    return this.#running(shard).acquire();
  }

  /**
   * Hands the acquired batch over.
   * @param now ms; each packet's time is this plus its descriptor's `delay`
   */
  submit(shard: number, now: number): void {
    const ring = this.#running(shard);
    if (ring.acquire() === null) {
      throw new NatError("NAT_ERR_BATCH", `shard ${shard}: no batch was acquired, all are under way`);
    }
    ring.submit(now);
  }

  /** How many batches a shard was handed that were not released. */
  outstanding(shard: number): number {
    return this.#ring(shard).outstanding;
  }

  /**
   * The oldest batch that a shard has translated; null if there is none yet.
   * @throws NatError NAT_ERR_ARGUMENT when its time was none (release it), NAT_ERR_SHARD, NAT_ERR_CLOSED
   */
  finished(shard: number): PacketBatch | null {
    const batch = this.#ring(shard).finished();
    if (batch === null) this.#running(shard);
    return batch;
  }

  /** Gives the batch of `finished` back, to be filled again. */
  release(shard: number): void {
    const ring = this.#ring(shard);
    if (!ring.hasFinished) throw new NatError("NAT_ERR_BATCH", `shard ${shard}: no batch is finished`);
    ring.release();
  }

  /**
   * Resolves when a shard has finished a batch.
   * @throws NatError NAT_ERR_SHARD, NAT_ERR_CLOSED
   */
  async whenFinished(shard: number): Promise<void> {
    const ring = this.#running(shard);
    await ring.whenFinished();
    if (!ring.hasFinished) this.#running(shard);
  }

  /**
   * The same, blocking this thread.
   * @param timeout ms
   * @returns whether it has
   * @throws NatError NAT_ERR_SHARD, NAT_ERR_CLOSED
   */
  waitFinished(shard: number, timeout = Infinity): boolean {
    const ring = this.#ring(shard);
    if (ring.waitFinished(timeout)) return true;
    this.#running(shard);
    return false;
  }

  #ring(shard: number): Ring {
    const ring = this.#rings[shard];
    if (ring === undefined) {
      throw new NatError("NAT_ERR_ARGUMENT", `shard: ${shard} is not from 0 to ${this.shards - 1}`);
    }
    return ring;
  }

  #running(shard: number): Ring {
    const ring = this.#ring(shard);
    if (ring.bell.isRunning) return ring;
    if (ring.bell.isDead) throw new NatError("NAT_ERR_SHARD", `shard ${shard} has died`);
    throw new NatError("NAT_ERR_CLOSED", "this ShardedNat is closed");
  }
}
