// What a packet says, field by field, before and after its translation.
import { formatIpv4 } from "../config/cidr.js";
import { PROTOCOLS } from "../config/protocols.js";

/** A field of a packet as it came and as it would leave: text for addresses and checksums, else a number. */
export interface FieldChange {
  /** "source address", "UDP checksum"; of a packet that an ICMP error quotes "quoted source address". */
  readonly name: string;
  /** null: there is none. */
  readonly before: string | number | null;
  readonly after: string | number | null;
}

/** A field's name, and where it is. */
interface Field {
  readonly name: string;
  readonly at: number;
  readonly bytes: 1 | 2 | 4;
  readonly as: "address" | "hex" | "number";
}

const { icmp: ICMP, tcp: TCP, udp: UDP, dccp: DCCP, sctp: SCTP, udplite: UDP_LITE } = PROTOCOLS;
/** Where the checksum of a transport is, and its name. */
const TRANSPORTS: Readonly<Record<number, readonly [name: string, checksum: number]>> = {
  [ICMP]: ["ICMP", 2],
  [TCP]: ["TCP", 16],
  [UDP]: ["UDP", 6],
  [DCCP]: ["DCCP", 6],
  [SCTP]: ["SCTP", 8],
  [UDP_LITE]: ["UDP-Lite", 6],
};
const isPorted = (protocol: number) => protocol !== ICMP && protocol in TRANSPORTS;
const QUERIES = [0, 8, 13, 14, 17, 18];
const ERRORS = [3, 4, 11, 12];
const ICMP_HEADER = 8;

const word = (packet: Uint8Array, at: number) => (packet[at]! << 8) | packet[at + 1]!;

/** The fields of a packet that a NAT may change, and where a quoted packet begins, or -1. */
function layoutOf(packet: Uint8Array, start: number, prefix: string): [fields: Field[], quoted: number] {
  if (packet.length < start + 20 || packet[start]! >> 4 !== 4) return [[], -1];
  const field = (name: string, at: number, bytes: Field["bytes"], as: Field["as"]): Field => ({
    name: prefix + name,
    at: start + at,
    bytes,
    as,
  });
  const body = (packet[start]! & 15) * 4;
  const protocol = packet[start + 9]!;
  const isFirst = (word(packet, start + 6) & 0x1fff) === 0;
  const [name, checksum] = TRANSPORTS[protocol] ?? ["", 0];
  const type = packet[start + body];
  const isQuery = protocol === ICMP && type !== undefined && QUERIES.includes(type);
  const isError = protocol === ICMP && isFirst && type !== undefined && ERRORS.includes(type);
  const hasPorts = isFirst && isPorted(protocol);
  const fields = [
    field("source address", 12, 4, "address"),
    ...(hasPorts ? [field("source port", body, 2, "number")] : []),
    field("destination address", 16, 4, "address"),
    ...(hasPorts ? [field("destination port", body + 2, 2, "number")] : []),
    ...(isFirst && isQuery ? [field("ICMP identifier", body + 4, 2, "number")] : []),
    field("TTL", 8, 1, "number"),
    field("IP ID", 4, 2, "number"),
    field("IPv4 checksum", 10, 2, "hex"),
    ...(isFirst && name !== "" && protocol !== SCTP
      ? [field(`${name} checksum`, body + checksum, 2, "hex")]
      : []),
  ];
  const there = fields.filter(({ at, bytes }) => at + bytes <= packet.length);
  return [there, isError ? start + body + ICMP_HEADER : -1];
}

function textOrNumber(packet: Uint8Array, { at, bytes, as }: Field): string | number {
  const digits = Buffer.from(packet.subarray(at, at + bytes)).toString("hex");
  const value = Number.parseInt(digits, 16);
  return as === "address" ? formatIpv4(value) : as === "hex" ? `0x${digits}` : value;
}

/** All fields that a NAT may change, and in hex what else differs (the MSS of a SYN, what an ALG has rewritten). */
export function fieldsOf(before: Uint8Array, after: Uint8Array): FieldChange[] {
  const [outer, quoted] = layoutOf(before, 0, "");
  const inner = quoted === -1 ? [] : layoutOf(before, quoted, "quoted ")[0];
  const fields = [...outer, ...inner];
  const known = new Set(fields.flatMap(({ at, bytes }) => Array.from({ length: bytes }, (_, i) => at + i)));
  const others: FieldChange[] = [];
  const differs = (at: number) => !known.has(at) && before[at] !== after[at];
  for (let at = 0; at < before.length; at++) {
    if (!differs(at)) continue;
    const from = at;
    while (at + 1 < before.length && differs(at + 1)) at++;
    const hex = (packet: Uint8Array) => `0x${Buffer.from(packet.subarray(from, at + 1)).toString("hex")}`;
    others.push({
      name: from === at ? `byte ${at}` : `bytes ${from} to ${at}`,
      before: hex(before),
      after: hex(after),
    });
  }
  return [
    ...fields.map((field) => ({
      name: field.name,
      before: textOrNumber(before, field),
      after: textOrNumber(after, field),
    })),
    ...others,
  ];
}

/** `tcp 192.168.226.135:4000 > 198.51.100.7:80 [S]`; a packet that is none by its length. */
export function packetInWords(packet: Uint8Array): string {
  if (packet.length < 20 || packet[0]! >> 4 !== 4) return `${packet.length} bytes that are no IPv4 packet`;
  const protocol = packet[9]!;
  const body = (packet[0]! & 15) * 4;
  const offset = (word(packet, 6) & 0x1fff) * 8;
  const [name] = TRANSPORTS[protocol] ?? [
    protocol === PROTOCOLS.gre ? "GRE" : protocol === PROTOCOLS.esp ? "ESP" : `ip-${protocol}`,
  ];
  const hasPorts = offset === 0 && isPorted(protocol) && packet.length >= body + 4;
  const end = (address: number, port: number) => {
    const text = formatIpv4(word(packet, address) * 65536 + word(packet, address + 2));
    return hasPorts ? `${text}:${word(packet, port)}` : text;
  };
  const ends = `${name.toLowerCase()} ${end(12, body)} > ${end(16, body + 2)}`;
  if (offset > 0) return `${ends}, fragment at ${offset}`;
  if (protocol === TCP && packet.length > body + 13) return `${ends} [${flagsOf(packet[body + 13]!)}]`;
  if (protocol !== ICMP || packet.length < body + 6) return ends;
  const type = packet[body]!;
  return QUERIES.includes(type)
    ? `${ends} ${ICMP_WORDS[type]} id ${word(packet, body + 4)}`
    : `${ends} ${ICMP_WORDS[type] ?? `type ${type}`} code ${packet[body + 1]}`;
}

const ICMP_WORDS: Readonly<Record<number, string>> = {
  0: "echo reply",
  3: "destination unreachable",
  4: "source quench",
  8: "echo request",
  11: "time exceeded",
  12: "parameter problem",
  13: "timestamp request",
  14: "timestamp reply",
  17: "mask request",
  18: "mask reply",
};

/** The letters of TCP's flags, from FIN on. */
export const TCP_FLAGS = "FSRPAUEC";

function flagsOf(byte: number): string {
  return [...TCP_FLAGS].filter((_, bit) => (byte >> bit) & 1).join("");
}
