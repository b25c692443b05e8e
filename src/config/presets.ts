// NATs that have a name, as plain configs. `npm run docs` writes docs/presets.md from this file.
import type { NatConfig } from "./schema.js";

export const PRESET_NAMES = [
  "rfc",
  "home-router",
  "linux",
  "symmetric",
  "full-cone",
  "cgn",
  "vmware",
  "aws",
] as const;
export type PresetName = (typeof PRESET_NAMES)[number];

type PresetConfig = Omit<Partial<NatConfig>, "inside" | "outside" | "preset" | "policies">;

export interface Preset {
  /** What NAT it is, for people. */
  readonly summary: string;
  readonly config: PresetConfig;
  /** Why keys are as they are and where that comes from; a section's note stands for all its keys. */
  readonly notes: Readonly<Record<string, string>>;
}

const HOUR = 3600;
const DAY = 24 * HOUR;

export const PRESETS: Readonly<Record<PresetName, Preset>> = {
  rfc: {
    summary:
      "What the BEHAVE documents ask of a NAT: RFC 4787 (UDP), 5382 (TCP), 5508 (ICMP), updated by 7857.",
    config: {
      mapping: "endpoint-independent",
      filtering: "address-dependent",
      portAssignment: { order: "random", preserve: false, parity: true, holdDown: 120 },
      pooling: "paired",
      hairpinning: true,
      timeouts: { udp: 300, tcpEstablished: 7440, tcpTransitory: 240, tcpTimeWait: 240, icmp: 60 },
      icmpErrors: true,
      inboundRefresh: false,
      tcpLiberal: false,
    },
    notes: {
      mapping: "RFC 4787, REQ-1, and RFC 5382, REQ-1: a MUST.",
      filtering: "RFC 4787, REQ-8: recommended where filtering is to be more stringent than none.",
      "portAssignment.order": "RFC 6056 and RFC 7857, section 9: ports that outsiders can't guess.",
      "portAssignment.preserve":
        "RFC 4787, section 4.2.1, allows it; but a kept port is known to all who know the inside one (RFC 6056).",
      "portAssignment.parity": "RFC 4787, REQ-4: recommended, for RTP and RTCP.",
      "portAssignment.holdDown": "RFC 6888, REQ-8: 120 s until another mapping gets a port.",
      pooling: "RFC 4787, REQ-2: recommended.",
      hairpinning: "RFC 4787, REQ-9, and RFC 5382, REQ-8: a MUST.",
      "timeouts.udp": "RFC 4787, REQ-5: at least 2 minutes, 5 recommended.",
      "timeouts.tcpEstablished": "RFC 5382, REQ-5: at least 2 hours 4 minutes.",
      "timeouts.tcpTransitory":
        "RFC 5382, REQ-5: at least 4 minutes; RFC 7857, section 2.2: after a RST, too.",
      "timeouts.tcpTimeWait":
        "RFC 5382, REQ-5: at least 4 minutes while closing; the time of RFC 793's TIME_WAIT.",
      "timeouts.icmp": "RFC 5508, REQ-2: at least 60 s.",
      icmpErrors: "RFC 5508, REQ-8, and RFC 5382, REQ-4: a NAT that drops says so.",
      inboundRefresh: "RFC 4787, REQ-6a: inbound refresh is a MAY, and lets outsiders hold a mapping open.",
      tcpLiberal: "RFC 7857, section 2.2: a RST is checked against the window.",
    },
  },

  "home-router": {
    summary:
      'A good consumer router, "port restricted cone" in the words of RFC 3489: one public port for an inside port, ' +
      "and only who was asked may answer.",
    config: {
      mapping: "endpoint-independent",
      filtering: "address-and-port-dependent",
      portAssignment: { preserve: true, parity: false, holdDown: 0 },
      hairpinning: true,
      timeouts: { udp: 180, icmp: 60 },
      icmpErrors: true,
      inboundRefresh: true,
    },
    notes: {
      mapping: "What hole punching counts on, and RFC 4787, REQ-1, asks for; most home gateways do so.",
      filtering: "Their firewall lets in only what answers; RFC 4787's strictest kind.",
      "portAssignment.preserve":
        "Most keep the inside port while it is free (Hätönen et al., IMC 2010, measured 34 of them).",
      "portAssignment.parity": "Follows from the kept port; where it is taken, any will do.",
      "portAssignment.holdDown": "Few let a port rest before they give it away again.",
      hairpinning: "RFC 4787, REQ-9; the better ones do.",
      "timeouts.udp":
        "In the same study anything from 30 s to 11 minutes, most often about 3 minutes once there was an answer.",
      "timeouts.icmp": "RFC 5508, REQ-2.",
      icmpErrors: "They are routers: traceroute shows them.",
      inboundRefresh: "They count packets either way as use.",
    },
  },

  linux: {
    summary:
      "Netfilter's `masquerade` (nftables, or iptables' MASQUERADE), with the kernel's defaults for conntrack.",
    config: {
      mapping: "address-and-port-dependent",
      filtering: "address-and-port-dependent",
      portAssignment: { order: "random", preserve: true, parity: false, overloading: true, holdDown: 0 },
      pooling: "paired",
      hairpinning: false,
      protocols: { udplite: true, dccp: true, sctp: true, gre: true, esp: true, other: true },
      timeouts: {
        udp: 120,
        tcpEstablished: 5 * DAY,
        tcpTransitory: 10,
        tcpOpening: 120,
        tcpClosing: 120,
        tcpTimeWait: 120,
        icmp: 30,
        dccpEstablished: 12 * HOUR,
        dccpTransitory: 240,
        sctpEstablished: 210,
        sctpTransitory: 10,
        gre: 180,
        esp: 600,
        other: 600,
        fragment: 30,
      },
      limits: { icmpErrorRate: 1000, whenFull: "evict" },
      icmpErrors: true,
      inboundRefresh: true,
      tcpPickup: true,
      tcpLiberal: false,
    },
    notes: {
      mapping: "Each connection is translated by itself: conntrack's tuple has both endpoints.",
      filtering: "Only what belongs to a connection finds its way back.",
      "portAssignment.order": "nf_nat_core looks for a free port from a random offset.",
      "portAssignment.preserve": "It first tries the port as it is; the `random` flags would not.",
      "portAssignment.parity": "It knows none.",
      "portAssignment.overloading": "A port is free when the whole tuple is: one serves many remotes.",
      "portAssignment.holdDown": "It is free as soon as the connection is gone.",
      pooling: "Masquerade takes the one address of the interface.",
      hairpinning: "A masquerade rule for the outer interface does not; it takes rules of its own.",
      protocols: "Of those that it does not know it translates the address.",
      "timeouts.udp": "nf_conntrack_udp_timeout_stream; while nobody has answered, the kernel's is 30 s.",
      "timeouts.tcpEstablished": "nf_conntrack_tcp_timeout_established, 5 days.",
      "timeouts.tcpTransitory": "nf_conntrack_tcp_timeout_close, which a RST leads to.",
      "timeouts.tcpOpening": "nf_conntrack_tcp_timeout_syn_sent; after the SYN-ACK 60 s.",
      "timeouts.tcpClosing": "nf_conntrack_tcp_timeout_fin_wait; close_wait 60 s, last_ack 30 s.",
      "timeouts.tcpTimeWait": "nf_conntrack_tcp_timeout_time_wait.",
      "timeouts.icmp": "nf_conntrack_icmp_timeout.",
      "timeouts.dccpEstablished": "nf_conntrack_dccp_timeout_open, 12 hours, in kernels that track DCCP.",
      "timeouts.dccpTransitory": "nf_conntrack_dccp_timeout_request.",
      "timeouts.sctpEstablished": "nf_conntrack_sctp_timeout_established.",
      "timeouts.sctpTransitory": "nf_conntrack_sctp_timeout_closed; most other states 3 s.",
      "timeouts.gre": "nf_conntrack_gre_timeout_stream; while nobody has answered 30 s.",
      "timeouts.esp": "nf_conntrack_generic_timeout.",
      "timeouts.other": "nf_conntrack_generic_timeout.",
      "timeouts.fragment": "net.ipv4.ipfrag_time.",
      "limits.icmpErrorRate": "net.ipv4.icmp_msgs_per_sec, as it was for long.",
      "limits.whenFull":
        "With nf_conntrack_max reached, connections that are not ASSURED make room (early_drop).",
      icmpErrors: "The kernel is a router, too.",
      inboundRefresh: "Either direction renews a connection.",
      tcpPickup: "nf_conntrack_tcp_loose is 1.",
      tcpLiberal: "nf_conntrack_tcp_be_liberal is 0.",
    },
  },

  symmetric: {
    summary:
      'RFC 3489\'s "symmetric NAT": another public port for each remote endpoint. The hard case for P2P.',
    config: {
      mapping: "address-and-port-dependent",
      filtering: "address-and-port-dependent",
      portAssignment: { order: "random", preserve: false, parity: false },
    },
    notes: {
      mapping: "RFC 3489, section 5: each destination address and port has a mapping of its own.",
      filtering: "The same: only the host that got a packet can send one back.",
      "portAssignment.order": "So that the next port can't be guessed from the last.",
      "portAssignment.preserve": "A kept port would be the same for the first of the remotes.",
      "portAssignment.parity": "It would make guessing twice as easy.",
    },
  },

  "full-cone": {
    summary: 'RFC 3489\'s "full cone NAT": who knows the public port may send to it. The easy case for P2P.',
    config: { mapping: "endpoint-independent", filtering: "endpoint-independent" },
    notes: {
      mapping: "RFC 3489, section 5: all requests of an inside endpoint get one public endpoint.",
      filtering: "The same: any outside host can send to it.",
    },
  },

  cgn: {
    summary:
      "A carrier-grade NAT by RFC 6888: shared fairly, logged by the block. The figures are an operator's choice.",
    config: {
      mapping: "endpoint-independent",
      filtering: "endpoint-independent",
      portAssignment: {
        order: "random",
        preserve: false,
        blockSize: 512,
        blocksPerHost: 4,
        blockHold: 120,
        holdDown: 120,
      },
      pooling: "paired",
      hairpinning: true,
      limits: { sessionsPerHost: 4096, sessionRatePerHost: 256 },
      icmpErrors: true,
    },
    notes: {
      mapping: "RFC 6888, REQ-1: a CGN keeps to RFC 4787 and RFC 5382.",
      filtering: "RFC 6888, REQ-7: recommended, so that applications work as well as behind one NAT.",
      "portAssignment.order": "RFC 6888, REQ-15: ports that are hard to guess; here, within the block.",
      "portAssignment.preserve": "Many hosts use the same ports; keeping them for the first would be luck.",
      "portAssignment.blockSize": "RFC 6888, REQ-14, and RFC 7753: one line in the log for 512 ports.",
      "portAssignment.blocksPerHost": "RFC 6888, REQ-4: a limit on ports for each subscriber, here 2048.",
      "portAssignment.blockHold": "RFC 6888, REQ-8, for the block as a whole.",
      "portAssignment.holdDown": "RFC 6888, REQ-8: 120 s until another mapping gets a port.",
      pooling: "RFC 6888, REQ-2: a MUST.",
      hairpinning: "RFC 6888, REQ-1, by way of RFC 4787, REQ-9: subscribers reach each other.",
      "limits.sessionsPerHost": "RFC 6888, REQ-5: a limit on the state that one subscriber takes.",
      "limits.sessionRatePerHost": "RFC 6888, REQ-5: and on how fast.",
      icmpErrors: "RFC 6888, REQ-11: who is refused a port is told.",
    },
  },

  vmware: {
    summary:
      "The NAT device of VMware Workstation and Fusion (vmnet8), a program that speaks for the guests through " +
      "sockets of its host.",
    config: {
      mapping: "endpoint-independent",
      filtering: "address-and-port-dependent",
      portAssignment: { order: "random", preserve: false, parity: false, holdDown: 0 },
      hairpinning: false,
      alg: { ftp: true },
      timeouts: { udp: 60 },
      inboundRefresh: true,
      tcpPickup: false,
    },
    notes: {
      mapping: "A guest's endpoint has one socket of the host.",
      filtering:
        "VMware's manual only says that outside can't begin a conversation; that address and port count is our reading.",
      "portAssignment.order": "The host's system picks the socket's port, as for any program.",
      "portAssignment.preserve":
        "By default guests' ports are not kept; [privilegedUDP] and [privilegedTCP] are for those below 1024.",
      "portAssignment.parity": "The host's system knows none.",
      "portAssignment.holdDown": "Nor does it let UDP ports rest.",
      hairpinning: "Guests reach each other on vmnet8 itself.",
      "alg.ftp": "activeFTP is 1 in vmnetnat.conf: the device follows FTP's PORT.",
      "timeouts.udp": "timeout of [udp] in vmnetnat.conf; up to twice as long in practice.",
      inboundRefresh: "A socket is in use whichever way packets go.",
      tcpPickup: "It ends TCP connections itself, so it can't join one under way.",
    },
  },

  aws: {
    summary: "A NAT gateway of Amazon VPC, as its user guide describes it.",
    config: {
      mapping: "address-and-port-dependent",
      filtering: "address-and-port-dependent",
      portAssignment: { order: "random", preserve: false, parity: false, overloading: true, holdDown: 0 },
      hairpinning: false,
      timeouts: { udp: 350, tcpEstablished: 350, icmp: 350 },
      inboundRefresh: true,
      tcpPickup: false,
    },
    notes: {
      mapping: "Its limits count by destination: an address allows 55,000 connections to each.",
      filtering: "It takes no connections from outside, only answers.",
      "portAssignment.order": "It uses 1024-65535 and promises no order.",
      "portAssignment.preserve": "It promises no port.",
      "portAssignment.parity": "It promises no parity.",
      "portAssignment.overloading":
        "More connections than ports for one address: ports serve several destinations.",
      "portAssignment.holdDown": "It promises none.",
      hairpinning:
        "A gateway can't be reached from outside, so not from inside by its public address either.",
      "timeouts.udp": "Idle for 350 s or more: the connection is gone.",
      "timeouts.tcpEstablished": "The same; whoever goes on gets a RST.",
      "timeouts.icmp": "The same.",
      inboundRefresh: "Idle means no traffic on the connection, whichever way.",
      tcpPickup: "After the timeout it does not take up a connection again.",
    },
  },
};
