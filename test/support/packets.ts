/**
 * IPv4 packets for tests: built from fields, taken apart into fields, checksums computed from scratch.
 *
 * Nothing here is incremental and nothing is shared with the engine, so it can judge the engine's arithmetic.
 * Addresses are dotted text and endpoints are `address:port`, because traces of failing tests are read by people.
 * For ICMP queries the identifier stands where the port does.
 */

/** Protocol numbers of the IPv4 header. */
export const PROTOCOL = { icmp: 1, tcp: 6, udp: 17, gre: 47 } as const;

/** An address and a port (or ICMP identifier). */
export interface Endpoint {
  address: string;
  port: number;
}

/** The IPv4 header, without the fields that follow from the rest (version, lengths). */
export interface Ipv4Header {
  src: string;
  dst: string;
  protocol: number;
  ttl: number;
  id: number;
  tos: number;
  df: boolean;
  mf: boolean;
  /** In bytes, a multiple of 8. */
  fragmentOffset: number;
  /** A multiple of 4 bytes, at most 40. */
  options: Uint8Array;
  headerChecksum: number;
}

export interface UdpBody {
  kind: "udp";
  sport: number;
  dport: number;
  checksum: number;
  payload: Uint8Array;
}

export interface TcpBody {
  kind: "tcp";
  sport: number;
  dport: number;
  seq: number;
  ack: number;
  /** Letters of `FSRPAUEC`, in that order. */
  flags: string;
  window: number;
  urgent: number;
  options: Uint8Array;
  checksum: number;
  payload: Uint8Array;
}

export interface EchoBody {
  kind: "echo";
  reply: boolean;
  identifier: number;
  sequence: number;
  checksum: number;
  payload: Uint8Array;
}

/** An ICMP message that is no echo; for an error `payload` begins with the quoted packet. */
export interface IcmpBody {
  kind: "icmp";
  type: number;
  code: number;
  /** Bytes 4 to 7 as one number. */
  rest: number;
  checksum: number;
  payload: Uint8Array;
}

/** Another protocol, a fragment that is not the first, or a header cut short. */
export interface RawBody {
  kind: "raw";
  payload: Uint8Array;
}

export type Body = UdpBody | TcpBody | EchoBody | IcmpBody | RawBody;
export type Packet = Ipv4Header & { body: Body };

/** A copy in memory of its own (`slice` of a Buffer would share it). */
function copyOf(bytes: Uint8Array, from = 0, to = bytes.length): Uint8Array {
  return new Uint8Array(bytes.subarray(from, to));
}

const NOTHING = new Uint8Array(0);
const FLAGS = "FSRPAUEC";

// ---------------------------------------------------------------------------------------------- addresses

/** `"192.0.2.1"` as a number in host order. */
export function addressNumber(text: string): number {
  return text.split(".").reduce((value, part) => value * 256 + Number(part), 0);
}

export function addressText(value: number): string {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255].join(".");
}

/** `"192.0.2.1:53"` taken apart. */
export function endpoint(text: string): Endpoint {
  const [address, port] = text.split(":");
  return { address: address!, port: Number(port) };
}

export function endpointText(value: Endpoint): string {
  return `${value.address}:${value.port}`;
}

/** Whether the address lies in the prefix, `"192.0.2.0/24"`. */
export function inPrefix(address: string, prefix: string): boolean {
  const [network, length = "32"] = prefix.split("/");
  const size = 2 ** (32 - Number(length));
  return Math.floor(addressNumber(address) / size) === Math.floor(addressNumber(network!) / size);
}

// ---------------------------------------------------------------------------------------------- checksums

/** The one's complement sum of the 16-bit words, folded; an odd last byte is the high half of its word. */
export function onesSum(bytes: Uint8Array, start = 0): number {
  let sum = start;
  for (let i = 0; i + 1 < bytes.length; i += 2) sum += bytes[i]! * 256 + bytes[i + 1]!;
  if (bytes.length % 2 === 1) sum += bytes[bytes.length - 1]! * 256;
  while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000);
  return sum;
}

function pseudoHeaderSum(packet: Uint8Array, protocol: number, length: number): number {
  return onesSum(packet.subarray(12, 20), protocol + length);
}

