// Events: what is told to whom, what is lost and counted, and how listening ends.
import { deepEqual, equal, ok, rejects, throws } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { describe, test } from "node:test";
import {
  Nat,
  type NatConfig,
  NatError,
  type NatEvent,
  type NatEventType,
  ShardedNat,
} from "../../src/index.js";
import { decode, echo, endpoints, replyTo, tcp, udp } from "../support/packets.js";
import { Told } from "../support/told.js";

const CONFIG: NatConfig = { inside: ["192.168.226.0/24"], outside: ["203.0.113.1"] };
const HOST = "192.168.226.135";
const REMOTE = "198.51.100.7:53";
const question = (port = 4000, host = HOST) => udp({ src: `${host}:${port}`, dst: REMOTE, df: true });
const typesOf = (events: Iterable<NatEvent>): NatEventType[] => Array.from(events, ({ type }) => type);
const code = (expected: string) => (error: unknown) => error instanceof NatError && error.code === expected;
const keyOf = (port = 4000) => ({
  protocol: "udp" as const,
  inside: { address: HOST, port },
  remote: { address: "198.51.100.7", port: 53 },
});

describe("a stream of events", () => {
  test("has each as it was when it happened, in order", () => {
    using nat = new Nat(CONFIG, { seed: 1 });
    const events = nat.conntrack.events();
    const packet = question();
    nat.translate(packet, { now: 1000 });
    const { lastSeen: _, expiresAt: __, ...session } = nat.conntrack.find(keyOf())!;
    const { inside, public: outside } = session;
    const binding = { protocol: "udp", inside, public: outside };
    const opened = {
      ...session,
      packets: { outbound: 0, inbound: 0 }, // its first packet is about to be
      bytes: { outbound: 0, inbound: 0 },
    };
    deepEqual(events.take(), [
      { type: "binding-created", at: 1000, ...binding },
      { type: "session-opened", at: 1000, session: opened },
    ]);
    nat.translate(replyTo(packet), { now: 1002.5 });
    nat.conntrack.sweep(400_000);
    const answered = {
      ...session,
      packets: { outbound: 1, inbound: 1 },
      bytes: { outbound: packet.length, inbound: packet.length },
    };
    deepEqual(events.take(), [
      { type: "session-established", at: 1002.5, session: answered },
      { type: "session-expired", at: 400_000, session: answered },
      { type: "binding-released", at: 400_000, ...binding },
    ]);
    deepEqual(events.take(), []);
    equal(events.lost, 0);
  });

  test("has only the types that were asked for, and what the filter picks", () => {
    using nat = new Nat(CONFIG);
    const bindings = nat.conntrack.events({ types: ["binding-created"] });
    const odd = nat.conntrack.events({
      filter: (event) => "session" in event && event.session.inside.port % 2 === 1,
    });
    for (let port = 4000; port < 4006; port++) nat.translate(question(port), { now: 0 });
    deepEqual(typesOf(bindings.take()), Array(6).fill("binding-created"));
    deepEqual(
      odd.take().map((event) => "session" in event && event.session.inside.port),
      [4001, 4003, 4005],
    );
  });

  test("iterates, and ends by break", async () => {
    using nat = new Nat(CONFIG);
    const events = nat.conntrack.events({ types: ["session-opened"] });
    setTimeout(() => {
      for (let port = 4000; port < 4005; port++) nat.translate(question(port), { now: 0 });
    }, 5);
    const ports: number[] = [];
    const keepAlive = setInterval(() => {}, 1000);
    for await (const event of events) {
      ok(event.type === "session-opened");
      ports.push(event.session.inside.port);
      if (ports.length === 3) break;
    }
    clearInterval(keepAlive);
    deepEqual(ports, [4000, 4001, 4002]);
    deepEqual(await events.next(), { done: true, value: undefined });
    nat.translate(question(5000), { now: 0 });
    deepEqual(events.take(), []);
  });

  test("begins when it is asked for", () => {
    using nat = new Nat(CONFIG);
    nat.translate(question(4000), { now: 0 });
    const first = nat.conntrack.events();
    nat.translate(question(4001), { now: 0 });
    const second = nat.conntrack.events();
    deepEqual(second.take(), []);
    deepEqual(typesOf(first.take()), ["binding-created", "session-opened"]);
  });

  test("loses and counts what a slow reader has no room for; others have it", () => {
    using nat = new Nat(CONFIG);
    const slow = nat.conntrack.events({ capacity: 3, types: ["session-opened"] });
    const quick = nat.conntrack.events({ types: ["session-opened"] });
    for (let port = 4000; port < 4010; port++) nat.translate(question(port), { now: 0 });
    const ports = (events: NatEvent[]) =>
      events.map((event) => "session" in event && event.session.inside.port);
    deepEqual(ports(slow.take()), [4000, 4001, 4002]);
    equal(slow.lost, 7);
    equal(quick.take().length, 10);
    equal(quick.lost, 0);
    nat.translate(question(4010), { now: 0 });
    deepEqual(ports(slow.take()), [4010]);
    equal(nat.stats.events.lost, 0);
  });

  test("tells of what was lost in the engine, as do the stats", () => {
    using nat = new Nat(CONFIG);
    const events = nat.conntrack.events({ types: ["session-opened"], capacity: 100_000 });
    const later = nat.conntrack.events({ types: ["host-limit"] });
    const batch = nat.batch({ slots: 1000, bytes: 64_000 });
    let sent = 0;
    const send = (count: number) => {
      for (; count > 0; count -= batch.count) {
        batch.clear();
        for (let i = 0; i < Math.min(1000, count); i++, sent++) {
          const remote = `198.51.${100 + (sent >> 15)}.${1 + (sent & 127)}:${1 + ((sent >> 7) & 255)}`;
          batch.push(udp({ src: `${HOST}:4000`, dst: remote, df: true }));
        }
        nat.translateBatch(batch, 0);
      }
    };
    send(65_536);
    equal(nat.stats.events.lost, 0);
    send(10);
    equal(nat.stats.events.lost, 10);
    equal(events.take().length, 65_536);
    equal(events.lost, 10);
    equal(later.lost, 10, "of any type");
    send(5);
    equal(events.take().length, 5);
    equal(nat.conntrack.size, 65_551);
  });

  test("several readers at once get one event each", async () => {
    using nat = new Nat(CONFIG);
    const events = nat.conntrack.events({ types: ["session-opened"] });
    const waiting = [events.next(), events.next()];
    for (const port of [4000, 4001, 4002]) nat.translate(question(port), { now: 0 });
    const all = await Promise.all([...waiting, events.next()]);
    deepEqual(
      all.map(({ value }) => value && "session" in value && value.session.inside.port),
      [4000, 4001, 4002],
    );
  });

  test("ends with its Nat: what waits in it can still be read", async () => {
    const nat = new Nat(CONFIG);
    const events = nat.conntrack.events();
    const idle = nat.conntrack.events({ types: ["host-limit"] });
    const waiting = idle.next();
    nat.translate(question(), { now: 0 });
    nat.close();
    deepEqual(await waiting, { done: true, value: undefined });
    const read: NatEvent[] = [];
    for await (const event of events) read.push(event);
    deepEqual(typesOf(read), ["binding-created", "session-opened"]);
    throws(() => nat.conntrack.events(), code("NAT_ERR_CLOSED"));
  });

  test("a filter that throws ends its own stream alone", async () => {
    using nat = new Nat(CONFIG);
    const bad = nat.conntrack.events({
      filter: () => {
        throw new RangeError("mine");
      },
    });
    const good = nat.conntrack.events();
    const waiting = bad.next();
    nat.translate(question(), { now: 0 });
    equal(good.take().length, 2);
    await rejects(waiting, RangeError);
    await rejects(bad.next(), RangeError);
    throws(() => bad.take(), RangeError);
  });

  test("says what is wrong with its options", () => {
    using nat = new Nat(CONFIG);
    const refused = (options: object, message: RegExp) =>
      throws(() => nat.conntrack.events(options), { code: "NAT_ERR_ARGUMENT", message });
    refused(
      { types: ["session-open"] },
      /^types: "session-open" is no event; give a list of session-opened, /,
    );
    refused({ types: "sessions" }, /^types: "sessions" is no event/);
    refused({ capacity: 0 }, /^capacity: 0 is not a whole number from 1 to 1048576$/);
    refused({ capacity: 1.5 }, /^capacity: 1.5 /);
    refused({ filter: "tcp" }, /^filter: expected a function/);
  });
});

