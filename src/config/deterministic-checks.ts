// Whether a deterministic NAT's ports can be split, and who is in the way.
import { formatCidr, formatIpv4, PrefixMap, parseCidr } from "./cidr.js";
import type { SoundKeys } from "./cross-checks.js";
import { ownerOf, parametersOf, splitOf } from "./deterministic.js";
import { parseEndpoint, parsePorts } from "./endpoint.js";
import type { Fault } from "./faults.js";
import { expandPool } from "./resolve.js";

const PATH = ["portAssignment", "deterministic"];

export function* deterministicFaults({
  inside,
  outside,
  portAssignment,
  forwards = [],
}: SoundKeys): Iterable<Fault> {
  const deterministic = portAssignment?.deterministic;
  if (!inside || !outside || !deterministic) return;

  const pool = expandPool(outside);
  const [first] = pool;
  const other = outside.findIndex(({ ports }) => ports !== first!.ports);
  if (other !== -1) {
    const message = `${outside[other]!.ports} differs from ${first!.ports}; deterministic needs one range for all`;
    yield { path: ["outside", other, "ports"], message };
    return;
  }
  const ports = parsePorts(first!.ports)!;
  if (ports.lo < 1024) {
    const message = `${first!.ports} has system ports, which deterministic leaves out (RFC 7422); begin at 1024`;
    yield { path: ["outside", 0, "ports"], message };
  }
  const overlaps = [...overlapFaults(inside)];
  yield* overlaps;
  if (overlaps.length > 0) return;

  const parameters = parametersOf({ inside, outside: pool, portAssignment })!;
  const { hosts, hostsPerAddress, portsPerHost, pool: dynamicPorts } = splitOf(parameters);
  const range = ports.hi - ports.lo + 1;
  if (portsPerHost < 1) {
    const message =
      `${hosts} hosts on ${pool.length} addresses are ${hostsPerAddress} for each; with ${deterministic.dynamic} ` +
      `dynamic shares ${range} ports are too few. Give more addresses, fewer hosts or fewer shares`;
    yield { path: PATH, message };
    return;
  }
  const blockSize = portAssignment.blockSize;
  if (deterministic.dynamic > 0 && blockSize > dynamicPorts) {
    const message = `${blockSize} is more than the ${dynamicPorts} ports of the dynamic pool; give at most ${dynamicPorts}`;
    yield { path: ["portAssignment", "blockSize"], message };
  }
  for (const [index, forward] of forwards.entries()) {
    const { address, port } = parseEndpoint(forward.outside)!;
    const owner = ownerOf(parameters, address, port);
    if (owner.kind !== "host" || owner.host === parseEndpoint(forward.inside)!.address) continue;
    const message = `port ${port} is one of ${formatIpv4(owner.host)}'s ${owner.range.lo}-${owner.range.hi}; give another`;
    yield { path: ["forwards", index, "outside"], message };
  }
}

/** Each host has one number, so no prefix may lie in another. */
function* overlapFaults(inside: readonly string[]): Iterable<Fault> {
  const prefixes = inside.map((text) => parseCidr(text)!);
  const map = new PrefixMap<number>();
  for (const [index, prefix] of prefixes.entries()) map.add(prefix, index);
  for (const [index, prefix] of prefixes.entries()) {
    const around = map.find(prefix)!;
    if (around === index) continue;
    const message = `${formatCidr(prefix)} is within inside[${around}], so deterministic would count its hosts twice`;
    yield { path: ["inside", index], message };
  }
}
