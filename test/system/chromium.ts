// A headless Chromium in one of a lab's namespaces.
import { execFileSync } from "node:child_process";
import { type Browser, chromium } from "playwright-core";
import type { Lab, Place } from "./lab.js";

/** Why there is none, or false. */
export function whyNoChromium(): string | false {
  try {
    execFileSync("chromium", ["--version"], { stdio: "ignore" });
    return false;
  } catch {
    return "chromium is not installed (.ci/run installs it)";
  }
}

/** Starts it; it talks to the test through a pipe, so no network leads out of the namespace. */
export function startChromium(lab: Lab, place: Place): Promise<Browser> {
  // The tests run as root, in namespaces that hold nothing else.
  return chromium.launch({ executablePath: lab.launcher(place, "chromium"), args: ["--no-sandbox"] });
}
