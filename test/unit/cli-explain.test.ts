// `napt explain` as a program, with a config. With a running gateway: test/system/control.test.ts.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { Nat, packetOfFlow, told } from "../../src/index.js";
import { pcapFile } from "../support/capture-build.js";
import { hex, replyTo, udp } from "../support/packets.js";

const main = join(__dirname, "../../src/cli/main.ts");
const directory = mkdtempSync(join(tmpdir(), "napt-"));
after(() => rmSync(directory, { recursive: true }));

const CONFIG = { inside: ["192.168.226.0/24"], outside: ["203.0.113.1"] };
const FLOW = "udp 192.168.226.135:4000 > 203.0.113.9:53";
const fileOf = (name: string, content: string | Uint8Array) => {
  writeFileSync(join(directory, name), content);
  return join(directory, name);
};
const config = fileOf("nat.json", JSON.stringify(CONFIG));

function napt(args: string[], input = "") {
  const options = { input, encoding: "utf8" } as const;
  return spawnSync(process.execPath, ["--require", "tsx/cjs", main, "explain", ...args], options);
}

/** What a NAT of the same seed says. */
function saidOf(flow: string, seed = 1) {
  using nat = new Nat(CONFIG, { seed });
  const asked = packetOfFlow(flow);
  return JSON.parse(JSON.stringify(told(asked, nat.explain(asked, { now: 0 }))));
}

describe("napt explain", () => {
  test("answers for a flow, in words or as JSON", () => {
    const { status, stdout, stderr } = napt([FLOW, "--config", config]);
    assert.deepEqual([status, stderr], [0, ""]);
    assert.match(
      stdout,
      /^forwarded udp 192\.168\.226\.135:4000 > 203\.0\.113\.9:53, outbound\nas {8}udp 203/,
    );
    const json = napt([FLOW, "--config", config, "--json", "--seed", "1"]);
    assert.deepEqual(JSON.parse(json.stdout), saidOf(FLOW));
  });

  test("reads hex from a file and from standard input", () => {
    const digits = hex(packetOfFlow(FLOW));
    const read = napt(["--hex", fileOf("packet.hex", digits), "--config", config, "--json", "--seed", "1"]);
    assert.deepEqual(JSON.parse(read.stdout), saidOf(FLOW));
    const piped = napt(["--hex", "-", "--config", config, "--json", "--seed", "1"], digits);
    assert.equal(piped.stdout, read.stdout);
  });

  test("--from outside is a spoofed packet with an inside source", () => {
    const { status, stdout } = napt([FLOW, "--config", config, "--from", "outside"]);
    assert.equal(status, 0);
    assert.match(stdout, /^dropped {3}invalid-source, inbound: /);
  });

  test("takes a gateway's config, too", () => {
    const networks = {
      inside: { interface: "lan0", address: "192.168.226.2/24" },
      outside: { interface: "wan0", address: "203.0.113.1/24" },
    };
    const { status, stdout } = napt([
      FLOW,
      "--config",
      fileOf("gateway.json", JSON.stringify({ ...CONFIG, gateway: networks })),
    ]);
    assert.equal(status, 0);
    assert.match(stdout, /^forwarded /);
  });
});

describe("napt explain --capture", () => {
  const question = udp({ src: "192.168.226.135:4000", dst: "203.0.113.9:53" });
  const ipv6 = new Uint8Array(40).fill(0x60);
  // The public port that seed 1 gives first.
  using nat = new Nat(CONFIG, { seed: 1 });
  const sent = question.slice();
  nat.translate(sent, { now: 0 });
  const shape = { littleEndian: true, magic: 0xa1b2c3d4, linkType: 101 };
  const records = [question, ipv6, replyTo(sent), replyTo(sent)].map((data, i) => ({
    data,
    seconds: 1_700_000_000 + 100 * i,
    nanos: 500_000,
  }));
  const whole = pcapFile(shape, records);
  const capture = fileOf("lan.pcap", whole);
  const explain = (file: string, number: string, ...more: string[]) =>
    napt(["--capture", file, "--packet", number, "--config", config, "--seed", "1", ...more]);

  test("explains a packet after those before it", () => {
    assert.match(explain(capture, "1").stdout, /\nsession {3}new: /);
    const answer = JSON.parse(explain(capture, "3", "--json").stdout);
    assert.deepEqual([answer.verdict, answer.direction], ["forwarded", "inbound"]);
    assert.deepEqual(answer.sessions[0].expiresIn, { before: 100, after: 100 });
    assert.equal(JSON.parse(explain(capture, "4", "--json").stdout).reason, "no-mapping");
  });

  test("names what is wrong with it", () => {
    const wrong: [result: ReturnType<typeof napt>, status: number, message: string][] = [
      [explain(capture, "2"), 2, `${capture}: packet 2 is no IPv4 packet`],
      [explain(capture, "5"), 2, `${capture}: the capture has no packet 5: it has 4`],
      [explain(fileOf("cut.pcap", whole.subarray(0, whole.length - 1)), "4"), 1, "is damaged at byte"],
      [explain(fileOf("none.pcap", "nothing"), "1"), 1, "none.pcap: the input is no pcap or pcapng capture"],
      [explain(join(directory, "missing"), "1"), 1, "missing: can't be read"],
    ];
    for (const [{ status, stdout, stderr }, expected, message] of wrong) {
      assert.deepEqual([status, stdout], [expected, ""], message);
      assert.ok(stderr.includes(message), stderr);
    }
  });
});

test("wrong usage is told", () => {
  const wrong: [args: string[], message: RegExp][] = [
    [["--config", config], /give a flow, --hex FILE or --capture FILE, one of them/],
    [[FLOW, "--hex", "-", "--config", config], /one of them/],
    [["--capture", "x", "--config", config], /--capture FILE and --packet N go together/],
    [[FLOW, "--packet", "1", "--config", config], /go together/],
    [["--capture", "x", "--packet", "0", "--config", config], /give a number from 1/],
    [[FLOW, "--config", config, "--control", "x"], /give --config FILE or --control SOCKET, one of them/],
    [[FLOW, "--seed", "1"], /--seed needs --config/],
    [[FLOW, "--config", config, "--from", "above"], /Allowed choices are inside, outside/],
    [["udp x > y", "--config", config], /^napt: "udp x > y" is no flow; write it as/],
  ];
  for (const [args, message] of wrong) {
    const { status, stdout, stderr } = napt(args);
    assert.deepEqual([status, stdout], [2, ""], args.join(" "));
    assert.match(stderr, message);
  }
  const { status, stderr } = napt([FLOW, "--control", join(directory, "none.sock")]);
  assert.equal(status, 1);
  assert.match(stderr, /no gateway runs with this control socket/);
  assert.equal(napt(["--hex", join(directory, "none"), "--config", config]).status, 1);
});
