// Ports and pools (RFC 4787 section 4, RFC 5382 section 7.2, RFC 6056, RFC 6888, RFC 7422, RFC 7857).
import { deepEqual, equal, notEqual, ok, throws } from "node:assert/strict";
import { parametersOf } from "../../src/config/deterministic.js";
import { recordAt, recordOf } from "../../src/who/record.js";
import { who } from "../../src/who/who.js";
import { BEHAVIOURS, distinct, drops, type Lab, lab, passes, range, same } from "./lab.js";
import { row } from "./suite.js";
import {
  A,
  addressOf,
  at,
  inside,
  opening,
  PROTOCOLS,
  type Protocol,
  portOf,
  probe,
  remote,
  udp,
  X,
  X2,
  Y,
  Z,
} from "./traffic.js";

const B = "203.0.113.2";
const C = "203.0.113.3";
const POOL = [A, B, C];

/** A pool of one address with few ports. */
const few = (from: number, count: number) => ({
  outside: [{ address: A, ports: `${from}-${from + count - 1}` }],
});

/** Fills an address from as many hosts as it has ports; what each has. */
function fill(nat: Lab, protocol: Protocol, count: number): string[] {
  return range(count).map((n) => nat.map(protocol, inside(n), Y));
}

function sessionAt(nat: Lab, outside: string) {
  const session = nat.sessions.find(({ public: { port } }) => port === portOf(outside));
  ok(session !== undefined, `no session at ${outside}`);
  return session;
}

row("RFC4787-REQ-2", "a pool of 3: all flows of a host leave from one address, by default", () => {
  const nat = lab({ outside: POOL });
  const used = range(9).map((n) => {
    const addresses = range(30).map((m) => addressOf(nat.map("udp", inside(n, 4000 + m), remote(m))));
    same(addresses);
    return addresses[0]!;
  });
  deepEqual([...new Set(used)].sort(), POOL, "different hosts use them all");
});

row("RFC4787-REQ-2", "the pairing lasts as long as the host has a mapping", () => {
  const nat = lab({ outside: POOL });
  const address = addressOf(nat.map("udp", X, Y));
  for (const t of range(20)) {
    nat.at(t * 250);
    equal(addressOf(nat.map("udp", inside(1, 4000 + t), Y)), address);
    nat.map("udp", inside(10 + t), Y);
  }
});

row(
  ["RFC4787-REQ-3", "RFC5382-REQ-7"],
  "50 hosts, one source port, one destination: 50 outside endpoints",
  () => {
    for (const mapping of BEHAVIOURS) {
      for (const preserve of [false, true]) {
        for (const protocol of PROTOCOLS) {
          const nat = lab({ mapping, portAssignment: { preserve } });
          const outside = range(50).map((n) => nat.map(protocol, inside(n), Y));
          distinct(outside);
          outside.forEach((where, i) => {
            equal(nat.in(probe(protocol, Y, where)).destination, inside(i + 1));
          });
        }
      }
    }
  },
);

row(
  ["RFC4787-REQ-3", "RFC5382-REQ-7"],
  "a newcomer never takes a held port, nor while other remotes use it",
  () => {
    for (const mapping of BEHAVIOURS) {
      for (const protocol of PROTOCOLS) {
        for (const order of ["random", "sequential"]) {
          const nat = lab({ mapping, ...few(20000, 4), portAssignment: { order, preserve: true } });
          const held = fill(nat, protocol, 4);
          distinct(held);
          for (const from of [inside(5), inside(5, 20000), inside(6, 20003)]) {
            drops(nat.out(opening(protocol, from, Y)), "ports-exhausted");
            drops(nat.out(opening(protocol, from, Z)), "ports-exhausted");
          }
          held.forEach((where, i) => {
            equal(nat.map(protocol, inside(i + 1), Y), where);
          });
        }
      }
    }
  },
);

