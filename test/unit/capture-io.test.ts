import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { deflateRawSync, gunzipSync, gzipSync } from "node:zlib";
import { openSink } from "../../src/capture/sink.js";
import { openSource } from "../../src/capture/source.js";
import { concat, pcapFile, readAll, samplePackets } from "../support/capture-build.js";

const directory = mkdtempSync(join(tmpdir(), "napt-"));
after(() => rmSync(directory, { recursive: true }));

const capture = pcapFile({ littleEndian: true, magic: 0xa1b2c3d4, linkType: 1 }, samplePackets(3000));

function fileOf(name: string, bytes: Uint8Array): string {
  const path = join(directory, name);
  writeFileSync(path, bytes);
  return path;
}

async function readBytes(path: string, piece = 1000): Promise<{ bytes: Uint8Array; error: Error | null }> {
  const source = await openSource(path);
  const parts: Uint8Array[] = [];
  const target = new Uint8Array(new SharedArrayBuffer(piece));
  let error: Error | null = null;
  try {
    for (;;) {
      const count = await source.read(target);
      if (count === 0) break;
      parts.push(target.slice(0, count));
    }
  } catch (failure) {
    error = failure as Error;
    await assert.rejects(source.read(target), failure as Error);
  }
  await source.close();
  return { bytes: concat(...parts), error };
}

describe("openSource", () => {
  it("reads a file into shared memory and tells how far it is", async () => {
    const source = await openSource(fileOf("plain", capture));
    const target = new Uint8Array(new SharedArrayBuffer(100));
    assert.equal(source.size, capture.length);
    assert.equal(await source.read(target), 100);
    assert.equal(source.consumed, 100);
    assert.deepEqual(target.slice(), capture.slice(0, 100));
    await source.close();
  });

  it("names a file that can't be read", async () => {
    const path = join(directory, "none");
    await assert.rejects(openSource(path), (error: Error & { code: string }) => {
      return error.code === "NAT_ERR_CAPTURE" && error.message.startsWith(`${path}: can't be read: ENOENT`);
    });
    await assert.rejects(openSource(directory), {
      code: "NAT_ERR_CAPTURE",
      message: `${directory}: is a directory`,
    });
  });

  it("reads a named pipe", { skip: process.platform === "win32" }, async () => {
    const path = join(directory, "pipe");
    execFileSync("mkfifo", [path]);
    spawn("sh", ["-c", 'cat "$0" > "$1"', fileOf("plain", capture), path], { stdio: "ignore" });
    assert.deepEqual(await readBytes(path), { bytes: capture, error: null });
  });
});

