import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { parseConfig } from "../../src/config/load.js";
import { LARGEST_POOL, type NatConfig, type ResolvedNatConfig } from "../../src/config/schema.js";
import { ConfigError } from "../../src/errors.js";
import { assertFaults, base, defaults, faultsOf } from "../support/config.js";

const ports = "1024-65535";

describe("a right config", () => {
  const cases: [name: string, given: Partial<NatConfig>, resolved: Partial<ResolvedNatConfig>][] = [
    ["defaults", {}, {}],
    ["an address is a prefix of one", { inside: ["10.0.0.1"] }, { inside: ["10.0.0.1/32"] }],
    ["host bits of an inside prefix are cleared", { inside: ["10.1.2.3/8"] }, { inside: ["10.0.0.0/8"] }],
    ["loopback may be inside", { inside: ["127.0.0.0/8"] }, { inside: ["127.0.0.0/8"] }],
    [
      "a prefix is a pool",
      { outside: ["203.0.113.2/31", { address: "203.0.113.8/32", ports: "5000" }] },
      {
        outside: [
          { address: "203.0.113.2", ports },
          { address: "203.0.113.3", ports },
          { address: "203.0.113.8", ports: "5000-5000" },
        ],
      },
    ],
    [
      "all ports",
      { outside: [{ address: "1.1.1.1", ports: "1-65535" }] },
      { outside: [{ address: "1.1.1.1", ports: "1-65535" }] },
    ],
    ["mapping", { mapping: "address-dependent" }, { mapping: "address-dependent" }],
    ["filtering", { filtering: "endpoint-independent" }, { filtering: "endpoint-independent" }],
    [
      "a part of portAssignment",
      { portAssignment: { order: "sequential", blockSize: 64512 } },
      { portAssignment: { ...defaults.portAssignment, order: "sequential", blockSize: 64512 } },
    ],
    [
      "the other part of portAssignment",
      { portAssignment: { preserve: true, parity: false } },
      { portAssignment: { ...defaults.portAssignment, preserve: true, parity: false } },
    ],
    ["pooling", { pooling: "arbitrary" }, { pooling: "arbitrary" }],
    [
      "one outside endpoint for each protocol, outside the pool's addresses and ports",
      {
        forwards: [
          { protocol: "tcp", outside: "203.0.113.9:80", inside: "192.168.226.135:8080" },
          { protocol: "udp", outside: "203.0.113.9:80", inside: "192.168.226.135:8080" },
        ],
      },
      {
        forwards: [
          { protocol: "tcp", outside: "203.0.113.9:80", inside: "192.168.226.135:8080" },
          { protocol: "udp", outside: "203.0.113.9:80", inside: "192.168.226.135:8080" },
        ],
      },
    ],
    [
      "static",
      { static: [{ outside: "203.0.113.65", inside: "192.168.226.10" }] },
      { static: [{ outside: "203.0.113.65", inside: "192.168.226.10" }] },
    ],
    [
      "timeouts of parts of a second",
      { timeouts: { udp: 0.5, icmp: 0.001, fragment: 1e9 } },
      { timeouts: { ...defaults.timeouts, udp: 0.5, icmp: 0.001, fragment: 1e9 } },
    ],
    [
      "limits",
      { limits: { sessions: 0, sessionsPerHost: 9, fragments: 65536 } },
      { limits: { ...defaults.limits, sessions: 0, sessionsPerHost: 9, fragments: 65536 } },
    ],
    [
      "switches",
      {
        hairpinning: false,
        clampMss: true,
        icmpErrors: true,
        inboundRefresh: true,
        tcpPickup: false,
        verifyHeaderChecksum: false,
      },
      {
        hairpinning: false,
        clampMss: true,
        icmpErrors: true,
        inboundRefresh: true,
        tcpPickup: false,
        verifyHeaderChecksum: false,
      },
    ],
    ["ttl and unmatched", { ttl: "keep", unmatched: "pass" }, { ttl: "keep", unmatched: "pass" }],
    ["undefined is not given", { mapping: undefined, timeouts: { udp: undefined } }, {}],
  ];
  for (const [name, given, resolved] of cases) {
    test(name, () => {
      const parsed = parseConfig({ ...base, ...given });
      assert.deepEqual(parsed, { ...defaults, ...resolved });
      assert.deepEqual(parseConfig(parsed), parsed, "parses to itself");
    });
  }

  test("the largest pool", () => {
    const outside = Array.from(
      { length: 16 },
      (_, bit) => `100.64.${(1 << bit) >> 8}.${(1 << bit) & 255}/${32 - bit}`,
    );
    const parsed = parseConfig({ ...base, outside });
    assert.equal(parsed.outside.length, LARGEST_POOL);
    assert.deepEqual(parseConfig(parsed), parsed);
    assertFaults({ ...base, outside: ["100.64.0.0", ...outside] }, [["outside", "65536", "at most 65535"]]);
  });
});

