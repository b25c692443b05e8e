/** Comparing what the two routers put out, datagram by datagram and field by field. */
import type { Packet } from "../support/packets.js";
import type { Flow } from "./flow.js";
import type { Observation } from "./observation.js";
import type { Both, Side } from "./routers.js";
import type { Step } from "./steps.js";
import type { World } from "./worlds.js";

export const ABSENT = "no packet";

interface Mismatch {
  /** A field of {@link Observation}, or "packet" when only one router put a packet out. */
  field: string;
  kernel: string;
  napt: string;
  /** The kernel's; napt's where the kernel has none. */
  observation: Observation;
}

/** One point in which the routers differ, with what led to it. */
export interface Difference extends Mismatch {
  world: World;
  step: Step;
  /** The datagram that was sent (the kernel's where it has its own), and where. */
  packet: Packet;
  side: Side;
  fragmented: boolean;
  /** What it is about if it is an ICMP error, as its receiver sent that. */
  about: Packet | null;
  /** The flow that it belongs to, if both routers know it. */
  flow: Flow | null;
  /** Whether it goes to the public endpoint of a host that has itself tried to reach another host's before. */
  punched: boolean;
  /** Whether it is about a packet that a router itself originated. */
  originated: boolean;
  reasons: Both<string[]>;
}

/** Judges a difference: its name among the known ones, and whether both routers have the same sessions after it. */
export type Judge = (difference: Difference) => { name: string; harmless: boolean } | null;

export function differencesOf({ kernel, napt }: Both<Observation[]>): Mismatch[] {
  const mismatches: Mismatch[] = [];
  const rest = [...napt];
  for (const mine of kernel) {
    const at = rest.findIndex((one) => kindOf(one) === kindOf(mine));
    const [theirs] = at === -1 ? rest.splice(0, 1) : rest.splice(at, 1);
    if (theirs === undefined) {
      mismatches.push({ field: "packet", kernel: textOf(mine), napt: ABSENT, observation: mine });
      continue;
    }
    for (const field of new Set([...Object.keys(mine), ...Object.keys(theirs)])) {
      const [a, b] = [mine[field] ?? "", theirs[field] ?? ""];
      if (a !== b) mismatches.push({ field, kernel: a, napt: b, observation: mine });
    }
  }
  for (const theirs of rest) {
    mismatches.push({ field: "packet", kernel: ABSENT, napt: textOf(theirs), observation: theirs });
  }
  return mismatches;
}

/** What tells the datagrams of one exchange apart. */
function kindOf({ side, protocol, transport }: Observation): string {
  return `${side} ${protocol} ${transport}`;
}

function textOf({ side, protocol, source, destination, icmp }: Observation): string {
  const error = icmp === undefined ? "" : ` error ${icmp}`;
  return `to ${side}: protocol ${protocol}${error} ${source} > ${destination}`;
}
