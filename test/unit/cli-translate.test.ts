// `napt translate` as a program: exit statuses, messages, streams, signals, and outputs that can't be written.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import {
  closeSync,
  existsSync,
  linkSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { translate } from "../captures/run.js";
import { memorySource, pcapFile, readAll } from "../support/capture-build.js";
import { udp } from "../support/packets.js";

const main = join(__dirname, "../../src/cli/main.ts");
const directory = mkdtempSync(join(tmpdir(), "napt-"));
after(() => rmSync(directory, { recursive: true }));

const config = { inside: ["192.168.1.0/24"], outside: ["203.0.113.1"] };
const flags = ["--inside", "192.168.1.0/24", "--outside", "203.0.113.1", "--seed", "1"];

/** Half the packets are from inside; the others concern neither side. */
function captureOf(count: number): Uint8Array {
  const packets = Array.from({ length: count }, (_, i) => {
    const src = i % 2 === 0 ? `192.168.1.${1 + (i % 100)}:4000` : "198.51.100.1:53";
    const data = udp({ src, dst: "198.51.100.7:53", payload: new Uint8Array(100 + (i % 50)).fill(i), id: i });
    return { data, seconds: 1_700_000_000 + i, nanos: 0 };
  });
  return pcapFile({ littleEndian: true, magic: 0xa1b2c3d4, linkType: 101 }, packets);
}

const capture = captureOf(60);
const nameOf = (name: string) => join(directory, name);
function fileOf(name: string, content: Uint8Array | string): string {
  writeFileSync(nameOf(name), content);
  return nameOf(name);
}
const input = fileOf("in.pcap", capture);

interface Ended {
  readonly status: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

function start(
  args: string[],
  stdio: ("pipe" | "ignore" | number)[] = ["ignore", "pipe", "pipe"],
): ChildProcess {
  return spawn(process.execPath, ["--require", "tsx/cjs", main, "translate", ...args], { stdio });
}

function end(child: ChildProcess): Promise<Ended> {
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout?.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => stderr.push(chunk));
  return new Promise((resolve) => {
    child.on("close", (status) => {
      resolve({ status, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() });
    });
  });
}

const napt = (...args: string[]) => end(start(args));

/** The same through the library. */
const wanted = async (bytes: Uint8Array = capture) => Buffer.from((await translate(bytes, config)).bytes);

