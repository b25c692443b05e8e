// npm run fuzz -- TARGET [--seconds N] [FILE...]: looks for inputs that break a target, or runs files again.
//
//   packets   the packet path with its state: libFuzzer, needs clang-14, cmake and ninja
//   captures  capture readers and translate     config   the config's parser     (both: test/fuzz/driver.ts)
//
// `--merge` makes the committed corpus anew: the fewest inputs, of it and of what was found, that reach as much.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const { values, positionals } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string" },
    merge: { type: "boolean" },
  },
  allowPositionals: true,
});
const [target, ...files] = positionals;

function run(command, ...args) {
  const { status } = spawnSync(command, args, {
    cwd: root,
    stdio: "inherit",
    env: { ASAN_OPTIONS: "malloc_context_size=4", ...process.env },
  });
  if (status !== 0) process.exit(status ?? 1);
}

function fuzzPackets() {
  const build = join(root, "build-fuzz");
  const options = ["-DCMAKE_CXX_COMPILER=clang++-14", "-DNAPT_SANITIZE=ON", "-DNAPT_FUZZ=ON"];
  execFileSync("cmake", ["-S", root, "-B", build, "-G", "Ninja", ...options], { stdio: "ignore" });
  execFileSync("cmake", ["--build", build, "--target", "napt_fuzz", "napt_replay"], { stdio: "ignore" });
  const corpus = join(root, "native/fuzz/corpus");
  const finds = join(root, ".cache/fuzz/packets");
  const faults = join(root, ".cache/fuzz/packets-");
  mkdirSync(finds, { recursive: true });
  if (files.length > 0) return run(join(build, "napt_replay"), "--trace", ...files);
  if (!values.merge) {
    const seed = values.seed === undefined ? [] : [`-seed=${values.seed}`];
    const time = `-max_total_time=${values.seconds}`;
    const rest = ["-print_final_stats=1", "-timeout=10", `-artifact_prefix=${faults}`];
    return run(join(build, "napt_fuzz"), finds, corpus, time, "-max_len=1024", ...rest, ...seed);
  }
  const all = readdirSync(corpus).length + readdirSync(finds).length;
  const merged = join(root, ".cache/fuzz/merged");
  rmSync(merged, { recursive: true, force: true });
  mkdirSync(merged);
  // Branches, but not how often each was taken: that keeps ten times as many.
  run(join(build, "napt_fuzz"), "-merge=1", "-use_counters=0", "-max_len=1024", merged, corpus, finds);
  for (const file of readdirSync(corpus)) rmSync(join(corpus, file));
  run("cp", "-a", `${merged}/.`, corpus);
  console.log(`${readdirSync(corpus).length} of ${all} inputs`);
}

if (target === "packets") {
  fuzzPackets();
} else if (target === "captures" || target === "config") {
  run(process.execPath, "--require", "tsx/cjs", join(root, "test/fuzz/driver.ts"), ...process.argv.slice(2));
} else {
  console.error(
    "usage: npm run fuzz -- packets|captures|config [--seconds N] [--seed N] [--merge] [FILE...]",
  );
  process.exit(2);
}
