/**
 * A NAT as the contract describes it: plain arrays, no speed, nothing shared with the engine.
 *
 * It is told of every packet after the engine has had it. `rule` says what must have happened to the packet and
 * keeps the state that follows. Where the engine is free (which public endpoint, which of several own addresses
 * an error comes from) the model asks an {@link Observer} what the engine did and judges whether that was legal;
 * an illegal choice is a {@link Mismatch}.
 *
 * One decision of the engine is part of the model: an inbound UDP or ICMP packet that filtering admits to a
 * dynamic binding, but that belongs to no session, is translated by the binding and leaves no state, unless
 * `inboundRefresh` is on.
 */
import {
  addressNumber,
  type Changes,
  decode,
  type Endpoint,
  endpoints,
  endpointText,
  inPrefix,
  type Packet,
  PROTOCOL,
} from "../support/packets.js";
import {
  faultOfChoice,
  faultOfRefusal,
  type OwnedPort,
  type PoolAddress,
  type PortPolicy,
  type Protocol,
} from "./port-rules.js";
import { type Side, TcpModel } from "./tcp-model.js";

export type Behaviour = "endpoint-independent" | "address-dependent" | "address-and-port-dependent";

/** The config with every key given; timeouts in seconds. */
export interface ModelConfig {
  inside: string[];
  outside: { address: string; ports: string }[];
  mapping: Behaviour;
  filtering: Behaviour;
  portAssignment: PortPolicy;
  pooling: "paired" | "arbitrary";
  hairpinning: boolean;
  forwards: { protocol: "tcp" | "udp"; outside: string; inside: string }[];
  static: { outside: string; inside: string }[];
  timeouts: { udp: number; tcpEstablished: number; tcpTransitory: number; tcpTimeWait: number; icmp: number };
  limits: { sessions: number; sessionsPerHost: number };
  /** Large enough for every packet of the tests: only `clampMss` asks. */
  mtu: { inside: number; outside: number };
  clampMss: boolean;
  ttl: "decrement" | "keep";
  inboundRefresh: boolean;
  tcpPickup: boolean;
  unmatched: "drop" | "pass";
}

/** The contract's defaults. */
export const DEFAULTS: Omit<ModelConfig, "inside" | "outside"> = {
  mapping: "endpoint-independent",
  filtering: "address-and-port-dependent",
  portAssignment: { order: "random", preserve: false, parity: true, blockSize: 0 },
  pooling: "paired",
  hairpinning: true,
  forwards: [],
  static: [],
  timeouts: { udp: 300, tcpEstablished: 7440, tcpTransitory: 240, tcpTimeWait: 240, icmp: 60 },
  limits: { sessions: 1048576, sessionsPerHost: 0 },
  mtu: { inside: 0, outside: 0 },
  clampMss: false,
  ttl: "decrement",
  inboundRefresh: false,
  tcpPickup: true,
  unmatched: "drop",
};

export interface Binding {
  protocol: Protocol;
  inside: Endpoint;
  outside: Endpoint;
  /** What mapping behaviour ties the binding to: "" or a remote address or endpoint. */
  remoteKey: string;
  kind: "dynamic" | "forward" | "static";
}

export interface Session {
  binding: Binding;
  remote: Endpoint;
  /** When a packet last kept it alive, ms. */
  lastSeen: number;
  tcp: TcpModel | null;
  /** Which side the first packet came from. */
  opener: Side;
}

/** What the model asks about the engine after the fact. */
export interface Observer {
  /** Whether the packet came out. */
  forwarded: boolean;
  /** The source address that it came out with, null when it did not. */
  source: string | null;
  /** The public endpoint of the engine's session between these two, null when it has none. */
  outsideOf(protocol: Protocol, inside: Endpoint, remote: Endpoint): Endpoint | null;
}

export type Direction = "outbound" | "inbound" | "hairpin";

/** What must become of a packet. `quoted` are the changes to the packet inside an ICMP error. */
export type Ruling =
  | { verdict: "dropped"; why: string }
  | { verdict: "passed" }
  | { verdict: "forwarded"; direction: Direction; changes: Changes; quoted?: Changes };

/** The engine did what the contract does not allow. */
export class Mismatch extends Error {}

