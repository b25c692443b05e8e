// What surrounds the records of a snapshot: where it comes from, and whether it is whole.
//
//   header    "naptsess", version (uint32), 0 (uint32), wall clock in ms (float64)
//   records   as the core writes them (native/nat/snapshot.h)
//   trailer   "sess-end", CRC-32 of all before it (uint32)
//
// Numbers are little-endian.
import { crc32 } from "node:zlib";
import { NatError } from "./errors.js";

const MAGIC = Buffer.from("naptsess");
const END = Buffer.from("sess-end");
/** Of the records too: a change to these makes another one. */
const VERSION = 1;
const HEADER_BYTES = 24;
const TRAILER_BYTES = END.length + 4;

/** A whole snapshot. */
export interface SnapshotContents {
  /** The wall clock when it was taken, in ms. */
  readonly wall: number;
  readonly records: Uint8Array;
}

/** Gives chunks of records an envelope. Each chunk is the caller's to keep. */
export function* wrapSnapshot(wall: number, chunks: Iterable<Uint8Array>): Generator<Uint8Array> {
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt32LE(VERSION, 8);
  header.writeDoubleLE(wall, 16);
  let sum = crc32(header);
  yield new Uint8Array(header);
  for (const chunk of chunks) {
    sum = crc32(chunk, sum);
    yield chunk;
  }
  const trailer = Buffer.alloc(TRAILER_BYTES);
  END.copy(trailer);
  trailer.writeUInt32LE(crc32(END, sum), END.length);
  yield new Uint8Array(trailer);
}

/** @throws NatError NAT_ERR_SNAPSHOT unless it is whole and one of ours */
export function unwrapSnapshot(snapshot: Uint8Array): SnapshotContents {
  const bytes = Buffer.from(snapshot.buffer, snapshot.byteOffset, snapshot.byteLength);
  if (bytes.length < MAGIC.length || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw refused("it does not begin as a snapshot of sessions does");
  }
  const end = bytes.length - TRAILER_BYTES;
  if (end < HEADER_BYTES) throw refused("it is cut short");
  const version = bytes.readUInt32LE(8);
  if (version !== VERSION) throw refused(`it is of version ${version}; this napt reads version ${VERSION}`);
  if (!bytes.subarray(end, end + END.length).equals(END)) throw refused("it is cut short");
  const sum = crc32(bytes.subarray(0, end + END.length));
  if (sum !== bytes.readUInt32LE(end + END.length)) throw refused("it is damaged: its checksum is wrong");
  return { wall: bytes.readDoubleLE(16), records: bytes.subarray(HEADER_BYTES, end) };
}

function refused(why: string): NatError {
  return new NatError("NAT_ERR_SNAPSHOT", `the snapshot is refused: ${why}`);
}
