import { close, fstat, open, read } from "node:fs";
import { Socket } from "node:net";
import type { Readable } from "node:stream";
import { promisify } from "node:util";
import { NatError } from "../errors.js";
import { GunzipSource } from "./gunzip.js";

/** Bytes in order, from a file, a pipe or a decompressor. */
export interface ByteSource {
  /**
   * Reads into `target`, which may view a SharedArrayBuffer. Resolves to the number of bytes read, at least
   * one, or 0 at the end. Throws a NatError when reading fails, after all bytes before the failure were given.
   */
  read(target: Uint8Array): Promise<number>;
  /** Size of the file in bytes (compressed, if it is), or null when unknown, as for pipes. */
  readonly size: number | null;
  /** Bytes of the file read so far, to compare with `size`. */
  readonly consumed: number;
  close(): Promise<void>;
}

// Bare descriptors, not FileHandle: a pipe's descriptor passes to its Socket.
const openFile = promisify(open);
const closeFile = promisify(close);
const readFile = promisify(read);
const statFile = promisify(fstat);

const STANDARD_INPUT = 0;

/** Opens a file, or standard input for "-". A name that ends in .gz is uncompressed on the fly. */
export async function openSource(path: string): Promise<ByteSource> {
  if (path === "-") return sourceOf(STANDARD_INPUT, "standard input");
  const source = await openPlain(path);
  if (!path.endsWith(".gz")) return source;
  return new GunzipSource(source, path, source.size === null ? null : () => openPlain(path));
}

async function openPlain(path: string): Promise<ByteSource> {
  let fd: number;
  try {
    fd = await openFile(path, "r");
  } catch (error) {
    throw inputError(path, error);
  }
  return sourceOf(fd, path);
}

async function sourceOf(fd: number, name: string): Promise<ByteSource> {
  try {
    const stat = await statFile(fd);
    if (stat.isFile()) return new FileSource(fd, stat.size, name);
    if (stat.isDirectory()) throw new NatError("NAT_ERR_CAPTURE", `${name}: is a directory`);
    // A blocked read would hold one of Node's few I/O threads and keep the process from exiting.
    if (fd === STANDARD_INPUT) return new StreamSource(process.stdin, name);
    if (stat.isFIFO()) return new StreamSource(new Socket({ fd, writable: false }), name);
    return new FileSource(fd, null, name);
  } catch (error) {
    if (fd !== STANDARD_INPUT) await closeFile(fd).catch(() => {});
    throw inputError(name, error);
  }
}

/** A file, or a device, read straight into the target. */
class FileSource implements ByteSource {
  consumed = 0;
  readonly size: number | null;
  readonly #fd: number;
  readonly #name: string;

  constructor(fd: number, size: number | null, name: string) {
    this.#fd = fd;
    this.size = size;
    this.#name = name;
  }

  async read(target: Uint8Array): Promise<number> {
    try {
      const { bytesRead } = await readFile(this.#fd, target, 0, target.length, null);
      this.consumed += bytesRead;
      return bytesRead;
    } catch (error) {
      throw inputError(this.#name, error);
    }
  }

  async close(): Promise<void> {
    if (this.#fd !== STANDARD_INPUT) await closeFile(this.#fd);
  }
}

/** A pipe, socket or terminal. Its bytes come in the stream's own buffers and are copied once. */
class StreamSource implements ByteSource {
  consumed = 0;
  readonly size = null;
  readonly #stream: Readable;
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #name: string;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(stream: Readable, name: string) {
    this.#stream = stream;
    this.#chunks = stream[Symbol.asyncIterator]();
    this.#name = name;
  }

  async read(target: Uint8Array): Promise<number> {
    try {
      while (this.#rest.length === 0) {
        const next = await this.#chunks.next();
        if (next.done) return 0;
        this.#rest = next.value;
      }
    } catch (error) {
      throw inputError(this.#name, error);
    }
    const count = Math.min(target.length, this.#rest.length);
    target.set(this.#rest.subarray(0, count));
    this.#rest = this.#rest.subarray(count);
    this.consumed += count;
    return count;
  }

  async close(): Promise<void> {
    this.#stream.destroy();
  }
}

function inputError(name: string, error: unknown): NatError {
  if (error instanceof NatError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new NatError("NAT_ERR_CAPTURE", `${name}: can't be read: ${reason}`, { cause: error });
}
