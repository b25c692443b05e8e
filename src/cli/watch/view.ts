// Draws `napt watch`: from its state to the lines of a screen. No terminal is needed for that.

import type { Top, TopAddress, TopOrder, TopSession } from "../../control/top.js";
import { PORT_PROTOCOLS, type PortUse } from "../../metrics/census.js";
import type { SessionEndpoint } from "../../session.js";
import { count, duration, measure, short } from "../figures.js";
import type { Paint } from "../style.js";
import { flowOf, type Reading, selectedSession, type WatchState } from "./state.js";

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** A piece of a line in one style. */
type Piece = readonly [text: string, style?: Parameters<Paint>[0]];
type Line = readonly Piece[];

const LABEL = 10;
const SPARKS = "▁▂▃▄▅▆▇█";

const KEYS = [
  ["q", "quit"],
  ["s", "sort sessions by the next of rate, bytes, packets, age, idle, expires"],
  ["p", "pause, and go on"],
  ["/", "filter: terms as of `napt sessions`, such as tcp 192.168.226.0/24 !:443; Enter applies"],
  ["up, down", "select a session; Esc lets it go"],
  ["k", "kill the selected session: asks first"],
  ["h", "this help"],
] as const;

/** The lines of a screen, no longer and no more than fit. */
export function draw(state: WatchState, { columns, rows }: Size, paint: Paint): string[] {
  const body = state.mode.kind === "help" ? helpLines() : bodyLines(state, { columns, rows: rows - 1 });
  const lines = body.slice(0, Math.max(0, rows - 1));
  while (lines.length < rows - 1) lines.push([]);
  return [...lines, footer(state)].slice(-rows).map((line) => painted(line, columns, paint));
}

/** Cuts a line to the width, and paints it. */
function painted(line: Line, columns: number, paint: Paint): string {
  let left = columns;
  let text = "";
  for (const [piece, style] of line) {
    const cut = piece.slice(0, left);
    left -= cut.length;
    text += style === undefined ? cut : paint(style, cut);
    if (left === 0) break;
  }
  return text;
}

function bodyLines(state: WatchState, size: Size): Line[] {
  const { reading, trouble } = state;
  if (reading === null)
    return [[[trouble ?? "the first reading is on its way", trouble === null ? "dim" : "red"]]];
  const spare = Math.max(0, size.rows - 16);
  const hosts = Math.min(10, Math.max(0, Math.floor((size.rows - 11) / 3)));
  const above = [
    header(state, reading, size),
    ...rateLines(state, size),
    sessionsLine(state, reading),
    ...portLines(reading, size, 1 + Math.floor(spare / 8)),
    dropsLine(state, reading),
    ...noticeLines(reading, 1 + Math.floor(spare / 12)),
    ...addressLines(state.top, size, hosts),
  ];
  return [...above, ...sessionLines(state, size.columns, size.rows - above.length)];
}

function header({ isPaused, trouble }: WatchState, { status, wall }: Reading, { columns }: Size): Line {
  const side = ({ interface: name, address, up }: Reading["status"]["inside"]): Line => [
    [`  ${name} ${address}`],
    up ? ["", "green"] : [" down", "red"],
  ];
  const line: Piece[] = [["napt watch", "bold"], ...side(status.inside), ...side(status.outside)];
  line.push(status.running ? [`  up ${duration(status.uptime)}`] : ["  does not run", "red"]);
  if (trouble !== null) line.push([`  ${trouble}`, "red"]);
  else if (isPaused) line.push(["  paused", "yellow"]);
  const time = new Date(wall).toTimeString().slice(0, 8);
  const room = columns - line.reduce((width, [text]) => width + text.length, 0) - time.length;
  if (room >= 2) line.push([" ".repeat(room)], [time, "dim"]);
  return line;
}

function rateLines({ rates, history }: WatchState, { columns }: Size): Line[] {
  const line = (label: string, direction: "outbound" | "inbound"): Line => {
    const bits = rates === null ? "-" : measure(rates.bits[direction], "bit/s");
    const packets = rates === null ? "-" : `${short(rates.packets[direction])} packets/s`;
    const room = Math.max(0, columns - LABEL - 34);
    return [
      [label.padEnd(LABEL), "dim"],
      [bits.padStart(13), "bold"],
      [packets.padStart(18)],
      ["   "],
      [sparkline(history[direction].slice(-room)), "cyan"],
    ];
  };
  return [line("out", "outbound"), line("in", "inbound")];
}

/** The largest of the values is as high as there is. */
export function sparkline(values: readonly number[]): string {
  const most = Math.max(1, ...values);
  return values.map((value) => SPARKS[Math.round((value / most) * (SPARKS.length - 1))]).join("");
}

