// A session as the control socket tells of it, and what tools that know conntrack call its state.

import type { EventSession } from "../events/event.js";
import type { Session } from "../session.js";

/** A session with times in seconds from now. */
export type ToldSession = Omit<Session, "createdAt" | "lastSeen" | "expiresAt"> & {
  readonly age: number;
  readonly idle: number;
  /** Null: it lasts until somebody ends it. */
  readonly expiresIn: number | null;
};

/** A session as it is told at a time of its NAT's clock. */
export function toldSession(session: Session, now: number): ToldSession {
  const { createdAt, lastSeen, expiresAt, ...rest } = session;
  return {
    ...rest,
    age: seconds(createdAt, now),
    idle: seconds(lastSeen, now),
    expiresIn: expiresAt === Number.POSITIVE_INFINITY ? null : seconds(now, expiresAt),
  };
}

/** Seconds between two times in ms, to the millisecond. */
export function seconds(from: number, to: number): number {
  return Math.round(to - from) / 1000;
}

/** What says how far a session has come. */
type Progress = Pick<EventSession, "protocol" | "state" | "packets">;

/** Whether both ends have sent something. */
export function isReplied({ packets }: Progress): boolean {
  return packets.outbound > 0 && packets.inbound > 0;
}

/** Whether it is a flow that both ends take part in: one that `limits.whenFull: evict` leaves alone. */
export function isAssured(session: Progress): boolean {
  const { state } = session;
  return state === null ? isReplied(session) : state !== "opening" && state !== "reset";
}

/** The TCP state by conntrack's name; null for other protocols. */
export function conntrackState(session: Progress): string | null {
  switch (session.state) {
    case null:
      return null;
    case "opening":
      return isReplied(session) ? "SYN_RECV" : "SYN_SENT";
    case "established":
      return "ESTABLISHED";
    case "half-closed":
      return "FIN_WAIT";
    case "closing":
      return "LAST_ACK";
    case "time-wait":
      return "TIME_WAIT";
    case "reset":
      return "CLOSE";
  }
}
