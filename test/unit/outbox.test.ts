// The queue between a log and where it goes: what it keeps, what it loses and counts, and whom it tells.
import { deepEqual, equal, match } from "node:assert/strict";
import { describe, mock, test } from "node:test";
import type { Link } from "../../src/logs/link.js";
import { type Chunk, Outbox, type OutboxOptions } from "../../src/logs/outbox.js";

/** The other end, in the hands of the test. */
class End {
  readonly sent: string[] = [];
  /** Takes what is sent at once, holds it, or loses it. */
  mood: "takes" | "holds" | "loses" = "takes";
  reachable = true;
  tries = 0;
  opened = 0;
  closed = 0;
  #held: (() => void)[] = [];
  #broke: (error: Error) => void = () => {};

  readonly open = async (broke: (error: Error) => void): Promise<Link> => {
    this.tries++;
    if (!this.reachable) throw new Error("unreachable");
    this.opened++;
    this.#broke = broke;
    return {
      send: (bytes, done) => {
        this.sent.push(Buffer.from(bytes).toString());
        if (this.mood === "takes") setImmediate(done, null);
        else if (this.mood === "loses") setImmediate(done, new Error("no room"));
        else this.#held.push(() => done(null));
      },
      close: () => {
        this.closed++;
      },
    };
  };

  break(): void {
    this.#held = [];
    this.#broke(new Error("reset"));
  }

  release(): void {
    for (const done of this.#held.splice(0)) done();
  }
}

const turns = async (count = 20) => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};
const chunk = (text: string, events = 1): Chunk => ({ bytes: Buffer.from(text), events });

function outboxTo(end: End, options: Partial<OutboxOptions> = {}) {
  const told: string[] = [];
  const outbox = new Outbox(end.open, { warn: (text) => told.push(text), ...options });
  return { outbox, told };
}

const counts = ({ exported, lost }: Outbox) => [exported, lost];

