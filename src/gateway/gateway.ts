// The gateway: a NAT between two networks, live.
//
// Its own thread moves packets (native/gateway). Here is what decides: who answers for which address, who is where,
// what is told to whom.
import { EventEmitter } from "node:events";
import { isDeepStrictEqual } from "node:util";
import { monotonicNow, systemOffset } from "../clock.js";
import { formatIpv4 } from "../config/cidr.js";
import type { ConfigSource } from "../config/document.js";
import { NatError } from "../errors.js";
import { engineOf, Nat } from "../nat.js";
import { INSIDE, type NativeGateway, type NativeSide, native, OUTSIDE } from "../native.js";
import { FROM_OUTSIDE } from "../packet-batch.js";
import { type CaptureConfig, FileCapture } from "./capture.js";
import {
  forwardOfHost,
  type GatewayConfig,
  parseGatewayConfig,
  type ResolvedGatewayConfig,
} from "./config.js";
import { DhcpServer } from "./dhcp/server.js";
import { DnsForwarder } from "./dns/forwarder.js";
import { ETHER_ARP, ETHER_IPV4, ETHERNET_HEADER, etherTypeOf } from "./ethernet.js";
import { hostNetwork } from "./host/network.js";
import { SharedAddress } from "./host/share.js";
import type { WaitingFrame } from "./neighbours.js";
import { type Network, publicAddresses } from "./networks.js";
import { Allowance, HOST_UNREACHABLE, icmpError, withSource } from "./refusal.js";
import { SavedSessions } from "./saved-sessions.js";
import { serve } from "./services.js";
import { nativeNetwork, Side } from "./side.js";
import type { GatewayStats } from "./stats.js";
import type { GatewayStatus } from "./status.js";
import { portTrouble } from "./trouble.js";

/** Milliseconds between looks at the neighbours. */
const TICK = 1000;
/** Milliseconds from one warning to the same again. */
const WARN_EVERY = 10_000;

/** A forward, as a config has it. */
export type Forward = ResolvedGatewayConfig["nat"]["forwards"][number];

/**
 * A NAT box in one process, between two networks. Linux only; needs CAP_NET_RAW, and CAP_NET_ADMIN for devices that
 * it makes and for the host's own address.
 *
 * @example
 * const gateway = new Gateway({
 *   inside: ["192.168.226.0/24"], outside: ["203.0.113.1"],
 *   gateway: {
 *     inside: { interface: "lan0", address: "192.168.226.2/24" },
 *     outside: { interface: "wan0", address: "203.0.113.1/24", router: "203.0.113.254" },
 *   },
 * });
 * await gateway.start();
 */
export class Gateway extends EventEmitter {
  /** The NAT: its sessions, counts and mappings. */
  readonly nat: Nat;
  #given: GatewayConfig;
  #source: ConfigSource | undefined;
  #config: ResolvedGatewayConfig;
  #native: NativeGateway | null = null;
  #sides: readonly [Side, Side] | null = null;
  #timer: NodeJS.Timeout | undefined;
  #started: number | null = null;
  #warned = { text: "", at: 0 };
  #shared: SharedAddress | null = null;
  #dhcp: DhcpServer | null = null;
  #dns: DnsForwarder | null = null;
  #saved: SavedSessions | null = null;
  #capture: FileCapture | null = null;
  readonly #allowance = new Allowance();
  /** Forwards that are not the config's. */
  #added: readonly Forward[] = [];

