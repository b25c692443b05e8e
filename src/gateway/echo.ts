// Ping to the gateway's own address.

import { ICMP, IP_HEADER, onesSum, seal } from "../ipv4.js";
import { ETHERNET_HEADER } from "./ethernet.js";

const ECHO = 8;

/** The frame that answers an ICMP echo request for an address, made of it; null for anything else. */
export function answerEcho(frame: Buffer, address: number, mac: Uint8Array): Buffer | null {
  const ip = frame.subarray(ETHERNET_HEADER);
  if (ip.length < IP_HEADER || ip[0] !== 0x45 || ip[9] !== ICMP || ip.readUInt32BE(16) !== address)
    return null;
  const total = ip.readUInt16BE(2);
  const isFragment = (ip.readUInt16BE(6) & 0x3fff) !== 0;
  if (isFragment || total < IP_HEADER + 8 || total > ip.length) return null;
  const message = ip.subarray(IP_HEADER, total);
  const sound = onesSum(message) === 0xffff && onesSum(ip.subarray(0, IP_HEADER)) === 0xffff;
  if (message[0] !== ECHO || message[1] !== 0 || !sound) return null;
  const answer = Buffer.from(frame.subarray(0, ETHERNET_HEADER + total));
  answer.set(frame.subarray(6, 12), 0);
  answer.set(mac, 6);
  const reply = answer.subarray(ETHERNET_HEADER);
  ip.copy(reply, 12, 16, 20);
  ip.copy(reply, 16, 12, 16);
  reply[8] = 64;
  reply[IP_HEADER] = 0;
  seal(reply);
  return answer;
}
