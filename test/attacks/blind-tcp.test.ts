// Who is off the path of a TCP connection knows its addresses and, at best, its ports, and guesses the sequence
// numbers (RFC 5961). He must not end, hold or spoil the NAT's session: every packet of the connection passes, and
// its idle clock is its own.
import { deepEqual, equal, ok } from "node:assert/strict";
import { describe, test } from "node:test";
import { type TcpFields, tcp } from "../support/packets.js";
import {
  Connection,
  draw,
  figure,
  INSIDE_ISN,
  OUTSIDER,
  PUBLIC,
  REMOTE_ISN,
  Scene,
  SERVER,
  VICTIM,
} from "./scene.js";

const SPACE = 2 ** 32;
const shift = (number: number, by: number) => (((number + by) % SPACE) + SPACE) % SPACE;

/** All of the sequence space, in steps, from a number that is no round one. */
function* sampled(step: number): Generator<number> {
  for (let seq = 4711 % step; seq < SPACE; seq += step) yield seq;
}

/** A blind segment from the remote's address, of which only the sequence number is varied. */
function forger(connection: Connection, fields: Partial<TcpFields>) {
  const template = connection.segmentIn(fields);
  const copy = template.slice();
  const view = new DataView(copy.buffer);
  return (seq: number) => {
    copy.set(template);
    view.setUint32(24, seq);
    return connection.scene.nat.translate(copy, { now: connection.scene.now });
  };
}

/** Those of the numbers at which a blind RST counts. */
function countingResets(connection: Connection, numbers: Iterable<number>): number[] {
  const reset = forger(connection, { flags: "R" });
  const counts = (tried: readonly number[]) => {
    for (const seq of tried) {
      // It is translated all the same: the inside host judges it too (RFC 5961).
      equal(reset(seq).verdict, "forwarded");
    }
    if (connection.state === "established") return false;
    connection.outbound(); // the connection goes on
    equal(connection.state, "established");
    return true;
  };
  const counted: number[] = [];
  const some: number[] = [];
  const judge = () => {
    if (counts(some)) counted.push(...some.filter((seq) => counts([seq])));
    some.length = 0;
  };
  for (const seq of numbers) {
    some.push(seq);
    if (some.length === 256) judge();
  }
  judge();
  return counted;
}

/** Whole numbers around one. */
function* around(center: number, reach: number): Generator<number> {
  for (let by = -reach; by <= reach; by++) yield shift(center, by);
}

/** Asserts that a RST counts from `reach` before the next number to the last that is allowed; how many those are. */
function assertWindow(connection: Connection, reach: number): number {
  const next = connection.remoteNext;
  const step = 2 ** 14;
  const far = countingResets(connection, sampled(step));
  ok(far.length <= Math.ceil((2 * reach + 1) / step), `${far.length} of ${SPACE / step}`);
  for (const edge of [-reach, reach - 1]) {
    const counted = countingResets(connection, around(shift(next, edge), 600));
    equal(counted.length, 601);
    equal(edge < 0 ? counted[0] : counted.at(-1), shift(next, edge));
  }
  for (let by = -reach; by < reach; by += 997) {
    equal(countingResets(connection, [shift(next, by)]).length, 1);
  }
  return 2 * reach;
}

