// The native addon: its types, and the one place that loads it.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { NatError } from "./errors.js";
import { HOST_QUOTAS, NAT_EVENTS } from "./events/event.js";
import type { GatewayStats } from "./gateway/stats.js";
import { DIRECTIONS, REASONS, VERDICTS } from "./verdict.js";

/** A config as native/addon/config_reader.cpp reads it: host-order numbers, times in ns. */
export interface CompiledConfig {
  /** Rows of network, mask, policy; the first that has a host counts. */
  inside: Uint32Array;
  /** Rows of address, lowest port, highest port. */
  outside: Uint32Array;
  /** Rows of protocol, outside address and port, inside address and port. */
  forwards: Uint32Array;
  /** Rows of outside address, inside address. */
  statics: Uint32Array;
  /** Rows of network, mask, protocol (0: any), lowest port, highest port (0, 65535: any). */
  exempt: Uint32Array;
  /** Rows of protocol (0: any), address, lowest port, highest port: public endpoints that other shards own. */
  siblings: Uint32Array;
  /** Which shard this is, from 0, and of how many. */
  shard: number;
  shards: number;
  /** The top level's first. */
  policies: CompiledPolicy[];
  /** A row of 14 a profile: first each policy's own, then those of its port rules. */
  timeouts: Float64Array;
  /** The policy of each profile. */
  profilePolicies: Uint32Array;
  /** Rows of policy, protocol, lowest port, highest port, profile; the first that fits counts. */
  portTimeouts: Uint32Array;
  fragmentTimeout: number;
  blockSize: number;
  blocksPerHost: number;
  blockHold: number;
  holdDown: number;
  holdDownPorts: number;
  /** Ports of a host, hosts of a public address (M and C of RFC 7422); empty when not deterministic. */
  deterministic: Uint32Array;
  /** Rows of first host, count, in the order that hosts are numbered in. */
  deterministicHosts: Uint32Array;
  /** Bits: 1 UDP-Lite, 2 DCCP, 4 SCTP, 8 GRE, 16 ESP, 32 all others. */
  protocols: number;
  /** Bits: 1 FTP, 2 PPTP. */
  algs: number;
  sessionLimit: number;
  fragmentLimit: number;
  sessionRate: number;
  icmpErrorRate: number;
  evict: boolean;
  insideMtu: number;
  outsideMtu: number;
  clampMss: boolean;
  /** 0: none. */
  insideAddress: number;
  decrementTtl: boolean;
  icmpErrors: boolean;
  verifyHeaderChecksum: boolean;
  passUnmatched: boolean;
  expiringBefore: number;
  /** Thousandths. */
  poolThreshold: number;
}

/** What may differ between hosts. */
export interface CompiledPolicy {
  /** Behaviours of TCP, UDP, ICMP, UDP-Lite and DCCP. */
  mapping: Uint32Array;
  filtering: Uint32Array;
  randomPorts: boolean;
  preservePorts: boolean;
  parity: boolean;
  overloading: boolean;
  contiguity: boolean;
  /** 0 paired, 1 soft-paired, 2 arbitrary. */
  pooling: number;
  hairpinning: boolean;
  inboundRefresh: boolean;
  tcpPickup: boolean;
  tcpLiberal: boolean;
  sessionLimit: number;
  sessionRate: number;
  /** Most ports of a host: in all, TCP's, UDP's, ICMP's. */
  portLimits: Uint32Array;
}

/** Keeps a batch's memory for the engine, which knows it by a number. */
export interface NativeBatch {
  readonly number: number;
}

/** What the engine puts out: bytes, kind, side (0 outside, 1 inside, 2 a sibling), tag, cause, time in ms. */
export type NativePacket = [Buffer, number, number, number, number, number];

/** An explicit mapping: reason, public address and port, permanent, end in ms. */
export type NativeGrant = [number, number, number, boolean, number];

/** What is asked for: protocol, inside and public endpoint (0: any), exact, lifetime and now in ms. */
export type NativeRequest = readonly [
  protocol: number,
  inside: number,
  insidePort: number,
  outside: number,
  outsidePort: number,
  exact: boolean,
  lifetime: number,
  now: number,
];

/**
 * What would become of a packet (native/addon/explain.cpp): packed result, its bytes, time in ms, policy, rows of
 * sessions, which of them are their bindings' only ones, and of what would be put out bytes, kind and side.
 */
