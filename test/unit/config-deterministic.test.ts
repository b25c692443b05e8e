// Deterministic NAT (RFC 7422): who has which ports, both ways.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { formatIpv4, parseCidr, parseIpv4 } from "../../src/config/cidr.js";
import { ownerOf, type Parameters, parametersOf, rangeOf, splitOf } from "../../src/config/deterministic.js";
import { parseConfig } from "../../src/config/load.js";

const ip = (text: string) => parseIpv4(text)!;

/** The parameters of a config with these keys. */
function parameters(inside: string[], outside: string[], dynamic: number, ports = "1024-65535"): Parameters {
  const config = parseConfig({
    inside,
    outside: outside.map((address) => ({ address, ports })),
    portAssignment: { deterministic: { dynamic } },
  });
  return parametersOf(config)!;
}

const range = (nat: Parameters, host: string) => {
  const found = rangeOf(nat, ip(host));
  return found && `${formatIpv4(found.address)}:${found.lo}-${found.hi}`;
};
const owner = (nat: Parameters, address: string, port: number) => {
  const found = ownerOf(nat, ip(address), port);
  return found.kind === "host" ? formatIpv4(found.host) : found.kind;
};

describe("RFC 7422, section 2.3's example", () => {
  const nat = parameters(["198.51.100.0/28"], ["203.0.113.1"], 2);

  test("14 hosts have 4032 ports each, two shares are dynamic", () => {
    assert.deepEqual(splitOf(nat), { hosts: 14, hostsPerAddress: 14, portsPerHost: 4032, pool: 8064 });
  });

  test("the hosts' ranges", () => {
    assert.equal(range(nat, "198.51.100.1"), "203.0.113.1:1024-5055");
    assert.equal(range(nat, "198.51.100.2"), "203.0.113.1:5056-9087");
    assert.equal(range(nat, "198.51.100.14"), "203.0.113.1:53440-57471");
  });

  test("network and broadcast address are no hosts, nor are others'", () => {
    for (const host of ["198.51.100.0", "198.51.100.15", "198.51.100.16", "203.0.113.1"]) {
      assert.equal(range(nat, host), null);
    }
  });

  test("the ports' owners", () => {
    assert.equal(owner(nat, "203.0.113.1", 1023), "reserved");
    assert.equal(owner(nat, "203.0.113.1", 1024), "198.51.100.1");
    assert.equal(owner(nat, "203.0.113.1", 5055), "198.51.100.1");
    assert.equal(owner(nat, "203.0.113.1", 5056), "198.51.100.2");
    assert.equal(owner(nat, "203.0.113.1", 57471), "198.51.100.14");
    assert.equal(owner(nat, "203.0.113.1", 57472), "dynamic");
    assert.equal(owner(nat, "203.0.113.1", 65535), "dynamic");
    assert.equal(owner(nat, "203.0.113.2", 5056), "foreign");
  });
});

describe("the edges", () => {
  test("several addresses: the last may have room for hosts that there are not", () => {
    const nat = parameters(["10.0.0.0/29"], ["203.0.113.1", "198.51.100.1", "203.0.113.9"], 1, "2000-2999");
    assert.deepEqual(splitOf(nat), { hosts: 6, hostsPerAddress: 2, portsPerHost: 333, pool: 334 });
    assert.equal(range(nat, "10.0.0.4"), "198.51.100.1:2333-2665");
    const uneven = parameters(["10.0.0.1", "10.0.0.2", "10.0.0.3"], ["203.0.113.2/31"], 1, "2000-2999");
    assert.equal(range(uneven, "10.0.0.3"), "203.0.113.3:2000-2332");
    assert.equal(owner(uneven, "203.0.113.3", 2333), "nobody");
    assert.equal(owner(uneven, "203.0.113.3", 2666), "dynamic");
  });

  test("more addresses than hosts", () => {
    const nat = parameters(["10.0.0.8/31"], ["203.0.113.0/30"], 0);
    assert.deepEqual(splitOf(nat), { hosts: 2, hostsPerAddress: 1, portsPerHost: 64512, pool: 0 });
    assert.equal(range(nat, "10.0.0.9"), "203.0.113.1:1024-65535");
    assert.equal(owner(nat, "203.0.113.2", 1024), "nobody");
  });

  test("without a dynamic pool the ports left over are nobody's", () => {
    const nat = parameters(["10.0.0.0/29"], ["203.0.113.1"], 0, "2000-2006");
    assert.equal(owner(nat, "203.0.113.1", 2005), "10.0.0.6");
    assert.equal(owner(nat, "203.0.113.1", 2006), "nobody");
    assert.equal(owner(nat, "203.0.113.1", 2007), "reserved");
  });

  test("a config without is not deterministic", () => {
    assert.equal(parametersOf(parseConfig({ inside: ["10.0.0.0/8"], outside: ["203.0.113.1"] })), null);
  });
});

test("both ways are inverses, for every host and every port", () => {
  const prefix = fc
    .tuple(fc.nat(7), fc.integer({ min: 27, max: 32 }))
    .map(([subnet, bits]) => `10.0.${subnet}.0/${bits}`);
  const nats = fc.record({
    inside: fc.uniqueArray(prefix, { minLength: 1, maxLength: 3, selector: (text) => text.split("/")[0] }),
    outside: fc.uniqueArray(fc.nat(9), { minLength: 1, maxLength: 4 }),
    lo: fc.integer({ min: 1024, max: 65300 }),
    count: fc.integer({ min: 100, max: 236 }),
    dynamic: fc.nat(5),
  });
  fc.assert(
    fc.property(nats, ({ inside, outside, lo, count, dynamic }) => {
      const nat: Parameters = {
        inside: inside.map((text) => parseCidr(text)!),
        outside: outside.map((last) => ip(`203.0.113.${last}`)),
        ports: { lo, hi: lo + count - 1 },
        dynamic,
      };
      const { hosts, portsPerHost, pool } = splitOf(nat);
      const owned = new Map<number, number>(); // ports by host
      const kinds = { dynamic: 0, nobody: 0, reserved: 0, foreign: 0 };
      for (const address of nat.outside) {
        for (let port = lo; port < lo + count; port++) {
          const found = ownerOf(nat, address, port);
          if (found.kind !== "host") {
            kinds[found.kind]++;
            continue;
          }
          assert.deepEqual(rangeOf(nat, found.host), found.range);
          assert.ok(found.range.lo <= port && port <= found.range.hi && found.range.address === address);
          owned.set(found.host, (owned.get(found.host) ?? 0) + 1);
        }
        assert.equal(ownerOf(nat, address, lo - 1).kind, "reserved");
      }
      if (portsPerHost > 0) {
        assert.equal(owned.size, hosts);
        for (const ports of owned.values()) assert.equal(ports, portsPerHost);
      }
      assert.equal(kinds.dynamic, dynamic > 0 ? pool * nat.outside.length : 0);
      assert.deepEqual([kinds.reserved, kinds.foreign], [0, 0]);
    }),
  );
});
