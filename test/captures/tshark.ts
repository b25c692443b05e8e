// Wireshark's dissector as a judge that knows nothing of NATs.
import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { PcapngWriter } from "../../src/capture/writer.js";
import { memorySink, type Packet } from "./run.js";

/** Environment for programs that are not ours: without the sanitizer's runtime, if we run with one. */
export const foreign = { env: { ...process.env, LD_PRELOAD: undefined } };

/** Why a program can't run here, or false. */
export function missing(program: string, option = "--version"): false | string {
  const { error } = spawnSync(program, [option], foreign);
  return error !== undefined && `${program} is not installed`;
}

/** For a test's `skip`: false, or why there is nothing to run. */
export const noTshark = missing("tshark");
export const noCapinfos = missing("capinfos");

const execute = promisify(execFile);

/** What tshark prints of a capture file: a line of the given fields for each packet. */
export async function fieldsOf(
  path: string,
  fields: readonly string[],
  ...more: string[]
): Promise<string[][]> {
  const wanted = fields.flatMap((field) => ["-e", field]);
  const { stdout } = await execute("tshark", ["-n", "-r", path, ...more, "-T", "fields", ...wanted], {
    maxBuffer: 1 << 28,
    ...foreign,
  });
  return stdout
    .split("\n")
    .slice(0, -1)
    .map((line) => line.split("\t"));
}

const PROTOCOLS = ["ip", "tcp", "udp", "icmp"] as const;
const VERIFY = ["ip", "tcp", "udp"].flatMap((protocol) => ["-o", `${protocol}.check_checksum:TRUE`]);
const BAD = "0";

/** For each packet the headers with a wrong checksum: "ip 0" is the outermost, "ip 1" the one that an error quotes. */
export async function badChecksums(packets: readonly Packet[]): Promise<Set<string>[]> {
  const directory = mkdtempSync(join(tmpdir(), "napt-"));
  try {
    const path = join(directory, "all.pcapng");
    writeFileSync(path, await joined(packets));
    const fields = PROTOCOLS.map((protocol) => `${protocol}.checksum.status`);
    const lines = await fieldsOf(path, fields, ...VERIFY);
    return lines.map((line) => new Set(line.flatMap((column, i) => badOnes(column, PROTOCOLS[i]!))));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function badOnes(column: string, protocol: string): string[] {
  return column.split(",").flatMap((status, i) => (status === BAD ? [`${protocol} ${i}`] : []));
}

/** All the packets in one file: tshark takes longer to start than to read them. */
async function joined(packets: readonly Packet[]): Promise<Uint8Array> {
  const { sink, written } = memorySink();
  const writer = new PcapngWriter(sink);
  const interfaces = new Map<number, number>();
  for (const { data, linkType, seconds, nanos, wireLength } of packets) {
    const known = interfaces.get(linkType) ?? writer.addInterface({ linkType });
    interfaces.set(linkType, known);
    writer.packet(known, data, seconds, nanos, Math.max(wireLength, data.length));
  }
  await writer.flush();
  return written();
}
