// Everything that the fuzzers found worth keeping, once more.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { target as captures } from "./captures.js";
import { target as config } from "./config.js";

for (const [name, target] of Object.entries({ captures, config })) {
  describe(`the fuzzer's inputs for ${name}`, () => {
    const folder = join(__dirname, "corpus", name);
    const files = readdirSync(folder);
    it("are there", () => assert(files.length > 10));
    for (const file of files) {
      it(file, () => target.run(new Uint8Array(readFileSync(join(folder, file)))));
    }
  });
}
