// What senders are told of packets that go no further.
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { frameFor } from "../../src/gateway/ethernet.js";
import { Allowance, icmpError, refuse, withSource } from "../../src/gateway/refusal.js";
import { ICMP, ipv4Packet, onesSum, TCP, UDP } from "../../src/ipv4.js";

const HOST = 0xc0a8e287;
const OWN = 0xc0a8e202;
const HOST_MAC = Uint8Array.of(2, 0, 0, 0, 0, 1);
const OWN_MAC = Uint8Array.of(2, 0, 0, 0, 0, 2);

function framed(packet: Uint8Array, to = OWN_MAC): Buffer {
  const frame = frameFor(to, HOST_MAC, 0x0800, packet.length);
  frame.set(packet, 14);
  return frame;
}

function segment(flags: number, data = 0, { sequence = 0xffffffff, ack = 7 } = {}): Buffer {
  const body = Buffer.alloc(20 + data);
  body.writeUInt16BE(4000, 0);
  body.writeUInt16BE(9, 2);
  body.writeUInt32BE(sequence, 4);
  body.writeUInt32BE(ack, 8);
  body[12] = 0x50;
  body[13] = flags;
  return ipv4Packet(TCP, HOST, OWN, body);
}

/** A packet's sender, receiver and body, its checksums being right. */
function read(frame: Buffer | null) {
  const packet = frame!.subarray(14);
  deepEqual([...frame!.subarray(0, 12)], [...HOST_MAC, ...OWN_MAC]);
  equal(onesSum(packet.subarray(0, 20)), 0xffff);
  deepEqual([packet.readUInt32BE(12), packet.readUInt32BE(16)], [OWN, HOST]);
  const body = packet.subarray(20);
  const pseudo = packet[9] === ICMP ? 0 : onesSum(packet.subarray(12, 20), packet[9]! + body.length);
  equal(onesSum(body, pseudo), 0xffff);
  return body;
}

test("a segment is reset as RFC 9293 has it", () => {
  const fields = (flags: number, data = 0) => {
    const body = read(refuse(framed(segment(flags, data)), OWN_MAC));
    deepEqual([body.readUInt16BE(0), body.readUInt16BE(2)], [9, 4000]);
    return { sequence: body.readUInt32BE(4), ack: body.readUInt32BE(8), flags: body[13] };
  };
  deepEqual(fields(0x02), { sequence: 0, ack: 0, flags: 0x14 });
  deepEqual(fields(0x02, 5), { sequence: 0, ack: 5, flags: 0x14 });
  deepEqual(fields(0x01, 5), { sequence: 0, ack: 5, flags: 0x14 });
  deepEqual(fields(0x00, 5), { sequence: 0, ack: 4, flags: 0x14 });
  deepEqual(fields(0x10, 5), { sequence: 7, ack: 0, flags: 0x04 });
  equal(refuse(framed(segment(0x04)), OWN_MAC), null);
  equal(refuse(framed(segment(0x14)), OWN_MAC), null);
});

test("datagrams find no port, others no protocol; both are quoted up to 576 bytes", () => {
  for (const [protocol, code] of [
    [UDP, 3],
    [47, 2],
  ] as const) {
    const packet = ipv4Packet(protocol, HOST, OWN, Buffer.alloc(1000, 5));
    const body = read(refuse(framed(packet), OWN_MAC));
    deepEqual([body[0], body[1], body.length], [3, code, 556]);
    deepEqual(body.subarray(8), packet.subarray(0, 548));
  }
});

test("nothing is said where nothing may be", () => {
  const packet = ipv4Packet(UDP, HOST, OWN, Buffer.alloc(8));
  const silent = (change: (frame: Buffer) => void, sum = true) => {
    const frame = framed(Buffer.from(packet));
    change(frame);
    if (sum) withSource(frame.subarray(14), frame.readUInt32BE(26));
    equal(refuse(frame, OWN_MAC), null);
  };
  silent((frame) => frame.fill(0xff, 0, 6)); // to everybody
  silent((frame) => frame.writeUInt32BE(0xe0000001, 26)); // from a group
  silent((frame) => frame.writeUInt32BE(0, 26));
  silent((frame) => frame.writeUInt16BE(0x2000, 20)); // a fragment
  silent((frame) => frame.writeUInt16BE(5000, 16)); // longer than it is
  silent((frame) => frame.writeUInt16BE(0, 24), false); // a wrong checksum
  for (let length = 0; length < 34; length++)
    equal(refuse(framed(packet).subarray(0, length), OWN_MAC), null);
  for (let type = 0; type < 256; type++) {
    const query = [0, 8, 13, 14].includes(type);
    const message = ipv4Packet(ICMP, HOST, OWN, Buffer.from([type, 0, 0, 0, 0, 0, 0, 0]));
    equal(icmpError(message, 1, OWN) !== null, query, `type ${type}`);
  }
});

test("a hundred at once, then a hundred a second", () => {
  const allowance = new Allowance();
  const take = (now: number) => Array.from({ length: 300 }, () => allowance.take(now)).filter(Boolean).length;
  equal(take(5000), 100);
  equal(take(5000), 0);
  equal(take(5105), 10);
  equal(take(4000), 0);
  equal(take(1e9), 100);
});
