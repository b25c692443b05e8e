// The fields of a config that hold addresses and ports.
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
import { text } from "./fields.js";

/** How many public addresses one engine can have. */
export const LARGEST_POOL = 65535;

const PORTS_PATTERN = /^[1-9][0-9]{0,4}(?:-[1-9][0-9]{0,4})?$/;
const ENDPOINT_PATTERN = new RegExp(`${IPV4_PATTERN.source.slice(0, -1)}:[1-9][0-9]{0,4}$`);

/** Whether an address can be public here: unicast, and not of the host itself. */
const isPublic = (address: number) => isUnicast(address) && !isLoopback(address);

/**
 * A prefix as the inside may be: host bits are forgiven, as people write their router's address with a length.
 * Of the wide ones, such as 0.0.0.0/1, only the part that hosts can have counts.
 */
export const insidePrefix = text(
  "a prefix of unicast IPv4 addresses",
  'CIDR notation, such as "192.168.226.0/24", or one address',
  CIDR_PATTERN,
  (value) => {
    const cidr = parseCidr(value);
    return cidr !== null && (cidr.bits < 8 ? cidr.network < 0xe0000000 : isUnicast(cidr.network));
  },
).transform((value) => formatCidr(parseCidr(value)!));

export const insideAddress = text(
  "a unicast IPv4 address",
  'one such as "192.168.226.10"',
  IPV4_PATTERN,
  (value) => isUnicast(parseIpv4(value) ?? 0),
);

export const insideEndpoint = text(
  "an address with a port",
  'a unicast IPv4 address and a port from 1 to 65535, such as "192.168.226.135:80"',
  ENDPOINT_PATTERN,
  (value) => isUnicast(parseEndpoint(value)?.address ?? 0),
);

export const publicAddress = text(
  "an address that the outside can reach",
  'a unicast IPv4 address, such as "203.0.113.1"',
  IPV4_PATTERN,
  (value) => isPublic(parseIpv4(value) ?? 0),
);

export const publicEndpoint = text(
  "an address with a port that the outside can reach",
  'a unicast IPv4 address and a port from 1 to 65535, such as "203.0.113.1:8080"',
  ENDPOINT_PATTERN,
  (value) => isPublic(parseEndpoint(value)?.address ?? 0),
);

/** Host bits are not forgiven here: 203.0.113.1/24 would claim 256 addresses where one was meant. */
export const publicPrefix = text(
  "an address or a whole prefix that the outside can reach",
  `one such as "203.0.113.1" or "203.0.113.64/28": unicast, no host bits, at most ${LARGEST_POOL} addresses`,
  CIDR_PATTERN,
  (value) => {
    const cidr = parseCidr(value);
    if (cidr === null || cidrSize(cidr) > LARGEST_POOL || !isPublic(cidr.network)) return false;
    return !value.includes("/") || value === formatCidr(cidr);
  },
);

/** Where packets go to: of any size, again without host bits. */
export const destinationPrefix = text(
  "an address or a whole prefix of unicast IPv4 addresses",
  'one such as "198.51.100.7" or "198.51.100.0/24", no host bits',
  CIDR_PATTERN,
  (value) => {
    const cidr = parseCidr(value);
    if (cidr === null || !isUnicast(cidr.network)) return false;
    return !value.includes("/") || value === formatCidr(cidr);
  },
).transform((value) => formatCidr(parseCidr(value)!));

/** "LO-HI" or one port, 1 to 65535; comes out as "LO-HI". */
export function portRange(example: string) {
  return text(
    "a port range",
    `LO-HI with 1 <= LO <= HI <= 65535, e.g. ${JSON.stringify(example)}`,
    PORTS_PATTERN,
    (value) => parsePorts(value) !== null,
  ).transform((value) => (value.includes("-") ? value : `${value}-${value}`));
}
