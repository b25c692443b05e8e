// Learns which public endpoint each inside endpoint has, and checks that there is one at a time, owned by one.
import assert from "node:assert/strict";
import type { NatConfig } from "../../src/config/schema.js";
import { ICMP, type Ip, quotedBy, TCP, UDP } from "./frame.js";
import { endpointText, type Packet, type Sides } from "./run.js";

export interface Endpoint {
  readonly address: number;
  readonly port: number;
}

/** One mapping's life: from a packet of the input on, until another takes its place. */
interface Span extends Endpoint {
  readonly from: number;
  /** When a packet last used it, in seconds. */
  used: number;
}

/** A mapping may end when it was idle for so long, in seconds: the least of the protocol's timeouts. */
const IDLE: Record<number, number> = { [ICMP]: 60, [TCP]: 240, [UDP]: 300 };

export class Mappings {
  /** By protocol and inside endpoint, oldest first. */
  readonly #spans = new Map<string, Span[]>();
  /** The last inside endpoint of each public one. */
  readonly #owners = new Map<string, { key: string; span: Span }>();
  /** The public addresses of each inside host. */
  readonly #addresses = new Map<number, Set<number>>();
  /** First fragments as they left, by datagram. */
  readonly #datagrams = new Map<string, Ip>();
  /** Remotes that inside endpoints sent to. */
  readonly #asked = new Set<string>();
  /** The inside host that last used an identification towards a remote. */
  readonly #identifications = new Map<string, number>();
  readonly #filters: boolean;
  #now = Number.NEGATIVE_INFINITY;

  constructor({ filtering }: NatConfig) {
    this.#filters = filtering === undefined || filtering === "address-and-port-dependent";
  }

  /** Inside endpoints that were translated. */
  get size(): number {
    return this.#spans.size;
  }

  /** The public addresses that each inside host came from. */
  get addressesOfHosts(): number[][] {
    return [...this.#addresses.values()].map((addresses) => [...addresses]);
  }

  /** The public endpoint that an inside endpoint had at a packet of the input, or got next; null: none ever. */
  publicOf(protocol: number, address: number, port: number, at: number): Endpoint | null {
    const spans = this.#spans.get(keyOf(protocol, address, port)) ?? [];
    return spans.findLast((span) => span.from <= at) ?? spans[0] ?? null;
  }

  /** Takes the packet with the number `number` of the input as it was before and after translation. */
  learn(before: Packet, after: Packet, number: number, sides: Sides): void {
    const was = before.ip!;
    const now = after.ip!;
    this.#now = Math.max(this.#now, before.seconds + before.nanos / 1e9);
    const direction = sides.directionOf(was);
    const text = `packet ${number + 1}`;
    if (direction === "outbound") {
      assert(
        sides.isPublic(now.source),
        `${text}: leaves with source ${endpointText(now.source, now.sourcePort)}`,
      );
      assert.equal(now.destination, was.destination, `${text}: destination`);
      this.#outbound(was, now, before, after, number, text);
    } else {
      assert(sides.isInside(now.destination), `${text}: comes in for ${endpointText(now.destination, 0)}`);
      if (direction === "inbound") assert.equal(now.source, was.source, `${text}: source`);
      if (direction === "inbound") this.#inbound(was, now, before, after, number, text);
    }
  }

  #outbound(was: Ip, now: Ip, before: Packet, after: Packet, number: number, text: string): void {
    const quoted = quotedBy(before.data, was);
    if (quoted !== null) {
      const quotedNow = quotedBy(after.data, now)!;
      const known = this.publicOf(quoted.protocol, quoted.destination, quoted.destinationPort, number);
      const { destination: address, destinationPort: port } = quotedNow;
      assert.deepEqual({ address, port }, bare(known), `${text}: the quoted destination`);
      assert.equal(now.source, address, `${text}: the error's source`);
      assert.equal(quotedNow.source, quoted.source, `${text}: the quoted source`);
    } else if (was.kind === "later-fragment") {
      const { source, id } = this.#datagrams.get(datagram(was)) ?? {};
      assert.deepEqual([now.source, now.id], [source, id], `${text}: not as the first fragment`);
    } else {
      if (now.id !== was.id) {
        const owner = this.#identifications.get(identification(now, was.id));
        assert(was.mayFragment || was.more, `${text}: atomic, its identification says nothing`);
        assert(owner !== undefined && owner !== was.source, `${text}: its identification collides with none`);
      }
      this.#identifications.set(identification(now, now.id), was.source);
      this.#asked.add(asked(was, was.source, was.sourcePort, was.destination, was.destinationPort));
      if (was.kind === "ports") assert.equal(now.destinationPort, was.destinationPort, `${text}: port`);
      if (was.more) this.#datagrams.set(datagram(was), now);
      if (was.protocol === UDP) assert.equal(now.sourcePort & 1, was.sourcePort & 1, `${text}: parity`);
      assert(now.sourcePort >= 1024, `${text}: port ${now.sourcePort} is not from the range`);
      this.#use(was, now, number, text);
    }
  }

