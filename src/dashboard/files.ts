// The dashboard's files, as a browser asks for them.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";

/** They are the same from the sources and from dist/. */
const PAGE = join(__dirname, "../../src/dashboard/page");

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** A file with what tells browsers whether theirs is still the same. */
export interface PageFile {
  readonly type: string;
  readonly content: Buffer;
  readonly tag: string;
}

/** All files by their paths; "/" is the page. uPlot's are served as they come. */
export function pageFiles(): ReadonlyMap<string, PageFile> {
  const names = readdirSync(PAGE).filter((name) => extname(name) in TYPES);
  const files = new Map(names.map((name) => [`/${name}`, read(join(PAGE, name))]));
  files.set("/", files.get("/index.html")!);
  files.set("/uplot.js", read(require.resolve("uplot/dist/uPlot.esm.js")));
  files.set("/uplot.css", read(require.resolve("uplot/dist/uPlot.min.css")));
  return files;
}

function read(path: string): PageFile {
  const content = readFileSync(path);
  const tag = `"${createHash("sha256").update(content).digest("base64url").slice(0, 22)}"`;
  return { type: TYPES[extname(path)]!, content, tag };
}
