// Policies and presets: what they fill, what they leave, and how they clash.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseConfig } from "../../src/config/load.js";
import { PRESET_NAMES, PRESETS } from "../../src/config/presets.js";
import type { NatConfig, ResolvedPolicy } from "../../src/config/schema.js";
import { assertFaults, base, defaults, type ExpectedFault } from "../support/config.js";

const EIM = "endpoint-independent";
const ADM = "address-dependent";
const APDM = "address-and-port-dependent";

const { fragment: _, ...sessionTimeouts } = defaults.timeouts;

/** A policy that gives nothing. */
const plain: ResolvedPolicy = {
  inside: ["192.168.226.128/25"],
  mapping: EIM,
  filtering: APDM,
  portAssignment: { order: "random", preserve: false, parity: true, overloading: false, contiguity: false },
  pooling: "paired",
  hairpinning: true,
  timeouts: sessionTimeouts,
  limits: { sessionsPerHost: 0, portsPerHost: 0, sessionRatePerHost: 0 },
  inboundRefresh: false,
  tcpPickup: true,
  tcpLiberal: false,
};

/** Parses it, and again, which must change nothing. */
function resolved(given: Partial<NatConfig>) {
  const parsed = parseConfig({ ...base, ...given });
  assert.equal(JSON.stringify(parseConfig(parsed)), JSON.stringify(parsed), "parses to itself");
  return parsed;
}

describe("a policy", () => {
  const inside = ["192.168.226.128/25"];
  type Policy = Omit<NonNullable<NatConfig["policies"]>[number], "inside">;
  const cases: [name: string, top: Partial<NatConfig>, given: Policy, expected: Partial<ResolvedPolicy>][] = [
    ["that gives nothing has the defaults", {}, {}, {}],
    ["that gives nothing has the top level's", { pooling: "arbitrary" }, {}, { pooling: "arbitrary" }],
    [
      "gives each of its keys",
      {},
      {
        mapping: ADM,
        filtering: EIM,
        portAssignment: { order: "sequential", preserve: true, parity: false, overloading: true },
        pooling: "soft-paired",
        hairpinning: false,
        timeouts: { udp: 1 },
        limits: { sessionsPerHost: 1, portsPerHost: 2, sessionRatePerHost: 3 },
        inboundRefresh: true,
        tcpPickup: false,
        tcpLiberal: true,
      },
      {
        mapping: ADM,
        filtering: EIM,
        portAssignment: {
          order: "sequential",
          preserve: true,
          parity: false,
          overloading: true,
          contiguity: false,
        },
        pooling: "soft-paired",
        hairpinning: false,
        timeouts: { ...sessionTimeouts, udp: 1 },
        limits: { sessionsPerHost: 1, portsPerHost: 2, sessionRatePerHost: 3 },
        inboundRefresh: true,
        tcpPickup: false,
        tcpLiberal: true,
      },
    ],
    [
      "keeps the top level's keys of a section",
      { timeouts: { icmp: 9 }, limits: { sessionsPerHost: 7 }, portAssignment: { preserve: true } },
      { timeouts: { udp: 1 }, limits: { portsPerHost: 2 }, portAssignment: { parity: false } },
      {
        timeouts: { ...sessionTimeouts, udp: 1, icmp: 9 },
        limits: { sessionsPerHost: 7, portsPerHost: 2, sessionRatePerHost: 0 },
        portAssignment: { ...plain.portAssignment, preserve: true, parity: false },
      },
    ],
    [
      "keeps the top level's mapping of the other protocols",
      { mapping: ADM, filtering: { udp: EIM } },
      { mapping: { udp: APDM }, filtering: { tcp: ADM } },
      {
        mapping: { tcp: ADM, udp: APDM, icmp: ADM, udplite: ADM, dccp: ADM },
        filtering: { tcp: ADM, udp: EIM, icmp: APDM, udplite: APDM, dccp: APDM },
      },
    ],
    [
      "keeps the top level's filtering of the other protocols",
      { filtering: EIM },
      { filtering: { tcp: ADM } },
      { filtering: { tcp: ADM, udp: EIM, icmp: EIM, udplite: EIM, dccp: EIM } },
    ],
    [
      "with a tcpTransitory of its own also has it for opening and closing",
      { timeouts: { tcpTransitory: 100, tcpClosing: 50 } },
      { timeouts: { tcpTransitory: 10 } },
      { timeouts: { ...sessionTimeouts, tcpTransitory: 10, tcpOpening: 10, tcpClosing: 50 } },
    ],
    [
      "replaces the port rules",
      { timeouts: { ports: [{ protocol: "udp", ports: "53", seconds: 10 }] } },
      { timeouts: { ports: [] } },
      {},
    ],
    [
      "has the keys of its preset between its own and the top level's",
      { mapping: APDM, tcpLiberal: true, limits: { sessionsPerHost: 1 } },
      { preset: "cgn", filtering: ADM },
      {
        mapping: EIM,
        filtering: ADM,
        tcpLiberal: true,
        limits: { sessionsPerHost: 4096, portsPerHost: 0, sessionRatePerHost: 256 },
      },
    ],
  ];
  for (const [name, top, given, expected] of cases) {
    test(name, () => {
      const { policies } = resolved({ ...top, policies: [{ inside, ...given }] });
      assert.deepEqual(policies, [{ ...plain, ...expected }]);
    });
  }

  test("may have the same prefixes' parts before the whole", () => {
    const policies = [{ inside: ["192.168.226.7", "192.168.226.9"] }, { inside: ["192.168.226.0/24"] }];
    assert.deepEqual(
      resolved({ policies }).policies.map((policy) => policy.inside),
      [["192.168.226.7/32", "192.168.226.9/32"], ["192.168.226.0/24"]],
    );
  });

  test("leaves the top level as it was", () => {
    const { policies: none, ...top } = resolved({});
    const { policies, ...same } = resolved({ policies: [{ inside, preset: "symmetric" }] });
    assert.deepEqual(same, top);
    assert.deepEqual([none.length, policies.length], [0, 1]);
  });
});

