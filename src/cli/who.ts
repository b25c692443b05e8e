// `napt who`: who was behind a public endpoint, asked of a deterministic NAT's parameters or of a log of events.
import { readFileSync } from "node:fs";
import { type Command, InvalidArgumentError, Option } from "commander";
import { formatIpv4 } from "../config/cidr.js";
import { parametersOf } from "../config/deterministic.js";
import { parseEndpoint } from "../config/endpoint.js";
import { loadConfigFile, parseConfig } from "../config/load.js";
import { PROTOCOL_NAMES } from "../config/protocols.js";
import type { ResolvedNatConfig } from "../config/schema.js";
import { show } from "../config/wording.js";
import { NatError } from "../errors.js";
import type { Holder } from "../who/holders.js";
import { type LogAnswer, whoHad } from "../who/log-files.js";
import { recordAt, recordOf } from "../who/record.js";
import { type Answer, type Known, who } from "../who/who.js";

interface WhoOptions {
  readonly config?: string;
  readonly records?: string;
  readonly log?: readonly string[];
  readonly protocol?: string;
  readonly at?: Date;
  readonly record?: true;
  readonly json?: true;
}

export function registerWho(program: Command): void {
  program
    .command("who")
    .summary("find the inside host behind a public endpoint")
    .description(
      "Which inside host has, or had, a public address and port. A log of events tells it (gateway.export.file). " +
        "With deterministic NAT (portAssignment.deterministic, RFC 7422) the config does, or the records of its past " +
        "ones; they also tell what an inside address has outside.",
    )
    .argument("[who]", "a public endpoint, such as 203.0.113.1:40000, or an inside address")
    .option("--config <file>", "the config in force")
    .option("--records <file>", "records of the parameters, in place of a config")
    .option("--log <files...>", "logs of events, in any order; those that end in .gz are unpacked")
    .addOption(new Option("--protocol <name>", "with --log: of this protocol alone").choices(PROTOCOL_NAMES))
    .option("--at <time>", "with --records or --log: what was so then, not now", toTime)
    .option("--record", "print a record of the config, to append to the records")
    .option("--json", "answer as JSON")
    .addHelpText(
      "after",
      `
Append a record whenever the config changes, and once a day:
  napt who --record --config nat.yaml >> nat.records

Examples:
  napt who 203.0.113.1:40000 --config nat.yaml
  napt who 203.0.113.1:40000 --records nat.records --at 2026-01-31T12:00:00Z
  napt who 192.168.0.7 --config nat.yaml --json
  napt who 203.0.113.1:40000 --protocol udp --at 2026-01-31T12:00:00Z --log /var/log/napt/events*

Exit status: 0 answered, 2 wrong usage, or nothing tells.`,
    )
    .action(async (question: string | undefined, options: WhoOptions, command: Command) => {
      checkUsage(question, options, command);
      process.stdout.write(`${await output(question, options)}\n`);
    });
}

async function output(question: string | undefined, options: WhoOptions): Promise<string> {
  if (question === undefined) return JSON.stringify(recordFor(options.config!));
  return options.log === undefined ? answer(question, options) : answerOfLog(question, options.log, options);
}

function checkUsage(question: string | undefined, options: WhoOptions, command: Command): void {
  const { config, records, log, protocol, at, record } = options;
  const sources = [config, records, log].filter((source) => source !== undefined).length;
  if (record) {
    const alone = question === undefined && config !== undefined && sources === 1 && at === undefined;
    if (!alone) command.error("error: --record takes a --config and nothing to ask for");
    return;
  }
  if (question === undefined) command.error("error: give a public endpoint or an inside address");
  if (sources !== 1) {
    command.error("error: give --config FILE, --records FILE or --log FILES, one of them");
  }
  if (at !== undefined && config !== undefined) {
    command.error("error: --at needs --records or --log; a config does not tell since when it is in force");
  }
  if (protocol !== undefined && log === undefined) {
    command.error("error: --protocol is for --log; what a host has by the config is of all protocols");
  }
}

