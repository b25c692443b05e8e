// The control socket of a live gateway, through the commands that use it.
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { existsSync, statSync } from "node:fs";
import { request } from "node:http";
import { connect } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { INSIDE_HOST, Lab, OUTSIDE_HOST, PUBLIC, whyNoLab } from "./lab.js";

const skip = whyNoLab("ping", "curl");
const SERVER = `require("node:http").createServer((_, answer) => answer.end("here")).listen(8000, () => console.log("ready"));`;

test("status and sessions tell what there is, by filters; --kill ends it", { skip }, async () => {
  await using lab = await Lab.create();
  await lab.gateway();
  equal(statSync(lab.control).mode & 0o777, 0o600);
  await lab.exec("in", "ping", "-c", "2", "-i", "0.2", OUTSIDE_HOST);
  await lab.script("out", SERVER);
  equal(await lab.exec("in", "curl", "-sS", `http://${OUTSIDE_HOST}:8000/`), "here");

  const status = JSON.parse(await lab.ask("status", "--json"));
  equal(status.running, true);
  equal(status.nat.sessions.active, 2);
  deepEqual(status.outside.public, [PUBLIC]);
  ok(status.gateway.inside.received >= status.nat.packets.outbound);
  match(await lab.ask("status"), /^gateway +runs since .*\ninside +gin0 .*\nsessions +2 now.*; 2 made, /s);

  const all = (await lab.ask("sessions", "--json")).split("\n").map((line) => JSON.parse(line));
  deepEqual(all.map(({ protocol }) => protocol).sort(), ["icmp", "tcp"]);
  const [tcp] = all.filter(({ protocol }) => protocol === "tcp");
  deepEqual(tcp.inside.address, INSIDE_HOST);
  deepEqual(tcp.remote, { address: OUTSIDE_HOST, port: 8000 });
  ok(tcp.expiresIn > 0 && tcp.age >= 0);
  for (const filter of [
    ["tcp"],
    [":8000"],
    [`${OUTSIDE_HOST}:8000`],
    ["tcp", "203.0.113.0/24", INSIDE_HOST],
  ]) {
    match(
      await lab.ask("sessions", ...filter),
      /^tcp +6 +\d+ [A-Z_]+ +src=192\.168\.226\.135 dst=203\.0\.113\.8 +sport=\d+ +dport=8000 .* dst=203\.0\.113\.1 .*\[ASSURED\]$/,
    );
  }
  equal(await lab.ask("sessions", "udp"), "");
  match(await lab.ask("sessions", "tpc"), /^2 napt: "tpc" says nothing about sessions; give /);

  match(await lab.ask("sessions", "--kill"), /^2 napt: --kill needs a filter/);
  equal(await lab.ask("sessions", "icmp", "--kill"), "1 ended");
  match(await lab.ask("sessions"), /^tcp .*$/);
});

test("sessions are sorted, limited, counted and printed as CSV", { skip }, async () => {
  await using lab = await Lab.create();
  await lab.gateway();
  for (const size of [100, 900, 500])
    await lab.exec("in", "ping", "-c", "1", "-s", String(size), OUTSIDE_HOST);
  const bytes = async (...args: string[]) =>
    (await lab.ask("sessions", "--json", ...args)).split("\n").map((line) => JSON.parse(line).bytes.outbound);
  deepEqual(await bytes("--sort", "bytes"), [928, 528, 128]);
  deepEqual(await bytes("--sort", "bytes", "--reverse", "--limit", "2"), [128, 528]);
  equal((await bytes("--limit", "1")).length, 1);
  deepEqual(await bytes("bytes>300", "--sort", "bytes"), [928, 528]);
  equal(await lab.ask("sessions", "--count"), "3");
  equal(await lab.ask("sessions", "!icmp", "--count"), "0");
  const [header, ...rows] = (await lab.ask("sessions", "--csv", "--sort", "bytes")).split("\r\n");
  match(header!, /^protocol,number,state,direction,inside_address,/);
  deepEqual(
    rows.map((row) => row.split(",").length),
    Array(3).fill(header!.split(",").length),
  );
  match(
    rows[0]!,
    /^icmp,1,,outbound,192\.168\.226\.135,\d+,203\.0\.113\.1,\d+,203\.0\.113\.8,0,1,1,928,928,/,
  );
  for (const [args, complaint] of [
    [["--reverse"], "--reverse needs --sort"],
    [["--csv", "--json"], "'--csv' cannot be used with option '--json'"],
    [["--follow", "--kill"], "cannot be used with"],
    [["--limit", "0"], "give a number from 1"],
    [["--sort", "size"], "Allowed choices are bytes, packets"],
  ] as const) {
    const said = await lab.ask("sessions", ...args);
    ok(said.startsWith("2 napt: ") && said.includes(complaint), said);
  }
});

