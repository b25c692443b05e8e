// Any bytes as a capture: they are read up to the damage, however they come in, and translated to a capture that
// can be read again and whose report adds up.
//
// The first byte of an input says how the rest comes in; the bits are below.
import assert from "node:assert/strict";
import { gunzipSync, gzipSync } from "node:zlib";
import { GunzipSource } from "../../src/capture/gunzip.js";
import { LINK_TYPE } from "../../src/capture/link.js";
import type { ByteSink } from "../../src/capture/sink.js";
import type { ByteSource } from "../../src/capture/source.js";
import { NatError } from "../../src/errors.js";
import { Nat } from "../../src/nat.js";
import { translateCapture } from "../../src/translate/translate.js";
import * as capture from "../support/capture-build.js";
import { echo, fragments, icmp, tcp, udp } from "../support/packets.js";
import type { Target } from "./driver.js";

const [BUFFER, PIECE, GZIP, PACKED, ONCE, PASS] = [0x03, 0x0c, 0x10, 0x20, 0x40, 0x80];
const BUFFERS = [1 << 16, 64, 200, 4000];
const BIGGEST = 2 << 20; // as translateCapture has
const PIECES = [1 << 16, 1, 7, 100];

const { concat } = capture;

/** Packets that go each way, or nowhere. */
const packets = [
  udp({ src: "192.168.226.135:4000", dst: "198.51.100.7:53", payload: "query" }),
  udp({ src: "198.51.100.7:53", dst: "203.0.113.1:1024", payload: "answer" }),
  tcp({ src: "192.168.226.135:4001", dst: "198.51.100.7:80", flags: "S" }),
  tcp({ src: "198.51.100.7:80", dst: "203.0.113.1:80", flags: "S" }),
  echo({ src: "192.168.226.135", dst: "198.51.100.7", identifier: 7, ttl: 1 }),
  icmp({ src: "198.51.100.1", dst: "203.0.113.1", type: 3, rest: 0, payload: new Uint8Array(28) }),
  ...fragments(
    udp({ src: "192.168.226.135:5", dst: "198.51.100.7:6", payload: "x".repeat(40), id: 9 }),
    [24],
  ).reverse(),
  Uint8Array.of(0x60, 0, 0, 0),
];

/** Headers in front of IPv4, by link type. */
const links: [number, Uint8Array][] = [
  [LINK_TYPE.ethernet, Uint8Array.of(2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0)],
  [
    LINK_TYPE.ethernet,
    Uint8Array.of(2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 8, 0),
  ],
  [
    LINK_TYPE.ethernet,
    Uint8Array.of(2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0x64, 0x11, 0, 0, 1, 0, 42, 0, 0x21),
  ],
  [LINK_TYPE.raw, new Uint8Array(0)],
  [LINK_TYPE.null, Uint8Array.of(2, 0, 0, 0)],
  [LINK_TYPE.loop, Uint8Array.of(0, 0, 0, 2)],
  [LINK_TYPE.linuxSll, Uint8Array.of(0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0)],
  [LINK_TYPE.linuxSll2, Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0)],
];

const frames = (header: Uint8Array) =>
  packets.map((packet, i) => ({ data: concat(header, packet), seconds: 1000 + 4 * i, nanos: i * 1000 }));

const pcaps = links.map(([linkType, header], i) => {
  const magic = [0xa1b2c3d4, 0xa1b23c4d, 0xa1b2cd34][i % 3]!;
  return capture.pcapFile({ littleEndian: i % 2 === 0, magic, linkType }, frames(header));
});

