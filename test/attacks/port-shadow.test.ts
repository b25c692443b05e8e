// "Port shadow" (Mixon-Baca and others, PETS 2024; CVE-2021-3773): hosts behind one NAT, as customers of a VPN are,
// share its public ports; one of them picks source ports and remotes so that its entries in the table shadow those
// of a neighbour, or of a service on the public address, and gets their packets. Here a public endpoint has one
// owner, or with overloading one for each remote, and the first one keeps it.
import { equal, notEqual, ok } from "node:assert/strict";
import { describe, test } from "node:test";
import type { NatConfig } from "../../src/index.js";
import { decode, replyTo, tcp, udp } from "../support/packets.js";
import { Connection, figure, INSIDER, OUTSIDER, PUBLIC, Scene, SECOND, SERVER, VICTIM } from "./scene.js";

const portOf = (endpoint: string) => Number(endpoint.split(":")[1]);
const hostOf = (endpoint: string) => endpoint.split(":")[0];
const ATTACKER = hostOf(INSIDER)!;
const DEPENDENT = "address-and-port-dependent" as const;

/** The kinds of NAT that give ports away most freely. */
const KINDS: { name: string; config: Partial<NatConfig> }[] = [
  { name: "preserving ports", config: { portAssignment: { preserve: true } } },
  {
    name: "overloading ports",
    config: { mapping: DEPENDENT, portAssignment: { preserve: true, overloading: true } },
  },
  {
    name: "overloading ports by address",
    config: { mapping: "address-dependent", portAssignment: { preserve: true, overloading: true } },
  },
  {
    name: "full cone, preserving ports",
    config: { filtering: "endpoint-independent", portAssignment: { preserve: true } },
  },
  { name: "linux", config: { preset: "linux" } },
  { name: "symmetric", config: { preset: "symmetric" } },
];

describe("an inside host that wants a neighbour's packets", () => {
  for (const { name, config } of KINDS) {
    for (const [protocol, make] of [
      ["udp", udp],
      ["tcp", tcp],
    ] as const) {
      test(`${name}, ${protocol}: the victim's flow is the victim's, whatever the attacker opens`, () => {
        using scene = new Scene(config);
        const flags = protocol === "tcp" ? { flags: "S" } : {};
        const victim = scene.pass(make({ src: VICTIM, dst: SERVER, ...flags }));
        const answer = replyTo(victim.packet);
        // From all its ports, the victim's among them, to the victim's remote.
        for (let port = 1; port <= 65_535; port += port === 3999 || port === 4000 ? 1 : 97) {
          const shadow = scene.hand(make({ src: `${ATTACKER}:${port}`, dst: SERVER, ...flags }));
          if (shadow.verdict === "forwarded") notEqual(shadow.from, victim.from);
        }
        const delivered = scene.pass(answer);
        equal(delivered.to, VICTIM);
        equal(scene.pass(make({ src: VICTIM, dst: SERVER, ...flags })).from, victim.from);
      });

      test(`${name}, ${protocol}: who comes first has the port; the second gets another, and its own answers`, () => {
        using scene = new Scene(config);
        const flags = protocol === "tcp" ? { flags: "S" } : {};
        const early = scene.pass(make({ src: INSIDER, dst: SERVER, ...flags }));
        const victim = scene.pass(make({ src: VICTIM, dst: SERVER, ...flags }));
        notEqual(victim.from, early.from);
        equal(scene.pass(replyTo(victim.packet)).to, VICTIM);
        equal(scene.pass(replyTo(early.packet)).to, INSIDER);
      });
    }
  }
});

