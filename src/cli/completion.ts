// `napt completion`: what a shell needs to complete the command line, made from the commands themselves.
//
// The scripts have all of it in them: pressing Tab starts no process. What stands for a file is completed as one.
import { Argument, type Command, type Option } from "commander";

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

/** A command as far as completion goes. */
interface Shape {
  /** Its words after the program's name: "forward add"; "" is the program itself. */
  readonly path: string;
  readonly about: string;
  /** Its subcommands' names, with what they are about. */
  readonly commands: readonly (readonly [name: string, about: string])[];
  readonly options: readonly OptionShape[];
  /** What its arguments may be: words of a choice, files, or neither. */
  readonly words: readonly string[];
  readonly takesFiles: boolean;
}

interface OptionShape {
  readonly flags: readonly string[];
  readonly about: string;
  readonly takesValue: boolean;
  readonly choices: readonly string[];
  readonly takesFile: boolean;
}

export function registerCompletion(program: Command): void {
  program
    .command("completion")
    .summary("a script that completes commands in a shell")
    .description("Prints a script for a shell that completes napt's commands, options and files by Tab.")
    .addArgument(new Argument("<shell>", "the shell").choices(SHELLS))
    .addHelpText(
      "after",
      `
For this shell only:     source <(napt completion bash)
For all of a user's:
  napt completion bash > ~/.local/share/bash-completion/completions/napt
  napt completion zsh > ~/.zfunc/_napt         where ~/.zshrc has fpath+=~/.zfunc before compinit
  napt completion fish > ~/.config/fish/completions/napt.fish`,
    )
    .action((shell: Shell) => {
      process.stdout.write(completionScript(program, shell));
    });
}

/** The script for a shell. */
export function completionScript(program: Command, shell: Shell): string {
  const shapes = shapesOf(program, "");
  return { bash: bashScript, zsh: zshScript, fish: fishScript }[shell](program.name(), shapes);
}

/** A command and all below it. */
function shapesOf(command: Command, path: string): Shape[] {
  const help = command.createHelp();
  const commands = help.visibleCommands(command);
  const names = help.visibleArguments(command);
  const below = commands.flatMap((one) => {
    const deeper = `${path} ${one.name()}`.trim();
    if (one.name() !== "help") return shapesOf(one, deeper);
    const words = commands.map((other) => other.name()).filter((name) => name !== "help");
    return [{ path: deeper, about: one.description(), commands: [], options: [], words, takesFiles: false }];
  });
  const shape = {
    path,
    about: command.summary() || command.description(),
    commands: commands.map((one) => [one.name(), one.summary() || one.description()] as const),
    options: help.visibleOptions(command).map(optionShape),
    words: names.flatMap((argument) => argument.argChoices ?? []),
    takesFiles: names.some((argument) => isFile(argument.name())),
  };
  return [shape, ...below];
}

function optionShape(option: Option): OptionShape {
  return {
    flags: [option.short, option.long].filter((flag) => flag !== undefined),
    about: option.description,
    takesValue: option.required || option.optional,
    choices: option.argChoices ?? [],
    takesFile: isFile(/[<[]([a-z-]+)/.exec(option.flags)?.[1] ?? ""),
  };
}

/** Values that are files are named so in the help. */
function isFile(value: string): boolean {
  return ["file", "path", "in", "out"].includes(value);
}

/** All that begin a word after a command: its options and what may follow. */
function wordsOf({ commands, options, words }: Shape): string[] {
  return [...commands.map(([name]) => name), ...words, ...options.flatMap(({ flags }) => flags)];
}

/** In quotes, for all three shells. */
function quoted(text: string): string {
  return `'${text.replace(/'/g, `'\\''`)}'`;
}

function bashScript(name: string, shapes: readonly Shape[]): string {
  const values = (shape: Shape) =>
    shape.options
      .filter(({ takesValue }) => takesValue)
      .map(({ flags, choices, takesFile }) => {
        const pattern = flags.map((flag) => quoted(`${shape.path}|${flag}`)).join("|");
        if (takesFile) return `    ${pattern}) files=1 ;;`;
        return `    ${pattern}) words=${quoted(choices.join(" "))} ;;`;
      });
  return `# bash completion for ${name}: made by \`${name} completion bash\`
_${name}() {
  local current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} path= word words= files= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    case "$path $word" in
