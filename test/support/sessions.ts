// Sessions for tests of what is told of them.
import type { Session } from "../../src/index.js";

/** An established TCP session that an inside host began, unless a test says otherwise; times by a clock at 100 s. */
export function session(other: Partial<Session> = {}): Session {
  return {
    protocol: "tcp",
    inside: { address: "192.168.226.135", port: 4000 },
    public: { address: "203.0.113.1", port: 40000 },
    remote: { address: "198.51.100.7", port: 443 },
    state: "established",
    direction: "outbound",
    hairpin: false,
    permanent: false,
    createdAt: 10_000,
    lastSeen: 80_000,
    expiresAt: 7_520_000,
    packets: { outbound: 3, inbound: 2 },
    bytes: { outbound: 180, inbound: 1_200_000 },
    ...other,
  };
}

export const NOW = 100_000;
