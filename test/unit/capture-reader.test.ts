import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MAX_CAPTURED } from "../../src/capture/section.js";
import {
  block,
  concat,
  enhancedBlock,
  Fields,
  type Found,
  interfaceBlock,
  memorySource,
  obsoleteBlock,
  option,
  type Packet,
  pcapFile,
  readAll,
  samplePackets,
  sectionBlock,
  simpleBlock,
  stampOf,
} from "../support/capture-build.js";

const MICRO = 0xa1b2c3d4;
const NANO = 0xa1b23c4d;
const KUZNETZOV = 0xa1b2cd34;

/** Sizes of read buffer that split every record somewhere, and one that splits none. */
const BUFFERS = [128, 129, 130, 131, 150, 200, 1 << 20];

function assertPackets(found: Found, packets: readonly Packet[], linkType: number): void {
  assert.deepEqual(
    found.records.map(({ data, seconds, nanos, wireLength }) => ({ data, seconds, nanos, wireLength })),
    packets.map((packet) => ({ ...packet, wireLength: packet.wireLength ?? packet.data.length })),
  );
  for (const record of found.records) assert.equal(record.linkType, linkType);
}

function assertWhole(found: Found, file: Uint8Array): void {
  assert.equal(found.damage, null);
  assert.deepEqual(found.copy, file);
}

describe("pcap", () => {
  const packets = samplePackets(100);
  for (const littleEndian of [true, false]) {
    for (const [name, magic] of Object.entries({ MICRO, NANO, KUZNETZOV })) {
      it(`reads ${name} ${littleEndian ? "little" : "big"} endian, however records are split`, async () => {
        const file = pcapFile({ littleEndian, magic, linkType: 113 }, packets);
        for (const size of BUFFERS) {
          const found = await readAll(memorySource(file), size);
          assert.equal(found.format, "pcap");
          assertPackets(found, packets, 113);
          assertWhole(found, file);
        }
        assertWhole(await readAll(memorySource(file, 1), 128), file);
      });
    }
  }

  it("keeps nanoseconds", async () => {
    const exact = [{ data: Uint8Array.of(1), seconds: 0xffffffff, nanos: 999_999_999 }];
    const file = pcapFile({ littleEndian: true, magic: NANO, linkType: 1 }, exact);
    assertPackets(await readAll(memorySource(file)), exact, 1);
  });

  it("carries fractions beyond a second", async () => {
    const file = pcapFile({ littleEndian: true, magic: MICRO, linkType: 1 }, [
      { data: Uint8Array.of(1), seconds: 10, nanos: 2_000_001_000 },
    ]);
    assertPackets(
      await readAll(memorySource(file)),
      [{ data: Uint8Array.of(1), seconds: 12, nanos: 1000 }],
      1,
    );
  });

  it("leaves the check sequence bits out of the link type", async () => {
    const file = pcapFile({ littleEndian: false, magic: MICRO, linkType: 0x24000001 }, packets);
    assertPackets(await readAll(memorySource(file)), packets, 1);
  });

  it("never puts more records into a chunk than asked", async () => {
    const file = pcapFile({ littleEndian: true, magic: MICRO, linkType: 1 }, packets);
    const found = await readAll(memorySource(file), 1 << 20, 7);
    assertPackets(found, packets, 1);
    assertWhole(found, file);
    assert.equal(found.chunks, Math.ceil(packets.length / 7));
  });

  it("reads a file without packets", async () => {
    const file = pcapFile({ littleEndian: true, magic: MICRO, linkType: 1 }, []);
    const found = await readAll(memorySource(file));
    assert.equal(found.records.length, 0);
    assertWhole(found, file);
  });

  it("reads packets of the longest length, and calls a longer one damage", async () => {
    for (const extra of [0, 1]) {
      const file = pcapFile({ littleEndian: true, magic: MICRO, linkType: 1 }, [
        { data: Uint8Array.of(1, 2), seconds: 1, nanos: 0 },
        { data: new Uint8Array(MAX_CAPTURED + extra), seconds: 2, nanos: 0 },
      ]);
      const found = await readAll(memorySource(file));
      assert.equal(found.records.length, 2 - extra);
      if (extra === 0) assertWhole(found, file);
      else assert.equal(found.damage?.offset, 24 + 18);
    }
  });

  it("calls a record damage that is larger than the buffer", async () => {
    const file = pcapFile({ littleEndian: true, magic: MICRO, linkType: 1 }, [
      { data: new Uint8Array(112), seconds: 1, nanos: 0 },
      { data: new Uint8Array(113), seconds: 2, nanos: 0 },
    ]);
    const found = await readAll(memorySource(file), 128);
    assert.equal(found.records.length, 1);
    assert.deepEqual(found.damage, {
      offset: 24 + 128,
      message: "a record of 129 bytes is larger than the read buffer (128 bytes)",
    });
  });
});

