// Snapshots of conntrack: what is refused as a whole, what comes back, and when they may be taken. That packets go on
// as if nothing had been, test/model shows.
import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { describe, test } from "node:test";
import { crc32 } from "node:zlib";
import { Nat, type NatConfig, type NatError, type Session } from "../../src/index.js";
import { decode, endpoints, endpointText, tcp, udp } from "../support/packets.js";

const CONFIG: NatConfig = { inside: ["192.168.226.0/24"], outside: ["203.0.113.1"] };
const REMOTE = "198.51.100.7:53";
const WALL = Date.UTC(2026, 0, 1);

/** The public endpoint that a datagram leaves from. */
function mapped(nat: Nat, port: number, now: number, host = 135): string {
  const packet = udp({ src: `192.168.226.${host}:${port}`, dst: REMOTE, payload: "question" });
  equal(nat.translate(packet, { now }).verdict, "forwarded");
  return endpointText(endpoints(decode(packet)).src);
}

/** Where an answer to a public endpoint is delivered, or why it is not. */
function delivered(nat: Nat, outside: string, now: number): string {
  const packet = udp({ src: REMOTE, dst: outside, payload: "answer" });
  return nat.translate(packet, { now }).reason ?? endpointText(endpoints(decode(packet)).dst);
}

function snapshotOf(nat: Nat, now: number, wall = WALL): Buffer {
  return Buffer.concat([...nat.conntrack.snapshot({ now, wall })]);
}

/** A session with its times seen from `now`. */
const seenFrom = (now: number, { createdAt, lastSeen, expiresAt, ...rest }: Session) => ({
  ...rest,
  age: now - createdAt,
  idle: now - lastSeen,
  left: expiresAt - now,
});

const refuses = (snapshot: Uint8Array, why: RegExp, nat = new Nat(CONFIG)): void => {
  throws(
    () => nat.conntrack.restore(snapshot, { now: 0, wall: WALL }),
    (error: NatError) => error.code === "NAT_ERR_SNAPSHOT" && why.test(error.message),
  );
  equal(nat.conntrack.size, 0);
};

