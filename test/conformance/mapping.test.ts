// Mapping behaviour (RFC 4787 section 4.1, RFC 5382 section 4.1, RFC 5508 section 3.1, RFC 7857 sections 3 and 5),
// exemptions (RFC 6888, REQ-6) and ALGs.
import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { ConfigError } from "../../src/index.js";
import { decode, fullChecksums, hex, raw } from "../support/packets.js";
import { Connection } from "./connection.js";
import { BEHAVIOURS, distinct, drops, type Lab, lab, passes, range, same } from "./lab.js";
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

const YB = at(Y, 5001);

row("RFC4787-REQ-1", "X to Y:a, Y:b and Z:a has one X'", () => {
  const nat = lab();
  same([Y, YB, Z].map((to) => nat.map("udp", X, to)));
  equal(nat.sessions.length, 3);
});

row("RFC4787-REQ-1", "50 endpoints, 20 remotes, in any order: one X' each", () => {
  const nat = lab();
  const outside = range(50).map((n) => nat.map("udp", inside(n), Y));
  distinct(outside);
  for (const m of range(20)) {
    range(50).forEach((n) => {
      equal(nat.map("udp", inside(n), remote(m, 5000 + ((n * m) % 7))), outside[n - 1]);
    });
  }
});

row("RFC5382-REQ-1", "SYNs from X to Y:a, Y:b and Z:a have one X', and so has all that follows", () => {
  const nat = lab();
  const connections = [Y, YB, Z].map((to) => new Connection(nat, X, to).open());
  same(connections.map(({ outside }) => outside));
  for (const connection of connections) {
    equal(connection.out("PA", { payload: "data" }).source, connections[0]!.outside);
    equal(connection.in("PA", { payload: "data" }).destination, X);
  }
});

row("RFC5508-REQ-1a", "one id pings three hosts with one outside id", () => {
  const nat = lab();
  const sent = [Y, Z, remote(3)].map((to) => nat.out(echo(X, to)));
  same(sent.map(({ source }) => source));
  for (const { reply } of sent) equal(nat.in(reply).destination, X);
});

row("RFC4787-S4.1-ADM", "Y:a and Y:b see one X', Z another; every host and protocol apart", () => {
  for (const preserve of [false, true]) {
    for (const protocol of PROTOCOLS) {
      const nat = lab({ mapping: "address-dependent", portAssignment: { preserve } });
      const seen = [X, X2].flatMap((from) => {
        const toY = nat.map(protocol, from, Y);
        equal(nat.map(protocol, from, YB), toY);
        const toZ = nat.map(protocol, from, Z);
        equal(nat.map(protocol, from, Y), toY, "after others too");
        return [toY, toZ];
      });
      distinct(seen);
    }
  }
});

row("RFC4787-S4.1-APDM", "Y:a sees one X' however often, Y:b and Z:a each another", () => {
  for (const preserve of [false, true]) {
    for (const protocol of PROTOCOLS) {
      const nat = lab({ mapping: "address-and-port-dependent", portAssignment: { preserve } });
      const seen = [X, X2].flatMap((from) => {
        const toY = nat.map(protocol, from, Y);
        // An ICMP query has no port at the remote end.
        const others = (protocol === "icmp" ? [Z] : [YB, Z]).map((to) => nat.map(protocol, from, to));
        equal(nat.map(protocol, from, Y), toY);
        return [toY, ...others];
      });
      distinct(seen);
    }
  }
});

row("RFC4787-REQ-7", "an outside address within the inside is refused, at the start and at a change", () => {
  const clashes = [
    { outside: ["10.1.2.3"] },
    { outside: [A, "10.0.0.0/24"] },
    { static: [{ outside: "10.1.2.3", inside: addressOf(X) }] },
    { forwards: [{ protocol: "tcp", outside: "10.1.2.3:80", inside: X }] },
  ];
  for (const clash of clashes) {
    throws(() => lab(clash), ConfigError);
    const nat = lab();
    const outside = nat.map("udp", X, Y);
    throws(() => nat.change(clash), ConfigError);
    equal(nat.map("udp", X, Y), outside, "the old config goes on");
  }
});

row(
  "RFC4787-REQ-7",
  "another outside address at run time: its own sessions end, no packet leaves by the old one",
  () => {
    const nat = lab();
    const outside = nat.map("udp", X, Y);
    nat.change({ outside: ["203.0.113.2"] });
    drops(nat.in(udp(Y, outside)));
    equal(addressOf(nat.map("udp", X, Y)), "203.0.113.2");
  },
);

