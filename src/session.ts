// A session as callers see it, and the rows of numbers that the engine tells it by.
import { formatIpv4, parseIpv4 } from "./config/cidr.js";
import { PROTOCOL_NAMES, PROTOCOLS, type ProtocolName } from "./config/protocols.js";
import { NatError } from "./errors.js";
import { LAYOUT, TCP_PHASES, type TcpPhase } from "./native.js";

/** Protocols that sessions have; those without a name here by their number, such as "ip-4". */
export type SessionProtocol = ProtocolName | `ip-${number}`;
const NAME_OF = new Map<number, SessionProtocol>(PROTOCOL_NAMES.map((name) => [PROTOCOLS[name], name]));

/** @internal The number of a protocol by its name. @throws NatError NAT_ERR_ARGUMENT */
export function protocolNumber(protocol: SessionProtocol): number {
  const named = PROTOCOLS[protocol as ProtocolName];
  if (named !== undefined) return named;
  const number = /^ip-([0-9]{1,3})$/.exec(String(protocol))?.[1];
  if (number !== undefined && Number(number) <= 255) return Number(number);
  const names = PROTOCOL_NAMES.join(", ");
  throw new NatError(
    "NAT_ERR_ARGUMENT",
    `protocol: "${String(protocol)}" is none of ${names}, and no number such as "ip-4"`,
  );
}

/** @internal The name of a protocol by its number. */
export function protocolName(number: number): SessionProtocol {
  return NAME_OF.get(number) ?? `ip-${number}`;
}

/** An address with a port; of an ICMP query with its identifier, of transports without ports 0. */
export interface SessionEndpoint {
  readonly address: string;
  readonly port: number;
}

/** One session: a binding (inside, public) and one remote endpoint. A snapshot, not a live view. */
export interface Session {
  readonly protocol: SessionProtocol;
  readonly inside: SessionEndpoint;
  /** The inside endpoint as the outside sees it. */
  readonly public: SessionEndpoint;
  /** The remote endpoint; the port is 0 for ICMP. 0.0.0.0:0 is nobody's: it stands for an explicit mapping. */
  readonly remote: SessionEndpoint;
  /** The TCP phase; null for other protocols. */
  readonly state: TcpPhase | null;
  /** Who began it: outbound, the inside host (RFC 2663, section 2.3). */
  readonly direction: "outbound" | "inbound";
  /** Its remote is behind this NAT, too, and has a session of its own for it. */
  readonly hairpin: boolean;
  /** A forward or a 1:1 mapping made its binding, which never expires. */
  readonly permanent: boolean;
  /** When it was made, to 134 ms, in ms of the caller's clock. */
  readonly createdAt: number;
  /** When its idle time began, in ms of the caller's clock. */
  readonly lastSeen: number;
  /** When it ends if nothing refreshes it, in ms of the caller's clock. */
  readonly expiresAt: number;
  readonly packets: { readonly outbound: number; readonly inbound: number };
  /** IP bytes. */
  readonly bytes: { readonly outbound: number; readonly inbound: number };
}

/** A session, as it was when something happened to it. */
export type EventSession = Omit<Session, "lastSeen" | "expiresAt">;

/** Numbers in a row. */
const FIELDS = LAYOUT.sessionFields;
// Flags of native/nat/session.h.
const HAIRPINNED = 4;
const VISITOR = 8;
const PERMANENT = 16;

/** @internal Where the fields of a session's row are, as native/addon/engine.cpp writes it; ports follow addresses. */
export const FIELD = {
  slot: 0,
  protocol: 1,
  inside: 2,
  public: 4,
  remote: 6,
  phase: 8,
  flags: 9,
  lastSeen: 11,
  expiresAt: 12,
  createdAt: 13,
  packetsOut: 14,
  packetsIn: 15,
  bytesOut: 16,
  bytesIn: 17,
} as const;

/** @internal The session in the row that begins at a number; of an event, as far as that tells it. */
export function eventSessionAt(row: Float64Array, at: number): EventSession {
  const field = (index: number) => row[at + index]!;
  const endpoint = (index: number) => ({ address: formatIpv4(field(index)), port: field(index + 1) });
  const flags = field(FIELD.flags);
  return {
    protocol: protocolName(field(FIELD.protocol)),
    inside: endpoint(FIELD.inside),
    public: endpoint(FIELD.public),
    remote: endpoint(FIELD.remote),
    state: TCP_PHASES[field(FIELD.phase)] ?? null,
    direction: (flags & VISITOR) === 0 ? "outbound" : "inbound",
    hairpin: (flags & HAIRPINNED) !== 0,
    permanent: (flags & PERMANENT) !== 0,
    createdAt: field(FIELD.createdAt),
    packets: { outbound: field(FIELD.packetsOut), inbound: field(FIELD.packetsIn) },
    bytes: { outbound: field(FIELD.bytesOut), inbound: field(FIELD.bytesIn) },
  };
}

/** @internal Writes what an event tells of a session, so that `eventSessionAt` has it again. */
export function writeEventSession(session: EventSession, row: Float64Array): void {
  const { protocol, inside, public: outer, remote, state, direction, hairpin, permanent } = session;
  row[FIELD.protocol] = protocolNumber(protocol);
  writeEndpoint(row, FIELD.inside, inside);
  writeEndpoint(row, FIELD.public, outer);
  writeEndpoint(row, FIELD.remote, remote);
  row[FIELD.phase] = state === null ? -1 : TCP_PHASES.indexOf(state);
  row[FIELD.flags] =
    (direction === "inbound" ? VISITOR : 0) | (hairpin ? HAIRPINNED : 0) | (permanent ? PERMANENT : 0);
  row[FIELD.createdAt] = session.createdAt;
  row[FIELD.packetsOut] = session.packets.outbound;
  row[FIELD.packetsIn] = session.packets.inbound;
  row[FIELD.bytesOut] = session.bytes.outbound;
  row[FIELD.bytesIn] = session.bytes.inbound;
}

/** @internal */
export function writeEndpoint(row: Float64Array, field: number, { address, port }: SessionEndpoint): void {
  row[field] = parseIpv4(address) ?? 0;
  row[field + 1] = port;
}

/** @internal The session in the row that begins at a number. */
export function sessionAt(row: Float64Array, at = 0): Session {
  const [lastSeen, expiresAt] = [row[at + FIELD.lastSeen]!, row[at + FIELD.expiresAt]!];
  return Object.assign(eventSessionAt(row, at), { lastSeen, expiresAt });
}

/** @internal The sessions in rows that the engine has read. */
export function sessionsOf(rows: Float64Array): Session[] {
  return Array.from({ length: rows.length / FIELDS }, (_, i) => sessionAt(rows, i * FIELDS));
}
