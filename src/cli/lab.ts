// `napt lab`: the gateway to try, in a network that it makes itself.
import type { Command } from "commander";
import { loadConfigFile } from "../config/load.js";
import type { NatConfig } from "../config/schema.js";
import { INSIDE_GATEWAY, INSIDE_HOST, Lab, OUTSIDE_HOST, PUBLIC } from "../lab/lab.js";
import { alone, isAlone } from "../lab/namespaces.js";

interface LabOptions {
  readonly config?: string;
}

export function registerLab(program: Command): void {
  program
    .command("lab")
    .summary("a shell behind a live NAT, in a network of its own")
    .description(
      "Makes a host inside, a host outside and a gateway between them, all in namespaces of their own, and opens a " +
        "shell on the inside one (or runs a command there). All of it is gone when that ends. Linux; without root " +
        "where the system gives user namespaces.",
    )
    .argument("[command...]", "what to run there in place of a shell")
    .passThroughOptions()
    .option("--config <file>", "a NAT's config; its `inside` and `outside` may be left out")
    .addHelpText(
      "after",
      `
The hosts: ${INSIDE_HOST} inside, its router ${INSIDE_GATEWAY}; ${OUTSIDE_HOST} outside, with a web server;
the public address ${PUBLIC}.

Examples:
  napt lab
  napt lab curl http://${OUTSIDE_HOST}/
  napt lab ping -c 3 ${OUTSIDE_HOST}

Exit status: the command's; 0 after a shell; 1 when there can be no lab.`,
    )
    .action(runLab);
}

async function runLab(words: string[], { config }: LabOptions): Promise<void> {
  if (!isAlone()) {
    process.exitCode = await alone();
    return;
  }
  const lab = await Lab.create(config === undefined ? {} : (loadConfigFile(config).value as NatConfig));
  process.on("SIGINT", () => {}); // is for the shell
  try {
    const [program, ...args] = words;
    if (program !== undefined) {
      process.exitCode = await lab.run(program, args, process.env);
      return;
    }
    process.stdout.write(
      `You are ${INSIDE_HOST}, behind a NAT that shows you as ${PUBLIC}. Try:\n` +
        `  ping ${OUTSIDE_HOST}\n  curl http://${OUTSIDE_HOST}/\n` +
        "`exit` takes it all down.\n",
    );
    await lab.run(process.env.SHELL ?? "/bin/sh", [], { ...process.env, PS1: "inside$ " });
  } finally {
    lab.close();
  }
}
