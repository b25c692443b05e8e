// What is asked of a gateway: `POST /explain`.
import { NatError } from "../errors.js";
import type { Nat } from "../nat.js";
import { FROM_OUTSIDE } from "../packet-batch.js";
import { packetOfFlow, packetOfHex } from "./input.js";
import { type ToldExplanation, told } from "./words.js";

/** The side that a packet comes in on; by its addresses where it is left out. */
export type From = "inside" | "outside";

/** A packet in hex, or a flow in words; one of them. */
export interface Question {
  readonly packet?: string;
  readonly flow?: string;
  /** Bytes that the packet had on the wire, where a capture cut it. */
  readonly wireLength?: number;
  readonly from?: From;
}

/**
 * Answers a question that came as JSON.
 * @throws NatError NAT_ERR_ARGUMENT when it is none
 */
export function answerTo(question: unknown, nat: Nat): ToldExplanation {
  const { packet, flow, wireLength = 0, from } = (question ?? {}) as { [Key in keyof Question]: unknown };
  if ((typeof packet === "string") === (typeof flow === "string")) {
    throw new NatError("NAT_ERR_ARGUMENT", 'give "packet" in hex or "flow" in words, one of them');
  }
  if (from !== undefined && from !== "inside" && from !== "outside") {
    throw new NatError("NAT_ERR_ARGUMENT", `from: ${JSON.stringify(from)} is neither "inside" nor "outside"`);
  }
  if (typeof wireLength !== "number" || !(wireLength >= 0)) {
    throw new NatError("NAT_ERR_ARGUMENT", `wireLength: ${JSON.stringify(wireLength)} is no number of bytes`);
  }
  const asked = typeof packet === "string" ? packetOfHex(packet) : packetOfFlow(String(flow));
  return told(asked, nat.explain(asked, { wireLength, flags: flagsOf(from) }));
}

/** The flags of a packet that comes in on a side. */
export function flagsOf(from: From | undefined): number {
  return from === "outside" ? FROM_OUTSIDE : 0;
}