const pcapngs = links.map(([linkType, header], i) => {
  const little = i % 2 === 0;
  const resolutions = [6, 9, 0x8a, 3, 0, 0x80, 12];
  return concat(
    capture.sectionBlock(little),
    capture.interfaceBlock(little, {
      linkType,
      tsresol: resolutions[i % 7]!,
      tsoffset: i - 2,
      snapLength: i * 30,
      fcslen: i,
    }),
    ...frames(header).map(({ data, seconds }) =>
      capture.enhancedBlock(little, 0, BigInt(seconds) * 1000n, data),
    ),
    capture.simpleBlock(little, frames(header)[0]!.data),
    capture.obsoleteBlock(little, 0, 9_000_000n, frames(header)[1]!.data),
    capture.block(little, 5, new Uint8Array(20)),
    capture.sectionBlock(!little),
    capture.interfaceBlock(!little, { linkType }),
    capture.enhancedBlock(
      !little,
      0,
      5n,
      frames(header)[2]!.data,
      2000,
      capture.option(!little, 1, Buffer.from("hi")),
    ),
  );
});

/** Where the records of a capture begin, as far as it goes. */
function cuts(input: Uint8Array): number[] {
  const view = new DataView(input.buffer, input.byteOffset, input.length);
  const found: number[] = [];
  const isPcapng = input.length > 12 && view.getUint32(1) === 0x0a0d0d0a;
  let little = input[isPcapng ? 9 : 1] !== (isPcapng ? 0x1a : 0xa1);
  for (let at = isPcapng ? 1 : 25; at + 16 <= input.length && found.length < 100; ) {
    found.push(at);
    if (isPcapng && view.getUint32(at) === 0x0a0d0d0a) little = input[at + 8] === 0x4d;
    const length = isPcapng ? view.getUint32(at + 4, little) : 16 + view.getUint32(at + 8, little);
    at += Math.max(length, 12);
  }
  return found;
}

interface Sink extends ByteSink {
  readonly bytes: () => Uint8Array;
}
function memorySink(): Sink {
  const parts: Uint8Array[] = [];
  return {
    write: async (bytes) => void parts.push(Uint8Array.from(bytes)),
    close: async () => {},
    abort: async () => {},
    bytes: () => concat(...parts),
  };
}

/** What comes out of gzip data, if zlib takes all of it. */
function unpacked(bytes: Uint8Array): Uint8Array | null {
  try {
    return new Uint8Array(gunzipSync(bytes));
  } catch {
    return null;
  }
}

/** What `work` gives, or null where the input is refused as it may be. */
async function unlessRefused<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof NatError && error.code === "NAT_ERR_CAPTURE" && error.message !== "") return null;
    throw error;
  }
}

export const target: Target = {
  folders: ["src/capture", "src/translate"],
  seeds: () =>
    [...pcaps, ...pcapngs].flatMap((file, i) => [
      concat(Uint8Array.of((i % 4) | ((i % 3) << 2)), file),
      concat(Uint8Array.of(GZIP | PACKED), file),
      concat(Uint8Array.of(GZIP | (i % 2 === 0 ? ONCE : 0)), gzipSync(file)),
    ]),
  words: () => [
    ...pcapngs.flatMap((file) => {
      const at = cuts(concat(Uint8Array.of(0), file));
      return at.map((from, i) => file.subarray(from - 1, (at[i + 1] ?? file.length + 1) - 1));
    }),
    Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3),
    Uint8Array.of(0x1f, 0x8b, 8, 0x1e, 0, 0, 0, 0, 0, 3, 1, 0, 9, 65, 0, 66, 0, 0, 0),
    Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0, 0, 0),
  ],
  cuts,
  async run(input) {
    const mode = input[0] ?? 0;
    const given = input.slice(1);
    const bytes = (mode & PACKED) !== 0 ? new Uint8Array(gzipSync(given)) : given;
    const isGzip = (mode & (GZIP | PACKED)) !== 0;
    const source = (piece: number): ByteSource => {
      const open = () => capture.memorySource(bytes, piece);
      if (!isGzip) return open();
      return new GunzipSource(open(), "fuzz", (mode & ONCE) !== 0 ? null : async () => open());
    };
    // What there is to find: all that was given, or what zlib makes of it.
    const expected = !isGzip ? given : unpacked(bytes);

    const [buffer, piece] = [BUFFERS[mode & BUFFER]!, PIECES[(mode & PIECE) >> 2]!];
    const small = await unlessRefused(capture.readAll(source(piece), buffer, 1 + (mode & 7)));
    const whole = await unlessRefused(capture.readAll(source(1 << 20), BIGGEST));
    // Of gzip data that is damaged and can't be read twice, the last piece is lost.
    const lossy = isGzip && (mode & ONCE) !== 0 && expected === null;
    if (!lossy) assert.equal(small === null, whole === null, "refused, or not, by how it came in");
    if (whole === null || small === null) return;

    for (const found of [small, whole]) {
      if (expected !== null) {
        assert.deepEqual(found.copy, expected.slice(0, found.copy.length));
        if (found.damage === null) assert.equal(found.copy.length, expected.length);
      } else {
        assert(found.damage !== null, "damaged gzip data, and no word of it");
      }
      if (found.damage !== null) {
        assert.equal(found.damage.offset, found.copy.length);
        assert(found.damage.message !== "");
      }
      for (const { seconds, nanos } of found.records) {
        assert(Number.isFinite(seconds) && Number.isInteger(nanos) && nanos >= 0 && nanos < 1e9);
      }
    }
    // How it came in makes no difference, but a record must fit in the buffer.
    const cramped = small.damage?.message.includes("larger than the read buffer");
    if (!lossy)
      assert.deepEqual(small.records, cramped ? whole.records.slice(0, small.records.length) : whole.records);
    await translated(source(1 << 20), whole, (mode & PASS) !== 0);
  },
};

