/** The two routers: the Linux kernel's NAT in namespaces that `router.py` makes, and napt. */
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Nat } from "../../src/index.js";
import { decode, hex, inPrefix } from "../support/packets.js";
import { INSIDE, type World } from "./worlds.js";

export type Side = "inside" | "outside";

/** A packet and the side on which it enters or leaves the router. */
export interface Passage {
  side: Side;
  packet: Uint8Array;
}

/** What a router put out for the packets it was sent. */
export interface Outcome {
  out: Passage[];
  /** Why it dropped some of them, as far as it says: napt's drop reasons, or "invalid" of conntrack. */
  reasons: string[];
  /** When, in ms of some clock. */
  at: number;
}

/** What each of the two has or does. */
export interface Both<T> {
  kernel: T;
  napt: T;
}

export type Who = keyof Both<unknown>;

export function both<T>(make: (who: Who) => T): Both<T> {
  return { kernel: make("kernel"), napt: make("napt") };
}

/** Why there can be no kernel to compare with here, or null. */
export function whyNoKernel(): string | null {
  if (process.platform !== "linux") return "the kernel's NAT is compared on Linux only";
  if (process.getuid?.() !== 0) return "making network namespaces needs root";
  for (const tool of ["python3", "nft", "ip"]) {
    try {
      execFileSync("sh", ["-c", `command -v ${tool}`]);
    } catch {
      return `${tool} is not installed (Debian: apt-get install python3 nftables iproute2)`;
    }
  }
  try {
    execFileSync("unshare", ["--net", "true"], { stdio: "ignore" });
  } catch {
    return "this machine does not let network namespaces be made (unshare --net)";
  }
  return null;
}

type Answer = { error?: string } & Record<string, unknown>;

/** The kernel's NAT. */
export class KernelRouter {
  private readonly waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void }[] = [];
  private complaint = "";
  private ended: Error | null = null;

  private constructor(private readonly child: ChildProcessWithoutNullStreams) {
    createInterface({ input: child.stdout }).on("line", (line) => {
      const answer = JSON.parse(line) as Answer;
      const { resolve, reject } = this.waiting.shift()!;
      if (answer.error === undefined) resolve(answer);
      else reject(new Error(`the kernel's router: ${answer.error}`));
    });
    child.stderr.on("data", (data) => {
      this.complaint += String(data);
    });
    child.stdin.on("error", () => {}); // "exit" tells
    child.on("exit", (code, signal) => {
      this.ended = new Error(`the kernel's router ended (${code ?? signal}): ${this.complaint.trim()}`);
      for (const { reject } of this.waiting.splice(0)) reject(this.ended);
    });
  }

  static async start(): Promise<KernelRouter> {
    const router = new KernelRouter(spawn("python3", [join(__dirname, "router.py")]));
    await router.expect();
    return router;
  }

  /** Takes everything down. */
  async close(): Promise<void> {
    if (this.ended !== null) return;
    const gone = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.stdin.end();
    await gone;
  }

  /** Makes it the router of a world. */
  async enter({ kernel }: World): Promise<void> {
    const rules = `flush ruleset\n${kernel.rules}`;
    const mtu = { inside: 1500, outside: 1500, ...kernel.mtu };
    await this.ask({ addresses: kernel.addresses, mtu, rules, sysctl: kernel.sysctl });
  }

  /** Forgets all connections and what the rules have learnt. */
  async forget({ kernel }: World): Promise<void> {
    const rules = kernel.sets.map((set) => `flush set ip nat ${set}`).join("\n");
    await this.ask(rules === "" ? {} : { rules });
  }

  async send(packets: readonly Passage[]): Promise<Outcome> {
    const answer = await this.ask({ send: packets.map(({ side, packet }) => [side, hex(packet)]) });
    const out = answer.out as [Side, string][];
    return {
      out: out.map(([side, text]) => ({ side, packet: new Uint8Array(Buffer.from(text, "hex")) })),
      reasons: Array.from({ length: answer.invalid as number }, () => "invalid"),
      at: (answer.at as number) * 1000,
    };
  }

  /** The connections, for people. */
  async table(): Promise<string> {
    return (await this.ask({ table: true })).table as string;
  }

  private ask(request: object): Promise<Answer> {
    if (this.ended === null) this.child.stdin.write(`${JSON.stringify(request)}\n`);
    return this.expect();
  }

  private expect(): Promise<Answer> {
    if (this.ended !== null) return Promise.reject(this.ended);
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
  }
}

/** napt, as a router. */
export class NaptRouter {
  private readonly nat: Nat;
  private now = 1000;

  constructor({ napt }: World) {
    this.nat = new Nat(napt, { seed: 1 });
  }

  close(): void {
    this.nat.close();
  }

  /** @param at when, in ms; a millisecond later than the last time if not given */
  send(packets: readonly Passage[], at = this.now + 1): Outcome {
    this.now = at;
    const out: Passage[] = [];
    const reasons: string[] = [];
    for (const { packet } of packets) {
      const copy = new Uint8Array(packet);
      const { verdict, direction, reason } = this.nat.translate(copy, { now: at });
      if (verdict === "dropped") reasons.push(reason!);
      if (verdict === "forwarded") {
        out.push({ side: direction === "outbound" ? "outside" : "inside", packet: copy });
      } else if (verdict === "passed") {
        out.push({ side: inPrefix(decode(copy).dst, INSIDE) ? "inside" : "outside", packet: copy });
      }
      for (const one of this.nat.take()) {
        if (one.kind === "discarded") reasons.push("discarded");
        else out.push({ side: one.side, packet: one.packet });
      }
    }
    return { out, reasons, at };
  }

  table(): string {
    return [...this.nat.conntrack]
      .map((one) => {
        const end = ({ address, port }: { address: string; port: number }) => `${address}:${port}`;
        const state = one.protocol === "tcp" ? ` ${one.state}` : "";
        return `${one.protocol} ${end(one.inside)} ${end(one.public)} ${end(one.remote)}${state}\n`;
      })
      .join("");
  }
}
