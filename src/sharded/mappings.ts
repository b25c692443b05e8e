import { addressOf } from "../conntrack.js";
import type { Grant, InsideEndpoint, KeepRequest, MappingRequest, Refusal } from "../explicit-mappings.js";
import type { View } from "./conntrack.js";
import type { Shard } from "./shard.js";

/**
 * The explicit mappings (RFC 6887) of all shards: as those of a `Nat`, each asked of the shard that the inside host
 * belongs to. A public port that is wished for can be had where that shard owns it, else another comes, or with
 * `exact` none ("ports-exhausted").
 */
export class ShardedMappings {
  readonly #view: () => View;

  /** @internal `nat.mappings` is the way to them. */
  constructor(view: () => View) {
    this.#view = view;
  }

  /** As `Nat.mappings.request`. @throws NatError NAT_ERR_ARGUMENT, NAT_ERR_CLOSED, NAT_ERR_SHARD */
  async request(request: MappingRequest, now: number = this.#view().clock()): Promise<Grant | Refusal> {
    return (await this.#of(request.inside).ask("request", request, now)) as Grant | Refusal;
  }

  /** As `Nat.mappings.keep`. @throws NatError NAT_ERR_ARGUMENT, NAT_ERR_CLOSED, NAT_ERR_SHARD */
  async keep(request: KeepRequest, now: number = this.#view().clock()): Promise<Grant | Refusal> {
    return (await this.#of(request.inside).ask("keep", request, now)) as Grant | Refusal;
  }

  /** As `Nat.mappings.find`. @throws NatError NAT_ERR_ARGUMENT, NAT_ERR_CLOSED, NAT_ERR_SHARD */
  async find(endpoint: InsideEndpoint): Promise<Grant | null> {
    return (await this.#of(endpoint.inside).ask("findMapping", endpoint)) as Grant | null;
  }

  /** As `Nat.mappings.release`. @throws NatError NAT_ERR_ARGUMENT, NAT_ERR_CLOSED, NAT_ERR_SHARD */
  async release(endpoint: InsideEndpoint): Promise<boolean> {
    return (await this.#of(endpoint.inside).ask("release", endpoint)) as boolean;
  }

  /** As `Nat.mappings.publicAddressOf`. @throws NatError NAT_ERR_ARGUMENT, NAT_ERR_CLOSED, NAT_ERR_SHARD */
  async publicAddressOf(inside: string): Promise<string | null> {
    return (await this.#of({ address: inside, port: 0 }).ask("publicAddressOf", inside)) as string | null;
  }

  #of(inside: InsideEndpoint["inside"]): Shard {
    const { shards, steering } = this.#view();
    return shards[steering.shardOfHost(addressOf(inside, "inside"))]!;
  }
}
