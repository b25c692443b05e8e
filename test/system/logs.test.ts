// The logs of a live gateway, as those who receive them read them: nfcapd and nfdump, tshark, a syslog receiver, and
// `napt who`.
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, truncateSync } from "node:fs";
import { test } from "node:test";
import { samplesOf } from "../support/samples.js";
import { INSIDE_HOST, Lab, OUTSIDE_HOST, PUBLIC, until, whyNoLab } from "./lab.js";

const skip = whyNoLab("ping", "curl");

interface LoggedBinding {
  readonly time: string;
  readonly type: string;
  readonly protocol: string;
  readonly inside: { readonly address: string; readonly port: number };
  readonly public: { readonly address: string; readonly port: number };
}

/** The lines of a log of events or of the gateway. */
const linesOf = (path: string) =>
  readFileSync(path, "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));

/** Timeouts so short that a test sees the end of what it began. */
const SOON = { udp: 1, icmp: 1 };

/** A datagram from inside, from a port of its own; or several, from one port after another. @returns when, in ms since 1970 */
const send = async (lab: Lab, port: number, count = 1) =>
  Number(
    await lab.exec(
      "in",
      process.execPath,
      "-e",
      `for (let port = ${port}; port < ${port + count}; port++) {
         const socket = require("node:dgram").createSocket("udp4");
         socket.bind(port, () => {
           if (port === ${port}) console.log(Date.now());
           socket.send("x", 7, "${OUTSIDE_HOST}", () => socket.close());
         });
       }`,
    ),
  );

/** A receiver in the gateway's namespace that writes what comes by TCP to a file, by connection. */
const tcpReceiver = (lab: Lab, port: number, path: string) =>
  lab.script(
    "gw",
    `const file = require("node:fs").openSync(${JSON.stringify(path)}, "a");
     require("node:net").createServer((socket) => socket.on("data", (bytes) => require("node:fs").writeSync(file, bytes)))
       .listen(${port}, "127.0.0.1", () => console.log("ready"));`,
  );

const sniff = (lab: Lab, filter: string, capture: string) =>
  lab.start("gw", /Capturing/, "tshark", "-q", "-i", "lo", "-f", filter, "-w", capture);

/** Waits for a sniffer that is behind: what it has not read when it is ended is not in its file. */
const sniffed = (lab: Lab, capture: string, events: number) =>
  until("the capture has all events", async () => {
    const decode = ["-d", "tcp.port==4739,cflow", "-Y", "cflow.nat_event"];
    const read = ["-r", capture, ...decode, "-T", "fields", "-e", "cflow.nat_event"];
    const text = await lab.exec("gw", "tshark", ...read).catch(() => "");
    return text.split(/[\n,]/).filter((value) => value.trim() !== "").length >= events;
  });

test("nfdump prints bindings and sessions with their ports and times; tshark finds nothing malformed", {
  skip: skip || whyNoLab("nfcapd", "nfdump", "tshark"),
}, async () => {
  await using lab = await Lab.create();
  const flows = lab.path("flows");
  mkdirSync(flows);
  const nfcapd = await lab.start(
    "gw",
    /Startup nfcapd/,
    "nfcapd",
    "-w",
    flows,
    "-p",
    "4739",
    "-b",
    "127.0.0.1",
    "-t",
    "3600",
  );
  const capture = lab.path("ipfix.pcapng");
  const sniffer = await sniff(lab, "udp port 4739", capture);
  const file = lab.path("events");
  const sessions = { ipfix: { to: "udp://127.0.0.1:4739", what: "sessions" }, file: { path: file } };
  const gateway = await lab.gateway({ timeouts: SOON }, { export: sessions });
  const begin = await send(lab, 4000);
  await until("it has ended", async () => linesOf(file).some(({ type }) => type === "binding-released"));
  // By a reload: bindings instead.
  lab.configFile({ timeouts: SOON }, { export: { ...sessions, ipfix: { to: "udp://127.0.0.1:4739" } } });
  equal(await lab.ask("reload"), "");
  await send(lab, 4001);
  await until(
    "that has ended",
    async () => linesOf(file).filter(({ type }) => type === "binding-released").length === 2,
  );
  equal(await lab.end(gateway), 0);
  const end = Date.now();

  const bindings: LoggedBinding[] = linesOf(file).filter(({ type }) => type === "binding-created");
  deepEqual(
    bindings.map(({ inside }) => inside),
    [4000, 4001].map((port) => ({ address: INSIDE_HOST, port })),
  );
  const [first, second] = bindings.map((binding) => binding.public.port) as [number, number];
  const nfdump = async (...filter: string[]) => {
    const text = await lab.exec("gw", "nfdump", "-R", flows, "-q", "-o", "json", ...filter);
    // Without its first and last line, which it prints only at times.
    return JSON.parse(`[${text.trim().replace(/^\[|\]$/g, "")}]`) as Record<string, string | number>[];
  };
  const read = async () =>
    (await nfdump()).map((flow) =>
      [
        flow.nat_event,
        flow.proto,
        flow.src4_addr,
        flow.src_port,
        flow.src4_xlt_ip,
        flow.src_xlt_port,
        flow.dst4_addr,
        flow.dst_port,
      ].map((value) => String(value).toLowerCase()),
    );
  await until("nfcapd has written", async () => readdirSync(flows).length > 0);
  const session = ["17", INSIDE_HOST, "4000", PUBLIC, String(first), OUTSIDE_HOST, "7"];
  const binding = ["17", INSIDE_HOST, "4001", PUBLIC, String(second), "0.0.0.0", "0"];
  // It writes a file when it ends.
  await lab.end(nfcapd);
  deepEqual(await read(), [
    ["nat44 session create", ...session],
    ["nat44 session delete", ...session],
    ["nat44 bib create", ...binding],
    ["nat44 bib delete", ...binding],
  ]);
  for (const { t_event } of await nfdump()) {
    // Its ms have no leading zeros.
    const [whole, ms] = String(t_event).split(".");
    const time = Date.parse(`${whole}Z`) + Number(ms);
    ok(time >= begin - 1 && time <= end + 1, `${t_event} is not within ${begin} and ${end}`);
  }
  equal((await nfdump(`src nport ${first}`)).length, 2);

  await sniffed(lab, capture, 4);
  equal(await lab.end(sniffer, "SIGINT"), 0);
  const tshark = (...args: string[]) =>
    lab.exec("gw", "tshark", "-r", capture, "-d", "udp.port==4739,cflow", ...args);
  equal(await tshark("-Y", "_ws.malformed || _ws.expert"), "");
  const events = (await tshark("-Y", "cflow.nat_event", "-T", "fields", "-e", "cflow.nat_event"))
    .trim()
    .split(/[\n,]/);
  deepEqual(events, ["4", "5", "8", "9"]);
});

test("port blocks, by IPFIX over TCP: what a collector that comes late is sent", {
  skip: skip || whyNoLab("tshark"),
}, async () => {
  await using lab = await Lab.create();
  const nat = { timeouts: SOON, portAssignment: { blockSize: 256 } };
  const logs = { export: { ipfix: { to: "tcp://127.0.0.1:4739", what: "blocks" } }, http: {} };
  const gateway = await lab.gateway(nat, logs);
  await until("word of it", () => gateway.output().includes("export to ipfix"));
  match(gateway.output(), /napt: export to ipfix: connect ECONNREFUSED 127\.0\.0\.1:4739; trying again/);
  await send(lab, 4000);
  match(await lab.exec("in", "ping", "-c", "1", OUTSIDE_HOST), / 0% packet loss/);
  const capture = lab.path("ipfix.pcapng");
  const sniffer = await sniff(lab, "tcp port 4739", capture);
  await tcpReceiver(lab, 4739, lab.path("ipfix"));
  const metrics = async () => samplesOf(await lab.exec("gw", "curl", "-sS", "http://127.0.0.1:9469/metrics"));
  await until(
    "both are exported",
    async () => (await metrics()).get('napt_export_events_total{to="ipfix"}') === 2,
  );
  equal((await metrics()).get('napt_export_lost_events_total{to="ipfix"}'), 0);
  match(gateway.output(), /napt: export to ipfix: it is back/);
  await until("they are there", () => statSync(lab.path("ipfix")).size > 200);
  equal(await lab.end(gateway), 0);
  await sniffed(lab, capture, 2);
  equal(await lab.end(sniffer, "SIGINT"), 0);
  const fields = [
    "cflow.nat_event",
    "cflow.srcaddr",
    "cflow.post_natsource_ipv4_address",
    "cflow.port_range_start",
    "cflow.port_range_end",
  ];
  const tshark = (...args: string[]) =>
    lab.exec("gw", "tshark", "-r", capture, "-d", "tcp.port==4739,cflow", ...args);
  equal(await tshark("-Y", "_ws.malformed"), "");
  const told = await tshark(
    "-Y",
    "cflow.nat_event",
    "-T",
    "fields",
    ...fields.flatMap((field) => ["-e", field]),
  );
  // A line has all records of a segment, which TCP puts together as it likes.
  const records = told
    .trim()
    .split("\n")
    .flatMap((line) => {
      const columns = line.split("\t").map((values) => values.split(","));
      return columns[0]!.map((_, record) => columns.map((values) => values[record]!));
    });
  const [[, , , low, high], ...rest] = records as [string[], ...string[][]];
  equal(Number(high) - Number(low), 255);
  const block = [INSIDE_HOST, PUBLIC, low, high];
  deepEqual(
    [["16", ...block], ...rest],
    [
      ["16", ...block],
      ["17", ...block],
    ],
  );
});

test("syslog to a receiver that goes and comes back; packets go on meanwhile", { skip }, async () => {
  await using lab = await Lab.create();
  const path = lab.path("syslog");
  const logs = { export: { syslog: { to: "tcp://127.0.0.1:601", what: "bindings" } } };
  const first = await tcpReceiver(lab, 601, path);
  const gateway = await lab.gateway({}, logs);
  const heard = () =>
    [
      ...readFileSync(path, "utf8").matchAll(
        /\d+ <134>1 \S+ \S+ napt \d+ binding-created \[nat@32473 proto="udp" inside="192\.168\.226\.135" insidePort="(\d+)"/g,
      ),
    ].map(([, port]) => Number(port));
  await send(lab, 4000);
  await until("the first", () => heard().length === 1);
  await lab.end(first, "SIGKILL");
  await until("it is missed", () => gateway.output().includes("trying again"));
  for (const port of [4001, 4002, 4003]) await send(lab, port);
  match(await lab.exec("in", "ping", "-c", "1", OUTSIDE_HOST), / 0% packet loss/);
  await tcpReceiver(lab, 601, path);
  await until("the others", () => heard().length === 4);
  deepEqual(heard(), [4000, 4001, 4002, 4003]);
});

test("napt who answers from the log of a gateway that was killed, started again and whose log was rotated", {
  skip,
}, async () => {
  await using lab = await Lab.create();
  const file = lab.path("events");
  const networks = { export: { file: { path: file } }, log: { file: lab.path("log") } };
  const first = await lab.gateway({ timeouts: { udp: 600 } }, networks);
  await send(lab, 4000);
  const bound = () =>
    linesOf(file).find(({ type, inside }) => type === "binding-created" && inside.port === 4000);
  await until("it is written", () => bound() !== undefined);
  const { public: outer, time } = bound() as LoggedBinding;
  const endpoint = `${outer.address}:${outer.port}`;
  const who = (...args: string[]) => lab.napt("who", endpoint, "--protocol", "udp", ...args);
  equal(
    await who("--log", file),
    `${endpoint} (udp) was ${INSIDE_HOST}:4000's, since ${time}, no end in the log`,
  );
  equal(await lab.end(first, "SIGKILL"), null);

  const second = await lab.gateway({ timeouts: SOON }, networks);
  const begins = () => linesOf(file).filter(({ type }) => type === "log-begun");
  await until("the second begins", () => begins().length === 2);
  const { time: begun } = begins()[1];
  equal(
    await who("--log", file, "--at", time),
    `${endpoint} (udp) was ${INSIDE_HOST}:4000's, since ${time}, no end in the log, which begins anew at ${begun}`,
  );
  match(await who("--log", file), /^2 napt: at .* nobody had/);

  // Rotated while it runs, and packed.
  renameSync(file, `${file}.1`);
  second.process.kill("SIGHUP");
  await until("a new one", () => linesOf(lab.path("log")).some(({ event }) => event === "reload"));
  await lab.exec("gw", "gzip", `${file}.1`);
  await send(lab, 4005);
  await until("it is over", () => linesOf(file).some(({ type }) => type === "binding-released"));
  const [given, taken] = linesOf(file);
  equal(
    await lab.napt(
      "who",
      `${given.public.address}:${given.public.port}`,
      "--at",
      given.time,
      "--log",
      file,
      `${file}.1.gz`,
    ),
    `${given.public.address}:${given.public.port} (udp) was ${INSIDE_HOST}:4005's, since ${given.time}, until ${taken.time}`,
  );
  equal(await lab.end(second), 0);

  // What the gateway said of itself, to programs.
  const events = linesOf(lab.path("log")).map(({ event }) => event);
  deepEqual(events, ["start", "ready", "start", "ready", "reload", "end"]);
  ok(!second.output().includes("napt:"), second.output());
});

test("logs on a full disk: counted, told once, and the gateway goes on", { skip }, async () => {
  await using lab = await Lab.create();
  const small = lab.path("small");
  const networks = { export: { file: { path: `${small}/events` } }, log: { file: `${small}/log` }, http: {} };
  const config = lab.configFile({}, networks);
  const disk = `mkdir ${small} && mount -t tmpfs -o size=12k none ${small} && head -c 4096 /dev/zero > ${small}/full; true`;
  const command = `${disk}; exec ${lab.command("gateway", "--config", config).join(" ")}`;
  const gateway = await lab.start("gw", /^ready/, "sh", "-c", command);
  // More than a page of them.
  await send(lab, 4000, 40);
  const metrics = async () => samplesOf(await lab.exec("gw", "curl", "-sS", "http://127.0.0.1:9469/metrics"));
  const lost = async () => (await metrics()).get('napt_export_lost_events_total{to="file"}')!;
  await until("losses are counted", async () => (await lost()) > 0);
  await until(
    "all are told of",
    async () => (await metrics()).get('napt_export_events_total{to="file"}')! + (await lost()) >= 40,
  );
  match(await lab.exec("in", "ping", "-c", "1", OUTSIDE_HOST), / 0% packet loss/);

  // With room again, what comes is written, on lines of its own.
  const inside = `/proc/${gateway.process.pid}/root${small}`;
  truncateSync(`${inside}/full`, 0);
  await send(lab, 5000);
  const lines = () => readFileSync(`${inside}/events`, "utf8").split("\n").filter(Boolean);
  await until("the next event", () =>
    lines().some((line) => line.endsWith("}") && JSON.parse(line).inside?.port === 5000),
  );
  const isWhole = (line: string) => line.endsWith("}");
  deepEqual(lines().filter((line) => !isWhole(line)).length, 1);
  const before = lines()
    .filter(isWhole)
    .map((line) => JSON.parse(line));
  ok(before.some(({ type, count }) => type === "lost" && count > 0));
  // The metrics say once what the gateway's log can't.
  equal(gateway.output().match(/export to file/g), null);
  equal(await lab.end(gateway), 0);
});

test("the gateway's own log on a full disk: counted, told once on standard error, and the gateway goes on", {
  skip,
}, async () => {
  await using lab = await Lab.create();
  const gateway = await lab.gateway({}, { log: { file: "/dev/full" }, http: {} });
  for (let i = 0; i < 3; i++) gateway.process.kill("SIGHUP");
  const lost = async () =>
    samplesOf(await lab.exec("gw", "curl", "-sS", "http://127.0.0.1:9469/metrics")).get(
      "napt_log_lost_lines_total",
    )!;
  await until("losses are counted", async () => (await lost()) >= 3);
  match(await lab.exec("in", "ping", "-c", "1", OUTSIDE_HOST), / 0% packet loss/);
  equal(gateway.output().match(/napt: gateway\.log: \/dev\/full: ENOSPC.*; lost: 1/g)?.length, 1);
  equal(await lab.end(gateway), 0);
});

test("a log that can't be opened: no start, no reload", { skip }, async () => {
  await using lab = await Lab.create();
  const wrong = { export: { file: { path: "/nowhere/events" } } };
  match(
    await lab.complaint({}, wrong),
    /^1 napt: gateway\.export\.file\.path: "\/nowhere\/events" can't be written: ENOENT/,
  );
  const gateway = await lab.gateway();
  lab.configFile({}, wrong);
  match(await lab.ask("reload"), /^2 napt: gateway\.export\.file\.path: /);
  gateway.process.kill("SIGHUP");
  await until("it is told", () =>
    /can't be written: .*; the config before stays in force/.test(gateway.output()),
  );
  match(await lab.exec("in", "ping", "-c", "1", OUTSIDE_HOST), / 0% packet loss/);
});