test("sessions are told of as they come and go", { skip }, async () => {
  await using lab = await Lab.create();
  await lab.gateway();
  let following = 2;
  const follow = (...args: string[]) =>
    lab.ask("sessions", "--follow", "icmp", ...args).finally(() => {
      following--;
    });
  const told = Promise.all([follow("--limit", "2"), follow("--limit", "1", "--json", "packets<1000")]);
  while (following > 0) await lab.exec("in", "ping", "-c", "1", OUTSIDE_HOST);
  const [lines, json] = await told;
  const [opened, established] = lines.split("\n");
  match(opened!, /^[0-9:.]{12} +\[NEW\] icmp +1 +src=192\.168\.226\.135 .*\[UNREPLIED\].* opened$/);
  match(established!, /^[0-9:.]{12} +\[UPDATE\] icmp .* established$/);
  const event = JSON.parse(json);
  deepEqual([event.type, event.session.remote.address], ["session-opened", OUTSIDE_HOST]);
});

test("forwards come and go while it runs, and outlive a reload", { skip }, async () => {
  await using lab = await Lab.create();
  await lab.gateway();
  await lab.script("in", SERVER);
  const endpoint = `${PUBLIC}:8080`;
  equal(await lab.ask("forward", "add", "tcp", endpoint, `${INSIDE_HOST}:8000`), "");
  equal(await lab.exec("out", "curl", "-sS", `http://${endpoint}/`), "here");
  lab.configFile({ forwards: [{ protocol: "udp", outside: `${PUBLIC}:53`, inside: `${INSIDE_HOST}:53` }] });
  equal(await lab.ask("reload"), "");
  equal(
    await lab.ask("forward", "list"),
    `udp ${PUBLIC}:53 to ${INSIDE_HOST}:53\ntcp ${endpoint} to ${INSIDE_HOST}:8000`,
  );
  equal(await lab.exec("out", "curl", "-sS", `http://${endpoint}/`), "here");
  match(await lab.ask("forward", "add", "tcp", endpoint, `${INSIDE_HOST}:81`), /^2 napt: .*forwards\[2\]/);
  match(await lab.ask("forward", "add", "tpc", endpoint, "x"), /^2 napt: .*forwards\[2\]\.protocol/);
  match(
    await lab.ask("forward", "remove", "udp", `${PUBLIC}:53`),
    /^2 napt: the forward .* is in the config/,
  );
  equal(await lab.ask("forward", "remove", "tcp", endpoint), "");
  await rejects(lab.exec("out", "curl", "-sS", "-m", "1", `http://${endpoint}/`));
  lab.configFile({ inside: ["nonsense"] });
  match(await lab.ask("reload"), /^2 napt: .*gateway\.yaml: inside\[0\]: "nonsense"/);
});

