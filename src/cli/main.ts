#!/usr/bin/env node
// The `napt` command: its subcommands, and how every one of them ends.
import { Command, CommanderError } from "commander";
import { NatError } from "../errors.js";
import { packageVersion } from "../version.js";
import { registerCapture } from "./capture.js";
import { registerCompletion } from "./completion.js";
import { registerConfig } from "./config.js";
import { registerControl } from "./control.js";
import { registerDemo } from "./demo.js";
import { registerExplain } from "./explain.js";
import { registerGateway } from "./gateway.js";
import { registerLab } from "./lab.js";
import { registerSessions } from "./sessions.js";
import { registerTranslate } from "./translate.js";
import { registerWatch } from "./watch/watch.js";
import { registerWho } from "./who.js";

/** Exit statuses: done, trouble with input or output, wrong usage or config. */
const DONE = 0;
const TROUBLE = 1;
const WRONG_USE = 2;

/** The whole command line; parsing throws, it never ends the process. */
export function buildProgram(): Command {
  const program = new Command("napt")
    .description("Translates network addresses and ports (NAT) of captured packets, as a router would.")
    .version(packageVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand("help [command]", "print the help of a command")
    .enablePositionalOptions() // so that what `lab` runs may have options
    .showHelpAfterError("(--help tells how it is used)")
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "napt: ")) });
  registerTranslate(program);
  registerGateway(program);
  registerControl(program);
  registerCapture(program);
  registerSessions(program);
  registerWatch(program);
  registerExplain(program);
  registerLab(program);
  registerConfig(program);
  registerWho(program);
  registerDemo(program);
  registerCompletion(program);
  program.addHelpText(
    "after",
    `
Exit status: 0 done, 1 input or output failed, 2 wrong usage or config.

Examples:
  napt demo                                         see what it does, in ten seconds
  napt translate lan.pcap -o wan.pcap --inside 192.168.226.0/24 --outside 203.0.113.1
  napt gateway --config gateway.yaml                a live NAT between two interfaces
  napt lab                                          a shell behind a live NAT, to try it
  napt sessions tcp 192.168.226.135                 what a running gateway has of it
  napt capture both.pcapng dropped                  its packets on both sides, for Wireshark
  napt explain "udp 192.168.226.135:4000 > 203.0.113.9:53"    what becomes of a packet, and why
  napt config nat.yaml                              check a config
  napt who 203.0.113.1:40000 --config nat.yaml      whose port it is`,
  );
  return program;
}

async function main(): Promise<void> {
  process.stdout.on("error", finish);
  process.stderr.on("error", () => {}); // nobody hears us any more: the exit status has to do
  try {
    await buildProgram().parseAsync();
  } catch (error) {
    finish(error);
  }
}

/** Tells what went wrong, each line of it marked as ours, and sets the exit status. */
function finish(error: unknown): void {
  const { code } = error as NodeJS.ErrnoException;
  if (code === "EPIPE") {
    if (process.exitCode === undefined) process.exit(); // whoever read stdout has enough
    return; // the command writes what must be whole, and tells by itself
  }
  process.exitCode = exitStatus(error);
  if (error instanceof CommanderError) return; // it has printed its own message
  const { message, stack } = error as Error;
  process.stderr.write(process.env.NAPT_DEBUG ? `${stack}\n` : `${message.replace(/^/gm, "napt: ")}\n`);
}

function exitStatus(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? DONE : WRONG_USE;
  const wrongUse = error instanceof NatError && ["NAT_ERR_CONFIG", "NAT_ERR_ARGUMENT"].includes(error.code);
  return wrongUse ? WRONG_USE : TROUBLE;
}

if (require.main === module) void main();
