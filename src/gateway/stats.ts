// What a gateway counts, besides its NAT.

/** How often a figure was how large. */
export interface HistogramStats {
  /** How often it was at most 1, 2, 4, 8 ... 32,768, but more than the bound before; the last one: more than that. */
  readonly counts: readonly number[];
  /** Of all figures. */
  readonly sum: number;
}

/** Frames of one port. */
export interface PortStats {
  readonly received: number;
  readonly receivedBytes: number;
  readonly sent: number;
  readonly sentBytes: number;
  /** Frames that came while the receive ring was full. */
  readonly lost: number;
  /** Frames larger than the ring holds. */
  readonly cut: number;
  /** Frames of a VLAN: the interface of that VLAN would be the gateway's. */
  readonly tagged: number;
  /** Frames from a hardware address that is another guest's, or the gateway's. */
  readonly spoofed: number;
  /** Frames larger than the interface's MTU. */
  readonly tooLong: number;
  /** Frames that the kernel did not take: its queue was full, or the interface down. */
  readonly refused: number;
  /** Frames that were taken from the port at a time: those that waited there, up to 64. */
  readonly burstFrames: HistogramStats;
  /** How long they took until all were sent: counts by microseconds, their sum in nanoseconds. */
  readonly burstTime: HistogramStats;
}

/** What a gateway's thread has counted, besides its NAT. */
export interface GatewayStats {
  readonly inside: PortStats;
  readonly outside: PortStats;
  /** Frames that were not for the gateway, or neither IPv4 nor ARP. */
  readonly foreign: number;
  /** Translated packets that no network leads to. */
  readonly unroutable: number;
  /** Frames that the gateway's thread gave to JavaScript, and those that were too many. */
  readonly punted: number;
  readonly puntsLost: number;
}
