// PCP and NAT-PMP as programs that we did not write speak and read them: libnatpmp's client, Wireshark's dissectors.
import { deepEqual, equal, match } from "node:assert/strict";
import { execFile } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { PcapngWriter } from "../../src/capture/writer.js";
import { Nat, PCP_PORT, PcpServer } from "../../src/index.js";
import { memorySink } from "../captures/run.js";
import { fieldsOf, foreign, missing, noTshark } from "../captures/tshark.js";
import { filter, mapRequest, PREFER_FAILURE, peerRequest } from "../conformance/port-control-client.js";
import { tcp, udp } from "../support/packets.js";

// An address of this process: several may run at a time.
const GATEWAY = `127.77.${(process.pid >> 8) & 255}.${process.pid & 255}`;
const CLIENT = "192.168.226.135";
const LINKTYPE_RAW = 101;
const FIELDS = [
  "r",
  "opcode",
  "result_code",
  "lifetime_rsp",
  "map.rsp_assigned_external_port",
  "map.rsp_assigned_ext_ip",
  "peer.rsp_assigned_external_port",
  "peer.rsp_assigned_ext_ip",
  "peer.remote_peer_port",
  "option.code",
  "option.filter.prefix_length",
  "option.filter.remote_peer_ip",
  "option.filter.remote_peer_port",
  "_ws.malformed",
];
const CONFIG = { inside: ["192.168.226.0/24"], outside: ["203.0.113.1"] };

test("natpmpc asks for the address, maps, renews and deletes", {
  skip: missing("natpmpc", "-h"),
}, async () => {
  using nat = new Nat(CONFIG, { seed: 1 });
  const server = new PcpServer(nat);
  const socket = createSocket("udp4");
  socket.on("message", (request, from) => {
    const answer = server.answer(request, { address: CLIENT }); // who sends is this host: an inside one stands in
    if (answer !== null) socket.send(answer, from.port, from.address);
  });
  socket.bind(PCP_PORT, GATEWAY);
  await once(socket, "listening");
  const natpmpc = async (...options: string[]) =>
    (await promisify(execFile)("natpmpc", ["-g", GATEWAY, ...options], foreign)).stdout;
  try {
    match(await natpmpc(), /Public IP address : 203\.0\.113\.1/);
    match(
      await natpmpc("-a", "8080", "80", "tcp", "3600"),
      /Mapped public port 8080 protocol TCP to local port 80 l\w+ 3600/,
    );
    match(
      await natpmpc("-a", "8080", "53", "udp", "60"),
      /Mapped public port (?!8080)\d+ protocol UDP to local port 53 l\w+ 120/,
    );
    match(
      await natpmpc("-a", "8081", "80", "tcp", "7200"),
      /Mapped public port 8080 protocol TCP to local port 80 l\w+ 7200/,
    );
    const syn = tcp({ src: "198.51.100.7:1000", dst: "203.0.113.1:8080", flags: "S", seq: 1 });
    equal(nat.translate(syn).verdict, "forwarded");
    match(
      await natpmpc("-a", "0", "80", "tcp", "0"),
      /Mapped public port 0 protocol TCP to local port 80 l\w+ 0/,
    );
  } finally {
    socket.close();
  }
});

test("Wireshark reads what was granted", { skip: noTshark }, async () => {
  using nat = new Nat(CONFIG, { seed: 1 });
  const server = new PcpServer(nat);
  const inside = `${CLIENT}:4000`;
  const requests = [
    mapRequest(inside, {
      protocol: "tcp",
      suggested: "203.0.113.1:7777",
      options: [PREFER_FAILURE, filter("198.51.100.0", 24, 53)],
    }),
    mapRequest(`${CLIENT}:4001`, { protocol: "icmp" }),
    peerRequest(inside, "198.51.100.7:53", { suggested: "203.0.113.1:8888", lifetime: 900 }),
  ];
  const answers = requests.map((request) => server.answer(request, { address: CLIENT }, 1000)!);
  const { sink, written } = memorySink();
  const writer = new PcapngWriter(sink);
  const link = writer.addInterface({ linkType: LINKTYPE_RAW });
  const directory = mkdtempSync(join(tmpdir(), "napt-"));
  try {
    for (const payload of answers) {
      const packet = udp({ src: "192.168.226.1:5351", dst: `${CLIENT}:49152`, payload });
      writer.packet(link, packet, 0, 0, packet.length);
    }
    await writer.flush();
    const path = join(directory, "pcp.pcapng");
    writeFileSync(path, written());
    const lines = await fieldsOf(
      path,
      FIELDS.map((field) => (field[0] === "_" ? field : `portcontrol.${field}`)),
    );
    deepEqual(lines, [
      [
        "1",
        "1",
        "0",
        "3600",
        "7777",
        "::ffff:203.0.113.1",
        "",
        "",
        "",
        "2,3",
        "120",
        "::ffff:198.51.100.0",
        "53",
        "",
      ],
      ["1", "1", "9", "1800", "0", "::ffff:0.0.0.0", "", "", "", "", "", "", "", ""],
      ["1", "2", "0", "900", "", "", "8888", "::ffff:203.0.113.1", "53", "", "", "", "", ""],
    ]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
