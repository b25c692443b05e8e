// Events as JSON, one a line, in a file: what `napt who` reads.
import { type Encoder, EventLog, type EventLogOptions } from "./event-log.js";
import { Lines } from "./lines.js";
import { file } from "./link.js";

export interface JsonLogOptions extends EventLogOptions {
  /** The file, which is appended to. */
  path: string;
}

/**
 * Writes events to a file, a JSON object a line: the event with `time`, by the wall's clock (ISO 8601), in place of
 * `at`. The first line is `{"time":…,"type":"log-begun"}`; where events were lost, `{"time":…,"type":"lost","count":…}`
 * says how many.
 */
export class JsonLog extends EventLog {
  protected readonly encoder: Encoder;

  constructor({ path, ...options }: JsonLogOptions) {
    super(file(path), options);
    const lines = new Lines((chunk) => this.outbox.put(chunk));
    const line = (time: number, rest: object) =>
      `${JSON.stringify({ time: new Date(time).toISOString(), ...rest })}\n`;
    lines.add(line(Date.now(), { type: "log-begun" }), 0);
    lines.flush();
    this.encoder = {
      add: ({ at: _, ...event }, time) => lines.add(line(time, event)),
      addLost: (count, time) => lines.add(line(time, { type: "lost", count }), 0),
      flush: () => lines.flush(),
    };
  }

  /** Goes on in a new file of the same name, as after the old one was renamed. */
  reopen(): void {
    this.flush();
    this.outbox.reopen();
  }
}
