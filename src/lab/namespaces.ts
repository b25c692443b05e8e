// Network namespaces that nobody else sees: they have no names, and end with this process.
import { type ChildProcess, execFile, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";
import { NatError } from "../errors.js";

const run = promisify(execFile);

/** Set in a process that has namespaces of its own. */
const ALONE = "NAPT_LAB_ALONE";

/** Whether this process was started by {@link alone}. */
export function isAlone(): boolean {
  return process.env[ALONE] !== undefined;
}

/**
 * Runs this program once more with network, mounts and processes of its own; without root it is root there
 * (user_namespaces(7)). All that it starts ends with it, however it ends. Gives its exit status.
 * @throws NatError NAT_ERR_GATEWAY when the system does not allow it
 */
export async function alone(): Promise<number> {
  const own = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
  if (process.getuid?.() !== 0) own.unshift("--user", "--map-root-user");
  try {
    await run("unshare", [...own, "true"]);
  } catch (error) {
    const { code, stderr, message } = error as Error & { code: unknown; stderr?: string };
    const trouble = code === "ENOENT" ? "unshare is missing; install util-linux" : (stderr || message).trim();
    throw new NatError("NAT_ERR_GATEWAY", `this system gives no namespaces (${trouble}); as root it may`);
  }
  const again = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  // It is killed when this process dies, whatever of, and takes all within along.
  const child = spawn("setpriv", ["--pdeathsig", "KILL", "unshare", ...own, ...again], {
    stdio: "inherit",
    env: { ...process.env, [ALONE]: "1" },
  });
  // A terminal's Ctrl-C is for the shell within.
  const ignore = () => {};
  process.on("SIGINT", ignore);
  const end = () => child.kill("SIGKILL");
  process.once("SIGTERM", end);
  const [code, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  process.off("SIGINT", ignore);
  process.off("SIGTERM", end);
  return code ?? (signal === null ? 1 : 128);
}

/** A network namespace, kept by a process that only waits. */
export class Namespace {
  readonly #holder: ChildProcess;

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
  }

  static async create(): Promise<Namespace> {
    // It tells when it is in its namespace.
    const holder = spawn("unshare", ["--net", "sh", "-c", "echo ready; exec sleep infinity"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(holder.stdout!, "data");
    const namespace = new Namespace(holder);
    await namespace.exec("ip", "link", "set", "lo", "up");
    return namespace;
  }

  get pid(): number {
    return this.#holder.pid!;
  }

  /** Runs a program in it to its end; what it prints. */
  async exec(program: string, ...args: string[]): Promise<string> {
    const { stdout } = await run("nsenter", [...this.#enter(), program, ...args]);
    return stdout;
  }

  /** Starts a program in it. */
  spawn(program: string, args: readonly string[], options: SpawnOptions): ChildProcess {
    return spawn("nsenter", [...this.#enter(), program, ...args], options);
  }

  close(): void {
    this.#holder.kill("SIGKILL");
  }

  #enter(): string[] {
    return ["--target", String(this.pid), "--net"];
  }
}

/** Joins an interface here and one in a namespace, both up. */
export async function join(here: string, namespace: Namespace, there: string): Promise<void> {
  await run("ip", [
    "link",
    "add",
    here,
    "type",
    "veth",
    "peer",
    "name",
    there,
    "netns",
    String(namespace.pid),
  ]);
  await run("ip", ["link", "set", here, "up"]);
  await namespace.exec("ip", "link", "set", there, "up");
}
