// Checksums and headers (RFC 3022 section 4, RFC 1624, RFC 768, RFC 1812 section 5).
import { deepEqual, equal, notEqual, ok } from "node:assert/strict";
import {
  checksumError,
  decode,
  echo as echoPacket,
  endpoint,
  endpoints,
  flipBit,
  fullChecksums,
  hex,
  onesSum,
  put16,
  replaceFields,
  setHeaderChecksum,
  setTransportChecksum,
  transportChecksumIn,
  transportChecksumOf,
} from "../support/packets.js";
import { drops, type Lab, lab, range, type Sent } from "./lab.js";
import { row } from "./suite.js";
import {
  A,
  addressOf,
  at,
  echo,
  echoReply,
  icmp,
  opening,
  PROTOCOLS,
  type Protocol,
  probe,
  tcp,
  udp,
  X,
  Y,
  Z,
} from "./traffic.js";

/** A packet with all its fields in use. */
function rich(protocol: Protocol, src: string, dst: string, fields: object = {}): Uint8Array {
  const common = { tos: 0xb9, id: 0xbeef, df: true, ttl: 17, payload: "odd and even", ...fields };
  if (protocol === "udp") return udp(src, dst, common);
  if (protocol === "icmp") return echo(src, dst, { sequence: 0x4321, ...common });
  const tcpOptions = Uint8Array.from([2, 4, 5, 180, 1, 1, 4, 2, 1, 3, 3, 7]);
  return tcp(src, dst, "SAPUEC", {
    seq: 0xfffffff0,
    ack: 0x12345678,
    window: 4711,
    urgent: 9,
    tcpOptions,
    ...common,
  });
}

/** Output = input with these fields replaced and all sums computed anew. */
function isExactly(sent: Sent, changes: Parameters<typeof replaceFields>[1]): void {
  equal(hex(sent.bytes), hex(fullChecksums(replaceFields(sent.original, changes))));
}

/** X's packet leaves and Y's comes in; both differ from what went in by their endpoint and TTL alone. */
function bothWays(nat: Lab, protocol: Protocol, fields: object = {}): void {
  const left = nat.out(rich(protocol, X, Y, fields));
  const outside = endpoint(left.source);
  isExactly(left, { src: outside, ttl: left.original[8]! - 1 });
  const packet = rich(protocol, Y, left.source, fields);
  const answer = protocol === "icmp" ? echoReply(Y, left.source, { tos: 3, ...fields }) : packet;
  isExactly(nat.in(answer), { dst: endpoint(X), ttl: answer[8]! - 1 });
}

row("RFC3022-S4.1", "address, port or id, TTL and checksums change, nothing else, both ways", () => {
  for (const protocol of PROTOCOLS) {
    bothWays(lab(), protocol);
    bothWays(lab({ static: [{ outside: "203.0.113.65", inside: addressOf(X) }] }), protocol);
    bothWays(lab({ portAssignment: { preserve: true } }), protocol);
  }
});

row("RFC3022-S4.1", "octets behind the packet's own length stay", () => {
  for (const protocol of PROTOCOLS) {
    const packet = opening(protocol, X, Y);
    const padded = new Uint8Array(packet.length + 7).fill(0xee);
    padded.set(packet);
    const sent = lab().out(padded);
    deepEqual([...sent.bytes.subarray(packet.length)], new Array(7).fill(0xee));
    equal(
      hex(sent.bytes.subarray(0, packet.length)),
      hex(fullChecksums(sent.bytes.subarray(0, packet.length))),
    );
  }
});

row("RFC3022-S4.2", "payloads of 0 to 65 octets, with 0 to 40 octets of options: as if computed anew", () => {
  for (const protocol of PROTOCOLS) {
    const nat = lab();
    for (const length of range(66, 0)) {
      for (const words of [0, 1, 3, 10]) {
        const payload = new Uint8Array(length).map((_, i) => 251 * i + length);
        bothWays(nat, protocol, { payload, options: new Uint8Array(words * 4).fill(1) });
      }
    }
  }
});

