import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { configJsonSchema, type JsonSchema } from "../../src/config/json-schema.js";
import { parseConfig } from "../../src/config/load.js";
import { PRESET_NAMES } from "../../src/config/presets.js";
import { configTable, configTableMarkdown } from "../../src/config/table.js";
import { ConfigError } from "../../src/errors.js";

/** A validator of as much JSON Schema as the config's uses; it refuses keywords that it doesn't know. */
function accepts(schema: JsonSchema, value: unknown): boolean {
  const checks: { [Keyword in keyof JsonSchema]-?: (keyword: NonNullable<JsonSchema[Keyword]>) => boolean } =
    {
      $schema: () => true,
      title: () => true,
      description: () => true,
      default: () => true,
      type: (type) =>
        type === "integer"
          ? Number.isInteger(value)
          : type === "array"
            ? Array.isArray(value)
            : type === "object"
              ? typeof value === "object" && value !== null && !Array.isArray(value)
              : typeof value === type,
      properties: (properties) =>
        Object.entries(value as object).every(
          ([key, inner]) => !properties[key] || accepts(properties[key], inner),
        ),
      required: (keys) => keys.every((key) => Object.hasOwn(value as object, key)),
      additionalProperties: (allowed) =>
        allowed || Object.keys(value as object).every((key) => Object.hasOwn(schema.properties ?? {}, key)),
      items: (items) => (value as unknown[]).every((item) => accepts(items, item)),
      anyOf: (options) => options.some((option) => accepts(option, value)),
      enum: (words) => words.includes(value as string),
      pattern: (pattern) => new RegExp(pattern, "u").test(value as string),
      minItems: (least) => (value as unknown[]).length >= least,
      maxItems: (most) => (value as unknown[]).length <= most,
      minimum: (least) => (value as number) >= least,
      maximum: (most) => (value as number) <= most,
    };
  if (schema.type && !checks.type(schema.type)) return false;
  return Object.entries(schema).every(([keyword, operand]) => {
    const check = checks[keyword as keyof JsonSchema] as ((operand: unknown) => boolean) | undefined;
    assert.ok(check, `keyword ${keyword}`);
    return check(operand);
  });
}

const schema = configJsonSchema();
const base = { inside: ["192.168.226.0/24"], outside: ["203.0.113.1"] };

