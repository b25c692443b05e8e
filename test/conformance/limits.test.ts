// Limits and exhaustion (RFC 6888 section 3, RFC 5508 section 6).
import { deepEqual, equal, ok } from "node:assert/strict";
import type { IcmpBody } from "../support/packets.js";
import { drops, type Lab, type LabConfig, lab, passes, range } from "./lab.js";
import { row } from "./suite.js";
import {
  A,
  addressOf,
  at,
  inside,
  opening,
  PROTOCOLS,
  type Protocol,
  probe,
  remote,
  udp,
  X,
  X2,
  Y,
  Z,
} from "./traffic.js";

/** Opens mappings from ports of one host until one is refused; how many it got. */
function mostPorts(nat: Lab, protocol: Protocol, host: number, tries = 40): number {
  const sent = range(tries).map((n) => nat.out(opening(protocol, inside(host, 5000 + n), Y)));
  const got = sent.filter(({ cameThrough }) => cameThrough).length;
  for (const refused of sent.slice(got)) drops(refused, "host-limit");
  return got;
}

row("RFC6888-REQ-4", "portsPerHost 5: the sixth flow is dropped, other hosts have theirs", () => {
  for (const protocol of PROTOCOLS) {
    const nat = lab({ limits: { portsPerHost: 5 } });
    for (const host of [1, 2, 3]) equal(mostPorts(nat, protocol, host), 5);
    // What they have works on, also for more remotes: those are sessions, not ports.
    for (const n of range(5)) {
      for (const m of range(20)) passes(nat.out(opening(protocol, inside(1, 5000 + n), remote(m))));
    }
  }
});

row("RFC6888-REQ-4", "all protocols count together; an ended mapping makes room", () => {
  const nat = lab({ limits: { portsPerHost: 3 } });
  for (const protocol of PROTOCOLS) nat.map(protocol, X, Y);
  for (const protocol of PROTOCOLS) drops(nat.out(opening(protocol, at(X, 5000), Y)), "host-limit");
  nat.at(60); // the query's time
  equal(mostPorts(nat, "udp", 1, 5), 1);
});

row("RFC6888-REQ-4a", "any number, 0 is no limit; a change while it runs holds for new ports", () => {
  for (const portsPerHost of [1, 7, 39]) {
    for (const protocol of PROTOCOLS) {
      equal(mostPorts(lab({ limits: { portsPerHost } }), protocol, 1), portsPerHost);
    }
  }
  equal(mostPorts(lab({ limits: { portsPerHost: 0 } }), "udp", 1, 500), 500);
  equal(mostPorts(lab(), "udp", 1, 500), 500, "the default");
  const nat = lab({ limits: { portsPerHost: 2 } });
  equal(mostPorts(nat, "udp", 1, 5), 2);
  nat.change({ limits: { portsPerHost: 4 } });
  equal(mostPorts(nat, "udp", 1, 5), 4);
});

row("RFC6888-REQ-4b", "each protocol's own limit; what is left out has none", () => {
  const most = (portsPerHost: object) =>
    PROTOCOLS.map((protocol) => mostPorts(lab({ limits: { portsPerHost } }), protocol, 1));
  deepEqual(most({ udp: 3, tcp: 2, icmp: 1 }), [3, 2, 1]);
  deepEqual(most({ tcp: 2 }), [40, 2, 40]);
  const nat = lab({ limits: { portsPerHost: { udp: 3, tcp: 2, icmp: 1 } } });
  deepEqual(
    PROTOCOLS.map((protocol) => mostPorts(nat, protocol, 1)),
    [3, 2, 1],
    "side by side",
  );
});

