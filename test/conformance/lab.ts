// The laboratory: a NAT between inside hosts (10.0.0.0/8) and the documentation networks, with a clock of its own.
// Packets are handed in on one side, and what comes out is judged by what holds of every packet (invariants.ts)
// before a test looks at it.
import { equal, fail, ok } from "node:assert/strict";
import {
  type DropReason,
  type EmittedPacket,
  Nat,
  type NatConfig,
  type PacketBatch,
  type ResolvedNatConfig,
  type Session,
  type Verdict,
} from "../../src/index.js";
import {
  addressNumber,
  decode,
  describe,
  endpointText,
  get32,
  headerChecksumOf,
  type Packet,
  put16,
  replyTo,
  setHeaderChecksum,
} from "../support/packets.js";
import { about, assertOriginated, assertTranslated, sameBytes, type Way, type World } from "./invariants.js";
import { A, addressOf, endpointOf, opening, type Protocol } from "./traffic.js";

/** Keys of the config; the NAT itself tells when one is wrong. */
export type LabConfig = Readonly<Record<string, unknown>>;

/** What became of one packet. Its fields can only be asked for when it came through. */
export class Sent {
  constructor(
    /** The packet as it was handed in. */
    readonly original: Uint8Array,
    readonly verdict: Verdict["verdict"],
    readonly direction: Verdict["direction"],
    readonly reason: DropReason | null,
    readonly output: Uint8Array,
  ) {}

  get cameThrough(): boolean {
    return this.verdict === "forwarded" || this.verdict === "passed";
  }
  /** The packet as it came out. */
  get bytes(): Uint8Array {
    passes(this);
    return this.output;
  }
  get packet(): Packet {
    return decode(this.bytes);
  }
  /** Where it comes from now, `address:port`. */
  get source(): string {
    return endpointOf(this.bytes, "src");
  }
  get destination(): string {
    return endpointOf(this.bytes, "dst");
  }
  /** What the receiver answers. */
  get reply(): Uint8Array {
    return replyTo(this.bytes);
  }
  /** The packet that this one, an ICMP error, quotes. */
  get quoted(): Uint8Array {
    const { body } = this.packet;
    equal(body.kind, "icmp", "not an ICMP error");
    return (body as { payload: Uint8Array }).payload;
  }
}

/** It came through. */
export function passes(sent: Sent, what = ""): Sent {
  if (!sent.cameThrough) fail(`${what} {${describe(sent.original)}}: ${sent.verdict}, ${sent.reason}`.trim());
  return sent;
}

/** It was dropped; if reasons are given, for one of them. */
export function drops(sent: Sent, ...reasons: string[]): Sent {
  const wanted = sent.verdict === "dropped" && (reasons.length === 0 || reasons.includes(sent.reason!));
  if (!wanted) {
    const outcome = sent.reason ?? `${sent.verdict} as {${describe(sent.output)}}`;
    fail(
      `{${describe(sent.original)}}: ${outcome}, not dropped (${reasons.join(" or ") || "for any reason"})`,
    );
  }
  return sent;
}

/** All different. */
export function distinct<T>(values: readonly T[], what = "values"): void {
  if (new Set(values).size !== values.length) fail(`${what} that should all differ: ${values.join(" ")}`);
}
/** All the same. */
export function same<T>(values: readonly T[], what = "values"): void {
  if (new Set(values).size !== 1) fail(`${what} that should be the same: ${values.join(" ")}`);
}
export function range(count: number, from = 1): number[] {
  return Array.from({ length: count }, (_, i) => from + i);
}

// ------------------------------------------------------------------------------------------------ the lab

export const BEHAVIOURS = [
  "endpoint-independent",
  "address-dependent",
  "address-and-port-dependent",
] as const;
export type Behaviour = (typeof BEHAVIOURS)[number];

/** How packets are handed to the engine: by `translate`, or by `translateBatch` with its fast path. */
export type Path = "packet" | "batch";
let path: Path = "packet";
const open: Lab[] = [];

export function usePath(wanted: Path): void {
  path = wanted;
}

/** Ends the labs of a test. */
export function closeLabs({ check }: { check: boolean }): void {
  for (const lab of open.splice(0)) {
    try {
      if (check) lab.assertSound();
    } finally {
      lab.nat.close();
    }
  }
}

const DEFAULTS = { inside: ["10.0.0.0/8"], outside: [A] };

/** A NAT for one test. What the config leaves out has the engine's defaults. */
export function lab(config: LabConfig = {}, seed = 1): Lab {
  const made = new Lab({ ...DEFAULTS, ...config }, seed);
  open.push(made);
  return made;
}

