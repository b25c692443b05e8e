import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, type Endpoint, endpoint, tcp, udp } from "../support/packets.js";
import { DEFAULTS, Mismatch, NatModel, type Observer } from "./nat-model.js";
import { TcpModel } from "./tcp-model.js";

/** An engine that gives every new binding the same public endpoint. */
function giving(outside: Endpoint | null): Observer {
  return { forwarded: outside !== null, source: outside?.address ?? null, outsideOf: () => outside };
}

const inside = { src: "10.0.0.1:4000", dst: "198.51.100.1:53" };
const model = (ports = "5000-5003") =>
  new NatModel({ ...DEFAULTS, inside: ["10.0.0.0/24"], outside: [{ address: "203.0.113.1", ports }] });

test("a mapped host is answered until exactly its timeout, and not by others", () => {
  const nat = model();
  const out = nat.rule(decode(udp(inside)), 0, giving(endpoint("203.0.113.1:5002")));
  assert.ok(out.verdict === "forwarded" && out.direction === "outbound");
  const answer = (src: string, at: number) =>
    nat.rule(decode(udp({ src, dst: "203.0.113.1:5002" })), at, giving(null)).verdict;
  assert.equal(answer("198.51.100.1:53", 299_999), "forwarded");
  assert.equal(answer("198.51.100.1:54", 299_999), "dropped");
  assert.equal(answer("198.51.100.1:53", 300_000), "dropped");
});

test("illegal choices of a port are noticed", () => {
  const choose = (text: string) => () => model().rule(decode(udp(inside)), 0, giving(endpoint(text)));
  assert.throws(choose("203.0.113.1:5001"), /5000 is free and keeps/);
  assert.throws(choose("203.0.113.1:6000"), /outside 5000-5003/);
  assert.throws(choose("203.0.113.2:5000"), /may not have this address/);
  assert.throws(() => model().rule(decode(udp(inside)), 0, giving(null)), Mismatch);
  const nat = model("5000");
  nat.rule(decode(udp(inside)), 0, giving(endpoint("203.0.113.1:5000")));
  const second = decode(udp({ ...inside, src: "10.0.0.2:4000" }));
  assert.throws(() => nat.rule(second, 0, giving(endpoint("203.0.113.1:5000"))), /in use/);
  assert.equal(nat.rule(second, 0, giving(null)).verdict, "dropped");
});

test("inbound TCP never begins in mid-stream", () => {
  const nat = new NatModel({
    ...DEFAULTS,
    inside: ["10.0.0.0/24"],
    outside: [{ address: "203.0.113.1", ports: "5000" }],
    forwards: [{ protocol: "tcp", outside: "203.0.113.1:80", inside: "10.0.0.1:8080" }],
  });
  const knock = (flags: string) =>
    nat.rule(decode(tcp({ src: "198.51.100.1:9", dst: "203.0.113.1:80", flags })), 0, giving(null)).verdict;
  assert.deepEqual(["A", "SA", "FA", "S", "A"].map(knock), [
    "dropped",
    "dropped",
    "dropped",
    "forwarded",
    "forwarded",
  ]);
});

test("TCP phases follow the segments", () => {
  const connection = new TcpModel("inside");
  const phase = (side: "inside" | "outside", flags: string, seq: number, ack: number) => {
    connection.segment(side, { flags, seq, ack, length: 0 });
    return connection.phase;
  };
  assert.equal(phase("inside", "S", 99, 0), "opening");
  assert.equal(phase("outside", "SA", 499, 100), "opening");
  assert.equal(phase("inside", "A", 100, 500), "established");
  assert.equal(phase("outside", "R", 500 + 2 ** 30, 0), "established");
  assert.equal(phase("outside", "R", 500, 0), "reset");
  assert.equal(phase("inside", "A", 100, 500), "established");
  assert.equal(phase("inside", "FA", 100, 500), "established");
  assert.equal(phase("outside", "FA", 500, 100), "closing");
  assert.equal(phase("inside", "A", 101, 501), "closing");
  assert.equal(phase("outside", "A", 501, 101), "time-wait");
  assert.equal(phase("inside", "S", 9000, 0), "opening");
});
