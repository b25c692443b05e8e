// Packets that the NAT puts into a capture by itself: ICMP errors, released fragments, pieces of what was too big.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { CaptureReader } from "../../src/capture/reader.js";
import { openSink } from "../../src/capture/sink.js";
import { openSource } from "../../src/capture/source.js";
import { PcapngWriter, PcapWriter } from "../../src/capture/writer.js";
import { Nat, type NatConfig } from "../../src/index.js";
import { translateCapture } from "../../src/translate/translate.js";
import {
  concat,
  enhancedBlock,
  interfaceBlock,
  memorySource,
  readAll,
  sectionBlock,
} from "../support/capture-build.js";
import {
  decode,
  fragments,
  reassemble,
  tcp,
  transportChecksumIn,
  transportChecksumOf,
  udp,
} from "../support/packets.js";

const CONFIG: NatConfig = { inside: ["192.168.226.0/24"], outside: ["203.0.113.1"], icmpErrors: true };
const GUEST_MAC = [2, 0, 0, 0, 0, 1];
const ROUTER_MAC = [2, 0, 0, 0, 0, 2];
const ETHERTYPE = [8, 0];

interface Frame {
  time: number;
  bytes: Uint8Array;
}

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "napt-translate-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** A frame as the guest's network card sees it. */
function frame(time: number, packet: Uint8Array, fromGuest = true): Frame {
  const [to, from] = fromGuest ? [ROUTER_MAC, GUEST_MAC] : [GUEST_MAC, ROUTER_MAC];
  return { time, bytes: Uint8Array.from([...to, ...from, ...ETHERTYPE, ...packet]) };
}

async function write(path: string, frames: Frame[], format: "pcap" | "pcapng"): Promise<void> {
  const sink = await openSink(path);
  const pcapng = format === "pcapng" ? new PcapngWriter(sink) : null;
  const writer = pcapng ?? new PcapWriter(sink, { linkType: 1 });
  pcapng?.addInterface({ linkType: 1 });
  for (const { time, bytes } of frames) {
    const seconds = 1_700_000_000 + Math.floor(time);
    const nanos = Math.round((time % 1) * 1e6) * 1000;
    if (writer instanceof PcapngWriter) writer.packet(0, bytes, seconds, nanos);
    else writer.packet(bytes, seconds, nanos);
  }
  await writer.flush();
  await sink.close();
}

async function read(path: string): Promise<Frame[]> {
  const source = await openSource(path);
  const reader = await CaptureReader.open(source, { buffer: new Uint8Array(1 << 20) });
  const frames: Frame[] = [];
  for (let chunk = await reader.next(); chunk !== null; chunk = await reader.next()) {
    for (let i = 0; i < chunk.count; i++) {
      const start = chunk.dataStart[i]!;
      const time = chunk.timeSeconds[i]! - 1_700_000_000 + chunk.timeNanos[i]! / 1e9;
      frames.push({ time, bytes: chunk.bytes.slice(start, start + chunk.capLength[i]!) });
    }
  }
  assert.equal(reader.damage, null);
  await source.close();
  return frames;
}

async function translate(
  frames: Frame[],
  config: NatConfig = CONFIG,
  format: "pcap" | "pcapng" = "pcap",
  withBoth = false,
) {
  const input = join(directory, "in");
  const output = join(directory, "out");
  await write(input, frames, format);
  using nat = new Nat(config, { seed: 1 });
  const source = await openSource(input);
  const both = join(directory, "both");
  const { report } = await translateCapture({
    nat,
    source,
    openOutput: () => openSink(output),
    ...(withBoth && { openBoth: () => openSink(both) }),
  });
  await source.close();
  const sides = withBoth ? await read(both) : [];
  return { report, frames: await read(output), bytes: readFileSync(output), sides, stats: nat.stats };
}

const ipOf = ({ bytes }: Frame) => decode(bytes.subarray(14));
const question = (fields: { ttl?: number; src?: string } = {}) =>
  udp({ src: "192.168.226.135:4000", dst: "198.51.100.7:53", payload: "question", ...fields });

