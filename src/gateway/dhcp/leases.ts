// Who has which address: a pool of addresses, leases on them, and the file that keeps them.
import { formatIpv4, parseIpv4 } from "../../config/cidr.js";

/** Seconds since 1970: leases outlive the process. */
export interface Lease {
  readonly client: string;
  readonly address: number;
  readonly mac: string;
  readonly hostName: string;
  readonly ends: number;
  /** It was offered, and not taken yet. */
  readonly offered: boolean;
}

/** Addresses to lease, host order, both ends included. */
export interface AddressRange {
  readonly low: number;
  readonly high: number;
}

/** Seconds that an address is left alone that a client found somebody else at. */
const DECLINED = 600;

/** The leases. At most one a client, and one an address. */
export class Leases {
  readonly #range: AddressRange;
  /** Addresses that are one client's for good, by hardware address, and the other way round. */
  readonly #reserved: ReadonlyMap<string, number>;
  readonly #reservedFor: ReadonlyMap<number, string>;
  readonly #byClient = new Map<string, Lease>();
  readonly #byAddress = new Map<number, Lease>();
  readonly #declined = new Map<number, number>();
  #next: number;

  constructor(range: AddressRange, reservations: ReadonlyMap<string, number> = new Map()) {
    this.#range = range;
    this.#reserved = reservations;
    this.#reservedFor = new Map([...reservations].map(([mac, address]) => [address, mac]));
    this.#next = range.low;
  }

  get size(): number {
    return this.#byClient.size;
  }

  [Symbol.iterator](): IterableIterator<Lease> {
    return this.#byClient.values();
  }

  /** The lease of a client, in force or not. */
  of(client: string): Lease | undefined {
    return this.#byClient.get(client);
  }

  /**
   * The address for a client: the one reserved for it, the one it had, the one it would like, or a free one. Null when
   * there is none. `taken` tells addresses that are somebody's without a lease.
   */
  choose(
    { client, mac, wish }: { client: string; mac: string; wish: number },
    now: number,
    taken: (address: number) => boolean = () => false,
  ): number | null {
    const reserved = this.#reserved.get(mac);
    if (reserved !== undefined) return reserved;
    const had = this.#byClient.get(client)?.address;
    const mayHave = (address: number) => this.#isFree(address, client, mac, now) && !taken(address);
    if (had !== undefined && this.#isFree(had, client, mac, now)) return had;
    if (wish !== 0 && mayHave(wish)) return wish;
    const { low, high } = this.#range;
    const count = high - low + 1;
    // In turn, so that an address rests as long as can be.
    for (let i = 0; i < count; i++) {
      const address = low + ((this.#next - low + i) % count);
      if (!mayHave(address)) continue;
      this.#next = address === high ? low : address + 1;
      return address;
    }
    return null;
  }

  /** Whether a client may have an address. */
  mayHave(client: string, mac: string, address: number, now: number): boolean {
    const reserved = this.#reserved.get(mac);
    return reserved === undefined ? this.#isFree(address, client, mac, now) : reserved === address;
  }

  /** Gives a client an address, until a time. */
  give(lease: Lease): void {
    this.end(lease.client);
    const other = this.#byAddress.get(lease.address);
    if (other !== undefined) this.end(other.client);
    this.#byClient.set(lease.client, lease);
    this.#byAddress.set(lease.address, lease);
  }

  /** Ends a client's lease. */
  end(client: string): void {
    const lease = this.#byClient.get(client);
    if (lease === undefined) return;
    this.#byClient.delete(client);
    this.#byAddress.delete(lease.address);
  }

  /** Somebody else is at this address. */
  decline(client: string, address: number, now: number): void {
    if (this.#byClient.get(client)?.address === address) this.end(client);
    this.#declined.set(address, now + DECLINED);
  }

  #isFree(address: number, client: string, mac: string, now: number): boolean {
    const { low, high } = this.#range;
    const reservedFor = this.#reservedFor.get(address);
    if (reservedFor !== undefined) return reservedFor === mac;
    if (address < low || address > high) return false;
    if ((this.#declined.get(address) ?? 0) > now) return false;
    this.#declined.delete(address);
    const lease = this.#byAddress.get(address);
    return lease === undefined || lease.client === client || lease.ends <= now;
  }
}

/** Leases as they are kept in a file. */
export function leasesToJson(leases: Iterable<Lease>): string {
  const rows = [...leases]
    .filter(({ offered }) => !offered)
    .map(({ client, address, mac, hostName, ends }) => ({
      client,
      address: formatIpv4(address),
      mac,
      hostName,
      ends,
    }));
  return `${JSON.stringify({ version: 1, leases: rows }, null, 1)}\n`;
}

/** @throws Error when it is not what `leasesToJson` wrote */
export function leasesFromJson(text: string): Lease[] {
  const { version, leases } = JSON.parse(text) as { version?: unknown; leases?: unknown };
  if (version !== 1 || !Array.isArray(leases)) throw new Error("not a file of leases, version 1");
  return leases.map((row: Record<string, unknown>): Lease => {
    const { client, address, mac, hostName, ends } = row;
    const number = typeof address === "string" ? parseIpv4(address) : null;
    if (
      typeof client !== "string" ||
      number === null ||
      typeof mac !== "string" ||
      typeof ends !== "number"
    ) {
      throw new Error(`not a lease: ${JSON.stringify(row)}`);
    }
    return { client, address: number, mac, hostName: String(hostName ?? ""), ends, offered: false };
  });
}
