// A DHCP server for one network (RFC 2131): what it answers to whom. The only one there, so it says no where it must.
import { formatMac } from "../ethernet.js";
import { readIfThere, writeWhole } from "../files.js";
import type { ResolvedDhcp } from "./config.js";
import { Leases, leasesFromJson, leasesToJson } from "./leases.js";
import {
  addresses,
  type DhcpRequest,
  names,
  OPTION,
  readRequest,
  seconds,
  TYPE,
  writeReply,
} from "./message.js";

/** Seconds that an offer stands. */
const OFFERED = 30;
/** Milliseconds from a change to its writing. */
const WRITE_AFTER = 1000;

/** The network that it serves; addresses are numbers in host order. */
export interface DhcpNetwork {
  /** The server's own address, which is the router too. */
  readonly address: number;
  readonly network: number;
  readonly mask: number;
  readonly mtu: number;
}

export interface DhcpHooks {
  /** Whether somebody other than `mac` is known to be at an address. */
  isTaken(address: number, mac: string): boolean;
  /** Tells that leases can't be kept. */
  warn(text: string): void;
  /** Seconds since 1970. @default the system's clock */
  clock?(): number;
}

/** An answer, and where it goes. */
export interface DhcpAnswer {
  readonly payload: Buffer;
  /** To everybody, as the client has no address that it could be reached at. */
  readonly broadcast: boolean;
  readonly destination: number;
  readonly mac: Uint8Array;
}

export class DhcpServer {
  readonly leases: Leases;
  readonly #network: DhcpNetwork;
  readonly #options: ResolvedDhcp;
  readonly #hooks: DhcpHooks;
  #writing: NodeJS.Timeout | undefined;

  constructor(network: DhcpNetwork, options: ResolvedDhcp, hooks: DhcpHooks) {
    this.#network = network;
    this.#options = options;
    this.#hooks = hooks;
    this.leases = new Leases(options.range, options.reservations);
    this.#read();
  }

