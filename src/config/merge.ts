// Laying one config over another.
import { BEHAVING_PROTOCOLS } from "./behaviour.js";

/**
 * `above` over `below`: objects key by key, anything else, lists too, replaced. undefined is not given.
 * A behaviour for all protocols below one for some of them still holds for the others.
 */
export function merge(below: unknown, above: unknown, key = ""): unknown {
  if (above === undefined) return below;
  if (!isObject(above)) return above;
  const byProtocol = (key === "mapping" || key === "filtering") && typeof below === "string";
  const base = byProtocol ? Object.fromEntries(BEHAVING_PROTOCOLS.map((name) => [name, below])) : below;
  if (!isObject(base)) return above;
  const names = new Set([...Object.keys(base), ...Object.keys(above)]);
  return Object.fromEntries([...names].map((name) => [name, merge(base[name], above[name], name)]));
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
