// Taps: packets as they came and as they left.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { buffer } from "node:stream/consumers";
import { after, describe, test } from "node:test";
import {
  captureTap,
  commentOf,
  DESCRIPTOR,
  DESCRIPTOR_WORDS,
  FROM_OUTSIDE,
  Nat,
  NatError,
  type Tap,
  type TappedPacket,
} from "../../src/index.js";
import { memorySource, readAll } from "../support/capture-build.js";
import { echo, fragments, replyTo, tcp, udp } from "../support/packets.js";

const CONFIG = { inside: ["192.168.226.0/24"], outside: ["203.0.113.1"] };
const SESSION = "udp 192.168.226.135:4000 [203.0.113.1:4000] 198.51.100.7:53";
const PRESERVING = { ...CONFIG, portAssignment: { preserve: true } };
const question = (src = "192.168.226.135:4000") => udp({ src, dst: "198.51.100.7:53" });
const stray = () => udp({ src: "198.51.100.9:53", dst: "203.0.113.1:9" });
const code =
  (expected: string, text = /./) =>
  (error: unknown) =>
    error instanceof NatError && error.code === expected && text.test(error.message);

/** What is in a tap now; it is closed. */
async function shown(tap: Tap): Promise<TappedPacket[]> {
  tap.close();
  const list: TappedPacket[] = [];
  for await (const packet of tap) list.push(packet);
  return list;
}

const inWords = (packet: TappedPacket) => `${packet.side} ${packet.way} ${commentOf(packet)}`;
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

