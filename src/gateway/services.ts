// What inside hosts get from the gateway's own address: echo replies, leases, names.

import { IP_HEADER } from "../ipv4.js";
import { type Datagram, datagramFrame, readDatagram, UDP_HEADER } from "./datagram.js";
import { DHCP_CLIENT, DHCP_SERVER } from "./dhcp/message.js";
import type { DhcpServer } from "./dhcp/server.js";
import type { DnsForwarder } from "./dns/forwarder.js";
import { DNS_PORT, truncated } from "./dns/message.js";
import { answerEcho } from "./echo.js";
import { ETHERNET_HEADER, EVERYBODY } from "./ethernet.js";
import { type Allowance, refuse } from "./refusal.js";
import type { Side } from "./side.js";

/** Those that are offered; null: not. */
export interface Servers {
  /** How often somebody may be told that there is nothing. */
  readonly allowance: Allowance;
  readonly dhcp: DhcpServer | null;
  readonly dns: DnsForwarder | null;
}

/** Answers an IPv4 frame that is for the gateway's own address, or for everybody. */
export function serve(side: Side, servers: Servers, frame: Buffer, offload: Buffer): void {
  const echo = answerEcho(frame, side.network.address, side.mac);
  if (echo !== null) side.send(echo);
  if (echo !== null) return;
  const datagram = readDatagram(frame, isPartial(offload));
  if (
    datagram?.destinationPort === DHCP_SERVER &&
    datagram.sourcePort === DHCP_CLIENT &&
    servers.dhcp !== null
  ) {
    lease(side, servers.dhcp, datagram);
    return;
  }
  if (frame.readUInt32BE(ETHERNET_HEADER + 16) !== side.network.address) return;
  if (datagram?.destinationPort === DNS_PORT && servers.dns !== null) {
    void name(side, servers.dns, datagram, frame.subarray(6, 12));
    return;
  }
  const refusal = servers.allowance.take(performance.now()) ? refuse(frame, side.mac) : null;
  if (refusal !== null) side.send(refusal);
}

function lease(side: Side, dhcp: DhcpServer, { payload: request }: Datagram): void {
  const answer = dhcp.answer(request);
  if (answer === null) return;
  const { payload, broadcast, destination, mac } = answer;
  const reply = {
    source: side.network.address,
    destination,
    sourcePort: DHCP_SERVER,
    destinationPort: DHCP_CLIENT,
    payload,
  };
  side.send(datagramFrame(broadcast ? EVERYBODY : mac, side.mac, reply));
}

async function name(side: Side, dns: DnsForwarder, query: Datagram, client: Buffer): Promise<void> {
  const answer = await dns.answer(query.payload, query.source);
  if (answer === null) return;
  const room = side.mtu - IP_HEADER - UDP_HEADER;
  const reply = {
    source: query.destination,
    destination: query.source,
    sourcePort: DNS_PORT,
    destinationPort: query.sourcePort,
    payload: answer.length > room ? truncated(answer) : answer,
  };
  side.send(datagramFrame(client, side.mac, reply));
}

/** Whether a frame's checksum is left to the card, by its offload header. */
function isPartial(offload: Buffer): boolean {
  return (offload[0]! & 1) !== 0;
}
