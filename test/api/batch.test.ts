// Batches: shared memory, descriptors, other workers, and whatever nonsense may stand in them.
import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, test } from "node:test";
import { Worker } from "node:worker_threads";
import { DESCRIPTOR, DESCRIPTOR_WORDS, Nat, NatError, PacketBatch } from "../../src/index.js";
import { decode, endpoints, replyTo, tcp, udp } from "../support/packets.js";

const CONFIG = { inside: ["192.168.226.0/24"], outside: ["203.0.113.1"] };
const question = (port = 4000) => udp({ src: `192.168.226.135:${port}`, dst: "198.51.100.7:53", df: true });
const code = (expected: string) => (error: unknown) => error instanceof NatError && error.code === expected;

describe("a batch", () => {
  test("translates its packets in place, in order", () => {
    using nat = new Nat(CONFIG, { seed: 1 });
    using alone = new Nat(CONFIG, { seed: 1 });
    const batch = nat.batch({ slots: 8 });
    const packets = Array.from({ length: 5 }, (_, i) => question(4000 + (i % 3)));
    for (const packet of packets) batch.push(packet);
    assert.equal(nat.translateBatch(batch, 0), 0);
    packets.forEach((packet, slot) => {
      alone.translate(packet, { now: 0 });
      assert.deepEqual(Buffer.from(batch.packet(slot)), Buffer.from(packet));
      assert.equal(batch.verdict(slot).verdict, "forwarded");
      const session = batch.descriptors[slot * DESCRIPTOR_WORDS + DESCRIPTOR.session]!;
      assert.equal(nat.conntrack.at(session - 1)!.inside.port, 4000 + (slot % 3));
    });
    batch.clear();
    assert.equal(nat.translateBatch(batch, 0), 0);
    assert.equal(nat.stats.packets.in, 5);
  });

  test("a packet's delay counts from the batch's time", () => {
    using nat = new Nat({ ...CONFIG, timeouts: { udp: 1 } });
    const batch = nat.batch({ slots: 3 });
    const probe = question();
    nat.translate(probe, { now: 0 });
    const answer = replyTo(probe);
    for (let i = 0; i < 3; i++) batch.push(answer);
    [999_999_998, 999_999_999, 1_000_000_000].forEach((delay, slot) => {
      batch.descriptors[slot * DESCRIPTOR_WORDS + DESCRIPTOR.delay] = delay;
    });
    nat.translateBatch(batch, 0);
    assert.deepEqual(
      [0, 1, 2].map((slot) => batch.verdict(slot).verdict),
      ["forwarded", "forwarded", "dropped"],
    );
  });

  test("leaves padding behind a packet alone, and doesn't count it as the session's", () => {
    using nat = new Nat(CONFIG);
    const batch = nat.batch({ slots: 2 });
    const padded = new Uint8Array(46).fill(0xee);
    padded.set(question());
    for (let i = 0; i < 2; i++) batch.push(padded);
    nat.translateBatch(batch, 0);
    nat.translateBatch(batch, 0); // the same packets, translated already: not from inside any more
    const [session] = [...nat.conntrack];
    assert.deepEqual(session!.bytes, { outbound: 2 * question().length, inbound: 0 });
    assert.ok(
      batch
        .packet(1)
        .subarray(question().length)
        .every((byte) => byte === 0xee),
    );
  });

  test("holds so much and no more", () => {
    using nat = new Nat(CONFIG);
    const batch = nat.batch({ slots: 2, bytes: 100 });
    batch.push(question());
    assert.throws(() => batch.push(new Uint8Array(37)), code("NAT_ERR_BATCH"));
    batch.push(new Uint8Array(36));
    assert.throws(() => batch.push(new Uint8Array(1)), code("NAT_ERR_BATCH"));
    assert.throws(() => {
      batch.count = 3;
    }, code("NAT_ERR_ARGUMENT"));
    for (const options of [
      { slots: 0 },
      { slots: 1.5 },
      { slots: 1e9 },
      { bytes: 0 },
      { bytes: Number.NaN },
    ]) {
      assert.throws(() => nat.batch(options), code("NAT_ERR_ARGUMENT"));
    }
  });

  test("of another Nat, or of none, is refused", () => {
    using nat = new Nat(CONFIG);
    using other = new Nat(CONFIG);
    assert.throws(() => nat.translateBatch(other.batch(), 0), code("NAT_ERR_BATCH"));
    assert.throws(() => nat.translateBatch(PacketBatch.allocate(), 0), code("NAT_ERR_BATCH"));
    assert.throws(() => nat.translateBatch({} as PacketBatch, 0), code("NAT_ERR_BATCH"));
    assert.throws(() => nat.translateBatch(nat.batch(), Number.NaN), code("NAT_ERR_ARGUMENT"));
  });

  test("a view needs the memory of a batch", () => {
    assert.throws(() => new PacketBatch(new SharedArrayBuffer(64)), code("NAT_ERR_BATCH"));
    assert.throws(() => new PacketBatch(new SharedArrayBuffer(8)), code("NAT_ERR_BATCH"));
    assert.throws(
      () => new PacketBatch(new ArrayBuffer(1000) as unknown as SharedArrayBuffer),
      code("NAT_ERR_BATCH"),
    );
  });

  test("descriptors that point anywhere are drops, never a crash", () => {
    using nat = new Nat(CONFIG);
    const batch = nat.batch({ slots: 256, bytes: 4096 });
    let state = 12345;
    const random = () => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      return state;
    };
    for (let round = 0; round < 500; round++) {
      for (let i = 0; i < batch.descriptors.length; i++) {
        const small = random() % 3 !== 0;
        batch.descriptors[i] = small ? random() % 5000 : random();
      }
      for (let i = 0; i < batch.bytes.length; i++) batch.bytes[i] = random() % 4 === 0 ? 0x45 : random();
      batch.count = 256;
      nat.translateBatch(batch, round);
      nat.take();
    }
    const { packets, drops } = nat.stats;
    const dropped = Object.values(drops).reduce((sum, count) => sum + count, 0);
    assert.equal(packets.in, 500 * 256);
    assert.equal(packets.in, packets.out + dropped + packets.held);
  });

  test("a count beyond the slots, written by someone else, is cut", () => {
    using nat = new Nat(CONFIG);
    const batch = nat.batch({ slots: 4 });
    new Uint32Array(batch.buffer, 0, 3)[2] = 0xffffffff;
    nat.translateBatch(batch, 0);
    assert.equal(nat.stats.packets.in, 4);
  });

  test("outlives nothing: batches of dropped Nats are collected", () => {
    for (let i = 0; i < 200; i++) {
      using nat = new Nat(CONFIG);
      nat.batch({ slots: 1, bytes: 1 << 20 });
    }
    globalThis.gc?.();
    assert.ok(true, "no crash in a finalizer");
  });
});

