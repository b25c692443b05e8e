// Forged ICMP errors (RFC 5927): anybody can send one, from any address. It has to quote a packet of the flow; of TCP
// one that is under way. Whatever it says, it changes nothing in the NAT (RFC 4787, REQ-12; RFC 5382, REQ-10).
import { deepEqual, equal, notEqual, ok } from "node:assert/strict";
import { describe, test } from "node:test";
import { decode, errorAbout, tcp, udp } from "../support/packets.js";
import { Connection, draw, figure, INSIDER, OUTSIDER, PUBLIC, Scene, SERVER, VICTIM } from "./scene.js";

const SPACE = 2 ** 32;
const ROUTER = OUTSIDER.split(":")[0]!;
/** Types and codes of errors: unreachable for all reasons, quench, time exceeded, parameter problem. */
const ERRORS = [
  ...Array.from({ length: 16 }, (_, code) => ({ type: 3, code })),
  { type: 4, code: 0 },
  { type: 11, code: 0 },
  { type: 11, code: 1 },
  { type: 12, code: 0 },
  { type: 12, code: 1 },
];

/** A forged error from a router that is none, about a TCP segment with this number. */
function forgedTcp(connection: Connection, seq: number, error = { type: 3, code: 4 }): Uint8Array {
  const { publicEndpoint: src, remote: dst } = connection;
  const quoted = tcp({ src, dst, seq, checksum: 0 });
  return errorAbout(quoted, { src: ROUTER, dst: PUBLIC, rest: 576, octets: 8, ...error });
}
const passes = (connection: Connection, seq: number) =>
  connection.scene.hand(forgedTcp(connection, seq)).verdict === "forwarded";

/** How many numbers an error passes with; asserts that they are the highest sent and those before it. */
function openNumbers(connection: Connection): number {
  const highest = connection.insideNext;
  ok(passes(connection, highest));
  ok(!passes(connection, highest + 1), "what was not sent yet has no error");
  let least = 1; // how far back, by bisection
  for (let most = 2 ** 31; most - least > 1; ) {
    const middle = Math.floor((least + most) / 2);
    if (passes(connection, (highest - middle + SPACE) % SPACE)) least = middle;
    else most = middle;
  }
  let far = 0;
  const step = 2 ** 17;
  for (let seq = 4711; seq < SPACE; seq += step) if (passes(connection, seq)) far++;
  ok(far <= Math.ceil((least + 1) / step), `${far} of ${SPACE / step} numbers sampled`);
  return least + 1;
}

describe("a forged ICMP error about TCP", () => {
  test("passes only if it quotes what may be under way, and that is where a lower PMTU has to be guessed", (t) => {
    using scene = new Scene();
    const connection = new Connection(scene, VICTIM, SERVER);
    connection.talk();
    const numbers = openNumbers(connection);
    equal(numbers, 2 * 65_535 + 1);
    figure(t, "Sequence numbers, of 2^32, that a forged ICMP error may quote (window up to 65,535)", numbers);
    figure(t, "Forged 3/4 messages until one passes, on average, ports known", Math.floor(SPACE / numbers));
    const before = scene.nat.stats.drops["icmp-out-of-window"]!;
    ok(before > 30_000, "the others are counted");
  });

  test("is not helped by blind segments with windows of their own", (t) => {
    using scene = new Scene();
    const connection = new Connection(scene, VICTIM, SERVER, { window: 502, scale: 10 });
    connection.talk();
    const random = draw(4);
    for (let i = 0; i < 1000; i++) connection.inbound({ seq: random(), ack: random(), window: 65_535 });
    const numbers = openNumbers(connection);
    equal(numbers, 2 * (502 << 10) + 1);
    figure(t, "The same with a window of 502 x 1,024, after 1,000 blind segments that offer 65,535", numbers);
  });

  test("changes nothing, in the window or out of it, of whatever type", () => {
    using scene = new Scene();
    const connection = new Connection(scene, VICTIM, SERVER);
    const before = connection.session;
    scene.now += 1000;
    for (const error of ERRORS) {
      const within = scene.hand(forgedTcp(connection, connection.insideNext - 1, error));
      equal(within.verdict, "forwarded", `${error.type}/${error.code}: the host judges it too (RFC 5927)`);
      equal(within.to.split(":")[0], VICTIM.split(":")[0]);
      const without = scene.hand(forgedTcp(connection, connection.insideNext + 2 ** 20, error));
      equal(without.reason, "icmp-out-of-window", `${error.type}/${error.code}`);
    }
    deepEqual(connection.session, before);
    connection.talk();
  });

  test("about a connection that there is not, through a forward, finds nobody who would believe it", () => {
    using scene = new Scene({
      forwards: [{ protocol: "tcp", outside: `${PUBLIC}:80`, inside: "10.0.0.1:80" }],
    });
    scene.hand(
      errorAbout(tcp({ src: `${PUBLIC}:80`, dst: SERVER }), { src: ROUTER, dst: PUBLIC, type: 3, code: 1 }),
    );
    equal(scene.nat.conntrack.size, 0);
  });
});

