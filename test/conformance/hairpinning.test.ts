// Hairpinning: two inside hosts that meet at their outside endpoints (RFC 4787 section 6, RFC 5382 section 7.1,
// RFC 5508 section 4.3, RFC 7857 section 12).
import { deepEqual, equal, notEqual } from "node:assert/strict";
import { BEHAVIOURS, drops, type Lab, lab, passes, type Sent } from "./lab.js";
import { row } from "./suite.js";
import {
  A,
  addressOf,
  at,
  echo,
  echoReply,
  error,
  inside,
  opening,
  portOf,
  tcp,
  udp,
  X,
  X2,
  Y,
  Z,
} from "./traffic.js";

const EIF = { filtering: "endpoint-independent" };
const B = "203.0.113.65";
const C = "203.0.113.66";
/** X is B outside, X2 is C. */
const BASIC = {
  static: [
    { outside: B, inside: addressOf(X) },
    { outside: C, inside: addressOf(X2) },
  ],
};

const ends = (sent: Sent) => [sent.source, sent.destination];

row("RFC4787-REQ-9", "X to X2': arrives at X2; the answer returns to X", () => {
  for (const mapping of BEHAVIOURS) {
    const nat = lab({ mapping, ...EIF });
    const outside = nat.map("udp", X2, Y);
    const sent = nat.out(udp(X, outside));
    equal(sent.destination, X2);
    equal(sent.direction, "hairpin");
    const answer = nat.out(sent.reply);
    equal(answer.destination, X);
    if (mapping === "endpoint-independent") equal(answer.source, outside);
  }
});

row("RFC4787-REQ-9", "to a forwarded port, to a 1:1 address, and to one's own outside endpoint", () => {
  const forwarded = lab({ forwards: [{ protocol: "udp", outside: at(A, 53), inside: at(X2, 53) }] });
  const asked = forwarded.out(udp(X, at(A, 53)));
  equal(asked.destination, at(X2, 53));
  deepEqual(ends(forwarded.out(asked.reply)), [at(A, 53), X]);

  const basic = lab(BASIC);
  for (const from of [X, inside(9)]) {
    const sent = basic.out(udp(from, at(C, 777)));
    equal(sent.destination, at(X2, 777));
    deepEqual(ends(basic.out(sent.reply)), [at(C, 777), from]);
  }

  const alone = lab(EIF);
  const own = alone.map("udp", X, Y);
  deepEqual(ends(alone.out(udp(X, own))), [own, X]);
});

row("RFC4787-REQ-9", "the filter applies as to any remote, once both have written both are heard", () => {
  for (const filtering of ["address-dependent", "address-and-port-dependent"]) {
    const nat = lab({ filtering });
    const [first, second] = [nat.map("udp", X, Y), nat.map("udp", X2, Y)];
    drops(nat.out(udp(X, second)), "filtered");
    deepEqual(ends(nat.out(udp(X2, first))), [second, X]);
    deepEqual(ends(nat.out(udp(X, second))), [first, X2]);
  }
});

row("RFC4787-REQ-9", "to an outside endpoint that nobody has: dropped; switched off: dropped", () => {
  const nat = lab(EIF);
  drops(nat.out(udp(X, at(A, 30000))), "no-mapping");
  const off = lab({ ...EIF, hairpinning: false });
  const outside = off.map("udp", X2, Y);
  drops(off.out(udp(X, outside)), "hairpinning-off");
  drops(off.out(tcp(X, outside, "S")), "hairpinning-off");
});

row("RFC4787-REQ-9a", "it comes from X', which is what Y and Z see", () => {
  for (const [config, isOwn] of [
    [EIF, A],
    [{ ...EIF, ...BASIC }, B],
  ] as const) {
    const nat = lab(config);
    const seen = nat.map("udp", X, Y);
    equal(addressOf(seen), isOwn);
    const second = nat.map("udp", X2, Y);
    deepEqual(ends(nat.out(udp(X, second))), [seen, X2]);
    equal(nat.map("udp", X, Z), seen);
  }
});