row(
  "RFC4787-REQ-2",
  "and no longer: a host without mappings may get another address when its old one is full",
  () => {
    const outside = [A, B].map((address) => ({ address, ports: "20000" }));
    const nat = lab({ outside });
    const first = nat.map("tcp", X, Y);
    nat.forget(sessionAt(nat, first));
    const others = [2, 3].map((n) => ({ n, where: nat.map("tcp", inside(n), Y) }));
    distinct(others.map(({ where }) => where));
    // The one on the other address goes: there is room again, where X was not before.
    const elsewhere = others.find(({ where }) => where !== first)!;
    nat.forget(nat.sessions.find(({ inside: { address } }) => address === addressOf(inside(elsewhere.n)))!);
    equal(nat.map("tcp", X, Y), elsewhere.where);
  },
);

row("RFC4787-REQ-3a", "of 1-65535, ports to 1023 stay below 1024 and the others above, kept or not", () => {
  for (const preserve of [false, true]) {
    for (const protocol of ["udp", "tcp"] as const) {
      const nat = lab({ outside: [{ address: A, ports: "1-65535" }], portAssignment: { preserve } });
      for (const port of [1, 2, 700, 1022, 1023]) {
        for (const n of range(20)) ok(portOf(nat.map(protocol, inside(n, port), Y)) < 1024, `${port}`);
      }
      for (const port of [1024, 1025, 5000, 65534, 65535]) {
        for (const n of range(20)) ok(portOf(nat.map(protocol, inside(n, port), Y)) >= 1024, `${port}`);
      }
    }
  }
});

row("RFC4787-REQ-4", "odd and even ports below and above 1024 keep their parity, by default", () => {
  for (const portAssignment of [{}, { preserve: true }, { order: "sequential" }, { blockSize: 64 }]) {
    const nat = lab({ outside: [{ address: A, ports: "1-65535" }], portAssignment });
    for (const port of [1, 2, 1022, 1023, 1024, 1025, 5000, 5001, 65534, 65535]) {
      for (const n of range(20)) equal(portOf(nat.map("udp", inside(n, port), Y)) % 2, port % 2);
    }
  }
});

row("RFC7857-S8", "parity: false gives even ports odd ones too; true keeps it", () => {
  const even = (parity: boolean) => {
    const nat = lab({ portAssignment: { parity } });
    return range(64).filter((n) => portOf(nat.map("udp", inside(n), Y)) % 2 === 0).length;
  };
  equal(even(true), 64);
  ok(even(false) > 16 && even(false) < 48, `${even(false)} of 64`);
});

row("RFC4787-S4.2.1-PRESERVE", "a free port is kept; on a conflict another, the holder undisturbed", () => {
  for (const protocol of PROTOCOLS) {
    for (const mapping of BEHAVIOURS) {
      const nat = lab({ mapping, portAssignment: { preserve: true } });
      equal(nat.map(protocol, X, Y), at(A, portOf(X)));
      equal(nat.map(protocol, inside(7, 5555), Y), at(A, 5555));
      const second = nat.map(protocol, X2, Y);
      notEqual(second, at(A, portOf(X)));
      equal(nat.map(protocol, X, Y), at(A, portOf(X)));
      equal(nat.map(protocol, X2, Y), second);
      equal(nat.in(probe(protocol, Y, at(A, portOf(X)))).destination, X);
    }
  }
});

row(
  "RFC4787-S4.2.1-PRESERVE",
  "a port whose session has just ended is free for the next that wants it",
  () => {
    const nat = lab({ portAssignment: { preserve: true } });
    equal(nat.map("tcp", X, Y), at(A, portOf(X)));
    equal(nat.at(240).map("tcp", X2, Y), at(A, portOf(X)));
  },
);

row("RFC4787-S4.2.1-PRESERVE", "a port outside the range is not kept", () => {
  const nat = lab({ ...few(20000, 100), portAssignment: { preserve: true } });
  for (const protocol of PROTOCOLS) {
    equal(nat.map(protocol, inside(1, 20099), Y), at(A, 20099));
    for (const port of [19999, 20100]) {
      const got = portOf(nat.map(protocol, inside(1, port), Y));
      ok(got >= 20000 && got <= 20099);
    }
  }
});

