// What a ShardedNat is as an object: options, configs that can't be divided, merged views, its end, its workers' end.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Worker } from "node:worker_threads";
import {
  ConfigError,
  HAIRPINNED,
  MOST_SHARDS,
  type NatConfig,
  NatError,
  type ProducerHandle,
  ShardedNat,
  type ShardedNatOptions,
  ShardProducer,
} from "../../src/index.js";
import { replyTo, tcp, udp } from "../support/packets.js";
import { assertBalanced, CONFIG, ends, one, PUBLIC, through, withShards } from "./lanes.js";

const REMOTE = "198.51.100.7:53";
const HOSTS = Array.from({ length: 8 }, (_, i) => `192.168.226.${130 + i}`);
const question = (host = HOSTS[0]!, port = 4000) => udp({ src: `${host}:${port}`, dst: REMOTE });
const code =
  (expected: string, says = "") =>
  (error: unknown) =>
    error instanceof NatError && error.code === expected && error.message.includes(says);

/** Ends a shard's worker as no call of the API does: its loop believes that it was told to. */
function kill(handle: ProducerHandle, shard: number): void {
  const words = new Int32Array(handle.buffers[shard]!, 0, 16);
  Atomics.store(words, 2, 2);
  Atomics.add(words, 0, 1);
  Atomics.notify(words, 0);
}

describe("options and configs", () => {
  test("bad options are refused with what would be right", async () => {
    const bad: [ShardedNatOptions, string][] = [
      [{ shards: 0 }, "shards: 0 is not a whole number from 1 to 64"],
      [{ shards: 1.5 }, "shards: 1.5"],
      [{ shards: MOST_SHARDS + 1 }, "shards: 65"],
      [{ batches: 6 }, "batches: 6 is no power of two"],
      [{ batches: 1 }, "batches: 1"],
      [{ slots: 0 }, "slots: 0"],
      [{ bytes: 0 }, "bytes: 0"],
      [{ producers: -1 }, "producers: -1"],
      [{ seed: -1 }, "seed: -1"],
      [{ clock: 5 as unknown as () => number }, "clock"],
    ];
    for (const [options, says] of bad) {
      await assert.rejects(ShardedNat.create(CONFIG, options), code("NAT_ERR_ARGUMENT", says));
    }
    await assert.rejects(ShardedNat.create({ ...CONFIG, inside: [] }, { shards: 2 }), ConfigError);
  });

  test("what can't be divided is refused by its key, and one shard takes it", async () => {
    const small = { address: PUBLIC, ports: "2000-2005" };
    const bad: [Partial<NatConfig>, string, string][] = [
      [{ portAssignment: { deterministic: {} } }, "portAssignment.deterministic", "one shard"],
      [{ alg: { pptp: true } }, "alg.pptp", "one shard"],
      [
        {
          protocols: { sctp: true },
          forwards: [{ protocol: "sctp", outside: `${PUBLIC}:80`, inside: `${HOSTS[0]}:80` }],
        },
        "forwards[0].protocol",
        "by its remote",
      ],
      [{ protocols: { gre: true }, outside: ["203.0.113.1", "203.0.113.2"] }, "protocols.gre", "paired"],
      [
        { protocols: { other: true }, limits: { sessionsPerHost: 5 } },
        "protocols.other",
        "limits.sessionsPerHost",
      ],
      [{ outside: [small] }, "outside", "203.0.113.1 has the ports 2000-2005, enough for 3 shards"],
      [{ portAssignment: { blockSize: 20_000 } }, "portAssignment.blockSize", "parts of 20000 ports"],
      [{ limits: { sessions: 3 } }, "limits.sessions", "give at least 4"],
      [{ limits: { sessionRate: 3 } }, "limits.sessionRate", "give at least 4"],
      [{ limits: { icmpErrorRate: 3 } }, "limits.icmpErrorRate", "give at least 4"],
      [{ limits: { fragments: 4 } }, "limits.fragments", "give at least 5"],
    ];
    for (const [keys, path, says] of bad) {
      const config = { ...CONFIG, ...keys };
      await assert.rejects(ShardedNat.create(config, { shards: 4 }), (error: unknown) => {
        assert.ok(error instanceof ConfigError, String(error));
        assert.deepEqual(
          error.issues.map((issue) => issue.path),
          [path],
        );
        assert.ok(error.message.includes(says), error.message);
        return true;
      });
      await withShards(config, 1, async (lane) => {
        await through(lane, question());
      });
    }
  });

  test("limits are divided, and hold in all", async () => {
    await withShards({ ...CONFIG, limits: { sessions: 10, sessionsPerHost: 2 } }, 4, async (lane) => {
      const packets = HOSTS.flatMap((host) => [1, 2, 3, 4].map((port) => question(host, port)));
      await lane.send(packets);
      const { sessions, drops } = await assertBalanced(lane);
      assert.ok(sessions.active <= 10 && sessions.active >= 8, JSON.stringify(sessions));
      assert.equal((drops["session-limit"] ?? 0) + (drops["host-limit"] ?? 0), 32 - sessions.active);
    });
  });

  test("port blocks lie in their shard's part and come to one log", async () => {
    const config = { ...CONFIG, portAssignment: { blockSize: 100 } };
    await withShards(config, 3, async (lane, nat) => {
      const events = nat.conntrack.events({ types: ["block-allocated", "block-released"] });
      await nat.stats(); // the shards have heard of it
      for (const host of HOSTS) await through(lane, question(host));
      for (const _ of HOSTS) {
        const { value } = await events.next();
        assert.ok(value?.type === "block-allocated");
        const { inside, ports } = value;
        const [low, high] = ports;
        assert.equal(high - low, 99);
        const owner = nat.shardOf(question(inside));
        for (const port of [low, high]) {
          assert.equal(nat.shardOf(udp({ src: REMOTE, dst: `${PUBLIC}:${port}` })), owner);
        }
      }
      assert.deepEqual([events.take(), events.lost], [[], 0]);
    });
  });
});

