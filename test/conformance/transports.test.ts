// Other transports: DCCP (RFC 5597), SCTP.
import { deepEqual, equal, ok } from "node:assert/strict";
import { decode, type IcmpBody, raw, replaceFields } from "../support/packets.js";
import { checksumIn, checksumOf, type DccpType, dccp, TYPES } from "./dccp.js";
import { about } from "./invariants.js";
import {
  BEHAVIOURS,
  distinct,
  drops,
  endsAt,
  type Lab,
  type LabConfig,
  lab,
  passes,
  range,
  type Sent,
  same,
} from "./lab.js";
import { row } from "./suite.js";
import { A, addressOf, at, error, inside, portOf, remote, X, X2, Y, Z } from "./traffic.js";

const ON = { protocols: { dccp: true } };
const B = "203.0.113.65";
const BASIC = { static: [{ outside: B, inside: addressOf(X) }] };

const request = (nat: Lab, from: string, to: string) => nat.out(dccp("Request", from, to)).source;

/** Runs steps such as "Request> <Response Ack>" between X and Y, all of which must pass. */
function run(nat: Lab, steps: string, outside?: string): { outside: string; last: Sent } {
  let where = outside;
  let last: Sent | undefined;
  for (const step of steps.split(" ")) {
    const type = step.replace(/[<>]/, "") as DccpType;
    if (step.endsWith(">")) {
      last = passes(nat.out(dccp(type, X, Y, { payload: "data" })), step);
      where ??= last.source;
      equal(last.source, where);
    } else {
      last = passes(nat.in(dccp(type, Y, where!, { payload: "data" })), step);
      equal(last.destination, X);
    }
  }
  return { outside: where!, last: last! };
}
const OPEN = "Request> <Response Ack>";

row("RFC5597-S3", "by default: every type dropped both ways, whatever `unmatched` says", () => {
  for (const unmatched of ["drop", "pass"]) {
    for (const config of [{}, BASIC]) {
      const nat = lab({ ...config, unmatched });
      for (const type of TYPES) {
        drops(nat.out(dccp(type, X, Y)), "unsupported-protocol");
        for (const to of config === BASIC ? [A, B] : [A]) {
          drops(nat.in(dccp(type, Y, at(to, 5000))), "unsupported-protocol");
        }
      }
      equal(nat.sessions.length, 0);
    }
  }
});

row("RFC5597-S3", "switched on: port and checksum are rewritten with the address", () => {
  const nat = lab(ON);
  const { last, outside } = run(nat, "Request> <Response");
  equal(addressOf(outside), A);
  equal(checksumIn(last.bytes), checksumOf(last.bytes));
});

row("RFC5597-REQ-1", "Requests from X to Y:a, Y:b and Z:a have one X'", () => {
  const nat = lab(ON);
  same([Y, at(Y, 5001), Z].map((to) => request(nat, X, to)));
});

/** Valid sequences, begun inside. */
const SEQUENCES = [
  `${OPEN} Data> <Data DataAck> <Ack`,
  `${OPEN} <DataAck DataAck> Close> <Reset`,
  `${OPEN} <CloseReq Close> <Reset`,
  `${OPEN} <Close Reset>`,
  `${OPEN} Sync> <SyncAck <Sync SyncAck>`,
  "Request> <Reset",
  "Request> Request> <Response <Response Ack> Ack>",
  // Simultaneous open: the server's Listen comes in, or goes out (RFC 5596).
  "Request> <Listen Request> <Response Ack> <Data",
  "Listen> <Request Response> <Ack Data>",
];

row(
  "RFC5597-REQ-2",
  "handshakes, data, closing, Sync, repetition, simultaneous open with Listen: all pass",
  () => {
    for (const steps of SEQUENCES) {
      about(
        () => steps,
        () => {
          for (const filtering of BEHAVIOURS) run(lab({ ...ON, filtering }), steps);
          run(lab({ ...ON, ...BASIC }), steps);
        },
      );
    }
  },
);

row("RFC5597-REQ-3", "inbound Requests from Y:y, Y:z, Z:z: EIF admits 3, ADF 2, APDF 1; on its own", () => {
  const admitted = { "endpoint-independent": 3, "address-dependent": 2, "address-and-port-dependent": 1 };
  for (const behaviour of BEHAVIOURS) {
    for (const filtering of [behaviour, { dccp: behaviour }]) {
      const nat = lab({ ...ON, filtering });
      const outside = request(nat, X, Y);
      const came = [Y, at(Y, 6000), at(Z, 6000)].filter(
        (from) => nat.in(dccp("Request", from, outside)).cameThrough,
      );
      equal(came.length, admitted[behaviour]);
    }
  }
});

