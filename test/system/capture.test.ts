// Captures of a live gateway: what is in them, as tshark reads it, and what becomes of them when things go wrong.
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { promisify } from "node:util";
import { INSIDE_HOST, Lab, OUTSIDE_HOST, PUBLIC, type Running, until, whyNoLab } from "./lab.js";

const skip = whyNoLab("ping", "curl", "tshark", "capinfos");
const run = promisify(execFile);
const SERVER = `require("node:http").createServer((_, answer) => answer.end("here")).listen(8000, () => console.log("ready"));`;

/** A gateway with options of the command line. */
function gatewayWith(
  lab: Lab,
  options: string[],
  networks: object = {},
  config: object = {},
): Promise<Running> {
  return lab.start(
    "gw",
    /^ready/,
    ...lab.command("gateway", "--config", lab.configFile(config, networks), ...options),
  );
}

interface Seen {
  readonly side: string;
  readonly comment: string;
  readonly source: string;
  readonly destination: string;
  readonly protocol: string;
  readonly length: number;
  readonly captured: number;
  readonly time: number;
}

/** What tshark makes of a capture. Fails where it finds anything wrong with it. */
async function packetsIn(path: string, filter = ""): Promise<Seen[]> {
  const fields = [
    "frame.interface_name",
    "frame.comment",
    "ip.src",
    "ip.dst",
    "_ws.col.Protocol",
    "frame.len",
  ];
  fields.push("frame.cap_len", "frame.time_epoch");
  const { stdout } = await run("tshark", [
    ...["-n", "-r", path, "-Y", filter, "-T", "fields", "-E", "occurrence=f"],
    ...fields.flatMap((field) => ["-e", field]),
  ]);
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [side = "", comment = "", source = "", destination = "", protocol = "", ...numbers] =
        line.split("\t");
      const [length = 0, captured = 0, time = 0] = numbers.map(Number);
      return { side, comment, source, destination, protocol, length, captured, time };
    });
}

