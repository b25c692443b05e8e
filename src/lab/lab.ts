// A network to try the gateway in: a host inside, a host outside that serves a page, and the gateway between them.
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import type { NatConfig } from "../config/schema.js";
import { Gateway } from "../gateway/gateway.js";
import { join, Namespace } from "./namespaces.js";

export const INSIDE_HOST = "192.168.226.135";
export const INSIDE_GATEWAY = "192.168.226.2";
export const OUTSIDE_HOST = "203.0.113.8";
export const OUTSIDE_GATEWAY = "203.0.113.2";
export const PUBLIC = "203.0.113.1";

/** Tells whoever asks who he seems to be. */
const SERVER = `
require("node:http").createServer(({ socket }, answer) => {
  const client = socket.remoteAddress.replace("::ffff:", "") + ":" + socket.remotePort;
  answer.end("Hello from outside. You are " + client + " to me.\\n");
}).listen(80, () => console.log("ready"));`;

/** Must be made in a process with a network of its own (`alone`). */
export class Lab {
  readonly gateway: Gateway;
  readonly #inside: Namespace;
  readonly #outside: Namespace;
  readonly #server: ChildProcess;

  private constructor(gateway: Gateway, inside: Namespace, outside: Namespace, server: ChildProcess) {
    this.gateway = gateway;
    this.#inside = inside;
    this.#outside = outside;
    this.#server = server;
  }

  /** @throws ConfigError when the config is not right, or not for this network */
  static async create(config: Partial<NatConfig> = {}): Promise<Lab> {
    const gateway = new Gateway({
      inside: ["192.168.226.0/24"],
      outside: [PUBLIC],
      ...config,
      gateway: {
        inside: { interface: "lan0", address: `${INSIDE_GATEWAY}/24` },
        outside: { interface: "wan0", address: `${OUTSIDE_GATEWAY}/24` },
      },
    });
    const [inside, outside] = [await Namespace.create(), await Namespace.create()];
    await join("lan0", inside, "eth0");
    await join("wan0", outside, "eth0");
    await inside.exec("ip", "address", "add", `${INSIDE_HOST}/24`, "dev", "eth0");
    await inside.exec("ip", "route", "add", "default", "via", INSIDE_GATEWAY);
    await outside.exec("ip", "address", "add", `${OUTSIDE_HOST}/24`, "dev", "eth0");
    await gateway.start();
    const server = outside.spawn(process.execPath, ["-e", SERVER], { stdio: ["ignore", "pipe", "inherit"] });
    await once(server.stdout!, "data");
    return new Lab(gateway, inside, outside, server);
  }

  /** Runs a program on the inside host with this terminal; its exit status. */
  async run(program: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
    const child = this.#inside.spawn(program, args, { stdio: "inherit", env });
    const [code] = (await once(child, "exit")) as [number | null];
    return code ?? 1;
  }

  close(): void {
    this.gateway.close();
    this.#server.kill("SIGKILL");
    this.#inside.close();
    this.#outside.close();
  }
}
