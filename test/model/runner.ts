/**
 * Runs operations of a {@link World} through an engine and the model side by side, and compares after each step:
 * the verdict, every byte that came out, and the whole session table with the moments of expiry.
 */
import { type Session as EngineSession, Nat, type Verdict } from "../../src/index.js";
import {
  decode,
  describe,
  type Endpoint,
  echo,
  endpoints,
  endpointText,
  errorAbout,
  fullChecksums,
  get32,
  hex,
  lowerMss,
  type Packet,
  PROTOCOL,
  put32,
  raw,
  replaceFields,
  replaceQuoted,
  tcp,
  udp,
} from "../support/packets.js";
import { Told } from "../support/told.js";
import {
  type Binding,
  Mismatch,
  type ModelConfig,
  NatModel,
  type Observer,
  type Ruling,
  type Session,
  sessionText,
} from "./nat-model.js";
import type { Protocol } from "./port-rules.js";
import { atOrAfter, otherSide, type Side } from "./tcp-model.js";
import type { Operation, SegmentKind, Shape, World } from "./world.js";

/** A packet as it went in, for running the sequence again by other means. */
export interface Passage {
  at: number;
  before: Uint8Array;
  after: Uint8Array;
  verdict: Verdict;
}

/** What happened, in order: packets, a session deleted, or a restart. */
export type Event =
  | Passage
  | { at: number; deleted: Parameters<Nat["conntrack"]["delete"]>[0] }
  | { at: number; restarted: number };

/**
 * A new engine with the sessions of another, which is closed. Its clock has another origin.
 * @param at by both clocks' ms and, less `offset`, by the new one's
 * @param listen is given the new one while it has no session
 */
export function restarted(
  nat: Nat,
  world: Pick<World, "config" | "seed">,
  at: number,
  passed: number,
  listen: (next: Nat) => void = () => {},
): Nat {
  const next = new Nat(world.config, { seed: world.seed });
  listen(next);
  const snapshot = Buffer.concat([...nat.conntrack.snapshot({ now: at, wall: 1e12 })]);
  nat.close();
  const { refused } = next.conntrack.restore(snapshot, { now: at + passed, wall: 1e12 + passed });
  if (refused > 0) throw new Mismatch(`${refused} sessions were refused after a restart`);
  return next;
}

/** A packet seen on the wire that an ICMP error may be about. */
interface Quotable {
  protocol: Protocol;
  inside: Endpoint;
  remote: Endpoint;
  /** The side that sent it. */
  sender: Side;
  packet: Uint8Array;
}

/** A non-atomic datagram that left with this IP ID. */
interface SentId {
  at: number;
  host: string;
  key: string;
  id: number;
}

const INITIAL = { inside: 1_000_000, outside: 4_294_960_000 }; // the outside's numbers wrap early

export class Runner {
  /**
   * Datagrams whose IP ID another host was using, and those for which it still was afterwards. The engine's memory
   * of IDs is bounded and forgets a few, so single cases prove nothing.
   */
  static readonly identifications = { threatened: 0, shared: 0 };

  readonly trace: string[] = [];
  readonly events: Event[] = [];
  private readonly config: ModelConfig;
  private readonly sweep: boolean;
  private readonly model: NatModel;
  private told: Told;
  private now = 1000;
  private readonly endpointsSeen = new Map<string, { protocol: Protocol; outside: Endpoint }>();
  private readonly sent = new Map<string, Quotable>();
  private readonly delivered = new Map<string, Quotable>();
  /** The IDs that hosts gave to datagrams which left with these. */
  private readonly givenIds = new Map<string, number>();
  private readonly ids: SentId[] = [];
  private sequenceNumbers = 77_000_000;
  private packets = 0;
  /** Those of them that an earlier engine had. */
  private counted = 0;

  constructor(
    private nat: Nat,
    private readonly world: World,
  ) {
    const { config } = world;
    this.config = config;
    this.sweep = world.sweep;
    this.model = new NatModel(config);
    this.told = new Told(nat);
    for (const rule of config.forwards) {
      const [address, port] = rule.outside.split(":");
      this.remember(rule.protocol, { address: address!, port: Number(port) });
    }
    for (const rule of config.static) {
      for (const protocol of ["udp", "tcp", "icmp"] as const) {
        this.remember(protocol, { address: rule.outside, port: 4001 });
      }
    }
  }

