import { close, fstat, open, write } from "node:fs";
import { Socket } from "node:net";
import type { Writable } from "node:stream";
import { promisify } from "node:util";
import { createGzip } from "node:zlib";
import { NatError } from "../errors.js";
import { ZlibPump } from "./zlib-pump.js";

/** Where bytes go: a file, a pipe or a compressor. Failures are NatErrors that name the file. */
export interface ByteSink {
  /** Resolves when all of `bytes` is written, or compressed; it may be changed then. One write at a time. */
  write(bytes: Uint8Array): Promise<void>;
  /** Writes what is left and closes. Only then is the output complete. */
  close(): Promise<void>;
  /** Closes without finishing, after a failure; never throws. What was written stays. */
  abort(): Promise<void>;
}

const openFile = promisify(open);
const closeFile = promisify(close);
const writeFile = promisify(write);
const statFile = promisify(fstat);

const STANDARD_OUTPUT = 1;

/** Creates or replaces a file, or takes standard output for "-". A name that ends in .gz is compressed. */
export async function openSink(path: string): Promise<ByteSink> {
  if (path === "-") return sinkOf(STANDARD_OUTPUT, "standard output");
  let fd: number;
  try {
    fd = await openFile(path, "w");
  } catch (error) {
    throw outputError(path, error);
  }
  const sink = await sinkOf(fd, path);
  return path.endsWith(".gz") ? new GzipSink(sink, path) : sink;
}

/** A sink into a stream, which is ended with it. */
export function streamSink(stream: Writable, name: string): ByteSink {
  return new StreamSink(stream, name);
}

async function sinkOf(fd: number, name: string): Promise<ByteSink> {
  try {
    const stat = await statFile(fd);
    // A blocked write would hold one of Node's few I/O threads and keep the process from exiting.
    if (stat.isFile()) return new FileSink(fd, name);
    if (fd === STANDARD_OUTPUT) return new StreamSink(process.stdout, name);
    if (stat.isFIFO()) return new StreamSink(new Socket({ fd, readable: false, writable: true }), name);
    return new FileSink(fd, name);
  } catch (error) {
    if (fd !== STANDARD_OUTPUT) await closeFile(fd).catch(() => {});
    throw outputError(name, error);
  }
}

/** A file or device. */
class FileSink implements ByteSink {
  readonly #fd: number;
  readonly #name: string;

  constructor(fd: number, name: string) {
    this.#fd = fd;
    this.#name = name;
  }

  async write(bytes: Uint8Array): Promise<void> {
    try {
      for (let at = 0; at < bytes.length; ) {
        const { bytesWritten } = await writeFile(this.#fd, bytes, at, bytes.length - at, null);
        at += bytesWritten;
      }
    } catch (error) {
      throw outputError(this.#name, error);
    }
  }

  async close(): Promise<void> {
    if (this.#fd === STANDARD_OUTPUT) return;
    try {
      await closeFile(this.#fd); // network file systems tell only here that the disk is full
    } catch (error) {
      throw outputError(this.#name, error);
    }
  }

  async abort(): Promise<void> {
    await this.close().catch(() => {});
  }
}

/** A pipe, socket or terminal. */
class StreamSink implements ByteSink {
  readonly #stream: Writable;
  readonly #name: string;
  #failure: Error | null = null;

  constructor(stream: Writable, name: string) {
    this.#stream = stream;
    this.#name = name;
    // Stays for good: a reader that goes away while nothing is written must not end the process.
    stream.on("error", (error: Error) => {
      this.#failure ??= error;
    });
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#until((done) => this.#stream.write(bytes, done));
  }

  async close(): Promise<void> {
    if (this.#stream === process.stdout) return; // it is the process's, who may have more to say
    await this.#until((done) => this.#stream.end(done));
  }

  async abort(): Promise<void> {
    if (this.#stream !== process.stdout) this.#stream.destroy();
  }

  async #until(start: (done: (error?: Error | null) => void) => void): Promise<void> {
    if (this.#failure === null) {
      await new Promise<void>((resolve) => {
        start((error) => {
          if (error) this.#failure ??= error;
          resolve();
        });
      });
    }
    if (this.#failure !== null) throw outputError(this.#name, this.#failure);
  }
}

/** Compresses into another sink. */
class GzipSink implements ByteSink {
  readonly #inner: ByteSink;
  readonly #name: string;
  readonly #gzip = new ZlibPump(createGzip());

  constructor(inner: ByteSink, name: string) {
    this.#inner = inner;
    this.#name = name;
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (bytes.length > 0) await this.#gzip.write(bytes);
    await this.#flush();
  }

  async close(): Promise<void> {
    await this.#gzip.finish();
    await this.#flush();
    await this.#inner.close();
  }

  async abort(): Promise<void> {
    this.#gzip.close();
    await this.#inner.abort();
  }

  async #flush(): Promise<void> {
    if (this.#gzip.failure !== null) throw outputError(this.#name, this.#gzip.failure);
    const output = this.#gzip.output.splice(0);
    for (const chunk of output) await this.#inner.write(chunk);
  }
}

/** @internal */
export function outputError(name: string, error: unknown): NatError {
  if (error instanceof NatError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new NatError("NAT_ERR_OUTPUT", `${name}: can't be written: ${reason}`, { cause: error });
}