describe("workers", () => {
  test("fill a batch that another thread translates", async () => {
    using nat = new Nat(CONFIG);
    const batch = nat.batch({ slots: 64 });
    const source = `
      const { workerData, parentPort } = require("node:worker_threads");
      require("tsx/cjs");
      const { PacketBatch } = require(workerData.index);
      const batch = new PacketBatch(workerData.buffer);
      for (const packet of workerData.packets) batch.push(packet);
      parentPort.postMessage(batch.count);
    `;
    const packets = Array.from({ length: 64 }, (_, i) => question(1000 + i));
    const index = require.resolve("../../src/index.ts");
    const worker = new Worker(source, { eval: true, workerData: { index, buffer: batch.buffer, packets } });
    assert.deepEqual(await once(worker, "message"), [64]);
    nat.translateBatch(batch, 0);
    assert.equal(batch.count, 64);
    for (let slot = 0; slot < 64; slot++) {
      assert.equal(batch.verdict(slot).verdict, "forwarded");
      assert.equal(endpoints(decode(batch.packet(slot))).src.address, "203.0.113.1");
    }
    await worker.terminate();
  });

  test("run a Nat each, and end in the middle of it", async () => {
    const source = `
      const { workerData, parentPort } = require("node:worker_threads");
      require("tsx/cjs");
      const { Nat } = require(workerData.index);
      const nat = new Nat(workerData.config, { seed: 1 });
      const batch = nat.batch();
      for (const packet of workerData.packets) batch.push(packet);
      nat.translateBatch(batch, 0);
      parentPort.postMessage(Buffer.from(batch.packet(0)));
      for (;;) nat.translateBatch(batch, 0);
    `;
    const index = require.resolve("../../src/index.ts");
    const workers = Array.from({ length: 3 }, () => {
      const packets = [question(), tcp({ src: "192.168.226.1:1", dst: "198.51.100.7:2", flags: "S" })];
      return new Worker(source, { eval: true, workerData: { index, config: CONFIG, packets } });
    });
    const answers = await Promise.all(
      workers.map(async (worker) => (await once(worker, "message"))[0] as Uint8Array),
    );
    assert.equal(new Set(answers.map((bytes) => Buffer.from(bytes).toString("hex"))).size, 1);
    await Promise.all(workers.map((worker) => worker.terminate()));
  });
});
