/**
 * Small worlds to test in: two or three hosts, two remotes, so few ports that they run out, and the things that
 * can happen there. Operations are plain data; what "the third session" means is decided when they are run.
 */
import fc from "fast-check";
import { DEFAULTS, type ModelConfig } from "./nat-model.js";
import type { Protocol } from "./port-rules.js";

/** Runs for a property: its own number times NAPT_RUNS. */
export function runs(number: number): number {
  return Math.max(1, Math.round(number * Number(process.env.NAPT_RUNS ?? "1")));
}

/** The cases of an ordinary run: a red test is about the change at hand, and red again the next time. */
const ORDINARY_SEED = "1";

/**
 * Runs a property; a failure's message is the shrunk case's own, with what repeats it. NAPT_SEED=random looks for
 * new cases.
 */
export function check<T>(property: fc.IProperty<T>, number: number): void {
  const seed = process.env.NAPT_SEED ?? ORDINARY_SEED;
  const result = fc.check(property, {
    numRuns: runs(number),
    ...(seed === "random" ? {} : { seed: Number(seed) }),
  });
  if (!result.failed) return;
  const { errorInstance, counterexamplePath, numShrinks } = result;
  const message = errorInstance instanceof Error ? errorInstance.message : String(errorInstance);
  throw new Error(
    `${message}
(repeat with NAPT_SEED=${result.seed}, path ${counterexamplePath}; shrunk ${numShrinks} times)`,
  );
}

export const HOSTS = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
export const REMOTES = ["198.51.100.1", "198.51.100.2"];
export const STATIC_ADDRESS = "203.0.113.9";
const SOURCE_PORTS = [4000, 4001, 700, 5001, 5002];
const REMOTE_PORTS = [53, 80, 5001];

/** A TCP segment; what can't stand in the state of the session becomes "data". */
export type SegmentKind = "syn" | "synack" | "data" | "fin" | "rst" | "wild-rst";

/** What all packets of a sequence have. */
export interface Shape {
  segment: SegmentKind;
  /** The acknowledgement stops before the other side's FIN. */
  lateAck: boolean;
  ttl: number;
  id: number;
  df: boolean;
  length: number;
  /** TCP options of a SYN. */
  options: readonly number[];
}

/** `n` picks from a list that the run has by then, modulo its length. */
export type Operation =
  | {
      op: "send";
      protocol: Protocol;
      host: string;
      port: number;
      remote: string;
      remotePort: number;
      shape: Shape;
    }
  /** Outbound on a session that there is. */
  | { op: "again"; n: number; shape: Shape }
  /** Inbound on a session that there is. */
  | { op: "reply"; n: number; shape: Shape }
  /** Inbound to a public endpoint that is or was in use, from a remote of choice. */
  | { op: "knock"; n: number; remote: string; remotePort: number; shape: Shape }
  /** From inside to a public endpoint that is or was in use. */
  | { op: "hairpin"; n: number; host: string; port: number; shape: Shape }
  /** An ICMP error about a packet that left, or that came in. */
  | {
      op: "error";
      about: "sent" | "delivered";
      n: number;
      type: number;
      code: number;
      octets: number;
      wild: boolean;
    }
  | {
      op: "stray";
      kind: "inside" | "transit" | "multicast" | "own source" | "bad source" | "gre" | "unknown port";
    }
  | { op: "wait"; ms: number }
  /** Until a session's expiry, or 1 ms before or after it. */
  | { op: "wait for"; n: number; delta: number }
  | { op: "wait timer"; timer: keyof ModelConfig["timeouts"]; delta: number }
  | { op: "delete"; n: number }
  /** A new engine takes over by a snapshot, some ms later. */
  | { op: "restart"; ms: number };

export interface World {
  config: ModelConfig;
  seed: number;
  /** Sweep after every step; otherwise sessions end by themselves. */
  sweep: boolean;
  operations: Operation[];
}

