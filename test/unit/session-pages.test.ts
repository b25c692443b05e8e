// Sessions by the page: filtered and sorted, at a cost that is bounded.
import { deepEqual, equal, ok, rejects, throws } from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";
import { type PageRequest, SessionPages, SORT_KEYS, sessionKey } from "../../src/control/session-pages.js";
import { Shared } from "../../src/control/shared.js";
import { orderOf } from "../../src/control/sort.js";
import { Nat } from "../../src/index.js";
import { base } from "../support/config.js";
import { tcp, udp } from "../support/packets.js";

const HOSTS = ["192.168.226.9", "192.168.226.135", "192.168.226.20"];

/** A NAT whose clock is the process', as a gateway's. */
function filled(): Nat {
  const nat = new Nat(base);
  HOSTS.forEach((host, i) => {
    for (let packet = 0; packet <= i; packet++) {
      nat.translate(udp({ src: `${host}:4000`, dst: "198.51.100.7:53" }));
    }
    nat.translate(tcp({ src: `${host}:5000`, dst: "203.0.113.9:443", flags: "S" }));
  });
  return nat;
}

const asked = (some: Partial<PageRequest> = {}): PageRequest => ({
  terms: [],
  sort: "inside",
  descending: false,
  from: 0,
  count: 100,
  pins: [],
  ...some,
});

describe("a page of sessions", () => {
  test("is sorted either way, by addresses as numbers", async () => {
    using nat = filled();
    const pages = new SessionPages(nat);
    const hosts = async (some: Partial<PageRequest>) =>
      (await pages.page(asked({ terms: ["udp"], ...some }))).sessions.map((one) => one?.inside.address);
    const ascending = ["192.168.226.9", "192.168.226.20", "192.168.226.135"];
    deepEqual(await hosts({}), ascending);
    deepEqual(await hosts({ descending: true }), ascending.toReversed());
    deepEqual(await hosts({ sort: "packets", descending: true }), [HOSTS[2], HOSTS[1], HOSTS[0]]);
    deepEqual(await hosts({ sort: "bytes" }), HOSTS);
    const states = (await pages.page(asked({ sort: "protocol" }))).sessions.map((one) => one?.protocol);
    deepEqual(states, ["tcp", "tcp", "tcp", "udp", "udp", "udp"]);
    for (const sort of Object.keys(SORT_KEYS)) {
      equal((await pages.page(asked({ sort: sort as keyof typeof SORT_KEYS }))).total, 6, sort);
    }
    const age = (await pages.page(asked({ sort: "age", descending: true }))).sessions;
    ok(age.every((one) => one !== null && one.age >= 0 && one.age < 60));

    // The address counts before the port.
    nat.translate(udp({ src: `${HOSTS[0]}:60000`, dst: "198.51.100.7:53" }));
    const { sessions } = await new SessionPages(nat).page(asked({ terms: ["udp"] }));
    deepEqual(
      sessions.map((one) => one?.inside.port),
      [4000, 60000, 4000, 4000],
    );
  });

  test("has the part that was asked for, and how many there are", async () => {
    using nat = filled();
    const pages = new SessionPages(nat);
    const all = (await pages.page(asked())).sessions;
    const part = await pages.page(asked({ from: 2, count: 3 }));
    const keys = (sessions: typeof all) => sessions.map((one) => [one?.inside, one?.remote]);
    deepEqual(keys(part.sessions), keys(all.slice(2, 5)));
    deepEqual([part.total, part.from], [6, 2]);
    equal((await pages.page(asked({ from: 1000 }))).sessions.length, 0);
    equal((await pages.page(asked({ terms: ["tcp", HOSTS[1]!] }))).total, 1);
    await rejects(pages.page(asked({ terms: ["tpc"] })), /"tpc" says nothing about sessions/);
  });

  test("tells of pinned sessions whatever the filter, and of those that have ended", async () => {
    using nat = filled();
    const pages = new SessionPages(nat);
    const pin = `udp ${HOSTS[0]}:4000 198.51.100.7:53`;
    const request = asked({ terms: ["tcp"], pins: [pin, `udp ${HOSTS[0]}:1 198.51.100.7:53`] });
    const [known, unknown] = (await pages.page(request)).pinned;
    equal(known?.protocol, "udp");
    equal(unknown, null);
    nat.conntrack.delete(sessionKey(pin));
    equal((await pages.page(request)).pinned[0], null);
    // A row of an order that is still in force, whose session is gone, and one of another in its slot.
    await pages.page(asked({ terms: ["udp"] }));
    nat.conntrack.delete(sessionKey(`udp ${HOSTS[1]}:4000 198.51.100.7:53`));
    for (const port of [6000, 6001]) {
      nat.translate(tcp({ src: `${HOSTS[0]}:${port}`, dst: "203.0.113.9:443", flags: "S" }));
    }
    const rows = (await pages.page(asked({ terms: ["udp"] }))).sessions;
    deepEqual(
      rows.map((one) => one?.inside.address ?? null),
      [HOSTS[2], null],
    );
    await rejects(pages.page(asked({ pins: Array(33).fill(pin) })), /33 are more than 32/);
    for (const wrong of ["", "udp", "udp 1.2.3.4 5.6.7.8:9", "udp 1.2.3.4:5 5.6.7.8:9 x"]) {
      throws(() => sessionKey(wrong), { code: "NAT_ERR_ARGUMENT" }, wrong);
    }
  });

  test("costs no more for many who ask at a time; too many different ones are refused", async () => {
    using nat = filled();
    const pages = new SessionPages(nat);
    let walks = 0;
    const { rows } = nat.conntrack;
    nat.conntrack.rows = function* () {
      walks++;
      yield* rows.call(nat.conntrack);
    };
    await Promise.all(Array.from({ length: 1000 }, () => pages.page(asked())));
    await pages.page(asked({ from: 3 }));
    equal(walks, 1);
    const different = Array.from({ length: 40 }, (_, port) => pages.page(asked({ terms: [`:${port}`] })));
    const settled = await Promise.allSettled(different);
    const refused = settled.filter((one) => one.status === "rejected");
    ok(refused.length > 0 && refused.length < 40);
    for (const { reason } of refused) equal(reason.constructor.name, "BusyError");
    equal((await pages.page(asked({ terms: [":4000"] }))).total, 3);
  });
});

