// A metric as napt has them: what it is called and means, and how it is read when somebody asks.
import { Counter, Gauge, type Metric as Registered, type Registry } from "prom-client";

/** A value, and one for each of the metric's labels. */
export type Sample = readonly [value: number, ...labels: string[]];

/** A metric of something. */
export interface Metric<Source> {
  readonly name: string;
  readonly type: "counter" | "gauge";
  /** What it counts, in a sentence without its full stop. */
  readonly help: string;
  readonly labels: readonly string[];
  /** What it is now. */
  readonly read: (source: Source) => Iterable<Sample> | Promise<Iterable<Sample>>;
}

/** How often something was how large, with the labels' values. */
export interface HistogramSample {
  /** How often it was at most the bound with the same number, but more than the one before; behind them: above all. */
  readonly counts: readonly number[];
  readonly sum: number;
  readonly labels: readonly string[];
}

/** A histogram of something. */
export interface HistogramMetric<Source> extends Pick<Metric<Source>, "name" | "help" | "labels"> {
  readonly type: "histogram";
  readonly bounds: readonly number[];
  readonly read: (source: Source) => Iterable<HistogramSample>;
}

/** Puts a metric into a registry, to be read at each scrape. */
export function register<Source>(
  registry: Registry,
  source: Source,
  metric: Metric<Source> | HistogramMetric<Source>,
): void {
  if (metric.type === "histogram") {
    registerHistogram(registry, source, metric);
    return;
  }
  const { name, help, labels: labelNames, type, read } = metric;
  const settings = { name, help, labelNames, registers: [registry] };
  const labelled = (values: readonly string[]) =>
    Object.fromEntries(labelNames.map((label, i) => [label, values[i]!]));
  // All at once, so that one who asks at the same time sees no half of it.
  const collect = async (put: (samples: Iterable<Sample>) => void) => put(await read(source));
  if (type === "gauge") {
    const gauge: Gauge = new Gauge({
      ...settings,
      collect: () =>
        collect((samples) => {
          gauge.reset();
          for (const [value, ...labels] of samples) gauge.set(labelled(labels), value);
        }),
    });
    return;
  }
  const counter: Counter = new Counter({
    ...settings,
    collect: () =>
      collect((samples) => {
        counter.reset();
        for (const [value, ...labels] of samples) counter.inc(labelled(labels), value);
      }),
  });
}

/** prom-client's own histograms are told each value; these were counted already. */
function registerHistogram<Source>(
  registry: Registry,
  source: Source,
  { name, help, labels: names, bounds, read }: HistogramMetric<Source>,
): void {
  const valuesOf = ({ counts, sum, labels }: HistogramSample) => {
    const own = Object.fromEntries(names.map((label, i) => [label, labels[i]!]));
    let count = 0;
    const upTo = counts.map((more) => {
      count += more;
      return count;
    });
    const bucket = (le: number | "+Inf", value: number) => ({
      metricName: `${name}_bucket`,
      labels: { ...own, le },
      value,
    });
    return [
      ...bounds.map((bound, i) => bucket(bound, upTo[i]!)),
      bucket("+Inf", count),
      { metricName: `${name}_sum`, labels: own, value: sum },
      { metricName: `${name}_count`, labels: own, value: count },
    ];
  };
  const get = async () => ({
    name,
    help,
    type: "histogram",
    aggregator: "sum",
    values: [...read(source)].flatMap(valuesOf),
  });
  registry.registerMetric({ name, help, get, reset: () => {} } as unknown as Registered);
}

/** Reads once for all who ask in one go, as a registry does: so the figures of one scrape are of one moment. */
export function onceAScrape<T>(read: () => T): () => T {
  let held: { readonly value: T } | null = null;
  return () => {
    if (held === null) {
      held = { value: read() };
      queueMicrotask(() => {
        held = null;
      });
    }
    return held.value;
  };
}
