// `napt who` asked of logs of events: who had a public endpoint at a time.
import { deepEqual, equal, match, rejects } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { type Holder, type HolderQuestion, Holders } from "../../src/who/holders.js";
import { whoHad } from "../../src/who/log-files.js";
import { EVENTS, INSIDE, PUBLIC, REMOTE, SESSION } from "../support/events.js";

const DAY = Date.parse("2026-01-31T00:00:00Z");
/** A time of that day, as the log has it. */
const time = (hour: number) => new Date(DAY + hour * 3_600_000).toISOString();

/** A line of a log. */
const line = (hour: number, { at: _, ...event }: { readonly at?: number; readonly type: string }) =>
  JSON.stringify({ time: time(hour), ...event });

const question: HolderQuestion = { ...PUBLIC, protocol: null, at: DAY + 12 * 3_600_000 };

function answers(lines: readonly string[], asked: Partial<HolderQuestion> = {}): Holder[] {
  const holders = new Holders({ ...question, ...asked });
  for (const one of lines) equal(holders.take(one), true, one);
  return holders.answers;
}

const holder = (rest: Partial<Holder> = {}): Holder => ({
  protocol: "tcp",
  inside: INSIDE.address,
  insidePort: INSIDE.port,
  since: time(10),
  until: time(13),
  toldUntil: null,
  ...rest,
});

const bound = line(10, EVENTS.bound);
const unbound = line(13, EVENTS.unbound);

describe("who had an endpoint, by bindings", () => {
  test("the one that it was given to before, and taken from after", () => {
    deepEqual(answers([bound, unbound]), [holder()]);
    deepEqual(answers([bound]), [holder({ until: null })]);
  });

  test("at the very moments of beginning and end", () => {
    const at = (hour: number) => DAY + hour * 3_600_000;
    deepEqual(answers([bound, unbound], { at: at(10) }), [holder()]);
    deepEqual(answers([bound, unbound], { at: at(10) - 1 }), []);
    deepEqual(answers([bound, unbound], { at: at(13) - 1 }), [holder()]);
    deepEqual(answers([bound, unbound], { at: at(13) }), []);
  });

  test("one that had it before the log began", () => {
    deepEqual(answers([unbound]), [holder({ since: null })]);
    // This end is of a later one.
    deepEqual(answers([line(12.5, EVENTS.bound), unbound]), []);
    deepEqual(answers([unbound, line(14, EVENTS.bound), line(15, EVENTS.unbound)]), [
      holder({ since: null }),
    ]);
  });

  test("not another address, port or protocol", () => {
    deepEqual(answers([bound, unbound], { address: "203.0.113.11" }), []);
    deepEqual(answers([bound, unbound], { port: 4000 }), []);
    deepEqual(answers([bound, unbound], { protocol: "udp" }), []);
    deepEqual(answers([bound, unbound], { protocol: "tcp" }), [holder()]);
    const elsewhere = { ...EVENTS.bound, inside: PUBLIC, public: { ...INSIDE, port: PUBLIC.port } };
    deepEqual(answers([line(10, elsewhere)]), []);
  });

  test("one after the other", () => {
    const other = { ...INSIDE, address: "192.168.226.136" };
    const lines = [
      line(8, { ...EVENTS.bound, inside: other } as typeof EVENTS.bound),
      line(9, { ...EVENTS.unbound, inside: other } as typeof EVENTS.unbound),
      bound,
      unbound,
      line(14, { ...EVENTS.bound, inside: other } as typeof EVENTS.bound),
    ];
    deepEqual(answers(lines), [holder()]);
    deepEqual(answers(lines, { at: DAY + 15 * 3_600_000 }), [
      holder({ inside: other.address, since: time(14), until: null }),
    ]);
  });

  test("each of several protocols", () => {
    const udp = line(11, { ...EVENTS.bound, protocol: "udp" } as unknown as typeof EVENTS.bound);
    deepEqual(answers([bound, udp, unbound]), [
      holder(),
      holder({ protocol: "udp", since: time(11), until: null }),
    ]);
  });

  test("several bindings of the same endpoints, until the last of them ends", () => {
    const again = line(11, EVENTS.bound);
    deepEqual(answers([bound, again, line(11.5, EVENTS.unbound)]), [holder({ until: null })]);
    deepEqual(answers([bound, again, unbound, line(14, EVENTS.unbound)]), [holder({ until: time(14) })]);
    deepEqual(answers([bound, line(11, EVENTS.unbound), unbound]), [holder({ since: null })]);
    const later = [
      line(14, EVENTS.bound),
      line(15, EVENTS.bound),
      line(16, EVENTS.unbound),
      line(17, EVENTS.unbound),
    ];
    deepEqual(answers([bound, unbound, ...later]), [holder()]);
    deepEqual(answers(later), []);
  });

  test("as far as the log tells, where it begins anew", () => {
    const begun = line(11, { type: "log-begun" });
    deepEqual(answers([bound, begun]), []);
    deepEqual(answers([bound, begun, unbound]), [holder({ since: null })]);
    const later = line(14, { type: "log-begun" });
    deepEqual(answers([bound, later]), [holder({ until: null, toldUntil: time(14) })]);
    deepEqual(answers([bound, unbound, later]), [holder()]);
    // What ends after it says nothing of before.
    deepEqual(answers([later, line(15, EVENTS.unbound)]), []);
  });
});

