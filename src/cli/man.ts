// The manual page, made from the commands themselves: `npm run docs` writes docs/napt.1.
import type { Command } from "commander";

/** The page, in man(7). It has no date: it is as old as the version that it names. */
export function manPage(program: Command): string {
  const help = program.createHelp();
  const name = program.name();
  const commands = help.visibleCommands(program).filter((command) => command.name() !== "help");
  return [
    `.TH ${name.toUpperCase()} 1 "" "${name} ${program.version() ?? ""}" "User Commands"`,
    // Names of options are not to be torn apart.
    ".nh",
    ".ad l",
    ".SH NAME",
    `${name} \\- ${escaped(shortly(program.description()))}`,
    ".SH SYNOPSIS",
    ...commands.flatMap((command, index) => [
      ...(index === 0 ? [] : [".br"]),
      `.B ${escaped(`${name} ${command.name()}`)}`,
      escaped(command.usage()),
    ]),
    ".SH DESCRIPTION",
    escaped(program.description()),
    ".SH OPTIONS",
    ...optionsOf(program),
    ".SH COMMANDS",
    ...commands.flatMap((command) => sectionOf(command, name)),
    ...moreOf(program, ".SH EXAMPLES AND EXIT STATUS"),
    ".SH SEE ALSO",
    "conntrack(8), tcpdump(8), nft(8)",
    "",
  ].join("\n");
}

/** A command and those below it. */
function sectionOf(command: Command, before: string): string[] {
  const help = command.createHelp();
  const name = `${before} ${command.name()}`;
  const named = help.visibleArguments(command);
  return [
    `.SS ${escaped(`${name} ${command.usage()}`)}`,
    escaped(command.description()),
    ...named.flatMap((argument) => entry(argument.name(), help.argumentDescription(argument))),
    ...optionsOf(command),
    ...moreOf(command, ".PP"),
    ...help
      .visibleCommands(command)
      .filter((one) => one.name() !== "help")
      .flatMap((one) => sectionOf(one, name)),
  ];
}

function optionsOf(command: Command): string[] {
  const help = command.createHelp();
  // Each command has -h; it is told of once.
  const options = help
    .visibleOptions(command)
    .filter(({ long }) => command.parent === null || long !== "--help");
  return options.flatMap((option) => entry(option.flags, help.optionDescription(option)));
}

function entry(term: string, meaning: string): string[] {
  return [".TP", `.B ${escaped(term)}`, escaped(meaning)];
}

/** What the help has below all, as it stands there. */
function moreOf(command: Command, heading: string): string[] {
  let whole = "";
  const { writeOut } = command.configureOutput();
  command.configureOutput({ writeOut: (text) => (whole += text) });
  command.outputHelp();
  command.configureOutput({ writeOut: writeOut! });
  const more = whole.slice(command.helpInformation().length).trim();
  return more === "" ? [] : [heading, ".nf", ...more.split("\n").map(escaped), ".fi"];
}

/** The first sentence, as a name's line has it. */
function shortly(text: string): string {
  return text.replace(/\.$/, "").replace(/^[A-Z]/, (letter) => letter.toLowerCase());
}

/** Text as roff takes it: hyphens are such, and no line is a request. */
function escaped(text: string): string {
  return text
    .replace(/\\/g, "\\e")
    .replace(/-/g, "\\-")
    .replace(/^([.'])/gm, "\\&$1");
}
