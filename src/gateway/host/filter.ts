// The BPF program by which the kernel tells packets for the gateway from the host's own, both being for one address.
import type { PortRange } from "../../config/endpoint.js";
import type { OwnPorts } from "./ports.js";

/** Operations of classic BPF (linux/filter.h). */
const LOAD_WORD = 0x20;
const LOAD_HALF = 0x28;
const LOAD_BYTE = 0x30;
const LOAD_HALF_BEHIND = 0x48;
const LOAD_BYTE_BEHIND = 0x50;
const LOAD_HEADER_LENGTH = 0xb1;
const JUMP = 0x05;
const IF_EQUAL = 0x15;
const IF_ABOVE = 0x25;
const IF_AT_LEAST = 0x35;
const IF_BITS = 0x45;
const RETURN = 0x06;
const WHOLE = 0x40000;

const ETHERNET = 14;
const ICMP = 1;
const TCP = 6;
const UDP = 17;
/** DCCP, SCTP and UDP-Lite. */
const OTHERS = [33, 132, 136];
/** ICMP answers, whose identifier is a port; and errors, which quote one. */
const ICMP_REPLIES = [0, 14];
const ICMP_ERRORS = [3, 4, 5, 11, 12];

type Step = readonly [operation: number, ifTrue: number, ifFalse: number, value: number];

const accept: Step = [RETURN, 0, 0, WHOLE];
const drop: Step = [RETURN, 0, 0, 0];

/** The program, for SO_ATTACH_FILTER: ARP, and packets to an address's ports; addresses in host order. */
export function portFilter(address: number, own: OwnPorts): Uint8Array {
  const parts: [protocol: number, part: Step[]][] = [
    [TCP, portsAre(own.tcp, 2)],
    [UDP, portsAre(own.udp, 2)],
    [ICMP, icmpIsFor(own.other)],
    ...OTHERS.map((protocol): [number, Step[]] => [protocol, portsAre(own.other, 2)]),
  ];
  const steps: Step[] = [
    [LOAD_HALF, 0, 0, 12],
    [IF_EQUAL, 0, 1, 0x0806],
    accept,
    [IF_EQUAL, 1, 0, 0x0800],
    drop,
    [LOAD_WORD, 0, 0, ETHERNET + 16],
    [IF_EQUAL, 1, 0, address],
    drop,
    // Fragments but the first: whose they are can't be seen.
    [LOAD_HALF, 0, 0, ETHERNET + 6],
    [IF_BITS, 0, 1, 0x1fff],
    accept,
    [LOAD_HEADER_LENGTH, 0, 0, ETHERNET],
    [LOAD_BYTE, 0, 0, ETHERNET + 9],
  ];
  // A test and a jump for each, and what becomes of all others; then the parts.
  let ahead = 2 * parts.length + 1;
  for (const [protocol, part] of parts) {
    ahead -= 2;
    steps.push([IF_EQUAL, 0, 1, protocol], [JUMP, 0, 0, ahead]);
    ahead += part.length;
  }
  steps.push(accept); // transports without ports
  return encode([...steps, ...parts.flatMap(([, part]) => part)]);
}

/** Accepts when the half word behind the IPv4 header is in one of the ranges. */
function portsAre(ranges: readonly PortRange[], at: number): Step[] {
  const tests = ranges.flatMap(({ lo, hi }): Step[] => [
    [IF_AT_LEAST, 0, 2, lo],
    [IF_ABOVE, 1, 0, hi],
    accept,
  ]);
  return [[LOAD_HALF_BEHIND, 0, 0, ETHERNET + at], ...tests, drop];
}

function icmpIsFor(ranges: readonly PortRange[]): Step[] {
  const isError = ICMP_ERRORS.flatMap((type): Step[] => [[IF_EQUAL, 0, 1, type], accept]);
  const ports = portsAre(ranges, 4);
  const isReply = ICMP_REPLIES.map((type, i): Step => [IF_EQUAL, ICMP_REPLIES.length - i, 0, type]);
  return [[LOAD_BYTE_BEHIND, 0, 0, ETHERNET], ...isError, ...isReply, drop, ...ports];
}

function encode(steps: readonly Step[]): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(steps.length * 8));
  for (const [i, [operation, ifTrue, ifFalse, value]] of steps.entries()) {
    bytes.setUint16(i * 8, operation, LITTLE);
    bytes.setUint8(i * 8 + 2, ifTrue);
    bytes.setUint8(i * 8 + 3, ifFalse);
    bytes.setUint32(i * 8 + 4, value, LITTLE);
  }
  return new Uint8Array(bytes.buffer);
}

/** The kernel reads words of this machine's order. */
const LITTLE = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
