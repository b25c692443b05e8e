// When sessions end: flows of many kinds live through a few seconds side by side, with napt's clock the kernel's.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { udp } from "../support/packets.js";
import { dispatch, errorPacket, type Flow, newFlow } from "./flow.js";
import { endsOf, received } from "./observation.js";
import { type Both, both, KernelRouter, NaptRouter, type Passage, whyNoKernel } from "./routers.js";
import { PLAIN } from "./steps.js";
import { type Event, SHORT_LIVED, TIMELINES, type Timeline } from "./timelines.js";
import { PATH_ROUTERS } from "./worlds.js";

const why = whyNoKernel();
if (why !== null) console.log(`timeouts not compared with the Linux kernel: ${why}`);

/** A timeline under way. */
class Life {
  readonly flow: Flow;
  /** For each event, whether each router delivered it. */
  readonly delivered: Both<boolean>[] = [];
  private readonly out: Both<Passage[]> = both(() => []);

  constructor(
    readonly timeline: Timeline,
    private readonly number: number,
  ) {
    const inside = { address: "10.0.0.1", port: 4000 + number };
    const remote = { address: "198.51.100.1", port: timeline.protocol === "icmp" ? 0 : 53 };
    this.flow = newFlow(
      timeline.protocol,
      inside,
      both(() => remote),
    );
  }

  async meet([, from, shape]: Event, kernel: KernelRouter, napt: NaptRouter): Promise<void> {
    const { packets, learn } = this.packets(from, { ...PLAIN, ...shape });
    const before = both((who) => received(this.out[who]).length);
    const { out, at } = await kernel.send(packets.kernel);
    this.out.kernel.push(...out);
    this.out.napt.push(...napt.send(packets.napt, at).out);
    const now = both((who) => received(this.out[who]));
    this.delivered.push(both((who) => now[who].length > before[who]));
    const last = both((who) => this.out[who].at(-1)?.packet ?? new Uint8Array(20));
    if (this.flow.public.kernel.port === 0) this.flow.public = both((who) => endsOf(last[who]).src);
    learn(last);
  }

  private packets(
    from: Event[1],
    shape: typeof PLAIN,
  ): { packets: Both<Passage[]>; learn(seen: Both<Uint8Array>): void } {
    const { flow, number } = this;
    if (from === "inside" || from === "outside") {
      const { packets, delivered } = dispatch(flow, from, shape, number);
      const passages = both((who) => packets[who].map((packet): Passage => ({ side: from, packet })));
      return { packets: passages, learn: delivered };
    }
    const packets = both((who): Passage[] => {
      const { address, port } = flow.public[who];
      const src = from === "error" ? PATH_ROUTERS.outside : "198.51.100.77:7777";
      if (from === "stranger") return [{ side: "outside", packet: udp({ src, dst: `${address}:${port}` }) }];
      const { seen, sent } = flow.last.inside!;
      const fields = { src, dst: address, id: number, type: 3, code: 1, octets: 28 };
      return [{ side: "outside", packet: errorPacket(fields, "none", seen[who], sent[who]).packet }];
    });
    return { packets, learn: () => {} };
  }
}

describe("sessions end when the Linux kernel's do", { skip: why ?? false }, () => {
  const lives = TIMELINES.map((timeline, number) => new Life(timeline, number + 1));
  let kernel: KernelRouter;

  before(async () => {
    kernel = await KernelRouter.start();
    await kernel.enter(SHORT_LIVED);
    const napt = new NaptRouter(SHORT_LIVED);
    const events = lives.flatMap((life) => life.timeline.events.map((event) => ({ life, event })));
    events.sort((a, b) => a.event[0] - b.event[0]);
    const start = performance.now();
    for (const { life, event } of events) {
      const wait = start + event[0] * 1000 - performance.now();
      if (wait > 0) await setTimeout(wait);
      await life.meet(event, kernel, napt);
    }
    napt.close();
  });
  after(() => kernel?.close());

  for (const { timeline, delivered } of lives) {
    test(timeline.name, () => {
      const [first, last] = [delivered[0]!, delivered.at(-1)!];
      if (timeline.events[0]![2].pieces === undefined) assert.deepEqual(first, { kernel: true, napt: true });
      if (timeline.differs === undefined) assert.equal(last.napt, last.kernel);
      else assert.notEqual(last.napt, last.kernel, "stale: napt and the kernel do the same here");
    });
  }

  test("some ended and some did not", () => {
    const outcomes = new Set(lives.map(({ delivered }) => delivered.at(-1)?.napt));
    assert.deepEqual(outcomes, new Set([true, false]));
  });
});
