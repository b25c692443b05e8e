/** The numbers of a TCP connection as its two hosts know them, of which one is called inside and one outside. */
import type { Side } from "./routers.js";
import type { SegmentKind } from "./steps.js";

export interface Numbers {
  flags: string;
  seq: number;
  ack: number;
  length: number;
}

const WILD = 2 ** 30;
const FLAGS: Record<SegmentKind, string> = {
  syn: "S",
  "new syn": "S",
  synack: "SA",
  ack: "A",
  data: "PA",
  fin: "FA",
  rst: "R",
  "rst ack": "RA",
  keepalive: "A",
  "wild data": "PA",
  "wild rst": "R",
  "no flags": "",
  "syn fin": "SF",
  christmas: "FPU",
};

export class Connection {
  /** The sequence numbers of the SYNs; the outside's soon wrap. */
  private readonly initial = { inside: 1_000_000, outside: 4_294_967_000 };
  private readonly next = { ...this.initial };
  /** Who was heard of. */
  private readonly spoken = new Set<Side>();
  /** A RST came before both had spoken: Linux knows it no more. */
  stillborn = false;

  /** The numbers of a segment that a host sends now. */
  numbers(kind: SegmentKind, from: Side, length: number): Numbers {
    const to = from === "inside" ? "outside" : "inside";
    const flags = FLAGS[kind];
    let seq = this.next[from];
    if (flags.includes("S")) seq = this.initial[from] + (kind === "new syn" ? 1_000_003 : 0);
    if (kind === "keepalive") seq -= 1;
    if (kind === "wild data" || kind === "wild rst") seq += WILD;
    const carries = kind === "data" || kind === "wild data";
    return {
      flags,
      seq: seq >>> 0,
      ack: flags.includes("A") ? this.next[to] : 0,
      length: carries ? length : 0,
    };
  }

  /** The segment was delivered. */
  delivered(kind: SegmentKind, from: Side, { flags, seq, length }: Numbers): void {
    if (flags === "S") this.spoken.clear();
    this.stillborn = flags.includes("R") && this.spoken.size < 2;
    this.spoken.add(from);
    if (kind === "syn" || kind === "new syn" || kind === "synack") {
      this.initial[from] = seq;
      this.next[from] = (seq + 1) >>> 0;
    }
    if (kind === "data") this.next[from] = (seq + length) >>> 0;
    if (kind === "fin") this.next[from] = (seq + 1) >>> 0;
  }
}
