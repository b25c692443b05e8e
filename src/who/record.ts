// Records of a deterministic NAT's parameters (RFC 7422, section 3), one JSON object a line: appended at each change,
// and once a day so that it can be seen that there was none. They answer for the past what the config does for today.
import { z } from "zod";
import {
  insideAddress,
  insidePrefix,
  portRange,
  publicAddress,
  publicPrefix,
} from "../config/address-fields.js";
import { type Cidr, cidrSize, formatCidr, networkOf, parseCidr } from "../config/cidr.js";
import { type Parameters, parametersOf, splitOf } from "../config/deterministic.js";
import { parsePorts } from "../config/endpoint.js";
import type { ResolvedNatConfig } from "../config/schema.js";
import { showPath } from "../config/wording.js";
import { NatError } from "../errors.js";

const recordSchema = z.object({
  /** When the parameters came into force, or still were. */
  time: z.iso.datetime({ offset: true }),
  inside: z.array(insidePrefix).min(1),
  /** The pool in its order, as prefixes. */
  outside: z.array(publicPrefix).min(1),
  ports: portRange("1024-65535"),
  /** The ports of the outside addresses that are not handed out. */
  reserved: z.array(z.string()),
  /** Shares of the ports that are a dynamic pool. */
  D: z.int().min(0).max(65535),
  /** Ports of a host. */
  M: z.int().min(1).max(65535),
  /** Hosts of an outside address. */
  C: z.int().min(1),
  algorithm: z.literal("sequential"),
  /** Hosts that have an outside address to themselves. */
  static: z.array(z.object({ outside: publicAddress, inside: insideAddress })),
});

/** One line of the records. */
export type ParameterRecord = z.output<typeof recordSchema>;

/** What a record says. */
export interface Recorded {
  readonly time: Date;
  readonly parameters: Parameters;
  readonly statics: ParameterRecord["static"];
}

/** The record of a config; null when it is not deterministic. */
export function recordOf(config: ResolvedNatConfig, time: Date): ParameterRecord | null {
  const parameters = parametersOf(config);
  if (parameters === null) return null;
  const { portsPerHost, hostsPerAddress } = splitOf(parameters);
  const { lo, hi } = parameters.ports;
  return {
    time: time.toISOString(),
    inside: config.inside,
    outside: prefixesOf(parameters.outside).map(formatCidr),
    ports: `${lo}-${hi}`,
    reserved: [`0-${lo - 1}`, ...(hi < 65535 ? [`${hi + 1}-65535`] : [])],
    D: parameters.dynamic,
    M: portsPerHost,
    C: hostsPerAddress,
    algorithm: "sequential",
    static: config.static,
  };
}

/**
 * The record in force at a time: the last one made by then.
 * @param name of the file, for messages
 * @throws NatError when a line is no record, or none is as old
 */
export function recordAt(text: string, at: Date, name: string): Recorded {
  const records = text
    .split("\n")
    .map((line, index) => ({ line, number: index + 1 }))
    .filter(({ line }) => line.trim() !== "")
    .map(({ line, number }) => parseRecord(line, `${name}: line ${number}`));
  const inForce = records
    .filter(({ time }) => time <= at)
    .reduce<Recorded | null>((last, one) => (last === null || one.time >= last.time ? one : last), null);
  if (inForce !== null) return inForce;
  const begin = records.map(({ time }) => time.toISOString()).sort()[0];
  throw new NatError(
    "NAT_ERR_ARGUMENT",
    begin === undefined
      ? `${name}: no records`
      : `${name}: nothing is known of ${at.toISOString()}; the records begin at ${begin}`,
  );
}

function parseRecord(line: string, where: string): Recorded {
  const { data, error } = recordSchema.safeParse(parseJson(line, where));
  if (data === undefined) {
    const { path, message } = error.issues[0]!;
    throw damaged(where, path.length === 0 ? message : `${showPath(path)}: ${message}`);
  }
  const parameters: Parameters = {
    inside: data.inside.map((prefix) => parseCidr(prefix)!),
    outside: data.outside.flatMap((prefix) => addressesOf(parseCidr(prefix)!)),
    ports: parsePorts(data.ports)!,
    dynamic: data.D,
  };
  const { portsPerHost, hostsPerAddress } = splitOf(parameters);
  if (portsPerHost !== data.M || hostsPerAddress !== data.C) {
    throw damaged(
      where,
      `M ${data.M} and C ${data.C} don't follow from the rest, which gives ${portsPerHost} and ${hostsPerAddress}`,
    );
  }
  return { time: new Date(data.time), parameters, statics: data.static };
}

function parseJson(line: string, where: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw damaged(where, (error as Error).message);
  }
}

function damaged(where: string, why: string): NatError {
  return new NatError("NAT_ERR_ARGUMENT", `${where}: no record of a deterministic NAT: ${why}`);
}

/** Addresses as the fewest prefixes that have them in this order. */
function prefixesOf(addresses: readonly number[]): Cidr[] {
  const prefixes: Cidr[] = [];
  for (let index = 0; index < addresses.length; ) {
    const network = addresses[index]!;
    let bits = 32;
    while (bits > 0 && startsPrefix(addresses, index, { network, bits: bits - 1 })) bits--;
    prefixes.push({ network, bits });
    index += cidrSize({ network, bits });
  }
  return prefixes;
}

/** Whether the addresses from `index` on are those of the prefix. */
function startsPrefix(addresses: readonly number[], index: number, prefix: Cidr): boolean {
  const { network, bits } = prefix;
  return (
    networkOf(network, bits) === network && addressesOf(prefix).every((a, i) => addresses[index + i] === a)
  );
}

function addressesOf(prefix: Cidr): number[] {
  return Array.from({ length: cidrSize(prefix) }, (_, offset) => prefix.network + offset);
}