row("RFC1624-EQN3", "all 65 536 values that a transport and a header checksum can come to", () => {
  for (const protocol of PROTOCOLS) {
    const nat = lab();
    const seen = { transport: new Uint8Array(65536), header: new Uint8Array(65536) };
    const packet = rich(protocol, X, Y);
    const payloadAt = packet.length - 12;
    for (let value = 0; value < 65536; value++) {
      put16(packet, payloadAt, value);
      put16(packet, 4, value); // an ID: DF is set
      const sent = nat.out(fullChecksums(packet));
      const right = fullChecksums(sent.bytes);
      seen.transport[transportChecksumIn(right)] = 1;
      seen.header[decode(right).headerChecksum] = 1;
      if (Buffer.compare(sent.bytes, right) !== 0) equal(hex(sent.bytes), hex(right));
    }
    const missing = (which: Uint8Array) => which.reduce((sum, was) => sum + (was === 0 ? 1 : 0), 0);
    // A sum has one of 65 535 values: 0 or, by UDP, 0xffff.
    deepEqual([missing(seen.transport), missing(seen.header)], [1, 1]);
  }
});

row("RFC1624-S4", "0xDD2F with 0x5555 made 0x3285 becomes 0x0000", () => {
  const [before, after] = [0x5555, 0x3285];
  const nat = lab({ outside: [{ address: A, ports: `${after}` }] });
  const packet = echoPacket({ src: X, dst: Y, identifier: before, payload: Uint8Array.of(0, 0) });
  // A payload that makes the checksum 0xDD2F.
  put16(
    packet,
    packet.length - 2,
    onesSum(
      Uint8Array.of(transportChecksumIn(packet) >> 8, transportChecksumIn(packet) & 255),
      0xffff - 0xdd2f,
    ),
  );
  const message = fullChecksums(packet);
  equal(transportChecksumIn(message), 0xdd2f);
  const sent = nat.out(message);
  equal(sent.source, at(A, after));
  equal(transportChecksumIn(sent.bytes), 0x0000);
});

/** A packet of X's whose transport checksum comes to zero when it has left; and one of Y's when it has come in. */
function comingToZero(nat: Lab, protocol: Protocol): Sent[] {
  const outside = nat.map(protocol, X, Y);
  const make = (src: string, dst: string, word: number) => {
    const payload = Uint8Array.of(word >> 8, word & 255, 1, 2, 3, 4);
    if (protocol === "icmp")
      return src === X ? echo(src, dst, { payload }) : echoReply(src, dst, { payload });
    return protocol === "udp" ? udp(src, dst, { payload }) : tcp(src, dst, "A", { payload });
  };
  return (["out", "in"] as const).map((side) => {
    const [src, dst] = side === "out" ? [X, Y] : [Y, outside];
    const [newSrc, newDst] = side === "out" ? [outside, Y] : [Y, X];
    // What the checksum would be with a zero word is the word that makes the sum all ones.
    const translated = make(newSrc, newDst, 0);
    const like =
      protocol === "icmp" && side === "out"
        ? echo(outside, Y, { payload: Uint8Array.of(0, 0, 1, 2, 3, 4) })
        : translated;
    return nat[side](make(src, dst, transportChecksumIn(like)));
  });
}

row("RFC768-ZERO", "a sum that comes to zero: 0xFFFF by UDP, 0x0000 by TCP and ICMP, both ways", () => {
  for (const protocol of PROTOCOLS) {
    for (const sent of comingToZero(lab(), protocol)) {
      equal(transportChecksumIn(sent.bytes), protocol === "udp" ? 0xffff : 0x0000);
      notEqual(transportChecksumIn(sent.original), transportChecksumIn(sent.bytes));
    }
  }
});

row("RFC768-ZERO", "and 0x0000 in the IP header, both ways", () => {
  const nat = lab();
  const outside = nat.map("udp", X, Y);
  for (const [side, src, dst, newSrc, newDst] of [
    ["out", X, Y, outside, Y],
    ["in", Y, outside, Y, X],
  ] as const) {
    const id = decode(udp(newSrc, newDst, { df: true, id: 0, ttl: 63 })).headerChecksum;
    equal(nat[side](udp(src, dst, { df: true, id, ttl: 64 })).packet.headerChecksum, 0);
  }
});

