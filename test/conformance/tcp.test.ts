// TCP connections (RFC 5382, sections 4.3, 5 and 6).
import { deepEqual, equal } from "node:assert/strict";
import { decode, fragments, hex, type TcpBody } from "../support/packets.js";
import { Connection } from "./connection.js";
import { BEHAVIOURS, drops, endsAt, type Lab, type LabConfig, lab, passes, range } from "./lab.js";
import { row } from "./suite.js";
import { A, addressOf, at, error, inside, portOf, tcp, X, X2, Y, Z } from "./traffic.js";

const OPEN = "S> <SA A>";

/** Valid sequences, begun by the left side. */
const SEQUENCES: Record<string, string> = {
  "data both ways, closed by the left": `${OPEN} PA> <A <PA A> FA> <A <FA A>`,
  "closed by the right": `${OPEN} PA> <PA A> <FA A> FA> <A`,
  "SYN, SYN-ACK and ACK repeated": "S> S> <SA <SA A> A> PA> <A",
  "the last ACK of the handshake lost, data instead": "S> <SA PA> <A <PA A>",
  "data with the handshake's ACK and FIN": "S> <SA FPA> <FPA A>",
  "three FINs in two": `${OPEN} FA> <FA A>`,
  "half-closed by the left": `${OPEN} PA> FA> <A <PA A> <PA A> <FA A>`,
  "half-closed by the right": `${OPEN} <FA A> PA> <A PA> <A FA> <A`,
  "urgent data": `${OPEN} PAU> <A <AU A>`,
  "explicit congestion notification": "SEC> <SAE A> PAC> <AE PAC> <A",
  refused: "S> <RA S> <RA",
  "aborted by the left": `${OPEN} PA> RA>`,
  "aborted by the right": `${OPEN} PA> <R`,
  "aborted while half-closed": `${OPEN} FA> <A <RA`,
  "begun anew after TIME_WAIT": `${OPEN} FA> <A <FA A> S> <SA A> PA> <A`,
  "begun anew by the other side after TIME_WAIT": `${OPEN} FA> <A <FA A> <S SA> <A <PA A>`,
  "begun anew after a RST": `${OPEN} RA> S> <SA A> PA> <A`,
  "begun anew by the other side after a RST": `${OPEN} <R <S SA> <A <PA A>`,
};

/** The same, begun by the other side. */
const mirrored = (steps: string) =>
  steps
    .split(" ")
    .map((step) => (step.startsWith("<") ? `${step.slice(1)}>` : `<${step.slice(0, -1)}`))
    .join(" ");

const SERVER = at(A, 80);
const B = "203.0.113.65";

/** The ways by which a policy lets the outside begin, and where it sends its SYN. */
const FROM_OUTSIDE: Record<string, (nat: Lab) => string> = {
  forward: () => SERVER,
  static: () => at(B, 80),
  "endpoint-independent filter": (nat) => nat.map("tcp", at(X, 80), Z),
};
const FROM_OUTSIDE_CONFIG: Record<string, LabConfig> = {
  forward: { forwards: [{ protocol: "tcp", outside: SERVER, inside: at(X, 80) }] },
  static: { static: [{ outside: B, inside: addressOf(X) }] },
  "endpoint-independent filter": { filtering: "endpoint-independent" },
};

for (const [name, steps] of Object.entries(SEQUENCES)) {
  row("RFC5382-REQ-2", `${name}: every segment passes, whoever begins`, () => {
    for (const mapping of BEHAVIOURS) {
      for (const config of [{}, { static: [{ outside: B, inside: addressOf(X) }] }]) {
        new Connection(lab({ mapping, tcpPickup: false, ...config }), X, Y).run(steps);
      }
    }
    for (const [way, outside] of Object.entries(FROM_OUTSIDE)) {
      const nat = lab({ tcpPickup: false, ...FROM_OUTSIDE_CONFIG[way] });
      const connection = new Connection(nat, at(X, 80), Y);
      connection.outside = outside(nat);
      connection.run(mirrored(steps));
      equal(connection.in("A").destination, at(X, 80));
      equal(connection.out("A").source, connection.outside);
    }
  });
}

row("RFC5382-REQ-2", "simultaneous close: FINs that cross, each acknowledged", () => {
  const nat = lab({ tcpPickup: false });
  const connection = new Connection(nat, X, Y).open();
  const acks = { out: connection.next("in"), in: connection.next("out") };
  passes(connection.out("FA", { seq: acks.in, ack: acks.out }));
  passes(connection.in("FA", { seq: acks.out, ack: acks.in }));
  passes(connection.in("A", { seq: acks.out + 1, ack: acks.in + 1 }));
  passes(connection.out("A", { seq: acks.in + 1, ack: acks.out + 1 }));
  equal(nat.sessions[0]?.state, "time-wait");
});

