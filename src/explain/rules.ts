// Which keys of a config decided what becomes of a packet.
import { BEHAVING_PROTOCOLS, type BehavingProtocol, behaviourOf } from "../config/behaviour.js";
import type { ResolvedNatConfig, ResolvedPolicy } from "../config/schema.js";

/** A key of the config that had a say, and its value. */
export interface Rule {
  /** "mapping", "policies[0].filtering", "forwards[2]"; "mappings" is what hosts asked for (PCP). */
  readonly key: string;
  readonly value: string;
}

/** An endpoint as text, "203.0.113.1:8080". */
export const endpointText = ({ address, port }: { readonly address: string; readonly port: number }) =>
  `${address}:${port}`;

/** The config as one inside host has it. */
export class HostRules {
  readonly #config: ResolvedNatConfig;
  readonly #prefix: string;
  readonly #own: Omit<ResolvedPolicy, "inside">;

  /** @param policy the number of the host's policy: 0 is the top level */
  constructor(config: ResolvedNatConfig, policy: number) {
    this.#config = config;
    this.#own = policy === 0 ? config : config.policies[policy - 1]!;
    this.#prefix = policy === 0 ? "" : `policies[${policy - 1}].`;
  }

  /** Its mapping or filtering behaviour; null for protocols that have none of their own. */
  behaviour(key: "mapping" | "filtering", protocol: string): Rule | null {
    if (!(BEHAVING_PROTOCOLS as readonly string[]).includes(protocol)) return null;
    return {
      key: this.#prefix + key,
      value: behaviourOf(key, this.#own[key], protocol as BehavingProtocol),
    };
  }

  get hairpinning(): Rule {
    return { key: `${this.#prefix}hairpinning`, value: String(this.#own.hairpinning) };
  }

  get order(): "random" | "sequential" {
    return this.#own.portAssignment.order;
  }

  /** The forward or 1:1 mapping that a public endpoint belongs to, or null. */
  permanent(protocol: string, outside: { readonly address: string; readonly port: number }): Rule | null {
    const { forwards, static: statics } = this.#config;
    const text = endpointText(outside);
    const forward = forwards.findIndex((rule) => rule.protocol === protocol && rule.outside === text);
    if (forward !== -1) {
      return { key: `forwards[${forward}]`, value: `${text} leads to ${forwards[forward]!.inside}` };
    }
    const fixed = statics.findIndex((rule) => rule.outside === outside.address);
    if (fixed === -1) return null;
    return { key: `static[${fixed}]`, value: `${outside.address} is ${statics[fixed]!.inside}'s` };
  }

  /** Where the host's value of a key stands: in its policy, where that can have one. */
  path(key: string): string {
    return this.#prefix !== "" && valueAt(this.#own, key) !== undefined ? this.#prefix + key : key;
  }

  /** A key with its value; null where that is a list or an object. */
  at(key: string): Rule | null {
    const value = valueAt(this.#own, key) ?? valueAt(this.#config, key);
    return value === undefined || typeof value === "object"
      ? null
      : { key: this.path(key), value: String(value) };
  }
}

function valueAt(from: unknown, path: string): unknown {
  return path
    .split(".")
    .reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], from);
}
