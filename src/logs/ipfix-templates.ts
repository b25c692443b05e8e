// What IPFIX says of a NAT's events: the templates of RFC 8158, section 5.6, with the information elements of IANA's
// registry that we have something for.
import { HOST_QUOTAS, NAT_EVENTS, type NatEventType } from "../events/event.js";
import { FIELD } from "../session.js";

/** What an information element has of an event: a field of its row, or what is made of the row that begins at `at`. */
type Value = number | ((rows: Float64Array, at: number) => number);

/** An information element: its number, its size in bytes, and its value. */
interface Field {
  readonly element: number;
  readonly size: 1 | 2 | 4 | 8;
  readonly value: Value;
}

/** A record's form. */
export interface Template {
  /** From 256 on (RFC 7011, section 3.4.1). */
  readonly id: number;
  readonly fields: readonly Field[];
  /** Bytes of a record. */
  readonly size: number;
}

const field = (element: number, size: 1 | 2 | 4, value: Value): Field => ({ element, size, value });

/** Each record begins with it; the log knows it, not the row. */
const observationTimeMilliseconds: Field = { element: 323, size: 8, value: FIELD.lastSeen };

let nextId = 256;
function template(...fields: Field[]): Template {
  const all = [observationTimeMilliseconds, ...fields];
  return { id: nextId++, fields: all, size: all.reduce((sum, { size }) => sum + size, 0) };
}

const numberOf = (type: NatEventType) => NAT_EVENTS.indexOf(type);
/** Of events of two types: what the one that begins it is called, and the one that ends it. */
const natEvent = (begin: NatEventType, begun: number, ended: number) => {
  const first = numberOf(begin);
  return field(230, 1, (rows, at) => (rows[at] === first ? begun : ended));
};
const always = (value: number) => () => value;

const protocolIdentifier = field(4, 1, FIELD.protocol);
const sourceIPv4Address = field(8, 4, FIELD.inside);
const sourceTransportPort = field(7, 2, FIELD.inside + 1);
const postNATSourceIPv4Address = field(225, 4, FIELD.public);
const postNAPTSourceTransportPort = field(227, 2, FIELD.public + 1);
const destinationIPv4Address = field(12, 4, FIELD.remote);
const destinationTransportPort = field(11, 2, FIELD.remote + 1);

/** NAT44 session create and delete. */
const SESSION = template(
  natEvent("session-opened", 4, 5),
  protocolIdentifier,
  sourceIPv4Address,
  sourceTransportPort,
  postNATSourceIPv4Address,
  postNAPTSourceTransportPort,
  destinationIPv4Address,
  destinationTransportPort,
);

/** NAT44 BIB create and delete. */
const BINDING = template(
  natEvent("binding-created", 8, 9),
  protocolIdentifier,
  sourceIPv4Address,
  sourceTransportPort,
  postNATSourceIPv4Address,
  postNAPTSourceTransportPort,
);

/** Port block allocation and de-allocation. */
const [FIRST_PORT, LAST_PORT] = [FIELD.packetsOut, FIELD.packetsIn];
const BLOCK = template(
  natEvent("block-allocated", 16, 17),
  sourceIPv4Address,
  postNATSourceIPv4Address,
  field(361, 2, FIRST_PORT), // portRangeStart
  field(362, 2, LAST_PORT), // portRangeEnd
  field(363, 2, always(1)), // portRangeStepSize
  field(364, 2, (rows, at) => rows[at + LAST_PORT]! - rows[at + FIRST_PORT]! + 1), // portRangeNumPorts
);

/** NAT addresses exhausted: the pool, of which there is one. */
const ADDRESSES_EXHAUSTED = template(
  field(230, 1, always(3)),
  field(283, 4, always(0)), // natPoolId
);

/** NAT ports exhausted, of one address. */
const PORTS_EXHAUSTED = template(field(230, 1, always(12)), postNATSourceIPv4Address, protocolIdentifier);

/** Threshold reached: address and port mapping high threshold event. */
const THRESHOLD = template(
  field(230, 1, always(18)),
  field(467, 4, always(3)), // natThresholdEvent
  field(478, 4, FIELD.packetsOut), // addressPortMappingHighThreshold: those in use
  postNATSourceIPv4Address,
  protocolIdentifier,
);

/** Quota exceeded: maximum entries per user. */
const QUOTA = template(
  field(230, 1, always(13)),
  field(466, 4, always(3)), // natQuotaExceededEvent
  sourceIPv4Address,
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

const BY_TYPE: Readonly<Partial<Record<NatEventType, Template>>> = {
  "session-opened": SESSION,
  "session-expired": SESSION,
  "session-evicted": SESSION,
  "session-deleted": SESSION,
  "binding-created": BINDING,
  "binding-released": BINDING,
  "block-allocated": BLOCK,
  "block-released": BLOCK,
  "pool-exhausted": PORTS_EXHAUSTED,
  "pool-threshold": THRESHOLD,
  "host-limit": QUOTA,
};
const BY_NUMBER = NAT_EVENTS.map((type) => BY_TYPE[type] ?? null);
const RATE = HOST_QUOTAS.indexOf("rate");

/** The template of the event in a row; null: IANA's registry has no number for what it tells. */
export function templateOf(rows: Float64Array, at: number): Template | null {
  const template = BY_NUMBER[rows[at + FIELD.slot]!]!;
  if (template === PORTS_EXHAUSTED && rows[at + FIELD.public] === 0) return ADDRESSES_EXHAUSTED;
  if (template === QUOTA && rows[at + FIELD.packetsOut] === RATE) return null;
  return template;
}
