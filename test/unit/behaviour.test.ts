// What a NAT does, in plain words.
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "../../src/config/load.js";
import type { NatConfig } from "../../src/config/schema.js";
import { behaviourInWords } from "../../src/explain/behaviour.js";
import { base } from "../support/config.js";

const rows = (config: Partial<NatConfig> = {}) => behaviourInWords(parseConfig({ ...base, ...config }));
const row = (topic: string, config: Partial<NatConfig> = {}) =>
  rows(config).find((one) => one.topic === topic) ?? { value: "none", meaning: "" };

test("each topic once, with a sentence and keys that there are", () => {
  const all = rows();
  equal(new Set(all.map(({ topic }) => topic)).size, all.length);
  const config = parseConfig(base);
  for (const { key, meaning, value } of all) {
    const found = key
      .split(".")
      .reduce<unknown>((at, name) => (at as Record<string, unknown>)?.[name], config);
    ok(found !== undefined, key);
    match(meaning, /^[A-Z].*\.$/);
    ok(value.length > 0);
  }
});

test("the config decides what they say", () => {
  equal(row("Mapping").value, "endpoint-independent");
  match(row("Mapping", { mapping: "address-dependent" }).meaning, /each remote address\.$/);
  match(row("Filtering", { filtering: "endpoint-independent" }).meaning, /^Anybody/);
  const mixed = rows({ mapping: { udp: "address-dependent" } }).filter(({ key }) => key === "mapping");
  deepEqual(
    mixed.map(({ topic, value }) => `${topic} ${value}`),
    ["Mapping (tcp, icmp, udplite, dccp) endpoint-independent", "Mapping (udp) address-dependent"],
  );
  equal(rows({ mapping: { udp: "endpoint-independent" } }).filter(({ key }) => key === "mapping").length, 1);
  equal(row("Hairpinning", { hairpinning: false }).value, "off");
  equal(row("Refresh", { inboundRefresh: true }).value, "both ways");
  equal(row("Pooling", { pooling: "arbitrary" }).value, "arbitrary");
  equal(row("ICMP errors").value, "not sent");
  equal(row("TCP timeout").value, "2 h 4 min");
  equal(row("UDP timeout", { timeouts: { udp: 90.5 } }).value, "1 min 30.5 s");
  equal(row("Sessions").value, "1,048,576 at most");
  equal(row("Sessions", { limits: { sessions: 0, sessionsPerHost: 2000 } }).value, "no limit");
  match(row("Sessions", { limits: { sessionsPerHost: 2000 } }).meaning, /refused\. A host may have 2,000\.$/);
  match(
    row("Port assignment", { portAssignment: { preserve: true } }).meaning,
    /^A public port is the inside port/,
  );
  const plain = { parity: false, holdDown: 0 } as const;
  equal(row("Port assignment", { portAssignment: plain }).meaning, "Ports are drawn at random.");
  const policies = [{ inside: ["192.168.226.128/25"], hairpinning: false }];
  match(row("Policies", { policies }).meaning, /^Hosts in 192\.168\.226\.128\/25 get/);
  equal(row("Policies").value, "none");
});
