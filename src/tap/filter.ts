// Which packets somebody wants to see: words that each have to fit.
import { PROTOCOLS, WITH_PORTS } from "../config/protocols.js";
import { protocolNumber } from "../conntrack.js";
import { NatError } from "../errors.js";
import { type EndTerm, endTerm, isEnd, protocolTerm } from "../flow-terms.js";
import { REASONS } from "../verdict.js";
import { ETHERNET, LINK_TYPES, type TapRing } from "./ring.js";

type Test = (record: TapRing) => boolean;

/** What a tap wants, in two parts: what is not copied at all, and what is passed over when read. */
export interface PacketFilter {
  /** Bits (native/addon/taps.cpp): 1 inside, 2 outside, 4 dropped packets, 8 others. */
  readonly wanted: number;
  readonly fits: Test;
}

const [INSIDE, OUTSIDE, DROPPED, OTHERS] = [1, 2, 4, 8];
const EVERYTHING = INSIDE! | OUTSIDE! | DROPPED! | OTHERS!;

/** Words that the other side looks at, as what they leave of `wanted`. */
const CHEAP: Readonly<Record<string, number>> = {
  inside: EVERYTHING & ~OUTSIDE!,
  outside: EVERYTHING & ~INSIDE!,
  dropped: EVERYTHING & ~OTHERS!,
  "not inside": EVERYTHING & ~INSIDE!,
  "not outside": EVERYTHING & ~OUTSIDE!,
  "not dropped": EVERYTHING & ~DROPPED!,
};

const PORTED: readonly number[] = WITH_PORTS.map((name) => PROTOCOLS[name]);

/**
 * The packets that fit all of some terms, each of which may have "not" before it: a side ("inside"), "dropped" or
 * "dropped:REASON", a protocol ("tcp"), an address or a prefix ("192.168.226.0/24"), an endpoint ("203.0.113.8:443") or
 * a port (":443") of the packet itself or of any of its session's three ends.
 * @param text the terms, with spaces between them; none: all packets
 * @throws NatError NAT_ERR_ARGUMENT for a term that is none of these
 */
export function packetFilter(text: string): PacketFilter {
  let wanted = EVERYTHING;
  const tests: Test[] = [];
  for (const [not, term] of termsOf(text)) {
    const cheap = CHEAP[not ? `not ${term}` : term];
    if (cheap !== undefined) {
      wanted &= cheap;
      continue;
    }
    const test = testOf(term);
    tests.push(not ? (record) => !test(record) : test);
    if (!not && term.startsWith("dropped:")) wanted &= CHEAP.dropped!;
  }
  return { wanted, fits: (record) => tests.every((test) => test(record)) };
}

function* termsOf(text: string): Generator<[not: boolean, term: string]> {
  let not = false;
  for (const word of text.split(/\s+/).filter((one) => one !== "")) {
    if (word.toLowerCase() === "not") {
      not = !not;
      continue;
    }
    yield [not, /[A-Z]/.test(word) ? word.toLowerCase() : word];
    not = false;
  }
  if (not) throw new NatError("NAT_ERR_ARGUMENT", `"${text}": "not" stands before nothing`);
}

function testOf(term: string): Test {
  if (term.startsWith("dropped:")) return ofReason(term.slice("dropped:".length));
  const named = protocolTerm(term);
  if (named !== null) {
    const number = protocolNumber(named);
    return (record) => record.protocol === number || new Header(record).protocol === number;
  }
  const end = endTerm(term);
  if (end !== null) return (record) => isEndOfSession(record, end) || isEndOfPacket(new Header(record), end);
  throw new NatError(
    "NAT_ERR_ARGUMENT",
    `"${term}" says nothing about packets; give inside or outside, dropped or dropped:REASON, a protocol (tcp), an ` +
      "address or prefix (192.168.226.0/24), an endpoint (203.0.113.8:443) or a port (:443); not before it turns it round",
  );
}

function ofReason(reason: string): Test {
  if (reason !== "none" && (REASONS as readonly string[]).includes(reason)) {
    return (record) => record.verdict?.reason === reason;
  }
  throw new NatError(
    "NAT_ERR_ARGUMENT",
    `"dropped:${reason}": there is no such drop reason; those that there are: ${REASONS.slice(1).join(", ")}`,
  );
}

function isEndOfSession(record: TapRing, end: EndTerm): boolean {
  if (record.protocol === 0) return false;
  return ([0, 1, 2] as const).some((which) => isEnd(end, record.address(which), record.port(which)));
}

function isEndOfPacket({ protocol, ends }: Header, end: EndTerm): boolean {
  return protocol !== 0 && ends.some(([address, port]) => isEnd(end, address, port));
}

/** What a packet's own header says, as far as it is there. */
class Header {
  /** 0: it is no IPv4 packet. */
  readonly protocol: number = 0;
  readonly ends: readonly (readonly [address: number, port: number])[] = [];

  constructor(record: TapRing) {
    const { bytes } = record;
    const isEthernet = record.linkType === LINK_TYPES[ETHERNET];
    const at = isEthernet ? 14 : 0;
    if (bytes.length < at + 20 || (isEthernet && (bytes[12] !== 8 || bytes[13] !== 0))) return;
    const view = new DataView(bytes.buffer, bytes.byteOffset + at, bytes.length - at);
    const header = (view.getUint8(0) & 15) * 4;
    this.protocol = view.getUint8(9);
    const isFirst = (view.getUint16(6) & 0x1fff) === 0;
    const hasPorts = PORTED.includes(this.protocol) && isFirst && view.byteLength >= header + 4;
    this.ends = ([12, 16] as const).map((address, i) => [
      view.getUint32(address),
      hasPorts ? view.getUint16(header + 2 * i) : 0,
    ]);
  }
}
