// Who asked for which mapping: what a NAT need not know to translate, but to let only its owner change it.
import type { InsideEndpoint, RemoteFilter } from "../explicit-mappings.js";
import type { Nat } from "../nat.js";

export interface Entry {
  readonly endpoint: InsideEndpoint;
  /** The nonce of a PCP client, as hex; "nat-pmp", where the address alone counts; "companion" of a NAT-PMP mapping. */
  readonly owner: string;
  readonly remotes?: readonly RemoteFilter[] | undefined;
  /** ms of the server's clock. */
  readonly expiresAt: number;
}

export class Ledger {
  readonly #entries = new Map<string, Entry>();
  #purgeAt = 1024;

  get(endpoint: InsideEndpoint, now: number): Entry | null {
    const entry = this.#entries.get(keyOf(endpoint));
    return entry !== undefined && entry.expiresAt > now ? entry : null;
  }

  set(entry: Entry, now: number): void {
    this.#entries.set(keyOf(entry.endpoint), entry);
    if (this.#entries.size < this.#purgeAt) return;
    for (const [key, { expiresAt }] of this.#entries) if (expiresAt <= now) this.#entries.delete(key);
    this.#purgeAt = 2 * Math.max(512, this.#entries.size);
  }

  delete(endpoint: InsideEndpoint): void {
    this.#entries.delete(keyOf(endpoint));
  }

  /** What a host asked for. */
  of(address: string, now: number): Entry[] {
    return [...this.#entries.values()].filter(
      ({ endpoint, expiresAt }) => endpoint.inside.address === address && expiresAt > now,
    );
  }

  /** Forgets what the NAT has lost before its time. True if there was anything. */
  dropLost(nat: Nat, now: number): boolean {
    let lost = false;
    for (const [key, { endpoint, expiresAt }] of this.#entries) {
      const found = nat.conntrack.find({ ...endpoint, remote: { address: "0.0.0.0", port: 0 } });
      if (found !== null) continue;
      lost ||= expiresAt > now;
      this.#entries.delete(key);
    }
    return lost;
  }
}

function keyOf({ protocol, inside }: InsideEndpoint): string {
  return `${protocol} ${inside.address}:${inside.port}`;
}
