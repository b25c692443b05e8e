/** What happens to single flows over a few seconds, to compare when sessions end. */
import type { Protocol, Shape } from "./steps.js";
import { WORLDS, type World } from "./worlds.js";

/** Seconds until what is short ends, and what is long. */
const SHORT = 2;
const LONG = 5;

/** Conntrack has a timeout for each TCP state; those that are one to napt are the same here. */
export const SHORT_LIVED: World = {
  ...WORLDS.masquerade,
  name: "short timeouts",
  about: "`masquerade`, with timeouts of 2 and 5 s on both sides",
  napt: {
    ...WORLDS.masquerade.napt,
    timeouts: {
      udp: SHORT,
      icmp: SHORT,
      fragment: SHORT,
      tcpOpening: SHORT,
      tcpEstablished: LONG,
      tcpClosing: SHORT,
      tcpTransitory: SHORT,
      tcpTimeWait: SHORT,
    },
  },
  kernel: {
    ...WORLDS.masquerade.kernel,
    sysctl: {
      ...WORLDS.masquerade.kernel.sysctl,
      "net.ipv4.ipfrag_time": SHORT,
      "net.netfilter.nf_conntrack_udp_timeout": SHORT,
      "net.netfilter.nf_conntrack_udp_timeout_stream": SHORT,
      "net.netfilter.nf_conntrack_icmp_timeout": SHORT,
      "net.netfilter.nf_conntrack_tcp_timeout_syn_sent": SHORT,
      "net.netfilter.nf_conntrack_tcp_timeout_syn_recv": SHORT,
      "net.netfilter.nf_conntrack_tcp_timeout_established": LONG,
      "net.netfilter.nf_conntrack_tcp_timeout_fin_wait": LONG,
      "net.netfilter.nf_conntrack_tcp_timeout_close_wait": LONG,
      "net.netfilter.nf_conntrack_tcp_timeout_last_ack": SHORT,
      "net.netfilter.nf_conntrack_tcp_timeout_time_wait": SHORT,
      "net.netfilter.nf_conntrack_tcp_timeout_close": SHORT,
    },
  },
};

/** A packet that one end of the flow sends at a time, in seconds; or one to the flow's public endpoint. */
export type Event = [number, "inside" | "outside" | "stranger" | "error", Partial<Shape>];

export interface Timeline {
  name: string;
  protocol: Protocol;
  events: Event[];
  /** Why the last packet comes through one of the routers only. */
  differs?: { kernel: string; napt: string; reason: string };
}

const opened: Event[] = [
  [0, "inside", { segment: "syn" }],
  [0, "outside", { segment: "synack" }],
  [0, "inside", { segment: "ack" }],
];
const closing: Event[] = [...opened, [0, "inside", { segment: "fin" }], [0, "outside", { segment: "fin" }]];
const closed: Event[] = [...closing, [0, "inside", { segment: "ack" }]];
const reset: Event[] = [...opened, [0, "inside", { segment: "rst" }]];
const fragments = { length: 100, pieces: { cuts: [24], order: [0] } };

/** The answer that tells whether a flow still has its session. */
const answer = (at: number, segment: Shape["segment"] = "ack"): Event => [at, "outside", { segment }];

/** Timelines of two that only differ in when the answer comes. */
function shortAndLong(
  name: string,
  protocol: Protocol,
  events: Event[],
  segment?: Shape["segment"],
): Timeline[] {
  return [
    { name: `${name}, before its time`, protocol, events: [...events, answer(SHORT - 0.7, segment)] },
    { name: `${name}, after it`, protocol, events: [...events, answer(SHORT + 0.7, segment)] },
  ];
}

export const TIMELINES: Timeline[] = [
  ...shortAndLong("UDP", "udp", [[0, "inside", {}]]),
  ...shortAndLong("UDP that was answered", "udp", [
    [0, "inside", {}],
    [0, "outside", {}],
  ]),
  {
    name: "UDP, refreshed from inside",
    protocol: "udp",
    events: [[0, "inside", {}], [1.3, "inside", {}], answer(SHORT + 0.7)],
  },
  {
    name: "UDP, refreshed from outside",
    protocol: "udp",
    events: [[0, "inside", {}], answer(1.3), answer(SHORT + 0.7)],
  },
  {
    name: "UDP, not refreshed by what is filtered",
    protocol: "udp",
    events: [[0, "inside", {}], [1.3, "stranger", {}], answer(SHORT + 0.7)],
  },
  {
    name: "UDP, not refreshed by an ICMP error",
    protocol: "udp",
    events: [[0, "inside", {}], [1.3, "error", {}], answer(SHORT + 0.7)],
  },
  ...shortAndLong("an echo", "icmp", [[0, "inside", {}]]),
  ...shortAndLong("TCP that opens", "tcp", [[0, "inside", { segment: "syn" }]], "synack"),
  ...shortAndLong("TCP that is answered", "tcp", opened.slice(0, 2), "synack"),
  { name: "TCP, established", protocol: "tcp", events: [...opened, answer(SHORT + 0.7)] },
  { name: "TCP, established for too long", protocol: "tcp", events: [...opened, answer(LONG + 0.7)] },
  {
    name: "TCP, half closed",
    protocol: "tcp",
    events: [...opened, [0, "inside", { segment: "fin" }], answer(SHORT + 0.7)],
  },
  ...shortAndLong("TCP, both sides closing", "tcp", closing),
  ...shortAndLong("TCP in TIME_WAIT", "tcp", closed),
  ...shortAndLong("TCP after a RST", "tcp", reset),
  {
    name: "TCP after a RST out of the window",
    protocol: "tcp",
    events: [...opened, [0, "outside", { segment: "wild rst" }], answer(SHORT + 0.7)],
  },
  {
    name: "TCP that goes on after a RST",
    protocol: "tcp",
    events: [...reset, [1, "inside", { segment: "data" }], answer(1 + SHORT + 0.7)],
    differs: {
      kernel: "a connection that saw a RST in the window stays CLOSE, for its timeout",
      napt: "it is open again",
      reason: "RFC 7857, 2.2: return to established if segments go on",
    },
  },
  {
    name: "a fragment in time",
    protocol: "udp",
    events: [
      [0, "inside", fragments],
      [SHORT - 0.7, "inside", { ...fragments, pieces: { cuts: [24], order: [1] } }],
    ],
  },
  {
    name: "a fragment too late",
    protocol: "udp",
    events: [
      [0, "inside", fragments],
      [SHORT + 0.7, "inside", { ...fragments, pieces: { cuts: [24], order: [1] } }],
    ],
  },
];
