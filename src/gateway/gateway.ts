// The gateway: a NAT between two networks, live.
//
// Its own thread moves packets (native/gateway). Here is what decides: who answers for which address, who is where,
// what is told to whom.
import { EventEmitter } from "node:events";
import { isDeepStrictEqual } from "node:util";
import { formatIpv4, parseIpv4 } from "../config/cidr.js";
import { NatError } from "../errors.js";
import { engineOf, Nat } from "../nat.js";
import { INSIDE, type NativeGateway, type NativeSide, native, OUTSIDE } from "../native.js";
import type { NatStats } from "../stats.js";
import { arpAnnouncement, arpReply, readArp } from "./arp.js";
import {
  type GatewayConfig,
  type Network,
  parseGatewayConfig,
  type ResolvedGatewayConfig,
} from "./config.js";
import { DHCP_CLIENT, DHCP_SERVER } from "./dhcp/message.js";
import { DhcpServer } from "./dhcp/server.js";
import { DnsForwarder } from "./dns/forwarder.js";
import { DNS_PORT, truncated } from "./dns/message.js";
import { answerEcho } from "./echo.js";
import { ETHER_ARP, ETHER_IPV4, EVERYBODY, etherTypeOf } from "./ethernet.js";
import { datagramFrame, IP_HEADER, readDatagram, UDP_HEADER } from "./ip.js";
import { Neighbours } from "./neighbours.js";
import { type GatewayStats, statsOf } from "./stats.js";

/** Milliseconds between looks at the neighbours. */
const TICK = 1000;
/** Milliseconds from one warning to the same again. */
const WARN_EVERY = 10_000;

/** A forward, as a config has it. */
export type Forward = ResolvedGatewayConfig["nat"]["forwards"][number];

interface StatusOfSide {
  readonly interface: string;
  /** The gateway's own address. */
  readonly address: string;
  /** Stations whose hardware address is known. */
  readonly neighbours: number;
}

/** How a gateway fares. */
export interface GatewayStatus {
  readonly running: boolean;
  /** Seconds since the start. */
  readonly uptime: number;
  readonly inside: StatusOfSide;
  readonly outside: StatusOfSide & { readonly public: readonly string[] };
  readonly nat: NatStats;
  readonly gateway: GatewayStats | null;
}

interface Side {
  readonly number: NativeSide;
  readonly network: Network;
  readonly mac: Uint8Array;
  /** Addresses that the gateway answers for. */
  readonly answersFor: (address: number) => boolean;
  readonly neighbours: Neighbours;
}

/**
 * A NAT box in one process, between two Ethernet interfaces. Linux only; needs CAP_NET_RAW.
 *
 * @example
 * const gateway = new Gateway({
 *   inside: ["192.168.226.0/24"], outside: ["203.0.113.1"],
 *   gateway: {
 *     inside: { interface: "lan0", address: "192.168.226.2/24" },
 *     outside: { interface: "wan0", address: "203.0.113.1/24", router: "203.0.113.254" },
 *   },
 * });
 * gateway.start();
 */
export class Gateway extends EventEmitter {
  /** The NAT: its sessions, counts and mappings. */
  readonly nat: Nat;
  #config: ResolvedGatewayConfig;
  #native: NativeGateway | null = null;
  #sides: readonly [Side, Side] | null = null;
  #timer: NodeJS.Timeout | undefined;
  #started: number | null = null;
  #warned = { text: "", at: 0 };
  #dhcp: DhcpServer | null = null;
  #dns: DnsForwarder | null = null;
  #interfaceMtus = { inside: 0, outside: 0 };
  /** Forwards that are not the config's. */
  #added: readonly Forward[] = [];

