// What `napt watch` shows, and what keys and readings make of it. Pure: no terminal, no clock, no gateway.
import type { Reading as GatewayReading } from "../../control/reading.js";
import { sessionFilter } from "../../control/session-filter.js";
import { TOP_ORDERS, type Top, type TopOrder, type TopSession } from "../../control/top.js";
import type { PortUse } from "../../metrics/census.js";
import type { DropReason } from "../../verdict.js";

/** A gateway at one moment, as far as it is shown. */
export type Reading = Pick<
  GatewayReading,
  "at" | "wall" | "status" | "sessionsLimit" | "sessions" | "addresses" | "notices"
> & { readonly ports: readonly PortUse[] };

/** What goes through a second, between the last two readings. */
export interface Rates {
  readonly bits: { readonly outbound: number; readonly inbound: number };
  readonly packets: { readonly outbound: number; readonly inbound: number };
  readonly sessions: { readonly created: number; readonly ended: number };
  readonly drops: Readonly<Partial<Record<DropReason, number>>>;
}

/** What the keys are for at the moment. */
export type Mode =
  | { readonly kind: "view" }
  | { readonly kind: "help" }
  | { readonly kind: "filter"; readonly text: string }
  | { readonly kind: "kill"; readonly session: TopSession };

export interface WatchState {
  readonly reading: Reading | null;
  /** Of a large table it comes more rarely. */
  readonly top: Top | null;
  readonly rates: Rates | null;
  /** Bits a second, the latest last. */
  readonly history: { readonly outbound: readonly number[]; readonly inbound: readonly number[] };
  /** Why there is no newer reading; null: there is. */
  readonly trouble: string | null;
  readonly sort: TopOrder;
  readonly filter: readonly string[];
  readonly isPaused: boolean;
  /** The selected session, by its flow. */
  readonly selected: string | null;
  readonly mode: Mode;
  /** What came of the last key, where that is not to be seen. */
  readonly note: string | null;
}

/** Readings of a history that are kept: a wide terminal has no more columns. */
const MOST_HISTORY = 400;

export function newWatch(filter: readonly string[] = [], sort: TopOrder = "rate"): WatchState {
  return {
    reading: null,
    top: null,
    rates: null,
    history: { outbound: [], inbound: [] },
    trouble: null,
    sort,
    filter,
    isPaused: false,
    selected: null,
    mode: { kind: "view" },
    note: null,
  };
}

/** A reading has come. */
export function withReading(state: WatchState, reading: Reading): WatchState {
  const rates = state.reading === null ? null : ratesOf(state.reading, reading);
  const longer = (history: readonly number[], value: number | undefined) =>
    value === undefined ? history : [...history, value].slice(-MOST_HISTORY);
  return {
    ...state,
    reading,
    rates,
    history: {
      outbound: longer(state.history.outbound, rates?.bits.outbound),
      inbound: longer(state.history.inbound, rates?.bits.inbound),
    },
    trouble: null,
  };
}

/** Null where there is nothing to compare: the gateway was started anew. */
function ratesOf(before: Reading, now: Reading): Rates | null {
  const seconds = (now.at - before.at) / 1000;
  const [was, is] = [before.status.nat, now.status.nat];
  if (seconds <= 0 || is.packets.in < was.packets.in || is.sessions.created < was.sessions.created)
    return null;
  const rate = (from: number, to: number) => Math.max(0, to - from) / seconds;
  const ended = ({ expired, deleted, evicted }: typeof is.sessions) => expired + deleted + evicted;
  const drops = Object.entries(is.drops).map(([reason, count]) => [
    reason,
    rate(was.drops[reason as DropReason] ?? 0, count),
  ]);
  return {
    bits: {
      outbound: 8 * rate(was.bytes.outbound, is.bytes.outbound),
      inbound: 8 * rate(was.bytes.inbound, is.bytes.inbound),
    },
    packets: {
      outbound: rate(was.packets.outbound, is.packets.outbound),
      inbound: rate(was.packets.inbound, is.packets.inbound),
    },
    sessions: {
      created: rate(was.sessions.created, is.sessions.created),
      ended: rate(ended(was.sessions), ended(is.sessions)),
    },
    drops: Object.fromEntries(drops),
  };
}