${shapes
  .filter(({ path }) => path !== "")
  .map(({ path }) => {
    const words = path.split(" ");
    return `    ${quoted(`${words.slice(0, -1).join(" ")} ${words.at(-1)}`)}) path=${quoted(path)} ;;`;
  })
  .join("\n")}
    esac
  done
  case "$path|$before" in
${shapes.flatMap(values).join("\n")}
    *) case "$path" in
${shapes
  .map(
    (shape) =>
      `      ${quoted(shape.path)}) words=${quoted(wordsOf(shape).join(" "))} files=${shape.takesFiles ? "1" : ""} ;;`,
  )
  .join("\n")}
    esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [[ -n $files && $current != -* ]]; then
    compopt -o filenames 2>/dev/null
    local IFS=$'\\n'
    COMPREPLY+=($(compgen -f -- "$current"))
  fi
}
complete -F _${name} ${name}
`;
}

function zshScript(name: string, shapes: readonly Shape[]): string {
  // _describe takes "word:what it is".
  const described = (word: string, about: string) => quoted(`${word}:${about.replace(/:/g, "\\:")}`);
  const values = (shape: Shape) =>
    shape.options
      .filter(({ takesValue }) => takesValue)
      .map(({ flags, choices, takesFile }) => {
        const pattern = flags.map((flag) => quoted(`${shape.path}|${flag}`)).join("|");
        if (takesFile) return `    ${pattern}) _files; return ;;`;
        return `    ${pattern}) words_=(${choices.map(quoted).join(" ")}); compadd -a words_; return ;;`;
      });
  const lists = shapes.map((shape) => {
    const all = [
      ...shape.commands.map(([word, about]) => described(word, about)),
      ...shape.words.map(quoted),
      ...shape.options.flatMap(({ flags, about }) => flags.map((flag) => described(flag, about))),
    ];
    const files = shape.takesFiles ? "; _files" : "";
    return `    ${quoted(shape.path)}) words_=(${all.join(" ")}); _describe ${name} words_${files} ;;`;
  });
  return `#compdef ${name}
# zsh completion for ${name}: made by \`${name} completion zsh\`
_${name}() {
  local path_= word i
  local -a words_
  for ((i = 2; i < CURRENT; i++)); do
    word=$words[i]
    case "$path_ $word" in
${shapes
  .filter(({ path }) => path !== "")
  .map(({ path }) => {
    const words = path.split(" ");
    return `    ${quoted(`${words.slice(0, -1).join(" ")} ${words.at(-1)}`)}) path_=${quoted(path)} ;;`;
  })
  .join("\n")}
    esac
  done
  case "$path_|$words[CURRENT-1]" in
${shapes.flatMap(values).join("\n")}
  esac
  case "$path_" in
${lists.join("\n")}
  esac
}
if [ "$funcstack[1]" = "_${name}" ]; then _${name} "$@"; else compdef _${name} ${name}; fi
`;
}

function fishScript(name: string, shapes: readonly Shape[]): string {
  const lines = shapes.flatMap((shape) => {
    const words = shape.path === "" ? [] : shape.path.split(" ");
    const isHere = [
      ...words.map((word) => `__fish_seen_subcommand_from ${word}`),
      ...(shape.commands.length === 0
        ? []
        : [`not __fish_seen_subcommand_from ${shape.commands.map(([word]) => word).join(" ")}`]),
    ];
    const here = isHere.length === 0 ? "" : ` -n ${quoted(isHere.join("; and "))}`;
    return [
      ...shape.commands.map(([word, about]) => `complete -c ${name}${here} -a ${word} -d ${quoted(about)}`),
      ...(shape.words.length === 0 ? [] : [`complete -c ${name}${here} -a ${quoted(shape.words.join(" "))}`]),
      ...(shape.takesFiles ? [`complete -c ${name}${here} -F`] : []),
      ...shape.options.map(({ flags, about, takesValue, choices, takesFile }) => {
        const spelled = flags.map((flag) =>
          flag.startsWith("--") ? ` -l ${flag.slice(2)}` : ` -s ${flag.slice(1)}`,
        );
        const value = takesFile ? " -rF" : takesValue ? ` -x -a ${quoted(choices.join(" "))}` : "";
        return `complete -c ${name}${here}${spelled.join("")}${value} -d ${quoted(about)}`;
      }),
    ];
  });
  return `# fish completion for ${name}: made by \`${name} completion fish\`\ncomplete -c ${name} -f\n${lines.join("\n")}\n`;
}
