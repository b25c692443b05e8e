// The guest of vm.ts, with nothing but a socket for a network.
import { deepEqual, equal, match } from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Guest, whyNoGuest } from "./vm.js";

test("a guest boots, runs commands, and puts its frames, each behind its length, on a socket", {
  skip: whyNoGuest(),
}, async () => {
  const files = mkdtempSync(join(tmpdir(), "napt-vm-"));
  const path = join(files, "socket");
  const listener = createServer().listen(path);
  try {
    const connected = once(listener, "connection") as Promise<[Socket]>;
    using guest = await Guest.boot(path, files);
    const [socket] = await connected;
    const heard: Buffer[] = [];
    socket.on("data", (data) => heard.push(data));

    const ended = { status: 3, output: "here\nand there\n" };
    deepEqual(await guest.exec("echo here; echo and there >&2; (exit 3)"), ended);
    const { status, output } = await guest.exec("udhcpc -i eth0 -n -q -t 1 -T 1");
    equal(status, 1);
    match(output, /no lease, failing/);
    const stream = Buffer.concat(heard);
    const [mac = ""] = /52(:[0-9a-f]{2}){5}/.exec(
      (await guest.exec("cat /sys/class/net/eth0/address")).output,
    )!;
    const discover = `ffffffffffff${mac.replaceAll(":", "")}08004500`;
    const at = stream.indexOf(Buffer.from(discover, "hex"));
    const length = stream.readUInt32BE(at - 4);
    equal(length, 14 + stream.readUInt16BE(at + 16), "the frame has its IPv4 packet and no more");
  } finally {
    listener.close();
    rmSync(files, { recursive: true, force: true });
  }
});
