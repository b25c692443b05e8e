// What one key alone can't tell: how the keys of a config fit together.
import { cidrSize, formatCidr, formatIpv4, PrefixSet, parseCidr, parseIpv4 } from "./cidr.js";
import { parseEndpoint, parsePorts } from "./endpoint.js";
import type { Fault } from "./faults.js";
import { LARGEST_POOL, type ResolvedNatConfig } from "./schema.js";
import { showPath } from "./wording.js";

/** The keys of a config that are right by themselves; `outside` not yet expanded. */
export type SoundKeys = Partial<ResolvedNatConfig>;

/** Every clash between the keys. A check that needs a missing (faulty) key is left out. */
export function crossCheck(config: SoundKeys): Fault[] {
  const inside = config.inside && new PrefixSet(config.inside.map((prefix) => parseCidr(prefix)!));
  const pool = new Owners();
  return [
    ...poolFaults(config, inside, pool),
    ...blockFaults(config),
    ...staticFaults(config, inside, pool),
    ...forwardFaults(config, inside),
  ];
}

/** Who has taken an address or endpoint: the path of the first that did. */
class Owners {
  readonly #paths = new Map<number | string, Fault["path"]>();

  /** Takes `what`; the path of its owner when it is taken already. */
  take(what: number | string, path: Fault["path"]): string | null {
    const owner = this.#paths.get(what);
    if (owner !== undefined) return showPath(owner);
    this.#paths.set(what, path);
    return null;
  }
}

function* poolFaults(
  { outside = [] }: SoundKeys,
  inside: PrefixSet | undefined,
  pool: Owners,
): Iterable<Fault> {
  const prefixes = outside.map((entry) => parseCidr(entry.address)!);
  const total = prefixes.reduce((sum, prefix) => sum + cidrSize(prefix), 0);
  if (total > LARGEST_POOL) {
    yield { path: ["outside"], message: `${total} addresses in all; give at most ${LARGEST_POOL}` };
    return;
  }
  for (const [index, prefix] of prefixes.entries()) {
    const path = ["outside", index];
    for (let address = prefix.network; address < prefix.network + cidrSize(prefix); address++) {
      const owner = pool.take(address, path);
      const message =
        owner === null ? insideFault(address, inside) : `${formatIpv4(address)} is in ${owner} already`;
      if (message === null) continue;
      yield { path, message };
      break; // one message an entry, however many of its addresses clash
    }
  }
}

function* blockFaults({ outside = [], portAssignment }: SoundKeys): Iterable<Fault> {
  const size = portAssignment?.blockSize ?? 0;
  for (const [index, entry] of outside.entries()) {
    const { lo, hi } = parsePorts(entry.ports)!;
    const count = hi - lo + 1;
    if (size <= count) continue;
    const message = `${size} is more than the ${count} ports of outside[${index}]; give at most ${count}`;
    yield { path: ["portAssignment", "blockSize"], message };
    return;
  }
}

function* staticFaults(config: SoundKeys, inside: PrefixSet | undefined, pool: Owners): Iterable<Fault> {
  const hosts = new Owners();
  for (const [index, entry] of (config.static ?? []).entries()) {
    const outsidePath = ["static", index, "outside"];
    const address = parseIpv4(entry.outside)!;
    const owner = pool.take(address, outsidePath);
    if (owner !== null) {
      yield { path: outsidePath, message: `${entry.outside} is in ${owner} already; give one of its own` };
    }
    const clash = insideFault(address, inside);
    if (clash !== null) yield { path: outsidePath, message: clash };

    const insidePath = ["static", index, "inside"];
    const host = parseIpv4(entry.inside)!;
    const other = hosts.take(host, insidePath);
    if (other !== null) yield { path: insidePath, message: `${entry.inside} is in ${other} already` };
    const stray = strayFault(host, inside);
    if (stray !== null) yield { path: insidePath, message: stray };
  }
}

function* forwardFaults(config: SoundKeys, inside: PrefixSet | undefined): Iterable<Fault> {
  const oneToOne = new Map((config.static ?? []).map((entry, index) => [entry.outside, index]));
  const endpoints = new Owners();
  for (const [index, forward] of (config.forwards ?? []).entries()) {
    const outsidePath = ["forwards", index, "outside"];
    const { address } = parseEndpoint(forward.outside)!;
    const owner = endpoints.take(`${forward.protocol} ${forward.outside}`, outsidePath);
    if (owner !== null) {
      const message = `${forward.protocol} ${forward.outside} is in ${owner} already`;
      yield { path: outsidePath, message };
    }
    const whole = oneToOne.get(formatIpv4(address));
    if (whole !== undefined) {
      const message = `all ports of ${formatIpv4(address)} belong to static[${whole}]; give another address`;
      yield { path: outsidePath, message };
    }
    const clash = insideFault(address, inside);
    if (clash !== null) yield { path: outsidePath, message: clash };

    const stray = strayFault(parseEndpoint(forward.inside)!.address, inside);
    if (stray !== null) yield { path: ["forwards", index, "inside"], message: stray };
  }
}

/** A public address must not be one that inside hosts may have. */
function insideFault(address: number, inside: PrefixSet | undefined): string | null {
  const prefix = inside?.find(address);
  return prefix ? `${formatIpv4(address)} is within the inside prefix ${formatCidr(prefix)}` : null;
}

/** A host that a rule leads to must be inside. */
function strayFault(address: number, inside: PrefixSet | undefined): string | null {
  return inside === undefined || inside.find(address) !== null
    ? null
    : `${formatIpv4(address)} is within no inside prefix; give an inside address or add its prefix to "inside"`;
}
