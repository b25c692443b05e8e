// Events of a NAT, for whatever tells of them.
import type { EventSession, NatEvent } from "../../src/events/event.js";

export const INSIDE = { address: "192.168.226.135", port: 4000 } as const;
export const PUBLIC = { address: "203.0.113.1", port: 40_000 } as const;
export const REMOTE = { address: "198.51.100.7", port: 53 } as const;

export const SESSION: EventSession = {
  protocol: "udp",
  inside: INSIDE,
  public: PUBLIC,
  remote: REMOTE,
  state: null,
  direction: "outbound",
  hairpin: false,
  permanent: false,
  packets: { outbound: 3, inbound: 2 },
  bytes: { outbound: 300, inbound: 200 },
  createdAt: 0,
};

const at = 0;

/** One of each kind. */
export const EVENTS = {
  opened: { type: "session-opened", at, session: SESSION },
  established: { type: "session-established", at, session: SESSION },
  closed: { type: "session-closed", at, session: SESSION },
  expired: { type: "session-expired", at, session: SESSION },
  evicted: { type: "session-evicted", at, session: SESSION },
  deleted: { type: "session-deleted", at, session: SESSION },
  bound: { type: "binding-created", at, protocol: "tcp", inside: INSIDE, public: PUBLIC },
  unbound: { type: "binding-released", at, protocol: "tcp", inside: INSIDE, public: PUBLIC },
  allocated: {
    type: "block-allocated",
    at,
    inside: INSIDE.address,
    address: PUBLIC.address,
    ports: [1024, 1535],
  },
  released: {
    type: "block-released",
    at,
    inside: INSIDE.address,
    address: PUBLIC.address,
    ports: [1024, 1535],
  },
  threshold: { type: "pool-threshold", at, address: PUBLIC.address, protocol: "udp", used: 900, total: 1000 },
  exhausted: {
    type: "pool-exhausted",
    at,
    address: PUBLIC.address,
    protocol: "udp",
    used: 1000,
    total: 1000,
  },
  noAddress: { type: "pool-exhausted", at, address: null, protocol: null, used: 8, total: 8 },
  relieved: { type: "pool-relieved", at, address: PUBLIC.address, protocol: "udp", used: 800, total: 1000 },
  limit: { type: "host-limit", at, inside: INSIDE.address, limit: "bindings" },
  rate: { type: "host-limit", at, inside: INSIDE.address, limit: "rate" },
} as const satisfies Record<string, NatEvent>;
