// Fragments and the IP identification (RFC 4787 section 11, RFC 6864, RFC 1858, RFC 3128).
import { deepEqual, equal, notEqual, ok } from "node:assert/strict";
import {
  decode,
  fragments,
  fullChecksums,
  hex,
  put16,
  reassemble,
  replyTo,
  setHeaderChecksum,
} from "../support/packets.js";
import { Connection } from "./connection.js";
import { distinct, drops, type Lab, lab, passes, range, same } from "./lab.js";
import { row } from "./suite.js";
import {
  A,
  addressOf,
  at,
  echo,
  icmp,
  inside,
  PROTOCOLS,
  type Protocol,
  remote,
  tcp,
  udp,
  X,
  X2,
  Y,
  Z,
} from "./traffic.js";

const BODY = "the quick brown fox jumps over the lazy dog, and back again.";

/** A datagram that can be cut. */
function datagram(protocol: Protocol, src: string, dst: string, id = 1): Uint8Array {
  const fields = { payload: BODY, id };
  if (protocol === "tcp") return tcp(src, dst, "PA", fields);
  return protocol === "udp" ? udp(src, dst, fields) : echo(src, dst, fields);
}
/** In three pieces, the first with the whole transport header. */
const CUTS = [24, 48];

const PERMUTATIONS = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
];

/** Hands fragments in and gives all that comes out, in order. */
function through(nat: Lab, side: "in" | "out", pieces: readonly Uint8Array[]): Uint8Array[] {
  return pieces.flatMap((piece) => {
    const sent = nat[side](piece);
    ok(sent.cameThrough || sent.verdict === "held", `${sent.verdict}, ${sent.reason}`);
    const released = nat
      .take()
      .filter(({ kind }) => kind === "fragment")
      .map(({ packet }) => packet);
    return sent.cameThrough ? [sent.bytes, ...released] : released;
  });
}

/** The datagram that the receiver puts together. */
function assembled(pieces: readonly Uint8Array[]): Uint8Array {
  same(
    pieces.map((piece) => decode(piece).id),
    "IDs",
  );
  const whole = reassemble(pieces);
  ok(whole !== null, `${pieces.length} pieces don't make a datagram`);
  equal(hex(whole), hex(fullChecksums(whole)), "its checksums");
  return whole;
}

row("RFC4787-REQ-14", "each order of three fragments, both ways: the receiver has the right datagram", () => {
  for (const protocol of PROTOCOLS) {
    for (const order of PERMUTATIONS) {
      const nat = lab();
      const whole = datagram(protocol, X, Y);
      const pieces = fragments(whole, CUTS);
      const left = through(
        nat,
        "out",
        order.map((i) => pieces[i]!),
      );
      equal(left.length, 3);
      const there = assembled(left);
      equal(decode(there).src, A);
      equal(hex(there.subarray(28)), hex(expectedBody(whole, there)));

      const answer = replyTo(there, { id: 2 });
      const parts = fragments(answer, CUTS);
      const back = assembled(
        through(
          nat,
          "in",
          order.map((i) => parts[i]!),
        ),
      );
      equal(hex(back), hex(replyTo(whole, { id: 2, ttl: answer[8]! - 1 })));
    }
  }
});

/** Octets from the transport checksum's place on, as the original has them. */
function expectedBody(whole: Uint8Array, there: Uint8Array): Uint8Array {
  const expected = whole.slice(28);
  const protocol = whole[9]!;
  if (protocol === 6) expected.set(there.subarray(36, 38), 8); // TCP's checksum
  return expected;
}

row("RFC4787-REQ-14", "each order, hairpinned", () => {
  for (const order of PERMUTATIONS) {
    const nat = lab({ filtering: "endpoint-independent" });
    const outside = nat.map("udp", X2, Z);
    const pieces = fragments(datagram("udp", X, outside), CUTS);
    const there = assembled(
      through(
        nat,
        "out",
        order.map((i) => pieces[i]!),
      ),
    );
    deepEqual([decode(there).src, decode(there).dst], [A, addressOf(X2)]);
  }
});

row("RFC4787-REQ-14", "fragments of several hosts and datagrams, interleaved in any order", () => {
  const nat = lab();
  const sets = range(10).map((n) =>
    fragments(udp(inside(n), remote(n), { payload: BODY, id: 100 + n }), CUTS),
  );
  const out = [2, 0, 1].flatMap((i) =>
    through(
      nat,
      "out",
      sets.map((pieces) => pieces[i]!),
    ),
  );
  for (const n of range(10)) {
    const own = out.filter((piece) => decode(piece).dst === addressOf(remote(n)));
    const whole = decode(assembled(own));
    ok(whole.body.kind === "udp" && Buffer.from(whole.body.payload).toString() === BODY);
  }
});

