// The NAT's own ICMP errors (`icmpErrors`) go to whoever the packet says it is from. So that nobody can use them
// against a third party, they are few, never more than what came in, and only a little larger each; and what
// outsiders provoke takes nothing from what inside hosts need.
import { equal, ok } from "node:assert/strict";
import { describe, test } from "node:test";
import type { EmittedPacket } from "../../src/index.js";
import { decode, echo, errorAbout, fragments, icmp, tcp, udp } from "../support/packets.js";
import { figure, OUTSIDER, PUBLIC, Scene, SECOND, SERVER, VICTIM } from "./scene.js";

/** Packets handed in, and what the NAT sent because of them. */
class Balance {
  packetsIn = 0;
  bytesIn = 0;
  readonly sent: EmittedPacket[] = [];

  constructor(readonly scene: Scene) {}

  hand(packet: Uint8Array): void {
    this.packetsIn++;
    this.bytesIn += packet.length;
    this.scene.hand(packet);
    if (this.packetsIn % 64 === 0) this.take();
  }
  take(): void {
    this.sent.push(...this.scene.nat.take());
  }
  get bytesOut(): number {
    return this.sent.reduce((sum, { packet }) => sum + packet.length, 0);
  }
}

describe("answers to unsolicited SYNs (RFC 5382, REQ-4)", () => {
  test("a flood of 1,000 a second for a minute has 64 answers in six seconds", (t) => {
    using scene = new Scene({ icmpErrors: true });
    const balance = new Balance(scene);
    const seconds = 60;
    const perSecond = 1000;
    for (let n = 0; n < seconds * perSecond; n++) {
      scene.now = (n * SECOND) / perSecond;
      // Spoofed: all from the host that is to be flooded.
      balance.hand(
        tcp({ src: `192.0.2.9:${n % 60_000}`, dst: `${PUBLIC}:${1024 + (n % 5000)}`, flags: "S" }),
      );
    }
    balance.take();
    const most = (seconds / 6) * 64;
    ok(balance.sent.length > 0 && balance.sent.length <= most, `${balance.sent.length} answers`);
    ok(balance.bytesOut <= balance.bytesIn);
    for (const { packet } of balance.sent) equal(packet.length, 68, "28 bytes more than the SYN");
    figure(t, "Answers to unsolicited SYNs in six seconds, at most", 64);
    figure(t, "Bytes of such an answer to a SYN of 40", 68);
  });

  test("each SYN has one at most, and not before six seconds", () => {
    using scene = new Scene({ icmpErrors: true });
    for (let i = 0; i < 10; i++) scene.hand(tcp({ src: OUTSIDER, dst: `${PUBLIC}:2000`, flags: "S" }));
    const sentBy = (now: number) => {
      scene.nat.conntrack.sweep(now);
      return scene.nat.take().length;
    };
    equal(sentBy(6 * SECOND - 1), 0);
    ok(sentBy(6 * SECOND) <= 10);
    equal(sentBy(60 * SECOND), 0);
  });

  test("none without icmpErrors", () => {
    using scene = new Scene();
    scene.hand(tcp({ src: OUTSIDER, dst: `${PUBLIC}:2000`, flags: "S" }));
    scene.nat.conntrack.sweep(7 * SECOND);
    equal(scene.nat.pending, 0);
  });
});

