// What holds of every packet that leaves a NAT, whatever the rule under test: only the fields change that may,
// checksums are as right (or wrong) as before, and no inside source gets out.
import { equal, ok } from "node:assert/strict";
import {
  describe,
  get16,
  get32,
  headerChecksumOf,
  hex,
  lowerMss,
  onesSum,
  put16,
  put32,
  transportChecksumOf,
} from "../support/packets.js";

export interface World {
  /** Whether an address is inside, or one of the NAT's own. */
  readonly isInside: (address: number) => boolean;
  readonly isOwn: (address: number) => boolean;
  readonly keepsTtl: boolean;
  /** The largest MSS that a SYN leaves with; 0 for any. */
  readonly mostMss: number;
  /** An ALG may rewrite what TCP carries, and its numbers. */
  readonly rewritesPayload: boolean;
}

export type Way = "outbound" | "inbound" | "hairpin";

const ICMP = 1;
const TCP = 6;
const UDP = 17;
const DCCP = 33;
const UDPLITE = 136;
const ERRORS = [3, 4, 11, 12];
const QUERIES = [0, 8, 13, 14, 17, 18];

const CHECKSUM_AT: Record<number, number> = { [ICMP]: 2, [TCP]: 16, [UDP]: 6, [DCCP]: 6, [UDPLITE]: 6 };

/** A view of one IPv4 packet, or of as much of one as an ICMP error quotes. */
class View {
  readonly headerLength: number;
  readonly protocol: number;
  /** Has ports, or whatever its protocol has in their place. */
  readonly isFirst: boolean;
  readonly isWhole: boolean;

  constructor(readonly bytes: Uint8Array) {
    this.headerLength = (bytes[0]! & 15) * 4;
    this.protocol = bytes[9]!;
    const word = get16(bytes, 6);
    this.isFirst = (word & 0x1fff) === 0;
    this.isWhole = (word & 0x3fff) === 0 && get16(bytes, 2) <= bytes.length;
  }

  get src(): number {
    return get32(this.bytes, 12);
  }
  get dst(): number {
    return get32(this.bytes, 16);
  }
  get isAtomic(): boolean {
    return (get16(this.bytes, 6) & 0x7fff) === 0x4000;
  }
  get transport(): Uint8Array {
    const end = Math.min(this.bytes.length, get16(this.bytes, 2) || this.bytes.length);
    return this.bytes.subarray(this.headerLength, end);
  }
  get isError(): boolean {
    return this.isFirst && this.protocol === ICMP && ERRORS.includes(this.transport[0]!);
  }
  get isQuery(): boolean {
    return this.isFirst && this.protocol === ICMP && QUERIES.includes(this.transport[0]!);
  }
  /** Offset of the transport checksum, -1 if there is none or it is cut off. */
  get checksumAt(): number {
    const at = this.isFirst ? CHECKSUM_AT[this.protocol] : undefined;
    return at === undefined || at + 2 > this.transport.length ? -1 : this.headerLength + at;
  }
  get checksum(): number {
    return get16(this.bytes, this.checksumAt);
  }

  /** The one's complement sum of all that the transport checksum covers and that is here, itself included. */
  get transportSum(): number {
    let covered = this.transport;
    if (this.protocol === UDP || this.protocol === UDPLITE) {
      const length = get16(covered, 4);
      covered = covered.subarray(0, length === 0 ? undefined : length);
    } else if (this.protocol === DCCP) {
      const coverage = covered[5]! & 15;
      if (coverage !== 0) covered = covered.subarray(0, covered[4]! * 4 + (coverage - 1) * 4);
    }
    const pseudo = this.protocol === ICMP ? 0 : onesSum(this.bytes.subarray(12, 20));
    return onesSum(covered, pseudo) % 0xffff;
  }
}

/** Sets the fields to 0 that may differ after a translation: those of the source, those of the destination. */
function blank(view: View, source: boolean, destination: boolean): void {
  const { bytes, headerLength, protocol } = view;
  if (source) put32(bytes, 12, 0);
  if (destination) put32(bytes, 16, 0);
  put16(bytes, 10, 0);
  if (view.checksumAt >= 0) put16(bytes, view.checksumAt, 0);
  if (!view.isFirst || view.transport.length < 4) return;
  if ([TCP, UDP, DCCP, UDPLITE].includes(protocol)) {
    if (source) put16(bytes, headerLength, 0);
    if (destination) put16(bytes, headerLength + 2, 0);
  }
  if (view.isQuery) put16(bytes, headerLength + 4, 0);
}

