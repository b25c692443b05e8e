// What `napt gateway` has to say of itself: text for people, JSON for programs; to standard error or a file.
import { isDeepStrictEqual } from "node:util";
import pino, { type Logger } from "pino";
import type { LogConfig } from "./config.js";
import { file } from "./link.js";
import { Outbox } from "./outbox.js";

/** What happens to a gateway. */
export type GatewayLogEvent =
  | "start"
  | "ready"
  | "warning"
  | "conflict"
  | "address"
  | "restored"
  | "reload"
  | "failed"
  | "end";

/** What people see without the log: a line on standard output, and how the command ends. */
const SEEN_ELSEWHERE: ReadonlySet<GatewayLogEvent> = new Set(["start", "ready", "failed", "end"]);

/** Milliseconds that the end may take. */
const CLOSE_WITHIN = 1000;

/** The log of `napt gateway`. Writing never waits; what a full disk does not take is lost and counted. */
export class GatewayLog {
  #config: LogConfig;
  #logger: Logger;
  #outbox: Outbox | null;
  #lostBefore = 0;

  constructor(config: LogConfig) {
    this.#config = config;
    [this.#logger, this.#outbox] = open(config);
  }

  /** Tells of something; `fields` is what programs are told with it. */
  tell(level: "info" | "warn" | "error", event: GatewayLogEvent, text: string, fields: object = {}): void {
    this.#logger[level]({ event, ...fields }, text);
  }

  /** Lines that were lost. */
  get lost(): number {
    return this.#lostBefore + (this.#outbox?.lost ?? 0);
  }

  /** Goes on as a config says; in a new file where the old one was renamed. */
  async change(config: LogConfig): Promise<void> {
    const before = this.#outbox;
    if (isDeepStrictEqual(config, this.#config)) {
      before?.reopen();
      return;
    }
    this.#config = config;
    [this.#logger, this.#outbox] = open(config);
    await before?.close(CLOSE_WITHIN);
    this.#lostBefore += before?.lost ?? 0;
  }

  /** Writes what waits, and ends. */
  async close(): Promise<void> {
    await this.#outbox?.close(CLOSE_WITHIN);
  }
}

function open({ level, format, file: path }: LogConfig): [Logger, Outbox | null] {
  const options = {
    level,
    base: { name: "napt", pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  if (path === undefined) {
    const write = (line: string) => void process.stderr.write(format === "json" ? line : inWords(line));
    return [pino(options, { write }), null];
  }
  // Of a log that can't be written people are told where they look next.
  const warn = (text: string) => void process.stderr.write(`napt: gateway.log: ${path}: ${text}\n`);
  const outbox = new Outbox(file(path), { warn });
  const write = (line: string) => outbox.put({ bytes: Buffer.from(line), events: 1 });
  return [pino(options, { write }), outbox];
}

function inWords(line: string): string {
  const { event, msg } = JSON.parse(line);
  return SEEN_ELSEWHERE.has(event) ? "" : `napt: ${msg}\n`;
}
