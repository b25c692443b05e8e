// `napt capture`: packets of a running gateway, as they came and as they left, for Wireshark.
import type { Command } from "commander";
import { openSink } from "../capture/sink.js";
import { wholeBlocks } from "../capture/whole-blocks.js";
import { controlOption, openAnswer } from "./control-client.js";
import { toWhole } from "./numbers.js";
import { onEndSignal } from "./signals.js";

interface CaptureOptions {
  readonly control: string;
  readonly snaplen?: number;
}

/** What a filter may have in it. */
export const CAPTURE_TERMS = `
All terms of a filter have to fit; "not" before one turns it round:
  inside, outside               seen on that side
  dropped, dropped:filtered     dropped, or for that reason
  tcp, udp, icmp, ip-47         that protocol
  192.168.226.135, 203.0.113.0/24, 203.0.113.8:443, :443
                                that address, prefix, endpoint or port, of the packet or its session`;

export function registerCapture(program: Command): void {
  program
    .command("capture")
    .summary("the packets of a running gateway, for Wireshark")
    .description(
      "Writes packets of a running gateway to a pcapng file, as they came and as they left, until it is interrupted: " +
        "an interface for each side, and a comment on every packet that names session and verdict. Dropped ones are in it.",
    )
    .argument("<file>", "where to; - is standard output; a name that ends in .gz is compressed")
    .argument("[filter...]", "which packets; all without")
    .addOption(controlOption())
    .option("--snaplen <bytes>", "most bytes of a packet to write", toWhole(1, 262_144))
    .addHelpText(
      "after",
      `${CAPTURE_TERMS}

Examples:
  napt capture both.pcapng
  napt capture drops.pcapng dropped not :5353
  napt capture - 192.168.226.135 | wireshark -k -i -
  ssh router napt capture - dropped | tshark -r - -T fields -e frame.comment -e ip.src -e ip.dst

Exit status: 0 interrupted, or the gateway has ended; 1 no gateway, or the file can't be written; 2 wrong usage.`,
    )
    .action(runCapture);
}

async function runCapture(path: string, filter: string[], options: CaptureOptions): Promise<void> {
  const { control, snaplen } = options;
  const query = filter.map((term): [string, string] => ["q", term]);
  if (snaplen !== undefined) query.push(["snaplen", String(snaplen)]);
  const answer = await openAnswer(control, "/capture", { query });
  const sink = await openSink(path).catch((error) => {
    answer.destroy();
    throw error;
  });
  onEndSignal(() => answer.destroy());
  const name = path === "-" ? "standard output" : path;
  process.stderr.write(`napt: capturing to ${name}; Ctrl-C ends it\n`);
  let packets = 0;
  try {
    for await (const blocks of wholeBlocks(untilDestroyed(answer))) {
      await sink.write(blocks.bytes);
      packets += blocks.packets;
    }
    await sink.close();
  } catch (error) {
    await sink.abort();
    throw error;
  } finally {
    answer.destroy();
    process.stderr.write(`napt: ${packets} packets written to ${name}\n`);
  }
}

/** What is destroyed here, or by a gateway that was killed, is at its end. */
async function* untilDestroyed(answer: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  try {
    yield* answer;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ECONNRESET" && code !== "ERR_STREAM_PREMATURE_CLOSE" && code !== "ABORT_ERR") throw error;
  }
}