row("RFC4787-S4.2.1-PORT0", "from and to port 0 and id 0: translated, and the answers find their way", () => {
  for (const protocol of PROTOCOLS) {
    for (const preserve of [false, true]) {
      const nat = lab({ portAssignment: { preserve } });
      const sent = nat.out(opening(protocol, at(X, 0), Y));
      notEqual(portOf(sent.source), 0);
      equal(nat.in(sent.reply).destination, at(X, 0));
      const to0 = nat.out(opening(protocol, X, at(Y, 0)));
      equal(nat.in(to0.reply).destination, X);
      drops(nat.in(probe(protocol, Y, at(A, 0))), "no-mapping");
    }
  }
});

row(
  "RFC7857-S4",
  "the host's address is full: its next flow is dropped, though another address is free",
  () => {
    for (const protocol of PROTOCOLS) {
      const outside = [A, B].map((address) => ({ address, ports: "20000-20003" }));
      const nat = lab({ outside });
      const own = range(4).map((n) => nat.map(protocol, inside(1, n), Y));
      same(own.map(addressOf));
      drops(nat.out(opening(protocol, inside(1, 5), Y)), "ports-exhausted");
      notEqual(addressOf(nat.map(protocol, X2, Y)), addressOf(own[0]!));
      own.forEach((where, i) => {
        equal(nat.in(probe(protocol, Y, where)).destination, inside(1, i + 1));
      });
    }
  },
);

row("RFC7857-S4", "soft-paired: one address while it has ports, then another", () => {
  for (const protocol of PROTOCOLS) {
    const outside = [A, B].map((address) => ({ address, ports: "20000-20003" }));
    const nat = lab({ outside, pooling: "soft-paired" });
    // Even when no port of the right parity is left.
    const own = range(8).map((n) => addressOf(nat.map(protocol, inside(1, 2 * n), Y)));
    same(own.slice(0, 4));
    same(own.slice(4));
    notEqual(own[0], own[4]);
    drops(nat.out(opening(protocol, inside(1, 9), Y)), "ports-exhausted");
  }
});

row("RFC4787-REQ-2", 'pooling "arbitrary" is the other choice', () => {
  const nat = lab({ outside: POOL, pooling: "arbitrary" });
  const used = new Set(range(60).map((n) => addressOf(nat.map("udp", inside(1, n), Y))));
  equal(used.size, 3);
});

/** Neither a constant step nor a part of the range preferred. */
function looksRandom(ports: readonly number[], low: number, high: number): void {
  const steps = new Map<number, number>();
  ports.slice(1).forEach((port, i) => {
    const step = port - ports[i]!;
    steps.set(step, (steps.get(step) ?? 0) + 1);
  });
  const commonest = Math.max(...steps.values());
  ok(commonest <= ports.length / 20, `one step ${commonest} times in ${ports.length}`);
  const slices = new Array<number>(8).fill(0);
  for (const port of ports) slices[Math.floor(((port - low) * 8) / (high - low + 1))]!++;
  for (const count of slices) {
    ok(count > ports.length / 32 && count < ports.length / 4, `uneven over the range: ${slices}`);
  }
}

row(
  ["RFC7857-S9", "RFC6056-S4", "RFC6888-REQ-15"],
  "200 flows: no constant step, spread over the range",
  () => {
    for (const mapping of BEHAVIOURS) {
      for (const protocol of PROTOCOLS) {
        for (const parity of [false, true]) {
          const nat = lab({ mapping, portAssignment: { parity } });
          const ports = (from: number) =>
            range(200).map((n) => portOf(nat.map(protocol, inside(n, from), Y)));
          looksRandom(ports(4000), 1024, 65535);
          looksRandom(ports(4001), 1024, 65535);
        }
      }
    }
  },
);