row(
  ["RFC6888-REQ-4c", "RFC6888-REQ-5b"],
  "sessionRatePerHost: one second's worth at once, then one each 1/N s",
  () => {
    for (const protocol of PROTOCOLS) {
      for (const rate of [1, 5, 100]) {
        const nat = lab({ limits: { sessionRatePerHost: rate } });
        const next = (host: number, n: number) => nat.out(opening(protocol, inside(host, 5000 + n), Y));
        for (const n of range(rate)) passes(next(1, n));
        drops(next(1, rate + 1), "rate-limit");
        for (const n of range(rate)) passes(next(2, n), "another host");
        passes(nat.out(opening(protocol, inside(1, 5001), Y)), "a session that there is");
        nat.wait(1 / rate - 0.001);
        drops(next(1, rate + 1), "rate-limit");
        nat.wait(0.001);
        passes(next(1, rate + 1));
        drops(next(1, rate + 2), "rate-limit");
        nat.wait(1000);
        equal(
          range(3 * rate).filter((n) => next(1, 1000 + n).cameThrough).length,
          rate,
          "no more is saved up",
        );
      }
    }
  },
);

row(["RFC6888-REQ-4c", "RFC6888-REQ-5b"], "sessionRate: the same for all hosts together", () => {
  const nat = lab({ limits: { sessionRate: 10 } });
  const passed = range(30).filter((n) => nat.out(udp(inside(n), Y)).cameThrough).length;
  equal(passed, 10);
  equal(nat.dropped("rate-limit"), 20);
  equal(range(30).filter((n) => nat.wait(0.1).out(udp(inside(100 + n), Y)).cameThrough).length, 30);
});

row("RFC6888-REQ-5", "sessionsPerHost 5: the sixth flow is dropped, other hosts have theirs", () => {
  for (const protocol of PROTOCOLS) {
    const nat = lab({ limits: { sessionsPerHost: 5 } });
    for (const host of [inside(1), inside(2)]) {
      for (const n of range(5)) passes(nat.out(opening(protocol, host, remote(n))));
      drops(nat.out(opening(protocol, host, remote(6))), "host-limit");
      drops(nat.out(opening(protocol, at(host, 4001), remote(1))), "host-limit");
      for (const n of range(5)) passes(nat.out(opening(protocol, host, remote(n))));
    }
  }
});

row("RFC6888-REQ-5", "only what lives counts, refused packets count nothing", () => {
  const nat = lab({ limits: { sessionsPerHost: 2 } });
  nat.map("udp", X, Y);
  nat.at(100).map("udp", X, Z);
  for (const n of range(100)) drops(nat.out(udp(X, remote(10 + n))), "host-limit");
  drops(nat.at(299.999).out(udp(X, remote(3))), "host-limit");
  passes(nat.at(300).out(udp(X, remote(3))));
  drops(nat.out(udp(X, remote(4))), "host-limit");
});

row("RFC6888-REQ-5", "what outsiders send fills no table, whatever the filter", () => {
  for (const protocol of ["udp", "icmp"] as const) {
    const nat = lab({ filtering: "endpoint-independent", limits: { sessionsPerHost: 2 } });
    const outside = nat.map(protocol, X, Y);
    for (const n of range(200)) passes(nat.in(probe(protocol, remote(n), outside)));
    equal(nat.sessions.length, 1);
    passes(nat.out(opening(protocol, X, Z)));
  }
});

row("RFC6888-REQ-5a", "any number, 0 is no limit; a change while it runs holds for new sessions", () => {
  const most = (config: LabConfig) => {
    const nat = lab(config);
    return range(50).filter((n) => nat.out(udp(X, remote(n))).cameThrough).length;
  };
  for (const sessionsPerHost of [1, 7, 49]) equal(most({ limits: { sessionsPerHost } }), sessionsPerHost);
  equal(most({ limits: { sessionsPerHost: 0 } }), 50);
  equal(most({}), 50, "the default");
  const nat = lab({ limits: { sessionsPerHost: 1 } });
  nat.map("udp", X, Y);
  drops(nat.out(udp(X, Z)), "host-limit");
  nat.change({ limits: { sessionsPerHost: 2 } });
  passes(nat.out(udp(X, Z)));
});

