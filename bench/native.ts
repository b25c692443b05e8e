// The native programs beside the addon: the limit, the core alone, and a sender of packets.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(__dirname, "..");
const BUILD = join(ROOT, "build-bench");

/** Builds them with CMake. @returns why not, or null */
export function buildNative(targets = ["napt_limit", "napt_core_bench", "napt_empty"]): string | null {
  const steps = [
    ["-S", ROOT, "-B", BUILD, "-DNAPT_BENCH=ON", "-DCMAKE_BUILD_TYPE=Release"],
    ["--build", BUILD, "--parallel", "--target", ...targets],
  ];
  for (const step of steps) {
    const { status, stderr, stdout, error } = spawnSync("cmake", step, { encoding: "utf8" });
    if (error) return `cmake can't be run: ${error.message}`;
    if (status !== 0) return `cmake ${step[0]} failed: ${stderr || stdout}`;
  }
  return null;
}

/** Path of a program that `buildNative` makes. */
export function nativePath(
  name: "napt_limit" | "napt_core_bench" | "napt_empty.node" | "napt_blast",
): string {
  return join(BUILD, name);
}

export interface LimitRow {
  readonly touch: number;
  readonly outbound: number;
  readonly inbound: number;
}

/** Runs the limit, or a program that prints the same: ns a packet. */
export function runLimit(path: string, sessions: number, seconds: number): LimitRow {
  return JSON.parse(execFileSync(path, [String(sessions), String(seconds)], { encoding: "utf8" }));
}

/**
 * Instructions that the core takes for a packet, as callgrind counts them: the same on any day. The difference of two
 * lengths, so that what happens once does not count.
 * @returns null without valgrind
 */
export function instructionsPerPacket(work: string, sessions: number): number | null {
  if (spawnSync("valgrind", ["--version"]).error) return null;
  const core = nativePath("napt_core_bench");
  if (!existsSync(core)) return null;
  const count = (packets: number) => {
    const tool = ["--tool=callgrind", "--callgrind-out-file=/dev/null"];
    const toggle = "--toggle-collect=napt::Translator::translateBatch*";
    const { status, stderr } = spawnSync(
      "valgrind",
      [...tool, toggle, core, work, String(sessions), "256", String(packets)],
      { encoding: "utf8" },
    );
    const collected = /Collected : (\d+)/.exec(stderr)?.[1];
    if (status !== 0 || collected === undefined) throw new Error(`callgrind: ${stderr}`);
    return Number(collected);
  };
  // Whole batches of 256 in each of the core's 9 runs.
  const run = 9 * 256;
  const [few, many] = [20 * run, 60 * run];
  return Math.round(((count(many) - count(few)) / (many - few)) * 10) / 10;
}
