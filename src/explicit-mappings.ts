// Explicit mappings (RFC 6887): what an inside host asks for, rather than what its packets bring about.
import { formatIpv4, parseCidr } from "./config/cidr.js";
import {
  addressOf,
  checkTime,
  portOf,
  protocolNumber,
  type SessionEndpoint,
  type SessionProtocol,
} from "./conntrack.js";
import { NatError } from "./errors.js";
import type { Engine, NativeGrant } from "./native.js";
import { type DropReason, REASONS } from "./verdict.js";

/** An inside endpoint of a protocol whose public ports are the NAT's to choose. */
export interface InsideEndpoint {
  protocol: Extract<SessionProtocol, "tcp" | "udp" | "udplite" | "dccp">;
  inside: SessionEndpoint;
}

/** Remotes that a mapping lets in: those of a prefix, or one address; from one port, or all. */
export interface RemoteFilter {
  /** "198.51.100.7" or "198.51.100.0/24". */
  address: string;
  /** @default 0, any */
  port?: number;
}

interface Wish {
  /** How long the mapping is to live from now on, in ms; up to {@link MOST_LIFETIME}. */
  lifetime: number;
  /** The public endpoint that is wished for; what is left out is the NAT's to choose. Another comes if it is taken. */
  outside?: Partial<SessionEndpoint>;
  /** That public endpoint or nothing. @default false */
  exact?: boolean;
}

export interface MappingRequest extends InsideEndpoint, Wish {
  /** Who is let in whatever the filtering behaviour: at most {@link MOST_FILTERS}. @default everybody */
  remotes?: readonly RemoteFilter[];
}

export interface KeepRequest extends InsideEndpoint, Wish {
  /** The other end of the flow. */
  remote: SessionEndpoint;
}

/** What was granted; `reason` null. */
export interface Grant {
  readonly reason: null;
  readonly outside: SessionEndpoint;
  /** A forward or 1:1 mapping of the config, which never ends. */
  readonly permanent: boolean;
  /** When it ends, in ms of the caller's clock; Infinity if permanent. */
  readonly expiresAt: number;
}

/** Why nothing was granted, in the words of dropped packets. */
export interface Refusal {
  readonly reason: DropReason;
  /** The endpoint that the inside endpoint has already, where another was wished for; else null. */
  readonly outside: SessionEndpoint | null;
}

/** Filters that one mapping can have. */
export const MOST_FILTERS = 2;
/** The longest lifetime, in ms: a year. */
export const MOST_LIFETIME = 365 * 86_400_000;

/** No remote has this address. */
const NOBODY: RemoteFilter = { address: "0.0.0.0/32" };

/**
 * The explicit mappings of a `Nat`: `nat.mappings`. Whoever hands them out decides who may ask for what, as
 * {@link PcpServer} does.
 *
 * A mapping that was asked for is the same towards all remotes, whatever the mapping behaviour, and lives until its
 * time has come or longer, as long as it has sessions. In `conntrack` it is a session with the remote 0.0.0.0:0.
 */
export class ExplicitMappings {
  readonly #engine: () => Engine;
  readonly #clock: () => number;

  /** @internal `nat.mappings` is the way to them. */
  constructor(engine: () => Engine, clock: () => number) {
    this.#engine = engine;
    this.#clock = clock;
  }

