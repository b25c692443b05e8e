// `napt config`: checks a config and shows what it amounts to, or prints the JSON Schema.
import { type Command, Option } from "commander";
import { stringify } from "yaml";
import { type LoadedConfig, parseConfigText } from "../config/document.js";
import { configJsonSchema } from "../config/json-schema.js";
import { LARGEST_CONFIG_FILE, loadConfigFile } from "../config/load.js";
import { NatError } from "../errors.js";
import { gatewayJsonSchema, isGateways, parseNatOf } from "../gateway/config.js";

interface ConfigOptions {
  readonly schema?: true;
  readonly format: "json" | "yaml";
}

export function registerConfig(program: Command): void {
  program
    .command("config")
    .summary("check a config, or print the schema that it must follow")
    .description(
      "Checks a config, in JSON or YAML, and prints it with every default filled in. " +
        "What it prints is a config, too. Faults are named one a line: the key, its value, what would be right.",
    )
    .argument("[file]", "the config to check; - reads standard input")
    .option("--schema", "print the JSON Schema, for editors and other programs")
    .addOption(new Option("--format <format>", "how to print").choices(["json", "yaml"]).default("json"))
    .addHelpText(
      "after",
      `
Examples:
  napt config nat.yaml                      check it; exit status 2 when something is wrong
  napt config nat.json --format yaml        turn JSON into YAML
  napt config --schema > napt.schema.json   for an editor's completion`,
    )
    .action(async (file: string | undefined, options: ConfigOptions, command: Command) => {
      if (options.schema ? file !== undefined : file === undefined) {
        command.error("error: give a config file (- for standard input) or --schema, one of them");
      }
      const value = file === undefined ? wholeJsonSchema() : await checkedConfig(file);
      process.stdout.write(options.format === "yaml" ? toYaml(value) : `${JSON.stringify(value, null, 2)}\n`);
    });
}

function toYaml(value: unknown): string {
  return stringify(value, { aliasDuplicateObjects: false, lineWidth: 0 });
}

async function checkedConfig(file: string) {
  const { value, source } = file === "-" ? await readStdin() : loadConfigFile(file);
  const nat = parseNatOf(value, source);
  return isGateways(value) ? { ...nat, gateway: value.gateway } : nat;
}

/** A NAT's keys, and those of a gateway, which may be absent; then `outside` may be, too. */
function wholeJsonSchema() {
  const { properties, ...rest } = configJsonSchema();
  return { ...rest, properties: { ...properties, ...gatewayJsonSchema().properties }, required: ["inside"] };
}

async function readStdin(): Promise<LoadedConfig> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > LARGEST_CONFIG_FILE) {
      throw new NatError(
        "NAT_ERR_CONFIG",
        `stdin: larger than ${LARGEST_CONFIG_FILE} bytes; this can't be a config`,
      );
    }
    chunks.push(chunk);
  }
  return parseConfigText(Buffer.concat(chunks), "stdin");
}
