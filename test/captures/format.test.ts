// What comes out is a capture like the one that went in, whatever its format. (`judge` compares the bytes around
// every packet; here is what needs files, tools, or captures made for it.)
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import type { ByteSink } from "../../src/capture/sink.js";
import { Nat } from "../../src/nat.js";
import { translateCapture } from "../../src/translate/translate.js";
import {
  block,
  concat,
  enhancedBlock,
  Fields,
  interfaceBlock,
  memorySource,
  obsoleteBlock,
  option,
  pcapFile,
  sectionBlock,
  simpleBlock,
} from "../support/capture-build.js";
import { fragments, udp } from "../support/packets.js";
import { bytesOf, caseOf, cases, noCaptures, pathOf } from "./cases.js";
import { judge } from "./judge.js";
import { configOf, hex, memorySink, packetsOf, run, translate } from "./run.js";
import { fieldsOf, foreign, noCapinfos, noTshark } from "./tshark.js";

const directory = mkdtempSync(join(tmpdir(), "napt-"));
after(() => rmSync(directory, { recursive: true }));

const config = { inside: ["192.168.1.0/24"], outside: ["203.0.113.1"] };
const REMOTE = "198.51.100.7:53";

/** A datagram of a length and content of its own for each number. */
const datagram = (n: number, more: object = {}) =>
  udp({ src: `192.168.1.${n}:5000`, dst: REMOTE, payload: new Uint8Array(3 * n).fill(n), id: n, ...more });
const ethernet = (packet: Uint8Array, type = 0x0800) =>
  concat(new Fields(false).raw([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]).u16(type).done(), packet);

describe("translated captures", { skip: noCaptures }, () => {
  test("are the same bytes for the same seed, however the input comes in; other ports for another", async () => {
    for (const one of cases) {
      const capture = bytesOf(one.file);
      const { bytes, report } = await translate(capture, configOf(one));
      const again = await translate(capture, configOf(one), { piece: 1000 });
      assert.equal(Buffer.compare(again.bytes, bytes), 0, one.id);
      const slowly = await translate(capture, configOf(one), { slowSink: true });
      assert.equal(Buffer.compare(slowly.bytes, bytes), 0, `${one.id}, written slowly`);
      assert.deepEqual({ ...again.report, seconds: 0 }, { ...report, seconds: 0 }, one.id);
    }
    const one = caseOf("udp-gnutella-fanout.pcap");
    const portsOf = async (seed: number) => {
      const packets = await packetsOf((await translate(bytesOf(one.file), configOf(one), { seed })).bytes);
      return new Set(packets.map(({ ip }) => ip!.sourcePort));
    };
    const [ports, others] = [await portsOf(1), await portsOf(2)];
    const common = [...ports].filter((port) => others.has(port));
    assert(common.length < ports.size / 10, `${common.length} of ${ports.size} ports in common`);
  });

  test("have the type, times and interfaces of their inputs, says capinfos", {
    skip: noCapinfos,
  }, async () => {
    const files: [input: string, output: string][] = [];
    for (const [i, one] of cases.entries()) {
      const { bytes } = await translate(bytesOf(one.file), configOf(one, { unmatched: "pass", ttl: "keep" }));
      const copy = join(directory, `${i}.out`);
      writeFileSync(copy, bytes);
      files.push([pathOf(one.file), copy]);
    }
    const describeAll = (paths: string[]) => {
      const printed = execFileSync("capinfos", ["-T", "-r", "-t", "-E", "-l", ...paths], {
        encoding: "utf8",
        ...foreign,
      });
      return printed
        .trimEnd()
        .split("\n")
        .map((line) => line.split("\t").slice(1).join(" ")); // prettier-ignore
    };
    assert.deepEqual(
      describeAll(files.map(([, output]) => output)),
      describeAll(files.map(([input]) => input)),
    );
  });

  test("have their packets' times, interfaces and lengths, says tshark", { skip: noTshark }, async () => {
    const fields = ["time_epoch", "interface_id", "interface_name", "encap_type", "len", "cap_len"];
    const names = fields.map((field) => `frame.${field}`);
    const files = [
      "udp-stun-multi-interface.pcap",
      "link-pcapng-big-endian-raw.pcap",
      "link-nanosecond.pcap",
    ];
    for (const file of files) {
      const { bytes, origin } = await run(bytesOf(file), configOf(caseOf(file), { unmatched: "pass" }));
      const path = join(directory, file);
      writeFileSync(path, bytes);
      const [before, behind] = [await fieldsOf(pathOf(file), names), await fieldsOf(path, names)];
      assert.deepEqual(
        behind,
        origin.map((number) => before[number]),
        file,
      ); // prettier-ignore
    }
  });

  test("of damaged inputs hold all that came before the damage", async () => {
    for (const id of ["udp-dns.pcap", "link-big-endian-nfs.pcap", "udp-stun-multi-interface.pcap"]) {
      const whole = bytesOf(id);
      const packets = await packetsOf(whole);
      for (const number of [0, 3, packets.length - 1]) {
        const { start, end } = packets[number]!;
        const { bytes: wanted, report: wantedReport } = await translate(
          whole.slice(0, start),
          configOf(caseOf(id)),
        );
        for (const cut of [start + 1, start + 15, Math.floor((start + end) / 2), end - 1]) {
          const { bytes, damage, report } = await translate(whole.slice(0, cut), configOf(caseOf(id)));
          assert.equal(damage?.offset, start, `${id} cut at ${cut}`);
          assert.equal(hex(bytes), hex(wanted), `${id} cut at ${cut}`);
          assert.deepEqual({ ...report, seconds: 0 }, { ...wantedReport, seconds: 0 });
        }
        const nonsense = whole.slice();
        nonsense.fill(0xee, start + 4, start + 12); // a length, in either format
        const { bytes, damage } = await translate(nonsense, configOf(caseOf(id)));
        assert.equal(damage?.offset, start, `${id} with nonsense at ${start}`);
        assert.equal(hex(bytes), hex(wanted), `${id} with nonsense at ${start}`);
      }
    }
  });
});