row("RFC5382-REQ-2", "keep-alives, window probes, old and early segments, from either side", () => {
  const nat = lab({ tcpPickup: false });
  const connection = new Connection(nat, X, Y).run(`${OPEN} PA> <PA A> <A`);
  for (const side of ["out", "in"] as const) {
    const next = connection.next(side);
    passes(connection[side]("A", { seq: next - 1 }));
    passes(connection[side]("A", { seq: next - 1, payload: "\0" }));
    passes(connection[side]("A", { seq: next, window: 0 }));
    passes(connection[side]("PA", { seq: next - 4, payload: "data" }));
    passes(connection[side]("PA", { seq: next + 3000, payload: "early" }));
    passes(connection[side]("PA", { seq: next, payload: "x".repeat(1400) }));
  }
  passes(connection.out("A"));
});

row("RFC5382-REQ-2", "numbers that wrap around, options, data on a SYN", () => {
  const options = Uint8Array.from([2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7]);
  const nat = lab({ tcpPickup: false });
  const connection = new Connection(nat, X, Y, { tcpOptions: options });
  connection.startAt({ out: 2 ** 32 - 2, in: 2 ** 32 - 3 });
  passes(connection.out("S", { payload: "fast open" }));
  connection.run("<SA A> PA> <A <PA A> PA> <PA FA> <A <FA A>");
  equal(nat.sessions[0]?.state, "time-wait");
});

row("RFC5382-REQ-2", "after TIME_WAIT is over the same endpoints begin anew", () => {
  const nat = lab({ tcpPickup: false });
  const connection = new Connection(nat, X, Y).run(`${OPEN} FA> <A <FA A>`);
  nat.wait(240);
  drops(connection.in("A"), "no-mapping");
  new Connection(nat, X, Y).run(`${OPEN} PA> <A`);
});

row("RFC5382-REQ-2a", "SYN out, SYN in, SYN-ACK out, SYN-ACK in: all pass, then established", () => {
  for (const filtering of BEHAVIOURS) {
    for (const mapping of BEHAVIOURS) {
      endsAt(7440, () => {
        const nat = lab({ mapping, filtering, tcpPickup: false });
        const connection = new Connection(nat, X, Y).run("S> <S SA> <SA");
        equal(nat.sessions[0]?.state, "established");
        return [nat, () => connection.in("A")];
      });
    }
  }
});

row("RFC5382-REQ-2a", "also when the inbound SYN comes just before the outbound one's time is over", () => {
  const nat = lab({ tcpPickup: false });
  const connection = new Connection(nat, X, Y).run("S>");
  nat.at(239.999);
  connection.run("<S SA> <SA PA> <A");
});

/** What a NAT that answers has sent by itself. */
const answers = (nat: Lab) =>
  nat.errors().map(({ packet, destination }) => {
    const { type, code } = packet.body as { type: number; code: number };
    return `${type}/${code} to ${addressOf(destination)}`;
  });

row("RFC5382-REQ-4", "SYN in at 0: nothing until 6 s, then port unreachable, once", () => {
  for (const filtering of BEHAVIOURS) {
    const nat = lab({ icmpErrors: true, filtering });
    drops(nat.in(tcp(Y, at(A, 30000), "S")), "no-mapping");
    deepEqual(answers(nat), []);
    deepEqual(answers(nat.at(5.999)), []);
    deepEqual(answers(nat.at(6)), [`3/3 to ${addressOf(Y)}`]);
    deepEqual(answers(nat.at(600)), []);
  }
});

row("RFC5382-REQ-4", "the same for a SYN that the filter refuses", () => {
  const nat = lab({ icmpErrors: true });
  const outside = nat.map("tcp", X, Y);
  drops(nat.in(tcp(Z, outside, "S")), "filtered");
  deepEqual(answers(nat.at(5.999)), []);
  deepEqual(answers(nat.at(6)), [`3/3 to ${addressOf(Z)}`]);
});

row("RFC5382-REQ-4", "a SYN of that connection goes out meanwhile: never an answer, and it opens", () => {
  for (const when of [0, 4, 5.999]) {
    const fresh = lab({ icmpErrors: true, portAssignment: { preserve: true } });
    drops(fresh.in(tcp(Y, at(A, portOf(X)), "S")), "no-mapping");
    const mapped = lab({ icmpErrors: true, portAssignment: { preserve: true } });
    mapped.map("tcp", X, Z);
    drops(mapped.in(tcp(Y, at(A, portOf(X)), "S")), "filtered");
    for (const nat of [fresh, mapped]) {
      nat.at(when);
      const connection = new Connection(nat, X, Y).run("S>");
      equal(connection.outside, at(A, portOf(X)));
      connection.run("<S SA> <SA");
      deepEqual(answers(nat.at(6)), []);
      deepEqual(answers(nat.at(600)), []);
    }
  }
});

