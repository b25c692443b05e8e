/**
 * Which public endpoints a NAT may choose for a new binding, and when it may refuse one. RFC 4787 REQ-2, 3, 3a
 * and 4, RFC 7857 section 4, and the contract's `portAssignment` and `pooling`.
 *
 * The engine chooses; these rules only say what is wrong with a choice. Where the contract is silent about an
 * order of preference (port class or parity, when not both can be had) every choice passes that no free port
 * beats in both.
 */
import { type Endpoint, endpointText } from "../support/packets.js";

export type Protocol = "udp" | "tcp" | "icmp";

export interface PoolAddress {
  address: string;
  low: number;
  high: number;
}

export interface PortPolicy {
  order: "random" | "sequential";
  preserve: boolean;
  parity: boolean;
  blockSize: number;
}

/** A public endpoint in use, and by whom; `host` is null for a forward's. */
export interface OwnedPort {
  protocol: Protocol;
  outside: Endpoint;
  host: string | null;
}

export interface Request {
  protocol: Protocol;
  inside: Endpoint;
  /** The addresses that pooling lets this host have. */
  addresses: readonly PoolAddress[];
  owned: readonly OwnedPort[];
  /** What was given last for this protocol at an address, for sequential order. */
  last: (address: string) => number | undefined;
}

/** A free port and what it costs: `spare` when it lies in a block that nobody has yet. */
interface Candidate {
  port: number;
  spare: boolean;
}

/** The number of the block that a port lies in. */
function blockOf(pool: PoolAddress, port: number, blockSize: number): number {
  return Math.floor((port - pool.low) / blockSize);
}

/** Ports that may be given to the host at this address. `wholeOnly` leaves out the rest that makes no block. */
function freePorts(request: Request, pool: PoolAddress, policy: PortPolicy, wholeOnly: boolean): Candidate[] {
  const { protocol, inside, owned } = request;
  const here = owned.filter((port) => port.outside.address === pool.address);
  const taken = new Set(here.filter((port) => port.protocol === protocol).map((port) => port.outside.port));
  const holder = new Map<number, string>();
  if (policy.blockSize > 0) {
    for (const { outside, host } of here) {
      if (host !== null) holder.set(blockOf(pool, outside.port, policy.blockSize), host);
    }
  }
  const found: Candidate[] = [];
  for (let port = pool.low; port <= pool.high; port++) {
    if (taken.has(port)) continue;
    if (policy.blockSize === 0) {
      found.push({ port, spare: false });
      continue;
    }
    const block = blockOf(pool, port, policy.blockSize);
    const whole = pool.low + (block + 1) * policy.blockSize - 1 <= pool.high;
    const owner = holder.get(block);
    if (owner === inside.address || (owner === undefined && (whole || !wholeOnly))) {
      found.push({ port, spare: owner === undefined });
    }
  }
  return found;
}

/** How a port suits the source port it stands for: [class kept, parity kept]. */
function quality(protocol: Protocol, wanted: number, port: number, policy: PortPolicy): [boolean, boolean] {
  if (protocol === "icmp") return [true, true];
  return [wanted < 1024 === port < 1024, !policy.parity || wanted % 2 === port % 2];
}

/** Null when refusing is right, else what could have been given. */
export function faultOfRefusal(request: Request, policy: PortPolicy): string | null {
  for (const pool of request.addresses) {
    const [free] = freePorts(request, pool, policy, true);
    if (free !== undefined) return `refused although ${pool.address}:${free.port} is free`;
  }
  return null;
}

/** Null when the choice is legal, else what is wrong with it. */
export function faultOfChoice(request: Request, policy: PortPolicy, chosen: Endpoint): string | null {
  const { protocol, inside } = request;
  const name = `${protocol} ${endpointText(chosen)} for ${endpointText(inside)}`;
  const pool = request.addresses.find((candidate) => candidate.address === chosen.address);
  if (pool === undefined) return `${name}: the host may not have this address`;
  if (chosen.port < pool.low || chosen.port > pool.high) return `${name}: outside ${pool.low}-${pool.high}`;
  const free = freePorts(request, pool, policy, false);
  const candidate = free.find(({ port }) => port === chosen.port);
  if (candidate === undefined) return `${name}: in use, or in another host's block`;
  // Which block a host gets is the engine's business: only ports of that block, or of the host's, compare.
  const sameBlock = (port: number) =>
    policy.blockSize === 0 ||
    blockOf(pool, port, policy.blockSize) === blockOf(pool, chosen.port, policy.blockSize);
  const others = free.filter(({ port, spare }) => (candidate.spare ? spare && sameBlock(port) : !spare));
  if (policy.preserve && chosen.port !== inside.port && others.some(({ port }) => port === inside.port)) {
    return `${name}: port ${inside.port} is free and was not preserved`;
  }
  if (chosen.port === inside.port && policy.preserve) return null;

  const mine = quality(protocol, inside.port, chosen.port, policy);
  const beats = (theirs: [boolean, boolean]) =>
    theirs[0] >= mine[0] && theirs[1] >= mine[1] && (theirs[0] > mine[0] || theirs[1] > mine[1]);
  const better = others.find(({ port }) => beats(quality(protocol, inside.port, port, policy)));
  if (better !== undefined)
    return `${name}: ${better.port} is free and keeps ${mine[0] ? "parity" : "class or parity"}`;
  if (candidate.spare) {
    const own = free.find(
      ({ port, spare }) => !spare && String(quality(protocol, inside.port, port, policy)) === String(mine),
    );
    if (own !== undefined) return `${name}: a new block, although ${own.port} is free in the host's own`;
  }
  return faultOfOrder(request, policy, chosen, pool, free);
}

/** Sequential order: the next suitable port after the last one given, or the lowest suitable one. */
function faultOfOrder(
  request: Request,
  policy: PortPolicy,
  chosen: Endpoint,
  pool: PoolAddress,
  free: readonly Candidate[],
): string | null {
  const last = request.last(pool.address);
  if (policy.order !== "sequential" || policy.preserve || policy.blockSize > 0 || last === undefined)
    return null;
  const { protocol, inside } = request;
  const suits = (port: number) =>
    String(quality(protocol, inside.port, port, policy)) ===
    String(quality(protocol, inside.port, chosen.port, policy));
  const ports = free.map(({ port }) => port).filter(suits);
  const next = ports.find((port) => port > last) ?? ports[0];
  if (chosen.port === next || chosen.port === ports[0]) return null;
  return `${protocol} ${endpointText(chosen)}: not in sequence, ${next} follows ${last}`;
}
