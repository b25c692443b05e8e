// One inside host that takes all it can get. Without limits it can have all ports and all sessions that are free,
// and what others have stays theirs; with limits (RFC 6888, REQ-4 and REQ-5) others get what they need as well.
import { equal, ok } from "node:assert/strict";
import { describe, test } from "node:test";
import type { NatConfig } from "../../src/index.js";
import { echo, replyTo, tcp, udp } from "../support/packets.js";
import { figure, OUTSIDER, PUBLIC, Scene, SECOND } from "./scene.js";

const ALL_PORTS = 64_512; // 1024-65535
const GREEDY = "10.0.0.66";
const REMOTE = "198.51.100.7:53";

/** The n-th flow of a host, from a port of its own. */
function flowOf(host: string, n: number): Uint8Array {
  return udp({ src: `${host}:${1024 + (n % ALL_PORTS)}`, dst: REMOTE, checksum: 0 });
}

/** Takes flows until `most` were tried; how many it got. */
function take(scene: Scene, most: number, flow = (n: number) => flowOf(GREEDY, n)): number {
  let got = 0;
  for (let n = 0; n < most; n++) if (scene.hand(flow(n)).verdict === "forwarded") got++;
  return got;
}

/** New flows of other hosts, one each, that come through. */
function served(scene: Scene, hosts: number): number {
  let got = 0;
  for (let n = 1; n <= hosts; n++) {
    const flow = udp({ src: `10.1.${n >> 8}.${n & 255}:5000`, dst: REMOTE });
    if (scene.hand(flow).verdict === "forwarded") got++;
  }
  return got;
}

describe("one host that takes all ports, without limits", () => {
  test("gets them all; who has one keeps it, who has none is refused", (t) => {
    using scene = new Scene();
    const others = Array.from({ length: 100 }, (_, n) => {
      const { packet } = scene.pass(flowOf(`10.1.0.${n + 1}`, 0));
      return { n, answer: replyTo(packet) };
    });
    const got = take(scene, ALL_PORTS);
    equal(got, ALL_PORTS - others.length);
    figure(t, "Public ports of one address and protocol that one host gets without limits", ALL_PORTS);
    for (const { n, answer } of others) {
      equal(scene.pass(answer).to.split(":")[0], `10.1.0.${n + 1}`);
      scene.pass(flowOf(`10.1.0.${n + 1}`, 0));
    }
    equal(scene.hand(flowOf("10.2.0.1", 0)).reason, "ports-exhausted");
    // Other protocols have ports of their own (RFC 7857, s. 5).
    scene.pass(tcp({ src: "10.2.0.1:1", dst: REMOTE, flags: "S" }));
    scene.pass(echo({ src: "10.2.0.1", dst: "198.51.100.7", identifier: 1 }));
  });

  test("gets those of its own address only: paired pooling leaves the other address to others", (t) => {
    using scene = new Scene({ outside: [PUBLIC, "203.0.113.2"] });
    equal(take(scene, ALL_PORTS), ALL_PORTS);
    equal(scene.hand(udp({ src: `${GREEDY}:80`, dst: REMOTE })).reason, "ports-exhausted");
    const others = 1000;
    equal(served(scene, others), others);
    figure(t, "New flows of others served, of 1,000, with a second address and paired pooling", others);
  });

  test("can't keep ports at rest that it has left: an eighth of a range at most (RFC 6888, REQ-8)", (t) => {
    using scene = new Scene();
    take(scene, ALL_PORTS);
    scene.now += 300 * SECOND; // idle: all are given back at once
    const others = take(scene, ALL_PORTS, (n) => flowOf("10.3.0.1", n));
    equal(others, ALL_PORTS - ALL_PORTS / 8);
    figure(t, "Ports at rest after a host gave all back, at most", ALL_PORTS / 8);
    scene.now += 121 * SECOND;
    equal(
      take(scene, ALL_PORTS / 8, (n) => flowOf("10.3.0.2", n)),
      ALL_PORTS / 8,
    );
  });
});

