// Bounds on what hosts may use.
import { z } from "zod";
import { choice, count, section } from "./fields.js";
import { show } from "./wording.js";

const MOST = 0xffffffff;
const bindings = (protocol: string) =>
  count(0, MOST).default(0).describe(`Most public ports of one host with ${protocol}`);

export const limitsShape = {
  sessions: count(0, MOST).default(1048576).describe("Most sessions at a time; 0 sets no limit"),
  sessionsPerHost: count(0, MOST)
    .default(0)
    .describe(
      "Most sessions that one inside host begins at a time, and as many again begun from outside; 0 sets no limit",
    ),
  portsPerHost: z
    .union(
      [
        section({
          tcp: bindings("TCP"),
          udp: bindings("UDP"),
          icmp: count(0, MOST).default(0).describe("Most public ICMP identifiers of one host"),
        }),
        count(0, MOST),
      ],
      {
        error: ({ input }) =>
          `${show(input)} is neither a count nor an object with tcp, udp and icmp; give one such as 2000`,
      },
    )
    .default(0)
    .describe(
      "Most public ports and ICMP identifiers of one inside host; 0 sets no limit. " +
        "An object gives each protocol its own: tcp, udp, icmp",
    ),
  sessionRatePerHost: count(0, MOST)
    .default(0)
    .describe("Most new sessions a second of one inside host, as many at once; 0 sets no limit"),
  sessionRate: count(0, MOST)
    .default(0)
    .describe("Most new sessions a second of all hosts, as many at once; 0 sets no limit"),
  icmpErrorRate: count(1, MOST).default(1000).describe("Most ICMP errors of one's own a second"),
  fragments: count(1, 65536)
    .default(1024)
    .describe("Most fragments held until the first of their packet comes"),
  whenFull: choice("refuse", "evict")
    .default("refuse")
    .describe(
      "What happens to a new session beyond limits.sessions: refused, or given the room of one never answered",
    ),
};
