// How the NAT behaves towards its hosts: the keys that a policy may give some of them differently.
import { z } from "zod";
import { choice, flag, section } from "./fields.js";

/** The words of RFC 4787, sections 4.1 and 5, in the core's order. */
export const BEHAVIOURS = [
  "endpoint-independent",
  "address-dependent",
  "address-and-port-dependent",
] as const;
export type Behaviour = (typeof BEHAVIOURS)[number];

/** The protocols that have a mapping and a filtering behaviour, in the core's order. */
export const BEHAVING_PROTOCOLS = ["tcp", "udp", "icmp", "udplite", "dccp"] as const;
export type BehavingProtocol = (typeof BEHAVING_PROTOCOLS)[number];

/** One behaviour for all protocols, or one for each. */
export type Behaviours = Behaviour | { [Protocol in BehavingProtocol]?: Behaviour | undefined };

const one = () => choice(...BEHAVIOURS);

/** The object comes first: of the two, it is the one whose type can be told wrong. */
const behaviours = () =>
  z.union([
    section({
      tcp: one().optional().describe("That of TCP"),
      udp: one().optional().describe("That of UDP"),
      icmp: one().optional().describe("That of ICMP queries"),
      udplite: one().optional().describe("That of UDP-Lite"),
      dccp: one().optional().describe("That of DCCP"),
    }),
    one(),
  ]);

const DEFAULTS = { mapping: "endpoint-independent", filtering: "address-and-port-dependent" } as const;

/** The behaviour keys of the top level. */
export const behaviourShape = {
  mapping: behaviours()
    .default(DEFAULTS.mapping)
    .describe(
      "When a host's port keeps its public port: for all remotes, per remote address, or per address and port. " +
        "An object gives each protocol its own: tcp, udp, icmp, udplite, dccp",
    ),
  filtering: behaviours()
    .default(DEFAULTS.filtering)
    .describe(
      "Which remotes may answer: all, those whose address was contacted, or only address and port. " +
        "An object as with mapping",
    ),
  pooling: choice("paired", "soft-paired", "arbitrary")
    .default("paired")
    .describe(
      "Whether all flows of a host leave from one public address, from another only when that is full, or from any",
    ),
  hairpinning: flag().default(true).describe("Let inside hosts reach each other by their public endpoints"),
  inboundRefresh: flag().default(false).describe("Let inbound UDP packets, too, keep a session alive"),
  tcpPickup: flag()
    .default(true)
    .describe("Make a session for outbound TCP that was under way before, without its SYN"),
  tcpLiberal: flag()
    .default(false)
    .describe("Let RST and FIN, and ICMP errors about TCP, count whatever their sequence numbers"),
};

/** The behaviour of a protocol; what an object leaves out is the default. */
export function behaviourOf(key: keyof typeof DEFAULTS, given: Behaviours, protocol: BehavingProtocol) {
  return typeof given === "string" ? given : (given[protocol] ?? DEFAULTS[key]);
}

/** An object with every protocol's behaviour filled in; one word stays one. */
export function filledBehaviours(key: keyof typeof DEFAULTS, given: Behaviours): Behaviours {
  return typeof given === "string"
    ? given
    : Object.fromEntries(BEHAVING_PROTOCOLS.map((protocol) => [protocol, behaviourOf(key, given, protocol)]));
}
