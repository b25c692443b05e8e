// The host's own address, shared by ports: the host goes on using it, and its stack keeps out of the gateway's part.
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { test } from "node:test";
import { INSIDE_HOST, Lab, OUTSIDE_HOST, PUBLIC, until, whyNoLab } from "./lab.js";

const skip = whyNoLab("ping", "curl", "nft", "tcpdump");

const OWN = { outside: { host: "gout0" } };
/** The public addresses are the host's. */
const SHARED = { outside: undefined };

const WHO = `
  require("node:http").createServer(async (request, answer) => {
    let bytes = 0;
    for await (const chunk of request) bytes += chunk.length;
    answer.end(request.socket.remoteAddress.replace("::ffff:", "") + " " + request.socket.remotePort + " " + bytes);
  }).listen(8000, () => console.log("ready"));`;
const url = `http://${OUTSIDE_HOST}:8000/`;

/** A lab where the gateway's system has an address of its own, as a host has. */
async function hostLab(): Promise<Lab> {
  const lab = await Lab.create();
  await lab.exec("gw", "ip", "addr", "add", `${PUBLIC}/24`, "dev", "gout0");
  return lab;
}

const rules = (lab: Lab) => lab.exec("gw", "nft", "list", "ruleset");

test("a capture on the uplink shows the host's address alone; the host goes on beside it", {
  skip,
}, async () => {
  await using lab = await hostLab();
  await lab.script("out", WHO);
  await lab.script("gw", WHO);
  const gateway = await lab.gateway(SHARED, OWN);
  const capture = await lab.start("gw", /listening on/, "tcpdump", "-l", "-n", "-i", "gout0", "ip");

  const upload = `head -c 3000000 /dev/zero | curl -sS --data-binary @/dev/stdin ${url}`;
  const [inside, host] = await Promise.all([
    lab.exec("in", "sh", "-c", upload),
    lab.exec("gw", "sh", "-c", upload),
  ]);
  const [address, port, bytes] = inside.split(" ");
  deepEqual([address, bytes], [PUBLIC, "3000000"]);
  ok(Number(port) >= 61000, inside);
  match(host, new RegExp(`^${PUBLIC.replaceAll(".", "\\.")} \\d+ 3000000$`));
  ok(Number(host.split(" ")[1]) < 61000, host);
  for (const place of ["in", "gw"] as const) {
    match(await lab.exec(place, "ping", "-c", "2", "-i", "0.2", OUTSIDE_HOST), / 0% packet loss/);
  }
  // The host's own services, and its stack's answers, are as they were.
  match(await lab.exec("out", "curl", "-sS", `http://${PUBLIC}:8000/`), new RegExp(`^${OUTSIDE_HOST} `));
  match(await lab.exec("out", "ping", "-c", "2", "-i", "0.2", PUBLIC), / 0% packet loss/);
  await rejects(lab.exec("out", "curl", "-sS", `http://${PUBLIC}:9/`), /curl: \(7\)/);

  await lab.end(capture);
  const lines = capture
    .output()
    .split("\n")
    .filter((line) => line.includes(" > "));
  ok(lines.length > 20);
  deepEqual(
    lines.filter((line) => line.includes("192.168.226.")),
    [],
  );
  // What the host's stack would have said to connections that it does not know.
  deepEqual(
    lines.filter((line) => / > 203\.0\.113\.8.*(Flags \[R|unreachable)/.test(line) && !/\.9 > /.test(line)),
    [],
  );

  equal(await lab.end(gateway), 0);
  equal(await rules(lab), "");
});

test("forwards are the gateway's, too, and can be added while it runs", { skip }, async () => {
  await using lab = await hostLab();
  await lab.script("in", WHO);
  const forwards = [{ protocol: "tcp", outside: "host:8080", inside: `${INSIDE_HOST}:8000` }];
  await lab.gateway({ ...SHARED, forwards }, OWN);
  match(await lab.exec("out", "curl", "-sS", `http://${PUBLIC}:8080/`), new RegExp(`^${OUTSIDE_HOST} `));
  await rejects(lab.exec("out", "curl", "-sS", `http://${PUBLIC}:8081/`), /curl: \(7\)/);
  await lab.ask("forward", "add", "tcp", "host:8081", `${INSIDE_HOST}:8000`);
  match(await lab.ask("forward", "list"), /tcp 203\.0\.113\.1:8081 to 192\.168\.226\.135:8000/);
  match(await lab.exec("out", "curl", "-sS", `http://${PUBLIC}:8081/`), new RegExp(`^${OUTSIDE_HOST} `));
  await lab.ask("forward", "remove", "tcp", "host:8081");
  await rejects(lab.exec("out", "curl", "-sS", `http://${PUBLIC}:8081/`), /curl: \(7\)/);
});

test("killed, it leaves no rule; its guard killed, the rules come back", { skip }, async () => {
  await using lab = await hostLab();
  await lab.script("out", WHO);
  const gateway = await lab.gateway(SHARED, OWN);
  match(await rules(lab), /61000-65535 drop/);
  const guards = async () => {
    const children = await lab.exec("gw", "pgrep", "-P", String(gateway.process.pid), "nft");
    return children.trim().split("\n").map(Number);
  };
  const [guard] = await guards();
  process.kill(guard!, "SIGKILL");
  await until("word of it", () => gateway.output().includes("nft ended"));
  await until("the rules are back", async () => /61000-65535 drop/.test(await rules(lab)));
  match(await lab.exec("in", "curl", "-sS", url), new RegExp(`^${PUBLIC} `));
  await lab.end(gateway, "SIGKILL");
  await until("no rule is left", async () => (await rules(lab)) === "");
});

test("another address of the host's comes in; only the sessions of the one before go", { skip }, async () => {
  await using lab = await hostLab();
  await lab.script("out", WHO);
  const gateway = await lab.gateway(SHARED, OWN);
  match(await lab.exec("in", "curl", "-sS", url), new RegExp(`^${PUBLIC} `));
  const sessions = async () => {
    const lines = (await lab.ask("sessions", "--json")).split("\n").filter(Boolean);
    return lines.map((line) => (JSON.parse(line) as { public: { address: string } }).public.address);
  };
  ok((await sessions()).includes(PUBLIC));
  await lab.exec("gw", "ip", "addr", "del", `${PUBLIC}/24`, "dev", "gout0");
  await lab.exec("gw", "ip", "addr", "add", "203.0.113.99/24", "dev", "gout0");
  await until("word of it", () => gateway.output().includes("the host's address is 203.0.113.99 now"));
  deepEqual(await sessions(), []);
  match(await lab.exec("in", "curl", "-sS", url), /^203\.0\.113\.99 /);
  deepEqual(await sessions(), ["203.0.113.99"]);
  match(await rules(lab), /203\.0\.113\.99 .*drop/);
});

test("ports that the host has, or may give, are told before anything is done", { skip }, async () => {
  await using lab = await hostLab();
  await lab.script("gw", WHO);
  const complaint = (config: object, outside: object) =>
    lab.complaint({ ...SHARED, ...config }, { outside: { host: "gout0", ...outside } });
  match(
    await complaint({}, { ports: "50000-51000" }),
    /^1 .*from 32768 to 60999; .*ip_local_reserved_ports=50000-51000$/,
  );
  const forwards = [{ protocol: "tcp", outside: "host:8000", inside: `${INSIDE_HOST}:80` }];
  match(await complaint({ forwards }, {}), /^1 napt: tcp port 8000 is used by a program of the host's/);
  match(
    await complaint({}, { host: "nothing0" }),
    /^1 .*gateway\.outside\.host: "nothing0" has no IPv4 address/,
  );
  equal(await rules(lab), "");
  await lab.exec("gw", "sysctl", "-qw", "net.ipv4.ip_local_reserved_ports=50000-51000");
  await lab.gateway(SHARED, { outside: { host: "gout0", ports: "50000-51000" } });
});