describe("a blind RST", () => {
  test("counts only in the window: nowhere else in the sequence space", (t) => {
    using scene = new Scene();
    const connection = new Connection(scene, VICTIM, SERVER);
    connection.talk();
    const numbers = assertWindow(connection, connection.window);
    figure(t, "Sequence numbers, of 2^32, at which a blind RST counts (window 64,240)", numbers);
    figure(t, "Blind RSTs until one counts, on average, ports known", Math.floor(SPACE / numbers));
  });

  test("in a scaled window too, and in none that the attacker offers himself", (t) => {
    using scene = new Scene();
    const connection = new Connection(scene, VICTIM, SERVER, { window: 502, scale: 7 });
    connection.talk();
    // Blind segments with a window of their own must not make the target wider.
    const random = draw(1);
    for (let i = 0; i < 1000; i++) connection.inbound({ seq: random(), ack: random(), window: 65_535 });
    const numbers = assertWindow(connection, 502 << 7);
    figure(t, "The same with a window of 502 x 128, after 1,000 blind segments that offer 65,535", numbers);
  });

  test("of a connection that was picked up in mid-stream: within 2^20 either way", (t) => {
    using scene = new Scene();
    const { from } = scene.pass(tcp({ src: VICTIM, dst: SERVER, flags: "A", seq: 100, ack: 9000 }));
    scene.pass(tcp({ src: SERVER, dst: from, flags: "A", seq: 9000, ack: 100 }));
    const state = () => scene.session("tcp", VICTIM, SERVER)!.state;
    equal(state(), "established");
    let counted = 0;
    const step = 2 ** 15;
    for (const seq of sampled(step)) {
      scene.pass(tcp({ src: SERVER, dst: from, flags: "R", seq, checksum: 0 }));
      if (state() === "established") continue;
      counted++;
      scene.pass(tcp({ src: VICTIM, dst: SERVER, flags: "A", seq: 100, ack: 9000 }));
    }
    ok(counted > 0 && counted <= 2 ** 21 / step + 1, String(counted));
    figure(t, "Sequence numbers, of 2^32, for a connection picked up in mid-stream, at most", 2 ** 21 + 1);
  });

  test("that hits shortens the session's life; what the connection sends next undoes it", () => {
    using scene = new Scene();
    const connection = new Connection(scene, VICTIM, SERVER);
    connection.inbound({ flags: "R" });
    equal(connection.state, "reset");
    equal(connection.session!.expiresAt - scene.now, 240_000);
    scene.now += 239_999;
    connection.talk();
    equal(connection.state, "established");
    equal(connection.session!.expiresAt - scene.now, 7_440_000);
  });

  test("never lengthens a session's life", () => {
    using scene = new Scene();
    const connection = new Connection(scene, VICTIM, SERVER);
    const { expiresAt } = connection.session!;
    scene.now += 7_000_000;
    forger(connection, { flags: "R" })(0x9000_0000);
    equal(connection.session!.expiresAt, expiresAt);
  });
});

describe("a blind FIN", () => {
  test("counts only in the window, and then the connection goes on as half-closed", (t) => {
    const step = 2 ** 15;
    let scene = new Scene();
    let connection = new Connection(scene, VICTIM, SERVER);
    const { window } = connection;
    let finish = forger(connection, { flags: "FA" });
    let counted = 0;
    for (const seq of sampled(step)) {
      finish(seq);
      if (connection.state === "established") continue;
      equal(connection.state, "half-closed");
      equal(connection.session!.expiresAt - scene.now, 7_440_000);
      counted++;
      connection.talk();
      scene.nat.close();
      scene = new Scene();
      connection = new Connection(scene, VICTIM, SERVER);
      finish = forger(connection, { flags: "FA" });
    }
    scene.nat.close();
    ok(counted > 0 && counted <= Math.ceil((2 * window + 1) / step), String(counted));
    figure(t, "Seconds that blind FINs from outside alone take from a session's 7,440", 0);
  });
});

describe("a blind SYN", () => {
  test("does nothing to an open connection, with any sequence number, with or without ACK", () => {
    using scene = new Scene();
    const connection = new Connection(scene, VICTIM, SERVER);
    const before = { ...connection.session!, packets: null, bytes: null };
    scene.now += 1000;
    for (const flags of ["S", "SA"]) {
      const open = forger(connection, { flags });
      for (const seq of sampled(2 ** 17)) open(seq);
      for (const seq of around(connection.remoteNext, 2000)) open(seq);
    }
    deepEqual({ ...connection.session!, packets: null, bytes: null }, before);
    equal(countingResets(connection, [connection.remoteNext]).length, 1, "the window is where it was");
  });

  test("in the middle of a handshake does not spoil it", () => {
    for (const flags of ["S", "SA"]) {
      using scene = new Scene();
      const { from } = scene.pass(tcp({ src: VICTIM, dst: SERVER, flags: "S", seq: INSIDE_ISN }));
      // The attacker knows the ports, and comes before the server's answer.
      scene.hand(tcp({ src: SERVER, dst: from, flags, seq: 0x7000_0000, ack: 0x1234_5678 }));
      scene.pass(tcp({ src: SERVER, dst: from, flags: "SA", seq: REMOTE_ISN, ack: INSIDE_ISN + 1 }));
      scene.pass(tcp({ src: VICTIM, dst: SERVER, flags: "A", seq: INSIDE_ISN + 1, ack: REMOTE_ISN + 1 }));
      const state = () => scene.session("tcp", VICTIM, SERVER)!.state;
      equal(state(), "established");
      const end = { src: SERVER, dst: from, seq: REMOTE_ISN + 1, ack: INSIDE_ISN + 1 };
      scene.pass(tcp({ ...end, flags: "FA" }));
      equal(state(), "half-closed", `the server's own FIN counts after a blind ${flags}`);
      scene.pass(tcp({ ...end, flags: "R", seq: REMOTE_ISN + 2 }));
      equal(state(), "reset", `the server's own RST counts after a blind ${flags}`);
    }
  });

  test("from outside to a mapped port finds a filter", () => {
    using scene = new Scene();
    const connection = new Connection(scene, VICTIM, SERVER);
    for (const src of [OUTSIDER, SERVER.replace(":443", ":444")]) {
      const knock = scene.hand(tcp({ src, dst: connection.publicEndpoint, flags: "S" }));
      equal(knock.reason, "filtered");
    }
    equal(scene.nat.conntrack.size, 1);
  });
});

