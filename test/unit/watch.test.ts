// What `napt watch` draws, and what its keys do: no terminal, no gateway.
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { describe, test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import fc from "fast-check";
import { count, duration, measure, short } from "../../src/cli/figures.js";
import { type Paint, plain } from "../../src/cli/style.js";
import {
  flowOf,
  newWatch,
  press,
  type Reading,
  type WatchState,
  withReading,
} from "../../src/cli/watch/state.js";
import { draw, sparkline } from "../../src/cli/watch/view.js";
import { toldSession } from "../../src/control/told-session.js";
import type { Top, TopAddress, TopSession } from "../../src/control/top.js";
import { Gateway, type GatewayStatus, type NatStats } from "../../src/index.js";
import { base } from "../support/config.js";
import { NOW, session } from "../support/sessions.js";

function status(nat: Partial<NatStats> = {}): GatewayStatus {
  using gateway = new Gateway({
    ...base,
    gateway: {
      inside: { interface: "lan0", address: "192.168.226.2/24" },
      outside: { interface: "wan0", address: "203.0.113.1/24" },
    },
  });
  const idle = gateway.status;
  const up = { running: true, uptime: 93_784, inside: { ...idle.inside, up: true } };
  return { ...idle, ...up, outside: { ...idle.outside, up: true }, nat: { ...idle.nat, ...nat } };
}

const idle = status();

/** A status with the NAT's figures so much further. */
function later(
  bytes: number,
  packets: number,
  drops: NatStats["drops"] = {},
  made = 0,
  ended = 0,
): GatewayStatus {
  return {
    ...idle,
    nat: {
      ...idle.nat,
      packets: { ...idle.nat.packets, in: packets, outbound: packets, inbound: 2 * packets },
      bytes: { ...idle.nat.bytes, outbound: bytes, inbound: 2 * bytes },
      sessions: { ...idle.nat.sessions, active: 1234, created: made, expired: ended },
      drops,
    },
  };
}

function reading(at: number, other: Partial<Reading> = {}): Reading {
  return {
    at,
    wall: Date.UTC(2026, 0, 1) + at,
    status: later(0, 0),
    sessionsLimit: 1_048_576,
    sessions: [
      { protocol: "udp", state: null, count: 34 },
      { protocol: "tcp", state: "established", count: 1200 },
    ],
    ports: [
      {
        address: "203.0.113.1",
        ports: 1000,
        used: { tcp: 920, udp: 1, icmp: 0, udplite: 0, dccp: 0, gre: 0 },
        blocks: 0,
        blocksUsed: 0,
      },
    ],
    addresses: 1,
    notices: [],
    ...other,
  };
}

const flows = [4000, 4001, 4002].map(
  (port): TopSession => ({
    ...toldSession(session({ inside: { address: "192.168.226.135", port } }), NOW),
    rate: { outbound: 8000, inbound: 2_500_000, packets: 100 },
  }),
);
const host: TopAddress = {
  address: "192.168.226.135",
  sessions: 3,
  rate: { outbound: 1, inbound: 2e6, packets: 3 },
};
const top: Top = {
  seconds: 1,
  fitting: 3,
  sessions: flows,
  hosts: [host],
  remotes: [{ ...host, address: "198.51.100.7" }],
};

/** After two readings a second apart. */
function running(): WatchState {
  const first = withReading({ ...newWatch(), top }, reading(0));
  const drops = { "no-mapping": 30, filtered: 100 };
  return withReading(first, reading(2000, { status: later(1_000_000, 500, drops, 20, 6) }));
}

const screen = (state: WatchState, columns = 100, rows = 30) => draw(state, { columns, rows }, plain);
const lineOf = (state: WatchState, word: string) => screen(state).find((line) => line.includes(word)) ?? "";
const key = (name: string, text = name) => ({ name, text, ctrl: false });
const after = (state: WatchState, ...keys: ReturnType<typeof key>[]) =>
  keys.reduce((before, one) => press(before, one)[0], state);

describe("a frame", () => {
  test("has the rates between the last two readings, and their history", () => {
    match(lineOf(running(), "out  "), /^out +4\.00 Mbit\/s +250 packets\/s +█$/);
    match(lineOf(running(), "in  "), /^in +8\.00 Mbit\/s +500 packets\/s +█$/);
    match(lineOf(withReading(newWatch(), reading(0)), "out  "), /^out +- +- +$/);
  });

  test("has sessions by kind, the largest first, and how many come and go", () => {
    equal(
      lineOf(running(), "sessions "),
      "sessions  1,234 of 1.05 M, +10 -3 /s: tcp established 1.20 k, udp 34",
    );
  });

  test("has drops, those that happen now first", () => {
    const more = reading(3000, { status: later(1_000_000, 500, { "no-mapping": 80, filtered: 100 }, 20) });
    match(lineOf(withReading(running(), more), "drops"), /^drops +no-mapping 80 \(50\/s\), filtered 100$/);
    match(lineOf(withReading(newWatch(), reading(0)), "drops"), /none$/);
  });

  test("has ports in use as bars that show what is not empty and what is not full", () => {
    match(lineOf(running(), "ports"), /^ports +203\.0\.113\.1 +tcp █████████░ +92 % +udp █░░░░░░░░░ +<1 %/);
    match(lineOf(withReading(newWatch(), reading(0, { ports: [] })), "ports"), /none to hand out$/);
    const many = withReading(newWatch(), reading(0, { addresses: 300 }));
    match(lineOf(many, "ports"), /\+299 more$/);
  });

  test("has notices with their age, where there are any", () => {
    const notices = [{ at: Date.UTC(2026, 0, 1) - 61_000, text: "lan0 went away" }];
    const state = withReading(newWatch(), reading(0, { notices }));
    match(lineOf(state, "notices"), /^notices +1 min 1 s ago: lan0 went away$/);
    equal(lineOf(running(), "notices"), "");
  });

  test("has hosts, remotes and sessions, and the way each began", () => {
    match(
      lineOf(running(), "HOSTS"),
      /^HOSTS, bit\/s +out +in sessions +REMOTES, bit\/s +out +in sessions *$/,
    );
    match(
      lineOf(running(), "198.51.100.7  "),
      /^192\.168\.226\.135 +1 2\.00 M +3 +198\.51\.100\.7 +1 2\.00 M +3$/,
    );
    const row = lineOf(running(), ":4000 ");
    match(row, /^ tcp +established 192\.168\.226\.135:4000 +> 198\.51\.100\.7:443 +8\.00 k 2\.50 M/);
    const inbound = { ...top, sessions: [{ ...flows[0]!, direction: "inbound" } as const] };
    match(lineOf({ ...running(), top: inbound }, ":4000 "), /:4000 +< 198/);
  });

  test("shows what sessions are sorted by, also where there is little room", () => {
    for (const [sort, shown] of [
      ["bytes", "1.20 M"],
      ["packets", "5"],
      ["age", "1min 30s"],
      ["idle", "20s"],
      ["expires", "2h 3min"],
    ] as const) {
      const lines = screen({ ...running(), sort }, 80, 24);
      ok(
        lines.some((line) => line.includes(":4000") && line.includes(shown)),
        lines.join("\n"),
      );
      ok(lines.some((line) => line.startsWith(" SESSIONS") && line.includes(` ${sort}`)));
      match(lines.at(-1)!, new RegExp(`s sort \\(${sort}\\)`));
    }
  });

  test("tells what is down, that it is paused, and why there is no newer one", () => {
    const down = { ...idle, outside: { ...idle.outside, up: false } };
    match(screen(withReading(newWatch(), reading(0, { status: down })))[0]!, /wan0 203\.0\.113\.1 down/);
    match(screen({ ...running(), isPaused: true })[0]!, /paused/);
    match(screen({ ...running(), trouble: "no answer" })[0]!, /no answer/);
    match(screen({ ...newWatch(), trouble: "no answer" })[0]!, /^no answer$/);
  });

  test("after a restart of the gateway has no rates, not negative ones", () => {
    equal(withReading(running(), reading(3000)).rates, null);
  });

  test("fits any size, whatever there is to show, and has styles only from the paint", () => {
    const loud: Paint = (_, text) => `\x1b[1m${text}\x1b[0m`;
    const modes: WatchState["mode"][] = [
      { kind: "view" },
      { kind: "help" },
      { kind: "filter", text: "tcp ".repeat(50) },
      { kind: "kill", session: flows[0]! },
    ];
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 200 }),
        fc.integer({ min: 1, max: 60 }),
        fc.constantFrom(...modes),
        fc.boolean(),
        fc.array(fc.nat(), { maxLength: 300 }),
        (columns, rows, mode, isSelected, history) => {
          const selected = isSelected ? flowOf(flows[2]!) : null;
          const notices = Array.from({ length: 9 }, (_, at) => ({ at, text: "something ".repeat(30) }));
          const state = {
            ...withReading(running(), reading(3000, { notices })),
            mode,
            selected,
            history: { outbound: history, inbound: [] },
          };
          const lines = draw(state, { columns, rows }, plain);
          equal(lines.length, rows);
          for (const line of lines) ok(line.length <= columns, `${line.length} > ${columns}: ${line}`);
          const styled = draw(state, { columns, rows }, loud);
          deepEqual(styled.map(stripVTControlCharacters), lines);
          ok(!lines.join("").includes("\x1b"));
        },
      ),
    );
  });

  test("shows the selected session, however far down it is", () => {
    const sessions = Array.from({ length: 100 }, (_, port) => ({
      ...flows[0]!,
      inside: { address: "192.168.226.135", port },
    }));
    const state = { ...running(), top: { ...top, sessions }, selected: flowOf(sessions[99]!) };
    const lines = screen(state, 80, 24);
    ok(
      lines.some((line) => /^>tcp .*135:99 /.test(line)),
      lines.join("\n"),
    );
  });
});

