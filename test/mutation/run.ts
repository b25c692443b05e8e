// The mutation run: breaks the core on purpose, one mutant (mutants.ts) at a time, and sees whether the tests notice.
//
//   npm run mutate [-- --list] [--only PART]... [--suites native,api] [--jobs N]
//
// Works on copies of native/ in a temporary directory. Each mutant is built without sanitizers and runs the suites from
// cheap to dear until one fails or hangs: then it is killed. Fails when fewer than 95 % are killed, when a survivor has
// no reason to (`equivalent`), and when a mutant no longer fits the source.
import { type ChildProcess, spawn } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Mutant, mutants } from "./mutants.js";

const ROOT = join(__dirname, "..", "..");
const LEAST_KILLED = 0.95;
/** Seconds by the clock that a command may take for each of the processor. */
const WAITS = 3;
const PRECOMPILED = `
target_precompile_headers(napt_core PRIVATE <algorithm> <memory> <optional> <set> <tuple> <vector>)
if(TARGET napt_test)
  set_source_files_properties(native/test/main.cpp PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
  target_compile_definitions(napt_test PRIVATE DOCTEST_CONFIG_SUPER_FAST_ASSERTS)
  target_precompile_headers(napt_test PRIVATE <doctest.h> <algorithm> <array> <map> <memory> <set> <vector>)
endif()
`;
const SUITES = ["native", "api", "attacks", "conformance", "model", "captures"];

const { values: options } = parseArgs({
  options: {
    list: { type: "boolean", default: false },
    only: { type: "string", multiple: true, default: [""] },
    suites: { type: "string", default: SUITES.join() },
    jobs: { type: "string", default: "2" },
  },
});

// What runs on behalf of us, each in a process group of its own, so that it can be ended with all that it started.
const running = new Set<ChildProcess>();
const endGroup = (child: ChildProcess, signal: NodeJS.Signals = "SIGKILL"): void => {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, signal);
  } catch {
    // it has ended by itself
  }
};

interface Outcome {
  /** Ended with status 0, within its time, and without printing what `stopAt` looks for. */
  readonly ok: boolean;
  readonly timedOut: boolean;
  readonly output: string;
  readonly seconds: number;
}

/**
 * Runs a command to its end, or until it prints a line that decides. Its time is limited by what it has of the
 * processor: a loop without end meets that soon, and load on the machine does not. A wait without end takes nothing of
 * it, and so has a limit by the clock, too, several times as long.
 */
