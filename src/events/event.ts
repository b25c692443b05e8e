// What happens in a NAT, one event at a time.
import type { Session, SessionEndpoint, SessionProtocol } from "../conntrack.js";

/** What becomes of a session. */
export const SESSION_EVENTS = [
  /** The first packet of a flow was translated. */
  "session-opened",
  /** Both ends have taken the TCP connection; for other protocols, the first packet came back. */
  "session-established",
  /** A TCP connection was closed or reset by its ends; the session itself lasts a little longer. */
  "session-closed",
  /** Nothing has refreshed it for so long that it will expire soon; opt-in. */
  "session-expiring",
  /** It was idle for too long, or its time after the close is over. */
  "session-expired",
  /** It had to make room for another one. */
  "session-evicted",
  /** Somebody deleted it, or a new config has no place for it. */
  "session-deleted",
] as const;

/** A session, as it was when it happened. */
export type EventSession = Pick<
  Session,
  "protocol" | "inside" | "public" | "remote" | "state" | "permanent" | "packets" | "bytes" | "createdAt"
>;

interface Base {
  /** When, in ms of the caller's clock. */
  readonly at: number;
}

export interface SessionEvent extends Base {
  readonly type: (typeof SESSION_EVENTS)[number];
  readonly session: EventSession;
}

/** A binding (RFC 2663): an inside endpoint got its public one, or no session has it any more. */
export interface BindingEvent extends Base {
  readonly type: "binding-created" | "binding-released";
  readonly protocol: SessionProtocol;
  readonly inside: SessionEndpoint;
  readonly public: SessionEndpoint;
}

/** An inside host got a port block, or has it no more (RFC 6888, REQ-14). */
export interface BlockEvent extends Base {
  readonly type: "block-allocated" | "block-released";
  /** The inside host. */
  readonly inside: string;
  /** The public address. */
  readonly address: string;
  /** The first and the last port. */
  readonly ports: readonly [low: number, high: number];
}

/** How much of a public address's ports is in use. */
export interface PoolEvent extends Base {
  /** Above the threshold; nothing left for a new binding; below the threshold again. */
  readonly type: "pool-threshold" | "pool-exhausted" | "pool-relieved";
  /** The public address; null: of the whole pool. */
  readonly address: string | null;
  /** What the ports are of; null where they are given in blocks. */
  readonly protocol: SessionProtocol | null;
  readonly used: number;
  readonly total: number;
}

/** An inside host asked for more sessions, bindings or blocks than its quota lets it have. */
export interface HostEvent extends Base {
  readonly type: "host-limit";
  readonly inside: string;
  readonly limit: "sessions" | "bindings" | "rate";
}

/** What happens in a NAT. */
export type NatEvent = SessionEvent | BindingEvent | BlockEvent | PoolEvent | HostEvent;
export type NatEventType = NatEvent["type"];
