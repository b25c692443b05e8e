// What the words mean (RFC 2663, RFC 3022).
import { deepEqual, equal, notEqual } from "node:assert/strict";
import { raw } from "../support/packets.js";
import { drops, endsAt, lab, passes, range, same } from "./lab.js";
import { row } from "./suite.js";
import {
  A,
  addressOf,
  at,
  echo,
  inside,
  opening,
  PROTOCOLS,
  portOf,
  probe,
  remote,
  tcp,
  udp,
  X,
  X2,
  Y,
  Z,
} from "./traffic.js";

/** X has an address of its own. */
const B = "203.0.113.65";
const BASIC = { static: [{ outside: B, inside: addressOf(X) }] };

row("RFC2663-S2", "a session is told by inside, public and remote endpoint; a query's id is its port", () => {
  for (const protocol of PROTOCOLS) {
    const nat = lab();
    const sent = nat.out(opening(protocol, X, Y));
    equal(sent.direction, "outbound");
    equal(nat.in(sent.reply).direction, "inbound");
    const [session] = nat.sessions;
    equal(nat.sessions.length, 1, "both directions are one session, which began outbound");
    deepEqual(
      [session!.protocol, session!.inside, session!.public, session!.remote],
      [
        protocol,
        { address: addressOf(X), port: portOf(X) },
        { address: A, port: portOf(sent.source) },
        { address: addressOf(Y), port: protocol === "icmp" ? 0 : portOf(Y) },
      ],
    );
  }
});

row("RFC2663-S4.1", "1:1: ports and ids stay; NAPT: 100 hosts share one address", () => {
  for (const protocol of PROTOCOLS) {
    const basic = lab(BASIC);
    equal(basic.map(protocol, X, Y), at(B, portOf(X)));
    const napt = lab();
    same(range(100).map((n) => addressOf(napt.map(protocol, inside(n), Y))));
  }
});

row("RFC2663-S4.2", "a hairpinned packet has both endpoints rewritten", () => {
  const nat = lab({ filtering: "endpoint-independent" });
  const [first, second] = [nat.map("udp", X, Y), nat.map("udp", X2, Y)];
  const sent = nat.out(udp(X, second));
  deepEqual([sent.source, sent.destination], [first, X2]);
});

row(
  "RFC2663-S2.5",
  "first datagram and SYN make state, other segments prove no start; idle timers end it",
  () => {
    const nat = lab({ tcpPickup: false, filtering: "endpoint-independent" });
    for (const flags of ["A", "PA", "FA", "RA", "R", "SA"]) {
      drops(nat.in(tcp(Y, at(A, 30000), flags)));
      if (flags !== "SA") drops(nat.out(tcp(X, Y, flags)), "tcp-no-session");
    }
    equal(nat.sessions.length, 0);
    nat.map("udp", X, Y);
    nat.map("tcp", X, Y);
    equal(nat.sessions.length, 2);
    nat.wait(300);
    equal(nat.sessions.length, 0);
  },
);

row(
  "RFC3022-S2.1",
  "1:1, UDP, TCP and echo, begun on either side: the address changes, ports and id stay",
  () => {
    for (const protocol of PROTOCOLS) {
      const nat = lab(BASIC);
      const sent = nat.out(opening(protocol, X, Y));
      equal(sent.source, at(B, portOf(X)));
      equal(nat.in(sent.reply).destination, X);

      const fresh = lab(BASIC);
      const to = at(B, 777);
      const came = fresh.in(protocol === "icmp" ? echo(at(Z, 777), to) : opening(protocol, Z, to));
      equal(came.destination, at(X, 777));
      equal(fresh.out(came.reply).source, to);
    }
  },
);

row("RFC3022-S2.2", "two hosts with one port differ outside; what is not mapped does not come in", () => {
  for (const protocol of PROTOCOLS) {
    const nat = lab({ filtering: "endpoint-independent" });
    const [first, second] = [nat.map(protocol, X, Y), nat.map(protocol, X2, Y)];
    notEqual(first, second);
    equal(nat.in(probe(protocol, Y, first)).destination, X);
    equal(nat.in(probe(protocol, Y, second)).destination, X2);
    for (const port of [1, 1023, 1024, 4000, 30000, 65535]) {
      if ([portOf(first), portOf(second)].includes(port)) continue;
      drops(nat.in(probe(protocol, Y, at(A, port))), "no-mapping");
    }
  }
});

row("RFC3022-S2.2", "a static service lets sessions begin outside", () => {
  for (const protocol of ["udp", "tcp"] as const) {
    const nat = lab({ forwards: [{ protocol, outside: at(A, 80), inside: at(X, 8080) }] });
    const came = nat.in(opening(protocol, Y, at(A, 80)));
    equal(came.destination, at(X, 8080));
    equal(nat.out(came.reply).source, at(A, 80));
    drops(nat.in(opening(protocol, Y, at(A, 81))), "no-mapping");
  }
});

row(
  "RFC3022-S2.2-OTHER",
  "every other protocol is dropped in both directions, whatever `unmatched` says",
  () => {
    for (const unmatched of ["drop", "pass"]) {
      const nat = lab({ unmatched });
      for (const protocol of range(256, 0).filter((number) => ![1, 6, 17].includes(number))) {
        const payload = new Uint8Array(24).fill(protocol);
        drops(nat.out(raw({ src: X, dst: Y, protocol, payload })), "unsupported-protocol");
        drops(nat.in(raw({ src: Y, dst: A, protocol, payload })), "unsupported-protocol");
      }
      equal(nat.sessions.length, 0);
    }
  },
);

row("RFC3022-S3.1", "X to Y and Z: the first packet makes the binding that both sessions use", () => {
  for (const protocol of PROTOCOLS) {
    const nat = lab();
    same([nat.map(protocol, X, Y), nat.map(protocol, X, Z), nat.map(protocol, X, Y)]);
    equal(nat.sessions.length, 2);
  }
});

row("RFC3022-S3.3", "all sessions idle past their time: the binding is gone", () => {
  for (const [protocol, seconds] of [
    ["udp", 300],
    ["tcp", 240],
    ["icmp", 60],
  ] as const) {
    endsAt(seconds, () => {
      const nat = lab({ filtering: "endpoint-independent" });
      const outside = nat.map(protocol, X, Y);
      equal(nat.map(protocol, X, Z), outside);
      return [nat, () => nat.in(probe(protocol, Y, outside))];
    });
  }
});

row("RFC3022-S3.3", "a session that ends leaves the binding to the others", () => {
  const nat = lab();
  const outside = nat.map("udp", X, Y);
  nat.at(200).out(udp(X, Z));
  nat.at(300);
  drops(nat.in(udp(Y, outside)), "filtered");
  passes(nat.in(udp(Z, outside)));
  equal(nat.map("udp", X, remote(3)), outside);
});
