// Guests on a socket: real stacks behind it, and such as do what no guest should.
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { once } from "node:events";
import { statSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { INSIDE_GATEWAY, Lab, OUTSIDE_HOST, PUBLIC, type Running, until, whyNoLab } from "./lab.js";

const skip = whyNoLab("python3", "ping", "curl");

const MAC = "02:00:00:00:01:01";
const GUEST = "192.168.226.135";
const OTHER = "192.168.226.136";
const socketOf = (lab: Lab) => lab.path("guests.sock");
const guests = (lab: Lab) => ({ inside: { qemu: socketOf(lab), address: `${INSIDE_GATEWAY}/24` } });

/** Tells who asks, and how much he sent; sends as much as he asks for. */
const WEB = `
  require("node:http").createServer(async (request, answer) => {
    let bytes = 0;
    for await (const chunk of request) bytes += chunk.length;
    const wanted = Number(request.url.slice(1));
    if (wanted > 0) answer.end(Buffer.alloc(wanted, "napt"));
    else answer.end(request.socket.remoteAddress.replace("::ffff:", "") + " " + bytes);
  }).listen(8000, () => console.log("ready"));`;

/** A guest in a namespace: its stack, by a TAP device. */
async function connectGuest(lab: Lab, place: string, mac: string, address: string): Promise<Running> {
  const bridge = join(__dirname, "guest.py");
  const running = await lab.start(place, /^ready/, "python3", bridge, socketOf(lab), "eth0", mac);
  await lab.exec(place, "ip", "addr", "add", `${address}/24`, "dev", "eth0");
  await lab.exec(place, "ip", "route", "replace", "default", "via", INSIDE_GATEWAY);
  return running;
}

/** A lab with two guests. */
async function guestLab(): Promise<Lab> {
  const lab = await Lab.create();
  for (const place of ["vm1", "vm2"]) await lab.add(place);
  return lab;
}

/** A guest that sends what it is told to. */
async function rawGuest(lab: Lab): Promise<Socket> {
  const socket = connect(socketOf(lab));
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

const framed = (frame: Uint8Array) => {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(frame.length);
  return Buffer.concat([length, frame]);
};

async function portCounts(lab: Lab): Promise<Record<string, number>> {
  return JSON.parse(await lab.ask("status", "--json")).gateway.inside;
}

test("guests reach the outside, each other and the gateway; nobody else may connect", { skip }, async () => {
  await using lab = await guestLab();
  await lab.gateway({}, guests(lab));
  equal(statSync(socketOf(lab)).mode & 0o777, 0o600);
  await lab.script("out", WEB);
  await connectGuest(lab, "vm1", MAC, GUEST);
  await connectGuest(lab, "vm2", "02:00:00:00:01:02", OTHER);
  for (const to of [INSIDE_GATEWAY, OUTSIDE_HOST, OTHER]) {
    match(await lab.exec("vm1", "ping", "-c", "2", "-i", "0.2", to), / 0% packet loss/);
  }
  // Both ways: the uplink brings super-packets, which a guest's card would not take.
  const upload = `head -c 3000000 /dev/zero | curl -sS --data-binary @/dev/stdin http://${OUTSIDE_HOST}:8000/`;
  equal(await lab.exec("vm1", "sh", "-c", upload), `${PUBLIC} 3000000`);
  const download = await lab.exec("vm2", "curl", "-sS", `http://${OUTSIDE_HOST}:8000/3000000`);
  equal(download.length, 3_000_000);
  equal(download, "napt".repeat(750_000));
});

test("a guest that goes away and comes back keeps its sessions", { skip }, async () => {
  await using lab = await guestLab();
  await lab.gateway({}, guests(lab));
  const echo = `require("node:net").createServer((s) => s.pipe(s)).listen(7, () => console.log("ready"));`;
  await lab.script("out", echo);
  const bridge = await connectGuest(lab, "vm1", MAC, GUEST);
  // The guest's stack stays: its address is on a device of its own.
  await lab.exec("vm1", "ip", "addr", "add", `${GUEST}/32`, "dev", "lo");
  const talk = await lab.script(
    "vm1",
    `
    const socket = require("node:net").connect({ port: 7, host: "${OUTSIDE_HOST}", localAddress: "${GUEST}" },
      () => console.log("ready"));
    let heard = 0;
    socket.on("data", () => console.log("heard " + ++heard));
    socket.on("close", () => console.log("closed"));
    setInterval(() => socket.write("x"), 50);`,
  );
  const heard = () => talk.output().split("heard").length;
  await until("an echo", () => heard() > 3);
  await lab.end(bridge);
  await connectGuest(lab, "vm1", MAC, GUEST);
  const before = heard();
  await until("echoes after it came back", () => heard() > before + 10);
  ok(!talk.output().includes("closed"));
});

test("a guest that does not read, and such as send nonsense, harm only themselves", { skip }, async () => {
  await using lab = await guestLab();
  const gateway = await lab.gateway({}, guests(lab));
  await lab.script("out", WEB);
  await connectGuest(lab, "vm1", MAC, GUEST);

  // Its address is its own once it has used it.
  match(await lab.exec("vm1", "ping", "-c", "1", INSIDE_GATEWAY), / 0% packet loss/);

  // It floods its segment with broadcasts that another one never reads.
  const deaf = await rawGuest(lab);
  deaf.pause();
  const flood = Buffer.alloc(1400, 0xff);
  flood.set([2, 0, 0, 0, 2, 1], 6);
  const loud = await rawGuest(lab);
  for (let i = 0; i < 2000; i++) loud.write(framed(flood));
  await until(
    "frames for the one that does not read are dropped",
    async () => (await portCounts(lab)).refused! > 0,
  );

  // A frame in another's name, and in the gateway's.
  const thief = await rawGuest(lab);
  const stolen = Buffer.alloc(60, 0xff);
  stolen.set([2, 0, 0, 0, 1, 1], 6);
  thief.write(framed(stolen));
  stolen.set([2, 0, 192, 168, 226, 2], 6);
  thief.write(framed(stolen));
  await until("stolen addresses are counted", async () => (await portCounts(lab)).spoofed === 2);

  // What is no length ends the connection; too short a frame does not.
  const lost = await rawGuest(lab);
  lost.write(Buffer.concat([framed(Buffer.alloc(3)), Buffer.from([0xff, 0xff, 0xff, 0xff])]));
  lost.resume();
  await once(lost, "close");

  // And all at once, in pieces of any size.
  const noise = await rawGuest(lab);
  for (let i = 0; i < 400; i++) {
    const frame = Buffer.from(Array.from({ length: 14 + (i % 90) }, (_, at) => (at * 31 + i * 7) & 255));
    frame.set([2, 0, 192, 168, 226, 2, 2, 0, 0, 0, 3, 1, 8, i % 3 === 0 ? 6 : 0], 0);
    const bytes = framed(frame);
    noise.write(bytes.subarray(0, 1 + (i % 9)));
    noise.write(bytes.subarray(1 + (i % 9)));
  }
  await sleep(100);
  const upload = `head -c 1000000 /dev/zero | curl -sS --data-binary @/dev/stdin http://${OUTSIDE_HOST}:8000/`;
  equal(await lab.exec("vm1", "sh", "-c", upload), `${PUBLIC} 1000000`);
  for (const socket of [deaf, loud, thief, noise]) socket.destroy();
  equal(await lab.end(gateway), 0);
});

test("a socket that is in use, or can't be made, is told; one that was left is taken over", {
  skip,
}, async () => {
  await using lab = await guestLab();
  const gateway = await lab.gateway({}, guests(lab));
  const elsewhere = { outside: { interface: "lo", address: `${PUBLIC}/24` }, control: lab.path("c2") };
  equal(
    await lab.complaint({}, { ...guests(lab), ...elsewhere }),
    `1 napt: can't make the socket "${socketOf(lab)}": Address already in use; another gateway listens there`,
  );
  await lab.end(gateway, "SIGKILL");
  ok(statSync(socketOf(lab)).isSocket());
  await lab.gateway({}, guests(lab));
  await connectGuest(lab, "vm1", MAC, GUEST);
  match(await lab.exec("vm1", "ping", "-c", "1", OUTSIDE_HOST), / 0% packet loss/);
  const nowhere = { inside: { qemu: "/nowhere/at/all", address: `${INSIDE_GATEWAY}/24` } };
  match(
    await lab.complaint({}, { ...nowhere, control: lab.path("c2") }),
    /^1 .*"\/nowhere\/at\/all": No such file or directory; its directory has to be there/,
  );
  deepEqual(await portCounts(lab).then(({ spoofed }) => spoofed), 0);
});
