/**
 * Takes steps with both routers side by side and compares what comes out of each. Which public endpoint a router
 * chooses is its own affair: it is learnt, and from then on packets are made for each router with its own.
 */
import {
  decode,
  describe,
  type Endpoint,
  endpoint,
  endpointText,
  fragments,
  inPrefix,
  udp,
} from "../support/packets.js";
import { type Difference, differencesOf, type Judge } from "./compare.js";
import { dispatch, errorPacket, type Flow, newFlow } from "./flow.js";
import {
  type Datagram,
  endsOf,
  isIcmpError,
  isPublicAddress,
  type Observation,
  observe,
  type PublicEndpoint,
  received,
} from "./observation.js";
import {
  type Both,
  both,
  type KernelRouter,
  NaptRouter,
  type Outcome,
  type Passage,
  type Side,
  type Who,
} from "./routers.js";
import { type Ends, PLAIN, type Protocol, type QueryKind, type Shape, type Step } from "./steps.js";
import { STRAYS } from "./strays.js";
import { INSIDE, PATH_ROUTERS, SOURCE_PORTS, STATIC, type World } from "./worlds.js";

/** One datagram, or a few, on their way into both routers. */
interface Stimulus {
  side: Side;
  whole: Both<Uint8Array>;
  packets: Both<Uint8Array[]>;
  protocol: Protocol;
  /** The inside endpoints that take part, or would. */
  parties: Endpoint[];
  /** Those of them that need a public endpoint. */
  senders: Endpoint[];
  /** See {@link Difference}. */
  punched?: boolean;
  /** Of an ICMP query. */
  query?: QueryKind;
  /** The flow that it belongs to, if there is one already. */
  flow: Flow | null;
  /** For an ICMP error: what it is about, as its receiver sent it. */
  about?: Both<Uint8Array>;
}

/** Where a forward or a 1:1 mapping leads. */
interface Target {
  protocol: Protocol;
  public: Both<Endpoint>;
  inside: Endpoint;
}

function same(a: Endpoint, b: Endpoint): boolean {
  return a.address === b.address && a.port === b.port;
}

/** A remote endpoint: those of ICMP have no port. */
function remoteOf(protocol: Protocol, { address, port }: Endpoint): Endpoint {
  return { address, port: protocol === "icmp" ? 0 : port };
}

/**
 * The first packet of a flow. It comes whole: napt, which puts nothing together, takes notice of an incomplete
 * datagram and sees only a part of a segment. And its numbers are those that the flow goes on with.
 */
function first(shape: Shape, tcp: boolean): Shape {
  const { cuts = [], order = [0] } = shape.pieces ?? {};
  const whole = cuts.every((_, n) => order.includes(n + 1));
  return {
    ...shape,
    pieces: whole && !tcp ? shape.pieces : null,
    segment: shape.segment === "wild data" ? "data" : shape.segment,
  };
}

export class Runner {
  private readonly trace: string[] = [];
  private readonly flows: Flow[] = [];
  /** Inside endpoints about whose sessions the routers disagree. */
  private readonly abandoned = new Set<string>();
  /** Inside endpoints that have sent something to a public endpoint. */
  private readonly punchers = new Set<string>();
  private readonly napt: NaptRouter;
  /** The kernel keeps fragments from one run to the next: no identification is used twice. */
  private static identification = 0;

  private constructor(
    private readonly world: World,
    private readonly kernel: KernelRouter,
    private readonly judge: Judge,
  ) {
    this.napt = new NaptRouter(world);
  }

  /** Takes all steps. A difference that the judge does not know is thrown, with all that led to it. */
  static async run(world: World, steps: readonly Step[], kernel: KernelRouter, judge: Judge): Promise<void> {
    await kernel.forget(world);
    const runner = new Runner(world, kernel, judge);
    try {
      for (const step of steps) await runner.take(step);
    } finally {
      runner.napt.close();
    }
  }

  // ---------------------------------------------------------------------------------------------- steps

  private async take(step: Step): Promise<void> {
    switch (step.op) {
      case "send":
        return this.send(step, step.protocol, step, step.shape);
      case "again":
        return this.onFlow(step.n, (flow) => this.carry(step, flow, "inside", step.shape));
      case "reply":
        return this.onFlow(step.n, (flow) => this.carry(step, flow, "outside", step.shape));
      case "connect":
        return this.connect(step);
      case "finish":
        return this.onFlow(step.n, (flow) => this.finish(step, flow));
      case "knock":
        return this.onFlow(step.n, (flow) => this.knock(step, flow));
      case "visit":
        return this.visit(step);
      case "hairpin":
        return this.hairpin(step);
      case "error":
        return this.onFlow(step.n, (flow) => this.error(step, flow));
      case "twins":
        return this.twins(step);
      case "stray":
        return this.stray(step);
    }
  }

