// A session as those are told who ask a gateway: its times in seconds from now, as they have no clock in common.
import type { Session } from "../conntrack.js";

/** A session as a gateway tells of it; times in seconds. */
export type ToldSession = Omit<Session, "createdAt" | "lastSeen" | "expiresAt"> & {
  readonly age: number;
  readonly idle: number;
  /** null: it does not end by itself. */
  readonly expiresIn: number | null;
};

/** @param now ms, by the session's clock */
export function toldSession(session: Session, now: number): ToldSession {
  const { createdAt, lastSeen, expiresAt, ...rest } = session;
  const seconds = (from: number, to: number) => Math.round(to - from) / 1000;
  const expiresIn = Number.isFinite(expiresAt) ? seconds(now, expiresAt) : null;
  return { ...rest, age: seconds(createdAt, now), idle: seconds(lastSeen, now), expiresIn };
}