describe("translate puts in", () => {
  for (const format of ["pcap", "pcapng"] as const) {
    test(`a time exceeded behind its cause, framed back to the sender (${format})`, async () => {
      const expiring = question({ ttl: 1 });
      const { report, frames } = await translate(
        [frame(0, question()), frame(1.5, expiring), frame(2, question())],
        CONFIG,
        format,
      );
      assert.deepEqual(report.packets, { in: 3, out: 2, passed: 0, held: 0, originated: 1 });
      assert.deepEqual(report.drops, { "ttl-expired": 1 });
      assert.equal(frames.length, 3);
      const error = frames[1]!;
      assert.equal(error.time, 1.5);
      assert.deepEqual([...error.bytes.subarray(0, 12)], [...GUEST_MAC, ...ROUTER_MAC]);
      const { src, dst, body } = ipOf(error);
      assert.deepEqual([src, dst], ["203.0.113.1", "192.168.226.135"]);
      assert.ok(body.kind === "icmp" && body.type === 11);
      assert.deepEqual(Buffer.from(body.payload), Buffer.from(expiring));
    });
  }

  test("the answer to an unsolicited SYN six seconds later", async () => {
    const syn = tcp({ src: "198.51.100.9:99", dst: "203.0.113.1:5000", flags: "S" });
    const { report, frames } = await translate([
      frame(0, syn, false),
      frame(5.9, question()),
      frame(7, question()),
    ]);
    assert.equal(report.packets.originated, 1);
    assert.equal(frames.length, 3);
    const at = frames.findIndex((f) => ipOf(f).dst === "198.51.100.9");
    assert.equal(frames[at]!.time, 6);
    assert.ok(at >= 1, "not before its time");
    assert.deepEqual([...frames[at]!.bytes.subarray(0, 12)], [...ROUTER_MAC, ...GUEST_MAC]);
  });

  test("that answer at the end of a short capture", async () => {
    const syn = tcp({ src: "198.51.100.9:99", dst: "203.0.113.1:5000", flags: "S" });
    const { frames } = await translate([frame(0, syn, false)]);
    assert.equal(frames.length, 1);
    assert.equal(frames[0]!.time, 6);
    const { body } = ipOf(frames[0]!);
    assert.ok(body.kind === "icmp" && body.type === 3 && body.code === 3);
  });

  test("nothing unless it is told to", async () => {
    const syn = tcp({ src: "198.51.100.9:99", dst: "203.0.113.1:5000", flags: "S" });
    const { report, frames } = await translate([frame(0, syn, false), frame(1, question({ ttl: 1 }))], {
      ...CONFIG,
      icmpErrors: false,
    });
    assert.equal(report.packets.originated, 0);
    assert.equal(frames.length, 0);
  });

  test("fragments behind the first one they waited for, with their own times and padding", async () => {
    const whole = udp({
      src: "192.168.226.135:4000",
      dst: "198.51.100.7:53",
      payload: new Uint8Array(64),
      id: 9,
    });
    const [first, second, third] = fragments(whole, [24, 48]).map((piece, i) => {
      const padded = new Uint8Array(piece.length + 6).fill(0xee);
      padded.set(piece);
      return frame(i, padded);
    }) as [Frame, Frame, Frame];
    const late = { ...first, time: 3 };
    const { report, frames } = await translate([third, second, late, frame(4, question())]);
    assert.deepEqual(report.packets, { in: 4, out: 4, passed: 0, held: 0, originated: 0 });
    assert.deepEqual(
      frames.map((f) => [f.time, ipOf(f).fragmentOffset]),
      [
        [3, 0],
        [2, 48],
        [1, 24],
        [4, 0],
      ],
    );
    for (const f of frames) {
      assert.equal(ipOf(f).src, "203.0.113.1");
      if (f.time < 4) assert.ok(f.bytes.subarray(-6).every((byte) => byte === 0xee));
    }
  });

  for (const format of ["pcap", "pcapng"] as const) {
    for (const withBoth of [false, true]) {
      const how = withBoth ? `${format}, both sides` : format;
      test(`the pieces of a packet larger than the MTU, in its place (${how})`, async () => {
        const big = (id: number, df = false) =>
          udp({
            src: "192.168.226.135:4000",
            dst: "198.51.100.7:53",
            payload: Uint8Array.from({ length: 1200 }, (_, i) => i),
            id,
            df,
          });
        // The last one comes in two fragments, second first, of which the second is too big.
        const [first, second] = fragments(big(3), [400]).map((piece, i) => frame(5 - i, piece)) as [
          Frame,
          Frame,
        ];
        const sent = [frame(1, question()), frame(2, big(1)), frame(2.5, big(2, true)), frame(3, question())];
        const input = [...sent, second, first, frame(6, question())];
        const { report, frames, sides, stats } = await translate(
          input,
          { ...CONFIG, mtu: { outside: 600 } },
          format,
          withBoth,
        );
        assert.deepEqual(report.packets, { in: 7, out: 6, passed: 0, held: 0, originated: 1 });
        assert.deepEqual(report.drops, { "too-big": 1 });
        assert.equal(
          report.bytes.out,
          input.reduce((bytes, f) => bytes + f.bytes.length, 0) - sent[2]!.bytes.length,
        );
        assert.deepEqual([stats.packets.fragmented, stats.packets.pieces], [2, 5]);
        assert.deepEqual(
          frames.map((f) => [f.time, ipOf(f).dst, ipOf(f).fragmentOffset]),
          [
            [1, "198.51.100.7", 0],
            [2, "198.51.100.7", 0],
            [2, "198.51.100.7", 576],
            [2, "198.51.100.7", 1152],
            [2.5, "192.168.226.135", 0],
            [3, "198.51.100.7", 0],
            [5, "198.51.100.7", 0],
            [4, "198.51.100.7", 400],
            [4, "198.51.100.7", 976],
            [6, "198.51.100.7", 0],
          ],
        );
        for (const pieces of [frames.slice(1, 4), frames.slice(6, 9)]) {
          for (const piece of pieces) {
            assert.deepEqual([...piece.bytes.subarray(0, 14)], [...ROUTER_MAC, ...GUEST_MAC, ...ETHERTYPE]);
            assert.ok(piece.bytes.length <= 14 + 600);
          }
          const whole = reassemble(pieces.map((piece) => piece.bytes.subarray(14)))!;
          assert.equal(decode(whole).src, "203.0.113.1");
          assert.equal(whole.length, 1228);
          assert.equal(transportChecksumIn(whole), transportChecksumOf(whole));
        }
        // Each packet as it came, and what went out in its place.
        const forwarded = frames.filter((f) => ipOf(f).src === "203.0.113.1");
        if (withBoth) assert.equal(sides.length, 7 + forwarded.length);
      });
    }
  }

  test("no orphans: they are drops after their time, held before", async () => {
    const whole = udp({
      src: "192.168.226.135:4000",
      dst: "198.51.100.7:53",
      payload: new Uint8Array(64),
      id: 9,
    });
    const [, orphan] = fragments(whole, [32]) as [Uint8Array, Uint8Array];
    const early = await translate([frame(0, orphan), frame(29.9, question())]);
    assert.equal(early.report.packets.held, 1);
    assert.deepEqual(early.report.drops, {});
    const late = await translate([frame(0, orphan), frame(30, question())]);
    assert.equal(late.report.packets.held, 0);
    assert.deepEqual(late.report.drops, { "fragment-timeout": 1 });
    assert.equal(late.report.packets.in, late.report.packets.out + 1);
  });
});