describe("the merged view", () => {
  test("lists, finds, deletes and sweeps sessions of all shards", async () => {
    await withShards(CONFIG, 3, async (lane, nat) => {
      for (const host of HOSTS) await through(lane, question(host));
      await through(lane, tcp({ src: `${HOSTS[0]}:80`, dst: REMOTE, flags: "S" }));
      const all = [];
      for await (const session of nat.conntrack) all.push(session);
      assert.equal(all.length, HOSTS.length + 1);
      assert.deepEqual(new Set(all.map(({ inside }) => inside.address)), new Set(HOSTS));
      assert.equal((await nat.conntrack.filter(({ protocol }) => protocol === "tcp")).length, 1);
      const key = {
        protocol: "udp" as const,
        inside: { address: HOSTS[5]!, port: 4000 },
        remote: { address: "198.51.100.7", port: 53 },
      };
      const found = await nat.conntrack.find(key);
      assert.deepEqual(
        found,
        all.find(({ inside }) => inside.address === HOSTS[5]),
      );
      assert.equal(found!.expiresAt, 300_000);
      assert.equal(await nat.conntrack.delete(key), true);
      assert.equal(await nat.conntrack.delete(key), false);
      assert.equal(await nat.conntrack.find(key), null);
      assert.equal(await nat.conntrack.size(), HOSTS.length);
      assert.equal(await nat.conntrack.sweep(299_999), 1); // TCP's was opening
      assert.equal(await nat.conntrack.sweep(300_000), HOSTS.length - 1);
      assert.equal(await nat.conntrack.size(), 0);
      const { sessions } = await nat.stats();
      assert.deepEqual([sessions.created, sessions.expired, sessions.deleted], [9, 8, 1]);
      await assert.rejects(
        nat.conntrack.find({ ...key, inside: { address: "x", port: 1 } }),
        code("NAT_ERR_ARGUMENT"),
      );
      await assert.rejects(nat.conntrack.sweep(Number.NaN), code("NAT_ERR_ARGUMENT"));
      await assert.rejects(nat.conntrack.at(3, 0), code("NAT_ERR_ARGUMENT", "from 0 to 2"));
    });
  });

  test("sweeps by its clock when it is told to", async () => {
    let time = 0;
    await withShards(
      CONFIG,
      2,
      async (lane, nat) => {
        for (const host of HOSTS) await through(lane, question(host));
        const stop = nat.conntrack.autoSweep(1);
        time = 300_000;
        while ((await nat.stats()).sessions.expired < HOSTS.length) await new Promise(setImmediate);
        stop();
        assert.throws(() => nat.conntrack.autoSweep(0), code("NAT_ERR_ARGUMENT"));
      },
      { clock: () => time },
    );
  });

  test("lists more sessions than one answer holds", async () => {
    await withShards(CONFIG, 2, async (lane, nat) => {
      await lane.send(
        HOSTS.flatMap((host) => Array.from({ length: 250 }, (_, i) => question(host, 1000 + i))),
      );
      const seen = new Set<string>();
      for await (const { inside } of nat.conntrack) seen.add(`${inside.address}:${inside.port}`);
      assert.equal(seen.size, 2000);
    });
  });

  test("explicit mappings are asked of the host's shard", async () => {
    await withShards(CONFIG, 4, async (lane, nat) => {
      for (const host of HOSTS) {
        const endpoint = { protocol: "tcp" as const, inside: { address: host, port: 8080 } };
        const granted = await nat.mappings.request({ ...endpoint, lifetime: 60_000 }, 0);
        assert.ok(granted.reason === null);
        const visitor = tcp({ src: REMOTE, dst: `${PUBLIC}:${granted.outside.port}`, flags: "S" });
        assert.equal(ends(await through(lane, visitor)).dst, `${host}:8080`);
        assert.deepEqual((await nat.mappings.find(endpoint))?.outside, granted.outside);
        assert.equal(await nat.mappings.publicAddressOf(host), PUBLIC);
        assert.equal(await nat.mappings.release(endpoint), true);
        assert.equal(await nat.mappings.release(endpoint), false);
        const peer = { ...endpoint, remote: { address: "198.51.100.9", port: 443 }, lifetime: 1000 };
        assert.equal((await nat.mappings.keep(peer, 0)).reason, null);
        const elsewhere = await nat.mappings.request(
          {
            protocol: "udp",
            inside: { address: host, port: 1 },
            lifetime: 1,
            // A port of another shard.
            outside: { port: ends(await through(lane, question(HOSTS.at(-1)!))).src.endsWith("1") ? 1 : 2 },
            exact: true,
          },
          0,
        );
        assert.equal(elsewhere.reason, "ports-exhausted");
      }
      await assert.rejects(
        nat.mappings.request({ protocol: "tcp", inside: { address: HOSTS[0]!, port: 1 }, lifetime: -1 }, 0),
        code("NAT_ERR_ARGUMENT", "lifetime"),
      );
    });
  });
});

