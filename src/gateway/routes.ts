// Routes of this system that lead to a TUN device. They end with the device.
import { execFileSync } from "node:child_process";
import { NatError } from "../errors.js";

export class Routes {
  readonly #device: string;
  #prefixes: ReadonlySet<string> = new Set();

  constructor(device: string) {
    this.#device = device;
  }

  /**
   * Leads these prefixes to the device, and no others any more.
   * @throws NatError NAT_ERR_GATEWAY when the system does not take them
   */
  set(prefixes: ReadonlySet<string>): void {
    const before = this.#prefixes;
    for (const prefix of prefixes) if (!before.has(prefix)) this.#route("replace", prefix);
    for (const prefix of before) if (!prefixes.has(prefix)) this.#route("delete", prefix);
    this.#prefixes = prefixes;
  }

  #route(action: "replace" | "delete", prefix: string): void {
    try {
      execFileSync("ip", ["route", action, prefix, "dev", this.#device], {
        stdio: ["ignore", "ignore", "pipe"],
      });
    } catch (error) {
      const { code, stderr, message } = error as Error & { code?: string; stderr?: Buffer };
      const trouble =
        code === "ENOENT" ? "ip is missing; install iproute2" : (stderr?.toString() || message).trim();
      throw new NatError(
        "NAT_ERR_GATEWAY",
        `can't ${action} the route of ${prefix} to ${this.#device}: ${trouble}; it needs root, or CAP_NET_ADMIN`,
      );
    }
  }
}