/** Where the checksums of a packet stand: offsets into it, -1 where there is none. */
interface Layout {
  headerLength: number;
  totalLength: number;
  protocol: number;
  /** Offset of the transport checksum: -1 for fragments other than the first, other protocols, cut headers. */
  checksumAt: number;
  fragment: boolean;
}

const CHECKSUM_AT: Record<number, number> = { 1: 2, 6: 16, 17: 6 };

function layout(packet: Uint8Array): Layout {
  const headerLength = (packet[0]! & 15) * 4;
  const totalLength = packet[2]! * 256 + packet[3]!;
  const fragmentWord = packet[6]! * 256 + packet[7]!;
  const protocol = packet[9]!;
  const within = CHECKSUM_AT[protocol];
  const first = (fragmentWord & 0x1fff) === 0;
  const at = within === undefined ? -1 : headerLength + within;
  return {
    headerLength,
    totalLength,
    protocol,
    checksumAt: first && at >= 0 && at + 2 <= Math.min(packet.length, totalLength) ? at : -1,
    fragment: (fragmentWord & 0x3fff) !== 0,
  };
}

/** The checksum that the IP header should have. */
export function headerChecksumOf(packet: Uint8Array): number {
  const header = copyOf(packet, 0, layout(packet).headerLength);
  put16(header, 10, 0);
  return onesSum(header) ^ 0xffff;
}

/**
 * The transport checksum that a whole datagram should have, or -1 where there is none to compute: not TCP,
 * UDP or ICMP, a fragment, a packet cut short. For UDP never 0 (RFC 768: a computed 0 is sent as 0xffff).
 */
export function transportChecksumOf(packet: Uint8Array): number {
  const { headerLength, totalLength, protocol, checksumAt, fragment } = layout(packet);
  if (checksumAt < 0 || fragment || totalLength > packet.length) return -1;
  let end = totalLength;
  if (protocol === PROTOCOL.udp) {
    const udpLength = get16(packet, headerLength + 4);
    if (udpLength < 8 || headerLength + udpLength > totalLength) return -1;
    end = headerLength + udpLength; // bytes beyond the UDP length are not summed
  }
  const segment = copyOf(packet, headerLength, end);
  put16(segment, checksumAt - headerLength, 0);
  const start = protocol === PROTOCOL.icmp ? 0 : pseudoHeaderSum(packet, protocol, segment.length);
  const sum = onesSum(segment, start) ^ 0xffff;
  return protocol === PROTOCOL.udp && sum === 0 ? 0xffff : sum;
}

/** The transport checksum as it stands in the packet, or -1. */
export function transportChecksumIn(packet: Uint8Array): number {
  const { checksumAt } = layout(packet);
  return checksumAt < 0 ? -1 : get16(packet, checksumAt);
}

export function setHeaderChecksum(packet: Uint8Array, value: number): void {
  put16(packet, 10, value);
}

export function setTransportChecksum(packet: Uint8Array, value: number): void {
  const { checksumAt } = layout(packet);
  if (checksumAt >= 0) put16(packet, checksumAt, value);
}

/** A copy whose IP and transport checksums are computed from scratch. A UDP checksum of 0 (none) stays 0. */
export function fullChecksums(packet: Uint8Array): Uint8Array {
  const copy = copyOf(packet);
  setHeaderChecksum(copy, headerChecksumOf(copy));
  const unsummed = copy[9] === PROTOCOL.udp && transportChecksumIn(copy) === 0;
  const transport = transportChecksumOf(copy);
  if (transport >= 0 && !unsummed) setTransportChecksum(copy, transport);
  return copy;
}

/**
 * How wrong a checksum is: `actual - right` in one's complement arithmetic, 0 to 0xfffe, 0 when it verifies.
 * (0 and 0xffff are the same number there.)
 */
export function checksumError(actual: number, right: number): number {
  return (((actual - right) % 0xffff) + 0xffff) % 0xffff;
}

// ---------------------------------------------------------------------------------------------- building

type HeaderFields = Partial<Omit<Ipv4Header, "src" | "dst">>;

/** What every builder takes beside the fields of its own protocol. */
export interface Common extends HeaderFields {
  /** `address:port`; for ICMP an address. */
  src: string;
  dst: string;
  payload?: Uint8Array | string;
  /** The transport checksum as it is to stand in the packet; computed when left out. */
  checksum?: number;
}

