// The same flows through one Nat and through one to four shards: what comes out means the same.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FROM_OUTSIDE, Nat, type NatConfig, type ShardedNat } from "../../src/index.js";
import {
  decode,
  echo,
  errorAbout,
  fragments,
  fullChecksums,
  raw,
  reassemble,
  replyTo,
  tcp,
  udp,
} from "../support/packets.js";
import {
  assertBalanced,
  assertSound,
  CONFIG,
  ends,
  type Lane,
  one,
  PUBLIC,
  through,
  withEach,
  withShards,
} from "./lanes.js";

const REMOTE = "198.51.100.7";
const HOSTS = Array.from({ length: 12 }, (_, i) => `192.168.226.${130 + i}`);
const FULL_CONE: NatConfig = { ...CONFIG, filtering: "endpoint-independent" };

/** A packet of each protocol that every NAPT carries. */
function flowsOf(host: string, port: number, to = REMOTE): Uint8Array[] {
  return [
    udp({ src: `${host}:${port}`, dst: `${to}:53`, payload: "question" }),
    tcp({ src: `${host}:${port}`, dst: `${to}:443`, flags: "S", seq: 100 }),
    echo({ src: host, dst: to, identifier: port }),
  ];
}

/** The outside endpoint of a new UDP or TCP flow. */
async function publicOf(lane: Lane, host: string, port: number, protocol: "udp" | "tcp" = "udp") {
  const from = { src: `${host}:${port}`, dst: `${REMOTE}:53` };
  return ends(await through(lane, protocol === "udp" ? udp(from) : tcp({ ...from, flags: "S" }))).src;
}

describe("flows through shards", () => {
  test("every one is translated, replies find back, and no endpoint is given twice", async () => {
    await withEach(CONFIG, async (lane) => {
      const packets = HOSTS.flatMap((host) => [4000, 4001, 4002].flatMap((port) => flowsOf(host, port)));
      const sent = await lane.send(packets);
      const owners = new Map<string, string>();
      for (const [i, { verdict, direction, packet }] of sent.entries()) {
        assert.deepEqual([verdict, direction], ["forwarded", "outbound"], lane.name);
        assertSound(packet);
        assert.equal(packet[8], 63);
        const { src, dst } = ends(packet);
        assert.equal(src.split(":")[0], PUBLIC);
        if (packet[9] !== 1) assert.equal(dst, ends(packets[i]!).dst);
        const key = `${packet[9]} ${src}`;
        assert.equal(owners.get(key), undefined, `${lane.name}: ${key} is two flows'`);
        owners.set(key, ends(packets[i]!).src);
      }
      const replies = await lane.send(sent.map(({ packet }) => replyTo(packet)));
      for (const [i, { verdict, direction, packet }] of replies.entries()) {
        assert.deepEqual([verdict, direction], ["forwarded", "inbound"], lane.name);
        assertSound(packet);
        assert.equal(ends(packet).dst, ends(packets[i]!).src);
      }
      const { packets: counted, sessions, protocols } = await assertBalanced(lane);
      assert.equal(counted.in, 2 * packets.length);
      assert.equal(sessions.active, packets.length);
      assert.equal(await lane.size(), packets.length);
      assert.deepEqual(protocols, { tcp: 72, udp: 72, icmp: 72, other: 0 });
    });
  });

  test("hosts spread over all shards, and each shard hands out its own part of the ports", async () => {
    await withShards(CONFIG, 4, async (lane, nat) => {
      const packets = HOSTS.map((host) => udp({ src: `${host}:4000`, dst: `${REMOTE}:53` }));
      const shards = packets.map((packet) => nat.shardOf(packet));
      assert.deepEqual([...new Set(shards)].sort(), [0, 1, 2, 3]);
      const parts = [16384 + 768, 33280 - 0, 49408, 65536]; // where 1024-65535 is cut in four: 16,128 ports each
      assert.deepEqual(
        parts.map((end) => end),
        [17152, 33280, 49408, 65536],
      );
      for (const [i, { packet }] of (await lane.send(packets)).entries()) {
        const port = Number(ends(packet).src.split(":")[1]);
        assert.equal(
          parts.findIndex((end) => port < end),
          shards[i],
        );
        assert.equal(nat.shardOf(replyTo(packet)), shards[i]);
      }
    });
  });

  test("one shard does what a Nat does, byte for byte", async () => {
    using nat = new Nat(CONFIG, { seed: 7 });
    await withShards(
      CONFIG,
      1,
      async (lane) => {
        for (const packet of HOSTS.flatMap((host) => flowsOf(host, 4000))) {
          const sent = await one(lane, packet);
          const alone = Uint8Array.from(packet);
          nat.translate(alone, { now: 0 });
          assert.deepEqual(sent.packet, alone);
        }
      },
      { seed: 7 },
    );
  });

  test("a small range is used up, never shared", async () => {
    const config: NatConfig = { ...CONFIG, outside: [{ address: PUBLIC, ports: "2001-2023" }] };
    await withEach(config, async (lane) => {
      const packets = HOSTS.flatMap((host) =>
        [1, 2, 3, 4].map((port) => udp({ src: `${host}:${port}`, dst: `${REMOTE}:53` })),
      );
      const sent = await lane.send(packets);
      const out = sent.filter(({ verdict }) => verdict === "forwarded").map(({ packet }) => ends(packet).src);
      assert.equal(new Set(out).size, out.length);
      assert.equal(out.length, 23, lane.name); // 48 flows of 12 hosts use every part up
      const { drops } = await assertBalanced(lane);
      assert.deepEqual(drops, { "ports-exhausted": 48 - 23 });
    });
  });

  test("a batch's order is kept: a connection opens, talks and closes in one call", async () => {
    await withEach(CONFIG, async (lane) => {
      const flow = { src: `${HOSTS[3]}:4000`, dst: `${REMOTE}:80` };
      const sent = await lane.send([
        tcp({ ...flow, flags: "S", seq: 1 }),
        tcp({ ...flow, flags: "A", seq: 2 }),
        tcp({ ...flow, flags: "FA", seq: 2 }),
      ]);
      assert.ok(sent.every(({ verdict }) => verdict === "forwarded"));
      assert.equal(await lane.size(), 1);
    });
  });

  test("non-atomic datagrams of different shards' hosts never leave with one identification", async () => {
    await withEach(CONFIG, async (lane) => {
      const sent = await lane.send(
        HOSTS.flatMap((host) =>
          [77, 78, 79].map((id) => udp({ src: `${host}:4000`, dst: `${REMOTE}:53`, id, df: false })),
        ),
      );
      const ids = sent.map(({ packet }) => decode(packet).id);
      assert.equal(new Set(ids).size, ids.length, lane.name);
      for (const { packet } of sent) assertSound(packet);
    });
  });
});

