// The founding scenario: a virtual machine in NAT mode. All that its network ever sees is the host's address.
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { test } from "node:test";
import { INSIDE_GATEWAY, Lab, OUTSIDE_HOST, PUBLIC, until, whyNoLab } from "./lab.js";
import { Guest, whyNoGuest } from "./vm.js";

const GUEST = "192.168.226.135";

/** A page that tells who asked, and a resolver that leads every name to it. */
const OUTSIDE = `
  const { createServer } = require("node:http");
  createServer((request, answer) => {
    if (request.url === "/big") answer.end(Buffer.alloc(3_000_000, "napt"));
    else answer.end("you are " + request.socket.remoteAddress.replace("::ffff:", ""));
  }).listen(80, () => {
    const socket = require("node:dgram").createSocket("udp4");
    socket.on("message", (query, { port, address }) => {
      const isA = query[query.length - 3] === 1;
      const header = Buffer.from([query[0], query[1], 0x81, 0x80, 0, 1, 0, isA ? 1 : 0, 0, 0, 0, 0]);
      const answer = isA ? [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ${OUTSIDE_HOST.replaceAll(".", ", ")}] : [];
      socket.send(Buffer.concat([header, query.subarray(12), Buffer.from(answer)]), port, address);
    });
    socket.bind(53, () => console.log("ready"));
  });`;

test("a guest gets its address, pings, resolves, fetches and serves, and the uplink shows the host alone", {
  skip: whyNoGuest() || whyNoLab("curl", "nft", "tcpdump"),
}, async () => {
  await using lab = await Lab.create();
  await lab.exec("gw", "ip", "addr", "add", `${PUBLIC}/24`, "dev", "gout0");
  await lab.script("out", OUTSIDE);
  const capture = await lab.start("gw", /listening on/, "tcpdump", "-l", "-n", "-i", "gout0");
  const socket = lab.path("guests.sock");
  await lab.gateway(
    { outside: undefined, forwards: [{ protocol: "tcp", outside: "host:8080", inside: `${GUEST}:80` }] },
    {
      inside: {
        qemu: socket,
        address: `${INSIDE_GATEWAY}/24`,
        dhcp: { range: `${GUEST}-192.168.226.199` },
        dns: { servers: [OUTSIDE_HOST] },
      },
      outside: { host: "gout0" },
    },
  );
  using guest = await Guest.boot(socket, lab.path(""));
  const does = async (command: string): Promise<string> => {
    const { status, output } = await guest.exec(command);
    equal(status, 0, `${command}: ${output}`);
    return output;
  };

  match(await does("udhcpc -i eth0 -n -q"), new RegExp(`lease of ${GUEST}`));
  match(await does("ip route"), new RegExp(`default via ${INSIDE_GATEWAY}`));
  match(await does(`ping -c 2 ${INSIDE_GATEWAY}`), / 0% packet loss/);
  match(await does(`ping -c 2 ${OUTSIDE_HOST}`), / 0% packet loss/);
  match(
    await does("nslookup www.example"),
    new RegExp(`Server:\\s+${INSIDE_GATEWAY}[^]*Address: ${OUTSIDE_HOST}`),
  );
  equal(await does("wget -q -O - http://www.example/"), `you are ${PUBLIC}`);
  equal((await does("wget -q -O - http://www.example/big | wc -c")).trim(), "3000000");

  await does("mkdir /www && echo hello from the guest > /www/index.html && httpd -h /www");
  equal(await lab.exec("out", "curl", "-sS", `http://${PUBLIC}:8080/`), "hello from the guest\n");

  const lines = () => capture.output().split("\n");
  await until("the capture has the forward", () =>
    lines().some((line) => line.includes(`${PUBLIC}.8080 > `)),
  );
  ok(lines().filter((line) => line.includes(`${PUBLIC}`)).length > 50);
  deepEqual(
    lines().filter((line) => line.includes("192.168.226.")),
    [],
  );
});