describe("listeners", () => {
  test("hear of what they listen to, until they are taken off", async () => {
    using nat = new Nat(CONFIG);
    const heard: string[] = [];
    const listener = ({ type }: NatEvent) => heard.push(type);
    nat.conntrack.on("session-opened", listener).on("session-deleted", listener);
    nat.conntrack.once("binding-created", listener);
    const last = once(nat.conntrack, "session-deleted");
    const keepAlive = setInterval(() => {}, 1000);
    nat.translate(question(4000), { now: 0 });
    nat.translate(question(4001), { now: 0 });
    nat.conntrack.delete(keyOf());
    const [event] = await last;
    clearInterval(keepAlive);
    deepEqual(event.session.inside, { address: HOST, port: 4000 });
    deepEqual(heard, ["binding-created", "session-opened", "session-opened", "session-deleted"]);
    nat.conntrack.off("session-opened", listener);
    const events = nat.conntrack.events();
    nat.translate(question(4002), { now: 0 });
    equal(events.take().length, 2);
    equal(heard.length, 4);
  });

  test("come and go, and nothing is recorded for nobody", () => {
    using nat = new Nat(CONFIG);
    const heard: number[] = [];
    const listener = (event: NatEvent) => heard.push("session" in event ? event.session.inside.port : 0);
    const bindings = nat.conntrack.events({ types: ["binding-created"] });
    nat.conntrack.on("session-opened", listener);
    nat.translate(question(4000), { now: 0 });
    nat.conntrack.removeAllListeners();
    nat.translate(question(4001), { now: 0 });
    nat.conntrack.on("session-opened", listener);
    nat.translate(question(4002), { now: 0 });
    equal(bindings.take().length, 3);
    deepEqual(heard, [4002], "what came while it did not listen is not for it, whoever else listens");
    nat.conntrack.removeAllListeners("session-opened");
    nat.translate(question(4003), { now: 0 });
    bindings.take();
    deepEqual(heard, [4002]);
  });

  test("one may close its Nat", () => {
    const nat = new Nat(CONFIG);
    const events = nat.conntrack.events({ types: ["session-opened"] });
    nat.conntrack.once("session-opened", () => nat.close());
    for (let port = 1000; port < 2000; port++) nat.translate(question(port), { now: 0 });
    ok(events.take().length > 0);
    throws(() => nat.conntrack.size, code("NAT_ERR_CLOSED"));
  });

  test("one that throws hurts no other, and neither they nor streams keep the process alive", () => {
    const script = `
      const { Nat } = require("./src/index.ts");
      const nat = new Nat({ inside: ["192.168.226.0/24"], outside: ["203.0.113.1"] });
      process.on("uncaughtException", (error) => console.log("uncaught", error.message));
      nat.conntrack.on("session-opened", () => { throw new Error("mine"); });
      nat.conntrack.on("binding-created", () => console.log("created"));
      const events = nat.conntrack.events();
      nat.translate(Buffer.from("4500001c1234400040115b32c0a8e287c63364070fa0003500080000", "hex"), { now: 0 });
      setTimeout(() => { console.log(events.take().length); events.next(); }, 100);
    `;
    const { stdout, stderr, status } = spawnSync(process.execPath, ["--require", "tsx/cjs", "-e", script], {
      encoding: "utf8",
    });
    deepEqual([stdout, stderr, status], ["created\nuncaught mine\n2\n", "", 0]);
  });
});

