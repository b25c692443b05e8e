/** Link types (LINKTYPE_ values of tcpdump.org/linktypes.html) in which IPv4 packets can be found. */
export const LINK_TYPE = {
  null: 0,
  ethernet: 1,
  raw: 101,
  raw12: 12, // DLT_RAW of most systems, found in files that were written with a DLT value
  raw14: 14, // DLT_RAW of OpenBSD
  loop: 108,
  linuxSll: 113,
  ipv4: 228,
  linuxSll2: 276,
} as const;

export const SUPPORTED_LINK_TYPES: readonly number[] = Object.values(LINK_TYPE);

const ETHER_TYPE = {
  ipv4: 0x0800,
  vlan: 0x8100,
  providerVlan: 0x88a8,
  oldQinQ: 0x9100,
  pppoeSession: 0x8864,
} as const;

const VLAN_TAG = 4;
const PPPOE_HEADER = 6;
/** Version 1, type 1, code 0 in the first two bytes of a PPPoE header. */
const PPPOE_SESSION_DATA = 0x1100;
const PPP_IPV4 = 0x21;

/** AF_INET is 2 on every system. */
const AF_INET = 2;

/**
 * Finds the IPv4 header of a frame: its offset from `start`, or -1 when the frame is of another protocol,
 * or cut within its link header. The offset may equal `capLength`: an IPv4 frame with nothing left of its
 * packet. What follows is not looked at, except on raw IP links, where the version tells IPv4 from IPv6.
 */
export function locateIpv4(bytes: Uint8Array, start: number, capLength: number, linkType: number): number {
  switch (linkType) {
    case LINK_TYPE.ethernet:
      return capLength < 14 ? -1 : behindEtherType(bytes, start, capLength, 12, 14);
    case LINK_TYPE.raw:
    case LINK_TYPE.raw12:
    case LINK_TYPE.raw14:
      return capLength > 0 && bytes[start]! >> 4 === 4 ? 0 : -1;
    case LINK_TYPE.ipv4:
      return 0;
    case LINK_TYPE.linuxSll:
      return capLength < 16 ? -1 : behindEtherType(bytes, start, capLength, 14, 16);
    case LINK_TYPE.linuxSll2:
      return capLength < 20 ? -1 : behindEtherType(bytes, start, capLength, 0, 20);
    case LINK_TYPE.null: // byte order of the machine that captured
      return capLength >= 4 && (isAfInet(bytes, start, 0) || isAfInet(bytes, start, 3)) ? 4 : -1;
    case LINK_TYPE.loop: // network byte order
      return capLength >= 4 && isAfInet(bytes, start, 3) ? 4 : -1;
    default:
      return -1;
  }
}

/**
 * The link header of the frame at `start`, whose IPv4 header is at `ipOffset`, for a packet of `ipLength` bytes:
 * a length that it tells is that packet's.
 */
export function linkHeaderFor(
  bytes: Uint8Array,
  start: number,
  ipOffset: number,
  linkType: number,
  ipLength: number,
): Uint8Array {
  const header = bytes.slice(start, start + ipOffset);
  switch (linkType) {
    case LINK_TYPE.ethernet:
      setPppoeLength(header, 12, 14, ipLength);
      break;
    case LINK_TYPE.linuxSll:
      setPppoeLength(header, 14, 16, ipLength);
      break;
    case LINK_TYPE.linuxSll2:
      setPppoeLength(header, 0, 20, ipLength);
      break;
  }
  return header;
}

/** The same for a packet that goes back to the sender of that frame: Ethernet addresses are swapped. */
export function replyLinkHeader(
  bytes: Uint8Array,
  start: number,
  ipOffset: number,
  linkType: number,
  ipLength: number,
): Uint8Array {
  const header = linkHeaderFor(bytes, start, ipOffset, linkType, ipLength);
  if (linkType === LINK_TYPE.ethernet) {
    header.copyWithin(0, 6, 12);
    header.set(bytes.subarray(start, start + 6), 6);
  }
  return header;
}

/** Follows VLAN tags and PPPoE from the EtherType field at `type`, whose payload is at `payload`. */
function behindEtherType(
  bytes: Uint8Array,
  start: number,
  capLength: number,
  type: number,
  payload: number,
): number {
  const at = skipTags(bytes, start, capLength, type, payload);
  if (at === -1) return -1;
  const etherType = word(bytes, start + (at === payload ? type : at - 2));
  if (etherType === ETHER_TYPE.ipv4) return at;
  return etherType === ETHER_TYPE.pppoeSession ? behindPppoe(bytes, start, capLength, at) : -1;
}

/** Offset of what the last VLAN tag is followed by, or -1 when the frame is cut within a tag. */
function skipTags(
  bytes: Uint8Array,
  start: number,
  capLength: number,
  type: number,
  payload: number,
): number {
  let at = payload;
  let etherType = word(bytes, start + type);
  while (
    etherType === ETHER_TYPE.vlan ||
    etherType === ETHER_TYPE.providerVlan ||
    etherType === ETHER_TYPE.oldQinQ
  ) {
    at += VLAN_TAG;
    if (at > capLength) return -1;
    etherType = word(bytes, start + at - 2);
  }
  return at;
}

function behindPppoe(bytes: Uint8Array, start: number, capLength: number, at: number): number {
  const protocol = at + PPPOE_HEADER;
  if (protocol + 1 > capLength || word(bytes, start + at) !== PPPOE_SESSION_DATA) return -1;
  if (bytes[start + protocol] === PPP_IPV4) return protocol + 1; // compressed to one byte
  if (protocol + 2 > capLength) return -1;
  return word(bytes, start + protocol) === PPP_IPV4 ? protocol + 2 : -1;
}

/** Writes the length of a packet of `ipLength` bytes into the PPPoE header, where a link header has one. */
function setPppoeLength(header: Uint8Array, type: number, payload: number, ipLength: number): void {
  const at = skipTags(header, 0, header.length, type, payload);
  if (at === -1 || word(header, at === payload ? type : at - 2) !== ETHER_TYPE.pppoeSession) return;
  const length = header.length - (at + PPPOE_HEADER) + ipLength;
  header[at + 4] = length >> 8;
  header[at + 5] = length;
}

/** Reads 16 bits in network byte order. */
function word(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

/** True when the four bytes at `start` are AF_INET, with its one non-zero byte at `position`. */
function isAfInet(bytes: Uint8Array, start: number, position: number): boolean {
  for (let i = 0; i < 4; i++) if (bytes[start + i] !== (i === position ? AF_INET : 0)) return false;
  return true;
}
