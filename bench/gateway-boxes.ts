// The boxes that `npm run bench:gateway` compares: what can stand in the gateway's namespace of a lab.
import { readFileSync, writeFileSync } from "node:fs";
import { INSIDE_GATEWAY, INSIDE_HOST, Lab, OUTSIDE_HOST, PUBLIC, type Running } from "../test/system/lab.js";

/** Many inside hosts, behind the one that there is. */
const HOSTS = "10.1.0.0/16";
/** Napt gives a port to one inside endpoint at a time, so millions of flows need more than one address. */
const POOL = "203.0.113.64/26";
const SESSIONS = 1 << 21;

export const BOX_NAMES = ["kernel", "packet", "busy", "tun"] as const;
export type BoxName = (typeof BOX_NAMES)[number];

export interface Box {
  readonly name: BoxName;
  readonly lab: Lab;
  /** Napt's process; null: the kernel does it. */
  readonly gateway: Running | null;
}

/**
 * A box between two hosts, in a lab of its own, so that nothing is left of what ran before.
 * @param more keys of napt's `gateway`
 */
export async function openBox(name: BoxName, more: object = {}): Promise<Box> {
  const lab = await Lab.create();
  try {
    const gateway = await OPEN[name](lab, more);
    // So that everybody knows everybody's hardware address.
    await lab.exec("in", "ping", "-q", "-c", "2", "-i", "0.1", OUTSIDE_HOST);
    return { name, lab, gateway };
  } catch (error) {
    await lab.close();
    throw error;
  }
}

const ETHERNET = {
  inside: { interface: "gin0", address: `${INSIDE_GATEWAY}/24`, router: INSIDE_HOST },
  outside: { interface: "gout0", address: `${PUBLIC}/24` },
};

const OPEN: Record<BoxName, (lab: Lab, more: object) => Promise<Running | null>> = {
  kernel: async (lab) => {
    await routeByKernel(lab);
    const rules = `
      table ip nat {
        chain postrouting { type nat hook postrouting priority srcnat; oifname "gout0" masquerade; }
      }`;
    writeFileSync(lab.path("nat.nft"), rules);
    await lab.exec("gw", "nft", "-f", lab.path("nat.nft"));
    giveConntrackRoom();
    return null;
  },
  packet: (lab, more) => napt(lab, { ...ETHERNET, ...more }),
  busy: (lab, more) => napt(lab, { ...ETHERNET, busyPoll: true, ...more }),
  tun: async (lab, more) => {
    await lab.exec(
      "gw",
      "sysctl",
      "-qw",
      "net.ipv4.conf.all.rp_filter=0",
      "net.ipv4.conf.default.rp_filter=0",
    );
    await routeByKernel(lab);
    for (const name of ["tin0", "tout0"]) {
      await lab.exec("gw", "ip", "tuntap", "add", "dev", name, "mode", "tun", "vnet_hdr");
      await lab.exec("gw", "ip", "link", "set", name, "up");
    }
    await lab.exec("gw", "ip", "route", "add", "default", "dev", "tin0", "table", "100");
    await lab.exec("gw", "ip", "rule", "add", "iif", "gin0", "lookup", "100");
    await lab.exec("out", "ip", "route", "add", POOL, "via", PUBLIC);
    return napt(lab, {
      inside: { tun: "tin0", address: "192.168.226.3/24" },
      outside: { tun: "tout0", address: "203.0.113.64/32" },
      ...more,
    });
  },
};

/** The gateway's system is the router between both networks. */
async function routeByKernel(lab: Lab): Promise<void> {
  await lab.exec("gw", "ip", "addr", "add", `${INSIDE_GATEWAY}/24`, "dev", "gin0");
  await lab.exec("gw", "ip", "addr", "add", `${PUBLIC}/24`, "dev", "gout0");
  await lab.exec("gw", "ip", "route", "add", HOSTS, "via", INSIDE_HOST);
  await lab.exec("gw", "sysctl", "-qw", "net.ipv4.ip_forward=1");
}

function napt(lab: Lab, gateway: object): Promise<Running> {
  const nat = { inside: ["192.168.226.0/24", HOSTS], outside: [POOL], limits: { sessions: SESSIONS } };
  return lab.gateway(nat, gateway);
}

let hasRoom = false;

/** Conntrack, which is there by now, gets room for as many flows as napt has: the whole machine's, until this ends. */
function giveConntrackRoom(): void {
  if (hasRoom) return;
  hasRoom = true;
  const files = ["max", "buckets"].map((key) => `/proc/sys/net/netfilter/nf_conntrack_${key}`);
  const before = files.map((file) => readFileSync(file, "utf8"));
  for (const file of files) writeFileSync(file, String(SESSIONS));
  // The maximum last: buckets change it.
  process.once("exit", () => {
    for (const i of [1, 0]) writeFileSync(files[i]!, before[i]!);
  });
}
