// Sessions outlast the gateway.
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { INSIDE_HOST, Lab, OUTSIDE_HOST, PUBLIC, until, whyNoLab } from "./lab.js";
import { startStream } from "./stream.js";

const skip = whyNoLab("ping");

const saved = (lab: Lab, every = 1) => ({ sessions: { file: lab.path("sessions"), every } });

test("killed under load and started again, transfers go on both ways, and forwards lead on", {
  skip,
}, async () => {
  await using lab = await Lab.create();
  const forwards = [{ protocol: "tcp", outside: `${PUBLIC}:8080`, inside: `${INSIDE_HOST}:8000` }];
  const first = await lab.gateway({ forwards }, saved(lab));
  const stream = await startStream(lab);
  const echo = `require("node:net").createServer((s) => s.pipe(s)).listen(8000, () => console.log("ready"));`;
  await lab.script("in", echo);
  // From outside by the forward: silent while the gateway is away, then it is outside that speaks first.
  const talk = await lab.script(
    "out",
    `
    const socket = require("node:net").connect(8080, "${PUBLIC}", () => socket.write("x"));
    let heard = 0;
    socket.on("data", () => { if (heard++ === 0) console.log("ready"); else console.log("heard"); });
    for (const end of ["error", "close"]) socket.on(end, () => console.log("lost"));
    process.on("SIGUSR2", () => socket.write("x"));`,
  );
  await stream.goesOn();
  const public_ = async () => {
    const lines = (await lab.ask("sessions", "--json", ":7")).split("\\n");
    return JSON.parse(lines[0]!).public.port as number;
  };
  const port = await public_();
  const { mtimeMs } = await until("the sessions are written", () => existsSync(lab.path("sessions"))).then(
    () => statSync(lab.path("sessions")),
  );
  await until("they are written anew", () => statSync(lab.path("sessions")).mtimeMs > mtimeMs);
  equal(await lab.end(first, "SIGKILL"), null);

  const second = await lab.gateway({ forwards }, saved(lab));
  await until("word of it", () => second.output().includes("restored"));
  match(second.output(), /napt: sessions: [1-9]\d* restored, 0 expired meanwhile, 0 refused/);
  await stream.goesOn();
  stream.isWhole();
  equal(await public_(), port);
  talk.process.kill("SIGUSR2");
  await until("the forward's connection goes on", () => talk.output().includes("heard"));
  ok(!talk.output().includes("lost"));

  // Ended in an orderly way, it has all of them.
  equal(await lab.end(second), 0);
  const third = await lab.gateway({ forwards }, saved(lab));
  await until("word of it", () => third.output().includes("restored"));
  await stream.goesOn();
  stream.isWhole();
});

test("a file that is damaged, or can't be written, is told; the gateway runs", { skip }, async () => {
  await using lab = await Lab.create();
  const file = lab.path("sessions");
  const first = await lab.gateway({}, saved(lab, 3600));
  equal(await lab.end(first), 0);
  equal(statSync(file).mode & 0o777, 0o600);
  const whole = readFileSync(file);
  for (const [damage, word] of [
    [() => truncateSync(file, whole.length - 1), /it is cut short; beginning without sessions/],
    [
      () =>
        writeFileSync(
          file,
          whole.map((byte, at) => (at === 20 ? byte ^ 1 : byte)),
        ),
      /its checksum is wrong/,
    ],
    [() => writeFileSync(file, "something else"), /it does not begin as a snapshot/],
  ] as const) {
    damage();
    const gateway = await lab.gateway({}, saved(lab, 3600));
    match(gateway.output(), word);
    await lab.end(gateway, "SIGKILL");
  }
  // A full disk, in a mount namespace of the gateway's.
  const small = lab.path("small");
  const config = lab.configFile({}, { sessions: { file: `${small}/sessions`, every: 1 } });
  const disk = `mkdir ${small} && mount -t tmpfs -o size=4k none ${small} && head -c 4096 /dev/zero > ${small}/full`;
  const command = `${disk}; exec ${lab.command("gateway", "--config", config).join(" ")}`;
  const gateway = await lab.start("gw", /^ready/, "sh", "-c", command);
  await until("word of it", () => gateway.output().includes("ENOSPC"));
  match(gateway.output(), /sessions: they can't be written to .*: ENOSPC.*; those written before stay there/);
  deepEqual(readdirSync(`/proc/${gateway.process.pid}/root/${small}`), ["full"]);
  match(await lab.exec("in", "ping", "-c", "1", OUTSIDE_HOST), / 0% packet loss/);
  equal(await lab.end(gateway), 0);
});
