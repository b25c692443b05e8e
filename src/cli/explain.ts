// `napt explain`: what would become of a packet, and why.
import { readFileSync } from "node:fs";
import { type Command, InvalidArgumentError, Option } from "commander";
import { openSource } from "../capture/source.js";
import { loadConfigFile } from "../config/load.js";
import { NatError } from "../errors.js";
import { type From, flagsOf } from "../explain/ask.js";
import { type CapturedPacket, packetOfCapture } from "../explain/capture.js";
import { packetOfFlow, packetOfHex } from "../explain/input.js";
import { explanationInWords, type ToldExplanation, told } from "../explain/words.js";
import { parseNatOf } from "../gateway/config.js";
import { Nat } from "../nat.js";
import { askOnce, controlOption } from "./control-client.js";
import { toSeed } from "./translate.js";

interface ExplainOptions {
  readonly config?: string;
  readonly control: string;
  readonly hex?: string;
  readonly capture?: string;
  readonly packet?: number;
  readonly from?: From;
  readonly seed?: bigint;
  readonly json?: true;
}

export function registerExplain(program: Command): void {
  program
    .command("explain")
    .summary("what would become of a packet, and why")
    .description(
      "Tells what a NAT would do with a packet: the keys of the config that decide, sessions, each field before and " +
        "after; of a dropped one first why, and what to change. It asks a running gateway, or a NAT with a config and no " +
        "sessions yet. Nothing is changed by it, no port, no timer, no count.",
    )
    .argument("[flow]", "a packet in words, such as the examples below")
    .option("--config <file>", "a new NAT with this config, in place of a running gateway")
    .addOption(controlOption())
    .option("--hex <file>", "a packet in hex, or a dump of one; - reads standard input")
    .option("--capture <file>", "a packet of a capture; a NAT by --config translates those before it first")
    .option("--packet <n>", "with --capture: its number, from 1", toNumber)
    .addOption(
      new Option("--from <side>", "where it comes in; by its addresses, if not given").choices([
        "inside",
        "outside",
      ]),
    )
    .option("--seed <n>", "with --config: make port choice repeatable, as with `napt translate`", toSeed)
    .option("--json", "answer as JSON")
    .addHelpText(
      "after",
      `
Examples:
  napt explain "udp 192.168.226.135:4000 > 203.0.113.9:53" --config nat.yaml
  napt explain "tcp 203.0.113.9:4000 > 203.0.113.1:8080"           a SYN, to a running gateway
  napt explain "tcp 203.0.113.9:80 > 203.0.113.1:40000 [SA]"       a segment with other flags
  napt explain "icmp 203.0.113.9 > 203.0.113.1 id 7 reply"         an echo reply
  napt explain --capture wan.pcap --packet 12 --config nat.yaml
  tcpdump -c 1 -x udp | tail -n +2 | napt explain --hex -

Exit status: 0 explained, whatever becomes of the packet; 1 the input can't be read, or no gateway
answers; 2 wrong usage or config.`,
    )
    .action(async (flow: string | undefined, options: ExplainOptions, command: Command) => {
      checkUsage(flow, options, command);
      const answer =
        options.config === undefined
          ? await askGateway(flow, options)
          : await askConfig(flow, options, options.config);
      process.stdout.write(`${options.json ? JSON.stringify(answer) : explanationInWords(answer)}\n`);
    });
}

function checkUsage(flow: string | undefined, options: ExplainOptions, command: Command): void {
  const { config, hex, capture, packet, seed } = options;
  if ([flow, hex, capture].filter((given) => given !== undefined).length !== 1) {
    command.error("error: give a flow, --hex FILE or --capture FILE, one of them");
  }
  if ((capture === undefined) !== (packet === undefined)) {
    command.error("error: --capture FILE and --packet N go together");
  }
  if (config !== undefined && command.getOptionValueSource("control") === "cli") {
    command.error("error: give --config FILE or --control SOCKET, one of them");
  }
  if (seed !== undefined && config === undefined) command.error("error: --seed needs --config");
}

async function askGateway(flow: string | undefined, options: ExplainOptions): Promise<ToldExplanation> {
  const { packet, wireLength } = await packetOf(flow, options, () => {});
  const body = { packet: Buffer.from(packet).toString("hex"), wireLength, from: options.from };
  return askOnce<ToldExplanation>(options.control, "/explain", { method: "POST", body });
}

async function askConfig(
  flow: string | undefined,
  options: ExplainOptions,
  file: string,
): Promise<ToldExplanation> {
  const { seed } = options;
  const { value, source } = loadConfigFile(file);
  using nat = new Nat(parseNatOf(value, source), seed === undefined ? {} : { seed });
  const { packet, ...at } = await packetOf(flow, options, ({ packet: earlier, ...when }) => {
    nat.translate(earlier, when);
    nat.take();
  });
  return told(packet, nat.explain(packet, { ...at, flags: flagsOf(options.from) }));
}

/** The packet that is meant; `each` is called with those before it in a capture. */
async function packetOf(
  flow: string | undefined,
  { hex, capture, packet }: ExplainOptions,
  each: (packet: CapturedPacket) => void,
): Promise<CapturedPacket> {
  if (capture === undefined) {
    const bytes = hex === undefined ? packetOfFlow(flow!) : packetOfHex(readText(hex));
    return { packet: bytes, wireLength: 0, now: 0 };
  }
  const source = await openSource(capture);
  try {
    return await packetOfCapture(source, packet!, each);
  } catch (error) {
    if (!(error instanceof NatError) || error.message.startsWith(capture)) throw error;
    throw new NatError(error.code, `${capture}: ${error.message}`, { cause: error });
  } finally {
    await source.close();
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (error) {
    const name = file === "-" ? "standard input" : file;
    throw new NatError("NAT_ERR_CAPTURE", `${name}: can't be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function toNumber(text: string): number {
  const number = /^[1-9][0-9]{0,14}$/.test(text) ? Number(text) : 0;
  if (number === 0) throw new InvalidArgumentError("give a number from 1");
  return number;
}
