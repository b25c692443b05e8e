// The config of a gateway: a NAT's, and under `gateway` the two networks that it joins.
import { z } from "zod";
import { CIDR_PATTERN, IPV4_PATTERN, networkOf, parseCidr, parseIpv4 } from "../config/cidr.js";
import type { ConfigSource } from "../config/document.js";
import { type Fault, faultsOf } from "../config/faults.js";
import { list, section, text } from "../config/fields.js";
import type { JsonSchema } from "../config/json-schema.js";
import { issuesOf, originOf, parseConfig } from "../config/load.js";
import { isObject } from "../config/merge.js";
import type { NatConfig, ResolvedNatConfig } from "../config/schema.js";
import { ConfigError, type ConfigIssue } from "../errors.js";
import { dhcpClashes, dhcpSchema, type ResolvedDhcp, resolveDhcp } from "./dhcp/config.js";

/** Where a gateway is asked unless its config says otherwise. */
export const DEFAULT_CONTROL = "/run/napt.sock";

const interfaceName = () =>
  text(
    "the name of an interface",
    'one such as "eth0"',
    /^[^\s/]{1,15}$/,
    (name) => name !== "." && name !== "..",
  );
const ipv4 = () => text("an IPv4 address", 'one such as "203.0.113.254"', IPV4_PATTERN, () => true);
const addressInPrefix = () =>
  text(
    "an address with the length of its prefix",
    'one such as "192.168.226.2/24"',
    CIDR_PATTERN,
    (written) => {
      const [address = "", bits] = written.split("/");
      const length = Number(bits);
      if (bits === undefined || length === 0) return false;
      const own = parseIpv4(address)!;
      const network = networkOf(own, length);
      return length > 30 || (own !== network && own !== lastOf(network, length));
    },
  );

const sideShape = (roles: { interface: string; address: string; router: string }) => ({
  interface: interfaceName().describe(roles.interface),
  address: addressInPrefix().describe(roles.address),
  router: ipv4().optional().describe(roles.router),
});

const gatewaySchema = section({
  inside: section({
    ...sideShape({
      interface: "The interface that inside hosts are on; the gateway has it to itself",
      address: "The gateway's own address there, which is the hosts' router, with its prefix",
      router: "Who takes packets for inside hosts that are not on the network itself",
    }),
    dns: section({
      servers: list(ipv4(), '"203.0.113.53"')
        .max(8)
        .default([])
        .describe("Resolvers to ask, in this order; none: the host's own"),
    })
      .optional()
      .describe("Answers DNS queries to the gateway's address, by asking resolvers; without it nobody does"),
    dhcp: dhcpSchema.optional().describe("Leases addresses to the hosts; without it they need their own"),
  }).describe("The inside network"),
  outside: section(
    sideShape({
      interface: "The interface that leads outside; the gateway has it to itself",
      address: "The gateway's own address there, with its prefix",
      router: "Who takes packets for what is not on the network itself",
    }),
  ).describe("The outside network; the public addresses are answered for on it"),
  control: text(
    "the path of a socket",
    'one such as "/run/napt.sock"',
    /^\/.{1,106}$/, // what the system has room for
    (path) => !path.includes("\0"),
  )
    .default(DEFAULT_CONTROL)
    .describe("The Unix socket that `napt status`, `sessions`, `forward` and `reload` ask"),
});

/** The networks that a gateway joins, as people write them. */
export type GatewayNetworks = z.input<typeof gatewaySchema>;
/** A gateway's config, as people write it. */
export type GatewayConfig = NatConfig & { gateway: GatewayNetworks };

/** One of the networks, by numbers in host order. */
export interface Network {
  readonly interface: string;
  /** The gateway's own address. */
  readonly address: number;
  readonly network: number;
  readonly mask: number;
  /** 0: none. */
  readonly router: number;
}

/** A gateway's config with all defaults filled in. */
export interface ResolvedGatewayConfig {
  readonly nat: ResolvedNatConfig;
  readonly inside: Network;
  readonly outside: Network;
  /** What is leased inside; null: nothing. */
  readonly dhcp: ResolvedDhcp | null;
  /** Resolvers that inside hosts are answered by, empty: the host's; null: they are not answered. */
  readonly dns: readonly string[] | null;
  /** The path of the control socket. */
  readonly control: string;
}

