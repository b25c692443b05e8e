// Ports and pools (RFC 4787 section 4, RFC 5382 section 7.2, RFC 6056, RFC 6888, RFC 7422, RFC 7857).
import { deepEqual, equal, notEqual, ok } from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
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
    const own = range(8).map((n) => addressOf(nat.map(protocol, inside(1, n), Y)));
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

/**
 * A full address of 16 ports, one of which comes free at 0: from when on can a newcomer have it?
 * @param how frees it
 */
function restsUntil(seconds: number, protocol: Protocol, portAssignment: object): void {
  const full = () => {
    const nat = lab({
      ...few(20000, 16),
      portAssignment,
      timeouts: { udp: 100_000, icmp: 100_000 },
    });
    const freed = fill(nat, protocol, 16)[6]!;
    nat.forget(sessionAt(nat, freed));
    return { nat, freed };
  };
  const { nat, freed } = full();
  if (seconds > 0) {
    drops(nat.out(opening(protocol, inside(20), Y)), "ports-exhausted");
    drops(nat.at(seconds - 0.001).out(opening(protocol, inside(20), Y)), "ports-exhausted");
  }
  equal(nat.at(seconds).map(protocol, inside(20), Y), freed);
  const anew = full();
  equal(anew.nat.at(seconds).map(protocol, inside(20), Y), anew.freed, "without asking before");
}

row("RFC6888-REQ-8", "a freed UDP port or id serves nobody for 120 s, by default", () => {
  for (const protocol of ["udp", "icmp"] as const) restsUntil(120, protocol, {});
});

row("RFC6888-REQ-8", "nor when its session ends by itself", () => {
  const nat = lab(few(20000, 16));
  const freed = nat.map("udp", inside(1), Y);
  const stay = () => {
    for (const n of range(15, 2)) nat.map("udp", inside(n), Y);
  };
  stay();
  nat.at(200);
  stay();
  nat.at(300);
  equal(nat.sessions.length, 15, "the first has ended");
  drops(nat.at(419.999).out(udp(inside(20), Y)), "ports-exhausted");
  equal(nat.at(420).map("udp", inside(20), Y), freed);
});

row("RFC6888-REQ-8", "the time is configurable, 0 ends it", () => {
  for (const holdDown of [30, 0.5, 1000, 0]) restsUntil(holdDown, "udp", { holdDown });
});

row("RFC6888-REQ-8", "the number is configurable: beyond it the longest at rest comes free", () => {
  for (const holdDownPorts of [1, 2, 3]) {
    const nat = lab({
      ...few(20000, 64),
      portAssignment: { holdDownPorts, holdDown: 1000 },
      timeouts: { udp: 100_000 },
    });
    const held = fill(nat, "udp", 64);
    const freed = held.slice(10, 14);
    for (const where of freed) nat.wait(1).forget(sessionAt(nat, where));
    const usable = freed.slice(0, 4 - holdDownPorts);
    const got = usable.map((_, i) => nat.map("udp", inside(100 + i), Y));
    deepEqual(got.toSorted(), usable.toSorted());
    drops(nat.out(udp(inside(200), Y)), "ports-exhausted");
  }
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

interface BlockRecord {
  time: number;
  inside: string;
  address: string;
  ports: string;
  event: "allocated" | "released";
}
const takeBlocks = (nat: Lab) => (nat.nat as unknown as { takePortBlocks(): BlockRecord[] }).takePortBlocks();

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
  deepEqual(takeBlocks(nat), []);
  nat.at(7);
  const outside = range(64).map((n) => nat.map("udp", inside(1, n), Y));
  const [entry, ...others] = takeBlocks(nat);
  deepEqual(others, []);
  const low = Math.min(...outside.map(portOf));
  deepEqual(entry, {
    time: 7000,
    inside: addressOf(X),
    address: A,
    ports: `${low}-${low + 63}`,
    event: "allocated",
  });
  nat.map("tcp", inside(1), Y);
  deepEqual(takeBlocks(nat), [], "other protocols share it");
  nat.at(1000);
  equal(nat.sessions.length, 0);
  deepEqual(
    takeBlocks(nat).map(({ event, ports, inside: host }) => ({ event, ports, host })),
    [{ event: "released", ports: entry!.ports, host: addressOf(X) }],
  );
});

row("RFC6888-REQ-14", "blocksPerHost: no more blocks than that; others have theirs", () => {
  const nat = lab({ portAssignment: { blockSize: 8, blocksPerHost: 2 } });
  distinct(range(16).map((n) => nat.map("udp", inside(1, n), Y)));
  drops(nat.out(udp(inside(1, 17), Y)));
  nat.map("udp", X2, Y);
});

row("RFC6888-REQ-14", "blockHold: a released block rests before another host has it", () => {
  const config = { ...few(20000, 8), portAssignment: { blockSize: 8, blockHold: 60, holdDown: 0 } };
  const released = () => {
    const nat = lab(config);
    const outside = nat.map("udp", X, Y);
    nat.forget(sessionAt(nat, outside));
    return nat;
  };
  const nat = released();
  drops(nat.at(59.999).out(udp(X2, Y)), "ports-exhausted");
  passes(nat.at(60).out(udp(X2, Y)));
  passes(released().at(1).out(udp(X, Y)), "its own host need not wait");
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

/** Answers of `napt who`, which needs no state. */
function who(endpoints: readonly string[], config: object): string[] {
  const folder = mkdtempSync(join(tmpdir(), "napt-who-"));
  try {
    const file = join(folder, "nat.json");
    writeFileSync(file, JSON.stringify(config));
    const cli = join(__dirname, "../../src/cli/main.ts");
    return endpoints.map((endpoint) =>
      execFileSync(process.execPath, ["--import", "tsx", cli, "who", endpoint, "--config", file], {
        encoding: "utf8",
        stdio: "pipe",
      }),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

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

row("RFC7422-S2", "napt who: first and last port of a range lead back to its host, without state", () => {
  const asked = [1, 7, 14].flatMap((n) => [
    { port: rangeOf(n).low, n },
    { port: rangeOf(n).high, n },
  ]);
  const answers = who(
    asked.map(({ port }) => at(A, port)),
    EXAMPLE,
  );
  answers.forEach((answer, i) => {
    const named = answer.match(/198\.51\.100\.\d+/g) ?? [];
    deepEqual([...new Set(named)], [`198.51.100.${asked[i]!.n}`], `${asked[i]!.port}: ${answer}`);
  });
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
    for (const n of range(M)) nat.map("udp", host(1, n), FAR);
    deepEqual(takeBlocks(nat), [], "its own range needs no log");
    const more = range(10).map((n) => portOf(nat.map("udp", host(1, 5000 + n), FAR)));
    ok(more.every((port) => port >= 57472));
    const [entry, ...others] = takeBlocks(nat);
    deepEqual(others, []);
    deepEqual([entry?.inside, entry?.address, entry?.event], ["198.51.100.1", A, "allocated"]);
    const [low, high] = entry!.ports.split("-").map(Number);
    ok(
      more.every((port) => port >= low! && port <= high!),
      `${more} in ${entry!.ports}`,
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