  /** Runs all operations; what goes wrong is thrown with the trace. */
  static run(world: World): Runner {
    return Runner.perform(world, true);
  }

  /** Runs operations without passing judgement, as far as the model can follow, to have them run again. */
  static record(world: World): Runner {
    return Runner.perform({ ...world, sweep: false }, false);
  }

  private static perform(world: World, judge: boolean): Runner {
    const nat = new Nat(world.config, { seed: world.seed });
    const runner = new Runner(nat, world);
    try {
      for (const operation of world.operations) runner.step(operation);
      runner.compareTables(true);
    } catch (error) {
      if (!judge && error instanceof Mismatch) return runner;
      const reason = error instanceof Mismatch ? error.message : String((error as Error).stack);
      throw new Error(`${reason}\n${runner.story()}`);
    } finally {
      runner.nat.close();
    }
    return runner;
  }

  /** The config's departures from nothing, and every step so far. */
  story(): string {
    return `config ${JSON.stringify(this.config)}\n${this.trace.join("\n")}`;
  }

  // -------------------------------------------------------------------------------------------- operations

  step(operation: Operation): void {
    this.model.advance(this.now);
    switch (operation.op) {
      case "send":
        this.send(operation);
        break;
      case "again":
        this.withSession(operation.n, (session) => this.again(session, "inside", operation.shape));
        break;
      case "reply":
        this.withSession(operation.n, (session) => this.again(session, "outside", operation.shape));
        break;
      case "knock":
        this.knock(operation);
        break;
      case "hairpin":
        this.hairpin(operation);
        break;
      case "error":
        this.error(operation);
        break;
      case "stray":
        this.stray(operation.kind);
        break;
      case "wait":
        this.wait(this.now + operation.ms);
        break;
      case "wait for":
        this.withSession(operation.n, (session) => this.wait(this.model.expiry(session) + operation.delta));
        break;
      case "wait timer":
        this.wait(this.now + this.config.timeouts[operation.timer] * 1000 + operation.delta);
        break;
      case "restart":
        this.restart(operation.ms);
        break;
      case "delete":
        this.withSession(operation.n, (session) => this.delete(session));
        break;
    }
  }

  /** One more packet of a session. */
  private again(session: Session, from: Side, shape: Shape): void {
    const { protocol, inside, outside } = session.binding;
    if (from === "inside") this.transport(from, protocol, inside, session.remote, shape, session);
    else this.transport(from, protocol, session.remote, outside, shape, session);
  }

  private withSession(n: number, action: (session: Session) => void): void {
    const { sessions } = this.model;
    if (sessions.length > 0) action(sessions[n % sessions.length]!);
  }

  private send({ protocol, host, port, remote, remotePort, shape }: Operation & { op: "send" }): void {
    const inside = { address: host, port };
    const to = { address: remote, port: protocol === "icmp" ? port : remotePort };
    this.transport("inside", protocol, inside, to, shape, this.model.findInside(protocol, inside, to));
  }

  private knock({ n, remote, remotePort, shape }: Operation & { op: "knock" }): void {
    const target = this.endpointAt(n);
    if (target === undefined) return;
    const { protocol, outside } = target;
    const from = { address: remote, port: protocol === "icmp" ? outside.port : remotePort };
    const session = this.model.findOutside(protocol, outside, from);
    this.transport("outside", protocol, from, outside, shape, session);
  }

  private hairpin({ n, host, port, shape }: Operation & { op: "hairpin" }): void {
    const target = this.endpointAt(n);
    if (target === undefined) return;
    const { protocol, outside } = target;
    const inside = { address: host, port };
    if (protocol === "icmp" && !this.config.static.some((rule) => rule.outside === outside.address)) return;
    this.transport(
      "inside",
      protocol,
      inside,
      outside,
      shape,
      this.model.findInside(protocol, inside, outside),
    );
  }

  private endpointAt(n: number): { protocol: Protocol; outside: Endpoint } | undefined {
    const seen = [...this.endpointsSeen.values()];
    return seen[n % seen.length];
  }

  private remember(protocol: Protocol, outside: Endpoint): void {
    this.endpointsSeen.set(`${protocol} ${endpointText(outside)}`, { protocol, outside });
  }

  private wait(until: number): void {
    if (until > this.now) this.now = until;
    this.trace.push(`${this.clock()} wait`);
    this.model.advance(this.now);
    if (this.sweep) this.compareTables(true);
  }

