// How ports and hosts are divided: every port is one part's, and arithmetic finds it.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { cutOf, partOf, portsOf, shardOfHost, shareOf, unitOf } from "../../src/sharded/parts.js";

const RANGES: [number, number][] = [
  [1024, 65535],
  [1, 65535],
  [2001, 2023],
  [2000, 2127],
  [5001, 6999],
  [64000, 65535],
];

describe("the parts of a range", () => {
  test("follow each other without a gap, and arithmetic finds each port's", () => {
    for (const [lo, hi] of RANGES) {
      for (const blockSize of [0, 1, 3, 4, 100]) {
        const cut = cutOf(lo, hi, unitOf(blockSize));
        for (let shards = 1; shards <= 64 && shards <= cut.units; shards++) {
          let next = lo;
          const sizes: number[] = [];
          for (let part = 0; part < shards; part++) {
            const ports = portsOf(part, cut, lo, hi, shards);
            assert.equal(ports.lo, next);
            assert.ok(part === 0 || ports.lo % 2 === 0, "parity");
            for (const port of [ports.lo, ports.lo + 1, (ports.lo + ports.hi) >> 1, ports.hi]) {
              assert.equal(partOf(port, cut, shards), part, `${port} of ${lo}-${hi}, ${shards} shards`);
            }
            assert.ok(ports.hi - ports.lo + 1 >= Math.max(1, blockSize), "room for a block");
            sizes.push(ports.hi - ports.lo + 1);
            next = ports.hi + 1;
          }
          assert.equal(next, hi + 1);
          // Even to a unit, and what is left over at the ends.
          assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 2 * cut.unit, `${sizes}`);
          assert.equal(partOf(0, cut, shards), 0);
          assert.equal(partOf(65535, cut, shards), shards - 1);
        }
      }
    }
  });

  test("are too few to go round where the range is small", () => {
    assert.equal(cutOf(2000, 2005, 2).units, 3);
    assert.equal(cutOf(2001, 2006, 2).units, 2);
    assert.equal(cutOf(2001, 2001, 2).units, 0);
  });
});

test("shares add up, and differ by one", () => {
  for (const total of [4, 5, 1000, 1048576]) {
    for (let shards = 1; shards <= 64; shards++) {
      const shares = Array.from({ length: shards }, (_, shard) => shareOf(total, shard, shards));
      assert.equal(
        shares.reduce((sum, share) => sum + share),
        total,
      );
      assert.ok(Math.max(...shares) - Math.min(...shares) <= 1);
    }
  }
});

test("hosts spread evenly, whatever their addresses have in common", () => {
  for (const shards of [2, 3, 8, 64]) {
    for (const step of [1, 2, 16, 256, 65536]) {
      const counts = new Array<number>(shards).fill(0);
      const hosts = 128 * shards;
      for (let i = 0; i < hosts; i++) counts[shardOfHost((0x0a000001 + i * step) >>> 0, shards)]!++;
      assert.ok(Math.max(...counts) <= 2 * 128, `${shards} shards, each ${step}th address: ${counts}`);
      assert.ok(Math.min(...counts) >= 128 / 2, `${shards} shards, each ${step}th address: ${counts}`);
    }
  }
});