  private async onFlow(n: number, action: (flow: Flow) => Promise<unknown>): Promise<void> {
    const flow = this.flowAt(n);
    if (flow !== undefined) await action(flow);
  }

  private async send(step: Step, protocol: Protocol, ends: Ends, shape: Shape): Promise<void> {
    await this.carry(step, this.flowBetween(protocol, ends), "inside", shape);
  }

  private async connect(step: Step & { op: "connect" }): Promise<void> {
    const flow = this.flowBetween("tcp", step);
    await this.carry(step, flow, "inside", { ...PLAIN, segment: "syn" });
    if (!this.flows.includes(flow)) return;
    await this.carry(step, flow, "outside", { ...PLAIN, segment: "synack" });
    await this.carry(step, flow, "inside", { ...PLAIN, segment: "ack" });
  }

  private async finish(step: Step & { op: "finish" }, flow: Flow): Promise<void> {
    if (flow.protocol !== "tcp" || flow.hairpinned) return;
    const second = step.first === "inside" ? "outside" : "inside";
    await this.carry(step, flow, step.first, { ...PLAIN, segment: "fin" });
    await this.carry(step, flow, second, { ...PLAIN, segment: "fin" });
    await this.carry(step, flow, step.first, { ...PLAIN, segment: "ack" });
  }

  private async knock(step: Step & { op: "knock" }, flow: Flow): Promise<void> {
    const remote = remoteOf(flow.protocol, { address: step.remote, port: step.remotePort });
    // Linux lets flows to different remotes share a public port: what comes may be of another flow, for one router.
    const meant = this.flows.find((one) => this.isAt(one, flow, remote));
    if (meant !== undefined && meant !== flow) return;
    const visitor = newFlow(
      flow.protocol,
      flow.inside,
      both(() => remote),
      "outside",
    );
    visitor.public = flow.public;
    await this.carry(step, meant ?? visitor, "outside", step.shape);
  }

  private isAt(one: Flow, { protocol, public: at }: Flow, remote: Endpoint): boolean {
    const isFor = (who: Who) => same(one.public[who], at[who]) && same(one.remote[who], remote);
    return one.protocol === protocol && (isFor("kernel") || isFor("napt"));
  }

  private async visit(step: Step & { op: "visit" }): Promise<void> {
    const target = this.targetAt(step.n, step.protocol);
    if (target === null) return;
    const remote = remoteOf(target.protocol, { address: step.remote, port: step.remotePort });
    const flow = this.flowOf(
      target.protocol,
      target.inside,
      both(() => remote),
      "outside",
    );
    if (!this.flows.includes(flow)) flow.public = target.public;
    await this.carry(step, flow, "outside", step.shape);
  }

  /** A forward, or a port of the host with a public address of its own. */
  private targetAt(n: number, protocol: Protocol): Target | null {
    const { forwards, napt } = this.world;
    if (napt.static !== undefined) {
      const port = SOURCE_PORTS[n % SOURCE_PORTS.length]!;
      const outside = { address: STATIC.outside, port };
      return { protocol, public: both(() => outside), inside: { address: STATIC.inside, port } };
    }
    const forward = forwards[n % forwards.length];
    if (forward === undefined) return null;
    const outside = endpoint(forward.outside);
    return { protocol: forward.protocol, public: both(() => outside), inside: endpoint(forward.inside) };
  }

  private async hairpin(step: Step & { op: "hairpin" }): Promise<void> {
    const target = step.to === "flow" ? this.flowAt(step.n) : this.targetAt(step.n, step.protocol);
    if (target === undefined || target === null || this.isAbandoned(target.protocol, target.inside)) return;
    const { protocol } = target;
    const inside = { address: step.host, port: protocol === "icmp" ? target.inside.port : step.port };
    if (same(inside, target.inside)) return;
    const flow = this.flowOf(
      protocol,
      inside,
      both((who) => remoteOf(protocol, target.public[who])),
    );
    const known = this.flows.includes(flow);
    const delivered = await this.carry(step, flow, "inside", step.shape, target.inside);
    this.punchers.add(`${protocol} ${endpointText(inside)}`);
    if (known || !delivered) return;
    flow.hairpinned = true;
    const back = this.flowOf(
      protocol,
      target.inside,
      both((who) => remoteOf(protocol, flow.public[who])),
      "outside",
    );
    if (this.flows.includes(back)) return;
    this.flows.push({
      ...back,
      public: target.public,
      connection: flow.connection,
      role: "outside",
      hairpinned: true,
      identifiers: protocol === "icmp" ? both((who) => flow.public[who].port) : null,
      queries: flow.queries,
    });
  }

