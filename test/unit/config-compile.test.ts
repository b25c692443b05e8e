// The numbers that the core gets from a config.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseIpv4 } from "../../src/config/cidr.js";
import { compileConfig } from "../../src/config/compile.js";
import { parseConfig } from "../../src/config/load.js";
import type { NatConfig } from "../../src/config/schema.js";
import type { CompiledConfig, CompiledPolicy } from "../../src/native.js";
import { base } from "../support/config.js";

const ip = (text: string) => parseIpv4(text)!;
const words = (...numbers: number[]) => Uint32Array.from(numbers);
const seconds = (...times: number[]) => Float64Array.from(times, (time) => time * 1e9);
const compile = (given: Partial<NatConfig> = {}) => compileConfig(parseConfig({ ...base, ...given }));

const TIMES = [300, 7440, 240, 240, 240, 240, 60, 7440, 240, 7440, 240, 300, 300, 300];

const plainPolicy: CompiledPolicy = {
  mapping: words(0, 0, 0, 0, 0),
  filtering: words(2, 2, 2, 2, 2),
  randomPorts: true,
  preservePorts: false,
  parity: true,
  overloading: false,
  contiguity: false,
  pooling: 0,
  hairpinning: true,
  inboundRefresh: false,
  tcpPickup: true,
  tcpLiberal: false,
  sessionLimit: 0,
  sessionRate: 0,
  portLimits: words(0, 0, 0, 0),
};

const plain: CompiledConfig = {
  inside: words(ip("192.168.226.0"), 0xffffff00, 0),
  outside: words(ip("203.0.113.1"), 1024, 65535),
  forwards: words(),
  statics: words(),
  siblings: words(),
  shard: 0,
  shards: 1,
  exempt: words(),
  policies: [plainPolicy],
  timeouts: seconds(...TIMES),
  profilePolicies: words(0),
  portTimeouts: words(),
  fragmentTimeout: 30e9,
  blockSize: 0,
  blocksPerHost: 0,
  blockHold: 0,
  holdDown: 120e9,
  holdDownPorts: 8192,
  deterministic: words(),
  deterministicHosts: words(),
  protocols: 0,
  algs: 0,
  sessionLimit: 1048576,
  fragmentLimit: 1024,
  sessionRate: 0,
  icmpErrorRate: 1000,
  evict: false,
  insideMtu: 0,
  outsideMtu: 0,
  clampMss: false,
  insideAddress: 0,
  decrementTtl: true,
  icmpErrors: false,
  verifyHeaderChecksum: true,
  passUnmatched: false,
  expiringBefore: 0,
  poolThreshold: 900,
};

