import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { CaptureReader } from "../../src/capture/reader.js";
import { TimeUnit } from "../../src/capture/section.js";
import type { ByteSink } from "../../src/capture/sink.js";
import { encodeRecordLike, PcapngWriter, PcapWriter } from "../../src/capture/writer.js";
import {
  concat,
  enhancedBlock,
  interfaceBlock,
  memorySource,
  obsoleteBlock,
  option,
  pcapFile,
  readAll,
  samplePackets,
  sectionBlock,
  simpleBlock,
} from "../support/capture-build.js";

/** A sink that keeps copies. */
function memorySink(): ByteSink & { bytes(): Uint8Array } {
  const parts: Uint8Array[] = [];
  return {
    write: async (bytes) => void parts.push(bytes.slice()),
    close: async () => {},
    abort: async () => {},
    bytes: () => concat(...parts),
  };
}

/** What tshark prints of a file, or null when there is no tshark. */
function tshark(file: Uint8Array, ...args: string[]): string | null {
  const directory = mkdtempSync(join(tmpdir(), "napt-"));
  try {
    const path = join(directory, "file");
    writeFileSync(path, file);
    const run = spawnSync("tshark", ["-n", "-r", path, ...args], { encoding: "utf8" });
    if (run.error) return null;
    assert.equal(run.status, 0, run.stderr);
    return run.stdout;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

describe("PcapWriter", () => {
  for (const littleEndian of [true, false]) {
    for (const nanoseconds of [true, false]) {
      it(`writes ${littleEndian ? "little" : "big"} endian, ${nanoseconds ? "ns" : "µs"}`, async () => {
        const sink = memorySink();
        const writer = new PcapWriter(sink, { linkType: 101, littleEndian, nanoseconds });
        const packets = samplePackets(50);
        for (const { data, seconds, nanos, wireLength } of packets) {
          writer.packet(data, seconds, nanos, wireLength);
          if (data.length > 50) await writer.flush();
        }
        await writer.flush();
        const magic = nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4;
        assert.deepEqual(sink.bytes(), pcapFile({ littleEndian, magic, linkType: 101 }, packets));
      });
    }
  }

  it("asks for a flush in time, and takes packets of any length", async () => {
    const sink = memorySink();
    const writer = new PcapWriter(sink, { linkType: 1 });
    assert(!writer.full);
    writer.packet(new Uint8Array(2_000_000), 1, 0);
    assert(writer.full);
    await writer.flush();
    assert(!writer.full);
    assert.equal(sink.bytes().length, 24 + 16 + 2_000_000);
  });
});

describe("PcapngWriter", () => {
  it("writes interfaces, packets and comments that read back", async () => {
    const sink = memorySink();
    const writer = new PcapngWriter(sink);
    const inside = writer.addInterface({ linkType: 101, name: "inside", description: "10.0.0.0/8" });
    const packets = samplePackets(40);
    packets.forEach(({ data, seconds, nanos, wireLength }, i) => {
      writer.packet(inside, data, seconds, nanos + 1, wireLength, i % 2 ? `Zähler ${i}` : undefined);
    });
    const outside = writer.addInterface({ linkType: 1, name: "outside", digits: 6 });
    writer.packet(outside, new Uint8Array(3), 5, 7999, 1500, "é".repeat(40_000));
    await writer.flush();

    const file = sink.bytes();
    const found = await readAll(memorySource(file));
    assert.equal(found.damage, null);
    assert.deepEqual(
      found.records
        .slice(0, -1)
        .map(({ data, seconds, nanos, wireLength }) => ({ data, seconds, nanos, wireLength })),
      packets.map((packet) => ({ ...packet, nanos: packet.nanos + 1 })),
    );
    const last = found.records.at(-1)!;
    assert.deepEqual(
      [last.interfaceId, last.linkType, last.seconds, last.nanos, last.wireLength],
      [1, 1, 5, 7000, 1500],
    );

    const printed = tshark(file, "-T", "fields", "-e", "frame.interface_name", "-e", "frame.comment");
    if (printed === null) return;
    const lines = printed.trimEnd().split("\n");
    assert.equal(lines[0], "inside\t");
    assert.equal(lines[1], "inside\tZähler 1");
    assert.match(lines.at(-1)!, /^outside\té+$/);
  });

  it("ends the options of a packet", async () => {
    const sink = memorySink();
    const writer = new PcapngWriter(sink);
    writer.addInterface({ linkType: 1 });
    await writer.flush();
    const start = sink.bytes().length;
    writer.packet(0, Uint8Array.of(1, 2, 3), 5, 6, 7, "abc");
    await writer.flush();
    const options = concat(option(true, 1, Buffer.from("abc")), option(true, 0, new Uint8Array(0)));
    const expected = enhancedBlock(true, 0, 5_000_000_006n, Uint8Array.of(1, 2, 3), 7, options);
    assert.deepEqual(sink.bytes().slice(start), expected);
  });

  it("refuses an interface that was not declared", () => {
    assert.throws(() => new PcapngWriter(memorySink()).packet(0, new Uint8Array(1), 0, 0), RangeError);
  });
});

describe("TimeUnit", () => {
  it("splits what it joins, exactly", () => {
    const second = fc.integer({ min: 0, max: 2 ** 32 });
    const property = fc.property(
      fc.constantFrom(0, 3, 6, 9, 10, 12, 0x80, 0x94, 0x9e),
      fc.integer({ min: -1000, max: 1000 }),
      fc.array(fc.tuple(second, fc.nat(3), fc.nat(999_999_999)), { minLength: 1 }),
      (resolution, offset, times) => {
        const unit = new TimeUnit(resolution, offset);
        const perSecond = resolution & 0x80 ? 1n << BigInt(resolution & 0x7f) : 10n ** BigInt(resolution);
        // Picoseconds and the like since 1970 don't fit into 64 bits.
        const base = Math.min(times[0]![0], Number(2n ** 63n / perSecond));
        for (const [, step, nanos] of times) {
          const seconds = base + step + offset;
          unit.encode(seconds, nanos);
          const stamp = (BigInt(unit.high) << 32n) | BigInt(unit.low);
          const fraction = (BigInt(nanos) * perSecond) / 1_000_000_000n;
          assert.equal(stamp, BigInt(seconds - offset) * perSecond + fraction);
          unit.decode(Number(stamp >> 32n), Number(stamp & 0xffffffffn));
          assert.equal(unit.seconds, seconds);
          assert.equal(unit.nanos, Number((fraction * 1_000_000_000n) / perSecond));
        }
      },
    );
    fc.assert(property, { numRuns: 2000 });
  });

  it("wraps where the field does", () => {
    const unit = new TimeUnit(6, 10);
    unit.encode(9, 0);
    assert.deepEqual([unit.high, unit.low], [0xffffffff, 2 ** 32 - 1e6]);
    unit.encode(2 ** 45, 5000);
    assert.equal(
      (BigInt(unit.high) << 32n) | BigInt(unit.low),
      BigInt.asUintN(64, (2n ** 45n - 10n) * 1_000_000n + 5n),
    );
  });

  it("takes any 64 bits", () => {
    const stamps = fc.array(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { minLength: 1, maxLength: 5 });
    const property = fc.property(fc.integer({ min: 0, max: 9 }), stamps, (digits, values) => {
      const unit = new TimeUnit(digits);
      for (const stamp of values) {
        unit.decode(Number(stamp >> 32n), Number(stamp & 0xffffffffn));
        const perSecond = 10n ** BigInt(digits);
        assert.equal(unit.seconds, Number(stamp / perSecond));
        assert.equal(unit.nanos, Number(((stamp % perSecond) * 1_000_000_000n) / perSecond));
      }
    });
    fc.assert(property, { numRuns: 2000 });
  });
});

describe("encodeRecordLike", () => {
  const packet = Uint8Array.of(1, 2, 3, 4, 5);
  const old = new Uint8Array(9);
  for (const e of [true, false]) {
    const inputs: [string, Uint8Array, number][] = [
      ["pcap in µs", pcapFile({ littleEndian: e, magic: 0xa1b2c3d4, linkType: 1 }, samplePackets(2)), 1000],
      ["pcap in ns", pcapFile({ littleEndian: e, magic: 0xa1b23c4d, linkType: 1 }, samplePackets(2)), 1],
      [
        "Kuznetzov's pcap",
        pcapFile({ littleEndian: e, magic: 0xa1b2cd34, linkType: 1 }, samplePackets(2)),
        1000,
      ],
      [
        "pcapng",
        concat(
          sectionBlock(e),
          interfaceBlock(e, { linkType: 9 }),
          interfaceBlock(e, { linkType: 1, tsresol: 9, tsoffset: 100 }),
          enhancedBlock(e, 0, 1n, old),
          enhancedBlock(e, 1, 1n, old),
        ),
        1,
      ],
      [
        "an obsolete packet",
        concat(sectionBlock(e), interfaceBlock(e, { linkType: 1 }), obsoleteBlock(e, 0, 1n, old)),
        1000,
      ],
      [
        "a simple packet",
        concat(sectionBlock(e), interfaceBlock(e, { linkType: 1 }), simpleBlock(e, old)),
        1000,
      ],
    ];
    for (const [name, file, unit] of inputs) {
      it(`makes a record behind those of ${name}, ${e ? "little" : "big"} endian`, async () => {
        const buffer = new Uint8Array(4096);
        const reader = await CaptureReader.open(memorySource(file), { buffer });
        const chunk = (await reader.next())!;
        const record = encodeRecordLike(chunk, chunk.count - 1, packet, 1_700_000_000, 123_456_789);
        const found = await readAll(memorySource(concat(file, record)));
        assert.equal(found.damage, null);
        const [before, added] = found.records.slice(-2);
        assert.equal(added!.start, file.length);
        assert.deepEqual(added!.data, packet);
        assert.equal(added!.wireLength, packet.length);
        assert.equal(added!.linkType, 1);
        assert.equal(added!.interfaceId, chunk.interfaceId[chunk.count - 1]);
        assert.equal(added!.seconds, 1_700_000_000);
        assert.equal(added!.nanos, 123_456_789 - (123_456_789 % unit));
        assert(before!.end === added!.start);
        // What only this variant's record headers have comes from the record at hand.
        if (name.startsWith("Kuz")) assert.deepEqual(record.slice(16, 24), file.slice(24 + 16, 24 + 24));
      });
    }
  }
});
