// The stream of events that a control socket gives.
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, get, type IncomingMessage, type Server } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { NatEvent, NatEventType } from "../../src/events/event.js";
import { type EventSource, EventStreams } from "../../src/gateway/event-stream.js";
import { session } from "../support/sessions.js";
import { until } from "../system/lab.js";

/** A source that tells what it is given, with a bounded queue for each reader. */
class Source implements EventSource {
  readonly readers = new Set<Reader>();

  events({ types, filter = () => true, capacity = 1 }: Parameters<EventSource["events"]>[0]): Reader {
    const reader = new Reader(
      capacity,
      (event) => (types === undefined || types.includes(event.type)) && filter(event),
    );
    this.readers.add(reader);
    return reader;
  }

  tell(...events: NatEvent[]): void {
    for (const event of events) for (const reader of this.readers) reader.take(event);
  }
}

class Reader implements AsyncIterableIterator<NatEvent> {
  lost = 0;
  given = 0;
  isOver = false;
  readonly queue: NatEvent[] = [];
  #wake: (() => void) | null = null;

  constructor(
    readonly capacity: number,
    readonly wants: (event: NatEvent) => boolean,
  ) {}

  take(event: NatEvent): void {
    if (!this.wants(event)) return;
    if (this.queue.length < this.capacity) this.queue.push(event);
    else this.lost++;
    this.#wake?.();
  }

  async next(): Promise<IteratorResult<NatEvent>> {
    while (this.queue.length === 0 && !this.isOver) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.isOver) return { done: true, value: undefined };
    this.given++;
    return { done: false, value: this.queue.shift()! };
  }

  async return(): Promise<IteratorResult<NatEvent>> {
    this.isOver = true;
    this.#wake?.();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

const opened = (port: number, type: NatEventType = "session-opened") =>
  ({
    type,
    at: performance.now(),
    session: session({ inside: { address: "192.168.226.135", port } }),
  }) as NatEvent;
const block: NatEvent = {
  type: "block-allocated",
  at: 1,
  inside: "192.168.226.135",
  address: "203.0.113.1",
  ports: [1024, 2047],
};

describe("the stream of events", () => {
  let source: Source;
  let server: Server;
  let directory: string;
  let path: string;

  beforeEach(async () => {
    source = new Source();
    const streams = new EventStreams(source);
    directory = mkdtempSync(join(tmpdir(), "napt-"));
    path = join(directory, "socket");
    server = createServer((request, response) => {
      const { searchParams: query } = new URL(request.url!, "http://gateway");
      streams.send(query.getAll("type"), query.getAll("q"), response).catch((error: Error) => {
        if (!response.headersSent) response.writeHead(400).end(error.message);
      });
    }).listen(path);
    await once(server, "listening");
  });

  afterEach(() => {
    server.closeAllConnections();
    server.close();
    rmSync(directory, { recursive: true });
  });

  const open = async (query = "") => {
    const [response] = (await once(get({ socketPath: path, path: `/events${query}` }), "response")) as [
      IncomingMessage,
    ];
    return response;
  };
  const lines = async (response: IncomingMessage, many: number) => {
    const found: Record<string, unknown>[] = [];
    for await (const line of createInterface({ input: response })) {
      if (found.push(JSON.parse(line)) === many) break;
    }
    response.destroy();
    return found;
  };

  test("has each event on a line, times as clocks elsewhere have them", async () => {
    const response = await open();
    equal(response.headers["content-type"], "application/x-ndjson");
    const before = Date.now();
    source.tell(opened(4000), block);
    const [first, second] = await lines(response, 2);
    ok(Math.abs((first!.at as number) - before) < 10_000);
    const told = first!.session as Record<string, unknown>;
    equal(told.createdAt, undefined);
    equal(typeof told.age, "number");
    deepEqual([first!.type, told.inside], ["session-opened", { address: "192.168.226.135", port: 4000 }]);
    deepEqual({ ...second, at: 1 }, block);
  });

  test("has what was asked for", async () => {
    const typed = await open("?type=session-closed&type=block-allocated");
    const fitting = await open("?q=tcp&q=:4001");
    source.tell(opened(4000), opened(4001), opened(4002, "session-closed"), block);
    deepEqual(
      (await lines(typed, 2)).map(({ type }) => type),
      ["session-closed", "block-allocated"],
    );
    source.tell(opened(4001, "session-closed"));
    deepEqual(
      (await lines(fitting, 2)).map(({ type }) => type),
      ["session-opened", "session-closed"],
    );
  });

  test("refuses what there is not", async () => {
    for (const [query, said] of [
      ["?type=opened", /^"opened" is no event; give session-opened, .*host-limit$/],
      ["?q=idle>3", /says nothing about sessions/],
    ] as const) {
      const response = await open(query);
      equal(response.statusCode, 400);
      match((await response.toArray()).join(""), said);
    }
    equal(source.readers.size, 0);
  });

  test("costs little for a reader who does not read, and tells him what he has missed", async () => {
    const socket = connect(path);
    socket.write("GET /events HTTP/1.0\r\n\r\n");
    socket.pause();
    await until("the stream is open", () => source.readers.size === 1);
    const [reader] = source.readers;
    const all = 100_000;
    for (let told = 0; told < all; told += 1000) {
      source.tell(...Array.from({ length: 1000 }, (_, i) => opened(i)));
      await sleep(0);
    }
    ok(reader!.given < 20_000, `${reader!.given} events are under way`);
    equal(reader!.queue.length, reader!.capacity);
    let text = "";
    socket.on("data", (data) => {
      text += data;
    });
    socket.resume();
    await until("it has caught up", () => reader!.queue.length === 0);
    source.tell(opened(1)); // what was lost last is told with the next
    const told = () =>
      text
        .slice(text.indexOf("\r\n\r\n") + 4)
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line) as { type: string; count?: number });
    const sum = () => told().reduce((total, { type, count = 0 }) => total + (type === "lost" ? count : 1), 0);
    await until("all is told", () => sum() === all + 1);
    ok(told().some(({ type }) => type === "lost"));
    socket.destroy();
  });

  test("ends with its reader, though nothing happens; and there are not too many", async () => {
    const readers = await Promise.all(Array.from({ length: 16 }, () => open()));
    const refused = await open();
    match((await refused.toArray()).join(""), /^16 others read events already; end one$/);
    readers[0]!.destroy();
    await until("it has ended", () => [...source.readers].some(({ isOver }) => isOver));
    await until("another has its place", async () => {
      const next = await open();
      next.destroy();
      return next.statusCode === 200;
    });
    for (const reader of readers) reader.destroy();
  });

  test("ends with its source", async () => {
    const response = await open();
    for (const reader of source.readers) void reader.return();
    deepEqual(await response.toArray(), []);
  });
});
