// What inside hosts get from the gateway's own address: echo replies, leases, names.
import { DHCP_CLIENT, DHCP_SERVER } from "./dhcp/message.js";
import type { DhcpServer } from "./dhcp/server.js";
import type { DnsForwarder } from "./dns/forwarder.js";
import { DNS_PORT, truncated } from "./dns/message.js";
import { answerEcho } from "./echo.js";
import { EVERYBODY } from "./ethernet.js";
import { type Datagram, datagramFrame, IP_HEADER, readDatagram, UDP_HEADER } from "./ip.js";
import type { Side } from "./side.js";

/** Those that are offered; null: not. */
export interface Servers {
  readonly dhcp: DhcpServer | null;
  readonly dns: DnsForwarder | null;
}

/** Answers an IPv4 frame that is for the gateway's own address, or for everybody. */
export function serve(side: Side, servers: Servers, frame: Buffer, offload: Buffer): void {
  const echo = answerEcho(frame, side.network.address, side.mac);
  if (echo !== null) side.send(echo);
  const datagram = readDatagram(frame, isPartial(offload));
  if (datagram === null) return;
  const { sourcePort, destinationPort, destination } = datagram;
  if (destinationPort === DHCP_SERVER && sourcePort === DHCP_CLIENT) {
    if (servers.dhcp !== null) lease(side, servers.dhcp, datagram);
  } else if (destinationPort === DNS_PORT && destination === side.network.address) {
    if (servers.dns !== null) void name(side, servers.dns, datagram, frame.subarray(6, 12));
  }
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
  const answer = await dns.answer(query.payload);
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
