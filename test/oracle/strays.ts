/** Packets of no flow: what a NAT does not translate, and what it should not let through. */
import { echo, fullChecksums, icmp, put16, raw, tcp, udp } from "../support/packets.js";
import type { Passage } from "./routers.js";
import { FORWARDS, PUBLIC } from "./worlds.js";

const inside = (packet: Uint8Array): Passage => ({ side: "inside", packet });
const outside = (packet: Uint8Array): Passage => ({ side: "outside", packet });

const OUT = { src: "10.0.0.1:4444", dst: "198.51.100.1:53" };
const UNUSED = "10.0.0.1:4545";
const IN = { src: "198.51.100.1:53", dst: `${PUBLIC}:4242` };

/** Any unicast source gets in here, where there are forwards. */
const VISIT = { src: "198.51.100.1:5353", dst: FORWARDS[0]!.outside };

/** A whole packet with a word of it changed and the header checksum, at least, right. */
function withWord(packet: Uint8Array, at: number, value: number): Uint8Array {
  const copy = new Uint8Array(packet);
  put16(copy, at, value);
  return fullChecksums(copy);
}

/** A redirect to another router, about a packet. */
function redirect(fields: { src: string; dst: string }): Uint8Array {
  return icmp({ ...fields, type: 5, code: 1, rest: 0x0a0000fa, payload: udp({ src: IN.dst, dst: OUT.dst }) });
}

export const STRAYS = {
  "from a foreign source": () => inside(udp({ ...OUT, src: "192.0.2.77:4000" })),
  "between inside hosts": () => inside(udp({ ...OUT, dst: "10.0.0.2:53" })),
  "to multicast": () => inside(udp({ ...OUT, dst: "224.0.0.251:5353" })),
  "to broadcast": () => inside(udp({ ...OUT, dst: "255.255.255.255:67" })),
  "to class E": () => inside(udp({ ...OUT, dst: "240.0.0.1:53" })),
  "to network zero": () => inside(udp({ ...OUT, dst: "0.1.2.3:53" })),
  "to loopback": () => inside(udp({ ...OUT, dst: "127.0.0.1:53" })),
  "from the public address": () => outside(udp({ ...VISIT, src: `${PUBLIC}:53` })),
  "from loopback": () => outside(udp({ ...VISIT, src: "127.0.0.1:53" })),
  "from multicast": () => outside(udp({ ...VISIT, src: "224.0.0.1:53" })),
  "from broadcast": () => outside(udp({ ...VISIT, src: "255.255.255.255:53" })),
  "from zero": () => outside(udp({ ...VISIT, src: "0.0.0.0:53" })),
  "from class E": () => outside(udp({ ...VISIT, src: "240.0.0.1:53" })),
  "to an unmapped udp port": () => outside(udp(IN)),
  "to an unmapped tcp port": () => outside(tcp({ ...IN, flags: "S" })),
  "an echo request": () => outside(echo({ src: "198.51.100.1", dst: PUBLIC, identifier: 4242 })),
  "an unsolicited echo reply": () =>
    outside(echo({ src: "198.51.100.1", dst: PUBLIC, identifier: 4242, reply: true })),
  "an echo reply from inside": () =>
    inside(echo({ src: "10.0.0.1", dst: "198.51.100.1", identifier: 4242, reply: true })),
  "an error about nothing known": () =>
    outside(
      icmp({ src: "192.0.2.254", dst: PUBLIC, type: 3, code: 3, payload: udp({ src: IN.dst, dst: IN.src }) }),
    ),
  "an error from inside about nothing known": () =>
    inside(
      icmp({
        src: "10.0.0.1",
        dst: "198.51.100.1",
        type: 3,
        code: 3,
        payload: udp({ src: IN.src, dst: UNUSED }),
      }),
    ),
  "to an inside address": () => outside(udp({ ...IN, dst: OUT.src })),
  "to a foreign address": () => outside(udp({ ...IN, dst: "192.0.2.77:53" })),
  gre: () => inside(raw({ src: "10.0.0.1", dst: "198.51.100.1", protocol: 47, payload: new Uint8Array(8) })),
  esp: () => inside(raw({ src: "10.0.0.1", dst: "198.51.100.1", protocol: 50, payload: new Uint8Array(16) })),
  "an unknown protocol": () =>
    inside(raw({ src: "10.0.0.1", dst: "198.51.100.1", protocol: 200, payload: new Uint8Array(8) })),
  "a router advertisement": () => inside(icmp({ src: "10.0.0.1", dst: "198.51.100.1", type: 9 })),
  "an experimental icmp type": () => inside(icmp({ src: "10.0.0.1", dst: "198.51.100.1", type: 253 })),
  "a redirect from outside": () => outside(redirect({ src: "198.51.100.1", dst: PUBLIC })),
  "a redirect from inside": () => inside(redirect({ src: "10.0.0.1", dst: "198.51.100.1" })),
  "a total length beyond the frame": () => inside(withWord(udp(OUT), 2, 29)),
  "a total length below the header": () => inside(withWord(udp(OUT), 2, 19)),
  "octets behind the total length": () => inside(new Uint8Array([...udp(OUT), 1, 2, 3, 4])),
  "a udp length beyond the packet": () => inside(withWord(udp(OUT), 24, 9)),
  "a udp length below the header": () => inside(withWord(udp(OUT), 24, 7)),
  "a tcp header beyond the packet": () => inside(withWord(tcp({ ...OUT, flags: "S" }), 32, 0x6002)),
  "a tcp header too short": () => inside(withWord(tcp({ ...OUT, flags: "S" }), 32, 0x4002)),
  "version 6": () => inside(withWord(udp(OUT), 0, 0x6500)),
} satisfies Record<string, () => Passage>;

export type StrayKind = keyof typeof STRAYS;
