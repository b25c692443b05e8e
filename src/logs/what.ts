// What of a NAT's events is logged.
import type { NatEventType } from "../events/event.js";

/**
 * Who had which public endpoint, as a log tells it: by sessions, with the remote; by bindings, without it (RFC 6888,
 * REQ-12); or by port blocks, which are fewer by their size.
 */
export const WHAT = ["sessions", "bindings", "blocks"] as const;
/** What a log tells of. */
export type What = (typeof WHAT)[number];

const BEGIN_AND_END: Readonly<Record<What, readonly NatEventType[]>> = {
  sessions: ["session-opened", "session-expired", "session-evicted", "session-deleted"],
  bindings: ["binding-created", "binding-released"],
  blocks: ["block-allocated", "block-released"],
};

const ALWAYS: readonly NatEventType[] = ["pool-threshold", "pool-exhausted", "pool-relieved", "host-limit"];

/** The events that are logged: when each begins and ends, and, whatever it is, what befalls pool and hosts. */
export function typesOf(what: What): readonly NatEventType[] {
  return [...BEGIN_AND_END[what], ...ALWAYS];
}
