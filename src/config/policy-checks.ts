// How a NAT's behaviour fits together, at the top level and in each policy.
import { BEHAVING_PROTOCOLS, behaviourOf } from "./behaviour.js";
import { formatCidr, PrefixMap, parseCidr } from "./cidr.js";
import type { SoundKeys } from "./cross-checks.js";
import type { Fault } from "./faults.js";
import { type PolicyKeys, policyInForce } from "./policies.js";
import { distinctPortRules, MOST_PROFILES } from "./profiles.js";
import { showPath } from "./wording.js";

export function* policyFaults(config: SoundKeys): Iterable<Fault> {
  const own = [...behaviourFaults(config, config)];
  yield* own;
  const known = new Set(own.map(({ message }) => message));
  for (const [index, policy] of (config.policies ?? []).entries()) {
    for (const { path, message } of behaviourFaults(policyInForce(config, policy), config)) {
      // What the policy has from the top level was told there.
      if (!known.has(message)) yield { path: ["policies", index, ...path], message };
    }
  }
  yield* prefixFaults(config);
  yield* profileFaults(config);
}

/** Whether the keys of the top level or of a policy go together, and with those that are common to all. */
function* behaviourFaults(
  { mapping, portAssignment, pooling }: PolicyKeys,
  { portAssignment: common }: SoundKeys,
): Iterable<Fault> {
  const { overloading, contiguity } = portAssignment ?? {};
  const independent =
    mapping &&
    BEHAVING_PROTOCOLS.map((name) => behaviourOf("mapping", mapping, name) === "endpoint-independent");
  if (overloading) {
    const path = ["portAssignment", "overloading"];
    if (independent?.every(Boolean)) {
      const message =
        'endpoint-independent mapping can\'t share a port; give "mapping": "address-dependent" or ' +
        '"address-and-port-dependent", for one protocol at least';
      yield { path, message };
    }
    if (common?.blockSize) {
      yield { path, message: `shared ports can't be in blocks of one host; give "blockSize": 0` };
    }
    if (common?.deterministic) {
      yield { path, message: "shared ports can't be of one host; leave deterministic out" };
    }
  }
  if (contiguity && independent && !independent.some(Boolean)) {
    const message = 'needs endpoint-independent mapping, for one protocol at least; give "mapping" so';
    yield { path: ["portAssignment", "contiguity"], message };
  }
  if (common?.deterministic && pooling !== undefined && pooling !== "paired") {
    const message = `"${pooling}" can't go with deterministic, where a host has one address; give "paired"`;
    yield { path: ["pooling"], message };
  }
}

/** A policy is for hosts that are inside, and that no policy before it has. */
function* prefixFaults({ inside, policies = [] }: SoundKeys): Iterable<Fault> {
  const whole = new PrefixMap<true>();
  for (const prefix of inside ?? []) whole.add(parseCidr(prefix)!, true);
  const taken = new PrefixMap<string>();
  for (const [index, policy] of policies.entries()) {
    for (const [position, text] of policy.inside.entries()) {
      const path = ["policies", index, "inside", position];
      const prefix = parseCidr(text)!;
      if (inside && !whole.find(prefix)) {
        yield { path, message: `${formatCidr(prefix)} is within no prefix of "inside"` };
      }
      const owner = taken.find(prefix);
      if (owner !== undefined) {
        yield { path, message: `${formatCidr(prefix)} is in ${owner} already, and the first counts` };
      }
      taken.add(prefix, showPath(path));
    }
  }
}

/** A session remembers its timeouts by a number of eight bits. */
function* profileFaults(config: SoundKeys): Iterable<Fault> {
  const all = [config, ...(config.policies ?? []).map((policy) => policyInForce(config, policy))];
  const rules = all.map(({ timeouts }) => distinctPortRules(timeouts?.ports ?? []).size);
  const total = rules.reduce((sum, count) => sum + 1 + count, 0);
  if (total <= MOST_PROFILES) return;
  const message =
    `${total} sets of timeouts: one for the top level and for each policy, and one more for each different ` +
    `rule of timeouts.ports that it has; give at most ${MOST_PROFILES}`;
  yield { path: [config.policies?.length ? "policies" : "timeouts"], message };
}