const PROTOCOL_NAMES: Record<number, Protocol> = {
  [PROTOCOL.udp]: "udp",
  [PROTOCOL.tcp]: "tcp",
  [PROTOCOL.icmp]: "icmp",
};

const UNROUTABLE = ["0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4"];
const ICMP_ERRORS = [3, 4, 5, 11, 12];

function isUnroutable(address: string): boolean {
  return UNROUTABLE.some((prefix) => inPrefix(address, prefix));
}

function same(a: Endpoint, b: Endpoint): boolean {
  return a.address === b.address && a.port === b.port;
}

function dropped(why: string): Ruling {
  return { verdict: "dropped", why };
}

function parseRange(entry: { address: string; ports: string }): PoolAddress {
  const [low, high] = entry.ports.split("-").map(Number);
  return { address: entry.address, low: low!, high: high ?? low! };
}

function parseEndpoint(text: string): Endpoint {
  const [address, port] = text.split(":");
  return { address: address!, port: Number(port) };
}

/** A packet in the words of the model: for an ICMP query the remote has no port. */
interface Flow {
  protocol: Protocol;
  src: Endpoint;
  dst: Endpoint;
  packet: Packet;
}

export class NatModel {
  now = 0;
  sessions: Session[] = [];
  private readonly pool: PoolAddress[];
  private readonly forwards: Binding[];
  /**
   * Bindings that ended, but whose ports may stay out of use for a while (RFC 6888 REQ-8 would have them rest).
   * Nothing may be refused while a port only rests.
   */
  private resting: Binding[] = [];
  private readonly lastGiven = new Map<string, number>();

  constructor(readonly config: ModelConfig) {
    this.pool = config.outside.map(parseRange);
    this.forwards = config.forwards.map((rule) => ({
      protocol: rule.protocol,
      inside: parseEndpoint(rule.inside),
      outside: parseEndpoint(rule.outside),
      remoteKey: "",
      kind: "forward",
    }));
  }

  // -------------------------------------------------------------------------------------------- state

  /** The largest MSS that a SYN leaves with; 0 for any. */
  get mostMss(): number {
    const { clampMss, mtu } = this.config;
    const known = [mtu.inside, mtu.outside].filter((one) => one > 0);
    return clampMss && known.length > 0 ? Math.min(...known) - 40 : 0;
  }

  /** The bindings that sessions keep alive. */
  get bindings(): Binding[] {
    return [...new Set(this.sessions.map((session) => session.binding))];
  }

  /** Every public address: the pool's, the static ones, the forwards'. */
  get publicAddresses(): string[] {
    return [
      ...this.pool.map(({ address }) => address),
      ...this.config.static.map((rule) => rule.outside),
      ...this.forwards.map((rule) => rule.outside.address),
    ];
  }

  isInside(address: string): boolean {
    return this.config.inside.some((prefix) => inPrefix(address, prefix));
  }

  isPublic(address: string): boolean {
    return this.publicAddresses.includes(address);
  }

  /** When the session will be gone, ms. */
  expiry(session: Session): number {
    const { timeouts } = this.config;
    const { protocol } = session.binding;
    if (session.tcp === null)
      return session.lastSeen + (protocol === "udp" ? timeouts.udp : timeouts.icmp) * 1000;
    const seconds = {
      opening: timeouts.tcpTransitory,
      established: timeouts.tcpEstablished,
      closing: timeouts.tcpTransitory,
      "time-wait": timeouts.tcpTimeWait,
      reset: timeouts.tcpTransitory,
    }[session.tcp.phase];
    return session.lastSeen + seconds * 1000;
  }

  /** Moves time on; sessions idle for their timeout are gone at exactly that moment. */
  advance(now: number): void {
    this.now = Math.max(this.now, now);
    for (const session of this.sessions) {
      if (this.expiry(session) <= this.now) this.end(session);
    }
  }

  /** Whoever sweeps has all free ports free. */
  swept(): void {
    this.resting = [];
  }

  /** A new engine goes on from the sessions: it knows of no port that rests, nor which one was given last. */
  restarted(): void {
    this.swept();
    this.lastGiven.clear();
  }

  /** Ends a session, and with the last one its binding. */
  end(session: Session): void {
    const { binding } = session;
    this.sessions = this.sessions.filter((other) => other !== session);
    if (binding.kind === "dynamic" && !this.bindings.includes(binding)) this.resting.push(binding);
  }