  #use(was: Ip, now: Ip, number: number, text: string): void {
    const key = keyOf(was.protocol, was.source, was.sourcePort);
    const owned = keyOf(was.protocol, now.source, now.sourcePort);
    const spans = this.#spans.get(key) ?? [];
    const current = spans.at(-1);
    const idle = IDLE[was.protocol]!;
    let span = current;
    if (span === undefined || span.address !== now.source || span.port !== now.sourcePort) {
      if (current !== undefined) {
        assert(
          this.#now - current.used >= idle,
          `${text}: ${key} was ${keyOf(was.protocol, current.address, current.port)}, is ${owned}`,
        );
      }
      span = { address: now.source, port: now.sourcePort, from: number, used: this.#now };
      this.#spans.set(key, [...spans, span]);
    }
    const owner = this.#owners.get(owned);
    if (owner !== undefined && owner.key !== key) {
      assert(this.#now - owner.span.used >= idle, `${text}: ${owned} is ${owner.key}'s and ${key}'s`);
    }
    span.used = this.#now;
    this.#owners.set(owned, { key, span });
    const addresses = this.#addresses.get(was.source) ?? new Set();
    this.#addresses.set(was.source, addresses.add(now.source));
  }

  #inbound(was: Ip, now: Ip, before: Packet, after: Packet, number: number, text: string): void {
    const quoted = quotedBy(before.data, was);
    if (quoted !== null) {
      const quotedNow = quotedBy(after.data, now)!;
      const known = this.publicOf(quoted.protocol, quotedNow.source, quotedNow.sourcePort, number);
      const { source: address, sourcePort: port } = quoted;
      assert.deepEqual({ address, port }, bare(known), `${text}: the quoted source`);
      assert.equal(now.destination, quotedNow.source, `${text}: the error's destination`);
    } else if (was.kind !== "later-fragment") {
      const known = this.publicOf(was.protocol, now.destination, now.destinationPort, number);
      assert.deepEqual({ address: was.destination, port: was.destinationPort }, bare(known), text);
      if (was.kind === "ports") assert.equal(now.sourcePort, was.sourcePort, `${text}: source port`);
      if (!this.#filters) return;
      const flow = asked(was, now.destination, now.destinationPort, was.source, was.sourcePort);
      assert(this.#asked.has(flow), `${text}: comes in unasked: ${flow}`);
    }
  }
}

function keyOf(protocol: number, address: number, port: number): string {
  return `${protocol} ${endpointText(address, port)}`;
}

/** A flow as its inside endpoint began it. ICMP's remotes have no ports. */
function asked({ protocol }: Ip, inside: number, insidePort: number, remote: number, port: number): string {
  return `${keyOf(protocol, inside, insidePort)} ${endpointText(remote, protocol === ICMP ? 0 : port)}`;
}

function identification({ protocol, source, destination }: Ip, id: number): string {
  return [protocol, source, destination, id].join(" ");
}

function datagram({ protocol, source, destination, id }: Ip): string {
  return [protocol, source, destination, id].join(" ");
}

function bare(endpoint: Endpoint | null): Endpoint | null {
  return endpoint && { address: endpoint.address, port: endpoint.port };
}
