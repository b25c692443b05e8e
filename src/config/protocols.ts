/** IP protocol numbers by the names that a config uses. */
export const PROTOCOLS = {
  tcp: 6,
  udp: 17,
  icmp: 1,
  udplite: 136,
  dccp: 33,
  sctp: 132,
  gre: 47,
  esp: 50,
} as const;

export type ProtocolName = keyof typeof PROTOCOLS;

export const PROTOCOL_NAMES = [
  "tcp",
  "udp",
  "icmp",
  "udplite",
  "dccp",
  "sctp",
  "gre",
  "esp",
] as const satisfies readonly ProtocolName[];

/** Protocols whose headers begin with a source and a destination port. */
export const WITH_PORTS = [
  "tcp",
  "udp",
  "udplite",
  "dccp",
  "sctp",
] as const satisfies readonly ProtocolName[];
