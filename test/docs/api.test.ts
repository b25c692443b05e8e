// The API reference is as the docstrings are; each thing that the package exports has one.
import { equal } from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ROOT } from "./page.js";

test("docs/api has the docstrings as they are (npm run docs)", () => {
  const out = mkdtempSync(join(tmpdir(), "napt-api-"));
  try {
    // It fails where a docstring is missing, or a link in one leads nowhere.
    execFileSync(join(ROOT, "node_modules/.bin/typedoc"), ["--out", out], { cwd: ROOT, stdio: "pipe" });
    const pageIn = (folder: string) => readFileSync(join(folder, "README.md"), "utf8");
    equal(pageIn(join(ROOT, "docs/api")), pageIn(out));
  } finally {
    rmSync(out, { recursive: true });
  }
});
