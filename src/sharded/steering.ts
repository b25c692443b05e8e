// Which shard a packet belongs to: by its bytes and the config alone, so that any thread can tell.
//
//   from inside    the hash of the inside address
//   from outside   the part of the public ports that its destination is in; the inside host's shard for forwards
//                  and 1:1 mappings
//   ICMP errors    by the packet that they quote, which went the other way
//   without ports  the hash of the remote address, which both directions have; GRE, ESP, SCTP and others
//   fragments      from inside by their host; from outside as the first one of their datagram, which has the port

import { FROM_OUTSIDE, HAIRPINNED } from "../packet-batch.js";
import { type Cut, partOf, shardOfHost } from "./parts.js";
import type { SteeringPlan } from "./plan.js";

/** From `shardOf`: a fragment from outside whose datagram's first one, which has the port, did not come yet. */
export const SHARD_UNKNOWN = -1;
/** From `shardOf`: a fragment that must not go anywhere, as two first ones claim its datagram. */
export const SHARD_DISPUTED = -2;

const ICMP = 1;
const IP_HEADER = 20;
/** Datagrams from outside that are remembered; as many as a translator does. */
const MOST_DATAGRAMS = 8192;

interface Remembered {
  shard: number;
  since: number;
}

/** Steers packets to shards. Each thread that does has its own. */
export class Steering {
  readonly shards: number;
  readonly #plan: SteeringPlan;
  readonly #statics = new Map<number, number>(); // outside: shard
  readonly #staticHosts = new Set<number>();
  readonly #forwards = new Map<number, number>(); // protocol and endpoint: shard
  readonly #cut: Cut;
  readonly #cuts = new Map<number, Cut>(); // by address, unless all are alike
  readonly #hasPorts = new Uint8Array(256); // by protocol
  readonly #datagrams = new Map<string, Remembered>();
  readonly #inside: Float64Array;
  readonly #lowest: number;
  readonly #highest: number;
  #own: Set<number> | null = null;

  constructor(plan: SteeringPlan) {
    this.#plan = plan;
    this.shards = plan.shards;
    this.#inside = plan.inside;
    this.#lowest = plan.inside[0]!;
    this.#highest = plan.inside.at(-1)!;
    const { cuts, statics, forwards, withPorts } = plan;
    for (const protocol of withPorts) this.#hasPorts[protocol] = 1;
    const cutAt = (i: number) => ({ base: cuts[i + 1]!, unit: cuts[i + 2]!, units: cuts[i + 3]! });
    this.#cut = cutAt(0);
    if (cuts[0] !== 0) {
      for (let i = 0; i < cuts.length; i += 4) this.#cuts.set(cuts[i]!, cutAt(i));
    }
    for (let i = 0; i < statics.length; i += 2) {
      this.#statics.set(statics[i]!, this.shardOfHost(statics[i + 1]!));
      this.#staticHosts.add(statics[i + 1]!);
    }
    for (let i = 0; i < forwards.length; i += 4) {
      const key = this.#endpointKey(forwards[i]!, forwards[i + 1]!, forwards[i + 2]!);
      this.#forwards.set(key, this.shardOfHost(forwards[i + 3]!));
    }
  }