describe("hairpinning within and between shards", () => {
  test("UDP: all pairs of hosts reach each other by their public endpoints", async () => {
    await withEach(FULL_CONE, async (lane) => {
      const opened = await lane.send(HOSTS.map((host) => udp({ src: `${host}:4000`, dst: `${REMOTE}:53` })));
      const addresses = opened.map(({ packet }) => ends(packet).src);
      const before = (await assertBalanced(lane)).packets;
      let pairs = 0;
      for (const [i, host] of HOSTS.entries()) {
        const questions = addresses.map((dst) => udp({ src: `${host}:4000`, dst, payload: "hello", ttl: 9 }));
        for (const [j, { packet, ...verdict }] of (await lane.send(questions)).entries()) {
          assert.deepEqual(verdict, { verdict: "forwarded", direction: "hairpin", reason: null }, lane.name);
          assert.deepEqual(ends(packet), { src: addresses[i], dst: `${HOSTS[j]}:4000` });
          assert.equal(packet[8], 8, "one hop");
          assertSound(packet);
          pairs++;
        }
      }
      const { packets, bytes } = await assertBalanced(lane);
      assert.equal(packets.hairpin, pairs);
      assert.equal(packets.in - before.in, pairs);
      assert.equal(packets.out - before.out, pairs);
      assert.equal(bytes.in, bytes.out);
    });
  });

  test("TCP: a connection opens, talks and closes between two hosts", async () => {
    await withEach(FULL_CONE, async (lane) => {
      for (const [a, b] of [HOSTS.slice(0, 2), HOSTS.slice(2, 4), HOSTS.slice(5, 7)] as [string, string][]) {
        const server = await publicOf(lane, b, 80, "tcp");
        const client = await through(
          lane,
          tcp({ src: `${a}:5000`, dst: server, flags: "S", seq: 100, window: 1000 }),
        );
        assert.equal(ends(client).dst, `${b}:80`);
        const back = ends(client).src;
        const answer = await through(
          lane,
          tcp({ src: `${b}:80`, dst: back, flags: "SA", seq: 500, ack: 101, window: 1000 }),
        );
        assert.deepEqual(ends(answer), { src: server, dst: `${a}:5000` });
        await through(lane, tcp({ src: `${a}:5000`, dst: server, flags: "A", seq: 101, ack: 501 }));
        await through(lane, tcp({ src: `${b}:80`, dst: back, flags: "FA", seq: 501, ack: 101 }));
        await through(lane, tcp({ src: `${a}:5000`, dst: server, flags: "FA", seq: 101, ack: 502 }));
      }
      await assertBalanced(lane);
    });
  });

  test("filtering holds as if from outside, and a filtered packet keeps its bytes", async () => {
    await withEach(CONFIG, async (lane) => {
      for (const [a, b] of [HOSTS.slice(0, 2), HOSTS.slice(2, 4)] as [string, string][]) {
        const target = await publicOf(lane, b, 4000);
        const question = udp({ src: `${a}:4000`, dst: target });
        const sent = await one(lane, question);
        assert.deepEqual([sent.verdict, sent.direction, sent.reason], ["dropped", "hairpin", "filtered"]);
        assert.deepEqual(sent.packet, question);
        // Once b has sent something there, a may answer.
        const source = await publicOf(lane, a, 4000);
        const opening = await one(lane, udp({ src: `${b}:4000`, dst: source }));
        assert.equal(opening.verdict, "forwarded"); // a has sent to b's endpoint, which permits it
        assert.equal(ends(await through(lane, question)).dst, `${b}:4000`);
      }
      const { drops, packets } = await assertBalanced(lane);
      assert.deepEqual(drops, { filtered: 2 });
      assert.equal(packets.hairpin, 6);
    });
  });

  test("nobody's endpoint is no-mapping, with hairpinning off all are refused", async () => {
    await withEach(CONFIG, async (lane) => {
      for (const port of [1024, 20_000, 40_000, 60_000, 80]) {
        const sent = await one(lane, udp({ src: `${HOSTS[0]}:4000`, dst: `${PUBLIC}:${port}` }));
        assert.deepEqual([sent.verdict, sent.direction, sent.reason], ["dropped", "hairpin", "no-mapping"]);
      }
      assert.deepEqual((await assertBalanced(lane)).drops, { "no-mapping": 5 });
    });
    await withEach({ ...FULL_CONE, hairpinning: false }, async (lane) => {
      for (const b of HOSTS.slice(1, 4)) {
        const sent = await one(lane, udp({ src: `${HOSTS[0]}:4000`, dst: await publicOf(lane, b, 4000) }));
        assert.deepEqual([sent.verdict, sent.reason], ["dropped", "hairpinning-off"]);
      }
      await assertBalanced(lane);
    });
  });

  test("a public source from outside stays spoofed, whatever shard it names", async () => {
    await withEach(FULL_CONE, async (lane) => {
      const targets = await Promise.all(HOSTS.slice(0, 4).map((host) => publicOf(lane, host, 4000)));
      for (const dst of targets) {
        for (const src of targets) {
          const sent = await one(lane, udp({ src, dst }));
          assert.deepEqual([sent.verdict, sent.reason], ["dropped", "invalid-source"]);
        }
      }
      await assertBalanced(lane);
    });
  });

  test("its last hop is spent where it begins", async () => {
    await withEach(FULL_CONE, async (lane) => {
      for (const b of HOSTS.slice(1, 4)) {
        const dst = await publicOf(lane, b, 4000);
        const last = await one(lane, udp({ src: `${HOSTS[0]}:4000`, dst, ttl: 1 }));
        assert.equal(last.reason, "ttl-expired");
        assert.equal((await through(lane, udp({ src: `${HOSTS[0]}:4000`, dst, ttl: 2 })))[8], 1);
      }
    });
    await withEach({ ...FULL_CONE, ttl: "keep" }, async (lane) => {
      const dst = await publicOf(lane, HOSTS[1]!, 4000);
      assert.equal((await through(lane, udp({ src: `${HOSTS[0]}:4000`, dst, ttl: 1 })))[8], 1);
    });
  });

  test("echo to a 1:1 host, and its reply", async () => {
    const statics = HOSTS.slice(0, 4).map((inside, i) => ({ outside: `203.0.113.${65 + i}`, inside }));
    await withEach({ ...CONFIG, static: statics }, async (lane) => {
      for (const { outside, inside } of statics) {
        for (const host of HOSTS.slice(2, 9)) {
          if (host === inside) continue;
          const asked = await through(lane, echo({ src: host, dst: outside, identifier: 9 }));
          assert.equal(decode(asked).dst, inside);
          const reply = await through(lane, replyTo(asked));
          assert.deepEqual(ends(reply), { src: `${outside}:9`, dst: `${host}:9` });
        }
      }
      await assertBalanced(lane);
    });
  });

  test("an ICMP error about a hairpinned packet finds its sender", async () => {
    await withEach(FULL_CONE, async (lane) => {
      for (const [a, b] of [HOSTS.slice(0, 2), HOSTS.slice(2, 4), HOSTS.slice(3, 5)] as [string, string][]) {
        const [source, target] = [await publicOf(lane, a, 4000), await publicOf(lane, b, 4000)];
        const original = udp({ src: `${a}:4000`, dst: target, payload: "anybody there?", ttl: 9, id: 5 });
        const arrived = await through(lane, original);
        const error = errorAbout(arrived, { src: b, dst: PUBLIC, type: 3, code: 3, ttl: 20 });
        const told = decode(await through(lane, error));
        assert.deepEqual([told.src, told.dst, told.ttl], [PUBLIC, a, 19]);
        assert.ok(told.body.kind === "icmp");
        const quoted = decode(told.body.payload);
        assert.deepEqual(ends(told.body.payload), { src: `${a}:4000`, dst: target });
        assert.equal(quoted.id, 5);
        assert.deepEqual(told.body.payload, fullChecksums(told.body.payload));
        // About nothing that was ever sent.
        const lie = errorAbout(udp({ src: source, dst: `${b}:9` }), {
          src: b,
          dst: PUBLIC,
          type: 3,
          code: 3,
        });
        assert.equal((await one(lane, lie)).reason, "icmp-no-session");
      }
      await assertBalanced(lane);
    });
  });

  test("fragments follow their first one to the other host, in and out of order", async () => {
    await withEach(FULL_CONE, async (lane) => {
      let id = 1;
      for (const [a, b] of [HOSTS.slice(0, 2), HOSTS.slice(2, 4), [HOSTS[5]!, HOSTS[5]!]] as [
        string,
        string,
      ][]) {
        const source = await publicOf(lane, a, 4000);
        const dst = await publicOf(lane, b, b === a ? 4001 : 4000);
        for (const order of [
          [0, 1, 2],
          [1, 0, 2],
          [2, 1, 0],
        ]) {
          const whole = udp({ src: `${a}:4000`, dst, payload: "x".repeat(100), id: id++, ttl: 7 });
          const pieces = fragments(whole, [40, 80]);
          const sent = await lane.send(order.map((i) => pieces[i]!));
          const late = lane.take();
          const at = order.indexOf(0);
          assert.deepEqual(
            sent.map(({ verdict }) => verdict),
            order.map((_, i) => (i < at ? "held" : "forwarded")),
            lane.name,
          );
          assert.ok(sent.every(({ direction }) => direction === "hairpin"));
          assert.deepEqual(
            late.map(({ kind, side, tag }) => [kind, side, tag]),
            order.slice(0, at).map((_, i) => ["fragment", "inside", i + 1]),
          );
          const arrived = [...sent.filter(({ verdict }) => verdict === "forwarded"), ...late].map(
            (p) => p.packet,
          );
          const together = reassemble(arrived)!;
          assertSound(together);
          assert.deepEqual(ends(together), { src: source, dst: `${b}:${b === a ? 4001 : 4000}` });
          assert.ok(
            arrived.every((packet) => packet[8] === 6),
            "one hop each",
          );
          assert.equal(new Set(arrived.map((packet) => decode(packet).id)).size, 1);
        }
      }
      const { packets } = await assertBalanced(lane);
      assert.equal(packets.held, 0);
    });
  });
});