  private restart(ms: number): void {
    this.trace.push(`${this.clock()} restart, ${ms} ms`);
    this.nat = restarted(this.nat, this.world, this.now, ms, (next) => {
      this.told = new Told(next);
    });
    this.events.push({ at: this.now, restarted: ms });
    this.now += ms;
    this.model.advance(this.now);
    this.model.restarted();
    this.counted = this.packets;
    // Which identifications were given, nobody knows any more.
    this.ids.length = 0;
    this.givenIds.clear();
    this.compareTables(true);
  }

  private delete(session: Session): void {
    const { protocol, inside } = session.binding;
    const key = { protocol, inside, remote: session.remote };
    this.trace.push(`${this.clock()} delete ${textOf(session)}`);
    this.nat.conntrack.sweep(this.now); // `delete` takes no time; the engine's last packet may be long ago
    if (!this.nat.conntrack.delete(key)) throw new Mismatch("the engine has no such session");
    this.events.push({ at: this.now, deleted: key });
    this.model.end(session);
    this.compareTables(true);
  }

  // -------------------------------------------------------------------------------------------- packets

  private transport(
    from: Side,
    protocol: Protocol,
    src: Endpoint,
    dst: Endpoint,
    shape: Shape,
    session: Session | undefined,
  ): void {
    const common = { src: endpointText(src), dst: endpointText(dst), ...this.header(shape) };
    if (protocol === "udp") {
      this.packet(udp({ ...common, payload: new Uint8Array(shape.length).fill(this.packets) }));
    } else if (protocol === "icmp") {
      // Only a 1:1 host is ever asked from outside.
      const fixed =
        session === undefined ? from === "outside" && this.isStatic(dst) : session.binding.kind === "static";
      const reply = fixed && session !== undefined ? session.opener !== from : from === "outside" && !fixed;
      const identifier = from === "inside" ? src.port : dst.port;
      this.packet(
        echo({ ...common, identifier, sequence: this.packets, reply, payload: new Uint8Array(shape.length) }),
      );
    } else {
      this.packet(this.segment(from, common, shape, session, dst));
    }
  }

  private isStatic(outside: Endpoint): boolean {
    return this.config.static.some((rule) => rule.outside === outside.address);
  }

  private header({ ttl, id, df }: Shape) {
    // The contract does not say what becomes of a TTL of 0 when it is not decremented.
    return { ttl: this.config.ttl === "keep" ? Math.max(1, ttl) : ttl, id, df };
  }

  private segment(
    from: Side,
    common: { src: string; dst: string; ttl: number; id: number; df: boolean },
    shape: Shape,
    session: Session | undefined,
    dst: Endpoint,
  ): Uint8Array {
    const twin = from === "inside" && session !== undefined ? this.twinOf(session, dst) : undefined;
    const kind = possible(shape.segment, from, session, twin);
    const halves = session?.tcp?.halves;
    const mine = halves?.[from];
    const peer = halves?.[otherSide(from)];
    let seq = mine?.next ?? mine?.acknowledged ?? INITIAL[from];
    let ack = peer?.next ?? INITIAL[otherSide(from)];
    if (shape.lateAck && peer !== undefined && peer.fin !== null) ack = peer.fin;
    const closed = mine !== undefined && mine.fin !== null;
    const payload = new Uint8Array(kind === "data" && !closed ? shape.length : 0);
    if (kind === "syn" || kind === "synack") {
      // The same number when it is sent again, a new one for a new connection.
      const opening = session?.tcp?.phase === "opening" ? mine : undefined;
      const expected = opening?.acknowledged == null ? null : (opening.acknowledged - 1) >>> 0;
      const again = opening?.syn ?? expected;
      if (again === null) this.sequenceNumbers += 1_000_003;
      seq = again ?? this.sequenceNumbers;
    }
    if (kind === "fin" && closed) seq = mine.fin!;
    if (kind === "wild-rst") seq = (seq + 0x40000000) >>> 0;
    const flags = { syn: "S", synack: "SA", data: "A", fin: "FA", rst: "R", "wild-rst": "R" }[kind];
    if (kind === "syn" || flags === "R") ack = 0;
    const tcpOptions = Uint8Array.from(flags.includes("S") ? shape.options : []);
    return tcp({ ...common, flags, seq, ack, window: 65535, payload, tcpOptions });
  }

