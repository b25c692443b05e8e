// Files that outlast the gateway, each whole at any moment.
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { open, rename } from "node:fs/promises";

/** A file's content, or null when there is none. */
export function readIfThere(path: string): Buffer | null {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

/** Writes a file whole or not at all, even if the machine stops meanwhile. */
export function writeWhole(path: string, chunks: Iterable<string | Uint8Array>): void {
  const beside = `${path}.last`;
  try {
    const file = openSync(beside, "w", 0o600);
    try {
      for (const chunk of chunks) {
        const bytes = Buffer.from(chunk as Uint8Array);
        for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
      }
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(beside, path);
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  }
}

/** The same with pauses between chunks for whatever else there is to do; `mayReplace` is asked before it counts. */
export async function writeWholeSlowly(
  path: string,
  chunks: Iterable<Uint8Array>,
  mayReplace: () => boolean,
): Promise<void> {
  const beside = `${path}.new`;
  try {
    const file = await open(beside, "w", 0o600);
    try {
      for (const chunk of chunks) await file.appendFile(chunk);
      await file.sync();
    } finally {
      await file.close();
    }
    if (mayReplace()) await rename(beside, path);
    else rmSync(beside, { force: true });
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  }
}