describe("gzip", () => {
  it("is read, of one member or several, with every header field, and padding", async () => {
    const field = Buffer.from(
      "1f8b081e000000000003" + "0300616263" + "6e616d6500" + "636f6d6d656e7400" + "0000",
      "hex",
    );
    const trailer = gzipSync(capture).subarray(-8);
    const members = [capture.subarray(0, 50_000), new Uint8Array(0), capture.subarray(50_000)].map((part) =>
      gzipSync(part),
    );
    const files = {
      one: gzipSync(capture),
      several: concat(...members),
      many: concat(
        ...Array.from({ length: 200 }, (_, i) => gzipSync(capture.subarray(i * 500, (i + 1) * 500))),
      ),
      fields: concat(field, deflateRawSync(capture), trailer),
      stored: gzipSync(capture, { level: 0 }),
      padded: concat(gzipSync(capture), new Uint8Array(1000)),
    };
    for (const [name, bytes] of Object.entries(files)) {
      const expected = name === "many" ? capture.slice(0, 100_000) : capture;
      assert.deepEqual(await readBytes(fileOf(`${name}.gz`, bytes)), { bytes: expected, error: null }, name);
    }
  });

  it("tells size and consumed in compressed bytes", async () => {
    const packed = gzipSync(capture);
    const source = await openSource(fileOf("size.gz", packed));
    while ((await source.read(new Uint8Array(10_000))) > 0) assert(source.consumed <= packed.length);
    assert.deepEqual([source.size, source.consumed], [packed.length, packed.length]);
    await source.close();
  });

  it("expands far more than it reads, in little memory", async () => {
    const { bytes, error } = await readBytes(
      fileOf("zeros.gz", gzipSync(new Uint8Array(50_000_000))),
      1 << 20,
    );
    assert.deepEqual([bytes.length, error], [50_000_000, null]);
  });

  it("gives all that a cut file holds, and then says so", async () => {
    const packed = gzipSync(capture);
    for (const length of [
      1,
      9,
      10,
      11,
      100,
      packed.length >> 1,
      packed.length - 9,
      packed.length - 8,
      packed.length - 1,
    ]) {
      const path = fileOf("cut.gz", packed.subarray(0, length));
      const { bytes, error } = await readBytes(path);
      const expected =
        length <= 10 ? new Uint8Array(0) : gunzipSync(packed.subarray(0, length), { finishFlush: 2 });
      assert.deepEqual(bytes, new Uint8Array(expected), `cut at ${length}`);
      assert.equal(error?.message, `${path}: the gzip data ends early`);
    }
  });

  it("gives all before damage, and then says so", async () => {
    const packed = gzipSync(capture);
    const wrongSum = new Uint8Array(packed);
    wrongSum[packed.length - 5]! ^= 1;
    const wrongLength = new Uint8Array(packed);
    wrongLength[packed.length - 1]! ^= 1;
    const wrongMethod = gzipSync(capture);
    wrongMethod[2] = 7;
    const good = deflateRawSync(capture, { finishFlush: 2 });
    const badBlock = concat(packed.subarray(0, 10), good, Uint8Array.of(7, 7, 7));
    const cases: [string, Uint8Array, Uint8Array, RegExp][] = [
      ["sum", wrongSum, capture, /wrong checksum or length/],
      ["length", wrongLength, capture, /wrong checksum or length/],
      ["garbage", concat(packed, Buffer.from("garbage")), capture, /not gzip/],
      ["method", concat(packed, wrongMethod), capture, /method/],
      ["none", capture, new Uint8Array(0), /no gzip header/],
      [
        "second member's block",
        concat(gzipSync(capture), badBlock),
        concat(capture, capture),
        /invalid block type/,
      ],
      ["block", badBlock, capture, /invalid block type/],
    ];
    for (const [name, file, expected, message] of cases) {
      const { bytes, error } = await readBytes(fileOf(`${name}.gz`, file));
      assert.deepEqual(bytes, expected, name);
      assert.match(error?.message ?? "", message, name);
      assert.equal((error as { code?: string }).code, "NAT_ERR_CAPTURE");
    }
  });

  it("gives what stands before the damage, and nothing twice", async () => {
    let state = 1;
    const next = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state >>> 24;
    };
    const noise = Uint8Array.from({ length: 100_000 }, () => next() & 0x7f);
    // Much output from little input, so that zlib hands out some of a piece before it meets the damage.
    const runs = concat(...Array.from({ length: 15_000 }, () => new Uint8Array(next()).fill(next())));
    for (const content of [noise, runs]) {
      const [first, second] = [gzipSync(capture), gzipSync(content)];
      const packed = concat(first, second);
      assert(second.length > 2 * 16_384);
      for (let at = first.length + 20; at < packed.length - 8; at += 5987) {
        const bad = packed.slice();
        bad.fill(0xff, at, at + 64);
        const { bytes, error } = await readBytes(fileOf("damaged.gz", bad), 20_000);
        assert.match(error?.message ?? "", /the gzip data/);
        const before = concat(capture, gunzipSync(packed.subarray(first.length, at), { finishFlush: 2 }));
        assert(Buffer.from(before).equals(bytes.slice(0, before.length)), `damage at ${at}`);
      }
    }
  });

  it("becomes damage of the capture", async () => {
    const packed = gzipSync(capture);
    const path = fileOf("damage.gz", packed.subarray(0, packed.length >> 1));
    const found = await readAll(await openSource(path), 4096);
    assert(found.records.length > 100);
    assert.deepEqual(found.copy, capture.slice(0, found.copy.length));
    assert.deepEqual(found.damage, {
      offset: found.copy.length,
      message: `${path}: the gzip data ends early`,
    });
    await assert.rejects(readAll(await openSource(fileOf("no.gz", capture))), /no gzip header/);
    await assert.rejects(readAll(await openSource(fileOf("empty.gz", new Uint8Array(0)))), /input is empty/);
  });
});

