// Where a log goes: `udp://192.0.2.5:4739`, `tcp://logs.example.net:601` or `unix:/run/log.sock`.
import { NatError } from "../errors.js";

/** Where a log goes. */
export type Destination =
  | { readonly transport: "udp" | "tcp"; readonly host: string; readonly port: number }
  | { readonly transport: "unix"; readonly path: string };

export const TRANSPORTS = ["udp", "tcp", "unix"] as const;
export type Transport = (typeof TRANSPORTS)[number];

/** Of a transport, the port where none is given. */
export type DefaultPorts = Readonly<Partial<Record<Transport, number>>>;

/** A destination from what people write; null: it is none, or not by one of the transports that have a port. */
export function parseDestination(text: string, ports: DefaultPorts): Destination | null {
  const socket = /^unix:(\/.{1,106})$/.exec(text)?.[1];
  if (socket !== undefined) return "unix" in ports ? { transport: "unix", path: socket } : null;
  const [, transport, host, port] =
    /^(udp|tcp):\/\/([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?$/.exec(text) ?? [];
  if (transport !== "udp" && transport !== "tcp") return null;
  const number = port === undefined ? ports[transport] : Number(port);
  if (host === undefined || number === undefined || number < 1 || number > 65535) return null;
  return { transport, host: host.replace(/^\[|\]$/g, ""), port: number };
}

/** @throws NatError NAT_ERR_ARGUMENT when it is none */
export function destinationOf(text: unknown, ports: DefaultPorts): Destination {
  const destination = typeof text === "string" ? parseDestination(text, ports) : null;
  if (destination !== null) return destination;
  const right =
    "unix" in ports ? "udp://192.0.2.5, tcp://192.0.2.5:601 or unix:/run/log.sock" : "udp://192.0.2.5:4739";
  throw new NatError("NAT_ERR_ARGUMENT", `to: ${JSON.stringify(text)} is no destination such as ${right}`);
}
