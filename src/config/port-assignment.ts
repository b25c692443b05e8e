// How public ports are chosen.
import { choice, count, flag, secondsOrNone, section } from "./fields.js";

export const portAssignmentShape = {
  order: choice("random", "sequential")
    .default("random")
    .describe("Order in which public ports and ICMP identifiers are handed out"),
  preserve: flag().default(false).describe("Keep the inside port as public port while it is free"),
  parity: flag().default(true).describe("Give even ports for even ones and odd for odd while there are any"),
  blockSize: count(0, 65535)
    .default(0)
    .describe("Ports that a host is given at a time, contiguous; 0 hands them out singly"),
  blocksPerHost: count(0, 65535).default(0).describe("Most blocks of one host; 0 sets no limit"),
  blockHold: secondsOrNone()
    .default(0)
    .describe("Seconds that a released block rests before another host may get it"),
  holdDown: secondsOrNone()
    .default(120)
    .describe(
      "Seconds that a freed port rests before a new mapping may have it (RFC 6888, REQ-8); not with TCP, 0 for none",
    ),
  holdDownPorts: count(0, 65535)
    .default(8192)
    .describe(
      "Most ports at rest, by public address and protocol, and never more than an eighth of a range, and none of one below 1,024 ports; " +
        "beyond, the one that rested longest comes free",
    ),
  overloading: flag()
    .default(false)
    .describe(
      "Let inside endpoints share a public port towards different remotes; not with endpoint-independent mapping",
    ),
  contiguity: flag()
    .default(false)
    .describe("Give contiguous public ports for inside ports n and n+1, n even (RFC 4787, section 4.2.3)"),
  deterministic: section({
    dynamic: count(0, 65535)
      .default(1)
      .describe("Shares of the ports that stay a dynamic pool, besides one for each host of an address"),
  })
    .optional()
    .describe("Give each host a fixed range, which its address tells (RFC 7422)"),
};