describe("what comes out in another section of a pcapng", () => {
  const [ETHERNET, RAW] = [1, 101];
  const whole = udp({
    src: "192.168.226.135:4000",
    dst: "198.51.100.7:53",
    payload: new Uint8Array(64),
    id: 9,
  });
  const [first, second] = fragments(whole, [32]).map((piece) => frame(0, piece).bytes) as [
    Uint8Array,
    Uint8Array,
  ];
  const syn = frame(0, tcp({ src: "198.51.100.9:99", dst: "203.0.113.1:5000", flags: "S" }), false).bytes;

  /** A section of packets on interfaces: link types (microseconds, or 10^-resolution), then times and frames. */
  function section(
    little: boolean,
    interfaces: { linkType: number; tsresol?: number }[],
    packets: [id: number, seconds: number, bytes: Uint8Array, wire?: number][],
  ): Uint8Array {
    return concat(
      sectionBlock(little),
      ...interfaces.map((one) => interfaceBlock(little, one)),
      ...packets.map(([id, seconds, bytes, wire]) => {
        const units = 10n ** BigInt(interfaces[id]!.tsresol ?? 6);
        return enhancedBlock(little, id, BigInt(seconds) * units, bytes, wire ?? bytes.length);
      }),
    );
  }

  async function translated(...sections: Uint8Array[]) {
    const parts: Uint8Array[] = [];
    using nat = new Nat(CONFIG, { seed: 1 });
    const { report, damage } = await translateCapture({
      nat,
      source: memorySource(concat(...sections)),
      openOutput: async () => ({
        write: async (bytes) => void parts.push(bytes.slice()),
        close: async () => {},
        abort: async () => {},
      }),
    });
    assert.equal(damage, null);
    const { records, damage: bad } = await readAll(memorySource(concat(...parts)));
    assert.equal(bad, null);
    const { in: came, out, held } = report.packets;
    const dropped = Object.values(report.drops).reduce((sum, count) => sum + count, 0);
    assert.equal(came, out + held + dropped);
    return { report, records };
  }

  for (const [from, to] of [
    [true, false],
    [false, true],
    [true, true],
  ] as const) {
    const order = `${from ? "little" : "big"} to ${to ? "little" : "big"} endian`;
    test(`is written in that section's way, on an interface of its link type (${order})`, async () => {
      const { report, records } = await translated(
        section(from, [{ linkType: ETHERNET }], [[0, 10, second, second.length + 7]]),
        section(
          to,
          [{ linkType: RAW }, { linkType: ETHERNET, tsresol: 9 }],
          [
            [0, 10, whole],
            [1, 11, first],
          ],
        ),
      );
      assert.deepEqual(report.packets, { in: 3, out: 3, passed: 0, held: 0, originated: 0 });
      assert.deepEqual(
        records.map(({ interfaceId, seconds, data }) => [interfaceId, seconds, data.length]),
        [
          [0, 10, whole.length],
          [1, 11, first.length],
          [1, 10, second.length],
        ],
      );
      assert.equal(records[2]!.wireLength, second.length + 7);
      const pieces = records.slice(1).map(({ data }) => data.subarray(14));
      assert.equal(decode(reassemble(pieces)!).src, "203.0.113.1");
      const bytes = records.reduce((sum, { data }) => sum + data.length, 0);
      assert.equal(report.bytes.out, bytes);
    });
  }

  test("is dropped where the section has no such interface", async () => {
    const raw = [{ linkType: RAW }];
    const { report, records } = await translated(
      section(true, [{ linkType: ETHERNET }], [[0, 10, second]]),
      section(false, raw, [[0, 11, first.subarray(14)]]),
    );
    assert.deepEqual(report.packets, { in: 2, out: 1, passed: 0, held: 0, originated: 0 });
    assert.deepEqual(report.drops, { "no-interface": 1 });
    assert.equal(records.length, 1);
  });

  test("is dropped where the section has such an interface only later", async () => {
    const late = section(false, [{ linkType: RAW }], [[0, 11, first.subarray(14)]]);
    const { report, records } = await translated(
      section(true, [{ linkType: ETHERNET }], [[0, 10, second]]),
      concat(
        late,
        interfaceBlock(false, { linkType: ETHERNET }),
        enhancedBlock(false, 1, 12_000_000n, frame(0, question()).bytes),
      ),
    );
    assert.deepEqual(report.drops, { "no-interface": 1 });
    assert.deepEqual(
      records.map(({ interfaceId }) => interfaceId),
      [0, 1],
    );
  });

  test("is the answer to an unsolicited SYN, if there is an interface for it", async () => {
    const sent = section(true, [{ linkType: ETHERNET }], [[0, 10, syn]]);
    const there = await translated(sent, section(false, [{ linkType: ETHERNET, tsresol: 9 }], []));
    assert.equal(there.report.packets.originated, 1);
    assert.deepEqual(
      there.records.map(({ interfaceId, seconds }) => [interfaceId, seconds]),
      [[0, 16]],
    );
    const none = await translated(sent, section(false, [], []));
    assert.equal(none.report.packets.originated, 0);
    assert.equal(none.records.length, 0);
  });
});
