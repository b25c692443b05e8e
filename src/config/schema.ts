// The config as one schema: what keys there are, what they mean, what they default to. Types, error messages,
// the JSON Schema and the README's table all come from here.
import { z } from "zod";
import {
  CIDR_PATTERN,
  cidrSize,
  formatCidr,
  IPV4_PATTERN,
  isLoopback,
  isUnicast,
  parseCidr,
  parseIpv4,
} from "./cidr.js";
import { parseEndpoint, parsePorts } from "./endpoint.js";
import { choice, count, flag, list, seconds, section, text } from "./fields.js";
import { show } from "./wording.js";

/** How many public addresses one engine can have. */
export const LARGEST_POOL = 65535;

const DEFAULT_PORTS = "1024-65535";
const PORTS_PATTERN = /^[1-9][0-9]{0,4}(?:-[1-9][0-9]{0,4})?$/;
const ENDPOINT_PATTERN = new RegExp(`${IPV4_PATTERN.source.slice(0, -1)}:[1-9][0-9]{0,4}$`);

/** Whether an address can be public here: unicast, and not of the host itself. */
const isPublic = (address: number) => isUnicast(address) && !isLoopback(address);

// A prefix as the inside may be: host bits are forgiven, as people write their router's address with a length.
// Of the wide ones, such as 0.0.0.0/1, only the part that hosts can have counts.
const insidePrefix = text(
  "a prefix of unicast IPv4 addresses",
  'CIDR notation, such as "192.168.226.0/24", or one address',
  CIDR_PATTERN,
  (value) => {
    const cidr = parseCidr(value);
    return cidr !== null && (cidr.bits < 8 ? cidr.network < 0xe0000000 : isUnicast(cidr.network));
  },
).transform((value) => formatCidr(parseCidr(value)!));

const insideAddress = text("a unicast IPv4 address", 'one such as "192.168.226.10"', IPV4_PATTERN, (value) =>
  isUnicast(parseIpv4(value) ?? 0),
);

const insideEndpoint = text(
  "an address with a port",
  'a unicast IPv4 address and a port from 1 to 65535, such as "192.168.226.135:80"',
  ENDPOINT_PATTERN,
  (value) => isUnicast(parseEndpoint(value)?.address ?? 0),
);

const publicAddress = text(
  "an address that the outside can reach",
  'a unicast IPv4 address, such as "203.0.113.1"',
  IPV4_PATTERN,
  (value) => isPublic(parseIpv4(value) ?? 0),
);

const publicEndpoint = text(
  "an address with a port that the outside can reach",
  'a unicast IPv4 address and a port from 1 to 65535, such as "203.0.113.1:8080"',
  ENDPOINT_PATTERN,
  (value) => isPublic(parseEndpoint(value)?.address ?? 0),
);

// Host bits are not forgiven here: 203.0.113.1/24 would claim 256 addresses where one was meant.
const publicPrefix = text(
  "an address or a whole prefix that the outside can reach",
  `one such as "203.0.113.1" or "203.0.113.64/28": unicast, no host bits, at most ${LARGEST_POOL} addresses`,
  CIDR_PATTERN,
  (value) => {
    const cidr = parseCidr(value);
    if (cidr === null || cidrSize(cidr) > LARGEST_POOL || !isPublic(cidr.network)) return false;
    return !value.includes("/") || value === formatCidr(cidr);
  },
);

const ports = text(
  "a port range",
  'LO-HI with 1 <= LO <= HI <= 65535, e.g. "1024-65535"',
  PORTS_PATTERN,
  (value) => parsePorts(value) !== null,
)
  .transform((value) => (value.includes("-") ? value : `${value}-${value}`))
  .prefault(DEFAULT_PORTS)
  .describe('Ports and ICMP identifiers to hand out: "LO-HI" or one port, from 1 to 65535');

const poolEntry = z
  .union(
    [
      publicPrefix,
      section({
        address: publicPrefix.describe("IPv4 address, or a prefix in CIDR notation for each address in it"),
        ports,
      }),
    ],
    {
      error: ({ input }) =>
        `${show(input)} is neither an address such as "203.0.113.1" nor an object with "address" and "ports"`,
    },
  )
  .transform((entry) => (typeof entry === "string" ? { address: entry, ports: DEFAULT_PORTS } : entry));

const forward = section({
  protocol: choice("tcp", "udp").describe("Protocol to forward"),
  outside: publicEndpoint.describe("Public address and port; they need not be in the pool"),
  inside: insideEndpoint.describe("Inside address and port that it leads to"),
});

