// Logs of a NAT's events over the loopback interface: what arrives, what is kept while nobody listens, what is counted.
import { deepEqual, equal, match, ok, rejects, throws } from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { NatEvent } from "../../src/events/event.js";
import { IpfixExporter, JsonLog, Nat, SyslogExporter } from "../../src/index.js";
import { EVENTS } from "../support/events.js";
import { IpfixCollector, type IpfixMessage } from "../support/ipfix.js";
import { udp } from "../support/packets.js";
import { until } from "../system/lab.js";

/** 2026-01-31T12:00:00.123Z, as the time of an event at 0 */
const TIME = 1_769_860_800_123;
const wallTime = (at: number) => TIME + at;

/** What comes on a UDP port. */
async function udpPort() {
  const socket = createSocket("udp4");
  const datagrams: Buffer[] = [];
  socket.on("message", (bytes) => datagrams.push(bytes));
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return {
    to: `udp://127.0.0.1:${socket.address().port}`,
    datagrams,
    [Symbol.dispose]: () => void socket.close(),
  };
}

/** What comes on a TCP port, by connection. */
class TcpPort {
  readonly connections: Buffer[] = [];
  readonly #sockets = new Set<Socket>();
  #server: Server | null = null;
  #port = 0;

  async listen(): Promise<this> {
    this.#server = createServer((socket) => {
      const index = this.connections.push(Buffer.alloc(0)) - 1;
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("data", (bytes) => {
        this.connections[index] = Buffer.concat([this.connections[index]!, bytes]);
      });
    });
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
    this.#port = (this.#server.address() as AddressInfo).port;
    return this;
  }

  get to(): string {
    return `tcp://127.0.0.1:${this.#port}`;
  }

  async close(): Promise<void> {
    const closed = once(this.#server!, "close");
    this.#server!.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

/** The messages of a connection. */
function* messagesOf(bytes: Buffer): Iterable<IpfixMessage> {
  const collector = new IpfixCollector();
  for (let at = 0; at + 4 <= bytes.length && at + bytes.readUInt16BE(at + 2) <= bytes.length; ) {
    const length = bytes.readUInt16BE(at + 2);
    yield collector.read(bytes.subarray(at, at + length));
    at += length;
  }
}

const recordsOf = (bytes: Buffer) => [...messagesOf(bytes)].flatMap(({ records }) => records);

test("IPFIX over UDP: templates first and again, sequence numbers that count records", async () => {
  using port = await udpPort();
  const log = new IpfixExporter({ to: port.to, what: "sessions", domain: 9, templateInterval: 1, wallTime });
  for (let i = 0; i < 50; i++) log.add({ ...EVENTS.opened, at: i });
  log.add(EVENTS.bound); // of another kind
  await until("the events", () => port.datagrams.length >= 3);
  await until("the templates again", () => port.datagrams.length >= 4);
  log.add(EVENTS.expired);
  await log.close();
  const collector = new IpfixCollector();
  await until("all of it", () => port.datagrams.length >= 5);
  const messages = port.datagrams.map((datagram) => collector.read(datagram));
  const data = messages.filter(({ templates }) => templates === 0);
  deepEqual([messages[0]!.templates, messages[3]!.templates], [7, 7]);
  deepEqual(
    data.map(({ sequence, records }) => [sequence, records.length]),
    [
      [0, 49],
      [49, 1],
      [50, 1],
    ],
  );
  deepEqual(messages.map(({ sequence }) => sequence).slice(3, 4), [50]);
  ok(messages.every(({ domain }) => domain === 9));
  ok(Math.abs(messages[0]!.time - Date.now() / 1000) < 60);
  equal(data[0]!.records[7]!.get(323), TIME + 7);
  deepEqual(log.stats, { exported: 51, lost: 0 });
});

test("the time of an event is the wall's unless told otherwise", async () => {
  using port = await udpPort();
  const log = new IpfixExporter({ to: port.to });
  const [before, at] = [Date.now(), performance.now()];
  log.add({ ...EVENTS.bound, at });
  await log.close();
  await until("the event", () => port.datagrams.length >= 2);
  const collector = new IpfixCollector();
  const records = port.datagrams.flatMap((datagram) => [...collector.read(datagram).records]);
  const time = records[0]!.get(323)!;
  ok(time >= before - 1 && time <= Date.now() + 1, `${time}, not ${before}`);
});

test("a UDP collector that is not there hurts nobody", async () => {
  const port = await udpPort();
  port[Symbol.dispose]();
  const told: string[] = [];
  const log = new IpfixExporter({ to: port.to, warn: (text) => told.push(text) });
  for (let round = 0; round < 5; round++) {
    log.add(EVENTS.bound);
    log.flush();
    await until("it has gone", () => log.stats.exported + log.stats.lost === round + 1);
  }
  await log.close();
  ok(log.stats.lost > 0);
  ok(told.length <= 1, told.join());
});

test("IPFIX over TCP: the collector goes and comes back; what it missed is sent then, and counted anew", async () => {
  const port = await new TcpPort().listen();
  const told: string[] = [];
  const log = new IpfixExporter({ to: port.to, wallTime, warn: (text) => told.push(text) });
  log.add({ ...EVENTS.bound, at: 1 });
  log.flush();
  await until(
    "the first event",
    () => port.connections[0] !== undefined && recordsOf(port.connections[0]).length === 1,
  );
  await port.close();
  await until("it is missed", () => told.length > 0);
  for (let at = 2; at < 100; at++) log.add({ ...EVENTS.bound, at });
  log.flush();
  await port.listen();
  await until(
    "the others",
    () => port.connections[1] !== undefined && recordsOf(port.connections[1]).length === 98,
  );
  await log.close();
  const messages = [...messagesOf(port.connections[1]!)];
  equal(messages[0]!.templates, 7);
  deepEqual(
    messages.map(({ sequence }) => sequence),
    [0, 0, 62],
  );
  deepEqual(
    recordsOf(port.connections[1]!).map((record) => record.get(323)! - TIME),
    Array.from({ length: 98 }, (_, i) => i + 2),
  );
  deepEqual(log.stats, { exported: 99, lost: 0 });
  match(told[0]!, /; trying again$/);
  equal(told.at(-1), "it is back");
  await port.close();
});

test("a log has of a stream what it has of the stream's events: rows are as good as objects", async () => {
  const config = { inside: ["192.168.226.0/24"], outside: ["203.0.113.1"] };
  const directory = mkdtempSync(join(tmpdir(), "napt-logs-"));
  const path = (name: string) => join(directory, name);
  try {
    using one = await udpPort();
    using other = await udpPort();
    using nat = new Nat(config);
    const options = { what: "sessions", wallTime } as const;
    const rows = [
      new IpfixExporter({ to: one.to, ...options }),
      new JsonLog({ path: path("rows"), ...options }),
    ];
    const objects = [
      new IpfixExporter({ to: other.to, ...options }),
      new JsonLog({ path: path("objects"), ...options }),
    ];
    const { types } = rows[0]!;
    nat.translate(udp({ src: "192.168.226.135:3999", dst: "198.51.100.7:53" }), { now: 0 });
    const waiting = nat.conntrack.events({ types });
    nat.translate(udp({ src: "192.168.226.135:4000", dst: "198.51.100.7:53" }), { now: 1 });
    const ends = [
      rows[0]!.follow(waiting), // what waits already is in it
      rows[1]!.follow(nat.conntrack.events({ types })),
      ...objects.map((log) => log.follow(nat.conntrack.events({ types, filter: () => true }))),
    ];
    for (let i = 1; i < 100; i++) {
      nat.translate(udp({ src: `192.168.226.135:${4000 + i}`, dst: "198.51.100.7:53" }), { now: 1 + i });
    }
    nat.conntrack.sweep(10_000_000);
    nat.close();
    await Promise.all(ends);
    for (const log of [...rows, ...objects]) await log.close();
    await until("all came", () => one.datagrams.length > 5 && other.datagrams.length > 5);
    const told = ({ datagrams }: { datagrams: Buffer[] }) => {
      const collector = new IpfixCollector();
      return datagrams.flatMap((bytes) => collector.read(bytes).records);
    };
    equal(told(one).length, 1 + 99 + 101);
    deepEqual(told(one).slice(1), told(other));
    const lines = (name: string) => readFileSync(path(name), "utf8").split("\n").slice(1);
    equal(lines("rows").length, 99 + 101 + 1);
    deepEqual(lines("rows"), lines("objects"));
    for (const log of rows) equal(log.stats.lost, 0);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("a log that can't go on ends by itself; others' events go on", async () => {
  using nat = new Nat({ inside: ["192.168.226.0/24"], outside: ["203.0.113.1"] });
  using port = await udpPort();
  const wrong = new Error("no time");
  const faulty = new IpfixExporter({
    to: port.to,
    wallTime: () => {
      throw wrong;
    },
  });
  const followed = faulty.follow(nat.conntrack.events({ types: faulty.types }));
  const others = nat.conntrack.events();
  nat.translate(udp({ src: "192.168.226.135:4000", dst: "198.51.100.7:53" }));
  deepEqual(
    others.take().map(({ type }) => type),
    ["binding-created", "session-opened"],
  );
  await rejects(followed, wrong);
  await faulty.close();
});

const syslogOf = (text: string) =>
  /^<(?<pri>\d+)>1 (?<time>\S+) (?<host>\S+) (?<app>\S+) (?<pid>\S+) (?<id>\S+) \[(?<sd>[^\]]*)\] (?<text>[ -~]+)$/.exec(
    text,
  )?.groups;

test("syslog over UDP: a message an event, as RFC 5424 has it", async () => {
  using port = await udpPort();
  const log = new SyslogExporter({
    to: port.to,
    what: "sessions",
    facility: "local3",
    sdId: "nat@64496",
    hostname: "gate way",
    wallTime,
  });
  log.add(EVENTS.opened);
  log.add(EVENTS.expired);
  await log.close();
  await until("both", () => port.datagrams.length === 2);
  const begin = `<158>1 2026-01-31T12:00:00.123Z gateway napt ${process.pid}`;
  const flow =
    'proto="udp" inside="192.168.226.135" insidePort="4000" public="203.0.113.1" publicPort="40000" remote="198.51.100.7" remotePort="53"';
  const text = "udp 192.168.226.135:4000 as 203.0.113.1:40000 to 198.51.100.7:53";
  const counts = 'outboundPackets="3" inboundPackets="2" outboundBytes="300" inboundBytes="200"';
  deepEqual(port.datagrams.map(String), [
    `${begin} session-opened [nat@64496 ${flow}] ${text}`,
    `${begin} session-expired [nat@64496 ${flow} ${counts}] ${text}`,
  ]);
});

test("syslog over TCP: framed by octet counts, all kinds of events, each with its severity", async () => {
  const port = await new TcpPort().listen();
  const told = new Map<string, Record<string, string>>();
  for (const what of ["sessions", "bindings", "blocks"] as const) {
    const log = new SyslogExporter({ to: port.to, what, wallTime });
    for (const event of Object.values(EVENTS)) log.add(event);
    await log.close();
  }
  await until(
    "all of them",
    () => port.connections.length === 3 && port.connections.every(({ length }) => length > 0),
  );
  await port.close();
  for (const bytes of port.connections) {
    for (let at = 0; at < bytes.length; ) {
      const space = bytes.indexOf(" ", at);
      const length = Number(bytes.subarray(at, space));
      const message = bytes.subarray(space + 1, space + 1 + length).toString();
      const groups = syslogOf(message);
      ok(groups !== undefined, message);
      told.set(`${groups.id} ${groups.text}`, groups);
      at = space + 1 + length;
    }
  }
  const [first] = told.values();
  deepEqual([first!.host, first!.app, first!.pid], [hostname(), "napt", String(process.pid)]);
  const severities = [...told].map(([text, { pri }]) => [text, Number(pri) - 16 * 8]);
  const flow = "udp 192.168.226.135:4000 as 203.0.113.1:40000 to 198.51.100.7:53";
  deepEqual(severities, [
    [`session-opened ${flow}`, 6],
    [`session-expired ${flow}`, 6],
    [`session-evicted ${flow}`, 6],
    [`session-deleted ${flow}`, 6],
    ["pool-threshold udp of 203.0.113.1: 900 of 1000 in use", 4],
    ["pool-exhausted udp of 203.0.113.1: 1000 of 1000 in use", 3],
    ["pool-exhausted blocks of all addresses: 8 of 8 in use", 3],
    ["pool-relieved udp of 203.0.113.1: 800 of 1000 in use", 5],
    ["host-limit 192.168.226.135 is at its limit of bindings", 4],
    ["host-limit 192.168.226.135 is at its limit of rate", 4],
    ["binding-created tcp 192.168.226.135:4000 as 203.0.113.1:40000", 6],
    ["binding-released tcp 192.168.226.135:4000 as 203.0.113.1:40000", 6],
    ["block-allocated 192.168.226.135 as 203.0.113.1, ports 1024-1535", 6],
    ["block-released 192.168.226.135 as 203.0.113.1, ports 1024-1535", 6],
  ]);
  const data = (id: string) => [...told.values()].find((groups) => groups.id === id)!.sd;
  equal(data("pool-threshold"), 'nat@32473 used="900" total="1000" public="203.0.113.1" proto="udp"');
  equal(
    data("block-allocated"),
    'nat@32473 inside="192.168.226.135" public="203.0.113.1" firstPort="1024" lastPort="1535"',
  );
  equal(data("host-limit"), 'nat@32473 inside="192.168.226.135" limit="bindings"');
});

test("syslog over a Unix socket is framed as over TCP", async () => {
  const directory = mkdtempSync(join(tmpdir(), "napt-logs-"));
  const path = join(directory, "log.sock");
  let heard = "";
  const server = createServer((socket) => socket.on("data", (bytes) => (heard += bytes))).listen(path);
  await once(server, "listening");
  const log = new SyslogExporter({ to: `unix:${path}`, wallTime });
  log.add(EVENTS.bound);
  await log.close();
  await until("the event", () => heard !== "");
  match(heard, /^\d+ <134>1 2026-01-31T12:00:00\.123Z /);
  equal(Number(heard.split(" ", 1)), heard.length - heard.indexOf("<"));
  server.close();
  rmSync(directory, { recursive: true });
});

/** Lines of a file, parsed. */
const linesOf = (path: string) =>
  readFileSync(path, "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));

test("a file of JSON lines, which is reopened after it was renamed; what a slow reader lost is told in it", async () => {
  const directory = mkdtempSync(join(tmpdir(), "napt-logs-"));
  const path = join(directory, "events");
  const log = new JsonLog({ path, wallTime });
  const feed = {
    lost: 0,
    async *[Symbol.asyncIterator](): AsyncIterableIterator<NatEvent> {
      yield EVENTS.bound;
      await until("it is written", () => log.stats.exported === 1);
      renameSync(path, `${path}.1`);
      log.reopen();
      this.lost += 7;
      yield EVENTS.threshold;
      yield EVENTS.unbound;
    },
  };
  await log.follow(feed);
  deepEqual(log.stats, { exported: 1, lost: 7 });
  await log.close();
  const time = "2026-01-31T12:00:00.123Z";
  const [begun, ...old] = linesOf(`${path}.1`);
  deepEqual(Object.keys(begun), ["time", "type"]);
  equal(begun.type, "log-begun");
  const { at: _, ...bound } = EVENTS.bound;
  deepEqual(old, [{ time, ...bound }]);
  const { at: __, ...threshold } = EVENTS.threshold;
  const { at: ___, ...unbound } = EVENTS.unbound;
  deepEqual(linesOf(path), [
    { time, type: "lost", count: 7 },
    { time, ...threshold },
    { time, ...unbound },
  ]);
  rmSync(directory, { recursive: true });
});

test("port blocks cut what is told by their size", async () => {
  const SIZE = 64;
  const FLOWS = 10 * SIZE;
  const config = {
    inside: ["192.168.226.0/24"],
    outside: ["203.0.113.1"],
    portAssignment: { blockSize: SIZE, parity: false },
  };
  const directory = mkdtempSync(join(tmpdir(), "napt-logs-"));
  const told: Record<string, Record<string, number>> = {};
  for (const what of ["sessions", "bindings", "blocks"] as const) {
    const nat = new Nat(config);
    const path = join(directory, what);
    const log = new JsonLog({ path, what });
    const following = log.follow(nat.conntrack.events({ types: log.types }));
    for (let i = 0; i < FLOWS; i++) {
      nat.translate(udp({ src: `192.168.226.135:${2000 + i}`, dst: "198.51.100.7:53" }), { now: 0 });
    }
    nat.conntrack.sweep(1e9);
    await until("all is told", () => log.stats.exported > FLOWS / SIZE);
    nat.close();
    await following;
    await log.close();
    const counts: Record<string, number> = {};
    for (const { type } of linesOf(path).slice(1)) counts[type] = (counts[type] ?? 0) + 1;
    told[what] = counts;
  }
  deepEqual(told, {
    sessions: { "session-opened": FLOWS, "session-expired": FLOWS },
    bindings: { "binding-created": FLOWS, "binding-released": FLOWS },
    blocks: { "block-allocated": FLOWS / SIZE, "block-released": FLOWS / SIZE },
  });
  rmSync(directory, { recursive: true });
});

test("what is no destination, and other wrong options, are refused by name", () => {
  for (const to of [
    "192.0.2.5",
    "http://192.0.2.5",
    "udp://192.0.2.5:0",
    "udp://192.0.2.5:70000",
    "udp://",
    "unix:/x",
    "",
    5,
  ]) {
    throws(() => new IpfixExporter({ to: to as string }), {
      code: "NAT_ERR_ARGUMENT",
      message: /^to: .* is no destination such as udp:/,
    });
  }
  const to = "udp://127.0.0.1:9";
  throws(() => new IpfixExporter({ to, domain: -1 }), {
    message: /^domain: -1 is not a whole number from 0 to 4294967295$/,
  });
  throws(() => new IpfixExporter({ to, messageSize: 100 }), { message: /^messageSize: 100 / });
  throws(() => new IpfixExporter({ to, templateInterval: 0 }), { message: /^templateInterval: 0 / });
  throws(() => new SyslogExporter({ to, facility: "mail" as never }), {
    message: /^facility: "mail" is none of local0, /,
  });
  throws(() => new SyslogExporter({ to, sdId: "nat" }), {
    message: /^sdId: "nat" is no name with a number, such as/,
  });
});
