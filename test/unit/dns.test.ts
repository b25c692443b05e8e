// What a forwarder takes for a query, and for its answer.
import { deepEqual, equal, ok } from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { DnsForwarder } from "../../src/gateway/dns/forwarder.js";
import { answersTo, failure, isQuery, truncated } from "../../src/gateway/dns/message.js";

/** A query for a name, or with bit 7 of `flags` an answer. */
function message(id: number, name: string, flags = 0x0100, questions = 1): Buffer {
  const labels = name.split(".").flatMap((label) => [label.length, ...Buffer.from(label)]);
  return Buffer.from([
    id >> 8,
    id & 255,
    flags >> 8,
    flags & 255,
    0,
    questions,
    0,
    0,
    0,
    0,
    0,
    0,
    ...labels,
    0,
    0,
    1,
    0,
    1,
  ]);
}

test("only whole questions are queries", () => {
  const query = message(7, "www.example");
  ok(isQuery(query));
  for (let length = 0; length < query.length; length++) equal(isQuery(query.subarray(0, length)), false);
  equal(isQuery(message(7, "www.example", 0x8100)), false);
  equal(isQuery(message(7, "www.example", 0x0100, 2)), false);
  const compressed = Buffer.from(query);
  compressed[12] = 0xc0;
  equal(isQuery(compressed), false);
});

test("an answer has the query's id and question; the case of letters does not matter", () => {
  const query = message(7, "www.example");
  ok(answersTo(message(7, "www.example", 0x8180), query));
  ok(answersTo(message(7, "WWW.example", 0x8180), query));
  ok(answersTo(message(7, "x", 0x8185, 0).subarray(0, 13), query), "refused without the question");
  for (const other of [
    message(8, "www.example", 0x8180),
    message(7, "wwx.example", 0x8180),
    message(7, "www.example.x", 0x8180),
    message(7, "www.example", 0x0180),
    message(7, "www.example", 0x8180).subarray(0, 12),
    message(7, "x", 0x8180, 0),
  ]) {
    equal(answersTo(other, query), false, other.toString("hex"));
  }
});

test("failures and cut answers have the question, and nothing else", () => {
  const query = message(7, "www.example");
  const failed = failure(Buffer.concat([query, Buffer.alloc(20, 1)]));
  deepEqual([...failed], [...message(7, "www.example", 0x8182)]);
  const long = Buffer.concat([message(7, "www.example", 0x8180), Buffer.alloc(2000)]);
  long[7] = 100;
  deepEqual([...truncated(long)], [...message(7, "www.example", 0x8380)]);
});

test("a bounded number of queries is under way, of one client and of all", async () => {
  // A resolver that says nothing.
  const silent = createSocket("udp4");
  silent.bind(0, "127.0.0.1");
  await once(silent, "listening");
  try {
    const forwarder = new DnsForwarder([`127.0.0.1#${silent.address().port}`]);
    const ask = async (clients: number, each: number) => {
      const asked = Array.from({ length: clients * each }, (_, i) =>
        forwarder.answer(message(i, "www.example"), i % clients),
      );
      const answers = await Promise.all(asked);
      ok(answers.every((answer) => answer === null || (answer[3]! & 15) === 2));
      return answers.filter((answer) => answer !== null).length;
    };
    // The second time: there is room again.
    for (let i = 0; i < 2; i++) {
      const both = ask(1, 100);
      equal(await forwarder.answer(message(1, "x"), 0), null);
      equal((await forwarder.answer(message(1, "x"), 1))![1], 1);
      equal(await both, 64);
    }
    equal(await ask(10, 60), 512);
  } finally {
    silent.close();
  }
});
