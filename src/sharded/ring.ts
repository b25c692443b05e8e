// Batches on their way to a shard and back: rings in one SharedArrayBuffer a shard.
//
// A ring has one producer, who fills batches in order, and one consumer, the shard's worker, who translates them in
// order. Two counters say how far each is: `submitted` the producer's, `done` the worker's. What lies between is the
// worker's, all else the producer's. Whoever has nothing to do sleeps; the other wakes it. A shard may have several
// rings, one for each producer; its worker sleeps on one bell.
import { NatError } from "../errors.js";
import { PacketBatch } from "../packet-batch.js";

/** How the rings of a shard are laid out. */
export interface RingShape {
  /** Rings: producers. */
  readonly rings: number;
  /** Batches in a ring, a power of two. */
  readonly batches: number;
  /** Packets in a batch. */
  readonly slots: number;
  /** Bytes for the packets of a batch together. */
  readonly bytes: number;
}

// Words of the memory's head, which all rings share.
const BELL = 0; // counts what there is to do
const SLEEPING = 1; // the worker is, or is about to
const STATE = 2; // RUNNING, CLOSED or DEAD
const MESSAGES = 3; // counts messages that wait on the worker's port
const GENERATION = 4; // counts changes of the config
const HEAD = 64;

const RUNNING = 0;
const CLOSED = 1;
const DEAD = 2;

// Words of a ring's head. The counters lie in cache lines of their own.
const SUBMITTED = 0;
const DONE = 16;
const WAITING = 17; // the producer is, or is about to
const RING_HEAD = 128;
const FAILED = 1;

/** Looks that an idle worker takes before it sleeps. */
const SPINS = 200;

const align = (bytes: number) => Math.ceil(bytes / 64) * 64;

function ringBytes({ batches, slots, bytes }: RingShape): number {
  // Times and states of the batches stand before them.
  return RING_HEAD + align(batches * 12) + batches * align(PacketBatch.sizeOf(slots, bytes));
}

/** Makes the memory of a shard's rings. */
export function makeRings(shape: RingShape): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(HEAD + shape.rings * ringBytes(shape));
  for (let ring = 0; ring < shape.rings; ring++) {
    for (let index = 0; index < shape.batches; index++) {
      PacketBatch.format(buffer, batchOffset(shape, ring, index), shape.slots, shape.bytes);
    }
  }
  return buffer;
}

function batchOffset(shape: RingShape, ring: number, index: number): number {
  const first = HEAD + ring * ringBytes(shape) + RING_HEAD + align(shape.batches * 12);
  return first + index * align(PacketBatch.sizeOf(shape.slots, shape.bytes));
}

/** What all rings of a shard share. */
export class Bell {
  readonly #words: Int32Array;

