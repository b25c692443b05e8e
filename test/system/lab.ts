// Three network namespaces for live tests: inside host, gateway, outside host, joined by two veth pairs. Nothing of
// it reaches the machine's own network; all of it goes when the test does.
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

export const INSIDE_HOST = "192.168.226.135";
export const INSIDE_GATEWAY = "192.168.226.2";
export const OUTSIDE_HOST = "203.0.113.8";
export const PUBLIC = "203.0.113.1";

/** A namespace: in, gw and out are always there, `add` makes others. */
export type Place = string;

const run = promisify(execFile);
const ROOT = join(__dirname, "../..");

/** Why there can be no lab here, or false. */
export function whyNoLab(...tools: string[]): string | false {
  if (process.platform !== "linux") return "network namespaces are Linux's";
  if (process.getuid?.() !== 0) return "making network namespaces needs root";
  for (const tool of ["ip", ...tools]) {
    try {
      execFileSync("sh", ["-c", `command -v ${tool}`], { stdio: "ignore" });
    } catch {
      return `${tool} is not installed (.ci/run installs it)`;
    }
  }
  try {
    execFileSync("unshare", ["--net", "true"], { stdio: "ignore" });
  } catch {
    return "this machine does not let network namespaces be made (unshare --net)";
  }
  return false;
}

export interface LabOptions {
  readonly insideMtu?: number;
  readonly outsideMtu?: number;
}

/** A program that runs in one of the namespaces. */
export interface Running {
  readonly process: ChildProcess;
  /** What it has written so far. */
  output(): string;
}

let labs = 0;

