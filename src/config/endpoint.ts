import { parseIpv4 } from "./cidr.js";

/** A range of ports, both ends included. */
export interface PortRange {
  readonly lo: number;
  readonly hi: number;
}

/** An IPv4 address (32 bits, host order) with a port. */
export interface Endpoint {
  readonly address: number;
  readonly port: number;
}

/** Reads "LO-HI" or one port, 1 to 65535. */
export function parsePorts(text: string): PortRange | null {
  const [first = "", last = first, ...rest] = text.split("-");
  const lo = parsePort(first);
  const hi = parsePort(last);
  return lo === null || hi === null || lo > hi || rest.length > 0 ? null : { lo, hi };
}

/** Reads "203.0.113.1:8080". */
export function parseEndpoint(text: string): Endpoint | null {
  const [host = "", service = "", ...rest] = text.split(":");
  const address = parseIpv4(host);
  const port = parsePort(service);
  return address === null || port === null || rest.length > 0 ? null : { address, port };
}

function parsePort(text: string): number | null {
  return /^[1-9][0-9]{0,4}$/.test(text) && Number(text) <= 65535 ? Number(text) : null;
}
