// A packet of a capture, by its number.
import { locateIpv4 } from "../capture/link.js";
import { CaptureReader } from "../capture/reader.js";
import type { ByteSource } from "../capture/source.js";
import { NatError } from "../errors.js";

const BUFFER_BYTES = 1 << 20;

/** An IPv4 packet of a capture, the caller's to keep. */
export interface CapturedPacket {
  readonly packet: Uint8Array;
  /** Bytes that it had on the wire, where the capture cut it. */
  readonly wireLength: number;
  /** ms since the capture's first packet. */
  readonly now: number;
}

/**
 * Finds a packet of a capture.
 * @param number as Wireshark counts, from 1
 * @param each is called with each IPv4 packet before it
 * @throws NatError NAT_ERR_CAPTURE when the capture can't be read so far, NAT_ERR_ARGUMENT when it has no such packet,
 * or that one is not IPv4
 */
export async function packetOfCapture(
  source: ByteSource,
  number: number,
  each: (packet: CapturedPacket) => void,
): Promise<CapturedPacket> {
  const reader = await CaptureReader.open(source, { buffer: new Uint8Array(BUFFER_BYTES) });
  let count = 0;
  let first: number | null = null;
  for (let chunk = await reader.next(); chunk !== null; chunk = await reader.next()) {
    for (let i = 0; i < chunk.count; i++) {
      count++;
      const start = chunk.dataStart[i]!;
      const length = chunk.capLength[i]!;
      const offset = locateIpv4(chunk.bytes, start, length, chunk.linkType[i]!);
      if (offset === -1 && count < number) continue;
      if (offset === -1) throw new NatError("NAT_ERR_ARGUMENT", `packet ${number} is no IPv4 packet`);
      first ??= chunk.timeSeconds[i]!;
      const found = {
        packet: chunk.bytes.slice(start + offset, start + length),
        wireLength: Math.max(0, chunk.wireLength[i]! - offset),
        now: (chunk.timeSeconds[i]! - first) * 1000 + chunk.timeNanos[i]! / 1e6,
      };
      if (count === number) return found;
      each(found);
    }
  }
  if (reader.damage !== null) {
    const { offset, message } = reader.damage;
    throw new NatError("NAT_ERR_CAPTURE", `the capture is damaged at byte ${offset}: ${message}`);
  }
  throw new NatError("NAT_ERR_ARGUMENT", `the capture has no packet ${number}: it has ${count}`);
}
