// Three network namespaces for live tests: inside host, gateway, outside host, joined by two veth pairs. Nothing of
// it reaches the machine's own network; all of it goes when the test does.
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

export const INSIDE_HOST = "192.168.226.135";
export const INSIDE_GATEWAY = "192.168.226.2";
export const OUTSIDE_HOST = "203.0.113.8";
export const PUBLIC = "203.0.113.1";

export type Place = "in" | "gw" | "out";

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
  /** MTU of the outside link. */
  readonly outsideMtu?: number;
}

/** A program that runs in one of the namespaces. */
export interface Running {
  readonly process: ChildProcess;
  /** What it has written so far. */
  output(): string;
}

let labs = 0;

/** The namespaces. Interfaces: in0 - gin0, gout0 - out0; those of the gateway's have no addresses. */
export class Lab {
  readonly #prefix = `napt-${process.pid}-${labs++}`;
  readonly #running = new Set<ChildProcess>();
  readonly #directory = mkdtempSync(join(tmpdir(), "napt-lab-"));

  static async create({ outsideMtu = 1500 }: LabOptions = {}): Promise<Lab> {
    const lab = new Lab();
    try {
      for (const place of ["in", "gw", "out"] as const) {
        await run("ip", ["netns", "add", lab.#name(place)]);
        await lab.exec(
          place,
          "sysctl",
          "-qw",
          "net.ipv6.conf.all.disable_ipv6=1",
          "net.ipv6.conf.default.disable_ipv6=1",
        );
        await lab.exec(place, "ip", "link", "set", "lo", "up");
      }
      await lab.#link("in", "in0", "gin0", 1500);
      await lab.#link("out", "out0", "gout0", outsideMtu);
      await lab.exec("in", "ip", "addr", "add", `${INSIDE_HOST}/24`, "dev", "in0");
      await lab.exec("in", "ip", "route", "add", "default", "via", INSIDE_GATEWAY);
      await lab.exec("out", "ip", "addr", "add", `${OUTSIDE_HOST}/24`, "dev", "out0");
    } catch (error) {
      await lab.close();
      throw error;
    }
    return lab;
  }

  /** The control socket of a gateway here. */
  get control(): string {
    return join(this.#directory, "control.sock");
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
      const timer = setTimeout(() => reject(new Error(`${program} does not get ready: ${output}`)), 20_000);
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

  /** A config file for a gateway here. */
  configFile(config: object = {}, networks: object = {}): string {
    const file = join(this.#directory, "gateway.yaml");
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

  /** The command line that runs napt from its sources. */
  command(...args: string[]): [string, ...string[]] {
    return [process.execPath, "--import", "tsx", join(ROOT, "src/cli/main.ts"), ...args];
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
    for (const place of ["in", "gw", "out"] as const) {
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

  async #link(place: "in" | "out", host: string, gateway: string, mtu: number): Promise<void> {
    const peer = ["peer", "name", gateway, "netns", this.#name("gw")];
    await this.exec(place, "ip", "link", "add", host, "mtu", String(mtu), "type", "veth", ...peer);
    await this.exec(place, "ip", "link", "set", host, "up");
    await this.exec("gw", "ip", "link", "set", gateway, "mtu", String(mtu), "up");
  }
}
