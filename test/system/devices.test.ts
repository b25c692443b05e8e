// Networks that are reached by TUN and TAP devices.
import { deepEqual, equal, match, rejects } from "node:assert/strict";
import { test } from "node:test";
import { INSIDE_GATEWAY, INSIDE_HOST, Lab, OUTSIDE_HOST, PUBLIC, whyNoLab } from "./lab.js";

const skip = whyNoLab("ping", "curl");

const WEB = `
  require("node:http").createServer(async (request, answer) => {
    let bytes = 0;
    for await (const chunk of request) bytes += chunk.length;
    if (request.url !== "/") return answer.end(Buffer.alloc(Number(request.url.slice(1)), "napt"));
    answer.end(request.socket.remoteAddress.replace("::ffff:", "") + " " + bytes);
  }).listen(8000, () => console.log("ready"));`;

/** Both ways through it, with super-packets where the devices have them. */
async function passes(lab: Lab, place: string, ...options: string[]): Promise<void> {
  const url = `http://${OUTSIDE_HOST}:8000`;
  const upload = `head -c 3000000 /dev/zero | curl -sS ${options.join(" ")} --data-binary @/dev/stdin ${url}/`;
  equal(await lab.exec(place, "sh", "-c", upload), `${PUBLIC} 3000000`);
  const download = await lab.exec(place, "curl", "-sS", ...options, `${url}/3000000`);
  equal(download, "napt".repeat(750_000));
}

async function linkNames(lab: Lab): Promise<string[]> {
  const links = JSON.parse(await lab.exec("gw", "ip", "-j", "link")) as { ifname: string }[];
  return links.map(({ ifname }) => ifname).sort();
}

test("the outside may be a TUN device, which the system routes", { skip }, async () => {
  await using lab = await Lab.create();
  const before = await linkNames(lab);
  // The gateway's system is a router of its own, with a network between it and the outside host.
  await lab.exec("gw", "sysctl", "-qw", "net.ipv4.ip_forward=1");
  await lab.exec("gw", "ip", "addr", "add", "203.0.113.2/24", "dev", "gout0");
  await lab.exec("out", "ip", "route", "add", `${PUBLIC}/32`, "via", "203.0.113.2");
  const gateway = await lab.gateway({}, { outside: { tun: "napt0", address: `${PUBLIC}/32` } });
  await lab.script("out", WEB);
  match(await lab.exec("in", "ping", "-c", "2", "-i", "0.2", OUTSIDE_HOST), / 0% packet loss/);
  await passes(lab, "in");
  // Errors of the routers behind it come through.
  const expired = await lab.exec("in", "sh", "-c", `ping -t 2 -c 1 -W 2 ${OUTSIDE_HOST}; true`);
  match(expired, /From 203\.0\.113\.2 .*Time to live exceeded/);
  equal(await lab.end(gateway, "SIGKILL"), null);
  deepEqual(await linkNames(lab), before);
  equal((await lab.exec("gw", "ip", "route", "show", `${PUBLIC}/32`)).trim(), "");
});

test("the inside may be a TUN device, with this system's programs behind it", { skip }, async () => {
  await using lab = await Lab.create();
  await lab.exec("gw", "ip", "route", "add", "10.9.1.0/24", "dev", "lo");
  await lab.gateway(
    { inside: ["10.9.0.0/24", "10.9.1.0/24"] },
    { inside: { tun: "napt0", address: "10.9.0.1/24" } },
  );
  await lab.script("out", WEB);
  await lab.exec("gw", "ip", "addr", "add", "10.9.0.2/32", "dev", "napt0");
  await lab.exec("gw", "ip", "route", "add", "default", "dev", "napt0");
  match(
    await lab.exec("gw", "ping", "-c", "2", "-i", "0.2", "-I", "10.9.0.2", OUTSIDE_HOST),
    / 0% packet loss/,
  );
  match(await lab.exec("gw", "ping", "-c", "1", "10.9.0.1"), / 0% packet loss/);
  match(await lab.exec("gw", "ip", "route", "show", "10.9.0.0/24"), /dev napt0/);
  // What the system routes itself stays as it is.
  match(await lab.exec("gw", "ip", "route", "show", "10.9.1.0/24"), /dev lo/);
  await passes(lab, "gw", "--interface", "10.9.0.2");
});

test("the inside may be a TAP device, with leases for who is behind it", {
  skip: skip || whyNoLab("udhcpc"),
}, async () => {
  await using lab = await Lab.create();
  const dhcp = { range: `${INSIDE_HOST}-${INSIDE_HOST}` };
  await lab.gateway({}, { inside: { tap: "napt0", address: `${INSIDE_GATEWAY}/24`, dhcp } });
  await lab.script("out", WEB);
  const leased = await lab.exec("gw", "sh", "-c", "udhcpc -i napt0 -n -q -f -t 5 -T 1 -s /bin/true 2>&1");
  match(leased, new RegExp(`lease of ${INSIDE_HOST.replaceAll(".", "\\.")} obtained`));
  await lab.exec("gw", "ip", "addr", "add", `${INSIDE_HOST}/24`, "dev", "napt0");
  await lab.exec("gw", "ip", "route", "add", "default", "via", INSIDE_GATEWAY);
  await passes(lab, "gw");
});

test("a device that can't be is told with what to do", { skip: skip || whyNoLab("setpriv") }, async () => {
  await using lab = await Lab.create();
  const tun = { inside: { tun: "napt0", address: `${INSIDE_GATEWAY}/24` } };
  const bare = ["--inh-caps=-all", "--bounding-set=-all,+net_raw", "--no-new-privs"];
  await rejects(
    lab.exec("gw", "setpriv", ...bare, ...lab.command("gateway", "--config", lab.configFile({}, tun))),
    /can't make the device "napt0": Operation not permitted; it needs root, or the capability CAP_NET_ADMIN/,
  );
  await lab.exec("gw", "ip", "tuntap", "add", "napt0", "mode", "tap");
  match(
    await lab.complaint({}, tun),
    /^1 .*"napt0": Invalid argument; there is a "napt0" of another kind; choose another name/,
  );
  await lab.gateway({}, {});
  match(
    await lab.complaint({}, { control: lab.path("c2") }),
    /^1 .*have the interface to itself: "gin0": Address already in use; another gateway has it/,
  );
});