function run(
  command: readonly string[],
  { seconds = 1200, env = {}, stopAt = /^$(?!)/ }: { seconds?: number; env?: object; stopAt?: RegExp } = {},
): Promise<Outcome> {
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const limited = ["-n", "5", "sh", "-c", 'ulimit -t "$0" && exec "$@"', `${Math.ceil(seconds)}`];
    const child = spawn("nice", [...limited, ...command], {
      cwd: ROOT,
      detached: true,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    running.add(child);
    let output = "";
    let stopped = false;
    let waited = false;
    const patience = setTimeout(
      () => {
        waited = true;
        endGroup(child);
      },
      WAITS * seconds * 1000,
    );
    const take = (chunk: Buffer): void => {
      output += chunk.toString();
      if (stopped || !stopAt.test(output)) return;
      stopped = true;
      endGroup(child);
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.on("error", reject);
    child.on("close", (status, signal) => {
      clearTimeout(patience);
      endGroup(child);
      running.delete(child);
      resolve({
        ok: status === 0 && !stopped,
        timedOut: waited || signal === "SIGXCPU",
        output,
        seconds: (performance.now() - began) / 1000,
      });
    });
  });
}

/** The source with the mutation in it. Throws unless there is one place for it. */
function mutate(source: string, { file, name, find, replace }: Mutant): string {
  const places = source.split(find).length - 1;
  if (places !== 1) throw new Error(`${file}: "${name}" fits ${places} places instead of one: ${find}`);
  if (find === replace) throw new Error(`${file}: "${name}" changes nothing`);
  return source.replace(find, () => replace);
}

const sourceOf = (file: string): string => readFileSync(join(ROOT, "native", file), "utf8");

/** A copy of the core with builds of its own: one for the native tests, one for the addon. */
class Workshop {
  constructor(private readonly at: string) {
    mkdirSync(at);
    cpSync(join(ROOT, "native"), join(at, "native"), { recursive: true });
    cpSync(join(ROOT, "package.json"), join(at, "package.json"));
    // Mutants may leave something unused. What they don't change is compiled once.
    const lists = readFileSync(join(ROOT, "CMakeLists.txt"), "utf8");
    writeFileSync(join(at, "CMakeLists.txt"), lists.replaceAll("-Werror", "") + PRECOMPILED);
    symlinkSync(join(ROOT, "node_modules"), join(at, "node_modules"));
  }

  get tests(): string {
    return join(this.at, "tests", "napt_test");
  }
  get addon(): string {
    return join(this.at, "addon", "Release", "napt.node");
  }

  read(file: string): string {
    return readFileSync(join(this.at, "native", file), "utf8");
  }
  write(file: string, source: string): void {
    writeFileSync(join(this.at, "native", file), source);
  }

  /** The addon takes a configure of its own, as its options come from cmake-js. */
  async configure(withAddon: boolean): Promise<void> {
    const flags = "-O1";
    const cmake = ["cmake", "-S", this.at, "-B", join(this.at, "tests"), "-G", "Ninja"] as const;
    await this.must([...cmake, "-DCMAKE_BUILD_TYPE=None", `-DCMAKE_CXX_FLAGS=${flags}`]);
    if (!withAddon) return;
    const addon = ["--directory", this.at, "--out", join(this.at, "addon"), "--generator", "Ninja"];
    const rest = [
      "--CDCMAKE_BUILD_TYPE=Release",
      `--CDCMAKE_CXX_FLAGS_RELEASE=${flags}`,
      "--log-level",
      "error",
    ];
    await this.must(["npx", "cmake-js", "configure", ...addon, ...rest]);
  }

  build(what: "tests" | "addon"): Promise<Outcome> {
    return run(["ninja", "-C", join(this.at, what)]);
  }

  private async must(command: readonly string[]): Promise<void> {
    const { ok, output } = await run(command);
    if (!ok) throw new Error(`${command.join(" ")}\n${output}`);
  }
}

const testFiles = (suite: string): string[] =>
  readdirSync(join(ROOT, "test"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.startsWith(`${suite}/`) && file.endsWith(".test.ts"))
    .map((file) => join(ROOT, "test", file))
    .sort();

/** Runs one suite on what a workshop has built. */
function check(suite: string, workshop: Workshop, seconds?: number): Promise<Outcome> {
  const limit = seconds === undefined ? {} : { seconds };
  if (suite === "native") return run([workshop.tests, "--abort-after=1"], limit);
  const node = [process.execPath, "--require", "tsx/cjs", "--test", "--test-reporter=tap"];
  const env = { NAPT_NATIVE: workshop.addon };
  return run([...node, ...testFiles(suite)], { ...limit, env, stopAt: /^\s*not ok /m });
}

const wanted = options.suites.split(",");
const chosen = mutants.filter(({ concept, name, file }) =>
  options.only.some((part) => `${concept}: ${name} (${file})`.includes(part)),
);
const suites = SUITES.filter(
  (suite) => wanted.includes(suite) && (suite === "native" || testFiles(suite).length > 0),
);
const faults = wanted.filter((suite) => !SUITES.includes(suite)).map((suite) => `no suite ${suite}`);
for (const mutant of chosen) {
  try {
    mutate(sourceOf(mutant.file), mutant);
  } catch (error) {
    faults.push((error as Error).message);
  }
}
if (chosen.length === 0) faults.push(`no mutant matches ${options.only.join(" or ")}`);
if (faults.length > 0) {
  console.error(faults.join("\n"));
  process.exit(2);
}
if (options.list) {
  for (const { concept, name, file } of chosen) console.log(`${concept}: ${name} (${file})`);
  console.log(`${chosen.length} mutants`);
  process.exit(0);
}

interface Verdict {
  readonly mutant: Mutant;
  /** The suite that noticed, "timeout" added when it hung; null for a survivor. */
  readonly killedBy: string | null;
  /** Why it could not be judged. */
  readonly fault?: string;
}

/** Seconds of the processor for each suite, far beyond what it takes unbroken. */
const limits = new Map<string, number>();

async function judge(mutant: Mutant, workshop: Workshop): Promise<Verdict> {
  const source = workshop.read(mutant.file);
  workshop.write(mutant.file, mutate(source, mutant));
  try {
    for (const suite of suites) {
      const built = await workshop.build(suite === "native" ? "tests" : "addon");
      if (!built.ok) return { mutant, killedBy: null, fault: built.output };
      const { ok, timedOut } = await check(suite, workshop, limits.get(suite)!);
      if (!ok) return { mutant, killedBy: timedOut ? `${suite} (timeout)` : suite };
    }
    return { mutant, killedBy: null };
  } finally {
    workshop.write(mutant.file, source);
  }
}

async function main(): Promise<void> {
  const temporary = mkdtempSync(join(tmpdir(), "napt-mutation-"));
  const end = (): void => {
    for (const child of running) endGroup(child, "SIGTERM"); // ninja passes it on to compilers
    rmSync(temporary, { recursive: true, force: true });
  };
  process.on("SIGINT", () => process.exit(130));
  process.on("SIGTERM", () => process.exit(143));
  process.on("exit", end);

  const jobs = Math.min(Number(options.jobs), 2, chosen.length);
  const workshops = Array.from({ length: jobs }, (_, i) => new Workshop(join(temporary, `${i}`)));
  const withAddon = suites.some((suite) => suite !== "native");
  for (const workshop of workshops) {
    await workshop.configure(withAddon);
    for (const what of withAddon ? (["tests", "addon"] as const) : (["tests"] as const)) {
      const { ok, output } = await workshop.build(what);
      if (!ok) throw new Error(output);
    }
  }
  for (const suite of suites) {
    const { ok, seconds, output } = await check(suite, workshops[0]!);
    if (!ok) throw new Error(`${suite} fails without any mutation\n${output}`);
    limits.set(suite, 30 + 3 * seconds);
    console.log(`${suite}: ${seconds.toFixed(1)} s unbroken`);
  }

  // By file, so that each build only has to make that file's objects again.
  const queue = [...chosen].sort((a, b) => a.file.localeCompare(b.file));
  const verdicts: Verdict[] = [];
  await Promise.all(
    workshops.map(async (workshop) => {
      for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
        const verdict = await judge(mutant, workshop);
        verdicts.push(verdict);
        const alive = verdict.fault === undefined ? "SURVIVED" : "DOES NOT BUILD";
        const fate = verdict.killedBy === null ? alive : `killed by ${verdict.killedBy}`;
        console.log(`${verdicts.length}/${chosen.length} ${mutant.concept}: ${mutant.name}: ${fate}`);
      }
    }),
  );
  process.exitCode = report(verdicts) ? 0 : 1;
}

/** Prints what came of all; whether it is good enough. */
function report(verdicts: readonly Verdict[]): boolean {
  const count = (filter: (verdict: Verdict) => boolean): number => verdicts.filter(filter).length;
  const print = (title: string, list: readonly Verdict[]): void => {
    if (list.length > 0) console.log(`\n${title}:`);
    for (const { mutant, killedBy } of list) {
      console.log(
        `  ${mutant.concept}: ${mutant.name} (${mutant.file}) ${killedBy ?? mutant.equivalent ?? ""}`,
      );
    }
  };
  console.log("\n| Suite | Killed |\n| --- | --- |");
  for (const suite of suites) {
    console.log(`| ${suite} | ${count(({ killedBy }) => killedBy?.split(" ")[0] === suite)} |`);
  }
  const faulty = verdicts.filter(({ fault }) => fault !== undefined);
  for (const { mutant, fault } of faulty)
    console.log(`\n${mutant.name} (${mutant.file}) does not build:\n${fault}`);
  const survivors = verdicts.filter(
    ({ mutant, killedBy, fault }) => killedBy === null && fault === undefined && !mutant.equivalent,
  );
  const mistaken = verdicts.filter(({ mutant, killedBy }) => killedBy !== null && mutant.equivalent);
  print("Survivors", survivors);
  print(
    "Explained",
    verdicts.filter(({ mutant, killedBy }) => killedBy === null && mutant.equivalent),
  );
  print("Called equivalent, but killed", mistaken);
  const killed = count(({ killedBy }) => killedBy !== null);
  const share = killed / verdicts.length;
  console.log(`\n${killed} of ${verdicts.length} mutants killed (${(100 * share).toFixed(1)} %)`);
  return share >= LEAST_KILLED && survivors.length + mistaken.length + faulty.length === 0;
}

void main().catch((error: Error) => {
  console.error(error.message);
  process.exit(1);
});
