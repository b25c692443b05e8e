// Which sessions a filter means.
import { deepEqual, equal, throws } from "node:assert/strict";
import { describe, test } from "node:test";
import { eventSessionFilter, sessionFilter } from "../../src/control/session-filter.js";
import { First } from "../../src/control/session-order.js";
import type { Session } from "../../src/index.js";
import { NOW, session } from "../support/sessions.js";

const udp = { protocol: "udp", state: null } as const;
const oneWay = { packets: { outbound: 1, inbound: 0 } };

const CASES: [term: string, fits: Partial<Session>[], fitsNot: Partial<Session>[]][] = [
  ["tcp", [{}], [udp]],
  ["TCP", [{}], [udp]],
  ["ip-4", [{ protocol: "ip-4" }], [{}, { protocol: "ip-41" }]],
  ["established", [{}], [{ state: "time-wait" }, udp]],
  ["time-wait", [{ state: "time-wait" }], [{}]],
  ["time_wait", [{ state: "time-wait" }], [{}]],
  ["half-closed", [{ state: "half-closed" }], [{}]],
  ["syn_sent", [{ state: "opening", ...oneWay }], [{ state: "opening" }, {}]],
  ["syn_recv", [{ state: "opening" }], [{ state: "opening", ...oneWay }, {}]],
  ["fin_wait", [{ state: "half-closed" }], [{}]],
  ["last_ack", [{ state: "closing" }], [{ state: "half-closed" }]],
  ["close", [{ state: "reset" }], [{ state: "closing" }, udp]],
  ["assured", [{}, udp], [{ state: "opening" }, { state: "reset" }, { ...udp, ...oneWay }]],
  ["unreplied", [oneWay, { packets: { outbound: 0, inbound: 4 } }], [{}]],
  ["permanent", [{ permanent: true }], [{}]],
  ["outbound", [{}], [{ direction: "inbound" }]],
  ["inbound", [{ direction: "inbound" }], [{}]],
  ["hairpin", [{ hairpin: true }], [{}]],
  ["192.168.226.0/24", [{}], [{ inside: { address: "192.168.227.1", port: 4000 } }]],
  ["198.51.100.7", [{}], [{ remote: { address: "198.51.100.8", port: 443 } }]],
  ["203.0.113.1:40000", [{}], [{ public: { address: "203.0.113.1", port: 40001 } }]],
  [":443", [{}], [{ remote: { address: "198.51.100.7", port: 80 } }]],
  ["age>89", [{}], [{ createdAt: 11_000 }]],
  ["age>90", [], [{}]],
  ["age>=90", [{}], [{ createdAt: 10_001 }]],
  ["age<2m", [{}], [{ createdAt: -20_000 }]],
  ["idle>20", [{ lastSeen: 79_999 }], [{}]],
  ["idle<=20", [{}], [{ lastSeen: 79_999 }]],
  ["expires<30", [{ expiresAt: 129_999 }], [{ expiresAt: 130_000 }, { expiresAt: Infinity }]],
  ["expires>2h", [{}], [{ expiresAt: 7_300_000 }]],
  ["bytes>1.2M", [{}], [{ bytes: { outbound: 0, inbound: 1_200_000 } }]],
  ["bytes<1k", [{ bytes: { outbound: 500, inbound: 499 } }], [{ bytes: { outbound: 500, inbound: 500 } }]],
  ["packets>4", [{}], [oneWay]],
  ["packets>=1K", [{ packets: { outbound: 500, inbound: 500 } }], [{}]],
  ["!tcp", [udp], [{}]],
  ["!age>60", [{ createdAt: 40_000 }], [{}]],
  ["!!tcp", [{}], [udp]],
];

describe("a filter", () => {
  for (const [term, fits, fitsNot] of CASES) {
    test(`${term}`, () => {
      const filter = sessionFilter([term]);
      for (const one of fits) equal(filter(session(one), NOW), true, JSON.stringify(one));
      for (const one of fitsNot) equal(filter(session(one), NOW), false, JSON.stringify(one));
    });
  }

  test("of several terms wants all of them; of none, nothing", () => {
    equal(sessionFilter(["tcp", ":443", "!hairpin"])(session(), NOW), true);
    equal(sessionFilter(["tcp", ":80"])(session(), NOW), false);
    equal(sessionFilter([])(session(), NOW), true);
  });

  test("of nonsense is refused, with what there is", () => {
    for (const term of [
      "tpc",
      "",
      "!",
      "1.2.3",
      "1.2.3.4:",
      ":65536",
      "1.2.3.4/33",
      "a:b:c",
      "constructor",
    ]) {
      throws(() => sessionFilter([term]), /says nothing about sessions; give a protocol \(tcp\)/, term);
    }
    for (const term of ["age>", "age>-1", "bytes>1s", "age>1M", "size>3", "age=3", "toString>1"]) {
      throws(() => sessionFilter([term]), /says nothing about sessions/, term);
    }
  });

  test("that the shell has cut at its < or > is recognised", () => {
    throws(() => sessionFilter(["age"]), /"age" alone .* in quotes: 'age>60'/);
  });

  test("of events knows no time left", () => {
    equal(eventSessionFilter(["tcp", "age>60"])(session(), NOW), true);
    for (const term of ["idle>1", "expires<1"]) throws(() => eventSessionFilter([term]), /says nothing/);
  });
});

describe("the first of many", () => {
  const of = (limit: number, descending: boolean, numbers: number[]) => {
    const first = new First<number>(limit, descending);
    for (const number of numbers) first.add(number, number);
    return first.all();
  };
  const many = Array.from({ length: 1000 }, (_, i) => (i * 379) % 1000);

  test("are in order, as many as are wanted, whichever came first", () => {
    deepEqual(of(3, true, many), [999, 998, 997]);
    deepEqual(of(3, false, many), [0, 1, 2]);
    deepEqual(
      of(Number.POSITIVE_INFINITY, false, many),
      [...many].sort((a, b) => a - b),
    );
    deepEqual(of(5, true, [1, 2]), [2, 1]);
    deepEqual(of(2, false, [Infinity, 5, Infinity]), [5, Infinity]);
  });

  test("tell beforehand what can't be among them", () => {
    const first = new First<number>(2, true);
    let taken = 0;
    for (let number = 1000; number > 0; number--) {
      if (!first.takes(number)) continue;
      first.add(number, number);
      taken++;
    }
    equal(taken, 4);
  });
});