describe("reconfigure", () => {
  test("keeps the sessions that are still legal, and steers by the new config", async () => {
    await withShards(CONFIG, 3, async (lane, nat) => {
      const before = await Promise.all(HOSTS.map((host) => through(lane, question(host))));
      const forward = { protocol: "tcp" as const, outside: "203.0.113.9:80", inside: `${HOSTS[3]}:80` };
      await nat.reconfigure({
        ...CONFIG,
        inside: ["192.168.226.128/29"], // without the last two hosts
        forwards: [forward],
        timeouts: { udp: 100 },
      });
      assert.equal(nat.config.timeouts.udp, 100);
      assert.equal(await nat.conntrack.size(), 6);
      for (const [i, packet] of before.entries()) {
        const { verdict } = await one(lane, replyTo(packet));
        assert.equal(verdict, i < 6 ? "forwarded" : "dropped");
        if (i < 6) assert.deepEqual(ends(await through(lane, question(HOSTS[i]))), ends(packet));
      }
      const visitor = tcp({ src: REMOTE, dst: forward.outside, flags: "S" });
      assert.equal(ends(await through(lane, visitor)).dst, forward.inside);
      const session = await nat.conntrack.filter(({ protocol }) => protocol === "udp");
      assert.ok(session.every(({ expiresAt }) => expiresAt === 100_000));
    });
  });

  test("changes nothing when the new config is wrong or can't be divided", async () => {
    await withShards(CONFIG, 2, async (lane, nat) => {
      const packet = await through(lane, question());
      const { config } = nat;
      await assert.rejects(nat.reconfigure({ ...CONFIG, outside: [] }), ConfigError);
      await assert.rejects(nat.reconfigure({ ...CONFIG, limits: { sessions: 1 } }), ConfigError);
      assert.equal(nat.config, config);
      await through(lane, replyTo(packet));
    });
  });

  test("tells producers that their handle is out of date", async () => {
    await withShards(CONFIG, 2, async (_lane, nat) => {
      const producer = new ShardProducer(nat.producer());
      assert.equal(producer.isStale, false);
      await nat.reconfigure({ ...CONFIG, ttl: "keep" });
      assert.equal(producer.isStale, true);
      assert.equal(new ShardProducer(nat.producer()).isStale, false);
    });
  });
});

