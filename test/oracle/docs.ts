// docs/oracle.md: what is compared with the Linux kernel, and where napt differs. `npm run docs` writes it; a test
// compares.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DIFFERENCES } from "./differences.js";
import { SHORT_LIVED, TIMELINES } from "./timelines.js";
import { WORLDS, type World } from "./worlds.js";

export const ORACLE_PAGE = join(__dirname, "../../docs/oracle.md");

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

export function oracleMarkdown(): string {
  const worlds = [...Object.values<World>(WORLDS), SHORT_LIVED];
  const late = TIMELINES.flatMap(({ name, differs }) =>
    differs === undefined ? [] : [{ name, ...differs }],
  );
  const differences = [...DIFFERENCES, ...late];
  return `<!-- Written by \`npm run docs\` from test/oracle. -->

# napt and the Linux kernel

\`npm test oracle/\` sends the same packets through napt, with \`preset: linux\`, and through a Linux router whose nft
rules do the NAT, and compares what comes out. The router stands in network namespaces that the test makes and takes
down, which needs root, Python 3, nftables and iproute2; without them the test says so and is skipped.

The traffic is generated: outbound flows of TCP, UDP and ICMP queries, answers, packets to mapped ports from others,
to forwards and from one inside host to another; handshakes, closes, resets and segments out of place; fragments in
any order, some twice or missing; ICMP errors of all types by receivers and by routers on the way, with quotations
of all lengths, wrong or extended ones too; IP options, TTLs of 0 and 1, missing and wrong checksums, broken lengths,
unroutable addresses, other protocols.

Compared are: whether a packet comes out, and where; all fields of the IP header, options included; ports, by what
they stand for; the transport header and payload octet by octet; checksums, which must be right, missing, or wrong by
the same amount; the packets that ICMP errors quote, octet by octet with what their receiver once sent; the errors
that the routers send themselves; fragments, put together; when sessions end. Which public port a router chooses is
learnt, and checked: never one that another flow has, the same one for the same endpoint where mapping is
endpoint-independent, one address for a host, and the host's own port while it is free where ports are kept.

## Worlds

${table(
  ["World", "Rules, and what napt is told"],
  worlds.map(({ name, about }) => [name, about]),
)}

## Differences

Everything else is a failure; so is a difference that no longer shows.

${table(
  ["", "Linux", "napt", "Why"],
  differences.map(({ name, kernel, napt, reason }) => [name, kernel, napt, reason]),
)}
`;
}

if (require.main === module) writeFileSync(ORACLE_PAGE, oracleMarkdown());
