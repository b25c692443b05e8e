import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { LINK_TYPE, locateIpv4 } from "../../src/capture/link.js";
import { NatError } from "../../src/errors.js";
import {
  concat,
  enhancedBlock,
  interfaceBlock,
  memorySource,
  obsoleteBlock,
  pcapFile,
  readAll,
  samplePackets,
  sectionBlock,
  simpleBlock,
} from "../support/capture-build.js";

const directory = process.env.NAPT_CAPTURES ?? resolve(__dirname, "../../../shared/captures");
const data = Uint8Array.from({ length: 20 }, (_, i) => i);

const seeds: Uint8Array[] = [
  pcapFile({ littleEndian: true, magic: 0xa1b2c3d4, linkType: 1 }, samplePackets(20)),
  pcapFile({ littleEndian: false, magic: 0xa1b2cd34, linkType: 1 }, samplePackets(20)),
  ...[true, false].map((e) =>
    concat(
      sectionBlock(e),
      interfaceBlock(e, { linkType: 1, tsresol: 9 }),
      interfaceBlock(e, { linkType: 113, tsresol: 0x8a, tsoffset: 3 }),
      enhancedBlock(e, 0, 1n << 60n, data),
      simpleBlock(e, data),
      obsoleteBlock(e, 1, 99n, data),
      sectionBlock(!e),
      interfaceBlock(!e, { linkType: 101 }),
      enhancedBlock(!e, 0, 5n, data),
    ),
  ),
];

/** What must hold of any bytes: readAll checks bounds; what was delivered is the input up to the damage. */
async function assertOrderly(bytes: Uint8Array, bufferSize: number, piece: number): Promise<void> {
  try {
    const found = await readAll(memorySource(bytes, piece), bufferSize, 8);
    assert.deepEqual(found.copy, bytes.slice(0, found.copy.length));
    if (found.damage === null) assert.equal(found.copy.length, bytes.length);
    else assert(found.damage.offset === found.copy.length && found.damage.message !== "");
    for (const { seconds, nanos } of found.records) {
      assert(Number.isFinite(seconds) && Number.isInteger(nanos) && nanos >= 0 && nanos < 1e9);
    }
  } catch (error) {
    if (!(error instanceof NatError) || error.code !== "NAT_ERR_CAPTURE") throw error;
  }
}

/** Places to overwrite: where, with what, as one byte or a big or little endian word. */
const damages = fc.array(
  fc.record({
    at: fc.nat(),
    value: fc.oneof(fc.nat(64), fc.constantFrom(0xffffffff, 0x80000000, 0x7fffffff), fc.nat(0xffffffff)),
    width: fc.constantFrom(1, 4, -4),
  }),
  { minLength: 1, maxLength: 4 },
);

function damage(bytes: Uint8Array, places: { at: number; value: number; width: number }[]): Uint8Array {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  for (const { at, value, width } of places) {
    if (width === 1) copy[at % copy.length] = value;
    else view.setUint32(at % (copy.length - 3), value, width > 0);
  }
  return copy;
}

const buffers = fc.constantFrom(64, 100, 256, 5000);
const pieces = fc.constantFrom(1, 7, 50, 1 << 20);

describe("the capture reader, given anything,", () => {
  it("stays in order with damaged files", async () => {
    const property = fc.asyncProperty(
      fc.constantFrom(...seeds),
      damages,
      buffers,
      pieces,
      (seed, places, size, piece) => assertOrderly(damage(seed, places), size, piece),
    );
    await fc.assert(property, { numRuns: 3000 });
  });

  it("stays in order with noise behind a good beginning", async () => {
    const beginnings = seeds.map((seed) => seed.subarray(0, 24));
    const noise = fc.array(fc.oneof(fc.constantFrom(0, 1, 2, 3, 6, 12, 16, 32), fc.nat(255)), {
      maxLength: 300,
    });
    const property = fc.asyncProperty(
      fc.constantFrom(...beginnings),
      noise,
      buffers,
      pieces,
      (start, rest, size, piece) => assertOrderly(concat(start, Uint8Array.from(rest)), size, piece),
    );
    await fc.assert(property, { numRuns: 1000 });
  });

  const absent = !existsSync(directory) && `no captures in ${directory} (set NAPT_CAPTURES)`;
  it("stays in order with damaged captures of the real world", { skip: absent }, async () => {
    const names = readdirSync(directory).filter((name) => /\.pcap(ng)?$/.test(name));
    const files = names
      .map((name) => new Uint8Array(readFileSync(join(directory, name))))
      .filter((f) => f.length < 70_000);
    const property = fc.asyncProperty(fc.constantFrom(...files), damages, (file, places) =>
      assertOrderly(damage(file, places), 1 << 16, 1 << 20),
    );
    await fc.assert(property, { numRuns: 300 });
  });
});

describe("locateIpv4, given anything,", () => {
  it("stays within the captured bytes", () => {
    const types = fc.constantFrom(...Object.values(LINK_TYPE), 9, 147);
    const bytes = fc.array(
      fc.oneof(fc.constantFrom(0x08, 0x00, 0x81, 0x88, 0xa8, 0x64, 0x21, 0x11, 0x45), fc.nat(255)),
      {
        maxLength: 60,
      },
    );
    const property = fc.property(bytes, types, fc.nat(60), (frame, linkType, behind) => {
      const at = locateIpv4(Uint8Array.from(frame), 0, frame.length, linkType);
      assert(at >= -1 && at <= frame.length);
      // Bytes behind the captured ones must not matter.
      const more = Uint8Array.from([...frame, ...new Array(behind).fill(8)]);
      assert.equal(locateIpv4(more, 0, frame.length, linkType), at);
      // Nor the position of the frame in the buffer.
      assert.equal(locateIpv4(Uint8Array.from([8, 0, 0, ...frame]), 3, frame.length, linkType), at);
    });
    fc.assert(property, { numRuns: 5000 });
  });
});
