// Which sessions somebody means: words that each have to fit.
import { parseIpv4 } from "../config/cidr.js";
import type { Session } from "../conntrack.js";
import { NatError } from "../errors.js";
import { endTerm, isEnd, protocolTerm } from "../flow-terms.js";
import { TCP_PHASES } from "../native.js";

type Test = (session: Session) => boolean;

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
  const named = protocolTerm(term);
  if (named !== null) return ({ protocol }) => protocol === named;
  const phase = term.toLowerCase();
  if ((TCP_PHASES as readonly string[]).includes(phase)) return ({ state }) => state === phase;
  const end = endTerm(term);
  if (end !== null) {
    return ({ inside, public: outside, remote }) =>
      [inside, outside, remote].some(({ address, port }) => isEnd(end, parseIpv4(address)!, port));
  }
  throw new NatError(
    "NAT_ERR_ARGUMENT",
    `"${term}" says nothing about sessions; give a protocol (tcp), a state (${TCP_PHASES.join(", ")}), an address or ` +
      "prefix (192.168.226.0/24), an endpoint (203.0.113.8:443) or a port (:443)",
  );
}
