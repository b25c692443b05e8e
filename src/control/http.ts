// What a gateway serves over HTTP: its metrics and whether it is well, to whoever reaches the port; the dashboard and the
// API behind it (/api), to who may (access.ts). What anybody can cost is bounded, and counted.
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { isDeepStrictEqual } from "node:util";
import type { Registry } from "prom-client";
import { type PageFile, pageFiles } from "../dashboard/files.js";
import { NatError } from "../errors.js";
import type { HttpConfig } from "../gateway/config.js";
import type { Gateway } from "../gateway/gateway.js";
import { HTTP_METRICS } from "../metrics/http-metrics.js";
import { register } from "../metrics/metric.js";
import { Access, type Refusal } from "./access.js";
import { type GatewayApi, MOST_BODY, send } from "./api.js";

/** Bytes of a request's line and headers, at most. */
const MOST_HEADERS = 8 << 10;
const MOST_CONNECTIONS = 64;
/** Milliseconds for a request, its headers included, and that a connection may be idle. */
const REQUEST_TIMEOUT = 5000;
const IDLE_TIMEOUT = 30_000;
/** Milliseconds between looks at who is too slow. */
const CHECK_EVERY = 1000;

/** Milliseconds until an answer has to be read. */
const ANSWER_TIMEOUT = 30_000;
/** Connections from which on each has one request: so that all get their turn. */
const MANY_CONNECTIONS = MOST_CONNECTIONS / 2;

const TEXT = "text/plain; charset=utf-8";
const API = "/api";