row(
  ["RFC6056-S4", "RFC6888-REQ-15"],
  "one host's flows, with rising source ports: just so, in its blocks too",
  () => {
    for (const protocol of PROTOCOLS) {
      const flows = (nat: Lab) => range(200).map((n) => portOf(nat.map(protocol, inside(1, 4000 + n), Y)));
      looksRandom(flows(lab()), 1024, 65535);
      const inBlock = flows(lab({ portAssignment: { blockSize: 1024 } }));
      const low = Math.min(...inBlock);
      ok(Math.max(...inBlock) - low < 1024);
      looksRandom(inBlock, low, Math.max(...inBlock));
    }
  },
);

row("RFC6056-S4", "with preservation only replaced ports are random, and within their parity", () => {
  const nat = lab({ portAssignment: { preserve: true } });
  const ports = range(201).map((n) => portOf(nat.map("udp", inside(n), Y)));
  equal(ports[0], portOf(X));
  looksRandom(ports.slice(1), 1024, 65535);
  ok(ports.every((port) => port % 2 === portOf(X) % 2));
});

row("RFC6056-S4", "another seed, other ports", () => {
  const first = (seed: number) => range(5).map((n) => lab({}, seed).map("udp", inside(n), Y));
  distinct(range(50).map((seed) => first(seed).join()));
});

row("RFC6056-S3.2", "by default 1024-65535, both ends included", () => {
  const nat = lab({ portAssignment: { preserve: true } });
  deepEqual(nat.nat.config.outside, [{ address: A, ports: "1024-65535" }]);
  for (const protocol of PROTOCOLS) {
    for (const port of [1024, 65535]) equal(nat.map(protocol, inside(1, port), Y), at(A, port));
    for (const n of range(300)) ok(portOf(nat.map(protocol, inside(n, 700), Y)) >= 1024);
  }
});

row("RFC6056-S3.2", "a forwarded port is never handed out", () => {
  for (const protocol of ["udp", "tcp"] as const) {
    const forwards = [{ protocol, outside: at(A, 20004), inside: inside(99, 80) }];
    for (const portAssignment of [{}, { preserve: true }, { order: "sequential" }, { blockSize: 5 }]) {
      const nat = lab({ ...few(20000, 10), forwards, portAssignment });
      const ports = range(9).map((n) => {
        // With blocks a host has five ports at most, one of them the forward's.
        const from = inside(portAssignment.blockSize ? Math.ceil((n + 1) / 5) : n, 20004 + n * 256);
        const sent = nat.out(opening(protocol, from, Y));
        return sent.cameThrough ? portOf(sent.source) : 0;
      });
      ok(!ports.includes(20004));
      if (!portAssignment.blockSize) distinct([...ports, 20004]);
      equal(nat.in(opening(protocol, Y, at(A, 20004))).destination, inside(99, 80));
    }
  }
});

row("RFC6888-REQ-2", "UDP, TCP and echo of a host leave from one address", () => {
  const nat = lab({ outside: POOL });
  for (const n of range(30)) {
    same(PROTOCOLS.map((protocol) => addressOf(nat.map(protocol, inside(n), remote(n)))));
  }
});

row("RFC6888-REQ-2", 'and so they do with preset "cgn"', () => {
  const nat = lab({ preset: "cgn", outside: POOL });
  for (const n of range(30)) {
    same(PROTOCOLS.map((protocol) => addressOf(nat.map(protocol, inside(n), remote(n)))));
  }
});

row("RFC6888-REQ-3", "addresses and prefixes from several networks are all used", () => {
  const nat = lab({ outside: ["203.0.113.1", "203.0.113.64/30", "192.0.2.128/28", "100.64.7.7"] });
  const used = new Set(range(200).map((n) => addressOf(nat.map("udp", inside(n), Y))));
  equal(used.size, 1 + 4 + 16 + 1);
  for (const address of ["203.0.113.1", "203.0.113.67", "192.0.2.128", "192.0.2.143", "100.64.7.7"]) {
    ok(used.has(address), address);
  }
});

row("RFC6888-REQ-3", "a pool of 4096 addresses", () => {
  const nat = lab({ outside: ["172.16.0.0/20"] });
  const used = new Set(range(1000).map((n) => addressOf(nat.map("udp", inside(n), Y))));
  ok(used.size > 500, `${used.size} for 1000 hosts`);
});