row("RFC4787-REQ-14", "a repeated fragment passes again, before and after the last one", () => {
  const nat = lab();
  const [first, second, third] = fragments(datagram("udp", X, Y), CUTS) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  const out = through(nat, "out", [second, second, first, first, third, second]);
  equal(out.length, 6);
  const kinds = new Set(out.map(hex));
  equal(kinds.size, 3);
  assembled([...kinds].map((text) => new Uint8Array(Buffer.from(text, "hex"))));
});

row("RFC4787-REQ-14a", "5000 orphans: whole datagrams and fragments in order pass as before", () => {
  for (const side of ["out", "in"] as const) {
    const nat = lab();
    const outside = nat.map("udp", X, Y);
    const connection = new Connection(nat, X, Z).open();
    for (const n of range(5000)) {
      const [src, dst] = side === "out" ? [inside(100 + n), Y] : [remote(300 + n), at(A, 30000)];
      const orphan = fragments(udp(src, dst, { payload: BODY, id: n }), CUTS)[1 + (n % 2)]!;
      ok(["held", "dropped"].includes(nat[side](orphan).verdict));
      if (n % 500 !== 0) continue;
      passes(nat.out(udp(X, Y)));
      passes(nat.in(udp(Y, outside)));
      passes(connection.out("PA", { payload: "data" }));
      passes(connection.in("PA", { payload: "data" }));
      assembled(through(nat, "out", fragments(datagram("udp", X, Y, n), CUTS)));
      assembled(through(nat, "in", fragments(udp(Y, outside, { payload: BODY, id: n }), CUTS)));
    }
  }
});

row("RFC4787-REQ-14a", "what is held is bounded, and given up at its time; then all is as before", () => {
  for (const fragmentsHeld of [1, 16, 1024]) {
    const nat = lab({ limits: { fragments: fragmentsHeld } });
    for (const n of range(3000)) {
      nat.out(fragments(udp(inside(n), Y, { payload: BODY, id: n }), CUTS)[1]!);
      ok(nat.nat.stats.packets.held <= fragmentsHeld);
    }
    equal(nat.nat.stats.packets.held, fragmentsHeld);
    equal(nat.dropped("fragment-limit"), 3000 - fragmentsHeld);
    equal(nat.dropped("fragment-timeout"), 0);
    nat.at(30).take();
    equal(nat.nat.stats.packets.held, 0);
    equal(nat.dropped("fragment-timeout"), fragmentsHeld);
    const [first, second] = fragments(udp(X, Y, { payload: BODY, id: 9 }), [24]) as [Uint8Array, Uint8Array];
    assembled(through(nat, "out", [second, first]));
  }
});

row("RFC3022-FRAG", "the rest follow the first one's translation, not the ports they seem to have", () => {
  const nat = lab();
  const mapped = nat.map("udp", X, Y);
  // Later fragments whose octets look like another flow's header.
  const payload = Buffer.concat([Buffer.alloc(16), Buffer.from(udp(X2, Z).subarray(20)), Buffer.alloc(24)]);
  const pieces = fragments(udp(X, Y, { payload, id: 3 }), CUTS);
  const out = through(nat, "out", pieces);
  const whole = decode(assembled(out));
  ok(whole.body.kind === "udp");
  equal(`${whole.src}:${whole.body.sport}`, mapped);
  deepEqual([...whole.body.payload], [...payload]);
});

row("RFC3022-FRAG", "the first is refused: so are the rest, those before it too, in each order", () => {
  for (const order of PERMUTATIONS) {
    const nat = lab();
    const outside = nat.map("udp", X, Y);
    const pieces = fragments(udp(Z, outside, { payload: BODY, id: 4 }), CUTS);
    for (const i of order) {
      const sent = nat.in(pieces[i]!);
      if (i === 0) drops(sent, "filtered");
      else ok(sent.verdict === "held" || sent.reason === "fragment-refused");
    }
    ok(nat.take().every(({ kind }) => kind === "discarded"));
    equal(nat.dropped("fragment-refused"), 2);
    equal(nat.nat.stats.packets.held, 0);
  }
});

