// ICMP (RFC 5508, RFC 4787 REQ-12, RFC 1812 section 4.3.2.7, RFC 4884).
import { deepEqual, equal, notEqual, ok } from "node:assert/strict";
import {
  checksumError,
  decode,
  errorAbout,
  flipBit,
  fragments,
  fullChecksums,
  type IcmpBody,
  put16,
  setHeaderChecksum,
  setTransportChecksum,
  transportChecksumIn,
  transportChecksumOf,
} from "../support/packets.js";
import { Connection } from "./connection.js";
import { distinct, drops, endsAt, type Lab, type LabConfig, lab, passes, range, type Sent } from "./lab.js";
import { row } from "./suite.js";
import {
  A,
  addressOf,
  at,
  echo,
  echoReply,
  error,
  icmp,
  inside,
  opening,
  PROTOCOLS,
  type Protocol,
  query,
  tcp,
  udp,
  X,
  X2,
  Y,
  Z,
} from "./traffic.js";

const EIF = { filtering: "endpoint-independent" };
/** A router on the way, outside and inside. */
const ROUTER = "198.51.100.250";
const INSIDE_ROUTER = "10.9.9.9";
const B = "203.0.113.65";
const BASIC = { static: [{ outside: B, inside: addressOf(X) }] };

/** Every type and code of an error, with what octets 4 to 7 may hold. */
const ERRORS = [
  ...range(16, 0).map((code) => ({ type: 3, code, rest: code === 4 ? 1400 : 0 })),
  { type: 4, code: 0, rest: 0 },
  ...[0, 1].map((code) => ({ type: 11, code, rest: 0 })),
  ...[0, 1, 2].map((code) => ({ type: 12, code, rest: 21 << 24 })),
];

interface Talk {
  nat: Lab;
  /** A packet that X sent and one that came back, as they left the NAT. */
  left: Sent;
  came: Sent;
}

/** X and Y have talked. */
function talk(
  protocol: Protocol,
  config: LabConfig = {},
  fields: { options?: Uint8Array; df?: boolean } = {},
): Talk {
  const nat = lab(config);
  if (protocol === "tcp") {
    const connection = new Connection(nat, X, Y, fields).open();
    const left = connection.out("PA", { payload: "segment of odd length" });
    return { nat, left, came: connection.in("PA", { payload: "and another" }) };
  }
  const left = nat.out(protocol === "udp" ? udp(X, Y, fields) : echo(X, Y, fields));
  return { nat, left, came: nat.in(left.reply) };
}

const head = (sent: Sent) => {
  const { type, code, rest } = sent.packet.body as IcmpBody;
  return { type, code, rest };
};

/** An error quotes the packet as it was sent, but for its TTL and so its header checksum. */
function quotes(sent: Sent, original: Uint8Array): void {
  isAsSent(sent.quoted, original);
}
function isAsSent(quoted: Uint8Array, original: Uint8Array): void {
  const blank = (packet: Uint8Array) => {
    const copy = packet.slice();
    copy.fill(0, 8, 9);
    copy.fill(0, 10, 12);
    return Buffer.from(copy).toString("hex");
  };
  equal(blank(quoted), blank(original.subarray(0, quoted.length)));
  equal(decode(quoted).headerChecksum, decode(fullChecksums(quoted)).headerChecksum);
}

// ---------------------------------------------------------------------------------------------- queries

row(["RFC5508-REQ-1", "RFC5508-REQ-10a3"], "echo out, answer in: any id, any payload", () => {
  const nat = lab();
  for (const identifier of [0, 1, 255, 1023, 1024, 65535]) {
    for (const length of [0, 1, 2, 55, 56, 1472]) {
      const payload = new Uint8Array(length).fill(length);
      const sent = nat.out(echo(at(X, identifier), Y, { payload, sequence: length }));
      equal(addressOf(sent.source), A);
      equal(nat.in(sent.reply).destination, at(X, identifier));
    }
  }
});

row(
  ["RFC5508-REQ-1", "RFC5508-REQ-10a3"],
  "100 hosts with one id, to one remote: all answers find their way",
  () => {
    const nat = lab();
    const sent = range(100).map((n) => nat.out(echo(inside(n), Y)));
    distinct(sent.map(({ source }) => source));
    sent.forEach(({ reply }, i) => {
      equal(nat.in(reply).destination, inside(i + 1));
    });
  },
);

row("RFC5508-REQ-1", "an answer that nobody asked for is dropped, inbound and outbound", () => {
  const nat = lab(EIF);
  drops(nat.in(echoReply(Y, at(A, 4000))), "no-mapping");
  drops(nat.out(echoReply(X, at(Y, 4000))), "no-mapping");
  equal(nat.sessions.length, 0);
});