row(
  "RFC4787-REQ-11",
  "three hosts with one port under preservation: each mapping and each filter is the same",
  () => {
    for (const protocol of ["udp", "tcp"] as const) {
      for (const mapping of BEHAVIOURS) {
        for (const filtering of BEHAVIOURS) {
          const nat = lab({ mapping, filtering, portAssignment: { preserve: true } });
          const seen = [1, 2, 3].map((n) => {
            const toY = nat.map(protocol, inside(n), Y);
            const pattern = [YB, Z].map((to) => nat.map(protocol, inside(n), to) === toY);
            const admitted = [remote(1, 6000), remote(3)].map(
              (from) => nat.in(probe(protocol, from, toY)).cameThrough,
            );
            return { toY, behaviour: `${pattern} ${admitted}` };
          });
          equal(portOf(seen[0]!.toY), portOf(X), "the first keeps its port");
          distinct(seen.map(({ toY }) => toY));
          equal(
            seen[0]!.behaviour,
            {
              "endpoint-independent": "true,true",
              "address-dependent": "true,false",
              "address-and-port-dependent": "false,false",
            }[mapping] +
              {
                "endpoint-independent": " true,true",
                "address-dependent": " true,false",
                "address-and-port-dependent": " false,false",
              }[filtering],
          );
          same(
            seen.map(({ behaviour }) => behaviour),
            "behaviours",
          );
        }
      }
    }
  },
);

row("RFC7857-S5", "a mapping of one protocol lets nothing of another in", () => {
  for (const protocol of PROTOCOLS) {
    const nat = lab({ filtering: "endpoint-independent" });
    const outside = nat.map(protocol, X, Y);
    for (const other of PROTOCOLS) {
      const sent = nat.in(probe(other, Y, outside));
      if (other === protocol) passes(sent);
      else drops(sent, "no-mapping");
    }
  }
});

row("RFC7857-S5", "UDP, TCP and ICMP of one endpoint and number live and end apart", () => {
  const nat = lab({ filtering: "endpoint-independent" });
  const outside = PROTOCOLS.map((protocol) => nat.map(protocol, X, Y));
  nat.wait(60); // the query's time
  deepEqual(
    PROTOCOLS.map((protocol, i) => nat.in(probe(protocol, Y, outside[i]!)).cameThrough),
    [true, true, false],
  );
});

row(
  "RFC7857-S3",
  "overloading: one port serves two hosts towards different remotes, never towards one",
  () => {
    for (const mapping of ["address-dependent", "address-and-port-dependent"]) {
      for (const protocol of PROTOCOLS) {
        const nat = lab({
          mapping,
          outside: [{ address: A, ports: "20000" }],
          portAssignment: { overloading: true },
        });
        equal(nat.map(protocol, X, Y), at(A, 20000));
        equal(nat.map(protocol, X2, Z), at(A, 20000));
        drops(nat.out(opening(protocol, X2, Y)), "ports-exhausted");
        drops(nat.out(opening(protocol, inside(3), Z)), "ports-exhausted");
        equal(nat.in(probe(protocol, Y, at(A, 20000))).destination, X);
        equal(nat.in(probe(protocol, Z, at(A, 20000))).destination, X2);
        drops(nat.in(probe(protocol, remote(3), at(A, 20000))));
      }
    }
  },
);

row("RFC7857-S3", "no overloading unless asked for", () => {
  for (const mapping of BEHAVIOURS) {
    for (const protocol of PROTOCOLS) {
      const nat = lab({ mapping, outside: [{ address: A, ports: "20000" }] });
      equal(nat.map(protocol, X, Y), at(A, 20000));
      drops(nat.out(opening(protocol, X2, Z)), "ports-exhausted");
    }
  }
});

const EXEMPT = {
  exempt: ["192.0.2.0/24", { destination: "198.18.0.0/15", protocol: "tcp", ports: "80-90" }],
};

row(
  "RFC6888-REQ-6",
  "to an exempt destination every packet passes untouched, and so does what comes from there",
  () => {
    const nat = lab(EXEMPT);
    for (const host of ["192.0.2.0", "192.0.2.77", "192.0.2.255"]) {
      const there = at(host, 5000);
      const packets = [
        ...PROTOCOLS.map((protocol) => opening(protocol, X, there)),
        raw({ src: X, dst: there, protocol: 47, payload: "tunnel" }),
      ];
      for (const packet of packets) equal(nat.out(packet).verdict, "passed");
      for (const protocol of PROTOCOLS) equal(nat.in(opening(protocol, there, X)).verdict, "passed");
    }
    equal(nat.sessions.length, 0);
    for (const host of ["192.0.1.255", "192.0.3.0"]) equal(addressOf(nat.map("udp", X, at(host, 5000))), A);
  },
);