  /** For a session between two inside hosts, the one that the other of them has. */
  private twinOf(session: Session, dst: Endpoint): Session | null | undefined {
    if (!this.model.isPublic(dst.address)) return undefined;
    return this.model.findOutside("tcp", dst, session.binding.outside) ?? null;
  }

  private error({ about, n, type, code, octets, wild }: Operation & { op: "error" }): void {
    const wire = [...(about === "sent" ? this.sent : this.delivered).values()];
    const quotable = wire[n % wire.length];
    if (quotable === undefined) return;
    const { protocol, inside, remote, sender } = quotable;
    const session = this.model.findInside(protocol, inside, remote);
    let quoted = quotable.packet;
    if (session === undefined && this.bindingMayKnow(quotable)) return;
    if (about === "sent") {
      const { src, dst } = endpoints(decode(quoted));
      if (this.model.findOutside(protocol, src, dst) !== session) return; // the port is another's by now
    }
    if (session?.tcp != null) {
      if (wild && session.tcp.phase === "established") {
        // Ahead of the window; how far behind it an error may be is not said.
        quoted = quoted.slice();
        put32(quoted, 24, (get32(quoted, 24) + 0x40000000) >>> 0);
        quoted = fullChecksums(quoted);
      } else if (!unacknowledged(session, sender, quoted)) {
        return;
      }
    }
    const { src, dst } = endpoints(decode(quoted));
    const hairpinned = about === "delivered" && this.model.isPublic(src.address);
    if (hairpinned && this.model.findOutside(protocol, src, session?.binding.outside ?? dst) === undefined)
      return;
    const reporter = about === "sent" ? (wild ? "192.0.2.254" : dst.address) : dst.address;
    this.packet(errorAbout(quoted, { src: reporter, dst: src.address, type, code, rest: 1400, octets }));
  }

  /** Without a session the contract leaves open whether a binding suffices for an error to be translated. */
  private bindingMayKnow({ protocol, inside }: Quotable): boolean {
    return (
      this.config.static.some((rule) => rule.inside === inside.address) ||
      this.config.forwards.some((rule) => rule.inside === endpointText(inside)) ||
      this.model.bindings.some(
        (one) => one.protocol === protocol && endpointText(one.inside) === endpointText(inside),
      )
    );
  }

  private stray(kind: (Operation & { op: "stray" })["kind"]): void {
    const own = this.config.outside[0]!.address;
    const packets = {
      inside: () => udp({ src: "10.0.0.1:4000", dst: "10.0.0.2:4000", ttl: 1 }),
      transit: () => udp({ src: "192.0.2.7:4000", dst: "198.51.100.1:53" }),
      multicast: () => udp({ src: "10.0.0.1:4000", dst: "224.0.0.251:5353" }),
      "own source": () => udp({ src: `${own}:5001`, dst: `${own}:5000` }),
      "bad source": () => udp({ src: "127.0.0.1:53", dst: `${own}:5001` }),
      gre: () => raw({ src: "10.0.0.1", dst: "198.51.100.1", protocol: PROTOCOL.gre, payload: "gre" }),
      "unknown port": () => udp({ src: "198.51.100.1:53", dst: `${own}:9` }),
    };
    this.packet(packets[kind]());
  }

  // -------------------------------------------------------------------------------------------- comparing

  /** Sends a packet, has the model judge what came of it, and compares. */
  packet(before: Uint8Array): void {
    this.packets++;
    const after = before.slice();
    const verdict = this.nat.translate(after, { now: this.now });
    this.events.push({ at: this.now, before, after, verdict });
    const result =
      verdict.verdict === "forwarded"
        ? `-> ${describe(after)}`
        : `${verdict.verdict} ${verdict.reason ?? ""}`;
    this.trace.push(`${this.clock()} ${describe(before)}\n${" ".repeat(12)}${verdict.direction} ${result}`);
    const packet = decode(before);
    const ruling = this.model.rule(packet, this.now, this.observe(verdict, after));
    this.compareVerdicts(ruling, verdict);
    if (ruling.verdict === "forwarded") this.compareBytes(before, after, ruling);
    else if (hex(before) !== hex(after)) throw new Mismatch("a packet that was not forwarded was changed");
    this.compareTables(this.sweep);
    if (ruling.verdict === "forwarded") this.keep(ruling, packet, after);
  }

