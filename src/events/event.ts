// What happens in a NAT, one event at a time.
import type { EventSession, SessionEndpoint, SessionProtocol } from "../session.js";

export type { EventSession };

/** What becomes of a session. */
export const SESSION_EVENTS = [
  "session-opened",
  "session-established",
  "session-closed",
  "session-expiring",
  "session-expired",
  "session-evicted",
  "session-deleted",
] as const;

interface Base {
  /** When, in ms of the caller's clock. */
  readonly at: number;
}

/** Something has become of a session. */
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

/** How much of a public address's ports, or of its blocks, is in use or at rest. */
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
/** The name of what happened. */
export type NatEventType = NatEvent["type"];
/** The events of one type. */
export type NatEventOf<Type extends NatEventType> = NatEvent & { readonly type: Type };

/** All types, in the order of native/nat/events.h. */
export const NAT_EVENTS = [
  ...SESSION_EVENTS,
  "binding-created",
  "binding-released",
  "block-allocated",
  "block-released",
  "pool-threshold",
  "pool-exhausted",
  "pool-relieved",
  "host-limit",
] as const satisfies readonly NatEventType[];

/** Quotas of a host, in the order of native/nat/events.h. */
export const HOST_QUOTAS = ["sessions", "bindings", "rate"] as const satisfies readonly HostEvent["limit"][];

/** What each type means, for people. */
export const EVENT_MEANINGS: Readonly<Record<NatEventType, string>> = {
  "session-opened":
    "The first packet of a flow is being translated; or it was restored, or is there for a mapping or an ALG",
  "session-established":
    "Both ends have taken the TCP connection, or take it up again; of other protocols the first packet came back",
  "session-closed":
    "The TCP connection was closed or reset by its ends; the session itself lasts a little longer",
  "session-expiring": "Nothing has refreshed it for so long that it will expire soon (`events.expiring`)",
  "session-expired": "It was idle for too long, or its time after the close is over",
  "session-evicted": "It had to make room for another one (`limits.whenFull`)",
  "session-deleted":
    "Somebody deleted it, a new config has no place for it, or what an ALG expected has come",
  "binding-created": "An inside endpoint got its public one",
  "binding-released": "No session has the binding any more",
  "block-allocated": "An inside host got a port block (`portAssignment.blockSize`)",
  "block-released": "It has it no more",
  "pool-threshold":
    "So much of a public address's ports, or of its blocks, is in use or at rest (`events.poolThreshold`)",
  "pool-exhausted": "A new binding found nothing there",
  "pool-relieved": "It is a tenth of the whole below the threshold again, or no part of the pool any more",
  "host-limit":
    "An inside host asked for more than its quota; told again after ten seconds, if it still does",
};