const pick = fc.nat({ max: 30 });
const protocol = fc.constantFrom<Protocol>("udp", "udp", "tcp", "tcp", "icmp");
const delta = fc.constantFrom(-1, 0, 0, 1);

const shape: fc.Arbitrary<Shape> = fc.record({
  segment: fc.constantFrom<SegmentKind>(
    "data",
    "syn",
    "syn",
    "synack",
    "data",
    "fin",
    "fin",
    "rst",
    "wild-rst",
  ),
  lateAck: fc.boolean(),
  ttl: fc.constantFrom(64, 64, 64, 64, 2, 255, 1, 0),
  id: fc.nat({ max: 3 }),
  df: fc.boolean(),
  length: fc.nat({ max: 9 }),
  options: fc.constantFrom<readonly number[]>(
    [],
    [2, 4, 0x05, 0xb4],
    [2, 4, 0x02, 0x30],
    [1, 2, 4, 0x05, 0xb4, 3, 3, 7],
    [2, 3, 0x05, 0xb4],
    [3, 3, 7, 2, 4, 0xff, 0xff, 0],
    [8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 2, 4],
    [0, 2, 4, 0xff, 0xff, 0, 0, 0],
  ),
});

const weighted: [number, fc.Arbitrary<Operation>][] = [
  [
    8,
    fc.record({
      op: fc.constant("send" as const),
      protocol,
      host: fc.constantFrom(...HOSTS),
      port: fc.constantFrom(...SOURCE_PORTS),
      remote: fc.constantFrom(...REMOTES),
      remotePort: fc.constantFrom(...REMOTE_PORTS),
      shape,
    }),
  ],
  [6, fc.record({ op: fc.constant("again" as const), n: pick, shape })],
  [9, fc.record({ op: fc.constant("reply" as const), n: pick, shape })],
  [
    5,
    fc.record({
      op: fc.constant("knock" as const),
      n: pick,
      remote: fc.constantFrom(...REMOTES),
      remotePort: fc.constantFrom(...REMOTE_PORTS),
      shape,
    }),
  ],
  [
    5,
    fc.record({
      op: fc.constant("hairpin" as const),
      n: pick,
      host: fc.constantFrom(...HOSTS),
      port: fc.constantFrom(...SOURCE_PORTS),
      shape,
    }),
  ],
  [
    3,
    fc.record({
      op: fc.constant("error" as const),
      about: fc.constantFrom("sent" as const, "delivered" as const),
      n: pick,
      type: fc.constantFrom(3, 11, 12),
      code: fc.nat({ max: 1 }),
      octets: fc.constantFrom(8, 12, 20, 1000),
      wild: fc.boolean(),
    }),
  ],
  [
    1,
    fc.record({
      op: fc.constant("stray" as const),
      kind: fc.constantFrom(
        "inside" as const,
        "transit" as const,
        "multicast" as const,
        "own source" as const,
        "bad source" as const,
        "gre" as const,
        "unknown port" as const,
      ),
    }),
  ],
  [3, fc.record({ op: fc.constant("wait" as const), ms: fc.constantFrom(0, 1, 100, 1000) })],
  [3, fc.record({ op: fc.constant("wait for" as const), n: pick, delta })],
  [
    1,
    fc.record({
      op: fc.constant("wait timer" as const),
      timer: fc.constantFrom<keyof ModelConfig["timeouts"]>(
        "udp",
        "tcpEstablished",
        "tcpTransitory",
        "tcpTimeWait",
        "icmp",
      ),
      delta,
    }),
  ],
  [1, fc.record({ op: fc.constant("delete" as const), n: pick })],
  [1, fc.record({ op: fc.constant("restart" as const), ms: fc.constantFrom(0, 1, 4000) })],
];

export const operation: fc.Arbitrary<Operation> = fc.oneof(
  ...weighted.map(([weight, arbitrary]) => ({ weight, arbitrary })),
);

const behaviour = fc.constantFrom(
  "endpoint-independent" as const,
  "address-dependent" as const,
  "address-and-port-dependent" as const,
);