/** What was cut into these pieces: a datagram, or a fragment of one. */
function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const [first] = pieces.map((piece) => decode(piece));
  const last = decode(pieces.at(-1)!);
  const header = (pieces[0]![0]! & 15) * 4;
  const bodies = pieces.map((piece) => piece.subarray((piece[0]! & 15) * 4));
  const whole = new Uint8Array(Buffer.concat([pieces[0]!.subarray(0, header), ...bodies]));
  const offsets = pieces.map((piece) => decode(piece).fragmentOffset - first!.fragmentOffset);
  let expected = 0;
  offsets.forEach((offset, i) => {
    equal(offset, expected, "the pieces follow one another");
    expected += bodies[i]!.length;
  });
  put16(whole, 2, whole.length);
  put16(whole, 6, (first!.df ? 0x4000 : 0) | (last.mf ? 0x2000 : 0) | (first!.fragmentOffset / 8));
  setHeaderChecksum(whole, headerChecksumOf(whole));
  return whole;
}

/** Protocols whose outside ports are the NAT's choice; those of others tell hosts apart by the remote. */
const CHOSEN_PORTS = ["tcp", "udp", "icmp", "udplite", "dccp"];

/** What the invariants have to know of a config. */
function worldOf(config: ResolvedNatConfig): World {
  const { inside, outside, static: statics, forwards, ttl, alg, clampMss, mtu } = config;
  const mtus = [mtu.inside, mtu.outside].filter((one) => one > 0);
  const own = new Set(
    [
      ...outside.map(({ address }) => address),
      ...statics.map((entry) => entry.outside),
      ...forwards.map((entry) => addressOf(entry.outside)),
    ].map(addressNumber),
  );
  const prefixes = inside.map((prefix) => {
    const [network, length] = prefix.split("/");
    return { network: addressNumber(network!), size: 2 ** (32 - Number(length)) };
  });
  return {
    isInside: (address) =>
      prefixes.some(({ network, size }) => address >= network && address < network + size),
    isOwn: (address) => own.has(address),
    keepsTtl: ttl === "keep",
    mostMss: clampMss && mtus.length > 0 ? Math.min(...mtus) - 40 : 0,
    rewritesPayload: Object.values(alg).some(Boolean),
  };
}

export class Lab {
  readonly nat: Nat;
  readonly #batch: PacketBatch | null;
  /** Every packet that was handed in, by its tag. */
  readonly #originals: Uint8Array[] = [new Uint8Array(0)];
  #world: World;
  #now = 0;

  constructor(config: LabConfig, seed: number) {
    this.nat = new Nat(config as NatConfig, { seed });
    this.#world = worldOf(this.nat.config);
    this.#batch = path === "batch" ? this.nat.batch({ slots: 1, bytes: 65536 }) : null;
  }

  /** From inside. */
  out(packet: Uint8Array): Sent {
    const sent = this.#translate(packet);
    ok(sent.direction !== "inbound", "a packet from inside");
    return sent;
  }
  /** From outside. */
  in(packet: Uint8Array): Sent {
    const sent = this.#translate(packet);
    ok(["inbound", "none"].includes(sent.direction), "a packet from outside");
    return sent;
  }

  /** Another config while it runs, as `lab` takes it. */
  change(config: LabConfig): void {
    this.nat.reconfigure({ ...DEFAULTS, ...config } as NatConfig);
    this.#world = worldOf(this.nat.config);
  }

  /** Opens a mapping and gives its outside endpoint. */
  map(protocol: Protocol, src: string, dst: string): string {
    return this.out(opening(protocol, src, dst)).source;
  }

  /** The clock, in ms. */
  get now(): number {
    return this.#now;
  }
  /** Lets time pass, in seconds, to the millisecond. */
  wait(seconds: number): this {
    this.#now += Math.round(seconds * 1000);
    return this;
  }
  /** Sets the clock, in seconds from the start. */
  at(seconds: number): this {
    this.#now = Math.round(seconds * 1000);
    return this;
  }