test("who had it, by sessions: from the first to the last of an inside endpoint", () => {
  const to = (address: string) => ({ ...SESSION, remote: { ...REMOTE, address } });
  const lines = [
    line(9, { ...EVENTS.opened, session: to("198.51.100.1") } as typeof EVENTS.opened),
    line(10, EVENTS.opened),
    line(11, { ...EVENTS.expired, session: to("198.51.100.1") } as typeof EVENTS.expired),
    line(11.5, { ...EVENTS.opened, session: to("198.51.100.2") } as typeof EVENTS.opened),
    line(12, { ...EVENTS.closed }),
    line(13, EVENTS.evicted),
    line(14, { ...EVENTS.deleted, session: to("198.51.100.2") } as typeof EVENTS.deleted),
  ];
  deepEqual(answers(lines), [holder({ protocol: "udp", since: time(10), until: time(14) })]);
  // Two hosts that share a port, towards different remotes.
  const other = { ...to("198.51.100.3"), inside: { ...INSIDE, address: "192.168.226.136" } };
  const both = [line(9, { ...EVENTS.opened, session: other } as unknown as typeof EVENTS.opened), ...lines];
  deepEqual(
    answers(both).map(({ inside }) => inside),
    ["192.168.226.136", INSIDE.address],
  );
});

test("who had it, by port blocks", () => {
  const lines = [line(10, EVENTS.allocated), line(13, EVENTS.released)];
  const found = [holder({ protocol: null, insidePort: null })];
  for (const [port, answer] of [
    [1023, []],
    [1024, found],
    [1535, found],
    [1536, []],
  ] as const) {
    deepEqual(answers(lines, { port }), answer, String(port));
  }
  deepEqual(answers(lines, { port: 1024, address: INSIDE.address }), []);
});

test("the same as a look at the whole of a log, whatever happened", () => {
  const change = fc.record({
    inside: fc.integer({ min: 1, max: 3 }),
    remote: fc.integer({ min: 1, max: 2 }),
  });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), fc.integer({ min: 0, max: 41 }), (changes, at) => {
      // Each change opens a session that there isn't, or ends the one that there is.
      const open = new Set<string>();
      let wanted: string[] = [];
      const lines = changes.map(({ inside, remote }, i) => {
        const name = `${inside} ${remote}`;
        const event = open.delete(name) ? EVENTS.expired : EVENTS.opened;
        if (event === EVENTS.opened) open.add(name);
        if (i <= at) wanted = [...open].map((each) => `10.0.0.${each.split(" ")[0]}`);
        const session = {
          ...SESSION,
          inside: { ...INSIDE, address: `10.0.0.${inside}` },
          remote: { ...REMOTE, port: remote },
        };
        return JSON.stringify({ time: new Date(DAY + i).toISOString(), type: event.type, session });
      });
      const found = answers(lines, { at: DAY + at }).map(({ inside }) => inside);
      deepEqual(found.sort(), [...new Set(wanted)].sort());
    }),
  );
});

