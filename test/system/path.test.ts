// The path that hosts inside see: the gateway by its inside address, a router outside, the host behind it.
import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { INSIDE_GATEWAY, Lab, OUTSIDE_HOST, PUBLIC, whyNoLab } from "./lab.js";

const skip = whyNoLab("traceroute", "mtr");
const FAR_ROUTER = "198.51.100.1";
const FAR_HOST = "198.51.100.8";

/** The outside host is a router to another one. */
async function farLab(): Promise<Lab> {
  const lab = await Lab.create();
  try {
    await lab.add("far");
    await lab.join(["out", "out1"], ["far", "far0"]);
    await lab.exec("out", "ip", "addr", "add", `${FAR_ROUTER}/24`, "dev", "out1");
    // It tells of every packet that ends at it.
    const router = ["net.ipv4.ip_forward=1", "net.ipv4.icmp_ratelimit=0"];
    await lab.exec("out", "sysctl", "-qw", ...router);
    await lab.exec("far", "ip", "addr", "add", `${FAR_HOST}/24`, "dev", "far0");
    await lab.exec("far", "ip", "route", "add", "default", "via", FAR_ROUTER);
    await lab.exec("far", "sysctl", "-qw", "net.ipv4.icmp_ratelimit=0");
    await lab.gateway({}, { outside: { interface: "gout0", address: `${PUBLIC}/24`, router: OUTSIDE_HOST } });
    return lab;
  } catch (error) {
    await lab.close();
    throw error;
  }
}

const HOPS = [INSIDE_GATEWAY, OUTSIDE_HOST, FAR_HOST];

test("traceroute sees each hop, by UDP, ICMP and TCP", { skip }, async () => {
  await using lab = await farLab();
  for (const method of [[], ["-U"], ["-I"], ["-T", "-p", "80"]]) {
    // It waits for answers as long as it takes, not as long as others took.
    const report = await lab.exec("in", "traceroute", "-n", "-m", "6", "-w", "5,0,0", ...method, FAR_HOST);
    const hops = report.trim().split("\n").slice(1);
    deepEqual(
      hops.map((hop) =>
        hop
          .replaceAll(/[0-9.]+ ms/g, "answered")
          .trim()
          .split(/ +/),
      ),
      HOPS.map((hop, i) => [String(i + 1), hop, "answered", "answered", "answered"]),
    );
  }
});

test("mtr loses nothing at any hop", { skip }, async () => {
  await using lab = await farLab();
  // One after the other: several would take each other's answers for their own.
  for (const method of [[], ["--udp"], ["--tcp", "--port", "80"]]) {
    const briefly = ["-c", "2", "-i", "0.2", "-G", "2"];
    const report = await lab.exec("in", "mtr", "--json", "-n", ...briefly, ...method, FAR_HOST);
    const { hubs } = JSON.parse(report).report;
    deepEqual(
      hubs.map((hub: Record<string, unknown>) => [hub.host, hub.Snt, hub["Loss%"]]),
      HOPS.map((hop) => [hop, 2, 0]),
    );
  }
});
