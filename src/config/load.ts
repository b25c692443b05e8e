// The two doors for a config: an object by `parseConfig`, a file by `loadConfigFile`.
import { closeSync, openSync, readSync } from "node:fs";
import { ConfigError } from "../errors.js";
import { cidrSize, formatIpv4, parseCidr } from "./cidr.js";
import { crossCheck, type SoundKeys } from "./cross-checks.js";
import { type ConfigSource, type LoadedConfig, parseConfigText } from "./document.js";
import { type Fault, faultsOf } from "./faults.js";
import { LONGEST_LIST } from "./fields.js";
import { natConfigSchema, type ResolvedNatConfig } from "./schema.js";
import { showPath } from "./wording.js";

/** Room for every list at its longest; a bigger file is something else, or a device without end. */
export const LARGEST_CONFIG_FILE = 16 << 20;

/** More faults than that help nobody. */
const MOST_FAULTS = 100;

/**
 * Checks a config and fills in its defaults. Parsing the result again gives the same.
 * @param source where the config came from, for messages: a name, or what `loadConfigFile` gave
 * @throws ConfigError with every fault found
 */
export function parseConfig(value: unknown, source: string | ConfigSource = "config"): ResolvedNatConfig {
  const origin = typeof source === "string" ? { name: source, lineOf: () => null } : source;
  const endless = endlessLists(value);
  if (endless.length > 0) throw configError(endless, origin);
  const { data, error } = natConfigSchema.safeParse(value);
  const own = (error?.issues ?? []).flatMap((issue) => [...faultsOf(issue)]);
  const faults = [...own, ...crossCheck(data ?? soundKeys(value))];
  if (data === undefined || faults.length > 0) throw configError(faults, origin);
  return { ...data, outside: data.outside.flatMap(expand) };
}

/**
 * Reads a config file, JSON or YAML, for `parseConfig(value, source)`.
 * @throws ConfigError when there is no such file or it holds neither
 */
export function loadConfigFile(path: string): LoadedConfig {
  let bytes: Buffer;
  try {
    bytes = readBounded(path, LARGEST_CONFIG_FILE);
  } catch (error) {
    throw new ConfigError([{ path: "", message: fileTrouble(error) }], path);
  }
  return parseConfigText(bytes, path);
}

function configError(faults: readonly Fault[], origin: ConfigSource): ConfigError {
  const issues = faults.slice(0, MOST_FAULTS).map(({ path, message }) => {
    const line = origin.lineOf(path);
    return { path: showPath(path), message: line === null ? message : `${message} (line ${line})` };
  });
  const more = faults.length - issues.length;
  if (more > 0) issues.push({ path: "", message: `and ${more} more faults` });
  return new ConfigError(issues, origin.name);
}

/** Lists too long to look at entry by entry; an array may claim four thousand million. */
function endlessLists(value: unknown): Fault[] {
  return entriesOf(value).flatMap(([key, list]) =>
    Array.isArray(list) && list.length > LONGEST_LIST
      ? [{ path: [key], message: `${list.length} entries; give at most ${LONGEST_LIST}` }]
      : [],
  );
}

/** The keys of a faulty config that are right by themselves, so that their clashes are told in one go. */
function soundKeys(value: unknown): SoundKeys {
  const given = new Map(entriesOf(value));
  const sound = Object.entries(natConfigSchema.shape).flatMap(([key, field]) => {
    const result = field.safeParse(given.get(key));
    return result.success ? [[key, result.data]] : [];
  });
  return Object.fromEntries(sound);
}

function entriesOf(value: unknown): [string, unknown][] {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? Object.entries(value) : [];
}

/** An entry of the pool as one entry an address. */
function expand({ address, ports }: ResolvedNatConfig["outside"][number]) {
  const prefix = parseCidr(address)!;
  return Array.from({ length: cidrSize(prefix) }, (_, index) => ({
    address: formatIpv4(prefix.network + index),
    ports,
  }));
}

/** Reads a file whose size may be unknown (a pipe) or endless (a device). */
function readBounded(path: string, most: number): Buffer {
  const file = openSync(path, "r");
  try {
    const chunks: Buffer[] = [];
    for (let total = 0; total <= most; ) {
      const chunk = Buffer.alloc(64 << 10);
      const length = readSync(file, chunk);
      if (length === 0) return Buffer.concat(chunks);
      chunks.push(chunk.subarray(0, length));
      total += length;
    }
    throw new RangeError(`larger than ${most} bytes; this can't be a config`);
  } finally {
    closeSync(file);
  }
}

function fileTrouble(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "ENOENT") return "no such file";
  if (code === "EISDIR") return "a directory; give a file";
  if (code === "EACCES") return "no permission to read it";
  return message;
}
