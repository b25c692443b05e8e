// The control socket of a gateway: HTTP on a Unix socket, JSON, for its owner alone.
import { once } from "node:events";
import { lstatSync, unlinkSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { connect } from "node:net";
import { NatError } from "../errors.js";
import type { GatewayApi } from "./api.js";

/** Serves a gateway's control socket. Only its owner may use it (mode 0600). */
export class ControlServer {
  readonly path: string;
  readonly #server: Server;

  private constructor(api: GatewayApi, path: string) {
    this.path = path;
    this.#server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, (request, response) => {
      void api.serve(request, response, request.url ?? "/", true);
    });
    this.#server.maxConnections = 64;
  }

  /**
   * Opens the socket.
   * @throws NatError NAT_ERR_GATEWAY when it can't be made, or another gateway answers there
   */
  static async open(api: GatewayApi, path: string): Promise<ControlServer> {
    const control = new ControlServer(api, path);
    try {
      await control.#listen();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw cantOpen(path, error as Error);
      if (await answers(path)) {
        throw new NatError(
          "NAT_ERR_GATEWAY",
          `${path}: another gateway answers there; end it, or name another socket with gateway.control`,
        );
      }
      try {
        removeLeft(path);
        await control.#listen();
      } catch (again) {
        throw cantOpen(path, again as Error);
      }
    }
    return control;
  }

  /** Closes the socket and removes it. */
  async close(): Promise<void> {
    this.#server.closeAllConnections();
    if (!this.#server.listening) return;
    const closed = once(this.#server, "close");
    this.#server.close();
    await closed;
  }

  async #listen(): Promise<void> {
    const listening = once(this.#server, "listening");
    // The socket is made with this mode: there is no moment when others could connect.
    const before = process.umask(0o177);
    try {
      this.#server.listen(this.path);
    } finally {
      process.umask(before);
    }
    await listening;
  }
}

/** Removes the socket of a gateway that was killed; whatever else is there is somebody's. */
function removeLeft(path: string): void {
  if (!lstatSync(path).isSocket())
    throw new Error("there is something else; name another with gateway.control");
  unlinkSync(path);
}

/** Whether somebody listens at a socket. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

function cantOpen(path: string, { message }: Error): NatError {
  return new NatError("NAT_ERR_GATEWAY", `${path}: the control socket can't be made: ${message}`);
}
