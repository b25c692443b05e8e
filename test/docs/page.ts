// A page of documentation as its reader meets it: links, and fenced blocks, which a test does as they are written.
// What stands after a fence's language says what a block is (CONTRIBUTING.md has the list for authors); GitHub shows
// none of it. Blocks within an HTML comment are done, too: they make what a reader has already.
import { readFileSync } from "node:fs";
import { join, relative } from "node:path";

export const ROOT = join(__dirname, "../..");

/** One fenced block of a page. */
export interface Block {
  readonly language: string;
  /** What stands behind the language. */
  readonly mark: string;
  readonly text: string;
  /** Of its fence. */
  readonly line: number;
}

export interface Page {
  /** From the root of the project. */
  readonly path: string;
  readonly text: string;
  readonly blocks: readonly Block[];
}

export function readPage(path: string): Page {
  const text = readFileSync(path, "utf8");
  const fence = /^```([a-z]*)(?: +(.*))?\n([\s\S]*?)^```$/gm;
  const blocks = [...text.matchAll(fence)].map(([, language = "", mark = "", body = ""], i, all) => ({
    language,
    mark,
    text: body,
    line: text.slice(0, all[i]!.index).split("\n").length,
  }));
  return { path: relative(ROOT, path), text, blocks };
}

/** A block that a page's test does. */
export type Step =
  | {
      readonly kind: "file";
      readonly name: string;
      /** It goes behind what the file has already. */
      readonly more: boolean;
      readonly block: Block;
    }
  | {
      readonly kind: "run";
      readonly block: Block;
      /** What it prints; null: whatever. */
      readonly prints: string | null;
      readonly fails: boolean;
      /** It goes on when it is ready, which is when it has printed that. */
      readonly stays: boolean;
    }
  | { readonly kind: "not run"; readonly why: string; readonly block: Block };

/** What a page's blocks have a reader do. @throws where a block's mark says nothing */
export function stepsOf({ path, blocks }: Page): Step[] {
  return blocks.flatMap((block, i): Step[] => {
    const { language, mark, line } = block;
    const wrong = (what: string) => new Error(`${path}:${line}: ${what}`);
    const why = /^not run: (.+)/.exec(mark)?.[1];
    if (why !== undefined) return [{ kind: "not run", why, block }];
    const next = blocks[i + 1];
    switch (language) {
      case "sh": {
        if (!["", "fails", "stays"].includes(mark))
          throw wrong(`"${mark}" is not fails, stays or not run: WHY`);
        const prints = next?.language === "text" ? next.text : null;
        if (mark === "stays" && prints === null)
          throw wrong("what stays has a text block behind it: what it prints when it is ready");
        return [{ kind: "run", block, prints, fails: mark === "fails", stays: mark === "stays" }];
      }
      case "js":
      case "yaml": {
        // A config, or a part of one, which is no file, is checked in configs.test.ts.
        if (mark === "" && language === "yaml") return [];
        const [, more, name] = /^(\+ )?([a-z0-9-]+\.[a-z]+)$/.exec(mark) ?? [];
        if (name === undefined) throw wrong(`"${mark}" is no file's name, nor not run: WHY`);
        return [{ kind: "file", name, more: more !== undefined, block }];
      }
      default:
        return [];
    }
  });
}

/** Whether something was printed as a page has it, where "…" stands for what differs each time. */
export function isAsPrinted(printed: string, page: string, { begins = false } = {}): boolean {
  const pattern = page
    .trimEnd()
    .split("\n")
    .map((line) =>
      line.trim() === "…"
        ? "[^]*"
        : line
            .trimEnd()
            .split("…")
            .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
            .join(".*"),
    )
    .join("\n");
  const lines = printed.replace(/[ \t\r]+$/gm, "").trimEnd();
  return new RegExp(`^${pattern}${begins ? "(\n|$)" : "$"}`).test(lines);
}