describe("a wrong config", () => {
  const forward = { protocol: "tcp", outside: "203.0.113.1:80", inside: "192.168.226.5:80" };
  const cases: [name: string, given: object, ...faults: [path: string, ...parts: string[]][]][] = [
    [
      "inside is no list",
      { inside: "10.0.0.0/8" },
      ["inside", '"10.0.0.0/8" is not a list', '["192.168.226.0/24"]'],
    ],
    ["inside is empty", { inside: [] }, ["inside", "an empty list"]],
    ["a length of 33", { inside: ["10.0.0.0/33"] }, ["inside[0]", '"10.0.0.0/33"', "CIDR"]],
    ["an octet of 256", { inside: ["10.0.0.0/8", "10.0.0.256"] }, ["inside[1]", '"10.0.0.256"']],
    ["an octal octet", { inside: ["010.0.0.0/8"] }, ["inside[0]", '"010.0.0.0/8"']],
    ["IPv6", { inside: ["fd00::/8"] }, ["inside[0]", '"fd00::/8"', "IPv4"]],
    ["a multicast prefix", { inside: ["224.0.0.0/4"] }, ["inside[0]", "unicast"]],
    ["this network", { inside: ["0.0.0.0/8"] }, ["inside[0]", "unicast"]],
    ["everything is inside", { inside: ["0.0.0.0/0"] }, ["outside[0]", "203.0.113.1", "0.0.0.0/0"]],
    ["a number in inside", { inside: [10] }, ["inside[0]", "10 is not"]],
    ["outside is an object", { outside: { address: "203.0.113.1" } }, ["outside", "an object is not a list"]],
    ["outside is empty", { outside: [] }, ["outside", "an empty list"]],
    ["outside has a number", { outside: [5] }, ["outside[0]", "5 is neither an address"]],
    ["outside has a name", { outside: ["example.org"] }, ["outside[0]", '"example.org"', '"203.0.113.1"']],
    ...["0.0.0.1", "127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"].map(
      (address): [string, object, [string, ...string[]]] => [
        `outside is ${address}`,
        { outside: [{ address }] },
        ["outside[0].address", JSON.stringify(address), "unicast"],
      ],
    ),
    [
      "outside with host bits",
      { outside: ["203.0.113.1/24"] },
      ["outside[0]", "203.0.113.1/24", "no host bits"],
    ],
    ["outside is far too large", { outside: ["128.0.0.0/1"] }, ["outside[0]", "128.0.0.0/1"]],
    ["outside is 65536", { outside: ["100.64.0.0/16"] }, ["outside[0]", "65535"]],
    [
      "ports beyond 65535",
      { outside: ["203.0.113.9", { address: "203.0.113.1", ports: "70000" }] },
      [
        "outside[1].ports",
        '"70000" is not a port range; give LO-HI with 1 <= LO <= HI <= 65535, e.g. "1024-65535"',
      ],
    ],
    ...["0", "0-9", "9-8", "1-65536", "1-2-3", "01-9", " 1-9", "1 - 9", "", "-", "1-"].map(
      (range): [string, object, [string, ...string[]]] => [
        `ports ${JSON.stringify(range)}`,
        { outside: [{ address: "203.0.113.1", ports: range }] },
        ["outside[0].ports", `${JSON.stringify(range)} is not a port range`],
      ],
    ),
    [
      "ports as a number",
      { outside: [{ address: "1.1.1.1", ports: 80 }] },
      ["outside[0].ports", "80 is not"],
    ],
    [
      "an unknown key in outside",
      { outside: [{ address: "1.1.1.1", prots: "80" }] },
      ["outside[0].prots", "did you mean ports?"],
    ],
    [
      "outside is an inside host",
      { inside: ["9.9.9.9"], outside: ["9.9.9.9"] },
      ["outside[0]", "9.9.9.9/32"],
    ],
    [
      "outside is inside",
      { outside: ["192.168.226.9"] },
      ["outside[0]", "192.168.226.9", "192.168.226.0/24"],
    ],
    [
      "the same outside twice",
      { outside: ["203.0.113.0/30", "203.0.113.3"] },
      ["outside[1]", "203.0.113.3", "outside[0]"],
    ],
    ["mapping", { mapping: "address" }, ["mapping", '"address" is not "endpoint-independent"']],
    [
      "filtering, nearly",
      { filtering: "Address-Dependant" },
      ["filtering", 'did you mean "address-dependent"?'],
    ],
    [
      "portAssignment",
      { portAssignment: "random" },
      ["portAssignment", '"random" is not an object', "order"],
    ],
    [
      "order",
      { portAssignment: { order: 1 } },
      ["portAssignment.order", '1 is not "random" or "sequential"'],
    ],
    ["preserve", { portAssignment: { preserve: 1 } }, ["portAssignment.preserve", "1 is not true or false"]],
    [
      "parity",
      { portAssignment: { parity: "yes" } },
      ["portAssignment.parity", '"yes" is not true or false'],
    ],
    [
      "blockSize below 0",
      { portAssignment: { blockSize: -1 } },
      ["portAssignment.blockSize", "-1", "from 0 to 65535"],
    ],
    [
      "blockSize and a half",
      { portAssignment: { blockSize: 1.5 } },
      ["portAssignment.blockSize", "1.5", "whole"],
    ],
    [
      "blockSize beyond the ports",
      { outside: ["1.1.1.1", { address: "1.1.1.2", ports: "10-19" }], portAssignment: { blockSize: 11 } },
      ["portAssignment.blockSize", "11 is more than the 10 ports of outside[1]"],
    ],
    ["pooling", { pooling: null }, ["pooling", 'null is not "paired", "soft-paired" or "arbitrary"']],
    ["hairpinning", { hairpinning: "true" }, ["hairpinning", '"true" is not true or false']],
    [
      "an empty forward",
      { forwards: [{}] },
      ["forwards[0].protocol", 'missing; give "tcp", "udp", "udplite", "dccp" or "sctp"'],
      ["forwards[0].outside", "missing"],
      ["forwards[0].inside", "missing"],
    ],
    ["protocol", { forwards: [{ ...forward, protocol: "TCP" }] }, ["forwards[0].protocol", 'mean "tcp"?']],
    [
      "a forward's port 0",
      { forwards: [{ ...forward, outside: "1.1.1.1:0" }] },
      ["forwards[0].outside", '"1.1.1.1:0"'],
    ],
    [
      "a forward's port 65536",
      { forwards: [{ ...forward, inside: "192.168.226.5:65536" }] },
      ["forwards[0].inside", "65535"],
    ],
    [
      "a forward without a port",
      { forwards: [{ ...forward, outside: "1.1.1.1" }] },
      ["forwards[0].outside", "a port"],
    ],
    [
      "a forward of loopback",
      { forwards: [{ ...forward, outside: "127.0.0.1:80" }] },
      ["forwards[0].outside"],
    ],
    [
      "a forward to outside",
      { forwards: [{ ...forward, inside: "10.0.0.1:80" }] },
      ["forwards[0].inside", "10.0.0.1 is within no inside prefix"],
    ],
    [
      "a forward of an inside address",
      { forwards: [{ ...forward, outside: "192.168.226.1:80" }] },
      ["forwards[0].outside", "within the inside prefix"],
    ],
    [
      "a forward twice",
      { forwards: [forward, forward] },
      ["forwards[1].outside", "tcp 203.0.113.1:80", "forwards[0]"],
    ],
    [
      "a forward of a static address",
      {
        static: [{ outside: "1.1.1.1", inside: "192.168.226.7" }],
        forwards: [{ ...forward, outside: "1.1.1.1:80" }],
      },
      ["forwards[0].outside", "1.1.1.1", "static[0]"],
    ],
    [
      "a static address in the pool",
      { static: [{ outside: "203.0.113.1", inside: "192.168.226.7" }] },
      ["static[0].outside", "outside[0]"],
    ],
    [
      "a static pair twice",
      { static: Array(2).fill({ outside: "1.1.1.1", inside: "192.168.226.7" }) },
      ["static[1].outside", "static[0].outside"],
      ["static[1].inside", "static[0].inside"],
    ],
    [
      "static the wrong way round",
      { static: [{ outside: "192.168.226.7", inside: "1.1.1.1" }] },
      ["static[0].outside", "within the inside prefix"],
      ["static[0].inside", "within no inside prefix"],
    ],
    [
      "static to a prefix",
      { static: [{ outside: "1.1.1.1", inside: "192.168.226.0/24" }] },
      ["static[0].inside"],
    ],
    ...[0, -1, 1e-10, 0.0009, Number.NaN, Number.POSITIVE_INFINITY, 1e10, "300", null].map(
      (udp): [string, object, [string, ...string[]]] => [
        `a timeout of ${JSON.stringify(udp)} (${udp})`,
        { timeouts: { udp } },
        [
          "timeouts.udp",
          `${JSON.stringify(udp) === "null" ? udp : JSON.stringify(udp)} is not a time in seconds`,
        ],
      ],
    ),
    ...["tcpEstablished", "tcpTransitory", "tcpTimeWait", "icmp", "fragment"].map(
      (key): [string, object, [string, ...string[]]] => [
        key,
        { timeouts: { [key]: 0 } },
        [`timeouts.${key}`, "0 is not a time in seconds; give a number from 0.001 to 1000000000"],
      ],
    ),
    ["sessions", { limits: { sessions: -1 } }, ["limits.sessions", "-1 is not a count"]],
    ["sessionsPerHost", { limits: { sessionsPerHost: 2 ** 32 } }, ["limits.sessionsPerHost", "4294967295"]],
    ["no fragments", { limits: { fragments: 0 } }, ["limits.fragments", "from 1 to 65536"]],
    ["half a fragment", { limits: { fragments: -0.5 } }, ["limits.fragments"]],
    ["ttl", { ttl: 64 }, ["ttl", '64 is not "decrement" or "keep"']],
    ["clampMss", { clampMss: 1460 }, ["clampMss", "1460 is not true or false"]],
    ["icmpErrors", { icmpErrors: 0 }, ["icmpErrors", "0 is not true or false"]],
    ["inboundRefresh", { inboundRefresh: null }, ["inboundRefresh", "null is not true or false"]],
    ["tcpPickup", { tcpPickup: [] }, ["tcpPickup", "an empty list is not true or false"]],
    ["verifyHeaderChecksum", { verifyHeaderChecksum: {} }, ["verifyHeaderChecksum", "an object"]],
    ["unmatched", { unmatched: "dorp" }, ["unmatched", 'did you mean "drop"?']],
    ["an unknown key", { hairpining: true }, ["hairpining", "did you mean hairpinning?"]],
    ["a key like no other", { zzz: 1 }, ["zzz", "unknown key; known are inside, outside"]],
    ["a nested unknown key", { timeouts: { tcp: 1 } }, ["timeouts.tcp", "unknown key", "tcpEstablished"]],
    ["a key that is no word", { "a b\n": 1 }, ['["a b\\n"]', "unknown key"]],
    ["prototype keys", JSON.parse('{"__proto__":{},"constructor":1}'), ["__proto__"], ["constructor"]],
    ["an endless list", { inside: new Array(2 ** 32 - 1) }, ["inside", "4294967295 entries"]],
    [
      "faults of several kinds at once",
      { outside: ["192.168.226.1"], limits: { fragments: 0 }, ttl: "down", static: {}, x: 1 },
      ["static", "an object is not a list"],
      ["limits.fragments"],
      ["ttl", '"down"'],
      ["x", "unknown key"],
      ["outside[0]", "within the inside prefix"],
    ],
  ];
  for (const [name, given, ...faults] of cases) {
    const value = Object.hasOwn(given, "__proto__") ? Object.assign(given, base) : { ...base, ...given };
    test(name, () => assertFaults(value, faults));
  }

  for (const value of [null, undefined, 3, "inside", true, [], [base], () => base]) {
    test(`${typeof value} ${JSON.stringify(value)} is no config`, () => {
      assertFaults(value, [["", "is not an object", "inside, outside"]]);
    });
  }

  test("missing keys", () => {
    assertFaults({}, [
      ["inside", 'missing; give a list such as ["192.168.226.0/24"]'],
      ["outside", "missing; give a list"],
    ]);
  });

  test("a cyclic object", () => {
    const cyclic: Record<string, unknown> = { ...base };
    cyclic.timeouts = cyclic;
    cyclic.inside = [cyclic];
    assertFaults(cyclic, [
      ["inside[0]", "an object is not"],
      ["timeouts.inside", "unknown key"],
      ["timeouts.outside", "unknown key"],
      ["timeouts.timeouts", "unknown key"],
    ]);
  });

  test("very many faults are cut short, very long values too", () => {
    const faults = faultsOf({ ...base, inside: Array(65536).fill("x".repeat(10_000)) });
    assert.equal(faults.length, 101);
    assert.equal(faults[100], ": and 65436 more faults");
    assert.ok(faults.every((fault) => fault.length < 300));
  });

  test("very many unknown keys", () => {
    assert.equal(
      faultsOf({ ...base, outside: Array(65536).fill({ address: "1.1.1.1", prot: "1" }) }).length,
      101,
    );
  });

  test("the message names the source and every fault", () => {
    assert.throws(() => parseConfig({ inside: 1, outside: 2 }, "nat.json"), {
      name: "ConfigError",
      message: /^nat\.json: inside: 1 is not a list.*\nnat\.json: outside: 2 is not a list/,
    });
  });
});