describe("the fast path", () => {
  test("batches go round in order, and a full ring is told", async () => {
    await withShards(
      CONFIG,
      2,
      async (lane, nat) => {
        const producer = new ShardProducer(nat.producer());
        const shard = producer.shardOf(question());
        let sent = 0;
        let seen = 0;
        const check = () => {
          for (let batch = producer.finished(shard); batch !== null; batch = producer.finished(shard)) {
            for (let slot = 0; slot < batch.count; slot++) {
              assert.equal(batch.verdict(slot).verdict, "forwarded");
              assert.equal(batch.packet(slot)[5], seen++ & 255, "in order");
            }
            producer.release(shard);
          }
        };
        for (let round = 0; round < 200; round++) {
          let batches = 0;
          for (let batch = producer.acquire(shard); batch !== null; batch = producer.acquire(shard)) {
            batch.clear();
            for (let i = 0; i < 8; i++)
              batch.push(udp({ src: `${HOSTS[0]}:4000`, dst: REMOTE, id: sent++ & 255, df: true }));
            producer.submit(shard, round);
            batches++;
          }
          assert.ok(batches <= 4);
          assert.equal(producer.outstanding(shard), 4);
          assert.throws(() => producer.submit(shard, round), code("NAT_ERR_BATCH", "under way"));
          if (round % 2 === 0) await producer.whenFinished(shard);
          else assert.equal(producer.waitFinished(shard), true);
          check();
        }
        while (producer.outstanding(shard) > 0) {
          await producer.whenFinished(shard);
          check();
        }
        assert.equal(seen, sent);
        assert.throws(() => producer.release(shard), code("NAT_ERR_BATCH", "finished"));
        assert.equal(producer.waitFinished(1 - shard, 5), false);
        assert.equal((await assertBalanced(lane)).packets.in, sent);
      },
      { slots: 8, batches: 4 },
    );
  });

  test("a convenient call of many more packets than all rings hold loses none", async () => {
    await withShards(
      CONFIG,
      2,
      async (lane) => {
        const packets = Array.from({ length: 3000 }, (_, i) => question(HOSTS[i % 8], 1000 + (i % 500)));
        const calls = await Promise.all([lane.send(packets), lane.send(packets), lane.send(packets)]);
        assert.ok(calls.flat().every(({ verdict }) => verdict === "forwarded"));
        assert.equal((await assertBalanced(lane)).packets.in, 9000);
      },
      { slots: 4, batches: 2, bytes: 4096 },
    );
  });

  test("a packet that no batch can hold is refused, and the others go", async () => {
    await withShards(
      CONFIG,
      2,
      async (lane, nat) => {
        await assert.rejects(
          nat.translate(new Uint8Array(5000), { now: 0 }),
          code("NAT_ERR_BATCH", "5000 bytes"),
        );
        await through(lane, question());
        await through(
          lane,
          udp({ src: `${HOSTS[0]}:4000`, dst: REMOTE, payload: new Uint8Array(4096 - 28) }),
        );
      },
      { bytes: 4096 },
    );
  });

  test("hairpinned packets are handed on with their flag, and only with it", async () => {
    await withShards({ ...CONFIG, filtering: "endpoint-independent" }, 2, async (lane, nat) => {
      const producer = new ShardProducer(nat.producer());
      const [a, b] = [
        HOSTS[0]!,
        HOSTS.find((host) => nat.shardOf(question(host)) !== nat.shardOf(question()))!,
      ];
      const target = ends(await through(lane, question(b))).src;
      const pass = async (packet: Uint8Array, flags: number) => {
        const shard = producer.shardOf(packet, flags);
        const batch = producer.acquire(shard)!;
        batch.clear();
        batch.push(packet, { flags });
        producer.submit(shard, 0);
        await producer.whenFinished(shard);
        const done = producer.finished(shard)!;
        const result = { ...done.verdict(0), packet: done.packet(0).slice(), shard };
        producer.release(shard);
        return result;
      };
      const first = await pass(udp({ src: `${a}:4000`, dst: target, ttl: 9 }), 0);
      assert.deepEqual([first.verdict, first.direction], ["punted", "hairpin"]);
      const spoofed = await pass(first.packet, 0);
      assert.deepEqual([spoofed.verdict, spoofed.reason], ["dropped", "invalid-source"]);
      const second = await pass(first.packet, HAIRPINNED);
      assert.deepEqual([second.verdict, second.direction], ["forwarded", "hairpin"]);
      assert.notEqual(second.shard, first.shard);
      assert.equal(ends(second.packet).dst, `${b}:4000`);
      assert.equal(second.packet[8], 8);
      const stray = await pass(udp({ src: REMOTE, dst: target }), HAIRPINNED);
      assert.deepEqual([stray.verdict, stray.reason], ["dropped", "invalid-source"]);
      await assert.rejects(
        nat.translate(question(), { flags: HAIRPINNED, now: 0 }),
        code("NAT_ERR_ARGUMENT", "HAIRPINNED"),
      );
    });
  });

  test("a time that is none is told to who gave it, and the shard lives", async () => {
    await withShards(CONFIG, 2, async (lane, nat) => {
      const producer = new ShardProducer(nat.producer());
      for (const now of [Number.NaN, 1e300]) {
        const batch = producer.acquire(0)!;
        batch.clear();
        batch.push(question());
        producer.submit(0, now);
        await producer.whenFinished(0);
        assert.throws(() => producer.finished(0), code("NAT_ERR_ARGUMENT", String(now)));
        producer.release(0);
      }
      assert.equal((await lane.stats()).packets.in, 0);
      for (const host of HOSTS) await through(lane, question(host));
      await assert.rejects(nat.translate(question(), { now: Number.NaN }), code("NAT_ERR_ARGUMENT", "now"));
    });
  });

  test("threads feed the shards by themselves", async () => {
    await withShards(
      CONFIG,
      2,
      async (lane, nat) => {
        const source = `
          const { workerData, parentPort } = require("node:worker_threads");
          require("tsx/cjs");
          const { ShardProducer } = require(workerData.index);
          const producer = new ShardProducer(workerData.handle);
          let forwarded = 0;
          const packets = workerData.packets.map((packet) => [producer.shardOf(packet), packet]);
          for (let round = 0; round < 100; round++) {
            for (const shard of [0, 1]) {
              const batch = producer.acquire(shard);
              batch.clear();
              for (const [at, packet] of packets) if (at === shard) batch.push(packet);
              producer.submit(shard, round);
            }
            for (const shard of [0, 1]) {
              producer.waitFinished(shard);
              const batch = producer.finished(shard);
              for (let slot = 0; slot < batch.count; slot++) {
                if (batch.verdict(slot).verdict === "forwarded") forwarded++;
              }
              producer.release(shard);
            }
          }
          parentPort.postMessage(forwarded);
        `;
        const index = require.resolve("../../src/index.ts");
        const counts = await Promise.all(
          [0, 1].map((producer) => {
            const packets = HOSTS.map((host) => question(host, 5000 + producer));
            const workerData = { index, handle: nat.producer(producer), packets };
            return new Promise((resolve, reject) => {
              new Worker(source, { eval: true, workerData }).on("message", resolve).on("error", reject);
            });
          }),
        );
        assert.deepEqual(counts, [800, 800]);
        assert.equal((await assertBalanced(lane)).packets.in, 1600);
        assert.equal(await lane.size(), 16);
        assert.throws(() => nat.producer(2), code("NAT_ERR_ARGUMENT", "producer: 2 is not from 0 to 1"));
        assert.throws(() => new ShardProducer({} as ProducerHandle), code("NAT_ERR_ARGUMENT"));
      },
      { producers: 2 },
    );
  });
});

