// The words for what becomes of a packet. native/nat/verdict.h has the same tables; src/native.ts compares
// them when the addon is loaded.

/** Forwarded: translated. Passed: left as it is. Held: comes out by `take`. Punted: for another shard (`HAIRPINNED`). */
export const VERDICTS = ["forwarded", "passed", "held", "punted", "dropped"] as const;
/** What becomes of a packet: one of {@link VERDICTS}. */
export type VerdictName = (typeof VERDICTS)[number];

/** Which way a packet goes; "none" where it concerns neither side. */
export const DIRECTIONS = ["none", "outbound", "inbound", "hairpin"] as const;
/** One of {@link DIRECTIONS}. */
export type Direction = (typeof DIRECTIONS)[number];

/** Why a packet was dropped; "none" is no reason and never counted. */
export const REASONS = [
  "none",
  "malformed",
  "header-checksum",
  "truncated",
  "not-ipv4",
  "no-interface",
  "unmatched",
  "invalid-source",
  "ttl-expired",
  "unsupported-protocol",
  "no-mapping",
  "filtered",
  "tcp-no-session",
  "icmp-checksum",
  "icmp-embedded",
  "icmp-no-session",
  "icmp-out-of-window",
  "hairpinning-off",
  "ports-exhausted",
  "session-limit",
  "host-limit",
  "rate-limit",
  "too-big",
  "fragment-tiny",
  "fragment-limit",
  "fragment-timeout",
  "fragment-refused",
] as const;
/** Why a packet is dropped; docs/config.md tells what each means. */
export type DropReason = Exclude<(typeof REASONS)[number], "none">;

/** What each drop reason says, for people. */
export const REASON_MEANINGS: Readonly<Record<DropReason, string>> = {
  malformed: "lengths or a version that no packet can have",
  "header-checksum": "the IPv4 header checksum is wrong (`verifyHeaderChecksum`)",
  truncated: "cut before its ports by the capture",
  "not-ipv4": "a frame of another protocol, by `unmatched`",
  "no-interface": "comes out in a section of a capture that has no interface of its link type",
  unmatched: "neither outbound nor inbound, or to no unicast destination, by `unmatched`",
  "invalid-source": "from outside with an own or unroutable source",
  "ttl-expired": "its TTL would reach 0",
  "unsupported-protocol": "no transport that is carried (`protocols`), and no ICMP query or error",
  "no-mapping": "nothing owns the port or identifier that it is for",
  filtered: "the filtering behaviour does not let this remote in",
  "tcp-no-session": "a TCP segment (or DCCP, SCTP packet) of no session that can't begin one",
  "icmp-checksum": "an ICMP error with a wrong checksum, outside or in the packet it quotes",
  "icmp-embedded": "an ICMP error that quotes too little, or another error",
  "icmp-no-session": "an ICMP error about no known session",
  "icmp-out-of-window": "an ICMP error about a TCP segment that was not sent lately",
  "hairpinning-off": "from inside to a public endpoint (`hairpinning`)",
  "ports-exhausted": "no port left for a new mapping",
  "session-limit": "`limits.sessions` is reached",
  "host-limit": "`limits.sessionsPerHost` or `limits.portsPerHost` is reached",
  "rate-limit": "more new sessions than `limits.sessionRate` or `limits.sessionRatePerHost` allow",
  "too-big": "larger than the `mtu` of where it goes, and not to be fragmented",
  "fragment-tiny": "a fragment that splits the TCP header",
  "fragment-limit": "no room to hold another fragment (`limits.fragments`), or for the pieces of a packet",
  "fragment-timeout": "a held fragment whose first one never came (`timeouts.fragment`)",
  "fragment-refused": "a fragment of a packet whose first one was dropped",
};

/** What became of one packet. The objects are frozen and shared: the same outcome is the same object. */
export interface Verdict {
  readonly verdict: VerdictName;
  readonly direction: Direction;
  /** Why it was dropped; null otherwise. */
  readonly reason: DropReason | null;
}

const known = new Map<number, Verdict>();

/** Unpacks a result of the core: verdict, direction << 8, reason << 16. */
export function verdictOf(packed: number): Verdict {
  let verdict = known.get(packed);
  if (verdict === undefined) {
    const reason = REASONS[packed >>> 16] ?? "none";
    verdict = Object.freeze({
      verdict: VERDICTS[packed & 0xff] ?? "dropped",
      direction: DIRECTIONS[(packed >>> 8) & 0xff] ?? "none",
      reason: reason === "none" ? null : reason,
    });
    known.set(packed, verdict);
  }
  return verdict;
}

/** @internal The result of a packet that is dropped, as the core packs it. */
export function droppedFor(reason: DropReason, direction: Direction): number {
  return DROPPED | (DIRECTIONS.indexOf(direction) << 8) | (REASONS.indexOf(reason) << 16);
}

/** @internal The result of a packet that waits. */
export function heldFor(direction: Direction): number {
  return HELD | (DIRECTIONS.indexOf(direction) << 8);
}

/** Codes of verdicts within a batch's descriptor. */
export const FORWARDED = VERDICTS.indexOf("forwarded");
export const PASSED = VERDICTS.indexOf("passed");
export const PUNTED = VERDICTS.indexOf("punted");
export const HELD = VERDICTS.indexOf("held");
export const DROPPED = VERDICTS.indexOf("dropped");
