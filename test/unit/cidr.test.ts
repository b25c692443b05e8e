// IPv4 addresses as text and as numbers.
import { equal } from "node:assert/strict";
import { test } from "node:test";
import { formatIpv4, IPV4_PATTERN, parseIpv4 } from "../../src/config/cidr.js";

/** The slow way. */
const parsed = (text: string) =>
  IPV4_PATTERN.test(text) ? text.split(".").reduce((sum, octet) => sum * 256 + Number(octet), 0) : null;

test("addresses are read as their pattern has them, and nothing else", () => {
  for (const text of [
    "",
    ".",
    "1.2.3",
    "1.2.3.4.",
    "1.2.3.4.5",
    "1.2.3.256",
    "01.2.3.4",
    "1.2.3.00",
    "1..2.3",
  ]) {
    equal(parseIpv4(text), null, text);
  }
  let seed = 1;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  for (let i = 0; i < 100_000; i++) {
    const octets = Array.from(
      { length: random(20) === 0 ? 3 : 4 },
      () => `${random(30) === 0 ? "0" : ""}${random(270)}`,
    );
    const text = octets.join(".");
    const at = random(text.length);
    const spoilt = random(10) === 0 ? text.slice(0, at) + "/0.9:a "[random(7)] + text.slice(at + 1) : text;
    equal(parseIpv4(spoilt), parsed(spoilt), spoilt);
    const address = parseIpv4(spoilt);
    if (address !== null) equal(formatIpv4(address), spoilt);
  }
});
