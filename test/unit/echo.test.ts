// Ping to the gateway's own address.
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { answerEcho } from "../../src/gateway/echo.js";
import { addressNumber, echo, fragments, replyTo, udp } from "../support/packets.js";

const HOST = "192.168.226.135";
const OWN = "192.168.226.2";
const MACS = { host: Uint8Array.of(2, 0, 0, 0, 0, 7), own: Uint8Array.of(2, 0, 0, 0, 0, 1) };

const frameOf = (packet: Uint8Array, padding = 0) =>
  Buffer.concat([MACS.own, MACS.host, Buffer.from([8, 0]), packet, Buffer.alloc(padding, 0xaa)]);
const answer = (frame: Buffer) => answerEcho(frame, addressNumber(OWN), MACS.own);
const ask = (fields = {}) =>
  echo({ src: HOST, dst: OWN, identifier: 7, sequence: 3, payload: "odd", id: 1, ttl: 3, ...fields });

test("the answer goes back to who asked, with all he sent and right checksums, and no padding", () => {
  for (const payload of ["", "odd", "even", "x".repeat(1400)]) {
    const request = ask({ payload });
    const given = answer(frameOf(request, 6));
    deepEqual([...given!.subarray(0, 14)], [...MACS.host, ...MACS.own, 8, 0]);
    deepEqual([...given!.subarray(14)], [...replyTo(request, { ttl: 64, id: 1 })]);
  }
});

test("nothing else is answered", () => {
  const request = frameOf(ask());
  for (let length = 0; length < request.length; length++) equal(answer(request.subarray(0, length)), null);
  const others = [
    ask({ dst: "192.168.226.3" }),
    ask({ reply: true }),
    ask({ checksum: 1 }),
    ask({ headerChecksum: 1 }),
    udp({ src: `${HOST}:7`, dst: `${OWN}:7` }),
    ...fragments(ask({ payload: "x".repeat(64) }), [32]),
  ];
  for (const packet of others) equal(answer(frameOf(packet)), null);
});
