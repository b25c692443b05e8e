// The founding story: a virtual machine behind its host's address, played through the public API.
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { styleText } from "node:util";
import Table from "cli-table3";
import { CaptureReader } from "../capture/reader.js";
import { openSource } from "../capture/source.js";
import { Nat, type Session } from "../index.js";
import { ICMP, UDP } from "../ipv4.js";
import { lineOf, type Streams } from "./lines.js";
import { addressedTo, fieldsOf, ipv4, isSound } from "./packet.js";
import { GUEST, HOST, LINK_HEADER } from "./story.js";

export const STORY_FILE = join(__dirname, "../../src/demo/story.pcap");

const STRANGER = "198.51.100.66";
const MS = 1000;

export interface DemoOptions {
  /** Where the story goes. */
  readonly print: (line: string) => void;
  /** ms to wait between lines. */
  readonly pause: number;
  readonly colors: boolean;
  readonly seed?: number;
}

interface Frame {
  readonly time: number;
  readonly packet: Uint8Array;
}

/** Tells the story. Every packet really goes through the engine; only time is virtual. */
export async function tellStory({ print, pause, colors, seed }: DemoOptions): Promise<void> {
  const frames = await readStory();
  const config = { inside: ["192.168.226.0/24"], outside: [HOST] };
  using nat = new Nat(config, seed === undefined ? {} : { seed });
  const teller = new Teller(nat, print, pause, colors);
  const isPing = ({ packet }: Frame) => fieldsOf(packet).protocol === ICMP;

  await teller.title("A virtual machine pings 8.8.8.8 through its host");
  await teller.say(`new Nat(${JSON.stringify(config)})`);
  await teller.say(`The guest is ${GUEST}; the world may only see the host, ${HOST}.`);
  await teller.say("Each packet as tshark prints it, on the guest's side and on the host's uplink:\n");
  for (const frame of frames.filter(isPing)) await teller.exchange(frame, true);
  await teller.say("What the NAT remembers:");
  await teller.table();

  await teller.title("Nobody else comes in");
  await teller.stranger("a stranger uses the ping's mapping", teller.pingFromStranger());
  await teller.stranger("a stranger tries a port that nothing owns", datagramFrom(STRANGER, 3389));

  await teller.title("The guest looks a name up and fetches a page");
  for (const frame of frames.filter((f) => !isPing(f))) await teller.exchange(frame, false);
  await teller.table();

  await teller.title("Time passes (virtual: a day takes no time here)");
  await teller.wait();
  const { packets, drops, sessions } = nat.stats;
  const refused = Object.values(drops).reduce((sum, count) => sum + count, 0);
  await teller.say(
    `\n${packets.in} packets in, ${packets.out} out, ${refused} refused; ` +
      `${sessions.created} sessions made, all gone. Every checksum was compared with a full computation.`,
  );
  await teller.say("\nNext, a capture of your own:");
  await teller.say(
    "  npx napt translate lan.pcap -o wan.pcap --inside 192.168.226.0/24 --outside 203.0.113.1",
  );
}

async function readStory(): Promise<Frame[]> {
  const source = await openSource(STORY_FILE);
  try {
    const reader = await CaptureReader.open(source, { buffer: new Uint8Array(1 << 16) });
    const frames: Frame[] = [];
    let start: number | null = null;
    for (let chunk = await reader.next(); chunk !== null; chunk = await reader.next()) {
      for (let i = 0; i < chunk.count; i++) {
        const from = chunk.dataStart[i]!;
        start ??= chunk.timeSeconds[i]!;
        const time = chunk.timeSeconds[i]! - start + chunk.timeNanos[i]! / 1e9;
        frames.push({ time, packet: chunk.bytes.slice(from + LINK_HEADER, from + chunk.capLength[i]!) });
      }
    }
    return frames;
  } finally {
    await source.close();
  }
}

function datagramFrom(source: string, port: number): Uint8Array {
  const body = Uint8Array.from([0x30, 0x39, port >>> 8, port & 255, 0, 8, 0, 0]);
  return ipv4(UDP, source, HOST, 57, 1, body);
}

class Teller {
  readonly #nat: Nat;
  readonly #print: (line: string) => void;
  readonly #pause: number;
  readonly #colors: boolean;
  readonly #inside: Streams = new Map();
  readonly #outside: Streams = new Map();
  /** The last translated packet of each flow, by its remote and protocol. */
  readonly #asked = new Map<string, Uint8Array>();
  #now = 0;

  constructor(nat: Nat, print: (line: string) => void, pause: number, colors: boolean) {
    this.#nat = nat;
    this.#print = print;
    this.#pause = pause;
    this.#colors = colors;
  }

  async title(text: string): Promise<void> {
    this.#print("");
    this.#print(this.#style("bold", text));
    this.#print("─".repeat(text.length));
    await this.#rest(2);
  }

  async say(text: string): Promise<void> {
    this.#print(text);
    await this.#rest(1);
  }

