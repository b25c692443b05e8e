// Sessions as lines: as conntrack prints them, and as CSV.
import { WITH_PORTS } from "../config/protocols.js";
import { conntrackState, isAssured, isReplied, type ToldSession } from "../control/told-session.js";
import type { EventSession } from "../events/event.js";
import { protocolNumber, type SessionEndpoint } from "../session.js";

/** What every line is made of; without the time left that is left out. */
type Lined = Omit<EventSession, "createdAt"> & Partial<Pick<ToldSession, "expiresIn">>;

/** Nobody's: it stands for an explicit mapping. */
const NOBODY = "0.0.0.0";

/**
 * A session as `conntrack -L` prints it, columns padded: protocol and its number, seconds left, TCP state, the direction
 * of who began it, that of the reply, and marks: [UNREPLIED] between the two and [ASSURED] at the end as there,
 * [PERMANENT] (a forward or a 1:1 mapping made its binding), [HAIRPIN], [MAPPING] (an explicit one, of no remote).
 */
export function conntrackLine(session: Lined): string {
  const { protocol, inside, public: outside, remote, packets, bytes, direction } = session;
  const out = [protocol, packets.outbound, bytes.outbound] as const;
  const back = [protocol, packets.inbound, bytes.inbound] as const;
  const began = direction === "outbound" ? flow(inside, remote, ...out) : flow(remote, outside, ...back);
  const reply = direction === "outbound" ? flow(remote, outside, ...back) : flow(inside, remote, ...out);
  const isMapping = remote.address === NOBODY;
  const expires =
    session.expiresIn === undefined ? [] : [session.expiresIn === null ? "-" : session.expiresIn.toFixed(0)];
  const marks = [
    isAssured(session) ? "[ASSURED]" : "",
    session.permanent ? "[PERMANENT]" : "",
    session.hairpin ? "[HAIRPIN]" : "",
    isMapping ? "[MAPPING]" : "",
  ];
  return [
    protocol.padEnd(8),
    String(protocolNumber(protocol)).padStart(3),
    ...expires.map((text) => text.padStart(6)),
    (conntrackState(session) ?? "").padEnd(11),
    began,
    isReplied(session) || isMapping ? "           " : "[UNREPLIED]",
    reply,
    ...marks.filter((mark) => mark !== ""),
  ]
    .join(" ")
    .trimEnd();
}

/** "src=192.168.226.135 dst=203.0.113.8 sport=4000 dport=80 packets=3 bytes=180" */
function flow(
  from: SessionEndpoint,
  to: SessionEndpoint,
  protocol: string,
  packets: number,
  bytes: number,
): string {
  const ends = [`src=${from.address}`.padEnd(19), `dst=${to.address}`.padEnd(19)];
  if ((WITH_PORTS as readonly string[]).includes(protocol)) {
    ends.push(`sport=${from.port}`.padEnd(11), `dport=${to.port}`.padEnd(11));
  } else if (protocol === "icmp") {
    // Queries have an identifier, which the side inside and the side outside know each its own of.
    ends.push(`id=${Math.max(from.port, to.port)}`.padEnd(23));
  } else ends.push("".padEnd(23));
  return [...ends, `packets=${packets}`.padEnd(14), `bytes=${bytes}`.padEnd(16)].join(" ");
}

/** Columns of the CSV. New ones come at the end. */
const COLUMNS: Readonly<Record<string, (session: ToldSession) => string | number | boolean | null>> = {
  protocol: ({ protocol }) => protocol,
  number: ({ protocol }) => protocolNumber(protocol),
  state: ({ state }) => state,
  direction: ({ direction }) => direction,
  inside_address: ({ inside }) => inside.address,
  inside_port: ({ inside }) => inside.port,
  public_address: (session) => session.public.address,
  public_port: (session) => session.public.port,
  remote_address: ({ remote }) => remote.address,
  remote_port: ({ remote }) => remote.port,
  packets_out: ({ packets }) => packets.outbound,
  packets_in: ({ packets }) => packets.inbound,
  bytes_out: ({ bytes }) => bytes.outbound,
  bytes_in: ({ bytes }) => bytes.inbound,
  age: ({ age }) => age,
  idle: ({ idle }) => idle,
  expires: ({ expiresIn }) => expiresIn,
  permanent: ({ permanent }) => permanent,
  hairpin: ({ hairpin }) => hairpin,
};

/** Lines of a CSV end so (RFC 4180). */
export const CSV_END = "\r\n";
export const CSV_HEADER = Object.keys(COLUMNS).join(",");

/** A session as a line of CSV; nothing stands for null. No value needs quotes: they are words of ours and numbers. */
export function csvLine(session: ToldSession): string {
  return Object.values(COLUMNS)
    .map((value) => value(session) ?? "")
    .join(",");
}
