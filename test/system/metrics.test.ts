// The HTTP port of a live gateway: metrics that agree with its status, who may ask what, and where it listens.
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { test } from "node:test";
import { samplesOf } from "../support/samples.js";
import { INSIDE_HOST, Lab, OUTSIDE_HOST, PUBLIC, type Running, until, whyNoLab } from "./lab.js";

const skip = whyNoLab("ping", "curl");
const HERE = "http://127.0.0.1:9469";

const ask = (lab: Lab, url: string, ...options: string[]) =>
  lab.exec("gw", "curl", "-sS", "-m", "10", ...options, url);
/** Only its status. */
const statusOf = (lab: Lab, url: string, ...options: string[]) =>
  ask(lab, url, "-o", "/dev/null", "-w", "%{http_code}", ...options);

/** A program beside the gateway that talks to its port, and tells in lines what became of it. */
const talk = (lab: Lab, source: string) =>
  lab.script("gw", `const connect = () => require("node:net").connect(9469, "127.0.0.1");\n${source}`);

test("metrics agree with the status while traffic flows, on both ways to ask", { skip }, async () => {
  await using lab = await Lab.create();
  await lab.gateway(
    { forwards: [{ protocol: "tcp", outside: `${PUBLIC}:8080`, inside: `${INSIDE_HOST}:80` }] },
    { http: {} },
  );
  const flow = lab.exec("in", "ping", "-c", "50", "-i", "0.05", OUTSIDE_HOST);
  await lab.exec("in", "ping", "-c", "2", "-i", "0.2", OUTSIDE_HOST);

  // What only grows: a scrape lies between the status before it and the one after.
  const status = async () => JSON.parse(await lab.ask("status", "--json"));
  const figures = ({ nat, gateway }: Awaited<ReturnType<typeof status>>) => ({
    'napt_packets_total{direction="outbound"}': nat.packets.outbound,
    'napt_packets_total{direction="inbound"}': nat.packets.inbound,
    'napt_bytes_total{direction="outbound"}': nat.bytes.outbound,
    napt_sent_packets_total: nat.packets.out,
    'napt_forwarded_packets_total{protocol="icmp"}': nat.protocols.icmp,
    napt_sessions_created_total: nat.sessions.created,
    'napt_interface_received_frames_total{side="inside"}': gateway.inside.received,
    'napt_interface_sent_bytes_total{side="outside"}': gateway.outside.sentBytes,
    napt_punts_total: gateway.punted,
  });
  const before = figures(await status());
  const text = await ask(lab, `${HERE}/metrics`);
  const after = figures(await status());
  const told = samplesOf(text);
  for (const [name, least] of Object.entries(before)) {
    const value = told.get(name)!;
    ok(least > 0 && value >= least && value <= after[name as keyof typeof after], `${name}: ${value}`);
  }
  await flow;

  // Now that all is quiet they are the same.
  const quiet = samplesOf(await ask(lab, "http://napt/metrics", "--unix-socket", lab.control));
  const end = await status();
  for (const name of [
    'napt_packets_total{direction="outbound"}',
    'napt_forwarded_packets_total{protocol="icmp"}',
  ]) {
    equal(quiet.get(name), figures(end)[name as keyof typeof after]);
  }
  for (const side of ["inside", "outside"] as const) {
    const of = (name: string, le?: string) =>
      quiet.get(`${name}{side="${side}"${le === undefined ? "" : `,le="${le}"`}}`)!;
    // Each frame came in a burst, few of which were large; and a burst takes some time, but not seconds.
    const bursts = of("napt_burst_frames_count");
    equal(of("napt_burst_frames_sum"), of("napt_interface_received_frames_total"));
    equal(of("napt_burst_seconds_count"), bursts);
    for (const name of ["napt_burst_frames_bucket", "napt_burst_seconds_bucket"])
      equal(of(name, "+Inf"), bursts);
    ok(of("napt_burst_frames_bucket", "1") > 0 && of("napt_burst_frames_bucket", "64") === bursts);
    const seconds = of("napt_burst_seconds_sum");
    ok(seconds > 1e-6 * bursts && seconds < 10, `${seconds} s`);
  }
  equal(quiet.get('napt_sessions{protocol="icmp",state="none"}'), 2);
  equal(end.nat.sessions.active, 2);
  equal(quiet.get(`napt_ports_used{address="${PUBLIC}",protocol="icmp"}`), 2);
  equal(quiet.get(`napt_ports_used{address="${PUBLIC}",protocol="tcp"}`), 1); // the forward's
  equal(quiet.get('napt_neighbours{side="outside"}'), 1);
  equal(quiet.get('napt_interface_up{side="inside"}'), 1);
  ok(quiet.get("process_resident_memory_bytes")! > 0);
  match(text, /^# TYPE napt_packets_total counter$/m);
});

test("healthz, readyz, and what there is not", { skip }, async () => {
  await using lab = await Lab.create();
  await lab.gateway({}, { http: {} });
  equal(await ask(lab, `${HERE}/healthz`), "ok\n");
  // The kernel says of a new link only after a moment that it carries.
  await until("it is ready", async () => (await ask(lab, `${HERE}/readyz`)) === "ready\n");
  await lab.exec("gw", "ip", "link", "set", "gout0", "down");
  equal(await statusOf(lab, `${HERE}/readyz`), "503");
  equal(await ask(lab, `${HERE}/readyz`), "gout0 is down\n");
  equal(await statusOf(lab, `${HERE}/healthz`), "200");
  await lab.exec("gw", "ip", "link", "set", "gout0", "up");
  await until("it is ready again", async () => (await statusOf(lab, `${HERE}/readyz`)) === "200");

  for (const path of ["/status", "/sessions", "/metrics/", "/%2e%2e/metrics", "//", "/main.js/"]) {
    equal(await statusOf(lab, HERE + path), "404", path);
  }
  equal(await statusOf(lab, `${HERE}/reload`, "-X", "POST"), "404");
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
    equal(await statusOf(lab, `${HERE}/metrics`, "-X", method), "405", method);
  }
  match(await ask(lab, `${HERE}/metrics`, "-X", "POST", "-i"), /^allow: GET, HEAD\r$/im);
  match(await ask(lab, `${HERE}/metrics`, "-I"), /^content-type: text\/plain; version=0\.0\.4/im);
  equal(await statusOf(lab, `${HERE}/metrics?name=x`), "200");
});