/** Every line of a message is marked as ours or is a hint, and none is of a stack. */
function assertMessage(stderr: string): void {
  for (const line of stderr.trimEnd().split("\n")) assert.match(line, /^(napt: |\()/);
}

describe("napt translate", { concurrency: 2 }, () => {
  test("does it: status 0, summary on stderr, report as JSON", async () => {
    const [output, report, both] = ["out.pcap", "report.json", "both.pcapng"].map(nameOf) as [
      string,
      string,
      string,
    ];
    const others = ["--report", report, "--both", both];
    const { status, stdout, stderr } = await napt(input, "-o", output, ...flags, ...others);
    assert.deepEqual([status, stdout.length], [0, 0]);
    assert.match(stderr, /^\S+ -> \S+: 60 packets in /);
    assert.match(stderr, /translated 30, passed 0, dropped 30/);
    assert.deepEqual(readFileSync(output), await wanted());
    assert.equal((await readAll(memorySource(readFileSync(both)))).records.length, 90);
    const { report: expected } = await translate(capture, config);
    const written = JSON.parse(readFileSync(report, "utf8"));
    assert.deepEqual(Object.keys(written), ["packets", "drops", "sessions", "bytes", "seconds"]);
    assert(written.seconds > 0 && written.seconds < 60);
    assert.deepEqual({ ...written, seconds: 0 }, { ...expected, seconds: 0 });
    assert.deepEqual(written.drops, { unmatched: 30 });
    assert.equal(written.packets.in, written.packets.out + 30 + written.packets.held);
  });

  test("goes from standard input to standard output, with the report elsewhere", async () => {
    const child = start(["-", "-o", "-", ...flags, "-q"], ["pipe", "pipe", "pipe"]);
    const ended = end(child);
    child.stdin!.end(capture);
    const { status, stdout, stderr } = await ended;
    assert.deepEqual([status, stderr], [0, ""]);
    assert.deepEqual(stdout, await wanted());
  });

  test("reads and writes .gz", async () => {
    const packed = fileOf("in.pcap.gz", gzipSync(capture));
    const output = nameOf("out.pcap.gz");
    const { status, stdout } = await napt(packed, "-o", output, ...flags, "--report", "-");
    assert.equal(status, 0);
    assert.deepEqual(gunzipSync(readFileSync(output)), await wanted());
    assert.equal(JSON.parse(stdout.toString()).packets.in, 60);
  });

  test("without a seed chooses other ports each time", async () => {
    const unseeded = flags.slice(0, 4);
    const [one, other] = [
      await napt(input, "-o", "-", ...unseeded),
      await napt(input, "-o", "-", ...unseeded),
    ];
    assert.equal(one.stdout.length, other.stdout.length);
    assert.notDeepEqual(one.stdout, other.stdout);
  });

  test("takes a config file, whose inside and outside the flags replace", async () => {
    const text = "inside: [10.0.0.0/8]\noutside: [203.0.113.9]\nttl: keep\nunmatched: pass\n";
    const file = fileOf("good.yaml", text);
    const { status, stdout } = await napt(input, "-o", "-", ...flags, "--config", file);
    assert.equal(status, 0);
    const { bytes } = await translate(capture, { ...config, ttl: "keep", unmatched: "pass" });
    assert.deepEqual(stdout, Buffer.from(bytes));
  });

  const cut = capture.slice(0, capture.length - 30);
  const damaged: [name: string, bytes: Uint8Array, offset: number, whole: Uint8Array][] = [
    ["cut.pcap", cut, capture.length - recordLength(59), capture.slice(0, capture.length - recordLength(59))],
    [
      "cut.pcap.gz",
      gzipSync(cut),
      capture.length - recordLength(59),
      capture.slice(0, capture.length - recordLength(59)),
    ],
  ];
  for (const [name, bytes, offset, whole] of damaged) {
    test(`${name}: status 1, the offset, and all that came before`, async () => {
      const output = nameOf(`out-${name}.pcap`);
      const report = nameOf(`report-${name}.json`);
      const { status, stderr } = await napt(fileOf(name, bytes), "-o", output, ...flags, "--report", report);
      assert.equal(status, 1);
      assert(stderr.includes(`napt: ${nameOf(name)}: damaged at offset ${offset}: `), stderr);
      assert(stderr.includes(`napt: ${output} holds what came before (59 packets)`), stderr);
      assert.deepEqual(readFileSync(output), await wanted(whole));
      assert.equal(JSON.parse(readFileSync(report, "utf8")).packets.in, 59);
    });
  }

  const unreadable: [name: string, path: () => string, message: RegExp][] = [
    ["a missing input", () => nameOf("none.pcap"), /none\.pcap: can't be read: ENOENT/],
    ["an empty input", () => fileOf("empty.pcap", ""), /empty\.pcap: the input is empty/],
    [
      "an input that is no capture",
      () => fileOf("text", "# no capture"),
      /text: the input is no pcap or pcapng/,
    ],
    ["a directory", () => directory, /: is a directory$/m],
  ];
  for (const [name, path, message] of unreadable) {
    test(`${name}: status 1, and an older output stays`, async () => {
      const output = fileOf(`old-${name}`, "old");
      const { status, stdout, stderr } = await napt(path(), "-o", output, ...flags);
      assert.deepEqual([status, stdout.length], [1, 0]);
      assert.match(stderr, message);
      assertMessage(stderr);
      assert.equal(readFileSync(output, "utf8"), "old");
    });
  }

  symlinkSync(input, nameOf("symbolic"));
  linkSync(input, nameOf("hard"));
  const bad = fileOf("bad.yaml", "inside: [10.0.0.0/8]\noutside: [203.0.113.9]\nfilterin: x\nttl: 3\n");
  const wrong: [name: string, args: string[], message: RegExp][] = [
    ["no inside", [input, "-o", nameOf("x"), "--outside", "203.0.113.1"], /--inside CIDR/],
    ["no output", [input, ...flags], /--output/],
    ["an unknown option", [input, "-o", nameOf("x"), ...flags, "--sed"], /unknown option '--sed'/],
    ["a bad seed", [input, "-o", nameOf("x"), ...flags, "--seed", "0x1"], /seed/],
    [
      "a bad prefix",
      [input, "-o", nameOf("x"), ...flags, "--inside", "10.0.0.0/33"],
      /inside\[1\]: "10\.0\.0\.0\/33"/,
    ],
    ["a missing config", [input, "-o", nameOf("x"), "--config", nameOf("no.yaml")], /no\.yaml: no such file/],
    [
      "a bad config",
      [input, "-o", nameOf("x"), "--config", bad],
      /filterin: unknown key; did you mean filtering\? .*line 3/,
    ],
    ["the input as output", [input, "-o", input, ...flags], /the input and --output are the same/],
    [
      "a link to the input",
      [input, "-o", nameOf("symbolic"), ...flags],
      /the input and --output are the same/,
    ],
    [
      "another name of the input",
      [input, "-o", nameOf("x"), ...flags, "--both", nameOf("hard")],
      /the input and --both/,
    ],
    [
      "one file for two outputs",
      [input, "-o", nameOf("x"), ...flags, "--report", nameOf("x")],
      /--output and --report/,
    ],
  ];
  for (const [name, args, message] of wrong) {
    test(`${name}: status 2, nothing touched`, async () => {
      const { status, stdout, stderr } = await napt(...args);
      assert.deepEqual([status, stdout.length], [2, 0], stderr);
      assert.match(stderr, message);
      assertMessage(stderr);
      assert.deepEqual(readFileSync(input), Buffer.from(capture));
      assert(!existsSync(nameOf("x")));
    });
  }

  test("one new file by two names: status 2", async () => {
    const { status, stderr } = await napt(input, "-o", nameOf("y"), ...flags, "--both", `${directory}/./y`);
    assert.equal(status, 2, stderr);
  });

  test("the config as output: status 2, and it stays", async () => {
    const file = fileOf("only.yaml", "inside: [192.168.1.0/24]\noutside: [203.0.113.1]\n");
    const { status, stderr } = await napt(input, "-o", file, "--config", file);
    assert.match(readFileSync(file).toString("latin1"), /^inside/);
    assert.equal(status, 2, stderr);
  });

  const noFull = !existsSync("/dev/full") && "there is no /dev/full here";
  test("a full disk: status 1 and a message that names the output", { skip: noFull }, async () => {
    const { status, stderr } = await napt(input, "-o", "/dev/full", ...flags);
    assert.equal(status, 1);
    assert.match(
      stderr,
      /^napt: \/dev\/full: can't be written: ENOSPC.*\nnapt: \/dev\/full is incomplete\n$/,
    );
  });

  test("a report that can't be written does not make the output incomplete", { skip: noFull }, async () => {
    const output = nameOf("whole.pcap");
    const { status, stderr } = await napt(input, "-o", output, ...flags, "--report", "/dev/full");
    assert.equal(status, 1);
    assert.match(stderr, /napt: \/dev\/full: can't be written: ENOSPC/);
    assert.deepEqual(readFileSync(output), await wanted());
    assert.doesNotMatch(stderr, /whole\.pcap is incomplete/);
  });

  test("a closed pipe: status 1, as the output is not whole", async () => {
    const large = fileOf("large.pcap", captureOf(8000));
    const child = start([large, "-o", "-", ...flags]);
    child.stdout!.once("data", () => child.stdout!.destroy());
    const { status, stderr } = await end(child);
    assert.equal(status, 1, stderr);
    assert.match(stderr, /^napt: standard output: can't be written: EPIPE|^napt: standard output: .*EPIPE/m);
  });

  test("Ctrl-C in the middle of a pipe: status 130, and an output that is whole up to there", async () => {
    const large = captureOf(3000);
    const output = nameOf("interrupted.pcap");
    const child = start(["-", "-o", output, ...flags], ["pipe", "pipe", "pipe"]);
    const ended = end(child);
    // Far more than a pipe holds: when all of it is written, the other end is reading. It ends within a record.
    const given = large.slice(0, large.length - 40);
    await new Promise<void>((resolve) => child.stdin!.write(given, () => resolve()));
    child.kill("SIGINT");
    const { status, stderr } = await ended;
    assert.equal(status, 130, stderr);
    assert.match(stderr, /napt: interrupted: \S+ holds the first \d+ packets' result/);
    const count = Number(/first (\d+) packets/.exec(stderr)![1]);
    assert(count > 1000 && count < 3000, `${count} packets`);
    const written = new Uint8Array(readFileSync(output));
    assert.equal((await readAll(memorySource(written))).damage, null);
    assert.deepEqual(Buffer.from(written), await wanted(captureOf(count)));
  });

  test("standard output closed from the start", async () => {
    const nowhere = openSync("/dev/null", "r"); // can't be written to
    const { status, stderr } = await end(start([input, "-o", "-", ...flags], ["ignore", nowhere, "pipe"]));
    closeSync(nowhere);
    assert.equal(status, 1, stderr);
    assert.match(stderr, /^napt: standard output: can't be written: EBADF/m);
  });
});

/** Bytes that record `i` of a capture takes. */
function recordLength(i: number): number {
  return 16 + 28 + 100 + (i % 50);
}
