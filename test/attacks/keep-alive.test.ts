// What outsiders send must not keep an inside host's mapping, and its port, alive (RFC 4787, REQ-6; RFC 7857, s. 7):
// otherwise a packet every few minutes holds a port for ever.
import { equal, ok } from "node:assert/strict";
import { describe, test } from "node:test";
import { echo, errorAbout, replyTo, tcp, udp } from "../support/packets.js";
import { Connection, figure, OUTSIDER, PUBLIC, Scene, SECOND, SERVER, VICTIM } from "./scene.js";

const FILTERINGS = ["endpoint-independent", "address-dependent", "address-and-port-dependent"] as const;
/** Another port of the server. */
const SIBLING = SERVER.replace(":443", ":444");

describe("a UDP mapping", () => {
  for (const filtering of FILTERINGS) {
    test(`with ${filtering} filtering ends 300 s after the inside host's last packet`, (t) => {
      using scene = new Scene({ filtering });
      const mapped = scene.exchange(VICTIM, SERVER);
      let n = 0;
      for (; scene.now < 299 * SECOND; scene.now += SECOND) {
        // Everybody outside tries: the peer, its other port, a stranger, and who forges errors.
        for (const src of [SERVER, SIBLING, OUTSIDER]) scene.hand(udp({ src, dst: mapped }));
        const quoted = udp({ src: mapped, dst: SERVER });
        scene.hand(errorAbout(quoted, { src: "192.0.2.1", dst: PUBLIC, type: 3, code: 3 }));
        n += 4;
      }
      scene.now = 300 * SECOND - 1;
      equal(scene.hand(udp({ src: SERVER, dst: mapped })).verdict, "forwarded");
      scene.now = 300 * SECOND;
      equal(scene.hand(udp({ src: SERVER, dst: mapped })).reason, "no-mapping");
      equal(scene.nat.conntrack.size, 0);
      if (filtering === "endpoint-independent") {
        ok(n > 1000);
        figure(t, "Seconds that outsiders add to a UDP mapping's 300, with any filtering", 0);
      }
    });
  }

  test("and what the inside host answers with an ICMP error does not refresh it (RFC 7857, s. 7)", () => {
    using scene = new Scene({ filtering: "endpoint-independent" });
    const mapped = scene.exchange(VICTIM, SERVER);
    scene.now = 200 * SECOND;
    const delivered = scene.pass(udp({ src: SERVER, dst: mapped }));
    scene.pass(
      errorAbout(delivered.packet, { src: "10.0.0.1", dst: SERVER.split(":")[0]!, type: 3, code: 3 }),
    );
    scene.now = 300 * SECOND;
    equal(scene.hand(udp({ src: SERVER, dst: mapped })).reason, "no-mapping");
  });

  test("outsiders make no sessions: 60,000 of them leave one", (t) => {
    using scene = new Scene({ filtering: "endpoint-independent" });
    const mapped = scene.exchange(VICTIM, SERVER);
    for (let port = 1; port <= 60_000; port++) scene.pass(udp({ src: `192.0.2.66:${port}`, dst: mapped }));
    equal(scene.nat.conntrack.size, 1);
    figure(t, "Sessions that 60,000 outsiders make at one UDP mapping", 0);
  });

  test("with inboundRefresh it is kept by who may send, and by nobody who is filtered", () => {
    using scene = new Scene({ filtering: "address-dependent", inboundRefresh: true });
    const mapped = scene.exchange(VICTIM, SERVER);
    for (; scene.now < 600 * SECOND; scene.now += 100 * SECOND) scene.pass(udp({ src: SERVER, dst: mapped }));
    const last = scene.now - 100 * SECOND;
    for (; scene.now < last + 300 * SECOND; scene.now += 10 * SECOND) {
      equal(scene.hand(udp({ src: OUTSIDER, dst: mapped })).reason, "filtered");
    }
    equal(scene.hand(udp({ src: SERVER, dst: mapped })).reason, "no-mapping");
  });
});

describe("an ICMP query mapping", () => {
  test("is not kept by replies that nobody asked for", () => {
    using scene = new Scene({ filtering: "endpoint-independent" });
    const { packet } = scene.pass(echo({ src: "10.0.0.1", dst: "198.51.100.7", identifier: 7 }));
    const reply = replyTo(packet);
    for (; scene.now < 60 * SECOND; scene.now += SECOND) scene.pass(reply);
    equal(scene.hand(reply).reason, "no-mapping");
  });
});

describe("a TCP mapping", () => {
  test("is not kept by segments that filtering refuses", () => {
    using scene = new Scene();
    const connection = new Connection(scene, VICTIM, SERVER);
    for (; scene.now < 7440 * SECOND; scene.now += 60 * SECOND) {
      const knock = tcp({ src: OUTSIDER, dst: connection.publicEndpoint, flags: "S" });
      equal(scene.hand(knock).reason, "filtered");
    }
    equal(scene.hand(connection.segmentIn()).reason, "no-mapping");
  });

  for (const filtering of ["endpoint-independent", "address-dependent"] as const) {
    test(`with ${filtering} filtering: a SYN that the host does not answer holds it for tcpOpening, not for ever`, (t) => {
      using scene = new Scene({ filtering });
      const { publicEndpoint } = new Connection(scene, VICTIM, SERVER);
      const knocker = filtering === "address-dependent" ? SERVER : OUTSIDER;
      let port = 1000;
      const stubborn = tcp({ src: `${knocker.split(":")[0]}:999`, dst: publicEndpoint, flags: "S" });
      // Two hours after the host's last segment its connection ends; then the knocking alone is left.
      for (; scene.now < 4 * 7440 * SECOND; scene.now += 200 * SECOND) {
        scene.hand(tcp({ src: `${knocker.split(":")[0]}:${port++}`, dst: publicEndpoint, flags: "S" }));
        scene.hand(stubborn);
      }
      equal(scene.nat.conntrack.size, 0, "sessions at the mapping, of the attacker's making");
      figure(t, "Seconds that a SYN which nobody answers lives, however often it comes", 240);
    });
  }
});