const bytesOf = ({ records }: capture.Found) => records.reduce((sum, { data }) => sum + data.length, 0);

/** Translates the capture that was found and judges what comes out. */
async function translated(source: ByteSource, found: capture.Found, pass: boolean): Promise<void> {
  using nat = new Nat(
    {
      inside: [pass ? "192.0.2.0/24" : "192.168.226.0/24"],
      outside: ["203.0.113.1"],
      portAssignment: { order: "sequential" },
      forwards: [
        { protocol: "tcp", outside: "203.0.113.1:80", inside: pass ? "192.0.2.1:80" : "192.168.226.1:80" },
      ],
      limits: { sessions: 64, fragments: 4 },
      unmatched: pass ? "pass" : "drop",
      icmpErrors: !pass,
    },
    { seed: 1n },
  );
  const [out, both] = [memorySink(), memorySink()];
  const { report, damage } = await translateCapture({
    nat,
    source,
    openOutput: async () => out,
    openBoth: async () => both,
  });
  assert.equal(damage?.offset, found.damage?.offset);
  const { packets, drops } = report;
  const dropped = Object.values(drops).reduce((sum, count) => sum + count, 0);
  assert.equal(packets.in, found.records.length);
  assert.equal(packets.in, packets.out + dropped + packets.held, "the report does not add up");
  assert.equal(report.bytes.in, bytesOf(found));

  if (found.copy.length === 0) return assert.equal(out.bytes().length, 0); // cut within the file's header
  const again = await capture.readAll(capture.memorySource(out.bytes()), BIGGEST);
  // A block that no buffer holds is copied piece by piece, so the input may end within it.
  const cut = await capture.readAll(capture.memorySource(found.copy), BIGGEST);
  if (cut.damage === null) {
    assert.equal(again.damage, null, `the output is damaged: ${again.damage?.message}`);
    assert(again.records.length >= packets.out && again.records.length <= packets.out + packets.originated);
    if (packets.originated === 0) assert.equal(report.bytes.out, bytesOf(again));
  }
  if (packets.out === packets.in && packets.out === packets.passed) assert.deepEqual(out.bytes(), found.copy);
  const pair = await capture.readAll(capture.memorySource(both.bytes()), BIGGEST);
  assert.equal(pair.damage, null, `the capture of both sides is damaged: ${pair.damage?.message}`);
}