describe("a preset", () => {
  /** Every key that an object of a preset has, as paths. */
  const leaves = (value: object, prefix = ""): [path: string, value: unknown][] =>
    Object.entries(value).flatMap(([key, inner]) =>
      typeof inner === "object" && !Array.isArray(inner)
        ? leaves(inner, `${prefix}${key}.`)
        : [[prefix + key, inner] as [string, unknown]],
    );
  const at = (value: unknown, path: string) =>
    path.split(".").reduce((node, step) => (node as Record<string, unknown>)[step], value);

  for (const name of PRESET_NAMES) {
    test(`${name} fills its keys and no others, and is no key any more`, () => {
      const preset = new Map(leaves(PRESETS[name].config));
      const parsed = resolved({ preset: name });
      assert.ok(!("preset" in parsed));
      for (const [path, value] of leaves(parsed)) {
        const follows = ["timeouts.tcpOpening", "timeouts.tcpClosing"].includes(path);
        const source = follows && !preset.has(path) ? "timeouts.tcpTransitory" : path;
        assert.deepEqual(value, preset.get(source) ?? at(defaults, source), path);
      }
    });

    test(`${name} says of each of its keys, and of no other, why it is so`, () => {
      const keys = leaves(PRESETS[name].config).map(([path]) => path);
      const noted = Object.keys(PRESETS[name].notes);
      const has = (note: string, key: string) => key === note || key.startsWith(`${note}.`);
      assert.deepEqual(
        keys.filter((key) => !noted.some((note) => has(note, key))),
        [],
      );
      assert.deepEqual(
        noted.filter((note) => !keys.some((key) => has(note, key))),
        [],
      );
    });

    test(`${name} is the same written out`, () => {
      assert.deepEqual(
        parseConfig({ ...base, ...PRESETS[name].config }),
        parseConfig({ ...base, preset: name }),
      );
    });

    test(`${name} serves a policy`, () => {
      const [policy] = resolved({ policies: [{ inside: base.inside, preset: name }] }).policies;
      const known = new Set(leaves(plain).map(([path]) => path));
      for (const [path, value] of leaves(PRESETS[name].config)) {
        if (known.has(path)) assert.deepEqual(at(policy, path), value, path);
        else assert.equal(path.split(".").length > 1 || !(path in (policy as object)), true, path);
      }
    });
  }

  test("gives way to the keys that are given", () => {
    const parsed = resolved({
      preset: "linux",
      mapping: { udp: EIM },
      portAssignment: { holdDown: 5 },
      timeouts: { udp: 33 },
      hairpinning: true,
    });
    assert.deepEqual(parsed.mapping, { tcp: APDM, udp: EIM, icmp: APDM, udplite: APDM, dccp: APDM });
    assert.deepEqual([parsed.portAssignment.holdDown, parsed.portAssignment.preserve], [5, true]);
    assert.deepEqual([parsed.timeouts.udp, parsed.timeouts.icmp], [33, 30]);
    assert.equal(parsed.hairpinning, true);
  });

  test("does not hide what is wrong", () => {
    assertFaults({ ...base, preset: "cgn", portAssignment: { blockSise: 3, parity: 1 }, limits: 4 }, [
      ["portAssignment.parity", "1 is not true or false"],
      ["portAssignment.blockSise", "did you mean blockSize?"],
      ["limits", "4 is not an object"],
    ]);
  });

  test("clashes like written-out keys", () => {
    assertFaults({ ...base, preset: "linux", mapping: EIM }, [["portAssignment.overloading", "mapping"]]);
  });
});

