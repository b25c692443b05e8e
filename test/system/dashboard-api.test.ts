// The API and the dashboard's files on a live gateway's HTTP port: what they tell, whom they refuse, what clients that
// are slow, many or wrong cost.
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { samplesOf } from "../support/samples.js";
import { INSIDE_HOST, Lab, OUTSIDE_HOST, PUBLIC, until, whyNoLab } from "./lab.js";

const skip = whyNoLab("ping", "curl");
const HERE = "http://127.0.0.1:9469";
const TOKEN = "0123456789abcdef0123456789abcdef";
const CHANGES = ["-H", "x-napt: 1"];

const ask = (lab: Lab, url: string, ...options: string[]) =>
  lab.exec("gw", "curl", "-sS", "-m", "10", ...options, url);
const statusOf = (lab: Lab, url: string, ...options: string[]) =>
  ask(lab, url, "-o", "/dev/null", "-w", "%{http_code}", ...options);
const json = async (lab: Lab, path: string, ...options: string[]) =>
  JSON.parse(await ask(lab, `${HERE}/api${path}`, ...options));
const refused = async (lab: Lab, reason: string) =>
  samplesOf(await ask(lab, `${HERE}/metrics`)).get(`napt_http_refused_total{reason="${reason}"}`)!;

/** A program beside the gateway that talks to its port, and tells in lines what became of it. */
const talk = (lab: Lab, source: string) =>
  lab.script("gw", `const connect = () => require("node:net").connect(9469, "127.0.0.1");\n${source}`);

test("the API tells and does the same by both doors", { skip }, async () => {
  await using lab = await Lab.create();
  await lab.gateway({}, { http: {} });
  await lab.exec("in", "ping", "-c", "2", "-i", "0.2", OUTSIDE_HOST);

  const reading = await json(lab, "/reading");
  equal(reading.status.nat.sessions.active, 1);
  deepEqual(reading.sessions, [{ protocol: "icmp", state: null, count: 1 }]);
  const [use] = reading.ports;
  equal(use.address, PUBLIC);
  equal(use.used.icmp, 1);
  equal(use.ranges.icmp.length, 64);
  equal(
    use.ranges.icmp.reduce((sum: number, some: number) => sum + some),
    1,
  );
  const bySocket = await ask(lab, "http://napt/status", "--unix-socket", lab.control);
  deepEqual(Object.keys(JSON.parse(bySocket)), Object.keys(reading.status));

  const page = await json(lab, "/sessions/page?q=icmp&sort=age&count=5");
  equal(page.total, 1);
  const { inside, remote } = page.sessions[0];
  const flow = `icmp ${inside.address}:${inside.port} ${remote.address}:${remote.port}`;
  const pin = encodeURIComponent(flow);
  equal((await json(lab, `/sessions/page?q=tcp&pin=${pin}`)).pinned[0].public.address, PUBLIC);
  deepEqual(await json(lab, `/sessions?flow=${pin}`, "-X", "DELETE", ...CHANGES), { ended: 1 });
  deepEqual(await json(lab, `/sessions?flow=${pin}`, "-X", "DELETE", ...CHANGES), { ended: 0 });
  match((await json(lab, "/sessions/page?q=tpc")).error, /"tpc" says nothing/);
  match((await json(lab, "/sessions/page?sort=x")).error, /sort: "x" is none of protocol, inside, /);
  match((await json(lab, "/sessions/page?from=-1")).error, /from: "-1" is not a number from 0/);

  const forward = { protocol: "tcp", outside: `${PUBLIC}:8080`, inside: `${INSIDE_HOST}:80` };
  await json(lab, "/forwards", ...CHANGES, "-d", JSON.stringify(forward));
  deepEqual(await json(lab, "/forwards"), [forward]);
  match(await lab.ask("forward", "list"), /^tcp 203\.0\.113\.1:8080 /);
  await json(lab, `/forwards?protocol=tcp&outside=${PUBLIC}:8080`, "-X", "DELETE", ...CHANGES);
  deepEqual(await json(lab, "/forwards"), []);

  const question = JSON.stringify({ flow: `tcp ${OUTSIDE_HOST}:1 > ${PUBLIC}:80` });
  const told = await json(lab, "/explain?words=1", ...CHANGES, "-d", question);
  equal(told.reason, "no-mapping");
  match(told.words, /^dropped {3}no-mapping, inbound: /);
  equal((await json(lab, "/behaviour"))[0].value, "endpoint-independent");
  // A reload by the page is seen in what it tells.
  lab.configFile({ mapping: "address-dependent" }, { http: {} });
  deepEqual(await json(lab, "/reload", ...CHANGES, "-X", "POST"), { done: true });
  equal((await json(lab, "/behaviour"))[0].value, "address-dependent");
});