function sessionsLine({ rates }: WatchState, { status, sessionsLimit, sessions }: Reading): Line {
  const limit = sessionsLimit === 0 ? "" : ` of ${short(sessionsLimit)}`;
  const change =
    rates === null ? "" : `, +${short(rates.sessions.created)} -${short(rates.sessions.ended)} /s`;
  const named = [...sessions]
    .sort((a, b) => b.count - a.count)
    .map(
      ({ protocol, state, count: number }) =>
        `${protocol}${state === null ? "" : ` ${state}`} ${short(number)}`,
    );
  return [
    ["sessions".padEnd(LABEL), "dim"],
    [count(status.nat.sessions.active), "bold"],
    [`${limit}${change}`],
    [named.length === 0 ? "" : `: ${named.join(", ")}`],
  ];
}

/** A line for each of the fullest addresses. */
function portLines({ ports, addresses }: Reading, { columns }: Size, most: number): Line[] {
  const named = ports.slice(0, most);
  const more = addresses - named.length;
  const lines = named.map((use, index): Line => {
    const used = PORT_PROTOCOLS.filter(
      (protocol) => use.used[protocol] > 0 || protocol === "tcp" || protocol === "udp",
    );
    const shown = used.slice(0, Math.max(1, Math.floor((columns - LABEL - 16) / 26)));
    return [
      [(index === 0 ? "ports" : "").padEnd(LABEL), "dim"],
      [use.address.padEnd(16)],
      ...shown.flatMap((protocol) => bar(use, protocol)),
      [index === named.length - 1 && more > 0 ? `+${count(more)} more` : "", "dim"],
    ];
  });
  return lines.length > 0 ? lines : [[["ports".padEnd(LABEL), "dim"], ["none to hand out"]]];
}

/** "tcp ████░░░░░░  12 % " */
function bar({ used, ports }: PortUse, protocol: (typeof PORT_PROTOCOLS)[number]): Line {
  const share = ports === 0 ? 0 : Math.min(1, used[protocol] / ports);
  // What is not empty shows, and what is not full does, too.
  const full = share === 1 ? 10 : Math.min(9, Math.ceil(share * 10));
  const style = share >= 0.9 ? "red" : share >= 0.7 ? "yellow" : "green";
  const percent = share > 0 && share < 0.01 ? "<1" : (share * 100).toFixed(0);
  return [
    [`${protocol} `, "dim"],
    ["█".repeat(full), style],
    ["░".repeat(10 - full), "dim"],
    [`${percent.padStart(4)} %   `],
  ];
}

function dropsLine({ rates }: WatchState, { status }: Reading): Line {
  const all = Object.entries(status.nat.drops) as [keyof typeof status.nat.drops, number][];
  const rateOf = (reason: (typeof all)[number][0]) => rates?.drops[reason] ?? 0;
  // What happens now comes first.
  all.sort(([a, most], [b, more]) => rateOf(b) - rateOf(a) || more - most);
  const named = all.map(([reason, number]) => {
    const now = rateOf(reason);
    return `${reason} ${short(number)}${now > 0 ? ` (${short(now)}/s)` : ""}`;
  });
  return [["drops".padEnd(LABEL), "dim"], [named.length === 0 ? "none" : named.join(", ")]];
}

function noticeLines({ notices, wall }: Reading, most: number): Line[] {
  return notices.slice(0, most).map(
    ({ at, text }, index): Line => [
      [(index === 0 ? "notices" : "").padEnd(LABEL), "dim"],
      [`${duration((wall - at) / 1000)} ago: ${text}`, "yellow"],
    ],
  );
}

/** Hosts and remotes, side by side. */
function addressLines(top: Top | null, { columns }: Size, most: number): Line[] {
  if (most === 0 || top === null) return [];
  const half = Math.floor(columns / 2);
  const title = (name: string): Piece => [addressRow([name, "out", "in", "sessions"]).padEnd(half), "bold"];
  const row = (one: TopAddress | undefined): string =>
    one === undefined
      ? ""
      : addressRow([one.address, short(one.rate.outbound), short(one.rate.inbound), short(one.sessions)]);
  const length = Math.min(most, Math.max(top.hosts.length, top.remotes.length));
  const rows = Array.from(
    { length },
    (_, i): Line => [[row(top.hosts[i]).padEnd(half)], [row(top.remotes[i])]],
  );
  return [[title("HOSTS, bit/s"), title("REMOTES, bit/s")], ...rows];
}

/** 39 columns, so that two are next to each other on the narrowest usual terminal. */
function addressRow([name, out, back, sessions]: readonly [string, string, string, string]): string {
  return `${name.padEnd(15)} ${out.padStart(7)} ${back.padStart(6)} ${sessions.padStart(8)}`;
}

interface Column {
  readonly title: string;
  readonly width: number;
  readonly text: (session: TopSession) => string;
}

const at = ({ address, port }: SessionEndpoint) => `${address}:${port}`;