  /** What the NAT puts out by itself up to now. */
  take(): EmittedPacket[] {
    this.nat.conntrack.sweep(this.#now);
    // Copies of their own: `slice` of a Buffer would share it.
    const taken = this.nat.take().map((one) => ({ ...one, packet: new Uint8Array(one.packet) }));
    for (const emitted of taken) if (emitted.kind === "icmp") this.#checkError(emitted);
    // Fragments that were held, and those that a datagram was cut into.
    const pieces = taken.filter(({ kind }) => kind === "fragment");
    for (const tag of new Set(pieces.map((piece) => piece.tag))) {
      const original = this.#originals[tag]!;
      const parts = pieces.filter((piece) => piece.tag === tag).map(({ packet }) => packet);
      assertTranslated(original, joined(parts), this.#wayOf(original), this.#world);
    }
    return taken;
  }
  #checkError({ packet, side, tag }: EmittedPacket): void {
    assertOriginated(packet, this.#originals[tag]!, this.#world);
    equal(side, this.#world.isInside(get32(packet, 16)) ? "inside" : "outside", "where it goes");
  }
  /** The ICMP errors that the NAT sent by itself up to now. */
  errors(): Sent[] {
    return this.take()
      .filter(({ kind }) => kind === "icmp")
      .map(({ packet }) => new Sent(packet, "forwarded", "none", null, packet));
  }

  /** Ends a session. */
  forget({ protocol, inside, remote }: Session): void {
    ok(this.nat.conntrack.delete({ protocol, inside, remote }));
  }
  /** The sessions that live now. */
  get sessions(): Session[] {
    this.nat.conntrack.sweep(this.#now);
    return [...this.nat.conntrack];
  }
  dropped(reason: string): number {
    return (this.nat.stats.drops as Record<string, number>)[reason] ?? 0;
  }

  #wayOf(packet: Uint8Array): Way {
    const { isInside, isOwn } = this.#world;
    if (!isInside(get32(packet, 12))) return "inbound";
    return isOwn(get32(packet, 16)) ? "hairpin" : "outbound";
  }

  /** Untouched are only packets within the inside, and those that the config says. */
  #mayPass(packet: Uint8Array): boolean {
    const { isInside } = this.#world;
    const { unmatched, exempt } = this.nat.config;
    const within = isInside(get32(packet, 12)) && isInside(get32(packet, 16));
    return within || unmatched === "pass" || exempt.length > 0;
  }

  #translate(packet: Uint8Array): Sent {
    const original = new Uint8Array(packet);
    const tag = this.#originals.push(original) - 1;
    let verdict: Verdict;
    let output: Uint8Array;
    if (this.#batch === null) {
      output = new Uint8Array(packet);
      verdict = this.nat.translate(output, { now: this.#now, tag });
    } else {
      this.#batch.clear();
      const slot = this.#batch.push(packet, { tag });
      this.nat.translateBatch(this.#batch, this.#now);
      verdict = this.#batch.verdict(slot);
      output = new Uint8Array(this.#batch.packet(slot));
    }
    const sent = new Sent(original, verdict.verdict, verdict.direction, verdict.reason, output);
    about(
      () => `{${describe(original)}}, ${sent.verdict}`,
      () => {
        if (sent.verdict === "forwarded") {
          equal(sent.direction, this.#wayOf(original), "its direction");
          assertTranslated(original, output, sent.direction as Way, this.#world);
        } else if (sent.verdict !== "held") {
          sameBytes(output, original, "what is not forwarded stays");
        }
        if (sent.verdict === "passed") ok(this.#mayPass(original), "an inside source leaves untranslated");
        equal(sent.reason !== null, sent.verdict === "dropped", "a reason belongs to a drop");
      },
    );
    return sent;
  }

  /** Every packet is accounted for, and no outside endpoint has two owners. */
  assertSound(): void {
    const { packets, drops: dropped } = this.nat.stats;
    const lost = Object.values(dropped).reduce((sum, count) => sum + count, 0);
    equal(packets.out + lost + packets.held, packets.in, "in = out + drops + held");
    const owners = new Map<string, string>();
    const shares = this.nat.config.portAssignment.overloading;
    for (const { protocol, inside: own, public: outside, remote: other } of this.sessions) {
      const perRemote = shares || !CHOSEN_PORTS.includes(protocol);
      const key = `${protocol} ${endpointText(outside)}${perRemote ? ` to ${endpointText(other)}` : ""}`;
      equal(owners.get(key) ?? endpointText(own), endpointText(own), `${key} has two owners`);
      owners.set(key, endpointText(own));
    }
  }
}

/**
 * What `make` set up works until 1 ms before `seconds` on the clock, and not at it.
 * @param make sets it up anew and gives what to try
 */
export function endsAt(seconds: number, make: () => readonly [nat: Lab, tries: () => Sent]): void {
  {
    const [nat, tries] = make();
    nat.at(seconds - 0.001);
    passes(tries(), `1 ms before ${seconds} s`);
  }
  const [nat, tries] = make();
  nat.at(seconds);
  drops(tries());
}