row("RFC5508-REQ-10b2", "timestamp out, timestamp reply in; two hosts with one id are told apart", () => {
  queriesOf(13, 14);
});

row("RFC5508-REQ-10b4", "address mask request out, reply in; two hosts with one id are told apart", () => {
  queriesOf(17, 18);
});

function queriesOf(asks: 13 | 17, answers: 14 | 18): void {
  const nat = lab();
  const sent = range(20).map((n) => nat.out(query(asks, inside(n), Y)));
  distinct(sent.map(({ source }) => source));
  sent.forEach(({ source }, i) => {
    equal(nat.in(query(answers, Y, source)).destination, inside(i + 1));
  });
}

row("RFC5508-REQ-10c2", "information request and reply are dropped both ways", () => {
  const nat = lab(EIF);
  const outside = nat.map("icmp", X, Y);
  for (const type of [15, 16]) {
    drops(nat.out(icmp(X, Y, type, { rest: 4000 << 16 })), "unsupported-protocol");
    drops(nat.in(icmp(Y, outside, type, { rest: 4000 << 16 })), "unsupported-protocol");
  }
});

/** Drops every one of these types, with and without a packet embedded. */
function dropsTypes(types: readonly number[]): void {
  for (const unmatched of ["drop", "pass"]) {
    const { nat, left, came } = talk("udp", { ...EIF, ...BASIC, unmatched });
    for (const type of types) {
      for (const code of [0, 1, 255]) {
        drops(nat.out(icmp(X, Y, type, { code })), "unsupported-protocol");
        drops(nat.out(icmp(X2, Y, type, { code })), "unsupported-protocol");
        drops(nat.in(icmp(Y, B, type, { code })), "unsupported-protocol");
        drops(nat.in(icmp(Y, A, type, { code })), "unsupported-protocol");
        drops(nat.out(error(X, came.bytes, { type, code })), "unsupported-protocol");
        drops(nat.in(error(ROUTER, left.bytes, { type, code })), "unsupported-protocol");
      }
    }
  }
}

row("RFC5508-REQ-10b1", "redirects are dropped both ways", () => dropsTypes([5]));
row("RFC5508-REQ-10b6", "router advertisement and solicitation are dropped both ways", () =>
  dropsTypes([9, 10]),
);
row("RFC5508-REQ-11", "every type that is neither query nor error is dropped both ways", () => {
  const known = [0, 3, 4, 8, 11, 12, 13, 14, 17, 18];
  dropsTypes(range(256, 0).filter((type) => !known.includes(type)));
});

row("RFC5508-REQ-10b3", "source routes in queries and errors pass unchanged, both ways", () => {
  for (const kind of [131, 137]) {
    const options = Uint8Array.from([kind, 7, 4, 198, 51, 100, 99, 0]);
    const { left, came } = talk("icmp", {}, { options });
    for (const sent of [left, came]) deepEqual(sent.packet.options, options);
  }
});

// ---------------------------------------------------------------------------------------------- damaged errors

row("RFC5508-REQ-3", "one bit of the ICMP message wrong: dropped silently, both ways, each bit", () => {
  for (const protocol of PROTOCOLS) {
    const { nat, left, came } = talk(protocol, { icmpErrors: true });
    // A wrong type may make it another message, which is dropped too.
    const reasons = (bit: number) =>
      bit < 168 ? ["icmp-checksum", "unsupported-protocol"] : ["icmp-checksum"];
    const inbound = error(ROUTER, left.bytes);
    for (const bit of range(inbound.length * 8 - 160, 160))
      drops(nat.in(flipBit(inbound, bit)), ...reasons(bit));
    const outbound = error(X, came.bytes);
    for (const bit of range(outbound.length * 8 - 160, 160))
      drops(nat.out(flipBit(outbound, bit)), ...reasons(bit));
    deepEqual(nat.wait(10).take(), []);
  }
});

row(
  "RFC5508-REQ-3a",
  "the embedded header checksum wrong, the outer one right: dropped silently, both ways",
  () => {
    for (const protocol of PROTOCOLS) {
      const { nat, left, came } = talk(protocol, { icmpErrors: true });
      for (const wrong of [0, 1, 0x1234, 0xffff]) {
        const broken = (packet: Uint8Array) => {
          const copy = packet.slice();
          setHeaderChecksum(copy, decode(copy).headerChecksum ^ (wrong || 0x8000));
          return copy;
        };
        drops(nat.in(errorAbout(broken(left.bytes), { src: ROUTER, dst: A, type: 3 })), "icmp-checksum");
        drops(nat.out(errorAbout(broken(came.bytes), { src: X, dst: Y, type: 3 })), "icmp-checksum");
      }
      deepEqual(nat.wait(10).take(), []);
    }
  },
);

