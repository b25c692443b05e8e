// What is still to come or to be mended. For each feature the rows, or single tests ("ID: title"), that need it: they
// may fail until then, and the scorecard says so. Once all that wait for one pass, its entry has to go, or the suite
// fails.

export const PENDING: Readonly<Record<string, readonly string[]>> = {
  overloading: [
    "RFC7857-S3: overloading: one port serves two hosts towards different remotes, never towards one",
  ],
  exempt: ["RFC6888-REQ-6"],
  "alg.ftp": ["RFC4787-REQ-10a", "RFC3022-S4.4"],
  "filtering per protocol": ["RFC5382-REQ-3b"],
  presets: ["RFC6888-REQ-7", 'RFC6888-REQ-2: and so they do with preset "cgn"'],
  "soft-paired": ["RFC7857-S4: soft-paired: one address while it has ports, then another"],
  holdDown: [
    "RFC6888-REQ-8: a freed UDP port or id serves nobody for 120 s, by default",
    "RFC6888-REQ-8: nor when its session ends by itself",
    "RFC6888-REQ-8: the time is configurable, 0 ends it",
    "RFC6888-REQ-8: the number is configurable: beyond it the longest at rest comes free",
  ],
  blockLog: [
    "RFC6888-REQ-14: a log has one entry for a block of n ports, and one for its release",
    "RFC6888-REQ-12: the log of port blocks has no remote",
  ],
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
  "timeouts.ports": ["RFC4787-REQ-5a"],
  "tcpOpening, tcpClosing": [
    "RFC7857-S2.1: tcpOpening and tcpClosing: each moves one of them, both are tcpTransitory by default",
  ],
  tcpLiberal: [
    "RFC7857-S2.2-CHECK: tcpLiberal: any RST counts",
    "RFC5382-REQ-10: tcpLiberal: the window is not asked, the error passes, and still ends nothing",
  ],
  quotedId: ["RFC5508-REQ-4a: its ID is the one that X sent, though the NAT replaced it"],
  icmpErrorRate: ["RFC5508-REQ-10f: limits.icmpErrorRate sets the rate"],
  mtu: [
    "RFC5508-S7.1.1",
    "RFC6864-S4.3-DF: with an MTU, too: with DF nothing is fragmented",
    "RFC4787-REQ-13",
    "RFC4787-REQ-13a",
  ],
  portsPerHost: ["RFC6888-REQ-4", "RFC6888-REQ-4a", "RFC6888-REQ-4b"],
  sessionRate: ["RFC6888-REQ-4c", "RFC6888-REQ-5b"],
  pcp: ["RFC6888-REQ-9"],
  dccp: [
    "RFC5597-S3: switched on: port and checksum are rewritten with the address",
    ...["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13"].map((n) => `RFC5597-REQ-${n}`),
  ],
  sctp: [
    "SCTP-BASIC: switched on, 1:1 and pool: the address changes, ports, tag and checksum stay",
    "SCTP-BASIC: a pool without room: a second host with the same ports to the same peer is dropped",
  ],
  // Faults of the engine that these tests have found.
  "RST at the window's edge": ["RFC7857-S2.2-CHECK: nor does one just behind the window's last octet count"],
  "errors that quote TCP without its number": [
    "RFC6146-S3.4-NESTED: embedding TCP's ports without its number is too little to believe it",
  ],
  "ID of a repeated first fragment": [
    "RFC6864-S5.3.1, RFC4787-REQ-14: a repeated first fragment does not split the datagram over two IDs",
  ],
};
