// Runs the tests that drive the engine (captures, model, API) and the gateway's loop and ports on an addon built with
// AddressSanitizer and UndefinedBehaviorSanitizer by cmake-js. Needs cmake and ninja.
import { execFileSync, spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const out = join(root, "build-sanitized");
const compile = spawnSync(
  "npx",
  [
    "cmake-js",
    "compile",
    "--out",
    out,
    "--generator",
    "Ninja",
    "--CDNAPT_SANITIZE=ON",
    "--log-level",
    "error",
  ],
  { cwd: root, stdio: "inherit" },
);
if (compile.status !== 0) process.exit(compile.status ?? 1);

// The sanitizer's runtime has to come first in a process that was not linked with it.
const runtime = execFileSync("g++", ["-print-file-name=libasan.so"], { encoding: "utf8" }).trim();
const env = {
  ...process.env,
  NAPT_NATIVE: join(out, "Release/napt.node"),
  // Node itself never frees some things at exit.
  ASAN_OPTIONS: "detect_leaks=0:halt_on_error=1",
  UBSAN_OPTIONS: "halt_on_error=1:print_stacktrace=1",
};
function run(preload, ...paths) {
  const node = [join(root, "test/run.mjs"), ...paths];
  const { status } = spawnSync(process.execPath, node, { stdio: "inherit", env: { ...env, ...preload } });
  if (status !== 0) process.exit(status ?? 1);
}
run({ LD_PRELOAD: runtime }, "captures/", "model/", "api/");
// In a lab only napt itself has it.
const live = ["qemu", "devices", "floods"].map((name) => `system/${name}`);
run({ NAPT_PRELOAD: runtime }, ...live);
