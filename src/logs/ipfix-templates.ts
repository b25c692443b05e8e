// What IPFIX says of a NAT's events: the templates of RFC 8158, section 5.6, with the information elements of IANA's
// registry that we have something for.
import { protocolNumber } from "../conntrack.js";
import type {
  BindingEvent,
  BlockEvent,
  HostEvent,
  NatEvent,
  PoolEvent,
  SessionEvent,
} from "../events/event.js";

/** An information element: its number, its size in bytes, and what an event has of it. */
interface Field<Event extends NatEvent> {
  readonly element: number;
  readonly size: 1 | 2 | 4 | 8;
  readonly value: (event: Event, time: number) => number;
}

/** A record's form. */
export interface Template<Event extends NatEvent = NatEvent> {
  /** From 256 on (RFC 7011, section 3.4.1). */
  readonly id: number;
  readonly fields: readonly Field<Event>[];
  /** Bytes of a record. */
  readonly size: number;
}

/** An address that is known to be one, as a number. */
function addressOf(text: string): number {
  let [address, octet] = [0, 0];
  for (let at = 0; at < text.length; at++) {
    const digit = text.charCodeAt(at) - 48;
    if (digit >= 0) octet = octet * 10 + digit;
    else [address, octet] = [address * 256 + octet, 0];
  }
  return address * 256 + octet;
}

const field = <Event extends NatEvent>(
  element: number,
  size: Field<Event>["size"],
  value: Field<Event>["value"],
): Field<Event> => ({ element, size, value });

const observationTimeMilliseconds = field(323, 8, (_, time) => time);
const natEvent = <Event extends NatEvent>(value: Field<Event>["value"]) => field(230, 1, value);

let nextId = 256;
function template<Event extends NatEvent>(...fields: Field<Event>[]): Template {
  const all = [observationTimeMilliseconds as Field<Event>, ...fields];
  const size = all.reduce((sum, field) => sum + field.size, 0);
  return { id: nextId++, fields: all as unknown as Field<NatEvent>[], size };
}

/** NAT44 session create and delete. */
const SESSION = template<SessionEvent>(
  natEvent(({ type }) => (type === "session-opened" ? 4 : 5)),
  field(4, 1, ({ session }) => protocolNumber(session.protocol)), // protocolIdentifier
  field(8, 4, ({ session }) => addressOf(session.inside.address)), // sourceIPv4Address
  field(7, 2, ({ session }) => session.inside.port), // sourceTransportPort
  field(225, 4, ({ session }) => addressOf(session.public.address)), // postNATSourceIPv4Address
  field(227, 2, ({ session }) => session.public.port), // postNAPTSourceTransportPort
  field(12, 4, ({ session }) => addressOf(session.remote.address)), // destinationIPv4Address
  field(11, 2, ({ session }) => session.remote.port), // destinationTransportPort
);

/** NAT44 BIB create and delete. */
const BINDING = template<BindingEvent>(
  natEvent(({ type }) => (type === "binding-created" ? 8 : 9)),
  field(4, 1, ({ protocol }) => protocolNumber(protocol)),
  field(8, 4, ({ inside }) => addressOf(inside.address)),
  field(7, 2, ({ inside }) => inside.port),
  field(225, 4, (event) => addressOf(event.public.address)),
  field(227, 2, (event) => event.public.port),
);

/** Port block allocation and de-allocation. */
const BLOCK = template<BlockEvent>(
  natEvent(({ type }) => (type === "block-allocated" ? 16 : 17)),
  field(8, 4, ({ inside }) => addressOf(inside)),
  field(225, 4, ({ address }) => addressOf(address)),
  field(361, 2, ({ ports }) => ports[0]), // portRangeStart
  field(362, 2, ({ ports }) => ports[1]), // portRangeEnd
  field(363, 2, () => 1), // portRangeStepSize
  field(364, 2, ({ ports: [low, high] }) => high - low + 1), // portRangeNumPorts
);

/** NAT addresses exhausted: the pool, of which there is one. */
const ADDRESSES_EXHAUSTED = template<PoolEvent>(
  natEvent(() => 3),
  field(283, 4, () => 0), // natPoolId
);

/** NAT ports exhausted, of one address. */
const PORTS_EXHAUSTED = template<PoolEvent>(
  natEvent(() => 12),
  field(225, 4, ({ address }) => addressOf(address!)),
  field(4, 1, ({ protocol }) => (protocol === null ? 0 : protocolNumber(protocol))),
);

/** Threshold reached: address and port mapping high threshold event. */
const THRESHOLD = template<PoolEvent>(
  natEvent(() => 18),
  field(467, 4, () => 3), // natThresholdEvent
  field(478, 4, ({ used }) => used), // addressPortMappingHighThreshold
  field(225, 4, ({ address }) => (address === null ? 0 : addressOf(address))),
  field(4, 1, ({ protocol }) => (protocol === null ? 0 : protocolNumber(protocol))),
);

/** Quota exceeded: maximum entries per user. */
const QUOTA = template<HostEvent>(
  natEvent(() => 13),
  field(466, 4, () => 3), // natQuotaExceededEvent
  field(8, 4, ({ inside }) => addressOf(inside)),
);

/** All of them, as a collector is told them. */
export const TEMPLATES: readonly Template[] = [
  SESSION,
  BINDING,
  BLOCK,
  ADDRESSES_EXHAUSTED,
  PORTS_EXHAUSTED,
  THRESHOLD,
  QUOTA,
];

/** The template of an event; null: IANA's registry has no number for what it tells. */
export function templateOf(event: NatEvent): Template | null {
  switch (event.type) {
    case "session-opened":
    case "session-expired":
    case "session-evicted":
    case "session-deleted":
      return SESSION;
    case "binding-created":
    case "binding-released":
      return BINDING;
    case "block-allocated":
    case "block-released":
      return BLOCK;
    case "pool-exhausted":
      return event.address === null ? ADDRESSES_EXHAUSTED : PORTS_EXHAUSTED;
    case "pool-threshold":
      return THRESHOLD;
    case "host-limit":
      return event.limit === "rate" ? null : QUOTA;
    default:
      return null;
  }
}