describe("a forged ICMP error about UDP", () => {
  test("passes with the right ports only, and changes nothing", (t) => {
    using scene = new Scene();
    const publicEndpoint = scene.exchange(VICTIM, SERVER);
    const own = Number(publicEndpoint.split(":")[1]);
    const before = scene.session("udp", VICTIM, SERVER);
    scene.now += 1000;
    let passed = 0;
    for (let port = 0; port < 65_536; port++) {
      const quoted = udp({ src: `${PUBLIC}:${port}`, dst: SERVER, checksum: 0 });
      const { verdict, reason } = scene.hand(
        errorAbout(quoted, { src: ROUTER, dst: PUBLIC, type: 3, code: 3 }),
      );
      if (verdict === "forwarded") passed++;
      equal(reason, port === own ? null : "icmp-no-session");
    }
    equal(passed, 1);
    for (const error of ERRORS) {
      const quoted = udp({ src: publicEndpoint, dst: SERVER, checksum: 0 });
      const forged = scene.pass(errorAbout(quoted, { src: ROUTER, dst: PUBLIC, ...error }));
      equal(forged.to.split(":")[0], VICTIM.split(":")[0]);
    }
    deepEqual(scene.session("udp", VICTIM, SERVER), before);
    equal(scene.nat.conntrack.size, 1);
    figure(t, "Public ports, of 65,536, that a forged error about one UDP flow may quote", passed);
  });

  test("about a flow with another remote is dropped, though the mapping is the same", () => {
    using scene = new Scene({ filtering: "endpoint-independent" });
    const src = scene.exchange(VICTIM, SERVER);
    const quoted = udp({ src, dst: OUTSIDER, checksum: 0 });
    equal(
      scene.hand(errorAbout(quoted, { src: ROUTER, dst: PUBLIC, type: 3, code: 3 })).reason,
      "icmp-no-session",
    );
  });
});

describe("an ICMP error that an inside host forges", () => {
  // Any inside host may be a router on the way, so it is believed as one outside would be, and no more.
  test("about a neighbour's flow leaves with the neighbour's public endpoint quoted, and changes nothing", () => {
    using scene = new Scene();
    const connection = new Connection(scene, VICTIM, SERVER);
    const before = connection.session;
    const about = (seq: number) =>
      errorAbout(tcp({ src: SERVER, dst: VICTIM, seq, checksum: 0 }), {
        src: INSIDER.split(":")[0]!,
        dst: SERVER.split(":")[0]!,
        type: 3,
        code: 3,
        octets: 8,
      });
    equal(scene.hand(about(connection.remoteNext + 2 ** 20)).reason, "icmp-out-of-window");
    const within = scene.pass(about(connection.remoteNext - 1));
    equal(decode(within.packet).src, PUBLIC);
    deepEqual(connection.session, before);
  });

  test("about a flow that there is not never leaves", () => {
    using scene = new Scene();
    const quoted = udp({ src: SERVER, dst: VICTIM });
    const outcome = scene.hand(
      errorAbout(quoted, { src: "10.0.0.66", dst: SERVER.split(":")[0]!, type: 3, code: 3 }),
    );
    equal(outcome.reason, "icmp-no-session");
    notEqual(outcome.verdict, "forwarded");
  });
});
