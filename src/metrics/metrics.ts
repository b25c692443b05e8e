// A NAT's metrics for Prometheus.
import { Registry } from "prom-client";
import { Gateway } from "../gateway/gateway.js";
import type { Nat } from "../nat.js";
import { portUse } from "./census.js";
import { GATEWAY_METRICS } from "./gateway-metrics.js";
import { HTTP_METRICS } from "./http-metrics.js";
import { LOG_METRICS } from "./log-metrics.js";
import { type Metric, onceAScrape, register } from "./metric.js";
import { NAT_METRICS } from "./nat-metrics.js";

/**
 * The metrics of a NAT, or of a gateway with its NAT, as a registry of prom-client's. Nothing is done for them until
 * somebody asks: then the core's counters are read, and its tables looked through a part at a time, so that packets
 * never wait for it. `Registry.merge` puts them together with a program's own.
 *
 * `metrics()` of the registry rejects with NatError NAT_ERR_CLOSED once the NAT is closed.
 * @example
 * const metrics = metricsOf(nat);
 * createServer(async (_, response) => response.end(await metrics.metrics())).listen(9469, "127.0.0.1");
 */
export function metricsOf(source: Nat | Gateway): Registry {
  const registry = new Registry();
  const nat = source instanceof Gateway ? source.nat : source;
  const status = source instanceof Gateway ? onceAScrape(() => source.status) : null;
  const stats = status === null ? onceAScrape(() => nat.stats) : () => status().nat;
  const reading = { nat, stats, ports: onceAScrape(() => portUse(nat)) };
  for (const metric of NAT_METRICS) register(registry, reading, metric);
  if (status !== null) {
    for (const metric of GATEWAY_METRICS) register(registry, { status }, metric);
  }
  return registry;
}

/** The metrics as a table in Markdown, as docs/gateway.md has it. */
export function metricsMarkdown(): string {
  const rows = [...NAT_METRICS, ...GATEWAY_METRICS, ...HTTP_METRICS, ...LOG_METRICS].map(
    ({
      name,
      type,
      labels,
      help,
    }: Pick<Metric<unknown>, "name" | "labels" | "help"> & { readonly type: string }) =>
      `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(", ")} | ${help} |`,
  );
  return `${["| Metric | Type | Labels | Meaning |", "| --- | --- | --- | --- |", ...rows].join("\n")}\n`;
}