row("RFC5382-REQ-4", "another host's SYN, or one to another remote, does not count as that", () => {
  const nat = lab({ icmpErrors: true, portAssignment: { preserve: true } });
  drops(nat.in(tcp(Y, at(A, portOf(X)), "S")), "no-mapping");
  nat.at(4);
  for (const [from, to] of [
    [X, Z],
    [X, at(Y, 5001)],
    [X2, Y],
  ] as const)
    nat.map("tcp", from, to);
  deepEqual(answers(nat.at(6)), [`3/3 to ${addressOf(Y)}`]);
});

row("RFC5382-REQ-4a", "errors off: no packet, ever", () => {
  const nat = lab();
  drops(nat.in(tcp(Y, at(A, 30000), "S")), "no-mapping");
  const outside = nat.map("tcp", X, Y);
  drops(nat.in(tcp(Z, outside, "S")), "filtered");
  for (const t of [0, 6, 600]) deepEqual(nat.at(t).take(), []);
});

row("RFC5382-REQ-4a", "with errors on, too, for what is no SYN", () => {
  const nat = lab({ icmpErrors: true });
  for (const flags of ["A", "SA", "FA", "RA", "R", "SR", ""]) drops(nat.in(tcp(Y, at(A, 30000), flags)));
  deepEqual(answers(nat.at(60)), []);
});

row(
  "RFC5382-REQ-9",
  "type 3, every code, about a segment: reaches X with its MTU, quoting X's own segment",
  () => {
    const nat = lab();
    const connection = new Connection(nat, X, Y).open();
    for (const code of range(16, 0)) {
      const sent = connection.out("PA", { payload: "too big" });
      const rest = code === 4 ? 1400 : 0;
      const came = nat.in(error("198.51.100.250", sent.bytes, { type: 3, code, rest }));
      equal(addressOf(came.destination), addressOf(X));
      const { body } = came.packet;
      deepEqual(body.kind === "icmp" && [body.type, body.code, body.rest], [3, code, rest]);
      const quoted = decode(came.quoted);
      const segment = quoted.body as TcpBody;
      deepEqual([quoted.src, segment.sport, segment.dport], [addressOf(X), portOf(X), portOf(Y)]);
      deepEqual([...came.quoted.subarray(20)], [...sent.original.subarray(20)]);
    }
  },
);

row("RFC5382-REQ-9", "and from inside, about a segment that came in", () => {
  const nat = lab();
  const connection = new Connection(nat, X, Y).open();
  for (const code of range(16, 0)) {
    const came = connection.in("PA", { payload: "too big" });
    const rest = code === 4 ? 1400 : 0;
    const went = nat.out(error(X, came.bytes, { type: 3, code, rest }));
    deepEqual([addressOf(went.source), addressOf(went.destination)], [A, addressOf(Y)]);
    const { body } = went.packet;
    deepEqual(body.kind === "icmp" && [body.type, body.code, body.rest], [3, code, rest]);
    deepEqual([...went.quoted.subarray(20)], [...came.original.subarray(20)]);
  }
});

/** Every type and code of an error. */
const ERRORS = [
  ...range(16, 0).map((code) => ({ type: 3, code })),
  { type: 4, code: 0 },
  ...[0, 1].map((code) => ({ type: 11, code })),
  ...[0, 1, 2].map((code) => ({ type: 12, code })),
];

row(
  "RFC5382-REQ-10",
  "every error, about segments of both sides: the connection goes on, established",
  () => {
    for (const fields of ERRORS) {
      endsAt(7440, () => {
        const nat = lab({ tcpPickup: false });
        const connection = new Connection(nat, X, Y).open();
        const [left, came] = [connection.out("PA", { payload: "1" }), connection.in("PA", { payload: "2" })];
        passes(nat.in(error(Y, left.bytes, fields)));
        passes(nat.in(error("198.51.100.250", left.bytes, fields)));
        passes(nat.out(error(X, came.bytes, fields)));
        passes(nat.out(error("10.9.9.9", came.bytes, fields)));
        equal(nat.sessions[0]?.state, "established");
        return [nat, () => connection.in("A")];
      });
    }
  },
);

row("RFC5382-REQ-10", "nor does one about a SYN keep the answer out", () => {
  for (const fields of ERRORS) {
    const nat = lab({ tcpPickup: false });
    const connection = new Connection(nat, X, Y);
    const syn = connection.out("S");
    passes(nat.in(error(Y, syn.bytes, fields)));
    equal(nat.map("tcp", X, Z), connection.outside);
    nat.at(239);
    connection.run("<SA A> PA> <A");
  }
});

