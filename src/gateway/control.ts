// The control socket of a gateway: HTTP on a Unix socket, JSON, for its owner alone.
import { once } from "node:events";
import { rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setImmediate as turn } from "node:timers/promises";
import type { Registry } from "prom-client";
import { NatError } from "../errors.js";
import { answerTo } from "../explain/ask.js";
import { metricsOf } from "../metrics/metrics.js";
import type { Gateway } from "./gateway.js";
import { sessionFilter } from "./session-filter.js";
import { EventStreams } from "./told-events.js";
import { toldSession } from "./told-session.js";
import { MOST_TOP, TOP_ORDERS, type TopOrder, type TopQuery, TopReader } from "./top.js";

/** Bytes of a request's body, at most. */
const MOST_BODY = 64 << 10;
/** Sessions looked at before others get their turn. */
const AT_A_TIME = 4096;

/** What the control socket can't do by the gateway alone. */
export interface ControlOptions {
  /** Reads the config anew and puts it in force. */
  reload(): void | Promise<void>;
  /** What GET /metrics answers with. @default the gateway's */
  readonly metrics?: Registry;
}

interface Request {
  readonly query: URLSearchParams;
  readonly body: unknown;
  readonly response: ServerResponse;
}

type Handler = (request: Request) => unknown;

/** Serves a gateway's control socket. Only its owner may use it (mode 0600). */
export class ControlServer {
  readonly path: string;
  readonly #gateway: Gateway;
  readonly #server: Server;
  readonly #routes: Record<string, Handler>;

  private constructor(
    gateway: Gateway,
    path: string,
    { reload, metrics = metricsOf(gateway) }: ControlOptions,
  ) {
    this.path = path;
    this.#gateway = gateway;
    this.#server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, (request, response) => {
      void this.#serve(request, response);
    });
    this.#server.maxConnections = 64;
    const top = new TopReader(gateway.nat);
    const events = new EventStreams(gateway.nat.conntrack);
    this.#routes = {
      "GET /status": () => gateway.status,
      "GET /metrics": async ({ response }) => {
        const text = await metrics.metrics();
        response.writeHead(200, { "content-type": metrics.contentType });
        response.end(text);
      },
      "GET /sessions": ({ query, response }) => this.#sessions(query, response),
      "DELETE /sessions": ({ query }) => this.#kill(query),
      "GET /top": ({ query }) => top.read(topQuery(query)),
      "GET /events": ({ query, response }) => events.send(query.getAll("type"), query.getAll("q"), response),
      "GET /forwards": () => gateway.forwards,
      "POST /forwards": ({ body }) => gateway.addForward(body as never),
      "DELETE /forwards": ({ query }) =>
        gateway.removeForward(query.get("protocol") ?? "", query.get("outside") ?? ""),
      "POST /explain": ({ body }) => answerTo(body, gateway.nat),
      "POST /reload": () => reload(),
    };
  }

  /**
   * Opens the socket.
   * @throws NatError NAT_ERR_GATEWAY when it can't be made, or another gateway answers there
   */
  static async open(gateway: Gateway, path: string, options: ControlOptions): Promise<ControlServer> {
    const control = new ControlServer(gateway, path, options);
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
      // What a gateway left that was killed.
      rmSync(path, { force: true });
      await control.#listen().catch((again: Error) => {
        throw cantOpen(path, again);
      });
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

  async #serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams: query } = new URL(message.url ?? "/", "http://gateway");
    const handler = this.#routes[`${message.method} ${pathname}`];
    try {
      if (handler === undefined)
        return send(response, 404, { error: `no ${message.method} ${pathname} here` });
      const body = await readBody(message);
      const answer = await handler({ query, body, response });
      if (!response.headersSent) send(response, 200, answer ?? { done: true });
    } catch (error) {
      // A client's mistake, or one in a config: he is told.
      const { message: text } = error as Error;
      if (response.headersSent) response.destroy();
      else send(response, error instanceof NatError ? 400 : 500, { error: text });
    }
  }

  /** One session a line, so that neither end has to hold them all. */
  async #sessions(query: URLSearchParams, response: ServerResponse): Promise<void> {
    const lines = this.#sessionLines(sessionFilter(query.getAll("q")));
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    await pipeline(Readable.from(lines), response);
  }

  async *#sessionLines(fits: ReturnType<typeof sessionFilter>): AsyncIterable<string> {
    const now = performance.now();
    let looked = 0;
    for (const session of this.#gateway.nat.conntrack) {
      if (++looked % AT_A_TIME === 0) await turn();
      if (fits(session, now)) yield `${JSON.stringify(toldSession(session, now))}\n`;
    }
  }

  async #kill(query: URLSearchParams): Promise<{ ended: number }> {
    const terms = query.getAll("q");
    const fits = sessionFilter(terms);
    const { conntrack } = this.#gateway.nat;
    const now = performance.now();
    let ended = 0;
    let looked = 0;
    for (const session of conntrack) {
      if (++looked % AT_A_TIME === 0) await turn();
      if (fits(session, now) && conntrack.delete(session)) ended++;
    }
    return { ended };
  }
}

function topQuery(query: URLSearchParams): TopQuery {
  const sort = query.get("sort") ?? "rate";
  const limit = Number(query.get("limit") ?? 20);
  if (!(TOP_ORDERS as readonly string[]).includes(sort)) {
    throw new NatError("NAT_ERR_ARGUMENT", `sort: "${sort}" is none of ${TOP_ORDERS.join(", ")}`);
  }
  if (!Number.isInteger(limit) || limit < 1 || limit > MOST_TOP) {
    throw new NatError("NAT_ERR_ARGUMENT", `limit: ${query.get("limit")} is not from 1 to ${MOST_TOP}`);
  }
  return { filter: query.getAll("q"), sort: sort as TopOrder, limit };
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(`${JSON.stringify(body)}\n`);
}

async function readBody(message: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MOST_BODY)
      throw new NatError("NAT_ERR_ARGUMENT", `a request of more than ${MOST_BODY} bytes`);
    chunks.push(chunk);
  }
  if (length === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch {
    throw new NatError("NAT_ERR_ARGUMENT", "the request's body is not JSON");
  }
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
