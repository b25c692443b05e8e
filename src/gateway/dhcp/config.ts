// What a gateway's DHCP server leases, and with which options.
import type { z } from "zod";
import { IPV4_PATTERN, parseIpv4 } from "../../config/cidr.js";
import type { Fault } from "../../config/faults.js";
import { list, secondsBetween, section, text } from "../../config/fields.js";
import { formatMac, isStation, parseMac } from "../ethernet.js";
import type { AddressRange } from "./leases.js";

const ADDRESS = IPV4_PATTERN.source.slice(1, -1);
const LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
const DOMAIN = new RegExp(`^${LABEL}(?:\\.${LABEL})*$`, "i");

const ipv4 = () => text("an IPv4 address", 'one such as "192.168.226.10"', IPV4_PATTERN, () => true);
const domainName = () =>
  text("a domain name", 'one such as "lan.example"', DOMAIN, (name) => name.length <= 63);
const mac = () =>
  text(
    "a station's hardware address",
    'one such as "02:00:00:e2:00:87"',
    /^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$/i,
    (written) => isStation(parseMac(written)!),
  );

export const dhcpSchema = section({
  range: text(
    "a range of addresses",
    'one such as "192.168.226.100-192.168.226.199"',
    new RegExp(`^${ADDRESS}-${ADDRESS}$`),
    (written) => {
      const { low, high } = rangeOf(written);
      return low <= high;
    },
  ).describe("Addresses to lease, both ends included"),
  lease: secondsBetween(60, 31_536_000).default(3600).describe("Seconds that a lease lasts"),
  dns: list(ipv4(), '"192.168.226.2"').max(8).default([]).describe("Name servers that clients are told of"),
  domain: domainName().optional().describe("Domain that clients are told they are in"),
  search: list(domainName(), '"lan.example"')
    .max(3)
    .default([])
    .describe("Domains that clients search names in"),
  reservations: list(
    section({
      mac: mac().describe("The client's hardware address"),
      address: ipv4().describe("The address that it alone gets; it may lie outside the range"),
    }),
    '{ "mac": "02:00:00:e2:00:87", "address": "192.168.226.10" }',
  )
    .default([])
    .describe("Clients that always get the same address"),
  leases: text(
    "the path of a file",
    'one such as "/var/lib/napt/leases.json"',
    /^\/.+$/,
    (path) => !path.endsWith("/"),
  )
    .optional()
    .describe("The file that keeps leases from one start to the next"),
});

/** What a DHCP server leases, by numbers in host order. */
export interface ResolvedDhcp {
  readonly range: AddressRange;
  /** Seconds. */
  readonly lease: number;
  readonly dns: readonly number[];
  readonly domain: string;
  readonly search: readonly string[];
  /** Addresses by hardware address, in lower case. */
  readonly reservations: ReadonlyMap<string, number>;
  readonly file: string | null;
}

export function resolveDhcp(given: z.output<typeof dhcpSchema>): ResolvedDhcp {
  const { range, lease, dns, domain = "", search, reservations, leases = null } = given;
  return {
    range: rangeOf(range),
    lease,
    dns: dns.map((address) => parseIpv4(address)!),
    domain,
    search,
    reservations: new Map(
      reservations.map((one) => [formatMac(parseMac(one.mac)!), parseIpv4(one.address)!] as const),
    ),
    file: leases,
  };
}

/** How what is leased does not fit the network, or itself. */
export function* dhcpClashes(
  given: z.output<typeof dhcpSchema>,
  { address, network, mask }: { address: number; network: number; mask: number },
): Iterable<Fault> {
  const last = (network | ~mask) >>> 0;
  const isHost = (one: number) => one > network && one < last;
  const { low, high } = rangeOf(given.range);
  const path = ["gateway", "inside", "dhcp"];
  if (!isHost(low) || !isHost(high)) {
    yield {
      path: [...path, "range"],
      message: "it reaches beyond the hosts of the network in gateway.inside.address",
    };
  }
  const seen = { mac: new Set<string>(), address: new Set<number>([address]) };
  for (const [i, one] of given.reservations.entries()) {
    const number = parseIpv4(one.address)!;
    const hardware = one.mac.toLowerCase();
    const at = [...path, "reservations", i];
    if (!isHost(number)) yield { path: [...at, "address"], message: "it is no host's of that network" };
    if (seen.address.has(number))
      yield { path: [...at, "address"], message: `${one.address} is somebody else's already` };
    if (seen.mac.has(hardware))
      yield { path: [...at, "mac"], message: `${one.mac} has a reservation already` };
    seen.mac.add(hardware);
    seen.address.add(number);
  }
}

function rangeOf(written: string): AddressRange {
  const [low = "", high = ""] = written.split("-");
  return { low: parseIpv4(low) ?? 0, high: parseIpv4(high) ?? 0 };
}
