// Routes of this system that lead to a TUN device. They end with the device.
import { execFileSync } from "node:child_process";
import { NatError } from "../errors.js";

export class Routes {
  readonly #device: string;
  readonly #prefixes = new Set<string>();

  constructor(device: string) {
    this.#device = device;
  }

  /**
   * Leads these prefixes to the device, and no others any more. Where the system has a route of its own for one, that
   * stays.
   * @throws NatError NAT_ERR_GATEWAY when the system does not take them
   */
  set(prefixes: ReadonlySet<string>): void {
    for (const prefix of this.#prefixes) if (!prefixes.has(prefix)) this.#route("delete", prefix);
    for (const prefix of prefixes) if (!this.#prefixes.has(prefix)) this.#route("add", prefix);
  }

  #route(action: "add" | "delete", prefix: string): void {
    try {
      execFileSync("ip", ["route", action, prefix, "dev", this.#device], {
        stdio: ["ignore", "ignore", "pipe"],
      });
    } catch (error) {
      const { code, stderr, message } = error as Error & { code?: string; stderr?: Buffer };
      const trouble =
        code === "ENOENT" ? "ip is missing; install iproute2" : (stderr?.toString() || message).trim();
      if (action === "add" && trouble.includes("File exists")) return;
      throw new NatError(
        "NAT_ERR_GATEWAY",
        `can't ${action} the route of ${prefix} to ${this.#device}: ${trouble}; it needs root, or CAP_NET_ADMIN`,
      );
    }
    if (action === "add") this.#prefixes.add(prefix);
    else this.#prefixes.delete(prefix);
  }
}
