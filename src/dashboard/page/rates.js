// Rates, from one reading to the next.
/** @import { Reading } from "../../control/reading.js" */

/**
 * @typedef {object} Rates
 * @property {number} at seconds of the wall clock
 * @property {{ out: number, in: number }} bits a second, by direction
 * @property {{ out: number, in: number }} packets
 * @property {number} opened new sessions a second
 * @property {number} dropped packets a second, of all reasons
 * @property {Record<string, number>} drops by reason
 */

/**
 * What a gateway did between two readings; null when it was started anew, or no time passed.
 * @param {Reading} before
 * @param {Reading} now
 * @returns {Rates | null}
 */
export function ratesOf(before, now) {
  const seconds = (now.at - before.at) / 1000;
  const [a, b] = [before.status.nat, now.status.nat];
  if (seconds <= 0 || b.packets.in < a.packets.in) return null;
  /** @type {Record<string, number>} */
  const drops = {};
  for (const [reason, total] of Object.entries(b.drops)) {
    drops[reason] = (total - (a.drops[/** @type {keyof typeof a.drops} */ (reason)] ?? 0)) / seconds;
  }
  const rate = (/** @type {number} */ from, /** @type {number} */ to) => (to - from) / seconds;
  return {
    at: now.wall / 1000,
    bits: {
      out: 8 * rate(a.bytes.outbound, b.bytes.outbound),
      in: 8 * rate(a.bytes.inbound, b.bytes.inbound),
    },
    packets: {
      out: rate(a.packets.outbound, b.packets.outbound),
      in: rate(a.packets.inbound, b.packets.inbound),
    },
    opened: rate(a.sessions.created, b.sessions.created),
    dropped: Object.values(drops).reduce((sum, one) => sum + one, 0),
    drops,
  };
}
