// Idle times.
import { portRange } from "./address-fields.js";
import { choice, list, seconds, section } from "./fields.js";

const portRule = section({
  protocol: choice("tcp", "udp").describe("Protocol that the rule is for"),
  ports: portRange("1-1023").describe('Ports of the remote: "LO-HI" or one port'),
  seconds: seconds().describe("Seconds until such an idle session ends; of TCP, an established one"),
});

export const timeoutsShape = {
  udp: seconds().default(300).describe("Seconds until an idle UDP session ends; UDP-Lite too"),
  tcpEstablished: seconds()
    .default(7440)
    .describe("Seconds until an idle open or half-closed TCP session ends"),
  tcpTransitory: seconds()
    .default(240)
    .describe("Seconds until a TCP session ends that was reset, is opening or closing"),
  tcpOpening: seconds()
    .optional()
    .describe("Seconds until a TCP session ends that is opening, in place of tcpTransitory"),
  tcpClosing: seconds()
    .optional()
    .describe("Seconds until a TCP session ends that is closing, in place of tcpTransitory"),
  tcpTimeWait: seconds().default(240).describe("Seconds that a TCP session stays after its last ACK"),
  icmp: seconds().default(60).describe("Seconds until an idle ICMP query session ends"),
  dccpEstablished: seconds().default(7440).describe("Seconds until an idle open DCCP session ends"),
  dccpTransitory: seconds()
    .default(240)
    .describe("Seconds until a DCCP session ends that is opening or closing"),
  sctpEstablished: seconds().default(7440).describe("Seconds until an idle open SCTP association ends"),
  sctpTransitory: seconds()
    .default(240)
    .describe("Seconds until an SCTP association ends that is opening or closing"),
  gre: seconds().default(300).describe("Seconds until an idle GRE session ends"),
  esp: seconds().default(300).describe("Seconds until an idle ESP session ends"),
  other: seconds().default(300).describe("Seconds until an idle session of another protocol ends"),
  fragment: seconds().default(30).describe("Seconds that the fragments of a packet wait for each other"),
  ports: list(portRule, '{ "protocol": "udp", "ports": "53", "seconds": 10 }')
    .prefault([])
    .describe("Other idle times by the remote's port; the first rule that fits counts"),
};

interface Opening {
  readonly tcpTransitory: number;
  readonly tcpOpening?: number | undefined;
  readonly tcpClosing?: number | undefined;
}

/** Timeouts with those filled in that default to another, in the schema's order. */
export function filledTimeouts<T extends Opening>(
  timeouts: T,
): T & { tcpOpening: number; tcpClosing: number } {
  const filled = {
    ...timeouts,
    tcpOpening: timeouts.tcpOpening ?? timeouts.tcpTransitory,
    tcpClosing: timeouts.tcpClosing ?? timeouts.tcpTransitory,
  };
  const inOrder = Object.keys(timeoutsShape).filter((key) => key in filled);
  return Object.fromEntries(inOrder.map((key) => [key, filled[key as keyof typeof filled]])) as typeof filled;
}