  /** The answer to what a client sent; null for none. */
  answer(bytes: Buffer): DhcpAnswer | null {
    const request = readRequest(bytes);
    if (request === null) return null;
    switch (request.type) {
      case TYPE.discover:
        return this.#offer(request);
      case TYPE.request:
        return this.#grant(request);
      case TYPE.inform:
        return request.clientAddress === 0 ? null : this.#say(request, TYPE.ack, 0);
      case TYPE.decline:
        if (request.serverId !== this.#network.address) return null;
        this.leases.decline(request.client, request.requested, this.#now());
        return null;
      case TYPE.release:
        this.#release(request);
        return null;
      default:
        return null;
    }
  }

  /** Takes over what another one leased, as far as these options allow. */
  adopt(old: DhcpServer): void {
    for (const lease of old.leases) {
      if (this.leases.mayHave(lease.client, lease.mac, lease.address, this.#now())) this.leases.give(lease);
    }
  }

  /** Writes what is not written yet. */
  close(): void {
    if (this.#writing === undefined) return;
    clearTimeout(this.#writing);
    this.#write();
  }

  #offer(request: DhcpRequest): DhcpAnswer | null {
    const { client, requested } = request;
    const mac = formatMac(request.mac);
    const now = this.#now();
    const isTaken = (address: number) => this.#isOwn(address) || this.#hooks.isTaken(address, mac);
    const address = this.leases.choose({ client, mac, wish: requested }, now, isTaken);
    if (address === null) {
      this.#hooks.warn("DHCP: no address is left; widen gateway.inside.dhcp.range, or shorten its lease");
      return null;
    }
    const held = this.leases.of(client);
    const isHeld = held !== undefined && held.address === address && held.ends > now && !held.offered;
    // Who has it goes on having it while it asks around.
    if (!isHeld) {
      this.leases.give({
        client,
        address,
        mac,
        hostName: request.hostName,
        ends: now + OFFERED,
        offered: true,
      });
    }
    return this.#say(request, TYPE.offer, address);
  }

  #grant(request: DhcpRequest): DhcpAnswer | null {
    const { client, requested, serverId, clientAddress } = request;
    if (serverId !== 0 && serverId !== this.#network.address) {
      // It took another's offer.
      if (this.leases.of(client)?.offered) this.leases.end(client);
      return null;
    }
    const address = serverId !== 0 || clientAddress === 0 ? requested : clientAddress;
    const mac = formatMac(request.mac);
    const now = this.#now();
    if (address === 0) return null;
    if (this.#isOwn(address) || !this.leases.mayHave(client, mac, address, now)) return this.#refuse(request);
    const ends = now + this.#options.lease;
    this.leases.give({ client, address, mac, hostName: request.hostName, ends, offered: false });
    this.#changed();
    return this.#say(request, TYPE.ack, address);
  }

  #release({ client, clientAddress }: DhcpRequest): void {
    const lease = this.leases.of(client);
    if (lease === undefined || lease.address !== clientAddress) return;
    // It is remembered, so that the client gets it again while nobody else needs it.
    this.leases.give({ ...lease, ends: this.#now() });
    this.#changed();
  }

  #refuse(request: DhcpRequest): DhcpAnswer {
    const options = [[OPTION.message, Buffer.from("this address is not yours")] as const];
    const reply = { type: TYPE.nak, address: 0, server: this.#network.address, options };
    return {
      payload: writeReply(request, reply),
      broadcast: true,
      destination: 0xffffffff,
      mac: request.mac,
    };
  }

  #say(request: DhcpRequest, type: number, address: number): DhcpAnswer {
    const { address: server, network, mask, mtu } = this.#network;
    const { lease, dns, domain, search } = this.#options;
    const times = [
      [OPTION.leaseTime, seconds(lease)],
      [OPTION.renewalTime, seconds(lease / 2)],
      [OPTION.rebindingTime, seconds(lease * 0.875)],
    ] as const;
    const all: (readonly [number, Buffer])[] = [
      ...(address === 0 ? [] : times),
      [OPTION.subnetMask, addresses([mask])],
      [OPTION.router, addresses([server])],
      [OPTION.broadcast, addresses([(network | ~mask) >>> 0])],
      [OPTION.dns, addresses(dns)],
      [OPTION.domainName, Buffer.from(domain, "latin1")],
      [OPTION.domainSearch, names(search)],
      [OPTION.mtu, Buffer.from([mtu >>> 8, mtu & 255])],
    ];
    // What few ask for goes only to those.
    const rare: number[] = [OPTION.domainSearch, OPTION.mtu, OPTION.broadcast];
    const options = all.filter(
      ([option, value]) => value.length > 0 && (!rare.includes(option) || request.wanted?.has(option)),
    );
    const known = request.clientAddress !== 0;
    const broadcast = !known && request.broadcast;
    const destination = known ? request.clientAddress : broadcast ? 0xffffffff : address;
    return {
      payload: writeReply(request, { type, address, server, options }),
      broadcast,
      destination,
      mac: request.mac,
    };
  }

  #isOwn(address: number): boolean {
    return address === this.#network.address;
  }

  #now(): number {
    return this.#hooks.clock?.() ?? Date.now() / 1000;
  }

  #changed(): void {
    if (this.#options.file === null || this.#writing !== undefined) return;
    this.#writing = setTimeout(() => this.#write(), WRITE_AFTER);
    this.#writing.unref();
  }

  #write(): void {
    this.#writing = undefined;
    try {
      writeWhole(this.#options.file!, [leasesToJson(this.leases)]);
    } catch (error) {
      this.#hooks.warn(`DHCP: leases can't be written to ${this.#options.file}: ${(error as Error).message}`);
    }
  }

  #read(): void {
    const { file } = this.#options;
    if (file === null) return;
    try {
      const text = readIfThere(file);
      for (const lease of text === null ? [] : leasesFromJson(text.toString())) this.leases.give(lease);
    } catch (error) {
      this.#hooks.warn(`DHCP: ${file} is not read: ${(error as Error).message}; beginning without leases`);
    }
  }
}
