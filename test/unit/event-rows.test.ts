// Rows of numbers and the events that they stand for.
import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import type { NatEvent } from "../../src/events/event.js";
import { eventAt, writeEvent } from "../../src/events/rows.js";
import { LAYOUT } from "../../src/native.js";
import { EVENTS, SESSION } from "../support/events.js";

const FLAGS = ["hairpin", "permanent"] as const;

test("an event that was written into a row is there again, and nothing of the one before", () => {
  const sessions: NatEvent[] = (["opening", "established", "time-wait"] as const).flatMap((state) =>
    FLAGS.map((flag) => ({
      type: "session-expired",
      at: 7.25,
      session: {
        ...SESSION,
        protocol: "tcp",
        state,
        direction: "inbound",
        [flag]: true,
        createdAt: 3,
        bytes: { outbound: 2 ** 40, inbound: 1 },
      },
    })),
  );
  const others = [{ ...EVENTS.bound, protocol: "ip-4" as const }, ...Object.values(EVENTS)];
  const rows = new Float64Array(2 * LAYOUT.sessionFields);
  for (const event of [...sessions, ...others]) {
    writeEvent(event, rows.subarray(LAYOUT.sessionFields));
    deepEqual(eventAt(rows, LAYOUT.sessionFields), event);
  }
});
