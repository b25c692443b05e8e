// Events as the engine tells them: rows of numbers, laid out as those of sessions.
import { formatIpv4 } from "../config/cidr.js";
import { LAYOUT } from "../native.js";
import { protocolName, sessionAt } from "../session.js";
import { HOST_QUOTAS, NAT_EVENTS, type NatEvent, type NatEventType } from "./event.js";

const FIELDS = LAYOUT.sessionFields;

/** The bits of event types, as the engine records by them. */
export function maskOf(types: Iterable<NatEventType>): number {
  let mask = 0;
  for (const type of types) mask |= 1 << NAT_EVENTS.indexOf(type);
  return mask;
}

/** The events in rows that the engine has filled. */
export function* eventsOf(rows: Float64Array): IterableIterator<NatEvent> {
  for (let at = 0; at < rows.length; at += FIELDS) yield eventAt(rows, at);
}

function eventAt(rows: Float64Array, row: number): NatEvent {
  const field = (index: number) => rows[row + index]!;
  const endpoint = (index: number) => ({ address: formatIpv4(field(index)), port: field(index + 1) });
  const type = NAT_EVENTS[field(0)]!;
  const at = field(11);
  switch (type) {
    case "binding-created":
    case "binding-released":
      return { type, at, protocol: protocolName(field(1)), inside: endpoint(2), public: endpoint(4) };
    case "block-allocated":
    case "block-released": {
      const ports = [field(14), field(15)] as const;
      return { type, at, inside: formatIpv4(field(2)), address: formatIpv4(field(4)), ports };
    }
    case "pool-threshold":
    case "pool-exhausted":
    case "pool-relieved": {
      const protocol = field(1) === 0 ? null : protocolName(field(1));
      return { type, at, address: formatIpv4(field(4)), protocol, used: field(14), total: field(15) };
    }
    case "host-limit":
      return { type, at, inside: formatIpv4(field(2)), limit: HOST_QUOTAS[field(14)]! };
    default: {
      const { lastSeen: _, expiresAt: __, ...session } = sessionAt(rows, row);
      return { type, at, session };
    }
  }
}