  /** The other host's flow of a connection between two inside hosts. */
  private twinOf(flow: Flow): Flow | undefined {
    if (!flow.hairpinned) return undefined;
    return this.flows.find((one) => one !== flow && one.connection === flow.connection);
  }

  private async error(step: Step & { op: "error" }, flow: Flow): Promise<void> {
    const from = step.about === "sent" ? "inside" : "outside";
    const last = flow.last[from];
    if (last === undefined) return;
    const twin = this.twinOf(flow);
    const parties = [flow.inside, ...(twin === undefined ? [] : [twin.inside])];
    if (parties.some((one) => this.isAbandoned(flow.protocol, one))) return;
    const side: Side = from === "outside" || flow.hairpinned ? "inside" : "outside";
    const { type, code, octets, peculiarity } = step;
    const id = this.identify();
    const made = both((who) => {
      const { src, dst } = endsOf(last.seen[who]);
      const reporter = step.reporter === "receiver" ? dst.address : PATH_ROUTERS[side];
      const fields = { src: reporter, dst: src.address, id, type, code, octets };
      return errorPacket(fields, peculiarity, last.seen[who], last.sent[who]);
    });
    const whole = both((who) => made[who].packet);
    await this.exchange(step, {
      side,
      whole,
      packets: both((who) => (peculiarity === "fragmented" ? fragments(whole[who], [24]) : [whole[who]])),
      protocol: flow.protocol,
      parties,
      senders: [],
      flow,
      about: both((who) => made[who].about),
    });
  }

  private async twins(step: Step & { op: "twins" }): Promise<void> {
    const flows = step.hosts.map((host) => this.flowBetween("udp", { ...step, host }));
    if (flows.some((flow) => this.isAbandoned("udp", flow.inside))) return;
    const id = this.identify();
    const datagrams = flows.map(({ inside, remote }, n) => {
      const ends = { src: endpointText(inside), dst: endpointText(remote.kernel) };
      return udp({ ...ends, id, payload: new Uint8Array(100).fill(n) });
    });
    const [[first, rest], [second, others]] = datagrams.map((one) => fragments(one, [48])) as [
      [Uint8Array, Uint8Array],
      [Uint8Array, Uint8Array],
    ];
    const inside = flows.map((flow) => flow.inside);
    const got = await this.exchange(step, {
      side: "inside",
      whole: both(() => datagrams[0]!),
      packets: both(() => [first, second, rest, others]),
      protocol: "udp",
      parties: inside,
      senders: inside,
      flow: null,
    });
    // The payload tells whose it is.
    flows.forEach((flow, n) => {
      this.learn(
        flow,
        both((who) => got[who].find(({ packet }) => packet.at(-1) === n)),
      );
    });
  }

  private async stray(step: Step & { op: "stray" }): Promise<void> {
    const { side, packet } = STRAYS[step.kind]();
    const { src } = endsOf(packet);
    await this.exchange(step, {
      side,
      whole: both(() => packet),
      packets: both(() => [packet]),
      protocol: "udp",
      parties: [],
      senders: [src],
      flow: null,
    });
  }

  // ---------------------------------------------------------------------------------------------- flows

  private flowAt(n: number): Flow | undefined {
    const flows = this.flows.filter((flow) => !this.isAbandoned(flow.protocol, flow.inside));
    return flows[n % flows.length];
  }

  private flowBetween(protocol: Protocol, { host, port, remote, remotePort }: Ends): Flow {
    const to = remoteOf(protocol, { address: remote, port: remotePort });
    return this.flowOf(
      protocol,
      { address: host, port },
      both(() => to),
    );
  }

  /** The flow that there is, or a new one. */
  private flowOf(
    protocol: Protocol,
    inside: Endpoint,
    remote: Both<Endpoint>,
    opener: Side = "inside",
  ): Flow {
    const isAt = (one: Flow, who: Who) => same(one.remote[who], remote[who]);
    const found = this.flows.find(
      (one) =>
        one.protocol === protocol && same(one.inside, inside) && isAt(one, "kernel") && isAt(one, "napt"),
    );
    return found ?? newFlow(protocol, inside, remote, opener);
  }

