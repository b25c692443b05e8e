// The public API beside the packets' own rules: time, options, errors, config changes, several instances.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ConfigError, Nat, NatError, type Nat as NatType, REASONS, VERDICTS } from "../../src/index.js";
import { decode, echo, endpoints, fragments, replyTo, tcp, udp } from "../support/packets.js";

const CONFIG = { inside: ["192.168.226.0/24"], outside: ["203.0.113.1"] };
const GUEST = "192.168.226.135:4000";
const REMOTE = "198.51.100.7:53";

const code = (expected: string) => (error: unknown) => error instanceof NatError && error.code === expected;
const question = (src = GUEST, dst = REMOTE) => udp({ src, dst, payload: "question", df: true });

/** Sends a question out and returns the answer to what came out. */
function ask(nat: NatType, now: number, packet = question()): Uint8Array {
  assert.equal(nat.translate(packet, { now }).verdict, "forwarded");
  return replyTo(packet);
}

describe("verdicts", () => {
  test("are shared, frozen objects with the words of the tables", () => {
    using nat = new Nat(CONFIG);
    const first = nat.translate(question(), { now: 0 });
    assert.equal(nat.translate(question(), { now: 0 }), first);
    assert.ok(Object.isFrozen(first));
    assert.deepEqual(first, { verdict: "forwarded", direction: "outbound", reason: null });
    assert.ok(VERDICTS.includes("punted") && REASONS.includes("filtered"));
  });

  test("a dropped packet keeps its bytes", () => {
    using nat = new Nat(CONFIG);
    const stray = udp({ src: REMOTE, dst: "203.0.113.1:5000" });
    const before = stray.slice();
    assert.deepEqual(nat.translate(stray, { now: 0 }), {
      verdict: "dropped",
      direction: "inbound",
      reason: "no-mapping",
    });
    assert.deepEqual(stray, before);
  });
});

describe("time", () => {
  test("expires at exactly the timeout, to the microsecond, whatever the clock's origin", () => {
    for (const origin of [0, 1_700_000_000_000, -5]) {
      using nat = new Nat(CONFIG);
      const answer = ask(nat, origin);
      assert.equal(nat.translate(answer.slice(), { now: origin + 299_999.999 }).verdict, "forwarded");
      assert.equal(nat.translate(answer.slice(), { now: origin + 300_000 }).reason, "no-mapping");
      assert.equal(nat.conntrack.size, 0);
    }
  });

  test("going back is no time passed", () => {
    using nat = new Nat(CONFIG);
    const answer = ask(nat, 1000);
    assert.equal(nat.translate(answer.slice(), { now: -1e6 }).verdict, "forwarded");
    assert.equal(nat.translate(answer.slice(), { now: 300_999 }).verdict, "forwarded");
    assert.equal(nat.translate(answer.slice(), { now: 301_000 }).verdict, "dropped");
  });

  test("that is no time is refused", () => {
    using nat = new Nat(CONFIG);
    for (const now of [Number.NaN, Number.POSITIVE_INFINITY, 1e13, "1" as unknown as number]) {
      assert.throws(() => nat.translate(question(), { now }), code("NAT_ERR_ARGUMENT"));
      assert.throws(() => nat.conntrack.sweep(now), code("NAT_ERR_ARGUMENT"));
    }
    assert.equal(nat.stats.packets.in, 0);
  });

  test("comes from the clock when a call does not say", () => {
    let now = 0;
    using nat = new Nat(CONFIG, { clock: () => now });
    const packet = question();
    nat.translate(packet);
    now = 300_000;
    assert.equal(nat.translate(replyTo(packet)).reason, "no-mapping");
  });

  test("a year in one step", () => {
    using nat = new Nat(CONFIG);
    ask(nat, 0);
    assert.equal(nat.conntrack.sweep(365 * 86_400_000), 1);
    assert.equal(nat.conntrack.size, 0);
  });
});