describe("events of a Nat", () => {
  test("fold to its table: what comes by batches, mappings, time and a change of config", () => {
    using nat = new Nat(
      { ...CONFIG, outside: ["203.0.113.1", "203.0.113.2"], pooling: "arbitrary" },
      { seed: 3 },
    );
    const told = new Told(nat);
    const batch = nat.batch({ slots: 64 });
    for (let round = 0; round < 20; round++) {
      batch.clear();
      for (let i = 0; i < 30; i++) batch.push(question(4000 + round * 10 + i, `192.168.226.${1 + (i % 5)}`));
      batch.push(tcp({ src: `${HOST}:${5000 + round}`, dst: "198.51.100.7:80", flags: "S" }));
      batch.push(echo({ src: HOST, dst: "198.51.100.7", identifier: round }));
      nat.translateBatch(batch, round * 30_000);
      nat.mappings.request(
        { protocol: "udp", inside: { address: HOST, port: 6000 + round }, lifetime: 50_000 },
        round * 30_000,
      );
      nat.conntrack.sweep(round * 30_000);
      told.check();
    }
    ok(nat.stats.sessions.expired > 0);
    nat.reconfigure({ ...CONFIG, pooling: "arbitrary" });
    ok(nat.stats.sessions.deleted > 0);
    told.check();
    nat.reconfigure({
      ...CONFIG,
      forwards: [{ protocol: "udp", outside: "203.0.113.1:53", inside: `${HOST}:53` }],
    });
    nat.translate(question(7000), { now: 600_000 });
    nat.conntrack.sweep(600_000);
    told.check();
    for (const session of nat.conntrack.filter(({ protocol }) => protocol === "udp"))
      nat.conntrack.delete(session);
    nat.conntrack.sweep(9e6);
    told.check();
    equal(nat.conntrack.size, 0);
  });

  test("tell of a full pool, a host at its limit, and a session that will expire", () => {
    using nat = new Nat({
      ...CONFIG,
      outside: [{ address: "203.0.113.1", ports: "5000-5003" }],
      limits: { portsPerHost: 3 },
      events: { expiring: 60, poolThreshold: 0.75 },
    });
    const events = nat.conntrack.events({
      types: ["pool-threshold", "pool-exhausted", "pool-relieved", "host-limit", "session-expiring"],
    });
    const pool = { address: "203.0.113.1", protocol: "udp", total: 4 };
    for (let port = 4000; port < 4005; port++) nat.translate(question(port), { now: 10 });
    nat.translate(question(4000, "192.168.226.2"), { now: 20 });
    nat.translate(question(4000, "192.168.226.3"), { now: 30 });
    deepEqual(events.take(), [
      { type: "pool-threshold", at: 10, ...pool, used: 3 },
      { type: "host-limit", at: 10, inside: HOST, limit: "bindings" },
      { type: "pool-exhausted", at: 30, ...pool, used: 4 },
    ]);
    nat.conntrack.delete(keyOf(4000));
    nat.conntrack.delete(keyOf(4001));
    deepEqual(events.take(), [{ type: "pool-relieved", at: 30, ...pool, used: 2 }]);
    nat.conntrack.sweep(241_000);
    deepEqual(typesOf(events.take()), ["session-expiring", "session-expiring"]);
    throws(
      () => new Nat({ ...CONFIG, events: { expiring: 301 } }),
      /events.expiring: 301 is not a time in seconds/,
    );
    throws(() => new Nat({ ...CONFIG, events: { poolThreshold: 90 } }), /a number from 0.2 to 1/);
  });

  test("TCP: opened, established, closed", () => {
    using nat = new Nat(CONFIG);
    const events = nat.conntrack.events();
    const syn = tcp({ src: `${HOST}:4000`, dst: "198.51.100.7:80", flags: "S", seq: 100 });
    nat.translate(syn, { now: 0 });
    const outside = endpoints(decode(syn)).src;
    const back = (flags: string, seq: number, ack: number) =>
      nat.translate(
        tcp({
          src: "198.51.100.7:80",
          dst: `${outside.address}:${outside.port}`,
          flags,
          seq,
          ack,
          window: 9000,
        }),
        { now: 0 },
      );
    back("SA", 500, 101);
    deepEqual(typesOf(events.take()), ["binding-created", "session-opened"]);
    nat.translate(tcp({ src: `${HOST}:4000`, dst: "198.51.100.7:80", flags: "A", seq: 101, ack: 501 }), {
      now: 0,
    });
    const [established] = events.take();
    ok(established?.type === "session-established");
    equal(established.session.state, "established");
    back("R", 501, 0);
    const [closed] = events.take();
    ok(closed?.type === "session-closed");
    equal(closed.session.state, "reset");
  });
});

