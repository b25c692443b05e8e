// `npm run bench:check`: has the packet path become more expensive? Compares instructions per packet, counted by
// callgrind, with the committed baseline; fails beyond +5 %. `-- --update` writes the baseline anew.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Table from "cli-table3";
import { buildNative, instructionsPerPacket } from "./native.js";

const BASELINE = join(__dirname, "baseline.json");
const MOST = 1.05;
const SESSIONS = 1000;
const WORKS = ["established", "udp", "tcp", "icmp", "new"];

interface Baseline {
  readonly compiler: string;
  readonly sessions: number;
  readonly instructionsPerPacket: Record<string, number>;
}

function main(): number {
  const failure = buildNative();
  if (failure !== null) throw new Error(failure);
  const compiler = execFileSync("c++", ["--version"], { encoding: "utf8" }).split("\n")[0]!;
  const counted: Record<string, number> = {};
  for (const work of WORKS) {
    const instructions = instructionsPerPacket(work, SESSIONS);
    if (instructions === null) throw new Error("valgrind is needed: apt-get install valgrind");
    counted[work] = instructions;
  }
  if (process.argv.includes("--update")) {
    const baseline: Baseline = { compiler, sessions: SESSIONS, instructionsPerPacket: counted };
    writeFileSync(BASELINE, `${JSON.stringify(baseline, null, 2)}\n`);
    console.log(`bench/baseline.json: ${JSON.stringify(counted)}`);
    return 0;
  }
  const baseline = JSON.parse(readFileSync(BASELINE, "utf8")) as Baseline;
  const table = new Table({ head: ["work", "baseline", "now", "ratio"], style: { head: [], border: [] } });
  const worse = WORKS.filter((work) => {
    const before = baseline.instructionsPerPacket[work] ?? Number.NaN;
    const ratio = counted[work]! / before;
    table.push([work, before, counted[work]!, ratio.toFixed(3)]);
    return !(ratio <= MOST);
  });
  console.log(table.toString());
  if (baseline.compiler !== compiler) {
    console.log(`The baseline was counted with ${baseline.compiler}, this with ${compiler}.`);
  }
  if (worse.length === 0) return 0;
  console.error(
    `${worse.join(", ")}: more than 5 % more instructions a packet than bench/baseline.json has. ` +
      "Find out why; if it must be, npm run bench:check -- --update",
  );
  return 1;
}

process.exitCode = main();