describe("other ICMP errors of the NAT's own", () => {
  test("stay within icmpErrorRate and a burst of 50, however many packets provoke them", (t) => {
    using scene = new Scene({ icmpErrors: true, limits: { icmpErrorRate: 100 } });
    const balance = new Balance(scene);
    for (let n = 0; n < 50_000; n++) {
      scene.now = n / 5; // 5,000 a second for ten seconds
      balance.hand(
        udp({ src: `192.0.2.9:${n % 60_000}`, dst: `${PUBLIC}:4000`, ttl: 1, payload: "to be reflected" }),
      );
    }
    balance.take();
    ok(balance.sent.length >= 1000 && balance.sent.length <= 1000 + 50, `${balance.sent.length}`);
    ok(balance.bytesOut <= balance.bytesIn);
    figure(t, "ICMP errors beyond limits.icmpErrorRate in one burst", 50);
  });

  test("are never more than 28 bytes longer than what they are about, and never longer than 576", (t) => {
    using scene = new Scene({ icmpErrors: true });
    for (const length of [0, 1, 40, 500, 548, 1000, 1472]) {
      const packet = udp({ src: VICTIM, dst: SERVER, ttl: 1, payload: new Uint8Array(length) });
      scene.hand(packet);
      const [error] = scene.nat.take();
      equal(error!.packet.length, Math.min(packet.length + 28, 576));
      scene.now += SECOND;
    }
    figure(t, "Bytes that such an error is longer than its cause, at most", 28);
  });

  test("are never about an error, a later fragment, a broadcast or an impossible source (RFC 1812, 4.3.2.7)", () => {
    using scene = new Scene({ icmpErrors: true });
    const expired = { src: OUTSIDER, dst: `${PUBLIC}:4000`, ttl: 1 };
    scene.hand(
      errorAbout(udp({ src: `${PUBLIC}:1`, dst: OUTSIDER }), {
        src: "192.0.2.1",
        dst: PUBLIC,
        type: 11,
        ttl: 1,
      }),
    );
    scene.hand(icmp({ src: "192.0.2.1", dst: PUBLIC, type: 3, ttl: 1 }));
    scene.hand(fragments(udp({ ...expired, payload: new Uint8Array(64) }), [32])[1]!);
    for (const source of ["0.0.0.0", "127.0.0.1", "224.0.0.5", "255.255.255.255", PUBLIC]) {
      scene.hand(udp({ ...expired, src: `${source}:1` }));
    }
    equal(scene.nat.pending, 0);
    scene.hand(udp(expired));
    equal(scene.nat.pending, 1, "about anything else they are");
  });

  test("an inside host's Time Exceeded comes, however many outsiders provoke theirs", (t) => {
    using scene = new Scene({ icmpErrors: true });
    let missing = 0;
    const asked = 20;
    for (let round = 0; round < asked; round++) {
      for (let n = 0; n < 2000; n++) {
        scene.now += 0.5;
        scene.hand(udp({ src: OUTSIDER, dst: `${PUBLIC}:4000`, ttl: 1 }));
      }
      scene.nat.take();
      scene.hand(echo({ src: "10.0.0.1", dst: "198.51.100.7", identifier: round, ttl: 1 }));
      const [answer] = scene.nat.take().filter(({ side }) => side === "inside");
      if (answer === undefined) missing++;
      else equal(decode(answer.packet).dst, "10.0.0.1");
    }
    figure(t, "ICMP errors that inside hosts miss, of 20, while outsiders provoke 2,000 a second", missing);
    equal(missing, 0);
  });
});

describe("other ways to have the NAT send", () => {
  test("without icmpErrors it sends nothing of its own, whatever comes", () => {
    using scene = new Scene({ limits: { sessions: 10 } });
    for (let n = 0; n < 1000; n++) {
      scene.hand(udp({ src: `10.0.0.1:${n + 1}`, dst: SERVER, ttl: 1 + (n % 2) }));
      scene.hand(tcp({ src: OUTSIDER, dst: `${PUBLIC}:${n + 1}`, flags: "S", ttl: 1 + (n % 2) }));
    }
    scene.now += 60 * SECOND;
    scene.nat.conntrack.sweep(scene.now);
    scene.nat.flush();
    equal(scene.nat.pending, 0);
    equal(scene.nat.stats.packets.originated, 0);
  });

  test("a packet comes out once, or not at all", () => {
    using scene = new Scene({ icmpErrors: true, filtering: "endpoint-independent" });
    const mapped = scene.exchange(VICTIM, SERVER);
    const { packets } = scene.nat.stats;
    for (let n = 0; n < 1000; n++) scene.hand(udp({ src: `192.0.2.1:${n + 1}`, dst: mapped }));
    const after = scene.nat.stats.packets;
    equal(after.out - packets.out, 1000);
    equal(after.originated, 0);
  });
});
