// The config of a gateway: a NAT's, and under `gateway` the two networks that it joins.
import { z } from "zod";
import { portRange } from "../config/address-fields.js";
import { CIDR_PATTERN, formatIpv4, IPV4_PATTERN, networkOf, parseIpv4 } from "../config/cidr.js";
import type { ConfigSource } from "../config/document.js";
import { type PortRange, parsePorts } from "../config/endpoint.js";
import { faultsOf } from "../config/faults.js";
import { count, flag, list, secondsBetween, section, text } from "../config/fields.js";
import type { JsonSchema } from "../config/json-schema.js";
import { issuesOf, originOf, parseConfig } from "../config/load.js";
import { isObject } from "../config/merge.js";
import type { NatConfig, ResolvedNatConfig } from "../config/schema.js";
import { ConfigError, type ConfigIssue, NatError } from "../errors.js";
import { type ExportConfig, exportClashes, exportSchema, type LogConfig, logSchema } from "../logs/config.js";
import { packetFilter } from "../tap/filter.js";
import type { CaptureConfig } from "./capture.js";
import { dhcpClashes, dhcpSchema, type ResolvedDhcp, resolveDhcp } from "./dhcp/config.js";
import { hostNetwork } from "./host/network.js";
import { type Network, networkClashes, networkOfSide, PORT_KINDS, sideClashes } from "./networks.js";
import type { SavedSessionsConfig } from "./saved-sessions.js";

/** Where a gateway is asked unless its config says otherwise. */
export const DEFAULT_CONTROL = "/run/napt.sock";

/** Where a gateway serves HTTP, and who may use what changes something. */
export interface HttpConfig {
  readonly address: string;
  readonly port: number;
  /** Who has it may use the dashboard; without it, only this system's own. */
  readonly token?: string | undefined;
  /** The file that it is in. */
  readonly tokenFile?: string | undefined;
}

/** What a token looks like: long enough not to be guessed, and as it can stand in a URL. */
export const TOKEN_PATTERN = /^[A-Za-z0-9._~-]{16,256}$/;

/** Where a gateway serves HTTP unless its config says otherwise: for this system alone. */
const DEFAULT_HTTP: HttpConfig = { address: "127.0.0.1", port: 9469 };

/** Ports that Linux gives no connection of its own unless told to. */
const HOST_PORTS = "61000-65535";

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

const socketPath = () =>
  text(
    "the path of a socket",
    'one such as "/run/napt.sock"',
    /^\/.{1,106}$/, // what the system has room for
    (path) => !path.includes("\0"),
  );

const filePath = (example: string) =>
  text("the path of a file", `one such as "${example}"`, /^\/.+$/, (path) => !path.endsWith("/"));

const device = (kind: "TAP" | "TUN") =>
  interfaceName().optional().describe(`A ${kind} device, which is made unless it is there`);

