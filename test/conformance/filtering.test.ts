// Filtering behaviour (RFC 4787 section 5, RFC 5382 section 4.3, RFC 7857 sections 6 and 7).
import { deepEqual, equal } from "node:assert/strict";
import { BEHAVIOURS, type Behaviour, drops, endsAt, type LabConfig, lab, passes } from "./lab.js";
import { row } from "./suite.js";
import {
  A,
  at,
  echoReply,
  PROTOCOLS,
  type Protocol,
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

/** Who may come in after X has sent to Y:y: Y:y, Y:z, Z:z. */
const ADMITTED: Record<Behaviour, [boolean, boolean, boolean]> = {
  "endpoint-independent": [true, true, true],
  "address-dependent": [true, true, false],
  "address-and-port-dependent": [true, false, false],
};
const WHO = [Y, at(Y, 6000), at(Z, 6000)];

/** Whom a NAT lets in to X' after X has sent to Y. */
function admitted(protocol: Protocol, config: LabConfig): boolean[] {
  const nat = lab(config);
  const outside = nat.map(protocol, X, Y);
  return WHO.map((from) => {
    const sent = nat.in(probe(protocol, from, outside));
    if (!sent.cameThrough) drops(sent, "filtered");
    else equal(sent.destination, X);
    return sent.cameThrough;
  });
}

row("RFC4787-REQ-8", "X to Y:y; from Y:y, Y:z, Z:z EIF admits 3, ADF 2, APDF 1, with each mapping", () => {
  for (const mapping of BEHAVIOURS) {
    for (const filtering of BEHAVIOURS) {
      deepEqual(admitted("udp", { mapping, filtering }), ADMITTED[filtering], `${mapping}, ${filtering}`);
    }
  }
});

row("RFC4787-REQ-8", "answers to queries are admitted by the address alone", () => {
  for (const filtering of BEHAVIOURS) {
    const nat = lab({ filtering });
    const outside = nat.map("icmp", X, Y);
    passes(nat.in(echoReply(Y, outside)));
    const other = nat.in(echoReply(Z, outside));
    if (filtering === "endpoint-independent") passes(other);
    else drops(other, "filtered");
  }
});

row("RFC4787-REQ-8", "to an unmapped port nothing passes, whatever the filter", () => {
  for (const filtering of BEHAVIOURS) {
    for (const protocol of PROTOCOLS) {
      const nat = lab({ filtering });
      const mapped = portOf(nat.map(protocol, X, Y));
      for (let port = 0; port <= 65535; port += port === mapped - 1 || port === mapped ? 1 : 97) {
        if (port !== mapped) drops(nat.in(probe(protocol, Y, at(A, port))), "no-mapping");
      }
    }
  }
});

row(
  "RFC4787-REQ-8",
  "who is let in is the last to have been written to, too: each remote makes its own hole",
  () => {
    for (const filtering of ["address-dependent", "address-and-port-dependent"]) {
      const nat = lab({ filtering });
      const outside = nat.map("udp", X, Y);
      drops(nat.in(udp(Z, outside)), "filtered");
      equal(nat.map("udp", X, Z), outside);
      passes(nat.in(udp(Z, outside)));
      passes(nat.in(udp(Y, outside)));
      // What another host behind the NAT writes to opens nothing for X.
      nat.map("udp", X2, remote(3));
      drops(nat.in(udp(remote(3), outside)), "filtered");
    }
  },
);

row(
  ["RFC4787-REQ-8a", "RFC5382-REQ-3a"],
  "switched while it runs, the filter decides anew for what lives",
  () => {
    for (const protocol of ["udp", "tcp"] as const) {
      const nat = lab();
      const outside = nat.map(protocol, X, Y);
      for (const filtering of [...BEHAVIOURS, ...BEHAVIOURS.toReversed()]) {
        nat.change({ filtering });
        const sent = nat.in(probe(protocol, Z, outside));
        // A SYN that EIF let in made a session, which stays.
        const known = nat.sessions.some(({ remote: { address } }) => address === "198.51.100.2");
        equal(sent.cameThrough, filtering === "endpoint-independent" || known, filtering);
        for (const session of nat.sessions)
          if (session.remote.address !== "198.51.100.1") nat.forget(session);
      }
    }
  },
);

row(
  "RFC5382-REQ-3",
  "inbound SYNs from Y:y, Y:z, Z:z: EIF admits 3, ADF 2, APDF 1, with each mapping",
  () => {
    for (const mapping of BEHAVIOURS) {
      for (const filtering of BEHAVIOURS) {
        deepEqual(admitted("tcp", { mapping, filtering }), ADMITTED[filtering], `${mapping}, ${filtering}`);
      }
    }
  },
);

row("RFC5382-REQ-3", "an admitted SYN begins a connection that works both ways", () => {
  const nat = lab({ filtering: "endpoint-independent" });
  const outside = nat.map("tcp", X, Y);
  const came = nat.in(tcp(Z, outside, "S", { seq: 700 }));
  equal(came.destination, X);
  equal(nat.out(tcp(X, Z, "SA", { seq: 1, ack: 701 })).source, outside);
  equal(nat.in(tcp(Z, outside, "A", { seq: 701, ack: 2 })).destination, X);
  equal(nat.out(tcp(X, Z, "PA", { seq: 2, ack: 701, payload: "hello" })).source, outside);
});

row("RFC5382-REQ-3", "segments that are no SYN begin nothing, whatever the filter", () => {
  for (const filtering of BEHAVIOURS) {
    const nat = lab({ filtering });
    const outside = nat.map("tcp", X, Y);
    for (const flags of ["A", "PA", "SA", "FA", "R", "RA", ""]) {
      drops(nat.in(tcp(Z, outside, flags)), "tcp-no-session", "filtered");
    }
    equal(nat.sessions.length, 1);
  }
});

row("RFC5382-REQ-3b", "each pair of a TCP and a UDP filter", () => {
  for (const forTcp of BEHAVIOURS) {
    for (const forUdp of BEHAVIOURS) {
      const filtering = { tcp: forTcp, udp: forUdp };
      deepEqual(admitted("tcp", { filtering }), ADMITTED[forTcp]);
      deepEqual(admitted("udp", { filtering }), ADMITTED[forUdp]);
      drops(lab({ filtering }).in(echoReply(Z, at(A, 30000))));
    }
  }
  // What is left out has the default.
  deepEqual(admitted("tcp", { filtering: { udp: "endpoint-independent" } }), [true, false, false]);
});

row("RFC6888-REQ-7", 'preset "cgn": a third host passes, by UDP and TCP', () => {
  for (const protocol of ["udp", "tcp"] as const) {
    const nat = lab({ preset: "cgn" });
    equal(nat.in(probe(protocol, Z, nat.map(protocol, X, Y))).destination, X);
  }
});

row("RFC7857-S6", "a mapping of one protocol lets nothing of another in", () => {
  for (const protocol of PROTOCOLS) {
    for (const other of PROTOCOLS) {
      const nat = lab({ filtering: "endpoint-independent" });
      const sent = nat.in(probe(other, Z, nat.map(protocol, X, Y)));
      if (other === protocol) passes(sent);
      else drops(sent, "no-mapping");
    }
  }
});

row("RFC7857-S7", "refused packets up to the end of a mapping's time don't move that end", () => {
  for (const filtering of ["address-dependent", "address-and-port-dependent"]) {
    for (const [protocol, seconds] of [
      ["udp", 300],
      ["tcp", 240],
      ["icmp", 60],
    ] as const) {
      for (const inboundRefresh of [false, true]) {
        endsAt(seconds, () => {
          const nat = lab({ filtering, inboundRefresh });
          const outside = nat.map(protocol, X, Y);
          for (let t = 10; t < seconds; t += 10) {
            drops(nat.at(t).in(probe(protocol, at(Z, 6000), outside)), "filtered");
          }
          drops(nat.at(seconds - 0.002).in(probe(protocol, at(Z, 6000), outside)), "filtered");
          return [nat, () => nat.in(probe(protocol, Y, outside))];
        });
      }
    }
  }
});

row("RFC7857-S7", "nor do TCP segments that begin nothing, with EIF", () => {
  endsAt(240, () => {
    const nat = lab({ filtering: "endpoint-independent" });
    const outside = nat.map("tcp", X, Y);
    for (let t = 10; t < 240; t += 10) drops(nat.at(t).in(tcp(Z, outside, "A")), "tcp-no-session");
    return [nat, () => nat.in(tcp(Y, outside, "SA"))];
  });
});
