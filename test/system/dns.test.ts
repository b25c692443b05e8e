// The gateway's DNS forwarder, asked by dig.
import { equal, match, ok } from "node:assert/strict";
import { test } from "node:test";
import { INSIDE_GATEWAY, INSIDE_HOST, Lab, OUTSIDE_HOST, until, whyNoLab } from "./lab.js";

const skip = whyNoLab("dig", "ping");

/** A resolver that knows one name, and answers `big.example` with more than a packet holds. */
const resolver = (address: string, at: string) => `
const socket = require("node:dgram").createSocket("udp4");
socket.on("message", (query, { port, address }) => {
  let end = 12;
  const labels = [];
  while (query[end] !== 0) { labels.push(query.toString("latin1", end + 1, end + 1 + query[end])); end += query[end] + 1; }
  const question = query.subarray(12, end + 5);
  const name = labels.join(".");
  const known = { "www.example": 1, "big.example": 100 }[name] ?? 0;
  const header = Buffer.from([query[0], query[1], 0x81, known ? 0x80 : 0x83, 0, 1, 0, known, 0, 0, 0, 0]);
  const answer = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ${at}]);
  // First a lie with the right id, as from one who guesses: not what was asked.
  const lie = Buffer.from(question);
  lie[1] ^= 1;
  socket.send(Buffer.concat([header, lie, answer]), port, address);
  socket.send(Buffer.concat([header, question, ...Array(known).fill(answer)]), port, address);
});
socket.bind(53, "${address}", () => console.log("ready"));`;

const config = (servers: string[]) => ({
  inside: { interface: "gin0", address: `${INSIDE_GATEWAY}/24`, dns: { servers } },
});
const dig = (lab: Lab, ...args: string[]) =>
  lab.exec("in", "dig", `@${INSIDE_GATEWAY}`, "+tries=1", "+time=10", "+ignore", "+noedns", ...args);

test("names are found through the first resolver that answers; lies are not believed", { skip }, async () => {
  await using lab = await Lab.create();
  await lab.script("gw", resolver("127.0.0.2", "192, 0, 2, 7"));
  // 127.0.0.1 refuses, 192.0.2.1 leads nowhere.
  await lab.gateway({}, config(["127.0.0.1", "192.0.2.1", "127.0.0.2"]));
  equal((await dig(lab, "+short", "www.example")).trim(), "192.0.2.7");
  match(await dig(lab, "nowhere.example"), /status: NXDOMAIN/);
});

test("what is too long for a packet comes cut; where nobody answers the client is told so", {
  skip,
}, async () => {
  await using lab = await Lab.create();
  const upstream = await lab.script("gw", resolver("127.0.0.2", "192, 0, 2, 7"));
  await lab.gateway({}, config(["127.0.0.2"]));
  match(await dig(lab, "big.example"), /flags: qr tc rd/);
  await lab.end(upstream, "SIGKILL");
  match(await dig(lab, "www.example"), /status: SERVFAIL/);
});

/** A resolver that says nothing, but what it is asked. */
const silent = (address: string) => `
const socket = require("node:dgram").createSocket("udp4");
socket.on("message", () => console.log("asked"));
socket.bind(53, "${address}", () => console.log("ready"));`;

test("a silent resolver is passed over, and not asked first again", { skip }, async () => {
  await using lab = await Lab.create();
  const dead = await lab.script("gw", silent("127.0.0.3"));
  await lab.script("gw", resolver("127.0.0.2", "192, 0, 2, 7"));
  await lab.gateway({}, config(["127.0.0.3", "127.0.0.2"]));
  for (let i = 0; i < 3; i++) equal((await dig(lab, "+short", "www.example")).trim(), "192.0.2.7");
  equal(dead.output(), "ready\nasked\n");
});

test("where all resolvers are silent the clients are told so in the end, and nothing else waits", {
  skip,
}, async () => {
  await using lab = await Lab.create();
  await lab.script("gw", silent("127.0.0.3"));
  await lab.gateway({}, config(["127.0.0.3"]));
  // More than are handed on at once, again and again, by one host that does not care for answers.
  const other = "192.168.226.136";
  await lab.exec("in", "ip", "addr", "add", `${other}/24`, "dev", "in0");
  const many = await lab.script(
    "in",
    `
    const socket = require("node:dgram").createSocket("udp4");
    const query = (id) => Buffer.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 97, 0, 0, 1, 0, 1]);
    let failed = 0;
    socket.on("message", (answer) => { if ((answer[3] & 15) === 2) console.log("failed " + ++failed); });
    socket.bind(0, "${INSIDE_HOST}", () => {
      const ask = () => {
        for (let id = 0; id < 120; id++) socket.send(query(id), 53, "${INSIDE_GATEWAY}");
      };
      ask();
      setInterval(ask, 10);
      console.log("ready");
    });`,
  );
  let received = 0;
  for (const host of [INSIDE_GATEWAY, OUTSIDE_HOST]) {
    const report = await lab.exec("in", "ping", "-I", other, "-c", "20", "-i", "0.05", host);
    received += Number(/(\d+) received/.exec(report)![1]);
  }
  // What a busy machine lost before the gateway saw it is nobody's fault here.
  const { gateway } = JSON.parse(await lab.ask("status", "--json"));
  ok(
    received >= Math.max(30, 40 - gateway.inside.lost),
    `${received} of 40 answers, ${gateway.inside.lost} frames lost`,
  );
  await until("a client is told", () => many.output().includes("failed"));
  match(await dig(lab, "-b", other, "+time=20", "www.example"), /status: SERVFAIL/);
});
