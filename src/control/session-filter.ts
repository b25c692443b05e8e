// Which sessions somebody means: words that each have to fit.
import { parseIpv4 } from "../config/cidr.js";
import { NatError } from "../errors.js";
import type { EventSession } from "../events/event.js";
import { endTerm, isEnd, protocolTerm } from "../flow-terms.js";
import { TCP_PHASES } from "../native.js";
import type { Session } from "../session.js";
import { conntrackState, isAssured, isReplied } from "./told-session.js";

/** Whether a session fits, at a time of its NAT's clock. */
export type SessionTest<Of extends EventSession = Session> = (session: Of, now: number) => boolean;

/** Words for sessions, besides protocols and states. */
const MARKS: Readonly<Record<string, SessionTest<EventSession>>> = {
  assured: isAssured,
  unreplied: (session) => !isReplied(session),
  permanent: ({ permanent }) => permanent,
  outbound: ({ direction }) => direction === "outbound",
  inbound: ({ direction }) => direction === "inbound",
  hairpin: ({ hairpin }) => hairpin,
};

/** What can be compared, in seconds, bytes and packets. */
type Figures<Of extends EventSession> = Readonly<Record<string, (session: Of, now: number) => number>>;

const OF_EVENTS: Figures<EventSession> = {
  age: ({ createdAt }, now) => (now - createdAt) / 1000,
  bytes: ({ bytes }) => bytes.outbound + bytes.inbound,
  packets: ({ packets }) => packets.outbound + packets.inbound,
};

/** A session in the table has times that an event's has not. */
const OF_TABLE: Figures<Session> = {
  ...OF_EVENTS,
  idle: ({ lastSeen }, now) => (now - lastSeen) / 1000,
  expires: ({ expiresAt }, now) => (expiresAt - now) / 1000,
};

/** States of conntrack's that ours are no other spelling of. */
const CONNTRACK_STATES = ["syn_sent", "syn_recv", "fin_wait", "last_ack", "close"];

const TIMES = ["age", "idle", "expires"];
const TIME_UNITS: Readonly<Record<string, number>> = { "": 1, s: 1, m: 60, h: 3600, d: 86_400 };
const COUNT_UNITS: Readonly<Record<string, number>> = { "": 1, k: 1e3, K: 1e3, M: 1e6, G: 1e9 };

/**
 * A test for sessions that fit all of some terms: a protocol ("tcp"), a TCP state by our name or conntrack's
 * ("established", "syn_sent"), a mark ("unreplied"), an address or a prefix ("192.168.226.0/24"), an endpoint
 * ("203.0.113.8:443") or a port (":443") of any of a session's three ends, a figure beyond or below another ("age>60",
 * "bytes<1M"); any of them with "!" before it: what does not fit.
 * @throws NatError NAT_ERR_ARGUMENT for a term that is none of these
 */
export function sessionFilter(terms: readonly string[]): (session: Session, now?: number) => boolean {
  const tests = terms.map((term) => testOf(term, OF_TABLE));
  return (session, now = performance.now()) => tests.every((test) => test(session, now));
}

/** The same for sessions of events, which have neither an idle time nor one left. */
export function eventSessionFilter(terms: readonly string[]): SessionTest<EventSession> {
  const tests = terms.map((term) => testOf(term, OF_EVENTS));
  return (session, now) => tests.every((test) => test(session, now));
}

function testOf<Of extends EventSession>(term: string, figures: Figures<Of>): SessionTest<Of> {
  if (term.startsWith("!")) {
    const test = testOf(term.slice(1), figures);
    return (session, now) => !test(session, now);
  }
  const named = protocolTerm(term);
  if (named !== null) return ({ protocol }) => protocol === named;
  const word = term.toLowerCase();
  const phase = word.replace("_", "-");
  if ((TCP_PHASES as readonly string[]).includes(phase)) return ({ state }) => state === phase;
  if (CONNTRACK_STATES.includes(word)) return (session) => conntrackState(session)?.toLowerCase() === word;
  const mark = Object.hasOwn(MARKS, word) ? MARKS[word] : undefined;
  if (mark !== undefined) return mark;
  const test = figureTest(term, figures) ?? endTest(term);
  if (test !== null) return test;
  throw new NatError("NAT_ERR_ARGUMENT", complaint(term, Object.keys(figures)));
}

function complaint(term: string, comparable: readonly string[]): string {
  if (comparable.includes(term)) {
    return `"${term}" alone says nothing about sessions; give what it is compared with, in quotes: '${term}>60'`;
  }
  return (
    `"${term}" says nothing about sessions; give a protocol (tcp), a state (${TCP_PHASES.join(", ")}), an address or ` +
    "prefix (192.168.226.0/24), an endpoint (203.0.113.8:443), a port (:443), a mark " +
    `(${Object.keys(MARKS).join(", ")}), or a comparison of ${comparable.join(", ")} ('age>60', 'bytes>1M'); ` +
    'with "!" before it, what does not fit'
  );
}

/** "age>60", "bytes<=1.5M". */
function figureTest<Of extends EventSession>(term: string, figures: Figures<Of>): SessionTest<Of> | null {
  const [, name = "", operator, digits, unit = ""] =
    /^([a-z]+)([<>]=?)([0-9]+(?:\.[0-9]+)?)([a-zA-Z]?)$/.exec(term) ?? [];
  const figure = Object.hasOwn(figures, name) ? figures[name] : undefined;
  const size = (TIMES.includes(name) ? TIME_UNITS : COUNT_UNITS)[unit];
  if (figure === undefined || size === undefined) return null;
  const bound = Number(digits) * size;
  switch (operator) {
    case ">":
      return (session, now) => figure(session, now) > bound;
    case ">=":
      return (session, now) => figure(session, now) >= bound;
    case "<":
      return (session, now) => figure(session, now) < bound;
    default:
      return (session, now) => figure(session, now) <= bound;
  }
}

/** An address, a prefix, an endpoint or a port of any end. */
function endTest(term: string): SessionTest<EventSession> | null {
  const end = endTerm(term);
  if (end === null) return null;
  return ({ inside, public: outside, remote }) =>
    [inside, outside, remote].some(({ address, port }) => isEnd(end, parseIpv4(address)!, port));
}
