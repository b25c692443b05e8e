/**
 * What a NAT may conclude from the TCP segments of one connection: which phase it is in, so how long it may be
 * silent. RFC 7857 section 2 and RFC 6146 section 3.5.2, as the design's contract words them.
 *
 *   opening      until both sides have sent an ACK                    tcpTransitory
 *   established  also half-closed                                     tcpEstablished
 *   closing      both sides have sent a FIN                           tcpTransitory
 *   time-wait    both FINs are acknowledged                           tcpTimeWait
 *   reset        after an RST in the window; other segments undo it   tcpTransitory
 */
export type TcpPhase = "opening" | "established" | "closing" | "time-wait" | "reset";

export type Side = "inside" | "outside";

export function otherSide(side: Side): Side {
  return side === "inside" ? "outside" : "inside";
}

export interface Segment {
  /** Letters of `FSRPAUEC`. */
  flags: string;
  seq: number;
  ack: number;
  /** Bytes of payload. */
  length: number;
}

/** What is known of one side of the connection. */
interface Half {
  sentAck: boolean;
  /** Sequence number of its SYN. */
  syn: number | null;
  /** Sequence number of its FIN. */
  fin: number | null;
  finAcked: boolean;
  /** The next sequence number it will send. */
  next: number | null;
  /** The highest acknowledgement it has got. */
  acknowledged: number | null;
}

function freshHalf(): Half {
  return { sentAck: false, syn: null, fin: null, finAcked: false, next: null, acknowledged: null };
}

/** `a >= b` in sequence space. */
export function atOrAfter(a: number, b: number): boolean {
  return (a - b) >>> 0 < 0x80000000;
}

export class TcpModel {
  halves: Record<Side, Half> = { inside: freshHalf(), outside: freshHalf() };
  private reset = false;
  /** Whether the inside host has sent anything since the connection began. */
  private spoke = false;

  constructor(private begunBy: Side) {}

  /** Whether the inside host began the connection, or has answered it. */
  get taken(): boolean {
    return this.spoke || this.begunBy === "inside";
  }

  get phase(): TcpPhase {
    const { inside, outside } = this.halves;
    if (this.reset) return "reset";
    if (inside.finAcked && outside.finAcked) return "time-wait";
    if (inside.fin !== null && outside.fin !== null) return "closing";
    if (inside.sentAck && outside.sentAck) return "established";
    return "opening";
  }

  /** Whether one side has sent its FIN and the other has not. */
  get halfClosed(): boolean {
    return this.halves.inside.fin !== null || this.halves.outside.fin !== null;
  }

  /**
   * Whether an RST with this number is one that the other side would accept. Only two kinds of RST are sent by
   * the tests, the exact next number and one a quarter of the sequence space away, so this need not be precise.
   */
  private accepts(side: Side, seq: number): boolean {
    const { next } = this.halves[side];
    return next === null || (seq - next + 0x10000) >>> 0 < 0x20000;
  }

  /** Whether a quoted segment of that side may still be on its way. As rough as `accepts`. */
  inFlight(side: Side, seq: number): boolean {
    return this.halves[side].next !== null && this.accepts(side, seq);
  }

  /** Takes in a segment; false when it has no effect at all, not even on idleness. */
  segment(side: Side, { flags, seq, ack, length }: Segment): boolean {
    const has = (flag: string) => flags.includes(flag);
    if (has("R")) {
      if (!this.accepts(side, seq)) return false;
      this.reset = true;
      return true;
    }
    if (has("S")) {
      if (this.phase === "established") return false;
      if (this.phase !== "opening") {
        this.halves = { inside: freshHalf(), outside: freshHalf() };
        this.reset = false;
        this.begunBy = side;
        this.spoke = false;
      }
    } else {
      this.reset = false;
    }
    const half = this.halves[side];
    const peer = this.halves[otherSide(side)];
    // What nobody off the path can know is believed: where the remote's numbers begin, and then only what is near.
    const answers = has("S") && has("A") && !half.sentAck && peer.next !== null && ack === peer.next;
    const begins = has("S") && !has("A");
    if (side === "outside" && !begins && !answers && !this.accepts(side, seq)) return false;
    const acknowledges = has("A") && !half.sentAck && peer.next !== null;
    if (side === "outside" && acknowledges && (peer.next! - ack) >>> 0 > 0xfffff) return false;
    // The inside host knows what it has got.
    if (side === "inside" && has("S") && has("A")) peer.next = ack;
    if (side === "inside") this.spoke = true;
    if (has("F")) half.fin = (seq + length) >>> 0;
    const end = (seq + length + (has("S") ? 1 : 0) + (has("F") ? 1 : 0)) >>> 0;
    const anew = has("S") && half.syn !== seq;
    if (half.next === null || anew || atOrAfter(end, half.next)) half.next = end;
    if (has("S")) half.syn = seq;
    if (has("A")) {
      half.sentAck = true;
      if (peer.acknowledged === null || atOrAfter(ack, peer.acknowledged)) peer.acknowledged = ack;
      if (peer.fin !== null && atOrAfter(ack, (peer.fin + 1) >>> 0)) peer.finAcked = true;
    }
    return true;
  }
}
