// One shard as its owner's thread sees it: a worker, a ring to it, a port for questions.
import { join } from "node:path";
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from "node:worker_threads";
import { NatError, type NatErrorCode } from "../errors.js";
import type { CompiledConfig, NativePacket } from "../native.js";
import { DESCRIPTOR, DESCRIPTOR_WORDS, type PacketBatch } from "../packet-batch.js";
import type { Questions, ShardSetup, Word } from "./messages.js";
import { makeRings, Ring, type RingShape } from "./ring.js";

/** A packet on its way through a shard. */
export interface Job {
  readonly packet: Uint8Array;
  readonly flags: number;
  readonly wireLength: number;
  readonly tag: number;
  readonly now: number;
  /** It is translated: the batch's result, and the bytes that it has there now. */
  settle(result: number, bytes: Uint8Array): void;
  fail(error: Error): void;
}

export interface ShardOptions {
  readonly number: number;
  readonly config: CompiledConfig;
  readonly seed: BigUint64Array;
  readonly shape: RingShape;
  /** The engine has put packets out. */
  onEmitted(packets: NativePacket[]): void;
}

interface Asked {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

function startWorker(setup: ShardSetup): Worker {
  const options = { workerData: setup, transferList: [setup.port] };
  if (!__filename.endsWith(".ts")) return new Worker(join(__dirname, "worker.js"), options);
  // Tests run the sources, which a worker's own file can't be.
  const source = `require("tsx/cjs"); require(${JSON.stringify(join(__dirname, "worker.ts"))});`;
  return new Worker(source, { ...options, eval: true });
}

/** ms that a worker has to end. */
const PATIENCE = 5000;

const CODES = new Set<string>(["NAT_ERR_ARGUMENT", "NAT_ERR_MEMORY"]);

export class Shard {
  readonly buffer: SharedArrayBuffer;
  readonly #ring: Ring;
  readonly #shape: RingShape;
  readonly #number: number;
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  readonly #port: MessagePort;
  readonly #onEmitted: ShardOptions["onEmitted"];
  readonly #asked = new Map<number, Asked>();
  readonly #queue: Job[] = [];
  readonly #inFlight: Job[][] = [];
  #queued = 0; // where the queue begins: what is before has gone
  #asks = 0;
  #isWatching = false;
  #end: NatError | null = null;
  #ready: Asked | null = null;