function bytesOf(payload: Uint8Array | string | undefined): Uint8Array {
  if (payload === undefined) return NOTHING;
  return typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
}

function hostOf(text: string): string {
  return text.split(":")[0]!;
}

/** One packet from its header fields and the bytes after the header; transport checksum left as given. */
function assemble(protocol: number, fields: Common, transport: Uint8Array): Uint8Array {
  const options = fields.options ?? NOTHING;
  const headerLength = 20 + options.length;
  const packet = new Uint8Array(headerLength + transport.length);
  packet[0] = 0x40 | (headerLength / 4);
  packet[1] = fields.tos ?? 0;
  put16(packet, 2, packet.length);
  put16(packet, 4, fields.id ?? 0);
  const offset = (fields.fragmentOffset ?? 0) / 8;
  put16(packet, 6, (fields.df ? 0x4000 : 0) | (fields.mf ? 0x2000 : 0) | offset);
  packet[8] = fields.ttl ?? 64;
  packet[9] = fields.protocol ?? protocol;
  put32(packet, 12, addressNumber(hostOf(fields.src)));
  put32(packet, 16, addressNumber(hostOf(fields.dst)));
  packet.set(options, 20);
  packet.set(transport, headerLength);
  put16(packet, 10, fields.headerChecksum ?? headerChecksumOf(packet));
  return packet;
}

function finish(packet: Uint8Array, checksum: number | undefined): Uint8Array {
  setTransportChecksum(packet, checksum ?? Math.max(0, transportChecksumOf(packet)));
  return packet;
}

/** A UDP datagram; `checksum: 0` sends none. */
export function udp(fields: Common): Uint8Array {
  const payload = bytesOf(fields.payload);
  const segment = new Uint8Array(8 + payload.length);
  put16(segment, 0, endpoint(fields.src).port);
  put16(segment, 2, endpoint(fields.dst).port);
  put16(segment, 4, segment.length);
  segment.set(payload, 8);
  return finish(assemble(PROTOCOL.udp, fields, segment), fields.checksum);
}

export interface TcpFields extends Common {
  /** Letters of `FSRPAUEC`, for example `"SA"`. Default `"A"`. */
  flags?: string;
  seq?: number;
  ack?: number;
  window?: number;
  urgent?: number;
  /** A multiple of 4 bytes. */
  tcpOptions?: Uint8Array;
}

export function tcp(fields: TcpFields): Uint8Array {
  const payload = bytesOf(fields.payload);
  const options = fields.tcpOptions ?? NOTHING;
  const headerLength = 20 + options.length;
  const segment = new Uint8Array(headerLength + payload.length);
  put16(segment, 0, endpoint(fields.src).port);
  put16(segment, 2, endpoint(fields.dst).port);
  put32(segment, 4, fields.seq ?? 0);
  put32(segment, 8, fields.ack ?? 0);
  segment[12] = (headerLength / 4) << 4;
  for (const flag of fields.flags ?? "A") segment[13]! |= 1 << FLAGS.indexOf(flag);
  put16(segment, 14, fields.window ?? 65535);
  put16(segment, 18, fields.urgent ?? 0);
  segment.set(options, 20);
  segment.set(payload, headerLength);
  return finish(assemble(PROTOCOL.tcp, fields, segment), fields.checksum);
}

export interface EchoFields extends Common {
  /** Identifier. */
  identifier: number;
  sequence?: number;
  reply?: boolean;
}

/** An echo request, or the reply. */
export function echo(fields: EchoFields): Uint8Array {
  const rest = fields.identifier * 65536 + (fields.sequence ?? 0);
  return icmp({ ...fields, type: fields.reply ? 0 : 8, code: 0, rest });
}

export interface IcmpFields extends Common {
  type: number;
  code?: number;
  /** Bytes 4 to 7 as one number. */
  rest?: number;
}

/** Any ICMP message; for an error give the quoted packet as `payload`. */
export function icmp(fields: IcmpFields): Uint8Array {
  const payload = bytesOf(fields.payload);
  const message = new Uint8Array(8 + payload.length);
  message[0] = fields.type;
  message[1] = fields.code ?? 0;
  put32(message, 4, fields.rest ?? 0);
  message.set(payload, 8);
  return finish(assemble(PROTOCOL.icmp, fields, message), fields.checksum);
}