for (const littleEndian of [true, false]) {
  describe(`pcapng, ${littleEndian ? "little" : "big"} endian`, () => {
    const packets = samplePackets(60);
    const e = littleEndian;

    it("reads enhanced packet blocks with options, among other blocks, however they are split", async () => {
      const comment = concat(option(e, 1, Buffer.from("hello")), option(e, 0, new Uint8Array(0)));
      const file = concat(
        sectionBlock(e, comment),
        block(e, 0x0bad, Uint8Array.of(1, 2, 3, 4)),
        interfaceBlock(e, { linkType: 1 }),
        ...packets.flatMap(({ data, seconds, nanos, wireLength }, i) => [
          enhancedBlock(e, 0, stampOf(seconds, nanos, 6), data, wireLength, i % 3 ? undefined : comment),
          ...(i % 5 ? [] : [block(e, 0x80000001 + i, new Uint8Array(i))]),
        ]),
        block(e, 5, new Uint8Array(12)), // interface statistics
      );
      for (const size of BUFFERS) {
        const found = await readAll(memorySource(file), size);
        assert.equal(found.format, "pcapng");
        assertPackets(found, packets, 1);
        assertWhole(found, file);
      }
      assertWhole(await readAll(memorySource(file, 1), 128), file);
    });

    it("reads several interfaces, each with its link type and clock", async () => {
      const shapes = [
        { linkType: 1, tsresol: 6, fcslen: 4 },
        { linkType: 113, tsresol: 9 },
        { linkType: 101, tsresol: 3, tsoffset: 1000 },
        { linkType: 228, tsresol: 0, tsoffset: -5 },
        { linkType: 276, tsresol: 10 },
        { linkType: 0, tsresol: 0x80 | 32 },
        { linkType: 108, tsresol: 0x80 | 10, tsoffset: 7 },
      ];
      const data = Uint8Array.of(9);
      const file = concat(
        sectionBlock(e),
        ...shapes.map((shape) => interfaceBlock(e, shape)),
        enhancedBlock(e, 0, stampOf(1_700_000_001, 123_456_000, 6), data),
        enhancedBlock(e, 1, stampOf(1_700_000_002, 123_456_789, 9), data),
        enhancedBlock(e, 2, stampOf(1_700_000_003, 123_000_000, 3), data),
        obsoleteBlock(e, 3, 1_700_000_004n, data),
        enhancedBlock(e, 4, stampOf(1_700_000_005, 999_999_999, 10) + 9n, data),
        enhancedBlock(e, 5, (1_700_000_006n << 32n) | 0x80000001n, data),
        obsoleteBlock(e, 6, (1_700_000_007n << 10n) | 1023n, data),
      );
      const found = await readAll(memorySource(file));
      assertWhole(found, file);
      assert.deepEqual(
        found.records.map((r) => [r.interfaceId, r.linkType, r.seconds, r.nanos]),
        [
          [0, 1, 1_700_000_001, 123_456_000],
          [1, 113, 1_700_000_002, 123_456_789],
          [2, 101, 1_700_001_003, 123_000_000],
          [3, 228, 1_699_999_999, 0],
          [4, 276, 1_700_000_005, 999_999_999],
          [5, 0, 1_700_000_006, 500_000_000],
          [6, 108, 1_700_000_014, 999_023_437],
        ],
      );
    });

    it("takes a simple packet's length from block, wire and snapshot length, its time from before", async () => {
      const data = Uint8Array.from({ length: 10 }, (_, i) => i);
      const file = concat(
        sectionBlock(e),
        interfaceBlock(e, { linkType: 1, snapLength: 8 }),
        simpleBlock(e, data.subarray(0, 5)),
        enhancedBlock(e, 0, stampOf(77, 5000, 6), data),
        simpleBlock(e, data.subarray(0, 8), 1500),
        simpleBlock(e, data),
      );
      const found = await readAll(memorySource(file));
      assertWhole(found, file);
      assert.deepEqual(
        found.records.map((r) => [[...r.data].length, r.wireLength, r.seconds, r.nanos]),
        [
          [5, 5, 0, 0],
          [10, 10, 77, 5000],
          [8, 1500, 77, 5000],
          [8, 10, 77, 5000],
        ],
      );
    });

    it("starts anew with each section: byte order, interfaces, chunk", async () => {
      const data = Uint8Array.of(1, 2, 3);
      const part = (order: boolean, linkType: number) => [
        sectionBlock(order),
        interfaceBlock(order, { linkType }),
        enhancedBlock(order, 0, stampOf(5, 0, 6), data),
      ];
      const file = concat(...part(e, 1), ...part(!e, 101), ...part(!e, 113), ...part(e, 0));
      for (const size of BUFFERS) {
        const found = await readAll(memorySource(file), size);
        assertWhole(found, file);
        assert.deepEqual(
          found.records.map((r) => r.linkType),
          [1, 101, 113, 0],
        );
        assert(found.chunks >= 4);
      }
    });

    it("passes blocks without packets that are larger than the buffer", async () => {
      const file = concat(
        sectionBlock(e),
        interfaceBlock(e, { linkType: 1 }),
        block(e, 10, new Uint8Array(1001).fill(7)), // decryption secrets
        enhancedBlock(e, 0, 5n, Uint8Array.of(1)),
      );
      for (const size of BUFFERS) {
        const found = await readAll(memorySource(file), size);
        assertWhole(found, file);
        assert.equal(found.records.length, 1);
      }
      const cut = await readAll(memorySource(file.subarray(0, 900)), 128);
      assert.equal(cut.damage?.message, "the file ends within a block (176 bytes are missing)");
    });

    it("names what is wrong with a block", async () => {
      const start = concat(
        sectionBlock(e),
        interfaceBlock(e, { linkType: 1 }),
        enhancedBlock(e, 0, 5n, new Uint8Array(4)),
      );
      const packetOf = (captured: number, room: number) => {
        const body = new Fields(e).u32(0).u32(0).u32(0).u32(captured).u32(captured);
        return block(e, 6, body.raw(new Uint8Array(room)).done());
      };
      const otherEnd = packetOf(4, 4);
      otherEnd[otherEnd.length - (e ? 4 : 1)]! ^= 4;
      const noMagic = sectionBlock(e);
      noMagic[8]! ^= 1;
      const bad: [Uint8Array, RegExp][] = [
        [new Fields(e).u32(9).u32(8).u32(8).done(), /less than its own header/],
        [new Fields(e).u32(9).u32(0).u32(0).done(), /less than its own header/],
        [new Fields(e).u32(9).u32(0xffffffff).u32(0).done(), /more than/],
        [otherEnd, /lengths at the start and the end/],
        [noMagic, /byte order magic/],
        [packetOf(5, 4), /5 captured bytes, more than 4/],
        [packetOf(MAX_CAPTURED + 1, MAX_CAPTURED + 4), /more than 262144/],
        [packetOf(0xffffffff, 4), /4294967295 captured/],
        [enhancedBlock(e, 1, 0n, new Uint8Array(4)), /interface 1/],
        [block(e, 6, new Uint8Array(16)), /shorter than its fields/],
        [block(e, 1, new Uint8Array(4)), /shorter than its fields/],
        [new Fields(e).u32(0x0a0d0d0a).u32(16).u32(0x1a2b3c4d).u32(16).done(), /shorter than its fields/],
      ];
      for (const [part, message] of bad) {
        const found = await readAll(memorySource(concat(start, part, start)), 1 << 20);
        assert.equal(found.records.length, 1);
        assert.deepEqual(found.copy, start);
        assert.equal(found.damage?.offset, start.length);
        assert.match(found.damage.message, message);
      }
    });

    it("goes on behind options that make no sense", async () => {
      const fields = () => new Fields(e).u16(1).u16(0).u32(0);
      const lacking = fields().u16(9).u16(1).done();
      const tooLong = fields().u16(9).u16(0xffff).u32(0).done();
      const cut = fields().u16(2).u16(1).u32(0).u16(9).done();
      for (const body of [lacking, tooLong, cut]) {
        const file = concat(
          sectionBlock(e),
          block(e, 1, body),
          enhancedBlock(e, 0, 1_000_002n, new Uint8Array(4)),
        );
        const found = await readAll(memorySource(file));
        assertWhole(found, file);
        assert.deepEqual([found.records[0]!.seconds, found.records[0]!.nanos], [1, 2000]);
      }
    });

    it("reads blocks whose length leaves out the padding", async () => {
      const packet = enhancedBlock(e, 0, 7_000_000n, Uint8Array.of(1, 2, 3));
      const view = new DataView(packet.buffer);
      view.setUint32(4, packet.length - 1, e);
      view.setUint32(packet.length - 4, packet.length - 1, e);
      const file = concat(sectionBlock(e), interfaceBlock(e, { linkType: 1 }), packet, packet);
      const found = await readAll(memorySource(file));
      assertWhole(found, file);
      assert.equal(found.records.length, 2);
    });
  });
}

