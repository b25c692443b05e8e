// IPv4 addresses and prefixes as text and as numbers (32 bits, unsigned, host order).

const OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
const ADDRESS = `${OCTET}(?:\\.${OCTET}){3}`;
const BITS = "(?:3[0-2]|[12]?[0-9])";

/** Four decimal octets without leading zeros, which some programs read as octal. */
export const IPV4_PATTERN = new RegExp(`^${ADDRESS}$`);
/** An address, or a prefix in CIDR notation. */
export const CIDR_PATTERN = new RegExp(`^${ADDRESS}(?:/${BITS})?$`);

/** A prefix: its first address and how many leading bits all its addresses share (32: one address). */
export interface Cidr {
  readonly network: number;
  readonly bits: number;
}

const [DOT, ZERO] = [46, 48];

/** As {@link IPV4_PATTERN} has it, by hand: logs do this for each event. */
export function parseIpv4(text: string): number | null {
  let address = 0;
  let at = 0;
  for (let octets = 1; octets <= 4; octets++) {
    const from = at;
    let octet = 0;
    for (; at < text.length; at++) {
      const digit = text.charCodeAt(at) - ZERO;
      if (digit < 0 || digit > 9) break;
      octet = octet * 10 + digit;
    }
    const digits = at - from;
    if (digits === 0 || digits > 3 || octet > 255) return null;
    if (digits > 1 && text.charCodeAt(from) === ZERO) return null;
    if (octets < 4 && text.charCodeAt(at++) !== DOT) return null;
    address = address * 256 + octet;
  }
  return at === text.length ? address : null;
}

export function formatIpv4(address: number): string {
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`;
}

/** Reads "10.0.0.0/8" or a bare address (as /32); bits beyond the prefix length are cleared. */
export function parseCidr(text: string): Cidr | null {
  if (!CIDR_PATTERN.test(text)) return null;
  const [address = "", length = "32"] = text.split("/");
  const bits = Number(length);
  return { network: networkOf(parseIpv4(address) ?? 0, bits), bits };
}

export function formatCidr({ network, bits }: Cidr): string {
  return `${formatIpv4(network)}/${bits}`;
}

/** The first address of the prefix of `bits` bits that `address` is in. */
export function networkOf(address: number, bits: number): number {
  // JavaScript shifts by the count modulo 32, so /0 needs its own answer.
  return bits === 0 ? 0 : (address & (-1 << (32 - bits))) >>> 0;
}

/** Whether an address is in one of a few prefixes. */
export function isInAny(prefixes: readonly string[], address: number): boolean {
  return prefixes.some((prefix) => {
    const { network, bits } = parseCidr(prefix)!;
    return networkOf(address, bits) === network;
  });
}

/** How many addresses a prefix has. */
export function cidrSize({ bits }: Cidr): number {
  return 2 ** (32 - bits);
}

/** Whether one host can have this address: not 0.0.0.0/8, multicast, class E or broadcast. */
export function isUnicast(address: number): boolean {
  const first = address >>> 24;
  return first > 0 && first < 224;
}

/** Whether `address` is in 127.0.0.0/8, which never leaves a host. */
export function isLoopback(address: number): boolean {
  return address >>> 24 === 127;
}

/** What belongs to each of many prefixes; finds it in at most 33 probes however many there are. */
export class PrefixMap<T> {
  // network * 64 + bits: one number a prefix, exact below 2^53
  readonly #values = new Map<number, T>();

  /** Keeps what a prefix had before. */
  add({ network, bits }: Cidr, value: T): void {
    const key = network * 64 + bits;
    if (!this.#values.has(key)) this.#values.set(key, value);
  }

  /** What belongs to the widest prefix that holds all of this one. */
  find(cidr: Cidr): T | undefined {
    for (let bits = 0; bits <= cidr.bits; bits++) {
      const value = this.#values.get(networkOf(cidr.network, bits) * 64 + bits);
      if (value !== undefined) return value;
    }
    return undefined;
  }

  /** What belongs to the widest prefix that an address is in. */
  at(address: number): T | undefined {
    return this.find({ network: address, bits: 32 });
  }
}
