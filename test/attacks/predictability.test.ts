// Public ports and replaced identifications have to be hard to guess (RFC 6056; RFC 6888, REQ-15; RFC 6864). These
// are simple tests for evenness and for dependence of one number on the last; the generator is SipHash keyed with
// the seed (native/nat/random.h).
import { equal, notEqual, ok } from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { NatConfig } from "../../src/index.js";
import { decode, endpoint, udp } from "../support/packets.js";
import { figure, Scene, SERVER } from "./scene.js";

const COUNT = 8192;
const LOW = 1024;
const RANGE = 64_512;

/** Public ports in the order in which they are given to hosts with one source port. */
function ports(config: Partial<NatConfig>, seed: number, count = COUNT): number[] {
  using scene = new Scene(config, seed);
  return Array.from({ length: count }, (_, n) => {
    const src = `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}:4000`;
    return endpoint(scene.pass(udp({ src, dst: SERVER, checksum: 0 })).from).port;
  });
}

/** Identifications that are put in place of one that a neighbour uses, each towards another remote. */
function identifications(seed: number, count = COUNT): number[] {
  using scene = new Scene({}, seed);
  return Array.from({ length: count }, (_, n) => {
    const dst = `198.51.${n >> 8}.${n & 255}:443`;
    scene.pass(udp({ src: "10.0.0.1:4000", dst, id: 7, checksum: 0 }));
    const { id } = decode(scene.pass(udp({ src: "10.0.0.2:4000", dst, id: 7, checksum: 0 })).packet);
    notEqual(id, 7);
    return id;
  });
}

/** Pearson's statistic over equal bins of [low, low + range). */
function chiSquare(numbers: readonly number[], low: number, range: number, bins: number): number {
  const counts = new Array<number>(bins).fill(0);
  for (const number of numbers) counts[Math.floor(((number - low) * bins) / range)]!++;
  const expected = numbers.length / bins;
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}

/** The correlation of numbers with those `lag` later. */
function correlation(numbers: readonly number[], lag: number): number {
  const mean = numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
  let covariance = 0;
  let variance = 0;
  numbers.forEach((number, at) => {
    variance += (number - mean) ** 2;
    if (at >= lag) covariance += (number - mean) * (numbers[at - lag]! - mean);
  });
  return covariance / variance;
}

/** Steps from one number to the next, around the range. */
function steps(numbers: readonly number[], range: number): number[] {
  return numbers.slice(1).map((number, at) => (number - numbers[at]! + range) % range);
}

const BINS = 64;
// With 63 degrees of freedom a chi-square above 110 has a chance of 1 in 4,000, one below 30 of 1 in 10,000.
const EVEN = { least: 30, most: 110 };

function assertEven(numbers: readonly number[], low: number, range: number, what: string): void {
  const statistic = chiSquare(numbers, low, range, BINS);
  ok(statistic > EVEN.least && statistic < EVEN.most, `${what}: chi-square ${statistic.toFixed(1)}`);
}

/** Evenness of numbers, their steps and their low bits, and no correlation at any of 16 lags. */
function assertHardToGuess(
  t: TestContext,
  what: string,
  numbers: readonly number[],
  low: number,
  range: number,
) {
  assertEven(numbers, low, range, what);
  assertEven(steps(numbers, range), 0, range, `steps of ${what}`);
  const least = 4 / Math.sqrt(numbers.length); // four standard deviations
  for (let lag = 1; lag <= 16; lag++) {
    const r = correlation(numbers, lag);
    ok(Math.abs(r) < least, `${what}: correlation ${r.toFixed(4)} at lag ${lag}`);
  }
  t.diagnostic(`${what}: chi-square ${chiSquare(numbers, low, range, BINS).toFixed(1)} over ${BINS} bins`);
}

describe("public ports", () => {
  for (const seed of [1, 2, 3]) {
    test(`are spread evenly and independently over the range, seed ${seed}`, (t) => {
      assertHardToGuess(
        t,
        "ports without parity",
        ports({ portAssignment: { parity: false } }, seed),
        LOW,
        RANGE,
      );
      const even = ports({}, seed);
      ok(even.every((port) => port % 2 === 0));
      assertHardToGuess(t, "ports with parity", even, LOW, RANGE);
    });
  }

  test("in a block are spread over the block", () => {
    const inBlock: number[] = [];
    for (let seed = 1; seed <= 64; seed++) {
      using scene = new Scene({ portAssignment: { blockSize: 1024, parity: false } }, seed);
      for (let n = 0; n < 64; n++) {
        const { from } = scene.pass(udp({ src: `10.0.0.1:${5000 + n}`, dst: SERVER, checksum: 0 }));
        inBlock.push((endpoint(from).port - LOW) % 1024);
      }
    }
    assertEven(inBlock, 0, 1024, "ports within blocks");
  });

  test("are another sequence with another seed, and the same with the same", (t) => {
    const one = ports({}, 1);
    const two = ports({}, 2);
    const common = one.filter((port, at) => port === two[at]).length;
    ok(common <= 3, `${common} of ${COUNT} ports in the same place`);
    equal(ports({}, 1).join(), one.join());
    figure(t, "Ports, of 8,192, in the same place of two seeds' sequences, at most", 3);
  });

  test("of a predictable order are predictable, as the tests would show", () => {
    const inOrder = ports({ portAssignment: { order: "sequential", parity: false } }, 1);
    ok(chiSquare(inOrder, LOW, RANGE, BINS) > EVEN.most);
    ok(correlation(inOrder, 1) > 0.9);
  });
});

describe("replaced identifications", () => {
  for (const seed of [1, 2, 3]) {
    test(`are spread evenly and independently over all 65,536, seed ${seed}`, (t) => {
      assertHardToGuess(t, "identifications", identifications(seed), 0, 65_536);
    });
  }

  test("are another sequence with another seed", () => {
    const one = identifications(1, 1000);
    const two = identifications(2, 1000);
    ok(one.filter((id, at) => id === two[at]).length <= 2);
  });
});
