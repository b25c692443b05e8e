// Every capture as it was taken, through the NAT.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { NatConfig } from "../../src/config/schema.js";
import { bytesOf, cases, noCaptures } from "./cases.js";
import { judge } from "./judge.js";
import { configOf, hex, run } from "./run.js";

/** The reference does not look into PPPoE. */
const MORE: Record<string, number> = { "link-pppoe.pcap": 5 };

describe("captures as they are", { skip: noCaptures }, () => {
  for (const one of cases) {
    const counts = one.reference["as-is"];
    const check = async (more: Partial<NatConfig>) => {
      const result = await run(bytesOf(one.file), configOf(one, more));
      assert.equal(result.damage, null);
      assert.equal(result.input.length, counts.packets);
      return { ...result, ...judge(result) };
    };

    test(one.id, async () => {
      const { translated, mappings, report, output } = await check({});
      // The reference does not count TTLs down, so none of its packets run out of it.
      const expired = report.drops["ttl-expired"] ?? 0;
      assert(translated >= counts.must_translate - expired, `${translated} of ${counts.must_translate}`);
      assert(translated <= counts.translated + (MORE[one.id] ?? 0), `${translated} > ${counts.translated}`);
      for (const addresses of mappings.addressesOfHosts) assert.equal(addresses.length, 1, "paired pooling");

      const passing = await check({ unmatched: "pass" });
      assert.equal(passing.translated, translated);
      const changed = (packets: typeof output) => packets.map(({ data }) => hex(data));
      const passed = new Set(changed(passing.output));
      assert(
        changed(output).every((packet) => passed.has(packet)),
        "the packets that pass change what others become",
      );

      const keeping = await check({ ttl: "keep" });
      assert.equal(keeping.translated, translated + expired);
      assert(keeping.translated >= counts.must_translate);
      const checksumless = { ttl: "keep", verifyHeaderChecksum: false } as const;
      const lenient = await check(checksumless);
      assert(lenient.translated >= keeping.translated);
      assert(lenient.translated <= counts.translated + (MORE[one.id] ?? 0));
      assert.equal(lenient.mappings.size, counts.mappings + (one.id === "link-pppoe.pcap" ? 1 : 0));
    });
  }
});
