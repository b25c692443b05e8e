// How people name a packet: a flow in words, or bytes in hex.
import { parseIpv4 } from "../config/cidr.js";
import { type Endpoint, parseEndpoint } from "../config/endpoint.js";
import { NatError } from "../errors.js";
import { DONT_FRAGMENT, ICMP, ipv4Packet, TCP, UDP } from "../ipv4.js";
import { TCP_FLAGS } from "./fields.js";

/** The forms of a flow, for messages and help. */
export const FLOW_FORMS = [
  "udp 192.168.226.135:4000 > 203.0.113.9:53",
  "tcp 192.168.226.135:4000 > 203.0.113.9:80 [A]",
  "icmp 192.168.226.135 > 203.0.113.9 id 7 reply",
] as const;

const FLOW = /^(udp|tcp|icmp)\s+([0-9.:]+)\s*>\s*([0-9.:]+)\s*(.*)$/i;

/**
 * A packet of a flow: without payload, TTL 64, DF set, its checksums right. Of TCP it is a SYN, unless letters of
 * FSRPAUEC in brackets say otherwise; of ICMP an echo request with identifier 1, or as `id` and `reply` say.
 * @param text such as "udp 192.168.226.135:4000 > 203.0.113.9:53", "tcp 192.168.226.135:4000 > 203.0.113.9:80 [A]" or
 * "icmp 192.168.226.135 > 203.0.113.9 id 7 reply"
 * @throws NatError NAT_ERR_ARGUMENT
 */
export function packetOfFlow(text: string): Uint8Array {
  const [, name = "", from = "", to = "", rest = ""] = FLOW.exec(text.trim()) ?? [];
  switch (name.toLowerCase()) {
    case "udp":
      if (rest !== "") break;
      return ported(UDP, endpointOf(from, text), endpointOf(to, text), udpHeader());
    case "tcp": {
      const flags = /^(?:\[([a-z]+)\])?$/i.exec(rest);
      const letters = flags === null ? null : (flags[1] ?? "S").toUpperCase();
      if (letters === null || [...letters].some((letter) => !TCP_FLAGS.includes(letter))) break;
      return ported(TCP, endpointOf(from, text), endpointOf(to, text), tcpHeader(letters));
    }
    case "icmp": {
      const more = /^(?:id ([0-9]{1,5}))?\s*(reply)?$/i.exec(rest);
      const id = Number(more?.[1] ?? 1);
      if (more === null || id > 65535) break;
      return echo(addressOf(from, text), addressOf(to, text), id, more[2] !== undefined);
    }
  }
  throw wrongFlow(text);
}

function wrongFlow(text: string, why = "is no flow"): NatError {
  const forms = FLOW_FORMS.map((form) => `"${form}"`).join(", ");
  return new NatError("NAT_ERR_ARGUMENT", `"${text}" ${why}; write it as ${forms}`);
}

function endpointOf(end: string, text: string): Endpoint {
  const endpoint = parseEndpoint(end);
  if (endpoint === null)
    throw wrongFlow(text, `has "${end}", which is no address with a port from 1 to 65535`);
  return endpoint;
}

function addressOf(end: string, text: string): number {
  const address = parseIpv4(end);
  if (address === null) throw wrongFlow(text, `has "${end}", which is no address`);
  return address;
}

function udpHeader(): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt16BE(bytes.length, 4);
  return bytes;
}

function tcpHeader(flags: string): Buffer {
  const bytes = Buffer.alloc(20);
  bytes[12] = 5 << 4;
  for (const letter of flags) bytes[13]! |= 1 << TCP_FLAGS.indexOf(letter);
  bytes.writeUInt16BE(65535, 14);
  return bytes;
}

function ported(protocol: number, from: Endpoint, to: Endpoint, header: Buffer): Buffer {
  header.writeUInt16BE(from.port, 0);
  header.writeUInt16BE(to.port, 2);
  return ipv4Packet(protocol, from.address, to.address, header, { fragment: DONT_FRAGMENT });
}

function echo(from: number, to: number, id: number, isReply: boolean): Buffer {
  const message = Buffer.alloc(8);
  message[0] = isReply ? 0 : 8;
  message.writeUInt16BE(id, 4);
  return ipv4Packet(ICMP, from, to, message, { fragment: DONT_FRAGMENT });
}

/** Where a line of a dump begins: `0x0000:  `, `00000000: `, `0000   `. */
const OFFSET = /^\s*(?:0x)?[0-9a-f]{4,8}(?::\s+|\s{2,})/i;
const ETHERNET_HEADER = 14;

/**
 * A packet from hex digits, or from a dump as of `xxd`, `hexdump -C`, `tcpdump -x` and `-X`, or Wireshark. It begins
 * with its IPv4 header, or an Ethernet header before that.
 * @throws NatError NAT_ERR_ARGUMENT
 */
export function packetOfHex(text: string): Uint8Array {
  const digits = text.split("\n").map(digitsOf).join("");
  const wrong = /[^0-9a-f]/i.exec(digits)?.[0];
  if (wrong !== undefined) {
    throw new NatError("NAT_ERR_ARGUMENT", `the hex has "${wrong}", which is no hex digit`);
  }
  if (digits === "") throw new NatError("NAT_ERR_ARGUMENT", "the hex has no digits");
  if (digits.length % 2 !== 0) {
    throw new NatError("NAT_ERR_ARGUMENT", `the hex has ${digits.length} digits: half a byte is missing`);
  }
  const bytes = Buffer.from(digits, "hex");
  const isFrame =
    bytes[0]! >> 4 !== 4 &&
    bytes.length >= ETHERNET_HEADER &&
    bytes.readUInt16BE(ETHERNET_HEADER - 2) === 0x0800;
  return isFrame ? bytes.subarray(ETHERNET_HEADER) : bytes;
}

/** A line's hex digits: without its offset, and the characters that some dumps show behind. */
function digitsOf(line: string): string {
  const offset = OFFSET.exec(line)?.[0];
  const rest = offset === undefined ? line : line.slice(offset.length);
  const end = offset === undefined ? /$/ : offset.includes(":") ? /\s\s|$/ : /\||\s{3}|$/;
  return rest.slice(0, end.exec(rest)!.index).replace(/\s|^0x/g, "");
}