  /** The session of an inside endpoint with a remote one. */
  findInside(protocol: Protocol, inside: Endpoint, remote: Endpoint): Session | undefined {
    return this.sessions.find(
      ({ binding, remote: other }) =>
        binding.protocol === protocol &&
        same(binding.inside, inside) &&
        this.sameRemote(protocol, other, remote),
    );
  }

  /** The session of a public endpoint with a remote one. */
  findOutside(protocol: Protocol, outside: Endpoint, remote: Endpoint): Session | undefined {
    return this.sessions.find(
      ({ binding, remote: other }) =>
        binding.protocol === protocol &&
        same(binding.outside, outside) &&
        this.sameRemote(protocol, other, remote),
    );
  }

  private sameRemote(protocol: Protocol, a: Endpoint, b: Endpoint): boolean {
    return protocol === "icmp" ? a.address === b.address : same(a, b);
  }

  /** Who answers at a public endpoint: a static host, a forward, a binding that lives. */
  bindingAt(protocol: Protocol, outside: Endpoint): Binding | undefined {
    const rule = this.config.static.find((one) => one.outside === outside.address);
    if (rule !== undefined) {
      return this.staticBinding(protocol, { address: rule.inside, port: outside.port });
    }
    return [...this.forwards, ...this.bindings].find(
      (binding) => binding.protocol === protocol && same(binding.outside, outside),
    );
  }

  private staticBinding(protocol: Protocol, inside: Endpoint): Binding | undefined {
    const rule = this.config.static.find((one) => one.inside === inside.address);
    if (rule === undefined) return undefined;
    const outside = { address: rule.outside, port: inside.port };
    const alive = this.bindings.find((one) => one.protocol === protocol && same(one.outside, outside));
    return alive ?? { protocol, inside, outside, remoteKey: "", kind: "static" };
  }

  /** The binding that an inside endpoint already has towards a remote. */
  private bindingOf(protocol: Protocol, inside: Endpoint, remote: Endpoint): Binding | undefined {
    const fixed =
      this.staticBinding(protocol, inside) ??
      this.forwards.find((binding) => binding.protocol === protocol && same(binding.inside, inside));
    if (fixed !== undefined) return fixed;
    // With ADM and APDM the tie to a remote ends with the last session there, though others may use the binding.
    const key = this.remoteKey(protocol, remote);
    return this.sessions.find(
      ({ binding, remote: other }) =>
        binding.kind === "dynamic" &&
        binding.protocol === protocol &&
        same(binding.inside, inside) &&
        binding.remoteKey === key &&
        this.remoteKey(protocol, other) === key,
    )?.binding;
  }

  /**
   * A remote that came in by itself through a binding meant for another (ADM or APDM, no filtering) has a session
   * there. Whether the host's own packets to that remote use the same binding is the engine's choice.
   */
  private adopted(
    protocol: Protocol,
    inside: Endpoint,
    remote: Endpoint,
    observer: Observer,
  ): Binding | undefined {
    const chosen = observer.outsideOf(protocol, inside, remote);
    const key = this.remoteKey(protocol, remote);
    return this.sessions.find(
      ({ binding, remote: other }) =>
        binding.protocol === protocol &&
        same(binding.inside, inside) &&
        chosen !== null &&
        same(binding.outside, chosen) &&
        this.remoteKey(protocol, other) === key,
    )?.binding;
  }

  private remoteKey(protocol: Protocol, remote: Endpoint): string {
    if (this.config.mapping === "endpoint-independent") return "";
    if (this.config.mapping === "address-dependent" || protocol === "icmp") return remote.address;
    return endpointText(remote);
  }

  /** Whether filtering lets a remote reach a binding. */
  private admits(binding: Binding, remote: Endpoint): boolean {
    if (binding.kind !== "dynamic") return true;
    const known = this.sessions
      .filter((session) => session.binding === binding && this.isTaken(session))
      .map((session) => session.remote);
    if (this.config.filtering === "endpoint-independent") return known.length > 0;
    const byAddress = this.config.filtering === "address-dependent" || binding.protocol === "icmp";
    return known.some((other) => (byAddress ? other.address === remote.address : same(other, remote)));
  }