describe("a compiled config", () => {
  const cases: [name: string, given: Partial<NatConfig>, compiled: Partial<CompiledConfig>][] = [
    ["defaults", {}, {}],
    [
      "inside prefixes of every length",
      { inside: ["0.0.0.0/1", "192.0.0.0/31", "192.0.0.2"], outside: ["203.0.113.1"] },
      {
        inside: words(0, 0x80000000, 0, ip("192.0.0.0"), 0xfffffffe, 0, ip("192.0.0.2"), 0xffffffff, 0),
      },
    ],
    [
      "a pool",
      { outside: ["203.0.113.2/31", { address: "203.0.113.9", ports: "5" }] },
      {
        outside: words(
          ...[ip("203.0.113.2"), 1024, 65535],
          ...[ip("203.0.113.3"), 1024, 65535],
          ...[ip("203.0.113.9"), 5, 5],
        ),
      },
    ],
    [
      "forwards of each protocol",
      {
        protocols: { udplite: true, dccp: true, sctp: true },
        forwards: (["tcp", "udp", "udplite", "dccp", "sctp"] as const).map((protocol) => ({
          protocol,
          outside: "203.0.113.1:80",
          inside: "192.168.226.5:80",
        })),
      },
      {
        protocols: 7,
        forwards: words(
          ...[6, 17, 136, 33, 132].flatMap((protocol) => [
            ...[protocol, ip("203.0.113.1"), 80],
            ...[ip("192.168.226.5"), 80],
          ]),
        ),
      },
    ],
    [
      "static",
      { static: [{ outside: "203.0.113.65", inside: "192.168.226.10" }] },
      { statics: words(ip("203.0.113.65"), ip("192.168.226.10")) },
    ],
    [
      "exempt destinations",
      {
        exempt: [
          "198.51.100.0/24",
          { destination: "192.0.2.1", protocol: "tcp", ports: "80-90" },
          { destination: "192.0.2.1", protocol: "esp" },
          { destination: "192.0.2.1", protocol: "icmp" },
          { destination: "192.0.2.1", ports: "7" },
        ],
      },
      {
        exempt: words(
          ...[ip("198.51.100.0"), 0xffffff00, 0, 0, 65535],
          ...[ip("192.0.2.1"), 0xffffffff, 6, 80, 90],
          ...[ip("192.0.2.1"), 0xffffffff, 50, 0, 65535],
          ...[ip("192.0.2.1"), 0xffffffff, 1, 0, 65535],
          ...[ip("192.0.2.1"), 0xffffffff, 0, 7, 7],
        ),
      },
    ],
    ...(["udplite", "dccp", "sctp", "gre", "esp", "other"] as const).map(
      (name, index): [string, Partial<NatConfig>, Partial<CompiledConfig>] => [
        name,
        { protocols: { [name]: true } },
        { protocols: 1 << index },
      ],
    ),
    ["ftp", { alg: { ftp: true } }, { algs: 1 }],
    ["pptp", { alg: { pptp: true } }, { algs: 2 }],
    [
      "each timeout in its place",
      {
        timeouts: {
          udp: 1,
          tcpEstablished: 2,
          tcpOpening: 3,
          tcpClosing: 4,
          tcpTransitory: 5,
          tcpTimeWait: 6,
          icmp: 7,
          dccpEstablished: 8,
          dccpTransitory: 9,
          sctpEstablished: 10,
          sctpTransitory: 11,
          gre: 12,
          esp: 13,
          other: 14,
          fragment: 0.5,
        },
      },
      { timeouts: seconds(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14), fragmentTimeout: 5e8 },
    ],
    [
      "port assignment that is for all",
      { portAssignment: { blockSize: 64, blocksPerHost: 2, blockHold: 3, holdDown: 0.25, holdDownPorts: 5 } },
      { blockSize: 64, blocksPerHost: 2, blockHold: 3e9, holdDown: 25e7, holdDownPorts: 5 },
    ],
    [
      "limits that are for all",
      { limits: { sessions: 1, fragments: 2, sessionRate: 3, icmpErrorRate: 4, whenFull: "evict" } },
      { sessionLimit: 1, fragmentLimit: 2, sessionRate: 3, icmpErrorRate: 4, evict: true },
    ],
    ["an address inside", { insideAddress: "192.168.226.2" }, { insideAddress: 0xc0a8e202 }],
    ["MTUs", { mtu: { inside: 1400, outside: 1500 } }, { insideMtu: 1400, outsideMtu: 1500 }],
    ["clampMss", { clampMss: true }, { clampMss: true }],
    ["ttl", { ttl: "keep" }, { decrementTtl: false }],
    ["icmpErrors", { icmpErrors: true }, { icmpErrors: true }],
    ["verifyHeaderChecksum", { verifyHeaderChecksum: false }, { verifyHeaderChecksum: false }],
    ["unmatched", { unmatched: "pass" }, { passUnmatched: true }],
    [
      "RFC 7422's example",
      { inside: ["198.51.100.0/28"], portAssignment: { deterministic: { dynamic: 2 } } },
      {
        inside: words(ip("198.51.100.0"), 0xfffffff0, 0),
        blockSize: 4032,
        deterministic: words(4032, 14),
        deterministicHosts: words(ip("198.51.100.1"), 14),
      },
    ],
    [
      "deterministic hosts of several prefixes, in their order",
      {
        inside: ["10.1.0.0/31", "10.0.0.0/30", "10.2.0.5"],
        outside: ["203.0.113.2/31"],
        portAssignment: { deterministic: { dynamic: 0 } },
      },
      {
        inside: words(
          ...[ip("10.1.0.0"), 0xfffffffe, 0],
          ...[ip("10.0.0.0"), 0xfffffffc, 0],
          ...[ip("10.2.0.5"), 0xffffffff, 0],
        ),
        outside: words(...[ip("203.0.113.2"), 1024, 65535], ...[ip("203.0.113.3"), 1024, 65535]),
        deterministic: words(21504, 3),
        deterministicHosts: words(...[ip("10.1.0.0"), 2], ...[ip("10.0.0.1"), 2], ...[ip("10.2.0.5"), 1]),
      },
    ],
  ];
  for (const [name, given, compiled] of cases) {
    test(name, () => assert.deepEqual(compile(given), { ...plain, ...compiled }));
  }
});