  /**
   * The shard that a packet belongs to: from 0, {@link SHARD_UNKNOWN} or {@link SHARD_DISPUTED}. Anything may be
   * handed in; what is no packet belongs to some shard, which drops it.
   * @param packet from its IPv4 header on
   * @param flags its descriptor's
   * @param now ms; the fragments of a datagram are remembered so long
   */
  shardOf(p: Uint8Array, flags = 0, now = 0): number {
    if (this.shards === 1) return 0;
    const length = p.length;
    if (length < IP_HEADER || p[0]! >> 4 !== 4) return 0;
    const header = (p[0]! & 15) * 4;
    const protocol = p[9]!;
    const source = word(p, 12);
    const destination = word(p, 16);
    const offset = ((p[6]! & 0x1f) << 8) | p[7]!;
    const here = offset === 0 && header >= IP_HEADER;
    const isError = here && protocol === ICMP && header < length && isIcmpError(p[header]!);
    if ((flags & (FROM_OUTSIDE | HAIRPINNED)) === 0 && this.isInside(source)) {
      if (isError) return this.#byQuotedDestination(p, header + 8, source);
      return this.shardOfFlow(protocol, source, destination);
    }
    if (this.#plan.exempts && this.isInside(destination)) return this.shardOfHost(destination);
    const owner = this.#statics.size === 0 ? undefined : this.#statics.get(destination);
    if (owner !== undefined && !isError) return owner;
    if (isError) return this.#byQuotedSource(p, header + 8);
    if (this.#hasPorts[protocol] === 0) return this.#byRemote(source);
    if (offset !== 0) return this.#datagramOf(p, flags, now);
    const at = header + (protocol === ICMP ? 4 : 2);
    if (!here || at + 2 > length) return 0;
    const shard = this.shardOfEndpoint(protocol, destination, (p[at]! << 8) | p[at + 1]!);
    if ((p[6]! & 0x20) !== 0 && this.#isSound(p, flags)) this.#remember(datagramKey(p), shard, now);
    return shard;
  }

  /** Takes over which datagrams are under way, for a new config. */
  adopt(old: Steering): void {
    for (const [key, known] of old.#datagrams) this.#datagrams.set(key, known);
  }

  /** The shard of an inside host. */
  shardOfHost(address: number): number {
    return shardOfHost(address, this.shards);
  }

  /** The shard that has an inside host's flow. */
  shardOfFlow(protocol: number, inside: number, remote: number): number {
    return this.#hasPorts[protocol] === 1 ? this.shardOfHost(inside) : this.#portless(inside, remote);
  }

  /** The shard that owns a public endpoint of a protocol with ports, or with ICMP's identifiers. */
  shardOfEndpoint(protocol: number, address: number, port: number): number {
    if (this.#forwards.size !== 0) {
      const forward = this.#forwards.get(this.#endpointKey(protocol, address, port));
      if (forward !== undefined) return forward;
    }
    const cut = this.#cuts.size === 0 ? this.#cut : (this.#cuts.get(address) ?? this.#cut);
    return partOf(port, cut, this.shards);
  }

  /** Whether an address is an inside host's. */
  isInside(address: number): boolean {
    if (address < this.#lowest || address > this.#highest) return false;
    const ranges = this.#inside;
    if (ranges.length === 2) return true;
    let low = 0;
    let high = ranges.length >> 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (address > ranges[2 * middle + 1]!) low = middle + 1;
      else high = middle;
    }
    return 2 * low < ranges.length && address >= ranges[2 * low]!;
  }

  #endpointKey(protocol: number, address: number, port: number): number {
    return (this.#plan.withPorts.indexOf(protocol) * 2 ** 32 + address) * 65536 + port; // exact: below 2^51
  }

  #portless(inside: number, remote: number): number {
    return this.#staticHosts.has(inside) ? this.shardOfHost(inside) : this.#byRemote(remote);
  }

  /** A remote that is a host's 1:1 address is that host's shard's, so that both halves of a hairpin are one shard's. */
  #byRemote(remote: number): number {
    return this.#statics.get(remote) ?? this.shardOfHost(remote);
  }

  /** An error from inside is about what came to an inside host, whoever sends it. */
  #byQuotedDestination(p: Uint8Array, at: number, sender: number): number {
    if (p.length < at + IP_HEADER) return this.shardOfHost(sender);
    const host = word(p, at + 16);
    return this.shardOfFlow(p[at + 9]!, this.isInside(host) ? host : sender, word(p, at + 12));
  }

  /** An error from outside is about what left through a public endpoint. */
  #byQuotedSource(p: Uint8Array, at: number): number {
    if (p.length < at + IP_HEADER) return 0;
    const protocol = p[at + 9]!;
    const from = word(p, at + 12);
    const owner = this.#statics.get(from);
    if (owner !== undefined) return owner;
    if (this.#hasPorts[protocol] === 0) return this.#byRemote(word(p, at + 16));
    const ports = at + (p[at]! & 15) * 4 + (protocol === ICMP ? 4 : 0);
    if (ports + 2 > p.length) return 0;
    return this.shardOfEndpoint(protocol, from, (p[ports]! << 8) | p[ports + 1]!);
  }

  #datagramOf(p: Uint8Array, flags: number, now: number): number {
    const known = this.#datagrams.get(datagramKey(p));
    if (known !== undefined && !this.#isOld(known, now)) return known.shard;
    return this.#isSound(p, flags) ? SHARD_UNKNOWN : 0;
  }

  /** Whether a fragment is worth remembering, or waiting for. Any shard drops what isn't, and says why. */
  #isSound(p: Uint8Array, flags: number): boolean {
    const header = (p[0]! & 15) * 4;
    if (header < IP_HEADER || p.length < header || ((p[2]! << 8) | p[3]!) < header) return false;
    if (this.#plan.verifyHeaderChecksum) {
      let sum = 0;
      for (let at = 0; at < header; at += 2) sum += (p[at]! << 8) | p[at + 1]!;
      if (sum % 0xffff !== 0) return false;
    }
    this.#own ??= new Set(this.#plan.own);
    const source = word(p, 12);
    const first = source >>> 24;
    if (first === 0 || first === 127 || first >= 224) return false;
    const isOwn = this.#own.has(source) || this.#statics.has(source);
    return isOwn === ((flags & HAIRPINNED) !== 0) && this.#own.has(word(p, 16));
  }

  #remember(key: string, shard: number, now: number): void {
    const known = this.#datagrams.get(key);
    if (known !== undefined && !this.#isOld(known, now)) {
      // Two first fragments: one of them is forged, and the rest must not go to the wrong host.
      if (known.shard !== shard) known.shard = SHARD_DISPUTED;
      return;
    }
    this.#datagrams.delete(key); // it would keep its old place in the order
    if (this.#datagrams.size >= MOST_DATAGRAMS) {
      this.#datagrams.delete(this.#datagrams.keys().next().value!);
    }
    this.#datagrams.set(key, { shard, since: now });
  }

  #isOld({ since }: Remembered, now: number): boolean {
    return now - since >= this.#plan.fragmentTimeout;
  }
}

/** What the fragments of a datagram have in common: addresses, protocol, identification. */
export function datagramKey(p: Uint8Array): string {
  return `${word(p, 12)} ${word(p, 16)} ${p[9]} ${(p[4]! << 8) | p[5]!}`;
}

/** Whether a packet is the first fragment of several. */
export function isFirstFragment(p: Uint8Array): boolean {
  return p.length >= IP_HEADER && (p[6]! & 0x3f) === 0x20 && p[7] === 0;
}

function word(p: Uint8Array, at: number): number {
  return ((p[at]! << 24) | (p[at + 1]! << 16) | (p[at + 2]! << 8) | p[at + 3]!) >>> 0;
}

function isIcmpError(type: number): boolean {
  return type === 3 || type === 4 || type === 11 || type === 12;
}