row("RFC4787-REQ-9a", "X had no mapping: hairpinning makes the one that others see afterwards", () => {
  const nat = lab(EIF);
  const second = nat.map("udp", X2, Y);
  const sent = nat.out(udp(X, second));
  equal(addressOf(sent.source), A);
  notEqual(sent.source, second);
  equal(nat.map("udp", X, Y), sent.source);
});

row("RFC4787-REQ-9a", "from a pool, too: the source is of X's own address", () => {
  const nat = lab({ ...EIF, outside: [A, "203.0.113.2"] });
  const [first, second] = [nat.map("udp", X, Y), nat.map("udp", X2, Y)];
  notEqual(addressOf(first), addressOf(second));
  deepEqual(ends(nat.out(udp(X, second))), [first, X2]);
});

/** A whole connection between X and X2 through their outside endpoints; every segment is checked. */
function converse(nat: Lab, first: string, second: string, server: string): void {
  let [left, right] = [1000, 9000];
  const says = (flags: string, payload = "") => {
    const ack = flags.includes("A") ? right : 0;
    deepEqual(ends(nat.out(tcp(X, second, flags, { seq: left, ack, payload }))), [first, server]);
    left += payload.length + (/[SF]/.test(flags) ? 1 : 0);
  };
  const answers = (flags: string, payload = "") => {
    deepEqual(ends(nat.out(tcp(server, first, flags, { seq: right, ack: left, payload }))), [second, X]);
    right += payload.length + (/[SF]/.test(flags) ? 1 : 0);
  };
  says("S");
  answers("SA");
  says("A");
  says("PA", "GET /");
  answers("A");
  answers("PA", "hello");
  says("FA");
  answers("A");
  answers("PA", "more");
  says("A");
  answers("FA");
  says("A");
}

row("RFC5382-REQ-8", "a whole connection between X and X2, by mapping, forward and 1:1", () => {
  const mapped = lab({ ...EIF, tcpPickup: false });
  converse(mapped, mapped.map("tcp", X, Y), mapped.map("tcp", X2, Y), X2);

  const forwards = [{ protocol: "tcp", outside: at(A, 80), inside: at(X2, 8080) }];
  const forwarded = lab({ forwards, tcpPickup: false });
  converse(forwarded, forwarded.map("tcp", X, Y), at(A, 80), at(X2, 8080));

  converse(lab({ ...BASIC, tcpPickup: false }), at(B, portOf(X)), at(C, 80), at(X2, 80));
});

row("RFC5382-REQ-8", "simultaneous open between two inside hosts, with the strictest filter", () => {
  const nat = lab({ tcpPickup: false });
  const [first, second] = [nat.map("tcp", X, Y), nat.map("tcp", X2, Y)];
  drops(nat.out(tcp(X, second, "S", { seq: 10 })), "filtered");
  deepEqual(ends(nat.out(tcp(X2, first, "S", { seq: 20 }))), [second, X]);
  deepEqual(ends(nat.out(tcp(X, second, "SA", { seq: 10, ack: 21 }))), [first, X2]);
  deepEqual(ends(nat.out(tcp(X2, first, "SA", { seq: 20, ack: 11 }))), [second, X]);
  deepEqual(ends(nat.out(tcp(X, second, "PA", { seq: 11, ack: 21, payload: "hi" }))), [first, X2]);
});

row("RFC5382-REQ-8a", "TCP comes from X', which is what Y sees", () => {
  const nat = lab(EIF);
  const second = nat.map("tcp", X2, Y);
  const sent = nat.out(tcp(X, second, "S"));
  equal(sent.source, nat.map("tcp", X, Y));
  equal(addressOf(sent.source), A);
  deepEqual(ends(nat.out(sent.reply)), [second, X]);
});

row(
  "RFC5508-REQ-7",
  "1:1: X pings X2's outside address, the answer returns; from a NAPT host as well",
  () => {
    const nat = lab(BASIC);
    const sent = nat.out(echo(X, at(C, 0)));
    deepEqual([addressOf(sent.source), addressOf(sent.destination)], [B, addressOf(X2)]);
    const answer = nat.out(sent.reply);
    deepEqual([addressOf(answer.source), answer.destination], [C, X]);

    const other = nat.out(echo(inside(9, 77), at(C, 0)));
    deepEqual([addressOf(other.source), addressOf(other.destination)], [A, addressOf(X2)]);
    const back = nat.out(other.reply);
    deepEqual([addressOf(back.source), back.destination], [C, inside(9, 77)]);
  },
);