  /**
   * @param source where the config came from, for messages
   * @throws ConfigError when the config is not right
   */
  constructor(config: GatewayConfig, source?: ConfigSource) {
    super();
    this.#given = config;
    this.#source = source;
    this.#config = parseGatewayConfig(config, source);
    this.nat = new Nat(this.#config.nat);
  }

  /** The config in force, defaults filled in. */
  get config(): ResolvedGatewayConfig {
    return this.#config;
  }

  /**
   * Opens both interfaces, tells the networks which addresses are here, and begins to translate.
   * @throws NatError NAT_ERR_GATEWAY when an interface can't be used, with what to do about it
   */
  async start(): Promise<void> {
    if (this.#native !== null) throw new NatError("NAT_ERR_GATEWAY", "this gateway runs already");
    // The host may have another address than when this was made.
    if (this.#config.hostPorts !== null) this.#config = parseGatewayConfig(this.#given, this.#source);
    const own = this.#open();
    const { inside, outside, hostPorts } = this.#config;
    const sideOf = (number: NativeSide, network: Network) =>
      new Side(own, number, network, {
        conflict: (address) => void this.emit("conflict", address),
        unreachable: (address, frames) => this.#tellUnreachable(number, address, frames),
      });
    this.#native = own;
    this.#sides = [sideOf(INSIDE, inside), sideOf(OUTSIDE, outside)];
    try {
      if (hostPorts !== null) {
        const warn = (text: string) => this.#warn(text);
        const shared = await SharedAddress.open(outside, hostPorts, this.forwards, warn);
        if (this.#native !== own) {
          shared.close();
          throw new NatError("NAT_ERR_GATEWAY", "the gateway was stopped while it started");
        }
        this.#shared = shared;
      }
      this.#apply();
      this.#dhcp = this.#dhcpServer();
      this.#dns = this.#dnsForwarder();
      this.#restore();
      if (this.#config.capture !== null) await this.#beginCapture(own, this.#config.capture);
    } catch (error) {
      this.stop();
      throw error;
    }
    own.start();
    this.#saved?.start();
    this.#started = performance.now();
    this.#timer = setInterval(() => this.#tick(), TICK);
  }

  /** Stops translating and closes both interfaces; the sessions stay, for another `start`. */
  stop(): void {
    clearInterval(this.#timer);
    this.#dhcp?.close();
    this.#dhcp = null;
    this.#dns = null;
    this.#native?.stop();
    this.#native = null;
    this.#capture?.close();
    this.#capture = null;
    this.#saved?.close();
    this.#saved = null;
    this.#shared?.close();
    this.#shared = null;
    this.#sides = null;
    this.#started = null;
  }

  /** Stops, and forgets all sessions. */
  close(): void {
    this.stop();
    this.nat.close();
  }

  /** `close`, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Changes the NAT's config while it runs, as {@link Nat.reconfigure} does. The networks stay as they are, and so do
   * `control`, `sessions`, `capture` and `user`.
   * @param source where the config came from, for messages
   * @throws ConfigError when the config is not right, or what stays would change
   */
  reconfigure(config: GatewayConfig, source?: ConfigSource): void {
    const next = parseGatewayConfig(config, source);
    const firm = firmChange(next, this.#config);
    if (firm !== null) {
      throw new NatError(
        "NAT_ERR_GATEWAY",
        `gateway.${firm}: it can't change while the gateway runs; restart it`,
      );
    }
    const before = this.#config;
    this.#put(next, this.#added);
    [this.#given, this.#source] = [config, source];
    if (this.#native === null) return;
    this.#dns = this.#dnsForwarder();
    if (isDeepStrictEqual(next.dhcp, before.dhcp)) return;
    const leased = this.#dhcp;
    leased?.close();
    this.#dhcp = this.#dhcpServer();
    if (leased !== null) this.#dhcp?.adopt(leased);
  }

  /**
   * Adds a forward while the gateway runs; a `reconfigure` keeps it.
   * @throws ConfigError when it can't be, as where another has its port
   */
  addForward(forward: Forward): void {
    this.#put(this.#config, [...this.#added, forward]);
  }

  /**
   * Removes a forward that `addForward` added; its sessions end.
   * @throws NatError NAT_ERR_ARGUMENT when there is none
   */
  removeForward(protocol: string, outside: string): void {
    const rest = this.#added.filter(
      (forward) => forward.protocol !== protocol || forward.outside !== outside,
    );
    if (rest.length === this.#added.length) {
      const own = this.#config.nat.forwards.some(
        (one) => one.protocol === protocol && one.outside === outside,
      );
      throw new NatError(
        "NAT_ERR_ARGUMENT",
        own
          ? `the forward of ${protocol} ${outside} is in the config; remove it there, and reload`
          : `there is no forward of ${protocol} ${outside}`,
      );
    }
    this.#put(this.#config, rest);
  }

  /** All forwards in force, the config's and those that were added. */
  get forwards(): readonly Forward[] {
    const { nat, outside } = this.#config;
    const added = this.#added.map((forward) =>
      outside.kind === "host" ? forwardOfHost(forward, outside.address) : forward,
    );
    return [...nat.forwards, ...added];
  }

  /** How it fares, in one object for people and programs. */
  get status(): GatewayStatus {
    const { inside, outside } = this.#config;
    const sideOf = (number: NativeSide, { name, address }: Network) => ({
      interface: name,
      address: formatIpv4(address),
      up: this.#sides?.[number].isUp ?? false,
      neighbours: this.#sides?.[number].neighbours.size ?? 0,
    });
    return {
      running: this.#started !== null,
      uptime: this.#started === null ? 0 : Math.round(performance.now() - this.#started) / 1000,
      inside: sideOf(INSIDE, inside),
      outside: {
        ...sideOf(OUTSIDE, outside),
        public: [...publicAddresses(this.#natConfig())].map(formatIpv4),
      },
      nat: this.nat.stats,
      gateway: this.stats,
      capture: this.#capture?.status ?? null,
    };
  }

  /** What the ports and the gateway have counted since the start; null when it does not run. */
  get stats(): GatewayStats | null {
    return this.#native === null ? null : this.#native.readCounters();
  }

  #dnsForwarder(): DnsForwarder | null {
    const { dns } = this.#config;
    return dns === null ? null : new DnsForwarder(dns);
  }

  #restore(): void {
    const { sessions } = this.#config;
    if (sessions === null) return;
    const saved = new SavedSessions(this.nat, sessions, (text) => this.#warn(text));
    const restored = this.nat.conntrack.size === 0 ? saved.restore() : null;
    if (restored !== null) this.emit("restored", restored);
    // From here on what was not brought back is overwritten.
    this.#saved = saved;
  }

  async #beginCapture(own: NativeGateway, config: CaptureConfig): Promise<void> {
    const capture = await FileCapture.begin(this.nat, config, (text) => this.#warn(text));
    if (this.#native !== own) {
      capture.close();
      throw new NatError("NAT_ERR_GATEWAY", "the gateway was stopped while it started");
    }
    this.#capture = capture;
  }

  #dhcpServer(): DhcpServer | null {
    const { dhcp, inside } = this.#config;
    if (dhcp === null || this.#sides === null) return null;
    const { mtu, neighbours } = this.#sides[INSIDE];
    return new DhcpServer({ ...inside, mtu }, dhcp, {
      isTaken: (address, mac) => neighbours.isOthers(address, mac),
      warn: (text) => this.#warn(text),
    });
  }

  /** Tells what somebody should look at; the same not more than every ten seconds, as guests can cause it. */
  #warn(text: string): void {
    const now = performance.now();
    if (this.#warned.text === text && now - this.#warned.at < WARN_EVERY) return;
    this.#warned = { text, at: now };
    this.emit("warning", text);
  }

  /** Puts a config and forwards in force; with a fault in them, those before stay. */
  #put(config: ResolvedGatewayConfig, added: readonly Forward[]): void {
    const before = [this.#config, this.#added] as const;
    [this.#config, this.#added] = [config, added];
    try {
      this.#apply();
    } catch (error) {
      [this.#config, this.#added] = before;
      throw error;
    }
  }

  #apply(): void {
    const config = this.#natConfig();
    this.nat.reconfigure(config);
    if (this.#native === null || this.#sides === null) return;
    const [inside, outside] = this.#sides;
    this.#native.setMtu(INSIDE, config.mtu.inside);
    this.#native.setMtu(OUTSIDE, config.mtu.outside);
    this.#native.setBusyPoll(this.#config.busyPoll);
    const network = this.#config.outside;
    if (!isDeepStrictEqual(outside.network, network)) outside.move(network);
    if (this.#shared !== null) this.#native.setFilter(OUTSIDE, this.#shared.change(network, this.forwards));
    inside.answerFor(new Set([inside.network.address]), config.inside);
    outside.answerFor(new Set([network.address, ...publicAddresses(config)]));
  }

  /** Where the config names no MTU, the interface's holds. */
  #natConfig(): ResolvedGatewayConfig["nat"] {
    const { nat } = this.#config;
    const mtu = {
      inside: nat.mtu.inside || (this.#sides?.[INSIDE].mtu ?? 0),
      outside: nat.mtu.outside || (this.#sides?.[OUTSIDE].mtu ?? 0),
    };
    const insideAddress = nat.insideAddress ?? formatIpv4(this.#config.inside.address);
    return { ...nat, mtu, insideAddress, forwards: [...this.forwards] };
  }

  #open(): NativeGateway {
    if (native.Gateway === undefined) {
      throw new NatError("NAT_ERR_GATEWAY", `a gateway needs Linux; this is ${process.platform}`);
    }
    const { inside, outside, hostPorts } = this.#config;
    const publics = publicAddresses(this.#natConfig());
    const filter = hostPorts === null ? undefined : SharedAddress.filter(outside, hostPorts, this.forwards);
    try {
      return new native.Gateway(
        engineOf(this.nat),
        monotonicNow(),
        systemOffset(),
        nativeNetwork(inside, true),
        nativeNetwork(outside, !publics.has(outside.address), filter),
        () => this.#takePunts(),
        () => this.#lookAtLinks(),
      );
    } catch (error) {
      throw portTrouble(error as Error, [inside, outside]);
    }
  }

  /** An interface has changed, or an address of the host's. */
  #lookAtLinks(): void {
    if (this.#native === null || this.#sides === null) return;
    try {
      const { kind, name } = this.#config.outside;
      const host = kind === "host" ? hostNetwork(name) : null;
      // While it has none, sessions wait: it may come back with the same.
      if (host !== null && !isDeepStrictEqual(host, this.#config.outside)) {
        this.reconfigure(this.#given, this.#source);
        this.emit("address", formatIpv4(host.address));
      }
      const changed = this.#sides.map((side) => side.lookAgain());
      if (changed.includes(true)) this.#apply();
    } catch (error) {
      this.#warn((error as Error).message);
    }
  }

  #takePunts(): void {
    if (this.#native === null || this.#sides === null) return;
    const now = performance.now();
    const noServers = { allowance: this.#allowance, dhcp: null, dns: null };
    const servers = { ...noServers, dhcp: this.#dhcp, dns: this.#dns };
    for (const [number, hop, frame, offload] of this.#native.takePunts()) {
      const side = this.#sides[number];
      const type = etherTypeOf(frame);
      if (hop !== 0) side.neighbours.resolve(hop, { frame, offload }, now);
      else if (type === ETHER_ARP) side.hear(frame, now);
      else if (type === ETHER_IPV4) serve(side, number === INSIDE ? servers : noServers, frame, offload);
    }
  }

  /**
   * Tells those whose packets found no next hop. The packets are translated; so the error is about a packet as the next
   * hop would have had it, and goes the way of a reply, which leads it to the sender as the sender knows it.
   */
  #tellUnreachable(number: NativeSide, hop: number, frames: readonly WaitingFrame[]): void {
    this.emit("unreachable", formatIpv4(hop));
    if (this.#sides === null || !this.#config.nat.icmpErrors) return;
    const now = performance.now();
    const [inside, outside] = this.#sides;
    for (const { frame } of frames) {
      if (!this.#allowance.take(now)) return;
      const error = icmpError(frame.subarray(ETHERNET_HEADER), HOST_UNREACHABLE, hop);
      if (error === null) continue;
      const flags = number === OUTSIDE ? FROM_OUTSIDE : 0;
      const { verdict, direction } = this.nat.translate(error, { now, flags });
      if (verdict !== "forwarded") continue;
      // It is ours, not of the one who is not there.
      if (direction === "inbound") inside.route(withSource(error, inside.network.address));
      else if (direction === "outbound") outside.route(error);
    }
  }

  #tick(): void {
    for (const side of this.#sides ?? []) side.neighbours.tick(performance.now());
  }
}

/** Keys of `gateway` that hold from its start to its end. */
const FIRM = ["control", "sessions", "capture", "user"] as const;

/** What would change of that, or of a network; null: nothing. */
function firmChange(next: ResolvedGatewayConfig, before: ResolvedGatewayConfig): string | null {
  if (!isSameNetwork(next.inside, before.inside)) return "inside";
  const hasSamePorts = isDeepStrictEqual(next.hostPorts, before.hostPorts);
  if (!hasSamePorts || !isSameNetwork(next.outside, before.outside)) return "outside";
  return FIRM.find((key) => !isDeepStrictEqual(next[key], before[key])) ?? null;
}

/** Whether a network may be another's successor while the gateway runs: only a host's address changes. */
function isSameNetwork(next: Network, before: Network): boolean {
  if (next.kind === "host" && before.kind === "host") return next.name === before.name;
  return isDeepStrictEqual(next, before);
}
