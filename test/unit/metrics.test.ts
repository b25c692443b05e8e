// What Prometheus is told: names, types, labels, and figures that are the NAT's own.
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { collectDefaultMetrics, Registry } from "prom-client";
import { Gateway, metricsOf, Nat, REASONS } from "../../src/index.js";
import { GATEWAY_METRICS } from "../../src/metrics/gateway-metrics.js";
import { HTTP_METRICS } from "../../src/metrics/http-metrics.js";
import { register } from "../../src/metrics/metric.js";
import { MOST_ADDRESSES, NAT_METRICS } from "../../src/metrics/nat-metrics.js";
import { base } from "../support/config.js";
import { echo, raw, tcp, udp } from "../support/packets.js";
import { samplesOf } from "../support/samples.js";

const EXAMPLES = join(__dirname, "../../examples");
const RULES = join(EXAMPLES, "prometheus-rules.yaml");
const HOST = "192.168.226.135";
const REMOTE = "198.51.100.7";
/** A histogram has these in place of a sample with its own name. */
const OF_HISTOGRAM = /^(napt_burst_[a-z]+)_(?:bucket|sum|count)$/;
const flow = { src: `${HOST}:4000`, dst: `${REMOTE}:53` };

const noPromtool =
  spawnSync("promtool", ["--version"]).status === 0 ? false : "promtool is not installed (.ci/run gets it)";

/** A gateway that is made but not started: that needs no interfaces. */
function idleGateway(): Gateway {
  return new Gateway({
    ...base,
    gateway: {
      inside: { interface: "lan0", address: "192.168.226.2/24" },
      outside: { interface: "wan0", address: "203.0.113.1/24" },
    },
  });
}

describe("names", () => {
  const metrics = [...NAT_METRICS, ...GATEWAY_METRICS];

  test("are Prometheus': counters end in _total, nothing else does; each has a help of its own", () => {
    for (const { name, type, help, labels } of [...metrics, ...HTTP_METRICS]) {
      match(name, /^napt_[a-z]+(_[a-z]+)*$/);
      equal(name.endsWith("_total"), type === "counter", name);
      match(help, /^[A-Z1].*[^.]$/, name);
      for (const label of labels) match(label, /^[a-z]+$/);
    }
    equal(new Set(metrics.map(({ name }) => name)).size, metrics.length);
    equal(new Set(metrics.map(({ help }) => help)).size, metrics.length);
  });

  test("of a gateway are a NAT's and its own", () => {
    using nat = new Nat(base);
    using gateway = idleGateway();
    const names = (of: Nat | Gateway) =>
      metricsOf(of)
        .getMetricsAsArray()
        .map(({ name }) => name);
    deepEqual(
      names(nat),
      NAT_METRICS.map(({ name }) => name),
    );
    deepEqual(
      names(gateway),
      metrics.map(({ name }) => name),
    );
  });

  test("that the examples use are all there", async () => {
    using gateway = idleGateway();
    const registry = metricsOf(gateway);
    collectDefaultMetrics({ register: registry });
    const known = new Set(registry.getMetricsAsArray().map(({ name }) => name));
    for (const file of [RULES, join(EXAMPLES, "grafana-dashboard.json")]) {
      const used = readFileSync(file, "utf8").match(/\b(?:napt|process|nodejs)_[a-z_]+/g) ?? [];
      ok(used.length >= 10, file);
      for (const name of used) {
        ok(known.has(name.replace(OF_HISTOGRAM, "$1")), `${file}: there is no ${name}`);
      }
    }
    const dashboard = JSON.parse(readFileSync(join(EXAMPLES, "grafana-dashboard.json"), "utf8"));
    const shown = JSON.stringify(dashboard.panels);
    const left = metrics.filter(({ name }) => !shown.includes(name)).map(({ name }) => name);
    deepEqual(left, [
      "napt_sent_packets_total",
      "napt_sent_bytes_total",
      "napt_passed_packets_total",
      "napt_pieces_total",
      "napt_events_lost_total",
      "napt_interface_received_bytes_total",
      "napt_interface_sent_bytes_total",
    ]);
  });

  test("and all else please promtool", { skip: noPromtool }, async () => {
    using gateway = idleGateway();
    const text = await metricsOf(gateway).metrics();
    equal(execFileSync("promtool", ["check", "metrics"], { input: text, encoding: "utf8" }), "");
    match(execFileSync("promtool", ["check", "rules", RULES], { encoding: "utf8" }), /SUCCESS: \d+ rules/);
  });
});

