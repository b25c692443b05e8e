// `napt translate`: a capture in, the same capture as the other side of a NAT sees it out.
import { statSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { constants } from "node:os";
import { resolve } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { openSink } from "../capture/sink.js";
import { type ByteSource, openSource } from "../capture/source.js";
import { loadConfigFile, parseConfig } from "../config/load.js";
import { isObject } from "../config/merge.js";
import type { NatConfig, ResolvedNatConfig } from "../config/schema.js";
import { NatError } from "../errors.js";
import { parseNatOf } from "../gateway/config.js";
import { Nat } from "../nat.js";
import type { TranslateReport } from "../translate/report.js";
import { type TranslateResult, translateCapture } from "../translate/translate.js";
import { Progress } from "./progress.js";
import { onEndSignal } from "./signals.js";

interface TranslateOptions {
  readonly output: string;
  readonly inside?: string[];
  readonly outside?: string[];
  readonly config?: string;
  readonly report?: string;
  readonly both?: string;
  readonly seed?: bigint;
  readonly quiet?: true;
}

/** Exit status: input damaged, or the output not whole. */
const FAILED = 1;

const collect = (value: string, list: string[] = []) => [...list, value];

export function registerTranslate(program: Command): void {
  program
    .command("translate")
    .summary("translate a capture")
    .description(
      "Runs a pcap or pcapng capture through the NAT, with the capture's timestamps as the clock. " +
        "Packets from an inside prefix leave with an outside address; packets to an outside address " +
        "come in where a mapping and the filtering rule let them. Dropped packets are absent from " +
        "the output. A summary goes to standard error.",
    )
    .argument("<in>", "the capture; - reads standard input; a name ending in .gz is uncompressed")
    .requiredOption(
      "-o, --output <out>",
      "where the result goes, in the input's format; - is standard output",
    )
    .option("--inside <cidr>", "a prefix that is inside; may be given several times", collect)
    .option("--outside <addr>", "a public address; several make a pool", collect)
    .option("--config <file>", "all other settings, JSON or YAML (see `napt config --help`)")
    .option("--report <file>", "write the counts as JSON; - is standard output")
    .option("--both <file>", "also write a pcapng of both sides, each packet with session and verdict")
    .option(
      "--seed <n>",
      "make port choice repeatable: same input, config and seed give the same bytes",
      toSeed,
    )
    .option("-q, --quiet", "no summary and no progress")
    .addHelpText(
      "after",
      `
--inside and --outside take the place of the config's. The default NAT keeps one mapping for an
inside endpoint whatever the destination, and lets only those answer that were asked.

Examples:
  napt translate lan.pcap -o wan.pcap --inside 192.168.226.0/24 --outside 203.0.113.1
  napt translate lan.pcapng.gz -o wan.pcapng --config nat.yaml --report counts.json
  tcpdump -w - -i eth1 | napt translate - -o - --config nat.yaml | tshark -r -

Exit status: 0 done; 1 the input is unreadable or damaged (what could be read is written) or an
output failed; 2 wrong usage or config; 130, 143 interrupted (the output is whole up to there).`,
    )
    .action(async (input: string, options: TranslateOptions, command: Command) => {
      const config = configOf(options, command);
      checkPaths(input, options, command);
      process.exitCode = await run(input, options, config);
    });
}

async function run(input: string, options: TranslateOptions, config: ResolvedNatConfig): Promise<number> {
  process.exitCode = FAILED; // should a closed pipe end us on the way
  const stop = new AbortController();
  let status: number | null = null;
  const unheard = onEndSignal((signal) => {
    status = 128 + constants.signals[signal]; // as shells count
    stop.abort();
  });
  try {
    const result = await translate(input, options, config, stop.signal);
    if (options.report !== undefined) await writeReport(options.report, result.report);
    const ended = conclude(input, options, result);
    return status ?? ended;
  } catch (error) {
    if (status === null) throw error;
    process.stderr.write("napt: interrupted before anything was read\n");
    return status;
  } finally {
    unheard();
  }
}

async function translate(
  input: string,
  options: TranslateOptions,
  config: ResolvedNatConfig,
  signal: AbortSignal,
): Promise<TranslateResult> {
  using nat = new Nat(config, options.seed === undefined ? {} : { seed: options.seed });
  const source = await openSource(input);
  const progress = new Progress(options.quiet ? null : source.size);
  let opened = false;
  try {
    const { both } = options;
    return await translateCapture({
      nat,
      source: abortable(source, signal),
      openOutput: async () => {
        const sink = await openSink(options.output);
        opened = true;
        return sink;
      },
      ...(both === undefined ? {} : { openBoth: () => openSink(both) }),
      onProgress: (packets) => progress.update(source.consumed, packets),
      onUnknownLink: (linkType) =>
        process.stderr.write(
          `napt: ${nameOf(input, "input")}: link type ${linkType} is not supported; its frames count as not IPv4\n`,
        ),
      signal,
    });
  } catch (error) {
    throw named(error, input, opened ? options.output : null);
  } finally {
    progress.end();
    await source.close().catch(() => {});
  }
}

/** A file's name for messages. */
function nameOf(path: string, kind: "input" | "output"): string {
  return path === "-" ? `standard ${kind}` : path;
}

/** A source that ends when asked to: Ctrl-C must not wait for a pipe. */
function abortable(source: ByteSource, signal: AbortSignal): ByteSource {
  let end: (() => void) | null = null;
  signal.addEventListener("abort", () => end?.(), { once: true });
  return {
    size: source.size,
    get consumed() {
      return source.consumed;
    },
    read: (target) =>
      new Promise((resolve, reject) => {
        if (signal.aborted) return resolve(0);
        end = () => resolve(0);
        source.read(target).then(resolve, reject);
      }),
    close: () => source.close(),
  };
}

function conclude(input: string, { output, quiet }: TranslateOptions, result: TranslateResult): number {
  const { report, damage, interrupted } = result;
  const [from, to] = [nameOf(input, "input"), nameOf(output, "output")];
  if (!quiet) process.stderr.write(summary(from, to, report));
  if (interrupted) {
    process.stderr.write(`napt: interrupted: ${to} holds the first ${report.packets.in} packets' result\n`);
  } else if (damage !== null) {
    process.stderr.write(
      `napt: ${from}: damaged at offset ${damage.offset}: ${damage.message}\n` +
        `napt: ${to} holds what came before (${report.packets.in} packets)\n`,
    );
  }
  return damage === null ? 0 : FAILED;
}

/** What happened, for people. */
function summary(
  input: string,
  output: string,
  { packets, drops, sessions, seconds }: TranslateReport,
): string {
  const translated = packets.out - packets.passed;
  const dropped = Object.values(drops).reduce((sum, count) => sum + count, 0);
  const rate = seconds > 0 ? ` (${format(Math.round(packets.in / seconds))} packets/s)` : "";
  const lines = [
    `${input} -> ${output}: ${format(packets.in)} packets in ${seconds.toFixed(2)} s${rate}`,
    `  translated ${format(translated)}, passed ${format(packets.passed)}, dropped ${format(dropped)}` +
      (packets.held > 0 ? `, held ${format(packets.held)}` : ""),
    `  sessions: ${format(sessions.created)} made, ${format(sessions.peak)} at most, ${format(sessions.active)} at the end`,
  ];
  const reasons = Object.entries(drops).sort(([, a], [, b]) => b - a);
  if (reasons.length > 0) {
    lines.push(`  drops: ${reasons.map(([reason, count]) => `${reason} ${format(count)}`).join(", ")}`);
  }
  if (packets.originated > 0) lines.push(`  ICMP errors originated: ${format(packets.originated)}`);
  return `${lines.join("\n")}\n`;
}

const format = (count: number) => count.toLocaleString("en-US");

async function writeReport(path: string, report: TranslateReport): Promise<void> {
  const text = `${JSON.stringify(report, null, 2)}\n`;
  if (path === "-") {
    process.stdout.write(text);
    return;
  }
  try {
    await writeFile(path, text);
  } catch (error) {
    throw new NatError("NAT_ERR_OUTPUT", `${path}: can't be written: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** The config file with the flags in place of its keys. */
function configOf(
  { config, inside = [], outside = [] }: TranslateOptions,
  command: Command,
): ResolvedNatConfig {
  const flags: Partial<NatConfig> = {
    ...(inside.length > 0 ? { inside } : {}),
    ...(outside.length > 0 ? { outside } : {}),
  };
  if (config === undefined) {
    if (inside.length === 0 || outside.length === 0) {
      command.error(
        "error: say what is inside and outside: --inside CIDR and --outside ADDR, or --config FILE",
      );
    }
    return parseConfig(flags, "command line");
  }
  const file = loadConfigFile(config);
  if (!isObject(file.value) || Object.keys(flags).length === 0) return parseNatOf(file.value, file.source);
  return parseNatOf({ ...file.value, ...flags }, `${config} with the command line`);
}

/** Catches what would destroy or mix up data before anything is opened. */
function checkPaths(
  input: string,
  { config, output, both, report }: TranslateOptions,
  command: Command,
): void {
  const named: [string, string | undefined][] = [
    ["the input", input],
    ["--config", config],
    ["--output", output],
    ["--both", both],
    ["--report", report],
  ];
  const seen = new Map<string, string>();
  for (const [name, path] of named) {
    if (path === undefined || (path === "-" && name === "the input")) continue;
    const key = path === "-" ? "standard output" : fileKey(path);
    const other = seen.get(key);
    if (other !== undefined) command.error(`error: ${other} and ${name} are the same: ${path}`);
    seen.set(key, name);
  }
}

/** What two names of one file have in common. Devices and pipes may well be named twice. */
function fileKey(path: string): string {
  try {
    const { dev, ino, isFile } = statOf(path);
    return isFile ? `${dev}:${ino}` : `${path} ${Math.random()}`;
  } catch {
    return resolve(path);
  }
}

function statOf(path: string): { dev: number; ino: number; isFile: boolean } {
  const stat = statSync(path);
  return { dev: stat.dev, ino: stat.ino, isFile: stat.isFile() };
}

/** An error that says which file it is about, and which one (`begun`) is not whole for it. */
function named(error: unknown, input: string, begun: string | null): unknown {
  if (!(error instanceof NatError)) return error;
  const { code, message } = error;
  const from = nameOf(input, "input");
  if (code === "NAT_ERR_CAPTURE" && !message.includes(from)) {
    return new NatError(code, `${from}: ${message}`, { cause: error });
  }
  if (code === "NAT_ERR_OUTPUT" && begun !== null) {
    return new NatError(code, `${message}\n${nameOf(begun, "output")} is incomplete`, { cause: error });
  }
  return error;
}

export function toSeed(text: string): bigint {
  if (!/^[0-9]{1,38}$/.test(text)) throw new InvalidArgumentError("give a whole number from 0 on");
  return BigInt(text);
}
