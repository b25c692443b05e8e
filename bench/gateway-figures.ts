// What is measured of a box: each work gives figures.

import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { OUTSIDE_HOST } from "../test/system/lab.js";
import { startNginx } from "../test/system/nginx.js";
import type { Box, BoxName } from "./gateway-boxes.js";
import { nativePath } from "./native.js";

/** What a figure has to be; by the kernel's in the same round, unless it is of the box's own value. */
export interface Bar {
  readonly least?: number;
  readonly most?: number;
  readonly of?: "value";
}

export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly bars?: Partial<Record<BoxName, Bar>>;
}

const tcp = (name: string, packet: number): Figure => ({
  name,
  unit: "Gbit/s",
  bars: { packet: { least: packet }, tun: { least: 0.7 } },
});
const cores = (name: string): Figure => ({ name: `${name}, CPU of the process`, unit: "cores" });
const udp = (name: string): Figure => ({ name, unit: "M packets/s", bars: { packet: { least: 1.3 } } });

/** All figures, in the order in which they are shown. */
export const FIGURES = {
  up: tcp("TCP, one stream up", 0.75),
  upCores: cores("one stream up"),
  four: tcp("TCP, four streams up", 0.85),
  fourCores: cores("four streams up"),
  down: tcp("TCP, one stream down", 0.75),
  downCores: cores("one stream down"),
  flow: udp("64-byte UDP, 1 flow"),
  thousand: udp("64-byte UDP, 1,024 flows"),
  many: udp("64-byte UDP, 61,440 flows"),
  steady: {
    name: "61,440 flows to 1 flow",
    unit: "",
    bars: { packet: { least: 0.85, of: "value" } },
  },
  fresh: udp("64-byte UDP, each packet a new flow"),
  cpu: {
    name: "CPU a packet at 80,000 packets/s, sender and box",
    unit: "ns",
    bars: { packet: { most: 1.5 } },
  },
  connections: { name: "TCP connections", unit: "a second", bars: { packet: { least: 1.2 } } },
  p50: { name: "ping, p50", unit: "us", bars: { packet: { most: 1.8 }, busy: { most: 1.8 } } },
  p99: { name: "ping, p99", unit: "us", bars: { packet: { most: 1.5 }, busy: { most: 1.5 } } },
  idle: { name: "CPU of the process, idle", unit: "%", bars: { packet: { most: 1, of: "value" } } },
} satisfies Record<string, Figure>;

export type FigureKey = keyof typeof FIGURES;
export type Figures = Partial<Record<FigureKey, number>>;

/** The length of a measurement, or a fraction of it where only that it works is to be seen. */
export type Scale = 1 | 0.05;

const USER_HZ = 100;
/** Packets a second that any box copes with. */
export const RATE = 80_000;

/** CPU seconds that a process has had, all its threads. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) / USER_HZ;
}

/** CPU nanoseconds that a process has had, all its threads: to the nanosecond, where ticks miss what is over sooner. */
function runTime(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const times = threads.map((thread) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]),
  );
  return times.reduce((sum, time) => sum + time, 0);
}

/** Gives the sender and the box a core each, where there are two. */
function pinned({ gateway }: Box, command: readonly [string, ...string[]]): [string, ...string[]] {
  if (availableParallelism() < 2) return [...command];
  if (gateway !== null)
    execFileSync("taskset", ["-apc", "1", String(gateway.process.pid)], { stdio: "ignore" });
  return ["taskset", "-c", "0", ...command];
}

/** Seconds that the machine's cores were busy, all together. */
function busySeconds(): number {
  const [, user, nice, system, , , irq, softirq] = readFileSync("/proc/stat", "utf8")
    .split(/\s+/)
    .map(Number);
  return (user! + nice! + system! + irq! + softirq!) / USER_HZ;
}

/** Cores that are busy for now. */
export async function busyCores(seconds = 0.5): Promise<number> {
  const [busy, begin] = [busySeconds(), performance.now()];
  await sleep(seconds * 1000);
  return (busySeconds() - busy) / ((performance.now() - begin) / 1000);
}

/** Cores that the box's process keeps busy while something is done; null: it has none. */
async function coresOf({ gateway }: Box, doing: () => Promise<unknown>): Promise<number | undefined> {
  const pid = gateway?.process.pid;
  const [cpu, begin] = [pid === undefined ? 0 : cpuSeconds(pid), performance.now()];
  await doing();
  if (pid === undefined) return undefined;
  return (cpuSeconds(pid) - cpu) / ((performance.now() - begin) / 1000);
}

async function streams(box: Box, scale: Scale): Promise<Figures> {
  const { lab } = box;
  await lab.start("out", /listening/, "iperf3", "-s", "--forceflush");
  const length = scale === 1 ? ["-t", "3"] : ["-n", "20M"];
  const figures: Figures = {};
  for (const [key, coresKey, ...options] of [
    ["up", "upCores"],
    ["four", "fourCores", "-P", "4"],
    ["down", "downCores", "--reverse"],
  ] as const) {
    const used = await coresOf(box, async () => {
      const report = await lab.exec("in", "iperf3", "--json", "-c", OUTSIDE_HOST, ...length, ...options);
      figures[key] = JSON.parse(report).end.sum_received.bits_per_second / 1e9;
    });
    if (used !== undefined) figures[coresKey] = used;
  }
  return figures;
}

