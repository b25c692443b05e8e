// Judges a run packet by packet: what had to happen to each, and whether exactly that did.
import assert from "node:assert/strict";
import { get16 } from "../support/packets.js";
import { type Ip, isHeaderGood, quotedBy, saysIpv4, TCP, UDP } from "./frame.js";
import { Mappings } from "./mappings.js";
import { type Rewrite, readdress } from "./readdress.js";
import { dataStartOf, endpointText, hex, type Packet, type Run, Sides } from "./run.js";

/** What the packets of a run came to. */
export interface Judgement {
  readonly translated: number;
  readonly mappings: Mappings;
}

/** Checks every packet of the output, and that none is missing whose way was clear. */
export function judge(run: Run): Judgement {
  const sides = new Sides(run.config);
  const mappings = new Mappings(run.config);
  let translated = 0;
  let untouched = 0;
  const came = new Set(run.origin);
  run.output.forEach((after, i) => {
    const number = run.origin[i]!;
    const before = run.input[number]!;
    const what = `input packet ${number + 1}`;
    if (run.config.verifyHeaderChecksum !== false && before.ip !== null) {
      assert(isHeaderGood(before.data, before.ip), `${what} has a wrong header checksum, yet is let through`);
    }
    if (Buffer.compare(before.data, after.data) === 0) {
      untouched++;
      assert(mayStay(before, run, sides), `${what} left untranslated: ${hex(before.data)}`);
      if (!isToTranslate(before, sides)) return;
    } else {
      assert(isToTranslate(before, sides), `${what} is none of the NAT's business, yet changed`);
      translated++;
    }
    mappings.learn(before, after, number, sides);
    assertUndone(before, after, run, what);
  });
  run.input.forEach((packet, number) => {
    if (!came.has(number)) assert(mayVanish(packet, run, sides), `input packet ${number + 1} is missing`);
  });
  assertReport(run, untouched);
  assertFramed(run);
  return { translated, mappings };
}

function isToTranslate({ ip }: Packet, sides: Sides): boolean {
  return ip !== null && !["inner", "neither"].includes(sides.directionOf(ip));
}

/** Untouched are packets within the inside, and with `unmatched: "pass"` those that concern neither side. */
function mayStay({ ip }: Packet, { config }: Run, sides: Sides): boolean {
  if (ip !== null && sides.directionOf(ip) === "inner") return true;
  return config.unmatched === "pass" && (ip === null || sides.directionOf(ip) === "neither");
}

/** The packets that no reason can take: they must be in the output. */
function mayVanish({ data, linkType, ip }: Packet, { config }: Run, sides: Sides): boolean {
  if (ip === null) return config.unmatched !== "pass" || saysIpv4(data, linkType);
  if (config.verifyHeaderChecksum !== false && !isHeaderGood(data, ip)) return true;
  const total = get16(data, ip.at + 2);
  if (total !== 0 && (total < ip.payload - ip.at || total > data.length - ip.at)) return true; // odd or cut
  const direction = sides.directionOf(ip);
  if (direction === "inner") return false;
  if (direction === "neither") return config.unmatched !== "pass";
  if (direction !== "outbound" || ip.kind === "later-fragment") return true;
  if (config.ttl !== "keep" && ip.ttl <= 1) return true;
  return !(ip.kind === "query" && [8, 13, 15, 17].includes(data[ip.payload]!)) && !isFlow(ip, data);
}

function isFlow(ip: Ip, data: Uint8Array): boolean {
  const header = { [TCP]: 20, [UDP]: 8 }[ip.protocol];
  return header !== undefined && ip.kind === "ports" && get16(data, ip.at + 2) >= ip.payload - ip.at + header;
}

/** Puts the old endpoints back, by arithmetic of the tests' own: all other bytes must be the old ones then. */
function assertUndone(before: Packet, after: Packet, { config }: Run, what: string): void {
  const frame = new Uint8Array(after.data);
  const ip = before.ip!;
  const now = after.ip!;
  const lost = config.ttl === "keep" ? 0 : 1;
  assert.equal(now.ttl, ip.ttl - lost, `${what}: TTL`);
  const quoted = quotedBy(before.data, ip);
  const quotedNow = quotedBy(after.data, now);
  readdress(
    frame,
    now,
    { ...endpointsOf(ip), id: ip.id, ttl: ip.ttl },
    quotedNow ?? undefined,
    quoted === null ? {} : endpointsOf(quoted),
  );
  assert.equal(hex(frame), hex(before.data), `${what}: the inverse is not what came in`);
}

function endpointsOf({ source, destination, sourcePort, destinationPort }: Ip): Rewrite {
  return { source, destination, sourcePort, destinationPort };
}

/** The file around the packets is the input's: headers, blocks without packets, options, padding. */
function assertFramed({ capture, bytes, input, output, origin }: Run): void {
  assert.equal(hex(around(bytes, output)), hex(around(capture, input)), "the bytes between the records");
  output.forEach((after, i) => {
    const before = input[origin[i]!]!;
    assert.deepEqual(frameOf(bytes, after), frameOf(capture, before), `output packet ${i + 1}: its record`);
  });
}

function around(file: Uint8Array, packets: readonly Packet[]): Uint8Array {
  const starts = [...packets.map(({ start }) => start), file.length];
  return Buffer.concat(starts.map((start, i) => file.subarray(i === 0 ? 0 : packets[i - 1]!.end, start)));
}

/** What is before and behind a packet in its record. */
function frameOf(file: Uint8Array, packet: Packet): string[] {
  const at = dataStartOf(file, packet);
  return [file.subarray(packet.start, at), file.subarray(at + packet.data.length, packet.end)].map(hex);
}

function assertReport({ report, input, output }: Run, untouched: number): void {
  const bytes = (packets: readonly Packet[]) => packets.reduce((sum, { data }) => sum + data.length, 0);
  const { packets, drops, sessions } = report;
  const dropped = Object.values(drops).reduce((sum, count) => sum + count, 0);
  assert.equal(packets.in, input.length, "report: packets.in");
  assert.equal(packets.out, output.length, "report: packets.out");
  assert.equal(packets.in, packets.out + dropped + packets.held, "report: in = out + drops + held");
  assert.equal(packets.passed, untouched, "report: packets.passed");
  assert.equal(packets.originated, 0, "report: packets.originated");
  assert.deepEqual(report.bytes, { in: bytes(input), out: bytes(output) }, "report: bytes");
  assert.equal(sessions.created, sessions.expired + sessions.active, "report: sessions");
  assert(sessions.peak <= sessions.created && sessions.active <= sessions.peak, "report: sessions.peak");
  for (const [reason, count] of Object.entries(drops)) assert(count > 0, `report: drops.${reason} is 0`);
}

/** The endpoint that a packet comes from, as people write it. */
export const sourceText = (ip: Ip) => endpointText(ip.source, ip.sourcePort);