row(
  "RFC5508-REQ-3b",
  "embedded options of 4 to 40 octets: the ports behind them are put back, both ways",
  () => {
    for (const protocol of PROTOCOLS) {
      for (const words of range(10)) {
        const options = new Uint8Array(words * 4).fill(1);
        const { nat, left, came } = talk(protocol, {}, { options });
        equal(left.bytes[0], 0x45 + words);
        for (const octets of [8, 9999]) {
          quotes(nat.in(error(ROUTER, left.bytes, { octets })), left.original);
          quotes(nat.out(error(X, came.bytes, { octets })), came.original);
        }
      }
    }
  },
);

row("RFC5508-REQ-3c", "the embedded transport checksum wrong: forwarded, and as wrong as before", () => {
  for (const protocol of PROTOCOLS) {
    for (const wrong of [1, 0x8000, 0x1234]) {
      const { nat, left, came } = talk(protocol);
      const spoiled = (packet: Uint8Array) => {
        const copy = packet.slice();
        setTransportChecksum(copy, transportChecksumIn(copy) ^ wrong);
        return copy;
      };
      for (const [sent, quoted] of [
        [nat.in(error(ROUTER, spoiled(left.bytes))), spoiled(left.bytes)],
        [nat.out(error(X, spoiled(came.bytes))), spoiled(came.bytes)],
      ] as const) {
        const off = (packet: Uint8Array) =>
          checksumError(transportChecksumIn(packet), transportChecksumOf(packet));
        notEqual(off(sent.quoted), 0);
        equal(off(sent.quoted), off(quoted));
      }
    }
  }
});

/** An error with an extension (RFC 4884): the packet padded to `words` 32-bit words, then an MPLS label stack. */
function extended(
  packet: Uint8Array,
  fields: { src: string; dst: string; type: number; code: number; rest: number },
) {
  const words = Math.max(32, Math.ceil(packet.length / 4));
  const payload = new Uint8Array(words * 4 + EXTENSION.length);
  payload.set(packet);
  payload.set(EXTENSION, words * 4);
  return { words, bytes: icmp(fields.src, fields.dst, fields.type, { ...fields, payload }) };
}
const EXTENSION = Uint8Array.from([0x20, 0, 0xdf, 0xfd, 0, 8, 1, 1, 0x12, 0x34, 0x51, 0x01]);

/** Sends errors with extensions both ways; `check` sees each with what it embeds. */
function withExtensions(
  check: (sent: Sent, original: Uint8Array, words: number, rest: number) => void,
): void {
  for (const protocol of PROTOCOLS) {
    for (const type of [3, 11, 12]) {
      const { nat, left, came } = talk(protocol);
      const rest = 32 * 65536 + (type === 3 ? 1400 : type === 12 ? 20 << 24 : 0);
      const fields = { type, code: type === 3 ? 4 : 0, rest };
      const inbound = extended(left.bytes, { src: ROUTER, dst: A, ...fields });
      check(nat.in(inbound.bytes), left.original, inbound.words, rest);
      const outbound = extended(came.bytes, { src: X, dst: Y, ...fields });
      check(nat.out(outbound.bytes), came.original, outbound.words, rest);
    }
  }
}

row(
  ["RFC5508-REQ-3d", "RFC4884-S4"],
  "padding and an MPLS extension: the packet inside is right, they are as before",
  () => {
    withExtensions((sent, original, words) => {
      const { payload } = sent.packet.body as IcmpBody;
      isAsSent(payload.subarray(0, original.length), original);
      ok(
        payload.subarray(original.length, words * 4).every((octet) => octet === 0),
        "padding",
      );
      deepEqual([...payload.subarray(words * 4)], [...EXTENSION]);
    });
  },
);

row("RFC4884-S4", "an extension right behind 128 octets of a longer datagram", () => {
  const nat = lab();
  const left = nat.out(udp(X, Y, { payload: "x".repeat(1000) }));
  const { bytes } = extended(left.bytes.subarray(0, 128), {
    src: ROUTER,
    dst: A,
    type: 11,
    code: 0,
    rest: 32 * 65536,
  });
  const { payload } = nat.in(bytes).packet.body as IcmpBody;
  deepEqual([...payload.subarray(20, 128)], [...left.original.subarray(20, 128)]);
  deepEqual([...payload.subarray(128)], [...EXTENSION]);
});

