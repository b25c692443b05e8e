// `limits.whenFull: "evict"`: embryonic and one-way sessions make room for new ones, assured ones never do
// (RFC 6888, REQ-11). The flood is in flood.test.ts; here are its rules, one by one.
import { equal, ok } from "node:assert/strict";
import { describe, test } from "node:test";
import type { NatConfig, Session } from "../../src/index.js";
import { echo, endpoint, replyTo, tcp, udp } from "../support/packets.js";
import { Connection, figure, OUTSIDER, PUBLIC, Scene, SECOND, SERVER } from "./scene.js";

const evicting = (config: Partial<NatConfig>, sessions: number) =>
  new Scene({ ...config, limits: { sessions, whenFull: "evict" } });
const host = (n: number) => `10.1.${(n >> 8) & 255}.${n & 255}`;
const question = (n: number) => udp({ src: `${host(n)}:4000`, dst: SERVER, checksum: 0 });

/** No public endpoint has two inside endpoints at a time. */
function assertOneOwnerEach(scene: Scene): void {
  const owners = new Map<string, string>();
  const shared = new Set<string>();
  for (const { protocol, inside, public: mapped } of scene.nat.conntrack) {
    const endpointOf = `${protocol} ${mapped.address}:${mapped.port}`;
    const owner = `${inside.address}:${inside.port}`;
    if ((owners.get(endpointOf) ?? owner) !== owner) shared.add(endpointOf);
    owners.set(endpointOf, owner);
  }
  equal(shared.size, 0, `${shared.size} endpoints have two owners, ${[...shared][0]} for one`);
}

describe("eviction", () => {
  test("takes no assured session: opened on both sides, or answered", () => {
    using scene = evicting({}, 64);
    const connections = Array.from(
      { length: 10 },
      (_, n) => new Connection(scene, `10.0.0.${n + 1}:4000`, SERVER),
    );
    const flows = Array.from({ length: 10 }, (_, n) => ({
      inside: `10.0.1.${n + 1}:4000`,
      mapped: scene.exchange(`10.0.1.${n + 1}:4000`, SERVER),
    }));
    const pings = Array.from({ length: 10 }, (_, n) => {
      const { packet } = scene.pass(echo({ src: `10.0.2.${n + 1}`, dst: "198.51.100.7", identifier: 9 }));
      scene.pass(replyTo(packet));
      return { src: `10.0.2.${n + 1}`, reply: replyTo(packet) };
    });
    for (let n = 0; n < 10_000; n++) scene.pass(question(n));
    equal(scene.nat.stats.sessions.evicted, 10_000 - 34);
    for (const connection of connections) connection.talk();
    for (const { inside, mapped } of flows) equal(scene.pass(udp({ src: SERVER, dst: mapped })).to, inside);
    for (const { src, reply } of pings) equal(scene.pass(reply).to, `${src}:9`);
  });

  test("with nothing but assured sessions refuses the new one", () => {
    using scene = evicting({}, 10);
    for (let n = 0; n < 10; n++) scene.exchange(`${host(n)}:4000`, SERVER);
    equal(scene.hand(question(99)).reason, "session-limit");
    equal(scene.nat.stats.sessions.evicted, 0);
  });

  test("takes half-open connections, also those of a forward, and mappings' ports with them", () => {
    const forwards = [{ protocol: "tcp" as const, outside: `${PUBLIC}:80`, inside: "10.0.0.1:80" }];
    using scene = evicting({ forwards, outside: [{ address: PUBLIC, ports: "2000-2099" }] }, 50);
    for (let n = 0; n < 1000; n++) {
      scene.pass(tcp({ src: `192.0.2.${n & 255}:${n + 1}`, dst: `${PUBLIC}:80`, flags: "S" }));
      scene.pass(tcp({ src: `${host(n)}:${n + 1}`, dst: SERVER, flags: "S" }));
    }
    equal(scene.nat.conntrack.size, 50);
  });

  test("when ports have run out, too: of bindings that nobody answered", () => {
    using scene = evicting({ outside: [{ address: PUBLIC, ports: "2000-2099" }] }, 10_000);
    const assured = Array.from({ length: 50 }, (_, n) => scene.exchange(`10.0.0.${n + 1}:4000`, SERVER));
    for (let n = 0; n < 5000; n++) scene.pass(question(n));
    assured.forEach((mapped, n) => {
      equal(scene.pass(udp({ src: SERVER, dst: mapped })).to, `10.0.0.${n + 1}:4000`);
    });
    equal(scene.nat.conntrack.size, 100);
    assertOneOwnerEach(scene);
  });

  test("refuse, the default, evicts nothing", () => {
    using scene = new Scene({ limits: { sessions: 10 } });
    for (let n = 0; n < 100; n++) scene.hand(question(n));
    equal(scene.nat.stats.sessions.evicted, 0);
    equal(scene.nat.stats.drops["session-limit"], 90);
  });
});