describe("keys", () => {
  test("select by the session, not by its place", () => {
    const second = after(running(), key("down"), key("down"));
    equal(second.selected, flowOf(flows[1]!));
    const moved = { ...second, top: { ...top, sessions: [...flows].reverse() } };
    equal(after(moved, key("down")).selected, flowOf(flows[0]!));
    equal(after(second, key("up"), key("up")).selected, flowOf(flows[0]!));
    equal(after(second, key("down"), key("down"), key("down")).selected, flowOf(flows[2]!));
    equal(after(second, key("escape")).selected, null);
    equal(after({ ...running(), top: { ...top, sessions: [] } }, key("down")).selected, null);
  });

  test("kill only what is selected, and only when that is affirmed", () => {
    match(screen(after(running(), key("k"))).at(-1)!, /select a session first/);
    const asking = after(running(), key("down"), key("k"));
    match(screen(asking).at(-1)!, /^kill tcp 192\.168\.226\.135:4000 > 198\.51\.100\.7:443\? y or n$/);
    const [, action] = press(asking, key("y"));
    deepEqual(action, { kind: "kill", session: flows[0] });
    for (const name of ["n", "return", "escape", "k"]) equal(press(asking, key(name))[1], null, name);
  });

  test("type a filter, which Enter applies and Esc leaves", () => {
    const typing = after(running(), key("slash", "/"), ..."tcp  !:80x".split("").map((one) => key(one)));
    const [applied, action] = press(after(typing, key("backspace")), key("return"));
    deepEqual([applied.filter, action], [["tcp", "!:80"], { kind: "ask" }]);
    match(screen(applied).at(-1)!, /filter: tcp !:80 \(3 fit\)/);
    deepEqual(after(typing, key("escape")).filter, []);
    const [refused, nothing] = press(typing, key("return"));
    deepEqual([refused.filter, nothing], [[], null]);
    match(screen(refused).at(-1)!, /^"!:80x" says nothing|^":80x" says nothing/);
    deepEqual(after(applied, key("slash", "/")).mode, { kind: "filter", text: "tcp !:80" });
    // q is a letter there, and control characters are not.
    deepEqual(after(typing, key("q"), key("", "\x1b[5~")).mode, { kind: "filter", text: "tcp  !:80xq" });
  });

  test("sort, pause, help and quit", () => {
    let state = running();
    const seen = [];
    for (let i = 0; i < 6; i++) {
      seen.push(state.sort);
      state = after(state, key("s"));
    }
    deepEqual([...seen, state.sort], ["rate", "bytes", "packets", "age", "idle", "expires", "rate"]);
    equal(after(state, key("p")).isPaused, true);
    deepEqual(press(after(state, key("p")), key("p"))[1], { kind: "ask" });
    match(screen(after(state, key("h"))).join("\n"), /kill the selected session/);
    deepEqual(after(state, key("h"), key("x")).mode, { kind: "view" });
    deepEqual(press(state, key("q"))[1], { kind: "quit" });
    for (const mode of [after(state, key("h")), after(state, key("slash", "/")), state]) {
      deepEqual(press(mode, { ...key("c"), ctrl: true })[1], { kind: "quit" });
    }
  });
});

test("figures are short, and the same from one to the next", () => {
  deepEqual([0, 7, 99.96, 999, 999.6, 1234, 99_960, 1e6, 2.5e12].map(short), [
    "0",
    "7",
    "100",
    "999",
    "1.00 k",
    "1.23 k",
    "100 k",
    "1.00 M",
    "2.50 T",
  ]);
  deepEqual([measure(5, "B"), measure(5e6, "bit/s")], ["5 B", "5.00 Mbit/s"]);
  deepEqual([0, 59.9, 60, 3725, 90_000, 86_400].map(duration), [
    "0 s",
    "59 s",
    "1 min",
    "1 h 2 min",
    "1 d 1 h",
    "1 d",
  ]);
  equal(count(1234567), "1,234,567");
  equal(sparkline([0, 5, 10]), "▁▅█");
  equal(sparkline([]), "");
});