describe("any value", () => {
  const resolvesOrRefuses = (value: unknown) => {
    let resolved: ResolvedNatConfig;
    try {
      resolved = parseConfig(value);
    } catch (error) {
      assert.ok(error instanceof ConfigError, String(error));
      assert.ok(error.issues.length > 0);
      return;
    }
    assert.deepEqual(parseConfig(JSON.parse(JSON.stringify(resolved))), resolved);
  };

  test("JSON", () => {
    fc.assert(fc.property(fc.jsonValue(), resolvesOrRefuses));
  });

  test("what is not JSON", () => {
    fc.assert(
      fc.property(
        fc.anything({ withBigInt: true, withDate: true, withMap: true, withSparseArray: true }),
        resolvesOrRefuses,
      ),
    );
  });

  test("known keys with any values", () => {
    const keys = [...Object.keys(defaults), "preset"];
    const any = fc.dictionary(fc.constantFrom(...keys), fc.oneof(fc.jsonValue(), fc.anything()));
    fc.assert(fc.property(any, (given) => resolvesOrRefuses({ ...base, ...given })));
  });

  test("nearly right addresses and ports", () => {
    const octet = fc.oneof(fc.nat(255), fc.nat(300));
    const address = fc.tuple(octet, octet, octet, octet).map((octets) => octets.join("."));
    const prefix = fc.oneof(
      address,
      fc.tuple(address, fc.integer({ min: 16, max: 33 })).map((parts) => parts.join("/")),
    );
    const range = fc.tuple(fc.nat(66000), fc.nat(66000)).map((pair) => pair.join("-"));
    const pool = fc.oneof(prefix, fc.record({ address: prefix, ports: range }));
    const config = fc.record({
      inside: fc.array(prefix, { maxLength: 3 }),
      outside: fc.array(pool, { maxLength: 3 }),
    });
    fc.assert(fc.property(config, resolvesOrRefuses));
  });
});
