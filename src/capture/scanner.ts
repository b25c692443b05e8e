import type { CaptureChunk } from "./chunk.js";
import type { CaptureSection } from "./section.js";

/** Finds the records of one file format in a buffer. It keeps what a file's start says about the rest. */
export interface RecordScanner {
  /** The section at the position last scanned. */
  readonly section: CaptureSection;
  /** Why the position that `scan` returned can't be read, or null: the file is damaged there. */
  readonly fault: string | null;
  /**
   * Appends to `chunk` the whole records found in `[from, to)` of its buffer, and returns the position after
   * what it took. It stops at a record that is not all there, when the chunk is full, where another section
   * begins, and at damage.
   */
  scan(chunk: CaptureChunk, view: DataView, from: number, to: number): number;
  /** Says what is missing when the file ends at `to` and the rest from `from` on is no whole record; null = nothing. */
  describeCut(view: DataView, from: number, to: number): string | null;
}
