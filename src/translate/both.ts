// One pcapng of both sides: every packet on the interface where it came in, and again on the one where it left,
// with a comment that names session and verdict. What `--both` writes, for Wireshark.
import type { CaptureChunk } from "../capture/chunk.js";
import type { ByteSink } from "../capture/sink.js";
import { PcapngWriter } from "../capture/writer.js";
import { parseCidr } from "../config/cidr.js";
import type { Session } from "../conntrack.js";
import type { EmittedPacket, Nat } from "../nat.js";
import { DESCRIPTOR, DESCRIPTOR_WORDS, type PacketBatch } from "../packet-batch.js";
import type { Verdict } from "../verdict.js";

type Side = "inside" | "outside";

interface Stamped {
  readonly frame: Uint8Array;
  readonly linkType: number;
  readonly seconds: number;
  readonly nanos: number;
  readonly wireLength?: number;
}

export class BothSides {
  readonly #nat: Nat;
  readonly #writer: PcapngWriter;
  readonly #interfaces = new Map<string, number>();
  /** Frames of held fragments by tag, until they are released or lost. */
  readonly #held = new Map<number, Stamped & { ipOffset: number }>();
  #original: Stamped | null = null;
  /** The packet that went out in pieces last. */
  #cut = 0;
  /** What the packet under way has brought out: written behind it. */
  #behind: (() => void)[] = [];

  constructor(nat: Nat, sink: ByteSink) {
    this.#nat = nat;
    this.#writer = new PcapngWriter(sink);
  }

  get full(): boolean {
    return this.#writer.full;
  }

  flush(): Promise<void> {
    this.#writeBehind();
    return this.#writer.flush();
  }

  /** Keeps a packet as it came, before it is translated in place. */
  before(chunk: CaptureChunk, i: number): void {
    this.#original = stamped(chunk, i);
  }

  /** Writes the packet that `before` kept, and what became of it. */
  after(chunk: CaptureChunk, i: number, ipOffset: number, batch: PacketBatch, slot: number): void {
    const original = this.#original!;
    const verdict = batch.verdict(slot);
    const session = batch.descriptors[slot * DESCRIPTOR_WORDS + DESCRIPTOR.session]!;
    const comment = describe(verdict, session === 0 ? null : this.#nat.conntrack.at(session - 1));
    const came = arrivalSide(verdict, this.#nat, original.frame, ipOffset);
    this.#packet(came, original, comment);
    if (verdict.verdict === "forwarded") {
      this.#packet(verdict.direction === "outbound" ? "outside" : "inside", stamped(chunk, i), comment);
    } else if (verdict.verdict === "held") {
      const tag = batch.descriptors[slot * DESCRIPTOR_WORDS + DESCRIPTOR.tag]!;
      if (tag !== this.#cut) this.#held.set(tag, { ...original, ipOffset });
    }
    this.#writeBehind();
  }

  /** Writes a frame that is not IPv4. */
  notIpv4(chunk: CaptureChunk, i: number, passed: boolean): void {
    this.#packet("inside", stamped(chunk, i), passed ? "passed: not-ipv4" : "dropped: not-ipv4");
  }

  /** Takes a packet that the NAT put out by itself. */
  emitted(packet: EmittedPacket, made: Stamped | null): void {
    if (packet.kind === "icmp") {
      if (made !== null) this.#behind.push(() => this.#packet(packet.side, made, "originated by the NAT"));
      return;
    }
    const held = this.#held.get(packet.tag);
    this.#held.delete(packet.tag);
    if (packet.kind === "fragment" && made !== null) {
      this.#cut = packet.tag;
      this.#behind.push(() =>
        this.#packet(packet.side, made, "forwarded: a piece of a packet that is too big"),
      );
      return;
    }
    if (packet.kind === "discarded" || held === undefined) return;
    held.frame.set(packet.packet, held.ipOffset);
    this.#behind.push(() => this.#packet(packet.side, held, "forwarded: released by its first fragment"));
  }

  #writeBehind(): void {
    for (const write of this.#behind) write();
    this.#behind = [];
  }

  #packet(side: Side, { frame, linkType, seconds, nanos, wireLength }: Stamped, comment: string): void {
    // The pair is declared together, so that inside and outside are always the first two.
    for (const name of ["inside", "outside"] as const) {
      const key = `${name} ${linkType}`;
      if (!this.#interfaces.has(key))
        this.#interfaces.set(key, this.#writer.addInterface({ linkType, name }));
    }
    const number = this.#interfaces.get(`${side} ${linkType}`)!;
    this.#writer.packet(number, frame, seconds, nanos, wireLength ?? frame.length, comment);
  }
}

function stamped(chunk: CaptureChunk, i: number): Stamped {
  const start = chunk.dataStart[i]!;
  return {
    frame: chunk.bytes.slice(start, start + chunk.capLength[i]!),
    linkType: chunk.linkType[i]!,
    seconds: chunk.timeSeconds[i]!,
    nanos: chunk.timeNanos[i]!,
    wireLength: Math.max(chunk.wireLength[i]!, chunk.capLength[i]!),
  };
}

/** Where a packet came in: by its direction, or where it has none by its source. */
function arrivalSide({ direction }: Verdict, nat: Nat, frame: Uint8Array, ipOffset: number): Side {
  if (direction !== "none") return direction === "inbound" ? "outside" : "inside";
  if (frame.length < ipOffset + 16) return "outside";
  const source = new DataView(frame.buffer, frame.byteOffset).getUint32(ipOffset + 12);
  const isInside = nat.config.inside.some((prefix) => {
    const { network, bits } = parseCidr(prefix)!;
    return bits === 0 || (source ^ network) >>> (32 - bits) === 0;
  });
  return isInside ? "inside" : "outside";
}

/** "outbound forwarded: udp 192.168.226.135:4000 [203.0.113.1:8270] 198.51.100.7:53" */
function describe({ verdict, direction, reason }: Verdict, session: Session | null): string {
  const what = direction === "none" ? verdict : `${direction} ${verdict}`;
  if (reason !== null) return `${what}: ${reason}`;
  if (session === null) return what;
  const { protocol, inside, remote } = session;
  const endpoint = ({ address, port }: Session["inside"]) => (port === 0 ? address : `${address}:${port}`);
  return `${what}: ${protocol} ${endpoint(inside)} [${endpoint(session.public)}] ${endpoint(remote)}`;
}
