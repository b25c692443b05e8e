// What a gateway is asked, in one place for both doors: the control socket, and HTTP under /api.
import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setImmediate as turn } from "node:timers/promises";
import type { Registry } from "prom-client";
import type { Session } from "../conntrack.js";
import { NatError } from "../errors.js";
import { answerTo } from "../explain/ask.js";
import { behaviourInWords } from "../explain/behaviour.js";
import { explanationInWords } from "../explain/words.js";
import { streamCapture } from "../gateway/capture.js";
import type { Gateway } from "../gateway/gateway.js";
import { metricsOf } from "../metrics/metrics.js";
import { BusyError } from "./busy.js";
import { Readings } from "./reading.js";
import { sessionFilter } from "./session-filter.js";
import { SessionPages, SORT_KEYS, type SortKey, sessionKey } from "./session-pages.js";
import { EventStreams } from "./told-events.js";
import { toldSession } from "./told-session.js";
import { MOST_TOP, TOP_ORDERS, type TopOrder, type TopQuery, TopReader } from "./top.js";

/** Bytes of a request's body, at most. */
export const MOST_BODY = 64 << 10;
/** Sessions looked at before others get their turn. */
const AT_A_TIME = 4096;
/** Rows of a page of sessions, unless it is asked for more. */
const PAGE = 100;

/** What is asked of a gateway that it can't do by itself. */
export interface GatewayApiOptions {
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

/** What lasts, and has what others say to each other: for the owner of the control socket alone. */
const OWNERS: ReadonlySet<string> = new Set(["GET /capture"]);

/** Gives what is answered as JSON, or answers itself. */
type Handler = (request: Request) => unknown;

/** What can be asked of a gateway. */
export class GatewayApi {
  readonly #gateway: Gateway;
  readonly #pages: SessionPages;
  readonly #routes: ReadonlyMap<string, Handler>;

  constructor(gateway: Gateway, { reload, metrics = metricsOf(gateway) }: GatewayApiOptions) {
    this.#gateway = gateway;
    this.#pages = new SessionPages(gateway.nat);
    const readings = new Readings(gateway);
    const top = new TopReader(gateway.nat);
    const events = new EventStreams(gateway.nat.conntrack);
    this.#routes = new Map<string, Handler>([
      ["GET /status", () => gateway.status],
      [
        "GET /metrics",
        async ({ response }) => send(response, 200, await metrics.metrics(), metrics.contentType),
      ],
      ["GET /reading", async ({ response }) => send(response, 200, await readings.get(), JSON_TYPE)],
      ["GET /behaviour", () => behaviourInWords(gateway.nat.config)],
      ["GET /sessions", ({ query, response }) => this.#sessions(query, response)],
      ["GET /sessions/page", ({ query }) => this.#page(query)],
      ["DELETE /sessions", ({ query }) => this.#kill(query)],
      ["GET /top", ({ query }) => top.read(topQuery(query))],
      [
        "GET /events",
        ({ query, response }) => events.send(query.getAll("type"), query.getAll("q"), response),
      ],
      ["GET /forwards", () => gateway.forwards],
      ["POST /forwards", ({ body }) => gateway.addForward(body as never)],
      [
        "DELETE /forwards",
        ({ query }) => gateway.removeForward(query.get("protocol") ?? "", query.get("outside") ?? ""),
      ],
      [
        "POST /explain",
        ({ body, query }) => {
          const told = answerTo(body, gateway.nat);
          return query.has("words") ? { ...told, words: explanationInWords(told) } : told;
        },
      ],
      ["POST /reload", () => reload()],
      ["GET /capture", ({ query, response }) => streamCapture(gateway.nat, query, response)],
    ]);
  }

  /** Answers a request for a path, whatever is wrong with it; `isOwner`: who asks is the control socket's owner. */
  async serve(
    message: IncomingMessage,
    response: ServerResponse,
    path: string,
    isOwner: boolean,
  ): Promise<void> {
    const [pathname = "", search = ""] = path.split("?", 2);
    const route = `${message.method} ${pathname}`;
    const handler = isOwner || !OWNERS.has(route) ? this.#routes.get(route) : undefined;
    try {
      if (handler === undefined) {
        return sendJson(response, 404, { error: `no ${message.method} ${pathname} here` });
      }
      const body = await readBody(message);
      const answer = await handler({ query: new URLSearchParams(search), body, response });
      if (!response.headersSent) sendJson(response, 200, answer ?? { done: true });
    } catch (error) {
      // A client's mistake, or one in a config: he is told.
      if (response.headersSent) response.destroy();
      else sendJson(response, statusOf(error), { error: (error as Error).message });
    }
  }

  /** One session a line, so that neither end has to hold them all. */
  async #sessions(query: URLSearchParams, response: ServerResponse): Promise<void> {
    const lines = this.#sessionLines(sessionFilter(query.getAll("q")));
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    await pipeline(Readable.from(lines), response);
  }

