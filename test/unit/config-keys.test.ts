// The keys for carriers, other transports and single hosts: what they resolve to, and what is wrong in them.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseConfig } from "../../src/config/load.js";
import type { NatConfig, ResolvedNatConfig } from "../../src/config/schema.js";
import { assertFaults, base, defaults, type ExpectedFault } from "../support/config.js";

const EIM = "endpoint-independent";
const ADM = "address-dependent";
const APDM = "address-and-port-dependent";

describe("a right config", () => {
  const cases: [name: string, given: Partial<NatConfig>, resolved: Partial<ResolvedNatConfig>][] = [
    [
      "a mapping for some protocols leaves the default for the others",
      { mapping: { udp: ADM, dccp: APDM } },
      { mapping: { tcp: EIM, udp: ADM, icmp: EIM, udplite: EIM, dccp: APDM } },
    ],
    [
      "a filtering for some protocols",
      { filtering: { icmp: EIM, tcp: ADM, udplite: EIM } },
      { filtering: { tcp: ADM, udp: APDM, icmp: EIM, udplite: EIM, dccp: APDM } },
    ],
    [
      "blocks",
      { portAssignment: { blockSize: 512, blocksPerHost: 4, blockHold: 0.5, holdDown: 0, holdDownPorts: 0 } },
      {
        portAssignment: {
          ...defaults.portAssignment,
          blockSize: 512,
          blocksPerHost: 4,
          blockHold: 0.5,
          holdDown: 0,
          holdDownPorts: 0,
        },
      },
    ],
    [
      "overloading, where one protocol is endpoint-dependent",
      { mapping: { udp: APDM }, portAssignment: { overloading: true } },
      {
        mapping: { tcp: EIM, udp: APDM, icmp: EIM, udplite: EIM, dccp: EIM },
        portAssignment: { ...defaults.portAssignment, overloading: true },
      },
    ],
    [
      "contiguity, where one protocol is endpoint-independent",
      { mapping: { tcp: APDM, udp: EIM }, portAssignment: { contiguity: true } },
      {
        mapping: { tcp: APDM, udp: EIM, icmp: EIM, udplite: EIM, dccp: EIM },
        portAssignment: { ...defaults.portAssignment, contiguity: true },
      },
    ],
    [
      "deterministic",
      { portAssignment: { deterministic: {} } },
      { portAssignment: { ...defaults.portAssignment, deterministic: { dynamic: 1 } } },
    ],
    [
      "deterministic without a dynamic pool, a block size then means nothing",
      { portAssignment: { blockSize: 64512, deterministic: { dynamic: 0 } } },
      { portAssignment: { ...defaults.portAssignment, blockSize: 64512, deterministic: { dynamic: 0 } } },
    ],
    [
      "a dynamic block as large as the pool",
      {
        inside: ["198.51.100.0/28"],
        portAssignment: { blockSize: 8064, deterministic: { dynamic: 2 } },
      },
      {
        inside: ["198.51.100.0/28"],
        portAssignment: { ...defaults.portAssignment, blockSize: 8064, deterministic: { dynamic: 2 } },
      },
    ],
    ["soft pooling", { pooling: "soft-paired" }, { pooling: "soft-paired" }],
    [
      "exempt destinations",
      {
        exempt: [
          "198.51.100.0/24",
          "10.0.0.1",
          { destination: "203.0.113.128/25", protocol: "tcp", ports: "80" },
          { destination: "0.0.0.0/32".replace("0.0.0.0", "100.64.0.0"), ports: "1-1023" },
          { destination: "192.0.2.0/24", protocol: "esp" },
        ],
      },
      {
        exempt: [
          { destination: "198.51.100.0/24" },
          { destination: "10.0.0.1/32" },
          { destination: "203.0.113.128/25", protocol: "tcp", ports: "80-80" },
          { destination: "100.64.0.0/32", ports: "1-1023" },
          { destination: "192.0.2.0/24", protocol: "esp" },
        ],
      },
    ],
    [
      "protocols and their forwards",
      {
        protocols: { udplite: true, dccp: true, sctp: true },
        forwards: [
          { protocol: "udplite", outside: "203.0.113.1:80", inside: "192.168.226.5:8080" },
          { protocol: "dccp", outside: "203.0.113.1:80", inside: "192.168.226.5:8080" },
          { protocol: "sctp", outside: "203.0.113.1:80", inside: "192.168.226.5:80" },
        ],
      },
      {
        protocols: { ...defaults.protocols, udplite: true, dccp: true, sctp: true },
        forwards: [
          { protocol: "udplite", outside: "203.0.113.1:80", inside: "192.168.226.5:8080" },
          { protocol: "dccp", outside: "203.0.113.1:80", inside: "192.168.226.5:8080" },
          { protocol: "sctp", outside: "203.0.113.1:80", inside: "192.168.226.5:80" },
        ],
      },
    ],
    ["gateways", { alg: { ftp: true } }, { alg: { ftp: true, pptp: false } }],
    [
      "opening and closing take tcpTransitory's time",
      { timeouts: { tcpTransitory: 100, tcpClosing: 50 } },
      { timeouts: { ...defaults.timeouts, tcpTransitory: 100, tcpOpening: 100, tcpClosing: 50 } },
    ],
    [
      "opening has a time of its own",
      { timeouts: { tcpOpening: 50 } },
      { timeouts: { ...defaults.timeouts, tcpOpening: 50 } },
    ],
    [
      "timeouts by port",
      { timeouts: { ports: [{ protocol: "udp", ports: "53", seconds: 10 }] } },
      { timeouts: { ...defaults.timeouts, ports: [{ protocol: "udp", ports: "53-53", seconds: 10 }] } },
    ],
    ["ports of a host", { limits: { portsPerHost: 9 } }, { limits: { ...defaults.limits, portsPerHost: 9 } }],
    [
      "ports of a host by protocol",
      { limits: { portsPerHost: { udp: 9 } } },
      { limits: { ...defaults.limits, portsPerHost: { tcp: 0, udp: 9, icmp: 0 } } },
    ],
    [
      "rates",
      { limits: { sessionRate: 5, sessionRatePerHost: 6, icmpErrorRate: 1, whenFull: "evict" } },
      {
        limits: {
          ...defaults.limits,
          sessionRate: 5,
          sessionRatePerHost: 6,
          icmpErrorRate: 1,
          whenFull: "evict",
        },
      },
    ],
    ["the smallest MTU", { mtu: { outside: 68 } }, { mtu: { inside: 0, outside: 68 } }],
    ["a liberal TCP", { tcpLiberal: true }, { tcpLiberal: true }],
  ];
  for (const [name, given, resolved] of cases) {
    test(name, () => {
      const parsed = parseConfig({ ...base, ...given });
      assert.deepEqual(parsed, { ...defaults, ...resolved });
      assert.deepEqual(parseConfig(parsed), parsed, "parses to itself");
      assert.equal(JSON.stringify(parseConfig(parsed)), JSON.stringify(parsed), "in the same order");
    });
  }

  test("forwards into a host's own deterministic range, into the dynamic pool and elsewhere", () => {
    // 14 hosts and 2 dynamic shares of 4032 ports each
    const forward = (outside: string, inside: string) => ({ protocol: "tcp", outside, inside }) as const;
    parseConfig({
      inside: ["198.51.100.0/28"],
      outside: ["203.0.113.1"],
      portAssignment: { deterministic: { dynamic: 2 } },
      forwards: [
        forward("203.0.113.1:5056", "198.51.100.2:80"),
        forward("203.0.113.1:57472", "198.51.100.2:80"),
        forward("203.0.113.1:80", "198.51.100.2:80"),
        forward("203.0.113.2:5055", "198.51.100.2:80"),
      ],
    });
  });
});

