// A gateway's config: what is right, and what each mistake is told.
import { deepEqual, equal, throws } from "node:assert/strict";
import { test } from "node:test";
import { parseGatewayConfig } from "../../src/gateway/config.js";
import { ConfigError, type Network, type ResolvedGatewayConfig } from "../../src/index.js";

const INSIDE = { interface: "lan0", address: "192.168.226.2/24" };
const OUTSIDE = { interface: "wan0", address: "203.0.113.2/24", router: "203.0.113.254" };
const CONFIG = { inside: ["192.168.226.0/24"], outside: ["203.0.113.1"] };

/** What the host has on eth0; on others nothing. */
const hostOf = (name: string): Network | null =>
  name === "eth0"
    ? { kind: "host", name, address: 0xcb007105, network: 0xcb007100, mask: 0xffffff00, router: 0xcb0071fe }
    : null;
const parse = (gateway: unknown, nat: object = CONFIG) =>
  parseGatewayConfig({ ...nat, gateway }, undefined, hostOf);

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
    kind: "interface",
    name: "lan0",
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
    "gateway: undefined is not an object; give one with the keys inside, outside, busyPoll, control, http, sessions, capture, log, export, user",
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

test("each side is reached by one thing", () => {
  const { interface: _, ...addressed } = INSIDE;
  deepEqual(faultsOf({ inside: addressed, outside: OUTSIDE }), [
    "gateway.inside: it says not by what it is reached; give one of the keys interface, tap, tun, qemu",
  ]);
  deepEqual(faultsOf({ inside: { ...INSIDE, tun: "napt0" }, outside: OUTSIDE }), [
    'gateway.inside.tun: the network is reached by "interface" already; give one of them',
  ]);
  deepEqual(faultsOf({ inside: INSIDE, outside: { interface: "wan0" } }), [
    'gateway.outside.address: missing; give one such as "203.0.113.2/24"',
  ]);
  deepEqual(faultsOf({ inside: INSIDE, outside: { ...OUTSIDE, ports: "61000-65535" } }), [
    "gateway.outside.ports: only with `host`; an own address has the ports in `outside`",
  ]);
  const leasing = { ...addressed, tun: "napt0", dhcp: { range: "192.168.226.100-192.168.226.200" } };
  deepEqual(faultsOf({ inside: leasing, outside: { tun: "napt1", ...OUTSIDE, interface: undefined } }), [
    "gateway.outside.router: a TUN device leads to this system, which routes; leave it out",
    "gateway.inside.dhcp: a TUN device carries none; leave it out",
  ]);
  const guests = parse({ inside: { ...addressed, qemu: "/run/vm.sock" }, outside: OUTSIDE });
  deepEqual([guests.inside.kind, guests.inside.name], ["qemu", "/run/vm.sock"]);
});

test("the host's own address is shared by ports", () => {
  const { outside: _, ...nat } = CONFIG;
  const forwards = [{ protocol: "tcp", outside: "host:8080", inside: "192.168.226.135:80" }];
  const { hostPorts, outside, ...rest } = parse(
    { inside: INSIDE, outside: { host: "eth0" } },
    { ...nat, forwards },
  );
  deepEqual(hostPorts, { lo: 61000, hi: 65535 });
  equal(outside.address, 0xcb007105);
  deepEqual(rest.nat.outside, [{ address: "203.0.113.5", ports: "61000-65535" }]);
  equal(rest.nat.forwards[0]?.outside, "203.0.113.5:8080");
  const narrow = parse({ inside: INSIDE, outside: { host: "eth0", ports: "62000-62999" } }, nat);
  deepEqual(narrow.nat.outside, [{ address: "203.0.113.5", ports: "62000-62999" }]);

  deepEqual(faultsOf({ inside: INSIDE, outside: { host: "eth0", address: "203.0.113.9/24" } }), [
    "gateway.outside.address: it is the host's; leave it out",
    "outside: with gateway.outside.host it is the host's; leave it out",
  ]);
  const mapped = [{ outside: "203.0.113.65", inside: "192.168.226.10" }];
  deepEqual(faultsOf({ inside: INSIDE, outside: { host: "eth0" } }, { ...nat, static: mapped }), [
    "gateway.outside.host: 203.0.113.65, of a forward or static mapping, is not the host's; only its own is shared",
  ]);
  throws(() => parse({ inside: INSIDE, outside: { host: "eth1" } }, nat), {
    code: "NAT_ERR_GATEWAY",
    message: /"eth1" has no IPv4 address/,
  });
});
