import { type Engine, LAYOUT } from "../native.js";
import type { EventSource } from "./nat-events.js";

const ROWS = 512;

/** The events of an engine in this thread. */
export function engineEvents(engine: Engine): EventSource {
  const rows = new Float64Array(LAYOUT.sessionFields * ROWS);
  let lost = 0;
  return {
    record: (mask) => engine.recordEvents(mask),
    take(deliver) {
      // What comes meanwhile, from a gateway's thread, may wait for the next time.
      for (let left = LAYOUT.eventRing; left > 0; left -= ROWS) {
        const filled = engine.takeEvents(rows);
        const before = lost;
        lost = engine.eventsLost();
        deliver(rows.subarray(0, filled * LAYOUT.sessionFields), lost - before);
        if (filled < ROWS) return;
      }
    },
  };
}
