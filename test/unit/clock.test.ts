// Time of day by the monotonic clock.
import { equal, ok } from "node:assert/strict";
import { mock, test } from "node:test";
import { systemOffset, wallOffset } from "../../src/clock.js";

test("what ran between two clocks is no part of the time", (t) => {
  t.after(() => mock.restoreAll());
  // The monotonic clock before and after each look at the other.
  const looks = [100, 140, 200, 230, 300, 300.1, 400, 400];
  mock.method(performance, "now", () => looks.shift());
  const walls = [1_000_130, 1_000_200, 1_000_300, 1_000_400];
  mock.method(Date, "now", () => walls.shift());
  const offset = wallOffset();
  ok(Math.abs(offset - 999_999.95) < 1e-6, String(offset));
  equal(walls.length, 1);
});

test("where something always runs between, the closest look counts", (t) => {
  t.after(() => mock.restoreAll());
  let look = 0;
  // The third is the closest: 6 ms, the others take 10.
  mock.method(performance, "now", () =>
    look++ % 2 === 0 ? look * 100 : (look - 1) * 100 + (look === 6 ? 6 : 10),
  );
  mock.method(Date, "now", () => 5000 + look * 100);
  ok(Math.abs(wallOffset() - 4997) < 1e-6);
});

test("the kernel's monotonic clock is found by its offset", () => {
  for (let times = 0; times < 100; times++) {
    const before = process.hrtime.bigint();
    const found = (performance.now() + systemOffset()) * 1e6;
    const after = process.hrtime.bigint();
    // As exact as two looks that are at once.
    ok(
      found > Number(before) - 1e6 && found < Number(after) + 1e6,
      `${found} is not within ${before} and ${after}`,
    );
  }
});
