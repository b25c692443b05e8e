// A packet that a tap was shown, and what is said about it.
import type { Session, SessionEndpoint } from "../conntrack.js";
import type { TapKind } from "../native.js";
import type { Verdict } from "../verdict.js";

/** Which session a packet met. */
export type TappedSession = Pick<Session, "protocol" | "inside" | "public" | "remote">;

/** A packet where it came, or where it left. One that is translated is there twice, once on each side. */
export interface TappedPacket {
  /** Where it was seen. */
  readonly side: "inside" | "outside";
  /** Whether it came from there or left to there. */
  readonly way: "came" | "left";
  /**
   * translated: it was handed to the NAT, which decided. released: a fragment that was held. piece: of a packet that
   * was too big. rewritten: by an `alg`, to another length. originated: an ICMP error of the NAT's own. Of a gateway
   * also delayed: translated, it waited for its next hop's hardware address; own: for the gateway itself or from it.
   */
  readonly kind: TapKind;
  /** What became of it; null of kinds other than "translated". */
  readonly verdict: Verdict | null;
  /** The session that it met; null: none, or of kinds other than "translated". */
  readonly session: TappedSession | null;
  /** The packet as it was there, from its link header on; the caller's to keep. Cut at `snaplen`. */
  readonly packet: Uint8Array;
  /** Its link header: LINKTYPE_IPV4 (228) for none, or LINKTYPE_ETHERNET (1). */
  readonly linkType: number;
  /** Bytes that it had on the wire. */
  readonly length: number;
  /** When: ms since 1970. */
  readonly time: number;
  /** The mark that it was handed in with; 0 in a gateway. */
  readonly tag: number;
  /** Packets that this tap has lost just before. */
  readonly lost: number;
}

/** What is said of a packet: as `napt translate --both` and captures have it. */
type Described = Pick<TappedPacket, "kind" | "way" | "verdict" | "session">;

/** "outbound forwarded: udp 192.168.226.135:4000 [203.0.113.1:8270] 198.51.100.7:53" */
export function commentOf({ kind, way, verdict, session }: Described): string {
  if (verdict !== null) return commentOfVerdict(verdict, session);
  switch (kind) {
    case "released":
      return "forwarded: released by its first fragment";
    case "piece":
      return "forwarded: a piece of a packet that is too big";
    case "rewritten":
      return "forwarded: rewritten by an alg";
    case "originated":
      return "originated by the NAT";
    case "delayed":
      return "forwarded: it waited for its next hop";
    default:
      return way === "came" ? "for the gateway itself" : "from the gateway itself";
  }
}

function commentOfVerdict({ verdict, direction, reason }: Verdict, session: TappedSession | null): string {
  const what = direction === "none" ? verdict : `${direction} ${verdict}`;
  if (reason !== null) return `${what}: ${reason}`;
  if (session === null) return what;
  const { protocol, inside, remote } = session;
  const endpoint = ({ address, port }: SessionEndpoint) => (port === 0 ? address : `${address}:${port}`);
  return `${what}: ${protocol} ${endpoint(inside)} [${endpoint(session.public)}] ${endpoint(remote)}`;
}