test("who sends too much, too slowly or too often is cut off; others are served", { skip }, async () => {
  await using lab = await Lab.create();
  const gateway = await lab.gateway({}, { http: {} });
  equal(await statusOf(lab, `${HERE}/healthz`, "-H", `x: ${"x".repeat(9000)}`), "431");
  equal(await statusOf(lab, `${HERE}/healthz`, "-X", "GET", "-d", "x"), "413");
  equal(
    await statusOf(lab, `${HERE}/healthz`, "-X", "GET", "-H", "Transfer-Encoding: chunked", "-d", "x"),
    "413",
  );

  match(await ask(lab, `${HERE}/healthz`, "-X", "GET", "-d", "x", "-i"), /^connection: close\r$/im);

  // A body without an end, and headers without one: both connections are ended from the other side.
  const endless = await talk(
    lab,
    `const socket = connect();
     socket.on("error", () => {}).on("close", () => console.log("closed"));
     socket.write("GET /healthz HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 1000000000\\r\\n\\r\\n");
     const more = () => socket.destroyed || socket.write("x".repeat(1000), () => setTimeout(more, 10));
     more();
     console.log("ready");`,
  );
  const slow = await talk(
    lab,
    `const socket = connect();
     socket.on("error", () => {}).on("close", () => console.log("closed"));
     socket.write("GET /healthz HTTP/1.1\\r\\n");
     setInterval(() => socket.destroyed || socket.write("a: b\\r\\n"), 100);
     console.log("ready");`,
  );
  const closed = (one: Running) => () => one.output().includes("closed");
  await until("the endless body is cut off", closed(endless));
  equal(await statusOf(lab, `${HERE}/healthz`), "200");
  await until("the slow headers are cut off", closed(slow));

  // Of a hundred connections those beyond the most are closed at once.
  const many = await talk(
    lab,
    `let closed = 0;
     for (let i = 0; i < 100; i++) {
       connect().on("error", () => {}).on("close", () => { if (++closed === 36) console.log("36 closed"); });
     }
     console.log("ready");`,
  );
  await until("those that are too many are closed", () => many.output().includes("36 closed"));
  await lab.end(many, "SIGKILL");
  await until("it serves others", async () => (await statusOf(lab, `${HERE}/metrics`)) === "200");
  equal(gateway.process.exitCode, null);
});