describe("eviction never leaves a port with two owners", () => {
  test("when the packet that needs room came to the very mapping that goes", () => {
    using scene = evicting(
      {
        outside: [{ address: PUBLIC, ports: "20000-21999" }],
        filtering: "endpoint-independent",
        inboundRefresh: true,
      },
      2000,
    );
    const mapped = Array.from({ length: 1990 }, (_, n) => scene.pass(question(n)).from);
    for (let round = 1; round <= 20; round++) {
      scene.now += SECOND;
      for (const dst of mapped) scene.hand(udp({ src: `192.0.2.${round}:5`, dst, checksum: 0 }));
    }
    assertOneOwnerEach(scene);
    scene.now += 120 * SECOND;
    for (let n = 0; n < 4000; n++) {
      scene.hand(udp({ src: `10.2.${n >> 8}.${n & 255}:4000`, dst: SERVER, checksum: 0 }));
      if (n % 500 === 0) assertOneOwnerEach(scene);
    }
  });

  for (const filtering of ["endpoint-independent", "address-dependent"] as const) {
    test(`in mixed traffic through a small table, ${filtering} filtering`, () => {
      using scene = evicting(
        {
          outside: [{ address: PUBLIC, ports: "20000-21999" }],
          filtering,
          inboundRefresh: true,
          hairpinning: true,
        },
        100,
      );
      const mapped: string[] = [];
      for (let n = 0; n < 20_000; n++) {
        scene.now += 10;
        const at = mapped[(n * 7919) % Math.max(1, mapped.length)] ?? `${PUBLIC}:20000`;
        const src = `${host(n % 300)}:${4000 + (n % 5)}`;
        const protocol = n % 2 === 0 ? { make: udp } : { make: tcp };
        const packet = [
          protocol.make({ src, dst: SERVER, ...(n % 2 === 1 ? { flags: "S" } : {}) }),
          protocol.make({ src: OUTSIDER, dst: at, ...(n % 2 === 1 ? { flags: "S" } : {}) }),
          protocol.make({ src: SERVER, dst: at, ...(n % 2 === 1 ? { flags: "SA" } : {}) }),
          protocol.make({ src, dst: at, ...(n % 2 === 1 ? { flags: "S" } : {}) }),
        ][(n >> 1) % 4]!;
        const { from, direction, verdict } = scene.hand(packet);
        if (verdict === "forwarded" && direction === "outbound") mapped[n % 100] = from;
        if (n % 500 === 0) assertOneOwnerEach(scene);
      }
    });
  }
});

describe("a new connection during a flood that the table can't hold", () => {
  test("is opened when its answers come before as many new flows as the table has room for", (t) => {
    const sessions = 1024;
    const opened = (between: number) => {
      using scene = evicting({}, sessions);
      let n = 0;
      const flood = (count: number) => {
        for (const end = n + count; n < end; n++) {
          scene.now += 0.001;
          scene.pass(udp({ src: `${host(n)}:${1024 + (n >> 16)}`, dst: SERVER, checksum: 0 }));
        }
      };
      flood(2 * sessions);
      let alive = 0;
      for (let attempt = 0; attempt < 20; attempt++) {
        const src = `10.0.0.1:${5000 + attempt}`;
        const { packet } = scene.pass(tcp({ src, dst: OUTSIDER, flags: "S" }));
        flood(between);
        if (scene.hand(replyTo(packet)).verdict === "forwarded") alive++;
      }
      return alive;
    };
    const half = opened(sessions / 2);
    equal(half, 20);
    const twice = opened(2 * sessions);
    ok(twice < 3, `${twice}`);
    figure(
      t,
      "Handshakes completed, of 20, when half a table of new flows comes within their round trip",
      half,
    );
  });

  test("and is refused without eviction, as RFC 6888 REQ-11d has it", () => {
    using scene = new Scene({ limits: { sessions: 100 } });
    for (let n = 0; n < 100; n++) scene.pass(question(n));
    equal(scene.hand(tcp({ src: "10.0.0.1:1", dst: SERVER, flags: "S" })).reason, "session-limit");
  });
});

describe("what is evicted", () => {
  test("is the longest idle of those looked at, and counted", () => {
    using scene = evicting({}, 10);
    for (let n = 0; n < 10; n++) {
      scene.now = n * SECOND;
      scene.pass(question(n));
    }
    scene.now = 20 * SECOND;
    scene.pass(question(100));
    const gone = (n: number): Session | null =>
      scene.nat.conntrack.find({
        protocol: "udp",
        inside: { address: host(n), port: 4000 },
        remote: endpoint(SERVER),
      });
    equal(gone(0), null);
    ok(gone(1) !== null);
    equal(scene.nat.stats.sessions.evicted, 1);
  });
});
