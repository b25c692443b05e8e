// Syslog (RFC 5424): a message an event, its data structured; over UDP (RFC 5426), TCP (RFC 6587, octet counting) or a
// Unix socket, with the same framing.
import { hostname } from "node:os";
import { NatError } from "../errors.js";
import type { NatEvent, NatEventType } from "../events/event.js";
import { destinationOf } from "./destination.js";
import { type Encoder, EventLog, type EventLogOptions } from "./event-log.js";
import { Lines } from "./lines.js";
import { linkTo } from "./link.js";
import type { Chunk } from "./outbox.js";

/** Ports of a receiver that is given without one. */
export const SYSLOG_PORTS = { udp: 514, tcp: 601, unix: 0 } as const;

/** Facilities for programs that come with no system (RFC 5424, section 6.2.1), in their order from 16 on. */
export const FACILITIES = [
  "local0",
  "local1",
  "local2",
  "local3",
  "local4",
  "local5",
  "local6",
  "local7",
] as const;
const LOCAL0 = 16;

/** A name with the number of an enterprise; 32473 is the one for those who have none (RFC 5612). */
export const DEFAULT_SD_ID = "nat@32473";
export const SD_ID_PATTERN = /^[A-Za-z0-9_.-]{1,20}@[1-9]\d{0,9}$/;

export interface SyslogOptions extends EventLogOptions {
  /** The receiver: "udp://192.0.2.5", "tcp://192.0.2.5:601" or "unix:/run/log.sock"; the port may be left out. */
  to: string;
  /** @default "local0" */
  facility?: (typeof FACILITIES)[number];
  /** What the structured data is called (SD-ID). @default "nat@32473" */
  sdId?: string;
  /** The name of this system, in each message. @default its host name */
  hostname?: string;
}

/** Writes events to a syslog receiver. */
export class SyslogExporter extends EventLog {
  protected readonly encoder: Encoder;

  /** @throws NatError NAT_ERR_ARGUMENT */
  constructor({
    to,
    facility = "local0",
    sdId = DEFAULT_SD_ID,
    hostname: host = hostname(),
    ...options
  }: SyslogOptions) {
    const destination = destinationOf(to, SYSLOG_PORTS);
    if (!FACILITIES.includes(facility)) {
      throw new NatError("NAT_ERR_ARGUMENT", `facility: "${facility}" is none of ${FACILITIES.join(", ")}`);
    }
    if (!SD_ID_PATTERN.test(sdId)) {
      throw new NatError(
        "NAT_ERR_ARGUMENT",
        `sdId: "${sdId}" is no name with a number, such as "${DEFAULT_SD_ID}"`,
      );
    }
    super(linkTo(destination), options);
    const put = (chunk: Chunk) => this.outbox.put(chunk);
    const lines = new Lines(put);
    const add =
      destination.transport === "udp"
        ? (message: string, events = 1) => put({ bytes: Buffer.from(message), events })
        : (message: string, events = 1) => lines.add(`${Buffer.byteLength(message)} ${message}`, events);
    const origin = `${printable(host)} napt ${process.pid}`;
    const code = LOCAL0 + FACILITIES.indexOf(facility);
    this.encoder = {
      add: (event, time) => add(syslogMessage(event, time, code, origin, sdId)),
      addLost: (count, time) =>
        add(`${header("lost", WARNING, time, code, origin)} [${sdId} count="${count}"] ${count} events`, 0),
      flush: () => lines.flush(),
    };
  }
}

const ERROR = 3;
const WARNING = 4;
const NOTICE = 5;
const INFORMATIONAL = 6;

const SEVERITIES: Readonly<Partial<Record<NatEventType, number>>> = {
  "pool-exhausted": ERROR,
  "pool-threshold": WARNING,
  "host-limit": WARNING,
  "pool-relieved": NOTICE,
};

/** A HOSTNAME (RFC 5424, section 6): printable ASCII without spaces. */
function printable(text: string): string {
  return text.replace(/[^!-~]/g, "").slice(0, 255) || "-";
}

function header(type: string, severity: number, time: number, facility: number, origin: string): string {
  return `<${facility * 8 + severity}>1 ${new Date(time).toISOString()} ${origin} ${type}`;
}

/** One message (RFC 5424, section 6), its text for those who read no structured data. */
export function syslogMessage(
  event: NatEvent,
  time: number,
  facility: number,
  origin: string,
  sdId: string,
): string {
  const [data, text] = told(event);
  const begin = header(event.type, SEVERITIES[event.type] ?? INFORMATIONAL, time, facility, origin);
  return `${begin} [${sdId} ${data}] ${text}`;
}

/** What there is to say of an event, as structured data and in words. No value has what would need escaping. */
function told(event: NatEvent): [data: string, text: string] {
  if ("session" in event) {
    const { protocol, inside, public: outer, remote, packets, bytes } = event.session;
    const flow =
      `proto="${protocol}" inside="${inside.address}" insidePort="${inside.port}" ` +
      `public="${outer.address}" publicPort="${outer.port}" remote="${remote.address}" remotePort="${remote.port}"`;
    const text = `${protocol} ${endpoint(inside)} as ${endpoint(outer)} to ${endpoint(remote)}`;
    if (event.type === "session-opened") return [flow, text];
    const counts =
      `outboundPackets="${packets.outbound}" inboundPackets="${packets.inbound}" ` +
      `outboundBytes="${bytes.outbound}" inboundBytes="${bytes.inbound}"`;
    return [`${flow} ${counts}`, text];
  }
  switch (event.type) {
    case "binding-created":
    case "binding-released": {
      const { protocol, inside, public: outer } = event;
      return [
        `proto="${protocol}" inside="${inside.address}" insidePort="${inside.port}" ` +
          `public="${outer.address}" publicPort="${outer.port}"`,
        `${protocol} ${endpoint(inside)} as ${endpoint(outer)}`,
      ];
    }
    case "block-allocated":
    case "block-released": {
      const [low, high] = event.ports;
      return [
        `inside="${event.inside}" public="${event.address}" firstPort="${low}" lastPort="${high}"`,
        `${event.inside} as ${event.address}, ports ${low}-${high}`,
      ];
    }
    case "host-limit":
      return [
        `inside="${event.inside}" limit="${event.limit}"`,
        `${event.inside} is at its limit of ${event.limit}`,
      ];
    default: {
      const { address, protocol, used, total } = event;
      const which = `${address === null ? "" : ` public="${address}"`}${protocol === null ? "" : ` proto="${protocol}"`}`;
      const of = `${protocol ?? "blocks"} of ${address ?? "all addresses"}`;
      return [`used="${used}" total="${total}"${which}`, `${of}: ${used} of ${total} in use`];
    }
  }
}

function endpoint({ address, port }: { readonly address: string; readonly port: number }): string {
  return `${address}:${port}`;
}