const FIRST: readonly Column[] = [
  { title: "", width: -4, text: ({ protocol }) => protocol.slice(0, 4) },
  { title: "", width: -11, text: ({ state, hairpin }) => state ?? (hairpin ? "hairpin" : "") },
  { title: "inside", width: -21, text: ({ inside }) => at(inside) },
  // Who began it.
  { title: "", width: -1, text: ({ direction }) => (direction === "outbound" ? ">" : "<") },
  { title: "remote", width: -21, text: ({ remote }) => at(remote) },
];

const OUT: Column = { title: "bit/s >", width: 7, text: ({ rate }) => short(rate.outbound) };
const IN: Column = { title: "<", width: 6, text: ({ rate }) => short(rate.inbound) };
const BYTES: Column = {
  title: "bytes",
  width: 7,
  text: ({ bytes }) => short(bytes.outbound + bytes.inbound),
};
const PACKETS: Column = {
  title: "packets",
  width: 7,
  text: ({ packets }) => short(packets.outbound + packets.inbound),
};
const AGE: Column = { title: "age", width: 9, text: ({ age }) => duration(age).replace(/ (?=[a-z])/g, "") };
const IDLE: Column = {
  title: "idle",
  width: 9,
  text: ({ idle }) => duration(idle).replace(/ (?=[a-z])/g, ""),
};
const EXPIRES: Column = {
  title: "expires",
  width: 9,
  text: ({ expiresIn }) => (expiresIn === null ? "-" : duration(expiresIn).replace(/ (?=[a-z])/g, "")),
};
const PUBLIC: Column = { title: "public", width: -21, text: (session) => at(session.public) };

/** What the list is sorted by is to be seen, however narrow the screen. */
const SORTED: Readonly<Record<TopOrder, readonly Column[]>> = {
  rate: [OUT, IN],
  bytes: [BYTES],
  packets: [PACKETS],
  age: [AGE],
  idle: [IDLE],
  expires: [EXPIRES],
};
const OTHERS = [OUT, IN, BYTES, PACKETS, PUBLIC, IDLE, AGE, EXPIRES];

function sessionLines(state: WatchState, columns: number, rows: number): Line[] {
  const { top } = state;
  if (rows < 2 || top === null) return [];
  const shown = [...FIRST];
  let left = columns - 1 - widthOf(FIRST);
  for (const column of new Set([...SORTED[state.sort], ...OTHERS])) {
    const width = 1 + Math.abs(column.width);
    if (width > left) continue;
    shown.push(column);
    left -= width;
  }
  const row = (text: (column: Column) => string) =>
    shown
      .map((column) => {
        const width = Math.abs(column.width);
        const cell = text(column).slice(0, width);
        return column.width < 0 ? cell.padEnd(width) : cell.padStart(width);
      })
      .join(" ");
  const title = row(({ title: text }) => text);
  const selected = selectedSession(state);
  // The selected one is on the screen.
  const index = selected === null ? 0 : top.sessions.indexOf(selected);
  const from = Math.max(0, index - (rows - 2));
  return [
    [[` SESSIONS${title.slice(8)}`, "bold"]],
    ...top.sessions.slice(from, from + rows - 1).map((session): Line => {
      const text = row((column) => column.text(session));
      return flowOf(session) === state.selected ? [[`>${text}`.padEnd(columns), "inverse"]] : [[` ${text}`]];
    }),
    ...(top.sessions.length === 0
      ? [[[` none${state.filter.length === 0 ? "" : " fits the filter"}`, "dim"] as Piece]]
      : []),
  ];
}

function widthOf(columns: readonly Column[]): number {
  return columns.reduce((sum, { width }) => sum + 1 + Math.abs(width), 0);
}

function footer({ mode, note, filter, top, isPaused, sort }: WatchState): Line {
  switch (mode.kind) {
    case "help":
      return [["any key goes back", "dim"]];
    case "filter":
      return [["filter: ", "bold"], [mode.text], ["_"], ["   Enter applies, Esc leaves it as it was", "dim"]];
    case "kill": {
      const { protocol, inside, remote } = mode.session;
      return [[`kill ${protocol} ${at(inside)} > ${at(remote)}? y or n`, "yellow"]];
    }
    default:
      if (note !== null) return [[note, "yellow"]];
      return [
        [`q quit  s sort (${sort})  p ${isPaused ? "go on" : "pause"}`, "dim"],
        ["  / filter  arrows select  k kill  h help", "dim"],
        ...(filter.length === 0
          ? []
          : [[`  filter: ${filter.join(" ")} (${count(top?.fitting ?? 0)} fit)`, "cyan"] as Piece]),
      ];
  }
}

function helpLines(): Line[] {
  return [
    [["napt watch", "bold"]],
    [],
    ...KEYS.map(([key, what]): Line => [[`  ${key.padEnd(10)}`, "bold"], [what]]),
    [],
    [["Rates are of the time since the reading before; hosts and remotes come by theirs, then by"]],
    [["sessions. out is what inside hosts send. > began inside, < outside. Bars: ports in use."]],
  ];
}
