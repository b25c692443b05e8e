// UDP hole punching (RFC 5128, section 3.3) between hosts behind gateways: a rendezvous server outside tells each
// where the other seems to be, and both send until they hear each other.
import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { INSIDE_GATEWAY, Lab, OUTSIDE_HOST, PUBLIC, type Running, until, whyNoLab } from "./lab.js";

const skip = whyNoLab();
const OTHER_PUBLIC = "198.51.100.1";
const OTHER_ROUTER = "198.51.100.8";

/** "<row>" from two hosts: each is told where the other was seen. */
const RENDEZVOUS = `
const socket = require("node:dgram").createSocket("udp4");
const seen = {};
socket.on("message", (row, { address, port }) => {
  const peers = (seen[row] ??= []);
  if (!peers.some((peer) => peer.address === address && peer.port === port)) peers.push({ address, port });
  if (peers.length < 2) return;
  peers.forEach((peer, i) => socket.send(JSON.stringify(peers[1 - i]), peer.port, peer.address));
});
socket.bind(3478, "${OUTSIDE_HOST}", () => console.log("ready"));`;

/** A host for each row, with an address of its own; tells whose peer has heard it, and who has tried for a while. */
const peers = (rows: readonly (readonly [row: number, address: string])[]) => `
for (const [row, local] of ${JSON.stringify(rows)}) {
  const socket = require("node:dgram").createSocket("udp4");
  let peer, sent = 0, heard = false;
  setInterval(() => {
    if (peer === undefined) return socket.send(String(row), 3478, "${OUTSIDE_HOST}");
    socket.send("hello", peer.port, peer.address);
    if (++sent === 40) console.log(row + " tried");
  }, 50);
  socket.on("message", (data, from) => {
    if (data[0] === 0x7b) peer ??= JSON.parse(data);
    else if (data.equals(Buffer.from("hello"))) {
      peer = from; // where it really is
      socket.send("heard you", from.port, from.address);
    } else if (!heard) {
      heard = true;
      console.log(row + " punched");
    }
  });
  socket.bind(0, local);
}
console.log("ready");`;

const EI = "endpoint-independent";
const AD = "address-dependent";
const APD = "address-and-port-dependent";

interface Row {
  /** Mapping and filtering of both. */
  readonly one: readonly [string, string];
  readonly other: readonly [string, string];
  readonly punched: boolean;
}

const hostOf = (row: number) => `192.168.226.${10 + row}`;
const policiesOf = (behaviours: readonly (readonly [string, string])[], more: object = {}) =>
  behaviours.map(([mapping, filtering], i) => ({ inside: [`${hostOf(i)}/32`], mapping, filtering, ...more }));

/** Which rows have punched through, when all have tried, and as long as some don't that should. */
async function results(running: readonly Running[], expected: readonly boolean[]): Promise<boolean[][]> {
  const told = ({ output }: Running, line: string) => output().split("\n").includes(line);
  await until("all have tried, and who should have punched through", () =>
    running.every((one) =>
      expected.every(
        (punched, row) => told(one, `${row} tried`) && (!punched || told(one, `${row} punched`)),
      ),
    ),
  );
  return running.map((one) => expected.map((_, row) => told(one, `${row} punched`)));
}

test("behind two gateways it works as their behaviours allow", { skip }, async () => {
  const rows: readonly Row[] = [
    { one: [EI, EI], other: [EI, EI], punched: true },
    { one: [EI, AD], other: [EI, AD], punched: true },
    { one: [EI, APD], other: [EI, APD], punched: true },
    { one: [EI, EI], other: [EI, APD], punched: true },
    { one: [EI, AD], other: [APD, APD], punched: true },
    { one: [APD, EI], other: [APD, EI], punched: true },
    { one: [EI, APD], other: [APD, APD], punched: false },
    { one: [APD, AD], other: [APD, AD], punched: false },
    { one: [APD, APD], other: [APD, APD], punched: false },
  ];
  await using lab = await Lab.create();
  // The other gateway is beyond a router, which the outside host is.
  await lab.add("in2");
  await lab.add("gw2");
  await lab.join(["in2", "in0"], ["gw2", "gin0"]);
  await lab.join(["out", "out1"], ["gw2", "gout0"]);
  await lab.exec("out", "ip", "addr", "add", `${OTHER_ROUTER}/24`, "dev", "out1");
  await lab.exec("out", "sysctl", "-qw", "net.ipv4.ip_forward=1");
  await lab.exec("in2", "ip", "addr", "add", "192.168.226.9/24", "dev", "in0");
  await lab.exec("in2", "ip", "route", "add", "default", "via", INSIDE_GATEWAY);
  for (const i of rows.keys()) {
    for (const place of ["in", "in2"]) {
      await lab.exec(place, "ip", "addr", "add", `${hostOf(i)}/24`, "dev", "in0");
    }
  }
  await lab.gateway(
    { policies: policiesOf(rows.map(({ one }) => one)) },
    { outside: { interface: "gout0", address: `${PUBLIC}/24`, router: OUTSIDE_HOST } },
  );
  const otherConfig = lab.configFile(
    { outside: [OTHER_PUBLIC], policies: policiesOf(rows.map(({ other }) => other)) },
    {
      outside: { interface: "gout0", address: `${OTHER_PUBLIC}/24`, router: OTHER_ROUTER },
      control: lab.path("control2.sock"),
    },
    "gateway2",
  );
  await lab.start("gw2", /^ready/, ...lab.command("gateway", "--config", otherConfig));
  await lab.script("out", RENDEZVOUS);
  const hosts = rows.map((_, i) => [i, hostOf(i)] as const);
  const running = [await lab.script("in", peers(hosts)), await lab.script("in2", peers(hosts))];
  const expected = rows.map(({ punched }) => punched);
  deepEqual(await results(running, expected), [expected, expected]);
});

test("behind one gateway it works by hairpin, where that is on", { skip }, async () => {
  const filterings = [EI, AD, APD];
  const halves = filterings.map((filtering) => [EI, filtering] as const);
  const hosts = [...halves, ...halves];
  const rows = halves.length;
  await using lab = await Lab.create();
  for (const i of hosts.keys()) await lab.exec("in", "ip", "addr", "add", `${hostOf(i)}/24`, "dev", "in0");
  const attempt = async (hairpinning: boolean) => {
    const gateway = await lab.gateway({ policies: policiesOf(hosts, { hairpinning }) });
    const server = await lab.script("out", RENDEZVOUS);
    const sides = [0, rows].map((from) => halves.map((_, i) => [i, hostOf(from + i)] as const));
    const running = await Promise.all(sides.map((side) => lab.script("in", peers(side))));
    const expected = halves.map(() => hairpinning);
    deepEqual(await results(running, expected), [expected, expected]);
    for (const one of [...running, server, gateway]) await lab.end(one);
  };
  await attempt(true);
  await attempt(false);
});
