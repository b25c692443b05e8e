// What the host has on an interface now, for a gateway that shares the host's own address.
import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { networkOf, parseIpv4 } from "../../config/cidr.js";
import type { Network } from "../networks.js";

/** Flags of a route (linux/route.h). */
const UP = 1;
const GATEWAY = 2;

/** An interface's first IPv4 address, its network and the default route by it; null when it has none. */
export function hostNetwork(name: string): Network | null {
  const first = networkInterfaces()[name]?.find(({ family }) => family === "IPv4");
  if (first === undefined) return null;
  const address = parseIpv4(first.address)!;
  const bits = Number(first.cidr?.split("/")[1] ?? 32);
  return {
    kind: "host",
    name,
    address,
    network: networkOf(address, bits),
    mask: networkOf(0xffffffff, bits),
    router: defaultRouter(name),
  };
}

/** Who takes what an interface's network does not; 0: nobody. */
function defaultRouter(name: string): number {
  const routes = readFileSync("/proc/net/route", "utf8").split("\n").slice(1);
  for (const route of routes) {
    const [by, destination, router = "", flags, , , , mask] = route.split("\t");
    const has = (flag: number) => (Number.parseInt(flags ?? "0", 16) & flag) !== 0;
    if (by === name && destination === "00000000" && mask === "00000000" && has(UP) && has(GATEWAY))
      return swapped(router);
  }
  return 0;
}

/** A number as /proc has it: the address's bytes as this machine's word. */
function swapped(text: string): number {
  return Buffer.from(text, "hex").readUInt32LE(0);
}
