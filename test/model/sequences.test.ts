import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Runner } from "./runner.js";
import { check, world } from "./world.js";

test("any sequence of packets, waits and deletions: engine and model agree after every step", () => {
  check(
    fc.property(world(60), (one) => {
      Runner.run(one);
    }),
    4000,
  );
  const { threatened, shared } = Runner.identifications;
  assert.ok(shared * 50 <= threatened, `${shared} of ${threatened} clashing IP IDs were not replaced`);
});
