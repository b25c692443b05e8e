import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, it } from "node:test";
import { openSource } from "../../src/capture/source.js";
import { memorySource, readAll } from "../support/capture-build.js";

const directory = process.env.NAPT_CAPTURES ?? resolve(__dirname, "../../../shared/captures");
const names = existsSync(directory) ? readdirSync(directory).filter((name) => /\.pcap(ng)?$/.test(name)) : [];
const absent = names.length === 0 && `no captures in ${directory} (set NAPT_CAPTURES)`;
const noTshark = spawnSync("tshark", ["--version"]).error !== undefined && "tshark is not installed";

describe("captures of the real world", { skip: absent }, () => {
  it("come out as they went in, whatever the buffer", async () => {
    for (const name of names) {
      const path = join(directory, name);
      const file = new Uint8Array(readFileSync(path));
      const whole = await readAll(await openSource(path), 4 << 20);
      assert.equal(whole.damage, null, name);
      assert.deepEqual(whole.copy, file, name);
      const longest = Math.max(512, ...whole.records.map((record) => record.end - record.start));
      const tight = await readAll(memorySource(file, 1000), longest, 5);
      assert.equal(tight.damage, null, name);
      assert.deepEqual(tight.copy, file, name);
      assert.deepEqual(tight.records, whole.records, name);
    }
  });

  it("have the times and lengths that tshark prints", { skip: noTshark }, async () => {
    for (const name of names) {
      const path = join(directory, name);
      const fields = ["frame.time_epoch", "frame.cap_len", "frame.len"].flatMap((field) => ["-e", field]);
      const printed = execFileSync("tshark", ["-n", "-r", path, "-T", "fields", ...fields], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
        maxBuffer: 1 << 28,
      });
      const { records } = await readAll(await openSource(path), 4 << 20);
      const found = records.map(({ seconds, nanos, data, wireLength }) => {
        return `${seconds}.${String(nanos).padStart(9, "0")}\t${data.length}\t${wireLength}`;
      });
      assert.deepEqual(found, printed.trimEnd().split("\n"), name);
    }
  });
});
