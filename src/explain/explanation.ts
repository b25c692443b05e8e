// What would become of a packet, and why: the answer of `nat.explain`.
import { isInAny, parseIpv4 } from "../config/cidr.js";
import { parsePorts } from "../config/endpoint.js";
import { WITH_PORTS } from "../config/protocols.js";
import type { ResolvedNatConfig } from "../config/schema.js";
import {
  protocolName,
  type Session,
  type SessionEndpoint,
  type SessionProtocol,
  sessionsOf,
} from "../conntrack.js";
import { LAYOUT, type NativeExplanation, type TcpPhase } from "../native.js";
import { FIELD } from "../session.js";
import { type Direction, type DropReason, REASON_MEANINGS, type Verdict, verdictOf } from "../verdict.js";
import { type FieldChange, fieldsOf } from "./fields.js";
import { type Remedy, remedyFor } from "./remedies.js";
import { HostRules, type Rule } from "./rules.js";

/** A session that the packet would be of. */
export interface ExplainedSession {
  readonly protocol: SessionProtocol;
  readonly inside: SessionEndpoint;
  readonly public: SessionEndpoint;
  readonly remote: SessionEndpoint;
  /** It is not there yet: the packet would make it. */
  readonly isNew: boolean;
  /**
   * The public endpoint would be drawn for it, from these ports: `public` has what the next draw gives. Another new
   * binding that comes first gets it instead. null: it is certain, by a binding that there is or by a rule.
   */
  readonly drawn: { readonly order: "random" | "sequential"; readonly ports: string } | null;
  /** The TCP phase now (null for a new session) and with the packet; null for other protocols. */
  readonly state: { readonly before: TcpPhase | null; readonly after: TcpPhase | null };
  /** Seconds until it ends if nothing refreshes it, now (null for a new session) and with the packet. */
  readonly expiresIn: { readonly before: number | null; readonly after: number };
}

/** A packet that the NAT would put out besides: an ICMP error, a piece of a packet that is too big, a fragment. */
export interface ExplainedEmission {
  readonly kind: "fragment" | "icmp" | "discarded";
  readonly side: "inside" | "outside";
  readonly packet: Uint8Array;
}

/** What `translate` would do with a packet, and why. Programs and people read the same ({@link explanationInWords}). */
export interface Explanation extends Verdict {
  /** When, in ms of the caller's clock: the `now` that was asked for, or the engine's time where that is later. */
  readonly at: number;
  /** What the drop reason means, and what to change; null unless dropped. */
  readonly why: (Remedy & { readonly meaning: string }) | null;
  /** The keys of the config that decided, with their values; the first one first. */
  readonly rules: readonly Rule[];
  /** The sessions: of a hairpinned packet the sender's, then the receiver's; none where only a binding translates. */
  readonly sessions: readonly ExplainedSession[];
  /** Who has the public endpoint that it is for, where a binding of the pool has it; null otherwise. */
  readonly owner: { readonly inside: SessionEndpoint; readonly public: SessionEndpoint } | null;
  /** Every field that a NAT may change, and whatever else would be changed. */
  readonly fields: readonly FieldChange[];
  /** The packet as it would leave; as it came where it would be dropped, held or passed. */
  readonly packet: Uint8Array;
  readonly emits: readonly ExplainedEmission[];
}

const FIELDS = LAYOUT.sessionFields;
const EXPECTED = 32;
const EXPLICIT = 128;
const UNKNOWN_POLICY = 0xffffffff;
const KINDS = ["fragment", "icmp", "discarded"] as const;

/** A row of the engine's, if it has a session. */
interface Row extends Session {
  readonly flags: number;
}

/** @internal Puts together what the engine tells of a packet. */
export function explanationOf(
  before: Uint8Array,
  [packed, after, at, policy, rows, alone, emitted]: NativeExplanation,
  config: ResolvedNatConfig,
): Explanation {
  const verdict = verdictOf(packed);
  const row = (number: number): Row | null => {
    const values = rows.subarray(number * FIELDS, (number + 1) * FIELDS);
    return values[FIELD.protocol] === 0 ? null : { ...sessionsOf(values)[0]!, flags: values[FIELD.flags]! };
  };
  const hosts = new HostRules(config, policy === UNKNOWN_POLICY ? 0 : policy);
  const found: Found[] = [];
  for (const number of [0, 1]) {
    const now = row(2 * number + 1);
    const was = row(2 * number);
    if (now === null) continue;
    const isNew = was === null || was.expiresAt <= at;
    found.push({ now, was: isNew ? null : was, binds: isNew && ((alone >> number) & 1) !== 0 });
  }
  const owner = row(4);
  return {
    ...verdict,
    at,
    why: verdict.reason === null ? null : whyOf(verdict.reason, verdict.direction, hosts),
    rules: rulesOf(verdict, before, found, owner, hosts, config),
    sessions: found.map((one) => sessionOf(one, at, hosts, config)),
    owner: owner === null ? null : { inside: owner.inside, public: owner.public },
    fields: fieldsOf(before, after),
    packet: after,
    emits: emitted.map(([packet, kind, side]) => ({
      kind: KINDS[kind]!,
      side: side === 0 ? "outside" : "inside",
      packet,
    })),
  };
}

