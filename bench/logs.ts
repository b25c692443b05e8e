// `npm run bench:logs`: whether a log keeps up with a NAT in the same thread, on loopback, and whether any event is lost;
// the receiver counts in a thread of its own.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import Table from "cli-table3";
import { Command } from "commander";
import type { EventLog } from "../src/logs/event-log.js";
import { WAITING_EVENTS } from "../src/logs/exports.js";
import { IpfixExporter } from "../src/logs/ipfix.js";
import { JsonLog } from "../src/logs/json-log.js";
import { SyslogExporter } from "../src/logs/syslog.js";
import { Nat } from "../src/nat.js";
import { setHeaderChecksum, udp } from "../test/support/packets.js";

const { quick, rate } = new Command("bench:logs")
  .option("--quick", "run everything for a fraction of a second, to see that it works", false)
  .option("--rate <n>", "events a second", Number, 100_000)
  .parse()
  .opts<{ quick: boolean; rate: number }>();

/** Flows, each of which is opened and expires. */
const FLOWS = (rate / 2) * (quick ? 0.5 : 5);
/** Milliseconds from one burst of new flows to the next. */
const TICK = 20;
/** Milliseconds that a flow lives. */
const LIFE = 1000;

/** Counts what comes on a UDP and on a TCP port: IPFIX records by their set lengths, syslog messages by their begin. */
const RECEIVER = `
const { parentPort } = require("node:worker_threads");
const COUNT = { ipfix: (bytes) => {
  let records = 0;
  for (let at = 16; at + 4 <= bytes.length; ) {
    const id = bytes.readUInt16BE(at), length = bytes.readUInt16BE(at + 2);
    if (id === 256) records += (length - 4) / 28;
    if (id === 257) records += (length - 4) / 22;
    at += length;
  }
  return records;
}, syslog: (bytes) => { let n = 0; for (let at = -1; (at = bytes.indexOf("[nat@", at + 1)) >= 0; ) n++; return n; } };
let kind = "ipfix", received = 0, rest = Buffer.alloc(0);
const udp = require("node:dgram").createSocket({ type: "udp4", recvBufferSize: 4 << 20 });
udp.on("message", (bytes) => { received += COUNT[kind](bytes); });
const tcp = require("node:net").createServer((socket) => socket.on("data", (bytes) => {
  let all = Buffer.concat([rest, bytes]);
  if (kind === "syslog") { received += COUNT.syslog(all); const last = all.lastIndexOf("[nat@"); rest = all.subarray(last + 5); return; }
  while (all.length >= 16 && all.readUInt16BE(2) <= all.length) {
    const length = all.readUInt16BE(2);
    received += COUNT.ipfix(all.subarray(0, length));
    all = all.subarray(length);
  }
  rest = all;
}));
udp.bind(0, "127.0.0.1", () => tcp.listen(0, "127.0.0.1", () => parentPort.postMessage([udp.address().port, tcp.address().port])));
parentPort.on("message", (what) => {
  if (what === "count") parentPort.postMessage(received);
  else { kind = what; received = 0; rest = Buffer.alloc(0); }
});
`;

/** A NAT with as many new flows as make for the rate; done when all have expired. */
async function work(nat: Nat): Promise<void> {
  const packet = udp({ src: "192.168.226.135:1", dst: "198.51.100.7:53" });
  const view = new DataView(packet.buffer);
  const fresh = packet.slice();
  const begin = performance.now();
  for (let opened = 0; opened < FLOWS || nat.conntrack.size > 0; await sleep(TICK)) {
    const now = performance.now();
    // Late by much, it goes on a little faster, not all at once.
    const due = Math.min(FLOWS, Math.floor(((now - begin) * rate) / 2000), opened + rate / 10);
    for (; opened < due; opened++) {
      packet.set(fresh);
      view.setUint16(14, opened >>> 8); // the host
      view.setUint16(20, 1024 + (opened & 0xff)); // its port
      setHeaderChecksum(packet, 0);
      if (nat.translate(packet, { now }).verdict !== "forwarded") throw new Error("a flow was refused");
    }
    nat.conntrack.sweep(now);
  }
}

async function main(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "napt-logs-"));
  const receiver = new Worker(RECEIVER, { eval: true });
  const answer = <T>() => new Promise<T>((resolve) => receiver.once("message", resolve));
  const [udp, tcp] = await answer<[number, number]>();
  const path = join(directory, "events");
  const logs: [name: string, kind: string, make: () => EventLog][] = [
    ["IPFIX, UDP", "ipfix", () => new IpfixExporter({ to: `udp://127.0.0.1:${udp}`, what: "sessions" })],
    ["IPFIX, TCP", "ipfix", () => new IpfixExporter({ to: `tcp://127.0.0.1:${tcp}`, what: "sessions" })],
    ["syslog, UDP", "syslog", () => new SyslogExporter({ to: `udp://127.0.0.1:${udp}`, what: "sessions" })],
    ["syslog, TCP", "syslog", () => new SyslogExporter({ to: `tcp://127.0.0.1:${tcp}`, what: "sessions" })],
    ["JSON file", "", () => new JsonLog({ path, what: "sessions" })],
  ];
  const table = new Table({
    head: ["log", "events/s", "received", "lost and counted", "lost elsewhere", "CPU of the process"],
  });
  for (const [name, kind, make] of logs) {
    receiver.postMessage(kind);
    const log = make();
    await sleep(200);
    const nat = new Nat({
      inside: ["192.168.0.0/16"],
      outside: ["203.0.113.0/28"],
      timeouts: { udp: LIFE / 1000 },
      verifyHeaderChecksum: false,
    });
    const following = log.follow(nat.conntrack.events({ types: log.types, capacity: WAITING_EVENTS }));
    const [begin, cpu] = [performance.now(), process.cpuUsage()];
    await work(nat);
    const seconds = (performance.now() - begin) / 1000;
    const { user, system } = process.cpuUsage(cpu);
    nat.close();
    await following;
    await log.close();
    await sleep(500);
    receiver.postMessage("count");
    const received = kind === "" ? readFileSync(path, "utf8").split("\n").length - 2 : await answer<number>();
    const load = `${Math.round((user + system) / 1e4 / seconds)} %`;
    const { lost } = log.stats;
    const elsewhere = 2 * FLOWS - received - lost;
    table.push([name, Math.round((2 * FLOWS) / (seconds - LIFE / 1000)), received, lost, elsewhere, load]);
  }
  process.stdout.write(`${table.toString()}\n`);
  await receiver.terminate();
  rmSync(directory, { recursive: true });
}

void main();
