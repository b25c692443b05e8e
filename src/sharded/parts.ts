// How a public address's ports are cut into parts, one a shard: contiguous, and beginning on even ports, so that
// parity and contiguity (RFC 4787, REQ-4 and section 4.2.3) mean within a part what they mean in the whole.

/** One address's cut. Port p is in unit u = (p - base) / unit, cut to 0..units - 1; its part is u * shards / units. */
export interface Cut {
  /** Where the first unit begins: the lowest even port. */
  readonly base: number;
  /** Ports that stay together. */
  readonly unit: number;
  /** How many such there are. */
  readonly units: number;
}

/** Ports that a part is made of: pairs of an even and an odd one, or whole blocks of them. */
export function unitOf(blockSize: number): number {
  return blockSize === 0 ? 2 : blockSize % 2 === 0 ? blockSize : blockSize * 2;
}

/** Cuts the ports `lo` to `hi`. There are too few when `units` is less than the number of shards. */
export function cutOf(lo: number, hi: number, unit: number): Cut {
  const base = lo + (lo & 1);
  return { base, unit, units: Math.floor((hi + 1 - base) / unit) };
}

/** The part that a port is in; those below and above the range count as the first's and the last's. */
export function partOf(port: number, { base, unit, units }: Cut, shards: number): number {
  const at = port < base ? 0 : ((port - base) / unit) | 0;
  return (((at < units ? at : units - 1) * shards) / units) | 0;
}

/** The ports of a part, of those from `lo` to `hi`. */
export function portsOf(part: number, { base, unit, units }: Cut, lo: number, hi: number, shards: number) {
  const first = (index: number) => base + Math.ceil((index * units) / shards) * unit;
  return { lo: part === 0 ? lo : first(part), hi: part === shards - 1 ? hi : first(part + 1) - 1 };
}

/** What a shard gets of something that is counted: all of them together get `total`. */
export function shareOf(total: number, shard: number, shards: number): number {
  return Math.floor(total / shards) + (shard < total % shards ? 1 : 0);
}

/** The shard of an inside host. Neighbours go to different ones: multiplied with the golden ratio. */
export function shardOfHost(address: number, shards: number): number {
  return ((Math.imul(address, 0x9e3779b1) >>> 0) * shards * 2 ** -32) | 0;
}