export type NativeExplanation = [
  packed: number,
  packet: Buffer,
  at: number,
  policy: number,
  rows: Float64Array,
  alone: number,
  emitted: [packet: Buffer, kind: number, side: number][],
];

/** One translator (native/addon/engine.h). Times are ms. */
export interface Engine {
  translate(packet: Uint8Array, now: number, wire?: number, flags?: number, tag?: number): number;
  translateBatch(batch: number, now: number): number;
  explain(packet: Uint8Array, now: number, wire: number, flags: number): NativeExplanation;
  createBatch(memory: Uint8Array, slots: number): NativeBatch;
  pending(): number;
  take(): NativePacket[];
  /** Bits, by NAT_EVENTS. */
  recordEvents(mask: number): void;
  /** Rows as those of `read`: how many were filled. */
  takeEvents(rows: Float64Array): number;
  eventsLost(): number;
  flush(): void;
  sweep(now: number | undefined, budget: number): number;
  read(from: number, rows: Float64Array): [filled: number, next: number];
  find(
    protocol: number,
    inside: number,
    insidePort: number,
    remote: number,
    remotePort: number,
    row: Float64Array,
  ): boolean;
  remove(slot: number): void;
  /** `filters`: rows of address, mask, port. */
  map(...request: [...NativeRequest, filters: Uint32Array]): NativeGrant;
  keep(...request: [...NativeRequest, remote: number, remotePort: number]): NativeGrant;
  findMapping(protocol: number, inside: number, insidePort: number): NativeGrant;
  unmap(protocol: number, inside: number, insidePort: number): boolean;
  publicAddressOf(inside: number): number;
  readStats(counters: Float64Array): void;
  /** Adds sessions from a slot on, some thousands: TCP's by phase, then all others by protocol; where to go on, or 0. */
  countSessions(from: number, counts: Float64Array): number;
  /** Rows of public address, ports, blocks, blocks in use, ports in use of TCP, UDP, ICMP, UDP-Lite, DCCP and GRE. */
  readPorts(from: number, rows: Float64Array): [filled: number, next: number];
  /** Ports in use of a public address by its number in the pool: of each protocol 64 numbers, one for 1024 ports. */
  readPortRanges(address: number, ranges: Float64Array): boolean;
  /** Writes records of sessions from a slot on; `next` is 0 at the end. */
  save(from: number, now: number, room: Uint8Array): [bytes: number, next: number];
  /** Takes in records from the first on: those that are the first of their binding, or the others. */
  restore(
    records: Uint8Array,
    first: boolean,
    now: number,
    passed: number,
  ): [bytes: number, restored: number, expired: number, refused: number];
  reconfigure(config: CompiledConfig): void;
  close(): void;
  /** Bits of `wanted`: 1 inside, 2 outside, 4 dropped packets, 8 others. Its number; 0 when there are too many. */
  openTap(memory: Uint8Array, wanted: number, snaplen: number): number;
  closeTap(number: number): void;
}

/** One of a gateway's networks: its interface, and addresses as numbers in host order. */
export interface NativeNetwork {
  kind: string;
  name: string;
  /** The gateway's hardware address there, for kinds that have none of their own. */
  mac: Uint8Array;
  /** A BPF program that tells what is the gateway's; empty: all. */
  filter: Uint8Array;
  /** The gateway's own address, unless it is one of the NAT's public ones; then 0. */
  local: number;
  network: number;
  mask: number;
  /** 0: none. */
  router: number;
}

/** What a port is now. */
export interface NativeLink {
  mac: Buffer;
  mtu: number;
  up: boolean;
}

/** Sides of a gateway. */
export const INSIDE = 0;
export const OUTSIDE = 1;
export type NativeSide = typeof INSIDE | typeof OUTSIDE;

/** A frame that the gateway's thread does not handle; `hop` is a next hop whose hardware address is missing, or 0. */
export type NativePunt = [side: NativeSide, hop: number, frame: Buffer, offload: Buffer];

