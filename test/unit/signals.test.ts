// How commands are ended by signals.
import { deepEqual } from "node:assert/strict";
import { mock, test } from "node:test";
import { onEndSignal } from "../../src/cli/signals.js";

test("a signal that comes twice, as timeout(1) sends it, is one request; asked again later, a command ends at once", (t) => {
  let now = 5000;
  mock.method(performance, "now", () => now);
  const kill = mock.method(process, "kill", () => true);
  t.after(() => mock.restoreAll());
  const before = process.listenerCount("SIGUSR2");
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