const gatewaySchema = section({
  inside: section({
    interface: interfaceName()
      .optional()
      .describe("The interface that inside hosts are on; the gateway has it to itself"),
    tap: device("TAP"),
    tun: device("TUN"),
    qemu: socketPath()
      .optional()
      .describe("A socket that virtual machines connect to, as QEMU's `-netdev stream` does"),
    address: addressInPrefix().describe(
      "The gateway's own address there, which is the hosts' router, with its prefix",
    ),
    router: ipv4()
      .optional()
      .describe("Who takes packets for inside hosts that are not on the network itself"),
    dns: section({
      servers: list(ipv4(), '"203.0.113.53"')
        .max(8)
        .default([])
        .describe("Resolvers to ask, in this order; none: the host's own"),
    })
      .optional()
      .describe("Answers DNS queries to the gateway's address, by asking resolvers; without it nobody does"),
    dhcp: dhcpSchema.optional().describe("Leases addresses to the hosts; without it they need their own"),
  }).describe("The inside network, by one of interface, tap, tun, qemu"),
  outside: section({
    interface: interfaceName()
      .optional()
      .describe("The interface that leads outside; the gateway has it to itself"),
    host: interfaceName()
      .optional()
      .describe(
        "An interface whose address the gateway shares with the host; then there is no `outside` list",
      ),
    ports: portRange(HOST_PORTS)
      .optional()
      .describe("Ports of the host's address that are the gateway's; \"61000-65535\" unless given"),
    tap: device("TAP"),
    tun: device("TUN"),
    address: addressInPrefix().optional().describe("The gateway's own address there, with its prefix"),
    router: ipv4().optional().describe("Who takes packets for what is not on the network itself"),
  }).describe(
    "The outside network, by one of interface, host, tap, tun; the public addresses are answered for on it",
  ),
  busyPoll: flag()
    .default(false)
    .describe(
      "The thread that moves packets never sleeps: shorter round trips, for a processor core of its own",
    ),
  control: socketPath()
    .default(DEFAULT_CONTROL)
    .describe(
      "The Unix socket that `napt status`, `sessions`, `forward`, `explain` and `reload` ask; GET /metrics is answered there, too",
    ),
  http: section({
    address: ipv4()
      .default(DEFAULT_HTTP.address)
      .describe('Where to listen; "0.0.0.0" on all of this system\'s addresses, for whoever reaches them'),
    port: count(1, 65535).default(DEFAULT_HTTP.port).describe("The TCP port to listen on"),
    tokenFile: text("the path of a file", 'one such as "/etc/napt/token"', /^\/.+$/, () => true)
      .optional()
      .describe("A file, readable for its owner alone, with the token that the dashboard and /api then need"),
    token: text("a token", "16 to 256 letters, digits or . _ ~ -", TOKEN_PATTERN, () => true)
      .optional()
      .describe("The token itself, in place of a file"),
  })
    .optional()
    .describe(
      "Serves the dashboard, /metrics for Prometheus, /healthz and /readyz; without it nothing listens. " +
        "On other addresses than 127.0.0.1 the dashboard needs a token",
    ),
  sessions: section({
    file: filePath("/var/lib/napt/sessions").describe("The file that keeps them"),
    every: secondsBetween(1, 86_400).default(10).describe("Seconds from one writing to the next"),
  })
    .optional()
    .describe("Keeps sessions from one start to the next, even when the gateway is killed"),
  capture: section({
    file: filePath("/var/log/napt.pcapng").describe(
      "The file that packets are written to; with a size its name gets a number and the time",
    ),
    filter: text("a capture filter", 'one such as "dropped not :22"', /^/, isCaptureFilter)
      .default("")
      .describe("Which packets, as `napt capture` has it; all without"),
    size: count(65_536, 2 ** 40)
      .optional()
      .describe("Bytes from which on another file is begun; without, there is one that grows"),
    files: count(0, 100_000)
      .default(10)
      .describe("Files that are kept when there is a size, the last ones; 0 for all"),
    snaplen: count(1, 262_144).default(262_144).describe("Most bytes of a packet that are written"),
  })
    .optional()
    .describe("Writes packets as they came and as they left to a pcapng file, for Wireshark"),
  log: logSchema,
  export: exportSchema,
  user: text("the name of a user", 'one such as "napt"', /^[a-z_][a-z0-9_.-]{0,31}$/i, () => true)
    .optional()
    .describe("Whom `napt gateway` goes on as once all is open; the sockets become that user's"),
});

/** The networks that a gateway joins, as people write them. */
export type GatewayNetworks = z.input<typeof gatewaySchema>;
/** A gateway's config, as people write it. */
export type GatewayConfig = Omit<NatConfig, "outside"> & {
  /** Not with `gateway.outside.host`. */
  outside?: NatConfig["outside"];
  gateway: GatewayNetworks;
};

/** A gateway's config with all defaults filled in. */
export interface ResolvedGatewayConfig {
  readonly nat: ResolvedNatConfig;
  readonly inside: Network;
  readonly outside: Network;
  /** The ports of the host's own address that are the gateway's; null where it has an address of its own. */
  readonly hostPorts: PortRange | null;
  /** What is leased inside; null: nothing. */
  readonly dhcp: ResolvedDhcp | null;
  /** Resolvers that inside hosts are answered by, empty: the host's; null: they are not answered. */
  readonly dns: readonly string[] | null;
  /** Whether the thread that moves packets never sleeps. */
  readonly busyPoll: boolean;
  /** The path of the control socket. */
  readonly control: string;
  /** Where the dashboard and metrics are served; null: nowhere. */
  readonly http: HttpConfig | null;
  /** Where sessions are kept; null: nowhere. */
  readonly sessions: SavedSessionsConfig | null;
  /** Where packets are written; null: nowhere. */
  readonly capture: CaptureConfig | null;
  /** What `napt gateway` says of itself. */
  readonly log: LogConfig;
  /** Where the NAT's events go. */
  readonly export: ExportConfig;
  /** Whom the process goes on as; null: as it is. */
  readonly user: string | null;
}

/**
 * Checks a gateway's config and fills in its defaults; `icmpErrors` and `clampMss` are on unless it says otherwise.
 * @param source where the config came from, for messages
 * @param hostOf what the host has on an interface, where its address is to be shared
 * @throws ConfigError with every fault found
 * @throws NatError NAT_ERR_GATEWAY when the host has no address to share
 */