describe("damaged captures", () => {
  const packets = samplePackets(9);
  const files = {
    pcap: pcapFile({ littleEndian: false, magic: MICRO, linkType: 1 }, packets),
    pcapng: concat(
      sectionBlock(true),
      interfaceBlock(true, { linkType: 1 }),
      ...packets.map(({ data, seconds, nanos }) => enhancedBlock(true, 0, stampOf(seconds, nanos, 6), data)),
      sectionBlock(false),
      interfaceBlock(false, { linkType: 1 }),
      ...packets.map(({ data, seconds, nanos }) => enhancedBlock(false, 0, stampOf(seconds, nanos, 6), data)),
    ),
  };

  for (const [format, file] of Object.entries(files)) {
    it(`gives every record before the cut of a ${format} file, and where it is`, async () => {
      const whole = await readAll(memorySource(file));
      const ends = new Set([file.length, ...blockEnds(format, file)]);
      for (let length = 4; length < file.length; length++) {
        for (const size of [128, 1 << 16]) {
          const found = await readAll(memorySource(file.subarray(0, length)), size);
          const intact = whole.records.filter((record) => record.end <= length);
          assert.deepEqual(found.records, intact);
          const edge = Math.max(0, ...[...ends].filter((end) => end <= length));
          assert.deepEqual(found.copy, file.subarray(0, edge));
          if (edge === length) assert.equal(found.damage, null);
          else assert.equal(found.damage?.offset, edge, `cut at ${length}`);
        }
      }
    });
  }

  it("refuses what is no capture, and says how it begins", async () => {
    await assert.rejects(readAll(memorySource(new Uint8Array(0))), {
      code: "NAT_ERR_CAPTURE",
      message: "the input is empty, not a pcap or pcapng capture",
    });
    await assert.rejects(readAll(memorySource(Uint8Array.of(0xd4, 0xc3, 0xb2))), {
      code: "NAT_ERR_CAPTURE",
      message: "the input is no pcap or pcapng capture: it begins with d4 c3 b2",
    });
    await assert.rejects(readAll(memorySource(Buffer.from("GET / HTTP/1.1"))), {
      code: "NAT_ERR_CAPTURE",
      message: "the input is no pcap or pcapng capture: it begins with 47 45 54 20 2f 20 48 54",
    });
  });
});

/** Ends of the file header and of every block or record, found without the product's reader. */
function blockEnds(format: string, file: Uint8Array): number[] {
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  const ends: number[] = [];
  if (format === "pcap") {
    for (let at = 24; at < file.length; at += 16 + view.getUint32(at + 8)) ends.push(at);
    return ends;
  }
  let littleEndian = true;
  for (let at = 0; at < file.length; at += view.getUint32(at + 4, littleEndian)) {
    ends.push(at);
    if (view.getUint32(at) === 0x0a0d0d0a) littleEndian = view.getUint8(at + 8) === 0x4d;
  }
  return ends;
}