function whyOf(reason: DropReason, direction: Direction, hosts: HostRules): Explanation["why"] {
  const { key, advice } = remedyFor(reason, direction);
  return { meaning: REASON_MEANINGS[reason], key: key === null ? null : hosts.path(key), advice };
}

interface Found {
  readonly now: Row;
  /** null: it would be made. */
  readonly was: Row | null;
  /** Its binding would be made, too. */
  readonly binds: boolean;
}

function sessionOf(
  { now, was, binds }: Found,
  at: number,
  hosts: HostRules,
  config: ResolvedNatConfig,
): ExplainedSession {
  const { protocol, inside, public: outside, remote } = now;
  const seconds = (until: number) => Math.round((until - at) * 1000) / 1e6;
  const ports = config.outside.find(({ address }) => address === outside.address)?.ports;
  const isDrawn = binds && !now.permanent && ports !== undefined && outside.port !== 0;
  return {
    protocol,
    inside,
    public: outside,
    remote,
    isNew: was === null,
    drawn: isDrawn ? { order: hosts.order, ports: `${outside.address}:${ports}` } : null,
    state: { before: was?.state ?? null, after: now.state },
    expiresIn: { before: was === null ? null : seconds(was.expiresAt), after: seconds(now.expiresAt) },
  };
}

function rulesOf(
  { verdict, direction, reason }: Verdict,
  packet: Uint8Array,
  found: readonly Found[],
  owner: Row | null,
  hosts: HostRules,
  config: ResolvedNatConfig,
): Rule[] {
  const rules: (Rule | null)[] = [];
  if (verdict === "passed") return [passedBy(direction, packet, config)];
  const [first, second] = found;
  const isOutbound = direction === "outbound" || direction === "hairpin";
  const inbound = isOutbound ? second : first;
  if (isOutbound && first !== undefined) rules.push(bindingRule(first.now, hosts));
  if (direction === "hairpin") rules.push(hosts.hairpinning);
  if (direction === "inbound" || (direction === "hairpin" && first !== undefined)) {
    const to = inbound?.now ?? owner;
    if (to !== null && inbound?.was == null) {
      rules.push(to.permanent ? bindingRule(to, hosts) : hosts.behaviour("filtering", to.protocol));
    } else if (to !== null) {
      rules.push(bindingRule(to, hosts));
    } else {
      const [protocol, end] = endOf(packet, "destination");
      rules.push(hosts.permanent(protocol, { ...end, port: end.port ?? 0 }));
    }
  }
  const key = reason === null ? null : remedyFor(reason, direction).key;
  if (key !== null && !rules.some((rule) => rule?.key.endsWith(key))) rules.push(hosts.at(key));
  return rules.filter((rule) => rule !== null);
}

/** What gave a session's inside endpoint its public one. */
function bindingRule({ flags, permanent, protocol, public: outside }: Row, hosts: HostRules): Rule | null {
  if (permanent) return hosts.permanent(protocol, outside);
  if ((flags & EXPLICIT) !== 0) return { key: "mappings", value: "the host asked for it" };
  if ((flags & EXPECTED) !== 0) return { key: "alg", value: "read of it in a control connection" };
  return hosts.behaviour("mapping", protocol);
}

/** Why a packet is left alone. */
function passedBy(direction: Verdict["direction"], packet: Uint8Array, config: ResolvedNatConfig): Rule {
  if (direction !== "none") {
    const [protocol, remote] = endOf(packet, direction === "outbound" ? "destination" : "source");
    const number = config.exempt.findIndex((rule) => {
      if (!isInAny([rule.destination], parseIpv4(remote.address)!)) return false;
      if (rule.protocol !== undefined && rule.protocol !== protocol) return false;
      if (rule.ports === undefined) return true;
      const { lo, hi } = parsePorts(rule.ports)!;
      return remote.port !== null && remote.port >= lo && remote.port <= hi;
    });
    const rule = config.exempt[number];
    return rule === undefined
      ? { key: "exempt", value: "as its first fragment, or the packet that it quotes" }
      : { key: `exempt[${number}]`, value: words(rule.destination, rule.protocol, rule.ports) };
  }
  const isInside = (at: number) => isInAny(config.inside, addressAt(packet, at));
  return isInside(12) && isInside(16)
    ? { key: "inside", value: "both ends are inside" }
    : { key: "unmatched", value: config.unmatched };
}

function addressAt(packet: Uint8Array, at: number): number {
  return parseIpv4(packet.subarray(at, at + 4).join(".")) ?? 0;
}

const words = (...parts: (string | undefined)[]) => parts.filter((part) => part !== undefined).join(" ");

/** An end of a packet and its protocol's name; port null where it has none: no such protocol, or a later fragment. */
function endOf(
  packet: Uint8Array,
  end: "source" | "destination",
): [protocol: string, endpoint: { readonly address: string; readonly port: number | null }] {
  const protocol = protocolName(packet[9]!);
  const [address, port] = end === "source" ? [12, 0] : [16, 2];
  const at = (packet[0]! & 15) * 4 + port;
  const isLaterFragment = (packet[6]! & 0x1f) !== 0 || packet[7] !== 0;
  const hasPorts =
    WITH_PORTS.some((name) => name === protocol) && packet.length >= at + 2 && !isLaterFragment;
  return [
    protocol,
    {
      address: packet.subarray(address, address + 4).join("."),
      port: hasPorts ? (packet[at]! << 8) | packet[at + 1]! : null,
    },
  ];
}
