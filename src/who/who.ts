// Who is behind a public endpoint of a deterministic NAT, and which ports an inside host has: both ways without any
// state, from the parameters alone (RFC 7422, section 2).
import { formatIpv4, parseIpv4 } from "../config/cidr.js";
import { ownerOf, type Parameters, rangeOf, splitOf } from "../config/deterministic.js";
import { parseEndpoint } from "../config/endpoint.js";
import { show } from "../config/wording.js";
import { NatError } from "../errors.js";

/** What is known of a NAT. */
export interface Known {
  readonly parameters: Parameters;
  /** Hosts that have a public address to themselves. */
  readonly statics: readonly { readonly outside: string; readonly inside: string }[];
}

/** An inside host with what it has outside. */
export interface Answer {
  readonly inside: string;
  readonly outside: string;
  /** "LO-HI"; of a static host, all. */
  readonly ports: string;
}

/**
 * Answers for a public endpoint ("203.0.113.1:40000") or an inside address.
 * @throws NatError when the question is none, or the parameters don't tell
 */
export function who(question: string, known: Known): Answer {
  const host = parseIpv4(question);
  if (host !== null) return whatHas(host, known);
  const endpoint = parseEndpoint(question);
  if (endpoint === null) {
    throw unanswered(
      `${show(question)} is neither a public endpoint such as 203.0.113.1:40000 nor an inside address`,
    );
  }
  return whoHas(endpoint.address, endpoint.port, known);
}

function whatHas(host: number, { parameters, statics }: Known): Answer {
  const inside = formatIpv4(host);
  const own = statics.find((entry) => entry.inside === inside);
  if (own) return { ...own, ports: "1-65535" };
  const range = rangeOf(parameters, host);
  if (range !== null) {
    return { inside, outside: formatIpv4(range.address), ports: `${range.lo}-${range.hi}` };
  }
  const isPublic = parameters.outside.includes(host);
  throw unanswered(
    isPublic
      ? `${inside} is a public address that hosts share; ask with a port, as in ${inside}:40000`
      : `${inside} is no inside host`,
  );
}

function whoHas(address: number, port: number, { parameters, statics }: Known): Answer {
  const outside = formatIpv4(address);
  const own = statics.find((entry) => entry.outside === outside);
  if (own) return { ...own, ports: "1-65535" };
  const owner = ownerOf(parameters, address, port);
  const endpoint = `${outside}:${port}`;
  const { lo, hi } = parameters.ports;
  switch (owner.kind) {
    case "host":
      return { inside: formatIpv4(owner.host), outside, ports: `${owner.range.lo}-${owner.range.hi}` };
    case "dynamic": {
      const first = hi - splitOf(parameters).pool + 1;
      throw unanswered(`${endpoint} is of the dynamic pool, ${first}-${hi}; ask the log of port blocks`);
    }
    case "nobody":
      throw unanswered(`${endpoint} is nobody's: no host has this part of the ports`);
    case "reserved":
      throw unanswered(`${endpoint} is not handed out, only ports ${lo}-${hi} are; a forward may have it`);
    case "foreign":
      throw unanswered(`${endpoint} is not ours: ${outside} is not in the pool`);
  }
}

function unanswered(message: string): NatError {
  return new NatError("NAT_ERR_ARGUMENT", message);
}
