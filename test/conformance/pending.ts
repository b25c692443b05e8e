// What is still to come. For each feature the rows, or single tests ("ID: title"), that need it: they may fail until
// then, and the scorecard says so. Once all that wait for a feature pass, its entry has to go, or the suite fails.

export const PENDING: Readonly<Record<string, readonly string[]>> = {
  overloading: [
    "RFC7857-S3: overloading: one port serves two hosts towards different remotes, never towards one",
  ],
  exempt: ["RFC6888-REQ-6"],
  "alg.ftp": ["RFC4787-REQ-10a", "RFC3022-S4.4"],
  "per-protocol filtering": ["RFC5382-REQ-3b"],
  presets: ["RFC6888-REQ-7", 'RFC6888-REQ-2: and so they do with preset "cgn"'],
  "soft-paired": ["RFC7857-S4: soft-paired: one address while it has ports, then another"],
  holdDown: [
    "RFC6888-REQ-8: a freed UDP port or id serves nobody for 120 s, by default",
    "RFC6888-REQ-8: nor when its session ends by itself",
    "RFC6888-REQ-8: the time is configurable, 0 ends it",
    "RFC6888-REQ-8: the number is configurable: beyond it the longest at rest comes free",
  ],
  blockLog: ["RFC6888-REQ-14: a log has one entry for a block of n ports, and one for its release"],
  blocksPerHost: ["RFC6888-REQ-14: blocksPerHost: no more blocks than that; others have theirs"],
  blockHold: ["RFC6888-REQ-14: blockHold: a released block rests before another host has it"],
  deterministic: [
    "RFC7422-S2: the range of every host is a function of its address, whatever the order and the seed",
    "RFC7422-S2: several addresses: C = ceil(hosts / addresses) hosts share one, in order",
    "RFC7422-S2-RESERVED",
    "RFC7422-S2-RANGE",
    "RFC7422-S2-DYNAMIC",
    "RFC7422-S2.3",
  ],
  who: ["RFC7422-S2: napt who: first and last port of a range lead back to its host, without state"],
  records: ["RFC7422-S3-LOG"],
};
