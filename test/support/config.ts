// What tests of the config share: the least config, what it resolves to, and how faults are compared.
import assert from "node:assert/strict";
import { parseConfig } from "../../src/config/load.js";
import type { ResolvedNatConfig } from "../../src/config/schema.js";
import { ConfigError } from "../../src/errors.js";

export const base = { inside: ["192.168.226.0/24"], outside: ["203.0.113.1"] };

export const defaults: ResolvedNatConfig = {
  inside: ["192.168.226.0/24"],
  outside: [{ address: "203.0.113.1", ports: "1024-65535" }],
  mapping: "endpoint-independent",
  filtering: "address-and-port-dependent",
  portAssignment: {
    order: "random",
    preserve: false,
    parity: true,
    blockSize: 0,
    blocksPerHost: 0,
    blockHold: 0,
    holdDown: 120,
    holdDownPorts: 8192,
    overloading: false,
    contiguity: false,
  },
  pooling: "paired",
  hairpinning: true,
  forwards: [],
  static: [],
  exempt: [],
  protocols: { udplite: false, dccp: false, sctp: false, gre: false, esp: false, other: false },
  alg: { ftp: false, pptp: false },
  timeouts: {
    udp: 300,
    tcpEstablished: 7440,
    tcpTransitory: 240,
    tcpOpening: 240,
    tcpClosing: 240,
    tcpTimeWait: 240,
    icmp: 60,
    dccpEstablished: 7440,
    dccpTransitory: 240,
    sctpEstablished: 7440,
    sctpTransitory: 240,
    gre: 300,
    esp: 300,
    other: 300,
    fragment: 30,
    ports: [],
  },
  limits: {
    sessions: 1048576,
    sessionsPerHost: 0,
    portsPerHost: 0,
    sessionRatePerHost: 0,
    sessionRate: 0,
    icmpErrorRate: 1000,
    fragments: 1024,
    whenFull: "refuse",
  },
  mtu: { inside: 0, outside: 0 },
  clampMss: false,
  ttl: "decrement",
  icmpErrors: false,
  inboundRefresh: false,
  tcpPickup: true,
  tcpLiberal: false,
  verifyHeaderChecksum: true,
  unmatched: "drop",
  events: { expiring: 0, poolThreshold: 0.9 },
  policies: [],
};

/** The faults of a config, as `path: message` lines. */
export function faultsOf(value: unknown): string[] {
  try {
    parseConfig(value);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    assert.equal(error.code, "NAT_ERR_CONFIG");
    return error.issues.map(({ path, message }) => `${path}: ${message}`);
  }
  return [];
}

/** A fault: its path and parts of its message. */
export type ExpectedFault = readonly [path: string, ...parts: string[]];

/** Checks that there are exactly these faults. */
export function assertFaults(value: unknown, expected: readonly ExpectedFault[]) {
  const faults = faultsOf(value);
  assert.deepEqual(
    faults.map((fault) => fault.slice(0, fault.indexOf(": "))),
    expected.map(([path]) => path),
    faults.join("\n"),
  );
  for (const [index, [, ...parts]] of expected.entries()) {
    for (const part of parts) assert.ok(faults[index]?.includes(part), `${faults[index]} has no ${part}`);
  }
}
