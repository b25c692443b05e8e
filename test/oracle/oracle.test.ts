// The same traffic through napt and through the Linux kernel's NAT: what comes out is the same but for the
// differences that differences.ts lists and gives reasons for.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { runs } from "../model/world.js";
import { DIFFERENCES, judging } from "./differences.js";
import { KernelRouter, whyNoKernel } from "./routers.js";
import { Runner } from "./runner.js";
import { type Step, steps } from "./steps.js";
import { WORLDS, type World } from "./worlds.js";

/** The cases of an ordinary run; NAPT_SEED=random looks for new ones. */
const ORDINARY_SEED = 1;
const SEQUENCES = 60;
const LENGTH = 30;

const why = whyNoKernel();
if (why !== null) console.log(`not compared with the Linux kernel: ${why}`);

describe("napt and the Linux kernel", { skip: why ?? false }, () => {
  let kernel: KernelRouter;
  before(async () => {
    kernel = await KernelRouter.start();
  });
  after(() => kernel?.close());

  async function run(world: World, sequence: readonly Step[]): Promise<Set<string>> {
    const used = new Set<string>();
    await Runner.run(world, sequence, kernel, judging(used));
    return used;
  }

  describe("do the same with generated traffic", () => {
    for (const world of Object.values<World>(WORLDS)) {
      test(world.name, async () => {
        await kernel.enter(world);
        const property = fc.asyncProperty(steps(LENGTH), async (sequence) => {
          await run(world, sequence);
        });
        const seed = process.env.NAPT_SEED ?? String(ORDINARY_SEED);
        const result = await fc.check(property, {
          numRuns: runs(SEQUENCES),
          ...(seed === "random" ? {} : { seed: Number(seed) }),
        });
        if (!result.failed) return;
        const { errorInstance, counterexamplePath } = result;
        const message = errorInstance instanceof Error ? errorInstance.message : String(errorInstance);
        assert.fail(`${message}\n(repeat with NAPT_SEED=${result.seed}, path ${counterexamplePath})`);
      });
    }
  });

  describe("differ as listed, and no longer where that is stale", () => {
    for (const { name, example } of DIFFERENCES) {
      test(name, async () => {
        const world: World = WORLDS[example.world];
        await kernel.enter(world);
        const used = await run(world, example.steps);
        assert.ok(used.has(name), "stale: napt and the kernel do the same here");
      });
    }
  });
});