test("explain tells what would become of a packet, and nothing is changed by it", { skip }, async () => {
  await using lab = await Lab.create();
  await lab.gateway();
  await lab.exec("in", "ping", "-c", "1", OUTSIDE_HOST);
  const sessions = () => lab.ask("sessions", "--json");
  const key = (text: string) => text.replace(/"(age|idle|expiresIn)":[^,}]+/g, "");
  const before = key(await sessions());
  const flow = `udp ${INSIDE_HOST}:4000 > ${OUTSIDE_HOST}:53`;
  const said = JSON.parse(await lab.ask("explain", flow, "--json"));
  deepEqual([said.verdict, said.direction, said.sessions[0].isNew], ["forwarded", "outbound", true]);
  equal(key(await sessions()), before);
  match(
    await lab.ask("explain", flow),
    /^forwarded udp 192\.168\.226\.135:4000 > 203\.0\.113\.8:53, outbound\n/,
  );
  match(await lab.ask("explain", flow, "--from", "outside"), /^dropped {3}invalid-source, inbound: /);
  match(
    await lab.ask("explain", `tcp ${OUTSIDE_HOST}:1 > ${PUBLIC}:80`),
    /^dropped {3}no-mapping, inbound: .*\nchange {4}forwards: /,
  );
});

test("one gateway a socket; a killed one's socket is taken over; a stopped one leaves none", {
  skip,
}, async () => {
  await using lab = await Lab.create();
  match(
    await lab.ask("status"),
    /^1 napt: .*: no gateway runs with this control socket; name another with --control$/,
  );
  const gateway = await lab.gateway();
  await rejects(lab.gateway(), /another gateway answers there/);
  await lab.end(gateway, "SIGKILL");
  match(await lab.ask("status"), /^1 napt: .*: the gateway that had this control socket is gone$/);
  const next = await lab.gateway();
  match(await lab.ask("status"), /runs/);
  equal(await lab.end(next), 0);
  equal(existsSync(lab.control), false);
});

test("clients that send nonsense, or nothing, harm nobody", { skip }, async () => {
  await using lab = await Lab.create();
  const gateway = await lab.gateway();
  const ask = (method: string, path: string, body = "") =>
    new Promise<string>((resolve, reject) => {
      const asking = request({ socketPath: lab.control, method, path }, (response) => {
        let text = `${response.statusCode} `;
        response.on("data", (data) => {
          text += data;
        });
        response.on("end", () => resolve(text.trim()));
      });
      asking.on("error", reject);
      asking.end(body);
    });
  match(await ask("GET", "/nowhere"), /^404 \{"error":"no GET \/nowhere here"\}/);
  match(await ask("POST", "/forwards", "{"), /^400 .*not JSON/);
  match(await ask("POST", "/forwards", "7"), /^400 .*forwards\[0\]/);
  match(await ask("POST", "/forwards", "x".repeat(100_000)), /^400 .*more than 65536 bytes/);
  match(await ask("DELETE", "/sessions?q=x"), /^400 /);
  match(await ask("GET", "/top?sort=size"), /^400 .*none of rate, bytes/);
  match(await ask("GET", "/top?limit=1000"), /^400 .*not from 1 to 100/);
  match(await ask("GET", "/top?q=x"), /^400 .*says nothing/);
  match(await ask("GET", "/events?type=x"), /^400 .*no event/);
  match(await ask("POST", "/explain"), /^400 .*give \\"packet\\" in hex or \\"flow\\" in words, one of them/);
  match(await ask("POST", "/explain", '{"flow":"udp","packet":"45"}'), /^400 .*one of them/);
  match(await ask("POST", "/explain", '{"flow":"udp"}'), /^400 .*is no flow/);
  match(await ask("POST", "/explain", '{"packet":"4g"}'), /^400 .*which is no hex digit/);
  match(await ask("POST", "/explain", '{"packet":"45","from":"above"}'), /^400 .*neither/);
  match(await ask("POST", "/explain", '{"packet":"45","wireLength":"x"}'), /^400 .*wireLength/);
  match(await ask("POST", "/explain", '{"packet":"45"}'), /^200 .*"malformed"/);
  const silent = Array.from({ length: 100 }, () => connect(lab.control));
  for (const socket of silent) socket.on("error", () => {});
  silent[0]!.write("\0\xff garbage\r\n\r\n");
  await sleep(200);
  for (const socket of silent) socket.destroy();
  await sleep(100);
  match(await lab.ask("status"), /runs/);
  equal(gateway.process.exitCode, null);
});