  private isAbandoned(protocol: Protocol, inside: Endpoint): boolean {
    return this.abandoned.has(`${protocol} ${endpointText(inside)}`);
  }

  private identify(): number {
    Runner.identification = (Runner.identification + 1) % 65536;
    return Runner.identification;
  }

  /** The next packet of a flow. Tells whether both routers delivered it. */
  private async carry(
    step: Step,
    flow: Flow,
    from: Side,
    shape: Shape,
    target: Endpoint | undefined = this.twinOf(flow)?.inside,
  ): Promise<boolean> {
    if (flow.hairpinned && from === "outside") return false; // the other host has a flow of its own
    const parties = [flow.inside, ...(target === undefined ? [] : [target])];
    if (parties.some((one) => this.isAbandoned(flow.protocol, one))) return false;
    const known = this.flows.includes(flow);
    const fitting = known ? shape : first(shape, flow.protocol === "tcp");
    const { whole, packets, delivered } = dispatch(flow, from, fitting, this.identify());
    const senders = from === "inside" ? [flow.inside] : [];
    const got = await this.exchange(step, {
      side: from,
      whole,
      packets,
      protocol: flow.protocol,
      parties,
      senders,
      flow: known ? flow : null,
      query: shape.query,
      punched: target !== undefined && this.punchers.has(`${flow.protocol} ${endpointText(target)}`),
    });
    const [kernel, napt] = [got.kernel[0], got.napt[0]];
    if (from === "inside") this.learn(flow, { kernel, napt }, parties);
    else if (!known && (kernel !== undefined || napt !== undefined)) this.flows.push(flow);
    if (kernel === undefined || napt === undefined) return false;
    delivered({ kernel: kernel.packet, napt: napt.packet });
    return true;
  }

  /** Takes in a new flow, and with which public endpoint its packets leave. That changes only if it begins anew. */
  private learn(flow: Flow, got: Both<Datagram | undefined>, parties: Endpoint[] = []): void {
    if (got.kernel === undefined && got.napt === undefined) return;
    const known = this.flows.includes(flow);
    if (!known) this.flows.push(flow);
    const before = flow.public;
    flow.public = both((who) => {
      const datagram = got[who];
      return datagram === undefined ? before[who] : endsOf(datagram.packet).src;
    });
    const changed = !same(before.kernel, flow.public.kernel) || !same(before.napt, flow.public.napt);
    // The other host of a hairpinned flow does not know of it.
    if (known && changed && flow.hairpinned) this.abandon(flow.protocol, parties);
  }

  private abandon(protocol: Protocol, parties: Endpoint[]): void {
    for (const party of parties) this.abandoned.add(`${protocol} ${endpointText(party)}`);
  }

  // ---------------------------------------------------------------------------------------------- comparing

  /** Sends packets through both routers and compares. Gives what each delivered, but for a router's own errors. */
  private async exchange(step: Step, stimulus: Stimulus): Promise<Both<Datagram[]>> {
    const { side, whole, packets, flow } = stimulus;
    const passages = both((who) => packets[who].map((packet): Passage => ({ side, packet })));
    const outcomes: Both<Outcome> = {
      kernel: await this.kernel.send(passages.kernel),
      napt: this.napt.send(passages.napt),
    };
    this.note(passages, outcomes);
    const packet = decode(whole.kernel);
    const about = stimulus.about ?? whole;
    const got = both((who) => received(outcomes[who].out));
    const seen = both((who) => got[who].map((one) => observe(one, this.namer(who, stimulus), about[who])));
    const isOwn = ({ icmp }: Observation) => icmp !== undefined && !isIcmpError(packet);
    const differences = differencesOf(seen).map((mismatch): Difference => {
      return {
        ...mismatch,
        world: this.world,
        step,
        packet,
        side,
        fragmented: packets.kernel.length > 1,
        about: stimulus.about === undefined ? null : decode(stimulus.about.kernel),
        flow,
        punched: stimulus.punched === true,
        originated: isOwn(mismatch.observation),
        reasons: both((who) => outcomes[who].reasons),
      };
    });
    await this.settle(differences, stimulus);
    return both((who) => got[who].filter((_, n) => !isOwn(seen[who][n]!)));
  }