  private observe(verdict: Verdict, after: Uint8Array): Observer {
    const forwarded = verdict.verdict === "forwarded";
    return {
      forwarded,
      source: forwarded ? decode(after).src : null,
      outsideOf: (protocol, inside, remote) => {
        const session = this.nat.conntrack.find({ protocol, inside, remote });
        return session === null ? null : { ...session.public };
      },
    };
  }

  private compareVerdicts(ruling: Ruling, verdict: Verdict): void {
    if (ruling.verdict !== verdict.verdict) {
      const why = ruling.verdict === "dropped" ? ` (${ruling.why})` : "";
      throw new Mismatch(`expected ${ruling.verdict}${why}, the engine says ${verdict.verdict}`);
    }
    if ((verdict.reason === null) === (verdict.verdict === "dropped")) {
      throw new Mismatch("a reason is for dropped packets, and each has one");
    }
    if (ruling.verdict === "forwarded" && ruling.direction !== verdict.direction) {
      throw new Mismatch(`expected ${ruling.direction}, the engine says ${verdict.direction}`);
    }
  }

  private compareBytes(
    before: Uint8Array,
    after: Uint8Array,
    ruling: Ruling & { verdict: "forwarded" },
  ): void {
    const id = this.expectedId(before, after, ruling);
    let expected = replaceFields(before, { ...ruling.changes, id });
    if (ruling.quoted !== undefined) {
      const quoted = this.asGiven(before);
      expected = replaceQuoted(expected, {
        ...ruling.quoted,
        ...(quoted === undefined ? {} : { id: quoted }),
      });
    }
    if (this.model.mostMss > 0) expected = lowerMss(expected, this.model.mostMss);
    expected = fullChecksums(expected);
    if (hex(expected) === hex(after)) return;
    throw new Mismatch(
      `expected ${describe(expected)}\n         ${hex(expected)}\n     got ${hex(after)}\n    from ${hex(before)}`,
    );
  }

  /** RFC 5508, REQ-4a: an error quotes the ID that its receiver had given, though the NAT replaced it. */
  private asGiven(error: Uint8Array): number | undefined {
    const { body } = decode(error);
    return body.kind === "icmp" ? this.givenIds.get(idKey(decode(body.payload))) : undefined;
  }

  /** RFC 6864: an ID changes only where another host's non-atomic datagram may have the same. */
  private expectedId(
    before: Uint8Array,
    after: Uint8Array,
    ruling: Ruling & { verdict: "forwarded" },
  ): number {
    const was = decode(before);
    const is = decode(after);
    if (ruling.direction === "inbound" || was.df) return was.id;
    const key = `${is.src} ${is.dst} ${is.protocol}`;
    const others = this.ids.filter((one) => one.key === key && one.host !== was.src);
    const recent = others.filter((one) => this.now - one.at < 1000);
    if (recent.some((one) => one.id === was.id)) Runner.identifications.threatened++;
    if (recent.some((one) => one.id === is.id)) Runner.identifications.shared++;
    this.ids.push({ at: this.now, host: was.src, key, id: is.id });
    this.givenIds.set(idKey(is), was.id);
    return others.length > 0 ? is.id : was.id;
  }

  /** The engine's sessions, with their moments of expiry, are the model's. */
  private compareTables(sweep: boolean): void {
    if (sweep) {
      this.nat.conntrack.sweep(this.now);
      this.model.swept();
    }
    const mine = this.model.sessions.map(
      (session) => `${textOf(session)} until ${this.model.expiry(session)}`,
    );
    const theirs = [...this.nat.conntrack]
      .filter((session) => sweep || session.expiresAt > this.now)
      .map((session) => `${engineText(session)} until ${session.expiresAt}`);
    const missing = mine.filter((text) => !theirs.includes(text));
    const extra = theirs.filter((text) => !mine.includes(text));
    if (missing.length + extra.length > 0 || mine.length !== theirs.length) {
      throw new Mismatch(
        `the session tables differ\n  only the model has:  ${missing.join("\n  ")}\n  only the engine has: ${extra.join("\n  ")}`,
      );
    }
    if (!sweep) return;
    this.told.check();
    const { sessions, packets, drops } = this.nat.stats;
    const lost = Object.values(drops).reduce((sum, count) => sum + count, 0);
    if (this.nat.conntrack.size !== mine.length || sessions.active !== mine.length) {
      throw new Mismatch(`size ${this.nat.conntrack.size}, stats ${sessions.active}, model ${mine.length}`);
    }
    const handed = this.packets - this.counted;
    if (packets.in !== handed || packets.in !== packets.out + lost + packets.held) {
      throw new Mismatch(`packets don't add up: ${JSON.stringify(packets)} and ${lost} lost of ${handed}`);
    }
    if (sessions.created !== sessions.active + sessions.expired + sessions.deleted) {
      throw new Mismatch(`sessions don't add up: ${JSON.stringify(sessions)}`);
    }
  }