// ---------------------------------------------------------------------------------------------- hold-down

/** A range with ports to spare for resting: an eighth of it at most. */
const RANGE = 1024;
/** Holds what a test does not free. */
const LONG = { udp: 100_000, icmp: 100_000 };

/** A full address of which one port came free at 0: a newcomer can have it from when on, to the millisecond? */
function restsUntil(seconds: number, protocol: Protocol, portAssignment: object): void {
  const nat = lab({ ...few(20000, RANGE), portAssignment, timeouts: LONG });
  const freed = fill(nat, protocol, RANGE)[6]!;
  nat.forget(sessionAt(nat, freed));
  const newcomer = () => nat.out(opening(protocol, inside(RANGE + 1), Y));
  if (seconds > 0) {
    drops(newcomer(), "ports-exhausted");
    nat.at(seconds - 0.001);
    drops(newcomer(), "ports-exhausted");
  }
  nat.at(seconds + (seconds > 0 ? 0.001 : 0));
  equal(newcomer().source, freed);
}

row("RFC6888-REQ-8", "a freed UDP port or id serves nobody for 120 s, by default", () => {
  for (const protocol of ["udp", "icmp"] as const) restsUntil(120, protocol, {});
});

row("RFC6888-REQ-8", "nor when its session ends by itself", () => {
  const nat = lab(few(20000, RANGE));
  const [freed] = fill(nat, "udp", RANGE);
  for (const t of [200, 400]) {
    nat.at(t);
    for (const n of range(RANGE - 1, 2)) nat.map("udp", inside(n), Y);
    if (t === 200) equal(nat.at(300).sessions.length, RANGE - 1, "the first has ended");
  }
  nat.at(419.999);
  drops(nat.out(udp(inside(RANGE + 1), Y)), "ports-exhausted");
  equal(nat.at(420.001).map("udp", inside(RANGE + 1), Y), freed);
});

row("RFC6888-REQ-8", "the time is configurable, 0 ends it", () => {
  for (const holdDown of [30, 0.5, 1000, 0]) restsUntil(holdDown, "udp", { holdDown });
});

row("RFC6888-REQ-8", "the number is configurable: beyond it the longest at rest comes free", () => {
  for (const holdDownPorts of [1, 2, 3]) {
    const nat = lab({
      ...few(20000, RANGE),
      portAssignment: { holdDownPorts, holdDown: 1000 },
      timeouts: LONG,
    });
    const freed = fill(nat, "udp", RANGE).slice(10, 14);
    for (const where of freed) nat.wait(1).forget(sessionAt(nat, where));
    const usable = freed.slice(0, 4 - holdDownPorts);
    const got = usable.map((_, i) => nat.map("udp", inside(2000 + i), Y));
    deepEqual(got.toSorted(), usable.toSorted());
    drops(nat.out(udp(inside(3000), Y)), "ports-exhausted");
  }
});

row("RFC6888-REQ-8", "never more than an eighth of the range rests, so that enough is left", () => {
  const nat = lab({ ...few(20000, RANGE), portAssignment: { holdDown: 1000 }, timeouts: LONG });
  fill(nat, "udp", RANGE);
  for (const session of nat.sessions) nat.forget(session);
  const got = range(RANGE).filter((n) => nat.out(udp(inside(2000 + n), Y)).cameThrough);
  equal(got.length, RANGE - RANGE / 8);
});

row("RFC6888-REQ-8", "a port at rest lets nothing in", () => {
  const nat = lab({ filtering: "endpoint-independent" });
  const outside = nat.map("udp", X, Y);
  nat.forget(sessionAt(nat, outside));
  drops(nat.at(60).in(udp(Y, outside)), "no-mapping");
});

row("RFC6888-REQ-8a", "a TCP port serves the next at once", () => {
  const nat = lab(few(20000, 16));
  const freed = fill(nat, "tcp", 16)[6]!;
  nat.forget(sessionAt(nat, freed));
  equal(nat.map("tcp", inside(20), Y), freed);
});

// ---------------------------------------------------------------------------------------------- blocks

