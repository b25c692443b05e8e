// `napt translate` on a large capture of mixed traffic: packets/s and memory of the whole process.
import { spawnSync } from "node:child_process";
import { closeSync, fsyncSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSink } from "../src/capture/sink.js";
import { PcapWriter } from "../src/capture/writer.js";
import { SLOT_BYTES, writeFlow } from "./workload.js";

export interface CaptureRow {
  readonly work: "translate";
  readonly bytes: number;
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
async function generate(path: string, bytes: number): Promise<number> {
  const sink = await openSink(path);
  const writer = new PcapWriter(sink, { linkType: 101 });
  const lengths = [50, 50, 50, 50, 50, 50, 50, 576, 576, 576, 576, 1500];
  const small = new Uint8Array(SLOT_BYTES);
  const packet = new Uint8Array(1500);
  let packets = 0;
  for (let written = 24; written < bytes; packets++) {
    const length = lengths[packets % lengths.length]!;
    writeFlow(small.subarray(0, 50), (packets * 7919) % FLOWS);
    packet.set(small.subarray(0, 50));
    writer.packet(
      packet.subarray(0, Math.max(50, length)),
      1_700_000_000 + Math.floor(packets / 1e5),
      (packets % 1e5) * 1e4,
    );
    written += 16 + Math.max(50, length);
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
export async function captureRow(bytes: number): Promise<CaptureRow> {
  const directory = mkdtempSync(join(tmpdir(), "napt-bench-"));
  try {
    const input = join(directory, "in.pcap");
    const output = join(directory, "out.pcap");
    const packets = await generate(input, bytes);
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
      bytes: size,
      packets,
      packetsPerSecond: Math.round(packets / seconds),
      megabytesPerSecond: Math.round(size / seconds / 1e6),
      residentMegabytes: Math.round(resident),
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
