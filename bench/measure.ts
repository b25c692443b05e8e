// How figures come about: the time of calls alone, in several runs that take turns with what they are compared to.
import type { Running, Work } from "./works.js";

/** One measurement; ns are per packet. */
export interface Row {
  readonly work: string;
  readonly sessions: number;
  readonly batch: number;
  /** Of the Ethernet frames; 0: mixed. */
  readonly bytes: number;
  /** Median over the runs. */
  readonly nsPerPacket: number;
  readonly min: number;
  readonly max: number;
  readonly mpps: number;
  /** By the limit's ns, the median of both in this run. */
  readonly ratioToLimit: number | null;
  /** JavaScript's ns by these. */
  readonly ratioToJs: number | null;
  readonly instructionsPerPacket?: number;
  /** Of single calls, in us: the 99.9th percentile and the longest. */
  readonly p999?: number;
  readonly longest?: number;
}

export const round = (value: number) => Math.round(value * 100) / 100;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1]!;
}

/** ns a packet of `calls` calls; each call's ns go into `each`. */
function time(running: Running, call: () => void, calls: number, packets: number, each?: number[]): number {
  let total = 0;
  for (let i = 0; i < calls; i++) {
    running.fill();
    const begin = performance.now();
    call();
    const ms = performance.now() - begin;
    total += ms;
    each?.push(ms * 1e6);
  }
  return (total * 1e6) / calls / packets;
}

export interface Plan {
  readonly work: Work;
  readonly sessions: number;
  readonly batch: number;
  readonly runs: number;
  /** Packets of a run. */
  readonly packets: number;
  /** Measures the limit once, ns a packet; what it is compared to runs in between. */
  readonly limit?: (sessions: number) => number | null;
  /** Whether single calls count: their percentiles. */
  readonly calls?: boolean;
}

/** Measures one work. */
export function measure({ work, sessions, batch, runs, packets, limit, calls }: Plan): Row {
  const running = work.start(sessions, batch);
  try {
    const count = Math.max(1, Math.ceil(packets / batch));
    const napt: number[] = [];
    const javascript: number[] = [];
    const limits: number[] = [];
    const each: number[] = [];
    time(running, running.call, Math.ceil(count / 4), batch); // for the compiler
    if (running.javascript) time(running, running.javascript, Math.ceil(count / 4), batch);
    for (let run = 0; run < runs; run++) {
      const least = limit?.(sessions) ?? null;
      if (least !== null) limits.push(least);
      napt.push(time(running, running.call, count, batch, calls ? each : undefined));
      if (running.javascript) javascript.push(time(running, running.javascript, count, batch));
    }
    running.check();
    const ns = median(napt);
    each.sort((a, b) => a - b);
    return {
      work: work.name,
      sessions,
      batch,
      bytes: work.bytes,
      nsPerPacket: round(ns),
      min: round(Math.min(...napt)),
      max: round(Math.max(...napt)),
      mpps: round(1000 / ns),
      ratioToLimit: limits.length > 0 ? round(ns / median(limits)) : null,
      ratioToJs: javascript.length > 0 ? round(median(javascript) / ns) : null,
      ...(calls && {
        p999: round(each[Math.floor(each.length * 0.999)]! / 1000),
        longest: round(each.at(-1)! / 1000),
      }),
    };
  } finally {
    running.close();
  }
}
