// `napt gateway` between network namespaces: real kernels on both sides, real programs on them.
import { deepEqual, doesNotMatch, equal, match, ok, rejects } from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { INSIDE_GATEWAY, INSIDE_HOST, Lab, OUTSIDE_HOST, PUBLIC, until, whyNoLab } from "./lab.js";

const skip = whyNoLab("ping", "curl", "iperf3", "tcpdump");

/** Tells each client who it is, and takes what it sends. */
const WHO = `
const server = require("node:http").createServer((request, answer) => {
  let bytes = 0;
  request.on("data", (data) => { bytes += data.length; });
  request.on("end", () => answer.end(request.socket.remoteAddress.replace("::ffff:", "") + " " + bytes));
});
server.listen(8000, () => console.log("ready"));`;

test("hosts inside are the public address outside: ping, HTTP, UDP; nothing else is seen there", {
  skip,
}, async () => {
  await using lab = await Lab.create();
  await lab.gateway();
  const seen = await lab.start("out", /listening on/, "tcpdump", "-l", "-n", "-i", "out0", "arp or ip");
  match(await lab.exec("in", "ping", "-c", "3", "-i", "0.2", INSIDE_GATEWAY), / 0% packet loss/);
  match(await lab.exec("in", "ping", "-c", "3", "-i", "0.2", OUTSIDE_HOST), / 0% packet loss/);
  await lab.script("out", WHO);
  equal(await lab.exec("in", "curl", "-sS", `http://${OUTSIDE_HOST}:8000/`), `${PUBLIC} 0`);
  await sleep(300);
  const lines = seen.output();
  match(lines, new RegExp(`${PUBLIC} > ${OUTSIDE_HOST}: ICMP echo request`));
  ok(!lines.includes("192.168."), lines);
});

test("bulk TCP goes through in super-packets, both ways, checksums left to the cards", { skip }, async () => {
  await using lab = await Lab.create();
  await lab.gateway();
  await lab.start("out", /listening/, "iperf3", "-s", "--forceflush");
  for (const way of [[], ["--reverse"]]) {
    const frames = await received(lab, "out", "out0");
    const report = await lab.exec("in", "iperf3", "--json", "-t", "1", "-P", "2", ...way, "-c", OUTSIDE_HOST);
    const { end } = JSON.parse(report) as { end: { sum_received: { bytes: number } } };
    // No more than that it works: what it reaches is the benchmark's.
    ok(end.sum_received.bytes > 10_000_000, `${end.sum_received.bytes} bytes`);
    if (way.length > 0) continue;
    // Cut into packets of the MTU there would be more.
    ok((await received(lab, "out", "out0")) - frames < end.sum_received.bytes / 3000);
  }
});

/** Frames that an interface has received. */
async function received(lab: Lab, place: "in" | "out", name: string): Promise<number> {
  const [link] = JSON.parse(await lab.exec(place, "ip", "-j", "-s", "link", "show", name));
  return link.stats64.rx.packets;
}

test("busy polling keeps a thread awake, until a reload has it sleep", { skip }, async () => {
  await using lab = await Lab.create();
  const gateway = await lab.gateway({}, { busyPoll: true });
  const tasks = `/proc/${gateway.process.pid}/task`;
  const isRunning = () =>
    readdirSync(tasks).some((task) => / R /.test(readFileSync(`${tasks}/${task}/stat`, "utf8")));
  const staysSo = async (what: boolean) => {
    for (let i = 0; i < 20; i++) {
      if (isRunning() !== what) return false;
      await sleep(10);
    }
    return true;
  };
  await until("a thread never sleeps", () => staysSo(true));
  match(await lab.exec("in", "ping", "-c", "3", "-i", "0.2", OUTSIDE_HOST), / 0% packet loss/);
  lab.configFile({}, {});
  equal(await lab.ask("reload"), "");
  await until("all sleep", () => staysSo(false));
  match(await lab.exec("in", "ping", "-c", "3", "-i", "0.2", OUTSIDE_HOST), / 0% packet loss/);
});