test("an order is made in parts, and equal keys stay as they were", async () => {
  for (const length of [0, 1, 4096, 4097, 30_000]) {
    const keys = Float64Array.from({ length }, (_, i) => (i * 7919) % 1000);
    const expected = Array.from(keys.keys()).sort((a, b) => keys[a]! - keys[b]! || a - b);
    let turns = 0;
    const count = () => {
      turns++;
      timer = setImmediate(count);
    };
    let timer = setImmediate(count);
    const order = await orderOf(keys);
    // Each by itself: to tell how long lists differ would take minutes.
    ok(order.length === length && expected.every((index, i) => order[i] === index), `${length} keys`);
    clearImmediate(timer);
    ok(turns >= Math.floor(length / 4096), `${turns} turns`);
  }
});

describe("a shared answer", () => {
  let now = 0;
  beforeEach(() => mock.method(performance, "now", () => now));
  afterEach(() => mock.restoreAll());

  test("is made once for all who ask while it holds, and again when it is over", async () => {
    let made = 0;
    const shared = new Shared(async () => ++made, { least: 20 });
    deepEqual(await Promise.all([shared.get(), shared.get(), shared.get()]), [1, 1, 1]);
    now += 19;
    equal(await shared.get(), 1);
    now += 1;
    equal(await shared.get(), 2);
  });

  test("holds ten times as long as it took to make it", async () => {
    let made = 0;
    const make = async () => {
      now += 100;
      return ++made;
    };
    const shared = new Shared(make, { least: 20 });
    equal(await shared.get(), 1);
    now += 999;
    equal(await shared.get(), 1);
    now += 1;
    equal(await shared.get(), 2);
  });

  test("that is old will do for a while, and then no more; a failure is told and tried again", async () => {
    let made = 0;
    const make = async () => {
      made++;
      if (made === 2) throw new Error("no");
      return made;
    };
    const patient = new Shared(make, { least: 1, grace: 60_000 });
    equal(await patient.get(), 1);
    now += 30;
    equal(await patient.get(), 1);
    await new Promise((resolve) => setImmediate(resolve));
    equal(await patient.get(), 1);
    await new Promise((resolve) => setImmediate(resolve));
    equal(await patient.get(), 3);
    made = 1;
    await rejects(new Shared(make, { least: 1 }).get(), /no/);
  });
});