  constructor(readonly buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer, 0, HEAD / 4);
  }

  /** Wakes the worker: there is something to do. */
  ring(): void {
    Atomics.add(this.#words, BELL, 1);
    if (Atomics.load(this.#words, SLEEPING) !== 0) Atomics.notify(this.#words, BELL);
  }

  /** As `ring`, for a message that was posted. */
  announce(): void {
    Atomics.add(this.#words, MESSAGES, 1);
    this.ring();
  }

  /** Messages announced so far. */
  get messages(): number {
    return Atomics.load(this.#words, MESSAGES);
  }

  get heard(): number {
    return Atomics.load(this.#words, BELL);
  }

  /** Sleeps until the bell rings, unless it has since `heard`. */
  sleep(heard: number): void {
    for (let i = 0; i < SPINS; i++) {
      if (Atomics.load(this.#words, BELL) !== heard) return;
    }
    Atomics.store(this.#words, SLEEPING, 1);
    Atomics.wait(this.#words, BELL, heard);
    Atomics.store(this.#words, SLEEPING, 0);
  }

  get isRunning(): boolean {
    return Atomics.load(this.#words, STATE) === RUNNING;
  }
  get isDead(): boolean {
    return Atomics.load(this.#words, STATE) === DEAD;
  }

  /** How often the config has changed. */
  get generation(): number {
    return Atomics.load(this.#words, GENERATION);
  }
  renew(): void {
    Atomics.add(this.#words, GENERATION, 1);
  }

  /** Nothing is translated any more; wakes everybody who waits. */
  end(isDead: boolean, shape: RingShape): void {
    Atomics.compareExchange(this.#words, STATE, RUNNING, isDead ? DEAD : CLOSED);
    this.ring();
    for (let ring = 0; ring < shape.rings; ring++) {
      const words = new Int32Array(this.buffer, HEAD + ring * ringBytes(shape), RING_HEAD / 4);
      Atomics.add(words, WAITING, 1); // so that nobody begins to wait for what will not come
      Atomics.notify(words, DONE);
    }
  }
}

/** One ring, seen from either end. */
export class Ring {
  readonly bell: Bell;
  readonly batches: readonly PacketBatch[];
  readonly #words: Int32Array;
  readonly #times: Float64Array;
  readonly #failed: Int32Array;
  #released = 0; // batches that the producer is through with

  constructor(buffer: SharedArrayBuffer, shape: RingShape, ring: number) {
    this.bell = new Bell(buffer);
    const at = HEAD + ring * ringBytes(shape);
    this.#words = new Int32Array(buffer, at, RING_HEAD / 4);
    this.#times = new Float64Array(buffer, at + RING_HEAD, shape.batches);
    this.#failed = new Int32Array(buffer, at + RING_HEAD + shape.batches * 8, shape.batches);
    this.batches = Array.from(
      { length: shape.batches },
      (_, index) =>
        new PacketBatch(
          buffer,
          batchOffset(shape, ring, index),
          PacketBatch.sizeOf(shape.slots, shape.bytes),
        ),
    );
    this.#released = this.#done;
  }

  get #submitted(): number {
    return Atomics.load(this.#words, SUBMITTED);
  }
  get #done(): number {
    return Atomics.load(this.#words, DONE);
  }
  #index(count: number): number {
    return count & (this.batches.length - 1);
  }

  // The producer's end.

  /** The next batch to fill; null while the ring is full. */
  acquire(): PacketBatch | null {
    const full = ((this.#submitted - this.#released) | 0) >= this.batches.length;
    return full ? null : this.batches[this.#index(this.#submitted)]!;
  }

  /** Hands the acquired batch over. */
  submit(now: number): void {
    const submitted = this.#submitted;
    const index = this.#index(submitted);
    this.#times[index] = now;
    this.#failed[index] = 0;
    Atomics.store(this.#words, SUBMITTED, (submitted + 1) | 0);
    this.bell.ring();
  }

  /** How many batches are handed over and not released. */
  get outstanding(): number {
    return (this.#submitted - this.#released) | 0;
  }

  /** Whether there is a batch for `finished`. */
  get hasFinished(): boolean {
    return this.#done !== this.#released;
  }

  /**
   * The oldest batch that is translated; null if there is none yet.
   * @throws NatError NAT_ERR_ARGUMENT when its time was none; release it all the same
   */
  finished(): PacketBatch | null {
    if (this.#done === this.#released) return null;
    const index = this.#index(this.#released);
    if (this.#failed[index] === FAILED) {
      throw new NatError("NAT_ERR_ARGUMENT", `now: ${this.#times[index]} is not a time in ms`);
    }
    return this.batches[index]!;
  }

  /** Gives the oldest finished batch back to be filled again. */
  release(): void {
    this.#released = (this.#released + 1) | 0;
  }

  /** Resolves when there is a finished batch, or when there will be none. */
  async whenFinished(): Promise<void> {
    while (this.#done === this.#released && this.bell.isRunning) {
      const seen = this.#done;
      Atomics.add(this.#words, WAITING, 1);
      if (this.#done === this.#released && this.bell.isRunning) {
        const { async, value } = Atomics.waitAsync(this.#words, DONE, seen);
        if (async) await value;
      }
      Atomics.sub(this.#words, WAITING, 1);
    }
  }

  /** The same, blocking the thread for up to `timeout` ms. */
  waitFinished(timeout = Infinity): boolean {
    const seen = this.#done;
    if (seen === this.#released && this.bell.isRunning) {
      Atomics.add(this.#words, WAITING, 1);
      if (this.bell.isRunning) Atomics.wait(this.#words, DONE, seen, timeout);
      Atomics.sub(this.#words, WAITING, 1);
    }
    return this.#done !== this.#released;
  }

  // The consumer's end.

  /** The oldest batch to translate, by its index; -1 if there is none. */
  next(): number {
    const done = this.#done;
    return done === this.#submitted ? -1 : this.#index(done);
  }

  timeOf(index: number): number {
    return this.#times[index]!;
  }

  /** The batch of `next` is translated, or was not. */
  complete(hasFailed: boolean): void {
    const done = this.#done;
    if (hasFailed) this.#failed[this.#index(done)] = FAILED;
    Atomics.store(this.#words, DONE, (done + 1) | 0);
    if (Atomics.load(this.#words, WAITING) !== 0) Atomics.notify(this.#words, DONE);
  }
}