row("RFC5597-REQ-4", "Listen or Sync in at 0: nothing until 6 s, then port unreachable", () => {
  for (const type of ["Listen", "Sync"] as const) {
    const nat = lab({ ...ON, icmpErrors: true });
    drops(nat.in(dccp(type, Y, at(A, 30000))));
    deepEqual(nat.at(5.999).errors(), []);
    const [sent, ...others] = nat.at(6).errors();
    deepEqual(others, []);
    const { type: kind, code } = sent!.packet.body as IcmpBody;
    deepEqual([kind, code, sent!.packet.dst], [3, 3, addressOf(Y)]);
  }
});

row("RFC5597-REQ-4", "a Request of that connection goes out meanwhile: never an answer", () => {
  for (const type of ["Listen", "Sync"] as const) {
    const nat = lab({ ...ON, icmpErrors: true, portAssignment: { preserve: true } });
    drops(nat.in(dccp(type, Y, at(A, portOf(X)))));
    equal(request(nat.at(4), X, Y), at(A, portOf(X)));
    deepEqual(nat.at(600).errors(), []);
  }
});

row("RFC5597-REQ-4", "errors off: none", () => {
  const nat = lab(ON);
  drops(nat.in(dccp("Listen", Y, at(A, 30000))));
  deepEqual(nat.at(600).take(), []);
});

row("RFC5597-REQ-5", "opening 240 s, established 7440 s, by default; configurable", () => {
  const cases: [LabConfig, transitory: number, established: number][] = [
    [{}, 240, 7440],
    [{ timeouts: { dccpTransitory: 300, dccpEstablished: 9000 } }, 300, 9000],
  ];
  for (const [config, transitory, established] of cases) {
    for (const [steps, seconds] of [
      ["Request>", transitory],
      ["Request> <Response", transitory],
      [OPEN, established],
      [`${OPEN} Data> <Data`, established],
      [`${OPEN} Close> <Reset`, transitory],
    ] as const) {
      endsAt(seconds, () => {
        const nat = lab({ ...ON, ...config });
        const { outside } = run(nat, steps);
        return [nat, () => nat.in(dccp("Data", Y, outside))];
      });
    }
  }
});

row("RFC5597-REQ-6", "FTP's words in DCCP, on its ports, with ALGs on: unchanged", () => {
  for (const alg of [{}, { ftp: true, pptp: true }]) {
    const nat = lab({ ...ON, alg });
    const payload = "PORT 10,0,0,1,19,137\r\n";
    const sent = nat.out(dccp("DataAck", X, at(Y, 21), { payload }));
    ok(Buffer.from(sent.bytes).includes(payload));
    equal(sent.bytes.length, sent.original.length);
  }
});

row("RFC5597-REQ-7", "50 hosts, one source port, one destination: 50 outside endpoints", () => {
  for (const mapping of BEHAVIOURS) {
    const nat = lab({ ...ON, mapping });
    const outside = range(50).map((n) => request(nat, inside(n), Y));
    distinct(outside);
    outside.forEach((where, i) => {
      equal(nat.in(dccp("Response", Y, where)).destination, inside(i + 1));
    });
  }
  const few = lab({ ...ON, outside: [{ address: A, ports: "20000-20003" }] });
  for (const n of range(4)) request(few, inside(n), Y);
  drops(few.out(dccp("Request", inside(5), Z)), "ports-exhausted");
});

row("RFC5597-REQ-8", "X to X2': arrives from X', the answer returns", () => {
  const nat = lab({ ...ON, filtering: "endpoint-independent" });
  const [first, second] = [request(nat, X, Y), request(nat, X2, Y)];
  const sent = nat.out(dccp("Request", X, second));
  deepEqual([sent.source, sent.destination], [first, X2]);
  const answer = nat.out(dccp("Response", X2, first));
  deepEqual([answer.source, answer.destination], [second, X]);
});

row("RFC5597-REQ-9", "type 3, every code, both ways: translated, the quoted packet put back", () => {
  for (const octets of [8, 12, 9999]) {
    const nat = lab(ON);
    run(nat, OPEN);
    const left = nat.out(dccp("Data", X, Y, { payload: "data" }));
    const came = nat.in(dccp("Data", Y, left.source, { payload: "data" }));
    for (const code of range(16, 0)) {
      const inbound = nat.in(error("198.51.100.250", left.bytes, { type: 3, code, octets }));
      equal(inbound.packet.dst, addressOf(X));
      deepEqual([...inbound.quoted.subarray(20)], [...left.original.subarray(20, 20 + octets)]);
      const outbound = nat.out(error(X, came.bytes, { type: 3, code, octets }));
      equal(outbound.packet.src, A);
      deepEqual([...outbound.quoted.subarray(20)], [...came.original.subarray(20, 20 + octets)]);
    }
  }
});

