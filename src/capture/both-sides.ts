// A pcapng of both sides of a NAT: an inside and an outside interface for each link type, and a comment on every packet.
import type { ByteSink } from "./sink.js";
import { PcapngWriter } from "./writer.js";

/** A packet, from its link header on, and when it was there: seconds since 1970, and nanoseconds in the second. */
export interface Stamped {
  readonly frame: Uint8Array;
  readonly linkType: number;
  readonly seconds: number;
  readonly nanos: number;
  /** Bytes that it had on the wire. @default all */
  readonly wireLength?: number;
}

export class BothSidesWriter {
  readonly #writer: PcapngWriter;
  readonly #interfaces = new Map<string, number>();

  constructor(sink: Pick<ByteSink, "write">) {
    this.#writer = new PcapngWriter(sink);
  }

  /** True when it is time to flush. */
  get full(): boolean {
    return this.#writer.full;
  }

  /** Hands what was appended to the sink, whole blocks of it. Nothing may be appended until it resolves. */
  flush(): Promise<void> {
    return this.#writer.flush();
  }

  /** `lost`: packets of this side that are missing before it. */
  packet(side: "inside" | "outside", packet: Stamped, comment: string, lost = 0): void {
    const { frame, linkType, seconds, nanos, wireLength = frame.length } = packet;
    // The pair is declared together, so that inside and outside are always the first two.
    for (const name of ["inside", "outside"] as const) {
      const key = `${name} ${linkType}`;
      if (!this.#interfaces.has(key))
        this.#interfaces.set(key, this.#writer.addInterface({ linkType, name }));
    }
    const number = this.#interfaces.get(`${side} ${linkType}`)!;
    this.#writer.packet(number, frame, seconds, nanos, wireLength, comment, lost);
  }
}
