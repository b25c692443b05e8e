// Captures of both sides: their writer, and cutting one that comes in pieces.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BothSidesWriter } from "../../src/capture/both-sides.js";
import { wholeBlocks } from "../../src/capture/whole-blocks.js";
import { PcapngWriter } from "../../src/capture/writer.js";
import { Nat } from "../../src/nat.js";
import { translateCapture } from "../../src/translate/translate.js";
import {
  concat,
  enhancedBlock,
  memorySource,
  option,
  readAll,
  samplePackets,
} from "../support/capture-build.js";
import { udp } from "../support/packets.js";

function gathering() {
  const parts: Uint8Array[] = [];
  const write = async (bytes: Uint8Array) => void parts.push(bytes.slice());
  return { sink: { write, close: async () => {}, abort: async () => {} }, bytes: () => concat(...parts) };
}

describe("both sides", () => {
  test("have an interface each, for every link type", async () => {
    const { sink, bytes } = gathering();
    const writer = new BothSidesWriter(sink);
    const packets = samplePackets(6);
    packets.forEach(({ data, seconds, nanos }, i) => {
      const side = i % 2 === 0 ? "outside" : "inside";
      writer.packet(side, { frame: data, linkType: i < 4 ? 1 : 228, seconds, nanos }, "x");
    });
    await writer.flush();
    const { records } = await readAll(memorySource(bytes()));
    assert.deepEqual(
      records.map(({ interfaceId, linkType }) => [interfaceId, linkType]),
      [
        [1, 1],
        [0, 1],
        [1, 1],
        [0, 1],
        [3, 228],
        [2, 228],
      ],
    );
  });

  test("tell how many packets are missing before one", async () => {
    const { sink, bytes } = gathering();
    const writer = new PcapngWriter(sink);
    writer.addInterface({ linkType: 1 });
    await writer.flush();
    const start = bytes().length;
    writer.packet(0, Uint8Array.of(1), 5, 6, 7, "abc", 2 ** 33 + 1);
    writer.packet(0, Uint8Array.of(1), 5, 6, 7, "", 1);
    await writer.flush();
    const end = option(true, 0, new Uint8Array());
    const lost = (...count: number[]) => option(true, 4, Uint8Array.from(count));
    const options = concat(option(true, 1, Buffer.from("abc")), lost(1, 0, 0, 0, 2, 0, 0, 0), end);
    const block = (what: Uint8Array) => enhancedBlock(true, 0, 5_000_000_006n, Uint8Array.of(1), 7, what);
    assert.deepEqual(
      bytes().slice(start),
      concat(block(options), block(concat(lost(1, 0, 0, 0, 0, 0, 0, 0), end))),
    );
  });

  test("have a packet that passes on both, as one that is translated", async () => {
    const capture = gathering();
    const written = new PcapngWriter(capture.sink);
    written.addInterface({ linkType: 101 });
    for (const dst of ["198.51.100.1:53", "192.168.226.9:53"]) {
      written.packet(0, udp({ src: "192.168.226.135:4000", dst }), 1, 0);
    }
    await written.flush();
    const [out, both] = [gathering(), gathering()];
    using nat = new Nat({
      inside: ["192.168.226.0/24"],
      outside: ["203.0.113.1"],
      exempt: ["198.51.100.0/24"],
    });
    await translateCapture({
      nat,
      source: memorySource(capture.bytes()),
      openOutput: async () => out.sink,
      openBoth: async () => both.sink,
    });
    const { records } = await readAll(memorySource(both.bytes()));
    assert.deepEqual(
      records.map(({ interfaceId }) => interfaceId),
      [0, 1, 0],
    );
  });
});

test("a pcapng is cut at its blocks, however it comes", async () => {
  const { sink, bytes } = gathering();
  const writer = new BothSidesWriter(sink);
  for (const { data: frame, seconds, nanos } of samplePackets(20))
    writer.packet("inside", { frame, linkType: 1, seconds, nanos }, "x");
  await writer.flush();
  const whole = bytes();
  for (const size of [1, 7, 100, whole.length]) {
    for (const missing of [0, 1, 30]) {
      async function* pieces() {
        for (let at = 0; at < whole.length - missing; at += size) {
          yield whole.slice(at, Math.min(at + size, whole.length - missing));
        }
      }
      const got: Uint8Array[] = [];
      let packets = 0;
      for await (const blocks of wholeBlocks(pieces())) {
        got.push(blocks.bytes.slice());
        packets += blocks.packets;
      }
      const { records, damage } = await readAll(memorySource(concat(...got)));
      assert.equal(damage, null);
      assert.equal(records.length, packets);
      assert.equal(packets, missing === 0 ? 20 : 19);
    }
  }
});