describe("openSink", () => {
  for (const name of ["out", "out.gz"]) {
    it(`writes ${name}, and lets go of what it wrote`, async () => {
      const path = join(directory, name);
      const sink = await openSink(path);
      const part = new Uint8Array(new SharedArrayBuffer(10_000));
      for (let at = 0; at < capture.length; at += part.length) {
        part.set(capture.subarray(at, at + part.length));
        await sink.write(part.subarray(0, Math.min(part.length, capture.length - at)));
        part.fill(0xee);
      }
      await sink.write(new Uint8Array(0));
      await sink.close();
      const written = readFileSync(path);
      assert.deepEqual(new Uint8Array(name.endsWith(".gz") ? gunzipSync(written) : written), capture);
    });
  }

  it("names a file that can't be written", async () => {
    const path = join(directory, "none", "out");
    await assert.rejects(openSink(path), (error: Error & { code: string }) => {
      return error.code === "NAT_ERR_OUTPUT" && error.message.startsWith(`${path}: can't be written: ENOENT`);
    });
  });

  it("says that the disk is full", { skip: !existsSync("/dev/full") && "no /dev/full" }, async () => {
    const full = { code: "NAT_ERR_OUTPUT", message: /^\/dev\/full: can't be written: ENOSPC/ };
    const sink = await openSink("/dev/full");
    await assert.rejects(sink.write(capture), full);
    await sink.abort();
    await sink.abort();
  });

  it("says that a pipe was closed", async () => {
    const path = join(directory, "outpipe");
    execFileSync("mkfifo", [path]);
    const reader = spawn("head", ["-c", "1", path], { stdio: "ignore" });
    const sink = await openSink(path);
    const writing = (async () => {
      for (;;) await sink.write(capture);
    })();
    await assert.rejects(writing, { code: "NAT_ERR_OUTPUT", message: /outpipe: can't be written: .*EPIPE/ });
    await assert.rejects(sink.close(), { code: "NAT_ERR_OUTPUT" });
    await sink.abort();
    reader.kill();
  });
});

describe("standard input and output", () => {
  const script = fileOf(
    "copy.ts",
    Buffer.from(`
      import { openSink } from ${JSON.stringify(join(__dirname, "../../src/capture/sink.js"))};
      import { openSource } from ${JSON.stringify(join(__dirname, "../../src/capture/source.js"))};
      (async () => {
        const source = await openSource("-");
        const sink = await openSink("-");
        const buffer = new Uint8Array(new SharedArrayBuffer(65536));
        for (let n; (n = await source.read(buffer)) > 0; ) await sink.write(buffer.subarray(0, n));
        await sink.close();
        await source.close();
      })().catch((error) => {
        console.error(error.code, error.message);
        process.exit(7);
      });
    `),
  );
  const tsx = require.resolve("tsx/cjs");
  const copy = `"${process.execPath}" --require "${tsx}" "${script}"`;
  const large = concat(...Array.from({ length: 30 }, () => capture));
  const input = fileOf("large", large);
  const shell = (command: string) => spawnSync("bash", ["-c", command], { maxBuffer: 1 << 28 });

  it("are pipes or files", () => {
    assert.deepEqual(new Uint8Array(shell(`cat ${input} | ${copy} | cat`).stdout), large);
    shell(`${copy} < ${input} > ${input}.copy`);
    assert.deepEqual(new Uint8Array(readFileSync(`${input}.copy`)), large);
    assert.equal(shell(`${copy} < /dev/null`).stdout.length, 0);
  });

  it("end with an error, not a crash, when the reader goes away or the disk is full", () => {
    const closed = shell(
      `(cat ${input}; cat ${input}) | ${copy} | head -c 10 > /dev/null; exit \${PIPESTATUS[1]}`,
    );
    assert.equal(closed.status, 7, String(closed.stderr));
    assert.match(String(closed.stderr), /NAT_ERR_OUTPUT standard output: can't be written: .*EPIPE/);
    // Of the last write only a part fits; the rest must not be taken as written.
    const short = fileOf("short", large.subarray(0, 100_000));
    const limited = shell(`trap '' XFSZ; ulimit -f 80; ${copy} < ${short} > ${short}.limited`);
    assert.equal(limited.status, 7);
    assert.match(String(limited.stderr), /NAT_ERR_OUTPUT standard output: can't be written: EFBIG/);
    const full = shell(`${copy} < ${input} > /dev/full`);
    assert.match(String(full.stderr), /NAT_ERR_OUTPUT standard output: can't be written: ENOSPC/);
  });
});