  /** Keeps what later operations may refer to. */
  private keep(ruling: Ruling & { verdict: "forwarded" }, packet: Packet, after: Uint8Array): void {
    if (ruling.quoted !== undefined) return;
    const protocol = ({ 1: "icmp", 6: "tcp", 17: "udp" } as const)[packet.protocol as 1 | 6 | 17];
    const { src, dst } = endpoints(packet);
    const out = endpoints(decode(after));
    if (ruling.direction !== "inbound") {
      this.remember(protocol, out.src);
      const session = this.model.findInside(protocol, src, dst);
      if (ruling.direction === "outbound" && !isStray(session, "inside", packet)) {
        this.note(this.sent, { protocol, inside: src, remote: dst, sender: "inside", packet: after });
      }
    }
    if (ruling.direction !== "outbound") {
      const session = this.model.findInside(protocol, out.dst, out.src);
      if (!isStray(session, "outside", packet)) {
        this.note(this.delivered, {
          protocol,
          inside: out.dst,
          remote: out.src,
          sender: "outside",
          packet: after,
        });
      }
    }
  }

  private note(wire: Map<string, Quotable>, quotable: Quotable): void {
    const { protocol, inside, remote } = quotable;
    wire.set(`${protocol} ${endpointText(inside)} ${endpointText(remote)}`, quotable);
  }

  private clock(): string {
    return `${String(this.now - 1000).padStart(9)} ms`;
  }
}

function idKey({ src, dst, protocol, id }: Packet): string {
  return `${src} ${dst} ${protocol} ${id}`;
}

/** Whether a segment (a stray SYN, an RST) says nothing about the numbers in use. */
function isStray(session: Session | undefined, side: Side, { body }: Packet): boolean {
  if (body.kind !== "tcp") return false;
  const next = session?.tcp?.halves[side].next;
  return body.flags.includes("R") || next == null || (next - body.seq) >>> 0 > 100;
}

/** Whether a quoted segment is one that its receiver has not acknowledged. */
function unacknowledged(session: Session, sender: Side, quoted: Uint8Array): boolean {
  const { body } = decode(quoted);
  if (body.kind !== "tcp") return false;
  const { next, acknowledged } = session.tcp!.halves[sender];
  if (next === null || (next - body.seq) >>> 0 > 1000) return false;
  return acknowledged === null || (atOrAfter(body.seq, acknowledged) && body.seq !== next);
}

/**
 * The kind of segment that may be sent now: what the contract leaves open becomes data. `twin` is the other
 * host's session of a hairpinned connection, null when it has none, undefined when there is no other inside host.
 */
function possible(
  kind: SegmentKind,
  from: Side,
  session: Session | undefined,
  twin: Session | null | undefined,
): SegmentKind {
  if (session?.tcp == null) return kind === "syn" || kind === "fin" ? kind : "data";
  const { phase, halfClosed } = session.tcp;
  const { syn, next } = session.tcp.halves[from];
  const begun = phase === "opening" && next !== null && syn === null;
  const open = phase === "established" && !halfClosed;
  const together = twin === undefined || (twin?.tcp?.phase === phase && twin.tcp.halfClosed === halfClosed);
  switch (kind) {
    case "rst":
    case "wild-rst":
      return open && together ? kind : "data";
    case "synack":
      return phase === "opening" && !begun ? kind : "data";
    case "fin":
      return kind;
    case "syn":
      return begun ? "data" : kind;
    case "data":
      return kind;
  }
}

function textOf({ binding, remote }: { binding: Binding; remote: Endpoint }): string {
  return sessionText(binding.protocol, binding.inside, binding.outside, remote);
}

function engineText(session: EngineSession): string {
  return sessionText(session.protocol as Protocol, session.inside, session.public, session.remote);
}
