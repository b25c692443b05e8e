// What a gateway's logs count.
import type { Registry } from "prom-client";
import type { EventLogStats } from "../logs/event-log.js";
import { type Metric, register, type Sample } from "./metric.js";

/** What metrics of logs are read from. */
export interface LogReading {
  readonly exports: { stats(): ReadonlyMap<string, EventLogStats> };
  readonly log: { readonly lost: number };
}

const byExport =
  (value: (stats: EventLogStats) => number): Metric<LogReading>["read"] =>
  ({ exports }) =>
    [...exports.stats()].map(([name, stats]): Sample => [value(stats), name]);

export const LOG_METRICS: readonly Metric<LogReading>[] = [
  {
    name: "napt_export_events_total",
    type: "counter",
    help: "Events of the NAT that were exported, by where to: ipfix, syslog, file",
    labels: ["to"],
    read: byExport((stats) => stats.exported),
  },
  {
    name: "napt_export_lost_events_total",
    type: "counter",
    help: "Events that are not exported, as the other end did not take them or they were too many, by where to",
    labels: ["to"],
    read: byExport((stats) => stats.lost),
  },
  {
    name: "napt_log_lost_lines_total",
    type: "counter",
    help: "Lines that the gateway's own log has not taken",
    labels: [],
    read: ({ log }) => [[log.lost]],
  },
];

/** Puts the logs' metrics into a gateway's registry. */
export function addLogMetrics(registry: Registry, reading: LogReading): void {
  for (const metric of LOG_METRICS) register(registry, reading, metric);
}