describe("events of a ShardedNat", () => {
  test("come from all shards, to streams and listeners", async () => {
    const nat = await ShardedNat.create(CONFIG, { shards: 2 });
    const events = nat.conntrack.events({ types: ["session-opened", "session-deleted"] });
    const first = once(nat.conntrack, "session-opened");
    await nat.stats(); // the shards have heard of it
    const hosts = Array.from({ length: 8 }, (_, n) => `192.168.226.${n + 1}`);
    await nat.translateAll(
      hosts.map((host) => question(4000, host)),
      { now: 7 },
    );
    const opened = new Set<string>();
    for await (const event of events) {
      ok(event.type === "session-opened");
      equal(event.at, 7);
      opened.add(event.session.inside.address);
      if (opened.size === hosts.length) break;
    }
    deepEqual([...opened].toSorted(), hosts);
    equal((await first)[0].type, "session-opened");
    equal((await nat.stats()).events.lost, 0);
    const rest = nat.conntrack.events({ types: ["session-expired"] });
    await nat.conntrack.sweep(400_000);
    const waiting = rest.next();
    await nat.close();
    equal((await waiting).value?.type, "session-expired");
    let more = 0;
    for await (const _ of rest) more++;
    equal(more, hosts.length - 1, "what was told before the end can still be read");
    throws(() => nat.conntrack.events(), code("NAT_ERR_CLOSED"));
  });
});
