// `napt lab`, as its user meets it.
import { equal, match, ok } from "node:assert/strict";
import { execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { Lab, whyNoLab } from "./lab.js";

const skip = whyNoLab("curl", "unshare", "nsenter", "setpriv");
const NAPT = ["--require", "tsx/cjs", join(__dirname, "../../src/cli/main.ts"), "lab"];

/** What `napt lab` prints, or its exit status and complaint. */
const lab = (...args: string[]) =>
  promisify(execFile)(process.execPath, [...NAPT, ...args], { timeout: 30_000 }).then(
    ({ stdout }) => stdout,
    ({ code, stderr }: { code: number; stderr: string }) => `${code} ${stderr.trim()}`,
  );

test("a command runs behind the NAT, with its options, and its exit status comes back", {
  skip,
}, async () => {
  match(
    await lab("curl", "-sS", "http://203.0.113.8/"),
    /^Hello from outside\. You are 203\.0\.113\.1:\d+ to me\.\n$/,
  );
  match(await lab("sh", "-c", "exit 7"), /^7/);
});

test("a shell tells where it is, and leaving it leaves nothing behind", { skip }, async () => {
  const before = execFileSync("ip", ["-br", "link"], { encoding: "utf8" });
  const child = spawn(process.execPath, NAPT, {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, SHELL: "/bin/sh" },
  });
  let said = "";
  child.stdout.on("data", (data) => {
    said += data;
  });
  child.stdin.end("ip -br address show eth0; curl -sS http://203.0.113.8/; exit 3\n");
  const [code] = await once(child, "exit");
  equal(code, 0);
  match(said, /^You are 192\.168\.226\.135, behind a NAT that shows you as 203\.0\.113\.1\. Try:\n/);
  match(said, /eth0\S* +UP +192\.168\.226\.135\/24/);
  match(said, /You are 203\.0\.113\.1:\d+ to me/);
  equal(execFileSync("ip", ["-br", "link"], { encoding: "utf8" }), before);
});

test("killed outright it leaves nothing either", { skip }, async () => {
  const child = spawn(process.execPath, [...NAPT, "sh", "-c", "echo inside; sleep 987654"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === "inside") break;
  }
  const sleeping = () => {
    try {
      return execFileSync("pgrep", ["-f", "sleep 987654"], { encoding: "utf8" }).trim().split("\n").length;
    } catch {
      return 0;
    }
  };
  ok(sleeping() > 0);
  child.kill("SIGKILL");
  const until = Date.now() + 10_000;
  while (sleeping() > 0 && Date.now() < until) await sleep(50);
  equal(sleeping(), 0);
});

test("a config of one's own is tried; one that does not fit is told so", { skip }, async () => {
  await using files = await Lab.create();
  const config = files.configFile({ gateway: undefined, timeouts: { tcpEstablished: 5 } });
  match(await lab("--config", config, "curl", "-sS", "http://203.0.113.8/"), /^Hello/);
  const other = files.configFile({ gateway: undefined, inside: ["10.0.0.0/8"] });
  match(
    await lab("--config", other, "true"),
    /^2 napt: config: gateway\.inside\.address: it lies in none of the prefixes/,
  );
});