row("RFC768-ZERO", "a message of nothing but zeros, where only 0xFFFF verifies", () => {
  // An echo reply with id, number and payload 0 for a host that asked with id 0.
  const nat = lab({ outside: [{ address: A, ports: "1" }] });
  const asked = nat.out(echo(at(X, 0), Y, { payload: new Uint8Array(8) }));
  const came = nat.in(asked.reply);
  equal(came.destination, at(X, 0));
  equal(hex(came.bytes.subarray(20)), `0000ffff${"00".repeat(12)}`);
});

row("RFC3022-S4.1-UDP0", "no checksum in, no checksum out, both ways", () => {
  for (const df of [true, false]) {
    const nat = lab();
    const left = nat.out(udp(X, Y, { checksum: 0, df }));
    equal(transportChecksumIn(left.bytes), 0);
    equal(transportChecksumIn(nat.in(udp(Y, left.source, { checksum: 0, df })).bytes), 0);
    const outside = lab({ filtering: "endpoint-independent" });
    const to = outside.map("udp", at(X, 9), Y);
    equal(transportChecksumIn(outside.out(udp(X, to, { checksum: 0, df })).bytes), 0);
  }
});

row("RFC768-LEN", "octets between the UDP length and the IP length are neither summed nor changed", () => {
  for (const trailing of [1, 2, 7, 40]) {
    const nat = lab();
    const longer = (packet: Uint8Array) => {
      const whole = new Uint8Array(packet.length + trailing).fill(0xa5);
      whole.set(packet);
      put16(whole, 2, whole.length);
      return fullChecksums(whole);
    };
    const left = nat.out(longer(udp(X, Y)));
    const came = nat.in(longer(udp(Y, left.source)));
    for (const sent of [left, came]) {
      equal(transportChecksumIn(sent.bytes), transportChecksumOf(sent.bytes));
      ok(sent.bytes.subarray(-trailing).every((octet) => octet === 0xa5));
    }
  }
});

row("RFC3022-S4.2-WRONG", "a wrong transport checksum leaves and comes in as wrong as it was", () => {
  for (const protocol of PROTOCOLS) {
    for (const wrong of [1, 2, 0x100, 0x7fff, 0x8000, 0xfffe]) {
      const nat = lab();
      const outside = nat.map(protocol, X, Y);
      for (const [side, packet] of [
        ["out", opening(protocol, X, Y)],
        ["in", probe(protocol, Y, outside)],
      ] as const) {
        setTransportChecksum(packet, (transportChecksumIn(packet) + wrong) % 0xffff || 0xffff);
        const sent = nat[side](packet);
        const off = (bytes: Uint8Array) =>
          checksumError(transportChecksumIn(bytes), transportChecksumOf(bytes));
        equal(off(sent.bytes), off(packet));
        equal(off(sent.bytes), wrong);
      }
    }
  }
});

row(
  "RFC3022-S4.2-WRONG",
  "a wrong header checksum: dropped, or as wrong as it was where nobody is to look",
  () => {
    for (const wrong of [1, 0x8000, 0xfffe]) {
      const packet = udp(X, Y);
      const right = decode(packet).headerChecksum;
      setHeaderChecksum(packet, (right + wrong) % 0xffff);
      drops(lab().out(packet), "header-checksum");
      const sent = lab({ verifyHeaderChecksum: false }).out(packet);
      const expected = decode(fullChecksums(sent.bytes)).headerChecksum;
      equal(checksumError(sent.packet.headerChecksum, expected), wrong);
    }
  },
);

/** Record route, timestamp, router alert, loose and strict source routes, none. */
const OPTIONS = [7, 68, 148, 131, 137, 1];

row("RFC3022-S4.6", "options of 4 to 40 octets: ports are found behind them, the options stay", () => {
  for (const protocol of PROTOCOLS) {
    for (const kind of OPTIONS) {
      for (const words of range(10)) {
        const options = new Uint8Array(words * 4).fill(1);
        if (kind !== 1) options.set([kind, words * 4, 4, 10]);
        const nat = lab();
        const left = nat.out(rich(protocol, X, Y, { options }));
        deepEqual(left.packet.options, options);
        const answer = protocol === "icmp" ? echoReply : udp;
        const came = nat.in(
          protocol === "tcp" ? tcp(Y, left.source, "A", { options }) : answer(Y, left.source, { options }),
        );
        deepEqual(came.packet.options, options);
        deepEqual(endpoints(came.packet).dst, endpoint(X));
      }
    }
  }
});

