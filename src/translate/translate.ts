// A capture through a NAT: records are read into the batch's shared memory, translated where they lie, and the
// bytes between and around the dropped ones are copied to the output. So the format, link headers, timestamps,
// options and blocks that are no packets come out as they were.
import type { CaptureChunk } from "../capture/chunk.js";
import { linkHeaderFor, locateIpv4, replyLinkHeader, SUPPORTED_LINK_TYPES } from "../capture/link.js";
import { type CaptureDamage, CaptureReader } from "../capture/reader.js";
import type { CaptureSection } from "../capture/section.js";
import type { ByteSink } from "../capture/sink.js";
import type { ByteSource } from "../capture/source.js";
import { encodeRecordLike, type RecordSample } from "../capture/writer.js";
import type { EmittedPacket, Nat } from "../nat.js";
import { DESCRIPTOR, DESCRIPTOR_WORDS, type PacketBatch } from "../packet-batch.js";
import { DROPPED, HELD } from "../verdict.js";
import { BothSides } from "./both.js";
import { Output } from "./output.js";
import type { TranslateReport } from "./report.js";

const BUFFER_BYTES = 2 << 20;
const MOST_RECORDS = 1024;
/** A descriptor's delay has 32 bits of nanoseconds: a batch spans no more. */
const LONGEST_BATCH = 2 ** 32;
const NS_PER_MS = 1e6;
/** ns after the capture's first packet: later times count as this one. */
const LATEST = 9e12 * NS_PER_MS;
/** Link headers remembered for ICMP errors that are sent later than their cause. */
const MOST_SAMPLES = 1024;

export interface TranslateJob {
  readonly nat: Nat;
  readonly source: ByteSource;
  /** Opened only when the input has turned out to be a capture. */
  readonly openOutput: () => Promise<ByteSink>;
  /** Where a pcapng of both sides goes, if wanted. */
  readonly openBoth?: () => Promise<ByteSink>;
  /** Called now and then. */
  readonly onProgress?: (packets: number) => void;
  /** Told once for each link type that is not understood. */
  readonly onUnknownLink?: (linkType: number) => void;
  /** Stops the translation after the packets in hand; the output is whole up to there. */
  readonly signal?: AbortSignal;
}

export interface TranslateResult {
  readonly report: TranslateReport;
  /** Where the input stopped making sense, if it did; what came before was translated. */
  readonly damage: CaptureDamage | null;
  readonly interrupted: boolean;
}

/**
 * Translates a capture. Its timestamps are the clock.
 * @throws NatError NAT_ERR_CAPTURE when the input is no capture, NAT_ERR_OUTPUT when an output can't be written
 */
export async function translateCapture(job: TranslateJob): Promise<TranslateResult> {
  const started = performance.now();
  const batch = job.nat.batch({ slots: MOST_RECORDS, bytes: BUFFER_BYTES });
  let output: Output | null = null;
  const reader = await CaptureReader.open(job.source, {
    buffer: batch.bytes,
    maxRecords: MOST_RECORDS,
    beforeRefill: async () => output?.settle(),
  });
  const sinks: ByteSink[] = [];
  try {
    const sink = await job.openOutput();
    sinks.push(sink);
    output = new Output(sink);
    let both: BothSides | null = null;
    if (job.openBoth !== undefined) {
      const bothSink = await job.openBoth();
      sinks.push(bothSink);
      both = new BothSides(job.nat, bothSink);
    }
    const translation = new Translation(job, batch, output, both);
    for (let chunk = await reader.next(); chunk !== null; chunk = await reader.next()) {
      await translation.run(chunk);
      job.onProgress?.(translation.packets);
      if (job.signal?.aborted) break;
    }
    await translation.finish();
    for (const open of sinks) await open.close();
    return {
      report: translation.report((performance.now() - started) / 1000),
      damage: reader.damage,
      interrupted: job.signal?.aborted ?? false,
    };
  } catch (error) {
    await output?.settle().catch(() => {});
    for (const open of sinks) await open.abort();
    throw error;
  }
}