/** A gateway's thread between two ports (native/addon/gateway_handle.h). */
export interface NativeGateway {
  start(): void;
  stop(): void;
  describe(side: NativeSide): NativeLink;
  /** Of what goes to a side; 0: any. */
  setMtu(side: NativeSide, mtu: number): void;
  /** Whether the thread looks for frames all the time, and never sleeps. */
  setBusyPoll(on: boolean): void;
  /** Addresses in host order; nobody on the network is known any more. */
  setNetwork(side: NativeSide, network: number, mask: number, router: number): void;
  /** False when the port can't. */
  setFilter(side: NativeSide, program: Uint8Array): boolean;
  setNeighbour(side: NativeSide, address: number, mac: Uint8Array): void;
  forgetNeighbour(side: NativeSide, address: number): void;
  /** Sends a frame, with `offload` one that waited; with `route` to its packet's next hop, whoever that is. */
  inject(side: NativeSide, frame: Uint8Array, offload?: Uint8Array, route?: boolean): void;
  takePunts(): NativePunt[];
  readCounters(): GatewayStats;
}

interface Addon {
  Engine: new (config: CompiledConfig, seed: BigUint64Array) => Engine;
  /** Only on Linux. */
  Gateway?: new (
    engine: Engine,
    /** Ms of the engine's clock, and what to add to them for those of CLOCK_MONOTONIC. */
    now: number,
    offset: number,
    inside: NativeNetwork,
    outside: NativeNetwork,
    onPunts: () => void,
    onLinks: () => void,
  ) => NativeGateway;
  layout: {
    verdicts: string[];
    directions: string[];
    reasons: string[];
    tcpPhases: string[];
    events: string[];
    quotas: string[];
    tapKinds: string[];
    batchMagic: number;
    headerBytes: number;
    descriptorBytes: number;
    sessionFields: number;
    sessionKinds: number;
    portFields: number;
    tapHeaderBytes: number;
    tapRecordBytes: number;
    counters: number;
    eventRing: number;
  };
}

/** Phases of a TCP session (native/nat/tcp.h). */
export const TCP_PHASES = ["opening", "established", "half-closed", "closing", "time-wait", "reset"] as const;
export type TcpPhase = (typeof TCP_PHASES)[number];

/** What a packet is that a tap is shown (native/nat/tap.h). */
export const TAP_KINDS = [
  "translated",
  "released",
  "piece",
  "rewritten",
  "originated",
  "delayed",
  "own",
] as const;
export type TapKind = (typeof TAP_KINDS)[number];

/** Numbers that both languages build memory by. */
export const LAYOUT = {
  batchMagic: 0x6e617001,
  headerBytes: 64,
  descriptorBytes: 32,
  sessionFields: 18,
  sessionKinds: 262,
  portFields: 10,
  counters: 55,
  eventRing: 65536,
  tapHeaderBytes: 128,
  tapRecordBytes: 64,
} as const;

function load(): Addon {
  // Tests run the same suite against a build with sanitizers.
  const path = process.env.NAPT_NATIVE ?? join(__dirname, "..", "build", "Release", "napt.node");
  if (!existsSync(path)) {
    throw new NatError(
      "NAT_ERR_NATIVE",
      `the native addon is missing: ${path}; run "npm install" to build it`,
    );
  }
  const addon = require(path) as Addon;
  const { layout } = addon;
  const tables: [string, readonly string[], readonly string[]][] = [
    ["verdicts", VERDICTS, layout.verdicts],
    ["directions", DIRECTIONS, layout.directions],
    ["reasons", REASONS, layout.reasons],
    ["tcpPhases", TCP_PHASES, layout.tcpPhases],
    ["events", NAT_EVENTS, layout.events],
    ["quotas", HOST_QUOTAS, layout.quotas],
    ["tapKinds", TAP_KINDS, layout.tapKinds],
  ];
  const differing = tables.filter(([, ours, theirs]) => ours.join() !== theirs.join()).map(([name]) => name);
  for (const key of Object.keys(LAYOUT) as (keyof typeof LAYOUT)[]) {
    if (LAYOUT[key] !== layout[key]) differing.push(`${key} (${LAYOUT[key]}, addon ${layout[key]})`);
  }
  if (differing.length > 0) {
    throw new NatError(
      "NAT_ERR_NATIVE",
      `the native addon is of another version (${differing.join(", ")} differ); run "npm run build"`,
    );
  }
  return addon;
}

/** The loaded addon. */
export const native: Addon = load();

/** What stands in for the engine of a closed `Nat`: any use of it says so. */
export const closedEngine = new Proxy({} as Engine, {
  get() {
    throw new NatError("NAT_ERR_CLOSED", "this Nat is closed");
  },
});

/** Runs a call whose native errors carry one of our codes, and makes them ours. */
export function guarded<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw code === "NAT_ERR_MEMORY" ? new NatError(code, message) : error;
  }
}