describe("an inside host that wants a service's packets", () => {
  const forwards: NatConfig["forwards"] = [
    { protocol: "udp", outside: `${PUBLIC}:51820`, inside: "10.0.0.5:51820" },
    { protocol: "tcp", outside: `${PUBLIC}:22`, inside: "10.0.0.5:22" },
  ];
  for (const { name, config } of KINDS) {
    test(`${name}: a forwarded port is never handed out, and leads where it is meant to`, (t) => {
      using scene = new Scene({ ...config, outside: [{ address: PUBLIC, ports: "1-65535" }], forwards });
      // The attacker shadows the service towards the very client that it waits for.
      const shadow = scene.hand(udp({ src: `${ATTACKER}:51820`, dst: OUTSIDER }));
      notEqual(portOf(shadow.from), 51_820);
      notEqual(portOf(scene.hand(tcp({ src: `${ATTACKER}:22`, dst: OUTSIDER, flags: "S" })).from), 22);
      equal(scene.pass(udp({ src: OUTSIDER, dst: `${PUBLIC}:51820` })).to, "10.0.0.5:51820");
      equal(scene.pass(tcp({ src: OUTSIDER, dst: `${PUBLIC}:22`, flags: "S" })).to, "10.0.0.5:22");
      let taken = 0;
      for (let port = 1; port < 65_536; port++) {
        const { from } = scene.hand(udp({ src: `${ATTACKER}:${port}`, dst: OUTSIDER, checksum: 0 }));
        if (from === `${PUBLIC}:51820`) taken++;
      }
      equal(taken, 0);
      if (name === "linux")
        figure(t, "Source ports, of 65,535, with which an insider gets a forwarded port", taken);
    });
  }

  test("through hairpinning neither: the service's answer to a neighbour goes to that neighbour", () => {
    using scene = new Scene({
      forwards,
      portAssignment: { preserve: true },
      filtering: "endpoint-independent",
    });
    const asked = scene.pass(udp({ src: VICTIM, dst: `${PUBLIC}:51820` }));
    equal(asked.to, "10.0.0.5:51820");
    // The attacker sends to the victim's public endpoint, and from its port number.
    scene.hand(udp({ src: `${ATTACKER}:${portOf(asked.from)}`, dst: asked.from }));
    scene.hand(udp({ src: `${ATTACKER}:51820`, dst: asked.from }));
    const answer = scene.pass(replyTo(asked.packet));
    equal(answer.to, VICTIM);
    equal(answer.from, `${PUBLIC}:51820`);
  });
});

describe("an inside host that waits for a neighbour's port", () => {
  test("can't have a UDP port for 120 s after the victim's mapping has ended (RFC 6888, REQ-8)", (t) => {
    using scene = new Scene({ portAssignment: { preserve: true }, filtering: "endpoint-independent" });
    const victim = scene.exchange(VICTIM, SERVER);
    equal(victim, `${PUBLIC}:4000`);
    scene.now = 300 * SECOND;
    const grab = () => scene.pass(udp({ src: `${ATTACKER}:4000`, dst: OUTSIDER })).from;
    notEqual(grab(), victim);
    // Late packets for the victim reach nobody.
    equal(scene.hand(udp({ src: SERVER, dst: victim })).reason, "no-mapping");
    scene.now += 120 * SECOND - 1;
    equal(scene.hand(udp({ src: SERVER, dst: victim })).reason, "no-mapping");
    figure(t, "Seconds that a UDP port rests before anybody else can have it", 120);
  });

  test("gets a TCP port at once, and none of the victim's connection: its remote is filtered", () => {
    using scene = new Scene({ portAssignment: { preserve: true } });
    const connection = new Connection(scene, VICTIM, SERVER);
    const late = connection.segmentIn({ payload: "late" });
    scene.nat.conntrack.delete({
      protocol: "tcp",
      inside: { address: hostOf(VICTIM)!, port: 4000 },
      remote: { address: hostOf(SERVER)!, port: 443 },
    });
    const grabbed = scene.pass(tcp({ src: INSIDER, dst: OUTSIDER, flags: "S" }));
    equal(grabbed.from, connection.publicEndpoint);
    equal(scene.hand(late).reason, "filtered");
  });
});

describe("overloading", () => {
  const config: Partial<NatConfig> = {
    mapping: DEPENDENT,
    outside: [{ address: PUBLIC, ports: "20000-20003" }],
    portAssignment: { overloading: true },
  };

  test("gives one port to two hosts for different remotes only, and each remote's packets to its own", () => {
    using scene = new Scene(config);
    const owners = new Map<string, string>();
    for (let n = 0; n < 200; n++) {
      const src = `10.0.${n % 7}.1:${3000 + n}`;
      const dst = `198.51.100.${n % 40}:443`;
      const { verdict, from, packet } = scene.hand(udp({ src, dst }));
      if (verdict !== "forwarded") continue;
      const tuple = `${from} ${dst}`;
      ok(!owners.has(tuple), `${tuple} is shared by ${owners.get(tuple)} and ${src}`);
      owners.set(tuple, src);
      equal(scene.pass(replyTo(packet)).to, src);
    }
    equal(owners.size, 4 * 40, "each port once for each remote");
    for (const [tuple, owner] of owners) {
      const [dst, src] = tuple.split(" ");
      equal(scene.pass(udp({ src: src!, dst: dst! })).to, owner);
    }
  });

  test("a forged packet from a remote that another host has reaches that host alone", () => {
    using scene = new Scene(config);
    const victim = scene.exchange(VICTIM, SERVER);
    const { packet } = scene.pass(udp({ src: SERVER, dst: victim }));
    equal(decode(packet).dst, hostOf(VICTIM));
    equal(scene.hand(udp({ src: OUTSIDER, dst: victim })).verdict, "dropped");
  });
});
