// Floods of fragments (RFC 4787, REQ-14a; RFC 1858; RFC 5722 in spirit). What waits is bounded, who waits longest
// makes room, and a datagram's later fragments go where its first one went or nowhere.
import { equal, ok } from "node:assert/strict";
import { describe, test } from "node:test";
import { decode, fragments, headerChecksumOf, put16, reassemble, tcp, udp } from "../support/packets.js";
import { figure, INSIDER, OUTSIDER, PUBLIC, Scene, SECOND, SERVER, VICTIM } from "./scene.js";

const LIMIT = 1024;
const DATAGRAMS = 8192;
const PAYLOAD = new Uint8Array(64).fill(0x61);

/** A datagram in two pieces. */
function pieces(src: string, dst: string, id: number): [Uint8Array, Uint8Array] {
  const [first, second] = fragments(udp({ src, dst, id, payload: PAYLOAD }), [40]);
  return [first!, second!];
}

/** Pieces of datagrams that differ in identification and, after 65,536 of them, in source. */
function flood(piece: 0 | 1, src: string, dst: string): (n: number) => Uint8Array {
  const template = pieces(src, dst, 0)[piece];
  return (n) => {
    const packet = template.slice();
    put16(packet, 4, n & 0xffff);
    packet[14] = (n >> 16) & 255;
    put16(packet, 10, headerChecksumOf(packet));
    return packet;
  };
}

/** Later fragments whose first one will never come. */
const ORPHANS = {
  inside: flood(1, "10.6.0.6:1", SERVER),
  outside: flood(1, OUTSIDER, `${PUBLIC}:1`),
};

/** A victim's datagram comes through whole, its pieces in order or not. */
function comesThrough(scene: Scene, id: number, order: "in order" | "reversed"): boolean {
  const [first, second] = pieces(VICTIM, SERVER, id);
  const out: Uint8Array[] = [];
  scene.nat.take();
  for (const piece of order === "in order" ? [first, second] : [second, first]) {
    const { verdict, packet } = scene.hand(piece);
    if (verdict === "forwarded") out.push(packet);
  }
  for (const { kind, packet } of scene.nat.take()) if (kind === "fragment") out.push(packet);
  const whole = reassemble(out);
  if (whole === null) return false;
  const { src, body } = decode(whole);
  equal(src, PUBLIC);
  return body.kind === "udp" && Buffer.compare(body.payload, PAYLOAD) === 0;
}

describe("a flood of orphans", () => {
  for (const from of ["inside", "outside"] as const) {
    test(`from ${from}: in-order datagrams of others pass meanwhile, all of them`, (t) => {
      using scene = new Scene();
      let lost = 0;
      for (let n = 0; n < 20_000; n++) {
        scene.now += 0.01;
        scene.hand(ORPHANS[from](n));
        if (n % 20 === 0 && !comesThrough(scene, n / 20, "in order")) lost++;
        ok(scene.nat.stats.packets.held <= LIMIT);
      }
      equal(lost, 0);
      figure(t, `Datagrams in order lost, of 1,000, during 20,000 orphans from ${from}`, lost);
    });
  }

  test("out-of-order datagrams of others pass too: who waits longest makes room", (t) => {
    using scene = new Scene();
    let lost = 0;
    for (let n = 0; n < 20_000; n++) {
      scene.now += 0.01;
      scene.hand(ORPHANS.outside(n));
      if (n % 20 === 0 && !comesThrough(scene, n / 20, "reversed")) lost++;
      ok(scene.nat.stats.packets.held <= LIMIT);
    }
    figure(t, "Datagrams out of order lost, of 1,000, during 20,000 orphans", lost);
    equal(lost, 0);
  });

  test("what is held stays within limits.fragments, and ends with timeouts.fragment", (t) => {
    using scene = new Scene();
    for (let n = 0; n < 20_000; n++) scene.hand(ORPHANS.outside(n));
    equal(scene.nat.stats.packets.held, LIMIT);
    scene.now += 30 * SECOND;
    scene.nat.conntrack.sweep(scene.now);
    const { packets, drops } = scene.nat.stats;
    equal(packets.held, 0);
    equal(
      (drops["fragment-limit"] ?? 0) + (drops["fragment-timeout"] ?? 0),
      20_000,
      "every one is accounted for",
    );
    equal(scene.nat.conntrack.size, 0, "fragments make no sessions");
    figure(t, "Fragments held at most, by default", LIMIT);
  });

  test("does not grow the process: the second one needs what the first one had", () => {
    using scene = new Scene();
    const wave = (first: number) => {
      for (let n = first; n < first + 20_000; n++) {
        scene.hand(ORPHANS.outside(n));
        if (n % 1000 === 0) scene.nat.take();
      }
      scene.now += 31 * SECOND;
      scene.nat.conntrack.sweep(scene.now);
      scene.nat.take();
      return process.memoryUsage.rss();
    };
    wave(0);
    const before = wave(1 << 20);
    const growth = wave(2 << 20) - before;
    // 20,000 kept copies would be 80 MB.
    ok(growth < 32 << 20, `${growth >> 20} MB more`);
  });
});