/**
 * Checks a gateway's config and fills in its defaults; `icmpErrors` and `clampMss` are on unless it says otherwise.
 * @param source where the config came from, for messages
 * @throws ConfigError with every fault found
 */
export function parseGatewayConfig(
  value: unknown,
  source: string | ConfigSource = "config",
): ResolvedGatewayConfig {
  const origin = originOf(source);
  const { gateway, ...rest } = isObject(value) ? value : {};
  const issues: ConfigIssue[] = [];
  let nat: ResolvedNatConfig | undefined;
  try {
    nat = parseConfig(isObject(value) ? { icmpErrors: true, clampMss: true, ...rest } : value, source);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    issues.push(...error.issues);
  }
  const { data, error } = gatewaySchema.safeParse(gateway);
  const faults = (error?.issues ?? []).flatMap((issue) => [...faultsOf(issue, ["gateway"], jsonSchema)]);
  issues.push(...issuesOf(faults, origin));
  if (nat !== undefined && data !== undefined) {
    const networks = { inside: networkOfSide(data.inside), outside: networkOfSide(data.outside) };
    const { dhcp, dns } = data.inside;
    const clashes = [
      ...clashesOf(nat, networks),
      ...(dhcp === undefined ? [] : dhcpClashes(dhcp, networks.inside)),
    ];
    if (clashes.length === 0) {
      const leased = dhcp === undefined ? null : resolveDhcp(dhcp);
      // Who is told of no other name server, and is answered here, is told of this one.
      const own = leased !== null && leased.dns.length === 0 && dns !== undefined;
      return {
        nat,
        ...networks,
        dhcp: own ? { ...leased, dns: [networks.inside.address] } : leased,
        dns: dns?.servers ?? null,
        control: data.control,
      };
    }
    issues.push(...issuesOf(clashes, origin));
  }
  throw new ConfigError(issues, origin.name);
}

function jsonSchema(): JsonSchema {
  return z.toJSONSchema(z.object({ gateway: gatewaySchema }), { io: "input" }) as JsonSchema;
}

function networkOfSide({
  interface: name,
  address,
  router,
}: z.output<typeof gatewaySchema>["outside"]): Network {
  const [own = "", bits = ""] = address.split("/");
  const number = parseIpv4(own)!;
  const length = Number(bits);
  return {
    interface: name,
    address: number,
    network: networkOf(number, length),
    mask: networkOf(0xffffffff, length),
    router: router === undefined ? 0 : parseIpv4(router)!,
  };
}

function lastOf(network: number, bits: number): number {
  return network + 2 ** (32 - bits) - 1;
}

/** How a NAT's keys and the networks don't fit together. */
function* clashesOf(
  nat: ResolvedNatConfig,
  { inside, outside }: Record<"inside" | "outside", Network>,
): Iterable<Fault> {
  if (inside.interface === outside.interface) {
    yield {
      path: ["gateway", "outside", "interface"],
      message: `"${outside.interface}" is the inside interface already; give the one that leads outside`,
    };
  }
  const isInside = (address: number) =>
    nat.inside.some((prefix) => {
      const { network, bits } = parseCidr(prefix)!;
      return networkOf(address, bits) === network;
    });
  if (!isInside(inside.address)) {
    yield {
      path: ["gateway", "inside", "address"],
      message: "it lies in none of the prefixes in `inside`, so the hosts beside it would not be translated",
    };
  }
  if (isInside(outside.address)) {
    yield {
      path: ["gateway", "outside", "address"],
      message: "it lies in one of the prefixes in `inside`; the outside network must be another one",
    };
  }
  for (const [key, { router, network, mask }] of Object.entries({ inside, outside })) {
    // Bit operations give signed numbers.
    if (router !== 0 && (router & mask) >>> 0 !== network) {
      yield { path: ["gateway", key, "router"], message: "it is not on that network" };
    }
  }
}
