/** The worlds that both routers are put into: for each a config of napt and the nft rules that mean the same. */
import type { NatConfig } from "../../src/index.js";
import { type Endpoint, endpoint } from "../support/packets.js";

export const INSIDE = "10.0.0.0/24";
export const PUBLIC = "203.0.113.1";
export const HOSTS = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
/** The host that has a public address of its own where there is one. */
export const STATIC = { outside: "203.0.113.9", inside: "10.0.0.4" };
export const SOURCE_PORTS = [4000, 4001, 700, 5001];
export const REMOTES = ["198.51.100.1", "198.51.100.2"];
export const REMOTE_PORTS = [53, 80, 5001];
/** A router between the remotes and here, and one behind the hosts. */
export const PATH_ROUTERS = { outside: "192.0.2.254", inside: "10.0.0.250" };
export const POOL = ["203.0.113.1", "203.0.113.2", "203.0.113.3"];

export interface Forward {
  protocol: "tcp" | "udp";
  outside: string;
  inside: string;
}

export const FORWARDS: Forward[] = [
  { protocol: "udp", outside: "203.0.113.1:6000", inside: "10.0.0.1:9000" },
  { protocol: "tcp", outside: "203.0.113.1:8080", inside: "10.0.0.2:80" },
];

export interface World {
  name: string;
  /** For the table of what was compared. */
  about: string;
  napt: NatConfig;
  kernel: {
    /** For nft. */
    rules: string;
    /** Sets of `table ip nat` in which the rules remember things. */
    sets: string[];
    /** Public addresses beside {@link PUBLIC}. */
    addresses: string[];
    sysctl: Record<string, number>;
    /** Of the router's routes, if not 1500. */
    mtu?: { inside: number; outside: number };
  };
  forwards: Forward[];
  /** Public addresses that inside endpoints may be mapped to. */
  pool: string[];
  /** Whether ports are kept while they are free. */
  preserving: boolean;
  /** Whether each inside endpoint has one public endpoint, as long as it is mapped. */
  endpointIndependent: boolean;
}

/** napt as Linux, with all ports and with forwards that hosts inside may use, too, as the rules below do. */
const LINUX = {
  preset: "linux",
  inside: [INSIDE],
  outside: [{ address: PUBLIC, ports: "1-65535" }],
  hairpinning: true,
} satisfies NatConfig;

const STRICT = {
  "net.netfilter.nf_conntrack_checksum": 1,
  "net.netfilter.nf_conntrack_tcp_be_liberal": 0,
  "net.netfilter.nf_conntrack_tcp_loose": 1,
};

/**
 * A router that lets the inside out and answers in, as its manuals advise. What conntrack calls invalid it would
 * send on untranslated, inside source and all, so that is dropped. Sentinels (192.0.2.0/30) pass untracked.
 */
const FILTER = `
table ip filter {
  chain untracked {
    type filter hook prerouting priority raw
    ip saddr 192.0.2.0/30 ip daddr 192.0.2.0/30 notrack
  }
  chain input { type filter hook input priority filter; policy drop; }
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state vmap { untracked : accept, invalid : drop, established : accept, related : accept }
    iifname "in" ip saddr != ${INSIDE} drop
    iifname "in" accept
    ct status dnat accept
  }
}`;

/** Destination NAT of forwards, and of hairpinned packets the public source that they have towards remotes. */
function forwarding(forwards: readonly Forward[]): string {
  return forwards
    .map(({ protocol, outside, inside }) => {
      const { address, port } = endpoint(outside);
      return `ip daddr ${address} ${protocol} dport ${port} dnat to ${inside}`;
    })
    .join("\n    ");
}

function sourceNat(statement: string, forwards: readonly Forward[] = []): string {
  return `
table ip nat {
  chain prerouting {
    type nat hook prerouting priority dstnat
    ${forwarding(forwards)}
  }
  chain postrouting {
    type nat hook postrouting priority srcnat
    oifname "out" ip saddr ${INSIDE} ${statement}
    oifname "in" ip saddr ${INSIDE} ct status dnat snat to ${PUBLIC}
  }
}`;
}

/** The public endpoint that each inside endpoint has in the cone worlds. */
function coneEndpoints(): { protocol: "tcp" | "udp"; inside: Endpoint; outside: Endpoint }[] {
  return (["tcp", "udp"] as const).flatMap((protocol) =>
    [...HOSTS, STATIC.inside].flatMap((address, host) =>
      SOURCE_PORTS.map((port, i) => ({
        protocol,
        inside: { address, port },
        outside: { address: PUBLIC, port: 20000 + host * 100 + i },
      })),
    ),
  );
}

/**
 * The nearest that nft has to a cone NAT: a fixed public port for each inside endpoint, and a set of those that have
 * been used (and by whom they may be answered), learnt behind the source NAT.
 */