  /** @throws ConfigError when the config is not right */
  constructor(config: GatewayConfig) {
    super();
    this.#config = parseGatewayConfig(config);
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
  start(): void {
    if (this.#native !== null) throw new NatError("NAT_ERR_GATEWAY", "this gateway runs already");
    const own = this.#open();
    try {
      const [, insideMtu] = own.describe(INSIDE);
      const [, outsideMtu] = own.describe(OUTSIDE);
      this.#interfaceMtus = { inside: insideMtu, outside: outsideMtu };
      this.#apply(own);
      this.#sides = [this.#side(own, INSIDE), this.#side(own, OUTSIDE)];
      this.#dhcp = this.#dhcpServer(insideMtu);
      this.#dns = this.#dnsForwarder();
    } catch (error) {
      own.stop();
      throw error;
    }
    this.#native = own;
    own.start();
    this.#started = performance.now();
    this.#announce();
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
    this.#sides = null;
    this.#started = null;
  }

  /** Stops, and forgets all sessions. */
  close(): void {
    this.stop();
    this.nat.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Changes the NAT's config while it runs, as {@link Nat.reconfigure} does. The networks stay as they are.
   * @throws ConfigError when the config is not right, or asks for other networks
   */
  reconfigure(config: GatewayConfig): void {
    const next = parseGatewayConfig(config);
    for (const side of ["inside", "outside"] as const) {
      if (!isDeepStrictEqual(next[side], this.#config[side])) {
        throw new NatError(
          "NAT_ERR_GATEWAY",
          `gateway.${side}: a network can't change while the gateway runs; restart it`,
        );
      }
    }
    const before = this.#config;
    this.#config = next;
    try {
      this.#apply(this.#native);
    } catch (error) {
      this.#config = before;
      throw error;
    }
    if (this.#native !== null) this.#dns = this.#dnsForwarder();
    const leased = this.#dhcp;
    if (this.#native === null || isDeepStrictEqual(next.dhcp, before.dhcp)) return;
    leased?.close();
    this.#dhcp = this.#dhcpServer(this.#interfaceMtus.inside);
    if (leased !== null) this.#dhcp?.adopt(leased);
  }

  /**
   * Adds a forward while the gateway runs; a `reconfigure` keeps it.
   * @throws ConfigError when it can't be, as where another has its port
   */
  addForward(forward: Forward): void {
    this.#changeForwards([...this.#added, forward]);
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
    this.#changeForwards(rest);
  }

  /** All forwards in force, the config's and those that were added. */
  get forwards(): readonly Forward[] {
    return [...this.#config.nat.forwards, ...this.#added];
  }

  /** How it fares, in one object for people and programs. */
  get status(): GatewayStatus {
    const { inside, outside } = this.#config;
    const networkOf = ({ interface: name, address }: Network) => ({
      interface: name,
      address: formatIpv4(address),
    });
    return {
      running: this.#native !== null,
      uptime: this.#started === null ? 0 : Math.round(performance.now() - this.#started) / 1000,
      inside: { ...networkOf(inside), neighbours: this.#sides?.[INSIDE].neighbours.size ?? 0 },
      outside: {
        ...networkOf(outside),
        neighbours: this.#sides?.[OUTSIDE].neighbours.size ?? 0,
        public: [...publicAddresses(this.#config)].map(formatIpv4),
      },
      nat: this.nat.stats,
      gateway: this.stats,
    };
  }

  /** What the ports and the gateway have counted since the start; null when it does not run. */
  get stats(): GatewayStats | null {
    return this.#native === null ? null : statsOf(this.#native.readCounters());
  }

  #dnsForwarder(): DnsForwarder | null {
    const { dns } = this.#config;
    return dns === null ? null : new DnsForwarder(dns);
  }

  #dhcpServer(mtu: number): DhcpServer | null {
    const { dhcp, inside } = this.#config;
    if (dhcp === null) return null;
    return new DhcpServer({ ...inside, mtu }, dhcp, {
      isTaken: (address, mac) => this.#sides?.[INSIDE].neighbours.isOthers(address, mac) ?? false,
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

  /** Puts the config in force. */
  #apply(running: NativeGateway | null): void {
    const config = this.#natConfig();
    this.nat.reconfigure(config);
    running?.setMtu(INSIDE, config.mtu.inside);
    running?.setMtu(OUTSIDE, config.mtu.outside);
  }

  #changeForwards(added: readonly Forward[]): void {
    const before = this.#added;
    this.#added = added;
    try {
      this.#apply(this.#native);
    } catch (error) {
      this.#added = before;
      throw error;
    }
  }

  /** Where the config names no MTU, the interface's holds. */
  #natConfig(): ResolvedGatewayConfig["nat"] {
    const { nat } = this.#config;
    const mtu = {
      inside: nat.mtu.inside || this.#interfaceMtus.inside,
      outside: nat.mtu.outside || this.#interfaceMtus.outside,
    };
    const insideAddress = nat.insideAddress ?? formatIpv4(this.#config.inside.address);
    return { ...nat, mtu, insideAddress, forwards: [...nat.forwards, ...this.#added] };
  }

  #open(): NativeGateway {
    if (native.Gateway === undefined) {
      throw new NatError("NAT_ERR_GATEWAY", `a gateway needs Linux; this is ${process.platform}`);
    }
    const { inside, outside } = this.#config;
    const publics = publicAddresses(this.#config);
    const networkOf = ({ address, ...network }: Network) => ({
      ...network,
      local: publics.has(address) ? 0 : address,
    });
    try {
      return new native.Gateway(
        engineOf(this.nat),
        performance.now(),
        networkOf(inside),
        networkOf(outside),
        () => this.#takePunts(),
      );
    } catch (error) {
      throw troubleOf(error as NodeJS.ErrnoException & { interface?: string });
    }
  }

  #side(own: NativeGateway, number: NativeSide): Side {
    const network = number === INSIDE ? this.#config.inside : this.#config.outside;
    const mac = Uint8Array.from(own.describe(number)[0]);
    const neighbours = new Neighbours(
      { mac, address: network.address },
      {
        send: (frame, offload) => void own.inject(number, frame, offload),
        known: (address, at) => own.setNeighbour(number, address, at),
        forgotten: (address) => own.forgetNeighbour(number, address),
        unreachable: (address) => this.emit("unreachable", formatIpv4(address)),
      },
    );
    const answersFor =
      number === INSIDE
        ? (address: number) => address === network.address
        : (address: number) => address === network.address || publicAddresses(this.#config).has(address);
    return { number, network, mac, answersFor, neighbours };
  }

  #takePunts(): void {
    if (this.#native === null || this.#sides === null) return;
    const now = performance.now();
    for (const [number, unresolved, frame, offload] of this.#native.takePunts()) {
      const side = this.#sides[number];
      if (unresolved) {
        const destination = frame.readUInt32BE(30);
        const { network, mask, router } = side.network;
        const hop = (destination & mask) >>> 0 === network ? destination : router;
        side.neighbours.resolve(hop, { frame, offload }, now);
      } else if (etherTypeOf(frame) === ETHER_ARP) {
        this.#arp(side, frame, now);
      } else if (etherTypeOf(frame) === ETHER_IPV4) {
        const answer =
          answerEcho(frame, side.network.address, side.mac) ?? this.#dhcpAnswer(side, frame, offload);
        if (answer !== null) this.#native.inject(number, answer);
        else void this.#dnsAnswer(side, frame, offload);
      }
    }
  }

  /** The frame that answers a DHCP client inside, or null. */
  #dhcpAnswer(side: Side, frame: Buffer, offload: Buffer): Buffer | null {
    if (this.#dhcp === null || side.number !== INSIDE) return null;
    const datagram = readDatagram(frame, isPartial(offload));
    if (datagram === null || datagram.destinationPort !== DHCP_SERVER || datagram.sourcePort !== DHCP_CLIENT)
      return null;
    const answer = this.#dhcp.answer(datagram.payload);
    if (answer === null) return null;
    const { payload, broadcast, destination, mac } = answer;
    return datagramFrame(broadcast ? EVERYBODY : mac, side.mac, {
      source: side.network.address,
      destination,
      sourcePort: DHCP_SERVER,
      destinationPort: DHCP_CLIENT,
      payload,
    });
  }

  /** Answers a DNS query to the gateway's inside address. */
  async #dnsAnswer(side: Side, frame: Buffer, offload: Buffer): Promise<void> {
    if (this.#dns === null || side.number !== INSIDE) return;
    const datagram = readDatagram(frame, isPartial(offload));
    if (datagram?.destinationPort !== DNS_PORT || datagram.destination !== side.network.address) return;
    const answer = await this.#dns.answer(datagram.payload);
    if (answer === null) return;
    const room = this.#interfaceMtus.inside - IP_HEADER - UDP_HEADER;
    const reply = datagramFrame(frame.subarray(6, 12), side.mac, {
      source: datagram.destination,
      destination: datagram.source,
      sourcePort: DNS_PORT,
      destinationPort: datagram.sourcePort,
      payload: answer.length > room ? truncated(answer) : answer,
    });
    this.#native?.inject(side.number, reply); // unless it was stopped meanwhile
  }

  #arp(side: Side, frame: Buffer, now: number): void {
    const packet = readArp(frame);
    if (packet === null) return;
    const { sender, target, kind } = packet;
    // Somebody else says that an address of ours is his.
    if (sender.address !== 0 && side.answersFor(sender.address)) {
      if (Buffer.compare(sender.mac, side.mac) !== 0) this.emit("conflict", formatIpv4(sender.address));
      return;
    }
    // Nobody else is ever a next hop; senders made up would fill the table.
    const { network, mask } = side.network;
    if ((sender.address & mask) >>> 0 === network) side.neighbours.hear(packet, now);
    if (kind === "request" && side.answersFor(target.address)) {
      this.#native?.inject(side.number, arpReply({ mac: side.mac, address: target.address }, sender));
    }
  }

  /** Tells both networks where their addresses are, so that nobody goes on to an earlier place. */
  #announce(): void {
    for (const side of this.#sides ?? []) {
      const own = side.number === INSIDE ? [] : [...publicAddresses(this.#config)];
      for (const address of new Set([side.network.address, ...own])) {
        this.#native?.inject(side.number, arpAnnouncement({ mac: side.mac, address }));
      }
    }
  }

  #tick(): void {
    for (const side of this.#sides ?? []) side.neighbours.tick(performance.now());
  }
}

/** The addresses that a NAT has outside. */
function publicAddresses({ nat }: ResolvedGatewayConfig): Set<number> {
  const texts = [
    ...nat.outside.map(({ address }) => address),
    ...nat.forwards.map(({ outside }) => outside.split(":")[0]!),
    ...nat.static.map(({ outside }) => outside),
  ];
  return new Set(texts.map((text) => parseIpv4(text)!));
}

/** Whether a frame's checksum is left to the card, by its offload header. */
function isPartial(offload: Buffer): boolean {
  return (offload[0]! & 1) !== 0;
}

function troubleOf(error: NodeJS.ErrnoException & { interface?: string }): Error {
  if (error.interface === undefined) return error;
  const remedies: Record<number, string> = {
    1: "it needs root, or the capability CAP_NET_RAW",
    13: "it needs root, or the capability CAP_NET_RAW",
    19: "`ip link` lists the interfaces that there are",
    93: "only Ethernet interfaces will do",
    100: `it is down; bring it up with: ip link set ${error.interface} up`,
  };
  const remedy = remedies[error.errno ?? 0];
  return new NatError(
    "NAT_ERR_GATEWAY",
    remedy === undefined ? error.message : `${error.message}; ${remedy}`,
  );
}