describe("a snapshot", () => {
  test("a new Nat goes on with another clock, as much later as the wall clock says", () => {
    using nat = new Nat(CONFIG);
    const outside = mapped(nat, 4000, 5_000_000);
    mapped(nat, 4001, 5_010_000);
    const snapshot = snapshotOf(nat, 5_050_000);
    const was = [...nat.conntrack].map((session) => seenFrom(5_050_000, session));
    using next = new Nat(CONFIG);
    const restored = next.conntrack.restore(snapshot, { now: 7, wall: WALL + 100_000 });
    deepEqual(restored, { restored: 2, expired: 0, refused: 0 });
    const is = [...next.conntrack].map((session) => seenFrom(7, session));
    for (const [i, { age, ...session }] of is.entries()) {
      const { age: aged, ...before } = was[i]!;
      deepEqual(session, { ...before, idle: before.idle + 100_000, left: before.left - 100_000 });
      ok(Math.abs(age - aged - 100_000) < 3 * 135, "its age, to the clock's grain");
    }
    equal(delivered(next, outside, 7), "192.168.226.135:4000");
    equal(mapped(next, 4000, 8), outside);
  });

  test("what would be over is over, to the millisecond", () => {
    using nat = new Nat(CONFIG);
    mapped(nat, 4000, 0);
    const snapshot = snapshotOf(nat, 100_000);
    for (const [passed, expired] of [
      [199_999, 0],
      [200_000, 1],
      [1e12, 1],
    ] as const) {
      using next = new Nat(CONFIG);
      deepEqual(next.conntrack.restore(snapshot, { now: 0, wall: WALL + passed }), {
        restored: 1 - expired,
        expired,
        refused: 0,
      });
    }
  });

  test("a wall clock that was set back counts as no time passed", () => {
    using nat = new Nat(CONFIG);
    mapped(nat, 4000, 0);
    const snapshot = snapshotOf(nat, 0);
    using next = new Nat(CONFIG);
    next.conntrack.restore(snapshot, { now: 0, wall: WALL - 1e9 });
    equal([...next.conntrack][0]!.expiresAt, 300_000);
  });

  test("of an empty table it is whole, and brings nothing", () => {
    using nat = new Nat(CONFIG);
    const snapshot = snapshotOf(nat, 0);
    using next = new Nat(CONFIG);
    deepEqual(next.conntrack.restore(snapshot), { restored: 0, expired: 0, refused: 0 });
  });

  test("the clocks are the Nat's and the system's where nothing is given", () => {
    let now = 1000;
    using nat = new Nat(CONFIG, { clock: () => now });
    mapped(nat, 4000, 1000);
    now = 51_000;
    const snapshot = Buffer.concat([...nat.conntrack.snapshot()]);
    using next = new Nat(CONFIG, { clock: () => 4 });
    next.conntrack.restore(snapshot);
    const left = [...next.conntrack][0]!.expiresAt - 4;
    ok(left > 150_000 && left <= 250_000, `${left} ms are left of 250 s`);
  });

  test("it is taken in chunks, between which packets are translated", () => {
    using nat = new Nat({ ...CONFIG, inside: ["10.0.0.0/8"] });
    const opened = (n: number) => {
      const src = `10.0.${n >> 8}.${n & 255}:4000`;
      equal(nat.translate(udp({ src, dst: REMOTE }), { now: 0 }).verdict, "forwarded");
    };
    for (let n = 1; n <= 20_000; n++) opened(n);
    const chunks: Uint8Array[] = [];
    for (const chunk of nat.conntrack.snapshot({ now: 0, wall: WALL })) {
      ok(chunk.length <= 1 << 19);
      chunks.push(chunk.slice());
      opened(20_000 + chunks.length);
      nat.conntrack.delete({
        protocol: "udp",
        inside: { address: "10.0.0.1", port: 4000 },
        remote: { address: "198.51.100.7", port: 53 },
      });
    }
    ok(chunks.length >= 5, `${chunks.length} chunks`);
    using next = new Nat(nat.config);
    const { restored, refused } = next.conntrack.restore(Buffer.concat(chunks), { now: 0, wall: WALL });
    ok(restored >= 19_999 && restored <= 20_000 + chunks.length);
    equal(refused, 0);
  });

  test("a change of config ends one that is being taken", () => {
    using nat = new Nat(CONFIG);
    mapped(nat, 4000, 0);
    const chunks = nat.conntrack.snapshot({ now: 0, wall: WALL });
    chunks.next();
    chunks.next();
    nat.reconfigure(CONFIG);
    equal(chunks.next().done, false, "all sessions were taken before");
    const others = nat.conntrack.snapshot({ now: 0, wall: WALL });
    others.next();
    equal(snapshotOf(nat, 0).length > 80, true, "another one works");
  });

  test("arguments that make no sense", () => {
    const nat = new Nat(CONFIG);
    const code = (wanted: string) => (error: NatError) => error.code === wanted;
    throws(() => nat.conntrack.snapshot({ now: Number.NaN }), code("NAT_ERR_ARGUMENT"));
    throws(() => nat.conntrack.snapshot({ wall: Number.NaN }), /wall: NaN is not a time/);
    const snapshot = snapshotOf(nat, 0);
    throws(() => nat.conntrack.restore(snapshot, { now: 1e300 }), code("NAT_ERR_ARGUMENT"));
    throws(() => nat.conntrack.restore(snapshot, { wall: -1e300 }), code("NAT_ERR_ARGUMENT"));
    throws(() => nat.conntrack.restore("naptsess" as never), code("NAT_ERR_ARGUMENT"));
    const chunks = nat.conntrack.snapshot({ now: 0 });
    nat.close();
    throws(() => [...chunks], code("NAT_ERR_CLOSED"));
    throws(() => nat.conntrack.restore(snapshot), code("NAT_ERR_CLOSED"));
  });
});

describe("a snapshot that is not as it was written", () => {
  const nat = new Nat(CONFIG);
  mapped(nat, 4000, 0);
  mapped(nat, 4001, 0);
  nat.translate(tcp({ src: "192.168.226.136:4000", dst: REMOTE, flags: "S", seq: 7 }), { now: 0 });
  const snapshot = snapshotOf(nat, 0);

  test("cut at any length", () => {
    for (let length = 0; length < snapshot.length; length++) {
      refuses(snapshot.subarray(0, length), length < 8 ? /does not begin/ : /cut short/);
    }
  });

  test("with any byte changed", () => {
    for (let at = 0; at < snapshot.length; at++) {
      for (const flip of [1, 0x80, 0xff]) {
        const damaged = Buffer.from(snapshot);
        damaged[at]! ^= flip;
        const end = snapshot.length - 12;
        const why =
          at < 8
            ? /does not begin/
            : at < 12
              ? /version \d+; this napt reads version 1/
              : at >= end && at < end + 8
                ? /cut short/
                : /damaged: its checksum is wrong/;
        refuses(damaged, why);
      }
    }
  });

  test("foreign, doubled, or with something behind it", () => {
    refuses(Buffer.alloc(0), /does not begin/);
    refuses(Buffer.alloc(4096), /does not begin/);
    refuses(Buffer.from("d4c3b2a1020004000000000000000000", "hex"), /does not begin/);
    refuses(Buffer.concat([snapshot, snapshot]), /damaged/);
    refuses(Buffer.concat([snapshot, Buffer.alloc(1)]), /cut short/);
  });

  test("forged with a right checksum: it may bring less, but does no harm", () => {
    for (let at = 8; at < snapshot.length - 12; at++) {
      const forged = Buffer.from(snapshot);
      forged[at]! ^= 0xff;
      forged.writeUInt32LE(crc32(forged.subarray(0, -4)), forged.length - 4);
      using next = new Nat(CONFIG);
      try {
        next.conntrack.restore(forged, { now: 0, wall: WALL });
      } catch (error) {
        equal((error as NatError).code, "NAT_ERR_SNAPSHOT");
      }
      for (const host of [135, 136]) mapped(next, 4000, 1, host);
      equal([...next.conntrack].length, next.conntrack.size);
      next.conntrack.sweep(1e9);
      for (const session of next.conntrack) equal(next.conntrack.delete(session), true);
      equal(next.conntrack.size, 0);
    }
  });
});