describe("seed", () => {
  test("the same gives the same ports, another gives others", () => {
    const ports = (seed?: number | bigint) => {
      using nat = new Nat(CONFIG, seed === undefined ? {} : { seed });
      return Array.from({ length: 20 }, (_, i) => {
        const packet = question(`192.168.226.9:${1000 + i}`);
        nat.translate(packet, { now: 0 });
        return endpoints(decode(packet)).src.port;
      }).join();
    };
    assert.equal(ports(1), ports(1));
    assert.equal(ports(1), ports(1n));
    assert.notEqual(ports(1), ports(2));
    assert.notEqual(ports(), ports());
    assert.throws(() => ports(-1), code("NAT_ERR_ARGUMENT"));
    assert.throws(() => ports(1.5), code("NAT_ERR_ARGUMENT"));
  });
});

describe("bad arguments", () => {
  test("what is no packet is an error, bytes that are none are a counted drop", () => {
    using nat = new Nat(CONFIG);
    for (const bad of [null, undefined, "x", [1, 2], {}, new Uint16Array(20), new ArrayBuffer(40)]) {
      assert.throws(() => nat.translate(bad as unknown as Uint8Array, { now: 0 }), code("NAT_ERR_ARGUMENT"));
    }
    assert.equal(nat.translate(new Uint8Array(0), { now: 0 }).reason, "malformed");
    assert.equal(nat.translate(new Uint8Array(19).fill(0x45), { now: 0 }).reason, "malformed");
    const detached = question();
    structuredClone(detached.buffer, { transfer: [detached.buffer as ArrayBuffer] });
    assert.equal(nat.translate(detached, { now: 0 }).reason, "malformed");
    assert.equal(nat.stats.drops.malformed, 3);
  });

  test("a faulty config names its keys", () => {
    assert.throws(
      () => new Nat({ inside: ["10.0.0.0/8"], outside: ["203.0.113.1"], maping: "x" } as never),
      (error) => error instanceof ConfigError && error.message.includes("maping"),
    );
    assert.throws(() => new Nat(undefined as never), ConfigError);
  });

  test("after close every call says so; closing twice is fine", () => {
    const nat = new Nat(CONFIG);
    const batch = nat.batch();
    nat.close();
    nat.close();
    for (const call of [
      () => nat.translate(question(), { now: 0 }),
      () => nat.translateBatch(batch, 0),
      () => nat.batch(),
      () => nat.take(),
      () => nat.pending,
      () => nat.flush(),
      () => nat.stats,
      () => nat.conntrack.size,
      () => [...nat.conntrack],
      () => nat.conntrack.sweep(0),
      () => nat.conntrack.find({ protocol: "icmp", inside: at("10.0.0.1:1"), remote: at("10.0.0.2:0") }),
      () => nat.reconfigure(CONFIG),
    ]) {
      assert.throws(call, code("NAT_ERR_CLOSED"), String(call));
    }
  });
});

function at(text: string) {
  const [address = "", port = ""] = text.split(":");
  return { address, port: Number(port) };
}

