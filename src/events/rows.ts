// Events as the engine tells them: rows of numbers, laid out as those of sessions.
import { formatIpv4 } from "../config/cidr.js";
import {
  eventSessionAt,
  FIELD,
  protocolName,
  protocolNumber,
  writeEndpoint,
  writeEventSession,
} from "../session.js";
import { HOST_QUOTAS, NAT_EVENTS, type NatEvent, type NatEventType } from "./event.js";

/** The bits of event types, as the engine records by them. */
export function maskOf(types: Iterable<NatEventType>): number {
  let mask = 0;
  for (const type of types) mask |= 1 << NAT_EVENTS.indexOf(type);
  return mask;
}

/** The event in the row that begins at a number; what has other meanings there `Engine::writeRow` tells. */
export function eventAt(rows: Float64Array, row: number): NatEvent {
  const field = (index: number) => rows[row + index]!;
  const endpoint = (index: number) => ({ address: formatIpv4(field(index)), port: field(index + 1) });
  const type = NAT_EVENTS[field(FIELD.slot)]!;
  const at = field(FIELD.lastSeen);
  switch (type) {
    case "binding-created":
    case "binding-released":
      return {
        type,
        at,
        protocol: protocolName(field(FIELD.protocol)),
        inside: endpoint(FIELD.inside),
        public: endpoint(FIELD.public),
      };
    case "block-allocated":
    case "block-released": {
      const ports = [field(FIELD.packetsOut), field(FIELD.packetsIn)] as const;
      return {
        type,
        at,
        inside: formatIpv4(field(FIELD.inside)),
        address: formatIpv4(field(FIELD.public)),
        ports,
      };
    }
    case "pool-threshold":
    case "pool-exhausted":
    case "pool-relieved": {
      const protocol = field(FIELD.protocol) === 0 ? null : protocolName(field(FIELD.protocol));
      return {
        type,
        at,
        address: field(FIELD.public) === 0 ? null : formatIpv4(field(FIELD.public)),
        protocol,
        used: field(FIELD.packetsOut),
        total: field(FIELD.packetsIn),
      };
    }
    case "host-limit":
      return {
        type,
        at,
        inside: formatIpv4(field(FIELD.inside)),
        limit: HOST_QUOTAS[field(FIELD.packetsOut)]!,
      };
    default: {
      return { type, at, session: eventSessionAt(rows, row) };
    }
  }
}

/** Writes an event into a row, so that `eventAt` has it again. */
export function writeEvent(event: NatEvent, row: Float64Array): void {
  row.fill(0);
  row[FIELD.slot] = NAT_EVENTS.indexOf(event.type);
  row[FIELD.lastSeen] = event.at;
  const address = (field: number, text: string) => writeEndpoint(row, field, { address: text, port: 0 });
  const numbers = (one: number, other = 0) => {
    row[FIELD.packetsOut] = one;
    row[FIELD.packetsIn] = other;
  };
  if ("session" in event) {
    writeEventSession(event.session, row);
    return;
  }
  switch (event.type) {
    case "binding-created":
    case "binding-released":
      row[FIELD.protocol] = protocolNumber(event.protocol);
      writeEndpoint(row, FIELD.inside, event.inside);
      writeEndpoint(row, FIELD.public, event.public);
      return;
    case "block-allocated":
    case "block-released":
      address(FIELD.inside, event.inside);
      address(FIELD.public, event.address);
      numbers(...event.ports);
      return;
    case "host-limit":
      address(FIELD.inside, event.inside);
      numbers(HOST_QUOTAS.indexOf(event.limit));
      return;
    default:
      if (event.protocol !== null) row[FIELD.protocol] = protocolNumber(event.protocol);
      if (event.address !== null) address(FIELD.public, event.address);
      numbers(event.used, event.total);
  }
}
