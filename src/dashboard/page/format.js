// Figures for people. They keep their width as well as they can.

const PREFIXES = ["", "k", "M", "G", "T", "P"];

/**
 * Three digits and a prefix: "1.25 M", "640".
 * @param {number} value
 * @param {string} [unit]
 * @param {number} [step]
 */
export function short(value, unit = "", step = 1000) {
  let rest = Math.abs(value);
  let prefix = 0;
  while (rest >= step * 0.9995 && prefix < PREFIXES.length - 1) {
    rest /= step;
    prefix++;
  }
  const digits =
    prefix === 0 ? (rest < 10 && !Number.isInteger(rest) ? 1 : 0) : rest < 10 ? 2 : rest < 100 ? 1 : 0;
  const name = `${PREFIXES[prefix]}${unit}`;
  return `${(value < 0 ? -rest : rest).toFixed(digits)}${name === "" ? "" : `\u202f${name}`}`;
}

/** @param {number} value */
export const bits = (value) => short(value, "bit/s");
/** @param {number} value */
export const bytes = (value) => short(value, "B");
/** @param {number} value */
export const perSecond = (value) => short(value, "/s");

const whole = new Intl.NumberFormat("en");
/** @param {number} value */
export const count = (value) => whole.format(value);

/**
 * "12 s", "4 min", "2 h 5 min", "3 d 4 h"
 * @param {number} seconds
 */
export function duration(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return s < 600 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${Math.floor(s / 60)} min`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

/**
 * "just now", "12 s ago"
 * @param {number} ms
 */
export const ago = (ms) => (ms < 2000 ? "just now" : `${duration(ms / 1000)} ago`);

/** @param {{ readonly address: string, readonly port: number }} endpoint */
export const endpoint = ({ address, port }) => `${address}:${port}`;

/** @param {number} part @param {number} of */
export const percent = (part, of) => {
  const value = of === 0 ? 0 : (part / of) * 100;
  return `${value > 0 && value < 1 ? "<1" : value.toFixed(0)}\u202f%`;
};