describe("blind data", () => {
  test("costs the connection no packet, whatever its numbers say", (t) => {
    using scene = new Scene();
    const connection = new Connection(scene, VICTIM, SERVER, { window: 502, scale: 7 });
    const random = draw(2);
    for (let i = 0; i < 20_000; i++) {
      const flags = ["A", "PA", "UA", ""][i % 4]!;
      connection.inbound({ flags, seq: random(), ack: random(), window: random() & 0xffff, payload: "x" });
      if (i % 100 === 0) connection.talk();
    }
    connection.talk();
    equal(connection.state, "established");
    connection.inbound({ flags: "FA" });
    connection.remoteNext++;
    equal(connection.state, "half-closed", "its own FIN still counts");
    connection.outbound({ flags: "FA" });
    connection.insideNext++;
    equal(connection.state, "closing");
    connection.inbound();
    equal(connection.state, "time-wait");
    figure(t, "Packets of a connection lost to 20,000 blind segments", 0);
  });

  test("neither keeps a session alive nor revives one that was reset", (t) => {
    using scene = new Scene();
    const connection = new Connection(scene, VICTIM, SERVER);
    const { expiresAt } = connection.session!;
    const random = draw(3);
    const wild = () =>
      connection.inbound({ seq: shift(connection.remoteNext, 2 ** 20 + (random() >>> 1)), ack: random() });
    scene.now += 3_600_000;
    for (let i = 0; i < 100; i++) wild();
    equal(connection.session!.expiresAt, expiresAt, "an hour later it is an hour older");
    connection.inbound({ flags: "R" });
    const left = connection.session!.expiresAt;
    scene.now += 100_000;
    for (let i = 0; i < 100; i++) wild();
    equal(connection.state, "reset");
    equal(connection.session!.expiresAt, left);
    figure(t, "Seconds that segments out of the window add to a session's life", 0);
  });
});

describe("a blind handshake", () => {
  test("does not open a connection: the ACK has to answer the server's SYN", (t) => {
    using scene = new Scene({
      forwards: [{ protocol: "tcp", outside: `${PUBLIC}:80`, inside: "10.0.0.1:80" }],
    });
    const spoofed = { src: OUTSIDER, dst: `${PUBLIC}:80` };
    scene.pass(tcp({ ...spoofed, flags: "S", seq: 100 }));
    scene.pass(tcp({ src: "10.0.0.1:80", dst: OUTSIDER, flags: "SA", seq: REMOTE_ISN, ack: 101 }));
    const state = () => scene.session("tcp", "10.0.0.1:80", OUTSIDER)!.state;
    for (const ack of sampled(2 ** 20)) {
      scene.hand(tcp({ ...spoofed, flags: "A", seq: 101, ack }));
      equal(state(), "opening", `ack ${ack}`);
    }
    scene.pass(tcp({ ...spoofed, flags: "A", seq: 101, ack: REMOTE_ISN + 1 }));
    equal(state(), "established");
    figure(t, "Seconds that a blind SYN and ACKs hold a session of a forward", 240);
  });
});
