// Events of a live gateway: its thread records, JavaScript reads.
import { deepEqual, equal, ok } from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { NatEvent } from "../../src/index.js";
import { INSIDE_GATEWAY, INSIDE_HOST, Lab, OUTSIDE_HOST, PUBLIC, until, whyNoLab } from "./lab.js";

const PACKAGE = JSON.stringify(join(__dirname, "../../dist/index.js"));
const WEB = `require("node:http").createServer((_, answer) => answer.end("hello"))
  .listen(8000, () => console.log("ready"));`;

/** Prints each event; with SIGUSR2 what there is, and goes on with the same config. */
const LISTENER = `
const { Gateway } = require(${PACKAGE});
const config = {
  inside: ["192.168.226.0/24"],
  outside: ["${PUBLIC}"],
  gateway: {
    inside: { interface: "gin0", address: "${INSIDE_GATEWAY}/24" },
    outside: { interface: "gout0", address: "${PUBLIC}/24" },
  },
};
const gateway = new Gateway(config);
const { conntrack } = gateway.nat;
(async () => {
  for await (const event of conntrack.events()) console.log(JSON.stringify(event));
  console.log("over");
})();
process.on("SIGUSR2", async () => {
  gateway.nat.reconfigure(gateway.nat.config);
  console.log("table " + JSON.stringify([...conntrack].map(({ inside, remote }) => [inside, remote])));
});
process.on("SIGTERM", () => gateway.close());
gateway.start().then(() => console.log("ready"));
setInterval(() => {}, 1000);
`;

test("a gateway tells what its thread does, also after a change of config", {
  skip: whyNoLab("ping", "curl"),
}, async () => {
  await using lab = await Lab.create();
  await lab.script("out", WEB);
  const gateway = await lab.script("gw", LISTENER);
  const events = () =>
    gateway
      .output()
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as NatEvent);
  const typesOf = (protocol: string) =>
    events().flatMap((event) =>
      "session" in event && event.session.protocol === protocol ? [event.type] : [],
    );
  const fetch = () => lab.exec("in", "curl", "-sS", `http://${OUTSIDE_HOST}:8000/`);

  await lab.exec("in", "ping", "-c", "2", "-i", "0.2", OUTSIDE_HOST);
  equal(await fetch(), "hello");
  const life = ["session-opened", "session-established", "session-closed"];
  await until("the connection's end", () => typesOf("tcp").includes("session-closed"));
  deepEqual(typesOf("tcp"), life);
  deepEqual(typesOf("icmp"), ["session-opened", "session-established"]);
  const opened = events().find((event) => "session" in event && event.session.protocol === "tcp");
  ok(opened?.type === "session-opened");
  equal(opened.session.inside.address, INSIDE_HOST);
  equal(opened.session.public.address, PUBLIC);

  gateway.process.kill("SIGUSR2");
  await until("the table", () => gateway.output().includes("table "));
  const before = events().length;
  equal(await fetch(), "hello");
  await until("the next connection's end", () => typesOf("tcp").length === 6);
  deepEqual(typesOf("tcp").slice(3), life);
  ok(events().length >= before + 4);
  deepEqual(
    events().filter(({ type }) => type === "session-deleted"),
    [],
  );
  gateway.process.kill("SIGTERM");
  await until("the end of the stream", () => gateway.output().includes("over"));
});
