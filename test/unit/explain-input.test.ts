// How people name a packet to `napt explain`: flows in words, hex and dumps of it.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { NatError, packetOfFlow, packetOfHex } from "../../src/index.js";
import { echo, hex, tcp, udp } from "../support/packets.js";

const src = "192.168.226.135:4000";
const dst = "203.0.113.9:53";
const common = { src, dst, df: true, id: 0 };

describe("a flow in words is a packet", () => {
  const flows: [text: string, packet: Uint8Array][] = [
    [`udp ${src} > ${dst}`, udp(common)],
    [`  UDP   ${src}>${dst} `, udp(common)],
    [`tcp ${src} > ${dst}`, tcp({ ...common, flags: "S" })],
    [`tcp ${src} > ${dst} [SA]`, tcp({ ...common, flags: "SA" })],
    [`tcp ${src} > ${dst} [fpa]`, tcp({ ...common, flags: "FPA" })],
    ["icmp 192.168.226.135 > 203.0.113.9", echo({ ...common, identifier: 1 })],
    ["icmp 192.168.226.135 > 203.0.113.9 id 65535", echo({ ...common, identifier: 65535 })],
    ["icmp 192.168.226.135 > 203.0.113.9 id 7 reply", echo({ ...common, identifier: 7, reply: true })],
    ["icmp 192.168.226.135 > 203.0.113.9 reply", echo({ ...common, identifier: 1, reply: true })],
  ];
  for (const [text, packet] of flows) {
    test(text, () => assert.equal(hex(packetOfFlow(text)), hex(packet)));
  }

  test("whose checksum is never 0, which UDP has for none", () => {
    for (let port = 1; port <= 65535; port++) {
      const packet = packetOfFlow(`udp 192.168.226.135:${port} > ${dst}`);
      if (packet[26] === 0xff && packet[27] === 0xff) return;
      assert.notEqual(packet[26]! + packet[27]!, 0);
    }
    assert.fail("none had the checksum 0xffff");
  });
});

describe("what is no flow is refused in one message", () => {
  const wrong: [text: string, message: RegExp][] = [
    ["", /^"" is no flow; write it as "udp 192/],
    ["udp", /^"udp" is no flow; write it as/],
    [`sctp ${src} > ${dst}`, /is no flow/],
    [`udp ${src} ${dst}`, /is no flow/],
    [`udp ${src} > ${dst} [S]`, /is no flow/],
    [`tcp ${src} > ${dst} [SX]`, /is no flow/],
    [`tcp ${src} > ${dst} S`, /is no flow/],
    [
      "udp 192.168.226.135 > 203.0.113.9:53",
      /has "192\.168\.226\.135", which is no address with a port from 1/,
    ],
    ["udp 192.168.226.135:0 > 203.0.113.9:53", /has "192\.168\.226\.135:0"/],
    ["udp 192.168.226.135:1 > 203.0.113.256:53", /has "203\.0\.113\.256:53"/],
    [`icmp ${src} > 203.0.113.9`, /has "192\.168\.226\.135:4000", which is no address;/],
    ["icmp 192.168.226.135 > 203.0.113.9 id 65536", /is no flow/],
  ];
  for (const [text, message] of wrong) {
    test(text, () => {
      assert.throws(
        () => packetOfFlow(text),
        (error) =>
          error instanceof NatError && error.code === "NAT_ERR_ARGUMENT" && message.test(error.message),
      );
    });
  }
});

describe("hex is a packet", () => {
  const packet = udp({ ...common, payload: "0123456789 abcdef" });
  const digits = hex(packet);
  const frame = `0200000000010200000000020800${digits}`;
  const lines = digits.match(/.{1,32}/g)!;
  const at = (i: number, length: number) => (i * 16).toString(16).padStart(length, "0");
  const pairs = (line: string) => line.match(/../g)!;
  const words = (line: string) => line.match(/.{1,4}/g)!.join(" ");
  const characters = (line: string) =>
    Buffer.from(line, "hex")
      .toString("latin1")
      .replace(/[^ -~]/g, ".");
  const dumps: Record<string, string> = {
    "in one line": digits,
    "with 0x": `0x${digits}`,
    "in capitals, in groups": `${pairs(digits).join(" ").toUpperCase()}\n`,
    "in lines": lines.join("\r\n"),
    "behind an Ethernet header": frame,
    "of tcpdump -x": lines.map((line, i) => `\t0x${at(i, 4)}:  ${words(line)}`).join("\n"),
    "of tcpdump -X": lines
      .map((line, i) => `\t0x${at(i, 4)}:  ${words(line).padEnd(39)}  ${characters(line)}`)
      .join("\n"),
    "of xxd": lines
      .map((line, i) => `${at(i, 8)}: ${words(line).padEnd(39)}  ${characters(line)}`)
      .join("\n"),
    "of hexdump -C": `${lines
      .map((line, i) => {
        const [first, second] = [pairs(line).slice(0, 8).join(" "), pairs(line).slice(8).join(" ")];
        return `${at(i, 8)}  ${`${first}  ${second}`.padEnd(48)}  |${characters(line)}|`;
      })
      .join("\n")}`,
    "of Wireshark": lines
      .map((line, i) => `${at(i, 4)}   ${pairs(line).join(" ").padEnd(47)}   ${characters(line)}`)
      .join("\n"),
  };
  for (const [name, text] of Object.entries(dumps)) {
    test(name, () => assert.equal(hex(packetOfHex(text)), digits));
  }

  test("or is refused", () => {
    const wrong: [text: string, message: RegExp][] = [
      ["", /^the hex has no digits$/],
      [" \n ", /^the hex has no digits$/],
      ["450", /^the hex has 3 digits: half a byte is missing$/],
      ["45 0g", /^the hex has "g", which is no hex digit$/],
    ];
    for (const [text, message] of wrong) {
      assert.throws(
        () => packetOfHex(text),
        (error) =>
          error instanceof NatError && error.code === "NAT_ERR_ARGUMENT" && message.test(error.message),
      );
    }
  });
});
