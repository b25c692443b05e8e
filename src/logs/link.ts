// Ways to carry a log to where it goes.
import { createSocket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { type FileHandle, open } from "node:fs/promises";
import { connect, type NetConnectOpts } from "node:net";
import type { Destination } from "./destination.js";

/** An open way, which carries one chunk after another. */
export interface Link {
  /** Carries a chunk. `done` is told when the system has it, or why it is lost; not at all once the link broke. */
  send(bytes: Uint8Array, done: (error: Error | null) => void): void;
  close(): void;
}

/** Opens a link; `broke` is told, once, when it can carry no more. */
export type OpenLink = (broke: (error: Error) => void) => Promise<Link>;

/** Milliseconds to connect in. */
const CONNECT_WITHIN = 10_000;

/** The link to a destination. */
export function linkTo(destination: Destination): OpenLink {
  if (destination.transport === "udp") return udp(destination.host, destination.port);
  return stream(
    destination.transport === "unix"
      ? { path: destination.path }
      : { host: destination.host, port: destination.port },
  );
}

/** Datagrams: nobody knows whether they arrive. */
function udp(host: string, port: number): OpenLink {
  return async () => {
    const { address, family } = await lookup(host);
    const socket = createSocket(family === 6 ? "udp6" : "udp4");
    // What nobody receives is told with the next datagram; that is reason enough to count it, not to stop.
    socket.on("error", () => {});
    const connected = once(socket, "connect");
    socket.connect(port, address);
    await connected;
    return {
      send: (bytes, done) => socket.send(bytes, (error) => done(error)),
      close: () => void socket.close(),
    };
  };
}

function stream(to: NetConnectOpts): OpenLink {
  return async (broke) => {
    const socket = connect({ ...to, noDelay: true });
    socket.setTimeout(CONNECT_WITHIN, () => socket.destroy(new Error("no answer")));
    try {
      await once(socket, "connect");
    } catch (error) {
      socket.destroy();
      throw error;
    }
    socket.setTimeout(0);
    socket.setKeepAlive(true, CONNECT_WITHIN);
    let why = new Error("the other end has closed it");
    let isOurs = false;
    socket.on("error", (error) => {
      why = error;
    });
    socket.on("end", () => socket.destroy());
    socket.on("close", () => isOurs || broke(why));
    socket.resume(); // there is nothing to say to us
    return {
      send: (bytes, done) =>
        void socket.write(bytes, (error) => {
          // With an error it is closed, too.
          if (!error) done(null);
        }),
      close: () => {
        isOurs = true;
        socket.end();
        socket.setTimeout(CONNECT_WITHIN, () => socket.destroy());
        socket.unref();
      },
    };
  };
}

/** Appends to a file of lines. After a chunk that did not find room, the next begins on a line of its own. */
export function file(path: string): OpenLink {
  return async () => {
    const handle = await open(path, "a", 0o640);
    let waiting: [bytes: Uint8Array, done: (error: Error | null) => void][] = [];
    let writing: Promise<void> | null = null;
    let isTorn = false;
    /** What comes while one write is under way goes with the next. */
    const write = async () => {
      while (waiting.length > 0) {
        const now = waiting;
        waiting = [];
        const bytes = now.map(([bytes]) => bytes);
        const error = await writeAll(handle, Buffer.concat(isTorn ? [NEWLINE, ...bytes] : bytes)).catch(
          (error: Error) => error,
        );
        isTorn = error !== null;
        for (const [, done] of now) done(error);
      }
      writing = null;
    };
    return {
      send: (bytes, done) => {
        waiting.push([bytes, done]);
        writing ??= write();
      },
      close: () => void Promise.resolve(writing).finally(() => handle.close()),
    };
  };
}

const NEWLINE = Buffer.from("\n");

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<null> {
  for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at)).bytesWritten;
  return null;
}