describe("fragments", () => {
  for (const order of [
    [0, 1, 2],
    [1, 2, 0],
    [2, 0, 1],
  ]) {
    test(`in the order ${order.join(" ")} find their way, both ways`, async () => {
      await withEach(CONFIG, async (lane) => {
        for (const [i, host] of HOSTS.entries()) {
          const question = udp({
            src: `${host}:4000`,
            dst: `${REMOTE}:53`,
            payload: "q".repeat(100),
            id: 100 + i,
          });
          const opened = await through(lane, udp({ src: `${host}:4000`, dst: `${REMOTE}:53` }));
          const answer = udp({
            src: `${REMOTE}:53`,
            dst: ends(opened).src,
            payload: "a".repeat(100),
            id: 100 + i,
          });
          for (const [packet, direction] of [
            [question, "outbound"],
            [answer, "inbound"],
          ] as const) {
            const pieces = fragments(packet, [40, 80]);
            const sent = [];
            for (const [tag, piece] of order.map((at, tag) => [tag, pieces[at]!] as const)) {
              const result = await one(lane, piece);
              assert.equal(result.direction, direction);
              assert.equal(result.verdict, tag < order.indexOf(0) ? "held" : "forwarded", lane.name);
              if (result.verdict === "forwarded") sent.push(result.packet);
            }
            const late = lane.take();
            assert.equal(late.length, order.indexOf(0));
            for (const { kind, side } of late) {
              assert.deepEqual([kind, side], ["fragment", direction === "outbound" ? "outside" : "inside"]);
            }
            const together = reassemble([...sent, ...late.map((l) => l.packet)])!;
            assertSound(together);
            const { src, dst } = ends(together);
            assert.equal(
              direction === "outbound" ? src : dst,
              direction === "outbound" ? ends(opened).src : `${host}:4000`,
            );
          }
        }
        const { packets } = await assertBalanced(lane);
        assert.equal(packets.held, 0);
      });
    });
  }

  test("orphans die in time and within limits, and are counted once", async () => {
    const config: NatConfig = { ...CONFIG, limits: { fragments: 25 }, timeouts: { fragment: 10 } };
    await withEach(config, async (lane) => {
      const orphan = (id: number) =>
        fragments(udp({ src: `${REMOTE}:53`, dst: `${PUBLIC}:4000`, payload: "a".repeat(50), id }), [24])[1]!;
      const sent = await lane.send([1, 2, 3].map(orphan), 0);
      assert.ok(sent.every(({ verdict, direction }) => verdict === "held" && direction === "inbound"));
      const waiting = await assertBalanced(lane);
      assert.deepEqual([waiting.packets.held, waiting.packets.in, waiting.packets.inbound], [3, 3, 3]);
      await lane.send([orphan(4)], 9_999);
      assert.equal((await assertBalanced(lane)).packets.held, 4);
      await lane.send([orphan(5)], 10_000);
      const late = await assertBalanced(lane);
      assert.deepEqual(late.drops, { "fragment-timeout": 3 }, lane.name);
      assert.equal(late.packets.held, 2);
      assert.deepEqual(
        lane.take().map(({ kind, tag }) => `${kind} ${tag}`),
        ["discarded 1", "discarded 2", "discarded 3"],
      );
      // Beyond the limit the datagram that waits longest makes room.
      const many = await lane.send(
        Array.from({ length: 40 }, (_, i) => orphan(100 + i)),
        10_001,
      );
      assert.ok(
        many.every(({ verdict }) => verdict === "held"),
        lane.name,
      );
      const full = await assertBalanced(lane);
      assert.ok(full.packets.held <= 25);
      assert.equal(full.drops["fragment-limit"], 42 - full.packets.held);
      assert.equal(full.packets.in, 45);
    });
  });

  test("of a datagram that two first ones claim go nowhere", async () => {
    await withEach(FULL_CONE, async (lane) => {
      const [a, b] = [await publicOf(lane, HOSTS[0]!, 4000), await publicOf(lane, HOSTS[1]!, 4000)];
      const [first, rest] = fragments(
        udp({ src: `${REMOTE}:53`, dst: a, payload: "a".repeat(50), id: 7 }),
        [24],
      );
      const [forged] = fragments(udp({ src: `${REMOTE}:53`, dst: b, payload: "a".repeat(50), id: 7 }), [24]);
      await lane.send([first!, forged!]);
      const sent = await one(lane, rest!);
      assert.deepEqual(
        [sent.verdict, sent.direction, sent.reason],
        ["dropped", "inbound", "fragment-refused"],
      );
      assert.deepEqual(sent.packet, rest);
      await assertBalanced(lane);
    });
  });
});

