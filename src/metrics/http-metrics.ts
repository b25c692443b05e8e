// The metrics of a gateway's HTTP port.
import type { Metric, Sample } from "./metric.js";

export const HTTP_METRICS: readonly Metric<Readonly<Record<string, number>>>[] = [
  {
    name: "napt_http_refused_total",
    type: "counter",
    help: "Requests and connections that the HTTP port refused: too many connections, no access (a wrong token, another site's page), too large, malformed, too slow",
    labels: ["reason"],
    read: (refused) => Object.entries(refused).map(([reason, count]): Sample => [count, reason]),
  },
];
