// The table at its limit, and a million new flows a second (RFC 6888, REQ-11; RFC 4787, REQ-11): sessions in use lose
// no packet, and afterwards everything is back, counted. Time is virtual. An ordinary run has few seconds of it;
// `npm run test:flood` the whole minute.
import { deepEqual, equal, ok } from "node:assert/strict";
import { describe, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Nat, type NatConfig } from "../../src/index.js";
import { Flood, fillUp, floodConfig, InUse, PER_SECOND, POOL } from "./flood.js";
import { figure } from "./scene.js";

const SECONDS = Number(process.env.NAPT_FLOOD_SECONDS ?? 1);
const SESSIONS = 200_000;
const IN_USE = 4096;
/** All sessions in use have a packet each way in so much time. */
const HEARTBEAT = 2000;
const PORTS = POOL.length * 64_512;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** The whole process, in MB. */
function memory(): number {
  collectGarbage();
  return process.memoryUsage.rss() / 2 ** 20;
}

interface Variant {
  whenFull: "refuse" | "evict";
  name: string;
  timeouts: NatConfig["timeouts"];
  seconds: number;
}
const DEFAULTS = { name: "timeouts as by default", timeouts: {}, seconds: SECONDS };
const SHORT = {
  name: "short timeouts",
  timeouts: { udp: 5, tcpOpening: 0.3, icmp: 0.3 }, // UDP's longer than the heartbeat
  seconds: Math.min(SECONDS, 12),
};
const VARIANTS: Variant[] = [
  { whenFull: "refuse", ...DEFAULTS },
  { whenFull: "evict", ...DEFAULTS },
  { whenFull: "refuse", ...SHORT },
  { whenFull: "evict", ...SHORT },
];

describe("a million new flows a second, the table full", () => {
  for (const { whenFull, timeouts, name, seconds } of VARIANTS) {
    test(`whenFull ${whenFull}, ${name}: sessions in use lose no packet, and all is back afterwards`, (t) => {
      using nat = new Nat(floodConfig({ sessions: SESSIONS, whenFull }, timeouts), { seed: 1 });
      let now = 0;
      const wave = (length: number) => {
        const inUse = new InUse(nat, IN_USE, now);
        const flood = new Flood(nat);
        const every = Math.floor(HEARTBEAT / Flood.STEP / inUse.rounds);
        for (let step = 0; flood.offered < length * PER_SECOND; step++, now += Flood.STEP) {
          flood.send(now);
          if (step % every === 0) inUse.send(now);
        }
        for (let round = 0; round < inUse.rounds; round++) inUse.send(now);
        return { inUse, flood };
      };
      /** Until all has ended, and no port rests any more. */
      const drain = () => {
        now += 7_440_000;
        nat.conntrack.sweep(now);
        now += 121_000;
        equal(nat.conntrack.size, 0);
        equal(nat.stats.sessions.active, 0);
      };

      const { inUse, flood } = wave(seconds);
      equal(inUse.lost, 0, `of ${inUse.sent} packets of sessions in use`);
      ok(inUse.sent >= (seconds * 1000 * IN_USE * 2) / HEARTBEAT);
      const { sessions, drops } = nat.stats;
      equal(sessions.peak, SESSIONS, "the table was full");
      ok(nat.conntrack.size <= sessions.active);
      const refused = (drops["session-limit"] ?? 0) + (drops["ports-exhausted"] ?? 0);
      equal(flood.offered + IN_USE, sessions.created + refused, "every flow was let in or refused");
      if (whenFull === "refuse") equal(sessions.evicted, 0);
      // Some find only sessions in use where they look for room.
      else ok(refused <= (flood.offered * IN_USE) / SESSIONS, `${refused} refused`);
      const { created, expired, evicted } = sessions;
      if (name === SHORT.name && whenFull === "refuse")
        ok(expired > SESSIONS / 4, "sessions ended meanwhile");
      t.diagnostic(
        `${flood.offered} flows offered: ${JSON.stringify({ created, expired, evicted, refused })}`,
      );
      t.diagnostic(`${inUse.sent} packets of ${IN_USE} sessions in use: ${inUse.lost} lost`);
      drain();

      const before = memory();
      equal(wave(Math.min(seconds, 10)).inUse.lost, 0);
      drain();
      const growth = memory() - before;
      ok(growth < 32, `${growth.toFixed(1)} MB more after the same again`);

      // Every session, every host record, every port.
      fillUp(nat, "udp", PORTS, now);
      fillUp(nat, "tcp", SESSIONS - PORTS, now);
      drain();
      fillUp(nat, "tcp", PORTS - 1, now); // one is the forward's
      drain();
      fillUp(nat, "icmp", PORTS, now);
      drain();
      deepEqual(
        Object.keys(nat.stats.drops).filter(
          (reason) => !["session-limit", "ports-exhausted"].includes(reason),
        ),
        [],
      );
      if (whenFull === "refuse" && name === "short timeouts") {
        figure(t, "Packets lost by 4,096 sessions in use, whatever `whenFull` and the timeouts", 0);
        figure(
          t,
          "Sessions, hosts at once and public ports that can be had again afterwards",
          "200,000, 200,000 and 387,071",
        );
      }
    });
  }

  test("the ports run out before the table: evict takes bindings that nobody answered", () => {
    const config = floodConfig({ sessions: 1 << 20, whenFull: "evict" }, {});
    using nat = new Nat(
      { ...config, outside: [{ address: POOL[0]!, ports: "10000-29999" }, POOL[1]!] },
      { seed: 1 },
    );
    let now = 0;
    const inUse = new InUse(nat, IN_USE, 0);
    const flood = new Flood(nat);
    for (let step = 0; flood.offered < (Math.min(SECONDS, 10) * PER_SECOND) / 2; step++, now += Flood.STEP) {
      flood.send(now);
      if (step % 100 === 0) inUse.send(now);
    }
    equal(inUse.lost, 0);
    ok(nat.stats.sessions.evicted > 0);
    now += 7_440_000;
    nat.conntrack.sweep(now);
    equal(nat.conntrack.size, 0);
    fillUp(nat, "udp", 20_000 + 64_512, now + 121_000);
  });
});
