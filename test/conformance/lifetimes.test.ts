// Lifetimes and who refreshes them (RFC 4787 section 4.3, RFC 5382 section 5, RFC 5508 section 3.2, RFC 7857).
// What lasts T seconds works until 1 ms before T, and is gone at T.
import { deepEqual, equal } from "node:assert/strict";
import { Connection } from "./connection.js";
import { about } from "./invariants.js";
import { drops, endsAt, type LabConfig, lab, passes, range } from "./lab.js";
import { row } from "./suite.js";
import {
  A,
  at,
  echo,
  echoReply,
  error,
  PROTOCOLS,
  probe,
  query,
  remote,
  tcp,
  udp,
  X,
  Y,
  Z,
} from "./traffic.js";

const DEFAULT_TIME = { udp: 300, tcp: 240, icmp: 60 } as const;

/** X to Y at 0; from Y it comes in until `seconds`. */
function lasts(seconds: number, protocol: (typeof PROTOCOLS)[number], config: LabConfig = {}, to = Y): void {
  endsAt(seconds, () => {
    const nat = lab(config);
    const outside = nat.map(protocol, X, to);
    return [nat, () => nat.in(probe(protocol, to, outside))];
  });
}

row("RFC4787-REQ-5", "X to Y at 0, Y to X' at 120 s: passes", () => {
  const nat = lab();
  const outside = nat.map("udp", X, Y);
  for (const t of [0, 60, 119, 120, 120.001]) passes(nat.at(t).in(udp(Y, outside)));
});

row("RFC4787-REQ-5a", "10 s for port 53, and nothing else is shorter", () => {
  const timeouts = { ports: [{ protocol: "udp", ports: "53", seconds: 10 }] };
  lasts(10, "udp", { timeouts }, at(Y, 53));
  lasts(300, "udp", { timeouts }, at(Y, 52));
  lasts(300, "udp", { timeouts }, at(Y, 54));
  lasts(240, "tcp", { timeouts }, at(Y, 53));
  lasts(60, "icmp", { timeouts });
});

row("RFC4787-REQ-5a", "the first rule that has the port counts; TCP: while established", () => {
  const timeouts = {
    ports: [
      { protocol: "udp", ports: "100-200", seconds: 20 },
      { protocol: "udp", ports: "1-1023", seconds: 150 },
      { protocol: "tcp", ports: "22", seconds: 9000 },
    ],
  };
  for (const [port, seconds] of [
    [99, 150],
    [100, 20],
    [200, 20],
    [201, 150],
    [1023, 150],
    [1024, 300],
  ] as const) {
    lasts(seconds, "udp", { timeouts }, at(Y, port));
  }
  lasts(240, "tcp", { timeouts }, at(Y, 22));
  for (const [port, seconds] of [
    [22, 9000],
    [23, 7440],
  ] as const) {
    endsAt(seconds, () => {
      const nat = lab({ timeouts });
      const connection = new Connection(nat, X, at(Y, port)).open();
      return [nat, () => connection.in("A")];
    });
  }
});

row("RFC4787-REQ-5b", "any T: 1 ms before it passes, at it no more", () => {
  for (const udp of [120, 150, 1000, 86_400, 0.5]) lasts(udp, "udp", { timeouts: { udp } });
});

row("RFC4787-REQ-5b", "a change while it runs holds at once for what lives", () => {
  endsAt(150, () => {
    const nat = lab();
    const outside = nat.map("udp", X, Y);
    nat.at(100).change({ timeouts: { udp: 150 } });
    return [nat, () => nat.in(udp(Y, outside))];
  });
});

row("RFC4787-REQ-5c", "the default is 300 s", () => lasts(300, "udp"));

row("RFC4787-REQ-6", "outbound every T-10 s, for a day, keeps the mapping", () => {
  for (const protocol of PROTOCOLS) {
    const seconds = DEFAULT_TIME[protocol] - 10;
    const nat = lab({ filtering: "endpoint-independent" });
    const outside = nat.map(protocol, X, Y);
    for (let t = seconds; t < 86_400; t += seconds) equal(nat.at(t).map(protocol, X, Y), outside);
    passes(nat.in(probe(protocol, Y, outside)));
  }
});

row("RFC4787-REQ-6", "and so does outbound to another remote each time", () => {
  for (const protocol of PROTOCOLS) {
    const seconds = DEFAULT_TIME[protocol] - 10;
    const nat = lab({ filtering: "endpoint-independent" });
    const outside = nat.map(protocol, X, Y);
    for (const n of range(100)) equal(nat.at(n * seconds).map(protocol, X, remote(1 + n)), outside);
    passes(nat.in(probe(protocol, Y, outside)));
  }
});