row("RFC3022-FRAG", "fragments of one datagram only: source, destination, protocol and ID must agree", () => {
  const nat = lab();
  const [first] = fragments(udp(X, Y, { payload: BODY, id: 5 }), CUTS);
  passes(nat.out(first!));
  const others = [
    fragments(udp(X2, Y, { payload: BODY, id: 5 }), CUTS)[1]!,
    fragments(udp(X, Z, { payload: BODY, id: 5 }), CUTS)[1]!,
    fragments(udp(X, Y, { payload: BODY, id: 6 }), CUTS)[1]!,
    fragments(tcp(X, Y, "PA", { payload: BODY, id: 5 }), CUTS)[1]!,
  ];
  for (const other of others) equal(nat.out(other).verdict, "held");
  passes(nat.out(fragments(udp(X, Y, { payload: BODY, id: 5 }), CUTS)[1]!));
});

row(
  "RFC6146-FRAGMENT_MIN",
  "the first one 1 ms before T: the datagram is whole; at T: the rest are gone",
  () => {
    for (const [config, seconds] of [
      [{}, 30],
      [{ timeouts: { fragment: 2 } }, 2],
      [{ timeouts: { fragment: 60 } }, 60],
    ] as const) {
      const [first, second, third] = fragments(datagram("udp", X, Y), CUTS) as [
        Uint8Array,
        Uint8Array,
        Uint8Array,
      ];
      const inTime = lab(config);
      equal(inTime.out(second).verdict, "held");
      equal(inTime.at(seconds / 2).out(third).verdict, "held");
      assembled(through(inTime.at(seconds - 0.001), "out", [first]));

      const late = lab(config);
      equal(late.out(second).verdict, "held");
      equal(late.at(seconds / 2).out(third).verdict, "held");
      equal(through(late.at(seconds), "out", [first]).length, 1);
      equal(late.dropped("fragment-timeout"), 2, "both, as the first of them began the time");
    }
  },
);

row(
  "RFC6146-FRAGMENT_MIN",
  "after the first one the rest have until T; then they are held as another's",
  () => {
    for (const seconds of [2, 30]) {
      endsWaiting(seconds - 0.001, "forwarded");
      endsWaiting(seconds, "held");
      function endsWaiting(when: number, verdict: string): void {
        const nat = lab({ timeouts: { fragment: seconds } });
        const [first, second] = fragments(datagram("udp", X, Y), CUTS) as [Uint8Array, Uint8Array];
        passes(nat.out(first));
        equal(nat.at(when).out(second).verdict, verdict);
      }
    }
  },
);

// ---------------------------------------------------------------------------------------------- identification

row("RFC6864-S4.1", "atomic datagrams: any ID, twice, from two hosts: nothing changes", () => {
  const nat = lab();
  for (const from of [X, X, X2, X]) {
    for (const id of [0, 1, 65535]) equal(nat.out(udp(from, Y, { df: true, id })).packet.id, id);
  }
  // Nor do they take IDs from the others.
  equal(nat.out(udp(X, Y, { id: 1 })).packet.id, 1);
});

row(
  ["RFC6864-S5.3.1", "RFC6864-S4.3-ID", "RFC7857-S10"],
  "100 hosts with one ID, DF clear: 100 IDs outside",
  () => {
    for (const protocol of PROTOCOLS) {
      const nat = lab();
      const whole = (n: number) => datagram(protocol, inside(n), Y, 7);
      const ids = range(100).map((n) => nat.out(whole(n)).packet.id);
      distinct(ids, "IDs");
      equal(ids[0], 7, "the first keeps its own");
    }
  },
);

row(
  ["RFC6864-S5.3.1", "RFC6864-S4.3-ID", "RFC7857-S10"],
  "20 hosts that count up from one number: 1000 IDs",
  () => {
    const nat = lab();
    const ids = range(50).flatMap((id) => range(20).map((n) => nat.out(udp(inside(n), Y, { id })).packet.id));
    distinct(ids, "IDs");
  },
);

row(
  ["RFC6864-S5.3.1", "RFC6864-S4.3-ID", "RFC7857-S10"],
  "within the 2 minutes that a datagram may live",
  () => {
    for (const seconds of [0, 60, 119]) {
      const nat = lab();
      equal(nat.out(udp(X, Y, { id: 7 })).packet.id, 7);
      notEqual(nat.at(seconds).out(udp(X2, Y, { id: 7 })).packet.id, 7);
    }
  },
);

