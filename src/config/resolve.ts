// From a config as it was accepted to plain keys: the pool's addresses, presets and policies spelt out.
import { filledBehaviours } from "./behaviour.js";
import { cidrSize, formatIpv4, parseCidr } from "./cidr.js";
import { isObject, merge } from "./merge.js";
import { type PolicyKeys, policyInForce } from "./policies.js";
import { PRESETS } from "./presets.js";
import type { ParsedConfig, ResolvedNatConfig, ResolvedPolicy } from "./schema.js";
import { filledTimeouts } from "./timeouts.js";

/** A config, not checked yet, with its preset's keys below its own. */
export function withPreset(value: unknown): unknown {
  if (!isObject(value) || typeof value.preset !== "string" || !Object.hasOwn(PRESETS, value.preset))
    return value;
  return merge(PRESETS[value.preset as keyof typeof PRESETS].config, value);
}

/** Spells a config out. Done to the result again, it changes nothing. */
export function resolve({ preset: _, policies, ...keys }: ParsedConfig): ResolvedNatConfig {
  return {
    ...keys,
    ...filled(keys),
    outside: expandPool(keys.outside),
    policies: policies.map((policy) => {
      const inForce = policyInForce(keys, policy);
      return { inside: policy.inside, ...inForce, ...filled(inForce) } as ResolvedPolicy;
    }),
  };
}

function filled({ mapping, filtering, timeouts }: Pick<ParsedConfig, keyof PolicyKeys & keyof ParsedConfig>) {
  return {
    mapping: filledBehaviours("mapping", mapping),
    filtering: filledBehaviours("filtering", filtering),
    timeouts: filledTimeouts(timeouts),
  };
}

/** The pool as one entry an address. */
export function expandPool(pool: ParsedConfig["outside"]): ParsedConfig["outside"] {
  return pool.flatMap(({ address, ports }) => {
    const prefix = parseCidr(address)!;
    return Array.from({ length: cidrSize(prefix) }, (_, index) => ({
      address: formatIpv4(prefix.network + index),
      ports,
    }));
  });
}
