// `napt who`: its records, its answers, and what it can't answer.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { parseIpv4 } from "../../src/config/cidr.js";
import { parseConfig } from "../../src/config/load.js";
import type { NatConfig } from "../../src/config/schema.js";
import { recordAt, recordOf } from "../../src/who/record.js";

const config = {
  inside: ["198.51.100.0/28"],
  outside: ["203.0.113.1"],
  portAssignment: { deterministic: { dynamic: 2 } },
  static: [{ outside: "203.0.113.65", inside: "198.51.100.7" }],
} satisfies NatConfig;

const record = {
  time: "2026-01-31T12:00:00.000Z",
  inside: ["198.51.100.0/28"],
  outside: ["203.0.113.1/32"],
  ports: "1024-65535",
  reserved: ["0-1023"],
  D: 2,
  M: 4032,
  C: 14,
  algorithm: "sequential",
  static: [{ outside: "203.0.113.65", inside: "198.51.100.7" }],
};

/** The record of a config, as it is at `time`. */
const recorded = (given: Partial<NatConfig>, time = record.time) =>
  recordOf(parseConfig({ ...config, ...given }), new Date(time));

describe("a record of the parameters", () => {
  test("has what RFC 7422, section 3, asks for", () => assert.deepEqual(recorded({}), record));

  const ranges: [ports: string, reserved: string[]][] = [
    ["2048-60000", ["0-2047", "60001-65535"]],
    ["1024-65534", ["0-1023", "65535-65535"]],
  ];
  for (const [ports, reserved] of ranges) {
    test(`names the ports around ${ports}`, () => {
      const made = recorded({ outside: [{ address: "203.0.113.1", ports }] })!;
      assert.deepEqual([made.ports, made.reserved], [ports, reserved]);
    });
  }

  const pools: [outside: string[], prefixes: string[]][] = [
    [["203.0.113.0/30"], ["203.0.113.0/30"]],
    [
      ["203.0.113.1", "203.0.113.2", "203.0.113.3"],
      ["203.0.113.1/32", "203.0.113.2/31"],
    ],
    [
      ["203.0.113.3", "203.0.113.2"],
      ["203.0.113.3/32", "203.0.113.2/32"],
    ],
    [
      ["203.0.113.4/31", "203.0.113.6/31", "203.0.113.0/30"],
      ["203.0.113.4/30", "203.0.113.0/30"],
    ],
  ];
  for (const [outside, prefixes] of pools) {
    test(`${outside.join(" ")} is ${prefixes.join(" ")}`, () => {
      assert.deepEqual(recorded({ outside })?.outside, prefixes);
      const text = JSON.stringify(recorded({ outside }));
      const pool = parseConfig({ ...config, outside }).outside.map(({ address }) => parseIpv4(address));
      assert.deepEqual(recordAt(text, new Date(record.time), "records").parameters.outside, pool);
    });
  }

  test("is none for a config that is not deterministic", () => {
    assert.equal(recorded({ portAssignment: {} }), null);
  });
});

