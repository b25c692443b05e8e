// `napt who`: who was behind a public endpoint, asked of a deterministic NAT's parameters.
import { readFileSync } from "node:fs";
import { type Command, InvalidArgumentError } from "commander";
import { parametersOf } from "../config/deterministic.js";
import { loadConfigFile, parseConfig } from "../config/load.js";
import type { ResolvedNatConfig } from "../config/schema.js";
import { NatError } from "../errors.js";
import { recordAt, recordOf } from "../who/record.js";
import { type Answer, type Known, who } from "../who/who.js";

interface WhoOptions {
  readonly config?: string;
  readonly records?: string;
  readonly at?: Date;
  readonly record?: true;
  readonly json?: true;
}

export function registerWho(program: Command): void {
  program
    .command("who")
    .summary("find the inside host behind a public endpoint")
    .description(
      "Answers for deterministic NAT (portAssignment.deterministic, RFC 7422): which inside host has a public " +
        "address and port, or what an inside address has outside. It needs no state, only the config, or the " +
        "records of its past ones.",
    )
    .argument("[who]", "a public endpoint, such as 203.0.113.1:40000, or an inside address")
    .option("--config <file>", "the config in force")
    .option("--records <file>", "records of the parameters, in place of a config")
    .option("--at <time>", "with --records: what was so then, not now", toTime)
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

Exit status: 0 answered, 2 wrong usage, or the parameters don't tell.`,
    )
    .action((question: string | undefined, options: WhoOptions, command: Command) => {
      checkUsage(question, options, command);
      const output =
        question === undefined ? JSON.stringify(recordFor(options.config!)) : answer(question, options);
      process.stdout.write(`${output}\n`);
    });
}

function checkUsage(question: string | undefined, options: WhoOptions, command: Command): void {
  const { config, records, at, record } = options;
  if (record) {
    const alone = question === undefined && config !== undefined && records === undefined && at === undefined;
    if (!alone) command.error("error: --record takes a --config and nothing to ask for");
    return;
  }
  if (question === undefined) command.error("error: give a public endpoint or an inside address");
  if ((config === undefined) === (records === undefined)) {
    command.error("error: give --config FILE or --records FILE, one of them");
  }
  if (at !== undefined && records === undefined) {
    command.error("error: --at needs --records; a config does not tell since when it is in force");
  }
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