test("an output that fails ends the translation with its error", async () => {
  const capture = pcapFile({ littleEndian: true, magic: 0xa1b2c3d4, linkType: 101 }, [
    ...Array.from({ length: 6000 }, (_, i) => ({ data: datagram(1 + (i % 250)), seconds: i, nanos: 0 })),
  ]);
  for (const failing of [0, 1]) {
    const { sink } = memorySink();
    let writes = 0;
    let aborted = 0;
    const job = {
      nat: new Nat(config),
      source: memorySource(capture),
      openOutput: async (): Promise<ByteSink> => ({
        write: (bytes) => (writes++ < failing ? sink.write(bytes) : Promise.reject(new Error("no room"))),
        close: () => assert.fail("closed as if all were well"),
        abort: async () => void aborted++,
      }),
    };
    await assert.rejects(translateCapture(job), { message: "no room" });
    assert.equal(aborted, 1);
    job.nat.close();
  }
});

describe("pcapng", () => {
  for (const littleEndian of [true, false]) {
    test(`keeps what it does not know, ${littleEndian ? "little" : "big"} endian`, async () => {
      const text = (code: number, value: string) => option(littleEndian, code, Buffer.from(value));
      const end = option(littleEndian, 0, new Uint8Array(0));
      const junk = (type: number, length: number) =>
        block(
          littleEndian,
          type,
          new Uint8Array(length).map((_, i) => i * 7),
        );
      const packet = (id: number, n: number, options?: Uint8Array) =>
        enhancedBlock(littleEndian, id, BigInt(n) * 1_000_000_007n, ethernet(datagram(n)), 200 + n, options);
      const flags = option(littleEndian, 2, new Fields(littleEndian).u32(5).done());
      const capture = concat(
        sectionBlock(littleEndian, concat(text(3, "a machine"), text(4, "a program"), end)),
        interfaceBlock(littleEndian, { linkType: 1, tsresol: 9 }),
        junk(4, 36), // name resolution
        packet(0, 1, concat(text(1, "first"), flags, text(0x8000, "of nobody's"), end)),
        junk(0x0bad, 40), // custom
        interfaceBlock(littleEndian, { linkType: 1, tsresol: 3, tsoffset: 100n as unknown as number }),
        packet(1, 2),
        junk(0x0a0a, 4),
        simpleBlock(littleEndian, ethernet(datagram(3))),
        enhancedBlock(littleEndian, 0, 5n, ethernet(new Uint8Array(40), 0x0806)), // ARP: dropped
        obsoleteBlock(littleEndian, 1, 9_000_000n, ethernet(datagram(4))),
        junk(5, 24), // interface statistics
        sectionBlock(!littleEndian),
        interfaceBlock(!littleEndian, { linkType: 101 }),
        enhancedBlock(!littleEndian, 0, 77_000_000n, datagram(5)),
        block(!littleEndian, 10, new Uint8Array(20)), // decryption secrets
      );
      const result = await run(capture, config);
      assert.equal(judge(result).translated, 5);
      assert.deepEqual(result.origin, [0, 1, 2, 4, 5]);
      assert.equal(judge(await run(capture, { ...config, unmatched: "pass" })).translated, 5);
    });
  }
});

