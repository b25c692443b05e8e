// ARP (RFC 826) for IPv4 over Ethernet: packets as bytes.
import { ETHER_ARP, ETHERNET_HEADER, EVERYBODY, frameFor, NOBODY } from "./ethernet.js";

const LENGTH = 28;
const FIXED = Buffer.from([0, 1, 8, 0, 6, 4]); // Ethernet, IPv4 and the lengths of their addresses
const REQUEST = 1;
const REPLY = 2;

/** One end of an ARP packet; the address is a number in host order, 0 when it is not known. */
export interface ArpEnd {
  readonly mac: Uint8Array;
  readonly address: number;
}

export interface ArpPacket {
  readonly kind: "request" | "reply";
  readonly sender: ArpEnd;
  readonly target: ArpEnd;
}

/** What an ARP frame says; null when it is none that makes sense, as from a sender other than the frame's. */
export function readArp(frame: Buffer): ArpPacket | null {
  const body = frame.subarray(ETHERNET_HEADER);
  if (body.length < LENGTH || body.compare(FIXED, 0, FIXED.length, 0, FIXED.length) !== 0) return null;
  const operation = body.readUInt16BE(6);
  if (operation !== REQUEST && operation !== REPLY) return null;
  const sender = { mac: Uint8Array.from(body.subarray(8, 14)), address: body.readUInt32BE(14) };
  if (Buffer.compare(sender.mac, frame.subarray(6, 12)) !== 0) return null;
  const target = { mac: Uint8Array.from(body.subarray(18, 24)), address: body.readUInt32BE(24) };
  return { kind: operation === REQUEST ? "request" : "reply", sender, target };
}

/** The frame that asks who has an address; with `to` it asks only whether that one still has it. */
export function arpRequest(sender: ArpEnd, address: number, to: Uint8Array = EVERYBODY): Buffer {
  return arpFrame(REQUEST, to, sender, { mac: NOBODY, address });
}

/** The frame that tells one who asked. */
export function arpReply(sender: ArpEnd, target: ArpEnd): Buffer {
  return arpFrame(REPLY, target.mac, sender, target);
}

/** The frame that tells everybody of an address's owner (RFC 5227, section 3: an announcement). */
export function arpAnnouncement(owner: ArpEnd): Buffer {
  return arpFrame(REQUEST, EVERYBODY, owner, { mac: NOBODY, address: owner.address });
}

function arpFrame(operation: number, to: Uint8Array, sender: ArpEnd, target: ArpEnd): Buffer {
  const frame = frameFor(to, sender.mac, ETHER_ARP, LENGTH);
  FIXED.copy(frame, ETHERNET_HEADER);
  frame.writeUInt16BE(operation, ETHERNET_HEADER + 6);
  frame.set(sender.mac, ETHERNET_HEADER + 8);
  frame.writeUInt32BE(sender.address, ETHERNET_HEADER + 14);
  frame.set(target.mac, ETHERNET_HEADER + 18);
  frame.writeUInt32BE(target.address, ETHERNET_HEADER + 24);
  return frame;
}