row("RFC6888-REQ-13", "of N ports N mappings fit, and not one more", () => {
  for (const protocol of PROTOCOLS) {
    for (const portAssignment of [{}, { preserve: true }, { order: "sequential" }, { parity: false }]) {
      const nat = lab({ ...few(20000, 101), portAssignment });
      distinct(fill(nat, protocol, 101)); // all of one parity
      drops(nat.out(opening(protocol, inside(200), Y)), "ports-exhausted");
    }
  }
});

row("RFC6888-REQ-13", "each protocol has all of them", () => {
  const nat = lab(few(20000, 16));
  for (const protocol of PROTOCOLS) distinct(fill(nat, protocol, 16));
});

row("RFC6888-REQ-13", "with blocks too: ten hosts with ten ports each fill a hundred", () => {
  for (const protocol of PROTOCOLS) {
    const nat = lab({ ...few(20000, 100), portAssignment: { blockSize: 10 } });
    distinct(range(100, 0).map((n) => nat.map(protocol, inside(1 + Math.floor(n / 10), n), Y)));
    drops(nat.out(opening(protocol, inside(11), Y)), "ports-exhausted");
  }
});

const blockLog = (nat: Lab) => nat.nat.conntrack.events({ types: ["block-allocated", "block-released"] });

row("RFC6888-REQ-14", "blockSize n: a host's ports fill one aligned block before it gets another", () => {
  for (const protocol of PROTOCOLS) {
    const nat = lab({ portAssignment: { blockSize: 64 } });
    const blockOf = (outside: string) => Math.floor((portOf(outside) - 1024) / 64);
    for (const n of [1, 2, 3]) {
      const outside = range(128).map((m) => nat.map(protocol, inside(n, m), Y));
      same(outside.slice(0, 64).map(blockOf), "blocks");
      same(outside.slice(64).map(blockOf), "blocks");
      notEqual(blockOf(outside[0]!), blockOf(outside[64]!));
    }
  }
});

row("RFC6888-REQ-14", "a log has one entry for a block of n ports, and one for its release", () => {
  const nat = lab({ portAssignment: { blockSize: 64 } });
  const log = blockLog(nat);
  nat.at(7);
  const outside = range(64).map((n) => nat.map("udp", inside(1, n), Y));
  const [entry, ...others] = log.take();
  deepEqual(others, []);
  const low = Math.min(...outside.map(portOf));
  deepEqual(entry, {
    type: "block-allocated",
    at: 7000,
    inside: addressOf(X),
    address: A,
    ports: [low, low + 63],
  });
  nat.map("tcp", inside(1), Y);
  deepEqual(log.take(), [], "other protocols share it");
  nat.at(1000);
  equal(nat.sessions.length, 0);
  const released = log.take().map(({ at: _, ...event }) => event);
  const { at: __, ...block } = entry!;
  deepEqual(released, [{ ...block, type: "block-released" }]);
});

row("RFC6888-REQ-14", "blocksPerHost: no more blocks than that; others have theirs", () => {
  const nat = lab({ portAssignment: { blockSize: 8, blocksPerHost: 2 } });
  distinct(range(16).map((n) => nat.map("udp", inside(1, n), Y)));
  drops(nat.out(udp(inside(1, 17), Y)));
  nat.map("udp", X2, Y);
});

row("RFC6888-REQ-14", "blockHold: a released block rests before another host has it", () => {
  const config = { ...few(20000, 8), portAssignment: { blockSize: 8, blockHold: 60, holdDown: 0 } };
  const nat = lab(config);
  nat.forget(sessionAt(nat, nat.map("udp", X, Y)));
  drops(nat.at(59.999).out(udp(X2, Y)), "ports-exhausted");
  passes(nat.at(60).out(udp(X2, Y)));
});

// ---------------------------------------------------------------------------------------------- RFC 7422

