// What the plan gives each shard, and where the steering sends packets, agree: without any worker, up to 64 shards.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseIpv4 } from "../../src/config/cidr.js";
import { parseConfig } from "../../src/config/load.js";
import { HAIRPINNED, MOST_SHARDS, type NatConfig, SHARD_DISPUTED, SHARD_UNKNOWN } from "../../src/index.js";
import { planShards } from "../../src/sharded/plan.js";
import { Steering } from "../../src/sharded/steering.js";
import { fragments, raw, replyTo, udp } from "../support/packets.js";
import { assertBalanced, CONFIG, ends, one, through, withEach } from "./lanes.js";

const PROTOCOLS = [6, 17, 1];
const steeringOf = (config: NatConfig, shards: number) =>
  new Steering(planShards(parseConfig(config), shards).steering);

const POOL: NatConfig = {
  ...CONFIG,
  outside: [
    { address: "203.0.113.1", ports: "1024-65535" },
    { address: "203.0.113.2", ports: "40001-50000" },
    { address: "203.0.113.8/30", ports: "2000-3001" },
  ],
  forwards: [
    { protocol: "tcp", outside: "203.0.113.2:45000", inside: "192.168.226.7:80" },
    { protocol: "udp", outside: "203.0.113.20:53", inside: "192.168.226.9:53" },
  ],
  static: [{ outside: "203.0.113.65", inside: "192.168.226.10" }],
};

describe("the plan", () => {
  test("gives each public endpoint to one shard, and tells all others that it is a sibling's", () => {
    for (const shards of [2, 3, 5, 16, MOST_SHARDS]) {
      const { configs, steering } = planShards(parseConfig(POOL), shards);
      const steer = new Steering(steering);
      const addresses = ["203.0.113.1", "203.0.113.2", "203.0.113.10"].map((text) => parseIpv4(text)!);
      for (const address of addresses) {
        for (let port = 1; port < 65536; port += port % 997 === 0 ? 1 : 31) {
          for (const protocol of PROTOCOLS) {
            const owner = steer.shardOfEndpoint(protocol, address, port);
            for (const [shard, { siblings, forwards, outside }] of configs.entries()) {
              const within = (rows: Uint32Array, width: number, fits: (row: Uint32Array) => boolean) => {
                for (let i = 0; i < rows.length; i += width)
                  if (fits(rows.subarray(i, i + width))) return true;
                return false;
              };
              const forward = within(
                forwards,
                5,
                (r) => r[0] === protocol && r[1] === address && r[2] === port,
              );
              const sibling = within(
                siblings,
                4,
                (r) =>
                  (r[0] === 0 || r[0] === protocol) && r[1] === address && port >= r[2]! && port <= r[3]!,
              );
              const mine = forward || !sibling;
              assert.equal(mine, shard === owner, `${protocol} ${port} of ${shards} shards, ${shard}`);
              const handsOut = within(outside, 3, (r) => r[0] === address && port >= r[1]! && port <= r[2]!);
              const isForwarded = protocol === 6 && address === addresses[1] && port === 45000;
              if (handsOut && !isForwarded) assert.equal(shard, owner);
            }
          }
        }
      }
    }
  });

  test("divides the limits without loss", () => {
    const limits = { sessions: 1000, sessionRate: 77, icmpErrorRate: 65, fragments: 130 };
    const { configs, steering } = planShards(parseConfig({ ...CONFIG, limits }), 64);
    const total = (key: "sessionLimit" | "sessionRate" | "icmpErrorRate" | "fragmentLimit") =>
      configs.reduce((sum, config) => sum + config[key], 0);
    assert.equal(total("sessionLimit"), 1000);
    assert.equal(total("sessionRate"), 77);
    assert.equal(total("icmpErrorRate"), 65);
    assert.equal(total("fragmentLimit") + steering.fragmentLimit, 130);
    const unlimited = planShards(parseConfig({ ...CONFIG, limits: { sessions: 0 } }), 4);
    assert.ok(unlimited.configs.every(({ sessionLimit }) => sessionLimit === 0));
  });
});