const inWords = ({ side, source, destination, comment }: Seen) =>
  `${side} ${source} > ${destination} ${comment.replace(`[${PUBLIC}:`, "[public:").replace(/:\d+/g, ":port")}`;

async function ping(lab: Lab, count = 1): Promise<void> {
  await lab.exec("in", "ping", "-c", String(count), "-i", "0.05", OUTSIDE_HOST);
}

/** A packet that nobody asked for: 203.0.113.8:53 > 203.0.113.1:4000. */
async function stray(lab: Lab): Promise<void> {
  const send = `require("dgram").createSocket("udp4").bind(53, function () { this.send("x", 4000, "${PUBLIC}", () => this.close()); });`;
  await lab.exec("out", process.execPath, "-e", send);
}

const statusOf = async (lab: Lab) => JSON.parse(await lab.ask("status", "--json")).capture;

test("a gateway's capture has both sides, sessions, verdicts, and what was dropped", { skip }, async () => {
  await using lab = await Lab.create();
  const path = lab.path("both.pcapng");
  const started = Date.now() / 1000;
  const gateway = await gatewayWith(lab, ["--capture", path]);
  await ping(lab);
  await lab.script("out", SERVER);
  equal(await lab.exec("in", "curl", "-sS", `http://${OUTSIDE_HOST}:8000/`), "here");
  await stray(lab);
  await until(
    "the dropped packet",
    async () => JSON.parse(await lab.ask("status", "--json")).nat.drops["no-mapping"] === 1,
  );
  match(await lab.ask("status"), /capture .*both\.pcapng, \d+ packets written, 0 lost, 0 unwritten/);
  equal(await lab.end(gateway, "SIGINT"), 0);

  const packets = await packetsIn(path);
  deepEqual((await packetsIn(path, "icmp")).map(inWords), [
    `inside ${INSIDE_HOST} > ${OUTSIDE_HOST} outbound forwarded: icmp ${INSIDE_HOST}:port [public:port] ${OUTSIDE_HOST}`,
    `outside ${PUBLIC} > ${OUTSIDE_HOST} forwarded: it waited for its next hop`,
    `outside ${OUTSIDE_HOST} > ${PUBLIC} inbound forwarded: icmp ${INSIDE_HOST}:port [public:port] ${OUTSIDE_HOST}`,
    `inside ${OUTSIDE_HOST} > ${INSIDE_HOST} inbound forwarded: icmp ${INSIDE_HOST}:port [public:port] ${OUTSIDE_HOST}`,
  ]);
  const tcp = packets.filter(({ protocol }) => protocol === "TCP" || protocol === "HTTP").map(inWords);
  const session = `tcp ${INSIDE_HOST}:port [public:port] ${OUTSIDE_HOST}:port`;
  deepEqual(tcp.slice(0, 4), [
    `inside ${INSIDE_HOST} > ${OUTSIDE_HOST} outbound forwarded: ${session}`,
    `outside ${PUBLIC} > ${OUTSIDE_HOST} outbound forwarded: ${session}`,
    `outside ${OUTSIDE_HOST} > ${PUBLIC} inbound forwarded: ${session}`,
    `inside ${OUTSIDE_HOST} > ${INSIDE_HOST} inbound forwarded: ${session}`,
  ]);
  const said = await packetsIn(path, 'frame.comment contains "no-mapping"');
  deepEqual(said.map(inWords), [`outside ${OUTSIDE_HOST} > ${PUBLIC} inbound dropped: no-mapping`]);
  const arp = packets.filter(({ protocol }) => protocol === "ARP");
  ok(arp.some(({ side, comment }) => side === "inside" && comment === "for the gateway itself"));
  ok(arp.some(({ side, comment }) => side === "outside" && comment === "from the gateway itself"));
  ok(packets.every(({ comment }) => comment !== ""));
  ok(
    packets.every(
      ({ time }, i) => time >= started && time <= Date.now() / 1000 && time >= (packets[i - 1]?.time ?? 0),
    ),
  );

  const { stdout: about } = await run("capinfos", [path]);
  match(about, /File type: +Wireshark\/\.\.\. - pcapng\n/);
  match(about, /File encapsulation: +Ethernet\n/);
  match(about, /File timestamp precision: +nanoseconds/);
  match(about, /Number of interfaces in file: +2\n/);
  match(about, /Strict time order: +True\n/);
  match(about, new RegExp(`Number of packets: +${packets.length}\n`));
});

test("only what a filter says is in it; a snaplen cuts, and keeps the length", { skip }, async () => {
  await using lab = await Lab.create();
  const path = lab.path("drops.pcapng");
  const gateway = await gatewayWith(lab, ["--snaplen", "40"], {
    capture: { file: path, filter: `outside not arp-is-no-term` },
  }).catch((error: Error) => error.message);
  match(String(gateway), /gateway\.capture\.filter: .*"dropped not :22"/);
  match(
    await lab.napt("gateway", "--config", lab.configFile(), "--snaplen", "40"),
    /^2 napt: .*give --capture FILE/,
  );

  const right = await gatewayWith(lab, [
    "--capture",
    path,
    "--capture-filter",
    "outside icmp",
    "--snaplen",
    "40",
  ]);
  await stray(lab);
  await ping(lab, 2);
  await lab.end(right);
  const packets = await packetsIn(path);
  deepEqual(
    packets.map(({ side, source }) => `${side} ${source}`),
    [1, 2].flatMap(() => [`outside ${PUBLIC}`, `outside ${OUTSIDE_HOST}`]),
  );
  ok(packets.every(({ length, captured }) => length === 98 && captured === 40));
});

test("napt capture takes a running gateway's packets, and ends whole", { skip }, async () => {
  await using lab = await Lab.create();
  const gateway = await lab.gateway();
  const path = lab.path("live.pcapng");
  const capture = await captureOf(lab, path, "icmp", "not", "inside");
  await ping(lab, 3);
  await until("six packets", async () => (await packetsIn(path)).length === 6);
  equal(await lab.end(capture, "SIGINT"), 0);
  match(capture.output(), /^napt: 6 packets written to .*live\.pcapng$/m);
  ok((await packetsIn(path)).every(({ side, protocol }) => side === "outside" && protocol === "ICMP"));

  match(
    await lab.ask("capture", path, "tpc"),
    /^2 napt: "tpc" says nothing about packets; give inside or outside/,
  );
  match(
    await lab.ask("capture", path, "dropped:filterd"),
    /^2 napt: "dropped:filterd": there is no such drop reason/,
  );
  match(await lab.ask("capture", "/nowhere/x"), /^1 napt: \/nowhere\/x: can't be written/);

  // Whoever ends first, the file is whole.
  const killed = await captureOf(lab, lab.path("killed.pcapng"), "tcp");
  const last = await captureOf(lab, lab.path("last.pcapng"));
  await ping(lab);
  await lab.end(killed, "SIGKILL");
  equal((await packetsIn(lab.path("killed.pcapng"))).length, 0);
  await ping(lab);
  await until("both pings", async () => (await packetsIn(lab.path("last.pcapng"), "icmp")).length === 8);
  equal(await lab.end(gateway), 0);
  await until("the capture's end", () => last.process.exitCode !== null);
  equal(last.process.exitCode, 0);
  await packetsIn(lab.path("last.pcapng"));
});

test("there is an end to how many may look on, and a slow one holds nobody up", { skip }, async () => {
  await using lab = await Lab.create();
  await lab.gateway();
  const slow = await Promise.all(Array.from({ length: 8 }, () => silentReader(lab)));
  match(await lab.ask("capture", lab.path("x")), /^2 napt: tap: this Nat has as many as it may have/);
  // More than all of their buffers hold.
  const size = 60_000;
  const sink = `const d = require("dgram").createSocket("udp4"); d.bind(9, () => console.log("ready"));`;
  await lab.script("out", sink);
  const flood = `const d = require("dgram").createSocket("udp4"); const p = Buffer.alloc(${size}); let n = 0;
    (function next() { if (n++ < 1500) d.send(p, 9, "${OUTSIDE_HOST}", next); else d.close(); })();`;
  await lab.exec("in", process.execPath, "-e", flood);
  await ping(lab, 3);
  for (const socket of slow) socket.destroy();
  await until(
    "room for another one",
    async () => !(await lab.ask("capture", "/nowhere/x")).includes("as many"),
  );
});

/** Asks for a capture, and reads nothing of it. */
async function silentReader(lab: Lab): Promise<Socket> {
  const socket = connect(lab.control);
  socket.on("error", () => {});
  socket.write("GET /capture HTTP/1.1\r\nhost: napt\r\n\r\n");
  await once(socket, "readable");
  return socket;
}

test("a ring of files keeps the last ones, each whole", { skip }, async () => {
  await using lab = await Lab.create();
  const directory = lab.path("ring");
  mkdirSync(directory);
  const options = ["--capture", `${directory}/nat.pcapng`, "--capture-size", "65536", "--capture-files", "3"];
  const gateway = await gatewayWith(lab, options);
  const names = () => readdirSync(directory).sort();
  for (let n = 0; !names().some((name) => name.startsWith("nat_00005")); n++) {
    ok(n < 100, names().join());
    await lab.exec("in", "ping", "-c", "20", "-i", "0.005", "-s", "1400", OUTSIDE_HOST);
  }
  const { file } = await statusOf(lab);
  equal(file, `${directory}/${names().at(-1)}`);
  await lab.end(gateway, "SIGKILL");
  equal(names().length, 3);
  let packets = 0;
  for (const name of names()) {
    match(name, /^nat_0000\d_20\d{6}T\d{6}Z\.pcapng$/);
    packets += (await packetsIn(`${directory}/${name}`, "icmp")).length;
    if (`${directory}/${name}` !== file) ok(statSync(`${directory}/${name}`).size >= 65536);
  }
  ok(packets > 80);
});

test("a full disk is told once, packets go on, and so does the capture where there is room again", {
  skip,
}, async () => {
  await using lab = await Lab.create();
  // A small file system, which goes with the namespace of mounts that `ip netns exec` makes for the gateway.
  const path = "/mnt/full.pcapng";
  const command = lab.command("gateway", "--config", lab.configFile(), "--capture", path);
  const quoted = command.map((word) => `'${word}'`).join(" ");
  const mount = "mount -t tmpfs -o size=128k tmpfs /mnt && head -c 60000 /dev/zero >/mnt/filler";
  const gateway = await lab.start("gw", /^ready/, "sh", "-c", `${mount} && exec ${quoted}`);
  const inside = (file: string) => `/proc/${gateway.process.pid}/root${file}`;
  const load = () => lab.exec("in", "ping", "-c", "30", "-i", "0.005", "-s", "1400", OUTSIDE_HOST);
  await until("packets that are not written", async () => {
    await load();
    return (await statusOf(lab)).unwritten > 0;
  });
  await load();
  const warnings = () => gateway.output().match(/capture: .*can't be written: .*ENOSPC/g)?.length;
  equal(warnings(), 1);
  /** What it says is in the file, and what is: at a moment when it writes nothing, as it does at times of its own. */
  const both = async () => {
    for (;;) {
      const before = await statusOf(lab);
      const written = (await packetsIn(inside(path))).length;
      if ((await statusOf(lab)).packets === before.packets) return { ...before, written };
    }
  };
  const before = await both();
  equal(before.lost, 0);
  equal(before.written, before.packets);

  rmSync(inside("/mnt/filler"));
  await ping(lab);
  await until("packets that are written again", async () => (await statusOf(lab)).packets > before.packets);
  equal(warnings(), 1);
  const { packets, written, unwritten } = await both();
  equal(written, packets);
  const { stdout } = await run("tshark", ["-r", inside(path), "-T", "fields", "-e", "frame.drop_count"]);
  const counts = stdout.split("\n").filter((line) => line !== "");
  equal(
    counts.map(Number).reduce((sum, count) => sum + count),
    unwritten,
  );
  equal(await lab.end(gateway), 0);
});

test("what can't be written to is an error at the start", { skip }, async () => {
  await using lab = await Lab.create();
  const complaint = await lab.napt("gateway", "--config", lab.configFile(), "--capture", "/nowhere/x.pcapng");
  match(complaint, /^1 napt: \/nowhere\/x\.pcapng: can't be written: ENOENT/);
});

test("of a TUN device the packets have no Ethernet header", { skip }, async () => {
  await using lab = await Lab.create();
  const path = lab.path("tun.pcapng");
  const outside = { tun: "napt0", address: `${PUBLIC}/32` };
  const gateway = await gatewayWith(lab, ["--capture", path, "--capture-filter", "icmp"], { outside });
  await lab.exec("in", "ping", "-c", "1", PUBLIC).catch(() => {});
  await lab.exec("in", "ping", "-c", "1", "-W", "1", OUTSIDE_HOST).catch(() => {});
  await lab.end(gateway);
  const { stdout } = await run("tshark", [
    "-r",
    path,
    "-T",
    "fields",
    "-e",
    "frame.interface_name",
    "-e",
    "frame.protocols",
  ]);
  const lines = new Set(stdout.trim().split("\n"));
  ok(lines.has("inside\teth:ethertype:ip:icmp:data"), stdout);
  ok(lines.has("outside\tip:icmp:data"), stdout);
});

/** A `napt capture` that has begun. */
function captureOf(lab: Lab, path: string, ...filter: string[]): Promise<Running> {
  return lab.start("gw", /capturing/, ...lab.command("capture", path, ...filter, "--control", lab.control));
}