/** Copies with something wrong, and why they are dropped. */
function defective(packet: Uint8Array): [reason: string[], broken: Uint8Array][] {
  const changed = (offset: number, value: number) => {
    const copy = packet.slice();
    copy[offset] = value;
    return copy;
  };
  const total = (value: number) => {
    const copy = packet.slice();
    put16(copy, 2, value);
    return fullHeader(copy);
  };
  return [
    ...range(20, 0).map((length): [string[], Uint8Array] => [["malformed"], packet.subarray(0, length)]),
    ...range(16, 0)
      .filter((version) => version !== 4)
      .map((version): [string[], Uint8Array] => [["malformed"], changed(0, version * 16 + 5)]),
    ...range(5, 0).map((words): [string[], Uint8Array] => [["malformed"], changed(0, 64 + words)]),
    ...range(19).map((value): [string[], Uint8Array] => [["malformed"], total(value)]),
    ...[1, 2, 1000].map((more): [string[], Uint8Array] => [["malformed"], total(packet.length + more)]),
    // A header of 60 octets that the packet does not have.
    [["malformed"], changed(0, 0x4f).subarray(0, 40)],
    // The transport header is not there.
    ...[20, 21, 23, 27].map((value): [string[], Uint8Array] => [["malformed"], total(value)]),
    // Each bit of the header.
    ...range(160, 0).map((bit): [string[], Uint8Array] => [
      ["header-checksum", "malformed"],
      flipBit(packet, bit),
    ]),
  ];
}
function fullHeader(packet: Uint8Array): Uint8Array {
  const header = packet.slice();
  put16(header, 10, 0);
  put16(header, 10, onesSum(header.subarray(0, 20)) ^ 0xffff);
  return header;
}

row("RFC1812-S5.2.2", "each defect: dropped silently for its reason, counted, both ways", () => {
  for (const protocol of PROTOCOLS) {
    const nat = lab({ icmpErrors: true, filtering: "endpoint-independent" });
    const outside = nat.map(protocol, X, Y);
    let count = 0;
    for (const [side, packet] of [
      ["out", opening(protocol, X, Y)],
      ["in", probe(protocol, Y, outside)],
    ] as const) {
      for (const [reasons, broken] of defective(packet)) {
        drops(nat[side](broken), ...reasons);
        count++;
      }
    }
    equal(nat.dropped("malformed") + nat.dropped("header-checksum"), count);
    deepEqual(nat.take(), []);
    equal(nat.map(protocol, X, Y), outside);
  }
});

row("RFC1812-S5.2.2", "unmatched: pass lets no broken packet through", () => {
  const nat = lab({ unmatched: "pass" });
  for (const [reasons, broken] of defective(udp("192.0.2.1:1", "192.0.2.2:2")))
    drops(nat.out(broken), ...reasons);
});

row("RFC1812-S5.3.1", "TTL n leaves and comes in as n-1, for each n; 1 and 0 are dropped", () => {
  for (const protocol of PROTOCOLS) {
    const nat = lab();
    const outside = nat.map(protocol, X, Y);
    for (const ttl of range(256, 0)) {
      for (const [side, packet] of [
        ["out", opening(protocol, X, Y)],
        ["in", probe(protocol, Y, outside)],
      ] as const) {
        packet[8] = ttl;
        const sent = nat[side](fullChecksums(packet));
        if (ttl < 2) drops(sent, "ttl-expired");
        else equal(sent.packet.ttl, ttl - 1);
      }
    }
  }
});

row("RFC1812-S5.3.1", "once when hairpinned; errors and fragments as well", () => {
  const nat = lab({ filtering: "endpoint-independent" });
  const outside = nat.map("udp", at(X, 9), Y);
  equal(nat.out(udp(X, outside, { ttl: 2 })).packet.ttl, 1);
  drops(nat.out(udp(X, outside, { ttl: 1 })), "ttl-expired");
  const sent = nat.out(udp(X, Y));
  for (const ttl of [255, 2, 1]) {
    const came = nat.in(icmp(Z, A, 3, { ttl, payload: sent.bytes }));
    if (ttl === 1) drops(came, "ttl-expired");
    else equal(came.packet.ttl, ttl - 1);
  }
});

