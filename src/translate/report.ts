import type { DropReason } from "../verdict.js";

/** What a translation of a capture came to; `napt translate --report` writes it as JSON. */
export interface TranslateReport {
  /** in = out + all drops + held. Packets that the NAT originated are in neither. */
  readonly packets: {
    readonly in: number;
    /** One that was cut to an `mtu` counts once; the output has its pieces. */
    readonly out: number;
    /** Of `out`: left as they were. */
    readonly passed: number;
    /** Fragments whose first one never came, and whose time was not over at the end. */
    readonly held: number;
    /** ICMP errors that the NAT sent ("icmpErrors"): in the output, but not in `out`. */
    readonly originated: number;
  };
  readonly drops: Readonly<Partial<Record<DropReason, number>>>;
  readonly sessions: {
    readonly created: number;
    readonly expired: number;
    readonly active: number;
    readonly peak: number;
  };
  /** Captured bytes of the packets, link headers included. */
  readonly bytes: { readonly in: number; readonly out: number };
  /** How long the translation took. */
  readonly seconds: number;
}