describe("conntrack", () => {
  test("lists, finds, filters, deletes", () => {
    using nat = new Nat(CONFIG);
    const packet = question();
    nat.translate(packet, { now: 1000 });
    const syn = tcp({ src: "192.168.226.135:5000", dst: "198.51.100.7:80", flags: "S" });
    nat.translate(syn, { now: 2000 });
    const ping = echo({ src: "192.168.226.135", dst: "198.51.100.7", identifier: 77 });
    nat.translate(ping, { now: 3000 });
    assert.equal(nat.conntrack.size, 3);
    assert.equal([...nat.conntrack].length, 3);

    const found = nat.conntrack.find({ protocol: "udp", inside: at(GUEST), remote: at(REMOTE) });
    const outside = endpoints(decode(packet)).src;
    assert.deepEqual(found, {
      protocol: "udp",
      inside: at(GUEST),
      public: outside,
      remote: at(REMOTE),
      state: null,
      direction: "outbound",
      hairpin: false,
      permanent: false,
      createdAt: found!.createdAt,
      lastSeen: 1000,
      expiresAt: 301_000,
      packets: { outbound: 1, inbound: 0 },
      bytes: { outbound: packet.length, inbound: 0 },
    });
    assert.ok(Math.abs(found!.createdAt - 1000) < 200);
    assert.deepEqual(
      nat.conntrack.filter((s) => s.protocol === "tcp").map((s) => [s.state, s.expiresAt]),
      [["opening", 242_000]],
    );
    const icmp = {
      protocol: "icmp",
      inside: at("192.168.226.135:77"),
      remote: at("198.51.100.7:0"),
    } as const;
    assert.equal(nat.conntrack.find(icmp)!.expiresAt, 63_000);
    assert.equal(nat.conntrack.delete(icmp), true);
    assert.equal(nat.conntrack.delete(icmp), false);
    assert.equal(nat.translate(replyTo(ping), { now: 3000 }).reason, "no-mapping");
    assert.equal(nat.conntrack.find({ protocol: "udp", inside: at(REMOTE), remote: at(GUEST) }), null);
    assert.throws(
      () => nat.conntrack.find({ protocol: "quic" as never, inside: at(GUEST), remote: at(REMOTE) }),
      code("NAT_ERR_ARGUMENT"),
    );
    assert.throws(
      () => nat.conntrack.find({ protocol: "udp", inside: at("x:1"), remote: at(REMOTE) }),
      code("NAT_ERR_ARGUMENT"),
    );
    const { sessions } = nat.stats;
    assert.deepEqual(sessions, { created: 3, expired: 0, deleted: 1, active: 2, peak: 3, evicted: 0 });
  });

  test("iterates over more sessions than one page, each once", () => {
    using nat = new Nat(CONFIG);
    for (let port = 1; port <= 3000; port++) nat.translate(question(`192.168.226.9:${port}`), { now: 0 });
    const ports = new Set([...nat.conntrack].map((session) => session.inside.port));
    assert.equal(ports.size, 3000);
  });

  test("counts packets and bytes beyond 16 and 32 bits", () => {
    using nat = new Nat(CONFIG);
    const batch = nat.batch({ slots: 1000, bytes: 1000 * 65_536 });
    const big = udp({ src: GUEST, dst: REMOTE, payload: new Uint8Array(65_000), df: true });
    for (let i = 0; i < 1000; i++) batch.push(big);
    const original = batch.bytes.slice();
    for (let round = 0; round < 70; round++) {
      batch.bytes.set(original);
      nat.translateBatch(batch, 0);
    }
    const [session] = [...nat.conntrack];
    assert.deepEqual(session!.packets, { outbound: 70_000, inbound: 0 });
    assert.equal(session!.bytes.outbound, 70_000 * big.length);
  });

  test("sweeps by hand, by budget and by a timer", async () => {
    let now = 0;
    using nat = new Nat(CONFIG, { clock: () => now });
    for (let port = 1; port <= 100; port++) nat.translate(question(`192.168.226.9:${port}`));
    now = 400_000;
    const first = nat.conntrack.sweep(now, 10);
    assert.ok(first <= 20, `${first} ended on a budget of 10`);
    nat.conntrack.autoSweep(1);
    while (nat.stats.sessions.active > 0) await new Promise((resolve) => setTimeout(resolve, 2));
    nat.conntrack.stopSweeping();
    assert.equal(nat.stats.sessions.expired, 100);
    assert.throws(() => nat.conntrack.autoSweep(0), code("NAT_ERR_ARGUMENT"));
  });
});

