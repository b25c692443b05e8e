// Events as the engine tells them: rows of numbers, laid out as those of sessions.
import { formatIpv4 } from "../config/cidr.js";
import { eventSessionAt, FIELD, protocolName } from "../session.js";
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
        address: formatIpv4(field(FIELD.public)),
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