test("without offloads, as a card that has none", { skip: skip || whyNoLab("ethtool") }, async () => {
  await using lab = await Lab.create();
  await lab.withoutOffloads();
  await lab.gateway();
  await lab.script("out", WHO);
  const upload = ["-sS", "--data-binary", "@/dev/stdin"];
  const answer = await lab.exec(
    "in",
    "sh",
    "-c",
    `head -c 3000000 /dev/zero | curl ${upload.join(" ")} http://${OUTSIDE_HOST}:8000/`,
  );
  equal(answer, `${PUBLIC} 3000000`);
});

test("a smaller MTU outside is found by senders inside", { skip: skip || whyNoLab("ethtool") }, async () => {
  await using lab = await Lab.create({ outsideMtu: 1400 });
  // The far end does not know: what it says of segments is of no help. And the gateway's card can't cut.
  await lab.exec("out", "ip", "link", "set", "out0", "mtu", "1500");
  await lab.exec("gw", "ethtool", "-K", "gout0", "tso", "off", "gso", "off");
  await lab.gateway({ clampMss: false });
  await lab.script("out", WHO);
  const long = await lab.start("out", /listening on/, "tcpdump", "-l", "-n", "-i", "out0", "greater", "1415");
  const upload = `head -c 3000000 /dev/zero | curl -sS --data-binary @/dev/stdin http://${OUTSIDE_HOST}:8000/`;
  equal(await lab.exec("in", "sh", "-c", upload), `${PUBLIC} 3000000`);
  const told = await lab.exec("in", "ip", "route", "get", OUTSIDE_HOST);
  match(told, /mtu 1400/);
  // Without DF it is cut. (The answer has to fit, too.)
  await lab.exec("out", "ip", "link", "set", "out0", "mtu", "1400");
  const dontCare = ["-M", "dont", "-s", "1472", "-c", "2", "-i", "0.2"];
  match(await lab.exec("in", "ping", ...dontCare, OUTSIDE_HOST), / 0% packet loss/);
  const seen = long.output().split("\n");
  deepEqual(
    seen.filter((line) => line.includes(" > ")),
    [],
  );
});

test("a smaller MTU outside: TCP begins with segments that fit", {
  skip: skip || whyNoLab("ethtool"),
}, async () => {
  await using lab = await Lab.create({ outsideMtu: 1400 });
  await lab.exec("out", "ip", "link", "set", "out0", "mtu", "1500");
  await lab.gateway();
  await lab.script("out", WHO);
  const syns = await lab.start(
    "out",
    /listening on/,
    "tcpdump",
    "-l",
    "-n",
    "-i",
    "out0",
    "tcp[tcpflags] & tcp-syn != 0",
  );
  const upload = `head -c 3000000 /dev/zero | curl -sS --data-binary @/dev/stdin http://${OUTSIDE_HOST}:8000/`;
  equal(await lab.exec("in", "sh", "-c", upload), `${PUBLIC} 3000000`);
  // Nobody had to be told: not the inside host of its own segments, nor, by its SYN, the other end.
  doesNotMatch(await lab.exec("in", "ip", "route", "get", OUTSIDE_HOST), /mtu/);
  await until("the SYN is seen", () => syns.output().includes("Flags [S],"));
  match(syns.output(), /Flags \[S\],.*mss 1360,/);
});

test("traceroute sees the gateway by its inside address", { skip }, async () => {
  await using lab = await Lab.create();
  await lab.gateway();
  const answer = await lab.exec("in", "sh", "-c", `ping -t 1 -c 1 -W 2 ${OUTSIDE_HOST}; true`);
  match(answer, new RegExp(`From ${INSIDE_GATEWAY} .*Time to live exceeded`));
});

