// `napt demo`: the founding story, without root and without a network.
import { type Command, InvalidArgumentError } from "commander";
import { tellStory } from "../demo/demo.js";
import { isColored } from "./style.js";

/** ms between lines, so that the story takes about ten seconds. */
const PAUSE = 200;

interface DemoCommandOptions {
  readonly fast?: true;
  readonly seed?: number;
}

export function registerDemo(program: Command): void {
  program
    .command("demo")
    .summary("watch a virtual machine's packets go through the NAT")
    .description(
      "Plays a small capture through the engine and shows each packet on both sides: a ping from a " +
        "virtual machine, a stranger refused, a name looked up, a page fetched, and the sessions that " +
        "come of it. Needs neither root nor a network; takes about ten seconds.",
    )
    .option("--fast", "without pauses, as when the output is no terminal")
    .option("--seed <n>", "make the choice of ports repeatable", (text) => {
      if (!/^[0-9]{1,15}$/.test(text)) throw new InvalidArgumentError("give a whole number from 0 on");
      return Number(text);
    })
    .action(async ({ fast, seed }: DemoCommandOptions) => {
      const { stdout } = process;
      const colors = isColored(stdout);
      await tellStory({
        print: (line) => stdout.write(`${line}\n`),
        pause: fast || !stdout.isTTY ? 0 : PAUSE,
        colors,
        ...(seed === undefined ? {} : { seed }),
      });
    });
}
