// One of the two networks that a gateway joins: which addresses are its own there, and who else is there.
import { formatIpv4 } from "../config/cidr.js";
import type { NativeGateway, NativeSide } from "../native.js";
import { arpAnnouncement, arpReply, readArp } from "./arp.js";
import type { Network } from "./config.js";
import { Neighbours } from "./neighbours.js";

/** What a side tells of. Addresses as text. */
export interface SideHooks {
  /** Another station says that one of our addresses is its own. */
  conflict(address: string): void;
  /** Nobody answers for an address. */
  unreachable(address: string): void;
}

export class Side {
  readonly number: NativeSide;
  readonly network: Network;
  /** Our hardware address there. */
  readonly mac: Uint8Array;
  /** The largest packet that the interface takes. */
  readonly mtu: number;
  readonly neighbours: Neighbours;
  readonly #native: NativeGateway;
  readonly #hooks: SideHooks;
  #addresses: ReadonlySet<number> = new Set();

  constructor(own: NativeGateway, number: NativeSide, network: Network, hooks: SideHooks) {
    this.#native = own;
    this.#hooks = hooks;
    this.number = number;
    this.network = network;
    const [mac, mtu] = own.describe(number);
    this.mac = Uint8Array.from(mac);
    this.mtu = mtu;
    this.neighbours = new Neighbours(
      { mac: this.mac, address: network.address },
      {
        send: (frame, offload) => own.inject(number, frame, offload),
        known: (address, at) => own.setNeighbour(number, address, at),
        forgotten: (address) => own.forgetNeighbour(number, address),
        unreachable: (address) => hooks.unreachable(formatIpv4(address)),
      },
    );
  }

  /** Answers for these addresses from now on; the network is told of new ones, so that nobody goes on elsewhere. */
  answerFor(addresses: ReadonlySet<number>): void {
    const before = this.#addresses;
    this.#addresses = addresses;
    for (const address of addresses) {
      if (!before.has(address)) this.send(arpAnnouncement({ mac: this.mac, address }));
    }
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
    this.neighbours.hear(packet, now);
    if (kind === "request" && this.#addresses.has(target.address)) {
      this.send(arpReply({ mac: this.mac, address: target.address }, sender));
    }
  }
}