describe("the end", () => {
  test("closing rejects what is under way and all that comes later", async () => {
    const nat = await ShardedNat.create(CONFIG, { shards: 2 });
    const producer = new ShardProducer(nat.producer());
    const waiting = assert.rejects(producer.whenFinished(0), code("NAT_ERR_CLOSED"));
    const asked = assert.rejects(nat.stats(), code("NAT_ERR_CLOSED"));
    const underWay = assert.rejects(
      nat.translateAll(
        Array.from({ length: 20_000 }, (_, i) => question(HOSTS[i % 8], 1 + (i % 60_000))),
        { now: 0 },
      ),
      code("NAT_ERR_CLOSED"),
    );
    await nat.close();
    await Promise.all([waiting, asked, underWay]);
    await nat.close();
    for (const call of [
      () => nat.translate(question()),
      () => nat.translateAll([]),
      () => nat.stats(),
      () => nat.conntrack.size(),
      () => nat.conntrack.sweep(0),
      () => nat.flush(),
      () => nat.reconfigure(CONFIG),
      () => nat.mappings.publicAddressOf(HOSTS[0]!),
    ]) {
      await assert.rejects(call(), code("NAT_ERR_CLOSED"));
    }
    assert.throws(() => nat.producer(), code("NAT_ERR_CLOSED"));
    assert.throws(() => producer.acquire(0), code("NAT_ERR_CLOSED"));
    assert.throws(() => producer.finished(0), code("NAT_ERR_CLOSED"));
    assert.throws(() => producer.waitFinished(0), code("NAT_ERR_CLOSED"));
  });

  test("`await using` closes", async () => {
    let kept: ShardedNat;
    {
      await using nat = await ShardedNat.create(CONFIG, { shards: 2 });
      kept = nat;
      await nat.translate(question(), { now: 0 });
    }
    await assert.rejects(kept.stats(), code("NAT_ERR_CLOSED"));
  });

  test("a dead worker is told to whoever needs it, and nobody hangs", async () => {
    await withShards(CONFIG, 2, async (lane, nat) => {
      const handle = nat.producer();
      const producer = new ShardProducer(handle);
      const host = (shard: number) => HOSTS.find((one) => nat.shardOf(question(one)) === shard)!;
      await through(lane, question(host(0)));
      const waiting = producer.whenFinished(1);
      kill(handle, 1);
      await assert.rejects(waiting, code("NAT_ERR_SHARD", "shard 1"));
      await assert.rejects(nat.stats(), code("NAT_ERR_SHARD", "shard 1 has died"));
      await assert.rejects(nat.translate(question(host(1)), { now: 0 }), code("NAT_ERR_SHARD", "shard 1"));
      await assert.rejects(nat.conntrack.size(), code("NAT_ERR_SHARD"));
      await assert.rejects(nat.reconfigure(CONFIG), code("NAT_ERR_SHARD"));
      assert.throws(() => producer.acquire(1), code("NAT_ERR_SHARD"));
      assert.throws(() => producer.waitFinished(1), code("NAT_ERR_SHARD"));
      // The other one carries on.
      await through(lane, question(host(0)));
      assert.notEqual(producer.acquire(0), null);
    });
  });

  test("packets on their way through a shard that dies reject", async () => {
    const nat = await ShardedNat.create(CONFIG, { shards: 2, slots: 4, batches: 2 });
    const packets = Array.from({ length: 50_000 }, (_, i) => question(HOSTS[i % 8], 1 + (i % 60_000)));
    const underWay = nat.translateAll(packets, { now: 0 });
    queueMicrotask(() => queueMicrotask(() => kill(nat.producer(), 0)));
    await assert.rejects(underWay, code("NAT_ERR_SHARD", "shard 0"));
    await nat.close();
  });
});
