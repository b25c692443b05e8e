// The ports of the host's own address that are the gateway's: its range, and its forwards.
import { readFileSync } from "node:fs";
import { type PortRange, parsePorts } from "../../config/endpoint.js";
import { NatError } from "../../errors.js";
import type { Forward } from "../gateway.js";

/** Of transports with ports; "other" are SCTP, DCCP and UDP-Lite. */
export interface OwnPorts {
  readonly tcp: readonly PortRange[];
  readonly udp: readonly PortRange[];
  readonly other: readonly PortRange[];
}

/** Separate ranges that one rule can tell. */
const MOST = 512;

/**
 * The gateway's ports: a range for all, and a port for each forward.
 * @throws NatError NAT_ERR_GATEWAY when they are too scattered
 */
export function ownPorts(range: PortRange, forwards: readonly Forward[]): OwnPorts {
  const of = (protocol: string) =>
    merged([
      range,
      ...forwards
        .filter((forward) => forward.protocol === protocol)
        .map(({ outside }) => Number(outside.split(":")[1]))
        .map((port) => ({ lo: port, hi: port })),
    ]);
  const own = { tcp: of("tcp"), udp: of("udp"), other: [range] };
  if (own.tcp.length > MOST || own.udp.length > MOST) {
    throw new NatError(
      "NAT_ERR_GATEWAY",
      `forwards in ${Math.max(own.tcp.length, own.udp.length)} separate places are more than the host's own address can have (${MOST}); put them side by side`,
    );
  }
  return own;
}

/**
 * Looks whether the host uses, or may come to use, a port that is to be the gateway's.
 * @throws NatError NAT_ERR_GATEWAY with what to do
 */
export function checkFree(range: PortRange, own: OwnPorts): void {
  const { lo, hi } = ephemeralPorts();
  const reserved = readRanges("/proc/sys/net/ipv4/ip_local_reserved_ports");
  for (let port = Math.max(lo, range.lo); port <= Math.min(hi, range.hi); port++) {
    if (reserved.some((one) => contains(one, port))) continue;
    throw new NatError(
      "NAT_ERR_GATEWAY",
      `gateway.outside.ports: the host gives its own connections ports from ${lo} to ${hi}; choose others, or keep ` +
        `it from them: sysctl -w net.ipv4.ip_local_reserved_ports=${range.lo}-${range.hi}`,
    );
  }
  for (const [protocol, ranges] of [["tcp", own.tcp] as const, ["udp", own.udp] as const]) {
    const taken = usedPorts(protocol).find((port) => ranges.some((one) => contains(one, port)));
    if (taken === undefined) continue;
    throw new NatError(
      "NAT_ERR_GATEWAY",
      `${protocol} port ${taken} is used by a program of the host's (ss -anp tells which); end it, or choose other ports`,
    );
  }
}

function contains({ lo, hi }: PortRange, port: number): boolean {
  return port >= lo && port <= hi;
}

function merged(ranges: readonly PortRange[]): PortRange[] {
  const out: PortRange[] = [];
  for (const range of [...ranges].sort((a, b) => a.lo - b.lo)) {
    const last = out.at(-1);
    if (last === undefined || range.lo > last.hi + 1) out.push(range);
    else out[out.length - 1] = { lo: last.lo, hi: Math.max(last.hi, range.hi) };
  }
  return out;
}

/** Ports that sockets of the host are bound to. */
function usedPorts(protocol: "tcp" | "udp"): number[] {
  return [protocol, `${protocol}6`].flatMap((table) =>
    readIfThere(`/proc/net/${table}`)
      .split("\n")
      .slice(1)
      .map((line) => Number.parseInt(line.trim().split(/\s+/)[1]?.split(":")[1] ?? "0", 16))
      .filter((port) => port !== 0),
  );
}

/** What the system chooses from for whoever does not say. */
function ephemeralPorts(): PortRange {
  const [lo = 32768, hi = 60999] = readIfThere("/proc/sys/net/ipv4/ip_local_port_range")
    .trim()
    .split(/\s+/)
    .map(Number);
  return { lo, hi };
}

/** Ranges as sysctl has them: `8080,61000-65535`. */
function readRanges(path: string): PortRange[] {
  return readIfThere(path)
    .trim()
    .split(",")
    .flatMap((part) => parsePorts(part) ?? []);
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // no IPv6, say
  }
}