  /** Whether the inside host began a connection, or has answered it. */
  private isTaken({ tcp }: Session): boolean {
    return tcp === null || tcp.taken;
  }

  // -------------------------------------------------------------------------------------------- making state

  /** Null when one more session of this host, begun by that side, fits. */
  private overLimit(host: string, by: Side): string | null {
    const { sessions, sessionsPerHost } = this.config.limits;
    if (sessions > 0 && this.sessions.length >= sessions) return "session limit";
    const alike = this.sessions.filter(
      ({ binding, opener }) => binding.inside.address === host && opener === by,
    );
    return sessionsPerHost > 0 && alike.length >= sessionsPerHost ? "session limit of the host" : null;
  }

  private addSession(binding: Binding, remote: Endpoint, opener: Side): Session {
    const tcp = binding.protocol === "tcp" ? new TcpModel(opener) : null;
    const session = { binding, remote, lastSeen: this.now, tcp, opener };
    this.sessions.push(session);
    return session;
  }

  /** The addresses that pooling leaves a host. */
  private addressesFor(host: string, holders: readonly Binding[]): PoolAddress[] {
    if (this.config.pooling === "arbitrary") return this.pool;
    const held = holders.find((one) => one.kind === "dynamic" && one.inside.address === host);
    return this.pool.filter(({ address }) => held === undefined || held.outside.address === address);
  }

  /** The engine's choice of a public endpoint, judged. Null when it refused, rightly. */
  private allocate(
    protocol: Protocol,
    inside: Endpoint,
    remote: Endpoint,
    observer: Observer,
  ): Binding | null {
    const alive = [...this.forwards, ...this.bindings];
    const chosen = observer.outsideOf(protocol, inside, remote);
    const fault = this.faultOf(protocol, inside, chosen, alive);
    if (fault !== null) {
      if (chosen === null) throw new Mismatch(fault);
      const resting = this.resting.filter((one) => !same(one.outside, chosen));
      const holders = [...alive, ...resting];
      const legal = [alive, holders].some(
        (paired) => this.faultOf(protocol, inside, chosen, holders, paired) === null,
      );
      if (!legal) throw new Mismatch(fault);
    }
    if (chosen === null) return null;
    this.lastGiven.set(`${protocol} ${chosen.address}`, chosen.port);
    return {
      protocol,
      inside,
      outside: chosen,
      remoteKey: this.remoteKey(protocol, remote),
      kind: "dynamic",
    };
  }

  /** What is wrong with a choice, or a refusal, while these bindings hold their ports and those their host's address. */
  private faultOf(
    protocol: Protocol,
    inside: Endpoint,
    chosen: Endpoint | null,
    holders: readonly Binding[],
    paired = holders,
  ): string | null {
    const owned: OwnedPort[] = holders.map((one) => ({
      protocol: one.protocol,
      outside: one.outside,
      host: one.kind === "dynamic" ? one.inside.address : null,
    }));
    const last = (address: string) => this.lastGiven.get(`${protocol} ${address}`);
    const request = { protocol, inside, addresses: this.addressesFor(inside.address, paired), owned, last };
    const policy = this.config.portAssignment;
    return chosen === null ? faultOfRefusal(request, policy) : faultOfChoice(request, policy, chosen);
  }

  /** Lets a packet of a session take effect on its idleness and TCP state. */
  private touch(session: Session, from: Side, { packet }: Flow): void {
    const { body } = packet;
    if (session.tcp !== null && body.kind === "tcp") {
      const { phase } = session.tcp;
      const effective = session.tcp.segment(from, { ...body, length: body.payload.length });
      const alone = from === "outside" && session.binding.kind === "dynamic" && !this.isTaken(session);
      const anew = session.tcp.phase !== phase; // begun once more, it has its time once more
      if (effective && (!alone || anew)) session.lastSeen = this.now;
    } else if (from === "inside" || this.config.inboundRefresh) {
      session.lastSeen = this.now;
    }
  }

  // -------------------------------------------------------------------------------------------- packets

