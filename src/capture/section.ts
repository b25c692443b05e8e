/**
 * What is the same for all packets of a stretch of a capture: byte order, time unit, interfaces.
 *
 * A pcap file is one section with one interface. A pcapng file has one or more sections, each with its own
 * byte order and its own interface numbers.
 */
export interface CaptureSection {
  readonly format: CaptureFormat;
  /** Byte order of every field outside the packets. */
  readonly littleEndian: boolean;
  /** By interface number; grows while the section is read. */
  readonly interfaces: CaptureInterface[];
  /** Bytes before the packet in a pcap record: 16, or 24 in Kuznetzov's variant. 0 for pcapng. */
  readonly recordHeaderLength: number;
}

export type CaptureFormat = "pcap" | "pcapng";

export interface CaptureInterface {
  /** LINKTYPE_ value, see tcpdump.org/linktypes.html. */
  readonly linkType: number;
  /** Most bytes captured of one packet; 0 = no limit. */
  readonly snapLength: number;
  readonly clock: TimeUnit;
}

/** Longest packet that a record may hold, in bytes: the limit of libpcap and Wireshark. More is damage. */
export const MAX_CAPTURED = 262144;

const WORD = 0x1_0000_0000;

/**
 * The time unit and origin of an interface's timestamps. Its methods are called once a packet, so they leave
 * their two results in fields instead of making an object.
 */
export class TimeUnit {
  static readonly MICROSECONDS = new TimeUnit(6);
  static readonly NANOSECONDS = new TimeUnit(9);

  /** Results of the last {@link decode}: whole seconds since 1970 (may be negative), and the rest. */
  seconds = 0;
  nanos = 0;
  /** Results of the last {@link encode}: the upper and lower 32 bits. */
  high = 0;
  low = 0;

  /** The pcapng option if_tsresol: a power of ten, or with the top bit set, of two. */
  readonly resolution: number;
  /** The pcapng option if_tsoffset: seconds to add to every timestamp. */
  readonly offsetSeconds: number;

  /** Units in a second; 0 where decimals of doubles won't do. */
  readonly #perSecond: number;
  readonly #nanosPerUnit: number;
  /** Timestamp at which the second of {@link seconds} began: `#secondHigh * 2^32 + #secondLow`. */
  #secondHigh = 0;
  #secondLow = 0;

  constructor(resolution: number, offsetSeconds = 0) {
    this.resolution = resolution & 0xff;
    this.offsetSeconds = offsetSeconds;
    this.seconds = offsetSeconds;
    const decimal = this.resolution <= 9;
    this.#perSecond = decimal ? 10 ** this.resolution : 0;
    this.#nanosPerUnit = decimal ? 10 ** (9 - this.resolution) : 0;
  }

  /**
   * Splits a 64-bit timestamp, given as two unsigned words, exactly. Most packets are of the same second as
   * the one before, which needs no division.
   */
  decode(high: number, low: number): void {
    const sinceSecond = (high - this.#secondHigh) * WORD + (low - this.#secondLow);
    if (sinceSecond >= 0 && sinceSecond < this.#perSecond) this.nanos = sinceSecond * this.#nanosPerUnit;
    else if (this.#perSecond !== 0) this.#decodeDecimal(high, low);
    else this.#decodeUnusual(high, low);
  }

  /**
   * Makes the timestamp of a time, rounded down, into {@link high} and {@link low}; wraps as the 64-bit field
   * does.
   */
  encode(seconds: number, nanos: number): void {
    const whole = seconds - this.offsetSeconds;
    if (this.#perSecond === 0 || whole < 0 || whole > WORD) {
      this.#encodeUnusual(whole, nanos);
      return;
    }
    const upper = Math.floor(whole / 65536) * this.#perSecond;
    const lower = (whole % 65536) * this.#perSecond + Math.floor(nanos / this.#nanosPerUnit);
    const top = upper + Math.floor(lower / 65536); // the timestamp without its last 16 bits
    this.high = Math.floor(top / 65536);
    this.low = (top % 65536) * 65536 + (lower % 65536);
  }

  /**
   * Long division by 16-bit digits, in which no value exceeds 2^53: a double holds nanoseconds since 1970
   * only to 256 ns.
   */
  #decodeDecimal(high: number, low: number): void {
    const unit = this.#perSecond;
    const q0 = Math.floor(high / unit);
    const upper = (high - q0 * unit) * 65536 + (low >>> 16);
    const q1 = Math.floor(upper / unit);
    const lower = (upper - q1 * unit) * 65536 + (low & 0xffff);
    const q2 = Math.floor(lower / unit);
    const rest = lower - q2 * unit;
    this.seconds = q0 * WORD + q1 * 65536 + q2 + this.offsetSeconds;
    this.nanos = rest * this.#nanosPerUnit;
    this.#secondHigh = high;
    this.#secondLow = low - rest;
  }

  /** Finer than a nanosecond, or powers of two: rare enough for BigInt. */
  #decodeUnusual(high: number, low: number): void {
    const stamp = (BigInt(high) << 32n) | BigInt(low);
    const unit = this.#unitsPerSecond();
    this.seconds = Number(stamp / unit) + this.offsetSeconds;
    this.nanos = Number(((stamp % unit) * 1_000_000_000n) / unit);
  }

  #encodeUnusual(whole: number, nanos: number): void {
    const unit = this.#unitsPerSecond();
    const stamp = BigInt(Math.trunc(whole)) * unit + (BigInt(nanos) * unit) / 1_000_000_000n;
    this.high = Number(BigInt.asUintN(32, stamp >> 32n));
    this.low = Number(BigInt.asUintN(32, stamp));
  }

  #unitsPerSecond(): bigint {
    const exponent = BigInt(this.resolution & 0x7f);
    return this.resolution & 0x80 ? 1n << exponent : 10n ** exponent;
  }
}
