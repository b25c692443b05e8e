// One line on a terminal that tells how a gateway fares, once a second.
import type { Gateway } from "../gateway/gateway.js";
import { short } from "./figures.js";

const EVERY = 1000;

/** Writes to stderr, and only where that is a terminal. */
export class StatusLine {
  readonly #gateway: Gateway;
  readonly #timer: NodeJS.Timeout | undefined;
  #before: { time: number; outbound: number; inbound: number; bits: number } | null = null;

  constructor(gateway: Gateway) {
    this.#gateway = gateway;
    if (process.stderr.isTTY) this.#timer = setInterval(() => this.#show(), EVERY);
  }

  end(): void {
    clearInterval(this.#timer);
    if (this.#timer !== undefined) process.stderr.write("\r\x1b[K");
  }

  #show(): void {
    const { packets, bytes, sessions, drops } = this.#gateway.nat.stats;
    const now = {
      time: performance.now(),
      outbound: packets.outbound,
      inbound: packets.inbound,
      bits: 8 * bytes.out,
    };
    const before = this.#before ?? now;
    this.#before = now;
    const seconds = Math.max(1e-3, (now.time - before.time) / 1000);
    const rate = (key: "outbound" | "inbound" | "bits") => (now[key] - before[key]) / seconds;
    const dropped = Object.values(drops).reduce((total, count) => total + count, 0);
    const line =
      `${short(sessions.active)} sessions, ${short(rate("outbound"))} packets/s out, ` +
      `${short(rate("inbound"))} in, ${short(rate("bits"))}bit/s, ${short(dropped)} dropped`;
    process.stderr.write(`\r\x1b[K${line.slice(0, (process.stderr.columns ?? 80) - 1)}`);
  }
}
