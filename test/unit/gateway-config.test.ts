// A gateway's config: what is right, and what each mistake is told.
import { deepEqual, equal, throws } from "node:assert/strict";
import { test } from "node:test";
import { parseGatewayConfig } from "../../src/gateway/config.js";
import { ConfigError, type ResolvedGatewayConfig } from "../../src/index.js";

const INSIDE = { interface: "lan0", address: "192.168.226.2/24" };
const OUTSIDE = { interface: "wan0", address: "203.0.113.2/24", router: "203.0.113.254" };
const CONFIG = { inside: ["192.168.226.0/24"], outside: ["203.0.113.1"] };

const parse = (gateway: unknown, nat: object = CONFIG) => parseGatewayConfig({ ...nat, gateway });

function faultsOf(gateway: unknown, nat: object = CONFIG): string[] {
  let faults: string[] = [];
  throws(
    () => parse(gateway, nat),
    (error: unknown) => {
      faults = (error as ConfigError).issues.map(({ path, message }) => `${path}: ${message}`);
      return error instanceof ConfigError;
    },
  );
  return faults;
}

test("networks come out as numbers; ICMP errors are on unless they are turned off", () => {
  const { nat, inside, outside }: ResolvedGatewayConfig = parse({ inside: INSIDE, outside: OUTSIDE });
  deepEqual(inside, {
    interface: "lan0",
    address: 0xc0a8e202,
    network: 0xc0a8e200,
    mask: 0xffffff00,
    router: 0,
  });
  equal(outside.router, 0xcb0071fe);
  equal(nat.icmpErrors, true);
  equal(nat.clampMss, true);
  equal(parse({ inside: INSIDE, outside: OUTSIDE }, { ...CONFIG, icmpErrors: false }).nat.icmpErrors, false);
  equal(parse({ inside: INSIDE, outside: OUTSIDE }, { ...CONFIG, clampMss: false }).nat.clampMss, false);
});

test("the faults of both parts are told at once, each with its key", () => {
  deepEqual(
    faultsOf({ inside: { interface: "a b", addres: "x" }, outside: OUTSIDE }, { inside: ["x"], outside: [] }),
    [
      'inside[0]: "x" is not a prefix of unicast IPv4 addresses; give CIDR notation, such as "192.168.226.0/24", or one address',
      'outside: an empty list; give a list such as [{ "address": "203.0.113.1" }]',
      'gateway.inside.interface: "a b" is not the name of an interface; give one such as "eth0"',
      'gateway.inside.address: missing; give one such as "192.168.226.2/24"',
      "gateway.inside.addres: unknown key; did you mean address?",
    ],
  );
  deepEqual(faultsOf(undefined), [
    "gateway: undefined is not an object; give one with the keys inside, outside, control",
  ]);
});

test("an address needs its prefix, and to be a host's", () => {
  for (const address of [
    "192.168.226.2",
    "192.168.226.0/24",
    "192.168.226.255/24",
    "192.168.226.2/0",
    "x/24",
  ]) {
    deepEqual(faultsOf({ inside: { ...INSIDE, address }, outside: OUTSIDE }), [
      `gateway.inside.address: "${address}" is not an address with the length of its prefix; give one such as "192.168.226.2/24"`,
    ]);
  }
  equal(
    parse({ inside: { ...INSIDE, address: "192.168.226.2/31" }, outside: OUTSIDE }).inside.mask,
    0xfffffffe,
  );
});

test("networks that don't fit together, or with the NAT", () => {
  deepEqual(faultsOf({ inside: INSIDE, outside: { ...OUTSIDE, interface: "lan0" } }), [
    'gateway.outside.interface: "lan0" is the inside interface already; give the one that leads outside',
  ]);
  deepEqual(faultsOf({ inside: { ...INSIDE, address: "10.0.0.1/8" }, outside: OUTSIDE }), [
    "gateway.inside.address: it lies in none of the prefixes in `inside`, so the hosts beside it would not be translated",
  ]);
  deepEqual(
    faultsOf({
      inside: INSIDE,
      outside: { ...OUTSIDE, address: "192.168.226.3/24", router: "192.168.226.4" },
    }),
    [
      "gateway.outside.address: it lies in one of the prefixes in `inside`; the outside network must be another one",
    ],
  );
  deepEqual(faultsOf({ inside: INSIDE, outside: { ...OUTSIDE, router: "198.51.100.1" } }), [
    "gateway.outside.router: it is not on that network",
  ]);
});