/** A packet of any other protocol. */
export function raw(fields: Common & { protocol: number }): Uint8Array {
  return assemble(fields.protocol, fields, bytesOf(fields.payload));
}

/** An ICMP error about `packet`, quoting its IP header and `octets` bytes after it (all of it by default). */
export function errorAbout(
  packet: Uint8Array,
  fields: {
    src: string;
    dst: string;
    type: number;
    code?: number;
    rest?: number;
    octets?: number;
    ttl?: number;
  },
): Uint8Array {
  const end = fields.octets === undefined ? packet.length : layout(packet).headerLength + fields.octets;
  return icmp({ ...fields, payload: copyOf(packet, 0, Math.min(end, packet.length)) });
}

/** Cuts a datagram into fragments at the given payload offsets (bytes after the IP header, multiples of 8). */
export function fragments(packet: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const { headerLength, totalLength } = layout(packet);
  const payload = packet.subarray(headerLength, totalLength);
  const ends = [...cuts.filter((cut) => cut > 0 && cut < payload.length), payload.length];
  let from = 0;
  return ends.map((to) => {
    const piece = new Uint8Array(headerLength + to - from);
    piece.set(packet.subarray(0, headerLength));
    piece.set(payload.subarray(from, to), headerLength);
    put16(piece, 2, piece.length);
    put16(piece, 6, (to < payload.length ? 0x2000 : 0) | (from / 8));
    setHeaderChecksum(piece, headerChecksumOf(piece));
    from = to;
    return piece;
  });
}

/** Puts fragments, in any order, back together; null when a piece is missing. */
export function reassemble(pieces: readonly Uint8Array[]): Uint8Array | null {
  const sorted = [...pieces].sort((a, b) => decode(a).fragmentOffset - decode(b).fragmentOffset);
  if (sorted.length === 0) return null;
  const { headerLength } = layout(sorted[0]!);
  const body: number[] = [];
  for (const piece of sorted) {
    if (decode(piece).fragmentOffset !== body.length) return null;
    body.push(...piece.subarray(layout(piece).headerLength, layout(piece).totalLength));
  }
  if (decode(sorted.at(-1)!).mf) return null;
  const whole = new Uint8Array(headerLength + body.length);
  whole.set(sorted[0]!.subarray(0, headerLength));
  whole.set(body, headerLength);
  put16(whole, 2, whole.length);
  put16(whole, 6, 0);
  setHeaderChecksum(whole, headerChecksumOf(whole));
  return whole;
}

// ---------------------------------------------------------------------------------------------- decoding

function decodeBody(packet: Uint8Array, headerLength: number, protocol: number, first: boolean): Body {
  let body = packet.subarray(headerLength);
  if (first && protocol === PROTOCOL.tcp && body.length >= 8 && body.length < 20) {
    body = Uint8Array.from({ length: 20 }, (_, i) => body[i] ?? 0); // as ICMP errors quote it
  }
  if (first && protocol === PROTOCOL.udp && body.length >= 8) {
    return {
      kind: "udp",
      sport: get16(body, 0),
      dport: get16(body, 2),
      checksum: get16(body, 6),
      payload: copyOf(body, 8),
    };
  }
  if (first && protocol === PROTOCOL.tcp && body.length >= 20) {
    const dataOffset = (body[12]! >> 4) * 4;
    return {
      kind: "tcp",
      sport: get16(body, 0),
      dport: get16(body, 2),
      seq: get32(body, 4),
      ack: get32(body, 8),
      flags: [...FLAGS].filter((_, bit) => (body[13]! >> bit) & 1).join(""),
      window: get16(body, 14),
      checksum: get16(body, 16),
      urgent: get16(body, 18),
      options: copyOf(body, 20, dataOffset),
      payload: copyOf(body, dataOffset),
    };
  }
  if (first && protocol === PROTOCOL.icmp && body.length >= 8) {
    const [type, code] = [body[0]!, body[1]!];
    const checksum = get16(body, 2);
    const payload = copyOf(body, 8);
    if ((type === 8 || type === 0) && code === 0) {
      return {
        kind: "echo",
        reply: type === 0,
        identifier: get16(body, 4),
        sequence: get16(body, 6),
        checksum,
        payload,
      };
    }
    return { kind: "icmp", type, code, rest: get32(body, 4), checksum, payload };
  }
  return { kind: "raw", payload: copyOf(body) };
}