test("the page comes with headers that keep others out, and once", { skip }, async () => {
  await using lab = await Lab.create();
  await lab.gateway({}, { http: {} });
  const head = await ask(lab, `${HERE}/`, "-i");
  match(head, /^HTTP\/1\.1 200/);
  match(head, /^content-type: text\/html/im);
  match(head, /^content-security-policy: default-src 'none'; script-src 'self'; /im);
  match(head, /^content-security-policy: .*frame-ancestors 'none'/im);
  match(head, /^x-content-type-options: nosniff/im);
  match(head, /^referrer-policy: no-referrer/im);
  // Nothing inline, nothing from elsewhere, and all that it names is there.
  ok(!/<script(?![^>]*src=)|<style|\sstyle=|\son[a-z]+=|https?:\/\//i.test(head), "inline or foreign");
  const files = [...head.matchAll(/(?:src|href)="([^"#]+)"/g)].map((found) => found[1]!);
  const modules = new Set([...files, "uplot.js"]);
  for (const file of modules) {
    const text = await ask(lab, `${HERE}/${file}`, "-i");
    match(text, /^HTTP\/1\.1 200/, file);
    for (const [, name] of text.matchAll(/from "\.\/([a-z]+\.js)"/g)) modules.add(name!);
  }
  ok(modules.size >= 14, [...modules].join(" "));
  const tag = /^etag: (.*)$/im.exec(head)![1]!.trim();
  equal(await statusOf(lab, `${HERE}/`, "-H", `if-none-match: ${tag}`), "304");
  equal(await statusOf(lab, `${HERE}/`, "-X", "POST"), "405");
  equal(await statusOf(lab, `${HERE}/tsconfig.json`), "404");
  equal(await statusOf(lab, `${HERE}/%2e%2e/reading.ts`), "404");
});

test("strangers are refused and counted, and change nothing", { skip }, async () => {
  await using lab = await Lab.create();
  await lab.gateway({}, { http: {} });
  const forward = JSON.stringify({ protocol: "tcp", outside: `${PUBLIC}:81`, inside: `${INSIDE_HOST}:81` });
  const before = await refused(lab, "access");
  for (const [headers, path] of [
    [["-H", "host: evil.example:9469"], "/api/status"],
    [["-H", "host: evil.example:9469"], "/"],
    [["-H", "origin: http://evil.example"], "/api/status"],
    [["-H", "sec-fetch-site: cross-site"], "/api/sessions/page"],
    [["-d", forward], "/api/forwards"],
    [["-d", forward, ...CHANGES, "-H", "origin: http://evil.example"], "/api/forwards"],
    [["-d", forward, ...CHANGES, "-H", "sec-fetch-site: same-site"], "/api/forwards"],
    [["-X", "DELETE"], "/api/sessions?q=icmp"],
    [["-X", "POST"], "/api/reload"],
    [["-X", "OPTIONS", "-H", "origin: http://evil.example"], "/api/forwards"],
  ] as const) {
    equal(await statusOf(lab, HERE + path, ...headers), "403", `${headers.join(" ")} ${path}`);
  }
  equal(await refused(lab, "access"), before + 10);
  equal(await lab.ask("forward", "list"), "");
  // What was always there is for all.
  for (const path of ["/metrics", "/healthz"]) {
    equal(await statusOf(lab, HERE + path, "-H", "host: evil.example:9469"), "200");
  }
});

test("on other addresses a token is needed, and a reload changes it", { skip }, async () => {
  await using lab = await Lab.create();
  await lab.exec("gw", "ip", "addr", "add", "198.51.100.1/32", "dev", "lo");
  await lab.gateway({}, { http: { address: "0.0.0.0" } });
  const there = "http://198.51.100.1:9469";
  equal(await statusOf(lab, `${there}/healthz`), "200");
  equal(await statusOf(lab, `${there}/metrics`), "200");
  for (const url of [`${there}/`, `${there}/api/status`, `${HERE}/api/status`]) {
    equal(await statusOf(lab, url), "403", url);
  }
  match(
    await ask(lab, `${there}/`),
    /not served at 0\.0\.0\.0 to everybody: give a token with gateway\.http\.tokenFile/,
  );

  const tokenFile = lab.path("token");
  writeFileSync(tokenFile, `${TOKEN}\n`, { mode: 0o644 });
  const http = { address: "0.0.0.0", tokenFile };
  lab.configFile({}, { http });
  match(
    await lab.ask("reload"),
    /^2 napt: gateway\.http\.tokenFile: ".*" may be read by others \(its mode is 644\)/,
  );
  equal(await statusOf(lab, `${there}/api/status`), "403");
  chmodSync(tokenFile, 0o600);
  equal(await lab.ask("reload"), "");
  equal(await statusOf(lab, `${there}/`), "200");
  const bearer = (token: string) => ["-H", `authorization: Bearer ${token}`];
  equal(await statusOf(lab, `${there}/api/status`), "401");
  equal(await statusOf(lab, `${there}/api/status`, ...bearer(`${TOKEN}0`)), "401");
  equal(await statusOf(lab, `${there}/api/status`, ...bearer(TOKEN)), "200");
  match(await ask(lab, `${there}/api/status`, "-i"), /^www-authenticate: Bearer\r$/im);
  const next = TOKEN.replaceAll("0", "z");
  writeFileSync(tokenFile, next);
  equal(await lab.ask("reload"), "");
  equal(await statusOf(lab, `${there}/api/status`, ...bearer(TOKEN)), "401");
  equal(await statusOf(lab, `${there}/api/status`, ...bearer(next)), "200");
  equal(await statusOf(lab, `${there}/healthz`), "200");

  match(
    await lab.complaint({}, { http: { token: TOKEN, tokenFile }, control: lab.path("other.sock") }),
    /gateway\.http\.token: there is a tokenFile, too; leave one of them out/,
  );
  match(
    await lab.complaint({}, { http: { token: "short" }, control: lab.path("other.sock") }),
    /"short" is not a token/,
  );
});

test("what is too large, malformed, slow or too much is cut off and counted; packets go on", {
  skip,
}, async () => {
  await using lab = await Lab.create();
  const gateway = await lab.gateway({}, { http: {} });
  const pings = lab.exec("in", "ping", "-c", "200", "-i", "0.05", OUTSIDE_HOST);

  const large = lab.path("large");
  writeFileSync(large, "x".repeat(100_000));
  equal(await statusOf(lab, `${HERE}/api/explain`, ...CHANGES, "--data-binary", `@${large}`), "413");
  const chunked = [...CHANGES, "-H", "transfer-encoding: chunked", "--data-binary", `@${large}`];
  equal(await statusOf(lab, `${HERE}/api/explain`, ...chunked), "400");
  equal(await statusOf(lab, `${HERE}/api/explain`, ...CHANGES, "-d", "{"), "400");
  equal(await refused(lab, "too-large"), 1);
  const garbage = await talk(
    lab,
    `const socket = connect();
     socket.on("close", () => console.log("closed"));
     socket.resume().write("\\0\\xff garbage\\r\\n\\r\\n", () => console.log("ready"));`,
  );
  await until("garbage is cut off", () => garbage.output().includes("closed"));
  equal(await refused(lab, "malformed"), 1);

  // Bytes come one by one: the body of a request that is never whole.
  const slow = await talk(
    lab,
    `const socket = connect();
     socket.on("error", () => {}).on("close", () => console.log("closed"));
     socket.resume().write("POST /api/explain HTTP/1.1\\r\\nHost: localhost\\r\\nx-napt: 1\\r\\nContent-Length: 1000\\r\\n\\r\\n");
     setInterval(() => socket.destroyed || socket.write("x"), 100);
     console.log("ready");`,
  );
  await until("the slow body is cut off", () => slow.output().includes("closed"));
  equal(await refused(lab, "slow"), 1);

  // A thousand tabs that each ask again and again: those that get no connection are refused, all others answered.
  const tabs = await talk(
    lab,
    `const http = require("node:http");
     const agent = new http.Agent({ keepAlive: true });
     const counts = { ok: 0, refused: 0, wrong: 0 };
     const ask = () => {
       const path = Math.random() < 0.5 ? "/api/reading" : "/api/sessions/page?q=icmp";
       http.get({ host: "127.0.0.1", port: 9469, path, agent }, (answer) => {
         counts[answer.statusCode === 200 ? "ok" : "wrong"]++;
         answer.resume().on("end", () => setTimeout(ask, 100));
       }).on("error", () => { counts.refused++; setTimeout(ask, 500); });
     };
     for (let tab = 0; tab < 1000; tab++) setTimeout(ask, tab);
     setInterval(() => console.log(JSON.stringify(counts)), 500);
     console.log("ready");`,
  );
  const counted = () => JSON.parse(tabs.output().trim().split("\n").at(-1)!.replace("ready", "{}"));
  await until("tabs are answered, and refused", () => counted().ok > 2000 && counted().refused > 100);
  equal(counted().wrong, 0);
  // Meanwhile others get their turn.
  const isServed = async () => (await statusOf(lab, `${HERE}/healthz`).catch(() => "")) === "200";
  await until("it serves others", isServed);
  await lab.end(tabs, "SIGKILL");
  await until("it serves others at once", isServed);
  ok((await refused(lab, "connections")) > 0);
  match(await pings, / 0% packet loss/);
  equal(gateway.process.exitCode, null);
});

test("a client that reads a byte a second holds nobody up, and not for long", { skip }, async () => {
  await using lab = await Lab.create();
  await lab.gateway({}, { http: {} });
  await talk(
    lab,
    `const socket = connect();
     socket.on("error", () => {});
     // More answers than the system's buffers hold, asked for at once and not read.
     socket.pause();
     for (let i = 0; i < 200; i++) socket.write("GET /uplot.js HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n");
     setInterval(() => socket.read(1), 1000);
     console.log("ready");`,
  );
  for (let i = 0; i < 20; i++) equal(await statusOf(lab, `${HERE}/api/reading`), "200");
  await until("it is cut off", async () => (await refused(lab, "slow")) > 0);
});
