// Which sessions somebody means: words that each have to fit.
import { IPV4_PATTERN, networkOf, parseCidr, parseIpv4 } from "../config/cidr.js";
import type { Session, SessionEndpoint } from "../conntrack.js";
import { NatError } from "../errors.js";
import { TCP_PHASES } from "../native.js";

type Test = (session: Session) => boolean;

const PROTOCOLS = ["tcp", "udp", "icmp", "udplite", "dccp", "sctp", "gre", "esp"];

/**
 * A test for sessions that fit all of some terms: a protocol ("tcp"), a TCP phase ("established"), an address or a
 * prefix ("192.168.226.0/24"), an endpoint ("203.0.113.8:443") or a port (":443") of any of a session's three ends.
 * @throws NatError NAT_ERR_ARGUMENT for a term that is none of these
 */
export function sessionFilter(terms: readonly string[]): Test {
  const tests = terms.map(testOf);
  return (session) => tests.every((test) => test(session));
}

function testOf(term: string): Test {
  const word = term.toLowerCase();
  if (PROTOCOLS.includes(word) || /^ip-[0-9]{1,3}$/.test(word)) return ({ protocol }) => protocol === word;
  if ((TCP_PHASES as readonly string[]).includes(word)) return ({ state }) => state === word;
  const ofEnds =
    (test: (end: SessionEndpoint) => boolean): Test =>
    (session) =>
      test(session.inside) || test(session.public) || test(session.remote);
  const [address = "", port, ...more] = term.split(":");
  if (more.length === 0) {
    const number = port === undefined ? null : portOf(port);
    if (port === undefined) {
      const prefix = parseCidr(address);
      if (prefix !== null)
        return ofEnds((end) => networkOf(parseIpv4(end.address)!, prefix.bits) === prefix.network);
    } else if (number !== null && address === "") {
      return ofEnds((end) => end.port === number);
    } else if (number !== null && IPV4_PATTERN.test(address)) {
      return ofEnds((end) => end.port === number && end.address === address);
    }
  }
  throw new NatError(
    "NAT_ERR_ARGUMENT",
    `"${term}" says nothing about sessions; give a protocol (tcp), a state (${TCP_PHASES.join(", ")}), an address or ` +
      "prefix (192.168.226.0/24), an endpoint (203.0.113.8:443) or a port (:443)",
  );
}

function portOf(text: string): number | null {
  const number = /^[0-9]{1,5}$/.test(text) ? Number(text) : 65536;
  return number > 65535 ? null : number;
}
