/**
 * The scene of an attack: a NAT with a clock of its own, inside hosts in 10.0.0.0/8, everybody else outside.
 * Attackers are called so; 192.0.2.0/24 is where outside ones send from.
 */
import { equal, ok } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type DropReason, Nat, type NatConfig, type Session, type Verdict } from "../../src/index.js";
import {
  decode,
  endpoint,
  endpoints,
  endpointText,
  replyTo,
  type TcpFields,
  tcp,
  udp,
} from "../support/packets.js";

/** The public address. */
export const PUBLIC = "203.0.113.1";
/** A host that minds its own business, its neighbour who does not, and a server that both talk to. */
export const VICTIM = "10.0.0.1:4000";
export const INSIDER = "10.0.0.66:4000";
export const SERVER = "198.51.100.7:443";
export const OUTSIDER = "192.0.2.66:6666";

export const SECOND = 1000;

/** What became of a packet, and what it is now. */
export interface Outcome {
  readonly verdict: Verdict["verdict"];
  readonly direction: Verdict["direction"];
  readonly reason: DropReason | null;
  readonly packet: Uint8Array;
  /** `address:port` that it comes from and goes to now. */
  readonly from: string;
  readonly to: string;
}

export class Scene {
  readonly nat: Nat;
  /** ms */
  now = 0;

  constructor(config: Partial<NatConfig> = {}, seed = 1) {
    this.nat = new Nat({ inside: ["10.0.0.0/8"], outside: [PUBLIC], ...config }, { seed });
  }

  [Symbol.dispose](): void {
    this.nat.close();
  }

  /** Hands a copy of a packet in. */
  hand(original: Uint8Array): Outcome {
    const packet = original.slice();
    const { verdict, direction, reason } = this.nat.translate(packet, { now: this.now });
    const { src, dst } = endpoints(decode(packet));
    return { verdict, direction, reason, packet, from: endpointText(src), to: endpointText(dst) };
  }

  /** Hands a packet in that has to come through. */
  pass(original: Uint8Array): Outcome {
    const outcome = this.hand(original);
    equal(outcome.verdict, "forwarded", `${outcome.from} > ${outcome.to}: ${outcome.reason}`);
    return outcome;
  }

  /** A UDP flow that the remote answered; the public endpoint. */
  exchange(inside: string, remote: string): string {
    const { packet, from } = this.pass(udp({ src: inside, dst: remote, payload: "question" }));
    this.pass(replyTo(packet));
    return from;
  }

  /** The live session of a flow. */
  session(protocol: "tcp" | "udp", inside: string, remote: string): Session | null {
    return this.nat.conntrack.find({ protocol, inside: endpoint(inside), remote: endpoint(remote) });
  }
}

/** Lets go of the packets that wait to be taken, and returns them. */
export function taken(scene: Scene) {
  return scene.nat.take();
}

export interface Tcp {
  /** What both sides offer, as it stands in the header. */
  window?: number;
  /** Window scale of both sides; none without. */
  scale?: number;
}

/** The numbers that connections begin with: the inside host's, and the remote's. */
export const INSIDE_ISN = 1_000_000;
export const REMOTE_ISN = 5_000_000;

/** An open TCP connection of an inside host. */
export class Connection {
  readonly publicEndpoint: string;
  /** The next number of each side. */
  insideNext = INSIDE_ISN + 1;
  remoteNext = REMOTE_ISN + 1;
  readonly window: number;

  constructor(
    readonly scene: Scene,
    readonly inside: string,
    readonly remote: string,
    { window = 64_240, scale }: Tcp = {},
  ) {
    this.window = window;
    const options = scale === undefined ? {} : { tcpOptions: Uint8Array.of(1, 3, 3, scale) };
    const syn = scene.pass(
      tcp({ src: inside, dst: remote, flags: "S", seq: INSIDE_ISN, window, ...options }),
    );
    this.publicEndpoint = syn.from;
    scene.pass(
      tcp({
        src: remote,
        dst: this.publicEndpoint,
        flags: "SA",
        seq: REMOTE_ISN,
        ack: this.insideNext,
        window,
        ...options,
      }),
    );
    this.outbound();
    equal(this.state, "established");
  }

  /** A segment as the inside host sends it. */
  segmentOut(fields: Partial<TcpFields> = {}): Uint8Array {
    const { inside: src, remote: dst, insideNext: seq, remoteNext: ack, window } = this;
    return tcp({ src, dst, seq, ack, window, flags: "A", ...fields });
  }
  /** A segment as the remote, or who pretends to be, sends it. */
  segmentIn(fields: Partial<TcpFields> = {}): Uint8Array {
    const { remote: src, publicEndpoint: dst, remoteNext: seq, insideNext: ack, window } = this;
    return tcp({ src, dst, seq, ack, window, flags: "A", ...fields });
  }
  outbound(fields: Partial<TcpFields> = {}): Outcome {
    return this.scene.pass(this.segmentOut(fields));
  }
  inbound(fields: Partial<TcpFields> = {}): Outcome {
    return this.scene.pass(this.segmentIn(fields));
  }

  /** Some data each way, which both have to get. */
  talk(): void {
    this.outbound({ payload: "ping" });
    this.insideNext += 4;
    equal(this.inbound({ payload: "pong" }).to, this.inside);
    this.remoteNext += 4;
    this.outbound();
  }

  get session(): Session | null {
    return this.scene.session("tcp", this.inside, this.remote);
  }
  get state(): string {
    return this.session?.state ?? "none";
  }
}

/** A number of a sequence, the same in every run. */
export function draw(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let x = state;
    x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
    return (x ^ (x >>> 15)) >>> 0;
  };
}

const PAGE = readFileSync(join(__dirname, "..", "..", "docs", "attacks.md"), "utf8");

/** A figure: printed with the test, and a row of docs/attacks.md, which has to say the same. */
export function figure(t: TestContext, what: string, value: string | number): void {
  const shown = typeof value === "number" ? value.toLocaleString("en-US") : value;
  t.diagnostic(`${what}: ${shown}`);
  ok(PAGE.includes(`| ${what} | ${shown} |`), `docs/attacks.md lacks the row "| ${what} | ${shown} |"`);
}
