// Policies: what some of the inside hosts get otherwise than the rest.
import type { z } from "zod";
import { insidePrefix } from "./address-fields.js";
import { behaviourShape } from "./behaviour.js";
import { choice, list, optionalFields, section } from "./fields.js";
import { limitsShape } from "./limits.js";
import { merge } from "./merge.js";
import { portAssignmentShape } from "./port-assignment.js";
import { PRESET_NAMES, PRESETS } from "./presets.js";
import { timeoutsShape } from "./timeouts.js";

export const preset = () => choice(...PRESET_NAMES);

const { fragment: _, ...sessionTimeouts } = timeoutsShape;

/** The parts of the sections that a policy may change; what is left out of them is the whole NAT's. */
const SECTIONS = {
  portAssignment: optionalFields(
    portAssignmentShape,
    "order",
    "preserve",
    "parity",
    "overloading",
    "contiguity",
  ),
  timeouts: optionalFields(
    sessionTimeouts,
    ...(Object.keys(sessionTimeouts) as (keyof typeof sessionTimeouts)[]),
  ),
  limits: optionalFields(limitsShape, "sessionsPerHost", "portsPerHost", "sessionRatePerHost"),
};

const policyShape = {
  ...optionalFields(behaviourShape, "mapping", "filtering"),
  portAssignment: section(SECTIONS.portAssignment).optional().describe("How public ports are chosen"),
  ...optionalFields(behaviourShape, "pooling", "hairpinning", "inboundRefresh", "tcpPickup", "tcpLiberal"),
  timeouts: section(SECTIONS.timeouts).optional().describe("Idle times"),
  limits: section(SECTIONS.limits).optional().describe("Bounds"),
};

export const policy = section({
  inside: list(insidePrefix, '"192.168.226.128/25"', 1).describe(
    "Prefixes of the hosts that it is for; they lie within the top level's",
  ),
  preset: preset().optional().describe("A known NAT; fills what the policy doesn't give"),
  ...policyShape,
});

export type Policy = z.output<typeof policy>;

/** What a policy can say, apart from whom it is for. */
export type PolicyKeys = Omit<Policy, "inside" | "preset">;

/** Of a whole config, what a policy can say. */
export function policyKeys(config: PolicyKeys): PolicyKeys {
  const known = Object.entries(config).filter(([key]) => key in policyShape);
  return Object.fromEntries(
    known.map(([key, value]) => {
      const inner = SECTIONS[key as keyof typeof SECTIONS];
      if (inner === undefined || value === undefined) return [key, value];
      return [key, Object.fromEntries(Object.entries(value).filter(([name]) => name in inner))];
    }),
  );
}

/** What a policy amounts to: its keys, below them its preset's, below those the top level's. */
export function policyInForce<Top extends PolicyKeys>(top: Top, { inside: _, preset, ...given }: Policy) {
  const below = preset === undefined ? {} : policyKeys(PRESETS[preset].config as PolicyKeys);
  return merge(merge(policyKeys(top), below), given) as Pick<Top, keyof Top & keyof PolicyKeys>;
}