/** A packet's fields. Bytes beyond the total length are ignored. */
export function decode(packet: Uint8Array): Packet {
  const { headerLength, totalLength, protocol } = layout(packet);
  const fragmentWord = get16(packet, 6);
  const fragmentOffset = (fragmentWord & 0x1fff) * 8;
  return {
    src: addressText(get32(packet, 12)),
    dst: addressText(get32(packet, 16)),
    protocol,
    ttl: packet[8]!,
    id: get16(packet, 4),
    tos: packet[1]!,
    df: (fragmentWord & 0x4000) !== 0,
    mf: (fragmentWord & 0x2000) !== 0,
    fragmentOffset,
    options: copyOf(packet, 20, headerLength),
    headerChecksum: get16(packet, 10),
    body: decodeBody(packet.subarray(0, totalLength), headerLength, protocol, fragmentOffset === 0),
  };
}

/** A packet's source and destination endpoints. For an echo both carry the identifier. */
export function endpoints(packet: Packet): { src: Endpoint; dst: Endpoint } {
  const { body } = packet;
  const [sport, dport] =
    body.kind === "udp" || body.kind === "tcp"
      ? [body.sport, body.dport]
      : body.kind === "echo"
        ? [body.identifier, body.identifier]
        : [0, 0];
  return { src: { address: packet.src, port: sport }, dst: { address: packet.dst, port: dport } };
}

// ---------------------------------------------------------------------------------------------- changing

export interface Changes {
  src?: Endpoint;
  dst?: Endpoint;
  ttl?: number;
  id?: number;
}

/**
 * A copy with the given fields replaced and nothing else touched, checksums as they were. An echo's identifier
 * is taken from whichever endpoint is given.
 */
export function replaceFields(packet: Uint8Array, changes: Changes): Uint8Array {
  const copy = copyOf(packet);
  const { headerLength, protocol } = layout(copy);
  const first = (get16(copy, 6) & 0x1fff) === 0;
  const ported = first && (protocol === PROTOCOL.udp || protocol === PROTOCOL.tcp);
  const isEcho =
    first && protocol === PROTOCOL.icmp && (copy[headerLength] === 8 || copy[headerLength] === 0);
  const { src, dst, ttl, id } = changes;
  if (ttl !== undefined) copy[8] = ttl;
  if (id !== undefined) put16(copy, 4, id);
  if (src !== undefined) {
    put32(copy, 12, addressNumber(src.address));
    if (ported) put16(copy, headerLength, src.port);
    if (isEcho) put16(copy, headerLength + 4, src.port);
  }
  if (dst !== undefined) {
    put32(copy, 16, addressNumber(dst.address));
    if (ported) put16(copy, headerLength + 2, dst.port);
    if (isEcho) put16(copy, headerLength + 4, dst.port);
  }
  return copy;
}

/**
 * A copy with the MSS option of a TCP SYN lowered to `most`, if all of the option is there; checksums as they
 * were.
 */
export function lowerMss(packet: Uint8Array, most: number): Uint8Array {
  const copy = copyOf(packet);
  const { headerLength, totalLength, protocol, checksumAt, fragment } = layout(copy);
  if (protocol !== PROTOCOL.tcp || checksumAt < 0 || (copy[headerLength + 13]! & 2) === 0) return copy;
  const length = (copy[headerLength + 12]! >> 4) * 4;
  if (!fragment && headerLength + length > totalLength) return copy;
  const end = Math.min(headerLength + length, copy.length, totalLength);
  const segment = copy.subarray(headerLength, end);
  for (let at = 20; at < segment.length && segment[at] !== 0; ) {
    const size = segment[at] === 1 ? 1 : (segment[at + 1] ?? 0);
    if (size === 0 || (size === 1 && segment[at] !== 1) || at + size > segment.length) break;
    if (segment[at] === 2 && size === 4) put16(segment, at + 2, Math.min(most, get16(segment, at + 2)));
    at += size;
  }
  return copy;
}

/**
 * An ICMP error with fields of the packet it quotes replaced. The quoted header checksum is computed anew, and so
 * is the quoted transport checksum if it is there at all; of a quotation cut short it is found from what the part
 * that is missing must have summed to. The error's own checksums stay as they were.
 */