/** What `blast` sends besides its flows' packets. */
interface Blast {
  /** Packets a second; as fast as it can without. */
  readonly rate?: number;
  /** One packet in so many is a new flow's. */
  readonly new?: number;
}

/** The command line of `blast`, from inside to outside. */
export async function blast({ lab }: Box, flows: number, seconds: number, options: Blast = {}) {
  const macOf = async (place: string, name: string): Promise<string> =>
    JSON.parse(await lab.exec(place, "ip", "-j", "link", "show", name))[0].address;
  const macs = [await macOf("in", "in0"), await macOf("gw", "gin0")];
  const given = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  // New flows are not those of before.
  const firstHost = flows === 0 ? "10.1.128.0" : "10.1.0.0";
  const what = [firstHost, OUTSIDE_HOST, String(flows), String(seconds), ...given];
  return [nativePath("napt_blast"), "in0", ...macs, ...what] as const;
}

/** Packets that came to the outside host, which has no work with them. */
export async function counterOf({ lab }: Box): Promise<() => number> {
  const rules = `
    table netdev sink {
      chain in { type filter hook ingress device out0 priority 0; ip protocol udp drop; }
    }`;
  writeFileSync(lab.path("sink.nft"), rules);
  await lab.exec("out", "nft", "-f", lab.path("sink.nft"));
  const { process } = await lab.script("out", "setInterval(() => {}, 1e6); console.log('ready')");
  return () => {
    const counters = readFileSync(`/proc/${process.pid}/net/dev`, "utf8");
    return Number(/out0: *\d+ +(\d+)/.exec(counters)![1]);
  };
}

/** Packets of a while in the midst of traffic, and CPU nanoseconds of the sender, which the kernel works in, and the box. */
export async function whileSending(
  box: Box,
  received: () => number,
  command: readonly [string, ...string[]],
  seconds: number,
): Promise<{ packets: number; seconds: number; cpu: number }> {
  const sender = await box.lab.start("in", /^sending/, ...pinned(box, command));
  const pids = [sender.process.pid!, ...(box.gateway === null ? [] : [box.gateway.process.pid!])];
  const look = () =>
    [received(), performance.now(), pids.reduce((sum, pid) => sum + runTime(pid), 0)] as const;
  await sleep(seconds * 200);
  const before = look();
  await sleep(seconds * 1000);
  const after = look();
  if (sender.process.exitCode !== null) throw new Error(`the sender has ended: ${sender.output()}`);
  await once(sender.process, "exit");
  return {
    packets: after[0] - before[0],
    seconds: (after[1] - before[1]) / 1000,
    cpu: after[2] - before[2],
  };
}

async function packets(box: Box, scale: Scale): Promise<Figures> {
  const received = await counterOf(box);
  const seconds = 1.5 * scale;
  const mpps = async (flows: number) => {
    // Each flow is there before.
    if (flows > 0)
      await box.lab.exec("in", ...(await blast(box, flows, flows / RATE + 0.05, { rate: RATE })));
    const command = await blast(box, flows, seconds * 1.5 + 0.1);
    const { packets, seconds: took } = await whileSending(box, received, command, seconds);
    return packets / took / 1e6;
  };
  const [flow, thousand, many, fresh] = [
    await mpps(1),
    await mpps(1024),
    await mpps(61_440 * scale),
    await mpps(0),
  ];
  return { flow, thousand, many, steady: many / flow, fresh };
}

/** What sender, box and sink together do for a packet. */
async function costOfPacket(box: Box, scale: Scale): Promise<Figures> {
  const received = await counterOf(box);
  const seconds = 3 * scale;
  const command = await blast(box, 1024, seconds * 1.5 + 0.1, { rate: RATE });
  const { packets, cpu } = await whileSending(box, received, command, seconds);
  return { cpu: cpu / packets };
}

async function connections({ lab }: Box, scale: Scale): Promise<Figures> {
  writeFileSync(lab.path("page"), "napt");
  await startNginx(lab);
  await lab.exec("in", "sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 65535");
  const load = ["-t", "1", "-c", "64", "-d", scale === 1 ? "3s" : "1s", "-H", "Connection: close"];
  const report = await lab.exec("in", "wrk", ...load, `http://${OUTSIDE_HOST}/page`);
  if (/Socket errors|Non-2xx/.test(report)) throw new Error(`connections failed: ${report}`);
  return { connections: Number(/^Requests\/sec: +([\d.]+)/m.exec(report)![1]) };
}

async function pings({ lab }: Box, scale: Scale): Promise<Figures> {
  const count = String(500 * scale);
  const report = await lab.exec("in", "ping", "-n", "-i", "0.002", "-c", count, OUTSIDE_HOST);
  const times = [...report.matchAll(/time=([\d.]+) ms/g)]
    .map(([, ms]) => Number(ms) * 1000)
    .sort((a, b) => a - b);
  const at = (share: number) => times[Math.floor(times.length * share)]!;
  return { p50: at(0.5), p99: at(0.99) };
}

async function idle(box: Box, scale: Scale): Promise<Figures> {
  if (box.gateway === null) return {};
  // What belongs to its start has been done by then.
  await sleep(1000 * scale);
  const used = await coresOf(box, () => sleep(3000 * scale));
  return used === undefined ? {} : { idle: used * 100 };
}

/** Each is done on a box that has done nothing before. */
export const WORKS: readonly ((box: Box, scale: Scale) => Promise<Figures>)[] = [
  streams,
  packets,
  costOfPacket,
  connections,
  pings,
  idle,
];
