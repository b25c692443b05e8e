// Runs captures through `translateCapture` in memory, and finds for each packet that came out the one it was.
import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import type { CaptureDamage } from "../../src/capture/reader.js";
import type { ByteSink } from "../../src/capture/sink.js";
import type { NatConfig } from "../../src/config/schema.js";
import { Nat } from "../../src/nat.js";
import type { TranslateReport } from "../../src/translate/report.js";
import { translateCapture } from "../../src/translate/translate.js";
import { concat, type FoundRecord, memorySource, readAll } from "../support/capture-build.js";
import { addressNumber, inPrefix } from "../support/packets.js";
import type { Case } from "./cases.js";
import { type Ip, ipOf, withoutNatFields } from "./frame.js";

export const SEED = 1;
/** Larger than any capture here has records of. */
const READ_BUFFER = 1 << 21;

/** A record with the IPv4 packet in it. */
export interface Packet extends FoundRecord {
  readonly ip: Ip | null;
}

export interface Run {
  readonly config: NatConfig;
  readonly capture: Uint8Array;
  /** The capture that came out. */
  readonly bytes: Uint8Array;
  readonly report: TranslateReport;
  readonly damage: CaptureDamage | null;
  readonly input: readonly Packet[];
  readonly output: readonly Packet[];
  /** For each packet of the output the number of the one it was, in the input. */
  readonly origin: readonly number[];
}

/** The packets of a capture. */
export async function packetsOf(capture: Uint8Array): Promise<Packet[]> {
  const { records } = await readAll(memorySource(capture), READ_BUFFER);
  return records.map((record) => ({ ...record, ip: ipOf(record.data, record.linkType) }));
}

const SIMPLE_PACKET_BLOCK = 3;

/** Where a record's packet begins in the file. */
export function dataStartOf(capture: Uint8Array, { start, end, data }: FoundRecord): number {
  if (capture[0] !== 0x0a) return end - data.length; // pcap: nothing follows the packet
  const type = Math.max(capture[start]!, capture[start + 3]!); // in either byte order
  return start + (type === SIMPLE_PACKET_BLOCK ? 12 : 28);
}

/** A sink that keeps what is written; a slow one looks at the bytes late, as a disk would. */
export function memorySink({ slow = false } = {}): { sink: ByteSink; written: () => Uint8Array } {
  const parts: Uint8Array[] = [];
  const sink: ByteSink = {
    write: async (bytes) => {
      if (slow) await setImmediate();
      parts.push(new Uint8Array(bytes)); // not bytes.slice(): that of a Buffer shares its memory
    },
    close: async () => {},
    abort: async () => {},
  };
  return { sink, written: () => concat(...parts) };
}

interface TranslateOptions {
  readonly seed?: number;
  /** Most bytes that the reader gets at once. */
  readonly piece?: number;
  readonly slowSink?: boolean;
}

export async function translate(capture: Uint8Array, config: NatConfig, options: TranslateOptions = {}) {
  const { seed = SEED, piece, slowSink = false } = options;
  const nat = new Nat(config, { seed });
  try {
    const { sink, written } = memorySink({ slow: slowSink });
    const job = { nat, source: memorySource(capture, piece), openOutput: async () => sink };
    const { report, damage } = await translateCapture(job);
    return { bytes: written(), report, damage };
  } finally {
    nat.close();
  }
}

/** The case's config, with `more` in it. */
export function configOf({ inside, public: outside }: Case, more: Partial<NatConfig> = {}): NatConfig {
  return { inside: [...inside], outside: [...outside], ...more };
}

export async function run(capture: Uint8Array, config: NatConfig): Promise<Run> {
  const input = await packetsOf(capture);
  const { bytes, report, damage } = await translate(capture, config);
  const output = await packetsOf(bytes);
  return { config, capture, bytes, report, damage, input, output, origin: originsOf(input, output) };
}

/** Pairs packets by all that a NAT has to leave alone: time, lengths, interface, link header, payload. */
function originsOf(input: readonly Packet[], output: readonly Packet[]): number[] {
  const waiting = new Map<string, number[]>();
  input.forEach((packet, i) => {
    const key = unchangedPart(packet);
    const same = waiting.get(key);
    if (same === undefined) waiting.set(key, [i]);
    else same.push(i);
  });
  let last = -1;
  return output.map((packet, i) => {
    const from = waiting.get(unchangedPart(packet))?.shift();
    assert(from !== undefined, `output packet ${i + 1} was never put in: ${hex(packet.data)}`);
    // Packets stay in order; only fragments may have had to wait for their first one.
    assert(
      from > last || packet.ip!.offset > 0,
      `output packet ${i + 1} is input packet ${from + 1}: too late`,
    );
    last = Math.max(last, from);
    return from;
  });
}

function unchangedPart({ data, linkType, seconds, nanos, wireLength, interfaceId }: Packet): string {
  const bytes = Buffer.from(withoutNatFields(data, linkType)).toString("latin1");
  return [seconds, nanos, wireLength, interfaceId, linkType, bytes].join(" ");
}

export const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

const dotted = (address: number) => [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");
export const endpointText = (address: number, port: number) => `${dotted(address)}:${port}`;

/** Tells the sides apart. */
export class Sides {
  readonly #inside: readonly string[];
  readonly #public: ReadonlySet<string>;

  constructor({ inside, outside }: NatConfig) {
    this.#inside = inside as string[];
    this.#public = new Set(outside as string[]);
    this.firstPublic = addressNumber((outside as string[])[0]!);
  }

  /** The first of the public addresses. */
  readonly firstPublic: number;

  isInside = (address: number) => this.#inside.some((prefix) => inPrefix(dotted(address), prefix));
  isPublic = (address: number) => this.#public.has(dotted(address));

  /** Where the NAT must send a packet: "neither" concerns it not, "inner" goes from inside to inside. */
  directionOf({ source, destination }: Ip): "inner" | "outbound" | "inbound" | "hairpin" | "neither" {
    const fromInside = this.isInside(source);
    if (fromInside && this.isInside(destination)) return "inner";
    if (this.isPublic(destination)) return fromInside ? "hairpin" : "inbound";
    return fromInside && isRoutable(destination) ? "outbound" : "neither";
  }
}

/** Not this network, loopback, multicast, reserved or broadcast. */
function isRoutable(address: number): boolean {
  const first = address >>> 24;
  return first !== 0 && first !== 127 && first < 224;
}
