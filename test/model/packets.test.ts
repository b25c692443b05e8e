import assert from "node:assert/strict";
import { test } from "node:test";
import {
  checksumError,
  decode,
  echo,
  endpoints,
  errorAbout,
  flipBit,
  fragments,
  fullChecksums,
  headerChecksumOf,
  hex,
  icmp,
  inPrefix,
  onesSum,
  reassemble,
  replaceFields,
  replaceQuoted,
  replyTo,
  tcp,
  transportChecksumIn,
  transportChecksumOf,
  udp,
} from "../support/packets.js";

test("a textbook header has its known checksum", () => {
  const header = Buffer.from("4500003c1c4640004006b1e6ac100a63ac100a0c", "hex");
  assert.equal(headerChecksumOf(header), 0xb1e6);
  assert.equal(onesSum(header), 0xffff);
});

test("a DNS query built by fields verifies and decodes back", () => {
  const packet = udp({
    src: "192.0.2.1:5353",
    dst: "198.51.100.1:53",
    payload: "abc",
    ttl: 9,
    id: 77,
    df: true,
  });
  const fields = decode(packet);
  assert.equal(packet.length, 31);
  assert.deepEqual(endpoints(fields), {
    src: { address: "192.0.2.1", port: 5353 },
    dst: { address: "198.51.100.1", port: 53 },
  });
  assert.equal(fields.ttl, 9);
  assert.equal(fields.id, 77);
  assert.ok(fields.df && !fields.mf && fields.body.kind === "udp" && fields.body.payload.length === 3);
  assert.equal(hex(fullChecksums(packet)), hex(packet));
  assert.equal(transportChecksumOf(packet), transportChecksumIn(packet));
});

test("TCP flags, options and odd payloads survive", () => {
  const packet = tcp({
    src: "192.0.2.1:1",
    dst: "198.51.100.1:65535",
    flags: "SA",
    seq: 0xfffffff0,
    ack: 7,
    tcpOptions: Uint8Array.of(2, 4, 5, 180),
    options: Uint8Array.of(1, 1, 1, 1),
    payload: "odd",
  });
  const { body } = decode(packet);
  assert.ok(body.kind === "tcp");
  assert.deepEqual(
    [body.flags, body.seq, body.ack, body.options.length, body.payload.length],
    ["SA", 0xfffffff0, 7, 4, 3],
  );
  assert.equal(hex(fullChecksums(flipBit(packet, 8 * (packet.length - 1)))) === hex(packet), false);
  assert.equal(hex(fullChecksums(packet)), hex(packet));
});

test("UDP: 0 is none, a computed 0 is sent as 0xffff; ICMP all zero sums to 0xffff", () => {
  assert.equal(transportChecksumIn(udp({ src: "192.0.2.1:1", dst: "192.0.2.2:2", checksum: 0 })), 0);
  const plain = udp({ src: "192.0.2.1:1", dst: "192.0.2.2:2", payload: Uint8Array.of(0, 0) });
  const sum = transportChecksumIn(plain);
  const zero = udp({ src: "192.0.2.1:1", dst: "192.0.2.2:2", payload: Uint8Array.of(sum >> 8, sum & 255) });
  assert.equal(transportChecksumIn(zero), 0xffff);
  assert.equal(
    transportChecksumIn(echo({ src: "192.0.2.1", dst: "192.0.2.2", identifier: 0, reply: true })),
    0xffff,
  );
});

test("a reply swaps the ends, a replaced field changes nothing else", () => {
  const packet = echo({ src: "192.0.2.1", dst: "198.51.100.1", identifier: 5, sequence: 6, payload: "x" });
  const reply = decode(replyTo(packet));
  assert.ok(reply.body.kind === "echo" && reply.body.reply);
  assert.deepEqual([reply.src, reply.dst], ["198.51.100.1", "192.0.2.1"]);
  const changed = replaceFields(packet, { src: { address: "203.0.113.8", port: 9 } });
  const differs = [...packet.keys()].filter((i) => packet[i] !== changed[i]);
  assert.deepEqual(differs, [12, 14, 15, 25]);
});

test("fragments join to the datagram they came from", () => {
  const packet = udp({
    src: "192.0.2.1:1",
    dst: "198.51.100.1:2",
    id: 9,
    payload: new Uint8Array(100).fill(7),
  });
  const pieces = fragments(packet, [8, 64]);
  assert.equal(pieces.length, 3);
  assert.equal(hex(reassemble([pieces[2]!, pieces[0]!, pieces[1]!])!), hex(packet));
  assert.equal(reassemble(pieces.slice(1)), null);
});

test("an ICMP error quotes as much as asked", () => {
  const packet = udp({ src: "192.0.2.1:1", dst: "198.51.100.1:2", payload: new Uint8Array(100) });
  const error = decode(
    errorAbout(packet, { src: "198.51.100.9", dst: "192.0.2.1", type: 3, code: 3, octets: 8 }),
  );
  assert.ok(error.body.kind === "icmp" && error.body.payload.length === 28);
  assert.equal(decode(icmp({ src: "192.0.2.1", dst: "192.0.2.2", type: 11 })).body.kind, "icmp");
});

test("a quoted packet is changed with its checksums, whole or cut short", () => {
  const inside = udp({ src: "192.0.2.1:4000", dst: "198.51.100.1:2", payload: "some payload" });
  const outside = udp({ src: "203.0.113.9:61001", dst: "198.51.100.1:2", payload: "some payload" });
  for (const octets of [8, 12, 20]) {
    const route = { src: "198.51.100.9", dst: "192.0.2.1", type: 11, octets };
    const changed = replaceQuoted(errorAbout(outside, route), { src: { address: "192.0.2.1", port: 4000 } });
    assert.equal(hex(fullChecksums(changed)), hex(errorAbout(inside, route)));
  }
});

test("small arithmetic", () => {
  assert.equal(checksumError(0xffff, 0), 0);
  assert.equal(checksumError(3, 5), 0xfffd);
  assert.ok(
    inPrefix("10.1.2.3", "10.0.0.0/8") &&
      !inPrefix("11.1.2.3", "10.0.0.0/8") &&
      inPrefix("1.2.3.4", "0.0.0.0/0"),
  );
});