row("RFC5508-REQ-7", "NAPT: a query to a mapped id finds nobody who was asked", () => {
  const nat = lab(EIF);
  const outside = nat.map("icmp", X2, Y);
  drops(nat.out(echo(at(X, portOf(outside)), outside)), "no-mapping");
});

const ERRORS = [
  { type: 3, code: 3 },
  { type: 3, code: 4, rest: 1300 },
  { type: 11, code: 0 },
  { type: 12, code: 0 },
];

row(
  ["RFC5508-REQ-7", "RFC5508-REQ-7a"],
  "an error about a hairpinned packet: to X, from X2's outside address",
  () => {
    for (const [config, first, second] of [
      [EIF, A, A],
      [{ ...EIF, ...BASIC }, B, C],
    ] as const) {
      for (const protocol of ["udp", "tcp"] as const) {
        for (const fields of ERRORS) {
          for (const octets of [8, 9999]) {
            const nat = lab(config);
            const to = nat.map(protocol, X2, Y);
            const sent = nat.out(opening(protocol, X, to));
            equal(addressOf(sent.source), first);
            const came = nat.out(error(X2, sent.bytes, { ...fields, octets }));
            deepEqual([addressOf(came.source), addressOf(came.destination)], [second, addressOf(X)]);
            const quoted = came.quoted;
            // As X sent it, but for the TTL and with it the header checksum, and the ID that the NAT chose.
            const { length } = quoted;
            deepEqual([...quoted.subarray(12)], [...sent.original.subarray(12, length)]);
            const { body } = came.packet;
            deepEqual(body.kind === "icmp" && [body.type, body.code, body.rest], [
              fields.type,
              fields.code,
              fields.rest ?? 0,
            ]);
          }
        }
      }
    }
  },
);

row(["RFC5508-REQ-7", "RFC5508-REQ-7a"], "an error about a hairpinned query or its answer", () => {
  const nat = lab(BASIC);
  const asked = nat.out(echo(X, at(C, 0)));
  const about = nat.out(error(X2, asked.bytes));
  deepEqual([addressOf(about.source), addressOf(about.destination)], [C, addressOf(X)]);
  deepEqual([...about.quoted.subarray(12)], [...asked.original.subarray(12)]);

  const answered = nat.out(asked.reply);
  const aboutAnswer = nat.out(error(X, answered.bytes));
  deepEqual([addressOf(aboutAnswer.source), addressOf(aboutAnswer.destination)], [B, addressOf(X2)]);
  deepEqual([...aboutAnswer.quoted.subarray(12)], [...answered.original.subarray(12)]);
});

row("RFC7857-S12", "1:1: an echo from outside arrives, its answer leaves, and errors about both pass", () => {
  const nat = lab(BASIC);
  const asked = nat.in(echo(at(Y, 55), at(B, 0)));
  equal(addressOf(asked.destination), addressOf(X));
  const answered = nat.out(asked.reply);
  equal(addressOf(answered.source), B);

  const outbound = nat.out(error(X, asked.bytes, { type: 3, code: 2 }));
  equal(addressOf(outbound.source), B);
  deepEqual([...outbound.quoted.subarray(12)], [...asked.original.subarray(12)]);
  const inbound = nat.in(error(Z, answered.bytes, { type: 11, code: 0 }));
  equal(addressOf(inbound.destination), addressOf(X));
  deepEqual([...inbound.quoted.subarray(12)], [...answered.original.subarray(12)]);
});

row("RFC7857-S12", "NAPT: an echo from outside is for nobody; only answers come in", () => {
  const nat = lab(EIF);
  const outside = nat.map("icmp", X, Y);
  drops(nat.in(echo(at(Y, portOf(outside)), outside)), "no-mapping");
  passes(nat.in(echoReply(Y, outside)));
});
