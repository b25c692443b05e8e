// One pcapng of both sides: every packet on the interface where it came in, and again on the one where it left,
// with a comment that names session and verdict. What `--both` writes, for Wireshark.
import { BothSidesWriter, type Stamped } from "../capture/both-sides.js";
import type { CaptureChunk } from "../capture/chunk.js";
import type { ByteSink } from "../capture/sink.js";
import { isInAny } from "../config/cidr.js";
import type { EmittedPacket, Nat } from "../nat.js";
import type { TapKind } from "../native.js";
import { DESCRIPTOR, DESCRIPTOR_WORDS, type PacketBatch } from "../packet-batch.js";
import { commentOf } from "../tap/tapped-packet.js";
import type { Verdict } from "../verdict.js";

type Side = "inside" | "outside";

const commentOfKind = (kind: TapKind) => commentOf({ kind, way: "left", verdict: null, session: null });

export class BothSides {
  readonly #nat: Nat;
  readonly #writer: BothSidesWriter;
  /** Frames of held fragments by tag, until they are released or lost. */
  readonly #held = new Map<number, Stamped & { ipOffset: number }>();
  #original: Stamped | null = null;
  /** The packet that went out in pieces last. */
  #cut = 0;
  /** What the packet under way has brought out: written behind it. */
  #behind: (() => void)[] = [];

  constructor(nat: Nat, sink: ByteSink) {
    this.#nat = nat;
    this.#writer = new BothSidesWriter(sink);
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
    const comment = commentOf({
      kind: "translated",
      way: "came",
      verdict,
      session: session === 0 ? null : this.#nat.conntrack.at(session - 1),
    });
    const came = arrivalSide(verdict, this.#nat, original.frame, ipOffset);
    this.#writer.packet(came, original, comment);
    const passes = verdict.verdict === "passed" && verdict.direction !== "none";
    if (verdict.verdict === "forwarded" || passes) {
      this.#writer.packet(
        verdict.direction === "outbound" ? "outside" : "inside",
        stamped(chunk, i),
        comment,
      );
    } else if (verdict.verdict === "held") {
      const tag = batch.descriptors[slot * DESCRIPTOR_WORDS + DESCRIPTOR.tag]!;
      if (tag !== this.#cut) this.#held.set(tag, { ...original, ipOffset });
    }
    this.#writeBehind();
  }

  /** Writes a frame that is not IPv4. */
  notIpv4(chunk: CaptureChunk, i: number, passed: boolean): void {
    this.#writer.packet("inside", stamped(chunk, i), passed ? "passed: not-ipv4" : "dropped: not-ipv4");
  }

  /** Takes a packet that the NAT put out by itself. */
  emitted(packet: EmittedPacket, made: Stamped | null): void {
    if (packet.kind === "icmp") {
      if (made !== null) this.#writeLater(packet.side, made, "originated");
      return;
    }
    const held = this.#held.get(packet.tag);
    this.#held.delete(packet.tag);
    if (packet.kind === "fragment" && made !== null) {
      this.#cut = packet.tag;
      this.#writeLater(packet.side, made, "piece");
      return;
    }
    if (packet.kind === "discarded" || held === undefined) return;
    held.frame.set(packet.packet, held.ipOffset);
    this.#writeLater(packet.side, held, "released");
  }

  #writeLater(side: Side, packet: Stamped, kind: TapKind): void {
    this.#behind.push(() => this.#writer.packet(side, packet, commentOfKind(kind)));
  }

  #writeBehind(): void {
    for (const write of this.#behind) write();
    this.#behind = [];
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
  return isInAny(nat.config.inside, source) ? "inside" : "outside";
}