/** What a record's packet became. */
const KEEP = 0;
const DROP = 1;
const HOLD = 2;

/** A packet of the NAT's to be put behind a record. */
interface Insertion {
  readonly after: number;
  readonly record: Uint8Array;
}

class Translation {
  /** Records read so far. */
  packets = 0;
  readonly #job: TranslateJob;
  readonly #nat: Nat;
  readonly #batch: PacketBatch;
  readonly #out: Output;
  readonly #both: BothSides | null;
  readonly #passUnmatched: boolean;
  readonly #actions = new Uint8Array(MOST_RECORDS);
  readonly #recordOfSlot = new Uint32Array(MOST_RECORDS);
  /** Records of held packets, by tag. */
  readonly #held = new Map<number, HeldRecord>();
  /** Link headers for errors that come later, by the tag of their cause. */
  readonly #samples = new Map<number, LinkSample>();
  readonly #unknownLinks = new Set<number>();
  #insertions: Insertion[] = [];
  #lateInsertions: Uint8Array[] = [];
  /** Where the output is: its section, how many of whose interfaces stand before the records from `#looked` on. */
  #section: CaptureSection | null = null;
  #declared = 0;
  #looked = 0;
  /** Packets of the NAT's that found no interface where they came out: those of the capture, and its own. */
  #lost = 0;
  #lostOwn = 0;
  #firstSeconds: number | null = null;
  #base = 0;
  #notIpv4 = 0;
  #written = 0;
  #bytesIn = 0;
  #bytesOut = 0;

  constructor(job: TranslateJob, batch: PacketBatch, out: Output, both: BothSides | null) {
    this.#job = job;
    this.#nat = job.nat;
    this.#batch = batch;
    this.#out = out;
    this.#both = both;
    this.#passUnmatched = job.nat.config.unmatched === "pass";
  }