row("RFC4884-S6", "octets 4 to 7 with the length, and the extension, are as they were", () => {
  withExtensions((sent, _, words, rest) => {
    const body = sent.packet.body as IcmpBody;
    equal(body.rest, rest);
    deepEqual([...body.payload.subarray(words * 4)], [...EXTENSION]);
  });
});

row("RFC6146-S3.4-NESTED", "an error about an error is dropped silently, both ways", () => {
  for (const protocol of PROTOCOLS) {
    const { nat, left, came } = talk(protocol, { icmpErrors: true });
    for (const fields of ERRORS) {
      const [inner, outer] = [nat.in(error(Y, left.bytes, fields)), nat.out(error(X, came.bytes, fields))];
      drops(nat.in(error(ROUTER, outer.bytes)), "icmp-embedded");
      drops(nat.out(error(X, inner.bytes)), "icmp-embedded");
    }
    deepEqual(nat.wait(10).take(), []);
  }
});

/** Sends errors that embed so many octets, both ways. */
function embedding(protocol: Protocol, length: number): Sent[] {
  const { nat, left, came } = talk(protocol);
  return [
    nat.in(icmp(ROUTER, A, 3, { payload: left.bytes.subarray(0, length) })),
    nat.out(icmp(X, Y, 3, { payload: came.bytes.subarray(0, length) })),
  ];
}

row(
  "RFC6146-S3.4-NESTED",
  "embedding no ports or id is too little: dropped; 8 octets behind the header do",
  () => {
    for (const [protocol, enough] of [
      ["udp", 24],
      ["tcp", 24],
      ["icmp", 26],
    ] as const) {
      for (const length of range(enough, 0)) {
        for (const sent of embedding(protocol, length)) drops(sent, "icmp-embedded");
      }
      for (const sent of embedding(protocol, 28)) passes(sent);
    }
  },
);

row("RFC6146-S3.4-NESTED", "embedding TCP's ports without its number is too little to believe it", () => {
  for (const length of range(4, 24)) for (const sent of embedding("tcp", length)) drops(sent);
});

// ---------------------------------------------------------------------------------------------- errors coming in

row("RFC5508-REQ-4", "about a port or id that nothing has, or another remote: dropped silently", () => {
  for (const protocol of PROTOCOLS) {
    const { nat, left } = talk(protocol, { icmpErrors: true });
    const other = left.source === at(A, 30000) ? 30001 : 30000;
    drops(nat.in(error(ROUTER, opening(protocol, at(A, other), Y))), "icmp-no-session");
    drops(nat.in(error(ROUTER, opening(protocol, left.source, Z))), "icmp-no-session");
    drops(nat.in(error(ROUTER, opening(protocol, at(X, 4000), Y), { dst: A })), "icmp-no-session");
    deepEqual(nat.wait(10).take(), []);
  }
});

row("RFC5508-REQ-4", "it is translated exactly as long as the session lives", () => {
  for (const [protocol, seconds] of [
    ["udp", 300],
    ["tcp", 7440],
    ["icmp", 60],
  ] as const) {
    endsAt(seconds, () => {
      const { nat, left } = talk(protocol);
      return [nat, () => nat.in(error(ROUTER, left.bytes))];
    });
  }
});

row(
  "RFC5508-REQ-4a",
  "the embedded packet is as X sent it, whole or cut, with options and DF or without",
  () => {
    for (const protocol of PROTOCOLS) {
      for (const config of [{}, BASIC, { portAssignment: { preserve: true } }]) {
        for (const fields of [{}, { df: true }, { options: new Uint8Array(8).fill(1) }]) {
          const { nat, left } = talk(protocol, config, fields);
          for (const octets of [8, 12, 16, 18, 20, 9999]) {
            for (const ttl of [1, 0]) {
              const quoted = left.bytes.slice();
              quoted[8] = ttl;
              setHeaderChecksum(quoted, decode(fullChecksums(quoted)).headerChecksum);
              quotes(nat.in(error(ROUTER, quoted, { octets })), left.original);
            }
          }
        }
      }
    }
  },
);

row("RFC5508-REQ-4a", "a UDP checksum of 0 stays 0 in it", () => {
  const nat = lab();
  const left = nat.out(udp(X, Y, { checksum: 0 }));
  const came = nat.in(error(ROUTER, left.bytes));
  equal(transportChecksumIn(came.quoted), 0);
  quotes(came, left.original);
});

row("RFC5508-REQ-4a", "its ID is the one that X sent, though the NAT replaced it", () => {
  const nat = lab();
  const first = nat.out(udp(X, Y, { id: 7 }));
  const second = nat.out(udp(X2, Y, { id: 7 }));
  notEqual(first.packet.id, second.packet.id);
  quotes(nat.in(error(ROUTER, first.bytes)), first.original);
  quotes(nat.in(error(ROUTER, second.bytes)), second.original);
});

