// The gateway's DHCP server, by clients that we did not write.
import { deepEqual, equal, match } from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { INSIDE_GATEWAY, INSIDE_HOST, Lab, OUTSIDE_HOST, whyNoLab } from "./lab.js";

const skip = whyNoLab("ping", "udhcpc", "dhclient");

let files = "";
before(() => {
  files = mkdtempSync(join(tmpdir(), "napt-dhcp-"));
});
after(() => rmSync(files, { recursive: true, force: true }));

const inside = (dhcp: object) => ({ inside: { interface: "gin0", address: `${INSIDE_GATEWAY}/24`, dhcp } });

/** A lab whose inside host has no address yet. */
async function bareLab(): Promise<Lab> {
  const lab = await Lab.create();
  await lab.exec("in", "ip", "addr", "flush", "dev", "in0");
  return lab;
}

/** Runs udhcpc to its lease; what it was told, by the names of its script. */
async function udhcpc(lab: Lab, ...options: string[]): Promise<Record<string, string>> {
  const told = join(files, "told");
  const script = join(files, "script");
  writeFileSync(script, `#!/bin/sh\n[ "$1" = bound ] && env > ${told}\nexit 0\n`);
  chmodSync(script, 0o755);
  await lab.exec(
    "in",
    "udhcpc",
    "-i",
    "in0",
    "-n",
    "-q",
    "-f",
    "-t",
    "5",
    "-T",
    "1",
    "-s",
    script,
    ...options,
  );
  return Object.fromEntries(
    readFileSync(told, "utf8")
      .split("\n")
      .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );
}

test("udhcpc gets an address and all that it asks for", { skip }, async () => {
  await using lab = await bareLab();
  const range = "192.168.226.100-192.168.226.101";
  await lab.gateway(
    {},
    inside({
      range,
      lease: 600,
      dns: [OUTSIDE_HOST],
      domain: "lan.example",
      search: ["a.example", "b.example"],
    }),
  );
  const told = await udhcpc(lab, "-O", "search", "-O", "mtu");
  const { ip, subnet, router, dns, domain, search, lease, mtu, serverid } = told;
  deepEqual(
    { ip, subnet, router, dns, domain, search, lease, mtu, serverid },
    {
      ip: "192.168.226.100",
      subnet: "255.255.255.0",
      router: INSIDE_GATEWAY,
      dns: OUTSIDE_HOST,
      domain: "lan.example",
      search: "a.example b.example",
      lease: "600",
      mtu: "1500",
      serverid: INSIDE_GATEWAY,
    },
  );
});

test("clients are told to ask the gateway for names, where it answers", { skip }, async () => {
  await using lab = await bareLab();
  const networks = inside({ range: "192.168.226.100-192.168.226.199" });
  await lab.gateway({}, { inside: { ...networks.inside, dns: {} } });
  equal((await udhcpc(lab)).dns, INSIDE_GATEWAY);
});

test("dhclient configures its interface, and is translated; it gets the same again, and another what is left", {
  skip,
}, async () => {
  await using lab = await bareLab();
  const range = "192.168.226.100-192.168.226.101";
  await lab.gateway({}, inside({ range }));
  const dhclient = async (...options: string[]) => {
    const own = ["-1", "-v", "-pf", join(files, "pid"), "-lf", join(files, `leases-${options.join("")}`)];
    await lab.exec("in", "dhclient", ...own, ...options, "in0");
    const [link] = JSON.parse(await lab.exec("in", "ip", "-j", "-4", "address", "show", "in0"));
    return link.addr_info.map(({ local }: { local: string }) => local);
  };
  deepEqual(await dhclient(), ["192.168.226.100"]);
  match(await lab.exec("in", "ping", "-c", "2", "-i", "0.2", OUTSIDE_HOST), / 0% packet loss/);
  await lab.exec("in", "dhclient", "-x", "-pf", join(files, "pid"), "in0");
  await lab.exec("in", "ip", "addr", "flush", "dev", "in0");
  deepEqual(
    await dhclient("-D", "LL"),
    ["192.168.226.101"],
    "by its hardware's identifier it is another client",
  );
});

test("leases outlive a restart, and reservations hold", { skip }, async () => {
  await using lab = await bareLab();
  const leases = join(files, "leases.json");
  const range = "192.168.226.100-192.168.226.199";
  const start = (more: object = {}) => lab.gateway({}, inside({ range, leases, ...more }));
  const first = await start();
  equal((await udhcpc(lab, "-x", "0x3d:0102")).ip, "192.168.226.100");
  equal((await udhcpc(lab)).ip, "192.168.226.101");
  equal(await lab.end(first), 0);
  const second = await start();
  equal((await udhcpc(lab)).ip, "192.168.226.101");
  await lab.end(second);
  const [{ address: mac }] = JSON.parse(await lab.exec("in", "ip", "-j", "link", "show", "in0"));
  await start({ reservations: [{ mac, address: INSIDE_HOST }] });
  equal((await udhcpc(lab, "-r", "192.168.226.101")).ip, INSIDE_HOST, "what it had before is refused");
});

test("a file of leases that is damaged, or can't be written, is told, and does no harm", {
  skip,
}, async () => {
  await using lab = await bareLab();
  const leases = join(files, "damaged.json");
  writeFileSync(leases, '{"version":1,"leases":[{"client":7}]}');
  const range = "192.168.226.100-192.168.226.199";
  const gateway = await lab.gateway({}, inside({ range, leases }));
  match(gateway.output(), /DHCP: .*damaged\.json is not read: not a lease: .*; beginning without leases/);
  equal((await udhcpc(lab)).ip, "192.168.226.100");
  await lab.end(gateway);
  const other = await lab.gateway({}, inside({ range, leases: "/proc/none/leases.json" }));
  equal((await udhcpc(lab)).ip, "192.168.226.100");
  await lab.end(other);
  match(other.output(), /DHCP: leases can't be written to \/proc\/none\/leases\.json: ENOENT/);
});