row(["RFC6864-S5.3.1", "RFC7857-S10"], "to another remote or by another protocol the ID stays", () => {
  const nat = lab();
  equal(nat.out(udp(X, Y, { id: 7 })).packet.id, 7);
  equal(nat.out(udp(X2, Z, { id: 7 })).packet.id, 7);
  equal(nat.out(echo(X2, Y, { id: 7 })).packet.id, 7);
  equal(nat.out(udp(X, Y, { id: 8 })).packet.id, 8);
});

row(
  ["RFC6864-S5.3.1", "RFC7857-S10"],
  "two hosts' fragments with one ID, interleaved: both datagrams are whole",
  () => {
    for (const order of PERMUTATIONS) {
      const nat = lab();
      const mine = fragments(udp(X, Y, { payload: BODY, id: 7 }), CUTS);
      const theirs = fragments(udp(X2, Y, { payload: BODY.toUpperCase(), id: 7 }), CUTS);
      const out = through(
        nat,
        "out",
        order.flatMap((i) => [mine[i]!, theirs[i]!]),
      );
      const ids = [...new Set(out.map((piece) => decode(piece).id))];
      equal(ids.length, 2);
      const texts = ids.map((id) => {
        const { body } = decode(assembled(out.filter((piece) => decode(piece).id === id)));
        return Buffer.from((body as { payload: Uint8Array }).payload).toString();
      });
      deepEqual(texts.toSorted(), [BODY, BODY.toUpperCase()].toSorted());
    }
  },
);

row(
  ["RFC6864-S5.3.1", "RFC4787-REQ-14"],
  "a repeated first fragment does not split the datagram over two IDs",
  () => {
    const nat = lab();
    passes(nat.out(udp(X2, Y, { id: 7 })));
    const [first, second, third] = fragments(datagram("udp", X, Y, 7), CUTS) as [
      Uint8Array,
      Uint8Array,
      Uint8Array,
    ];
    const [one, two, , three] = through(nat, "out", [first, second, first, third]);
    assembled([one!, two!, three!]);
  },
);

row("RFC6864-S4.3-DF", "DF passes as it is, set or clear, both ways, up to the largest datagram", () => {
  for (const protocol of ["udp", "icmp"] as const) {
    for (const df of [true, false]) {
      for (const length of [1, 1472, 9000, 65507]) {
        const nat = lab();
        const fields = { df, payload: new Uint8Array(length) };
        const sent = nat.out(protocol === "udp" ? udp(X, Y, fields) : echo(X, Y, fields));
        equal(sent.packet.df, df);
        equal(nat.in(sent.reply).packet.df, df);
      }
    }
  }
});

row("RFC6864-S4.3-DF", "with an MTU, too: with DF nothing is fragmented", () => {
  const nat = lab({ mtu: { inside: 576, outside: 576 } });
  const outside = nat.out(udp(X, Y, { df: true })).source;
  for (const length of [549, 1472, 9000]) {
    const fields = { df: true, payload: new Uint8Array(length) };
    drops(nat.out(udp(X, Y, fields)), "too-big");
    drops(nat.in(udp(Y, outside, fields)), "too-big");
  }
  deepEqual(nat.take(), []);
});

// ---------------------------------------------------------------------------------------------- MTU

row("RFC4787-REQ-13", "DF and one octet more than the MTU: dropped, 3/4 with the MTU to X", () => {
  for (const mtu of [576, 1280, 1492]) {
    const nat = lab({ icmpErrors: true, mtu: { outside: mtu } });
    passes(nat.out(udp(X, Y, { df: true, payload: new Uint8Array(mtu - 28) })));
    deepEqual(nat.errors(), []);
    const tooBig = nat.out(udp(X, Y, { df: true, payload: new Uint8Array(mtu - 27) }));
    drops(tooBig, "too-big");
    const [sent, ...others] = nat.errors();
    deepEqual(others, []);
    const { body, dst } = sent!.packet;
    ok(body.kind === "icmp");
    deepEqual([body.type, body.code, body.rest, dst], [3, 4, mtu, addressOf(X)]);
  }
});

