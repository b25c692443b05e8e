// Reading logs of events, line by line: one file or a ring of them, packed by gzip or not.
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";
import { NatError } from "../errors.js";
import { type Holder, type HolderQuestion, Holders } from "./holders.js";

/** Characters of a line, at most; ours have less than a thousand. */
const LONGEST_LINE = 64 << 10;

/** What logs tell. */
export interface LogAnswer {
  readonly holders: readonly Holder[];
  /** Events that the logs say were lost by the time that is asked for. */
  readonly lost: number;
  /** Lines that are no events, such as one that a full disk cut. */
  readonly damaged: number;
}

/**
 * Who had a public endpoint at a time, by logs that a JsonLog wrote. They may be given in any order; those whose name
 * ends in ".gz" are unpacked. What is kept in memory does not grow with them.
 * @throws NatError NAT_ERR_ARGUMENT when one can't be read, or has no events
 */
export async function whoHad(question: HolderQuestion, files: readonly string[]): Promise<LogAnswer> {
  const begins = await Promise.all(files.map(async (file) => ({ file, begin: await beginOf(file) })));
  begins.sort((one, other) => one.begin - other.begin);
  const holders = new Holders(question);
  let damaged = 0;
  for (const { file } of begins) {
    for await (const line of linesOf(file)) {
      if (!holders.take(line)) damaged++;
    }
  }
  return { holders: holders.answers, lost: holders.lost, damaged };
}

/** When a log begins, in ms since 1970. */
async function beginOf(file: string): Promise<number> {
  let isEmpty = true;
  for await (const line of linesOf(file)) {
    isEmpty = false;
    const time = Date.parse(/^\{"time":"([^"]{1,40})"/.exec(line)?.[1] ?? "");
    if (!Number.isNaN(time)) return time;
  }
  if (isEmpty) return Number.POSITIVE_INFINITY;
  throw new NatError(
    "NAT_ERR_ARGUMENT",
    `${file}: no log of events; give one that gateway.export.file writes`,
  );
}

async function* linesOf(file: string): AsyncIterable<string> {
  try {
    const bytes = createReadStream(file, { highWaterMark: 1 << 18 });
    const text = file.endsWith(".gz") ? pipeline(bytes, createGunzip(), () => {}) : bytes;
    text.setEncoding("utf8");
    let rest = "";
    for await (const chunk of text) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop()!.slice(0, LONGEST_LINE);
      for (const line of lines) if (line !== "") yield line;
    }
    if (rest !== "") yield rest;
  } catch (error) {
    throw new NatError("NAT_ERR_ARGUMENT", `${file}: can't be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
