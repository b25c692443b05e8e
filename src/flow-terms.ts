// Words that name flows, as filters have them: a protocol, an address or prefix, an endpoint, a port.
import { networkOf, parseCidr, parseIpv4 } from "./config/cidr.js";
import { PROTOCOL_NAMES } from "./config/protocols.js";
import type { SessionProtocol } from "./conntrack.js";

/** One end of a flow: any address within a prefix, with any port or one. */
export interface EndTerm {
  readonly network: number;
  readonly bits: number;
  /** Null: any. */
  readonly port: number | null;
}

/** "tcp" or "ip-4"; null for anything else. */
export function protocolTerm(word: string): SessionProtocol | null {
  const name = word.toLowerCase();
  const isOne = (PROTOCOL_NAMES as readonly string[]).includes(name) || /^ip-[0-9]{1,3}$/.test(name);
  return isOne ? (name as SessionProtocol) : null;
}

/** "192.168.226.0/24", "203.0.113.8", "203.0.113.8:443" or ":443"; null for anything else. */
export function endTerm(word: string): EndTerm | null {
  const [address = "", port, ...more] = word.split(":");
  if (more.length > 0) return null;
  if (port === undefined) {
    const prefix = parseCidr(address);
    return prefix && { ...prefix, port: null };
  }
  const number = /^[0-9]{1,5}$/.test(port) ? Number(port) : 65536;
  if (number > 65535) return null;
  if (address === "") return { network: 0, bits: 0, port: number };
  const network = parseIpv4(address);
  return network === null ? null : { network, bits: 32, port: number };
}

/** Whether an address (in host order) and a port are such an end. */
export function isEnd({ network, bits, port }: EndTerm, address: number, itsPort: number): boolean {
  return (port === null || port === itsPort) && networkOf(address, bits) === network;
}
