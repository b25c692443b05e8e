// `napt watch`: a gateway on a screen, live.
import { setTimeout as sleep } from "node:timers/promises";
import { type Command, Option } from "commander";
import { TOP_ORDERS, type Top, type TopOrder, type TopSession } from "../../control/top.js";
import { NatError } from "../../errors.js";
import { askOnce, controlOption } from "../control-client.js";
import { onEndSignal } from "../signals.js";
import { paintFor } from "../style.js";
import { Screen } from "./screen.js";
import { flowOf, type Key, newWatch, press, type Reading, type WatchState, withReading } from "./state.js";
import { draw } from "./view.js";

interface WatchOptions {
  readonly control: string;
  readonly sort: TopOrder;
  readonly once?: true;
}

const EVERY = 1000;
/** Sessions and addresses that are asked for: a tall terminal shows no more. */
const MOST = 100;
/** Of a frame that is printed, where nothing tells the size. */
const FRAME = { columns: 100, rows: 40 };

export function registerWatch(program: Command): void {
  program
    .command("watch")
    .summary("a running gateway on a screen, live")
    .description(
      "Shows how a running gateway fares, anew every second: rates, sessions by protocol and state, ports in use, " +
        "drops, and who uses it most. Filters are those of `napt sessions`.",
    )
    .argument("[filter...]", "what sessions have to fit, all of it; hosts and remotes are theirs")
    .addOption(controlOption())
    .addOption(new Option("--sort <key>", "what sessions are sorted by").choices(TOP_ORDERS).default("rate"))
    .option("--once", "print one frame as text, after a second for the rates")
    .addHelpText(
      "after",
      `
Keys: q quit, s sort by the next key, p pause, / filter, arrows select a session, k kill it (asks),
h help.

Examples:
  napt watch
  napt watch tcp 192.168.226.0/24 --sort bytes
  napt watch --once | mail -s "the gateway" admin@example.net

Exit status: 0 ended, 1 no gateway answers, 2 wrong usage, or this is no terminal.`,
    )
    .action(runWatch);
}

async function runWatch(filter: string[], { control, sort, once }: WatchOptions): Promise<void> {
  const { stdin, stdout } = process;
  let state = newWatch(filter, sort);
  const look = async () => {
    state = { ...state, top: await askTop(control, state) };
    state = withReading(state, await askReading(control));
  };
  if (once) {
    await look();
    await sleep(EVERY);
    await look();
    const size = { columns: stdout.columns ?? FRAME.columns, rows: stdout.rows ?? FRAME.rows };
    const lines = draw(state, size, paintFor(stdout)).slice(0, -1); // without the line of keys
    stdout.write(`${lines.join("\n").trimEnd()}\n`);
    return;
  }
  if (!stdin.isTTY || !stdout.isTTY) {
    throw new NatError("NAT_ERR_ARGUMENT", "napt watch needs a terminal; --once prints one frame as text");
  }
  // Before the screen is taken, so that what is wrong is told on the one that stays.
  await look();
  await new Live(control, state).run();
}

/** The screen from its beginning to its end. */
class Live {
  readonly #control: string;
  readonly #paint = paintFor(process.stdout);
  readonly #end = new AbortController();
  #state: WatchState;
  #screen: Screen | null = null;

  constructor(control: string, state: WatchState) {
    this.#control = control;
    this.#state = state;
  }

  async run(): Promise<void> {
    const { signal } = this.#end;
    const end = () => this.#end.abort();
    onEndSignal(end, ["SIGINT", "SIGTERM", "SIGHUP"]);
    process.stdin.once("end", end);
    const show = () => this.#put(this.#state);
    this.#screen = new Screen(process.stdin, process.stdout, (key) => this.#press(key), show);
    try {
      show();
      // A large table is looked at more rarely than figures are read.
      const reading = this.#repeat(async () =>
        this.#put(withReading(this.#state, await askReading(this.#control, signal))),
      );
      const top = this.#repeat(() => this.#look());
      await Promise.all([reading, top]);
    } finally {
      this.#screen.close();
    }
  }

  #put(state: WatchState): void {
    this.#state = state;
    if (!this.#end.signal.aborted) this.#screen?.show(draw(state, this.#screen.size, this.#paint));
  }

  #press(key: Key): void {
    const [state, action] = press(this.#state, key);
    this.#put(state);
    if (action?.kind === "quit") this.#end.abort();
    else if (action?.kind === "ask") void this.#try(() => this.#look());
    else if (action?.kind === "kill") void this.#try(() => this.#kill(action.session));
  }

  /** Does something every second until the end, unless it is paused. */
  async #repeat(what: () => Promise<void>): Promise<void> {
    while (!this.#end.signal.aborted) {
      await sleep(EVERY, undefined, { signal: this.#end.signal }).catch(() => {});
      if (!this.#end.signal.aborted && !this.#state.isPaused) await this.#try(what);
    }
  }

  async #look(): Promise<void> {
    const asked = this.#state;
    const top = await askTop(this.#control, asked, this.#end.signal);
    const { filter, sort } = this.#state;
    // Keys may have changed what is asked for, meanwhile.
    if (filter === asked.filter && sort === asked.sort) this.#put({ ...this.#state, top });
  }

  async #kill(session: TopSession): Promise<void> {
    const query = [["flow", flowOf(session)] as const];
    const call = { method: "DELETE", query, signal: this.#end.signal } as const;
    const { ended } = await askOnce<{ ended: number }>(this.#control, "/sessions", call);
    this.#put({ ...this.#state, note: ended === 0 ? "it had ended already" : "killed" });
    await this.#look();
  }

  async #try(what: () => Promise<void>): Promise<void> {
    try {
      await what();
    } catch {
      // It may come back.
      this.#put({ ...this.#state, trouble: "no answer" });
    }
  }
}

/** Who uses the gateway most. */
function askTop(control: string, { filter, sort }: WatchState, signal?: AbortSignal): Promise<Top> {
  const query = [
    ["sort", sort],
    ["limit", String(MOST)],
    ...filter.map((term) => ["q", term] as const),
  ] as const;
  return askOnce<Top>(control, "/top", { query, ...(signal && { signal }) });
}

/** How it fares. */
function askReading(control: string, signal?: AbortSignal): Promise<Reading> {
  return askOnce<Reading>(control, "/reading", signal && { signal });
}
