// What a gateway tells over HTTP: its metrics, and whether it is well. Whoever reaches the port may ask; so what one
// can cost is bounded.
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { isDeepStrictEqual } from "node:util";
import type { Registry } from "prom-client";
import { NatError } from "../errors.js";
import type { Gateway } from "./gateway.js";

/** Where it is served. */
export interface HttpConfig {
  readonly address: string;
  readonly port: number;
}

/** Bytes of a request's line and headers, at most. */
const MOST_HEADERS = 8 << 10;
const MOST_CONNECTIONS = 64;
/** Milliseconds for a request, its headers included, and that a connection may be idle. */
const REQUEST_TIMEOUT = 5000;
const IDLE_TIMEOUT = 30_000;
/** Milliseconds between looks at who is too slow. */
const CHECK_EVERY = 1000;

const TEXT = "text/plain; charset=utf-8";

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly type?: string;
}

/** Serves GET /metrics, /healthz and /readyz of a gateway, once `listen` has said where. */
export class HttpServer {
  readonly #gateway: Gateway;
  readonly #metrics: Registry;
  readonly #routes: ReadonlyMap<string, () => Answer | Promise<Answer>>;
  #at: HttpConfig | null = null;
  #server: Server | null = null;
  #scrape: Promise<string> | null = null;

  constructor(gateway: Gateway, metrics: Registry) {
    this.#gateway = gateway;
    this.#metrics = metrics;
    this.#routes = new Map<string, () => Answer | Promise<Answer>>([
      ["/metrics", () => this.#tellMetrics()],
      ["/healthz", () => ({ status: 200, text: "ok\n" })],
      ["/readyz", () => this.#tellReady()],
    ]);
  }

  /**
   * Serves there from now on, and nowhere else; null: nowhere.
   * @throws NatError NAT_ERR_GATEWAY when it can't; then it goes on where it was
   */
  async listen(at: HttpConfig | null): Promise<void> {
    const before = this.#at;
    if (isDeepStrictEqual(at, before)) return;
    // Addresses may overlap where the port is the same: only then there is a moment without any.
    const isSamePort = at !== null && at.port === before?.port;
    if (isSamePort) await this.close();
    let next: Server | null = null;
    try {
      if (at !== null) next = await this.#open(at);
    } catch (error) {
      if (isSamePort) await this.listen(before);
      throw error;
    }
    await this.close();
    [this.#server, this.#at] = [next, at];
  }

  /** Serves no more; connections are closed. */
  async close(): Promise<void> {
    const server = this.#server;
    [this.#server, this.#at] = [null, null];
    if (server === null) return;
    const closed = once(server, "close");
    server.close();
    server.closeAllConnections();
    await closed;
  }

  async #open({ address, port }: HttpConfig): Promise<Server> {
    const limits = {
      maxHeaderSize: MOST_HEADERS,
      requestTimeout: REQUEST_TIMEOUT,
      connectionsCheckingInterval: CHECK_EVERY,
    };
    const server = createServer(limits, (request, response) => void this.#serve(request, response));
    server.maxConnections = MOST_CONNECTIONS;
    server.timeout = IDLE_TIMEOUT;
    try {
      const listening = once(server, "listening");
      server.listen(port, address);
      await listening;
    } catch (error) {
      throw cantListen({ address, port }, error as NodeJS.ErrnoException);
    }
    // A connection that the system had no room for: who asked will ask again.
    server.on("error", () => {});
    return server;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, url = "" } = request;
    const route = this.#routes.get(url.split("?", 1)[0]!);
    if (route === undefined) return send(response, { status: 404, text: "not found\n" });
    if (method !== "GET" && method !== "HEAD") {
      response.setHeader("allow", "GET, HEAD");
      return send(response, { status: 405, text: "only GET and HEAD\n" });
    }
    // Nobody would read it.
    if (hasBody(request)) return send(response, { status: 413, text: "a request without a body, please\n" });
    try {
      send(response, await route());
    } catch (error) {
      send(response, { status: 500, text: `${(error as Error).message}\n` });
    }
  }

  /** Who asks while another is being answered gets the same. */
  async #tellMetrics(): Promise<Answer> {
    this.#scrape ??= this.#metrics.metrics().finally(() => {
      this.#scrape = null;
    });
    return { status: 200, text: await this.#scrape, type: this.#metrics.contentType };
  }

  #tellReady(): Answer {
    const { running, inside, outside } = this.#gateway.status;
    if (!running) return { status: 503, text: "the gateway does not run\n" };
    for (const side of [inside, outside]) {
      if (!side.up) return { status: 503, text: `${side.interface} is down\n` };
    }
    return { status: 200, text: "ready\n" };
  }
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) !== 0;
}

function send(response: ServerResponse, { status, text, type = TEXT }: Answer): void {
  // Whoever was told that something is wrong may have sent a body: it is not waited for.
  if (status >= 400 && status < 500) response.setHeader("connection", "close");
  response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(text) });
  response.end(text);
}

function cantListen({ address, port }: HttpConfig, { code, message }: NodeJS.ErrnoException): NatError {
  const reasons: Record<string, string> = {
    EADDRINUSE: "another program has it; give another port",
    EADDRNOTAVAIL: "this system does not have that address",
    EACCES: "this user may not have that port; give one from 1024 on",
  };
  return new NatError(
    "NAT_ERR_GATEWAY",
    `gateway.http: ${address}:${port}: ${reasons[code ?? ""] ?? message}`,
  );
}