const oneToOne = section({
  outside: publicAddress.describe("Public address that belongs to one inside host; not in the pool"),
  inside: insideAddress.describe("Address of that host"),
});

const behaviour = () => choice("endpoint-independent", "address-dependent", "address-and-port-dependent");

/** The schema of a config by itself. `parseConfig` also checks how the keys fit together. */
export const natConfigSchema = section({
  inside: list(insidePrefix, '"192.168.226.0/24"', 1).describe(
    "Prefixes of the hosts to translate, in CIDR notation",
  ),
  outside: list(poolEntry, '{ "address": "203.0.113.1" }', 1).describe(
    "Public addresses to translate to; a bare string is an address or prefix with the default ports",
  ),
  mapping: behaviour()
    .default("endpoint-independent")
    .describe(
      "When a host's port keeps its public port: for all remotes, per remote address, or per address and port",
    ),
  filtering: behaviour()
    .default("address-and-port-dependent")
    .describe("Which remotes may answer: all, those whose address was contacted, or only address and port"),
  portAssignment: section({
    order: choice("random", "sequential")
      .default("random")
      .describe("Order in which public ports and ICMP identifiers are handed out"),
    preserve: flag().default(false).describe("Keep the inside port as public port while it is free"),
    parity: flag()
      .default(true)
      .describe("Give even ports for even ones and odd for odd while there are any"),
    blockSize: count(0, 65535)
      .default(0)
      .describe("Ports that a host is given at a time, contiguous; 0 hands them out singly"),
  })
    .prefault({})
    .describe("How public ports are chosen"),
  pooling: choice("paired", "arbitrary")
    .default("paired")
    .describe("Whether all flows of a host leave from one public address, or from any of the pool"),
  hairpinning: flag().default(true).describe("Let inside hosts reach each other by their public endpoints"),
  forwards: list(
    forward,
    '{ "protocol": "tcp", "outside": "203.0.113.1:8080", "inside": "192.168.226.135:80" }',
  )
    .default([])
    .describe("Public ports that always lead to an inside endpoint, for any remote"),
  static: list(oneToOne, '{ "outside": "203.0.113.65", "inside": "192.168.226.10" }')
    .default([])
    .describe("Hosts with a public address of their own, for all ports and any remote"),
  timeouts: section({
    udp: seconds().default(300).describe("Seconds until an idle UDP session ends"),
    tcpEstablished: seconds()
      .default(7440)
      .describe("Seconds until an idle open or half-closed TCP session ends"),
    tcpTransitory: seconds()
      .default(240)
      .describe("Seconds until a TCP session ends that is opening, closing or was reset"),
    tcpTimeWait: seconds().default(240).describe("Seconds that a TCP session stays after its last ACK"),
    icmp: seconds().default(60).describe("Seconds until an idle ICMP query session ends"),
    fragment: seconds().default(30).describe("Seconds that the fragments of a packet wait for each other"),
  })
    .prefault({})
    .describe("Idle times; a session is gone at exactly its timeout"),
  limits: section({
    sessions: count(0, 0xffffffff).default(1048576).describe("Most sessions at a time; 0 sets no limit"),
    sessionsPerHost: count(0, 0xffffffff)
      .default(0)
      .describe("Most sessions of one inside host at a time; 0 sets no limit"),
    fragments: count(1, 65536)
      .default(1024)
      .describe("Most fragments held until the first of their packet comes"),
  })
    .prefault({})
    .describe("Bounds; what goes beyond them is refused and counted"),
  ttl: choice("decrement", "keep").default("decrement").describe("What happens to a translated packet's TTL"),
  icmpErrors: flag()
    .default(false)
    .describe("Send ICMP errors of one's own: time exceeded, prohibited, port unreachable"),
  inboundRefresh: flag().default(false).describe("Let inbound UDP packets, too, keep a session alive"),
  tcpPickup: flag()
    .default(true)
    .describe("Make a session for outbound TCP that was under way before, without its SYN"),
  verifyHeaderChecksum: flag()
    .default(true)
    .describe("Drop packets with a wrong IPv4 header checksum; without, they pass as wrong as before"),
  unmatched: choice("drop", "pass")
    .default("drop")
    .describe("What happens to frames that are not IPv4 and packets that are neither outbound nor inbound"),
});

/** A config as people write it: only `inside` and `outside` are required. */
export type NatConfig = z.input<typeof natConfigSchema>;

/** A config with all defaults filled in, prefixes normalised and one `outside` entry an address. */
export type ResolvedNatConfig = z.output<typeof natConfigSchema>;
