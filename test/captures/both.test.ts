// The capture of both sides that comes beside the output.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import type { NatConfig } from "../../src/config/schema.js";
import { Nat } from "../../src/nat.js";
import { translateCapture } from "../../src/translate/translate.js";
import { memorySource } from "../support/capture-build.js";
import { bytesOf, type Case, caseOf, cases, noCaptures } from "./cases.js";
import { configOf, endpointText, hex, memorySink, type Packet, packetsOf, run, SEED, Sides } from "./run.js";
import { fieldsOf, noTshark } from "./tshark.js";

const directory = mkdtempSync(join(tmpdir(), "napt-"));
after(() => rmSync(directory, { recursive: true }));

async function withBoth(one: Case, config: NatConfig) {
  const [out, both] = [memorySink(), memorySink()];
  const nat = new Nat(config, { seed: SEED });
  const source = memorySource(bytesOf(one.file));
  await translateCapture({ nat, source, openOutput: async () => out.sink, openBoth: async () => both.sink });
  nat.close();
  return { out: out.written(), both: both.written() };
}

describe("--both", { skip: noCaptures }, () => {
  test("changes nothing, and has every packet where it came in and where it left", async () => {
    for (const one of cases) {
      const config = configOf(one, { verifyHeaderChecksum: false });
      const plain = await run(bytesOf(one.file), config);
      const { out, both } = await withBoth(one, config);
      assert.equal(Buffer.compare(out, plain.bytes), 0, one.id);

      const textOf = plain.input.some(({ seconds }) => seconds >= LATEST) ? dataOf : timedDataOf;
      const sides = new Sides(config);
      const packets = await packetsOf(both);
      const texts = (side: 0 | 1) => packets.filter((packet) => packet.interfaceId % 2 === side).map(textOf);
      const [inside, outside] = [texts(0), texts(1)];
      const came = { inside: [] as string[], outside: [] as string[] };
      for (const packet of plain.input) {
        if (packet.ip === null) continue;
        const fromInside = sides.isInside(packet.ip.source);
        came[fromInside ? "inside" : "outside"].push(textOf(packet));
      }
      assertHas(inside, came.inside, `${one.id}: came from inside`);
      assertHas(outside, came.outside, `${one.id}: came from outside`);
      const left = plain.output.filter(
        (packet, i) => textOf(packet) !== textOf(plain.input[plain.origin[i]!]!),
      );
      const outbound = left.filter(({ ip }) => sides.isPublic(ip!.source));
      assertHas(outside, outbound.map(textOf), `${one.id}: left to outside`);
      assert.equal(packets.length, plain.input.length + left.length, one.id);
    }
  });

  test("names sides, sessions and verdicts for tshark", { skip: noTshark }, async () => {
    for (const id of ["udp-gnutella-fanout.pcap", "frag-udp-gtp.pcap", "udp-stun-multi-interface.pcap"]) {
      const one = caseOf(id);
      const path = join(directory, "both.pcapng");
      writeFileSync(path, (await withBoth(one, configOf(one))).both);
      const packets = await packetsOf((await withBoth(one, configOf(one))).both);
      const lines = await fieldsOf(path, ["frame.interface_name", "frame.comment", "frame.time_epoch"]);
      assert.equal(lines.length, packets.length);
      lines.forEach(([side, comment, time], i) => {
        const { ip, seconds, nanos, interfaceId } = packets[i]!;
        assert.equal(side, interfaceId % 2 === 0 ? "inside" : "outside");
        assert.equal(time, `${seconds}.${String(nanos).padStart(9, "0")}`);
        assert.match(
          comment!,
          /^((outbound|inbound|hairpin) )?(forwarded|passed|held|dropped): |^passed$|^\w+ forwarded$/,
        );
        const [, inside, mapped] = /^outbound forwarded: \w+ (\S+) \[(\S+)\] \S+$/.exec(comment!) ?? [];
        if (inside === undefined || ip?.kind === "error") return;
        assert.equal(endpointText(ip!.source, ip!.sourcePort), side === "inside" ? inside : mapped);
      });
    }
  });
});

/** Nanoseconds since 1970 fill 64 bits in the year 2554: a later time can't be told in them. */
const LATEST = 2 ** 64 / 1e9;

const dataOf = ({ data }: Packet) => hex(data);
const timedDataOf = ({ data, seconds, nanos }: Packet) => `${seconds}.${nanos} ${hex(data)}`;

/** Asserts that `all` has each of `wanted`, as often. */
function assertHas(all: readonly string[], wanted: readonly string[], what: string): void {
  const counts = new Map<string, number>();
  for (const text of all) counts.set(text, (counts.get(text) ?? 0) + 1);
  for (const text of wanted) {
    const left = counts.get(text) ?? 0;
    assert(left > 0, `${what}: ${text}`);
    counts.set(text, left - 1);
  }
}
