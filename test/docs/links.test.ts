// Links between Markdown files lead somewhere: to a file that there is, and to a heading within it. Configs that pages
// show are configs.
import { deepEqual } from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { isObject } from "../../src/config/merge.js";
import { parseNatOf } from "../../src/gateway/config.js";
import { ROOT, readPage } from "./page.js";

const pages = ["", "docs", "docs/guides", "docs/api"].flatMap((folder) =>
  readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith(".md"))
    .map((name) => join(ROOT, folder, name)),
);

/** A page without its code, where brackets are no links. */
const proseOf = (path: string) =>
  readFileSync(path, "utf8")
    .replace(/^```[\s\S]*?^```$/gm, "")
    .replace(/`[^`\n]*`/g, (code) => code.replace(/[[\]()]/g, ""));

/** What GitHub calls a page's headings, and names that it gives places itself. */
function anchorsOf(path: string): Set<string> {
  const seen = new Map<string, number>();
  const text = readFileSync(path, "utf8").replace(/^```[\s\S]*?^```$/gm, "");
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => {
    const slug = heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .trim()
      .replaceAll(" ", "-");
    const times = seen.get(slug) ?? 0;
    seen.set(slug, times + 1);
    return times === 0 ? slug : `${slug}-${times}`;
  });
  return new Set([...headings, ...[...text.matchAll(/<a id="([^"]+)">/g)].map(([, id = ""]) => id)]);
}

for (const path of pages) {
  const name = relative(ROOT, path);
  test(`${name}: links lead somewhere`, () => {
    const links = [...proseOf(path).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link);
    const dead = links
      .filter((link) => !/^[a-z]+:/.test(link))
      .filter((link) => {
        const [file = "", anchor] = link.split("#");
        const target = file === "" ? path : join(dirname(path), file);
        return !existsSync(target) || (anchor !== undefined && !anchorsOf(target).has(anchor));
      });
    deepEqual(dead, []);
  });
}

/** What a part of a config is a part of. */
const WHOLE = { inside: ["192.168.226.0/24"], outside: ["203.0.113.1"] };
const NETWORKS = {
  inside: { interface: "lan0", address: "192.168.226.2/24" },
  outside: { interface: "wan0", address: "203.0.113.1/24" },
};

for (const path of pages) {
  for (const { language, mark, text, line } of readPage(path).blocks) {
    if (language !== "yaml" || mark.startsWith("not run")) continue;
    test(`${relative(ROOT, path)}:${line}: a config, or a part of one`, (t) => {
      const part: unknown = parse(text);
      if (!isObject(part)) throw new Error("no mapping");
      // What is wrong on purpose is shown with what is said of it, by the page's own test.
      if (mark === "wrong.yaml") return t.skip("it shows a fault");
      const gateway = isObject(part.gateway) ? { gateway: { ...NETWORKS, ...part.gateway } } : {};
      parseNatOf("inside" in part ? part : { ...WHOLE, ...part, ...gateway }, `${path}:${line}`);
    });
  }
}