row("RFC5382-REQ-10", "nor do forged ones about numbers that were never sent get through", () => {
  const nat = lab();
  const connection = new Connection(nat, X, Y).open();
  const sent = connection.out("PA", { payload: "data" });
  for (const seq of [connection.next("out") + 1_000_000, connection.next("out") - 1_000_000]) {
    const forged = tcp(sent.source, Y, "A", { seq: seq < 0 ? seq + 2 ** 32 : seq });
    drops(nat.in(error(Y, forged, { octets: 8 })), "icmp-out-of-window");
  }
  equal(nat.sessions[0]?.state, "established");
  equal(nat.map("tcp", inside(9), Y) === connection.outside, false);
});

row("RFC5382-REQ-10", "tcpLiberal: the window is not asked, the error passes, and still ends nothing", () => {
  const nat = lab({ tcpLiberal: true });
  const connection = new Connection(nat, X, Y).open();
  const sent = connection.out("PA", { payload: "data" });
  const forged = tcp(sent.source, Y, "A", { seq: connection.next("out") + 1_000_000 });
  passes(nat.in(error(Y, forged, { octets: 8 })));
  equal(nat.sessions[0]?.state, "established");
});

/** The options that a segment came out with. */
const optionsOf = (bytes: Uint8Array) => hex((decode(bytes).body as TcpBody).options);
const mss = (value: number) => Uint8Array.of(2, 4, value >> 8, value & 255);

row(
  "RFC9293-S3.7.1",
  "clampMss: SYN and SYN-ACK, both ways and hairpinned, at most the smaller MTU less 40",
  () => {
    const forwards = [{ protocol: "tcp", outside: `${A}:80`, inside: at(X2, 80) }];
    for (const mtu of [{ inside: 1500, outside: 1400 }, { inside: 1400 }, { inside: 1400, outside: 1500 }]) {
      const nat = lab({ clampMss: true, mtu, forwards });
      const options = (value: number) => ({ tcpOptions: mss(value) });
      const most = hex(mss(1360));
      const connection = new Connection(nat, X, Y);
      equal(optionsOf(connection.out("S", options(1460)).bytes), most, "SYN outbound");
      equal(optionsOf(connection.in("SA", options(1361)).bytes), most, "SYN-ACK inbound");
      equal(optionsOf(nat.in(tcp(Z, at(A, 80), "S", options(65535))).bytes), most, "SYN inbound");
      equal(optionsOf(nat.out(tcp(at(X2, 80), Z, "SA", options(1460))).bytes), most, "SYN-ACK outbound");
      equal(optionsOf(nat.out(tcp(X, at(A, 80), "S", options(1460))).bytes), most, "hairpinned");
    }
  },
);

row("RFC9293-S3.7.1", "it is never raised or added, and nothing else is looked at", () => {
  const nat = lab({ clampMss: true, mtu: { inside: 1500, outside: 1400 } });
  const kept = (flags: string, tcpOptions: Uint8Array, name: string) => {
    equal(optionsOf(nat.out(tcp(X, Y, flags, { tcpOptions })).bytes), hex(tcpOptions), name);
  };
  for (const value of [1360, 1359, 536, 0]) kept("S", mss(value), `${value} fits`);
  kept("S", Uint8Array.of(), "no options");
  kept("S", Uint8Array.of(3, 3, 7, 1), "another option");
  kept("S", Uint8Array.of(2, 3, 255, 255), "an option of another length");
  kept("S", Uint8Array.of(0, 2, 4, 255, 255, 0, 0, 0), "behind the end of the list");
  kept("S", Uint8Array.of(3, 0, 2, 4, 255, 255, 0, 0), "behind what makes no sense");
  kept("S", Uint8Array.of(8, 2, 1, 1, 1, 1, 2, 4), "cut by the header's end");
  kept("A", mss(1460), "no SYN");
});

row("RFC9293-S3.7.1", "without clampMss, or without an MTU, it stays", () => {
  for (const config of [{ clampMss: true }, { mtu: { outside: 1400 } }]) {
    equal(optionsOf(lab(config).out(tcp(X, Y, "S", { tcpOptions: mss(1460) })).bytes), hex(mss(1460)));
  }
});

row("RFC9293-S3.7.1", "of fragments the first one's, if the option is whole there", () => {
  const tcpOptions = Uint8Array.of(1, 1, 1, 1, 1, 1, 2, 4, 255, 255, 0, 0);
  for (const [cut, most] of [
    [24, "ffff"],
    [32, "0550"],
  ] as const) {
    const nat = lab({ clampMss: true, mtu: { outside: 1400 } });
    const syn = tcp(X, Y, "S", { tcpOptions, payload: "early data", df: false });
    const [first, ...rest] = fragments(syn, [cut]).map((piece) => nat.out(piece).bytes);
    const whole = Buffer.concat([first!, ...rest.map((piece) => piece.subarray(20))]);
    equal(whole.subarray(48, 50).toString("hex"), most, `cut behind ${cut} octets`);
  }
});