row(
  "RFC4787-REQ-13a",
  "DF clear: pieces of at most the MTU, in order, that make the translated datagram",
  () => {
    for (const protocol of PROTOCOLS) {
      for (const options of [new Uint8Array(0), new Uint8Array(8).fill(1)]) {
        for (const mtu of [68, 576, 1280, 1492]) {
          const nat = lab({ mtu: { outside: mtu } });
          const payload = new Uint8Array(4000).map((_, i) => i * 7);
          const fields = { payload, id: 77, options };
          const packet =
            protocol === "tcp"
              ? tcp(X, Y, "PA", fields)
              : protocol === "udp"
                ? udp(X, Y, fields)
                : echo(X, Y, fields);
          equal(nat.out(packet).verdict, "held");
          const pieces = nat.take();
          ok(pieces.every((piece) => piece.kind === "fragment" && piece.side === "outside"));
          const packets = pieces.map((piece) => piece.packet);
          ok(packets.every(({ length }) => length <= mtu));
          const offsets = packets.map((piece) => decode(piece).fragmentOffset);
          deepEqual(
            offsets,
            offsets.toSorted((a, b) => a - b),
          );
          same(packets.map((piece) => decode(piece).id));
          const { body } = decode(assembled(packets));
          ok("payload" in body && Buffer.compare(body.payload, payload) === 0);
        }
      }
    }
  },
);

row("RFC4787-REQ-13a", "a fragment that is itself too big is cut again", () => {
  const nat = lab({ mtu: { outside: 576 } });
  const whole = udp(X, Y, { payload: new Uint8Array(3000).fill(9), id: 5 });
  const out = fragments(whole, [1480]).flatMap((piece) => {
    equal(nat.out(piece).verdict, "held");
    return nat.take().map(({ packet }) => packet);
  });
  ok(out.every(({ length }) => length <= 576));
  assembled(out);
});

// ---------------------------------------------------------------------------------------------- tiny, overlapping

row("RFC1858-S2", "a TCP first fragment of 8 or 16 octets, and one at offset 8 or 16: dropped", () => {
  for (const cut of [8, 16]) {
    const nat = lab();
    const [first, second] = fragments(tcp(X, Y, "PA", { payload: BODY }), [cut]) as [Uint8Array, Uint8Array];
    drops(nat.out(first), "fragment-tiny");
    drops(nat.out(second), "fragment-tiny");
    const outside = new Connection(nat, X, Y).open().outside;
    const [inFirst, inSecond] = fragments(tcp(Y, outside, "PA", { payload: BODY }), [cut]) as [
      Uint8Array,
      Uint8Array,
    ];
    drops(nat.in(inFirst), "fragment-tiny");
    drops(nat.in(inSecond), "fragment-tiny");
  }
});

row("RFC1858-S2", "UDP and queries in pieces of 8 octets pass: their header is in the first", () => {
  for (const protocol of ["udp", "icmp"] as const) {
    const nat = lab();
    const pieces = fragments(datagram(protocol, X, Y), [8, 16, 24, 32]);
    assembled(through(nat, "out", pieces));
  }
});

row(
  "RFC1858-S2",
  "another first fragment with other ports: dropped, and neither undoes what the other did",
  () => {
    const nat = lab();
    const outside = nat.map("udp", X, Y);
    const good = fragments(udp(Y, outside, { payload: BODY, id: 4 }), CUTS);
    const [bad] = fragments(udp(at(Y, 666), outside, { payload: BODY, id: 4 }), CUTS);
    passes(nat.in(good[0]!));
    drops(nat.in(bad!), "filtered");
    passes(nat.in(good[1]!));

    const other = fragments(udp(Y, outside, { payload: BODY, id: 5 }), CUTS);
    const [refused] = fragments(udp(at(Y, 666), outside, { payload: BODY, id: 5 }), CUTS);
    drops(nat.in(refused!), "filtered");
    drops(nat.in(other[1]!), "fragment-refused");
    passes(nat.in(other[0]!));
    passes(nat.in(other[1]!));
  },
);

row("RFC1858-S2", "pieces beyond 65,535 octets, and errors in pieces: dropped", () => {
  const nat = lab();
  const piece = fragments(udp(X, Y, { payload: BODY }), [24])[1]!.slice();
  put16(piece, 6, 0x2000 | 8189);
  setHeaderChecksum(piece, decode(fullChecksums(piece)).headerChecksum);
  drops(nat.out(piece), "malformed");
  const sent = nat.out(udp(X, Y, { payload: BODY }));
  const [first] = fragments(icmp(Z, A, 3, { payload: sent.bytes }), [40]);
  drops(nat.in(first!), "malformed");
});