describe("a wrong config", () => {
  const forward = { protocol: "tcp", outside: "203.0.113.1:80", inside: "192.168.226.5:80" };
  const deterministic = (dynamic = 1) => ({ portAssignment: { deterministic: { dynamic } } });
  const cases: [name: string, given: object, ...faults: ExpectedFault[]][] = [
    [
      "a preset that nobody knows",
      { preset: "cng" },
      ["preset", '"cng" is not "rfc", "home-router"', 'did you mean "cgn"?'],
    ],
    ["a mapping of a protocol", { mapping: { tcp: "none" } }, ["mapping.tcp", '"none" is not', EIM]],
    ["a mapping of no protocol", { mapping: { tpc: EIM } }, ["mapping.tpc", "did you mean tcp?"]],
    ["a filtering that is a number", { filtering: 1 }, ["filtering", "1 is not", APDM]],
    ["no blocks", { portAssignment: { blocksPerHost: -1 } }, ["portAssignment.blocksPerHost", "-1"]],
    [
      "a hold below 0",
      { portAssignment: { blockHold: -1, holdDown: "1" } },
      ["portAssignment.blockHold", "-1 is not a time in seconds; give a number from 0"],
      ["portAssignment.holdDown", '"1" is not a time'],
    ],
    [
      "too many ports held down",
      { portAssignment: { holdDownPorts: 65536 } },
      ["portAssignment.holdDownPorts"],
    ],
    [
      "deterministic is a switch",
      { portAssignment: { deterministic: true } },
      ["portAssignment.deterministic", "true is not an object; give one with the keys dynamic"],
    ],
    ["an exempt number", { exempt: [4] }, ["exempt[0]", "4 is neither a prefix such as"]],
    ["an exempt name", { exempt: ["example.org"] }, ["exempt[0]", '"example.org" is not an address']],
    ["exempt host bits", { exempt: ["198.51.100.1/24"] }, ["exempt[0]", "no host bits"]],
    ["exempt multicast", { exempt: [{ destination: "224.0.0.0/4" }] }, ["exempt[0].destination", "unicast"]],
    [
      "an exempt protocol and ports",
      { exempt: [{ destination: "198.51.100.1", protocol: "tls", ports: "0" }] },
      ["exempt[0].protocol", '"tls" is not "tcp", "udp"'],
      ["exempt[0].ports", '"0" is not a port range', '"80-90"'],
    ],
    [
      "exempt ports of what has none",
      { exempt: ["192.0.2.0/24", { destination: "198.51.100.1", protocol: "gre", ports: "1" }] },
      ["exempt[1].ports", "gre has no ports"],
    ],
    [
      "an exempt part of inside",
      { exempt: ["192.168.226.128/25"] },
      ["exempt[0]", "192.168.226.128/25 is within the inside prefix 192.168.226.0/24"],
    ],
    [
      "an exempt prefix around inside",
      { exempt: ["192.168.0.0/16"] },
      ["exempt[0]", "192.168.0.0/16 holds the inside prefix 192.168.226.0/24"],
    ],
    [
      "exempt public addresses",
      {
        outside: ["203.0.113.0/30"],
        static: [{ outside: "203.0.113.9", inside: "192.168.226.7" }],
        forwards: [{ ...forward, outside: "203.0.113.17:80" }],
        exempt: ["203.0.113.2", "203.0.113.8/30", "203.0.113.16/30", "203.0.113.4/30"],
      },
      ["exempt[0]", "203.0.113.2/32 holds 203.0.113.2 of outside[0]"],
      ["exempt[1]", "203.0.113.8/30 holds 203.0.113.9 of static[0]"],
      ["exempt[2]", "203.0.113.16/30 holds 203.0.113.17 of forwards[0]"],
    ],
    ["an unknown transport", { protocols: { scpt: true } }, ["protocols.scpt", "did you mean sctp?"]],
    ["a transport by name", { protocols: { gre: "on" } }, ["protocols.gre", '"on" is not true or false']],
    ["an unknown gateway", { alg: { sip: true } }, ["alg.sip", "known are ftp, pptp"]],
    [
      "a forward of a transport that is off",
      { protocols: { dccp: true }, forwards: [{ ...forward, protocol: "udplite" }] },
      ["forwards[0].protocol", 'udplite is not translated; give "protocols": { "udplite": true } as well'],
    ],
    [
      "an SCTP forward to another port",
      { protocols: { sctp: true }, forwards: [{ ...forward, protocol: "sctp", inside: "192.168.226.5:81" }] },
      ["forwards[0].inside", "SCTP keeps its ports; give port 80"],
    ],
    ...[
      "tcpOpening",
      "tcpClosing",
      "dccpEstablished",
      "dccpTransitory",
      "sctpEstablished",
      "sctpTransitory",
      "gre",
      "esp",
      "other",
    ].map((key): [string, object, ExpectedFault] => [
      key,
      { timeouts: { [key]: 0 } },
      [`timeouts.${key}`, "0 is not a time in seconds"],
    ]),
    [
      "a port rule with nothing right",
      { timeouts: { ports: [{ protocol: "icmp", ports: "0-9", seconds: 0, port: 1 }] } },
      ["timeouts.ports[0].protocol", '"icmp" is not "tcp" or "udp"'],
      ["timeouts.ports[0].ports", '"0-9" is not a port range', '"1-1023"'],
      ["timeouts.ports[0].seconds", "0 is not a time"],
      ["timeouts.ports[0].port", "did you mean ports?"],
    ],
    [
      "ports of a host",
      { limits: { portsPerHost: "9" } },
      ["limits.portsPerHost", '"9" is neither a count nor an object with tcp, udp and icmp'],
    ],
    [
      "ports of a host below 0",
      { limits: { portsPerHost: -1 } },
      ["limits.portsPerHost", "-1 is not a count"],
    ],
    [
      "ports of a host by protocol",
      { limits: { portsPerHost: { tcp: -1 } } },
      ["limits.portsPerHost.tcp", "-1 is not a count"],
    ],
    [
      "rates",
      { limits: { sessionRate: -1, sessionRatePerHost: 0.5, icmpErrorRate: 0, whenFull: "drop" } },
      ["limits.sessionRatePerHost", "0.5"],
      ["limits.sessionRate", "-1"],
      ["limits.icmpErrorRate", "0 is not a count; give a whole number from 1"],
      ["limits.whenFull", '"drop" is not "refuse" or "evict"'],
    ],
    [
      "MTUs",
      { mtu: { inside: 67, outside: 65536 } },
      ["mtu.inside", "67 is not an MTU; give 0 for none, or a whole number from 68 to 65535"],
      ["mtu.outside", "65536 is not an MTU"],
    ],
    ["MTUs below 0", { mtu: { inside: -1 } }, ["mtu.inside", "-1 is not an MTU"]],
    ["tcpLiberal", { tcpLiberal: 1 }, ["tcpLiberal", "1 is not true or false"]],
    [
      "overloading with endpoint-independent mapping",
      { portAssignment: { overloading: true } },
      ["portAssignment.overloading", `give "mapping": "${ADM}" or "${APDM}"`],
    ],
    [
      "overloading with blocks and fixed ranges",
      { mapping: ADM, portAssignment: { overloading: true, blockSize: 64, deterministic: {} } },
      ["portAssignment.overloading", 'give "blockSize": 0'],
      ["portAssignment.overloading", "leave deterministic out"],
    ],
    [
      "contiguity with endpoint-dependent mapping",
      { mapping: APDM, portAssignment: { contiguity: true } },
      ["portAssignment.contiguity", "needs endpoint-independent mapping"],
    ],
    [
      "deterministic with another pooling",
      { ...deterministic(), pooling: "soft-paired" },
      ["pooling", '"soft-paired" can\'t go with deterministic', '"paired"'],
    ],
    [
      "deterministic with differing ranges",
      { ...deterministic(), outside: ["203.0.113.1", { address: "203.0.113.2", ports: "1024-60000" }] },
      ["outside[1].ports", "1024-60000 differs from 1024-65535"],
    ],
    [
      "deterministic with system ports",
      { ...deterministic(), outside: [{ address: "203.0.113.1", ports: "1023-65535" }] },
      ["outside[0].ports", "1023-65535 has system ports", "RFC 7422", "begin at 1024"],
    ],
    [
      "deterministic with a host counted twice",
      { ...deterministic(), inside: ["10.0.1.0/24", "10.0.0.0/16", "10.1.0.0/16", "10.1.0.0/16"] },
      ["inside[0]", "10.0.1.0/24 is within inside[1]"],
      ["inside[3]", "10.1.0.0/16 is within inside[2]"],
    ],
    [
      "deterministic with too many hosts",
      {
        ...deterministic(),
        inside: ["10.0.0.0/16"],
        outside: [{ address: "203.0.113.1", ports: "1024-65535" }],
      },
      [
        "portAssignment.deterministic",
        "65534 hosts on 1 addresses are 65534 for each",
        "64512 ports are too few",
      ],
    ],
    [
      "a dynamic block larger than the pool",
      {
        inside: ["198.51.100.0/28"],
        portAssignment: { blockSize: 8065, deterministic: { dynamic: 2 } },
      },
      ["portAssignment.blockSize", "8065 is more than the 8064 ports of the dynamic pool"],
    ],
    [
      "a forward in another host's range",
      {
        inside: ["198.51.100.0/28"],
        ...deterministic(2),
        forwards: [{ protocol: "udp", outside: "203.0.113.1:5055", inside: "198.51.100.2:5055" }],
      },
      ["forwards[0].outside", "port 5055 is one of 198.51.100.1's 1024-5055; give another"],
    ],
    [
      "endless lists within",
      { timeouts: { ports: new Array(2 ** 32 - 1) }, policies: [{ inside: new Array(65537) }] },
      ["timeouts.ports", "4294967295 entries"],
      ["policies[0].inside", "65537 entries; give at most 65536"],
    ],
    [
      "an endless list of a policy's rules",
      { policies: [{ inside: ["192.168.226.1"], timeouts: { ports: new Array(2 ** 32 - 1) } }] },
      ["policies[0].timeouts.ports", "4294967295 entries"],
    ],
  ];
  for (const [name, given, ...faults] of cases) {
    test(name, () => assertFaults({ ...base, ...given }, faults));
  }

  test("as many hosts as there is room for are right, one more is not", () => {
    // Two addresses with 8 ports each, a share of it dynamic: 7 hosts at most for each.
    const config = (hosts: number) => ({
      inside: Array.from({ length: hosts }, (_, index) => `10.0.0.${index}/32`),
      outside: [{ address: "203.0.113.2/31", ports: "2000-2007" }],
      portAssignment: { deterministic: { dynamic: 1 } },
    });
    parseConfig(config(14));
    assertFaults(config(15), [["portAssignment.deterministic", "15 hosts on 2 addresses are 8 for each"]]);
  });
});
