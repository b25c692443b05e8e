// Ping to the gateway's own address.
import { ETHERNET_HEADER } from "./ethernet.js";

const ICMP = 1;
const ECHO = 8;
const IP_HEADER = 20;

/** The frame that answers an ICMP echo request for an address, made of it; null for anything else. */
export function answerEcho(frame: Buffer, address: number, mac: Uint8Array): Buffer | null {
  const ip = frame.subarray(ETHERNET_HEADER);
  if (ip.length < IP_HEADER || ip[0] !== 0x45 || ip[9] !== ICMP || ip.readUInt32BE(16) !== address)
    return null;
  const total = ip.readUInt16BE(2);
  const isFragment = (ip.readUInt16BE(6) & 0x3fff) !== 0;
  if (isFragment || total < IP_HEADER + 8 || total > ip.length) return null;
  const message = ip.subarray(IP_HEADER, total);
  if (
    message[0] !== ECHO ||
    message[1] !== 0 ||
    sum(message) !== 0xffff ||
    sum(ip.subarray(0, IP_HEADER)) !== 0xffff
  ) {
    return null;
  }
  const answer = Buffer.from(frame.subarray(0, ETHERNET_HEADER + total));
  answer.set(frame.subarray(6, 12), 0);
  answer.set(mac, 6);
  const header = answer.subarray(ETHERNET_HEADER, ETHERNET_HEADER + IP_HEADER);
  ip.copy(header, 12, 16, 20);
  ip.copy(header, 16, 12, 16);
  header[8] = 64;
  header.writeUInt16BE(0, 10);
  header.writeUInt16BE(~sum(header) & 0xffff, 10);
  const reply = answer.subarray(ETHERNET_HEADER + IP_HEADER);
  reply[0] = 0;
  reply.writeUInt16BE(0, 2);
  reply.writeUInt16BE(~sum(reply) & 0xffff, 2);
  return answer;
}

/** The one's complement sum of 16-bit words (RFC 1071). */
function sum(bytes: Buffer): number {
  let total = 0;
  for (let i = 0; i < bytes.length; i += 2) total += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}
