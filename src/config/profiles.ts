// Timeout profiles: the sets of idle times that the core chooses from. A policy has one, and one more for each
// different time that its port rules give a protocol.

/** The core numbers them with eight bits. */
export const MOST_PROFILES = 255;

interface PortRule {
  readonly protocol: "tcp" | "udp";
  readonly seconds: number;
}

/** One rule for each profile that the rules need, by what tells them apart. */
export function distinctPortRules<Rule extends PortRule>(rules: readonly Rule[]): Map<string, Rule> {
  return new Map(rules.map((rule) => [profileKey(rule), rule]));
}

export function profileKey({ protocol, seconds }: PortRule): string {
  return `${protocol} ${seconds}`;
}