row("RFC5597-REQ-10", "every error: the connection goes on, as long as before", () => {
  for (const type of [3, 4, 11, 12]) {
    endsAt(7440, () => {
      const nat = lab(ON);
      const { outside } = run(nat, OPEN);
      const left = nat.out(dccp("Data", X, Y));
      nat.in(error(Y, left.bytes, { type, code: 0 }));
      return [nat, () => nat.in(dccp("Data", Y, outside))];
    });
  }
});

/** Every type and coverage, out and in. */
function withCoverage(check: (sent: Sent) => void): void {
  const nat = lab(ON);
  const outside = request(nat, X, Y);
  for (const type of TYPES) {
    for (const coverage of range(16, 0)) {
      const fields = { coverage, payload: "x".repeat(61), serviceCode: 0xdeadbeef };
      check(nat.out(dccp(type, X, Y, fields)));
      check(nat.in(dccp(type, Y, outside, fields)));
    }
  }
}

row(
  "RFC5597-REQ-11",
  "each coverage from all to the header alone: the checksum is as if computed anew",
  () => {
    withCoverage((sent) => equal(checksumIn(sent.bytes), checksumOf(sent.bytes)));
  },
);

row("RFC5597-REQ-12", "the coverage stays", () => {
  withCoverage((sent) => equal(sent.bytes[25], sent.original[25]));
});

row("RFC5597-REQ-13", "the service code stays", () => {
  withCoverage((sent) => deepEqual([...sent.bytes.subarray(28)], [...sent.original.subarray(28)]));
});

// ---------------------------------------------------------------------------------------------- SCTP

/** Ports, verification tag, CRC32c (which covers no address), an INIT or DATA chunk. */
function sctp(src: string, dst: string, tag: number): Uint8Array {
  const payload = new Uint8Array(32);
  const view = new DataView(payload.buffer);
  view.setUint16(0, portOf(src));
  view.setUint16(2, portOf(dst));
  view.setUint32(4, tag);
  view.setUint32(8, 0xc0ffee00 | (tag & 255));
  view.setUint32(12, tag === 0 ? 0x01000014 : 0x00030014);
  view.setUint32(16, 0xaaaa5555);
  return raw({ src, dst, protocol: 132, payload, df: true });
}

/** Only address, TTL and header checksum differ. */
function onlyAddress(sent: Sent, side: "src" | "dst", address: string): void {
  const expected = replaceFields(sent.original, { [side]: { address, port: 0 }, ttl: 63 });
  deepEqual([...sent.bytes.subarray(12)], [...expected.subarray(12)]);
  equal(decode(sent.bytes)[side], address);
}

row("SCTP-BASIC", "by default dropped both ways, 1:1 too", () => {
  for (const config of [{}, BASIC]) {
    const nat = lab(config);
    drops(nat.out(sctp(X, Y, 0)), "unsupported-protocol");
    drops(nat.in(sctp(Y, at(A, 5000), 1)), "unsupported-protocol");
    if (config === BASIC) drops(nat.in(sctp(Y, at(B, 5000), 1)), "unsupported-protocol");
    equal(nat.sessions.length, 0);
  }
});

row("SCTP-BASIC", "switched on, 1:1 and pool: the address changes, ports, tag and checksum stay", () => {
  for (const [config, own] of [
    [BASIC, B],
    [{}, A],
  ] as const) {
    const nat = lab({ ...config, protocols: { sctp: true } });
    onlyAddress(nat.out(sctp(X, Y, 0)), "src", own);
    onlyAddress(nat.in(sctp(Y, at(own, portOf(X)), 0xaaaa5555)), "dst", addressOf(X));
    onlyAddress(nat.out(sctp(X, Y, 7)), "src", own);
    drops(nat.in(sctp(Z, at(A, 30000), 1)));
  }
});

row(
  "SCTP-BASIC",
  "a pool without room: a second host with the same ports to the same peer is dropped",
  () => {
    const nat = lab({ protocols: { sctp: true } });
    passes(nat.out(sctp(X, Y, 0)));
    drops(nat.out(sctp(X2, Y, 0)));
    onlyAddress(nat.in(sctp(Y, at(A, portOf(X)), 0xaaaa5555)), "dst", addressOf(X));
    passes(nat.out(sctp(X2, remote(9), 0)));
  },
);

row("SCTP-BASIC", "SCTP in UDP (RFC 6951) passes as UDP", () => {
  const nat = lab();
  const outside = nat.map("udp", at(X, 9899), at(Y, 9899));
  equal(addressOf(outside), A);
});