async function answerOfLog(question: string, files: readonly string[], options: WhoOptions): Promise<string> {
  const { protocol = null, at = new Date(), json } = options;
  const endpoint = parseEndpoint(question);
  if (endpoint === null) {
    throw new NatError(
      "NAT_ERR_ARGUMENT",
      `${show(question)} is no public endpoint such as 203.0.113.1:40000; a log tells nothing else`,
    );
  }
  const { port } = endpoint;
  const address = formatIpv4(endpoint.address);
  const told = await whoHad({ address, port, protocol, at: at.getTime() }, files);
  const doubts = doubtsOf(told);
  if (told.holders.length === 0) {
    const which = protocol === null ? "" : ` with ${protocol}`;
    throw new NatError(
      "NAT_ERR_ARGUMENT",
      [`at ${at.toISOString()} nobody had ${question}${which}, as far as the log tells`, ...doubts].join(
        "; ",
      ),
    );
  }
  if (json) return JSON.stringify(told);
  for (const doubt of doubts) process.stderr.write(`napt: ${doubt}\n`);
  return told.holders.map((holder) => heldInWords(question, holder)).join("\n");
}

function heldInWords(question: string, holder: Holder): string {
  const { protocol, inside, insidePort, since, until, toldUntil } = holder;
  const which = protocol === null ? "" : ` (${protocol})`;
  const whose = insidePort === null ? inside : `${inside}:${insidePort}`;
  const from = since === null ? "since before the log began" : `since ${since}`;
  const noEnd =
    toldUntil === null ? "no end in the log" : `no end in the log, which begins anew at ${toldUntil}`;
  return `${question}${which} was ${whose}'s, ${from}, ${until === null ? noEnd : `until ${until}`}`;
}

/** What may make an answer wrong. */
function doubtsOf({ lost, damaged }: LogAnswer): string[] {
  return [
    ...(lost > 0 ? [`${lost} events before are not in the log, which says so`] : []),
    ...(damaged > 0 ? [`${damaged} lines of the log are damaged`] : []),
  ];
}

function answer(question: string, { config, records, at = new Date(), json }: WhoOptions): string {
  const recorded = records === undefined ? null : recordAt(readText(records), at, records);
  const found = who(question, recorded ?? knownFrom(config!));
  const since = recorded === null ? {} : { recorded: recorded.time.toISOString() };
  return json ? JSON.stringify({ ...found, ...since }) : inWords(question, found, since.recorded);
}

function inWords(question: string, { inside, outside, ports }: Answer, recorded?: string): string {
  const having = question === inside ? `${inside} has` : `${question} is ${inside}'s, which has`;
  const source = recorded === undefined ? "" : ` (recorded ${recorded})`;
  return `${having} ${outside}, ports ${ports}${source}`;
}

function knownFrom(file: string): Known {
  const config = configFrom(file);
  const parameters = parametersOf(config);
  if (parameters === null) throw notDeterministic(file);
  return { parameters, statics: config.static };
}

function recordFor(file: string) {
  const record = recordOf(configFrom(file), new Date());
  if (record === null) throw notDeterministic(file);
  return record;
}

function configFrom(file: string): ResolvedNatConfig {
  const { value, source } = loadConfigFile(file);
  return parseConfig(value, source);
}

function notDeterministic(file: string): NatError {
  return new NatError(
    "NAT_ERR_CONFIG",
    `${file}: without portAssignment.deterministic only a log tells who had a port`,
  );
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new NatError("NAT_ERR_ARGUMENT", `${file}: can't be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** ISO 8601 with a zone, or seconds since 1970: the local zone of a log's reader is not that of its writer. */
function toTime(text: string): Date {
  const iso = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(text);
  const time = new Date(iso ? text : /^\d{1,11}(\.\d+)?$/.test(text) ? Number(text) * 1000 : Number.NaN);
  if (Number.isNaN(time.getTime())) {
    throw new InvalidArgumentError("give a time such as 2026-01-31T12:00:00Z, or seconds since 1970");
  }
  return time;
}
