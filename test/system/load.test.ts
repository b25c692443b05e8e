// The gateway under load: everything arrives, whatever the cards do, links that fail and configs that change.
import { equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { INSIDE_HOST, Lab, OUTSIDE_HOST, PUBLIC, until, whyNoLab } from "./lab.js";
import { startStream } from "./stream.js";

const skip = whyNoLab("iperf3", "ethtool");

for (const mtu of [1400, 1500, 9000]) {
  for (const offloads of ["with", "without"]) {
    test(`TCP and UDP both ways, MTU ${mtu}, ${offloads} offloads`, { skip }, async () => {
      await using lab = await Lab.create({ insideMtu: mtu, outsideMtu: mtu });
      if (offloads === "without") await lab.withoutOffloads();
      await lab.gateway();
      await lab.start("out", /listening/, "iperf3", "-s", "--forceflush");
      const iperf3 = async (...args: string[]) =>
        JSON.parse(await lab.exec("in", "iperf3", "--json", "-c", OUTSIDE_HOST, ...args)).end;
      for (const way of [[], ["--reverse"]]) {
        const { sum_sent: sent, sum_received: received } = await iperf3("-n", "30M", ...way);
        ok(received.bytes > sent.bytes / 2, `${received.bytes} of ${sent.bytes} bytes`);
        const segments = sent.bytes / (mtu - 52);
        ok(sent.retransmits < segments / 3, `${sent.retransmits} of ${segments} segments sent again`);
        // Few and slowly: what iperf3 itself has no room for would be lost, too.
        const datagrams = ["-u", "-b", "5M", "-n", String(60 * (mtu - 28)), "-l", String(mtu - 28)];
        const { sum } = await iperf3(...datagrams, ...way);
        ok(sum.lost_packets < sum.packets / 4, `${sum.lost_packets} of ${sum.packets} datagrams lost`);
      }
    });
  }
}

test("a connection outlives links that go down and come back, on each side", { skip }, async () => {
  await using lab = await Lab.create();
  const gateway = await lab.gateway();
  const stream = await startStream(lab);
  for (const [place, name] of [
    ["gw", "gin0"],
    ["gw", "gout0"],
    ["out", "out0"],
  ] as const) {
    await stream.goesOn();
    await lab.exec(place, "ip", "link", "set", name, "down");
    await sleep(300);
    await lab.exec(place, "ip", "link", "set", name, "up");
  }
  await stream.goesOn();
  stream.isWhole();
  equal(gateway.output().replace(/^ready.*\n/, ""), "", "nothing to complain of");
  equal(await lab.end(gateway), 0);
});

test("fifty changes of config while a connection is busy", { skip }, async () => {
  await using lab = await Lab.create();
  const gateway = await lab.gateway();
  const stream = await startStream(lab);
  const inForce = () => gateway.output().match(/is in force/g)?.length ?? 0;
  for (let i = 1; i <= 50; i++) {
    const forward = { protocol: "tcp", outside: `${PUBLIC}:${8000 + i}`, inside: `${INSIDE_HOST}:80` };
    lab.configFile({ forwards: [forward] });
    gateway.process.kill("SIGHUP");
    await until("the config is in force", () => inForce() === i);
  }
  await stream.goesOn();
  stream.isWhole();
  const list = await lab.ask("forward", "list");
  equal(list, `tcp ${PUBLIC}:8050 to ${INSIDE_HOST}:80`);
  equal(gateway.output().replaceAll(/^(ready.*|.* is in force)\n/gm, ""), "", "nothing to complain of");
});