/** The example of RFC 7422, section 2.3. */
const EXAMPLE = {
  inside: ["198.51.100.0/28"],
  outside: [{ address: A, ports: "1024-65535" }],
  portAssignment: { deterministic: { dynamic: 2 } },
};
/** The far end, as 198.51.100.0/24 is inside now. */
const FAR = "192.0.2.9:5000";
const host = (n: number, port = 4000) => `198.51.100.${n}:${port}`;
const M = 4032;
const rangeOf = (n: number) => ({ low: 1024 + (n - 1) * M, high: 1024 + n * M - 1 });

/** What `napt who` knows of a NAT, without any state. */
const knownOf = ({ nat: { config } }: Lab) => ({ parameters: parametersOf(config)!, statics: config.static });

row(
  "RFC7422-S2",
  "the range of every host is a function of its address, whatever the order and the seed",
  () => {
    for (const seed of [1, 2, 3]) {
      const nat = lab(EXAMPLE, seed);
      for (const n of seed === 2 ? range(14).toReversed() : range(14)) {
        for (const protocol of PROTOCOLS) {
          for (const port of range(20)) {
            const got = portOf(nat.map(protocol, host(n, port), FAR));
            ok(got >= rangeOf(n).low && got <= rangeOf(n).high, `host ${n} has ${got}`);
          }
        }
      }
    }
  },
);

row("RFC7422-S2", "several addresses: C = ceil(hosts / addresses) hosts share one, in order", () => {
  const pool = ["203.0.113.1", "203.0.113.2", "192.0.2.77", "192.0.2.78"];
  const nat = lab({
    inside: ["10.0.0.0/28"],
    outside: pool.map((address) => ({ address, ports: "1024-65535" })),
    portAssignment: { deterministic: { dynamic: 0 } },
  });
  const size = Math.floor(64512 / 4);
  for (const n of range(14, 0)) {
    for (const port of range(20)) {
      const got = nat.map("udp", inside(n + 1, port), Y);
      equal(addressOf(got), pool[Math.floor(n / 4)]);
      equal(Math.floor((portOf(got) - 1024) / size), n % 4);
    }
  }
});

row("RFC7422-S2", "napt who: every public endpoint leads back to its host, and the host to it", () => {
  const pool = ["203.0.113.1", "203.0.113.2", "192.0.2.77"];
  const outside = pool.map((address) => ({ address, ports: "1024-65535" }));
  for (const config of [EXAMPLE, { ...EXAMPLE, outside }]) {
    const nat = lab(config);
    const known = knownOf(nat);
    for (const n of range(14)) {
      const address = addressOf(host(n));
      for (const protocol of PROTOCOLS) {
        for (const port of range(20)) {
          const there = nat.map(protocol, host(n, port), FAR);
          equal(who(there, known).inside, address);
          equal(who(address, known).outside, addressOf(there));
        }
      }
      const { outside: own, ports } = who(address, known);
      const [low, high] = ports.split("-").map(Number) as [number, number];
      for (const port of [low, high]) equal(who(at(own, port), known).inside, address);
    }
  }
});

row("RFC6888-REQ-8b", "a host whose whole range came free has all of it again at once", () => {
  const nat = lab({ ...EXAMPLE, portAssignment: { deterministic: { dynamic: 0 } } });
  const size = Math.floor(64512 / 14);
  for (const round of [1, 2]) {
    for (const n of range(size)) passes(nat.out(udp(host(3, n), FAR)), `round ${round}, flow ${n}`);
    for (const session of nat.sessions) nat.forget(session);
  }
});

row("RFC7422-S2-RESERVED", "no port below 1024, for source ports below it either", () => {
  const nat = lab(EXAMPLE);
  for (const n of range(14)) {
    for (const port of [1, 80, 700, 1023]) ok(portOf(nat.map("udp", host(n, port), FAR)) >= 1024);
  }
});

row("RFC7422-S2-RANGE", "all ports of a host lie in its range while it has any, and come at random", () => {
  for (const protocol of PROTOCOLS) {
    const nat = lab(EXAMPLE);
    const ports = range(M).map((n) => portOf(nat.map(protocol, host(2, n), FAR)));
    distinct(ports);
    looksRandom(ports.slice(0, 200), rangeOf(2).low, rangeOf(2).high);
    equal(Math.min(...ports), rangeOf(2).low);
    equal(Math.max(...ports), rangeOf(2).high);
  }
});