describe("a flood of first fragments", () => {
  test("of other datagrams: a datagram survives up to 8,191 of them between its pieces", (t) => {
    using scene = new Scene();
    const refused = flood(0, OUTSIDER, `${PUBLIC}:1`);
    const survives = (between: number, id: number) => {
      const [first, second] = pieces(VICTIM, SERVER, id);
      scene.pass(first);
      // Refused ones: nobody owns the port. They cost the attacker nothing else.
      for (let n = 0; n < between; n++) scene.hand(refused(n));
      return scene.hand(second).verdict === "forwarded";
    };
    ok(survives(DATAGRAMS - 1, 1));
    scene.now += 60 * SECOND;
    ok(!survives(DATAGRAMS, 2));
    figure(t, "Attack datagrams between two fragments of one datagram that it survives", DATAGRAMS - 1);
  });
});

describe("fragments that lie about whose they are", () => {
  /** The victim and an insider both have a mapping that the server may answer to. */
  function twoHosts() {
    const scene = new Scene();
    const victim = scene.exchange(VICTIM, SERVER);
    const insider = scene.exchange(INSIDER, SERVER);
    return { scene, victim, insider };
  }
  const hostOf = (packet: Uint8Array) => decode(packet).dst;

  test("a second first fragment takes none of the rest to another host", (t) => {
    const { scene, victim, insider } = twoHosts();
    let intercepted = 0;
    for (let id = 0; id < 100; id++) {
      const [first, second] = pieces(SERVER, victim, id);
      const [forged] = pieces(SERVER, insider, id); // the attacker sends it from outside, in the server's name
      for (const order of id % 2 === 0 ? [first, forged, second] : [forged, first, second]) {
        const { packet, verdict } = scene.hand(order);
        if (
          order === second &&
          verdict === "forwarded" &&
          hostOf(packet) !== hostOf(scene.hand(first).packet)
        ) {
          intercepted++;
        }
      }
    }
    scene.nat.close();
    figure(t, "Fragments of others that a forged first fragment brings to an insider, of 100", intercepted);
    equal(intercepted, 0);
  });

  test("a forged first fragment before all others does not get what waits, after the true one", () => {
    const { scene, victim } = twoHosts();
    const [first, second] = pieces(SERVER, victim, 7);
    equal(scene.hand(second).verdict, "held");
    // From somebody else with the same identification: another datagram.
    scene.hand(pieces(OUTSIDER, victim, 7)[0]);
    equal(scene.nat.pending, 0);
    scene.pass(first);
    equal(scene.nat.take().length, 1);
    scene.nat.close();
  });

  test("a refused first fragment, of a port that nobody has, does not undo an accepted one", () => {
    const { scene, victim } = twoHosts();
    const [first, second] = pieces(SERVER, victim, 9);
    scene.pass(first);
    equal(scene.hand(pieces(SERVER, `${PUBLIC}:1`, 9)[0]).verdict, "dropped");
    equal(hostOf(scene.pass(second).packet), "10.0.0.1");
    scene.nat.close();
  });
});

describe("tiny and overlapping fragments", () => {
  const segment = tcp({ src: OUTSIDER, dst: `${PUBLIC}:80`, flags: "S", payload: PAYLOAD });
  const config = {
    forwards: [{ protocol: "tcp" as const, outside: `${PUBLIC}:80`, inside: "10.0.0.1:80" }],
  };

  test("that split the TCP header are dropped: flags can't be written over (RFC 1858)", (t) => {
    using scene = new Scene(config);
    const tiny = fragments(segment, [8, 16, 24]);
    for (const piece of tiny) ok(scene.hand(piece).verdict !== "forwarded");
    // Offset 8 to 16 could write over the flags of a whole header (RFC 3128).
    using other = new Scene(config);
    other.pass(fragments(segment, [40])[0]!);
    let passed = 0;
    for (const cut of [8, 16]) {
      const overlapping = fragments(segment, [cut, cut + 16])[1]!;
      if (other.hand(overlapping).verdict === "forwarded") passed++;
    }
    equal(passed, 0);
    equal(other.nat.stats.drops["fragment-tiny"], 2);
    figure(t, "Fragments that can write over a TCP header that was judged, passed", passed);
  });
});