/** Ranges across the port classes, of a few ports, of one. */
const range = fc.constantFrom<string>("5000-5007", "5000-5003", "1020-1027", "5001", "40000-40100");

const forwards = fc.subarray<ModelConfig["forwards"][number]>([
  { protocol: "udp", outside: "203.0.113.1:5002", inside: "10.0.0.1:4000" },
  { protocol: "tcp", outside: "203.0.113.1:80", inside: "10.0.0.2:4001" },
  { protocol: "tcp", outside: "203.0.113.3:8080", inside: "10.0.0.1:8080" },
]);

/** The block size, where the engine does right with it. */
function blockSizeOf(choice: { blockSize: number; ranges: string[] }): number {
  const { blockSize, ranges } = choice;
  return ranges.includes("5001") ? 0 : blockSize; // larger than the range
}

export const config: fc.Arbitrary<ModelConfig> = fc
  .record({
    ranges: fc.array(range, { minLength: 1, maxLength: 2 }),
    mapping: behaviour,
    filtering: behaviour,
    order: fc.constantFrom("random" as const, "sequential" as const),
    preserve: fc.boolean(),
    parity: fc.boolean(),
    blockSize: fc.constantFrom(0, 0, 0, 1, 2, 3),
    pooling: fc.constantFrom("paired" as const, "arbitrary" as const),
    hairpinning: fc.constantFrom(true, true, true, false),
    forwards: fc.oneof(fc.constant<ModelConfig["forwards"]>([]), forwards),
    fixed: fc.boolean(),
    sessions: fc.constantFrom(100, 100, 3, 6),
    sessionsPerHost: fc.constantFrom(0, 0, 2),
    mtus: fc.constantFrom(
      { inside: 0, outside: 0 },
      { inside: 0, outside: 600 },
      { inside: 601, outside: 1500 },
    ),
    clampMss: fc.boolean(),
    ttl: fc.constantFrom("decrement" as const, "decrement" as const, "keep" as const),
    inboundRefresh: fc.boolean(),
    tcpPickup: fc.constantFrom(true, true, false),
    unmatched: fc.constantFrom("drop" as const, "pass" as const),
    scale: fc.constantFrom(1, 0.5, 30),
  })
  .map((choice) => ({
    ...DEFAULTS,
    inside: ["10.0.0.0/24"],
    outside: choice.ranges.map((ports, i): { address: string; ports: string } => ({
      address: `203.0.113.${i + 1}`,
      ports,
    })),
    mapping: choice.mapping,
    filtering: choice.filtering,
    portAssignment: {
      order: choice.order,
      preserve: choice.preserve,
      parity: choice.parity,
      blockSize: blockSizeOf(choice),
    },
    pooling: choice.pooling,
    hairpinning: choice.hairpinning,
    forwards: choice.forwards,
    static: choice.fixed ? [{ outside: STATIC_ADDRESS, inside: HOSTS[2]! }] : [],
    timeouts: {
      udp: 10 * choice.scale,
      tcpEstablished: 60 * choice.scale,
      tcpTransitory: 20 * choice.scale,
      tcpTimeWait: 8 * choice.scale,
      icmp: 5 * choice.scale,
    },
    limits: { sessions: choice.sessions, sessionsPerHost: choice.sessionsPerHost },
    mtu: choice.mtus,
    clampMss: choice.clampMss,
    ttl: choice.ttl,
    inboundRefresh: choice.inboundRefresh,
    tcpPickup: choice.tcpPickup,
    unmatched: choice.unmatched,
  }));

export function world(maxLength: number): fc.Arbitrary<World> {
  return fc
    .record({
      config,
      seed: fc.nat(),
      sweep: fc.boolean(),
      operations: fc.array(operation, { minLength: 1, maxLength, size: "max" }),
    })
    .map((one) => {
      // Which block has a free port depends on which ports only rest: the model knows only after sweeping.
      return { ...one, sweep: one.sweep || one.config.portAssignment.blockSize > 0 };
    });
}