export function replaceQuoted(packet: Uint8Array, changes: Changes): Uint8Array {
  const copy = copyOf(packet);
  const at = layout(packet).headerLength + 8;
  const before = copyOf(packet, at);
  let after = replaceFields(before, changes);
  if (transportChecksumOf(before) >= 0) {
    after = fullChecksums(after);
  } else {
    setHeaderChecksum(after, headerChecksumOf(after));
    const old = transportChecksumIn(before);
    const unsummed = before[9] === PROTOCOL.udp && old === 0;
    if (old >= 0 && !unsummed) setTransportChecksum(after, shiftedChecksum(before, after, old));
  }
  copy.set(after, at);
  return copy;
}

/** The transport checksum of `after`, which differs from `before` in what it shows; `old` was right. */
function shiftedChecksum(before: Uint8Array, after: Uint8Array, old: number): number {
  const { headerLength, protocol, checksumAt } = layout(before);
  const visible = (packet: Uint8Array) => {
    const segment = copyOf(packet, headerLength);
    put16(segment, checksumAt - headerLength, 0);
    return onesSum(segment, protocol === PROTOCOL.icmp ? 0 : onesSum(packet.subarray(12, 20)));
  };
  const missing = (((0xffff - old - visible(before)) % 0xffff) + 0xffff) % 0xffff;
  const sum = 0xffff - ((visible(after) + missing) % 0xffff || 0xffff);
  return protocol === PROTOCOL.udp && sum === 0 ? 0xffff : sum;
}

/** A copy with one bit inverted. */
export function flipBit(packet: Uint8Array, bit: number): Uint8Array {
  const copy = copyOf(packet);
  copy[bit >> 3]! ^= 0x80 >> (bit & 7);
  return copy;
}

/**
 * The datagram that the other end sends back: endpoints swapped, an echo request answered, checksums computed.
 * TCP numbers, payload and the rest of the header are the caller's.
 */
export function replyTo(packet: Uint8Array, changes: { ttl?: number; id?: number } = {}): Uint8Array {
  const { src, dst } = endpoints(decode(packet));
  const reply = replaceFields(packet, { ...changes, src: dst, dst: src });
  const { headerLength, protocol } = layout(reply);
  if (protocol === PROTOCOL.icmp && reply[headerLength] === 8) reply[headerLength] = 0;
  return fullChecksums(reply);
}

// ---------------------------------------------------------------------------------------------- reading aloud

/** One line for people: `udp 192.0.2.1:5000 > 198.51.100.1:53 ttl 64 12 bytes`. */
export function describe(packet: Uint8Array): string {
  if (packet.length < 20) return `${packet.length} bytes`;
  const fields = decode(packet);
  const { body } = fields;
  const { src, dst } = endpoints(fields);
  const tail = ` ttl ${fields.ttl} id ${fields.id}${fields.df ? " DF" : ""}`;
  switch (body.kind) {
    case "udp":
      return `udp ${endpointText(src)} > ${endpointText(dst)}${tail}, ${body.payload.length} bytes`;
    case "tcp":
      return (
        `tcp ${endpointText(src)} > ${endpointText(dst)} [${body.flags}] seq ${body.seq} ack ${body.ack}` +
        `${tail}, ${body.payload.length} bytes`
      );
    case "echo":
      return `echo ${body.reply ? "reply" : "request"} ${fields.src} > ${fields.dst} id ${body.identifier}${tail}`;
    case "icmp": {
      const quoted = body.payload.length >= 28 ? ` about {${describe(body.payload)}}` : "";
      return `icmp ${body.type}/${body.code} ${fields.src} > ${fields.dst}${tail}${quoted}`;
    }
    case "raw":
      return `protocol ${fields.protocol} ${fields.src} > ${fields.dst}${tail} offset ${fields.fragmentOffset}`;
  }
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

// ---------------------------------------------------------------------------------------------- bytes

export function get16(bytes: Uint8Array, at: number): number {
  return bytes[at]! * 256 + bytes[at + 1]!;
}

export function get32(bytes: Uint8Array, at: number): number {
  return get16(bytes, at) * 65536 + get16(bytes, at + 2);
}

export function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

export function put32(bytes: Uint8Array, at: number, value: number): void {
  put16(bytes, at, value >>> 16);
  put16(bytes, at + 2, value);
}
