// At full load for long, with sessions that come and go: nothing is lost, and nothing grows.
// NAPT_SOAK_SECONDS=600 for ten minutes (`npm run test:soak`); an ordinary run has a few seconds of it.
import { equal, ok } from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { askOnce } from "../../src/cli/control-client.js";
import type { GatewayStatus } from "../../src/index.js";
import { Lab, OUTSIDE_HOST, whyNoLab } from "./lab.js";

const SECONDS = Number(process.env.NAPT_SOAK_SECONDS ?? 6);
const SAMPLES = 12;
/** Connections that last. */
const LASTING = 200;

/** An echo for all ports and protocols. */
const SERVER = `
const echo = (socket) => socket.pipe(socket).on("error", () => {});
require("node:net").createServer(echo).listen({ port: 7, backlog: 1024 }, () => console.log("ready"));
const udp = require("node:dgram").createSocket("udp4");
udp.on("message", (data, { port, address }) => udp.send(data, port, address)).bind(7);`;

/** Connections that last: each says a word a second, and hears it again. */
const LASTS = `
let open = 0, said = 0, heard = 0;
for (let i = 0; i < ${LASTING}; i++) {
  const socket = require("node:net").connect(7, "${OUTSIDE_HOST}", () => {
    if (++open === ${LASTING}) console.log("ready");
    setInterval(() => { if (!ending) { said++; socket.write("word"); } }, 1000);
  });
  socket.on("data", (data) => { heard += data.length / 4; });
  for (const end of ["error", "close"]) socket.on(end, () => console.log("lost: " + end));
}
let ending = false;
process.on("SIGUSR2", () => {
  ending = true;
  setInterval(() => { if (said === heard) { console.log("all " + said + " heard"); process.exit(); } }, 100);
});`;

/** Sessions that come and go: connections with a word, and datagrams from ever new ports. */
const CHURN = `
const { connect } = require("node:net");
const { createSocket } = require("node:dgram");
let done = 0, failed = 0;
const tcp = () => {
  const socket = connect(7, "${OUTSIDE_HOST}", () => socket.write("word"));
  // A reset: ports that wait for the end of connections would run out.
  socket.on("data", () => { done++; socket.resetAndDestroy(); setImmediate(tcp); });
  socket.on("error", () => { failed++; setTimeout(tcp, 10); });
};
const udp = () => {
  const socket = createSocket("udp4");
  const end = () => { clearTimeout(timer); socket.close(); setImmediate(udp); };
  const timer = setTimeout(() => { failed++; end(); }, 5000);
  socket.on("message", () => { done++; end(); });
  socket.send("word", 7, "${OUTSIDE_HOST}");
};
for (let i = 0; i < 8; i++) { tcp(); udp(); }
process.on("SIGUSR2", () => { console.log("done " + done + ", failed " + failed); process.exit(); });
console.log("ready");`;

interface Sample {
  readonly second: number;
  readonly megabytes: number;
  readonly files: number;
  readonly sessions: number;
  readonly created: number;
}

test(`${SECONDS} s at full load lose no session, no memory and no file`, {
  skip: whyNoLab("iperf3"),
}, async (context) => {
  await using lab = await Lab.create();
  // So that what ends is gone within the test's first part.
  const quick = { udp: 1, tcpTransitory: 1, tcpTimeWait: 1 };
  const gateway = await lab.gateway({ timeouts: quick });
  await lab.script("out", SERVER);
  await lab.start("out", /listening/, "iperf3", "-s", "--forceflush");
  const lasting = await lab.script("in", LASTS);
  const churn = await lab.script("in", CHURN);
  const bulk = await lab.start(
    "in",
    /connected to/,
    ...(["iperf3", "--forceflush", "--bidir", "-t", String(SECONDS + 60), "-c", OUTSIDE_HOST] as const),
  );

  const { pid } = gateway.process;
  const look = async (second: number): Promise<Sample> => {
    const { nat } = await askOnce<GatewayStatus>(lab.control, "/status");
    const [, kilobytes] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))!;
    return {
      second,
      megabytes: Math.round(Number(kilobytes) / 1024),
      files: readdirSync(`/proc/${pid}/fd`).length,
      sessions: nat.sessions.active,
      created: nat.sessions.created,
    };
  };
  const samples: Sample[] = [];
  const begun = performance.now();
  for (let i = 1; i <= SAMPLES; i++) {
    await sleep(Math.max(0, (i * SECONDS * 1000) / SAMPLES - (performance.now() - begun)));
    samples.push(await look(Math.round((performance.now() - begun) / 1000)));
  }
  for (const sample of samples) context.diagnostic(JSON.stringify(sample));

  equal(bulk.process.exitCode, null, bulk.output());
  for (const { process } of [churn, lasting]) process.kill("SIGUSR2");
  const last = async (running: typeof churn) => {
    while (running.process.exitCode === null) await sleep(50);
    return running.output().trim().split("\n").at(-1)!;
  };
  const [, done, failed] = /^done (\d+), failed (\d+)$/.exec(await last(churn))!;
  context.diagnostic(`${done} sessions came and went`);
  equal(failed, "0");
  ok(Number(done) > 10 * SECONDS, `only ${done} sessions`);
  equal(/^all \d+ heard$/.test(await last(lasting)), true, lasting.output());

  // The first third is for what grows to its size.
  const later = samples.slice(SAMPLES / 3);
  const grown = later.at(-1)!.megabytes - later[0]!.megabytes;
  ok(grown < 24, `${grown} MB more`);
  const files = later.map((sample) => sample.files);
  ok(Math.max(...files) - Math.min(...files) <= 2, `${files} files`); // a connection that asks, more or less
  ok(later.every(({ sessions }) => sessions < later.at(-1)!.created));
  equal(gateway.output().replace(/^ready.*\n/, ""), "", "nothing to complain of");
  equal(await lab.end(gateway), 0);
});