test("without gateway.http nothing listens; with it only where it says, and no longer than it runs", {
  skip,
}, async () => {
  await using lab = await Lab.create();
  const listening = async () =>
    (await lab.exec("gw", "ss", "-Hltn"))
      .trim()
      .split("\n")
      .filter(Boolean)
      .map((line) => line.split(/\s+/)[3]);
  const gateway = await lab.gateway();
  deepEqual(await listening(), []);
  match(await ask(lab, "http://napt/metrics", "--unix-socket", lab.control), /^napt_build_info\{/m);

  // A reload begins it, moves it, to an address that overlaps too, and ends it.
  for (const [http, where] of [
    [{}, ["127.0.0.1:9469"]],
    [{}, ["127.0.0.1:9469"]],
    [{ port: 9470 }, ["127.0.0.1:9470"]],
    [{ port: 9470, address: "0.0.0.0" }, ["0.0.0.0:9470"]],
    [undefined, []],
    [{}, ["127.0.0.1:9469"]],
  ] as const) {
    lab.configFile({}, http === undefined ? {} : { http });
    equal(await lab.ask("reload"), "");
    deepEqual(await listening(), where);
  }
  equal(await ask(lab, `${HERE}/healthz`), "ok\n");
  const told = () => gateway.output().split("is in force").length;
  const before = told();
  gateway.process.kill("SIGHUP");
  await until("the signal is heard", () => told() > before);
  equal(await ask(lab, `${HERE}/readyz`), "ready\n");
  equal(await lab.end(gateway), 0);
  deepEqual(await listening(), []);
});

test("a port that is taken: no start, or no reload, and nothing is changed by halves", { skip }, async () => {
  await using lab = await Lab.create();
  const taken = `require("node:http").createServer((_, answer) => answer.end("other")).listen(9470, "127.0.0.1", () => console.log("ready"));`;
  await lab.script("gw", taken);
  const http = { port: 9470 };
  match(
    await lab.complaint({}, { http }),
    /^1 napt: gateway\.http: 127\.0\.0\.1:9470: another program has it; give another port$/,
  );
  match(
    await lab.complaint({}, { http: { address: "198.51.100.1" } }),
    /^1 napt: gateway\.http: 198\.51\.100\.1:9469: this system does not have that address$/,
  );
  match(await lab.ask("status"), /no gateway runs with this control socket/);

  await lab.gateway({}, { http: {} });
  const forwards = [{ protocol: "tcp", outside: `${PUBLIC}:8080`, inside: `${INSIDE_HOST}:80` }];
  lab.configFile({ forwards }, { http });
  match(await lab.ask("reload"), /^2 napt: gateway\.http: 127\.0\.0\.1:9470: another program has it/);
  equal(await lab.ask("forward", "list"), "");
  equal(await ask(lab, `${HERE}/readyz`), "ready\n");
  equal(await ask(lab, "http://127.0.0.1:9470/healthz"), "other");
  // The same port, of an address that there is not: it is back where it was.
  lab.configFile({ forwards }, { http: { address: "198.51.100.1" } });
  match(await lab.ask("reload"), /^2 napt: gateway\.http: 198\.51\.100\.1:9469: /);
  equal(await ask(lab, `${HERE}/readyz`), "ready\n");
  // The port is free, but a network would change: it has not moved.
  lab.configFile(
    { forwards },
    { http: { port: 9471 }, inside: { interface: "gin1", address: "192.168.226.2/24" } },
  );
  match(await lab.ask("reload"), /^2 napt: gateway\.inside: it can't change/);
  equal(await ask(lab, `${HERE}/readyz`), "ready\n");
  await rejects(ask(lab, "http://127.0.0.1:9471/healthz"));
  lab.configFile({ forwards }, { http: {}, user: "nobody" });
  match(await lab.ask("reload"), /^2 napt: gateway\.user: it can't change/);
  lab.configFile({ forwards }, { http: {} });
  equal(await lab.ask("reload"), "");
  match(await lab.ask("forward", "list"), /^tcp 203\.0\.113\.1:8080 /);
});
