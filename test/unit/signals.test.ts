// How commands are ended by signals.
import { deepEqual } from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mock, test } from "node:test";
import { onEndSignal } from "../../src/cli/signals.js";

test("a signal that comes twice, as timeout(1) sends it, is one request; asked again later, a command ends at once", (t) => {
  let now = 5000;
  mock.method(performance, "now", () => now);
  const kill = mock.method(process, "kill", () => true);
  t.after(() => mock.restoreAll());
  const before = process.listenerCount("SIGUSR2");
  const last = process.listeners("beforeExit");
  t.after(() => {
    for (const added of process.listeners("beforeExit"))
      if (!last.includes(added)) process.off("beforeExit", added);
  });
  const heard: string[] = [];
  onEndSignal((signal) => heard.push(signal), ["SIGUSR2"]);
  const killed = () => kill.mock.calls.map((call) => call.arguments);

  process.emit("SIGUSR2", "SIGUSR2");
  process.emit("SIGUSR2", "SIGUSR2");
  now += 1000;
  process.emit("SIGUSR2", "SIGUSR2");
  deepEqual(heard, ["SIGUSR2"]);
  deepEqual(killed(), []);

  now += 1;
  process.emit("SIGUSR2", "SIGUSR2");
  deepEqual(heard, ["SIGUSR2"]);
  deepEqual(killed(), [[process.pid, "SIGUSR2"]]);
  // So that the signal does what it does by default.
  deepEqual(process.listenerCount("SIGUSR2"), before);
});

test("who stops listening is not called", () => {
  const before = process.listenerCount("SIGUSR2");
  const heard: string[] = [];
  const stop = onEndSignal((signal) => heard.push(signal), ["SIGUSR2"]);
  stop();
  deepEqual(process.listenerCount("SIGUSR2"), before);
  deepEqual(heard, []);
});

test("a signal's echo does not change how a command ends, however late in its end it comes", async () => {
  const command = `
    const { onEndSignal } = require(${JSON.stringify(require.resolve("../../src/cli/signals.ts"))});
    const work = setInterval(() => {}, 1000);
    onEndSignal(() => { clearInterval(work); process.exitCode = 7; });
    console.log("ready");`;
  const child = spawn(process.execPath, ["--require", "tsx/cjs", "-e", command], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  await once(child.stdout, "data");
  const echo = spawn("sh", ["-c", `while kill -TERM ${child.pid} 2>/dev/null; do :; done`], {
    stdio: "ignore",
  });
  const [status, signal] = await ended;
  echo.kill("SIGKILL");
  deepEqual([status, signal], [7, null]);
});