  /** One packet of the story, as each side sees it. */
  async exchange({ time, packet }: Frame, detailed: boolean): Promise<void> {
    this.#now = time * MS;
    const { source, destination, protocol } = fieldsOf(packet);
    const fromGuest = source === GUEST;
    const key = `${protocol} ${fromGuest ? destination : source}`;
    const arriving = fromGuest ? packet : addressedTo(packet, this.#asked.get(key)!);
    const leaving = arriving.slice();
    const { verdict } = this.#nat.translate(leaving, { now: this.#now });
    if (verdict !== "forwarded" || !isSound(leaving))
      throw new Error(`the engine did not forward: ${verdict}`);
    if (fromGuest) this.#asked.set(key, leaving);
    const [inner, outer] = fromGuest ? [arriving, leaving] : [leaving, arriving];
    const frame = packet.length + LINK_HEADER;
    const guestLine = `${this.#style("cyan", "guest ")} ${this.#clock(time)} ${lineOf(inner, frame, this.#inside)}`;
    const uplinkLine = `${this.#style("green", "uplink")} ${this.#clock(time)} ${lineOf(outer, frame, this.#outside)}`;
    for (const line of fromGuest ? [guestLine, uplinkLine] : [uplinkLine, guestLine]) this.#print(line);
    if (detailed) this.#print(this.#style("dim", `       ${changes(arriving, leaving)}`));
    await this.#rest(detailed ? 1.5 : 0.6);
  }

  /** The echo reply of a host that was never asked, to the identifier that the guest's ping has outside. */
  pingFromStranger(): Uint8Array {
    const [ping] = this.#nat.conntrack.filter((s) => s.protocol === "icmp");
    const id = ping!.public.port;
    return ipv4(ICMP, STRANGER, HOST, 57, 1, Uint8Array.from([0, 0, 0, 0, id >>> 8, id & 255, 0, 9]));
  }

  async stranger(what: string, packet: Uint8Array): Promise<void> {
    const line = lineOf(packet, packet.length + LINK_HEADER, this.#outside);
    const { verdict, reason } = this.#nat.translate(packet, { now: this.#now });
    this.#print(`${this.#style("green", "uplink")} ${this.#clock(this.#now / MS)} ${line}`);
    this.#print(this.#style("red", `       ${verdict}: ${reason}`) + this.#style("dim", ` (${what})`));
    await this.#rest(2);
  }

  /** The sessions, as conntrack lists them. */
  async table(): Promise<void> {
    const table = new Table({
      head: ["protocol", "inside", "public", "remote", "state", "packets", "ends in"],
      style: { head: [], border: [], compact: true },
    });
    for (const session of this.#nat.conntrack) table.push(this.#row(session));
    this.#print("");
    for (const line of table.toString().split("\n")) this.#print(line);
    await this.#rest(3);
  }

  /** Lets the sessions run out, one timeout after the other. */
  async wait(): Promise<void> {
    const day = 86_400 * MS;
    const end = this.#now + day;
    while (this.#now < end) {
      const [next] = [...this.#nat.conntrack].sort((a, b) => a.expiresAt - b.expiresAt);
      if (next === undefined) break;
      const idle = ((next.expiresAt - next.lastSeen) / MS).toFixed(0);
      const name = `${next.protocol} ${show(next.inside)} → ${show(next.remote)}`;
      this.#now = next.expiresAt;
      this.#nat.conntrack.sweep(this.#now);
      const left = this.#nat.conntrack.size;
      this.#print(`${this.#clock(this.#now / MS)} s  ${name} ends after ${idle} s idle; ${left} left`);
      await this.#rest(2);
    }
  }

  #row(session: Session): string[] {
    const left = (session.expiresAt - this.#now) / MS;
    return [
      session.protocol,
      show(session.inside),
      show(session.public),
      show(session.remote),
      session.state ?? "",
      `${session.packets.outbound} out, ${session.packets.inbound} in`,
      `${left.toFixed(0)} s`,
    ];
  }

  #clock(seconds: number): string {
    return seconds.toFixed(6).padStart(10);
  }

  #style(format: Parameters<typeof styleText>[0], text: string): string {
    return this.#colors ? styleText(format, text) : text;
  }

  async #rest(beats: number): Promise<void> {
    if (this.#pause > 0) await sleep(this.#pause * beats);
  }
}

const show = ({ address, port }: Session["inside"]) => (port === 0 ? address : `${address}:${port}`);
const hex = (value: number) => `0x${value.toString(16).padStart(4, "0")}`;

/** Which fields the NAT wrote, before and after. */
function changes(before: Uint8Array, after: Uint8Array): string {
  const from = fieldsOf(before);
  const to = fieldsOf(after);
  const list = [
    from.source === to.source ? "" : `source ${from.source} → ${to.source}`,
    from.destination === to.destination ? "" : `destination ${from.destination} → ${to.destination}`,
    from.sourcePort === to.sourcePort ? "" : `id ${hex(from.sourcePort)} → ${hex(to.sourcePort)}`,
    `TTL ${from.ttl} → ${to.ttl}`,
    `IP checksum ${hex(from.headerChecksum)} → ${hex(to.headerChecksum)}`,
    `ICMP checksum ${hex(from.checksum)} → ${hex(to.checksum)}`,
  ];
  return list.filter((text) => text !== "").join(", ");
}
