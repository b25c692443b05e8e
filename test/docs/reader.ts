// Who does what a page says: in an empty folder where napt is installed, as root of a network that nobody else sees,
// with a /run,
// a /var/lib, a /var/log and a /var/cache of its own. All that was started ends with it. bin/ has commands for what a
// page's comments set up.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isAsPrinted, ROOT, type Step } from "./page.js";

/** Long enough for whatever a page does. */
const PATIENCE = 120_000;

export class Reader {
  readonly folder = mkdtempSync(join(tmpdir(), "napt-docs-"));
  readonly #holder: ChildProcess;
  readonly #staying: ChildProcess[] = [];

  private constructor() {
    const bin = join(this.folder, "node_modules/.bin");
    mkdirSync(bin, { recursive: true });
    symlinkSync(ROOT, join(this.folder, "node_modules/napt"));
    writeFileSync(
      join(bin, "napt"),
      `#!/bin/sh\nexec "${process.execPath}" "${join(ROOT, "dist/cli/main.js")}" "$@"\n`,
    );
    chmodSync(join(bin, "napt"), 0o755);
    const own = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    const settle =
      "for at in /run /var/lib /var/log /var/cache; do mount -t tmpfs tmpfs $at; done; ip link set lo up; echo ready; exec sleep infinity";
    this.#holder = spawn("unshare", [...own, "sh", "-ec", settle], { stdio: ["ignore", "pipe", "inherit"] });
  }

  static async settle(): Promise<Reader> {
    const reader = new Reader();
    await once(reader.#holder.stdout!, "data");
    return reader;
  }

  /** Does one step. @throws where it does not go as the page says */
  async does(step: Exclude<Step, { kind: "not run" }>): Promise<void> {
    if (step.kind === "file") {
      writeFileSync(join(this.folder, step.name), step.block.text, { flag: step.more ? "a" : "w" });
      return;
    }
    const { prints, fails, stays } = step;
    const child = this.#bash(step.block.text);
    let printed = "";
    const isReady = () => stays && isAsPrinted(printed, prints!, { begins: true });
    const status = await new Promise<number | null | "stays">((resolve, reject) => {
      const timer = setTimeout(() => {
        child.kill("SIGKILL");
        reject(new Error(`it does not end, or get ready:\n${printed}`));
      }, PATIENCE);
      const done = (result: number | null | "stays") => {
        clearTimeout(timer);
        resolve(result);
      };
      child.stdout!.on("data", (data) => {
        printed += data;
        if (isReady()) done("stays");
      });
      child.on("close", done);
    });
    if (status === "stays") {
      this.#staying.push(child);
      return;
    }
    if (stays) throw new Error(`it ended (${status}):\n${printed}`);
    if (fails === (status === 0)) throw new Error(`exit status ${status}:\n${printed}`);
    if (prints !== null && !isAsPrinted(printed, prints))
      throw new Error(`the page has\n${prints}\nit printed\n${printed}`);
  }

  async leave(): Promise<void> {
    const running = [this.#holder, ...this.#staying].filter((child) => child.exitCode === null);
    const gone = running.map((child) => once(child, "exit"));
    this.#holder.kill("SIGKILL");
    await Promise.all(gone);
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** A shell where the reader is; what it prints and complains of comes in one stream, as at a terminal. */
  #bash(script: string): ChildProcess {
    const { pid } = this.#holder;
    const [inner] = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ");
    const enter = ["--target", inner!, "--net", "--mount", "--pid", `--wd=${this.folder}`];
    return spawn("nsenter", [...enter, "bash", "-euo", "pipefail", "-c", `exec 2>&1\n${script}`], {
      stdio: ["ignore", "pipe", "inherit"],
      env: {
        ...process.env,
        PATH: `${join(this.folder, "node_modules/.bin")}:${join(__dirname, "bin")}:${process.env.PATH}`,
      },
    });
  }
}