/** What names a session, and stays while it moves in the list. */
export function flowOf({ protocol, inside, remote }: TopSession): string {
  return `${protocol} ${inside.address}:${inside.port} ${remote.address}:${remote.port}`;
}

/** What is to be done outside of the state. */
export type Action =
  | { readonly kind: "quit" }
  /** Ask anew at once: what is asked for has changed. */
  | { readonly kind: "ask" }
  | { readonly kind: "kill"; readonly session: TopSession };

/** A key, as readline names it; `text` is what it types. */
export interface Key {
  readonly name: string;
  readonly text: string;
  readonly ctrl: boolean;
}

/** What a key does. */
export function press(state: WatchState, key: Key): [WatchState, Action | null] {
  if (key.ctrl && key.name === "c") return [state, { kind: "quit" }];
  const { mode } = state;
  const view = { ...state, mode: { kind: "view" }, note: null } as const;
  switch (mode.kind) {
    case "help":
      return [view, null];
    case "kill":
      return key.name === "y" ? [view, { kind: "kill", session: mode.session }] : [view, null];
    case "filter":
      return typed(view, mode.text, key);
    default:
      return pressed(view, key);
  }
}

function typed(view: WatchState, text: string, key: Key): [WatchState, Action | null] {
  const typing = (next: string): [WatchState, null] => [
    { ...view, mode: { kind: "filter", text: next } },
    null,
  ];
  switch (key.name) {
    case "return":
    case "enter":
      return applied(
        view,
        text.split(/\s+/).filter((term) => term !== ""),
      );
    case "escape":
      return [view, null];
    case "backspace":
      return typing(text.slice(0, -1));
    default:
      if (key.ctrl && key.name === "u") return typing("");
      return /^[\x20-\x7e]+$/.test(key.text) ? typing(text + key.text) : typing(text);
  }
}

/** A filter that says nothing leaves the one before. */
function applied(view: WatchState, filter: readonly string[]): [WatchState, Action | null] {
  try {
    sessionFilter(filter);
  } catch (error) {
    return [{ ...view, note: (error as Error).message }, null];
  }
  return [{ ...view, filter }, { kind: "ask" }];
}

function pressed(view: WatchState, key: Key): [WatchState, Action | null] {
  switch (key.name) {
    case "q":
      return [view, { kind: "quit" }];
    case "h":
      return [{ ...view, mode: { kind: "help" } }, null];
    case "p":
      return view.isPaused
        ? [{ ...view, isPaused: false }, { kind: "ask" }]
        : [{ ...view, isPaused: true }, null];
    case "s": {
      const next = TOP_ORDERS[(TOP_ORDERS.indexOf(view.sort) + 1) % TOP_ORDERS.length]!;
      return [{ ...view, sort: next }, { kind: "ask" }];
    }
    case "up":
      return [moved(view, -1), null];
    case "down":
      return [moved(view, 1), null];
    case "escape":
      return [{ ...view, selected: null }, null];
    case "k": {
      const session = selectedSession(view);
      if (session === null) return [{ ...view, note: "select a session first, with the arrows" }, null];
      return [{ ...view, mode: { kind: "kill", session } }, null];
    }
    default:
      if (key.text === "/") return [{ ...view, mode: { kind: "filter", text: view.filter.join(" ") } }, null];
      if (key.text === "?") return [{ ...view, mode: { kind: "help" } }, null];
      return [view, null];
  }
}

/** The selected session, if it is in the list. */
export function selectedSession({ top, selected }: WatchState): TopSession | null {
  return top?.sessions.find((session) => flowOf(session) === selected) ?? null;
}

function moved(state: WatchState, by: number): WatchState {
  const sessions = state.top?.sessions ?? [];
  const at = sessions.findIndex((session) => flowOf(session) === state.selected);
  const next = sessions[at === -1 ? 0 : Math.min(Math.max(at + by, 0), sessions.length - 1)];
  return { ...state, selected: next === undefined ? null : flowOf(next) };
}
