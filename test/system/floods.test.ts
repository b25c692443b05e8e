// An inside host that floods the gateway: it survives, remembers no more than it has room for, and serves the others.
import { equal, ok } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { INSIDE_GATEWAY, Lab, type Running, whyNoLab } from "./lab.js";
import { startStream } from "./stream.js";

const skip = whyNoLab("python3");

/** Sends frames that Python makes, as fast as it can; the gateway's hardware address is `gateway`. */
const flood = (lab: Lab, gateway: string, count: number, frame: string) =>
  lab.exec(
    "in",
    "python3",
    "-c",
    `
import os, random, socket, struct
random.seed(1)
gateway = bytes.fromhex("${gateway.replaceAll(":", "")}")
everybody = b"\\xff" * 6
mac = lambda: bytes([2]) + random.randbytes(5)
def udp(source, destination, payload, ports):
    datagram = struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 0, 0, 64, 17, 0, source, destination)
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xffff) + (total >> 16)
    total = (total & 0xffff) + (total >> 16)
    return header[:10] + struct.pack("!H", total ^ 0xffff) + header[12:] + datagram
def frame(i):
${frame.replaceAll(/^/gm, "    ")}
port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
port.bind(("in0", 0))
for i in range(${count}):
    try:
        port.send(frame(i))
    except OSError:
        pass # its queue is full`,
  );

interface Flood {
  readonly what: string;
  readonly frames: number;
  /** Python that returns the i-th. */
  readonly frame: string;
  /** Where they are counted. */
  readonly counted: (status: Status) => number;
}

/** Of `napt status --json`, what is looked at here. */
interface Status {
  readonly nat: { readonly drops: Readonly<Record<string, number>> };
  readonly gateway: Readonly<Record<"foreign" | "punted" | "puntsLost", number>>;
  readonly inside: { readonly neighbours: number };
}

const punts = ({ gateway }: Status) => gateway.punted + gateway.puntsLost;
const damaged = ({ nat }: Status) => (nat.drops.malformed ?? 0) + (nat.drops["header-checksum"] ?? 0);

const FLOODS: readonly Flood[] = [
  {
    what: "ARP from senders that are not there",
    frames: 20_000,
    frame: `own = mac()
sender = own + (bytes([192, 168, 226, random.randrange(3, 255)]) if i % 4 == 1 else random.randbytes(4))
target = bytes([${INSIDE_GATEWAY.replaceAll(".", ",")}]) if i % 3 else random.randbytes(4)
return everybody + own + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1 + i % 2) + sender + bytes(6) + target`,
    counted: punts,
  },
  {
    what: "DHCP discovers of clients that are not there",
    frames: 5_000,
    frame: `client = mac()
message = struct.pack("!BBBBIHH", 1, 1, 6, 0, i, 0, 0x8000) + bytes(16) + client + bytes(202)
message += bytes([0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255])
return everybody + client + b"\\x08\\x00" + udp(bytes(4), b"\\xff" * 4, message, (68, 67))`,
    counted: punts,
  },
  {
    what: "each type of frame",
    frames: 65_536,
    frame: `to = gateway if i % 2 else everybody
return to + mac() + struct.pack("!H", i) + random.randbytes(random.randrange(0, 100))`,
    counted: ({ gateway }) => gateway.foreign,
  },
  {
    what: "IPv4 that is cut or nonsense",
    frames: 10_000,
    frame: `packet = udp(bytes([192, 168, 226, 200]), bytes([203, 0, 113, 8]), bytes(40), (1000, 2000))
packet = packet[:random.randrange(0, 68)] if i % 2 else packet[:1] + random.randbytes(67)
return gateway + mac() + b"\\x08\\x00" + packet`,
    counted: damaged,
  },
  {
    what: "frames of 64 KiB",
    frames: 1_000,
    frame: `return gateway + mac() + b"\\x08\\x00\\x45\\x00" + random.randbytes(16) + bytes(65_000)`,
    counted: damaged,
  },
];

const residentMegabytes = ({ process }: Running) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${process.pid}/status`, "latin1"))![1]) / 1024;

test("floods from an inside host leave the others' connections alone, and no more memory taken", {
  skip,
}, async (t) => {
  await using lab = await Lab.create();
  const dhcp = { range: "192.168.226.150-192.168.226.199" };
  const inside = { interface: "gin0", address: `${INSIDE_GATEWAY}/24`, dhcp };
  const gateway = await lab.gateway({}, { inside });
  const [{ address }] = JSON.parse(await lab.exec("gw", "ip", "-j", "link", "show", "gin0"));
  // Room for the large frames.
  await lab.exec("in", "ip", "link", "set", "in0", "mtu", "65535");
  await lab.exec("gw", "ip", "link", "set", "gin0", "mtu", "65535");
  const status = async (): Promise<Status> => JSON.parse(await lab.ask("status", "--json"));
  const stream = await startStream(lab);
  await stream.goesOn();
  const memory = residentMegabytes(gateway);
  let last = await status();
  for (const { what, frames, frame, counted } of FLOODS) {
    await t.test(what, async () => {
      const flooding = flood(lab, address, frames, frame);
      await stream.goesOn();
      await flooding;
      await stream.goesOn();
      stream.isWhole();
      const now = await status();
      ok(counted(now) > counted(last), JSON.stringify(now));
      ok(now.inside.neighbours < 256, `${now.inside.neighbours} neighbours in a network of 254`);
      last = now;
    });
  }
  const more = residentMegabytes(gateway) - memory;
  ok(more < 100, `${more} MB more`);
  equal(await lab.end(gateway), 0);
});