row("RFC4787-REQ-6", "the time counts from the last outbound packet", () => {
  for (const protocol of PROTOCOLS) {
    endsAt(50 + DEFAULT_TIME[protocol], () => {
      const nat = lab();
      const outside = nat.map(protocol, X, Y);
      equal(nat.at(50).map(protocol, X, Y), outside);
      return [nat, () => nat.in(probe(protocol, Y, outside))];
    });
  }
});

row("RFC4787-REQ-6a", "inbound packets don't refresh, by default", () => {
  for (const protocol of ["udp", "icmp"] as const) {
    const seconds = DEFAULT_TIME[protocol];
    endsAt(seconds, () => {
      const nat = lab();
      const outside = nat.map(protocol, X, Y);
      for (const t of [1, seconds - 10, seconds - 0.002]) passes(nat.at(t).in(probe(protocol, Y, outside)));
      return [nat, () => nat.in(probe(protocol, Y, outside))];
    });
  }
});

row("RFC4787-REQ-6a", "inboundRefresh: true: they do", () => {
  for (const protocol of ["udp", "icmp"] as const) {
    const seconds = DEFAULT_TIME[protocol];
    endsAt(2 * seconds - 10, () => {
      const nat = lab({ inboundRefresh: true });
      const outside = nat.map(protocol, X, Y);
      passes(nat.at(seconds - 10).in(probe(protocol, Y, outside)));
      return [nat, () => nat.in(probe(protocol, Y, outside))];
    });
  }
});

const ERRORS = [
  { type: 3, code: 3 },
  { type: 3, code: 1 },
  { type: 3, code: 4, rest: 1400 },
  { type: 4 },
  { type: 11 },
  { type: 12 },
];

row("RFC7857-S7.1", "an ICMP error by which X answers does not refresh", () => {
  for (const fields of ERRORS) {
    for (const inboundRefresh of [false, true]) {
      const received = inboundRefresh ? 100 : 0;
      endsAt(received + 300, () => {
        const nat = lab({ inboundRefresh });
        const outside = nat.map("udp", X, Y);
        const came = nat.at(100).in(udp(Y, outside));
        passes(nat.at(290).out(error(X, came.bytes, fields)));
        return [nat, () => nat.in(udp(Y, outside))];
      });
    }
  }
});

row("RFC7857-S7.1", "a RST by which X refuses a connection does not refresh", () => {
  endsAt(200 + 240, () => {
    const nat = lab({ filtering: "endpoint-independent" });
    const outside = nat.map("tcp", X, Y);
    const syn = () => nat.in(tcp(Z, outside, "S", { seq: 70 }));
    equal(nat.at(200).in(tcp(Z, outside, "S", { seq: 70 })).destination, X);
    passes(nat.at(230).out(tcp(X, Z, "RA", { seq: 0, ack: 71 })));
    return [nat, syn];
  });
});

row("RFC5508-REQ-2", "echo at 0, the answer comes in before 60 s, the default", () => lasts(60, "icmp"));

row("RFC5508-REQ-2", "timestamp and address mask queries as well", () => {
  for (const [asks, answers] of [
    [13, 14],
    [17, 18],
  ] as const) {
    endsAt(60, () => {
      const nat = lab();
      const sent = nat.out(query(asks, X, Y));
      return [nat, () => nat.in(query(answers, Y, sent.source))];
    });
  }
});

row("RFC5508-REQ-2a", "any T: 1 ms before it passes, at it no more", () => {
  for (const icmp of [60, 61, 200, 3600]) lasts(icmp, "icmp", { timeouts: { icmp } });
});

row("RFC7857-S11", "the mapping goes with its last session, not before", () => {
  lasts(60, "icmp");
  const nat = lab();
  const outside = nat.map("icmp", X, Y);
  equal(nat.at(50).map("icmp", X, Z), outside);
  nat.at(60);
  drops(nat.in(echoReply(Y, outside)), "filtered");
  passes(nat.in(echoReply(Z, outside)));
  drops(nat.at(110).in(echoReply(Z, outside)), "no-mapping");
});

row(
  "RFC5508-REQ-6",
  "an error about a query, from outside: the answer before T passes, at T it doesn't",
  () => {
    for (const fields of ERRORS) {
      endsAt(60, () => {
        const nat = lab();
        const sent = nat.out(echo(X, Y));
        for (const t of [0, 50]) passes(nat.at(t).in(error(Z, sent.bytes, fields)));
        return [nat, () => nat.in(sent.reply)];
      });
    }
  },
);

