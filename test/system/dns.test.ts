// The gateway's DNS forwarder, asked by dig.
import { equal, match } from "node:assert/strict";
import { test } from "node:test";
import { INSIDE_GATEWAY, Lab, whyNoLab } from "./lab.js";

const skip = whyNoLab("dig");

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