row("RFC6888-REQ-6", "by protocol and port: exactly those pass untouched", () => {
  const nat = lab(EXEMPT);
  for (const [port, exempt] of [
    [79, false],
    [80, true],
    [85, true],
    [90, true],
    [91, false],
  ] as const) {
    const there = at("198.18.5.5", port);
    equal(nat.out(tcp(X, there, "S")).verdict, exempt ? "passed" : "forwarded");
    equal(nat.out(udp(X, there)).verdict, "forwarded");
    equal(nat.in(tcp(there, X, "SA")).verdict, exempt ? "passed" : "dropped");
    drops(nat.in(udp(there, X)));
  }
  equal(nat.out(echo(X, "198.18.5.5:85")).verdict, "forwarded");
});

/** What a protocol that carries addresses says: X's own, as text and as octets. */
const TALE = Buffer.concat([
  Buffer.from(
    `INVITE sip:z@198.51.100.2 SIP/2.0\r\nVia: SIP/2.0/UDP ${X}\r\nContact: <sip:x@${X}>\r\n\r\n` +
      `c=IN IP4 ${addressOf(X)}\r\nm=audio ${portOf(X)} RTP/AVP 0\r\n`,
  ),
  Buffer.from([10, 0, 0, 1, portOf(X) >> 8, portOf(X) & 255]),
]);

row("RFC4787-REQ-10", "SIP, TFTP, NetBIOS, RTSP over UDP with an inside address: the payload stays", () => {
  const nat = lab();
  for (const port of [53, 69, 137, 138, 161, 554, 5060, 5061]) {
    const sent = nat.out(udp(X, at(Y, port), { payload: TALE }));
    equal(hex(sent.bytes.subarray(28)), hex(TALE));
    equal(hex(nat.in(udp(at(Y, port), sent.source, { payload: TALE })).bytes.subarray(28)), hex(TALE));
    equal(nat.sessions.length, 1, "and no session is made for what it says");
    nat.wait(300);
  }
});

row("RFC4787-REQ-10a", "each ALG is off by default and has its own switch", () => {
  const names = ["ftp", "pptp"];
  const switches = (alg: object) => lab({ alg }).nat.config.alg;
  deepEqual(switches({}), { ftp: false, pptp: false });
  for (const name of names) {
    deepEqual(switches({ [name]: true }), { ftp: false, pptp: false, [name]: true });
  }
});

row(
  "RFC5382-REQ-6",
  "H.323, PPTP, IRC, SIP and FTP over TCP with an inside address: the payload stays",
  () => {
    for (const port of [21, 1720, 1723, 5060, 6667]) {
      const nat = lab();
      const connection = new Connection(nat, X, at(Y, port)).open();
      for (const payload of [TALE, Buffer.from("PORT 10,0,0,1,19,137\r\n")]) {
        equal(hex(connection.out("PA", { payload }).bytes.subarray(40)), hex(payload));
        equal(hex(connection.in("PA", { payload }).bytes.subarray(40)), hex(payload));
      }
      equal(nat.sessions.length, 1);
    }
  },
);

/** The segment as it leaves, whether in place or, as it grew, put out by the NAT itself. */
function segment(nat: Lab, sent: { cameThrough: boolean; output: Uint8Array }) {
  const bytes = sent.cameThrough ? sent.output : nat.take().at(-1)?.packet;
  ok(bytes !== undefined, "the segment is lost");
  equal(hex(bytes), hex(fullChecksums(bytes)), "checksums");
  const { body } = decode(bytes);
  if (body.kind !== "tcp") throw new Error("not TCP");
  return { ...body, text: Buffer.from(body.payload).toString() };
}

/** The endpoint that an FTP command or answer names. */
function named(text: string): string {
  const dotted = /(\d+),(\d+),(\d+),(\d+),(\d+),(\d+)/.exec(text)?.slice(1).map(Number);
  if (dotted) return `${dotted.slice(0, 4).join(".")}:${dotted[4]! * 256 + dotted[5]!}`;
  const [, address, port] = /\|1\|([\d.]+)\|(\d+)\|/.exec(text) ?? [];
  return `${address}:${port}`;
}

