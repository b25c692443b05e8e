// The table of neighbours: who is learnt, asked, believed and forgotten.
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { type ArpPacket, arpReply, arpRequest, readArp } from "../../src/gateway/arp.js";
import { Neighbours } from "../../src/gateway/neighbours.js";

const OWN = { mac: Uint8Array.of(2, 0, 0, 0, 0, 1), address: 0xc0a8e202 };
const PEER = { mac: Uint8Array.of(2, 0, 0, 0, 0, 7), address: 0xc0a8e207 };
const LIAR = { mac: Uint8Array.of(2, 0, 0, 0, 0, 66), address: PEER.address };
const NOBODY = { mac: new Uint8Array(6), address: OWN.address };

function table() {
  const sent: Buffer[] = [];
  const log: string[] = [];
  const neighbours = new Neighbours(OWN, {
    send: (frame) => void sent.push(frame),
    known: (address, mac) => void log.push(`known ${address.toString(16)} ${mac[5]}`),
    forgotten: (address) => void log.push(`forgotten ${address.toString(16)}`),
    unreachable: (address, frames) => void log.push(`unreachable ${address.toString(16)} ${frames.length}`),
  });
  /** The requests among what was sent since, by whom they were sent to. */
  const requests = () =>
    sent.splice(0).map((frame) => [readArp(frame)?.kind, frame[0] === 255 ? "all" : frame[5]]);
  return { neighbours, sent, log, requests };
}

const frame = (mark: number) => ({ frame: Buffer.alloc(60, mark), offload: new Uint8Array(10) });
const reply = (sender = PEER): ArpPacket => ({ kind: "reply", sender, target: OWN });
const request = (sender = PEER): ArpPacket => ({ kind: "request", sender, target: NOBODY });

test("frames wait for an answer, the newest 16, and then go to it", () => {
  const { neighbours, sent, log, requests } = table();
  for (let i = 0; i < 20; i++) neighbours.resolve(PEER.address, frame(i), 0);
  deepEqual(requests(), [["request", "all"]]);
  neighbours.hear(reply(), 5);
  deepEqual(log, ["known c0a8e207 7"]);
  equal(sent.length, 16);
  deepEqual(
    sent.map((one) => one[20]),
    Array.from({ length: 16 }, (_, i) => i + 4),
  );
  deepEqual([...sent[0]!.subarray(0, 12)], [...PEER.mac, ...OWN.mac]);
});

test("who does not answer three times, a second apart, is not there", () => {
  const { neighbours, log, requests } = table();
  neighbours.resolve(PEER.address, frame(1), 0);
  neighbours.tick(999);
  equal(requests().length, 1);
  for (const time of [1000, 2000]) neighbours.tick(time);
  equal(requests().length, 2);
  deepEqual(log, []);
  neighbours.tick(3000);
  deepEqual(log, ["unreachable c0a8e207 1"]);
  neighbours.tick(9000);
  equal(requests().length, 0);
});

test("who asks for us is learnt; who tells unasked, or of himself, is not", () => {
  const { neighbours, log } = table();
  neighbours.hear(reply(), 0);
  neighbours.hear({ ...request(), target: { ...NOBODY, address: PEER.address } }, 0);
  neighbours.hear(request({ ...PEER, address: 0 }), 0);
  neighbours.hear(request({ ...PEER, address: OWN.address }), 0);
  neighbours.hear(request({ ...PEER, mac: new Uint8Array(6) }), 0);
  neighbours.hear(request({ ...PEER, mac: Uint8Array.of(1, 0, 94, 0, 0, 1) }), 0);
  deepEqual(log, []);
  neighbours.hear(request(), 0);
  deepEqual(log, ["known c0a8e207 7"]);
});

test("a claim takes nobody's place who still answers", () => {
  const { neighbours, log, requests } = table();
  neighbours.hear(request(), 0);
  for (let i = 0; i < 5; i++) neighbours.hear(reply(LIAR), 100 + i);
  deepEqual(requests(), [["request", 7]], "he is asked once, himself");
  neighbours.hear(reply(), 200);
  neighbours.hear(request(LIAR), 300);
  neighbours.hear(reply(), 400);
  deepEqual(new Set(log), new Set(["known c0a8e207 7"]));
});

test("who has gone makes room for another in three seconds", () => {
  const { neighbours, log } = table();
  neighbours.hear(request(), 0);
  neighbours.hear(request(LIAR), 100);
  for (const time of [1100, 2100, 3100]) neighbours.tick(time);
  deepEqual(log, ["known c0a8e207 7", "forgotten c0a8e207"]);
  neighbours.hear(request(LIAR), 3200);
  equal(log.at(-1), "known c0a8e207 66");
});

test("an answer is believed for half a minute, and asked for again before it is forgotten", () => {
  const { neighbours, log, requests } = table();
  neighbours.hear(request(), 0);
  neighbours.tick(29_999);
  equal(requests().length, 0);
  neighbours.tick(30_000);
  deepEqual(requests(), [["request", 7]]);
  neighbours.hear(reply(), 30_100);
  neighbours.tick(60_000);
  equal(requests().length, 0);
  for (const time of [60_100, 61_100, 62_100, 63_100]) neighbours.tick(time);
  equal(requests().length, 3);
  equal(log.at(-1), "forgotten c0a8e207");
});

test("a flood of askers fills a bounded table, and of lost destinations a bounded list", () => {
  const { neighbours, sent } = table();
  for (let i = 0; i < 20_000; i++) {
    neighbours.hear(request({ mac: Uint8Array.of(2, 0, 0, 1, i >> 8, i & 255), address: 0x0a000000 + i }), 0);
  }
  equal(neighbours.size, 16_384);
  for (let i = 0; i < 2000; i++) neighbours.resolve(0x0b000000 + i, frame(0), 0);
  ok(sent.length <= 1024, String(sent.length));
});

test("ARP frames are read as they are written, and nothing else is", () => {
  const asked = readArp(arpRequest(OWN, PEER.address));
  deepEqual(asked, { kind: "request", sender: OWN, target: { ...NOBODY, address: PEER.address } });
  const told = arpReply(OWN, PEER);
  deepEqual(readArp(told), { kind: "reply", sender: OWN, target: PEER });
  for (let at = 14; at < 22; at++) {
    const broken = Buffer.from(told);
    broken[at]! ^= 0x80;
    equal(readArp(broken), null, `byte ${at}`);
  }
  for (let length = 0; length < told.length; length++) equal(readArp(told.subarray(0, length)), null);
  const other = Buffer.from(told);
  other[11]! ^= 1;
  equal(readArp(other), null, "sent in another's name");
});
