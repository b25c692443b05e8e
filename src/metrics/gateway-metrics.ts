// What a gateway has besides its NAT's metrics: its two ports, and what JavaScript has to do with.
import type { GatewayStats, HistogramStats, PortStats } from "../gateway/stats.js";
import type { GatewayStatus } from "../gateway/status.js";
import type { HistogramMetric, Metric, Sample } from "./metric.js";

/** What metrics of a gateway are read from. */
export interface GatewayReading {
  status(): GatewayStatus;
}

const SIDES = ["inside", "outside"] as const;

/** What is counted while the gateway runs. */
const whileRunning =
  (read: (stats: GatewayStats) => Sample[]): Metric<GatewayReading>["read"] =>
  ({ status }) => {
    const { gateway } = status();
    return gateway === null ? [] : read(gateway);
  };

const sides = (status: GatewayStatus, value: (side: GatewayStatus["inside"]) => number): Sample[] =>
  SIDES.map((side) => [value(status[side]), side]);

/** A counter with a value for each side. */
const bySide = (name: string, help: string, value: (port: PortStats) => number): Metric<GatewayReading> => ({
  name,
  type: "counter",
  help,
  labels: ["side"],
  read: whileRunning((stats) => SIDES.map((side) => [value(stats[side]), side])),
});

const counter = (
  name: string,
  help: string,
  value: (stats: GatewayStats) => number,
): Metric<GatewayReading> => ({
  name,
  type: "counter",
  help,
  labels: [],
  read: whileRunning((stats) => [[value(stats)]]),
});

/** What a histogram's figures are in the metric's unit: its bounds, and 1 of its sum. */
interface Scale {
  readonly bounds: readonly number[];
  readonly sum: number;
}

const powersOfTwo = (count: number, unit: number) => Array.from({ length: count }, (_, i) => 2 ** i * unit);

const histogram = (
  name: string,
  help: string,
  { bounds, sum: unit }: Scale,
  value: (port: PortStats) => HistogramStats,
): HistogramMetric<GatewayReading> => ({
  name,
  type: "histogram",
  help,
  labels: ["side"],
  bounds,
  read: ({ status }) => {
    const { gateway } = status();
    if (gateway === null) return [];
    return SIDES.map((side) => {
      const { counts, sum } = value(gateway[side]);
      return { counts, sum: sum * unit, labels: [side] };
    });
  },
});

/** Why a port loses frames: our words for the labels, and what is counted. */
const LOSSES: readonly (readonly [
  reason: string,
  of: Exclude<keyof PortStats, "burstFrames" | "burstTime">,
])[] = [
  ["ring-full", "lost"],
  ["cut", "cut"],
  ["tagged", "tagged"],
  ["spoofed", "spoofed"],
  ["too-long", "tooLong"],
  ["refused", "refused"],
];

export const GATEWAY_METRICS: readonly (Metric<GatewayReading> | HistogramMetric<GatewayReading>)[] = [
  {
    name: "napt_gateway_running",
    type: "gauge",
    help: "1 while the gateway translates, else 0",
    labels: [],
    read: ({ status }) => [[status().running ? 1 : 0]],
  },
  {
    name: "napt_interface_up",
    type: "gauge",
    help: "1 where a side's interface is up, else 0",
    labels: ["side"],
    read: ({ status }) => sides(status(), ({ up }) => (up ? 1 : 0)),
  },
  bySide("napt_interface_received_frames_total", "Frames received, by side", (port) => port.received),
  bySide(
    "napt_interface_received_bytes_total",
    "Bytes of the frames received, by side",
    (port) => port.receivedBytes,
  ),
  bySide("napt_interface_sent_frames_total", "Frames sent, by side", (port) => port.sent),
  bySide("napt_interface_sent_bytes_total", "Bytes of the frames sent, by side", (port) => port.sentBytes),
  {
    name: "napt_interface_lost_frames_total",
    type: "counter",
    help: "Frames lost, by side and reason: ring-full and cut (too large for it) when they came; tagged (of a VLAN); spoofed (another guest's hardware address); too-long (for the MTU) and refused (by the kernel) when they were to leave",
    labels: ["side", "reason"],
    read: whileRunning((stats) =>
      SIDES.flatMap((side) => LOSSES.map(([reason, of]): Sample => [stats[side][of], side, reason])),
    ),
  },
  histogram(
    "napt_burst_frames",
    "Frames that were taken from a side's interface at a time: as many as waited there, up to 64",
    { bounds: powersOfTwo(7, 1), sum: 1 },
    (port) => port.burstFrames,
  ),
  histogram(
    "napt_burst_seconds",
    "Seconds from a burst's receipt until all of it was sent, by the side that it came in on",
    { bounds: powersOfTwo(16, 1e-6), sum: 1e-9 },
    (port) => port.burstTime,
  ),
  {
    name: "napt_neighbours",
    type: "gauge",
    help: "Stations whose hardware address is known, by side",
    labels: ["side"],
    read: ({ status }) => sides(status(), ({ neighbours }) => neighbours),
  },
  counter(
    "napt_foreign_frames_total",
    "Frames that were not for the gateway, or neither IPv4 nor ARP",
    (stats) => stats.foreign,
  ),
  counter(
    "napt_unroutable_packets_total",
    "Translated packets that no network leads to",
    (stats) => stats.unroutable,
  ),
  counter("napt_punts_total", "Frames that the gateway's thread gave to JavaScript", (stats) => stats.punted),
  counter("napt_punts_lost_total", "Frames that were too many for JavaScript", (stats) => stats.puntsLost),
];
