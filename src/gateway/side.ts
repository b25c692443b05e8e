// One of the two networks that a gateway joins: which addresses are its own there, and who else is there.
import { formatIpv4 } from "../config/cidr.js";
import type { NativeGateway, NativeNetwork, NativeSide } from "../native.js";
import { arpAnnouncement, arpReply, readArp } from "./arp.js";
import { ETHER_IPV4, ETHERNET_HEADER, frameFor, NOBODY } from "./ethernet.js";
import { Neighbours, type WaitingFrame } from "./neighbours.js";
import type { Network } from "./networks.js";
import { Routes } from "./routes.js";

/** What a side tells of. */
export interface SideHooks {
  /** Another station says that one of our addresses is its own. */
  conflict(address: string): void;
  /** Nobody answers for an address in host order; these packets for it are lost. */
  unreachable(address: number, frames: readonly WaitingFrame[]): void;
}

const NO_FILTER = new Uint8Array();
const EVERY_BIT = 0xffffffff;

/** A network as the native side takes it; `isOurs`: packets for its address are for us, not the NAT's. */
export function nativeNetwork(
  network: Network,
  isOurs: boolean,
  filter: Uint8Array = NO_FILTER,
): NativeNetwork {
  const { kind, name, address } = network;
  return {
    kind: kind === "host" ? "interface" : kind,
    name,
    mac: macFor(address),
    filter,
    local: isOurs ? address : 0,
    ...reachOf(network),
  };
}

/** Who takes what: behind a TUN device there is one who takes all, and he is known by our own address. */
function reachOf({ kind, address, network, mask, router }: Network) {
  return kind === "tun" ? { network: address, mask: EVERY_BIT, router: address } : { network, mask, router };
}

/** A hardware address of local scope, the same after a restart, so that who knows it goes on. */
function macFor(address: number): Uint8Array {
  return Uint8Array.of(2, 0, address >>> 24, address >>> 16, address >>> 8, address);
}

export class Side {
  readonly number: NativeSide;
  /** Our hardware address there. */
  readonly mac: Uint8Array;
  readonly #native: NativeGateway;
  readonly #hooks: SideHooks;
  readonly #routes: Routes | null;
  #network: Network;
  #neighbours: Neighbours;
  #addresses: ReadonlySet<number> = new Set();
  #mtu = 0;
  #isUp = true;

  constructor(own: NativeGateway, number: NativeSide, network: Network, hooks: SideHooks) {
    this.#native = own;
    this.#hooks = hooks;
    this.number = number;
    this.#network = network;
    const { mac, mtu } = own.describe(number);
    this.mac = Uint8Array.from(mac);
    this.#mtu = mtu;
    this.#neighbours = this.#newNeighbours();
    this.#routes = network.kind === "tun" ? new Routes(network.name) : null;
    if (network.kind === "tun") own.setNeighbour(number, network.address, this.mac);
  }

  get network(): Network {
    return this.#network;
  }

  get neighbours(): Neighbours {
    return this.#neighbours;
  }

  /** The largest packet that the interface takes. */
  get mtu(): number {
    return this.#mtu;
  }

  /** Whether the interface is up now. */
  get isUp(): boolean {
    return this.#native.describe(this.number).up;
  }

  /**
   * These addresses are ours from now on, and no others. The network is told of new ones, so that nobody goes on
   * elsewhere; this system, where it is a TUN device, with the prefixes that are behind it.
   * @throws NatError NAT_ERR_GATEWAY when the system takes no routes
   */
  answerFor(addresses: ReadonlySet<number>, prefixes: readonly string[] = []): void {
    const before = this.#addresses;
    this.#addresses = addresses;
    if (this.#network.kind === "host") return; // the host answers
    if (this.#routes !== null) {
      this.#routes.set(
        new Set([...prefixes, ...[...addresses].map((address) => `${formatIpv4(address)}/32`)]),
      );
      return;
    }
    for (const address of addresses) if (!before.has(address)) this.#announce(address);
  }

  /** The interface is on another network now. */
  move(network: Network): void {
    this.#network = network;
    const { network: prefix, mask, router } = reachOf(network);
    this.#native.setNetwork(this.number, prefix, mask, router);
    this.#neighbours = this.#newNeighbours();
  }

  /** Looks what became of the interface; whether it takes packets of another size now. */
  lookAgain(): boolean {
    const { mtu, up } = this.#native.describe(this.number);
    // Whoever was asked meanwhile did not hear it.
    if (up && !this.#isUp && this.#network.kind !== "host")
      for (const address of this.#addresses) this.#announce(address);
    this.#isUp = up;
    if (mtu === 0 || mtu === this.#mtu) return false;
    this.#mtu = mtu;
    return true;
  }

  /** Sends a translated packet by way of its next hop. */
  route(packet: Uint8Array): void {
    const frame = frameFor(NOBODY, this.mac, ETHER_IPV4, packet.length);
    frame.set(packet, ETHERNET_HEADER);
    this.#native.inject(this.number, frame, undefined, true);
  }

  send(frame: Uint8Array): void {
    this.#native.inject(this.number, frame);
  }

  /** Takes an ARP frame. */
  hear(frame: Buffer, now: number): void {
    const packet = readArp(frame);
    if (packet === null) return;
    const { sender, target, kind } = packet;
    if (this.#addresses.has(sender.address)) {
      if (Buffer.compare(sender.mac, this.mac) !== 0) this.#hooks.conflict(formatIpv4(sender.address));
      return;
    }
    // Nobody else is ever a next hop; senders made up would fill the table.
    const { network, mask } = this.#network;
    if ((sender.address & mask) >>> 0 === network) this.#neighbours.hear(packet, now);
    if (kind === "request" && this.#addresses.has(target.address) && this.#network.kind !== "host") {
      this.send(arpReply({ mac: this.mac, address: target.address }, sender));
    }
  }

  #announce(address: number): void {
    this.send(arpAnnouncement({ mac: this.mac, address }));
  }

  #newNeighbours(): Neighbours {
    const { number } = this;
    return new Neighbours(
      { mac: this.mac, address: this.#network.address },
      {
        send: (frame, offload) => this.#native.inject(number, frame, offload),
        known: (address, mac) => this.#native.setNeighbour(number, address, mac),
        forgotten: (address) => this.#native.forgetNeighbour(number, address),
        unreachable: (address, frames) => this.#hooks.unreachable(address, frames),
      },
    );
  }
}
