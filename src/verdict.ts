// The words for what becomes of a packet. native/nat/verdict.h has the same tables; src/native.ts compares
// them when the addon is loaded.

/** Forwarded: translated. Passed: left as it is. Held: kept until its first fragment comes. Punted: for the caller. */
export const VERDICTS = ["forwarded", "passed", "held", "punted", "dropped"] as const;
export type VerdictName = (typeof VERDICTS)[number];

/** Which way a packet goes; "none" where it concerns neither side. */
export const DIRECTIONS = ["none", "outbound", "inbound", "hairpin"] as const;
export type Direction = (typeof DIRECTIONS)[number];

/** Why a packet was dropped; "none" is no reason and never counted. */
export const REASONS = [
  "none",
  "malformed",
  "header-checksum",
  "truncated",
  "not-ipv4",
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
  "fragment-tiny",
  "fragment-limit",
  "fragment-timeout",
  "fragment-refused",
] as const;
export type DropReason = Exclude<(typeof REASONS)[number], "none">;

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
  const code = packed & 0x7fffffff;
  let verdict = known.get(code);
  if (verdict === undefined) {
    const reason = REASONS[code >>> 16] ?? "none";
    verdict = Object.freeze({
      verdict: VERDICTS[code & 0xff] ?? "dropped",
      direction: DIRECTIONS[(code >>> 8) & 0xff] ?? "none",
      reason: reason === "none" ? null : reason,
    });
    known.set(code, verdict);
  }
  return verdict;
}

/** The code of a verdict within a batch's descriptor. */
export const FORWARDED = 0;
export const PASSED = 1;
export const HELD = 2;
export const DROPPED = 4;
