// From a resolved config to the numbers that the core runs by.
import type { CompiledConfig } from "../native.js";
import { BEHAVIOURS, behaviourOf } from "./behaviour.js";
import { parseCidr, parseIpv4 } from "./cidr.js";
import { parseEndpoint, parsePorts } from "./endpoint.js";
import { PROTOCOLS } from "./protocols.js";
import type { ResolvedNatConfig } from "./schema.js";

const NS_PER_SECOND = 1e9;

/** Compiles a config that `parseConfig` has checked. */
export function compileConfig(config: ResolvedNatConfig): CompiledConfig {
  const { portAssignment, timeouts, limits } = config;
  return {
    inside: rows(config.inside, (prefix) => {
      const { network, bits } = parseCidr(prefix)!;
      return [network, bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0];
    }),
    outside: rows(config.outside, ({ address, ports }) => {
      const { lo, hi } = parsePorts(ports)!;
      return [parseIpv4(address)!, lo, hi];
    }),
    forwards: rows(config.forwards, ({ protocol, outside, inside }) => {
      const from = parseEndpoint(outside)!;
      const to = parseEndpoint(inside)!;
      return [PROTOCOLS[protocol], from.address, from.port, to.address, to.port];
    }),
    statics: rows(config.static, ({ outside, inside }) => [parseIpv4(outside)!, parseIpv4(inside)!]),
    mapping: BEHAVIOURS.indexOf(behaviourOf("mapping", config.mapping, "udp")),
    filtering: BEHAVIOURS.indexOf(behaviourOf("filtering", config.filtering, "udp")),
    randomPorts: portAssignment.order === "random",
    preservePorts: portAssignment.preserve,
    parity: portAssignment.parity,
    blockSize: portAssignment.blockSize,
    paired: config.pooling === "paired",
    hairpinning: config.hairpinning,
    // In the order of native/nat/config.h, enum Timeout.
    timeouts: nanoseconds(
      timeouts.udp,
      timeouts.tcpEstablished,
      timeouts.tcpTransitory,
      timeouts.tcpTimeWait,
      timeouts.icmp,
    ),
    fragmentTimeout: nanoseconds(timeouts.fragment),
    sessionLimit: limits.sessions,
    hostLimit: limits.sessionsPerHost,
    fragmentLimit: limits.fragments,
    decrementTtl: config.ttl === "decrement",
    icmpErrors: config.icmpErrors,
    inboundRefresh: config.inboundRefresh,
    tcpPickup: config.tcpPickup,
    verifyHeaderChecksum: config.verifyHeaderChecksum,
    passUnmatched: config.unmatched === "pass",
  };
}

function rows<T>(list: readonly T[], row: (entry: T) => number[]): Uint32Array {
  return Uint32Array.from(list.flatMap(row));
}

function nanoseconds(...seconds: number[]): Float64Array {
  return Float64Array.from(seconds, (value) => Math.round(value * NS_PER_SECOND));
}
