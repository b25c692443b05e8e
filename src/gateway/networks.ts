// The two networks of a gateway's config, as numbers, and how they may not fit.
import { formatIpv4, isInAny, networkOf, parseIpv4 } from "../config/cidr.js";
import type { Fault } from "../config/faults.js";
import type { ResolvedNatConfig } from "../config/schema.js";

/** What each side may be reached by: the keys that name it. */
export const PORT_KINDS = {
  inside: ["interface", "tap", "tun", "qemu"],
  outside: ["interface", "host", "tap", "tun"],
} as const;

/** What reaches a network: the keys of `gateway.inside` and `gateway.outside`. */
export type PortKind = (typeof PORT_KINDS)["inside" | "outside"][number];

/** One of the networks, by numbers in host order. */
export interface Network {
  readonly kind: PortKind;
  /** Of the interface, or a socket's path. */
  readonly name: string;
  /** The gateway's own address. */
  readonly address: number;
  readonly network: number;
  readonly mask: number;
  /** 0: none. */
  readonly router: number;
}

/** A side as the schema has it. */
type GivenSide = Partial<Record<PortKind | "address" | "router" | "ports", string | undefined>>;

export function networkOfSide(kinds: readonly PortKind[], given: GivenSide): Network {
  const kind = kinds.find((one) => given[one] !== undefined) ?? "interface";
  const [own = "", bits = ""] = (given.address ?? "").split("/");
  const number = parseIpv4(own) ?? 0;
  const length = Number(bits);
  return {
    kind,
    name: given[kind] ?? "",
    address: number,
    network: networkOf(number, length),
    mask: networkOf(0xffffffff, length),
    router: given.router === undefined ? 0 : parseIpv4(given.router)!,
  };
}

/** How a side's keys don't fit each other. */
export function* sideClashes(side: "inside" | "outside", given: GivenSide): Iterable<Fault> {
  const kinds: readonly PortKind[] = PORT_KINDS[side];
  const path = ["gateway", side];
  const named = kinds.filter((kind) => given[kind] !== undefined);
  const [kind, another] = named;
  if (kind === undefined) {
    yield { path, message: `it says not by what it is reached; give one of the keys ${kinds.join(", ")}` };
    return;
  }
  if (another !== undefined) {
    yield {
      path: [...path, another],
      message: `the network is reached by "${kind}" already; give one of them`,
    };
  }
  if (kind === "host") {
    for (const key of ["address", "router"] as const) {
      if (given[key] !== undefined) yield { path: [...path, key], message: "it is the host's; leave it out" };
    }
    return;
  }
  if (given.address === undefined) {
    yield { path: [...path, "address"], message: 'missing; give one such as "203.0.113.2/24"' };
  }
  if (given.ports !== undefined) {
    yield {
      path: [...path, "ports"],
      message: "only with `host`; an own address has the ports in `outside`",
    };
  }
  if (kind === "tun" && given.router !== undefined) {
    yield {
      path: [...path, "router"],
      message: "a TUN device leads to this system, which routes; leave it out",
    };
  }
}

/** How a NAT's keys and the networks don't fit together. */
export function* networkClashes(
  nat: ResolvedNatConfig,
  { inside, outside }: Record<"inside" | "outside", Network>,
): Iterable<Fault> {
  if (inside.name === outside.name) {
    yield {
      path: ["gateway", "outside", outside.kind],
      message: `"${outside.name}" is the inside interface already; give the one that leads outside`,
    };
  }
  if (outside.kind === "host") {
    for (const address of publicAddresses(nat)) {
      if (address === outside.address) continue;
      yield {
        path: ["gateway", "outside", "host"],
        message: `${formatIpv4(address)}, of a forward or static mapping, is not the host's; only its own is shared`,
      };
    }
  }
  const isInside = (address: number) => isInAny(nat.inside, address);
  if (!isInside(inside.address)) {
    yield {
      path: ["gateway", "inside", "address"],
      message: "it lies in none of the prefixes in `inside`, so the hosts beside it would not be translated",
    };
  }
  if (isInside(outside.address)) {
    yield {
      path: ["gateway", "outside", outside.kind === "host" ? "host" : "address"],
      message: "it lies in one of the prefixes in `inside`; the outside network must be another one",
    };
  }
  for (const [key, { kind, router, network, mask }] of Object.entries({ inside, outside })) {
    // Bit operations give signed numbers.
    if (kind !== "host" && router !== 0 && (router & mask) >>> 0 !== network) {
      yield { path: ["gateway", key, "router"], message: "it is not on that network" };
    }
  }
}

/** The addresses that a NAT has outside, as numbers in host order. */
export function publicAddresses({ outside, forwards, static: mapped }: ResolvedNatConfig): Set<number> {
  const texts = [
    ...outside.map(({ address }) => address),
    ...forwards.map((forward) => forward.outside.split(":")[0]!),
    ...mapped.map((one) => one.outside),
  ];
  return new Set(texts.map((text) => parseIpv4(text)!));
}
