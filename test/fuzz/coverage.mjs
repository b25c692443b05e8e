// npm run coverage [-- --missing --least PERCENT]: which lines of the core the native tests and the packet fuzzer's corpus run, file
// by file; with --missing also which they don't. Fails below --least. Needs clang-14 and llvm-14.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const { values } = parseArgs({
  options: { missing: { type: "boolean" }, least: { type: "string", default: "0" } },
});
const build = join(root, "build-coverage");
const profiles = join(build, "profiles");
const sources = JSON.parse(readFileSync(join(root, "native/sources.json"), "utf8"));
const tools = ["napt_test", "napt_replay"];

function run(command, args, env = {}) {
  const options = { cwd: root, encoding: "utf8", maxBuffer: 1 << 28, env: { ...process.env, ...env } };
  return execFileSync(command, args, options);
}

const options = ["-DCMAKE_CXX_COMPILER=clang++-14", "-DNAPT_COVERAGE=ON", "-DCMAKE_BUILD_TYPE=Debug"];
run("cmake", ["-S", root, "-B", build, "-G", "Ninja", ...options]);
run("cmake", ["--build", build, "--target", ...tools]);
rmSync(profiles, { recursive: true, force: true });
mkdirSync(profiles, { recursive: true });
for (const tool of tools) {
  const corpus = tool === "napt_replay" ? [join(root, "native/fuzz/corpus")] : [];
  run(join(build, tool), corpus, { LLVM_PROFILE_FILE: join(profiles, `${tool}.profraw`) });
}
const data = join(profiles, "all.profdata");
run("llvm-profdata-14", [
  "merge",
  "-sparse",
  ...tools.map((t) => join(profiles, `${t}.profraw`)),
  "-o",
  data,
]);

const [main, other] = tools.map((tool) => join(build, tool));
const ignored = ["audit", "native/fuzz", "native/test"].map((part) => `-ignore-filename-regex=${part}`);
const exported = run("llvm-cov-14", ["export", "-instr-profile", data, ...ignored, main, "-object", other]);
const core = (name) => /^native\/(nat|packet)\//.test(name);
const files = JSON.parse(exported)
  .data[0].files.map(({ filename, summary, segments }) => ({
    name: relative(root, filename),
    ...summary.lines,
    segments,
  }))
  .filter(({ name }) => core(name))
  .sort((a, b) => a.name.localeCompare(b.name));
const missing = sources.core.filter((name) => !files.some((file) => file.name === name));
if (missing.length > 0) throw new Error(`no figures for ${missing.join(", ")}`);

const show = (name, covered, count) =>
  console.log(
    `${name.padEnd(32)} ${`${covered} of ${count}`.padStart(14)} ${((100 * covered) / count).toFixed(1).padStart(6)} %`,
  );
for (const { name, covered, count } of files) show(name, covered, count);
const sum = (key) => files.reduce((total, file) => total + file[key], 0);
show("lines in all", sum("covered"), sum("count"));

if (values.missing) {
  const shown = run("llvm-cov-14", ["show", "-instr-profile", data, ...ignored, main, "-object", other]);
  let name = "";
  for (const line of shown.split("\n")) {
    if (line.startsWith("/")) name = relative(root, line.replace(/:$/, ""));
    else if (core(name) && /^ *\d+\| +0\|/.test(line)) console.log(`${name}: ${line.trim()}`);
  }
}
if (100 * sum("covered") < Number(values.least) * sum("count")) {
  console.error(`less than ${values.least} %`);
  process.exit(1);
}
