// Every capture with its replies readdressed to what the first run made of their receivers.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { NatConfig } from "../../src/config/schema.js";
import { bytesOf, type Case, caseOf, cases, noCaptures } from "./cases.js";
import { judge } from "./judge.js";
import { withReplies } from "./replies.js";
import { configOf, hex, type Run, run, Sides } from "./run.js";

/**
 * What keeps the counts from the reference's, which never drops a packet for its header checksum or TTL, filters
 * nothing, and does not look into PPPoE. `must`: of those that must be translated, so many have no mapping.
 */
const DIFFERENCES: Record<string, { must?: number; countingDown?: number; more?: number; lost?: number }> = {
  // 36 replies to endpoints that only packets with wrong header checksums came from.
  "lan-several-hosts.pcap": { must: 36 },
  "lan-several-hosts.pcap#pool": { must: 36 },
  // 3 packets leave with a TTL of 1: they go no further, nor do the 2 errors about them.
  // 2 come in after 300 s of silence, when their mapping is gone.
  "icmp-unreachables-in.pcap": { countingDown: 5, lost: 2 },
  "link-pppoe.pcap": { more: 10, lost: -5 },
  // Bit errors in addresses, ports and lengths make packets of nobody's.
  "bad-fuzzed.pcap": { lost: 6 },
};

/** As the reference is. */
const LENIENT = { ttl: "keep", verifyHeaderChecksum: false, filtering: "endpoint-independent" } as const;

/** Runs a case twice, the second time with the replies that the first calls for. */
async function runTwice(one: Case, more: Partial<NatConfig>) {
  const config = configOf(one, more);
  const first = await run(bytesOf(one.file), config);
  const capture = withReplies(bytesOf(one.file), first, judge(first).mappings);
  const second = await run(capture, config);
  return { first, second, ...judge(second) };
}

/** How many packets came in and are now what the capture has. */
function restored(first: Run, second: Run): number {
  const sides = new Sides(second.config);
  let count = 0;
  second.origin.forEach((number, i) => {
    const { ip } = second.input[number]!;
    if (ip === null || sides.directionOf(ip) !== "inbound") return;
    assert.equal(
      hex(second.output[i]!.data),
      hex(first.input[number]!.data),
      `packet ${number + 1} restored`,
    );
    count++;
  });
  return count;
}

describe("captures with replies to the public endpoints", { skip: noCaptures }, () => {
  for (const one of cases) {
    const counts = one.reference.replies;
    if (counts === undefined) continue;
    const { must = 0, countingDown = 0, more = 0, lost = 0 } = DIFFERENCES[one.id] ?? {};
    const isEnough = (translated: number, least: number) => {
      assert(translated >= least, `translated ${translated}, not the ${least} that must be`);
      assert(
        translated <= counts.translated + more,
        `translated ${translated}, more than ${counts.translated}`,
      );
    };

    test(one.id, async () => {
      isEnough((await runTwice(one, {})).translated, counts.must_translate - must - countingDown);
      const keeping = await runTwice(one, { ttl: "keep" });
      isEnough(keeping.translated, counts.must_translate - must);
      restored(keeping.first, keeping.second);
      const lenient = await runTwice(one, LENIENT);
      isEnough(lenient.translated, counts.must_translate);
      assert.equal(restored(lenient.first, lenient.second), counts.restored - lost);
    });
  }

  test("an answer makes a connection last for longer than 240 s of silence", async () => {
    const { first, second } = await runTwice(caseOf("tcp-retransmit-after-300s.pcapng"), {});
    assert.equal(first.report.sessions.created, 2);
    assert.equal(second.report.sessions.created, 1);
  });
});
