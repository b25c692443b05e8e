// No checksum that was right may be wrong behind the NAT, says tshark.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pcapFile } from "../support/capture-build.js";
import { get16, udp } from "../support/packets.js";
import { bytesOf, type Case, cases, noCaptures } from "./cases.js";
import { judge } from "./judge.js";
import { withReplies } from "./replies.js";
import { configOf, type Packet, type Run, run } from "./run.js";
import { badChecksums, noTshark } from "./tshark.js";

const PASSING = { unmatched: "pass" } as const;
const LENIENT = { ...PASSING, verifyHeaderChecksum: false, filtering: "endpoint-independent" } as const;

/** Packet by packet, what tshark finds wrong in the output and did not in the input. */
async function newlyBad(runs: readonly { id: string; run: Run }[]): Promise<string[]> {
  const all = (side: (of: Run) => readonly Packet[]) => badChecksums(runs.flatMap((one) => side(one.run)));
  const [before, after] = [await all((of) => of.input), await all((of) => of.output)];
  const found: string[] = [];
  let inputs = 0;
  let outputs = 0;
  for (const { id, run: one } of runs) {
    one.origin.forEach((number, i) => {
      const was = before[inputs + number]!;
      for (const header of after[outputs + i]!) {
        if (!was.has(header)) found.push(`${id}: output packet ${i + 1} (input ${number + 1}): ${header}`);
      }
    });
    inputs += one.input.length;
    outputs += one.output.length;
  }
  assert(
    before.some((bad) => bad.size > 0),
    "the captures have wrong checksums, which tshark did not find",
  );
  assert.deepEqual([before.length, after.length], [inputs, outputs], "tshark printed every packet");
  return found;
}

async function withRepliesRun(one: Case): Promise<Run> {
  const config = configOf(one, LENIENT);
  const first = await run(bytesOf(one.file), config);
  return run(withReplies(bytesOf(one.file), first, judge(first).mappings), config);
}

const collect = (of: readonly Case[], how: (one: Case) => Promise<Run>) =>
  Promise.all(of.map(async (one) => ({ id: one.id, run: await how(one) })));

describe("checksums", { skip: noCaptures || noTshark, concurrency: 2 }, () => {
  test("of captures as they are", async () => {
    const runs = await collect(cases, (one) => run(bytesOf(one.file), configOf(one, PASSING)));
    assert.deepEqual(await newlyBad(runs), []);
  });

  test("of captures with replies, whatever is wrong with them", async () => {
    const runs = await collect(
      cases.filter(({ replies }) => replies),
      withRepliesRun,
    );
    assert.deepEqual(await newlyBad(runs), []);
  });
});

test("a UDP checksum that comes to zero is sent as 0xffff", async () => {
  const config = { inside: ["192.168.1.0/24"], outside: ["203.0.113.1"] };
  const captureOf = (word: number) => {
    const payload = Uint8Array.of(word >> 8, word & 0xff);
    const data = udp({ src: "192.168.1.1:5000", dst: "198.51.100.7:53", payload });
    // The first packet makes the session, the second finds it.
    const packets = [0, 1].map((seconds) => ({ data, seconds, nanos: 0 }));
    return pcapFile({ littleEndian: true, magic: 0xa1b2c3d4, linkType: 101 }, packets);
  };
  const checksums = ({ output }: Run) => output.map(({ data, ip }) => get16(data, ip!.checksumAt));
  const [sum] = checksums(await run(captureOf(0), config));
  // Adding a checksum to what it sums up makes the sum all ones, and the checksum zero.
  const result = await run(captureOf(sum!), config);
  assert.deepEqual(checksums(result), [0xffff, 0xffff]);
  assert.equal(judge(result).translated, 2);
});