function cone(filtering: "endpoint-independent" | "address-dependent" | "address-and-port-dependent"): World {
  const key = { "endpoint-independent": "", "address-dependent": " . ip saddr" };
  const learnt = { "endpoint-independent": "", "address-dependent": " . ip daddr" };
  const type = { "endpoint-independent": "", "address-dependent": " . ipv4_addr" };
  const endpoints = coneEndpoints();
  const element = (protocol: string, one: Endpoint) => `${one.address} . ${protocol} . ${one.port}`;
  const value = (one: Endpoint) => `${one.address} . ${one.port}`;
  const out = endpoints.map((one) => `${element(one.protocol, one.inside)} : ${value(one.outside)}`);
  const back = endpoints.map((one) => `${element(one.protocol, one.outside)} : ${value(one.inside)}`);
  const admits = filtering !== "address-and-port-dependent";
  const rules = `
table ip nat {
  map outward { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
    elements = { ${out.join(", ")} }
  }
  map inward { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
    elements = { ${back.join(", ")} }
  }
  ${admits ? `set admitted { type inet_proto . inet_service${type[filtering]}; flags dynamic; size 4096; }` : ""}
  chain prerouting {
    type nat hook prerouting priority dstnat
    ${
      admits
        ? `ip daddr ${PUBLIC} meta l4proto . th dport${key[filtering]} @admitted \\
      dnat ip to ip daddr . meta l4proto . th dport map @inward`
        : ""
    }
  }
  chain postrouting {
    type nat hook postrouting priority srcnat
    oifname "out" meta l4proto { tcp, udp } snat ip to ip saddr . meta l4proto . th sport map @outward
    oifname "in" ct status dnat snat ip to ip saddr . meta l4proto . th sport map @outward
    oifname "out" ip saddr ${INSIDE} masquerade
  }
  chain learn {
    type filter hook postrouting priority srcnat + 1
    ${admits ? `ip saddr ${PUBLIC} add @admitted { meta l4proto . th sport${learnt[filtering]} }` : ""}
  }
}`;
  return {
    name: `cone, filtering ${filtering}`,
    about: `\`snat\` and \`dnat\` by maps, a public endpoint for each inside endpoint; \`mapping\` endpoint-independent, \`filtering\` ${filtering}`,
    napt: {
      ...LINUX,
      mapping: "endpoint-independent",
      filtering,
      portAssignment: { preserve: false, overloading: false },
    },
    kernel: { rules: rules + FILTER, sets: admits ? ["admitted"] : [], addresses: [], sysctl: STRICT },
    forwards: [],
    pool: [PUBLIC],
    preserving: false,
    endpointIndependent: true,
  };
}

const masquerade: World = {
  name: "masquerade",
  about: "`masquerade`, and `dnat` for forwards",
  napt: { ...LINUX, forwards: FORWARDS },
  kernel: { rules: sourceNat("masquerade", FORWARDS) + FILTER, sets: [], addresses: [], sysctl: STRICT },
  forwards: FORWARDS,
  pool: [PUBLIC],
  preserving: true,
  endpointIndependent: false,
};

export const WORLDS = {
  masquerade,
  random: {
    ...masquerade,
    name: "masquerade fully-random",
    about: "`masquerade fully-random`; `portAssignment.preserve` false",
    napt: { ...masquerade.napt, portAssignment: { preserve: false } },
    kernel: { ...masquerade.kernel, rules: sourceNat("masquerade fully-random", FORWARDS) + FILTER },
    preserving: false,
  },
  pool: {
    ...masquerade,
    name: "snat to a pool, persistent",
    about: `\`snat to ${POOL[0]}-${POOL.at(-1)} persistent\`; \`pooling\` paired`,
    napt: { ...LINUX, outside: POOL.map((address) => ({ address, ports: "1-65535" })) },
    kernel: {
      ...masquerade.kernel,
      rules: sourceNat(`snat to ${POOL[0]}-${POOL.at(-1)} persistent`) + FILTER,
      addresses: POOL.slice(1),
    },
    forwards: [],
    pool: POOL,
  },
  static: {
    ...masquerade,
    name: "one-to-one",
    about:
      "`dnat` and `snat` of a host with a public address of its own, `masquerade` for the others; `static`",
    napt: { ...LINUX, static: [STATIC] },
    kernel: {
      ...masquerade.kernel,
      rules: `
table ip nat {
  chain prerouting {
    type nat hook prerouting priority dstnat
    ip daddr ${STATIC.outside} dnat to ${STATIC.inside}
  }
  chain postrouting {
    type nat hook postrouting priority srcnat
    oifname "out" ip saddr ${STATIC.inside} snat to ${STATIC.outside}
    oifname "in" ip saddr ${STATIC.inside} ct status dnat snat to ${STATIC.outside}
    oifname "out" ip saddr ${INSIDE} masquerade
    oifname "in" ip saddr ${INSIDE} ct status dnat snat to ${PUBLIC}
  }
}${FILTER}`,
      addresses: [STATIC.outside],
    },
    forwards: [],
  },
  liberal: {
    ...masquerade,
    name: "masquerade, conntrack liberal",
    about: "`masquerade` with `nf_conntrack_checksum` 0 and `nf_conntrack_tcp_be_liberal` 1",
    kernel: {
      ...masquerade.kernel,
      sysctl: {
        ...STRICT,
        "net.netfilter.nf_conntrack_checksum": 0,
        "net.netfilter.nf_conntrack_tcp_be_liberal": 1,
      },
    },
  },
  small: {
    ...masquerade,
    name: "small packets",
    about: "`masquerade`, with routes of an MTU of 600 inside and 576 outside; `mtu`",
    napt: { ...masquerade.napt, mtu: { inside: 600, outside: 576 } },
    kernel: { ...masquerade.kernel, mtu: { inside: 600, outside: 576 } },
  },
  fullCone: cone("endpoint-independent"),
  restrictedCone: cone("address-dependent"),
  portRestrictedCone: cone("address-and-port-dependent"),
} satisfies Record<string, World>;

export type WorldName = keyof typeof WORLDS;