describe("a tap", () => {
  test("shows a packet as it came and as it left, with what became of it", async () => {
    using nat = new Nat(PRESERVING);
    const tap = nat.tap({ epoch: 1_000_000.25 });
    const packet = question();
    const before = hex(packet);
    nat.translate(packet, { now: 5000.5, tag: 7 });
    const answer = replyTo(packet);
    nat.translate(answer, { now: 6000 });
    nat.translate(stray(), { now: 7000, flags: FROM_OUTSIDE });
    const list = await shown(tap);
    assert.deepEqual(list.map(inWords), [
      `inside came outbound forwarded: ${SESSION}`,
      `outside left outbound forwarded: ${SESSION}`,
      `outside came inbound forwarded: ${SESSION}`,
      `inside left inbound forwarded: ${SESSION}`,
      "outside came inbound dropped: no-mapping",
    ]);
    assert.deepEqual(list[0], {
      side: "inside",
      way: "came",
      kind: "translated",
      verdict: { verdict: "forwarded", direction: "outbound", reason: null },
      session: {
        protocol: "udp",
        inside: { address: "192.168.226.135", port: 4000 },
        public: { address: "203.0.113.1", port: 4000 },
        remote: { address: "198.51.100.7", port: 53 },
      },
      packet: new Uint8Array(Buffer.from(before, "hex")),
      linkType: 228,
      length: packet.length,
      time: 1_005_000.75,
      tag: 7,
      lost: 0,
    });
    assert.equal(hex(list[1]!.packet), hex(packet));
    assert.deepEqual(list[4]!.verdict, { verdict: "dropped", direction: "inbound", reason: "no-mapping" });
    assert.equal(list[4]!.session, null);
    assert.deepEqual(
      list.map(({ time }) => time),
      [1_005_000.75, 1_005_000.75, 1_006_000.25, 1_006_000.25, 1_007_000.25],
    );
  });

  test("by the default clock tells the time of day; by one's own what that tells", async () => {
    using nat = new Nat(CONFIG);
    const tap = nat.tap();
    const before = Date.now();
    nat.translate(question());
    for (const { time } of await shown(tap)) assert.ok(time >= before - 2 && time <= Date.now() + 2);
    using own = new Nat(CONFIG, { clock: () => 1234 });
    const other = own.tap();
    own.translate(question());
    for (const { time } of await shown(other)) assert.equal(time, 1234);
  });

  test("shows batches, whatever their size, and changes nothing by it", async () => {
    using nat = new Nat(CONFIG, { seed: 1 });
    using alone = new Nat(CONFIG, { seed: 1 });
    const tap = nat.tap();
    const batches = [nat, alone].map((one) => {
      const batch = one.batch({ slots: 200, bytes: 200 * 64 });
      for (let i = 0; i < 200; i++)
        batch.push(i % 10 === 9 ? stray() : question(`192.168.226.9:${1000 + i}`));
      one.translateBatch(batch, 0);
      return batch;
    });
    const [ours, theirs] = batches.map(({ memory }) => hex(memory));
    assert.equal(ours, theirs);
    const list = await shown(tap);
    assert.equal(list.length, 180 * 2 + 20);
    assert.deepEqual(
      list.filter(({ way }) => way === "left").map(({ packet }) => hex(packet)),
      Array.from({ length: 200 }, (_, i) => i)
        .filter((i) => i % 10 !== 9)
        .map((i) => hex(batches[0]!.packet(i))),
    );
    assert.ok(
      list.every(({ side, way }) => side === (way === "left" ? "outside" : "inside") || way === "came"),
    );
  });

  test("tells each packet of a batch its own time", async () => {
    using nat = new Nat(CONFIG);
    const tap = nat.tap({ epoch: 1000 });
    const batch = nat.batch({ slots: 2, bytes: 256 });
    batch.push(question());
    const late = batch.push(question());
    batch.descriptors[late * DESCRIPTOR_WORDS + DESCRIPTOR.delay] = 2_500_000; // ns
    nat.translateBatch(batch, 5);
    assert.deepEqual(
      (await shown(tap)).map(({ time }) => time),
      [1005, 1005, 1007.5, 1007.5],
    );
  });

  test("believes the caller where a packet came from, if nothing else tells", async () => {
    using nat = new Nat(CONFIG);
    const tap = nat.tap();
    for (const flags of [0, FROM_OUTSIDE]) {
      const broken = question();
      broken[10]! ^= 1; // its header's checksum
      nat.translate(broken, { flags });
    }
    const sides = (await shown(tap)).map(({ side, way }) => `${side} ${way}`);
    assert.deepEqual(sides, ["inside came", "outside came"]);
  });

  test("shows hairpinned packets inside twice; passed ones on both sides, or where they stay", async () => {
    using nat = new Nat({ ...PRESERVING, filtering: "endpoint-independent", exempt: ["198.51.100.16/28"] });
    nat.translate(question());
    const tap = nat.tap();
    nat.translate(udp({ src: "192.168.226.136:5000", dst: "203.0.113.1:4000" }));
    nat.translate(udp({ src: "192.168.226.136:5000", dst: "198.51.100.17:53" }));
    nat.translate(udp({ src: "192.168.226.136:5000", dst: "192.168.226.135:53" }));
    nat.translate(udp({ src: "198.51.100.200:53", dst: "198.51.100.201:53" }));
    assert.deepEqual(
      (await shown(tap)).map(inWords).map((text) => text.replace(/: .*\[.*/, "")),
      [
        "inside came hairpin forwarded",
        "inside left hairpin forwarded",
        "inside came outbound passed",
        "outside left outbound passed",
        "inside came passed",
        "outside came dropped: unmatched",
      ],
    );
  });

  test("shows what the NAT puts out itself, when it is taken", async () => {
    using nat = new Nat({ ...CONFIG, icmpErrors: true, mtu: { outside: 600 } });
    const tap = nat.tap();
    const big = udp({ src: "192.168.226.135:4000", dst: "198.51.100.7:53", payload: new Uint8Array(1000) });
    nat.translate(big, { now: 1 });
    const whole = udp({
      src: "192.168.226.135:4000",
      dst: "198.51.100.7:53",
      id: 9,
      payload: new Uint8Array(64),
    });
    const [first, second] = fragments(whole, [32]) as [Uint8Array, Uint8Array];
    nat.translate(second, { now: 2 });
    nat.translate(first, { now: 3 });
    nat.translate(udp({ src: "192.168.226.135:4000", dst: "198.51.100.7:53", ttl: 1 }), { now: 4 });
    const taken = nat.take();
    const list = await shown(tap);
    assert.deepEqual(
      list.map(inWords).map((text) => text.replace(/: udp .*/, "")),
      [
        "inside came outbound held",
        "inside came outbound held",
        "inside came outbound forwarded",
        "outside left outbound forwarded",
        "inside came outbound dropped: ttl-expired",
        "outside left forwarded: a piece of a packet that is too big",
        "outside left forwarded: a piece of a packet that is too big",
        "outside left forwarded: released by its first fragment",
        "inside left originated by the NAT",
      ],
    );
    assert.deepEqual(
      list.slice(-4).map(({ packet }) => hex(packet)),
      taken.map(({ packet }) => hex(packet)),
    );
    assert.ok(list.slice(-4).every(({ verdict, session }) => verdict === null && session === null));
    // Word of a fragment that died is no packet.
    const silent = nat.tap();
    const lone = udp({
      src: "192.168.226.135:4000",
      dst: "198.51.100.7:53",
      id: 10,
      payload: new Uint8Array(64),
    });
    nat.translate(fragments(lone, [32])[1]!, { now: 5 });
    nat.conntrack.sweep(60_000);
    assert.deepEqual(
      nat.take().map(({ kind }) => kind),
      ["discarded"],
    );
    assert.deepEqual((await shown(silent)).map(inWords), ["inside came outbound held"]);
  });

  test("tells apart what an ALG made longer", async () => {
    using nat = new Nat({ ...CONFIG, alg: { ftp: true } });
    const ends = { src: "192.168.226.9:4000", dst: "198.51.100.7:21" };
    const opening = tcp({ ...ends, flags: "S", seq: 1000 });
    nat.translate(opening, { now: 0 });
    nat.translate(replyTo(opening), { now: 1 });
    const payload = new TextEncoder().encode("PORT 192,168,226,9,4,1\r\n");
    const tap = nat.tap();
    nat.translate(tcp({ ...ends, flags: "PA", seq: 1001, ack: 1, payload }), { now: 2 });
    nat.take();
    const kinds = (await shown(tap)).map(({ kind, way }) => `${kind} ${way}`);
    assert.ok(kinds.length >= 2 && kinds[0] === "translated came", kinds.join());
  });

  test("cuts packets at its snaplen, and keeps their length", async () => {
    using nat = new Nat(CONFIG);
    const tap = nat.tap({ snaplen: 24 });
    nat.translate(question());
    nat.translate(stray());
    nat.translate(question().subarray(0, 28), { wireLength: 900 });
    const list = await shown(tap);
    assert.deepEqual(
      list.map(({ packet, length }) => [packet.length, length]),
      [...new Array(3).fill([24, question().length]), [24, 900], [24, 900]],
    );
  });

  test("is not cut short by another's snaplen", async () => {
    using nat = new Nat(CONFIG);
    const taps = [nat.tap(), nat.tap({ snaplen: 20 })];
    const packet = question();
    nat.translate(packet);
    const lengths = [];
    for (const tap of taps) lengths.push((await shown(tap)).map((shown) => shown.packet.length));
    assert.deepEqual(lengths, [
      [packet.length, packet.length],
      [20, 20],
    ]);
  });

  test("shows what its filter says", async () => {
    const each = async (filter: string) => {
      using nat = new Nat(PRESERVING);
      const tap = nat.tap({ filter });
      nat.translate(question());
      nat.translate(stray());
      nat.translate(question("192.168.226.136:5000"));
      nat.translate(tcp({ src: "198.51.100.7:80", dst: "203.0.113.1:4000", flags: "A" }));
      nat.translate(echo({ src: "192.168.226.136", dst: "198.51.100.1", identifier: 4000, sequence: 1 }));
      nat.translate(question().subarray(0, 10));
      return (await shown(tap)).map(inWords).map((text) => text.replace(/(forwarded: \w+).*/, "$1"));
    };
    const udpOut = (count: number) =>
      new Array(count)
        .fill(["inside came outbound forwarded: udp", "outside left outbound forwarded: udp"])
        .flat();
    const icmpOut = ["inside came outbound forwarded: icmp", "outside left outbound forwarded: icmp"];
    const noMapping = "outside came inbound dropped: no-mapping";
    const cut = "outside came dropped: malformed";
    for (const [filter, expected] of [
      ["", [...udpOut(1), noMapping, ...udpOut(1), noMapping, ...icmpOut, cut]],
      ["udp", [...udpOut(1), noMapping, ...udpOut(1)]],
      ["UDP not dropped", udpOut(2)],
      ["not udp", [noMapping, ...icmpOut, cut]],
      ["dropped", [noMapping, noMapping, cut]],
      ["dropped:malformed", [cut]],
      ["dropped not dropped:malformed", [noMapping, noMapping]],
      ["not dropped", [...udpOut(2), ...icmpOut]],
      ["inside", ["inside came outbound forwarded: udp", "inside came outbound forwarded: udp", icmpOut[0]]],
      [
        "not inside not dropped",
        ["outside left outbound forwarded: udp", "outside left outbound forwarded: udp", icmpOut[1]],
      ],
      ["outside dropped", [noMapping, noMapping, cut]],
      ["not outside dropped", []],
      ["192.168.226.135", udpOut(1)],
      ["192.168.226.0/24", [...udpOut(2), ...icmpOut]],
      ["198.51.100.9", [noMapping]],
      ["198.51.100.9:53", [noMapping]],
      ["198.51.100.9:54", []],
      ["203.0.113.1:4000", [...udpOut(1), noMapping, ...icmpOut]],
      [":5000", udpOut(1)],
      [":53 not 198.51.100.9", udpOut(2)],
      ["ip-1", icmpOut],
    ] as const) {
      assert.deepEqual(await each(filter), expected, filter);
    }
  });

  test("is ended by break, by close and with its Nat", async () => {
    const nat = new Nat(CONFIG);
    const [broken, closed, left] = [nat.tap(), nat.tap(), nat.tap()];
    nat.translate(question());
    for await (const { way } of broken) {
      assert.equal(way, "came");
      break;
    }
    closed.close();
    closed.close();
    const waiting = (async () => {
      const list = [];
      for await (const packet of left) list.push(packet);
      return list;
    })();
    nat.translate(question());
    assert.equal((await shown(broken)).length, 0);
    assert.equal((await shown(closed)).length, 2);
    nat.close();
    assert.equal((await waiting).length, 4);
    assert.throws(() => nat.tap(), code("NAT_ERR_CLOSED"));
  });

  test("waits for packets that are still to come", async () => {
    using nat = new Nat(CONFIG);
    using tap = nat.tap();
    const next = [tap.next(), tap.next()];
    setImmediate(() => nat.translate(question()));
    const alive = setInterval(() => {}, 1000); // which a tap does not keep
    const got = await Promise.all(next).finally(() => clearInterval(alive));
    assert.deepEqual(got.map(({ value }) => value!.way).sort(), ["came", "left"]);
  });

  test("outlives a change of config", async () => {
    using nat = new Nat(CONFIG);
    const tap = nat.tap();
    nat.reconfigure({ ...CONFIG, outside: ["203.0.113.2"] });
    nat.translate(question());
    assert.equal((await shown(tap))[1]!.session!.public.address, "203.0.113.2");
  });

  test("that is not read loses packets, and tells how many", async () => {
    using nat = new Nat(CONFIG);
    const [slow, fast] = [nat.tap({ capacity: 1 }), nat.tap({ capacity: 64 << 20 })];
    const count = 10_000;
    for (let i = 0; i < count; i++) nat.translate(question());
    const { lost } = slow;
    assert.ok(lost > 0);
    const first = await slow.next();
    assert.equal(first.value!.lost, 0);
    for (let i = 0; i < 100; i++) await slow.next();
    nat.translate(question());
    const list = await shown(slow);
    assert.equal(list.at(-2)!.lost, lost);
    assert.equal(list.length + 101 + lost, 2 * count + 2);
    assert.equal(
      list.reduce((sum, packet) => sum + packet.lost, 0),
      lost,
    );
    assert.equal(slow.lost, lost);
    assert.equal(fast.lost, 0);
  });

  test("refuses what it can't do, and says so", () => {
    using nat = new Nat(CONFIG);
    const refused = (options: object, text: RegExp) =>
      assert.throws(() => nat.tap(options), code("NAT_ERR_ARGUMENT", text));
    refused({ snaplen: 0 }, /snaplen: 0 is not a number of bytes from 1 to 262144/);
    refused({ snaplen: 1.5 }, /snaplen: 1.5 is not/);
    refused({ capacity: Number.NaN }, /capacity: NaN is not/);
    refused({ capacity: 2 ** 31 }, /capacity: 2147483648 is not/);
    refused({ epoch: "x" }, /epoch a number/);
    refused({ filter: 7 }, /filter to be a string/);
    refused({ filter: "tcp not" }, /"tcp not": "not" stands before nothing/);
    refused({ filter: "tpc" }, /"tpc" says nothing about packets; give inside or outside/);
    refused({ filter: "established" }, /"established" says nothing about packets/);
    refused({ filter: "dropped:none" }, /"dropped:none": there is no such drop reason/);
    refused({ filter: "203.0.113.1:65536" }, /says nothing/);
    const taps = Array.from({ length: 8 }, () => nat.tap());
    refused({}, /as many as it may have/);
    taps[3]!.close();
    nat.tap();
    refused({}, /as many as it may have/);
  });
});

describe("captureTap", () => {
  const directory = mkdtempSync(join(tmpdir(), "napt-tap-"));
  after(() => rmSync(directory, { recursive: true }));

  test("writes a file of both sides, which can be read from the beginning on", async () => {
    const nat = new Nat(CONFIG, { clock: () => 1_700_000_000_123.5 });
    const path = join(directory, "both.pcapng");
    const written = captureTap(nat.tap({ snaplen: 25 }), path);
    while (!existsSync(path) || readFileSync(path).length === 0) await new Promise(setImmediate);
    assert.deepEqual((await readAll(memorySource(readFileSync(path)))).damage, null);
    nat.translate(question());
    nat.translate(stray());
    nat.close();
    assert.deepEqual(await written, { packets: 3, lost: 0, unwritten: 0 });
    const { records, damage } = await readAll(memorySource(readFileSync(path)));
    assert.equal(damage, null);
    assert.deepEqual(
      records.map(({ interfaceId, linkType, seconds, nanos, wireLength, data }) => [
        interfaceId,
        linkType,
        seconds,
        nanos,
        wireLength,
        data.length,
      ]),
      [0, 1, 1].map((side) => [side, 228, 1_700_000_000, 123_500_000, question().length, 25]),
    );
  });

  test("goes on in other files, and removes the oldest", async () => {
    const nat = new Nat(CONFIG);
    const path = join(directory, "ring.d.pcapng");
    const tap = nat.tap({ capacity: 64 << 20 });
    const written = captureTap(tap, path, { size: 1000, files: 2 });
    const names = () =>
      readdirSync(directory)
        .filter((name) => name.startsWith("ring"))
        .sort();
    let count = 0;
    // Another file is begun by a packet that has no place in the one before.
    while (!names().some((name) => name.startsWith("ring.d_00004_"))) {
      nat.translate(question());
      count++;
      await new Promise(setImmediate);
    }
    tap.close();
    const { packets, lost } = await written;
    assert.deepEqual([packets, lost], [2 * count, 0]);
    const last = names();
    assert.equal(last.length, 2);
    for (const name of last) {
      assert.match(name, /^ring\.d_0000[3-5]_\d{8}T\d{6}Z\.pcapng$/);
      assert.equal((await readAll(memorySource(readFileSync(join(directory, name))))).damage, null);
    }
    nat.close();
  });

  test("writes down a stream, tells what was lost, and ends with it", async () => {
    using nat = new Nat(CONFIG);
    const tap = nat.tap({ capacity: 1 });
    for (let i = 0; i < 10_000; i++) nat.translate(question());
    const stream = new PassThrough();
    const [content, { packets, lost }] = await Promise.all([
      buffer(stream),
      captureTap(tap, stream),
      (async () => {
        while (tap.lost === 0) await new Promise(setImmediate);
        await new Promise((resolve) => setTimeout(resolve, 50));
        nat.translate(question());
        tap.close();
      })(),
    ]);
    assert.ok(lost > 0);
    const { records, damage } = await readAll(memorySource(content));
    assert.equal(damage, null);
    assert.equal(records.length, packets);
    assert.equal(packets + lost, 20_002);
    // epb_dropcount, in one packet.
    const option = Buffer.alloc(12);
    option.writeUInt16LE(4, 0);
    option.writeUInt16LE(8, 2);
    option.writeUInt32LE(lost, 4);
    assert.equal(content.indexOf(option), content.lastIndexOf(option));
    assert.ok(content.includes(option));

    const gone = new PassThrough();
    const ended = captureTap(nat.tap(), gone);
    gone.destroy();
    await ended.catch(code("NAT_ERR_OUTPUT"));
  });

  test("tells what can't be written, and closes the tap", async () => {
    using nat = new Nat(CONFIG);
    const tap = nat.tap();
    await assert.rejects(
      captureTap(tap, "/nowhere/x"),
      code("NAT_ERR_OUTPUT", /^\/nowhere\/x: can't be written: ENOENT/),
    );
    nat.translate(question());
    assert.equal((await shown(tap)).length, 0);
    await assert.rejects(
      captureTap(nat.tap(), "/dev/full"),
      code("NAT_ERR_OUTPUT", /^\/dev\/full: .*ENOSPC/),
    );
  });
});