test("forwards lead inside, from outside and by hairpin", { skip }, async () => {
  await using lab = await Lab.create();
  await lab.gateway({
    forwards: [{ protocol: "tcp", outside: `${PUBLIC}:8080`, inside: `${INSIDE_HOST}:8000` }],
  });
  await lab.script("in", WHO);
  equal(await lab.exec("out", "curl", "-sS", `http://${PUBLIC}:8080/`), `${OUTSIDE_HOST} 0`);
  equal(await lab.exec("in", "curl", "-sS", `http://${PUBLIC}:8080/`), `${PUBLIC} 0`);
});

test("SIGHUP brings a new config in, sessions stay; SIGTERM ends it and leaves nothing", {
  skip,
}, async () => {
  await using lab = await Lab.create();
  const gateway = await lab.gateway();
  // A connection that lives through the change.
  await lab.script(
    "out",
    `
    require("node:net").createServer((socket) => socket.pipe(socket)).listen(7, () => console.log("ready"));`,
  );
  const talk = await lab.script(
    "in",
    `
    const socket = require("node:net").connect(7, "${OUTSIDE_HOST}", () => console.log("ready"));
    let said = 0;
    socket.on("data", () => console.log("heard " + ++said));
    setInterval(() => socket.write("x"), 50);`,
  );
  lab.configFile({
    forwards: [{ protocol: "tcp", outside: `${PUBLIC}:8080`, inside: `${INSIDE_HOST}:8000` }],
  });
  gateway.process.kill("SIGHUP");
  await lab.script("in", WHO);
  const until = Date.now() + 10_000;
  while (!gateway.output().includes("is in force") && Date.now() < until) await sleep(20);
  match(gateway.output(), /gateway\.yaml is in force/);
  equal(await lab.exec("out", "curl", "-sS", `http://${PUBLIC}:8080/`), `${OUTSIDE_HOST} 0`);
  const heard = () => talk.output().split("heard").length;
  const before = heard();
  while (heard() < before + 3 && Date.now() < until) await sleep(20);
  ok(heard() >= before + 3, talk.output());

  lab.configFile({ forwards: [{ protocol: "tcp", outside: "nonsense", inside: "x" }] });
  gateway.process.kill("SIGHUP");
  while (!gateway.output().includes("stays in force") && Date.now() < until) await sleep(20);
  match(gateway.output(), /forwards\[0\]\.outside: .*\n(.*\n)*.*the config before stays in force/);

  equal(await lab.end(gateway), 0);
  deepEqual(JSON.parse(await lab.exec("gw", "ip", "-j", "route")), []);
});

test("a neighbour that comes back elsewhere is found again", { skip }, async () => {
  await using lab = await Lab.create();
  await lab.gateway();
  match(await lab.exec("in", "ping", "-c", "1", OUTSIDE_HOST), / 0% packet loss/);
  await lab.exec("out", "ip", "link", "set", "out0", "down");
  await lab.exec("out", "ip", "link", "set", "out0", "address", "02:00:00:00:00:99", "up");
  // It tells of itself by asking for us; who it was does not answer any more.
  await lab.exec("out", "sh", "-c", `ping -c 1 -W 1 ${PUBLIC}; true`);
  match(await lab.exec("in", "ping", "-c", "12", "-i", "0.5", OUTSIDE_HOST), /from 203\.0\.113\.8/);
});

test("CAP_NET_RAW is all it needs, and without it is told so", {
  skip: skip || whyNoLab("setpriv"),
}, async () => {
  await using lab = await Lab.create();
  const withOnly = (capability: string) => [
    "--inh-caps=-all",
    `--bounding-set=-all${capability}`,
    "--no-new-privs",
  ];
  const command = lab.command("gateway", "--config", lab.configFile());
  await rejects(
    lab.start("gw", /^ready/, "setpriv", ...withOnly(""), ...command),
    /can't open a packet socket "gin0": Operation not permitted; it needs root, or the capability CAP_NET_RAW/,
  );
  await lab.start("gw", /^ready/, "setpriv", ...withOnly(",+net_raw"), ...command);
  match(await lab.exec("in", "ping", "-c", "1", OUTSIDE_HOST), / 0% packet loss/);
});