describe("fragments that had to wait", () => {
  const [first, middle, last] = fragments(datagram(30), [32, 64]).map((packet) => ethernet(packet));
  const other = ethernet(datagram(2));
  const stamp = (n: number) => BigInt(1_700_000_000_000_000 + n * 250_000);
  const comment = (n: number) =>
    concat(option(true, 1, Buffer.from(`number ${n}`)), option(true, 0, new Uint8Array(0)));
  const pcapng = (...frames: (Uint8Array | undefined)[]) =>
    concat(
      sectionBlock(true),
      interfaceBlock(true, { linkType: 1 }),
      ...frames.map((frame, i) => enhancedBlock(true, 0, stamp(i), frame!, frame!.length + 4, comment(i))),
    );
  const pcap = (...frames: (Uint8Array | undefined)[]) => {
    const packets = frames.map((data, i) => ({ data: data!, seconds: 1000 + i, nanos: i * 1000 }));
    return pcapFile({ littleEndian: false, magic: 0xa1b2c3d4, linkType: 1 }, packets);
  };

  for (const [name, make] of [
    ["pcap", pcap],
    ["pcapng", pcapng],
  ] as const) {
    // prettier-ignore
    test(`follow it with their own records: ${name}`, async () => {
      const capture = make(last, other, middle, first, other);
      const result = await run(capture, config);
      assert.equal(judge(result).translated, 5);
      assert.equal(
        hex((await translate(capture, config, { piece: 30 })).bytes),
        hex(result.bytes),
        "in small pieces",
      );
      assert.deepEqual(result.origin, [1, 3, 0, 2, 4]);
    });

    test(`do not take another datagram's first one for theirs: ${name}`, async () => {
      const [otherFirst, , otherLast] = fragments(datagram(30, { id: 31 }), [32, 64]).map((packet) =>
        ethernet(packet),
      );
      const result = await run(make(first, otherLast, last, otherFirst), config);
      assert.equal(judge(result).translated, 4);
      assert.deepEqual(result.origin, [0, 2, 3, 1]);
    });

    test(`are told apart as held or dropped when it never comes: ${name}`, async () => {
      const held = await run(make(last, other, middle), config);
      assert.equal(judge(held).translated, 1);
      assert.equal(held.report.packets.held, 2);
      const late = await run(make(last, other, middle, first), { ...config, timeouts: { fragment: 0.5 } });
      judge(late);
      assert.deepEqual(late.report.drops, {
        "fragment-timeout": late.report.packets.in - late.output.length,
      });
    });
  }
});

test("ICMP errors of the NAT's own are framed as answers, beside the counts", async () => {
  const dying = datagram(9, { ttl: 1 });
  const packets = [dying, datagram(8)].map((packet, i) => ({
    data: ethernet(packet),
    seconds: 50 + i,
    nanos: 0,
  }));
  const capture = pcapFile({ littleEndian: true, magic: 0xa1b2c3d4, linkType: 1 }, packets);
  const { bytes, report } = await translate(capture, { ...config, icmpErrors: true });
  assert.deepEqual(report.packets, { in: 2, out: 1, passed: 0, held: 0, originated: 1 });
  const [error, other] = await packetsOf(bytes);
  assert.deepEqual([other!.ip!.destinationPort, error!.seconds, error!.nanos], [53, 50, 0]);
  assert.equal(hex(error!.data.slice(0, 14)), "0200000000020200000000010800", "addresses swapped");
  const { ip, data } = error!;
  assert.deepEqual([ip!.kind, data[ip!.payload], data[ip!.payload + 1]], ["error", 11, 0]);
  const quoted = data.slice(ip!.payload + 8, ip!.end);
  assert.equal(hex(quoted), hex(dying.slice(0, quoted.length)), "quotes what the host had sent");
  assert(quoted.length >= 28);
});
