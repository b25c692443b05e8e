// As many connections as the NAT may have.
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
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
let begun = 0, said = 0, echoed = 0;
const lost = (error) => console.log("lost " + (error?.message ?? ""));
const open = () => {
  if (begun++ >= ${EACH}) return;
  const socket = require("node:net").connect(${port}, "${OUTSIDE_HOST}", () => {
    if (sockets.push(socket) === ${EACH}) console.log("established");
    open();
  });
  socket.on("error", lost).on("end", lost).on("data", () => {
    if (++echoed === ${EACH}) console.log("echoed");
    say();
  });
};
const say = () => sockets[said++]?.write("word");
process.on("SIGUSR2", () => { for (let i = 0; i < 50; i++) say(); });
for (let i = 0; i < 50; i++) open();
console.log("ready");`;

test(`${MANY} connections stand at once, and each carries data; one more is refused`, {
  skip,
}, async () => {
  await using lab = await Lab.create();
  await lab.gateway({ limits: { sessions: MANY } });
  await Promise.all(PORTS.map((port) => lab.script("out", server(port))));
  const clients = await Promise.all(PORTS.map((port) => lab.script("in", client(port))));
  const allSay = (word: string) =>
    until(`all say ${word}`, () => clients.every(({ output }) => output().includes(word)));
  await allSay("established");
  for (const { process } of clients) process.kill("SIGUSR2");
  await allSay("echoed");
  const status = async () => JSON.parse(await lab.ask("status", "--json"));
  const { sessions } = (await status()).nat;
  deepEqual([sessions.active, sessions.created], [MANY, MANY]);
  await rejects(lab.exec("in", "ping", "-c", "1", "-W", "1", OUTSIDE_HOST));
  ok((await status()).nat.drops["session-limit"] > 0);
  equal(clients.map(({ output }) => output().match(/lost.*/g)).join(""), "");
});
