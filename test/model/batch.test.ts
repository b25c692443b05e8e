import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DESCRIPTOR, DESCRIPTOR_WORDS, Nat, type PacketBatch } from "../../src/index.js";
import { describe, hex } from "../support/packets.js";
import { type Event, type Passage, Runner, restarted } from "./runner.js";
import { check, type World, world } from "./world.js";

/** A batch spans less time than this, so that delays fit 32 bits of nanoseconds. */
const SPAN = 4000;

/** The same packets at the same times through batches of the given sizes, deletions in between. */
function replay(one: World, events: readonly Event[], sizes: readonly number[]): void {
  let nat = new Nat(one.config, { seed: one.seed });
  let batch = nat.batch({ slots: 16, bytes: 16 * 256 });
  let waiting: Passage[] = [];
  let turn = 0;
  let room = sizes[0]!;
  const send = () => {
    if (waiting.length > 0) translate(nat, batch, waiting);
    waiting = [];
    room = sizes[++turn % sizes.length]!;
  };
  for (const event of events) {
    if ("restarted" in event) {
      send();
      nat = restarted(nat, one, event.at, event.restarted);
      batch = nat.batch({ slots: 16, bytes: 16 * 256 });
      continue;
    }
    if ("deleted" in event) {
      send();
      nat.conntrack.sweep(event.at);
      assert.ok(nat.conntrack.delete(event.deleted));
      continue;
    }
    if (waiting.length >= room || (waiting.length > 0 && event.at - waiting[0]!.at >= SPAN)) send();
    waiting.push(event);
  }
  send();
  nat.close();
}

function translate(nat: Nat, batch: PacketBatch, packets: readonly Passage[]): void {
  const start = packets[0]!.at;
  batch.clear();
  for (const { before, at } of packets) {
    const slot = batch.push(before);
    batch.descriptors[slot * DESCRIPTOR_WORDS + DESCRIPTOR.delay] = (at - start) * 1e6;
  }
  nat.translateBatch(batch, start);
  packets.forEach(({ before, after, verdict }, slot) => {
    assert.deepEqual(
      batch.verdict(slot),
      verdict,
      `${describe(before)}, ${slot} of ${packets.length} in a batch`,
    );
    assert.equal(
      hex(batch.packet(slot)),
      hex(after),
      `${describe(before)}, ${slot} of ${packets.length} in a batch`,
    );
  });
}

test("batches of any size give what single packets give, with the same seed", () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 16 }), { minLength: 1, maxLength: 8 });
  check(
    fc.property(world(60), sizes, (one, splits) => {
      const runner = Runner.record(one);
      try {
        replay(one, runner.events, splits);
      } catch (error) {
        throw new Error(`${(error as Error).message}\nbatches of ${splits}\n${runner.story()}`);
      }
    }),
    1500,
  );
});