describe("the steering", () => {
  test("takes anything for a packet", () => {
    const steer = steeringOf(POOL, 7);
    let state = 5;
    const random = (below: number) => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      return (state >>> 8) % below;
    };
    for (let i = 0; i < 20_000; i++) {
      const bytes = Uint8Array.from({ length: random(70) }, () => random(256));
      if (bytes.length > 0 && i % 3 !== 0) bytes[0] = 0x40 + random(16);
      const shard = steer.shardOf(bytes, random(8), i);
      assert.ok(Number.isInteger(shard) && shard >= SHARD_DISPUTED && shard < 7, `${shard}`);
    }
  });

  test("remembers a datagram for its time, and no more of them than it has room for", () => {
    const steer = steeringOf({ ...CONFIG, timeouts: { fragment: 10 } }, 4);
    const piecesOf = (id: number, port = 60_000, src = "198.51.100.7:53") =>
      fragments(udp({ src, dst: `203.0.113.1:${port}`, payload: "x".repeat(60), id }), [24]);
    const [first, rest] = piecesOf(1) as [Uint8Array, Uint8Array];
    assert.equal(steer.shardOf(rest, 0, 0), SHARD_UNKNOWN);
    assert.equal(steer.shardOf(first, 0, 0), 3);
    assert.equal(steer.shardOf(rest, 0, 9_999), 3);
    assert.equal(steer.shardOf(rest, 0, 10_000), SHARD_UNKNOWN);
    assert.equal(steer.shardOf(piecesOf(1, 2000)[0]!, 0, 10_000), 0); // its time is over: a new one
    assert.equal(steer.shardOf(rest, 0, 10_000), 0);
    assert.equal(steer.shardOf(first, 0, 10_001), 3);
    assert.equal(steer.shardOf(rest, 0, 10_001), SHARD_DISPUTED);
    for (let id = 2; id < 8193; id++) steer.shardOf(piecesOf(id)[0]!, 0, 10_002);
    assert.equal(steer.shardOf(rest, 0, 10_002), SHARD_DISPUTED);
    steer.shardOf(piecesOf(9000)[0]!, 0, 10_002);
    assert.equal(steer.shardOf(rest, 0, 10_002), SHARD_UNKNOWN);
  });

  test("neither remembers nor waits for what any shard would drop", () => {
    const steer = steeringOf(CONFIG, 4);
    const [first, rest] = fragments(
      udp({ src: "198.51.100.7:53", dst: "203.0.113.1:60000", payload: "x".repeat(60), id: 5 }),
      [24],
    ) as [Uint8Array, Uint8Array];
    const broken = (packet: Uint8Array) => {
      const copy = Uint8Array.from(packet);
      copy[10]! ^= 1;
      return copy;
    };
    steer.shardOf(broken(first));
    assert.equal(steer.shardOf(rest), SHARD_UNKNOWN);
    assert.equal(steer.shardOf(broken(rest)), 0);
    const from = (src: string, dst = "203.0.113.1:5") =>
      fragments(udp({ src, dst, payload: "x".repeat(60) }), [24])[1]!;
    assert.equal(steer.shardOf(from("203.0.113.1:9")), 0); // spoofed
    assert.equal(steer.shardOf(from("203.0.113.1:9"), HAIRPINNED), SHARD_UNKNOWN);
    assert.equal(steer.shardOf(from("127.0.0.1:9")), 0);
    assert.equal(steer.shardOf(from("198.51.100.7:9", "203.0.113.99:5")), 0); // nobody's
    assert.equal(
      steer.shardOf(raw({ src: "198.51.100.7", dst: "203.0.113.1", protocol: 136, mf: true })) >= 0,
      true,
    );
  });
});

describe("through shards", () => {
  test("a pool of unlike ranges, and its hosts' replies and hairpins", async () => {
    await withEach({ ...POOL, pooling: "arbitrary", filtering: "endpoint-independent" }, async (lane) => {
      const hosts = Array.from({ length: 40 }, (_, i) => `192.168.226.${100 + i}:4000`);
      const out: string[] = [];
      for (const src of hosts) {
        const gone = await through(lane, udp({ src, dst: "198.51.100.7:53" }));
        assert.equal(ends(await through(lane, replyTo(gone))).dst, src);
        out.push(ends(gone).src);
      }
      assert.equal(new Set(out).size, hosts.length);
      assert.ok(new Set(out.map((end) => end.split(":")[0])).size > 2, "several addresses");
      for (const [i, dst] of out.entries()) {
        const src = hosts[(i * 7 + 3) % hosts.length]!;
        assert.equal(ends(await through(lane, udp({ src, dst }))).dst, hosts[i]);
      }
      await assertBalanced(lane);
    });
  });

  test("exempt destinations are passed both ways, fragments too", async () => {
    const config: NatConfig = {
      ...CONFIG,
      exempt: [{ destination: "198.51.100.0/24", protocol: "udp", ports: "53" }],
    };
    await withEach(config, async (lane) => {
      for (let i = 0; i < 8; i++) {
        const host = `192.168.226.${130 + i}:4000`;
        for (const [src, dst] of [
          [host, "198.51.100.7:53"],
          ["198.51.100.7:53", host],
        ] as const) {
          const packet = udp({ src, dst, payload: "x".repeat(60), id: 3 });
          const whole = await one(lane, packet);
          assert.deepEqual([whole.verdict, whole.packet], ["passed", packet]);
          for (const piece of fragments(packet, [24])) {
            assert.equal((await one(lane, piece)).verdict, "passed", lane.name);
          }
        }
      }
      const { packets } = await assertBalanced(lane);
      assert.equal(packets.passed, 48);
    });
  });

  test("UDP-Lite has ports, which are divided as well", async () => {
    await withEach({ ...CONFIG, protocols: { udplite: true } }, async (lane) => {
      for (let i = 0; i < 8; i++) {
        const segment = udp({ src: `192.168.226.${130 + i}:4000`, dst: "198.51.100.7:53" }).subarray(20);
        const lite = raw({
          src: `192.168.226.${130 + i}`,
          dst: "198.51.100.7",
          protocol: 136,
          payload: segment,
        });
        const gone = await one(lane, lite);
        assert.equal(gone.verdict, "forwarded");
        const port = (gone.packet[20]! << 8) | gone.packet[21]!;
        const back = udp({ src: "198.51.100.7:53", dst: `203.0.113.1:${port}` }).subarray(20);
        const reply = await one(
          lane,
          raw({ src: "198.51.100.7", dst: "203.0.113.1", protocol: 136, payload: back }),
        );
        assert.equal(reply.verdict, "forwarded", lane.name);
        assert.equal(reply.packet[19], 130 + i);
      }
    });
  });
});
