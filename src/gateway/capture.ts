// Captures of a running gateway: to files, as its config says, and to whoever asks at the control socket.
import type { ServerResponse } from "node:http";
import { NatError } from "../errors.js";
import type { Nat } from "../nat.js";
import { type CaptureCounts, captureTap, TapCapture } from "../tap/capture.js";
import { CaptureFiles } from "../tap/files.js";
import type { Tap } from "../tap/tap.js";

/** What is written where. */
export interface CaptureConfig {
  readonly file: string;
  readonly filter: string;
  readonly size?: number | undefined;
  readonly files: number;
  readonly snaplen: number;
}

/** Bytes that wait to be written at most: some hundredths of a second at full rate. */
const CAPACITY = 16 << 20;

/** A capture to files, from the gateway's start to its end. */
export class FileCapture {
  readonly #tap: Tap;
  readonly #files: CaptureFiles;
  readonly #capture: TapCapture;

  private constructor(nat: Nat, config: CaptureConfig, warn: (text: string) => void) {
    const { file, filter, size, files, snaplen } = config;
    this.#tap = nat.tap({ filter, snaplen, capacity: CAPACITY });
    this.#files = new CaptureFiles(file, size === undefined ? {} : { size, files });
    this.#capture = new TapCapture(this.#tap, this.#files, ({ message }) =>
      warn(`capture: ${message}; packets are counted as unwritten until it can be`),
    );
  }

  /** @throws NatError NAT_ERR_OUTPUT when the file can't be made */
  static async begin(nat: Nat, config: CaptureConfig, warn: (text: string) => void): Promise<FileCapture> {
    const own = new FileCapture(nat, config, warn);
    await own.#capture.begin();
    void own.#capture.run();
    return own;
  }

  get status(): CaptureCounts & { readonly file: string } {
    return { file: this.#files.name, ...this.#capture.counts };
  }

  /** Writes what is still to be written, and ends. */
  close(): void {
    this.#tap.close();
  }
}

/** Sends a pcapng of what a tap shows, until either end has enough. */
export async function streamCapture(
  nat: Nat,
  query: URLSearchParams,
  response: ServerResponse,
): Promise<void> {
  const given = query.get("snaplen");
  const snaplen = given === null ? {} : { snaplen: Number(given) };
  const tap = nat.tap({ filter: query.getAll("q").join(" "), capacity: CAPACITY, ...snaplen });
  response.writeHead(200, { "content-type": "application/x-pcapng" });
  // A client who goes away is no fault.
  await captureTap(tap, response).catch((error) => {
    if (!(error instanceof NatError)) throw error;
  });
}