  /**
   * Makes the mapping of an inside endpoint (RFC 6887, MAP), or gives the one that there is a new lifetime, shorter
   * ones too, and new filters.
   * @param now ms; default: the `Nat`'s clock
   * @throws NatError NAT_ERR_ARGUMENT, NAT_ERR_CLOSED
   */
  request(request: MappingRequest, now: number = this.#clock()): Grant | Refusal {
    const remotes = request.remotes?.length === 0 ? [NOBODY] : (request.remotes ?? []);
    if (remotes.length > MOST_FILTERS) {
      throw new NatError("NAT_ERR_ARGUMENT", `remotes: ${remotes.length} are more than ${MOST_FILTERS}`);
    }
    const filters = Uint32Array.from(remotes.flatMap(filterRow));
    return grantOf(this.#engine().map(...common(request, now), filters));
  }

  /**
   * The mapping that all flows of an inside endpoint have: by a forward or 1:1 mapping, asked for, or as
   * endpoint-independent mapping has it; else null. `expiresAt` may be earlier than that of others of its sessions.
   * @throws NatError NAT_ERR_ARGUMENT, NAT_ERR_CLOSED
   */
  find(endpoint: InsideEndpoint): Grant | null {
    const found = grantOf(this.#engine().findMapping(...named(endpoint)));
    return found.reason === null ? found : null;
  }

  /**
   * Ends a mapping that was asked for. Its sessions go on, and with them its public endpoint; without any, that is
   * free for others now.
   * @returns whether there was one
   * @throws NatError NAT_ERR_ARGUMENT, NAT_ERR_CLOSED
   */
  release(endpoint: InsideEndpoint): boolean {
    return this.#engine().unmap(...named(endpoint));
  }

  /**
   * Makes the session of an outbound flow before its first packet, or keeps the one that there is (RFC 6887, PEER):
   * it lives for `lifetime`, or longer if it would have.
   * @param now ms; default: the `Nat`'s clock
   * @throws NatError NAT_ERR_ARGUMENT, NAT_ERR_CLOSED
   */
  keep(request: KeepRequest, now: number = this.#clock()): Grant | Refusal {
    const remote = [addressOf(request.remote, "remote"), portOf(request.remote, "remote")] as const;
    return grantOf(this.#engine().keep(...common(request, now), ...remote));
  }

  /**
   * The public address that an inside host is seen with: of its 1:1 mapping, the one that it is paired with, or the
   * first of the pool; null without a pool.
   */
  publicAddressOf(inside: string): string | null {
    const address = this.#engine().publicAddressOf(addressOf({ address: inside, port: 0 }, "inside"));
    return address === 0 ? null : formatIpv4(address);
  }
}

function named({ protocol, inside }: InsideEndpoint): [protocol: number, inside: number, port: number] {
  return [protocolNumber(protocol), addressOf(inside, "inside"), portOf(inside, "inside")];
}

function common(request: InsideEndpoint & Wish, now: number) {
  checkTime(now);
  const { lifetime, outside = {}, exact = false } = request;
  if (!(lifetime >= 0 && lifetime <= MOST_LIFETIME)) {
    const most = `from 0 to ${MOST_LIFETIME} ms`;
    throw new NatError("NAT_ERR_ARGUMENT", `lifetime: ${String(lifetime)} is not ${most}`);
  }
  const { address = "0.0.0.0", port = 0 } = outside;
  const wished = { address, port };
  return [
    ...named(request),
    addressOf(wished, "outside"),
    portOf(wished, "outside"),
    exact === true,
    lifetime,
    now,
  ] as const;
}

function filterRow({ address, port = 0 }: RemoteFilter): number[] {
  const prefix = typeof address === "string" ? parseCidr(address) : null;
  if (prefix === null) {
    const right = 'IPv4 address or prefix such as "198.51.100.0/24"';
    throw new NatError("NAT_ERR_ARGUMENT", `remotes.address: ${JSON.stringify(address)} is no ${right}`);
  }
  const { network, bits } = prefix;
  const mask = bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0;
  return [network, mask, portOf({ address, port }, "remotes")];
}

function grantOf([number, address, port, permanent, until]: NativeGrant): Grant | Refusal {
  const reason = REASONS[number]!;
  const outside = address === 0 ? null : { address: formatIpv4(address), port };
  if (reason !== "none") return { reason, outside };
  return { reason: null, outside: outside!, permanent, expiresAt: permanent ? Infinity : until };
}