  /** What must have become of this packet, sent at `now` (ms), and the state it leaves. */
  rule(packet: Packet, now: number, observer: Observer): Ruling {
    this.advance(now);
    const { src, dst } = packet;
    const fromInside = this.isInside(src);
    if (fromInside && this.isInside(dst)) return { verdict: "passed" };
    const toPublic = this.isPublic(dst);
    if (!toPublic && (!fromInside || isUnroutable(dst))) {
      return this.config.unmatched === "pass" ? { verdict: "passed" } : dropped("unmatched");
    }
    if (!fromInside && (isUnroutable(src) || this.isPublic(src))) return dropped("invalid source");
    if (toPublic && fromInside && !this.config.hairpinning) return dropped("hairpinning is off");
    if (packet.ttl <= 1 && this.config.ttl === "decrement") return dropped("time to live");

    const { body } = packet;
    const changes = this.config.ttl === "decrement" ? { ttl: packet.ttl - 1 } : {};
    if (body.kind === "icmp" && ICMP_ERRORS.includes(body.type)) {
      const quoted = decode(body.payload);
      if (!fromInside) return this.inboundError(quoted, changes);
      return toPublic
        ? this.hairpinError(quoted, changes, observer)
        : this.outboundError(packet, quoted, changes, observer);
    }
    const protocol = PROTOCOL_NAMES[packet.protocol];
    if (protocol === undefined || (protocol === "icmp" && body.kind !== "echo")) return dropped("protocol");
    const flow = { protocol, ...endpoints(packet), packet };
    if (!fromInside) return this.inbound(flow, changes);
    return toPublic ? this.hairpin(flow, changes, observer) : this.outbound(flow, changes, observer);
  }

  /** The session that an outbound packet uses or makes, or why there is none. */
  private leave(flow: Flow, observer: Observer): Session | string {
    const { protocol, src, dst, packet } = flow;
    const known = this.findInside(protocol, src, dst);
    if (known !== undefined) {
      this.touch(known, "inside", flow);
      return known;
    }
    const syn = packet.body.kind === "tcp" && packet.body.flags.includes("S");
    if (protocol === "tcp" && !syn && !this.config.tcpPickup) return "no session";
    const limit = this.overLimit(src.address, "inside");
    if (limit !== null) return limit;
    const binding =
      this.bindingOf(protocol, src, dst) ??
      this.adopted(protocol, src, dst, observer) ??
      this.allocate(protocol, src, dst, observer);
    if (binding === null) return "ports exhausted";
    const session = this.addSession(binding, dst, "inside");
    this.touch(session, "inside", flow);
    return session;
  }

  /** The binding that an inbound packet reaches, or why it reaches none. Makes a session where one is due. */
  private arrive(flow: Flow): Binding | string {
    const { protocol, src, dst, packet } = flow;
    const known = this.findOutside(protocol, dst, src);
    if (known !== undefined) {
      this.touch(known, "outside", flow);
      return known.binding;
    }
    const binding = this.bindingAt(protocol, dst);
    if (binding === undefined) return "no binding";
    if (!this.admits(binding, src)) return "filtered";
    // The two may have a session already, through another public endpoint of the inside host. There can't be a
    // second one (the inside host could not tell them apart): the packet passes and leaves no trace.
    const other = this.findInside(protocol, binding.inside, src);
    if (other !== undefined) return binding;
    const { body } = packet;
    if (body.kind === "tcp" && !(body.flags.includes("S") && !body.flags.includes("A"))) return "no session";
    const makesSession = protocol === "tcp" || binding.kind !== "dynamic" || this.config.inboundRefresh;
    if (!makesSession) return binding;
    const limit = this.overLimit(binding.inside.address, "outside");
    if (limit !== null) return limit;
    this.touch(this.addSession(binding, src, "outside"), "outside", flow);
    return binding;
  }

  private outbound(flow: Flow, changes: Changes, observer: Observer): Ruling {
    const session = this.leave(flow, observer);
    if (typeof session === "string") return dropped(session);
    return {
      verdict: "forwarded",
      direction: "outbound",
      changes: { ...changes, src: session.binding.outside },
    };
  }

  private inbound(flow: Flow, changes: Changes): Ruling {
    const binding = this.arrive(flow);
    if (typeof binding === "string") return dropped(binding);
    return { verdict: "forwarded", direction: "inbound", changes: { ...changes, dst: binding.inside } };
  }