row(
  "RFC7422-S2-DYNAMIC",
  "beyond its range a host gets a block from the dynamic pool, which is logged",
  () => {
    const nat = lab(EXAMPLE);
    const log = blockLog(nat);
    for (const n of range(M)) nat.map("udp", host(1, n), FAR);
    deepEqual(log.take(), [], "its own range needs no log");
    const more = range(10).map((n) => portOf(nat.map("udp", host(1, 5000 + n), FAR)));
    ok(more.every((port) => port >= 57472));
    const [entry, ...others] = log.take();
    deepEqual(others, []);
    ok(entry?.type === "block-allocated");
    deepEqual([entry.inside, entry.address], ["198.51.100.1", A]);
    const [low, high] = entry.ports;
    ok(
      more.every((port) => port >= low && port <= high),
      `${more} in ${entry.ports}`,
    );
  },
);

row("RFC7422-S2-DYNAMIC", "dynamic: 0 means no pool: the host's next flow is refused, others go on", () => {
  const nat = lab({ ...EXAMPLE, portAssignment: { deterministic: { dynamic: 0 } } });
  const size = Math.floor(64512 / 14);
  const ports = range(size).map((n) => portOf(nat.map("udp", host(14, n), FAR)));
  equal(Math.min(...ports), 1024 + 13 * size);
  drops(nat.out(udp(host(14, 60000), FAR)), "ports-exhausted");
  passes(nat.out(udp(host(13, 60000), FAR)));
});

row("RFC7422-S2.3", ".1 has exactly 1024-5055, .2 5056-9087, the pool is 57472-65535", () => {
  const nat = lab(EXAMPLE);
  const all = (n: number, from: number, count: number) =>
    range(count, from).map((port) => portOf(nat.map("udp", host(n, port), FAR)));
  const own = [all(1, 1, M), all(2, 1, M)];
  deepEqual(
    own.map((ports) => [Math.min(...ports), Math.max(...ports), new Set(ports).size]),
    [
      [1024, 5055, M],
      [5056, 9087, M],
    ],
  );
  const pool = all(1, 10000, 8064);
  deepEqual([Math.min(...pool), Math.max(...pool), new Set(pool).size], [57472, 65535, 8064]);
  drops(nat.out(udp(host(1, 30000), FAR)), "ports-exhausted");
});

row(
  "RFC7422-S3-LOG",
  "a record has time, prefixes with masks, D, M, C, the algorithm, reserved ports",
  () => {
    const { config } = lab(EXAMPLE).nat;
    const time = new Date("2026-01-31T12:00:00Z");
    deepEqual(recordOf(config, time), {
      time: "2026-01-31T12:00:00.000Z",
      inside: ["198.51.100.0/28"],
      outside: ["203.0.113.1/32"],
      ports: "1024-65535",
      reserved: ["0-1023"],
      D: 2,
      M,
      C: 14,
      algorithm: "sequential",
      static: [],
    });
  },
);

row("RFC7422-S3-LOG", "records of each change name the owner of a port at any time since the first", () => {
  const [first, second] = ["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"];
  const configs = [EXAMPLE, { ...EXAMPLE, portAssignment: { deterministic: { dynamic: 0 } } }];
  const log = [first, second].map((time, i) =>
    JSON.stringify(recordOf(lab(configs[i]).nat.config, new Date(time!))),
  );
  const ownerAt = (time: string) =>
    who(at(A, 5200), recordAt(`${log.join("\n")}\n`, new Date(time), "log")).inside;
  // 4032 ports each at first, then 4608.
  equal(ownerAt("2026-01-01T00:00:00Z"), "198.51.100.2");
  equal(ownerAt("2026-01-31T23:59:59.999Z"), "198.51.100.2");
  equal(ownerAt("2026-02-01T00:00:00Z"), "198.51.100.1");
  throws(() => ownerAt("2025-12-31T23:59:59.999Z"));
});
