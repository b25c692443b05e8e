// What to change when a packet is dropped for a reason.
import type { Direction, DropReason } from "../verdict.js";

/** A config key that decides, and what to do about it. */
export interface Remedy {
  /** The key ("filtering", "limits.sessions"), or null where no key changes it. */
  readonly key: string | null;
  readonly advice: string;
}

const none = (advice: string): Remedy => ({ key: null, advice });
const change = (key: string, advice: string): Remedy => ({ key, advice });

const REMEDIES: Readonly<Record<DropReason, Remedy | ((direction: Direction) => Remedy)>> = {
  malformed: none("look at who sent it: no config lets it pass"),
  "header-checksum": change("verifyHeaderChecksum", "set it to false, if offload left the checksum open"),
  truncated: none("capture more of each packet (a larger snaplen)"),
  "not-ipv4": change("unmatched", 'set it to "pass" to leave such frames alone'),
  "no-interface": none("give the capture's section an interface of its link type"),
  unmatched: change(
    "inside",
    'name the prefix of the host that should be translated; or set unmatched to "pass"',
  ),
  "invalid-source": none("it is spoofed, or comes in on the wrong side: no config lets it pass"),
  "ttl-expired": change("ttl", 'set it to "keep", or send it with a larger TTL'),
  "unsupported-protocol": change(
    "protocols",
    "switch its protocol on there, if it is none of TCP, UDP and ICMP",
  ),
  "no-mapping": change(
    "forwards",
    "lead the public endpoint to an inside one there, or let the inside host send first",
  ),
  filtered: change("filtering", "loosen it, add a forward, or let the inside host send to this remote first"),
  "tcp-no-session": (direction) =>
    direction === "inbound"
      ? none("a connection has to begin with its first packet (of TCP a SYN)")
      : change("tcpPickup", "set it to true to pick up connections in mid-stream"),
  "icmp-checksum": none("look at who sent it: no config lets it pass"),
  "icmp-embedded": change(
    "tcpLiberal",
    "set it to true, if it is about TCP and only the sequence number is missing",
  ),
  "icmp-no-session": none("it is about a packet that did not pass here, or whose session has ended"),
  "icmp-out-of-window": change("tcpLiberal", "set it to true to let such errors in, forged ones too"),
  "hairpinning-off": change("hairpinning", "set it to true"),
  "ports-exhausted": change("outside", "add addresses or widen their ports; or shorten timeouts"),
  "session-limit": change("limits.sessions", 'raise it, shorten timeouts, or set limits.whenFull to "evict"'),
  "host-limit": change("limits.sessionsPerHost", "raise it, or limits.portsPerHost"),
  "rate-limit": change("limits.sessionRate", "raise it, or limits.sessionRatePerHost"),
  "too-big": (direction) =>
    change(direction === "outbound" ? "mtu.outside" : "mtu.inside", "raise it, or send without DF"),
  "fragment-tiny": none("its sender splits the transport header: no config lets it pass"),
  "fragment-limit": change("limits.fragments", "raise it"),
  "fragment-timeout": change("timeouts.fragment", "raise it"),
  "fragment-refused": none("see why the first fragment of its packet was dropped"),
};

/** What to change so that packets that are dropped for a reason pass. */
export function remedyFor(reason: DropReason, direction: Direction): Remedy {
  const remedy = REMEDIES[reason];
  return typeof remedy === "function" ? remedy(direction) : remedy;
}