  /**
   * As outbound, then as inbound from the sender's public endpoint. What the inbound half refuses leaves the
   * outbound half's state, so hosts that send to each other get through, as they would if both were outside.
   */
  private hairpin(flow: Flow, changes: Changes, observer: Observer): Ruling {
    const session = this.leave(flow, observer);
    if (typeof session === "string") return dropped(session);
    const { outside } = session.binding;
    const dst = flow.protocol === "icmp" ? { ...flow.dst, port: outside.port } : flow.dst;
    const binding = this.arrive({ ...flow, src: outside, dst });
    if (typeof binding === "string") return dropped(`hairpin: ${binding}`);
    return {
      verdict: "forwarded",
      direction: "hairpin",
      changes: { ...changes, src: outside, dst: binding.inside },
    };
  }

  // -------------------------------------------------------------------------------------------- ICMP errors
  // They neither make, refresh nor end anything.

  private inboundError(quoted: Packet, changes: Changes): Ruling {
    const protocol = PROTOCOL_NAMES[quoted.protocol];
    const { src, dst } = endpoints(quoted);
    const session = protocol === undefined ? undefined : this.findOutside(protocol, src, dst);
    if (session === undefined) return dropped("error about no session");
    if (!this.inFlight(session, "inside", quoted)) return dropped("error about a segment out of the window");
    const { inside } = session.binding;
    return {
      verdict: "forwarded",
      direction: "inbound",
      changes: { ...changes, dst: inside },
      quoted: { src: inside },
    };
  }

  private outboundError(packet: Packet, quoted: Packet, changes: Changes, observer: Observer): Ruling {
    const protocol = PROTOCOL_NAMES[quoted.protocol];
    const { src, dst } = endpoints(quoted);
    const session = protocol === undefined ? undefined : this.findInside(protocol, dst, src);
    if (session === undefined) return dropped("error about no session");
    if (!this.inFlight(session, "outside", quoted)) return dropped("error about a segment out of the window");
    const { outside } = session.binding;
    return {
      verdict: "forwarded",
      direction: "outbound",
      changes: { ...changes, src: this.errorSource(packet.src, observer) },
      quoted: { dst: outside },
    };
  }

  private hairpinError(quoted: Packet, changes: Changes, observer: Observer): Ruling {
    const protocol = PROTOCOL_NAMES[quoted.protocol];
    const { src, dst } = endpoints(quoted);
    const receiver = protocol === undefined ? undefined : this.findInside(protocol, dst, src);
    if (protocol === undefined || receiver === undefined) return dropped("error about no session");
    const { outside } = receiver.binding;
    const sentFrom = protocol === "icmp" ? { ...src, port: outside.port } : src; // as it was between the two halves
    const sender = this.findOutside(protocol, sentFrom, outside);
    if (sender === undefined) return dropped("error about no session");
    if (!this.inFlight(sender, "inside", quoted)) return dropped("error about a segment out of the window");
    const asSent = sender.binding.inside;
    return {
      verdict: "forwarded",
      direction: "hairpin",
      changes: { ...changes, src: this.errorSource(dst.address, observer), dst: asSent },
      quoted: { src: asSent, dst: protocol === "icmp" ? { ...outside, port: asSent.port } : outside },
    };
  }

  private inFlight(session: Session, sender: Side, { body }: Packet): boolean {
    if (session.tcp === null) return true;
    return body.kind === "tcp" && session.tcp.inFlight(sender, body.seq);
  }

  /** RFC 5508 REQ-5c: a 1:1 host's own public address, else one of the NAT's. */
  private errorSource(sender: string, observer: Observer): Endpoint {
    const fixed = this.config.static.find((rule) => rule.inside === sender)?.outside;
    const source = fixed ?? observer.source ?? this.pool[0]!.address;
    if (!this.isPublic(source)) throw new Mismatch(`an error leaves with source ${source}`);
    return { address: source, port: 0 };
  }
}

/** A stable text for a session, the same for model and engine. ICMP remotes have no port. */
export function sessionText(
  protocol: Protocol,
  inside: Endpoint,
  outside: Endpoint,
  remote: Endpoint,
): string {
  const far = protocol === "icmp" ? remote.address : endpointText(remote);
  return `${protocol} ${endpointText(inside)} = ${endpointText(outside)} > ${far}`;
}

/** Orders addresses as numbers. */
export function compareAddresses(a: string, b: string): number {
  return addressNumber(a) - addressNumber(b);
}