describe("reconfigure", () => {
  test("keeps what is legal with its port, ends the rest, applies new timeouts at once", () => {
    using nat = new Nat(
      { ...CONFIG, outside: ["203.0.113.1", "203.0.113.2"], pooling: "arbitrary" },
      { seed: 3 },
    );
    const answers = new Map<string, Uint8Array>();
    for (let i = 0; i < 50; i++) {
      const source = `192.168.226.${i}:1000`;
      const packet = question(source);
      nat.translate(packet, { now: 0 });
      answers.set(source, packet);
    }
    nat.reconfigure({ ...CONFIG, inside: ["192.168.226.0/25"], timeouts: { udp: 10 } });
    assert.equal(nat.config.timeouts.udp, 10);
    let kept = 0;
    for (const [source, packet] of answers) {
      const legal = endpoints(decode(packet)).src.address === "203.0.113.1";
      const verdict = nat.translate(replyTo(packet), { now: 9_999 });
      if (!legal) {
        assert.notEqual(verdict.verdict, "forwarded", source);
        continue;
      }
      kept++;
      assert.equal(verdict.verdict, "forwarded", source);
    }
    assert.ok(kept > 10 && kept < 40);
    assert.equal(nat.conntrack.size, kept);
    assert.equal(nat.stats.sessions.deleted, 50 - kept);
    assert.equal(nat.conntrack.sweep(10_000), kept);
  });

  test("a faulty config changes nothing", () => {
    using nat = new Nat(CONFIG);
    const answer = ask(nat, 0);
    assert.throws(() => nat.reconfigure({ ...CONFIG, outside: [] }), ConfigError);
    assert.equal(nat.translate(answer, { now: 1 }).verdict, "forwarded");
    assert.deepEqual(nat.config.outside, [{ address: "203.0.113.1", ports: "1024-65535" }]);
  });

  test("held fragments, counts and port blocks survive", () => {
    using nat = new Nat({ ...CONFIG, portAssignment: { blockSize: 64 } });
    const whole = udp({ src: GUEST, dst: REMOTE, payload: new Uint8Array(64), id: 9 });
    const [first, second] = fragments(whole, [32]) as [Uint8Array, Uint8Array];
    assert.equal(nat.translate(second, { now: 0, tag: 5 }).verdict, "held");
    nat.reconfigure({ ...CONFIG, portAssignment: { blockSize: 64 } });
    assert.equal(nat.stats.packets.held, 1);
    assert.equal(nat.translate(first, { now: 0, tag: 6 }).verdict, "forwarded");
    const [released] = nat.take();
    assert.equal(released!.tag, 5);
    assert.equal(released!.cause, 6);
    assert.equal(released!.kind, "fragment");
    assert.equal(released!.side, "outside");
    nat.reconfigure({ ...CONFIG, portAssignment: { blockSize: 64 } });
    assert.equal(nat.conntrack.size, 1);
    const other = question("192.168.226.9:1");
    nat.translate(other, { now: 0 });
    const block = (packet: Uint8Array) => Math.floor((endpoints(decode(packet)).src.port - 1024) / 64);
    assert.notEqual(block(other), block(first));
  });
});

