// Packets whose source is a lie. The NAT knows the sides by their addresses: what no outsider can be, what the NAT
// itself is, and what no host can be, is dropped; nothing leaves with an inside source.
import { equal, notEqual, ok } from "node:assert/strict";
import { describe, test } from "node:test";
import { decode, echo, inPrefix, tcp, udp } from "../support/packets.js";
import { figure, INSIDER, PUBLIC, Scene, SERVER, VICTIM } from "./scene.js";

/** Sources that can't be (RFC 1122, 3.2.1.3; RFC 1812, 5.3.7). */
const IMPOSSIBLE = [
  "0.0.0.0",
  "0.1.2.3",
  "127.0.0.1",
  "127.255.255.254",
  "224.0.0.1",
  "239.255.255.250",
  "240.0.0.1",
  "255.255.255.255",
];
const OWN = [PUBLIC, "203.0.113.2", "203.0.113.80", "203.0.113.81"];

function open(): Scene {
  return new Scene({
    outside: [PUBLIC, "203.0.113.2"],
    forwards: [{ protocol: "tcp", outside: "203.0.113.80:80", inside: "10.0.0.80:80" }],
    static: [{ outside: "203.0.113.81", inside: "10.0.0.81" }],
    filtering: "endpoint-independent",
  });
}

describe("from outside, with a source that can't be", () => {
  test("an own public address, or none that is unicast: dropped, whatever it is sent to", (t) => {
    using scene = open();
    const mapped = scene.exchange(VICTIM, SERVER);
    const sessions = scene.nat.conntrack.size;
    let dropped = 0;
    for (const source of [...OWN, ...IMPOSSIBLE]) {
      for (const dst of [mapped, "203.0.113.80:80", "203.0.113.81:9", `${PUBLIC}:7`]) {
        const host = dst.split(":")[0]!;
        const packets = [
          udp({ src: `${source}:443`, dst }),
          tcp({ src: `${source}:443`, dst, flags: "S" }),
          echo({ src: source, dst: host, identifier: 1 }),
          udp({ src: dst, dst }), // LAND
        ];
        for (const packet of packets) {
          equal(scene.hand(packet).reason, "invalid-source", `${source} > ${dst}`);
          dropped++;
        }
      }
    }
    equal(scene.nat.conntrack.size, sessions);
    equal(scene.nat.stats.drops["invalid-source"], dropped);
    figure(t, "Packets with impossible sources that pass, of 192", 192 - dropped);
  });

  test("a flow of two inside hosts through their public endpoints can't be joined from outside", () => {
    using scene = open();
    const victim = scene.exchange(VICTIM, SERVER);
    const neighbour = scene.pass(udp({ src: INSIDER, dst: victim })).from; // hairpinned
    // The outsider pretends to be the neighbour's public endpoint.
    equal(scene.hand(udp({ src: neighbour, dst: victim })).reason, "invalid-source");
  });
});

describe("from outside, with an inside source", () => {
  // translate() is not told which side a packet comes from. Whoever hands packets in has to drop those that
  // arrive outside with an inside source (RFC 2827, RFC 3704), as any router's ingress filter does.
  test("is taken for what comes from inside: never leaves with that source, and obeys filtering", () => {
    using scene = new Scene();
    const mapped = scene.exchange(VICTIM, SERVER);
    const knock = scene.hand(udp({ src: "10.0.0.99:1", dst: mapped }));
    equal(knock.reason, "filtered");
    const out = scene.pass(udp({ src: "10.0.0.99:1", dst: SERVER }));
    equal(decode(out.packet).src, PUBLIC);
    equal(scene.hand(udp({ src: "10.0.0.99:1", dst: "10.0.0.1:4000" })).verdict, "passed");
  });
});

describe("from inside, with a source that is not inside", () => {
  test("is never forwarded, makes no session, and keeps its bytes", (t) => {
    using scene = open();
    scene.exchange(VICTIM, SERVER);
    const before = scene.nat.conntrack.size;
    const sources = ["192.0.2.5", "172.16.0.1", "11.0.0.1", ...OWN, ...IMPOSSIBLE];
    for (const source of sources) {
      for (const packet of [
        udp({ src: `${source}:5`, dst: SERVER }),
        tcp({ src: `${source}:5`, dst: SERVER, flags: "S" }),
        echo({ src: source, dst: "198.51.100.7", identifier: 5 }),
      ]) {
        const outcome = scene.hand(packet);
        equal(outcome.reason, "unmatched", source);
        equal(Buffer.compare(outcome.packet, packet), 0);
      }
    }
    equal(scene.nat.conntrack.size, before);
    figure(t, "Packets with a foreign source that leave", 0);
  });

  test("nor answered: no ICMP error goes where a lie points", () => {
    using scene = new Scene({ icmpErrors: true });
    for (const source of [PUBLIC, ...IMPOSSIBLE]) {
      scene.hand(udp({ src: `${source}:5`, dst: SERVER, ttl: 1 }));
      scene.hand(udp({ src: `${source}:5`, dst: `${PUBLIC}:9`, ttl: 1 }));
    }
    equal(scene.nat.pending, 0);
  });
});

describe("to destinations that can't be", () => {
  test("nothing leaves for loopback, multicast, broadcast and reserved addresses", () => {
    using scene = open();
    for (const dst of IMPOSSIBLE) {
      equal(scene.hand(udp({ src: VICTIM, dst: `${dst}:1900` })).reason, "unmatched", dst);
    }
    equal(scene.nat.conntrack.size, 0);
  });
});

describe("whatever the addresses", () => {
  test("no packet leaves with an inside source, over all pairs of addresses", (t) => {
    using scene = open();
    const addresses = [
      ...OWN,
      ...IMPOSSIBLE,
      "10.0.0.1",
      "10.0.0.80",
      "10.0.0.81",
      "10.255.255.255",
      "198.51.100.7",
      "192.0.2.66",
      "172.16.0.1",
    ];
    const mapped = scene.exchange(VICTIM, SERVER).split(":")[1]!;
    let leaked = 0;
    let pairs = 0;
    for (const from of addresses) {
      for (const to of addresses) {
        for (const sport of ["4000", "80", mapped]) {
          for (const dport of [mapped, "80", "443"]) {
            for (const make of [udp, tcp]) {
              const { verdict, packet, direction } = scene.hand(
                make({ src: `${from}:${sport}`, dst: `${to}:${dport}` }),
              );
              pairs++;
              if (verdict !== "forwarded" && verdict !== "passed") continue;
              const { src, dst } = decode(packet);
              const stays = inPrefix(dst, "10.0.0.0/8");
              if (inPrefix(src, "10.0.0.0/8") && !stays) leaked++;
              if (!stays) ok(OWN.includes(src), `${direction}: ${src} > ${dst}`);
              notEqual(verdict === "passed" && !stays, true);
            }
          }
        }
      }
    }
    ok(pairs > 6000, String(pairs));
    figure(t, "Packets that leave with an inside source, over all pairs of addresses", leaked);
  });
});
