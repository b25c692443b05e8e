// Completion in shells, and the manual page: made from the commands, so that they can't be of another program.
import { deepEqual, equal, ok } from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { Command } from "commander";
import { completionScript, SHELLS } from "../../src/cli/completion.js";
import { buildProgram } from "../../src/cli/main.js";
import { manPage } from "../../src/cli/man.js";
import { MANUAL_PAGE } from "../support/readme.js";

const ROOT = join(__dirname, "../..");
const missing = (program: string) =>
  spawnSync(program, ["--version"]).error === undefined
    ? false
    : `${program} is not installed (.ci/run installs it)`;

/** What lines are completed to. */
const CASES: [words: string[], completed: string[]][] = [
  [["sess"], ["sessions"]],
  [
    ["forward", ""],
    ["add", "help", "list", "remove"],
  ],
  [["forward", "re"], ["remove"]],
  [["forward", "add", "--c"], ["--control"]],
  [["sessions", "udp", "--cs"], ["--csv"]],
  [["sessions", "--sort", "by"], ["bytes"]],
  [["sessions", "--limit", ""], []],
  [
    ["explain", "--from", ""],
    ["inside", "outside"],
  ],
  [
    ["completion", ""],
    ["bash", "fish", "zsh"],
  ],
  [["help", "wat"], ["watch"]],
  [["translate", "READ"], ["README.md"]],
  [["translate", "--config", "READ"], ["README.md"]],
  [["nonsense", "sess"], ["sessions"]],
  [["-"], ["--help", "--version", "-V", "-h"]],
];

describe("completion", () => {
  test("by bash", { skip: missing("bash") }, () => {
    const script = `${completionScript(buildProgram(), "bash")}
      COMP_WORDS=(napt "$@") COMP_CWORD=$#
      "$(complete -p napt | sed 's/.*-F \\([^ ]*\\).*/\\1/')"
      printf '%s\\n' "\${COMPREPLY[@]}"`;
    for (const [words, completed] of CASES) {
      const text = execFileSync("bash", ["--norc", "-c", script, "bash", ...words], {
        cwd: ROOT,
        encoding: "utf8",
      });
      const found = text.split("\n").filter((word) => word !== "" && !isOption(word, words));
      deepEqual(found.sort(), completed, words.join(" "));
    }
  });

  test("by fish", { skip: missing("fish") }, () => {
    for (const [words, completed] of CASES) {
      const input = `${completionScript(buildProgram(), "fish")}\ncomplete -C ${JSON.stringify(["napt", ...words].join(" "))}`;
      const text = execFileSync("fish", ["--no-config", "-c", input], { cwd: ROOT, encoding: "utf8" });
      const found = text.split("\n").flatMap((line) => line.split("\t", 1)[0] || []);
      // It finds words within words, too, and of options with one letter only those.
      const fitting = found.filter((word) => word.startsWith(words.at(-1)!) && !isOption(word, words));
      deepEqual([...new Set(fitting)].sort(), completed, words.join(" "));
    }
  });

  test("by zsh: it takes the script", { skip: missing("zsh") }, () => {
    const input = completionScript(buildProgram(), "zsh");
    equal(spawnSync("zsh", ["-f", "-n"], { input, encoding: "utf8" }).stderr, "");
  });

  test("has every command and option, for every shell", () => {
    for (const shell of SHELLS) {
      const script = completionScript(buildProgram(), shell);
      for (const command of all(buildProgram())) {
        ok(script.includes(command.name()), `${shell}: ${command.name()}`);
        for (const { long } of command.options) {
          ok(script.includes(shell === "fish" ? `-l ${long!.slice(2)}` : long!), `${shell}: ${long}`);
        }
      }
    }
  });
});

/** Options come along with words where nothing is typed yet. */
function isOption(word: string, words: readonly string[]): boolean {
  return word.startsWith("-") && words.at(-1) === "";
}

function all(command: Command): Command[] {
  return [command, ...command.commands.flatMap(all)];
}

describe("the manual page", () => {
  test("is as the program is (npm run docs)", () => {
    equal(readFileSync(MANUAL_PAGE, "utf8"), manPage(buildProgram()));
  });

  test("is in the package", () => {
    const { man, files } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    equal(join(ROOT, man), MANUAL_PAGE);
    ok(files.includes(man.replace("./", "")));
  });

  test("has every command, option and argument", { skip: missing("man") }, () => {
    const env = { ...process.env, MANWIDTH: "200", LC_ALL: "C.UTF-8" };
    const { stdout, stderr } = spawnSync("man", ["--warnings", "-l", MANUAL_PAGE], { encoding: "utf8", env });
    equal(stderr, "");
    const page = stdout.replace(/\s+/g, " ");
    for (const command of all(buildProgram())) {
      ok(page.includes(command.description()), command.name());
      for (const { flags } of command.options) ok(page.includes(flags), flags);
      for (const argument of command.registeredArguments)
        ok(page.includes(argument.description), argument.name());
    }
    ok(page.includes("Exit status: 0 done, 1 input or output failed"));
  });

  test("has no mistakes", {
    skip: spawnSync("mandoc").error === undefined ? false : "mandoc is not installed (.ci/run installs it)",
  }, () => {
    const { stdout } = spawnSync("mandoc", ["-T", "lint", "-W", "warning", MANUAL_PAGE], {
      encoding: "utf8",
    });
    const found = stdout.split("\n").filter((line) => line !== "" && !line.includes("missing date"));
    deepEqual(found, []);
  });
});
