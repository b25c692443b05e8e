import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { parse } from "yaml";
import { configJsonSchema } from "../../src/config/json-schema.js";
import { parseConfig } from "../../src/config/load.js";

const main = join(__dirname, "../../src/cli/main.ts");
const base = { inside: ["10.0.0.0/8"], outside: ["203.0.113.64/30"], timeouts: { udp: 2.5 } };
const resolved = parseConfig(base);

function napt(args: string[], input = "", env: Record<string, string> = {}) {
  const options = { input, encoding: "utf8", env: { ...process.env, ...env } } as const;
  return spawnSync(process.execPath, ["--require", "tsx/cjs", main, ...args], options);
}

describe("napt config", () => {
  test("--schema prints the JSON Schema", () => {
    const { status, stdout, stderr } = napt(["config", "--schema"]);
    assert.deepEqual([status, stderr], [0, ""]);
    const { properties, ...schema } = configJsonSchema();
    const { gateway, ...rest } = JSON.parse(stdout).properties;
    assert.deepEqual(rest, properties);
    assert.ok(gateway.properties.inside.properties.qemu);
    assert.deepEqual(JSON.parse(stdout), {
      ...schema,
      properties: { ...properties, gateway },
      required: ["inside"],
    });
  });

  test("checks a gateway's config, too", () => {
    const networks = (address: string) => ({
      inside: { interface: "lan0", address },
      outside: { interface: "wan0", address: "203.0.113.2/24" },
    });
    const config = { inside: ["10.0.0.0/8"], outside: ["203.0.113.1"] };
    const sound = napt(["config", "-"], JSON.stringify({ ...config, gateway: networks("10.0.0.1/8") }));
    assert.deepEqual([sound.status, sound.stderr], [0, ""]);
    assert.deepEqual(JSON.parse(sound.stdout).gateway, networks("10.0.0.1/8"));
    assert.equal(JSON.parse(sound.stdout).icmpErrors, true);
    const wrong = napt(["config", "-"], JSON.stringify({ ...config, gateway: networks("10.0.0.1") }));
    assert.equal(wrong.status, 2);
    assert.match(wrong.stderr, /gateway\.inside\.address: "10\.0\.0\.1" is not an address with/);
  });

  test("prints a config with its defaults, itself a config", () => {
    const { status, stdout, stderr } = napt(
      ["config", "-"],
      "inside: [10.0.0.0/8]\noutside: [203.0.113.64/30]\ntimeouts: {udp: 2.5}\n",
    );
    assert.deepEqual([status, stderr], [0, ""]);
    assert.deepEqual(JSON.parse(stdout), resolved);
    assert.equal(napt(["config", "-"], stdout).stdout, stdout);
  });

  test("--format yaml prints YAML", () => {
    const { status, stdout } = napt(["config", "-", "--format", "yaml"], JSON.stringify(base));
    assert.equal(status, 0);
    assert.match(stdout, /^inside:\n {2}- 10\.0\.0\.0\/8\n/);
    assert.deepEqual(parse(stdout), resolved);
  });

  test("a wrong config: every fault on a line of its own, status 2, nothing on stdout", () => {
    const { status, stdout, stderr } = napt(
      ["config", "-"],
      "inside: [10.0.0.0/8]\noutside: [10.0.0.1]\nttl: 3\n",
    );
    assert.deepEqual([status, stdout], [2, ""]);
    const [first, second, ...rest] = stderr.trimEnd().split("\n");
    assert.match(first ?? "", /^napt: stdin: ttl: 3 is not "decrement" or "keep" \(line 3\)$/);
    assert.match(second ?? "", /^napt: stdin: outside\[0\]: 10\.0\.0\.1 is within .* \(line 2\)$/);
    assert.deepEqual(rest, []);
  });

  test("a missing file: status 2; the stack only for those who ask", () => {
    const { status, stderr } = napt(["config", "/nowhere.yaml"]);
    assert.deepEqual([status, stderr], [2, "napt: /nowhere.yaml: no such file\n"]);
    assert.match(napt(["config", "/nowhere.yaml"], "", { NAPT_DEBUG: "1" }).stderr, /\n {4}at /);
  });
});

describe("napt", () => {
  const cases: [args: string[], status: number, stdout: RegExp, stderr: RegExp][] = [
    [["--version"], 0, /^\d+\.\d+\.\d+\n$/, /^$/],
    [["--help"], 0, /^Usage: napt .*Examples:/s, /^$/],
    [["config", "--help"], 0, /^Usage: napt config .*--schema .*Examples:/s, /^$/],
    [["help", "config"], 0, /^Usage: napt config /, /^$/],
    [[], 2, /^$/, /^Usage: napt /],
    [["confg"], 2, /^$/, /^napt: unknown command 'confg'\n\(Did you mean config\?\)/],
    [["--bogus"], 2, /^$/, /^napt: unknown option '--bogus'/],
    [["config"], 2, /^$/, /^napt: give a config file/],
    [["config", "--schema", "a"], 2, /^$/, /^napt: give a config file/],
    [["config", "a", "b"], 2, /^$/, /^napt: too many arguments/],
    [
      ["config", "a", "--format", "xml"],
      2,
      /^$/,
      /^napt: option '--format <format>' argument 'xml' is invalid/,
    ],
  ];
  for (const [args, status, stdout, stderr] of cases) {
    test(`${args.join(" ") || "without arguments"} exits with ${status}`, () => {
      const result = napt(args);
      assert.equal(result.status, status);
      assert.match(result.stdout, stdout);
      assert.match(result.stderr, stderr);
    });
  }

  const shell = (script: string) =>
    spawnSync("bash", ["-c", script, process.execPath, main], { encoding: "utf8" });

  test("ends quietly when its reader has enough", () => {
    const { stdout, stderr } = shell('"$0" --import tsx "$1" config --schema | true; echo "$PIPESTATUS"');
    assert.deepEqual([stdout, stderr], ["0\n", ""]);
  });

  test("says when its output can't be written", { skip: !canOpen("/dev/full") }, () => {
    const { status, stderr } = shell('"$0" --import tsx "$1" config --schema > /dev/full');
    assert.equal(status, 1);
    assert.match(stderr, /^napt: .*ENOSPC/);
  });
});

function canOpen(path: string): boolean {
  try {
    closeSync(openSync(path, "w"));
    return true;
  } catch {
    return false;
  }
}