row(["RFC5508-REQ-4b", "RFC5508-REQ-10b5"], "every type and code passes as it is, octets 4 to 7 too", () => {
  for (const protocol of PROTOCOLS) {
    const { nat, left } = talk(protocol);
    for (const fields of ERRORS) {
      deepEqual(head(nat.in(error(ROUTER, left.bytes, fields))), fields);
    }
  }
});

row(["RFC5508-REQ-4c", "RFC4787-REQ-12a"], "from Y, a router, any third: to X, the source as it was", () => {
  for (const protocol of PROTOCOLS) {
    for (const filtering of ["endpoint-independent", "address-and-port-dependent"]) {
      const { nat, left } = talk(protocol, { filtering });
      for (const src of [addressOf(Y), ROUTER, "192.0.2.200", "8.8.8.8"]) {
        const came = nat.in(error(src, left.bytes));
        deepEqual([came.packet.src, came.packet.dst], [src, addressOf(X)]);
      }
    }
  }
});

row(
  ["RFC5508-REQ-10a1", "RFC4787-REQ-12b"],
  "codes 0 to 4 and 13 of type 3, both ways, every protocol",
  () => {
    for (const protocol of PROTOCOLS) supports(protocol, 3, [0, 1, 2, 3, 4, 13]);
  },
);
row("RFC5508-REQ-10a2", "codes 0 and 1 of type 11, both ways, every protocol", () => {
  for (const protocol of PROTOCOLS) supports(protocol, 11, [0, 1]);
});
row("RFC5508-REQ-10b5", "codes 0, 1 and 2 of type 12, both ways, every protocol", () => {
  for (const protocol of PROTOCOLS) supports(protocol, 12, [0, 1, 2]);
});

function supports(protocol: Protocol, type: number, codes: readonly number[]): void {
  const { nat, left, came } = talk(protocol);
  for (const code of codes) {
    const inbound = nat.in(error(ROUTER, left.bytes, { type, code }));
    equal(inbound.packet.dst, addressOf(X));
    quotes(inbound, left.original);
    const outbound = nat.out(error(X, came.bytes, { type, code }));
    equal(outbound.packet.dst, addressOf(Y));
    quotes(outbound, came.original);
  }
}

row("RFC5508-S7.1.2", "type 3 code 4 reaches X with its MTU", () => {
  for (const protocol of PROTOCOLS) {
    const { nat, left } = talk(protocol, {}, { df: true });
    for (const mtu of [0, 68, 576, 1280, 1400, 1492, 65535]) {
      const came = nat.in(error(ROUTER, left.bytes, { type: 3, code: 4, rest: mtu }));
      deepEqual(head(came), { type: 3, code: 4, rest: mtu });
      equal(came.packet.dst, addressOf(X));
      quotes(came, left.original);
    }
  }
});

row(
  "RFC4787-REQ-12",
  "after every error, from either side, UDP still comes in, and as long as before",
  () => {
    for (const { type, code } of ERRORS) {
      endsAt(300, () => {
        const { nat, left, came } = talk("udp");
        for (const src of [ROUTER, addressOf(Y)]) passes(nat.in(error(src, left.bytes, { type, code })));
        passes(nat.out(error(X, came.bytes, { type, code })));
        equal(nat.sessions.length, 1);
        return [nat, () => nat.in(left.reply)];
      });
    }
  },
);

row(
  "RFC3022-S4.3",
  "only 8 octets behind the embedded header: outer, embedded and checksums are exact",
  () => {
    for (const protocol of PROTOCOLS) {
      const { nat, left, came } = talk(protocol);
      for (const fields of ERRORS) {
        quotes(nat.in(error(ROUTER, left.bytes, { ...fields, octets: 8 })), left.original);
        quotes(nat.out(error(X, came.bytes, { ...fields, octets: 8 })), came.original);
      }
    }
  },
);

// ---------------------------------------------------------------------------------------------- errors going out

row("RFC5508-REQ-5", "about what never came in, or not to X: dropped silently", () => {
  for (const protocol of PROTOCOLS) {
    const { nat } = talk(protocol, { icmpErrors: true });
    // As if Y had sent to another port of X, to another host, or Z to X.
    const strays = [opening(protocol, Y, at(X, 4001)), opening(protocol, Y, X2)];
    for (const stray of strays) drops(nat.out(error(X, stray)), "icmp-no-session");
    drops(nat.out(error(X, opening(protocol, Y, at(A, 30000)))), "icmp-no-session");
    deepEqual(nat.wait(10).take(), []);
    equal(nat.sessions.length, 1);
  }
});

