// What a gateway's config says of its log (`gateway.log`) and of where its NAT's events go (`gateway.export`).
import type { z } from "zod";
import type { Fault } from "../config/faults.js";
import { choice, count, secondsBetween, section, text } from "../config/fields.js";
import type { ResolvedNatConfig } from "../config/schema.js";
import { type DefaultPorts, parseDestination } from "./destination.js";
import { DEFAULT_MESSAGE_SIZE, DEFAULT_TEMPLATE_INTERVAL, IPFIX_PORTS, MESSAGE_SIZES } from "./ipfix.js";
import { DEFAULT_SD_ID, FACILITIES, SD_ID_PATTERN, SYSLOG_PORTS } from "./syslog.js";
import { WHAT } from "./what.js";

const LOG_LEVELS = ["info", "warn", "error"] as const;
const LOG_FORMATS = ["text", "json"] as const;

const filePath = () =>
  text("the path of a file", 'one such as "/var/log/napt"', /^\/.+$/, (path) => !path.endsWith("/"));

const destination = (example: string, ports: DefaultPorts) =>
  text("a destination", `one such as ${JSON.stringify(example)}`, /^(udp|tcp|unix):/, (given) => {
    return parseDestination(given, ports) !== null;
  });

const what = () =>
  choice(...WHAT)
    .default("bindings")
    .describe(
      "What is told: sessions, with their remotes; bindings, without (RFC 6888, REQ-12); or port blocks, which need portAssignment.blockSize. Pool and limits are told in any case",
    );

/** `gateway.log` */
export const logSchema = section({
  level: choice(...LOG_LEVELS)
    .default("info")
    .describe("The least that is worth a line"),
  format: choice(...LOG_FORMATS)
    .default("text")
    .describe(
      "How it is written on standard error: as text for people or JSON for programs; a file has JSON",
    ),
  file: filePath()
    .optional()
    .describe("The file that is appended to, in place of standard error; a reload opens it anew"),
})
  .prefault({})
  .describe("What `napt gateway` has to say of itself");

/** `gateway.export` */
export const exportSchema = section({
  ipfix: section({
    to: destination("udp://192.0.2.5:4739", IPFIX_PORTS).describe(
      "The collector, by udp:// or tcp://; port 4739 unless given",
    ),
    what: what(),
    domain: count(0, 0xffffffff)
      .default(1)
      .describe("The observation domain, by which a collector tells NATs of one address apart"),
    messageSize: count(...MESSAGE_SIZES)
      .default(DEFAULT_MESSAGE_SIZE)
      .describe("Bytes of a message at most, without IP and UDP headers"),
    templateInterval: secondsBetween(1, 86_400)
      .default(DEFAULT_TEMPLATE_INTERVAL)
      .describe("Seconds after which a UDP collector is told the templates again"),
  })
    .optional()
    .describe("To an IPFIX collector (RFC 7011, RFC 8158)"),
  syslog: section({
    to: destination("tcp://192.0.2.5:601", SYSLOG_PORTS).describe(
      "The receiver, by udp:// (port 514 unless given), tcp:// (601) or unix: with the path of a stream socket",
    ),
    what: what(),
    facility: choice(...FACILITIES)
      .default("local0")
      .describe("The facility of the messages"),
    sdId: text(
      "a name with the number of an enterprise",
      `one such as "${DEFAULT_SD_ID}"`,
      SD_ID_PATTERN,
      () => true,
    )
      .default(DEFAULT_SD_ID)
      .describe("What the structured data is called (SD-ID); give your own enterprise's number"),
  })
    .optional()
    .describe("To a syslog receiver (RFC 5424)"),
  file: section({
    path: filePath().describe("The file, which is appended to; a reload opens it anew"),
    what: what(),
  })
    .optional()
    .describe("To a file, as JSON lines, which `napt who` reads"),
})
  .prefault({})
  .describe("Where the events of the NAT go");

export type LogConfig = z.output<typeof logSchema>;
export type ExportConfig = z.output<typeof exportSchema>;

/** What is asked for that the NAT does not have. */
export function exportClashes(exports: ExportConfig, { portAssignment }: ResolvedNatConfig): Fault[] {
  if (portAssignment.blockSize > 0) return [];
  return Object.entries(exports).flatMap(([name, one]) =>
    one?.what === "blocks"
      ? [
          {
            path: ["gateway", "export", name, "what"],
            message: '"blocks": without portAssignment.blockSize there are none; give one, or "bindings"',
          },
        ]
      : [],
  );
}
