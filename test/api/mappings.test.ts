// nat.mappings: what its calls take and give. How mappings behave is shown in test/conformance/port-control.test.ts.
import { deepEqual, equal, throws } from "node:assert/strict";
import { describe, test } from "node:test";
import { type MappingRequest, Nat, type NatConfig, PcpServer } from "../../src/index.js";
import { udp } from "../support/packets.js";

const CONFIG: NatConfig = { inside: ["192.168.226.0/24"], outside: ["203.0.113.1"] };
const INSIDE = { address: "192.168.226.135", port: 4000 };
const REMOTE = { address: "198.51.100.7", port: 53 };
const REQUEST: MappingRequest = { protocol: "udp", inside: INSIDE, lifetime: 60_000 };

const nat = (config: NatConfig = CONFIG) => new Nat(config, { seed: 1, clock: () => 1000 });

describe("nat.mappings", () => {
  test("request, find, release", () => {
    using one = nat();
    equal(one.mappings.find(REQUEST), null);
    const wished = { address: "203.0.113.1", port: 7777 };
    const granted = { reason: null, outside: wished, permanent: false, expiresAt: 61_000 };
    deepEqual(one.mappings.request({ ...REQUEST, outside: wished }), granted);
    deepEqual(one.mappings.find(REQUEST), granted);
    const [session] = one.conntrack;
    deepEqual([session!.public, session!.remote], [wished, { address: "0.0.0.0", port: 0 }]);
    deepEqual([session!.state, session!.expiresAt, session!.permanent], [null, 61_000, false]);
    equal(one.mappings.release(REQUEST), true);
    equal(one.mappings.release(REQUEST), false);
    equal(one.mappings.find(REQUEST), null);
    equal(one.conntrack.size, 0);
  });

  test("an implicit mapping and a configured one are found, too", () => {
    using one = nat({
      ...CONFIG,
      forwards: [{ protocol: "tcp", outside: "203.0.113.1:80", inside: "192.168.226.2:8080" }],
    });
    one.translate(udp({ src: "192.168.226.135:4000", dst: "198.51.100.7:53" }));
    equal(one.mappings.find(REQUEST)?.expiresAt, 301_000);
    deepEqual(one.mappings.find({ protocol: "tcp", inside: { address: "192.168.226.2", port: 8080 } }), {
      reason: null,
      outside: { address: "203.0.113.1", port: 80 },
      permanent: true,
      expiresAt: Infinity,
    });
  });

  test("refusals: not inside, not carried, taken, mapped otherwise, over a limit", () => {
    using one = nat({ ...CONFIG, limits: { sessionsPerHost: 1 } });
    const refusal = (request: Partial<MappingRequest>) => one.mappings.request({ ...REQUEST, ...request });
    deepEqual(refusal({ inside: REMOTE }), { reason: "invalid-source", outside: null });
    deepEqual(refusal({ protocol: "dccp" }), { reason: "unsupported-protocol", outside: null });
    const outside = { address: "203.0.113.1", port: 7777 };
    one.mappings.request({ ...REQUEST, outside });
    const neighbour = { address: "192.168.226.136", port: 4000 };
    deepEqual(refusal({ inside: neighbour, outside, exact: true }), {
      reason: "ports-exhausted",
      outside: null,
    });
    deepEqual(refusal({ outside: { port: 7778 }, exact: true }), { reason: "ports-exhausted", outside });
    deepEqual(refusal({ inside: { ...INSIDE, port: 4001 } }), { reason: "host-limit", outside: null });
  });

  test("a mapping is not evicted", () => {
    using one = nat({ ...CONFIG, limits: { sessions: 4, whenFull: "evict" } });
    one.mappings.request(REQUEST);
    for (let n = 1; n <= 100; n++) {
      const src = `192.168.226.${n}:5000`;
      equal(one.translate(udp({ src, dst: "198.51.100.7:53" })).verdict, "forwarded");
    }
    equal(one.mappings.find(REQUEST)?.expiresAt, 61_000);
    equal(one.stats.sessions.evicted, 97);
  });

  test("keep", () => {
    using one = nat();
    const kept = one.mappings.keep({ ...REQUEST, remote: REMOTE, lifetime: 600_000 });
    equal(kept.reason === null && kept.expiresAt, 601_000);
    deepEqual(one.mappings.keep({ ...REQUEST, remote: INSIDE }), { reason: "unmatched", outside: null });
  });

  test("the public address of a host", () => {
    using one = nat({ ...CONFIG, static: [{ outside: "203.0.113.9", inside: "192.168.226.9" }] });
    equal(one.mappings.publicAddressOf("192.168.226.9"), "203.0.113.9");
    equal(one.mappings.publicAddressOf("192.168.226.10"), "203.0.113.1");
  });

  test("arguments that are none", () => {
    using one = nat();
    const wrong: [object, RegExp][] = [
      [{ protocol: "tpc" }, /protocol: "tpc" is none of/],
      [{ inside: { address: "192.168.226", port: 1 } }, /inside\.address: "192\.168\.226"/],
      [{ inside: { address: "192.168.226.1", port: 65536 } }, /inside\.port: 65536 is not from 0 to 65535/],
      [{ outside: { port: -1 } }, /outside\.port: -1/],
      [{ outside: { address: "x" } }, /outside\.address: "x"/],
      [{ lifetime: -1 }, /lifetime: -1 is not from 0 to 31536000000 ms/],
      [{ lifetime: Number.NaN }, /lifetime: NaN/],
      [{ lifetime: undefined }, /lifetime: undefined/],
      [{ remotes: [{ address: "198.51.100.0/33" }] }, /remotes\.address: "198\.51\.100\.0\/33"/],
      [{ remotes: [{ address: "198.51.100.0", port: 1.5 }] }, /remotes\.port: 1\.5/],
      [{ remotes: Array(3).fill({ address: "198.51.100.1" }) }, /remotes: 3 are more than 2/],
    ];
    for (const [fields, message] of wrong) {
      const call = () => one.mappings.request({ ...REQUEST, ...fields } as MappingRequest);
      throws(call, { code: "NAT_ERR_ARGUMENT", message });
    }
    throws(() => one.mappings.request(REQUEST, Number.NaN), {
      code: "NAT_ERR_ARGUMENT",
      message: /now: NaN/,
    });
    const keep = { ...REQUEST, remote: { address: "1.2.3.4", port: 70_000 } };
    throws(() => one.mappings.keep(keep), { code: "NAT_ERR_ARGUMENT", message: /remote\.port: 70000/ });
    throws(() => new PcpServer(one, { minLifetime: 0 }), {
      message: /minLifetime, maxLifetime: 0 and 86400/,
    });
    throws(() => new PcpServer(one, { minLifetime: 9, maxLifetime: 8 }), { code: "NAT_ERR_ARGUMENT" });
  });

  test("a closed Nat", () => {
    const one = nat();
    const pcp = new PcpServer(one);
    one.close();
    const closed = { code: "NAT_ERR_CLOSED" };
    throws(() => one.mappings.request(REQUEST), closed);
    throws(() => one.mappings.release(REQUEST), closed);
    throws(() => one.mappings.find(REQUEST), closed);
    throws(() => pcp.answer(Buffer.from([0, 0]), INSIDE), closed);
  });
});