describe("figures", () => {
  test("are the NAT's counters and tables, at each scrape anew", async () => {
    using nat = new Nat(base);
    const metrics = metricsOf(nat);
    const scrape = async () => samplesOf(await metrics.metrics());
    const before = await scrape();
    equal(before.get('napt_sessions{protocol="udp",state="none"}'), 0);
    equal(before.get('napt_sessions{protocol="tcp",state="established"}'), 0);
    equal(before.get('napt_ports_limit{address="203.0.113.1",protocol="tcp"}'), 64512);

    equal(nat.translate(udp(flow)).verdict, "forwarded");
    nat.translate(udp({ ...flow, dst: `${REMOTE}:54` }));
    nat.translate(echo({ src: HOST, dst: REMOTE, identifier: 7 }));
    nat.translate(tcp({ ...flow, flags: "S" }));
    const foreign = udp({ src: flow.dst, dst: flow.src });
    equal(nat.translate(foreign).reason, "unmatched");
    const stray = udp({ src: flow.dst, dst: "203.0.113.1:1" });
    equal(nat.translate(stray).reason, "no-mapping");
    const { packets, bytes, protocols, sessions, drops } = nat.stats;

    const after = await scrape();
    const get = (name: string) => after.get(name);
    deepEqual(
      ["outbound", "inbound", "hairpin", "none"].map((way) => get(`napt_packets_total{direction="${way}"}`)),
      [packets.outbound, packets.inbound, packets.hairpin, 1],
    );
    deepEqual([packets.outbound, packets.inbound], [4, 1]);
    equal(get('napt_bytes_total{direction="outbound"}'), bytes.outbound);
    equal(get('napt_bytes_total{direction="inbound"}'), stray.length);
    equal(bytes.in, bytes.outbound + bytes.inbound + foreign.length);
    equal(get("napt_sent_packets_total"), packets.out);
    equal(get('napt_forwarded_packets_total{protocol="udp"}'), protocols.udp);
    equal(get('napt_drops_total{reason="no-mapping"}'), drops["no-mapping"]);
    equal(get('napt_drops_total{reason="filtered"}'), 0);
    equal(get("napt_sessions_created_total"), sessions.created);
    equal(get('napt_sessions{protocol="udp",state="none"}'), 2);
    equal(get('napt_sessions{protocol="icmp",state="none"}'), 1);
    equal(get('napt_sessions{protocol="tcp",state="opening"}'), 1);
    equal(get('napt_ports_used{address="203.0.113.1",protocol="udp"}'), 1);
    equal(get('napt_ports_used{address="203.0.113.1",protocol="icmp"}'), 1);
    equal(get("napt_sessions_limit"), 1048576);

    for (const session of nat.conntrack) nat.conntrack.delete(session);
    const end = await scrape();
    equal(end.get('napt_sessions{protocol="udp",state="none"}'), 0);
    equal(end.get('napt_ports_used{address="203.0.113.1",protocol="udp"}'), 0);
    equal(end.get("napt_sessions_deleted_total"), 4);
  });

  test("scraped twice at once are whole in both", async () => {
    using nat = new Nat(base);
    nat.translate(udp(flow));
    const metrics = metricsOf(nat);
    const [one, other] = await Promise.all([metrics.metrics(), metrics.metrics()]);
    equal(one, other);
    equal(samplesOf(one).get('napt_packets_total{direction="outbound"}'), 1);
  });

  test("of an address that the config has no more are gone", async () => {
    using nat = new Nat(base);
    const metrics = metricsOf(nat);
    const addresses = async () =>
      [...samplesOf(await metrics.metrics()).keys()].filter((name) => /^napt_ports_used.*"tcp"/.test(name));
    deepEqual(await addresses(), ['napt_ports_used{address="203.0.113.1",protocol="tcp"}']);
    nat.reconfigure({ ...base, outside: ["203.0.113.2"] });
    deepEqual(await addresses(), ['napt_ports_used{address="203.0.113.2",protocol="tcp"}']);
  });

  test("of more sessions than are looked at in one go are all of them", async () => {
    using nat = new Nat(base);
    for (let port = 1; port <= 20_000; port++) nat.translate(udp({ ...flow, dst: `${REMOTE}:${port}` }));
    const samples = samplesOf(await metricsOf(nat).metrics());
    equal(samples.get('napt_sessions{protocol="udp",state="none"}'), 20_000);
  });

  test("port blocks show where there are blocks", async () => {
    using plain = new Nat(base);
    const blocks = async (nat: Nat) =>
      [...samplesOf(await metricsOf(nat).metrics())].filter(([name]) => name.startsWith("napt_port_blocks"));
    deepEqual(await blocks(plain), []);
    using nat = new Nat({ ...base, portAssignment: { blockSize: 1024 } });
    nat.translate(udp(flow));
    deepEqual(await blocks(nat), [
      ['napt_port_blocks_used{address="203.0.113.1"}', 1],
      ['napt_port_blocks_limit{address="203.0.113.1"}', 63],
    ]);
  });

  test("a histogram adds up what was counted by bounds, as Prometheus has it", async () => {
    const registry = new Registry();
    const read = () => [
      { counts: [1, 0, 2, 4], sum: 100, labels: ["inside"] },
      { counts: [0, 0, 0, 0], sum: 0, labels: ["outside"] },
    ];
    const naming = { name: "napt_size", help: "Sizes", labels: ["side"] };
    register(registry, null, { ...naming, type: "histogram", bounds: [1, 2.5], read });
    const text = await registry.metrics();
    deepEqual(Object.fromEntries(samplesOf(text)), {
      'napt_size_bucket{side="inside",le="1"}': 1,
      'napt_size_bucket{side="inside",le="2.5"}': 1,
      'napt_size_bucket{side="inside",le="+Inf"}': 7,
      'napt_size_sum{side="inside"}': 100,
      'napt_size_count{side="inside"}': 7,
      'napt_size_bucket{side="outside",le="1"}': 0,
      'napt_size_bucket{side="outside",le="2.5"}': 0,
      'napt_size_bucket{side="outside",le="+Inf"}': 0,
      'napt_size_sum{side="outside"}': 0,
      'napt_size_count{side="outside"}': 0,
    });
    match(text, /^# TYPE napt_size histogram$/m);
    if (noPromtool) console.log(`# not checked by promtool: ${noPromtool}`);
    else equal(execFileSync("promtool", ["check", "metrics"], { input: text, encoding: "utf8" }), "");
  });

  test("a stopped gateway tells that, and of its NAT", async () => {
    using gateway = idleGateway();
    gateway.nat.translate(udp(flow));
    const samples = samplesOf(await metricsOf(gateway).metrics());
    equal(samples.get("napt_gateway_running"), 0);
    equal(samples.get('napt_interface_up{side="inside"}'), 0);
    deepEqual(
      [...samples.keys()].filter((name) => name.startsWith("napt_burst")),
      [],
    );
    equal(samples.get('napt_packets_total{direction="outbound"}'), 1);
  });

  test("of a NAT that is closed are refused", async () => {
    const nat = new Nat(base);
    nat.close();
    await rejects(metricsOf(nat).metrics(), { code: "NAT_ERR_CLOSED" });
  });
});

describe("labels are bounded", () => {
  test("protocols without a name are one", async () => {
    using nat = new Nat({ ...base, protocols: { other: true, udplite: true } });
    for (const protocol of [4, 41, 89, 103]) {
      equal(nat.translate(raw({ src: HOST, dst: REMOTE, protocol })).verdict, "forwarded");
    }
    const samples = samplesOf(await metricsOf(nat).metrics());
    const protocols = [...samples.keys()].filter((name) => name.startsWith("napt_sessions{"));
    equal(samples.get('napt_sessions{protocol="other",state="none"}'), 4);
    equal(protocols.length, 9);
    equal(samples.get('napt_ports_used{address="203.0.113.1",protocol="udplite"}'), 0);
  });

  test("reasons are those that there are", async () => {
    using nat = new Nat(base);
    const samples = samplesOf(await metricsOf(nat).metrics());
    const reasons = [...samples.keys()].filter((name) => name.startsWith("napt_drops_total{"));
    equal(reasons.length, REASONS.length - 1);
  });

  test(`of a pool of more than ${MOST_ADDRESSES} addresses there is one sum`, async () => {
    const pool = (size: number) =>
      Array.from({ length: size }, (_, i) => `203.0.${112 + (i >> 8)}.${i & 255}`);
    const used = async (size: number) => {
      using nat = new Nat({ ...base, outside: pool(size), pooling: "arbitrary" });
      for (let port = 4000; port < 4010; port++) {
        nat.translate(udp({ ...flow, src: `${HOST}:${port}` }));
      }
      return [...samplesOf(await metricsOf(nat).metrics())].filter(([name]) =>
        /^napt_ports_used\{.*"udp"/.test(name),
      );
    };
    const most = await used(MOST_ADDRESSES);
    equal(most.length, MOST_ADDRESSES);
    equal(
      most.reduce((sum, [, value]) => sum + value, 0),
      10,
    );
    deepEqual(await used(MOST_ADDRESSES + 1), [['napt_ports_used{address="all",protocol="udp"}', 10]]);
  });
});
