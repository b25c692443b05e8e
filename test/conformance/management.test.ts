// Logging and management (RFC 6888 sections 3 and 4).
import { deepEqual, equal, ok } from "node:assert/strict";
import { drops, type Lab, lab, range } from "./lab.js";
import { row } from "./suite.js";
import { A, addressOf, at, echo, opening, PROTOCOLS, portOf, tcp, udp, X, X2, Y, Z } from "./traffic.js";

row("RFC6888-S4", "a session names protocol, subscriber, outside address and port, time", () => {
  for (const protocol of PROTOCOLS) {
    const nat = lab();
    nat.at(1000);
    const outside = nat.map(protocol, X, Y);
    const [session] = nat.sessions;
    equal(session!.protocol, protocol);
    equal(session!.inside.address, addressOf(X));
    deepEqual(session!.public, { address: A, port: portOf(outside) });
    // To 134 ms.
    ok(Math.abs(session!.createdAt - 1_000_000) <= 134, `${session!.createdAt}`);
  }
});

row("RFC6888-REQ-10", "counters: packets each way, octets, sessions, drops by reason", () => {
  const nat = lab();
  const [question, answer] = [udp(X, Y), udp(Y, nat.map("udp", X, Y))];
  nat.out(question);
  nat.in(answer);
  drops(nat.in(udp(Z, at(A, 30000))));
  drops(nat.out(udp(X, Y, { ttl: 1 })));
  const { packets, bytes, sessions, drops: dropped } = nat.nat.stats;
  deepEqual([packets.in, packets.out, packets.outbound, packets.inbound], [5, 3, 3, 2]);
  equal(bytes.in, 5 * question.length);
  equal(bytes.out, 3 * question.length);
  deepEqual([sessions.created, sessions.active, sessions.expired], [1, 1, 0]);
  deepEqual(dropped, { "no-mapping": 1, "ttl-expired": 1 });
  nat.at(300);
  equal(nat.sessions.length, 0);
  deepEqual([nat.nat.stats.sessions.active, nat.nat.stats.sessions.expired], [0, 1]);
});

row("RFC6888-REQ-10", "a dump of the table: every session once, with its counters and its end", () => {
  const nat = lab();
  for (const n of range(700)) nat.map("udp", at(X, 4000 + n), Y);
  const dump = nat.sessions;
  deepEqual(
    dump.map(({ inside }) => inside.port).toSorted((a, b) => a - b),
    range(700).map((n) => 4000 + n),
  );
  ok(dump.every(({ expiresAt }) => expiresAt === 300_000));
  ok(dump.every(({ packets }) => packets.outbound === 1 && packets.inbound === 0));
});

row("RFC6888-REQ-10", "one session can be found and ended", () => {
  for (const protocol of PROTOCOLS) {
    const nat = lab();
    const outside = nat.map(protocol, X, Y);
    nat.map(protocol, X2, Y);
    nat.forget(nat.sessions.find(({ inside }) => inside.address === addressOf(X))!);
    drops(
      nat.in(
        protocol === "tcp" ? tcp(Y, outside, "SA") : protocol === "udp" ? udp(Y, outside) : echo(Y, outside),
      ),
    );
    equal(nat.sessions.length, 1);
    ok(nat.out(opening(protocol, X2, Y)).cameThrough);
  }
});

row("RFC6888-REQ-12", "the log of port blocks has no remote", () => {
  const nat = lab({ portAssignment: { blockSize: 16 } });
  const events = nat.nat.conntrack.events({ types: ["block-allocated", "block-released"] });
  for (const n of range(40)) nat.map("udp", at(X, 4000 + n), Y);
  const log = events.take();
  equal(log.length, 3);
  for (const entry of log) {
    deepEqual(Object.keys(entry).toSorted(), ["address", "at", "inside", "ports", "type"]);
    ok(!JSON.stringify(entry).includes(addressOf(Y)));
  }
});

/** The engine itself writes nothing anywhere. */
function written(action: (nat: Lab) => void): string[] {
  const lines: string[] = [];
  const { stdout, stderr } = process;
  const originals = [stdout.write, stderr.write];
  const catcher = (text: unknown) => {
    lines.push(String(text));
    return true;
  };
  stdout.write = stderr.write = catcher as typeof stdout.write;
  try {
    action(lab());
  } finally {
    [stdout.write, stderr.write] = originals as [typeof stdout.write, typeof stderr.write];
  }
  return lines;
}

row("RFC6888-REQ-12", "nothing is logged by default", () => {
  const lines = written((nat) => {
    for (const protocol of PROTOCOLS) nat.map(protocol, X, Y);
    drops(nat.in(udp(Z, at(A, 30000))));
    nat.at(1000);
    equal(nat.sessions.length, 0);
  });
  deepEqual(lines, []);
});