row("RFC5508-REQ-5a", "the embedded packet is as Y sent it, whole or cut", () => {
  for (const protocol of PROTOCOLS) {
    for (const config of [{}, BASIC]) {
      for (const fields of [{}, { df: true }, { options: new Uint8Array(8).fill(1) }]) {
        const { nat, came } = talk(protocol, config, fields);
        for (const octets of [8, 12, 16, 18, 20, 9999]) {
          quotes(nat.out(error(X, came.bytes, { octets })), came.original);
        }
      }
    }
  }
});

row("RFC5508-REQ-5b", "every type and code passes as it is, octets 4 to 7 too", () => {
  for (const protocol of PROTOCOLS) {
    const { nat, came } = talk(protocol);
    for (const fields of ERRORS) deepEqual(head(nat.out(error(X, came.bytes, fields))), fields);
  }
});

row("RFC5508-REQ-5c", "NAPT: from the NAT's own address, whether X sent it or a router inside", () => {
  for (const protocol of PROTOCOLS) {
    const { nat, came } = talk(protocol);
    for (const src of [addressOf(X), INSIDE_ROUTER]) {
      const went = nat.out(error(src, came.bytes));
      deepEqual([went.packet.src, went.packet.dst], [A, addressOf(Y)]);
    }
  }
});

row("RFC5508-REQ-5c", "1:1: from the sender's own address if it has one, else from the NAT's", () => {
  const C = "203.0.113.66";
  const config = { static: [...BASIC.static, { outside: C, inside: "10.8.8.8" }] };
  for (const protocol of PROTOCOLS) {
    const { nat, came } = talk(protocol, config);
    for (const [src, expected] of [
      [addressOf(X), B],
      ["10.8.8.8", C],
    ] as const) {
      equal(nat.out(error(src, came.bytes)).packet.src, expected);
    }
    const unmapped = nat.out(error(INSIDE_ROUTER, came.bytes)).packet.src;
    ok([A, B].includes(unmapped), unmapped);
  }
});

// ---------------------------------------------------------------------------------------------- generated errors

const ORIGINATES = { icmpErrors: true };

row(
  "RFC5508-REQ-8",
  "ports, sessions or a host's sessions exhausted: 3/13 to the sender, quoting its packet",
  () => {
    const full: LabConfig[] = [
      { outside: [{ address: A, ports: "20000" }] },
      { limits: { sessions: 1 } },
      { limits: { sessionsPerHost: 1 } },
    ];
    for (const config of full) {
      for (const protocol of PROTOCOLS) {
        const nat = lab({ ...ORIGINATES, ...config });
        const outside = nat.map(protocol, X, Y);
        const refused = nat.out(opening(protocol, at(X, 4001), Z));
        drops(refused, "ports-exhausted", "session-limit", "host-limit");
        const errors = nat.errors();
        deepEqual(errors.map(head), [{ type: 3, code: 13, rest: 0 }]);
        deepEqual([errors[0]!.packet.src, errors[0]!.packet.dst], [A, addressOf(X)]);
        quotes(errors[0]!, refused.original);
        equal(nat.map(protocol, X, Y), outside, "who had it keeps it");
      }
    }
  },
);

row("RFC5508-REQ-9", "errors off: none for TTL, refusals, strays", () => {
  const nat = lab({ outside: [{ address: A, ports: "20000" }] });
  drops(nat.out(udp(X, Y, { ttl: 1 })), "ttl-expired");
  drops(nat.in(udp(Y, A, { ttl: 1 })), "ttl-expired");
  nat.map("udp", X, Y);
  drops(nat.out(udp(X2, Y)), "ports-exhausted");
  drops(nat.in(tcp(Y, at(A, 20000), "S")), "no-mapping");
  deepEqual(nat.wait(60).take(), []);
  equal(nat.nat.stats.packets.originated, 0);
});

row("RFC5508-REQ-10c1", "10 000 refused and 10 000 expired packets: no source quench", () => {
  const nat = lab({ ...ORIGINATES, limits: { sessions: 1 } });
  nat.map("udp", X, Y);
  for (const n of range(10_000)) {
    nat.wait(0.001).out(udp(inside(2 + n), Y));
    nat.out(udp(inside(2 + n), Y, { ttl: 1 }));
    if (n % 100 === 0) ok(nat.errors().every((sent) => head(sent).type !== 4));
  }
});

