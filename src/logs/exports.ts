// The logs of a gateway's NAT, as its config has them.
import { closeSync, openSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import type { Conntrack } from "../conntrack.js";
import { NatError } from "../errors.js";
import type { ExportConfig, LogConfig } from "./config.js";
import type { EventLog, EventLogStats } from "./event-log.js";
import { IpfixExporter } from "./ipfix.js";
import { JsonLog } from "./json-log.js";
import { SyslogExporter } from "./syslog.js";

/** Events that may wait for a log to take them: as many as the engine records ahead (native/nat/events.h). */
export const WAITING_EVENTS = 65_536;

/** Where events go. */
export type ExportName = keyof ExportConfig;
export const EXPORT_NAMES = ["ipfix", "syslog", "file"] as const satisfies readonly ExportName[];

interface Running {
  readonly config: ExportConfig[ExportName];
  readonly log: EventLog;
  /** Ends it once all that was told is written. */
  end(): Promise<void>;
}

/** Exports a NAT's events to all that a config names. */
export class EventExports {
  readonly #conntrack: Pick<Conntrack, "events">;
  readonly #warn: (text: string) => void;
  readonly #running = new Map<ExportName, Running>();
  /** Of logs that ended. */
  readonly #before = new Map<ExportName, EventLogStats>();

  constructor(conntrack: Pick<Conntrack, "events">, warn: (text: string) => void) {
    [this.#conntrack, this.#warn] = [conntrack, warn];
  }

  /** Exports as a config says from now on. What it says as before goes on, with its file opened anew. */
  async change(config: ExportConfig): Promise<void> {
    const ending: Promise<void>[] = [];
    for (const name of EXPORT_NAMES) {
      const running = this.#running.get(name);
      if (running !== undefined && isDeepStrictEqual(running.config, config[name])) {
        if (running.log instanceof JsonLog) running.log.reopen();
        continue;
      }
      this.#running.delete(name);
      if (running !== undefined) ending.push(running.end());
      this.#start(name, config);
    }
    await Promise.all(ending);
  }

  /** How they fare, also those of configs before. */
  stats(): ReadonlyMap<ExportName, EventLogStats> {
    const stats = new Map(this.#before);
    for (const [name, { log }] of this.#running) stats.set(name, sum(stats.get(name), log.stats));
    return stats;
  }

  /** Writes what waits, and ends. */
  close(): Promise<void> {
    return this.change({});
  }

  #start(name: ExportName, config: ExportConfig): void {
    const log = logOf(name, config, (text) => this.#warn(`export to ${name}: ${text}`));
    if (log === null) return;
    const events = this.#conntrack.events({ types: log.types, capacity: WAITING_EVENTS });
    const followed = log.follow(events);
    const end = async () => {
      const rest = events.take();
      await events.return();
      await followed;
      for (const event of rest) log.add(event);
      await log.close();
      this.#before.set(name, sum(this.#before.get(name), log.stats));
    };
    this.#running.set(name, { config: config[name], log, end });
  }
}

function logOf(name: ExportName, config: ExportConfig, warn: (text: string) => void): EventLog | null {
  const { ipfix, syslog, file } = config;
  if (name === "ipfix") return ipfix ? new IpfixExporter({ ...ipfix, warn }) : null;
  if (name === "syslog") return syslog ? new SyslogExporter({ ...syslog, warn }) : null;
  return file ? new JsonLog({ ...file, warn }) : null;
}

function sum(one: EventLogStats | undefined, other: EventLogStats): EventLogStats {
  return { exported: (one?.exported ?? 0) + other.exported, lost: (one?.lost ?? 0) + other.lost };
}

/**
 * Sees that the files of a config's logs can be written; makes them where they are not there.
 * @returns their paths
 * @throws NatError NAT_ERR_GATEWAY
 */
export function checkLogFiles(log: LogConfig, exports: ExportConfig): string[] {
  const paths = { "gateway.log.file": log.file, "gateway.export.file.path": exports.file?.path };
  return Object.entries(paths).flatMap(([key, path]) => {
    if (path === undefined) return [];
    try {
      closeSync(openSync(path, "a", 0o640));
    } catch (error) {
      throw new NatError(
        "NAT_ERR_GATEWAY",
        `${key}: "${path}" can't be written: ${(error as Error).message}`,
      );
    }
    return [path];
  });
}