describe("the JSON Schema", () => {
  test("says what it is", () => {
    assert.equal(schema.$schema, "https://json-schema.org/draft/2020-12/schema");
    assert.equal(schema.title, "napt config");
    assert.deepEqual(schema.required, ["inside", "outside"]);
    assert.deepEqual(JSON.parse(JSON.stringify(schema)), schema);
  });

  test("describes every key", () => {
    const check = (node: JsonSchema, path: string) => {
      for (const [key, property] of Object.entries(node.properties ?? {})) {
        assert.ok(property.description, `${path}${key} has no description`);
        check(property, `${path}${key}.`);
      }
      if (node.items) check(node.items, `${path}[].`);
      for (const option of node.anyOf ?? []) check(option, path);
    };
    check(schema, "");
  });

  const samples: [value: object, right: boolean][] = [
    [{}, true],
    [{ outside: [{ address: "203.0.113.64/28", ports: "1-9" }, "1.1.1.1"] }, true],
    [{ forwards: [{ protocol: "udp", outside: "1.1.1.1:53", inside: "192.168.226.1:53" }] }, true],
    [{ static: [{ outside: "1.1.1.1", inside: "192.168.226.1" }], timeouts: { udp: 0.5 } }, true],
    [{ preset: "cgn", mapping: { udp: "address-dependent" }, limits: { portsPerHost: { tcp: 1 } } }, true],
    [{ exempt: ["1.1.1.1", { destination: "1.1.2.0/24", protocol: "esp" }], mtu: { inside: 0 } }, true],
    [{ policies: [{ inside: ["192.168.226.0/25"], preset: "linux", timeouts: { ports: [] } }] }, true],
    [{ portAssignment: { deterministic: {} }, timeouts: { tcpOpening: 1 } }, true],
    [{ inside: [] }, false],
    [{ preset: "none" }, false],
    [{ mapping: { sctp: "address-dependent" } }, false],
    [{ exempt: [{ ports: "1" }] }, false],
    [{ policies: [{}] }, false],
    [{ policies: [{ inside: ["192.168.226.0/25"], timeouts: { fragment: 1 } }] }, false],
    [{ portAssignment: { deterministic: { pool: 1 } } }, false],
    [{ inside: ["10.0.0.0/33"] }, false],
    [{ outside: [{ ports: "1-9" }] }, false],
    [{ outside: [{ address: "1.1.1.1", prots: "1-9" }] }, false],
    [{ forwards: [{ protocol: "icmp", outside: "1.1.1.1:53", inside: "192.168.226.1:53" }] }, false],
    [{ timeouts: { udp: 0 } }, false],
    [{ timeouts: { udp: 0.0009 } }, false],
    [{ timeouts: { udp: 0.001 } }, true],
    [{ timeouts: { tcp: 1 } }, false],
    [{ limits: { fragments: 65537 } }, false],
    [{ hairpinning: "true" }, false],
    [{ mapping: "none" }, false],
    [{ unknown: 1 }, false],
  ];
  for (const [given, right] of samples) {
    test(`${right ? "accepts" : "refuses"} ${JSON.stringify(given)}, as parseConfig does`, () => {
      const value = { ...base, ...given };
      assert.equal(accepts(schema, value), right);
      if (right) parseConfig(value);
      else assert.throws(() => parseConfig(value), ConfigError);
    });
  }

  test("accepts every value that parseConfig accepts, and what it makes of it", () => {
    const behaviour = fc.constantFrom(
      "endpoint-independent",
      "address-dependent",
      "address-and-port-dependent",
    );
    const seconds = fc.oneof(fc.integer({ min: -1, max: 9999 }), fc.double({ min: -1, max: 2e9 }));
    const count = fc.integer({ min: -1, max: 70000 });
    const config = fc.record(
      {
        preset: fc.constantFrom(...PRESET_NAMES),
        mapping: fc.oneof(behaviour, fc.record({ udp: behaviour, icmp: behaviour }, { requiredKeys: [] })),
        filtering: behaviour,
        policies: fc.array(
          fc.record(
            {
              inside: fc.constant(base.inside),
              preset: fc.constantFrom(...PRESET_NAMES),
              mapping: behaviour,
              timeouts: fc.record({ udp: seconds }, { requiredKeys: [] }),
            },
            { requiredKeys: ["inside"] },
          ),
          { maxLength: 1 },
        ),
        portAssignment: fc.record({ preserve: fc.boolean(), blockSize: count }, { requiredKeys: [] }),
        timeouts: fc.record({ udp: seconds, icmp: seconds, fragment: seconds }, { requiredKeys: [] }),
        limits: fc.record({ sessions: count, fragments: count }, { requiredKeys: [] }),
        ttl: fc.constantFrom("keep", "decrement", "drop"),
        clampMss: fc.oneof(fc.boolean(), fc.nat()),
        icmpErrors: fc.oneof(fc.boolean(), fc.jsonValue()),
      },
      { requiredKeys: [] },
    );
    let accepted = 0;
    fc.assert(
      fc.property(config, (given) => {
        const value = { ...base, ...given };
        try {
          assert.ok(accepts(schema, parseConfig(value)));
        } catch (error) {
          if (error instanceof ConfigError) return;
          throw error;
        }
        accepted++;
        assert.ok(accepts(schema, value));
      }),
    );
    assert.ok(accepted > 0);
  });
});

describe("the table of keys", () => {
  const rows = new Map(configTable().map((row) => [row.key, row]));

  test("has every key with its default", () => {
    assert.equal(rows.get("inside")?.default, "required");
    assert.equal(rows.get("outside[].ports")?.default, '"1024-65535"');
    assert.equal(rows.get("timeouts.tcpEstablished")?.default, "7440");
    assert.equal(rows.get("forwards")?.default, "[]");
    assert.equal(rows.get("exempt")?.default, "[]");
    assert.equal(rows.get("exempt[].ports")?.default, "none");
    assert.equal(rows.get("preset")?.default, "none");
    assert.equal(rows.get("portAssignment.deterministic")?.default, "none");
    assert.equal(rows.get("portAssignment.deterministic.dynamic")?.default, "1");
    assert.equal(rows.get("policies[].inside")?.default, "required");
    assert.equal(rows.get("policies[].mapping"), undefined);
    assert.equal(rows.get("limits.portsPerHost")?.type, "integer, 0 to 4294967295 or object");
    assert.equal(rows.get("limits.fragments")?.type, "integer, 1 to 65536");
    for (const row of rows.values()) assert.ok(row.type && row.default && row.meaning, row.key);
  });

  test("agrees with the defaults that parseConfig fills in", () => {
    const resolved: unknown = parseConfig(base);
    for (const { key, default: fallback } of rows.values()) {
      if (fallback === "required" || key.includes("[]")) continue;
      if (rows.get(key.slice(0, key.lastIndexOf(".")))?.default === "none") continue; // of a section left out
      const value = key.split(".").reduce((node, step) => (node as Record<string, unknown>)[step], resolved);
      const expected = ["timeouts.tcpOpening", "timeouts.tcpClosing"].includes(key)
        ? rows.get("timeouts.tcpTransitory")?.default
        : fallback;
      assert.equal(JSON.stringify(value) ?? "none", expected, key);
    }
  });

  test("is Markdown with four cells a row", () => {
    const lines = configTableMarkdown().trimEnd().split("\n");
    assert.equal(lines.length, rows.size + 2);
    assert.equal(lines[0], "| Key | Type | Default | Meaning |");
    for (const line of lines) assert.equal(line.split("|").length, 6, line);
  });
});
