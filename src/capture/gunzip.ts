import { crc32, createInflateRaw } from "node:zlib";
import { NatError } from "../errors.js";
import type { ByteSource } from "./source.js";
import { ZlibPump } from "./zlib-pump.js";

/** Compressed bytes handed to zlib at a time: at most 1032 times as many come out. */
const PIECE = 16 * 1024;

/** Uncompressed bytes that zlib hands over at a time. */
const OUTPUT_PIECE = 64 * 1024;

const MEMBER_HEADER = 10;
const MEMBER_TRAILER = 8;
const DEFLATE = 8;
const FLAG = { headerCrc: 2, extra: 4, name: 8, comment: 16, reserved: 0xe0 } as const;

/**
 * Uncompresses gzip data (RFC 1952) of any number of members. The member format is read here and only the
 * deflate data given to zlib: when zlib meets damage it throws away all output of the call, so a wrong
 * checksum or something behind the last member must not be its concern, and damaged deflate data is read again
 * in smaller pieces.
 */
export class GunzipSource implements ByteSource {
  readonly #inner: ByteSource;
  readonly #name: string;
  readonly #reopen: (() => Promise<ByteSource>) | null;
  readonly #input = new Uint8Array(PIECE);
  #start = 0;
  #filled = 0;
  /** The member being uncompressed; null between members. */
  #member: ZlibPump | null = null;
  #members = 0;
  /** Where in the input the member's deflate data begins. */
  #memberStart = 0;
  #crc = 0;
  /** Bytes that came out of the member. */
  #length = 0;
  /** Uncompressed and not yet read. */
  #ready: Uint8Array[] = [];
  #failure: NatError | null = null;
  #ended = false;

  /** `reopen` gives the same input from its start once more; null when it can be read only once. */
  constructor(inner: ByteSource, name: string, reopen: (() => Promise<ByteSource>) | null) {
    this.#inner = inner;
    this.#name = name;
    this.#reopen = reopen;
  }

  get size(): number | null {
    return this.#inner.size;
  }

  get consumed(): number {
    return this.#inner.consumed;
  }

