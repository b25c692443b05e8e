// What of the documentation is generated: README.md's config table and drop reasons, docs/presets.md. `npm run docs`
// writes it; a test compares.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { configTableMarkdown } from "../../src/config/table.js";
import { REASON_MEANINGS } from "../../src/verdict.js";
import { presetsMarkdown } from "./presets.js";

export const README = join(__dirname, "../../README.md");
export const PRESETS_PAGE = join(__dirname, "../../docs/presets.md");

function reasonsMarkdown(): string {
  const rows = Object.entries(REASON_MEANINGS).map(([reason, meaning]) => `| \`${reason}\` | ${meaning} |`);
  return `${["| Reason | |", "| --- | --- |", ...rows].join("\n")}\n`;
}

/** The README with its generated parts made anew. */
export function withGeneratedParts(text: string): string {
  const parts = { "config table": configTableMarkdown(), "drop reasons": reasonsMarkdown() };
  return Object.entries(parts).reduce((result, [name, part]) => {
    const begin = `<!-- ${name} -->\n`;
    const end = `<!-- end of ${name} -->`;
    const from = result.indexOf(begin);
    const to = result.indexOf(end);
    if (from === -1 || to < from) throw new Error(`README.md has no "${begin.trim()}" … "${end}"`);
    return `${result.slice(0, from)}${begin}${part}${result.slice(to)}`;
  }, text);
}

if (require.main === module) {
  writeFileSync(README, withGeneratedParts(readFileSync(README, "utf8")));
  writeFileSync(PRESETS_PAGE, presetsMarkdown());
}