row("RFC1812-S5.3.1", 'ttl "keep": where another hop counts, the TTL stays, and 0 is dropped', () => {
  const nat = lab({ ttl: "keep" });
  for (const ttl of [255, 2, 1]) equal(nat.out(udp(X, Y, { ttl })).packet.ttl, ttl);
  drops(nat.out(udp(X, Y, { ttl: 0 })), "ttl-expired");
});

/** First and last addresses that are not to be forwarded, and their neighbours that are. */
const INVALID = [
  "0.0.0.0",
  "0.255.255.255",
  "127.0.0.0",
  "127.0.0.1",
  "127.255.255.255",
  "224.0.0.0",
  "239.255.255.255",
  "240.0.0.0",
  "255.255.255.254",
  "255.255.255.255",
];
const VALID = ["1.0.0.0", "126.255.255.255", "128.0.0.0", "223.255.255.255", "9.255.255.255", "11.0.0.0"];

row(
  "RFC1812-S5.3.7",
  "such sources do not come in, such destinations do not leave; their neighbours do",
  () => {
    for (const protocol of PROTOCOLS) {
      for (const unmatched of ["drop", "pass"]) {
        const nat = lab({ filtering: "endpoint-independent", unmatched });
        const outside = nat.map(protocol, X, Y);
        for (const address of INVALID) {
          drops(nat.in(probe(protocol, at(address, 5000), outside)), "invalid-source");
          const out = nat.out(opening(protocol, X, at(address, 5000)));
          if (unmatched === "drop") drops(out, "unmatched");
          else equal(out.verdict, "passed", "untouched, where the caller wants to route them");
        }
        for (const address of VALID) {
          equal(nat.in(probe(protocol, at(address, 5000), outside)).verdict, "forwarded");
          equal(nat.out(opening(protocol, X, at(address, 5000))).verdict, "forwarded");
        }
      }
    }
  },
);

row("RFC2663-MCAST", "multicast, limited broadcast: never with a translated source, from any host", () => {
  for (const unmatched of ["drop", "pass"]) {
    const nat = lab({ unmatched, static: [{ outside: "203.0.113.65", inside: addressOf(X) }] });
    for (const from of [X, "10.7.7.7:4000"]) {
      for (const to of ["224.0.0.1", "224.0.0.251", "239.1.2.3", "255.255.255.255"]) {
        for (const protocol of PROTOCOLS) {
          equal(
            nat.out(opening(protocol, from, at(to, 5000))).verdict,
            unmatched === "drop" ? "dropped" : "passed",
          );
        }
      }
    }
    equal(nat.sessions.length, 0);
  }
});

row(
  "RFC2827",
  "the NAT's own addresses as source from outside: dropped, to mapped, forwarded and 1:1 ports",
  () => {
    const nat = lab({
      filtering: "endpoint-independent",
      outside: [A, "203.0.113.2"],
      static: [{ outside: "203.0.113.65", inside: "10.7.7.7" }],
      forwards: [{ protocol: "udp", outside: at(A, 53), inside: at(X, 53) }],
    });
    const outside = nat.map("udp", X, Y);
    for (const to of [outside, at(A, 53), "203.0.113.65:7"]) {
      for (const own of [A, "203.0.113.2", "203.0.113.65"]) {
        for (const protocol of PROTOCOLS) drops(nat.in(probe(protocol, at(own, 9), to)), "invalid-source");
      }
    }
  },
);

row("RFC2827", "a source that is not inside does not leave translated", () => {
  for (const protocol of PROTOCOLS) {
    const nat = lab();
    for (const from of ["192.168.7.7:4000", "11.0.0.1:4000", "198.51.100.99:4000"]) {
      drops(nat.out(opening(protocol, from, Y)), "unmatched");
    }
    equal(nat.sessions.length, 0);
  }
});

row("RFC2827", "an inside source that comes to X' has the sender's outside endpoint when it arrives", () => {
  // The engine has no interfaces: such a packet is hairpinned, so what arrives never has an inside source.
  const nat = lab({ filtering: "endpoint-independent" });
  const outside = nat.map("udp", X, Y);
  equal(addressOf(nat.out(udp("10.6.6.6:6", outside)).source), A);
  const strict = lab();
  const other = strict.map("udp", X, Y);
  drops(strict.out(udp("10.6.6.6:6", other)), "filtered");
});