function assertChecksumKept(before: View, after: View): void {
  if (before.checksumAt < 0) return;
  if (before.protocol === UDP && before.checksum === 0) {
    equal(after.checksum, 0, "a UDP checksum of 0 stays");
    return;
  }
  equal(after.transportSum, before.transportSum, "the transport checksum is off");
  // Right before, it is exactly what a full computation gives: never -0, and for UDP never 0.
  const right = transportChecksumOf(before.bytes);
  if (before.isWhole && right >= 0 && before.checksum === right) {
    equal(after.checksum, transportChecksumOf(after.bytes), "the transport checksum's form");
  }
}

/** What an ALG rewrote is right again. */
function assertWhole(before: View, after: View): void {
  const right = transportChecksumOf(before.bytes);
  if (right < 0 || before.checksum !== right) return;
  equal(after.checksum, transportChecksumOf(after.bytes), "the transport checksum");
}

/** How wrong a header checksum is. */
function headerError(view: View): number {
  return (((get16(view.bytes, 10) - headerChecksumOf(view.bytes)) % 0xffff) + 0xffff) % 0xffff;
}

export function sameBytes(actual: Uint8Array, expected: Uint8Array, message: string): void {
  if (Buffer.compare(actual, expected) !== 0) equal(hex(actual), hex(expected), message);
}

/** Runs checks; what fails tells of which packet. */
export function about(packets: () => string, checks: () => void): void {
  try {
    checks();
  } catch (error) {
    (error as Error).message = `${packets()}: ${(error as Error).message}`;
    throw error;
  }
}

/** Checks what came out of a NAT against what went in. */
export function assertTranslated(input: Uint8Array, output: Uint8Array, way: Way, world: World): void {
  about(
    () => `${way} {${describe(input)}} -> {${describe(output)}}`,
    () => checkTranslated(input, output, way, world),
  );
}

function checkTranslated(input: Uint8Array, output: Uint8Array, way: Way, world: World): void {
  const [before, after] = [new View(input), new View(output)];
  const leaves = way !== "inbound";
  const enters = way !== "outbound";

  if (leaves) ok(world.isOwn(after.src), "the source must be the NAT's own");
  else equal(after.src, before.src, "an inbound packet keeps its source");
  if (enters) ok(world.isInside(after.dst), "the destination must be inside");
  else equal(after.dst, before.dst, "an outbound packet keeps its destination");

  equal(output[8], input[8]! - (world.keepsTtl ? 0 : 1), "TTL");
  equal(headerError(after), headerError(before), "the header checksum");
  if (world.rewritesPayload) {
    assertWhole(before, after);
    return;
  }
  equal(output.length, input.length, "length");
  assertChecksumKept(before, after);

  const offered = world.mostMss === 0 ? input.slice() : lowerMss(input, world.mostMss);
  const [a, b] = [new View(offered), new View(output.slice())];
  for (const view of [a, b]) {
    view.bytes[8] = 0;
    if (leaves && !before.isAtomic) put16(view.bytes, 4, 0);
    if (before.isError) {
      const quoted = new View(view.bytes.subarray(view.headerLength + 8));
      blank(quoted, enters, leaves);
      if (enters) put16(quoted.bytes, 4, 0); // the ID that the inside host sent, where it was replaced
    }
    blank(view, leaves, enters);
  }
  sameBytes(b.bytes, a.bytes, "other fields than may have changed");
  if (before.isError) assertQuotation(before, after, way, world);
}

/** An error quotes the packet as the receiver of the error knows it. */
function assertQuotation(before: View, after: View, way: Way, world: World): void {
  const [was, is] = [before, after].map((view) => new View(view.bytes.subarray(view.headerLength + 8)));
  if (way !== "outbound") {
    equal(is!.src, after.dst, "the quoted packet is the receiver's own");
  }
  if (way !== "inbound") {
    ok(!world.isInside(is!.dst), "an inside address shows in the quoted packet");
  }
  equal(headerError(is!), headerError(was!), "the quoted header checksum");
  assertChecksumKept(was!, is!);
}

/** Checks an ICMP error that the NAT made: well-formed, from itself, about what its receiver sent. */
export function assertOriginated(error: Uint8Array, cause: Uint8Array, world: World): void {
  about(
    () => `originated {${describe(error)}} about {${describe(cause)}}`,
    () => checkOriginated(error, cause, world),
  );
}

function checkOriginated(error: Uint8Array, cause: Uint8Array, world: World): void {
  const view = new View(error);
  equal(headerError(view), 0, "header checksum");
  equal(onesSum(view.transport), 0xffff, "ICMP checksum");
  ok(world.isOwn(view.src), "it must come from the NAT's own address");
  equal(view.dst, new View(cause).src, "it goes to who sent the packet");
  const quoted = view.transport.subarray(8);
  sameBytes(quoted, cause.subarray(0, quoted.length), "it quotes what was sent");
  const least = Math.min(cause.length, view.headerLength + 8);
  ok(quoted.length >= least, "at least the header and 8 octets are quoted");
}
