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
import { EventStreams } from "../../src/control/told-events.js";
import type { EventStream } from "../../src/events/event-stream.js";
import { Nat } from "../../src/index.js";
import { base } from "../support/config.js";
import { replyTo, udp } from "../support/packets.js";
import { until } from "../system/lab.js";

const HOST = "192.168.226.135";

describe("the stream of events", () => {
  let nat: Nat;
  let opened: EventStream[];
  let server: Server;
  let directory: string;
  let path: string;

  beforeEach(async () => {
    nat = new Nat({ ...base, portAssignment: { blockSize: 4096 } });
    opened = [];
    const streams = new EventStreams({
      events(options) {
        const stream = nat.conntrack.events(options);
        opened.push(stream);
        return stream;
      },
    });
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
    nat.close();
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

  /** A flow's first packet, and the answer, which establishes it. */
  const flow = (port: number, isAnswered = false) => {
    const packet = udp({ src: `${HOST}:${port}`, dst: "198.51.100.7:53" });
    nat.translate(packet);
    if (isAnswered) nat.translate(replyTo(packet));
  };

  test("has each event on a line, times as clocks elsewhere have them", async () => {
    const response = await open("?type=block-allocated&type=session-opened");
    equal(response.headers["content-type"], "application/x-ndjson");
    const before = Date.now();
    flow(4000);
    const found = await lines(response, 2);
    const block = found.find(({ type }) => type === "block-allocated")!;
    const opened = found.find(({ type }) => type === "session-opened")!;
    for (const { at } of found) ok(Math.abs((at as number) - before) < 10_000, `${at}`);
    deepEqual([block.inside, block.address], [HOST, "203.0.113.1"]);
    const told = opened.session as Record<string, unknown>;
    deepEqual([told.inside, told.direction], [{ address: HOST, port: 4000 }, "outbound"]);
    equal(told.createdAt, undefined);
    ok((told.age as number) >= 0 && (told.age as number) < 1);
  });

  test("has what was asked for", async () => {
    const typed = await open("?type=session-established&type=binding-created");
    const fitting = await open("?q=udp&q=:4001");
    flow(4000);
    flow(4001, true);
    deepEqual(
      (await lines(typed, 3)).map(({ type }) => type),
      ["binding-created", "binding-created", "session-established"],
    );
    const about = (await lines(fitting, 2)).map(({ type, session }) => [
      type,
      (session as { inside: { port: number } }).inside.port,
    ]);
    deepEqual(about, [
      ["session-opened", 4001],
      ["session-established", 4001],
    ]);
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
  });

  test("costs little for a reader who does not read, and tells him what he has missed", async () => {
    const all = 100_000;
    nat.reconfigure({ ...base, outside: ["203.0.113.1", "203.0.113.2"] });
    const socket = connect(path);
    socket.write("GET /events?type=session-opened HTTP/1.0\r\n\r\n");
    await once(socket, "readable");
    for (let sent = 0; sent < all; sent++) {
      const src = `192.168.226.${1 + (sent >> 13)}:${1024 + (sent & 8191)}`;
      nat.translate(udp({ src, dst: "198.51.100.7:53" }));
      if (sent % 1000 === 0) await sleep(25);
    }
    const made = nat.stats.sessions.created;
    let text = "";
    socket.on("data", (data) => {
      text += data;
    });
    const told = () =>
      text
        .slice(text.indexOf("\r\n\r\n") + 4)
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line) as { type: string; count?: number });
    await until("it has caught up", async () => {
      const before = text.length;
      await sleep(200);
      return before > 0 && text.length === before;
    });
    const waited = told().length;
    ok(waited < 20_000, `${waited} events were under way`);
    // What was lost last is told with the next.
    nat.translate(udp({ src: "192.168.226.250:1024", dst: "198.51.100.7:53" }));
    const sum = () => told().reduce((total, { type, count = 0 }) => total + (type === "lost" ? count : 1), 0);
    await until("all is told", () => sum() >= made + 1);
    equal(sum(), made + 1);
    socket.destroy();
  });

  test("ends with its reader, though nothing happens; and there are not too many", async () => {
    const readers = await Promise.all(Array.from({ length: 16 }, () => open()));
    const refused = await open();
    match((await refused.toArray()).join(""), /^16 others read events already; end one$/);
    for (const reader of readers.splice(0, 1)) reader.destroy();
    let isOver = false;
    void opened[0]!.next().then(({ done }) => {
      isOver = done === true;
    });
    await until("nothing is kept for it", () => isOver);
    await until("another has its place", async () => {
      const next = await open();
      next.destroy();
      return next.statusCode === 200;
    });
    for (const reader of readers) reader.destroy();
  });

  test("ends with its NAT", async () => {
    const response = await open();
    nat.close();
    deepEqual(await response.toArray(), []);
  });
});
