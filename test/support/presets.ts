// docs/presets.md: each preset as plain config, with the reason of each key.
import { stringify } from "yaml";
import { PRESETS } from "../../src/config/presets.js";

const HEAD = `# Presets

\`preset: NAME\` stands for the keys below, at the top level and in a policy (which takes those that a policy may
have). A key that is given besides wins; so does one of a section, or of a protocol. \`napt config\` prints what a
config amounts to. Written by \`npm run docs\` from src/config/presets.ts.
`;

/** The page. */
export function presetsMarkdown(): string {
  const sections = Object.entries(PRESETS).map(([name, { summary, config, notes }]) => {
    const reasons = Object.entries(notes).map(
      ([key, note]) => `| \`${key}\` | ${showValue(config, key)} | ${note} |`,
    );
    const table = ["| Key | Value | Why |", "| --- | --- | --- |", ...reasons].join("\n");
    const yaml = stringify(config, { lineWidth: 0 });
    return `## ${name}\n\n${summary}\n\n\`\`\`yaml\n${yaml}\`\`\`\n\n${table}\n`;
  });
  return [HEAD, ...sections].join("\n");
}

function showValue(config: object, key: string): string {
  const value = key
    .split(".")
    .reduce<unknown>((node, step) => (node as Record<string, unknown>)[step], config);
  if (typeof value !== "object" || value === null) return `\`${String(value)}\``;
  const switches = Object.entries(value).map(([name, inner]) => `${name} ${String(inner)}`);
  return switches.join(", ");
}
