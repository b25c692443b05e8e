import { BLOCK } from "./pcapng.js";

/** A run of whole blocks of a pcapng. */
export interface Blocks {
  readonly bytes: Uint8Array;
  /** Packets in it. */
  readonly packets: number;
}

/**
 * Cuts a little-endian pcapng that comes in pieces at the ends of its blocks, so that what was taken of it is a pcapng
 * whenever it ends.
 */
export async function* wholeBlocks(pieces: AsyncIterable<Uint8Array>): AsyncIterable<Blocks> {
  let rest: Uint8Array = new Uint8Array();
  for await (const piece of pieces) {
    const bytes = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let end = 0;
    let packets = 0;
    while (end + 8 <= bytes.length) {
      const next = end + view.getUint32(end + 4, true);
      if (next > bytes.length || next === end) break;
      if (view.getUint32(end, true) === BLOCK.enhancedPacket) packets++;
      end = next;
    }
    if (end > 0) yield { bytes: bytes.subarray(0, end), packets };
    rest = bytes.slice(end);
  }
}
