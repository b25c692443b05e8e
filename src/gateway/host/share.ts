// A host's own address, shared by ports: which are the gateway's, kept from the host both ways.
import type { PortRange } from "../../config/endpoint.js";
import type { Forward } from "../gateway.js";
import type { Network } from "../networks.js";
import { portFilter } from "./filter.js";
import { HostGuard } from "./guard.js";
import { checkFree, type OwnPorts, ownPorts } from "./ports.js";

export class SharedAddress {
  readonly #range: PortRange;
  readonly #guard: HostGuard;

  private constructor(range: PortRange, guard: HostGuard) {
    this.#range = range;
    this.#guard = guard;
  }

  /** The BPF program by which the kernel gives a port the gateway's packets only. */
  static filter({ address }: Network, range: PortRange, forwards: readonly Forward[]): Uint8Array {
    return portFilter(address, ownPorts(range, forwards));
  }

  /**
   * Keeps the host's stack from answering the gateway's packets.
   * @throws NatError NAT_ERR_GATEWAY when the host uses the ports itself, or there is no nft
   */
  static async open(
    { name, address }: Network,
    range: PortRange,
    forwards: readonly Forward[],
    warn: (text: string) => void,
  ): Promise<SharedAddress> {
    const ports = ownPorts(range, forwards);
    checkFree(range, ports);
    return new SharedAddress(range, await HostGuard.open({ interface: name, address, ports }, warn));
  }

  /** Goes on with another address, or other forwards; the filter for them. */
  change({ name, address }: Network, forwards: readonly Forward[]): Uint8Array {
    const ports: OwnPorts = ownPorts(this.#range, forwards);
    this.#guard.change({ interface: name, address, ports });
    return portFilter(address, ports);
  }

  close(): void {
    this.#guard.close();
  }
}