test("what can't be is told with what to do about it", { skip }, async () => {
  await using lab = await Lab.create();
  const outside = { interface: "gout0", address: `${PUBLIC}/24` };
  equal(
    await lab.complaint({}, { outside: { ...outside, interface: "none0" } }),
    '1 napt: can\'t find the interface "none0": No such device; `ip link` lists the interfaces that there are',
  );
  await lab.exec("gw", "ip", "link", "set", "gout0", "down");
  equal(
    await lab.complaint({}, {}),
    '1 napt: can\'t use the interface "gout0": Network is down; it is down; bring it up with: ip link set gout0 up',
  );
  match(
    await lab.complaint({}, { outside: { ...outside, router: "198.51.100.1" } }),
    /^2 napt: .*gateway\.yaml: gateway\.outside\.router: it is not on that network/,
  );
  match(
    await lab.complaint({}, { inside: { interface: "gin0", addres: "192.168.226.2/24" } }),
    /^2 .*gateway\.inside\.address: missing; .*\n.*gateway\.inside\.addres: unknown key; did you mean address\?/,
  );
});

test("it goes on as another user, in all its threads, and can still end", { skip }, async () => {
  await using lab = await Lab.create();
  equal(
    await lab.complaint({}, { user: "nobody-else" }),
    '1 napt: gateway.user: there is no user "nobody-else"; make one: adduser --system nobody-else',
  );
  const gateway = await lab.gateway({}, { user: "nobody" });
  const nobody = (await lab.exec("gw", "id", "-u", "nobody")).trim();
  const owners = await lab.exec(
    "gw",
    "sh",
    "-c",
    `cat /proc/${gateway.process.pid}/task/*/status | grep -E "^(Uid|CapEff)"`,
  );
  ok(owners.includes("Uid"));
  for (const line of owners.trim().split("\n")) {
    match(line, new RegExp(`^(Uid:(\\s+${nobody}){4}|CapEff:\\s+0+)$`));
  }
  match(await lab.exec("in", "ping", "-c", "2", "-i", "0.2", OUTSIDE_HOST), / 0% packet loss/);
  const { uid } = statSync(lab.control);
  equal(String(uid), nobody);
  equal(await lab.end(gateway), 0);
});

test("what goes no further is told to its sender, by the gateway's own address", {
  skip: skip || whyNoLab("dig"),
}, async () => {
  await using lab = await Lab.create();
  const forwards = [{ protocol: "udp", outside: `${PUBLIC}:8080`, inside: "192.168.226.77:80" }];
  await lab.gateway({ forwards });
  // Nobody has this address outside, and nobody that one inside.
  const lost = await lab.exec("in", "sh", "-c", "ping -c 1 -W 6 203.0.113.77; true");
  match(lost, new RegExp(`From ${INSIDE_GATEWAY} icmp_seq=1 Destination Host Unreachable`));
  const told = await lab.start("out", /listening on/, "tcpdump", "-l", "-n", "-i", "out0", "icmp");
  const hello = `const s = require("dgram").createSocket("udp4"); s.send("x", 8080, "${PUBLIC}", () => s.close());`;
  await lab.exec("out", process.execPath, "-e", hello);
  await until("word outside", () =>
    told.output().includes(`${PUBLIC} > ${OUTSIDE_HOST}: ICMP host ${PUBLIC} unreachable`),
  );
  // The gateway's own address, where nobody listens.
  await rejects(lab.exec("in", "curl", "-sS", "-m", "5", `http://${INSIDE_GATEWAY}:9/`), /curl: \(7\)/);
  const dig = await lab.exec("in", "sh", "-c", `dig +tries=1 +time=5 @${INSIDE_GATEWAY} www.example; true`);
  match(dig, /connection refused/);
});