  constructor({ number, config, seed, shape, onEmitted }: ShardOptions) {
    this.#number = number;
    this.#shape = shape;
    this.#onEmitted = onEmitted;
    this.buffer = makeRings(shape);
    this.#ring = new Ring(this.buffer, shape, 0);
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    port1.on("message", (word: Word) => this.#hear(word));
    const setup: ShardSetup = { config, seed, buffer: this.buffer, shape, port: port2 };
    this.#worker = startWorker(setup);
    this.#worker.on("error", (error) => this.#die(error.message, error));
    this.#worker.on("exit", (code) => this.#die(`its worker ended with exit code ${code}`));
    this.#exited = new Promise((resolve) => this.#worker.once("exit", () => resolve()));
  }

  /** Resolves when the shard can translate. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#ready = { resolve: () => resolve(), reject };
      if (this.#end !== null) reject(this.#end);
    });
  }

  /** Asks the worker, between two batches. */
  ask<Name extends keyof Questions>(name: Name, ...what: Questions[Name]): Promise<unknown> {
    if (this.#end !== null) return Promise.reject(this.#end);
    return new Promise((resolve, reject) => {
      const id = ++this.#asks;
      this.#asked.set(id, { resolve, reject });
      this.#port.postMessage({ id, ask: name, with: what });
      this.#ring.bell.announce();
    });
  }

  /** Queues a packet; `flush` sends what is queued. */
  put(job: Job): void {
    if (this.#end !== null) job.fail(this.#end);
    else this.#queue.push(job);
  }

  /** Sends what is queued, as far as the ring has room; the rest follows when it has. */
  flush(): void {
    while (this.#queued < this.#queue.length) {
      const batch = this.#ring.acquire();
      if (batch === null) break;
      this.#fill(batch);
    }
    if (this.#queued === this.#queue.length && this.#queued > 0) {
      this.#queue.length = 0;
      this.#queued = 0;
    }
    if (this.#inFlight.length > 0 && !this.#isWatching) void this.#watch();
  }

  /** The config has changed. */
  renew(): void {
    this.#ring.bell.renew();
  }

  /** Ends the worker; what is under way is rejected. */
  async close(): Promise<void> {
    this.#stop(new NatError("NAT_ERR_CLOSED", "this ShardedNat is closed"), false);
    // It leaves by itself, between two batches; if it doesn't, it is made to.
    const impatience = setTimeout(() => void this.#worker.terminate(), PATIENCE);
    await this.#exited;
    clearTimeout(impatience);
  }

  /** Packets of one time, as many as fit. */
  #fill(batch: PacketBatch): void {
    const jobs: Job[] = [];
    const { now } = this.#queue[this.#queued]!;
    const { descriptors, bytes } = batch;
    let offset = 0;
    for (; this.#queued < this.#queue.length && jobs.length < batch.slots; this.#queued++) {
      const job = this.#queue[this.#queued]!;
      const { length } = job.packet;
      if (job.now !== now || (jobs.length > 0 && offset + length > bytes.length)) break;
      if (length > bytes.length) {
        const message = `a packet of ${length} bytes does not fit a batch of ${bytes.length}; give larger "bytes"`;
        job.fail(new NatError("NAT_ERR_BATCH", message));
        continue;
      }
      bytes.set(job.packet, offset);
      const at = jobs.length * DESCRIPTOR_WORDS;
      descriptors[at + DESCRIPTOR.offset] = offset;
      descriptors[at + DESCRIPTOR.length] = length;
      descriptors[at + DESCRIPTOR.wire] = job.wireLength;
      descriptors[at + DESCRIPTOR.flags] = job.flags;
      descriptors[at + DESCRIPTOR.tag] = job.tag;
      descriptors[at + DESCRIPTOR.delay] = 0;
      offset = (offset + length + 63) & ~63;
      jobs.push(job);
    }
    if (jobs.length === 0) return;
    batch.count = jobs.length;
    this.#inFlight.push(jobs);
    this.#ring.submit(now);
  }

  async #watch(): Promise<void> {
    this.#isWatching = true;
    while (this.#inFlight.length > 0 && this.#end === null) {
      await this.#ring.whenFinished();
      if (this.#end !== null || !this.#ring.hasFinished) break; // it is over; `#stop` tells
      this.#reap();
      this.flush();
    }
    this.#isWatching = false;
  }

  /** Settles what is translated. */
  #reap(): void {
    for (let batch = this.#ring.finished(); batch !== null; batch = this.#ring.finished()) {
      const jobs = this.#inFlight.shift()!;
      jobs.forEach((job, slot) => {
        job.settle(batch!.descriptors[slot * DESCRIPTOR_WORDS + DESCRIPTOR.verdict]!, batch!.packet(slot));
      });
      this.#ring.release();
      // What these packets brought out was said before they were done.
      for (let next = receiveMessageOnPort(this.#port); next; next = receiveMessageOnPort(this.#port)) {
        this.#hear(next.message as Word);
      }
    }
  }

  #hear(word: Word): void {
    switch (word.kind) {
      case "ready":
        this.#ready?.resolve(undefined);
        return;
      case "emitted":
        this.#onEmitted(word.packets);
        return;
    }
    const asked = this.#asked.get(word.id);
    this.#asked.delete(word.id);
    if (word.kind === "answer") {
      asked?.resolve(word.value);
    } else {
      const { code = "", message } = word;
      asked?.reject(CODES.has(code) ? new NatError(code as NatErrorCode, message) : new Error(message));
    }
  }

  #die(why: string, cause?: Error & { code?: string }): void {
    if (this.#end !== null) return;
    const memory = cause?.code === "NAT_ERR_MEMORY";
    const code: NatErrorCode = memory ? "NAT_ERR_MEMORY" : "NAT_ERR_SHARD";
    this.#stop(new NatError(code, `shard ${this.#number} has died: ${why}`, { cause }), true);
  }

  #stop(error: NatError, isDead: boolean): void {
    if (this.#end !== null) return;
    this.#end = error;
    this.#ring.bell.end(isDead, this.#shape);
    const jobs = [...this.#inFlight.flat(), ...this.#queue.slice(this.#queued)];
    this.#inFlight.length = this.#queue.length = this.#queued = 0;
    for (const job of jobs) job.fail(error);
    for (const { reject } of this.#asked.values()) reject(error);
    this.#asked.clear();
    this.#ready?.reject(error);
    this.#port.close();
  }
}
