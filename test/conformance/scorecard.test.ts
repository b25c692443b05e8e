// docs/scorecard.md tells what is so.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ROWS } from "./rows.js";
import { faults, judge, markdown, readScorecard } from "./scorecard.js";
import { openRows, runAll, stalePending } from "./suite.js";

describe("the scorecard", () => {
  const outcomes = runAll();
  const results = judge(outcomes);

  test("has every row once, each with tests or a decision", () => {
    const ids = ROWS.map(({ id }) => id);
    assert.deepEqual(
      ids.filter((id, index) => ids.indexOf(id) !== index),
      [],
    );
    assert.deepEqual(
      openRows(outcomes).map(({ id }) => id),
      [],
    );
  });

  test("has no MUST that fails, and none that is met by choice", () => {
    assert.deepEqual(faults(results), []);
  });

  test("waits for nothing that is done or unknown", () => {
    assert.deepEqual(stalePending(outcomes), []);
  });

  test("is as written (npm run scorecard)", () => {
    assert.equal(readScorecard(), markdown(results));
  });
});
