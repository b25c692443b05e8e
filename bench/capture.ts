// `napt translate` on a large capture of mixed traffic: packets/s and memory of the whole process.
import { spawnSync } from "node:child_process";
import { closeSync, fsyncSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSink } from "../src/capture/sink.js";
import { PcapngWriter, PcapWriter } from "../src/capture/writer.js";
import { IMIX, PACKET_BYTES, SLOT_BYTES, writeFlow } from "./traffic.js";

export type Format = "pcap" | "pcapng";

export interface CaptureRow {
  readonly work: "translate";
  readonly format: Format;
  readonly fileBytes: number;
  readonly packets: number;
  readonly packetsPerSecond: number;
  readonly megabytesPerSecond: number;
  /** Largest resident set of the process, in MB. */
  readonly residentMegabytes: number;
}

const RUNS = 3;
const FLOWS = 100_000;
const INSIDE = "10.0.0.0/8";
const TELL_PEAK =
  'process.on("exit", () => console.error(require("node:fs").readFileSync("/proc/self/status", "utf8")));';

/** Writes a capture of small and large packets (about the simple IMIX) of many flows, all outbound. */
async function generate(path: string, bytes: number, format: Format): Promise<number> {
  const sink = await openSink(path);
  const pcap = format === "pcap" ? new PcapWriter(sink, { linkType: 101 }) : undefined;
  const pcapng = format === "pcapng" ? new PcapngWriter(sink) : undefined;
  pcapng?.addInterface({ linkType: 101 });
  const writer = (pcap ?? pcapng)!;
  const small = new Uint8Array(SLOT_BYTES);
  const packet = new Uint8Array(1500);
  let packets = 0;
  for (let written = 24; written < bytes; packets++) {
    const length = IMIX[packets % IMIX.length]!;
    writeFlow(small.subarray(0, PACKET_BYTES), (packets * 7919) % FLOWS);
    packet.set(small.subarray(0, PACKET_BYTES));
    const whole = packet.subarray(0, length);
    const seconds = 1_700_000_000 + Math.floor(packets / 1e5);
    const nanos = (packets % 1e5) * 1e4;
    pcap?.packet(whole, seconds, nanos);
    pcapng?.packet(0, whole, seconds, nanos);
    written += (pcap ? 16 : 32) + length;
    if (writer.full) await writer.flush();
  }
  await writer.flush();
  await sink.close();
  const file = openSync(path, "r");
  fsyncSync(file); // writing it back must not fall into the measurement; it stays in the page cache
  closeSync(file);
  return packets;
}

/** Generates a capture of so many bytes and translates it; the median of three runs. */
export async function captureRow(bytes: number, format: Format): Promise<CaptureRow> {
  const directory = mkdtempSync(join(tmpdir(), "napt-bench-"));
  try {
    const input = join(directory, `in.${format}`);
    const output = join(directory, `out.${format}`);
    const packets = await generate(input, bytes, format);
    const main = join(__dirname, "../dist/cli/main.js");
    const command = ["translate", input, "-o", output, "--inside", INSIDE, "--report", "-", "-q"];
    for (let i = 0; i < 8; i++) command.push("--outside", `203.0.113.${i}`);
    // A process knows its own peak best; getrusage would count the moment before exec.
    const telling = join(directory, "telling.cjs");
    writeFileSync(telling, TELL_PEAK);
    const runs = Array.from({ length: RUNS }, () => {
      rmSync(output, { force: true });
      const started = process.hrtime.bigint();
      const child = spawnSync(process.execPath, ["-r", telling, main, ...command], { encoding: "utf8" });
      const seconds = Number(process.hrtime.bigint() - started) / 1e9;
      if (child.status !== 0) throw new Error(child.stderr);
      const report = JSON.parse(child.stdout) as { packets: { in: number; out: number } };
      if (report.packets.in !== packets || report.packets.out !== packets) throw new Error(child.stdout);
      return { seconds, resident: Number(/VmHWM:\s+(\d+)/.exec(child.stderr)?.[1]) / 1024 };
    });
    const { seconds, resident } = runs.sort((one, other) => one.seconds - other.seconds)[RUNS >> 1]!;
    const size = statSync(input).size;
    return {
      work: "translate",
      format,
      fileBytes: size,
      packets,
      packetsPerSecond: Math.round(packets / seconds),
      megabytesPerSecond: Math.round(size / seconds / 1e6),
      residentMegabytes: Math.round(resident),
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