describe("what the engine puts out", () => {
  test("released fragments, word of those that died, originated errors", () => {
    using nat = new Nat({ ...CONFIG, icmpErrors: true });
    const whole = udp({ src: GUEST, dst: REMOTE, payload: new Uint8Array(64), id: 9 });
    const [, second] = fragments(whole, [32]) as [Uint8Array, Uint8Array];
    assert.equal(nat.translate(second, { now: 0, tag: 1 }).verdict, "held");
    assert.equal(nat.pending, 0);
    nat.conntrack.sweep(30_000);
    assert.equal(nat.pending, 1);
    const expiring = udp({ src: GUEST, dst: REMOTE, ttl: 1 });
    const asSent = expiring.slice();
    assert.equal(nat.translate(expiring, { now: 30_000, tag: 2 }).reason, "ttl-expired");
    assert.equal(nat.pending, 2);
    const [gone, error] = nat.take();
    assert.deepEqual(
      { kind: gone!.kind, tag: gone!.tag, length: gone!.packet.length },
      { kind: "discarded", tag: 1, length: 0 },
    );
    assert.equal(error!.kind, "icmp");
    assert.equal(error!.side, "inside");
    const { src, dst, body } = decode(error!.packet);
    assert.deepEqual([src, dst], ["203.0.113.1", "192.168.226.135"]);
    assert.ok(body.kind === "icmp" && body.type === 11 && body.code === 0);
    assert.deepEqual(Buffer.from(body.payload), Buffer.from(asSent));
    assert.equal(nat.pending, 0);
    assert.deepEqual(nat.take(), []);
    assert.equal(nat.stats.drops["fragment-timeout"], 1);
  });

  test("pieces of what is larger than the MTU", () => {
    using nat = new Nat({ ...CONFIG, mtu: { inside: 576, outside: 1280 } });
    const packet = udp({ src: GUEST, dst: REMOTE, payload: new Uint8Array(1400), df: false });
    assert.equal(nat.translate(packet, { now: 0, tag: 7 }).verdict, "held");
    const taken = nat.take();
    assert.deepEqual(
      taken.map(({ kind, side, tag, cause }) => ({ kind, side, tag, cause })),
      new Array(2).fill({ kind: "fragment", side: "outside", tag: 7, cause: 7 }),
    );
    assert.ok(taken.every((piece) => piece.packet.length <= 1280));
    const { packets } = nat.stats;
    assert.deepEqual(
      [packets.in, packets.out, packets.held, packets.fragmented, packets.pieces],
      [1, 1, 0, 1, 2],
    );
    const whole = udp({ src: GUEST, dst: REMOTE, payload: new Uint8Array(1400), df: true });
    assert.equal(nat.translate(whole, { now: 0 }).reason, "too-big");
  });

  test("errors are limited in rate", () => {
    using nat = new Nat({ ...CONFIG, icmpErrors: true });
    let sent = 0;
    for (let i = 0; i < 10_000; i++) {
      nat.translate(udp({ src: GUEST, dst: REMOTE, ttl: 1 }), { now: i / 1000 });
      sent += nat.take().length;
    }
    assert.ok(sent >= 10 && sent <= 100, `${sent} errors in 10 ms`);
  });

  test("an unsolicited SYN is answered after six seconds, unless its own side opens", () => {
    for (const opens of [false, true]) {
      using nat = new Nat({ ...CONFIG, icmpErrors: true, filtering: "address-and-port-dependent" });
      const first = tcp({ src: "192.168.226.135:5000", dst: "198.51.100.7:80", flags: "S" });
      nat.translate(first, { now: 0 });
      const outside = endpoints(decode(first)).src;
      const syn = tcp({ src: "198.51.100.9:99", dst: `${outside.address}:${outside.port}`, flags: "S" });
      const asSent = syn.slice();
      assert.equal(nat.translate(syn, { now: 0 }).reason, "filtered");
      if (opens) {
        nat.translate(tcp({ src: "192.168.226.135:5000", dst: "198.51.100.9:99", flags: "S" }), {
          now: 4000,
        });
      }
      nat.conntrack.sweep(5_999);
      assert.deepEqual(nat.take(), []);
      nat.conntrack.sweep(6_000);
      const answers = nat.take();
      assert.equal(answers.length, opens ? 0 : 1);
      if (opens) continue;
      const { body, dst } = decode(answers[0]!.packet);
      assert.equal(dst, "198.51.100.9");
      assert.ok(body.kind === "icmp" && body.type === 3 && body.code === 3);
      assert.deepEqual(Buffer.from(body.payload), Buffer.from(asSent));
    }
  });

  test("exhaustion says so to the sender: type 3 code 13", () => {
    using nat = new Nat({ ...CONFIG, icmpErrors: true, limits: { sessions: 1 } });
    nat.translate(question(), { now: 0 });
    assert.equal(nat.translate(question("192.168.226.9:1"), { now: 0 }).reason, "session-limit");
    const [error] = nat.take();
    const { body, dst } = decode(error!.packet);
    assert.equal(dst, "192.168.226.9");
    assert.ok(body.kind === "icmp" && body.type === 3 && body.code === 13);
  });
});

describe("instances", () => {
  test("several share nothing", () => {
    using one = new Nat(CONFIG, { seed: 1 });
    using two = new Nat({ ...CONFIG, outside: ["203.0.113.2"] }, { seed: 1 });
    const answer = ask(one, 0);
    assert.equal(two.translate(answer.slice(), { now: 0 }).verdict, "dropped");
    assert.equal(one.translate(answer.slice(), { now: 0 }).verdict, "forwarded");
  });

  test("many come and go without holding on to memory", () => {
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 300; i++) {
      using nat = new Nat(CONFIG);
      ask(nat, 0);
    }
    const grown = (process.memoryUsage().rss - before) / 1e6;
    assert.ok(grown < 150, `${grown.toFixed(0)} MB after 300 instances`);
  });
});