/** Waits for something that has to come. */
export async function until(what: string, came: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await came())) {
    if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`);
    await sleep(20);
  }
}

/** The namespaces. Interfaces: in0 - gin0, gout0 - out0; those of the gateway's have no addresses. */
export class Lab {
  readonly #prefix = `napt-${process.pid}-${labs++}`;
  readonly #places = new Set<Place>();
  readonly #running = new Set<ChildProcess>();
  readonly #directory = mkdtempSync(join(tmpdir(), "napt-lab-"));

  static async create({ insideMtu = 1500, outsideMtu = 1500 }: LabOptions = {}): Promise<Lab> {
    const lab = new Lab();
    try {
      for (const place of ["in", "gw", "out"]) await lab.add(place);
      await lab.join(["in", "in0"], ["gw", "gin0"], insideMtu);
      await lab.join(["out", "out0"], ["gw", "gout0"], outsideMtu);
      await lab.exec("in", "ip", "addr", "add", `${INSIDE_HOST}/24`, "dev", "in0");
      await lab.exec("in", "ip", "route", "add", "default", "via", INSIDE_GATEWAY);
      await lab.exec("out", "ip", "addr", "add", `${OUTSIDE_HOST}/24`, "dev", "out0");
    } catch (error) {
      await lab.close();
      throw error;
    }
    return lab;
  }

  /** Makes another namespace. */
  async add(place: Place): Promise<void> {
    this.#places.add(place);
    await run("ip", ["netns", "add", this.#name(place)]);
    const noIpv6 = ["net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"];
    await this.exec(place, "sysctl", "-qw", ...noIpv6);
    await this.exec(place, "ip", "link", "set", "lo", "up");
  }

  /** Joins two namespaces by a pair of interfaces. */
  async join([here, name]: [Place, string], [there, peer]: [Place, string], mtu = 1500): Promise<void> {
    const other = ["peer", "name", peer, "mtu", String(mtu), "netns", this.#name(there)];
    await this.exec(here, "ip", "link", "add", name, "mtu", String(mtu), "type", "veth", ...other);
    await this.exec(here, "ip", "link", "set", name, "up");
    await this.exec(there, "ip", "link", "set", peer, "up");
  }

  /** Makes the cards of in, gw and out such as can do nothing but send and receive. */
  async withoutOffloads(): Promise<void> {
    const off = ["tso", "gso", "gro", "tx", "rx"].flatMap((what) => [what, "off"]);
    for (const [place, name] of [
      ["in", "in0"],
      ["gw", "gin0"],
      ["gw", "gout0"],
      ["out", "out0"],
    ] as const) {
      await this.exec(place, "ethtool", "-K", name, ...off);
    }
  }

  /** The control socket of a gateway here. */
  get control(): string {
    return this.path("control.sock");
  }

  /** A path for a file that goes with the lab. */
  path(name: string): string {
    return join(this.#directory, name);
  }

  /** Runs a program to its end; its standard output. */
  async exec(place: Place, program: string, ...args: string[]): Promise<string> {
    const { stdout } = await run("ip", ["netns", "exec", this.#name(place), program, ...args], {
      timeout: 60_000,
      maxBuffer: 64 << 20,
    });
    return stdout;
  }

  /** Starts a program, and waits for a line that it is ready. */
  async start(place: Place, ready: RegExp, program: string, ...args: string[]): Promise<Running> {
    const child = spawn("ip", ["netns", "exec", this.#name(place), program, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#running.add(child);
    let output = "";
    child.on("exit", () => this.#running.delete(child));
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`${[program, ...args].join(" ")} does not get ready: ${output}`)),
        60_000,
      );
      const done = (error?: Error) => {
        clearTimeout(timer);
        if (error === undefined) resolve();
        else reject(error);
      };
      for (const stream of [child.stdout, child.stderr]) {
        createInterface({ input: stream }).on("line", (line) => {
          output += `${line}\n`;
          if (ready.test(line)) done();
        });
      }
      child.on("error", done);
      child.on("exit", (code) => done(new Error(`${program} ended (${code}): ${output}`)));
    });
    return { process: child, output: () => output };
  }

  /** The path of a program that starts another one in a namespace, for those who start programs themselves. */
  launcher(place: Place, program: string): string {
    const file = this.path(`${program}-${place}`);
    writeFileSync(file, `#!/bin/sh\nexec ip netns exec ${this.#name(place)} ${program} "$@"\n`, {
      mode: 0o755,
    });
    return file;
  }

  /** A JavaScript program, started as `start` does. */
  script(place: Place, source: string): Promise<Running> {
    return this.start(place, /^ready/, process.execPath, "-e", source);
  }

  /** `napt gateway` with a config, the networks filled in. */
  gateway(config: object = {}, networks: object = {}): Promise<Running> {
    return this.start(
      "gw",
      /^ready/,
      ...this.command("gateway", "--config", this.configFile(config, networks)),
    );
  }

  /** A config file for a gateway here; a second gateway needs another name for it. */
  configFile(config: object = {}, networks: object = {}, name = "gateway"): string {
    const file = this.path(`${name}.yaml`);
    const gateway = {
      inside: { interface: "gin0", address: `${INSIDE_GATEWAY}/24` },
      outside: { interface: "gout0", address: `${PUBLIC}/24` },
      control: this.control,
      ...networks,
    };
    // JSON is YAML.
    writeFileSync(
      file,
      JSON.stringify({ inside: ["192.168.226.0/24"], outside: [PUBLIC], gateway, ...config }),
    );
    return file;
  }

  /** A napt command to its end, on the gateway's system: what it prints, or its exit status and complaint. */
  async napt(...args: string[]): Promise<string> {
    return this.exec("gw", ...this.command(...args)).then(
      (text) => text.trim(),
      ({ code, stderr }: { code: number; stderr: string }) => `${code} ${stderr.trim()}`,
    );
  }

  /** A napt command that asks the gateway here. */
  ask(...args: string[]): Promise<string> {
    return this.napt(...args, "--control", this.control);
  }

  /** What a gateway says that can't be. */
  complaint(config: object = {}, networks: object = {}): Promise<string> {
    return this.napt("gateway", "--config", this.configFile(config, networks));
  }

  /** The command line that runs napt from its sources. */
  command(...args: string[]): [string, ...string[]] {
    // An addon with sanitizers needs their runtime first; the other programs of a lab do not (test/sanitized.mjs).
    const { NAPT_PRELOAD: preload = "" } = process.env;
    return [
      "env",
      `LD_PRELOAD=${preload}`,
      process.execPath,
      "--require",
      "tsx/cjs",
      join(ROOT, "src/cli/main.ts"),
      ...args,
    ];
  }

  /** Ends a program with a signal; its exit status. */
  async end({ process: child }: Running, signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    if (child.exitCode !== null) return child.exitCode;
    const gone = once(child, "exit") as Promise<[number | null]>;
    child.kill(signal);
    const [code] = await gone;
    return code;
  }

  async close(): Promise<void> {
    for (const child of this.#running) child.kill("SIGKILL");
    for (const place of this.#places) {
      await run("ip", ["netns", "del", this.#name(place)]).catch(() => {});
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #name(place: Place): string {
    return `${this.#prefix}-${place}`;
  }
}