describe("ICMP errors", () => {
  test("from outside find the sender of what they quote", async () => {
    await withEach(CONFIG, async (lane) => {
      for (const host of HOSTS) {
        for (const original of flowsOf(host, 4000)) {
          const gone = await through(lane, original);
          const error = errorAbout(gone, { src: "192.0.2.1", dst: PUBLIC, type: 11 });
          const told = decode(await through(lane, error));
          assert.equal(told.dst, host);
          assert.ok(told.body.kind === "icmp");
          assert.equal(ends(told.body.payload).src, ends(original).src);
          assertSound(told.body.payload);
        }
      }
      await assertBalanced(lane);
    });
  });

  test("from inside go by the host that they are about, whoever sends them", async () => {
    await withEach(CONFIG, async (lane) => {
      for (const host of HOSTS) {
        const gone = await through(lane, udp({ src: `${host}:4000`, dst: `${REMOTE}:53`, id: 3 }));
        const arrived = await through(lane, replyTo(gone));
        for (const src of [host, "192.168.226.1", "192.168.226.2"]) {
          const told = decode(
            await through(lane, errorAbout(arrived, { src, dst: REMOTE, type: 3, code: 1 })),
          );
          assert.equal(told.src, PUBLIC);
          assert.ok(told.body.kind === "icmp");
          assert.equal(ends(told.body.payload).dst, ends(gone).src);
        }
      }
      await assertBalanced(lane);
    });
  });

  test("of the shards' own come out by take", async () => {
    await withEach({ ...CONFIG, icmpErrors: true }, async (lane) => {
      for (const host of HOSTS) await one(lane, udp({ src: `${host}:4000`, dst: `${REMOTE}:53`, ttl: 1 }));
      const errors = lane.take();
      assert.equal(errors.length, HOSTS.length);
      assert.deepEqual(
        errors.map(({ kind, side, packet }) => [kind, side, decode(packet).src, decode(packet).dst]),
        HOSTS.map((host) => ["icmp", "inside", PUBLIC, host]),
      );
      assert.equal((await assertBalanced(lane)).packets.originated, HOSTS.length);
    });
  });
});