row("RFC5508-REQ-6", "an error about an answer, from inside: just so", () => {
  for (const fields of ERRORS) {
    endsAt(60, () => {
      const nat = lab();
      const sent = nat.out(echo(X, Y));
      const came = nat.in(sent.reply);
      for (const t of [0, 50]) passes(nat.at(t).out(error(X, came.bytes, fields)));
      return [nat, () => nat.in(sent.reply)];
    });
  }
});

// ---------------------------------------------------------------------------------------------- TCP

/** After steps such as "S> <SA A>" (what leaves, what comes in) a segment from outside passes until `seconds`. */
function tcpLasts(seconds: number, steps: string, config: LabConfig = {}): void {
  endsAt(seconds, () => {
    const nat = lab(config);
    const connection = new Connection(nat, X, Y).run(steps);
    return [nat, () => connection.in("A")];
  });
}

const OPEN = "S> <SA A>";

row("RFC5382-REQ-5", "established: silent for 7440 s less 1 ms, either side goes on", () => {
  tcpLasts(7440, OPEN);
  endsAt(7440, () => {
    const nat = lab({ tcpPickup: false });
    const connection = new Connection(nat, X, Y).open();
    return [nat, () => connection.out("PA", { payload: "late" })];
  });
});

row("RFC5382-REQ-5", "traffic of either side ends idleness", () => {
  for (const from of ["in", "out"] as const) {
    for (const flags of ["A", "PA"]) {
      endsAt(7000 + 7440, () => {
        const nat = lab();
        const connection = new Connection(nat, X, Y).open();
        nat.at(7000);
        passes(connection[from](flags, flags === "PA" ? { payload: "data" } : {}));
        return [nat, () => connection.in("A")];
      });
    }
  }
});

row("RFC5382-REQ-5", "partially open: 240 s for each step of the handshake", () => {
  tcpLasts(240, "S>");
  tcpLasts(240, "S> <SA");
  endsAt(240, () => {
    const nat = lab();
    const connection = new Connection(nat, X, Y).run("S>");
    return [nat, () => connection.in("SA")];
  });
  endsAt(200 + 240, () => {
    const nat = lab({ tcpPickup: false });
    const connection = new Connection(nat, X, Y).run("S>");
    nat.at(200);
    passes(connection.in("SA"));
    return [nat, () => connection.out("A")];
  });
});

row("RFC5382-REQ-5", "begun from outside: the same times", () => {
  const forwards = [{ protocol: "tcp", outside: at(A, 80), inside: at(X, 80) }];
  for (const [steps, seconds] of [
    ["<S", 240],
    ["<S SA>", 240],
    ["<S SA> <A", 7440],
  ] as const) {
    endsAt(seconds, () => {
      const nat = lab({ forwards });
      const connection = new Connection(nat, at(X, 80), Y);
      connection.outside = at(A, 80);
      connection.run(steps);
      return [nat, () => connection.in("A")];
    });
  }
});

row("RFC5382-REQ-5", "closing: 240 s", () => {
  tcpLasts(240, `${OPEN} FA> <FA`);
  tcpLasts(240, `${OPEN} <FA FA>`);
});

row("RFC5382-REQ-5a", "each timer is its own setting", () => {
  const timeouts = { tcpEstablished: 1000, tcpTransitory: 50, tcpTimeWait: 70 };
  tcpLasts(50, "S>", { timeouts });
  tcpLasts(50, "S> <SA", { timeouts });
  tcpLasts(1000, OPEN, { timeouts });
  tcpLasts(1000, `${OPEN} FA> <A`, { timeouts });
  tcpLasts(50, `${OPEN} FA> <FA`, { timeouts });
  tcpLasts(70, `${OPEN} FA> <FA A>`, { timeouts });
  tcpLasts(50, `${OPEN} RA>`, { timeouts });
});

row("RFC5382-S5-PHASES", "a half-close is established: the other side's data two hours later passes", () => {
  for (const [fin, data] of [
    ["FA> <A", "<PA"],
    ["<FA A>", "PA>"],
  ] as const) {
    const nat = lab({ tcpPickup: false });
    const connection = new Connection(nat, X, Y).run(`${OPEN} ${fin}`);
    for (const n of range(5)) {
      nat.at(n * 7439.999);
      connection.run(data);
    }
  }
  tcpLasts(7440, `${OPEN} FA>`);
  tcpLasts(7440, `${OPEN} <FA`);
});

row("RFC5382-S5-PHASES", "established when both have sent ACK, closing when both have sent FIN", () => {
  tcpLasts(240, "S> <SA");
  tcpLasts(7440, OPEN);
  tcpLasts(7440, "S> <SA A> PA> <A");
  tcpLasts(7440, `${OPEN} FA> <A`);
  tcpLasts(240, `${OPEN} FA> <A <FA`);
});