row("RFC6888-REQ-5a", "limits.sessions bounds the whole", () => {
  for (const sessions of [1, 64, 1000]) {
    const nat = lab({ limits: { sessions } });
    for (const n of range(sessions)) passes(nat.out(udp(inside(n), Y)));
    drops(nat.out(udp(inside(sessions + 1), Y)), "session-limit");
    equal(nat.sessions.length, sessions);
  }
});

/** A range of four ports and the hosts that have them. */
function full(protocol: Protocol, config: LabConfig = {}): { nat: Lab; held: string[] } {
  const nat = lab({ outside: [{ address: A, ports: "20000-20003" }], ...config });
  return { nat, held: range(4).map((n) => nat.map(protocol, inside(n), Y)) };
}

row(
  "RFC6888-REQ-11a",
  "four ports, five hosts: the fifth is dropped, for each protocol and kind of mapping",
  () => {
    for (const protocol of PROTOCOLS) {
      for (const mapping of ["endpoint-independent", "address-dependent", "address-and-port-dependent"]) {
        const { nat } = full(protocol, { mapping });
        drops(nat.out(opening(protocol, inside(5), Y)), "ports-exhausted");
        drops(nat.out(opening(protocol, at(X, 4001), Y)), "ports-exhausted");
        equal(nat.sessions.length, 4);
      }
    }
  },
);

row("RFC6888-REQ-11b", "errors on: 3/1 or 3/13 to the host, quoting its packet", () => {
  for (const protocol of PROTOCOLS) {
    const { nat } = full(protocol, { icmpErrors: true });
    const refused = nat.out(opening(protocol, inside(5), Y));
    drops(refused, "ports-exhausted");
    const [sent, ...others] = nat.errors();
    deepEqual(others, []);
    const { type, code } = sent!.packet.body as IcmpBody;
    ok(type === 3 && (code === 1 || code === 13), `${type}/${code}`);
    equal(sent!.packet.dst, addressOf(inside(5)));
    deepEqual([...sent!.quoted], [...refused.original]);
  }
});

row("RFC6888-REQ-11c", "each refusal is counted under its reason", () => {
  for (const protocol of PROTOCOLS) {
    const { nat } = full(protocol);
    for (const n of range(17)) nat.out(opening(protocol, inside(4 + n), Y));
    equal(nat.dropped("ports-exhausted"), 17);
  }
  const nat = lab({ limits: { sessions: 2, sessionsPerHost: 1 } });
  for (const [from, to] of [
    [X, Y],
    [X, Z],
    [X2, Y],
    [inside(3), Y],
  ] as const)
    nat.out(udp(from, to));
  deepEqual([nat.dropped("host-limit"), nat.dropped("session-limit")], [1, 1]);
});

row("RFC6888-REQ-11d", "after 1000 refusals the first four work on, both ways, as long as before", () => {
  for (const protocol of PROTOCOLS) {
    const { nat, held } = full(protocol);
    for (const n of range(1000)) {
      drops(nat.wait(0.01).out(opening(protocol, inside(4 + (n % 200), 4000 + n), Y)), "ports-exhausted");
    }
    held.forEach((outside, i) => {
      equal(nat.in(probe(protocol, Y, outside)).destination, inside(i + 1));
      equal(nat.map(protocol, inside(i + 1), Y), outside);
    });
  }
});

row("RFC6888-REQ-11d", "nor do a full table or a host's limit end a session", () => {
  for (const limits of [{ sessions: 4 }, { sessionsPerHost: 1 }]) {
    const nat = lab({ limits });
    const held = range(4).map((n) => nat.map("udp", inside(n), Y));
    for (const n of range(1000)) drops(nat.out(udp(inside(1 + (n % 4), 4001 + n), Y)));
    held.forEach((outside, i) => {
      equal(nat.in(udp(Y, outside)).destination, inside(i + 1));
    });
  }
});