/** A page of ours only, and nothing from elsewhere in it. */
const SAFE_HEADERS: readonly (readonly [string, string])[] = [
  [
    "content-security-policy",
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
      "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  ],
  ["x-content-type-options", "nosniff"],
  ["x-frame-options", "DENY"],
  ["referrer-policy", "no-referrer"],
  ["cross-origin-resource-policy", "same-origin"],
  ["cross-origin-opener-policy", "same-origin"],
];

/** Why a request was not answered, or a connection not taken. */
export const REFUSALS = ["connections", "access", "too-large", "malformed", "slow"] as const;
export type RefusedFor = (typeof REFUSALS)[number];

type Route = (response: ServerResponse) => void | Promise<void>;

/** Serves a gateway's HTTP port, once `listen` has said where. */
export class HttpServer {
  readonly #gateway: Gateway;
  readonly #api: GatewayApi;
  readonly #metrics: Registry;
  readonly #routes: ReadonlyMap<string, Route>;
  readonly #files: ReadonlyMap<string, PageFile> = pageFiles();
  readonly #refused: Record<RefusedFor, number>;
  #at: HttpConfig | null = null;
  #access: Access | null = null;
  #server: Server | null = null;
  #connections = 0;
  #scrape: Promise<string> | null = null;

  /** @param metrics what is told of the gateway; the port's own are added */
  constructor(gateway: Gateway, api: GatewayApi, metrics: Registry) {
    this.#gateway = gateway;
    this.#api = api;
    this.#metrics = metrics;
    this.#refused = Object.fromEntries(REFUSALS.map((why) => [why, 0])) as Record<RefusedFor, number>;
    for (const metric of HTTP_METRICS) register(metrics, this.#refused, metric);
    this.#routes = new Map<string, Route>([
      ["/metrics", (response) => this.#tellMetrics(response)],
      ["/healthz", (response) => send(response, 200, "ok\n", TEXT)],
      ["/readyz", (response) => this.#tellReady(response)],
    ]);
  }

  /**
   * Serves there from now on, and nowhere else; null: nowhere.
   * @throws NatError NAT_ERR_GATEWAY when it can't; then it goes on where it was
   */
  async listen(at: HttpConfig | null): Promise<void> {
    const before = this.#at;
    // The token's file may say something else than before.
    const access = at === null ? null : new Access(at);
    if (isDeepStrictEqual(at, before)) {
      this.#access = access;
      return;
    }
    // Addresses may overlap where the port is the same: only then there is a moment without any.
    const isSamePort = at !== null && at.port === before?.port;
    if (isSamePort) await this.close();
    // Until the one is closed and the other open nobody is let in: they may ask for different tokens.
    const accessBefore = this.#access;
    this.#access = null;
    let next: Server | null = null;
    try {
      if (at !== null) next = await this.#open(at);
    } catch (error) {
      if (isSamePort) await this.listen(before);
      else this.#access = accessBefore;
      throw error;
    }
    await this.close();
    [this.#server, this.#at, this.#access] = [next, at, access];
  }

  /** Serves no more; connections are closed. */
  async close(): Promise<void> {
    const server = this.#server;
    [this.#server, this.#at, this.#access] = [null, null, null];
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
    this.#count(server);
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

  /** Counts connections, and those that come to nothing. */
  #count(server: Server): void {
    server.on("connection", (socket) => {
      this.#connections++;
      socket.once("close", () => this.#connections--);
    });
    server.on("drop", () => this.#refused.connections++);
    server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
      if (error.code === "ECONNRESET") return void socket.destroy();
      const [why, status] = CLIENT_ERRORS[error.code ?? ""] ?? (["malformed", "400 Bad Request"] as const);
      this.#refused[why]++;
      const answer = `HTTP/1.1 ${status}\r\nconnection: close\r\n\r\n`;
      if (socket.writable) socket.end(answer, () => socket.destroy());
      else socket.destroy();
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const [name, value] of SAFE_HEADERS) response.setHeader(name, value);
    if (this.#connections > MANY_CONNECTIONS) response.setHeader("connection", "close");
    const deadline = setTimeout(() => {
      this.#refused.slow++;
      response.destroy();
    }, ANSWER_TIMEOUT);
    response.once("close", () => clearTimeout(deadline));
    const { url = "" } = request;
    if (url.startsWith(`${API}/`)) return this.#serveApi(request, response, url.slice(API.length));
    const path = url.split("?", 1)[0]!;
    const file = this.#files.get(path);
    const route = this.#routes.get(path);
    if (file === undefined && route === undefined) return send(response, 404, "not found\n", TEXT);
    const { method } = request;
    if (method !== "GET" && method !== "HEAD") {
      response.setHeader("allow", "GET, HEAD");
      return send(response, 405, "only GET and HEAD\n", TEXT);
    }
    // Nobody would read it.
    if (bodyOf(request) !== 0)
      return this.#refuse(response, "too-large", 413, "a request without a body, please");
    try {
      if (file === undefined) await route!(response);
      else this.#sendFile(request, response, file);
    } catch (error) {
      send(response, 500, `${(error as Error).message}\n`, TEXT);
    }
  }

  async #serveApi(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
    const refusal = this.#access === null ? MOVING : this.#access.toApi(request);
    if (refusal !== null) return this.#deny(response, refusal);
    const length = bodyOf(request);
    if (length > MOST_BODY) {
      return this.#refuse(response, "too-large", 413, `a request of at most ${MOST_BODY} bytes, please`);
    }
    response.setHeader("cache-control", "no-store");
    await this.#api.serve(request, response, path, false);
  }

  #sendFile(request: IncomingMessage, response: ServerResponse, { type, content, tag }: PageFile): void {
    const refusal = this.#access === null ? MOVING : this.#access.toPage(request);
    response.setHeader("etag", tag);
    response.setHeader("cache-control", "no-cache");
    if (refusal !== null) this.#deny(response, refusal);
    else if (request.headers["if-none-match"] === tag) response.writeHead(304).end();
    else send(response, 200, content, type);
  }

  #deny(response: ServerResponse, { status, text }: Refusal): void {
    if (status === 401) response.setHeader("www-authenticate", "Bearer");
    this.#refuse(response, "access", status, text);
  }

  #refuse(response: ServerResponse, why: RefusedFor, status: number, text: string): void {
    this.#refused[why]++;
    send(response, status, `${text}\n`, TEXT);
  }

  /** Who asks while another is being answered gets the same. */
  async #tellMetrics(response: ServerResponse): Promise<void> {
    this.#scrape ??= this.#metrics.metrics().finally(() => {
      this.#scrape = null;
    });
    send(response, 200, await this.#scrape, this.#metrics.contentType);
  }

  #tellReady(response: ServerResponse): void {
    const { running, inside, outside } = this.#gateway.status;
    const down = [inside, outside].find(({ up }) => !up);
    if (!running) send(response, 503, "the gateway does not run\n", TEXT);
    else if (down !== undefined) send(response, 503, `${down.interface} is down\n`, TEXT);
    else send(response, 200, "ready\n", TEXT);
  }
}

const MOVING: Refusal = { status: 503, text: "the gateway is about to listen elsewhere; ask again" };

/** What the parser of requests refuses. */
const CLIENT_ERRORS: Readonly<Record<string, readonly [RefusedFor, string]>> = {
  HPE_HEADER_OVERFLOW: ["too-large", "431 Request Header Fields Too Large"],
  ERR_HTTP_REQUEST_TIMEOUT: ["slow", "408 Request Timeout"],
};

/** Bytes of a request's body; of one that does not say, as little as can be. */
function bodyOf({ headers }: IncomingMessage): number {
  return headers["transfer-encoding"] === undefined ? Number(headers["content-length"] ?? 0) : 1;
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
