// The config as one schema: what keys there are, what they mean, what they default to. Types, error messages,
// the JSON Schema and the README's table all come from here.
import { z } from "zod";
import { insideAddress, insidePrefix, portRange, publicPrefix } from "./address-fields.js";
import { behaviourShape } from "./behaviour.js";
import { eventsShape } from "./events.js";
import { choice, flag, list, mtu, section } from "./fields.js";
import { limitsShape } from "./limits.js";
import { type PolicyKeys, policy, preset } from "./policies.js";
import { portAssignmentShape } from "./port-assignment.js";
import { exemption, forward, oneToOne } from "./rules.js";
import { timeoutsShape } from "./timeouts.js";
import { show } from "./wording.js";

export { LARGEST_POOL } from "./address-fields.js";

const DEFAULT_PORTS = "1024-65535";

const poolEntry = z
  .union(
    [
      publicPrefix,
      section({
        address: publicPrefix.describe("IPv4 address, or a prefix in CIDR notation for each address in it"),
        ports: portRange(DEFAULT_PORTS)
          .prefault(DEFAULT_PORTS)
          .describe('Ports and ICMP identifiers to hand out: "LO-HI" or one port, from 1 to 65535'),
      }),
    ],
    {
      error: ({ input }) =>
        `${show(input)} is neither an address such as "203.0.113.1" nor an object with "address" and "ports"`,
    },
  )
  .transform((entry) => (typeof entry === "string" ? { address: entry, ports: DEFAULT_PORTS } : entry));

const off = (meaning: string) => flag().default(false).describe(meaning);

/** The schema of a config by itself. `parseConfig` also checks how the keys fit together. */
export const natConfigSchema = section({
  inside: list(insidePrefix, '"192.168.226.0/24"', 1).describe(
    "Prefixes of the hosts to translate, in CIDR notation",
  ),
  outside: list(poolEntry, '{ "address": "203.0.113.1" }', 1).describe(
    "Public addresses to translate to; a bare string is an address or prefix with the default ports",
  ),
  preset: preset()
    .optional()
    .describe("A known NAT: fills the keys that are not given, as docs/presets.md spells out"),
  mapping: behaviourShape.mapping,
  filtering: behaviourShape.filtering,
  portAssignment: section(portAssignmentShape).prefault({}).describe("How public ports are chosen"),
  pooling: behaviourShape.pooling,
  hairpinning: behaviourShape.hairpinning,
  forwards: list(
    forward,
    '{ "protocol": "tcp", "outside": "203.0.113.1:8080", "inside": "192.168.226.135:80" }',
  )
    .default([])
    .describe("Public ports that always lead to an inside endpoint, for any remote"),
  static: list(oneToOne, '{ "outside": "203.0.113.65", "inside": "192.168.226.10" }')
    .default([])
    .describe("Hosts with a public address of their own, for all ports and any remote"),
  exempt: list(exemption, '"198.51.100.0/24"')
    .prefault([])
    .describe(
      "Destinations that packets go to, and come back from, untranslated (RFC 6888, REQ-6); a bare string is a prefix",
    ),
  protocols: section({
    udplite: off("Translate UDP-Lite as UDP"),
    dccp: off("Translate DCCP, ports and all (RFC 5597)"),
    sctp: off("Translate SCTP: the address only, ports stay"),
    gre: off("Translate GRE: the address only, one inside host for each remote, or by PPTP's call ID"),
    esp: off("Translate ESP: the address only, one inside host for each remote"),
    other: off("Translate all other protocols: the address only, one inside host for each remote"),
  })
    .prefault({})
    .describe("Transports besides TCP, UDP and ICMP"),
  alg: section({
    ftp: off("Rewrite addresses in FTP's control connection and let its data connections through"),
    pptp: off("Rewrite call IDs in PPTP's control connection and let its GRE through"),
  })
    .prefault({})
    .describe("Application level gateways"),
  timeouts: section(timeoutsShape)
    .prefault({})
    .describe("Idle times; a session is gone at exactly its timeout"),
  limits: section(limitsShape).prefault({}).describe("Bounds; what goes beyond them is refused and counted"),
  mtu: section({
    inside: mtu().default(0).describe("Largest packet that goes inside, in bytes; 0 for any"),
    outside: mtu()
      .default(0)
      .describe(
        "Largest packet that goes outside, in bytes; 0 for any. Larger ones are fragmented, or dropped with DF",
      ),
  })
    .prefault({})
    .describe("Largest packets of either side"),
  clampMss: off(
    "Lower the MSS that a TCP SYN offers to what fits both MTUs, as far as they are known: 40 less than the smaller",
  ),
  ttl: choice("decrement", "keep").default("decrement").describe("What happens to a translated packet's TTL"),
  icmpErrors: flag()
    .default(false)
    .describe("Send ICMP errors of one's own: time exceeded, prohibited, port unreachable, too big"),
  insideAddress: insideAddress
    .optional()
    .describe(
      "The NAT's own address inside, which its ICMP errors to inside hosts come from; else a public one",
    ),
  inboundRefresh: behaviourShape.inboundRefresh,
  tcpPickup: behaviourShape.tcpPickup,
  tcpLiberal: behaviourShape.tcpLiberal,
  verifyHeaderChecksum: flag()
    .default(true)
    .describe("Drop packets with a wrong IPv4 header checksum; without, they pass as wrong as before"),
  unmatched: choice("drop", "pass")
    .default("drop")
    .describe("What happens to frames that are not IPv4 and packets that are neither outbound nor inbound"),
  events: section(eventsShape).prefault({}).describe("When events are told"),
  policies: list(policy, '{ "inside": ["192.168.226.128/25"], "mapping": "address-dependent" }')
    .prefault([])
    .describe(
      "What some inside hosts get otherwise; the first that has the host counts. Each may have a preset, mapping, " +
        "filtering, pooling, hairpinning, inboundRefresh, tcpPickup, tcpLiberal, timeouts but fragment, and of " +
        "portAssignment order, preserve, parity, overloading, contiguity, of limits those PerHost; the rest is as above",
    ),
});

/** A config as people write it: only `inside` and `outside` are required. */
export type NatConfig = z.input<typeof natConfigSchema>;

/** A config that the schema has accepted; presets, policies and the pool are still as they were written. */
export type ParsedConfig = z.output<typeof natConfigSchema>;

type Keys = Omit<ParsedConfig, "preset" | "policies">;
type Timeouts = Required<ParsedConfig["timeouts"]>;

/**
 * A config with all defaults filled in, prefixes normalised, one `outside` entry an address, and in place of
 * presets and of what policies leave out the keys that they stand for.
 */
export type ResolvedNatConfig = Omit<Keys, "timeouts"> & {
  timeouts: { [Key in keyof Timeouts]: Exclude<Timeouts[Key], undefined> };
  policies: ResolvedPolicy[];
};

export type ResolvedPolicy = { inside: string[] } & {
  [Key in keyof PolicyKeys]-?: Key extends "portAssignment" | "timeouts" | "limits"
    ? Pick<ResolvedKeys[Key], keyof ResolvedKeys[Key] & keyof NonNullable<PolicyKeys[Key]>>
    : ResolvedKeys[Key & keyof ResolvedKeys];
};
type ResolvedKeys = Omit<ResolvedNatConfig, "policies">;
