// As many connections as the NAT may have, and what becomes of them when it is killed.
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { existsSync, statSync } from "node:fs";
import { test } from "node:test";
import { Lab, OUTSIDE_HOST, until, whyNoLab } from "./lab.js";

const skip = whyNoLab("ping");
/** Each remote port is a process on either side, as a process has only so many files. */
const PORTS = [8001, 8002, 8003, 8004, 8005];
const EACH = 10_000;
const MANY = PORTS.length * EACH;

const server = (port: number) => `
require("node:net").createServer((socket) => socket.pipe(socket).on("error", () => {}))
  .listen({ port: ${port}, backlog: 1024 }, () => console.log("ready"));`;

/** Opens connections, then when told to says a word on each; a few at a time, as nothing should be lost. */
const client = (port: number) => `
const sockets = [];
let begun = 0, said = 0, echoed = 0, rounds = 0;
const lost = (error) => console.log("lost " + (error?.message ?? ""));
const open = () => {
  if (begun++ >= ${EACH}) return;
  const socket = require("node:net").connect(${port}, "${OUTSIDE_HOST}", () => {
    if (sockets.push(socket) === ${EACH}) console.log("established");
    open();
  });
  socket.on("error", lost).on("end", lost).on("data", () => {
    if (++echoed === ${EACH}) console.log("echoed " + ++rounds);
    say();
  });
};
const say = () => sockets[said++]?.write("word");
process.on("SIGUSR2", () => {
  said = echoed = 0;
  for (let i = 0; i < 50; i++) say();
});
for (let i = 0; i < 50; i++) open();
console.log("ready");`;

test(`${MANY} connections stand at once, and each carries data, also after the gateway was killed`, {
  skip,
}, async () => {
  await using lab = await Lab.create();
  const file = lab.path("sessions");
  const start = () => lab.gateway({ limits: { sessions: MANY } }, { sessions: { file, every: 1 } });
  const first = await start();
  await Promise.all(PORTS.map((port) => lab.script("out", server(port))));
  const clients = await Promise.all(PORTS.map((port) => lab.script("in", client(port))));
  const allSay = (word: string) =>
    until(`all say ${word}`, () => clients.every(({ output }) => output().includes(word)));
  await allSay("established");
  const each = () => {
    for (const { process } of clients) process.kill("SIGUSR2");
  };
  each();
  await allSay("echoed 1");
  const status = async () => JSON.parse(await lab.ask("status", "--json"));
  const { sessions } = (await status()).nat;
  deepEqual([sessions.active, sessions.created], [MANY, MANY]);
  await rejects(lab.exec("in", "ping", "-c", "1", "-W", "1", OUTSIDE_HOST));
  ok((await status()).nat.drops["session-limit"] > 0);

  await until("they are written", () => existsSync(file));
  // What is written now began before this; so it takes two for one that has them all.
  for (let times = 0; times < 2; times++) {
    const { mtimeMs } = statSync(file);
    await until("they are written anew", () => statSync(file).mtimeMs > mtimeMs);
  }
  // Their data is under way while nobody translates it.
  each();
  equal(await lab.end(first, "SIGKILL"), null);
  const second = await start();
  match(second.output(), new RegExp(`napt: sessions: ${MANY} restored, 0 expired meanwhile, 0 refused`));
  await allSay("echoed 2");
  equal((await status()).nat.sessions.active, MANY);
  equal(clients.map(({ output }) => output().match(/lost.*/g)).join(""), "");
});
