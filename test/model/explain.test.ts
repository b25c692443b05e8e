// An explanation tells what happens, and leaves no trace: a NAT that is asked before every packet stays the twin of
// one that never is.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type EventStream, type Explanation, Nat, type NatConfig, type Verdict } from "../../src/index.js";
import { describe, fragments, hex, udp } from "../support/packets.js";
import { type Event, Runner, restarted } from "./runner.js";
import { check, type World, world } from "./world.js";

/** Marks what comes out for the packet under way. */
const TAG = 77;

/** A NAT that is asked and one that is not. */
interface Twins {
  asked: Nat;
  plain: Nat;
}
const STREAMS = new WeakMap<Nat, EventStream>();

function twins(config: NatConfig, seed: number): Twins {
  const watched = () => {
    const nat = new Nat(config, { seed });
    STREAMS.set(nat, nat.conntrack.events());
    return nat;
  };
  return { asked: watched(), plain: watched() };
}

/** All that can be seen of a NAT: sessions with their counters and TCP windows, counts, what waits, events. */
function stateOf(nat: Nat, now: number) {
  return {
    sessions: [...nat.conntrack],
    snapshot: hex(Buffer.concat([...nat.conntrack.snapshot({ now, wall: 1e12 })])),
    stats: nat.stats,
    pending: nat.pending,
    events: STREAMS.get(nat)?.take(),
  };
}

function compareTwins({ asked, plain }: Twins, now: number, label: string): void {
  assert.deepEqual(stateOf(asked, now), stateOf(plain, now), label);
}

/** Asks, sends the packet through both, and compares what was said, what happened and what is left. */
function send(both: Twins, packet: Uint8Array, now: number): void {
  const label = `${describe(packet)} at ${now}`;
  const before = packet.slice();
  const said = both.asked.explain(packet, { now });
  assert.equal(hex(packet), hex(before), label);
  compareTwins(both, now, `asked of ${label}`);
  const had = said.sessions.map((session) => both.asked.conntrack.find(session));
  const results = [both.asked, both.plain].map((nat) => {
    const after = packet.slice();
    const verdict: Verdict = nat.translate(after, { now, tag: TAG });
    return { verdict, after: hex(after), emits: nat.take() };
  });
  assert.deepEqual(results[0], results[1], label);
  const { verdict, after, emits } = results[0]!;
  const { verdict: word, direction, reason } = said;
  assert.deepEqual({ verdict: word, direction, reason }, verdict, label);
  assert.equal(said.why === null, verdict.verdict !== "dropped", label);
  assert.equal(hex(said.packet), after, label);
  assert.deepEqual(
    said.emits.map((one) => [one.kind, one.side, hex(one.packet)]),
    emits.filter(({ cause }) => cause === TAG).map((one) => [one.kind, one.side, hex(one.packet)]),
    label,
  );
  compareSessions(both.asked, said, had, label);
  compareTwins(both, now, `after ${label}`);
}

/** The sessions are as it was said that they would be. */
function compareSessions(
  nat: Nat,
  { at, sessions }: Explanation,
  had: readonly ReturnType<Nat["conntrack"]["find"]>[],
  label: string,
): void {
  for (const [number, said] of sessions.entries()) {
    const is = nat.conntrack.find(said);
    const was = had[number] ?? null;
    assert.ok(is !== null, label);
    assert.deepEqual(said.public, is.public, label);
    assert.equal(said.state.after, is.state, label);
    assert.ok(Math.abs(said.expiresIn.after * 1000 - (is.expiresAt - at)) < 0.001, label);
    assert.equal(said.isNew, was === null || was.expiresAt <= at, label);
    if (!said.isNew) assert.equal(said.state.before, was!.state, label);
    if (said.drawn !== null) assert.ok(said.isNew, label);
  }
}

/** A recorded sequence by both twins, with questions about packets that are still to come in between. */
function replay(one: World, events: readonly Event[], ahead: readonly number[]): void {
  const both = twins(one.config, one.seed);
  const packets = events.filter((event) => "before" in event);
  const later = (number: number) => packets[number % packets.length]?.before;
  try {
    events.forEach((event, number) => {
      const curious = later(number + ahead[number % ahead.length]!);
      if (curious !== undefined) both.asked.explain(curious, { now: event.at + 100_000 * (number % 3) });
      if ("restarted" in event) {
        both.asked = restarted(both.asked, one, event.at, event.restarted);
        both.plain = restarted(both.plain, one, event.at, event.restarted);
      } else if ("deleted" in event) {
        for (const nat of [both.asked, both.plain]) {
          nat.conntrack.sweep(event.at);
          assert.ok(nat.conntrack.delete(event.deleted));
        }
      } else {
        send(both, event.before, event.at);
      }
    });
  } finally {
    both.asked.close();
    both.plain.close();
  }
}

test("any sequence of packets is explained as it then happens, and happens as if nobody had asked", () => {
  const ahead = fc.array(fc.nat({ max: 9 }), { minLength: 1, maxLength: 5 });
  check(
    fc.property(world(24), ahead, fc.boolean(), (one, numbers, icmpErrors) => {
      const runner = Runner.record(one);
      try {
        replay({ ...one, config: { ...one.config, icmpErrors } as World["config"] }, runner.events, numbers);
      } catch (error) {
        throw new Error(`${(error as Error).message}\n${runner.story()}`);
      }
    }),
    60,
  );
});

test("fragments in any order, some held, too", () => {
  const piece = fc.record({
    datagram: fc.nat({ max: 3 }),
    number: fc.nat({ max: 2 }),
    wait: fc.nat({ max: 12_000 }),
  });
  const pieces = fc.array(piece, { minLength: 1, maxLength: 20 });
  const datagrams = [4000, 4001, 4000, 4002].map((port, id) =>
    fragments(
      udp({
        src: `10.0.0.${1 + (id % 3)}:${port}`,
        dst: "198.51.100.1:53",
        payload: new Uint8Array(60),
        id: id % 2,
      }),
      [16, 40],
    ),
  );
  const config = { inside: ["10.0.0.0/24"], outside: ["203.0.113.1"], limits: { fragments: 4 } };
  check(
    fc.property(pieces, fc.nat(), (all, seed) => {
      const both = twins(config, seed);
      let now = 0;
      for (const { datagram, number, wait } of all) {
        now += wait;
        send(both, datagrams[datagram]![number]!, now);
      }
      both.asked.close();
      both.plain.close();
    }),
    25,
  );
});
