// `npm run bench:observing`: what it costs a gateway to be watched. Events, metrics and IPFIX all on, beside none of
// them, with 61,440 flows of which one packet in ten begins another. Needs root.
import { setTimeout as sleep } from "node:timers/promises";
import Table from "cli-table3";
import { Command } from "commander";
import { whyNoLab } from "../test/system/lab.js";
import { type Box, openBox } from "./gateway-boxes.js";
import { blast, counterOf, RATE, whileSending } from "./gateway-figures.js";
import { median } from "./measure.js";
import { buildNative } from "./native.js";

const { runs, quick } = new Command("bench:observing")
  .option("--runs <n>", "rounds, in each of which both take their turn", Number, 5)
  .option("--quick", "run everything for a fraction of a second, to see that it works", false)
  .parse()
  .opts<{ runs: number; quick: boolean }>();

const FLOWS = quick ? 2048 : 61_440;
const SECONDS = quick ? 0.2 : 3;
const EACH_NEW = 10;

const COLLECTOR = "127.0.0.1:4739";
const WATCHED = { http: {}, export: { ipfix: { to: `udp://${COLLECTOR}`, what: "sessions" } } };

/** What looks at the gateway: an IPFIX collector, and a scrape a second. */
async function watch({ lab }: Box): Promise<void> {
  const collector = `
    const socket = require("node:dgram").createSocket("udp4");
    socket.on("message", () => {}).bind(4739, "127.0.0.1", () => console.log("ready"));`;
  await lab.script("gw", collector);
  const scraper = `
    const { get } = require("node:http");
    setInterval(() => get("http://127.0.0.1:9469/metrics", (answer) => answer.resume()).on("error", () => {}), 1000);
    console.log("ready");`;
  await lab.script("gw", scraper);
}

interface Run {
  /** Millions of packets a second. */
  readonly mpps: number;
  /** CPU nanoseconds a packet, of sender and gateway. */
  readonly cpu: number;
  readonly exported: number;
  readonly lost: number;
}

async function measure(isWatched: boolean): Promise<Run> {
  const box = await openBox("packet", isWatched ? WATCHED : {});
  try {
    if (isWatched) await watch(box);
    const { lab } = box;
    const received = await counterOf(box);
    await lab.exec("in", ...(await blast(box, FLOWS, FLOWS / RATE + 0.05, { rate: RATE })));
    await sleep(200);
    const command = await blast(box, FLOWS, SECONDS * 1.5 + 0.1, { new: EACH_NEW });
    const { packets, seconds, cpu } = await whileSending(box, received, command, SECONDS);
    const figure = (text: string, name: string) =>
      Number(new RegExp(`^${name}\\{to="ipfix"\\} (\\d+)`, "m").exec(text)?.[1] ?? 0);
    const text = isWatched ? await lab.exec("gw", "curl", "-s", "http://127.0.0.1:9469/metrics") : "";
    const events = Number(/^napt_events_lost_total (\d+)/m.exec(text)?.[1] ?? 0);
    return {
      mpps: packets / seconds / 1e6,
      cpu: cpu / packets,
      exported: figure(text, "napt_export_events_total"),
      lost: figure(text, "napt_export_lost_events_total") + events,
    };
  } finally {
    await box.lab.close();
  }
}

async function main(): Promise<void> {
  const missing = whyNoLab("nft", "curl", "ping") || buildNative(["napt_blast"]);
  if (missing) throw new Error(missing);
  const table = new Table({
    head: [
      "round",
      "M packets/s",
      "watched",
      "ratio",
      "CPU ns a packet",
      "watched",
      "events exported",
      "lost",
    ],
    style: { head: [], border: [] },
  });
  const ratios: number[] = [];
  for (let round = 0; round < (quick ? 1 : runs); round++) {
    // What drifts does not always favour the same.
    const order = round % 2 === 0 ? [false, true] : [true, false];
    const found = new Map<boolean, Run>();
    for (const isWatched of order) found.set(isWatched, await measure(isWatched));
    const [plain, watched] = [found.get(false)!, found.get(true)!];
    ratios.push(watched.mpps / plain.mpps);
    const cells = [plain.mpps, watched.mpps, watched.mpps / plain.mpps].map((value) => value.toFixed(3));
    const cpu = [plain.cpu, watched.cpu].map((value) => value.toFixed(0));
    table.push([round + 1, ...cells, ...cpu, watched.exported, watched.lost]);
  }
  console.log(table.toString());
  console.log(
    `watched to not: ${median(ratios).toFixed(3)} (${Math.min(...ratios).toFixed(3)} to ${Math.max(...ratios).toFixed(3)})`,
  );
}

main().catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