  async *#sessionLines(fits: (session: Session) => boolean): AsyncIterable<string> {
    const now = performance.now();
    let looked = 0;
    for (const session of this.#gateway.nat.conntrack) {
      if (++looked % AT_A_TIME === 0) await turn();
      if (fits(session)) yield `${JSON.stringify(toldSession(session, now))}\n`;
    }
  }

  #page(query: URLSearchParams): Promise<unknown> {
    const sort = query.get("sort") ?? "bytes";
    if (!(sort in SORT_KEYS)) {
      const keys = Object.keys(SORT_KEYS).join(", ");
      throw new NatError("NAT_ERR_ARGUMENT", `sort: "${sort}" is none of ${keys}`);
    }
    return this.#pages.page({
      terms: query.getAll("q"),
      sort: sort as SortKey,
      descending: query.get("order") === "descending",
      from: countOf(query, "from", 0),
      count: countOf(query, "count", PAGE),
      pins: query.getAll("pin"),
    });
  }

  /** One session by its `flow`, or all that fit. */
  async #kill(query: URLSearchParams): Promise<{ ended: number }> {
    const { conntrack } = this.#gateway.nat;
    const flow = query.get("flow");
    if (flow !== null) return { ended: conntrack.delete(sessionKey(flow)) ? 1 : 0 };
    const fits = sessionFilter(query.getAll("q"));
    let ended = 0;
    let looked = 0;
    for (const session of conntrack) {
      if (++looked % AT_A_TIME === 0) await turn();
      if (fits(session) && conntrack.delete(session)) ended++;
    }
    return { ended };
  }
}

const JSON_TYPE = "application/json";

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  send(response, status, `${JSON.stringify(body)}\n`, JSON_TYPE);
}

/** Answers all at once. */
export function send(response: ServerResponse, status: number, text: string | Buffer, type: string): void {
  // Whoever was told that something is wrong may have sent a body: it is not waited for.
  if (status >= 400 && status < 500) response.setHeader("connection", "close");
  response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(text) });
  response.end(text);
}

function statusOf(error: unknown): number {
  if (error instanceof BusyError) return 503;
  return error instanceof NatError ? 400 : 500;
}

function countOf(query: URLSearchParams, name: string, otherwise: number): number {
  const text = query.get(name) ?? String(otherwise);
  if (/^[0-9]{1,10}$/.test(text)) return Number(text);
  throw new NatError("NAT_ERR_ARGUMENT", `${name}: "${text}" is not a number from 0`);
}

function topQuery(query: URLSearchParams): TopQuery {
  const sort = query.get("sort") ?? "rate";
  if (!(TOP_ORDERS as readonly string[]).includes(sort)) {
    throw new NatError("NAT_ERR_ARGUMENT", `sort: "${sort}" is none of ${TOP_ORDERS.join(", ")}`);
  }
  const limit = countOf(query, "limit", 20);
  if (limit < 1 || limit > MOST_TOP) {
    throw new NatError("NAT_ERR_ARGUMENT", `limit: ${limit} is not from 1 to ${MOST_TOP}`);
  }
  return { filter: query.getAll("q"), sort: sort as TopOrder, limit };
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