describe("one host that takes all it can, with a limit", () => {
  const cases: { what: string; config: Partial<NatConfig>; gets: number }[] = [
    { what: "limits.portsPerHost 1,000", config: { limits: { portsPerHost: 1000 } }, gets: 1000 },
    { what: "limits.sessionsPerHost 2,000", config: { limits: { sessionsPerHost: 2000 } }, gets: 2000 },
    {
      what: "portAssignment.blockSize 512 and blocksPerHost 4",
      config: { portAssignment: { blockSize: 512, blocksPerHost: 4 } },
      gets: 2048,
    },
    {
      what: "limits.sessionRatePerHost 100, in one second",
      config: { limits: { sessionRatePerHost: 100 } },
      gets: 100,
    },
  ];
  for (const { what, config, gets } of cases) {
    test(`${what}: gets that, and 1,000 others are served`, (t) => {
      using scene = new Scene(config);
      const got = take(scene, ALL_PORTS);
      equal(got, gets);
      const others = config.portAssignment === undefined ? 1000 : 126 - 4;
      equal(served(scene, others), others);
      figure(t, `Flows that one host gets at once with ${what}`, got);
    });
  }

  test("portsPerHost of each protocol leaves the others alone", () => {
    using scene = new Scene({ limits: { portsPerHost: { tcp: 5, udp: 3, icmp: 1 } } });
    const of = (make: (n: number) => Uint8Array) => take(scene, 20, make);
    equal(
      of((n) => tcp({ src: `${GREEDY}:${2000 + n}`, dst: REMOTE, flags: "S" })),
      5,
    );
    equal(
      of((n) => udp({ src: `${GREEDY}:${2000 + n}`, dst: REMOTE })),
      3,
    );
    equal(
      of((n) => echo({ src: GREEDY, dst: "198.51.100.7", identifier: n })),
      1,
    );
    equal(served(scene, 100), 100);
  });

  test("sessionsPerHost counts what lives: what has ended makes room", () => {
    using scene = new Scene({ limits: { sessionsPerHost: 10 } });
    equal(take(scene, 20), 10);
    scene.now += 300 * SECOND;
    equal(take(scene, 20), 10);
  });

  test("sessionRatePerHost lets a host have its rate again each second, and no more", () => {
    using scene = new Scene({ limits: { sessionRatePerHost: 50 } });
    let got = 0;
    for (let ms = 0; ms < 10 * SECOND; ms++, scene.now++) {
      if (scene.hand(flowOf(GREEDY, ms)).verdict === "forwarded") got++;
    }
    ok(got >= 500 && got <= 550, `${got}`);
    equal(served(scene, 1000), 1000);
  });

  test("a flood of one host leaves the table to others", (t) => {
    using scene = new Scene({ limits: { sessions: 5000, sessionsPerHost: 1000 } });
    take(scene, 20_000);
    const others = 4000;
    equal(served(scene, others), others);
    equal(scene.hand(flowOf("10.2.0.1", 0)).reason, "session-limit");
    figure(t, "Sessions of a table of 5,000 left to others with sessionsPerHost 1,000", others);
  });
});

describe("a server behind a forward, with limits of its host", () => {
  const SERVER_HOST = "10.0.0.1";
  const forward = { protocol: "tcp" as const, outside: `${PUBLIC}:80`, inside: `${SERVER_HOST}:80` };
  const syn = (n: number) =>
    tcp({ src: `192.0.2.${n & 255}:${1024 + (n >> 8)}`, dst: `${PUBLIC}:80`, flags: "S" });

  const client = tcp({ src: OUTSIDER, dst: `${PUBLIC}:80`, flags: "S" });

  test("outsiders' SYNs don't use up what the host opens itself: they have as many sessions of their own", (t) => {
    using scene = new Scene({ forwards: [forward], limits: { sessionsPerHost: 100 } });
    for (let n = 0; n < 1000; n++) scene.hand(syn(n));
    equal(scene.nat.conntrack.size, 100);
    const own = take(scene, 1000, (n) => flowOf(SERVER_HOST, n));
    equal(own, 100);
    figure(t, "Flows that a server still opens during a SYN flood to its forward, sessionsPerHost 100", own);
  });

  test("but the next client, until those SYNs are due: who serves many needs a policy with more", (t) => {
    using scene = new Scene({ forwards: [forward], limits: { sessionsPerHost: 100, whenFull: "evict" } });
    for (let n = 0; n < 1000; n++) scene.hand(syn(n));
    let barred = 0;
    for (; scene.hand(client).verdict !== "forwarded"; scene.now += SECOND) barred++;
    equal(barred, 240);
    figure(t, "Seconds that a SYN flood which fills sessionsPerHost bars a forward's next client", barred);
    // Without a limit of its own the table's rule holds, and half-open connections make room.
    using other = new Scene({
      forwards: [forward],
      limits: { sessions: 2000, sessionsPerHost: 100, whenFull: "evict" },
      policies: [{ inside: [`${SERVER_HOST}/32`], limits: { sessionsPerHost: 0 } }],
    });
    for (let n = 0; n < 20_000; n++) other.hand(syn(n));
    equal(other.hand(client).verdict, "forwarded");
    equal(served(other, 1000), 1000);
  });

  test("nor the rate of new sessions that the host may have", () => {
    using scene = new Scene({ forwards: [forward], limits: { sessionRatePerHost: 100 } });
    for (let n = 0; n < 1000; n++) scene.hand(syn(n));
    equal(scene.hand(udp({ src: `${SERVER_HOST}:5000`, dst: REMOTE })).verdict, "forwarded");
  });

  test("its limits keep a flood to it from filling the table", (t) => {
    using scene = new Scene({ forwards: [forward], limits: { sessions: 2000, sessionsPerHost: 1000 } });
    for (let n = 0; n < 20_000; n++) scene.hand(syn(n));
    equal(scene.nat.conntrack.size, 1000);
    equal(served(scene, 1000), 1000);
    figure(
      t,
      "Sessions of a table of 2,000 left to others by a SYN flood to a forward, sessionsPerHost 1,000",
      1000,
    );
  });
});