describe("a compiled policy", () => {
  const EIM = "endpoint-independent";
  const ADM = "address-dependent";
  const APDM = "address-and-port-dependent";
  type Policy = Omit<NonNullable<NatConfig["policies"]>[number], "inside">;
  const cases: [name: string, given: Policy, compiled: Partial<CompiledPolicy>][] = [
    ["defaults", {}, {}],
    ["one mapping", { mapping: ADM }, { mapping: words(1, 1, 1, 1, 1) }],
    [
      "a mapping by protocol",
      { mapping: { tcp: APDM, icmp: ADM, dccp: ADM } },
      { mapping: words(2, 0, 1, 0, 1) },
    ],
    [
      "a filtering by protocol",
      { filtering: { udp: EIM, udplite: ADM } },
      { filtering: words(2, 0, 2, 1, 2) },
    ],
    ["order", { portAssignment: { order: "sequential" } }, { randomPorts: false }],
    ["preserve", { portAssignment: { preserve: true } }, { preservePorts: true }],
    ["parity", { portAssignment: { parity: false } }, { parity: false }],
    [
      "overloading",
      { mapping: APDM, portAssignment: { overloading: true } },
      { mapping: words(2, 2, 2, 2, 2), overloading: true },
    ],
    ["contiguity", { portAssignment: { contiguity: true } }, { contiguity: true }],
    ["soft pooling", { pooling: "soft-paired" }, { pooling: 1 }],
    ["no pooling", { pooling: "arbitrary" }, { pooling: 2 }],
    ["hairpinning", { hairpinning: false }, { hairpinning: false }],
    ["inboundRefresh", { inboundRefresh: true }, { inboundRefresh: true }],
    ["tcpPickup", { tcpPickup: false }, { tcpPickup: false }],
    ["tcpLiberal", { tcpLiberal: true }, { tcpLiberal: true }],
    [
      "limits",
      { limits: { sessionsPerHost: 1, sessionRatePerHost: 2, portsPerHost: 3 } },
      { sessionLimit: 1, sessionRate: 2, portLimits: words(3, 0, 0, 0) },
    ],
    [
      "ports by protocol",
      { limits: { portsPerHost: { tcp: 1, udp: 2, icmp: 3 } } },
      { portLimits: words(0, 1, 2, 3) },
    ],
  ];
  for (const [name, given, compiled] of cases) {
    const expected = { ...plainPolicy, ...compiled };
    test(`${name}, at the top level`, () => {
      assert.deepEqual(compile(given), { ...plain, policies: [expected] });
    });
    test(`${name}, of some hosts`, () => {
      const policies = [{ inside: ["192.168.226.7", "192.168.226.128/25"], ...given }];
      assert.deepEqual(compile({ policies }), {
        ...plain,
        inside: words(
          ...[ip("192.168.226.7"), 0xffffffff, 1],
          ...[ip("192.168.226.128"), 0xffffff80, 1],
          ...[ip("192.168.226.0"), 0xffffff00, 0],
        ),
        policies: [plainPolicy, expected],
        timeouts: seconds(...TIMES, ...TIMES),
        profilePolicies: words(0, 1),
      });
    });
  }
});

test("timeout profiles: each policy's, then each different rule's; rules that agree share one", () => {
  const { timeouts, profilePolicies, portTimeouts } = compile({
    timeouts: {
      ports: [
        { protocol: "udp", ports: "53", seconds: 10 },
        { protocol: "tcp", ports: "1-1023", seconds: 20 },
        { protocol: "udp", ports: "123", seconds: 10 },
        { protocol: "tcp", ports: "53", seconds: 10 },
      ],
    },
    policies: [
      { inside: ["192.168.226.1"], timeouts: { udp: 99, ports: [] } },
      {
        inside: ["192.168.226.2"],
        timeouts: { icmp: 98, ports: [{ protocol: "udp", ports: "7-9", seconds: 10 }] },
      },
      { inside: ["192.168.226.3"], timeouts: { tcpTransitory: 97 } },
    ],
  });
  const row = (...changes: [place: number, time: number][]) => {
    const times = [...TIMES];
    for (const [place, time] of changes) times[place] = time;
    return times;
  };
  const own = [row(), row([0, 99]), row([6, 98]), row([2, 97], [3, 97], [4, 97])];
  const ofRules = [
    ...[row([0, 10]), row([1, 20]), row([1, 10])],
    row([6, 98], [0, 10]),
    ...[row([0, 10]), row([1, 20]), row([1, 10])].map((times) => [
      ...times.slice(0, 2),
      ...[97, 97, 97],
      ...times.slice(5),
    ]),
  ];
  assert.deepEqual(timeouts, seconds(...own.flat(), ...ofRules.flat()));
  assert.deepEqual(profilePolicies, words(0, 1, 2, 3, 0, 0, 0, 2, 3, 3, 3));
  assert.deepEqual(
    portTimeouts,
    words(
      ...[0, 17, 53, 53, 4],
      ...[0, 6, 1, 1023, 5],
      ...[0, 17, 123, 123, 4],
      ...[0, 6, 53, 53, 6],
      ...[2, 17, 7, 9, 7],
      ...[3, 17, 53, 53, 8],
      ...[3, 6, 1, 1023, 9],
      ...[3, 17, 123, 123, 8],
      ...[3, 6, 53, 53, 10],
    ),
  );
});
