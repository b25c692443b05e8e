// The demo: its capture is the one that the generator makes, and its lines are tshark's.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { STORY_FILE, tellStory } from "../../src/demo/demo.js";
import { writeStory } from "../../src/demo/generate.js";
import { lineOf, type Streams } from "../../src/demo/lines.js";
import { LINK_HEADER, makeStory } from "../../src/demo/story.js";

const MAIN = require.resolve("../../src/cli/main.ts");

describe("the demo", () => {
  test("ships the capture that it generates", async () => {
    const directory = mkdtempSync(join(tmpdir(), "napt-story-"));
    try {
      const path = join(directory, "story.pcap");
      await writeStory(path);
      assert.ok(readFileSync(path).equals(readFileSync(STORY_FILE)), "run: npm run story");
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test("prints packets as tshark does", (t) => {
    if (spawnSync("tshark", ["--version"]).status !== 0) return t.skip("tshark is not installed");
    const plain = (text: string) =>
      text
        .replace(/\s*\((?:request|reply) in \d+\)/, "")
        .replace(/\s+/g, " ")
        .trim();
    const theirs = execFileSync("tshark", ["-r", STORY_FILE], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    const streams: Streams = new Map();
    const ours = makeStory().map(({ frame, time }, i) => {
      const line = lineOf(frame.subarray(LINK_HEADER), frame.length, streams);
      return plain(`${i + 1} ${time.toFixed(6)} ${line}`);
    });
    assert.deepEqual(ours, theirs.trim().split("\n").map(plain));
  });

  test("tells the whole story", async () => {
    const lines: string[] = [];
    await tellStory({ print: (line) => lines.push(line), pause: 0, colors: false, seed: 7 });
    const story = lines.join("\n");
    for (const part of [
      /guest +0\.000000 192\.168\.226\.135 → 8\.8\.8\.8 +ICMP +98 Echo \(ping\) request +id=0x0c1d, seq=1\/256, ttl=64/,
      /uplink +0\.000000 +192\.168\.0\.104 → 8\.8\.8\.8 +ICMP +98 Echo \(ping\) request +id=0x[0-9a-f]{4}, seq=1\/256, ttl=63/,
      /TTL 64 → 63, IP checksum 0x[0-9a-f]{4} → 0x[0-9a-f]{4}, ICMP checksum/,
      /guest +0\.012300 +8\.8\.8\.8 → 192\.168\.226\.135 ICMP +98 Echo \(ping\) reply +id=0x0c1d/,
      /dropped: filtered/,
      /dropped: no-mapping/,
      /icmp +│ 192\.168\.226\.135:3101/,
      /time-wait/,
      /ends after 300 s idle; 0 left/,
    ]) {
      assert.match(story, part);
    }
  });

  test("runs as a command", () => {
    const { status, stdout } = spawnSync(process.execPath, ["--require", "tsx/cjs", MAIN, "demo"], {
      encoding: "utf8",
    });
    assert.equal(status, 0);
    assert.match(stdout, /19 packets in, 17 out, 2 refused/);
    const wrong = spawnSync(process.execPath, ["--require", "tsx/cjs", MAIN, "demo", "--seed", "x"], {
      encoding: "utf8",
    });
    assert.equal(wrong.status, 2);
  });
});
