// Ethernet frames as bytes.

/** Bytes of the Ethernet header. */
export const ETHERNET_HEADER = 14;
export const ETHER_IPV4 = 0x0800;
export const ETHER_ARP = 0x0806;
export const NOBODY = new Uint8Array(6);
export const EVERYBODY = Uint8Array.of(255, 255, 255, 255, 255, 255);

/** The type of a frame's payload. */
export function etherTypeOf(frame: Buffer): number {
  return frame.readUInt16BE(12);
}

/** A frame with room for `length` bytes of payload. */
export function frameFor(to: Uint8Array, from: Uint8Array, type: number, length: number): Buffer {
  const frame = Buffer.alloc(ETHERNET_HEADER + length);
  frame.set(to, 0);
  frame.set(from, 6);
  frame.writeUInt16BE(type, 12);
  return frame;
}

/** Reads "02:00:00:e2:00:87"; null for anything else. */
export function parseMac(text: string): Uint8Array | null {
  const octets = /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(text) ? text.split(":") : null;
  return octets && Uint8Array.from(octets, (octet) => Number.parseInt(octet, 16));
}

export function formatMac(mac: Uint8Array): string {
  return Array.from(mac, (octet) => octet.toString(16).padStart(2, "0")).join(":");
}

/** Whether a hardware address is a single station's, and not that of nobody. */
export function isStation(mac: Uint8Array): boolean {
  return (mac[0]! & 1) === 0 && mac.some((octet) => octet !== 0);
}