/** An FTP connection as far as its login; steps are what the server and the client say in turn. */
function login(nat: Lab, connection: Connection, server: "in" | "out"): Connection {
  const client = server === "in" ? "out" : "in";
  passes(connection[server]("PA", { payload: "220 ready\r\n" }));
  passes(connection[client]("PA", { payload: "USER anonymous\r\n" }));
  passes(connection[server]("PA", { payload: "230 welcome\r\n" }));
  equal(nat.sessions.length, 1);
  return connection;
}

row("RFC3022-S4.4", "PORT and EPRT: the data connection finds its way, later numbers are shifted", () => {
  for (const command of ["PORT 10,0,0,1,19,137", "EPRT |1|10.0.0.1|5001|"]) {
    const nat = lab({ alg: { ftp: true } });
    const control = login(nat, new Connection(nat, X, at(Y, 21)).open(), "in");
    const first = control.next("out");
    const say = (payload: string, seq: number) => segment(nat, control.out("PA", { payload, seq }));
    const said = say(`${command}\r\n`, first);
    const there = named(said.text);
    equal(addressOf(there), A);
    ok(said.text.startsWith(command.slice(0, 4)) && said.text.endsWith("\r\n"));
    equal(said.seq, first);
    const shift = said.text.length - command.length - 2;
    ok(shift > 0, "203.0.113.1 is longer than 10.0.0.1");

    const again = say(`${command}\r\n`, first);
    deepEqual([again.text, again.seq], [said.text, first], "a retransmission says the same");
    const next = first + command.length + 2;
    const answer = control.in("PA", { payload: "200 OK\r\n", ack: next + shift });
    equal(segment(nat, answer).ack, next, "the server's acknowledgement is shifted back");
    equal(say("LIST\r\n", next).seq, next + shift);
    equal(say("NOOP\r\n", next + 6).seq, next + 6 + shift);

    const data = nat.in(tcp(at(Y, 20), there, "S"));
    equal(data.destination, at(X, 5001));
    equal(nat.out(data.reply).source, there);
    drops(nat.in(tcp(at(Z, 20), there, "S")));
  }
});

row("RFC3022-S4.4", "a server inside: PASV and EPSV answers name an endpoint that leads to it", () => {
  const forwards = [{ protocol: "tcp", outside: at(A, 21), inside: at(X, 21) }];
  for (const [asks, answer] of [
    ["PASV", "227 Entering Passive Mode (10,0,0,1,19,137)"],
    ["EPSV", "229 Entering Extended Passive Mode (|||5001|)"],
  ]) {
    const nat = lab({ alg: { ftp: true }, forwards });
    const control = new Connection(nat, at(X, 21), at(Y, 40000));
    control.outside = at(A, 21);
    login(nat, control.run("<S SA> <A"), "out");
    passes(control.in("PA", { payload: `${asks}\r\n` }));
    const said = segment(nat, control.out("PA", { payload: `${answer}\r\n` }));
    const extended = /\|\|\|(\d+)\|/.exec(said.text);
    const there = extended ? at(A, Number(extended[1])) : named(said.text);
    equal(addressOf(there), A);
    equal(nat.in(tcp(at(Y, 40001), there, "S")).destination, at(X, 5001));
  }
});

row("RFC3022-S4.4", "the ALG opens only the speaker's own ports, and none below 1024", () => {
  for (const payload of [
    "PORT 10,0,0,2,19,137\r\n",
    "PORT 198,51,100,9,19,137\r\n",
    "PORT 10,0,0,1,0,22\r\n",
  ]) {
    const nat = lab({ alg: { ftp: true }, portAssignment: { preserve: true } });
    const control = login(nat, new Connection(nat, X, at(Y, 21)).open(), "in");
    equal(segment(nat, control.out("PA", { payload })).text, payload);
    for (const port of [22, 5001]) drops(nat.in(tcp(at(Y, 20), at(A, port), "S")), "no-mapping");
    equal(nat.sessions.length, 1);
  }
});

row("RFC3022-S4.5", "DNS questions and answers with an inside address: the payload stays", () => {
  const nat = lab();
  const answer = Buffer.from(
    "123481800001000100000000046e6f64650374776f0000010001c00c000100010000003c00040a000001",
    "hex",
  );
  const sent = nat.out(udp(X, at(Y, 53), { payload: answer }));
  equal(hex(sent.bytes.subarray(28)), hex(answer));
  equal(hex(nat.in(udp(at(Y, 53), sent.source, { payload: answer })).bytes.subarray(28)), hex(answer));
});