row("RFC5508-REQ-10d", "the error has the diffserv class of its cause, each of the 64", () => {
  for (const dscp of range(64, 0)) {
    const nat = lab(ORIGINATES);
    drops(nat.out(udp(X, Y, { ttl: 1, tos: dscp << 2 })));
    drops(nat.in(udp(Y, A, { ttl: 1, tos: (dscp << 2) | 1 })));
    drops(nat.in(tcp(Y, at(A, 30000), "S", { tos: dscp << 2 })));
    const errors = nat.at(6).errors();
    deepEqual(
      errors.map(({ packet }) => packet.tos),
      [dscp << 2, dscp << 2, dscp << 2],
    );
  }
});

/** Packets about which no error may ever be sent, though their TTL is over. */
function unanswerable(): [side: "in" | "out", what: string, packet: Uint8Array][] {
  const whole = udp(X, Y, { payload: "x".repeat(64), ttl: 1 });
  const inbound = udp(Y, at(A, 30000), { payload: "x".repeat(64), ttl: 1 });
  const bad = (packet: Uint8Array, at: number, value: number) => {
    const copy = packet.slice();
    put16(copy, at, value);
    return copy;
  };
  return [
    ...ERRORS.map((fields): ["out", string, Uint8Array] => [
      "out",
      `error ${fields.type}/${fields.code}`,
      error(X, udp(Y, X), { ...fields, ttl: 1 }),
    ]),
    ["in", "error", error(ROUTER, udp(at(A, 30000), Y), { ttl: 1 })],
    ["out", "redirect", icmp(X, Y, 5, { ttl: 1 })],
    ["out", "later fragment", fragments(whole, [24])[1]!],
    ["in", "later fragment", fragments(inbound, [24])[1]!],
    ...["224.0.0.1", "239.255.255.255", "255.255.255.255", "240.0.0.1", "0.0.0.0", "127.0.0.1"].map(
      (to): ["out", string, Uint8Array] => ["out", `to ${to}`, udp(X, `${to}:9`, { ttl: 1 })],
    ),
    ...["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", A].map(
      (from): ["in", string, Uint8Array] => [
        "in",
        `from ${from}`,
        udp(`${from}:9`, at(A, 30000), { ttl: 1 }),
      ],
    ),
    ["out", "bad header checksum", bad(whole, 10, 0x1234)],
    ["in", "bad header checksum", bad(inbound, 10, 0x1234)],
    ["out", "total length beyond the packet", fullChecksums(bad(whole, 2, whole.length + 1))],
    ["out", "total length below the header", bad(whole, 2, 19)],
  ];
}

row(
  ["RFC5508-REQ-10e", "RFC1812-S4.3.2.7"],
  "TTL 1 in errors, later fragments, multicast, bad sources, bad headers",
  () => {
    for (const [side, what, packet] of unanswerable()) {
      const nat = lab(ORIGINATES);
      ok(["dropped", "held"].includes(nat[side](packet).verdict), what);
      equal(nat.wait(60).errors().length, 0, what);
    }
  },
);

row(["RFC5508-REQ-10e", "RFC1812-S4.3.2.7"], "nor when the table is full or a SYN is for nobody", () => {
  const nat = lab({ ...ORIGINATES, limits: { sessions: 1 } });
  nat.map("udp", X, Y);
  const [, later] = fragments(udp(X2, Y, { payload: "x".repeat(64) }), [24]);
  equal(nat.out(later!).verdict, "held");
  for (const from of ["0.1.2.3", "127.0.0.1", "224.0.0.1", "255.255.255.255", A]) {
    drops(nat.in(tcp(`${from}:9`, at(A, 30000), "S")), "invalid-source");
  }
  equal(nat.wait(60).errors().length, 0);
});

row(
  "RFC5508-REQ-10f",
  "10 000 expired packets at once: some errors, at most 100; a second later some again",
  () => {
    const nat = lab(ORIGINATES);
    const burst = () => {
      let count = 0;
      for (const n of range(10_000)) {
        nat.out(udp(inside(n), Y, { ttl: 1 }));
        if (n % 50 === 0) count += nat.errors().length;
      }
      return count + nat.errors().length;
    };
    const first = burst();
    ok(first >= 10 && first <= 100, `${first}`);
    equal(burst(), 0);
    nat.wait(1);
    const later = burst();
    ok(later >= 10 && later <= 1000, `${later}`);
  },
);

row("RFC5508-REQ-10f", "1000 a second by default", () => {
  equal(sustained(lab(ORIGINATES)), 1000);
});

row("RFC5508-REQ-10f", "limits.icmpErrorRate sets the rate", () => {
  for (const icmpErrorRate of [10, 200]) {
    equal(sustained(lab({ ...ORIGINATES, limits: { icmpErrorRate } })), icmpErrorRate);
  }
});

