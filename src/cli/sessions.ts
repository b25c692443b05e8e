// `napt sessions`: the sessions of a running gateway.
import { setTimeout as sleep } from "node:timers/promises";
import { type Command, InvalidArgumentError, Option } from "commander";
import { First, SESSION_ORDERS, type SessionOrder } from "../control/session-order.js";
import type { LostEvents, ToldEvent } from "../control/told-events.js";
import type { ToldSession } from "../control/told-session.js";
import type { NatEventType, SESSION_EVENTS } from "../events/event.js";
import { ask, askOnce, controlOption } from "./control-client.js";
import { CSV_END, CSV_HEADER, conntrackLine, csvLine } from "./session-lines.js";

interface SessionsOptions {
  readonly control: string;
  readonly json?: true;
  readonly csv?: true;
  readonly sort?: SessionOrder;
  readonly reverse?: true;
  readonly limit: number;
  readonly count?: true;
  readonly follow?: true;
  readonly watch?: true;
  readonly kill?: true;
}

type Query = readonly (readonly [string, string])[];

const WATCH_EVERY = 1000;

/** Events that --follow tells of, by the name that conntrack has for such. */
const FOLLOWED: Partial<Record<NatEventType, string>> = {
  "session-opened": "[NEW]",
  "session-established": "[UPDATE]",
  "session-closed": "[UPDATE]",
  "session-expired": "[DESTROY]",
  "session-evicted": "[DESTROY]",
  "session-deleted": "[DESTROY]",
} satisfies Partial<Record<(typeof SESSION_EVENTS)[number], string>>;

export function registerSessions(program: Command): void {
  program
    .command("sessions")
    .summary("the sessions of a running gateway")
    .description(
      "Lists the sessions of a running gateway that fit all filters, one a line, as `conntrack -L` does. A filter is " +
        "a protocol (tcp), a state (established, time-wait), an address or prefix (192.168.226.0/24), an endpoint " +
        "(203.0.113.8:443) or a port (:443) of any of their ends, a mark (assured, unreplied, permanent, outbound, " +
        "inbound, hairpin), or a comparison of age, idle, expires (60, 5m, 2h), packets or bytes (1000, 1.5M); with " +
        "! before it, what does not fit. Quote what has <, > or ! for the shell.",
    )
    .argument("[filter...]", "what they have to fit, all of it")
    .addOption(controlOption())
    .addOption(new Option("--json", "print one JSON object a line"))
    .addOption(new Option("--csv", "print CSV, with a header line").conflicts(["json", "follow"]))
    .addOption(
      new Option("--sort <key>", "sort them; otherwise they come in no order").choices(
        Object.keys(SESSION_ORDERS),
      ),
    )
    .option("--reverse", "sort the other way round")
    .option("--limit <n>", "print so many at most", toLimit, Number.POSITIVE_INFINITY)
    .addOption(
      new Option("--count", "print only how many there are").conflicts(["csv", "sort", "limit", "kill"]),
    )
    .addOption(
      new Option("--follow", "print each as it opens, is established, closes and ends").conflicts([
        "sort",
        "watch",
        "count",
        "kill",
      ]),
    )
    .addOption(new Option("--watch", "print them anew every second").conflicts("kill"))
    .addOption(new Option("--kill", "end them; needs a filter").conflicts(["csv", "sort", "limit"]))
    .addHelpText(
      "after",
      `
Lines: protocol, its number, seconds left, TCP state; source, destination, packets and bytes of the
direction of who began it, then of the reply; [UNREPLIED] and [ASSURED] as conntrack has them,
[PERMANENT] (of a forward or 1:1 mapping), [HAIRPIN], [MAPPING] (a host asked for it, of no remote).

Examples:
  napt sessions udp :53
  napt sessions --sort bytes --limit 10
  napt sessions tcp '!established' 'age>5m'
  napt sessions 192.168.226.135 established --kill
  napt sessions --follow --json tcp

Exit status: 0 done, 1 no gateway answers, 2 wrong usage.`,
    )
    .action(runSessions);
}

async function runSessions(filter: string[], options: SessionsOptions, command: Command): Promise<void> {
  const { json, reverse, sort, follow, kill, watch } = options;
  const query = filter.map((term) => ["q", term] as const);
  if (reverse && sort === undefined) command.error("error: --reverse needs --sort");
  if (kill) {
    if (filter.length === 0) command.error("error: --kill needs a filter; 0.0.0.0/0 fits all");
    const call = { method: "DELETE", query } as const;
    const { ended } = await askOnce<{ ended: number }>(options.control, "/sessions", call);
    print(json ? JSON.stringify({ ended }) : `${ended} ended`);
    return;
  }
  if (follow) return followSessions(query, options);
  for (;;) {
    const lines: string[] = [];
    for await (const line of listed(query, options)) {
      if (watch) lines.push(line);
      else await print(line, options.csv ? CSV_END : "\n");
    }
    if (!watch) return;
    if (process.stdout.isTTY) process.stdout.write("\x1b[H\x1b[2J");
    await print(lines.join(options.csv ? CSV_END : "\n"));
    await sleep(WATCH_EVERY);
  }
}

/** The lines of those there are now. Only to be sorted are they held in memory, no more of them than are wanted. */
async function* listed(query: Query, options: SessionsOptions): AsyncIterable<string> {
  const { control, json, csv, sort, reverse = false, limit, count } = options;
  const lineOf = json ? JSON.stringify : csv ? csvLine : conntrackLine;
  const sessions = ask(control, "/sessions", { query }) as AsyncIterable<ToldSession>;
  if (count) {
    let sum = 0;
    for await (const _ of sessions) sum++;
    yield json ? JSON.stringify({ count: sum }) : String(sum);
    return;
  }
  if (csv) yield CSV_HEADER;
  if (sort === undefined) {
    let left = limit;
    for await (const session of sessions) {
      yield lineOf(session);
      if (--left <= 0) return;
    }
    return;
  }
  const { key, descending } = SESSION_ORDERS[sort];
  const first = new First<ToldSession>(limit, descending !== reverse);
  for await (const session of sessions) first.add(key(session), session);
  for (const session of first.all()) yield lineOf(session);
}

async function followSessions(query: Query, { control, json, limit }: SessionsOptions): Promise<void> {
  const types = Object.keys(FOLLOWED).map((type) => ["type", type] as const);
  let left = limit;
  for await (const event of ask(control, "/events", { query: [...types, ...query] })) {
    await print(json ? JSON.stringify(event) : eventLine(event as ToldEvent | LostEvents));
    if (--left <= 0) return;
  }
}

/** As `conntrack -E` prints them, after the time of day; what happened stands at the end where that tells more. */
function eventLine(event: ToldEvent | LostEvents): string {
  if (event.type === "lost") return `lost: ${event.count}, as they came faster than they are read here`;
  if (!("session" in event)) return JSON.stringify(event);
  const time = new Date(event.at).toISOString().slice(11, 23);
  const name = FOLLOWED[event.type] ?? `[${event.type}]`;
  const what = event.type.slice("session-".length);
  return `${time} ${name.padStart(9)} ${conntrackLine(event.session)} ${what}`;
}

function toLimit(text: string): number {
  if (!/^[1-9][0-9]{0,8}$/.test(text)) throw new InvalidArgumentError("give a number from 1");
  return Number(text);
}

/** Writes a line, at the pace of who reads it. */
async function print(text: string, end = "\n"): Promise<void> {
  if (text === "" || process.stdout.write(`${text}${end}`)) return;
  await new Promise((resolve) => process.stdout.once("drain", resolve));
}
