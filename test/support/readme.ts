// What of the documentation is generated: docs/config.md's table and drop reasons, docs/gateway.md's config table and metrics,
// docs/events.md's types, docs/presets.md, the manual page. `npm run docs` writes it; a test compares.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildProgram } from "../../src/cli/main.js";
import { manPage } from "../../src/cli/man.js";
import { configTableMarkdown } from "../../src/config/table.js";
import { EVENT_MEANINGS } from "../../src/events/event.js";
import { gatewayJsonSchema } from "../../src/gateway/config.js";
import { metricsMarkdown } from "../../src/metrics/metrics.js";
import { REASON_MEANINGS } from "../../src/verdict.js";
import { presetsMarkdown } from "./presets.js";

export const README = join(__dirname, "../../README.md");
export const LIBRARY_PAGE = join(__dirname, "../../docs/library.md");
export const CONFIG_PAGE = join(__dirname, "../../docs/config.md");
export const GATEWAY_PAGE = join(__dirname, "../../docs/gateway.md");
export const EVENTS_PAGE = join(__dirname, "../../docs/events.md");
export const PRESETS_PAGE = join(__dirname, "../../docs/presets.md");
export const MANUAL_PAGE = join(__dirname, "../../docs/napt.1");

function meaningsMarkdown(title: string, meanings: Readonly<Record<string, string>>): string {
  const rows = Object.entries(meanings).map(([name, meaning]) => `| \`${name}\` | ${meaning} |`);
  return `${[`| ${title} | |`, "| --- | --- |", ...rows].join("\n")}\n`;
}

/** A page with its generated parts made anew. */
export function withGeneratedParts(text: string): string {
  const parts = {
    "config table": configTableMarkdown(),
    "drop reasons": meaningsMarkdown("Reason", REASON_MEANINGS),
    events: meaningsMarkdown("Type", EVENT_MEANINGS),
    "gateway table": configTableMarkdown(gatewayJsonSchema()),
    metrics: metricsMarkdown(),
  };
  return Object.entries(parts).reduce((result, [name, part]) => {
    const begin = `<!-- ${name} -->\n`;
    const end = `<!-- end of ${name} -->`;
    if (!text.includes(begin)) return result;
    const from = result.indexOf(begin);
    const to = result.indexOf(end);
    if (to < from) throw new Error(`"${begin.trim()}" has no "${end}"`);
    return `${result.slice(0, from)}${begin}${part}${result.slice(to)}`;
  }, text);
}

if (require.main === module) {
  for (const page of [CONFIG_PAGE, GATEWAY_PAGE, EVENTS_PAGE]) {
    writeFileSync(page, withGeneratedParts(readFileSync(page, "utf8")));
  }
  writeFileSync(PRESETS_PAGE, presetsMarkdown());
  writeFileSync(MANUAL_PAGE, manPage(buildProgram()));
}