describe("an outbox", () => {
  test("sends in order, what came before the link was open too, and counts what was taken", async () => {
    const end = new End();
    const { outbox, told } = outboxTo(end);
    outbox.put(chunk("a", 2));
    outbox.put(chunk("b", 3));
    await turns();
    outbox.put(chunk("c", 4));
    await turns();
    deepEqual(end.sent, ["a", "b", "c"]);
    deepEqual(counts(outbox), [9, 0]);
    deepEqual(told, []);
    await outbox.close(0);
    equal(end.closed, 1);
  });

  test("greets each time that the link is open, and stamps what goes, when it goes", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    const end = new End();
    let number = 0;
    const { outbox } = outboxTo(end, {
      opened: () => chunk("hello ", 0),
      stamp: ({ bytes }) =>
        void Buffer.from(bytes.buffer, bytes.byteOffset).write(String(number++), bytes.length - 1),
    });
    outbox.put(chunk("a "));
    await turns();
    end.break();
    outbox.put(chunk("b "));
    mock.timers.tick(100);
    await turns();
    deepEqual(end.sent, ["hello0", "a1", "hello2", "b3"]);
    mock.timers.reset();
    await outbox.close(0);
  });

  test("keeps what was not taken when the link broke, and sends it again, first and in order", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    const end = new End();
    const { outbox, told } = outboxTo(end);
    await turns();
    end.mood = "holds";
    outbox.put(chunk("a"));
    outbox.put(chunk("b"));
    end.release();
    outbox.put(chunk("c"));
    outbox.put(chunk("d"));
    await turns();
    end.break();
    outbox.put(chunk("e"));
    await turns();
    deepEqual(end.sent, ["a", "b", "c", "d"]);
    end.mood = "takes";
    mock.timers.tick(100);
    await turns();
    deepEqual(end.sent, ["a", "b", "c", "d", "c", "d", "e"]);
    deepEqual(counts(outbox), [5, 0]);
    deepEqual(told, ["reset; trying again", "it is back"]);
    mock.timers.reset();
    await outbox.close(0);
  });

  test("sends what was under way again before what had to wait", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    const end = new End();
    end.mood = "holds";
    const { outbox } = outboxTo(end);
    const all = Array.from({ length: 1100 }, (_, i) => String(i));
    for (const text of all) outbox.put(chunk(text));
    await turns();
    end.break();
    end.sent.length = 0;
    end.mood = "takes";
    mock.timers.tick(100);
    await turns();
    deepEqual(end.sent, all);
    mock.timers.reset();
    await outbox.close(0);
  });

  test("tries again after longer and longer pauses, and tells it once", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    const end = new End();
    end.reachable = false;
    const { outbox, told } = outboxTo(end);
    await turns();
    const tries: number[] = [];
    for (let ms = 100; ms <= 140_000; ms += 100) {
      const before = end.tries;
      if (ms === 130_000) end.reachable = true;
      mock.timers.tick(100);
      await turns(3);
      if (end.tries > before) tries.push(ms);
    }
    // Twice as long each time, until it is 30 s.
    deepEqual(tries, [100, 300, 700, 1500, 3100, 6300, 12_700, 25_500, 51_100, 81_100, 111_100]);
    mock.timers.tick(1100);
    await turns();
    equal(end.opened, 1);
    deepEqual(told, ["unreachable; trying again", "it is back"]);
    mock.timers.reset();
    await outbox.close(0);
  });

  test("loses what there is no room for, counts it, and tells it", async () => {
    const end = new End();
    end.mood = "holds";
    const { outbox, told } = outboxTo(end, { room: 4 });
    outbox.put(chunk("1234", 2));
    outbox.put(chunk("5", 3));
    outbox.put(chunk("6", 5));
    deepEqual(counts(outbox), [0, 8]);
    await turns();
    outbox.put(chunk("7890", 7)); // what is under way does not wait
    outbox.put(chunk("", 1));
    await turns();
    end.mood = "takes";
    end.release();
    await turns();
    deepEqual(end.sent, ["1234", "7890", ""]);
    deepEqual(counts(outbox), [10, 8]);
    // Of the second loss within a minute nothing is said.
    deepEqual(told, ["there is no more room for what waits; lost: 3"]);
    await outbox.close(0);
  });

  test("counts what the system refuses, and goes on", async () => {
    const end = new End();
    end.mood = "loses";
    const { outbox, told } = outboxTo(end);
    outbox.put(chunk("a", 2));
    await turns();
    end.mood = "takes";
    outbox.put(chunk("b", 3));
    await turns();
    deepEqual(counts(outbox), [3, 2]);
    deepEqual(told, ["no room; lost: 2"]);
    equal(end.opened, 1);
    await outbox.close(0);
  });

  test("gives the link only so much at a time", async () => {
    const end = new End();
    end.mood = "holds";
    const { outbox } = outboxTo(end);
    for (let i = 0; i < 1100; i++) outbox.put(chunk("x"));
    await turns();
    equal(end.sent.length, 1024);
    end.release();
    await turns();
    equal(end.sent.length, 1100);
    end.release();
    for (let i = 0; i < 10; i++) outbox.put(chunk("x".repeat(1 << 20)));
    equal(end.sent.length, 1104);
    await outbox.close(0);
  });

  test("keeps its order with thousands that wait", async () => {
    const end = new End();
    const { outbox } = outboxTo(end);
    const all = Array.from({ length: 10_000 }, (_, i) => String(i));
    for (const text of all) outbox.put(chunk(text));
    await turns(200);
    deepEqual(end.sent, all);
    await outbox.close(0);
  });

  test("closes when all has gone; what does not go in time is lost, and so is what comes later", async () => {
    const end = new End();
    end.mood = "holds";
    const { outbox } = outboxTo(end);
    outbox.put(chunk("a", 2));
    await turns();
    const closing = outbox.close(60_000);
    await turns();
    equal(end.closed, 0);
    end.release();
    await closing;
    deepEqual(counts(outbox), [2, 0]);

    const other = outboxTo(end);
    other.outbox.put(chunk("b", 3));
    await turns();
    await other.outbox.close(1);
    end.release();
    other.outbox.put(chunk("c", 5));
    deepEqual(counts(other.outbox), [0, 8]);
    equal(end.closed, 2);
  });

  test("opens its link anew when asked", async () => {
    const end = new End();
    const { outbox, told } = outboxTo(end);
    await turns();
    outbox.reopen();
    outbox.put(chunk("a"));
    await turns();
    deepEqual([end.opened, end.closed, end.sent], [2, 1, ["a"]]);
    match(told.join(), /^$/);
    await outbox.close(0);
  });
});