describe("a wrong policy", () => {
  const inside = ["192.168.226.0/25"];
  const cases: [name: string, top: object, policies: object[], ...faults: ExpectedFault[]][] = [
    ["without hosts", {}, [{}], ["policies[0].inside", "missing; give a list"]],
    ["for nobody", {}, [{ inside: [] }], ["policies[0].inside", "an empty list"]],
    [
      "for others",
      {},
      [{ inside: ["192.168.226.0/24", "10.0.0.0/8"] }, { inside: ["192.168.0.0/16"] }],
      ["policies[0].inside[1]", '10.0.0.0/8 is within no prefix of "inside"'],
      ["policies[1].inside[0]", "192.168.0.0/16 is within no prefix"],
    ],
    [
      "in the shadow of an earlier one",
      {},
      [
        { inside: ["192.168.226.9", "192.168.226.0/25"] },
        { inside: ["192.168.226.128/25", "192.168.226.4/30"] },
      ],
      ["policies[1].inside[1]", "192.168.226.4/30 is in policies[0].inside[1] already, and the first counts"],
    ],
    [
      "twice the same prefix",
      {},
      [{ inside: ["192.168.226.9", "192.168.226.9/32"] }],
      ["policies[0].inside[1]", "in policies[0].inside[0] already"],
    ],
    [
      "with keys that are for all",
      {},
      [
        {
          inside,
          ttl: "keep",
          portAssignment: { blockSize: 9 },
          timeouts: { fragment: 1 },
          limits: { sessions: 1 },
        },
      ],
      ["policies[0].portAssignment.blockSize", "unknown key; known are order"],
      ["policies[0].timeouts.fragment", "unknown key"],
      ["policies[0].limits.sessions", "unknown key"],
      ["policies[0].ttl", "unknown key"],
    ],
    ["with a wrong key", {}, [{ inside, mapping: { udp: 1 } }], ["policies[0].mapping.udp", "1 is not"]],
    ["with an unknown preset", {}, [{ inside, preset: "cone" }], ["policies[0].preset", '"cone" is not']],
    [
      "with overloading of the top level's mapping",
      {},
      [{ inside }, { inside: ["192.168.226.128/25"], portAssignment: { overloading: true } }],
      ["policies[1].portAssignment.overloading", "can't share a port"],
    ],
    [
      "with a mapping against the top level's overloading",
      { mapping: ADM, portAssignment: { overloading: true } },
      [{ inside, mapping: EIM }],
      ["policies[0].portAssignment.overloading", "can't share a port"],
    ],
    [
      "that has only the top level's fault",
      { portAssignment: { overloading: true } },
      [{ inside, hairpinning: false }],
      ["portAssignment.overloading", "can't share a port"],
    ],
    [
      "with a preset against the top level's blocks",
      { portAssignment: { blockSize: 64 } },
      [{ inside, preset: "linux" }],
      ["policies[0].portAssignment.overloading", '"blockSize": 0'],
    ],
    [
      "with contiguity of an endpoint-dependent mapping",
      { mapping: ADM },
      [{ inside, portAssignment: { contiguity: true } }],
      ["policies[0].portAssignment.contiguity", "needs endpoint-independent"],
    ],
    [
      "with a pooling against the top level's deterministic",
      { portAssignment: { deterministic: {} } },
      [{ inside, pooling: "arbitrary" }],
      ["policies[0].pooling", '"arbitrary" can\'t go with deterministic'],
    ],
  ];
  for (const [name, top, policies, ...faults] of cases) {
    test(name, () => assertFaults({ ...base, ...top, policies }, faults));
  }

  test("is told besides faults of the top level", () => {
    assertFaults({ ...base, mapping: "x", policies: [{ inside, portAssignment: { overloading: true } }] }, [
      ["mapping", '"x" is not'],
    ]);
    assertFaults({ ...base, ttl: 1, policies: [{ inside, portAssignment: { overloading: true } }] }, [
      ["ttl"],
      ["policies[0].portAssignment.overloading"],
    ]);
  });
});

describe("timeout profiles", () => {
  const rules = (count: number) =>
    Array.from({ length: count }, (_, index) => ({
      protocol: "udp",
      ports: `${index + 1}`,
      seconds: index + 1,
    }));
  const policies = (count: number) =>
    Array.from({ length: count }, (_, index) => ({ inside: [`192.168.226.${index}`] }));

  test("are at most 255: one for the top level, each policy and each different rule", () => {
    parseConfig({ ...base, timeouts: { ports: rules(254) } });
    parseConfig({ ...base, policies: policies(254) });
    parseConfig({ ...base, timeouts: { ports: rules(4) }, policies: policies(50) });
    assertFaults({ ...base, timeouts: { ports: rules(255) } }, [["timeouts", "256 sets of timeouts", "255"]]);
    assertFaults({ ...base, policies: policies(255) }, [["policies", "256 sets"]]);
    assertFaults({ ...base, timeouts: { ports: rules(5) }, policies: policies(42) }, [
      ["policies", "258 sets"],
    ]);
  });

  test("are shared by rules of one protocol and time", () => {
    const same = (protocol: string) => rules(300).map((rule) => ({ ...rule, protocol, seconds: 10 }));
    parseConfig({ ...base, timeouts: { ports: [...same("udp"), ...same("tcp")] } });
  });
});