describe("what the config maps", () => {
  const forwards = HOSTS.slice(0, 6).flatMap((host, i) => [
    { protocol: "tcp" as const, outside: `${PUBLIC}:${2000 + i * 11_000}`, inside: `${host}:80` },
    { protocol: "udp" as const, outside: `203.0.113.9:${53 + i}`, inside: `${host}:53` },
  ]);
  const statics = HOSTS.slice(6, 9).map((inside, i) => ({ outside: `203.0.113.${65 + i}`, inside }));
  const config: NatConfig = { ...CONFIG, forwards, static: statics };

  test("forwards lead to their hosts, from outside and from other hosts", async () => {
    await withEach(config, async (lane) => {
      for (const { protocol, outside, inside } of forwards) {
        const packetTo = (src: string) =>
          protocol === "tcp" ? tcp({ src, dst: outside, flags: "S" }) : udp({ src, dst: outside });
        const arrived = await through(lane, packetTo(`${REMOTE}:999`));
        assert.equal(ends(arrived).dst, inside);
        assert.equal(ends(await through(lane, replyTo(arrived))).src, outside);
        for (const host of HOSTS.slice(0, 8)) {
          if (inside.startsWith(`${host}:`)) continue;
          const hairpinned = await through(lane, packetTo(`${host}:6000`));
          assert.equal(ends(hairpinned).dst, inside);
          const answer = await through(lane, replyTo(hairpinned));
          assert.deepEqual(ends(answer), { src: outside, dst: `${host}:6000` });
        }
      }
      await assertBalanced(lane);
    });
  });

  test("a forward's port is never handed out, whichever shard's part it is in", async () => {
    const crowded: NatConfig = {
      ...CONFIG,
      outside: [{ address: PUBLIC, ports: "2000-2015" }],
      forwards: HOSTS.slice(0, 8).map((host, i) => ({
        protocol: "udp" as const,
        outside: `${PUBLIC}:${2000 + 2 * i}`,
        inside: `${host}:53`,
      })),
    };
    await withEach(crowded, async (lane) => {
      const packets = HOSTS.flatMap((host) =>
        [1, 2, 3].map((port) => udp({ src: `${host}:${port}`, dst: `${REMOTE}:5` })),
      );
      const out = (await lane.send(packets)).filter(({ verdict }) => verdict === "forwarded");
      const ports = out.map(({ packet }) => Number(ends(packet).src.split(":")[1]));
      assert.deepEqual(ports.sort(), [2001, 2003, 2005, 2007, 2009, 2011, 2013, 2015], lane.name);
    });
  });

  test("1:1 hosts keep their ports, both ways and among each other", async () => {
    await withEach(config, async (lane) => {
      for (const { outside, inside } of statics) {
        const gone = await through(lane, udp({ src: `${inside}:777`, dst: `${REMOTE}:53` }));
        assert.equal(ends(gone).src, `${outside}:777`);
        assert.equal(ends(await through(lane, replyTo(gone))).dst, `${inside}:777`);
        const visitor = await through(lane, tcp({ src: `${REMOTE}:1`, dst: `${outside}:22`, flags: "S" }));
        assert.equal(ends(visitor).dst, `${inside}:22`);
        for (const other of statics) {
          const between = await through(lane, udp({ src: `${inside}:5`, dst: `${other.outside}:6` }));
          assert.deepEqual(ends(between), { src: `${outside}:5`, dst: `${other.inside}:6` });
        }
        const [first, rest] = fragments(
          udp({ src: `${REMOTE}:5`, dst: `${outside}:6`, payload: "x".repeat(60) }),
          [24],
        );
        await through(lane, first!);
        assert.equal(decode((await one(lane, rest!)).packet).dst, inside);
      }
      await assertBalanced(lane);
    });
  });

  test("transports without ports go by their remote, both ways, between hosts, and in errors", async () => {
    const more: NatConfig = { ...config, protocols: { gre: true, esp: true } };
    await withEach(more, async (lane) => {
      const payload = "some encapsulated bytes!";
      let crossed = false;
      for (const [i, host] of HOSTS.entries()) {
        for (const protocol of [47, 50]) {
          const remote = `198.51.100.${i + 1}`;
          const gone = await through(lane, raw({ src: host, dst: remote, protocol, payload }));
          const back = await through(lane, raw({ src: remote, dst: decode(gone).src, protocol, payload }));
          assert.equal(decode(back).dst, host);
          const told = await through(
            lane,
            errorAbout(gone, { src: "192.0.2.1", dst: decode(gone).src, type: 3 }),
          );
          assert.equal(decode(told).dst, host);
          const answered = await through(
            lane,
            errorAbout(back, { src: host, dst: remote, type: 3, code: 2 }),
          );
          assert.equal(decode(answered).src, decode(gone).src);
          // One remote has one host, so only one can talk to the first 1:1 host.
          for (const { outside, inside } of crossed ? [] : statics) {
            if (host === inside) continue;
            const between = await through(lane, raw({ src: host, dst: outside, protocol, payload }));
            assert.equal(decode(between).dst, inside);
            const reply = await through(
              lane,
              raw({ src: inside, dst: decode(between).src, protocol, payload }),
            );
            assert.deepEqual([decode(reply).src, decode(reply).dst], [outside, host]);
            crossed = true;
            break;
          }
        }
      }
      await assertBalanced(lane);
    });
  });
});