describe("the records", () => {
  const line = (time: string, D: number) =>
    JSON.stringify(recorded({ portAssignment: { deterministic: { dynamic: D } } }, time));
  const text = [
    line("2026-01-01T00:00:00Z", 1),
    "",
    line("2026-03-01T00:00:00Z", 3),
    line("2026-02-01T00:00:00Z", 2),
    line("2026-02-01T00:00:00Z", 4),
    "",
  ].join("\n");
  const inForce = (time: string) => recordAt(text, new Date(time), "records").parameters.dynamic;

  test("the last one made by then is in force, of two at once the later line", () => {
    assert.equal(inForce("2026-01-01T00:00:00Z"), 1);
    assert.equal(inForce("2026-01-31T23:59:59.999Z"), 1);
    assert.equal(inForce("2026-02-01T00:00:00Z"), 4);
    assert.equal(inForce("2030-01-01T00:00:00Z"), 3);
  });

  test("tell nothing of what was before", () => {
    assert.throws(() => inForce("2025-12-31T23:59:59Z"), {
      message:
        /^records: nothing is known of 2025-12-31T23:59:59\.000Z; the records begin at 2026-01-01T00:00:00\.000Z$/,
    });
    assert.throws(() => recordAt("\n", new Date(), "records"), { message: "records: no records" });
  });

  test("may be of another zone", () => {
    const text = JSON.stringify({ ...record, time: "2026-01-31T13:00:00+01:00" });
    assert.equal(recordAt(text, new Date(record.time), "records").time.toISOString(), record.time);
  });

  const damages: [name: string, line: string, message: RegExp][] = [
    ["no JSON", "{", /line 2: no record of a deterministic NAT: .*JSON/],
    ["no object", "3", /line 2: .*expected object/],
    ["no time", JSON.stringify({ ...record, time: "today" }), /: time: /],
    [
      "a wrong prefix",
      JSON.stringify({ ...record, inside: ["10.0.0.0/33"] }),
      /: inside\[0\]: "10\.0\.0\.0\/33"/,
    ],
    ["an endless pool", JSON.stringify({ ...record, outside: ["128.0.0.0/1"] }), /: outside\[0\]: /],
    ["no ports", JSON.stringify({ ...record, ports: undefined }), /: ports: missing/],
    ["another algorithm", JSON.stringify({ ...record, algorithm: "staggered" }), /: algorithm: .*sequential/],
    [
      "an M that doesn't follow",
      JSON.stringify({ ...record, M: 4033 }),
      /M 4033 and C 14 don't .* 4032 and 14$/,
    ],
    ["a C that doesn't follow", JSON.stringify({ ...record, C: 15 }), /M 4032 and C 15 don't follow/],
  ];
  for (const [name, line, message] of damages) {
    test(`${name} is told with its line`, () => {
      const text = `${JSON.stringify(record)}\n${line}\n`;
      assert.throws(() => recordAt(text, new Date(), "records"), { code: "NAT_ERR_ARGUMENT", message });
    });
  }
});

describe("napt who", () => {
  const directory = mkdtempSync(join(tmpdir(), "napt-who-"));
  after(() => rmSync(directory, { recursive: true }));
  const file = (name: string, text: string) => {
    const path = join(directory, name);
    writeFileSync(path, text);
    return path;
  };
  const nat = file("nat.json", JSON.stringify(config));
  const plain = file("plain.json", JSON.stringify({ ...config, portAssignment: {} }));
  const records = file(
    "nat.records",
    `${JSON.stringify(record)}\n${JSON.stringify(recorded({ inside: ["10.0.0.0/16"], outside: ["203.0.113.0/24"], static: [] }, "2026-02-01T00:00:00Z"))}\n`,
  );

  const main = join(__dirname, "../../src/cli/main.ts");
  const napt = (...args: string[]) =>
    spawnSync(process.execPath, ["--require", "tsx/cjs", main, "who", ...args], { encoding: "utf8" });

  const answers: [args: string[], answer: string | object][] = [
    [
      ["203.0.113.1:5056", "--config", nat],
      "203.0.113.1:5056 is 198.51.100.2's, which has 203.0.113.1, ports 5056-9087",
    ],
    [["198.51.100.14", "--config", nat], "198.51.100.14 has 203.0.113.1, ports 53440-57471"],
    [
      ["203.0.113.65:80", "--config", nat],
      "203.0.113.65:80 is 198.51.100.7's, which has 203.0.113.65, ports 1-65535",
    ],
    [["198.51.100.7", "--config", nat], "198.51.100.7 has 203.0.113.65, ports 1-65535"],
    [
      ["203.0.113.1:1024", "--config", nat, "--json"],
      { inside: "198.51.100.1", outside: "203.0.113.1", ports: "1024-5055" },
    ],
    [
      ["203.0.113.1:1024", "--records", records, "--at", "2026-01-31T23:59:59Z"],
      "203.0.113.1:1024 is 198.51.100.1's, which has 203.0.113.1, ports 1024-5055 (recorded 2026-01-31T12:00:00.000Z)",
    ],
    [
      ["198.51.100.7", "--records", records, "--at", "1769860800", "--json"],
      {
        inside: "198.51.100.7",
        outside: "203.0.113.65",
        ports: "1-65535",
        recorded: "2026-01-31T12:00:00.000Z",
      },
    ],
  ];
  for (const [args, answer] of answers) {
    test(args.filter((arg) => !arg.startsWith(directory)).join(" "), () => {
      const { status, stdout, stderr } = napt(...args);
      assert.deepEqual([status, stderr], [0, ""]);
      assert.deepEqual(typeof answer === "string" ? stdout.trimEnd() : JSON.parse(stdout), answer);
    });
  }

  test("--record prints what --records reads", () => {
    const before = new Date().toISOString();
    const { status, stdout, stderr } = napt("--record", "--config", nat);
    assert.deepEqual([status, stderr], [0, ""]);
    const { time, ...rest } = JSON.parse(stdout) as typeof record;
    const { time: _, ...expected } = record;
    assert.deepEqual(rest, expected);
    assert.ok(before <= time && time <= new Date().toISOString());
    assert.match(stdout, /^[^\n]+\n$/);
    const path = file("printed.records", stdout);
    assert.match(napt("203.0.113.1:5056", "--records", path).stdout, /is 198\.51\.100\.2's/);
  });

  const refusals: [args: string[], message: RegExp][] = [
    [["203.0.113.1:57472", "--config", nat], /dynamic pool, 57472-65535; ask the log of port blocks/],
    [["203.0.113.1:80", "--config", nat], /:80 is not handed out, only ports 1024-65535 are; a forward may/],
    [["203.0.113.2:5000", "--config", nat], /:5000 is not ours: 203\.0\.113\.2 is not in the pool/],
    [["203.0.113.1", "--config", nat], /a public address that hosts share; ask with a port/],
    [["198.51.100.15", "--config", nat], /198\.51\.100\.15 is no inside host/],
    [["example.org", "--config", nat], /"example\.org" is neither a public endpoint such as/],
    [
      ["203.0.113.1:5056", "--config", plain],
      /plain\.json: without portAssignment\.deterministic only a log/,
    ],
    [["--record", "--config", plain], /plain\.json: without portAssignment\.deterministic/],
    [["203.0.113.1:5056", "--config", "/nowhere.yaml"], /nowhere\.yaml: no such file/],
    [["203.0.113.1:5056", "--records", "/nowhere"], /\/nowhere: can't be read: ENOENT/],
    [["203.0.113.1:5056", "--records", nat], /nat\.json: line 1: no record/],
    [["203.0.113.1:5056", "--records", records, "--at", "2026-01-31T11:59:59Z"], /the records begin at/],
    [["203.0.113.1:5056", "--records", records, "--at", "2026-01-31T12:00:00"], /give a time such as/],
    [["203.0.113.1:5056", "--config", nat, "--at", "0"], /--at needs --records or --log/],
    [["203.0.113.1:5056", "--config", nat, "--protocol", "tcp"], /--protocol is for --log/],
    [["203.0.113.1:5056"], /give --config FILE, --records FILE or --log FILES, one of them/],
    [["203.0.113.1:5056", "--config", nat, "--records", records], /one of them/],
    [["--config", nat], /give a public endpoint or an inside address/],
    [["--record"], /--record takes a --config and nothing to ask for/],
    [["1.2.3.4", "--record", "--config", nat], /--record takes a --config/],
    [["--record", "--config", nat, "--at", "0"], /--record takes a --config/],
  ];
  for (const [args, message] of refusals) {
    test(`refused: ${args.filter((arg) => !arg.startsWith(directory)).join(" ")}`, () => {
      const { status, stdout, stderr } = napt(...args);
      assert.deepEqual([status, stdout], [2, ""]);
      assert.match(stderr, message);
      for (const line of stderr.trimEnd().split("\n")) assert.match(line, /^(napt: |\(--help)/);
    });
  }
});