row("RFC5382-S5-TIMEWAIT", "FIN, FIN, ACK: repeated FIN and last ACK pass for tcpTimeWait more", () => {
  tcpLasts(240, `${OPEN} FA> <FA A>`);
  for (const tcpTimeWait of [30, 600]) {
    tcpLasts(tcpTimeWait, `${OPEN} FA> <FA A>`, { timeouts: { tcpTimeWait } });
    tcpLasts(tcpTimeWait, `${OPEN} <FA FA> <A`, { timeouts: { tcpTimeWait } });
  }
  const nat = lab({ tcpPickup: false });
  const connection = new Connection(nat, X, Y).run(`${OPEN} FA> <A <FA A>`);
  nat.wait(60);
  passes(connection.again("<FA"));
  passes(connection.again("A>"));
});

row("RFC5382-S5-NOMAP", "segments without SYN and mapping are dropped silently, with errors on too", () => {
  const nat = lab({ icmpErrors: true, tcpPickup: false });
  for (const flags of ["A", "PA", "FA", "SA", "RA", "R", "F", ""]) {
    drops(nat.in(tcp(Y, at(A, 30000), flags)), "no-mapping");
    if (!flags.includes("S")) drops(nat.out(tcp(X, Y, flags)), "tcp-no-session");
  }
  deepEqual(nat.wait(60).take(), []);
});

row("RFC5382-S5-ABANDON", "a session given up: silence on both sides", () => {
  const nat = lab({ icmpErrors: true });
  new Connection(nat, X, Y).open();
  nat.at(7440);
  equal(nat.sessions.length, 0);
  deepEqual(nat.wait(60).take(), []);
});

/** Each transition: steps, the state after them, how long it lasts. */
const TRANSITIONS: [steps: string, state: string, seconds: number][] = [
  ["S>", "opening", 240],
  ["S> S>", "opening", 240],
  ["S> <SA", "opening", 240],
  ["S> <S", "opening", 240],
  ["S> <S SA>", "opening", 240],
  ["S> <S SA> <SA", "established", 7440],
  [OPEN, "established", 7440],
  [`${OPEN} PA> <PA`, "established", 7440],
  [`${OPEN} FA>`, "half-closed", 7440],
  [`${OPEN} <FA`, "half-closed", 7440],
  [`${OPEN} FA> <A <PA A>`, "half-closed", 7440],
  [`${OPEN} <FA A> PA> <A`, "half-closed", 7440],
  [`${OPEN} FA> <FA`, "closing", 240],
  [`${OPEN} <FA FA>`, "closing", 240],
  [`${OPEN} FA> <A <FA`, "closing", 240],
  [`${OPEN} FA> <FA A>`, "time-wait", 100],
  [`${OPEN} <FA FA> <A`, "time-wait", 100],
  [`${OPEN} FA> <FA A> S>`, "opening", 240],
  [`${OPEN} FA> <FA A> <S`, "opening", 240],
  [`${OPEN} FA> <FA A> S> <SA A>`, "established", 7440],
  ["S> RA>", "reset", 240],
  ["S> <RA", "reset", 240],
  [`${OPEN} RA>`, "reset", 240],
  [`${OPEN} <RA`, "reset", 240],
  [`${OPEN} RA> <PA`, "established", 7440],
  [`${OPEN} RA> PA>`, "established", 7440],
  [`${OPEN} <RA PA>`, "established", 7440],
  [`${OPEN} FA> RA>`, "reset", 240],
  [`${OPEN} FA> <RA`, "reset", 240],
  [`${OPEN} FA> RA> <A`, "half-closed", 7440],
  [`${OPEN} RA> S> <SA A>`, "established", 7440],
];

row("RFC7857-S2", "each transition of a table: the phase that follows, and how long it lasts", () => {
  for (const [steps, state, seconds] of TRANSITIONS) {
    about(
      () => `${steps}: ${state}`,
      () => {
        const config = { timeouts: { tcpTimeWait: 100 } };
        const nat = lab(config);
        new Connection(nat, X, Y).run(steps);
        deepEqual(
          nat.sessions.map((session) => [session.state, session.expiresAt]),
          [[state, seconds * 1000]],
        );
        tcpLasts(seconds, steps, config);
      },
    );
  }
});

