// `npm run bench:gateway`: `napt gateway` beside the NAT of the Linux kernel, in the same three namespaces. Needs root.
import { join } from "node:path";
import Table from "cli-table3";
import { Command, InvalidArgumentError, Option } from "commander";
import { whyNoLab } from "../test/system/lab.js";
import { BOX_NAMES, type Box, type BoxName, openBox } from "./gateway-boxes.js";
import {
  type Bar,
  busyCores,
  FIGURES,
  type Figure,
  type FigureKey,
  type Figures,
  WORKS,
} from "./gateway-figures.js";
import { median } from "./measure.js";
import { buildNative } from "./native.js";
import { DOCS, measuredBy, place, table } from "./report.js";

interface Options {
  json: boolean;
  quick: boolean;
  runs: number;
  boxes: BoxName[];
}

const { json, quick, runs, boxes } = new Command("bench:gateway")
  .option("--json", "print an array of rows", false)
  .option("--quick", "run everything for a fraction of a second, to see that it works", false)
  .addOption(
    new Option("--runs <n>", "rounds, in each of which all boxes take their turn")
      .default(3)
      .argParser(Number),
  )
  .addOption(
    new Option("--boxes <names>", `which to measure, of ${BOX_NAMES.join(",")}`)
      .default([...BOX_NAMES])
      .argParser(boxesOf),
  )
  .parse()
  .opts<Options>();

function boxesOf(text: string): BoxName[] {
  const names = text.split(",");
  const unknown = names.some((name) => !BOX_NAMES.includes(name as BoxName));
  if (unknown || names.every((name) => name === "kernel")) {
    throw new InvalidArgumentError(`Give packet, tun or both, and kernel to compare them with.`);
  }
  return names as BoxName[];
}

function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Of several rounds. */
interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

interface Row {
  readonly figure: string;
  readonly unit: string;
  readonly box: BoxName;
  readonly kernel: Spread | null;
  readonly napt: Spread;
  /** The median of the rounds' ratios to the kernel. */
  readonly ratio: number | null;
  readonly bar: string;
  readonly met: boolean | null;
}

/** A round's figures by box. */
type Round = Partial<Record<BoxName, Figures>>;

/** What is to be closed when this is interrupted; what goes on there then fails. */
let open: Box | null = null;
let interrupted = false;

/** All works on all boxes, one work on each before the next. */
async function measureRound(number: number): Promise<Round> {
  const round: Round = {};
  // What drifts does not always favour the same.
  const order = number % 2 === 0 ? boxes : [...boxes].reverse();
  for (const works of quick ? [WORKS] : WORKS.map((work) => [work])) {
    for (const name of order) {
      const box = await openBox(name);
      open = box;
      try {
        for (const work of works) {
          if (interrupted) throw new Error("interrupted");
          note(`round ${number + 1} of ${quick ? 1 : runs}: ${name}, ${work.name}`);
          round[name] = { ...round[name], ...(await work(box, quick ? 0.05 : 1)) };
        }
      } finally {
        await box.lab.close();
      }
    }
  }
  return round;
}

function spread(values: readonly number[]): Spread | null {
  if (values.length === 0) return null;
  return { min: Math.min(...values), median: median(values), max: Math.max(...values) };
}

function isMet(
  { least = -Infinity, most = Infinity, of }: Bar,
  value: number,
  ratio: number | null,
): boolean | null {
  const judged = of === "value" ? value : ratio;
  return judged === null ? null : judged >= least && judged <= most;
}

function wording({ least, most, of }: Bar, unit: string): string {
  const bound = least === undefined ? `at most ${most}` : `at least ${least}`;
  return of === "value" ? `${bound} ${unit}`.trim() : `${bound} x`;
}

function rowsOf(rounds: readonly Round[]): Row[] {
  return (Object.keys(FIGURES) as FigureKey[]).flatMap((key) => {
    const { name, unit, bars = {} }: Figure = FIGURES[key];
    const valuesOf = (box: BoxName) => rounds.flatMap((round) => round[box]?.[key] ?? []);
    return boxes.flatMap((box): Row[] => {
      const napt = box === "kernel" ? null : spread(valuesOf(box));
      if (napt === null) return [];
      const ratios = rounds.flatMap(({ kernel, [box]: own }) =>
        kernel?.[key] === undefined || own?.[key] === undefined ? [] : own[key] / kernel[key],
      );
      const ratio = ratios.length === 0 ? null : median(ratios);
      const bar = bars[box];
      return [
        {
          figure: name,
          unit,
          box,
          kernel: spread(valuesOf("kernel")),
          napt,
          ratio,
          bar: bar === undefined ? "" : wording(bar, unit),
          met: bar === undefined || quick ? null : isMet(bar, napt.median, ratio),
        },
      ];
    });
  });
}

const HEAD = [
  "figure",
  "unit",
  "box",
  "kernel",
  "min",
  "max",
  "napt",
  "min",
  "max",
  "napt to kernel",
  "bar",
  "met",
];

/** Three digits are more than such a machine tells. */
const digits = (value: number) =>
  Number(value.toPrecision(3)).toLocaleString("en", { maximumSignificantDigits: 3 });

const cellsOf = (values: Spread | null) =>
  values === null ? ["", "", ""] : [values.median, values.min, values.max].map(digits);

function cells({ figure, unit, box, kernel, napt, ratio, bar, met }: Row): string[] {
  return [
    figure,
    unit,
    box,
    ...cellsOf(kernel),
    ...cellsOf(napt),
    ratio === null ? "" : ratio.toFixed(2),
    bar,
    met === null ? "" : met ? "yes" : "no",
  ];
}

/** Which bars are met, in words. */
function verdict(rows: readonly Row[]): string {
  const judged = rows.filter(({ met }) => met !== null);
  const missed = judged.filter(({ met }) => met === false);
  const names = missed.map(({ figure, box }) => `${figure} (${box})`).join("; ");
  return `${judged.length - missed.length} of ${judged.length} bars are met. ${names === "" ? "" : `Not met: ${names}.`}`.trim();
}

async function main(): Promise<void> {
  const missing = whyNoLab("nft", "iperf3", "wrk", "nginx", "ping") || buildNative(["napt_blast"]);
  if (missing) throw new Error(missing);
  const others = await busyCores();
  const isQuiet = others < 0.2;
  if (!isQuiet)
    note(
      `other programs keep ${others.toFixed(1)} cores busy: the figures say little, and docs/ stays as it is`,
    );
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.once(signal, () => {
      interrupted = true;
      void open?.lab.close();
    });
  }
  const rounds: Round[] = [];
  for (let i = 0; i < (quick ? 1 : runs); i++) rounds.push(await measureRound(i));
  const rows = rowsOf(rounds);
  if (isQuiet && !quick && boxes.length === BOX_NAMES.length) {
    const parts = [measuredBy("npm run bench:gateway"), table(HEAD, rows.map(cells)), verdict(rows)];
    place(join(DOCS, "performance.md"), parts.join("\n\n"), "gateway");
  }
  if (json) {
    console.log(JSON.stringify(rows, null, 2));
    return;
  }
  const shown = new Table({ head: HEAD, style: { head: [], border: [], compact: true } });
  shown.push(...rows.map(cells));
  console.log(shown.toString());
  if (!quick) console.log(verdict(rows));
}

main().catch((error: Error) => {
  console.error(`bench:gateway: ${interrupted ? "interrupted" : error.message}`);
  process.exitCode = 1;
});
