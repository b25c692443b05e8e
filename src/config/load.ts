// The two doors for a config: an object by `parseConfig`, a file by `loadConfigFile`.
import { closeSync, openSync, readSync } from "node:fs";
import { ConfigError, type ConfigIssue } from "../errors.js";
import { crossCheck, type SoundKeys } from "./cross-checks.js";
import { type ConfigSource, type LoadedConfig, parseConfigText } from "./document.js";
import { type Fault, faultsOf } from "./faults.js";
import { LONGEST_LIST } from "./fields.js";
import { isObject } from "./merge.js";
import { resolve, withPreset } from "./resolve.js";
import { natConfigSchema, type ResolvedNatConfig } from "./schema.js";
import { showPath } from "./wording.js";

/** Room for every list at its longest; a bigger file is something else, or a device without end. */
export const LARGEST_CONFIG_FILE = 16 << 20;

/** How deep lists lie: policies[].timeouts.ports is the deepest, at 4. */
const DEEPEST_LIST = 4;

/** More faults than that help nobody. */
const MOST_FAULTS = 100;

/**
 * Checks a config and fills in its defaults. Parsing the result again gives the same.
 * @param source where the config came from, for messages: a name, or what `loadConfigFile` gave
 * @throws ConfigError with every fault found
 */
export function parseConfig(value: unknown, source: string | ConfigSource = "config"): ResolvedNatConfig {
  const origin = originOf(source);
  const endless = endlessLists(value);
  if (endless.length > 0) throw configError(endless, origin);
  const given = withPreset(value);
  const { data, error } = natConfigSchema.safeParse(given);
  const own = (error?.issues ?? []).flatMap((issue) => [...faultsOf(issue)]);
  const faults = [...own, ...crossCheck(data ?? soundKeys(given))];
  if (data === undefined || faults.length > 0) throw configError(faults, origin);
  return resolve(data);
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

/** A source that may be just a name. */
export function originOf(source: string | ConfigSource): ConfigSource {
  return typeof source === "string" ? { name: source, lineOf: () => null } : source;
}

function configError(faults: readonly Fault[], origin: ConfigSource): ConfigError {
  return new ConfigError(issuesOf(faults, origin), origin.name);
}

/** Faults as a {@link ConfigError} tells them, with their lines where a source knows them. */
export function issuesOf(faults: readonly Fault[], origin: ConfigSource): ConfigIssue[] {
  const issues = faults.slice(0, MOST_FAULTS).map(({ path, message }) => {
    const line = origin.lineOf(path);
    return { path: showPath(path), message: line === null ? message : `${message} (line ${line})` };
  });
  const more = faults.length - issues.length;
  if (more > 0) issues.push({ path: "", message: `and ${more} more faults` });
  return issues;
}

/** Lists too long to look at entry by entry, at any level; an array may claim four thousand million. */
function endlessLists(value: unknown): Fault[] {
  const faults: Fault[] = [];
  const seen = new Set<unknown>();
  let level: [path: PropertyKey[], value: unknown][] = [[[], value]];
  for (let depth = 0; depth <= DEEPEST_LIST; depth++) {
    const next: typeof level = [];
    for (const [path, node] of level) {
      if (typeof node !== "object" || node === null || seen.has(node)) continue;
      seen.add(node);
      if (Array.isArray(node) && node.length > LONGEST_LIST) {
        faults.push({ path, message: `${node.length} entries; give at most ${LONGEST_LIST}` });
        continue;
      }
      const entries: Iterable<[PropertyKey, unknown]> = Array.isArray(node)
        ? node.entries()
        : Object.entries(node);
      for (const [key, inner] of entries) {
        if (typeof inner === "object") next.push([[...path, key], inner]);
      }
    }
    level = next;
  }
  return faults;
}

/** The keys of a faulty config that are right by themselves, so that their clashes are told in one go. */
function soundKeys(value: unknown): SoundKeys {
  const given = isObject(value) ? new Map(Object.entries(value)) : new Map<string, unknown>();
  const sound = Object.entries(natConfigSchema.shape).flatMap(([key, field]) => {
    const result = field.safeParse(given.get(key));
    return result.success ? [[key, result.data]] : [];
  });
  return Object.fromEntries(sound);
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