  async read(target: Uint8Array): Promise<number> {
    for (;;) {
      const count = this.#take(target);
      if (count > 0) return count;
      if (this.#failure !== null) throw this.#failure;
      if (this.#ended || target.length === 0) return 0;
      try {
        if (this.#member === null) await this.#beginMember();
        else await this.#inflate(this.#member);
      } catch (error) {
        if (!(error instanceof NatError)) throw error;
        this.#failure = error;
      }
    }
  }

  async close(): Promise<void> {
    this.#member?.close();
    await this.#inner.close();
  }

  #take(target: Uint8Array): number {
    let count = 0;
    while (count < target.length && this.#ready.length > 0) {
      const chunk = this.#ready[0]!;
      const part = chunk.subarray(0, target.length - count);
      target.set(part, count);
      count += part.length;
      if (part.length === chunk.length) this.#ready.shift();
      else this.#ready[0] = chunk.subarray(part.length);
    }
    return count;
  }

  async #beginMember(): Promise<void> {
    if (this.#members > 0) await this.#skipPadding();
    if (!(await this.#need(1))) {
      this.#ended = true;
      return;
    }
    const whole = await this.#need(MEMBER_HEADER);
    const header = this.#input.subarray(this.#start, Math.min(this.#start + MEMBER_HEADER, this.#filled));
    if (header[0] !== 0x1f || (header.length > 1 && header[1] !== 0x8b)) {
      throw this.#damaged(this.#members === 0 ? "no gzip header" : "bytes behind it that are not gzip");
    }
    if (!whole) throw this.#cut();
    const flags = header[3]!;
    if (header[2] !== DEFLATE || (flags & FLAG.reserved) !== 0)
      throw this.#damaged("unknown gzip method or flag");
    this.#start += MEMBER_HEADER;
    if (flags & FLAG.extra) {
      const length = (await this.#byte()) | ((await this.#byte()) << 8);
      for (let i = 0; i < length; i++) await this.#byte();
    }
    if (flags & FLAG.name) while ((await this.#byte()) !== 0);
    if (flags & FLAG.comment) while ((await this.#byte()) !== 0);
    if (flags & FLAG.headerCrc) for (let i = 0; i < 2; i++) await this.#byte();
    this.#member = newInflater();
    this.#memberStart = this.#position;
    this.#members++;
    this.#crc = 0;
    this.#length = 0;
  }

  async #inflate(member: ZlibPump): Promise<void> {
    if (!(await this.#need(1))) throw this.#cut();
    const piece = this.#input.subarray(this.#start, this.#filled);
    const before = member.consumed;
    await member.write(piece);
    for (const chunk of member.output.splice(0)) this.#give(chunk);
    if (member.failure !== null) {
      await this.#salvage();
      throw this.#damaged(member.failure.message);
    }
    this.#start += member.consumed - before;
    if (this.#start < this.#filled) await this.#endMember(member);
  }

  #give(chunk: Uint8Array): void {
    this.#crc = crc32(chunk, this.#crc);
    this.#length += chunk.length;
    this.#ready.push(chunk);
  }

  /**
   * Recovers what the piece of input at `#position` gives before the damage in it: uncompresses the member
   * again, that piece byte by byte, and gives what was not given before.
   */
  async #salvage(): Promise<void> {
    if (this.#reopen === null) return;
    const source = await this.#reopen();
    const inflater = newInflater();
    const piece = new Uint8Array(PIECE);
    let given = this.#length;
    try {
      while (inflater.failure === null && source.consumed < this.#position + PIECE) {
        const skipping = source.consumed < this.#memberStart;
        const known = (skipping ? this.#memberStart : this.#position) - source.consumed;
        const got = await source.read(piece.subarray(0, Math.max(1, known)));
        if (got === 0) break;
        if (skipping) continue;
        await inflater.write(piece.subarray(0, got));
        for (const chunk of inflater.output.splice(0)) {
          if (chunk.length > given) this.#give(chunk.subarray(given));
          given = Math.max(0, given - chunk.length);
        }
      }
    } finally {
      inflater.close();
      await source.close();
    }
  }

  /** Offset in the input of the first byte not used. */
  get #position(): number {
    return this.#inner.consumed - (this.#filled - this.#start);
  }

  async #endMember(member: ZlibPump): Promise<void> {
    member.close();
    this.#member = null;
    if (!(await this.#need(MEMBER_TRAILER))) throw this.#cut();
    const trailer = new DataView(this.#input.buffer, this.#start, MEMBER_TRAILER);
    if (trailer.getUint32(0, true) !== this.#crc || trailer.getUint32(4, true) !== this.#length % 2 ** 32) {
      throw this.#damaged("wrong checksum or length");
    }
    this.#start += MEMBER_TRAILER;
  }

  /** Zeros may follow a member, as on tapes. */
  async #skipPadding(): Promise<void> {
    while ((await this.#need(1)) && this.#input[this.#start] === 0) this.#start++;
  }

  async #byte(): Promise<number> {
    if (!(await this.#need(1))) throw this.#cut();
    return this.#input[this.#start++]!;
  }

  /** Makes `count` bytes of input available at `#start`; false when the input ends before. */
  async #need(count: number): Promise<boolean> {
    while (this.#filled - this.#start < count) {
      this.#input.copyWithin(0, this.#start, this.#filled);
      this.#filled -= this.#start;
      this.#start = 0;
      const got = await this.#inner.read(this.#input.subarray(this.#filled));
      if (got === 0) return false;
      this.#filled += got;
    }
    return true;
  }

  #cut(): NatError {
    return new NatError("NAT_ERR_CAPTURE", `${this.#name}: the gzip data ends early`);
  }

  #damaged(reason: string): NatError {
    return new NatError("NAT_ERR_CAPTURE", `${this.#name}: the gzip data is damaged: ${reason}`);
  }
}

function newInflater(): ZlibPump {
  return new ZlibPump(createInflateRaw({ chunkSize: OUTPUT_PIECE }));
}
