// `napt watch` on a terminal: a pseudo-terminal of util-linux's `script`, in front of a live gateway.
import { equal, match, ok } from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { INSIDE_HOST, Lab, OUTSIDE_HOST, until, whyNoLab } from "./lab.js";

const skip = whyNoLab("ping", "script", "stty");
const ENTER = "\x1b[?1049h";
const LEAVE = "\x1b[?1049l";

/** A program on a terminal of 80 columns and 24 rows. */
class Terminal {
  readonly #script: ChildProcess;
  #text = "";

  constructor(lab: Lab, env: NodeJS.ProcessEnv, ...args: string[]) {
    const words = lab.command("watch", "--control", lab.control, ...args).map((word) => `'${word}'`);
    // Before and after it the terminal's settings are told.
    const shell = `stty cols 80 rows 24; echo "was $(stty -g)"; ${words.join(" ")}; echo "exit $?"; echo "is $(stty -g)"`;
    this.#script = spawn("script", ["-qfec", shell, "/dev/null"], {
      // Nothing of who runs the tests: CI and others have variables that say what a terminal can.
      env: { PATH: process.env.PATH, TERM: "xterm", SHELL: "/bin/sh", ...env },
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#script.stdout!.setEncoding("utf8").on("data", (data) => {
      this.#text += data;
    });
  }

  /** All that was written to it. */
  get text(): string {
    return this.#text;
  }

  /** What is on the screen: the last whole frame. */
  get screen(): string {
    const frames = this.#text.split("\x1b[H").slice(1);
    const whole = frames.filter((frame) => frame.includes("\x1b[J"));
    return stripVTControlCharacters(whole.at(-1) ?? "").replace(/\r/g, "");
  }

  type(keys: string): void {
    this.#script.stdin!.write(keys);
  }

  /** Waits until the screen has something. */
  shows(what: RegExp): Promise<void> {
    return until(`the screen shows ${what}: ${this.screen}`, () => what.test(this.screen)).catch((error) => {
      throw new Error(`${(error as Error).message}\n${this.screen}`);
    });
  }

  /** Waits for its end; the terminal is as it was, whatever happened. */
  async ended(status: number): Promise<void> {
    if (this.#script.exitCode === null) await once(this.#script, "close");
    match(this.#text, new RegExp(`exit ${status}\\r`));
    ok(this.#text.indexOf(ENTER) >= 0 && this.#text.lastIndexOf(LEAVE) > this.#text.lastIndexOf(ENTER));
    ok(this.#text.lastIndexOf("\x1b[?25h") > this.#text.lastIndexOf("\x1b[?25l"), "the cursor is seen again");
    const [, was] = /was (\S+)/.exec(this.#text)!;
    const [, is] = /is (\S+:\S+)/.exec(this.#text)!;
    equal(is, was);
  }

  [Symbol.dispose](): void {
    this.#script.kill("SIGKILL");
  }
}

test("watch shows a live gateway, and takes keys", { skip }, async () => {
  await using lab = await Lab.create();
  let gateway = await lab.gateway();
  await lab.exec("in", "ping", "-c", "1", OUTSIDE_HOST);
  using terminal = new Terminal(lab, {});
  await terminal.shows(/sessions +1 of/);
  const screen = terminal.screen;
  match(screen, /^napt watch {2}gin0 192\.168\.226\.2 {2}gout0 203\.0\.113\.1 {2}up /);
  match(screen, /icmp +192\.168\.226\.135:\d+ +> 203\.0\.113\.8:0/);
  equal(screen.split("\n").length, 24);
  ok(screen.split("\n").every((line) => line.length <= 80));

  terminal.type("/udp\r");
  await terminal.shows(/none fits the filter/);
  terminal.type("/\x15tpc\r");
  await terminal.shows(/"tpc" says nothing about sessions/);
  terminal.type("/\x15icmp\r");
  await terminal.shows(/ icmp +192/);
  terminal.type("h");
  await terminal.shows(/kill the selected session/);
  terminal.type(" \x1b[B");
  await terminal.shows(/>icmp/);
  terminal.type("k");
  await terminal.shows(/kill icmp 192\.168\.226\.135:\d+ > 203\.0\.113\.8:0\? y or n/);
  terminal.type("y");
  await terminal.shows(/sessions +0 of/);
  equal(await lab.ask("sessions", "--count"), "0");

  await lab.end(gateway);
  await terminal.shows(/no answer/);
  gateway = await lab.gateway();
  await lab.exec("in", "ping", "-c", "1", OUTSIDE_HOST);
  await terminal.shows(/sessions +1 of/);
  ok(!terminal.screen.includes("no answer"));
  terminal.type("q");
  await terminal.ended(0);
});

test("watch gives the terminal back, however it ends", { skip }, async () => {
  await using lab = await Lab.create();
  await lab.gateway();
  const faulty = lab.path("faulty.cjs");
  writeFileSync(
    faulty,
    `if (process.argv.includes("watch")) {
      process.on("SIGUSR2", () => { throw new Error("on purpose"); });
      require("node:fs").writeFileSync(process.env.PID_FILE, String(process.pid));
    }`,
  );
  const ends: [how: string, status: number, end: (terminal: Terminal, pid: number) => void][] = [
    ["q", 0, (terminal) => terminal.type("q")],
    ["Ctrl-C", 0, (terminal) => terminal.type("\x03")],
    ["SIGINT", 0, (_, pid) => process.kill(pid, "SIGINT")],
    ["SIGTERM", 0, (_, pid) => process.kill(pid, "SIGTERM")],
    ["SIGHUP", 0, (_, pid) => process.kill(pid, "SIGHUP")],
    ["an exception", 1, (_, pid) => process.kill(pid, "SIGUSR2")],
  ];
  await Promise.all(
    ends.map(async ([how, status, end]) => {
      const pidFile = lab.path(`pid of ${how}`);
      using terminal = new Terminal(lab, { PID_FILE: pidFile, NODE_OPTIONS: `--require ${faulty}` });
      await terminal.shows(/sessions +0/);
      end(terminal, Number(readFileSync(pidFile, "utf8")));
      await terminal.ended(status);
      if (status === 1) match(terminal.text.slice(terminal.text.lastIndexOf(LEAVE)), /on purpose/, how);
    }),
  );
});

test("watch without a terminal says so; --once prints a frame, without colours", { skip }, async () => {
  await using lab = await Lab.create();
  match(await lab.ask("watch", "--once"), /^1 napt: .*no gateway runs/);
  await lab.gateway();
  await lab.exec("in", "ping", "-c", "1", OUTSIDE_HOST);
  equal(await lab.ask("watch"), "2 napt: napt watch needs a terminal; --once prints one frame as text");
  const frame = await lab.ask("watch", "--once");
  match(frame, /^napt watch {2}gin0 /);
  match(frame, new RegExp(` icmp .* ${INSIDE_HOST}:`));
  match(frame, /^in +\d+ bit\/s +\d packets\/s/m);
  ok(!frame.includes("\x1b"));
});

test("colours are for terminals, and not for those who say NO_COLOR", { skip }, async () => {
  await using lab = await Lab.create();
  await lab.gateway();
  const colored = async (env: NodeJS.ProcessEnv) => {
    using terminal = new Terminal(lab, env);
    await terminal.shows(/sessions +0/);
    terminal.type("q");
    await terminal.ended(0);
    return terminal.text.includes("\x1b[1mnapt watch");
  };
  equal(await colored({}), true);
  equal(await colored({ NO_COLOR: "1" }), false);
});