  /** Translates the records of a chunk and writes what is left of it. */
  async run(chunk: CaptureChunk): Promise<void> {
    const { count } = chunk;
    this.#insertions = [];
    if (chunk.section !== this.#section) this.#declared = 0;
    this.#section = chunk.section;
    this.#looked = 0;
    for (let i = 0; i < count; i++) this.#add(chunk, i);
    this.#translate(chunk);
    await this.#write(chunk);
    if (this.#both?.full) await this.#both.flush();
    this.packets += count;
    this.#declared = chunk.section.interfaces.length;
  }

  /** Brings the capture's last moment about, and writes what that puts out. */
  async finish(): Promise<void> {
    this.#nat.conntrack.sweep(this.#base / NS_PER_MS);
    this.#nat.flush();
    this.#collect(null, 0);
    for (const record of this.#lateInsertions) await this.#out.write(record);
    await this.#out.finish();
    await this.#both?.flush();
  }

  report(seconds: number): TranslateReport {
    const { packets, drops: refusedByNat, sessions } = this.#nat.stats;
    const passed = packets.passed + (this.#passUnmatched ? this.#notIpv4 : 0);
    const drops: TranslateReport["drops"] = {
      ...(this.#notIpv4 > 0 && !this.#passUnmatched && { "not-ipv4": this.#notIpv4 }),
      ...(this.#lost > 0 && { "no-interface": this.#lost }),
      ...refusedByNat,
    };
    return {
      packets: {
        in: this.packets,
        out: this.#written,
        passed,
        held: packets.held,
        originated: packets.originated - this.#lostOwn,
      },
      drops,
      sessions: {
        created: sessions.created,
        expired: sessions.expired,
        active: sessions.active,
        peak: sessions.peak,
      },
      bytes: { in: this.#bytesIn, out: this.#bytesOut },
      seconds: Math.round(seconds * 1e6) / 1e6,
    };
  }

  /** Puts a record's packet into the batch, if it has one. */
  #add(chunk: CaptureChunk, i: number): void {
    const { bytes } = chunk;
    const start = chunk.dataStart[i]!;
    const captured = chunk.capLength[i]!;
    const linkType = chunk.linkType[i]!;
    this.#bytesIn += captured;
    const ipOffset = locateIpv4(bytes, start, captured, linkType);
    if (ipOffset === -1) {
      this.#actions[i] = this.#passUnmatched ? KEEP : DROP;
      this.#notIpv4++;
      if (!SUPPORTED_LINK_TYPES.includes(linkType)) this.#tellUnknownLink(linkType);
      this.#both?.notIpv4(chunk, i, this.#passUnmatched);
      return;
    }
    this.#firstSeconds ??= chunk.timeSeconds[i]!;
    const passed = (chunk.timeSeconds[i]! - this.#firstSeconds) * 1e9 + chunk.timeNanos[i]!;
    const time = Math.min(passed, LATEST); // a file may claim any year
    const batch = this.#batch;
    if (batch.count > 0 && time - this.#base >= LONGEST_BATCH) this.#translate(chunk);
    if (batch.count === 0 && time > this.#base) this.#base = time;

    const slot = batch.count;
    const at = slot * DESCRIPTOR_WORDS;
    const { descriptors } = batch;
    const wire = chunk.wireLength[i]!;
    descriptors[at + DESCRIPTOR.offset] = start + ipOffset;
    descriptors[at + DESCRIPTOR.length] = captured - ipOffset;
    descriptors[at + DESCRIPTOR.wire] = wire > ipOffset ? wire - ipOffset : 0;
    descriptors[at + DESCRIPTOR.flags] = 0;
    descriptors[at + DESCRIPTOR.tag] = this.packets + i + 1;
    descriptors[at + DESCRIPTOR.delay] = time > this.#base ? time - this.#base : 0;
    this.#recordOfSlot[slot] = i;
    batch.count = slot + 1;
    if (this.#both !== null) {
      this.#both.before(chunk, i);
      this.#translate(chunk);
      this.#both.after(chunk, i, ipOffset, batch, 0);
    }
  }

  /** Translates the batch and notes what became of each record. */
  #translate(chunk: CaptureChunk): void {
    const batch = this.#batch;
    const { count, descriptors } = batch;
    if (count === 0) return;
    const pending = this.#nat.translateBatch(batch, this.#base / NS_PER_MS);
    for (let slot = 0; slot < count; slot++) {
      const verdict = descriptors[slot * DESCRIPTOR_WORDS + DESCRIPTOR.verdict]! & 0xff;
      const i = this.#recordOfSlot[slot]!;
      this.#actions[i] = verdict === DROPPED ? DROP : verdict === HELD ? HOLD : KEEP;
      if (verdict >= HELD) this.#remember(chunk, i, slot, verdict);
    }
    // The clock never goes back, so neither does the next batch's.
    const last = (count - 1) * DESCRIPTOR_WORDS;
    const lastTime = this.#base + descriptors[last + DESCRIPTOR.delay]!;
    if (pending > 0) this.#collect(chunk, this.#recordOfSlot[0]!);
    this.#base = Math.max(this.#base, lastTime);
    batch.clear();
  }

  /** Keeps what may be needed of a record whose packet is not forwarded now. */
  #remember(chunk: CaptureChunk, i: number, slot: number, verdict: number): void {
    const tag = this.packets + i + 1;
    const at = this.#batch.descriptors[slot * DESCRIPTOR_WORDS + DESCRIPTOR.offset]!;
    const start = chunk.recordStart[i]!;
    if (verdict === HELD) {
      const captured = chunk.capLength[i]!;
      this.#held.set(tag, {
        record: chunk.bytes.slice(start, chunk.recordEnd[i]!),
        sample: sampleOf(chunk, i, at),
        captured,
        ipLength: ipLengthAt(chunk.bytes, at, chunk.dataStart[i]! + captured),
        wireLength: chunk.wireLength[i]!,
        seconds: chunk.timeSeconds[i]!,
        nanos: chunk.timeNanos[i]!,
      });
    } else if (this.#nat.config.icmpErrors) {
      this.#samples.set(tag, sampleOf(chunk, i, at));
      if (this.#samples.size > MOST_SAMPLES) this.#samples.delete(this.#samples.keys().next().value!);
    }
  }

  /** Takes what the NAT puts out by itself and finds its place behind a record of this chunk. */
  #collect(chunk: CaptureChunk | null, firstRecord: number): void {
    let after = firstRecord;
    const released = new Set<number>();
    for (const packet of this.#nat.take()) {
      // Put out by time alone: behind what came before it.
      if (packet.cause !== 0) after = packet.cause - this.packets - 1;
      const record = this.#recordOf(packet, chunk, after);
      this.#both?.emitted(packet, record?.both ?? null);
      if (record === null) continue;
      // A packet in pieces counts once.
      if (packet.kind === "fragment" && !released.has(packet.tag)) {
        released.add(packet.tag);
        if (record.bytes === null) this.#lost++;
        else this.#written++;
        if (record.bytes !== null) this.#bytesOut += record.captured;
      }
      if (record.bytes === null) continue;
      if (chunk === null) this.#lateInsertions.push(record.bytes);
      else this.#insertions.push({ after, record: record.bytes });
    }
    for (const tag of released) this.#held.delete(tag); // all pieces of a packet come at once
  }

  /** The record that a packet of the NAT's becomes behind a record; null if it is only word of a loss. */
  #recordOf(packet: EmittedPacket, chunk: CaptureChunk | null, after: number): EmittedRecord | null {
    if (packet.kind === "icmp") {
      const sample = this.#samples.get(packet.tag);
      if (sample === undefined) {
        this.#lostOwn++;
        return null;
      }
      const frame = replyFrame(sample, packet.packet);
      const { seconds, nanos } = this.#timeOf(packet.at);
      const here = this.#sampleHere(sample, chunk, after);
      if (here === null) this.#lostOwn++;
      return emittedRecord(sample, here, { frame, captured: frame.length, seconds, nanos });
    }
    const held = this.#held.get(packet.tag);
    if (packet.kind === "discarded") this.#held.delete(packet.tag);
    if (packet.kind === "discarded" || held === undefined) return null;
    const { record, sample, captured, ipLength } = held;
    const here = this.#sampleHere(sample, chunk, after);
    if (packet.packet.length < ipLength) {
      return emittedRecord(sample, here, { ...held, frame: pieceFrame(sample, packet.packet) });
    }
    record.set(packet.packet, sample.linkStart + sample.ipOffset);
    if (here === sample.record) return { bytes: record, captured, both: null };
    const frame = record.subarray(sample.linkStart, sample.linkStart + captured);
    return { ...emittedRecord(sample, here, { ...held, frame }, held.wireLength), both: null };
  }

  /**
   * What a packet that comes out behind a record is written like. If another section of the capture has begun there,
   * that is its first interface of the packet's link type, of those that it has declared by then; null if none.
   */
  #sampleHere(
    { record, linkType }: LinkSample,
    chunk: CaptureChunk | null,
    after: number,
  ): RecordSample | null {
    const section = this.#section!;
    if (record.section === section) return record;
    for (; chunk !== null && this.#looked < chunk.count && this.#looked <= after; this.#looked++) {
      this.#declared = Math.max(this.#declared, chunk.interfaceId[this.#looked]! + 1);
    }
    const id = section.interfaces.findIndex((one, i) => i < this.#declared && one.linkType === linkType);
    return id === -1 ? null : { ...record, section, interfaceId: Uint32Array.of(id) };
  }

  #timeOf(at: number): { seconds: number; nanos: number } {
    const total = Math.round(at * NS_PER_MS);
    const seconds = Math.floor(total / 1e9);
    return { seconds: (this.#firstSeconds ?? 0) + seconds, nanos: total - seconds * 1e9 };
  }

  /** Copies the chunk's range, without the records that are not kept. */
  async #write(chunk: CaptureChunk): Promise<void> {
    const { bytes, count, recordStart, recordEnd, capLength } = chunk;
    let from = chunk.begin;
    let next = 0;
    for (let i = 0; i < count; i++) {
      if (this.#actions[i] === KEEP) {
        this.#written++;
        this.#bytesOut += capLength[i]!;
      } else {
        if (!this.#out.append(bytes, from, recordStart[i]!))
          await this.#out.write(bytes, from, recordStart[i]!);
        from = recordEnd[i]!;
      }
      for (; next < this.#insertions.length && this.#insertions[next]!.after <= i; next++) {
        if (from < recordEnd[i]!) await this.#out.write(bytes, from, recordEnd[i]!);
        from = recordEnd[i]!;
        await this.#out.write(this.#insertions[next]!.record);
      }
    }
    await this.#out.write(bytes, from, chunk.end);
  }

  #tellUnknownLink(linkType: number): void {
    if (this.#unknownLinks.has(linkType)) return;
    this.#unknownLinks.add(linkType);
    this.#job.onUnknownLink?.(linkType);
  }
}

/** A packet of the NAT's as a record of the output, and as a frame for the capture of both sides. */
interface EmittedRecord {
  /** Null where no interface takes it. */
  readonly bytes: Uint8Array | null;
  readonly captured: number;
  readonly both: { frame: Uint8Array; linkType: number; seconds: number; nanos: number } | null;
}

/** A record whose packet the NAT holds. */
interface HeldRecord {
  readonly record: Uint8Array;
  readonly sample: LinkSample;
  readonly captured: number;
  /** Bytes of the packet that are there; a piece of it has fewer. */
  readonly ipLength: number;
  readonly wireLength: number;
  readonly seconds: number;
  readonly nanos: number;
}

/** So much of a record that another packet can be framed alike. */
interface LinkSample {
  readonly record: RecordSample;
  readonly linkStart: number;
  readonly ipOffset: number;
  readonly linkType: number;
}

/** Bytes of the IPv4 packet at `at`, as far as they are there; its length field may be 0 (TSO). */
function ipLengthAt(bytes: Uint8Array, at: number, end: number): number {
  const total = (bytes[at + 2]! << 8) | bytes[at + 3]!;
  return total === 0 ? end - at : Math.min(total, end - at);
}

interface EmittedFrame {
  readonly frame: Uint8Array;
  /** Bytes of the record that it stands for. */
  readonly captured: number;
  readonly seconds: number;
  readonly nanos: number;
}

/** A frame as a record like `here`, if there is one to be like. */
function emittedRecord(
  { linkType }: LinkSample,
  here: RecordSample | null,
  { frame, captured, seconds, nanos }: EmittedFrame,
  wireLength = frame.length,
): EmittedRecord {
  const bytes = here === null ? null : encodeRecordLike(here, 0, frame, seconds, nanos, wireLength);
  return { bytes, captured, both: { frame, linkType, seconds, nanos } };
}

function sampleOf(chunk: CaptureChunk, i: number, ipStart: number): LinkSample {
  const start = chunk.recordStart[i]!;
  return {
    record: {
      bytes: chunk.bytes.slice(start, ipStart),
      section: chunk.section,
      interfaceId: Uint32Array.of(chunk.interfaceId[i]!),
      recordStart: Uint32Array.of(0),
    },
    linkStart: chunk.dataStart[i]! - start,
    ipOffset: ipStart - chunk.dataStart[i]!,
    linkType: chunk.linkType[i]!,
  };
}

function replyFrame({ record, linkStart, ipOffset, linkType }: LinkSample, packet: Uint8Array): Uint8Array {
  return framed(replyLinkHeader(record.bytes, linkStart, ipOffset, linkType, packet.length), packet);
}

function pieceFrame({ record, linkStart, ipOffset, linkType }: LinkSample, packet: Uint8Array): Uint8Array {
  return framed(linkHeaderFor(record.bytes, linkStart, ipOffset, linkType, packet.length), packet);
}

function framed(header: Uint8Array, packet: Uint8Array): Uint8Array {
  const frame = new Uint8Array(header.length + packet.length);
  frame.set(header);
  frame.set(packet, header.length);
  return frame;
}
