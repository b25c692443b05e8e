// The view that a NAT has of a capture that was taken at the client: what came back to the client's address went
// to its public endpoint before.
import { ICMP, type Ip, quotedBy, TCP, UDP } from "./frame.js";
import type { Endpoint, Mappings } from "./mappings.js";
import { readdress } from "./readdress.js";
import { dataStartOf, type Packet, type Run, Sides } from "./run.js";

/**
 * The capture of a run with every packet from outside to an inside endpoint readdressed to the public endpoint
 * that the run gave it, checksums carried over by difference, nothing else changed.
 */
export function withReplies(capture: Uint8Array, { config, input }: Run, mappings: Mappings): Uint8Array {
  const sides = new Sides(config);
  const copy = new Uint8Array(capture);
  const firstOnes = publicAddressesOfDatagrams(input, sides, mappings);
  input.forEach((packet, number) => {
    const { ip, data } = packet;
    if (ip === null || sides.isInside(ip.source) || !sides.isInside(ip.destination)) return;
    const at = dataStartOf(capture, packet);
    const frame = copy.subarray(at, at + data.length);
    const quoted = quotedBy(data, ip);
    if (quoted !== null) {
      const to = publicOf(mappings, quoted.protocol, quoted.source, quoted.sourcePort, number);
      if (to === null) return;
      readdress(frame, ip, { destination: to.address }, quoted, { source: to.address, sourcePort: to.port });
    } else if (ip.kind === "later-fragment") {
      const address = firstOnes.get(datagram(ip));
      if (address !== undefined) readdress(frame, ip, { destination: address });
    } else {
      const to = publicOf(mappings, ip.protocol, ip.destination, ip.destinationPort, number);
      if (to === null) return;
      // The identifier is the destination's port; of other protocols only the address is known.
      readdress(frame, ip, { destination: to.address, destinationPort: to.port });
    }
  });
  return copy;

  function publicOf(
    of: Mappings,
    protocol: number,
    address: number,
    port: number,
    at: number,
  ): Endpoint | null {
    if ([ICMP, TCP, UDP].includes(protocol)) return of.publicOf(protocol, address, port, at);
    return { address: sides.firstPublic, port: 0 };
  }
}

/** Later fragments have no port: they follow their datagram's first. */
function publicAddressesOfDatagrams(
  input: readonly Packet[],
  sides: Sides,
  mappings: Mappings,
): Map<string, number> {
  const addresses = new Map<string, number>();
  input.forEach(({ ip }, number) => {
    if (ip === null || !ip.more || ip.offset !== 0 || !sides.isInside(ip.destination)) return;
    const to = mappings.publicOf(ip.protocol, ip.destination, ip.destinationPort, number);
    if (to !== null) addresses.set(datagram(ip), to.address);
  });
  return addresses;
}

function datagram({ protocol, source, destination, id }: Ip): string {
  return [protocol, source, destination, id].join(" ");
}