describe("restored into another config", () => {
  const nat = new Nat(CONFIG, { seed: 1 });
  const outside = [135, 136, 137].map((host) => mapped(nat, 4000, 0, host));
  const snapshot = snapshotOf(nat, 0);
  const port = outside[0]!.split(":")[1]!;
  const cases: [name: string, change: Partial<NatConfig>, restored: number][] = [
    ["the same", {}, 3],
    ["with another address", { outside: ["203.0.113.2"] }, 0],
    ["with a larger pool", { outside: ["203.0.113.2", "203.0.113.1"] }, 3],
    ["with that port alone", { outside: [{ address: "203.0.113.1", ports: port }] }, 1],
    ["with fewer hosts", { inside: ["192.168.226.136/31"] }, 2],
    ["with room for one", { limits: { sessions: 1 } }, 1],
    [
      "with a forward at that port",
      { forwards: [{ protocol: "udp", outside: outside[0]!, inside: "192.168.226.9:1" }] },
      2,
    ],
    ["with the remote exempt", { exempt: ["198.51.100.0/24"] }, 0],
    ["with address-dependent mapping", { mapping: "address-dependent" }, 3],
    ["with other timeouts", { timeouts: { udp: 10 } }, 3],
    ["with port blocks", { portAssignment: { blockSize: 64 } }, 3],
  ];
  for (const [name, change, restored] of cases) {
    test(name, () => {
      using next = new Nat({ ...CONFIG, ...change });
      const sum = next.conntrack.restore(snapshot, { now: 0, wall: WALL });
      deepEqual(sum, { restored, expired: 0, refused: 3 - restored });
      equal(next.conntrack.size, restored);
      for (const session of next.conntrack) {
        const host = session.inside.address;
        equal(endpointText(session.public), outside[Number(host.split(".")[3]) - 135]);
      }
      equal(next.stats.sessions.created, restored);
    });
  }

  test("deterministic NAT: only what lies in the host's own ports", () => {
    const deterministic: NatConfig = {
      ...CONFIG,
      inside: ["192.168.226.128/28"],
      portAssignment: { deterministic: { dynamic: 0 } },
    };
    using before = new Nat(deterministic);
    const places = [135, 136].map((host) => mapped(before, 4000, 0, host));
    using next = new Nat(deterministic);
    deepEqual(next.conntrack.restore(snapshotOf(before, 0), { now: 0, wall: WALL }), {
      restored: 2,
      expired: 0,
      refused: 0,
    });
    deepEqual(
      [135, 136].map((host) => mapped(next, 4000, 0, host)),
      places,
    );
    using other = new Nat(deterministic);
    const { restored } = other.conntrack.restore(snapshot, { now: 0, wall: WALL });
    for (const { public: place, inside } of other.conntrack) {
      ok(place.port >= 1024 && inside.address.startsWith("192.168.226.1"));
    }
    ok(restored < 3, "the ports of the other config were anybody's");
  });

  test("what is restored is told as if it had just begun", () => {
    const blocks: NatConfig = { ...CONFIG, portAssignment: { blockSize: 64 } };
    using before = new Nat(blocks);
    const first = before.conntrack.events();
    mapped(before, 4000, 0);
    const given = first.take();
    using next = new Nat(blocks);
    const events = next.conntrack.events();
    next.conntrack.restore(snapshotOf(before, 0), { now: 9, wall: WALL });
    const again = events.take();
    deepEqual(
      again.map(({ type }) => type),
      ["block-allocated", "binding-created", "session-opened"],
    );
    deepEqual(
      again.slice(0, 2),
      given.slice(0, 2).map((event) => ({ ...event, at: 9 })),
    );
    ok(again[2]?.type === "session-opened");
    deepEqual(again[2].session.packets, { outbound: 1, inbound: 0 });
  });
});