export function parseGatewayConfig(
  value: unknown,
  source: string | ConfigSource = "config",
  hostOf: (name: string) => Network | null = hostNetwork,
): ResolvedGatewayConfig {
  const origin = originOf(source);
  const { gateway, ...rest } = isObject(value) ? value : {};
  const issues: ConfigIssue[] = [];
  const { data, error } = gatewaySchema.safeParse(gateway);
  const shared = data?.outside.host;
  const host = shared === undefined ? null : hostOf(shared);
  if (shared !== undefined && host === null) {
    throw new NatError(
      "NAT_ERR_GATEWAY",
      `gateway.outside.host: "${shared}" has no IPv4 address that could be shared; \`ip address\` lists those that there are`,
    );
  }
  const hostPorts = data?.outside.ports ?? HOST_PORTS;
  let nat: ResolvedNatConfig | undefined;
  try {
    const own = host === null ? rest : { ...rest, ...hostNat(rest, host.address, hostPorts) };
    nat = parseConfig(isObject(value) ? { icmpErrors: true, clampMss: true, ...own } : value, source);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    issues.push(...error.issues);
  }
  const faults = (error?.issues ?? []).flatMap((issue) => [
    ...faultsOf(issue, ["gateway"], gatewayJsonSchema),
  ]);
  issues.push(...issuesOf(faults, origin));
  if (data !== undefined) {
    const { dhcp, dns } = data.inside;
    const networks = {
      inside: networkOfSide(PORT_KINDS.inside, data.inside),
      outside: host ?? networkOfSide(PORT_KINDS.outside, data.outside),
    };
    const clashes = [...sideClashes("inside", data.inside), ...sideClashes("outside", data.outside)];
    if (host !== null && "outside" in rest) {
      clashes.push({
        path: ["outside"],
        message: "with gateway.outside.host it is the host's; leave it out",
      });
    }
    if (dhcp !== undefined && data.inside.tun !== undefined) {
      clashes.push({
        path: ["gateway", "inside", "dhcp"],
        message: "a TUN device carries none; leave it out",
      });
    }
    if (nat !== undefined) clashes.push(...exportClashes(data.export, nat));
    if (data.http?.token !== undefined && data.http.tokenFile !== undefined) {
      clashes.push({
        path: ["gateway", "http", "token"],
        message: "there is a tokenFile, too; leave one of them out",
      });
    }
    if (clashes.length === 0) {
      if (nat !== undefined) clashes.push(...networkClashes(nat, networks));
      if (dhcp !== undefined) clashes.push(...dhcpClashes(dhcp, networks.inside));
    }
    issues.push(...issuesOf(clashes, origin));
    if (nat !== undefined && issues.length === 0) {
      const leased = dhcp === undefined ? null : resolveDhcp(dhcp);
      // Who is told of no other name server, and is answered here, is told of this one.
      const own = leased !== null && leased.dns.length === 0 && dns !== undefined;
      return {
        nat,
        ...networks,
        hostPorts: host === null ? null : parsePorts(hostPorts),
        dhcp: own ? { ...leased, dns: [networks.inside.address] } : leased,
        dns: dns?.servers ?? null,
        busyPoll: data.busyPoll,
        control: data.control,
        http: data.http ?? null,
        sessions: data.sessions ?? null,
        capture: data.capture ?? null,
        log: data.log,
        export: data.export,
        user: data.user ?? null,
      };
    }
  }
  throw new ConfigError(issues, origin.name);
}

/**
 * The NAT of a config, which may be a gateway's.
 * @throws as {@link parseConfig} and {@link parseGatewayConfig}
 */
export function parseNatOf(value: unknown, source: string | ConfigSource): ResolvedNatConfig {
  return isGateways(value) ? parseGatewayConfig(value, source).nat : parseConfig(value, source);
}

/** Whether a config is a gateway's: it has the key. */
export function isGateways(value: unknown): value is { readonly gateway: unknown } {
  return isObject(value) && value.gateway !== undefined;
}

/** The JSON Schema of what a gateway's config has besides a NAT's. */
export function gatewayJsonSchema(): JsonSchema {
  return z.toJSONSchema(z.object({ gateway: gatewaySchema }), { io: "input" }) as JsonSchema;
}

/** A NAT's keys where its public address is the host's: forwards may say `host:8080`. */
function hostNat(given: Record<string, unknown>, address: number, ports: string): Record<string, unknown> {
  const outside = [{ address: formatIpv4(address), ports }];
  if (!Array.isArray(given.forwards)) return { outside };
  return { outside, forwards: given.forwards.map((forward) => forwardOfHost(forward, address)) };
}

/** A forward with `host` in its outside endpoint replaced by an address; anything else as it is. */
export function forwardOfHost<T>(forward: T, address: number): T {
  if (!isObject(forward) || typeof forward.outside !== "string") return forward;
  return { ...forward, outside: forward.outside.replace(/^host:/, `${formatIpv4(address)}:`) };
}

function isCaptureFilter(text: string): boolean {
  try {
    packetFilter(text);
    return true;
  } catch {
    return false;
  }
}

function lastOf(network: number, bits: number): number {
  return network + 2 ** (32 - bits) - 1;
}
