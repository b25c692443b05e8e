// A coverage-guided fuzzer for TypeScript: changes inputs that are known, keeps those that take a branch that no
// other took, or take one much more often, and stops at the first that a target finds fault with.
//
//   node --import tsx test/fuzz/driver.ts TARGET --seconds N [--seed N] [--merge] [FILE...]
//
// Finds go to .cache/fuzz/TARGET; `--merge` replaces the corpus by the fewest of all inputs that take as many
// branches. With files it only runs those.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { hits, instrument, words } from "./instrument.js";
import { mutate, Random } from "./mutate.js";

/** Something to fuzz. */
export interface Target {
  /** Folders whose branches guide the fuzzer. */
  readonly folders: readonly string[];
  /** Inputs to begin with. */
  seeds(): Uint8Array[];
  /** Pieces that inputs of this format are made of. */
  words(): Uint8Array[];
  /** Places in an input where pieces fit. */
  cuts?(input: Uint8Array): number[];
  /** Resolves when the input was treated as it has to be; throws otherwise. */
  run(input: Uint8Array): Promise<void>;
}

const LONGEST = 4096;
const HANG_SECONDS = 10;

const { values, positionals } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string" },
    merge: { type: "boolean" },
  },
  allowPositionals: true,
});
const [name, ...files] = positionals;
const finds = join(__dirname, "../../.cache/fuzz", name!);
const corpus = join(__dirname, "corpus", name!);

/** Of each branch, the numbers of hits that were seen: a bit each for 1, 2, 3, 4-7, 8-15, 16-31, 32-127, more. */
const seen = new Uint8Array(hits.length);
const bucket = Uint8Array.from({ length: 256 }, (_, n) =>
  n === 0 ? 0 : n <= 3 ? 1 << (n - 1) : n < 8 ? 8 : n < 16 ? 16 : n < 32 ? 32 : n < 128 ? 64 : 128,
);

/** Takes over what the last input hit; true if something was new. For the corpus only branches count, not hits. */
function learn(): boolean {
  let isNew = false;
  for (let i = 0; i < hits.length; i++) {
    const bit = values.merge ? Math.min(1, hits[i]!) : bucket[hits[i]!]!;
    if ((seen[i]! & bit) === bit) continue;
    seen[i]! |= bit;
    isNew = true;
  }
  return isNew;
}

// A loop without end can't be left from within: another thread watches, has the input, and ends the process.
const shared = new SharedArrayBuffer(8 + LONGEST);
const pulse = new Int32Array(shared, 0, 2); // inputs begun; the length of this one
const current = new Uint8Array(shared, 8);
const watch = `
  const { workerData: { shared, file, seconds } } = require("node:worker_threads");
  const pulse = new Int32Array(shared, 0, 2);
  let last = -1;
  setInterval(() => {
    if (pulse[0] === last) {
      require("node:fs").writeFileSync(file, new Uint8Array(shared, 8, pulse[1]).slice());
      console.error("no end after " + seconds + " s: " + file);
      process.kill(process.pid, "SIGKILL");
    }
    last = pulse[0];
  }, seconds * 1000);`;

async function execute(target: Target, input: Uint8Array): Promise<void> {
  current.set(input);
  pulse[1] = input.length;
  Atomics.add(pulse, 0, 1);
  hits.fill(0);
  try {
    await target.run(input);
  } catch (error) {
    const file = join(finds, `fault-${digest(input)}`);
    writeFileSync(file, input);
    console.error(`\n${file}\n`, error);
    process.exit(1);
  }
}

function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex").slice(0, 12);
}

function readInputs(folder: string): Uint8Array[] {
  return readdirSync(folder).map((file) => new Uint8Array(readFileSync(join(folder, file))));
}

/** The known inputs, shortest first: what a longer one adds is then worth its length. */
function known(target: Target): Uint8Array[] {
  const faultless = readdirSync(finds).filter((file) => !file.startsWith("fault-"));
  const found = faultless.map((file) => new Uint8Array(readFileSync(join(finds, file))));
  const all = [...target.seeds(), ...readInputs(corpus), ...found].filter((input) => input.length <= LONGEST);
  return all.sort((a, b) => a.length - b.length);
}

async function main(): Promise<void> {
  mkdirSync(finds, { recursive: true });
  mkdirSync(corpus, { recursive: true });
  const folders = { captures: ["src/capture", "src/translate"], config: ["src/config"] }[name!];
  if (folders === undefined) throw new Error(`no target ${name}`);
  instrument(folders);
  const { target } = require(`./${name}.ts`) as { target: Target };
  const watcher = new Worker(watch, {
    eval: true,
    workerData: { shared, file: join(finds, "fault-hang"), seconds: HANG_SECONDS },
  });

  if (files.length > 0) {
    for (const file of files) await execute(target, new Uint8Array(readFileSync(file)));
  } else {
    const kept: Uint8Array[] = [];
    for (const input of known(target)) {
      await execute(target, input);
      if (learn()) kept.push(input);
    }
    console.log(`${kept.length} inputs of use take ${taken()} branches`);
    if (values.merge) save(kept);
    else await fuzz(target, kept);
  }
  await watcher.terminate();
}

async function fuzz(target: Target, kept: Uint8Array[]): Promise<void> {
  const seed = values.seed === undefined ? Date.now() : Number(values.seed);
  const random = new Random(seed);
  const pieces = [...target.words(), ...[...words].map((word) => new Uint8Array(Buffer.from(word)))];
  const end = performance.now() + 1000 * Number(values.seconds);
  let runs = 0;
  for (; performance.now() < end; runs++) {
    // Of two the newer: what was found last has been tried least.
    const from = kept[Math.max(random.below(kept.length), random.below(kept.length))]!;
    const input = mutate(from, kept, pieces, target.cuts?.(from) ?? [], random).subarray(0, LONGEST);
    await execute(target, input);
    if (!learn()) continue;
    kept.push(input);
    writeFileSync(join(finds, digest(input)), input);
  }
  console.log(`seed ${seed}: ${runs} runs, ${kept.length} inputs of use take ${taken()} branches`);
}

function taken(): number {
  return seen.filter((bits) => bits !== 0).length;
}

function save(inputs: readonly Uint8Array[]): void {
  rmSync(corpus, { recursive: true });
  mkdirSync(corpus, { recursive: true });
  for (const input of inputs) writeFileSync(join(corpus, digest(input)), input);
}

void main();