/** Errors a second when 2 packets expire each ms, once the burst is spent. */
function sustained(nat: Lab): number {
  let count = 0;
  for (const ms of range(3000)) {
    nat.wait(0.001);
    for (let n = 0; n < 2; n++) nat.out(udp(X, Y, { ttl: 1 }));
    if (ms === 1000) nat.errors();
    if (ms > 1000 && ms % 20 === 0) count += nat.errors().length;
  }
  return Math.round(count / 2);
}

row("RFC5508-S7.2", 'TTL 1 or 0 from X: 11/0 to X, quoting what it sent; with preset "rfc" too', () => {
  for (const protocol of PROTOCOLS) {
    for (const config of [ORIGINATES, { preset: "rfc" }]) {
      for (const ttl of [1, 0]) {
        const nat = lab(config);
        const packet = opening(protocol, X, Y);
        packet[8] = ttl;
        drops(nat.out(fullChecksums(packet)), "ttl-expired");
        const errors = nat.errors();
        deepEqual(errors.map(head), [{ type: 11, code: 0, rest: 0 }]);
        deepEqual([errors[0]!.packet.src, errors[0]!.packet.dst], [A, addressOf(X)]);
        equal(nat.sessions.length, 0);
      }
    }
  }
});

row("RFC5508-S7.2", "TTL 1 from Y: 11/0 to Y, with no inside address in it", () => {
  for (const protocol of PROTOCOLS) {
    const { nat, left } = talk(protocol, ORIGINATES);
    const packet = left.reply;
    packet[8] = 1;
    const sent = nat.in(fullChecksums(packet));
    drops(sent, "ttl-expired");
    const [taken] = nat.errors();
    deepEqual([taken!.packet.src, taken!.packet.dst], [A, addressOf(Y)]);
    deepEqual(head(taken!), { type: 11, code: 0, rest: 0 });
    deepEqual([...taken!.quoted], [...sent.original.subarray(0, taken!.quoted.length)]);
    equal(Buffer.from(taken!.bytes).indexOf(Buffer.from([10, 0, 0, 1])), -1);
  }
});

row("RFC5508-S7.2", "TTL 1 from X to X2': 11/0 to X", () => {
  const nat = lab({ ...ORIGINATES, ...EIF });
  const outside = nat.map("udp", X2, Y);
  drops(nat.out(udp(X, outside, { ttl: 1 })), "ttl-expired");
  deepEqual(
    nat.errors().map((sent) => [head(sent).type, sent.packet.dst]),
    [[11, addressOf(X)]],
  );
});

row("RFC5508-S7.1.1", "too big with DF: dropped, 3/4 with the MTU to the sender, on either side", () => {
  for (const protocol of ["udp", "icmp"] as const) {
    for (const mtu of [576, 1280, 1400]) {
      const nat = lab({ ...ORIGINATES, mtu: { inside: mtu, outside: mtu } });
      const make = protocol === "udp" ? udp : echo;
      const sized = (from: typeof make, src: string, dst: string, total: number) =>
        from(src, dst, { df: true, payload: "x".repeat(total - 28) });
      const left = nat.out(sized(make, X, Y, mtu));
      const tooBig = nat.out(sized(make, X, Y, mtu + 1));
      drops(tooBig, "too-big");
      const reply = protocol === "udp" ? udp : echoReply;
      passes(nat.in(sized(reply, Y, left.source, mtu)));
      const inbound = nat.in(sized(reply, Y, left.source, mtu + 1));
      drops(inbound, "too-big");
      const errors = nat.errors();
      deepEqual(
        errors.map(head),
        range(2).map(() => ({ type: 3, code: 4, rest: mtu })),
      );
      deepEqual(
        errors.map(({ packet }) => packet.dst),
        [addressOf(X), addressOf(Y)],
      );
      quotes(errors[0]!, tooBig.original);
      quotes(errors[1]!, inbound.original);
    }
  }
});

row("RFC5508-S7.1.1", "too big without DF: fragmented, on either side", () => {
  const nat = lab({ mtu: { inside: 1280, outside: 576 } });
  const payload = "0123456789".repeat(140);
  const left = nat.out(udp(X, Y, { payload, id: 5 }));
  equal(left.verdict, "held");
  const outbound = nat.take();
  ok(outbound.length === 3 && outbound.every(({ packet }) => packet.length <= 576));
  equal(decode(outbound[0]!.packet).src, A);
  const { sport } = decode(outbound[0]!.packet).body as { sport: number };
  equal(nat.in(udp(Y, at(A, sport), { payload, id: 6 })).verdict, "held");
  const inbound = nat.take();
  ok(inbound.length === 2 && inbound.every(({ packet, side }) => packet.length <= 1280 && side === "inside"));
  equal(decode(inbound[0]!.packet).dst, addressOf(X));
});