  /** Has differences judged. Those that leave the routers with different sessions end the parties' part in the run. */
  private async settle(differences: Difference[], { protocol, parties }: Stimulus): Promise<void> {
    for (const difference of differences) {
      const known = this.judge(difference);
      if (known === null) throw new Error(await this.report(difference));
      this.trace.push(`      known: ${known.name}`);
      if (known.harmless) continue;
      this.abandon(protocol, parties);
    }
  }

  /** Says what a public endpoint is to a router: the same words for both routers, if they do the same. */
  private namer(who: Who, { protocol, senders, flow, about, query }: Stimulus) {
    const { forwards, napt, endpointIndependent } = this.world;
    const mine = this.flows.filter(
      (one) =>
        one.protocol === protocol && !one.connection.stillborn && !this.isAbandoned(protocol, one.inside),
    );
    // Linux lets two hosts have the same identifier if they ask different things.
    const asksElse = (one: Flow) =>
      query !== undefined && protocol === "icmp" && !one.queries.has(query) && one.queries.size > 0;
    const shared = endpointIndependent && protocol !== "icmp"; // nft has no such rules for identifiers
    return ({ address, port }: PublicEndpoint, peer: Endpoint): string | null => {
      if (!isPublicAddress(address)) return null;
      if (port === null) {
        const translated = about !== undefined && address === flow?.public[who].address;
        return translated ? "the public address" : address;
      }
      const one = { address, port };
      const text = endpointText(one);
      if (forwards.some((forward) => forward.protocol === protocol && forward.outside === text)) return text;
      if (napt.static !== undefined && address === STATIC.outside) {
        return protocol === "icmp" && inPrefix(peer.address, INSIDE) ? null : text;
      }
      const remote = remoteOf(protocol, peer);
      const owner = mine.find(
        (other) =>
          same(other.public[who], one) &&
          (shared || same(other.remote[who], remote)) &&
          (other === flow || !asksElse(other)),
      );
      if (owner !== undefined) return `the public endpoint of ${endpointText(owner.inside)}`;
      const fits = (sender: Endpoint) =>
        this.mayHave(who, sender, address) &&
        !(shared && mine.some((other) => same(other.inside, sender))) &&
        (sender.port === port || senders.length > 1 || !this.mustKeep(who, protocol, sender, address));
      return senders.some(fits) ? "a new public endpoint" : `${text}, which it may not have`;
    };
  }

  /**
   * Port preservation: an inside endpoint that has no public one keeps its port while nobody has that. (One that
   * has lost its own port to another host may go on with what it got instead, as in Linux, or get its own.)
   */
  private mustKeep(who: Who, protocol: Protocol, sender: Endpoint, address: string): boolean {
    if (!this.world.preserving || protocol === "icmp") return false;
    const wish = { address, port: sender.port };
    const all = this.flows.filter((flow) => flow.protocol === protocol);
    return !all.some((flow) => same(flow.inside, sender) || same(flow.public[who], wish));
  }

  /** Paired pooling: an inside host has one public address. */
  private mayHave(who: Who, sender: Endpoint, address: string): boolean {
    const { pool } = this.world;
    const theirs = this.flows.filter((flow) => flow.inside.address === sender.address);
    const addresses = theirs.map((flow) => flow.public[who].address).filter((one) => pool.includes(one));
    return pool.includes(address) && addresses.every((one) => one === address);
  }

  // ---------------------------------------------------------------------------------------------- reading aloud

  private note({ kernel, napt }: Both<Passage[]>, outcomes: Both<Outcome>): void {
    kernel.forEach(({ side, packet }, n) => {
      const [text, other] = [describe(packet), describe(napt[n]!.packet)];
      this.trace.push(`${side}  ${text}${other === text ? "" : `\n      napt's: ${other}`}`);
    });
    for (const who of ["kernel", "napt"] as const) {
      const { out, reasons } = outcomes[who];
      const lines = out.map(({ side, packet }) => `-> ${side}  ${describe(packet)}`);
      if (reasons.length > 0 || out.length === 0) lines.push(`dropped ${reasons}`);
      this.trace.push(...lines.map((line) => `   ${who.padEnd(6)} ${line}`));
    }
  }

  private async report({ field, kernel, napt, step }: Difference): Promise<string> {
    return [
      `the kernel and napt differ in "${field}"`,
      `  kernel: ${kernel}`,
      `  napt:   ${napt}`,
      `world "${this.world.name}", last step ${JSON.stringify(step)}`,
      ...this.trace,
      "the kernel's connections:",
      (await this.kernel.table()).trimEnd(),
      "napt's sessions:",
      this.napt.table().trimEnd(),
    ].join("\n");
  }
}