describe("anything at all", () => {
  test("garbage is dropped for the reasons that a Nat gives, and counted", async () => {
    const reasons: string[] = [];
    await withEach(CONFIG, async (lane) => {
      let state = 99;
      const random = (below: number) => {
        state = (Math.imul(state, 1103515245) + 12345) >>> 0;
        return (state >>> 8) % below;
      };
      const packets = Array.from({ length: 3000 }, (_, i) => {
        const host = HOSTS[random(12)]!;
        const outward = i % 2 === 0;
        const base = [
          udp({
            src: outward ? `${host}:${random(65536)}` : `${REMOTE}:53`,
            dst: outward ? `${REMOTE}:53` : `${PUBLIC}:${random(65536)}`,
          }),
          tcp({
            src: outward ? `${host}:5` : `${REMOTE}:5`,
            dst: outward ? `${REMOTE}:5` : `${PUBLIC}:${random(65536)}`,
          }),
          errorAbout(
            udp({
              src: outward ? `${REMOTE}:1` : `${PUBLIC}:${random(65536)}`,
              dst: outward ? `${host}:1` : `${REMOTE}:1`,
            }),
            { src: outward ? host : REMOTE, dst: outward ? REMOTE : PUBLIC, type: 3 },
          ),
        ][random(3)]!;
        const damaged = base.slice(0, random(4) === 0 ? random(base.length + 1) : base.length);
        for (let n = random(4); n > 0; n--)
          if (damaged.length > 0) damaged[random(damaged.length)] = random(256);
        return damaged;
      });
      const sent = await lane.send(packets, 0);
      for (const [i, { verdict, packet }] of sent.entries()) {
        if (verdict !== "forwarded") assert.deepEqual(packet, packets[i]);
      }
      const { drops, packets: counted } = await assertBalanced(lane);
      assert.equal(counted.in, 3000);
      const early = { ...drops } as Record<string, number>;
      reasons.push(
        JSON.stringify(
          [
            // Not "malformed": a fragment that is too short waits, as it may have been cut.
            "header-checksum",
            "unsupported-protocol",
            "unmatched",
            "icmp-checksum",
            "icmp-embedded",
          ].map((reason) => early[reason] ?? 0),
        ),
      );
    });
    assert.equal(new Set(reasons).size, 1, reasons.join("\n"));
  });

  test("a random conversation has the same verdicts in shards as in a Nat", async () => {
    for (const [seed, config] of [
      [1, FULL_CONE],
      [2, CONFIG],
      [3, { ...CONFIG, filtering: "address-dependent", mapping: "address-dependent" }],
      [4, { ...CONFIG, mapping: "address-and-port-dependent" }],
    ] as [number, NatConfig][]) {
      const transcripts: string[][] = [];
      await withEach(config, async (lane) => {
        const transcript: string[] = [];
        let state = seed * 7919;
        const random = (below: number) => {
          state = (Math.imul(state, 1103515245) + 12345) >>> 0;
          return (state >>> 8) % below;
        };
        // Public endpoints, of each protocol its own: those of the other's would be hit by chance.
        const known: string[] = [];
        const knownTcp: string[] = [];
        const gone: Uint8Array[] = [];
        for (let step = 0; step < 400; step++) {
          const host = HOSTS[random(12)]!;
          const src = `${host}:${4000 + random(3)}`;
          const kind = random(6);
          const target = known.length > 0 ? known[random(known.length)]! : `${REMOTE}:53`;
          const tcpTarget =
            random(2) === 0 && knownTcp.length > 0 ? knownTcp[random(knownTcp.length)]! : `${REMOTE}:80`;
          const last = gone.length > 0 ? gone[random(gone.length)]! : null;
          const packet =
            kind === 0 || last === null
              ? udp({ src, dst: `198.51.100.${random(3)}:53` })
              : kind === 1
                ? replyTo(last)
                : kind === 2
                  ? udp({ src, dst: target })
                  : kind === 3
                    ? udp({ src: `198.51.100.${random(3)}:${53 + random(2)}`, dst: target })
                    : kind === 4
                      ? errorAbout(last, { src: "192.0.2.1", dst: PUBLIC, type: 3 })
                      : tcp({ src, dst: tcpTarget, flags: "S", seq: step });
          const sent = await one(lane, packet, step, kind === 3 ? FROM_OUTSIDE : 0);
          transcript.push(`${step} ${kind} ${sent.verdict} ${sent.direction} ${sent.reason}`);
          if (sent.verdict !== "forwarded") continue;
          assertSound(sent.packet);
          if (sent.direction === "outbound" && kind !== 4) {
            gone.push(sent.packet);
            const source = ends(sent.packet).src;
            const list = sent.packet[9] === 6 ? knownTcp : known;
            if (!list.includes(source)) list.push(source);
          }
        }
        const { packets, drops, sessions } = await assertBalanced(lane);
        transcript.push(JSON.stringify([packets, drops, sessions.created]));
        transcripts.push(transcript);
      });
      for (const transcript of transcripts.slice(1)) assert.deepEqual(transcript, transcripts[0]);
    }
  });
});

test("neighbours in the lists above are of one shard and of two", async () => {
  for (const shards of [2, 3, 4]) {
    await withShards(CONFIG, shards, async (_lane, nat: ShardedNat) => {
      const shardOf = (host: string) => nat.shardOf(udp({ src: `${host}:1`, dst: `${REMOTE}:1` }));
      for (const starts of [
        [0, 2],
        [0, 2, 3],
        [0, 2, 5],
      ]) {
        const pairs = starts.map((at) => HOSTS.slice(at, at + 2).map(shardOf));
        assert.ok(
          pairs.some(([a, b]) => a !== b),
          `${shards} shards: ${JSON.stringify(pairs)}`,
        );
      }
      const all = HOSTS.slice(0, 8).map(shardOf);
      assert.ok(all.some((shard, i) => all.indexOf(shard) < i));
    });
  }
});
