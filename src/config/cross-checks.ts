// What one key alone can't tell: how the keys of a config fit together.
import { type Cidr, cidrSize, formatCidr, formatIpv4, PrefixMap, parseCidr, parseIpv4 } from "./cidr.js";
import { deterministicFaults } from "./deterministic-checks.js";
import { parseEndpoint, parsePorts } from "./endpoint.js";
import type { Fault } from "./faults.js";
import { policyFaults } from "./policy-checks.js";
import { WITH_PORTS } from "./protocols.js";
import { LARGEST_POOL, type ParsedConfig } from "./schema.js";
import { showPath } from "./wording.js";

/** The keys of a config that are right by themselves; nothing is spelt out yet. */
export type SoundKeys = Partial<ParsedConfig>;

/** Every clash between the keys. A check that needs a missing (faulty) key is left out. */
export function crossCheck(config: SoundKeys): Fault[] {
  const inside = config.inside && prefixMap(config.inside);
  const pool = new Owners();
  const unshared = [...poolFaults(config, inside, pool)];
  return [
    ...unshared,
    ...blockFaults(config),
    ...staticFaults(config, inside, pool),
    ...forwardFaults(config, inside),
    ...exemptFaults(config, inside),
    ...policyFaults(config),
    // The split needs a pool to split.
    ...(unshared.length === 0 ? deterministicFaults(config) : []),
  ];
}

/** Prefixes that lead to themselves. */
function prefixMap(prefixes: readonly string[]): PrefixMap<Cidr> {
  const map = new PrefixMap<Cidr>();
  for (const prefix of prefixes.map((text) => parseCidr(text)!)) map.add(prefix, prefix);
  return map;
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
  inside: PrefixMap<Cidr> | undefined,
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

function* staticFaults(
  config: SoundKeys,
  inside: PrefixMap<Cidr> | undefined,
  pool: Owners,
): Iterable<Fault> {
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

function* forwardFaults(config: SoundKeys, inside: PrefixMap<Cidr> | undefined): Iterable<Fault> {
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

    const insidePath = ["forwards", index, "inside"];
    const stray = strayFault(parseEndpoint(forward.inside)!.address, inside);
    if (stray !== null) yield { path: insidePath, message: stray };

    const { protocol } = forward;
    if (protocol === "tcp" || protocol === "udp") continue;
    if (config.protocols?.[protocol] === false) {
      const message = `${protocol} is not translated; give "protocols": { "${protocol}": true } as well`;
      yield { path: ["forwards", index, "protocol"], message };
    }
    const { port } = parseEndpoint(forward.outside)!;
    if (protocol === "sctp" && parseEndpoint(forward.inside)!.port !== port) {
      yield { path: insidePath, message: `SCTP keeps its ports; give port ${port} as in "outside"` };
    }
  }
}

function* exemptFaults(config: SoundKeys, inside: PrefixMap<Cidr> | undefined): Iterable<Fault> {
  const exempt = config.exempt ?? [];
  if (exempt.length === 0) return;
  const destinations = prefixMap(exempt.map(({ destination }) => destination));
  const clashes = new Map<string, string>(); // by destination: the first that it clashes with
  const clash = (cidr: Cidr, what: string) => {
    const destination = destinations.find(cidr);
    if (destination && !clashes.has(formatCidr(destination))) clashes.set(formatCidr(destination), what);
  };
  for (const prefix of config.inside ?? []) clash(parseCidr(prefix)!, `the inside prefix ${prefix}`);
  for (const [what, address] of ownAddresses(config)) {
    clash({ network: address, bits: 32 }, `${formatIpv4(address)} of ${what}`);
  }
  for (const [index, { destination, protocol, ports }] of exempt.entries()) {
    const path = ["exempt", index];
    const around = inside?.find(parseCidr(destination)!);
    const what = around ? null : clashes.get(destination);
    if (around) yield { path, message: `${destination} is within the inside prefix ${formatCidr(around)}` };
    if (what) yield { path, message: `${destination} holds ${what}; give a prefix without` };
    const portless = protocol !== undefined && !WITH_PORTS.some((name) => name === protocol);
    if (portless && ports !== undefined) {
      yield { path: [...path, "ports"], message: `${protocol} has no ports; give none, or another protocol` };
    }
  }
}

/** The NAT's public addresses, each with the key that it is from. */
function* ownAddresses(config: SoundKeys): Iterable<[key: string, address: number]> {
  for (const [index, { address }] of (config.outside ?? []).entries()) {
    const prefix = parseCidr(address)!;
    if (cidrSize(prefix) > LARGEST_POOL) continue;
    for (let offset = 0; offset < cidrSize(prefix); offset++)
      yield [`outside[${index}]`, prefix.network + offset];
  }
  for (const [index, { outside }] of (config.static ?? []).entries()) {
    yield [`static[${index}]`, parseIpv4(outside)!];
  }
  for (const [index, { outside }] of (config.forwards ?? []).entries()) {
    yield [`forwards[${index}]`, parseEndpoint(outside)!.address];
  }
}

/** A public address must not be one that inside hosts may have. */
function insideFault(address: number, inside: PrefixMap<Cidr> | undefined): string | null {
  const prefix = inside?.at(address);
  return prefix ? `${formatIpv4(address)} is within the inside prefix ${formatCidr(prefix)}` : null;
}

/** A host that a rule leads to must be inside. */
function strayFault(address: number, inside: PrefixMap<Cidr> | undefined): string | null {
  return inside === undefined || inside.at(address) !== undefined
    ? null
    : `${formatIpv4(address)} is within no inside prefix; give an inside address or add its prefix to "inside"`;
}
