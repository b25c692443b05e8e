// What a reader of docs/guides does, step by step, as it stands there.
import { ok } from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { whyNoLab } from "../system/lab.js";
import { ROOT, readPage, stepsOf } from "./page.js";
import { Reader } from "./reader.js";

const GUIDES = join(ROOT, "docs/guides");

for (const name of readdirSync(GUIDES).filter((file) => file.endsWith(".md"))) {
  const page = readPage(join(GUIDES, name));
  const tools = /<!-- needs: (.*) -->/.exec(page.text)?.[1]?.split(" ") ?? [];
  const skip = whyNoLab("unshare", "nsenter", ...tools);
  describe(page.path, () => {
    let reader: Reader;
    before(async () => {
      if (skip === false) reader = await Reader.settle();
    });
    after(() => reader?.leave());

    const steps = stepsOf(page);
    test("has something to do", () => ok(steps.length > 0));
    for (const step of steps) {
      const { block } = step;
      const title = `line ${block.line}: ${block.mark === "" ? "" : `${block.mark}: `}${block.text.split("\n")[0]}`;
      if (step.kind === "not run") test(title, { skip: step.why }, () => {});
      else test(title, { skip }, () => reader.does(step));
    }
  });
}