describe("log files", () => {
  const directory = mkdtempSync(join(tmpdir(), "napt-who-log-"));
  after(() => rmSync(directory, { recursive: true }));
  const file = (name: string, content: string | Uint8Array) => {
    const path = join(directory, name);
    writeFileSync(path, content);
    return path;
  };
  const napt = (...args: string[]) => {
    const command = ["--require", "tsx/cjs", join(__dirname, "../../src/cli/main.ts"), "who", ...args];
    const { status, stdout, stderr } = spawnSync(process.execPath, command, { encoding: "utf8" });
    return [status, stdout, stderr];
  };
  const first = file("events.2.gz", gzipSync(`${line(1, { type: "log-begun" })}\n${bound}\n`));
  const second = file(
    "events.1",
    `${line(10.5, EVENTS.threshold)}\n{"time":"2026\n${line(11, { type: "lost" }).replace("}", ',"count":3}')}\n`,
  );
  const third = file(
    "events",
    `${line(11.5, EVENTS.threshold)}\n${unbound}\n${line(14, { type: "lost" }).replace("}", ',"count":5}')}\n`,
  );
  const empty = file("empty", "");

  test("are read in the order of time, packed or not; what is missing in them is counted", async () => {
    const told = { holders: [holder()], lost: 3, damaged: 0 };
    deepEqual(await whoHad(question, [third, empty, first, second]), told);
    const torn = file("torn", `{"time":"${time(11)}","type":"log-begun"\nno JSON\n`);
    deepEqual(await whoHad(question, [torn]), { holders: [], lost: 0, damaged: 2 });
  });

  test("may be of any size, with lines of any length", async () => {
    const filler = `${line(11, EVENTS.threshold)}\n`.repeat(2000);
    const long = file("long", `${bound}\n${filler}${"x".repeat(1 << 20)}\n${filler}${unbound}`);
    deepEqual(await whoHad(question, [long]), { holders: [holder()], lost: 0, damaged: 1 });
  });

  test("that are none are refused by name", async () => {
    await rejects(whoHad(question, [first, join(directory, "gone")]), {
      message: /gone: can't be read: ENOENT/,
    });
    const cut = file("cut.gz", gzipSync(`${bound}\n`.repeat(100)).subarray(0, 60));
    await rejects(whoHad(question, [cut]), { message: /cut\.gz: can't be read: unexpected end of file/ });
    const other = file("other", "Jan 31 something else\n");
    await rejects(whoHad(question, [other]), { message: /other: no log of events; give one that/ });
  });

  test("answer at the command line", () => {
    const when = ["--at", "2026-01-31T12:00:00Z"];
    const endpoint = `${PUBLIC.address}:${PUBLIC.port}`;
    deepEqual(napt(endpoint, ...when, "--log", first, second, third), [
      0,
      `${endpoint} (tcp) was 192.168.226.135:4000's, since ${time(10)}, until ${time(13)}\n`,
      "napt: 3 events before are not in the log, which says so\n",
    ]);
    const [status, json] = napt(endpoint, ...when, "--protocol", "tcp", "--json", "--log", first);
    equal(status, 0);
    deepEqual(JSON.parse(json as string), { holders: [holder({ until: null })], lost: 0, damaged: 0 });
    const [refused, , why] = napt(endpoint, ...when, "--protocol", "udp", "--log", first);
    equal(refused, 2);
    match(
      why as string,
      /^napt: at 2026-01-31T12:00:00\.000Z nobody had 203\.0\.113\.1:40000 with udp, as far as the log tells$/m,
    );
    match(
      napt(INSIDE.address, "--log", first)[2] as string,
      /"192\.168\.226\.135" is no public endpoint such as/,
    );
  });
});
