// docs/oracle.md is what test/oracle says. Needs no kernel.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ORACLE_PAGE, oracleMarkdown } from "./docs.js";

test("docs/oracle.md is up to date (npm run docs)", () => {
  assert.equal(readFileSync(ORACLE_PAGE, "utf8"), oracleMarkdown());
});
