import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import fc from "fast-check";
import { stringify } from "yaml";
import { parseConfigText } from "../../src/config/document.js";
import { loadConfigFile, parseConfig } from "../../src/config/load.js";
import { ConfigError } from "../../src/errors.js";

const base = { inside: ["10.0.0.0/8"], outside: ["203.0.113.1"] };
const read = (text: string | Uint8Array) => parseConfigText(Buffer.from(text as string), "nat");

/** What reading and checking a text ends with: "" or the error's message. */
function outcome(text: string | Uint8Array): string {
  try {
    const { value, source } = read(text);
    parseConfig(value, source);
    return "";
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.message;
  }
}

describe("a config's text", () => {
  const texts: [name: string, text: string][] = [
    ["JSON", JSON.stringify(base)],
    ["JSON indented by tabs", JSON.stringify(base, null, "\t")],
    ["JSON with CRLF", JSON.stringify(base, null, 2).replaceAll("\n", "\r\n")],
    ["JSON with a byte order mark", `\ufeff${JSON.stringify(base)}`],
    ["YAML", "# a comment\ninside: [10.0.0.0/8]\noutside:\n  - 203.0.113.1\n"],
    ["YAML with markers", "---\ninside: [10.0.0.0/8]\noutside: [203.0.113.1]\n...\n"],
    ["YAML with an alias", "inside: [10.0.0.0/8]\noutside: [&a 203.0.113.1]\n"],
  ];
  for (const [name, text] of texts) {
    test(name, () => assert.deepEqual(read(text).value, base));
  }

  test("a port range needs no quotes in YAML", () => {
    const { value } = read("inside: [10.0.0.0/8]\noutside: [{address: 203.0.113.1, ports: 1024-2047}]");
    assert.equal(parseConfig(value).outside[0]?.ports, "1024-2047");
  });
});

describe("a text that is no config", () => {
  const bomb = ["a: &a [x, x, x, x, x, x, x, x, x]"];
  for (const [from, to] of ["ab", "bc", "cd", "de", "ef"])
    bomb.push(`${to}: &${to} [${`*${from}, `.repeat(9)}]`);
  const texts: [name: string, text: string | Uint8Array, message: RegExp][] = [
    ["nothing", "", /^nat: empty; a config needs "inside" and "outside"$/],
    ["only a comment", "# later\n\n", /^nat: empty/],
    ["null", "null", /^nat: null is not an object/],
    ["JSON that ends early", '{"inside": [\n"10.0.0.0/8"', /^nat: line 2, column 13: /],
    ["YAML indented wrongly", "inside:\n  - 10.0.0.0/8\n outside: []", /^nat: line 3, column 1: /],
    ["a key twice", "inside: []\ninside: []", /^nat: line 2, column 1: .*unique/],
    ["two documents", "inside: []\n---\ninside: []\n", /^nat: line 2, column 1: a second document begins/],
    ["an unknown tag", "inside: !prefixes []", /^nat: line 1, column 9: .*!prefixes/],
    ["an alias without anchor", "inside: *nobody", /^nat: .*nobody/],
    ["an alias bomb", bomb.join("\n"), /^nat: Excessive alias count/],
    ["lists nested deeply", "[".repeat(100_000), /^nat: .*nested too deeply$/],
    ["blocks nested deeply", "- ".repeat(20_000), /^nat: .*nested too deeply$/],
    [
      "bytes that are no text",
      Uint8Array.of(0x1f, 0x8b, 8, 0, 0xff),
      /^nat: not a text file; give JSON or YAML in UTF-8$/,
    ],
    ["UTF-16", Buffer.from(JSON.stringify(base), "utf16le"), /^nat: not a text file/],
    ["prose", "The quick brown fox", /^nat: "The quick brown fox" is not an object.* \(line 1\)$/],
  ];
  for (const [name, text, message] of texts) {
    test(name, () => assert.match(outcome(text), message));
  }
});

describe("a fault's line", () => {
  const cases: [name: string, text: string, faults: string[]][] = [
    [
      "in YAML",
      "inside: [10.0.0.0/8]\noutside:\n  - 1.1.1.1\n  - address: 2.2.2.2\n    ports: 70000\ntimeouts:\n  upd: 3\n",
      ["outside[1].ports (line 5)", "timeouts.upd (line 7)"],
    ],
    [
      "in JSON",
      '{\n  "inside": ["10.0.0.0/8"],\n  "outside": [\n    "10.1.1.1",\n    "x"\n  ],\n  "ttl": 3\n}',
      ["outside[1] (line 5)", "ttl (line 7)"],
    ],
    ["of a missing key is where its object begins", "# here\ninside: [10.0.0.0/8]\n", ["outside (line 2)"]],
    [
      "behind an alias",
      "inside: [10.0.0.0/8]\noutside:\n  - &a {address: 1.1.1.1, ports: x}\n",
      ["outside[0].ports (line 3)"],
    ],
    [
      "of a clash",
      "inside: [10.0.0.0/8]\noutside: [1.1.1.1]\nstatic:\n  - outside: 1.1.1.1\n    inside: 10.0.0.1\n",
      ["static[0].outside (line 4)"],
    ],
  ];
  for (const [name, text, faults] of cases) {
    test(name, () => {
      const found = outcome(text)
        .split("\n")
        .map((line) => line.replace(/^nat: ([^:]*): .*( \(line \d+\))$/, "$1$2"));
      assert.deepEqual(found, faults);
    });
  }
});

test("any text, and any JSON as YAML, is read or refused", () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.string({ unit: "binary" })), (text) => void outcome(text)));
  fc.assert(fc.property(fc.uint8Array(), (bytes) => void outcome(bytes)));
  const structure = ["inside:", "- ", "  ", "[", "]", "{", "}", "? ", ", ", ": ", "\n", "'", '"', "|\n"];
  const features = [
    "%YAML 1.1\n",
    "---\n",
    "&a ",
    "*a",
    "<<: ",
    "!!binary ",
    "!!set ",
    "!!omap ",
    "10.0.0.0/8",
  ];
  const lines = fc.array(fc.constantFrom(...structure, ...features), { maxLength: 40 });
  fc.assert(
    fc.property(lines, (parts) => void outcome(parts.join(""))),
    { numRuns: 2000 },
  );
  fc.assert(fc.property(fc.jsonValue(), (value) => void outcome(stringify(value))));
});

describe("a config file", () => {
  const directory = mkdtempSync(join(tmpdir(), "napt-config-"));
  after(() => rmSync(directory, { recursive: true }));

  test("is read whatever its name", () => {
    for (const name of ["nat.json", "nat.yaml", "nat"]) {
      const path = join(directory, name);
      writeFileSync(path, JSON.stringify(base));
      const { value, source } = loadConfigFile(path);
      assert.deepEqual(value, base);
      assert.equal(source.name, path);
    }
  });

  const troubles: [name: string, path: string, message: RegExp][] = [
    ["that is missing", join(directory, "nowhere.yaml"), /nowhere\.yaml: no such file$/],
    ["that is a directory", directory, /: a directory; give a file$/],
    ["without end", "/dev/zero", /^\/dev\/zero: larger than \d+ bytes/],
    ["with a NUL in its name", "a\0b", /^a\0b: /],
  ];
  for (const [name, path, message] of troubles) {
    test(name, () => assert.throws(() => loadConfigFile(path), { name: "ConfigError", message }));
  }
});