row(
  "RFC7857-S2.1",
  "tcpOpening and tcpClosing: each moves one of them, both are tcpTransitory by default",
  () => {
    const times: [LabConfig, opening: number, closing: number][] = [
      [{}, 240, 240],
      [{ tcpTransitory: 77 }, 77, 77],
      [{ tcpOpening: 33 }, 33, 240],
      [{ tcpClosing: 44 }, 240, 44],
      [{ tcpOpening: 33, tcpClosing: 44, tcpTransitory: 77 }, 33, 44],
    ];
    for (const [timeouts, open, closing] of times) {
      for (const steps of ["S>", "S> <SA", "S> <S SA>"]) tcpLasts(open, steps, { timeouts });
      for (const steps of ["FA> <FA", "<FA FA>"]) tcpLasts(closing, `${OPEN} ${steps}`, { timeouts });
      tcpLasts((timeouts.tcpTransitory as number) ?? 240, `${OPEN} RA>`, { timeouts });
      tcpLasts(7440, OPEN, { timeouts });
    }
  },
);

row("RFC7857-S2.1", "by default each is 4 minutes", () => {
  tcpLasts(240, "S>");
  tcpLasts(240, `${OPEN} FA> <FA`);
});

row("RFC7857-S2.2", "a RST is translated; silence for 240 s ends the session", () => {
  for (const rst of ["RA>", "<RA", "R>", "<R"]) {
    tcpLasts(240, `${OPEN} ${rst}`);
    const nat = lab({ tcpPickup: false });
    const connection = new Connection(nat, X, Y).run(`${OPEN} ${rst}`);
    nat.wait(200);
    passes(connection.in("A"));
    passes(connection.out("A"));
  }
});

row("RFC7857-S2.2", "segments that go on make it established again", () => {
  for (const rst of ["RA>", "<RA"]) {
    for (const data of ["PA>", "<PA", "A>", "<A"]) {
      const nat = lab({ tcpPickup: false });
      const connection = new Connection(nat, X, Y).run(`${OPEN} ${rst}`);
      nat.wait(239.999);
      connection.run(data);
      nat.wait(3600);
      passes(connection.in("PA", { payload: "an hour later" }));
      passes(connection.out("A"));
    }
  }
});

row("RFC7857-S2.2", "further RSTs don't prolong it", () => {
  endsAt(240, () => {
    const nat = lab();
    const connection = new Connection(nat, X, Y).run(`${OPEN} RA>`);
    for (const t of [100, 200]) {
      nat.at(t);
      passes(connection.again("RA>"));
      passes(connection.again("<RA"));
    }
    return [nat, () => connection.in("A")];
  });
});

/** X has offered a window of 1000 and acknowledged all: RSTs at these distances from what it expects count, or not. */
const COUNTS: [distance: number, counts: boolean][] = [
  [0, true],
  [1, true],
  [999, true],
  [1001, false],
  [70_000, false],
  [2 ** 31, false],
  [-1001, false],
  [-70_000, false],
];

row(
  "RFC7857-S2.2-CHECK",
  "a RST outside the window passes and shortens nothing, whichever side it claims",
  () => {
    for (const [distance, counts] of COUNTS) {
      for (const side of ["in", "out"] as const) {
        tcpCheck(distance, counts, side, {});
      }
    }
  },
);

row("RFC7857-S2.2-CHECK", "nor does one just behind the window's last octet count", () => {
  for (const side of ["in", "out"] as const) tcpCheck(1000, false, side, {});
});

row("RFC7857-S2", "a FIN outside the window closes nothing, whichever side it claims", () => {
  for (const distance of [1001, 70_000, 2 ** 31, -70_000]) {
    endsAt(7440, () => {
      const nat = lab();
      const connection = new Connection(nat, X, Y, { window: 1000 }).open();
      passes(connection.in("A"));
      for (const side of ["in", "out"] as const) {
        passes(connection[side]("FA", { seq: connection.next(side) + distance }));
      }
      equal(nat.sessions[0]?.state, "established");
      return [nat, () => connection.in("A")];
    });
  }
});

row("RFC7857-S2.2-CHECK", "tcpLiberal: any RST counts", () => {
  for (const [distance] of COUNTS) {
    for (const side of ["in", "out"] as const) tcpCheck(distance, true, side, { tcpLiberal: true });
  }
});

function tcpCheck(distance: number, counts: boolean, side: "in" | "out", config: LabConfig): void {
  endsAt(counts ? 240 : 7440, () => {
    const nat = lab(config);
    const connection = new Connection(nat, X, Y, { window: 1000 }).open();
    passes(connection.in("A"));
    passes(connection[side]("R", { seq: connection.next(side) + distance }));
    equal(nat.sessions[0]?.state, counts ? "reset" : "established", `${side} ${distance}`);
    return [nat, () => connection.in("A")];
  });
}
