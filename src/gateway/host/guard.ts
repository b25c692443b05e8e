// Keeps the kernel's own stack from answering packets that are the gateway's: it knows no socket of theirs, and would
// reset every connection.
//
// The rules are in a table that belongs to the nft process that made it (`flags owner`), and that process ends when
// its input does: however the gateway ends, no rule is left.
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import { formatIpv4 } from "../../config/cidr.js";
import type { PortRange } from "../../config/endpoint.js";
import { NatError } from "../../errors.js";
import type { OwnPorts } from "./ports.js";

/** Milliseconds until a guard that ended is there again. */
const AGAIN = 200;

/** What it guards. */
export interface Guarded {
  readonly interface: string;
  /** In host order. */
  readonly address: number;
  readonly ports: OwnPorts;
}

export class HostGuard {
  #warn: (text: string) => void;
  #guarded: Guarded;
  #nft: ChildProcessByStdio<Writable, Readable, Readable> | null = null;
  #timer: NodeJS.Timeout | undefined;

  private constructor(guarded: Guarded, warn: (text: string) => void) {
    this.#guarded = guarded;
    this.#warn = warn;
  }

  /**
   * Sets the rules up.
   * @throws NatError NAT_ERR_GATEWAY when nft can't
   */
  static async open(guarded: Guarded, warn: (text: string) => void): Promise<HostGuard> {
    let trouble = "";
    const guard = new HostGuard(guarded, (text) => {
      trouble += text;
    });
    const nft = guard.#begin();
    // It tells its table once it is there.
    nft.stdin.write(`list table ${tableOf(guarded)}\n`);
    const told = [once(nft.stdout, "data"), once(nft.stderr, "data"), once(nft, "exit")];
    await Promise.race(told).catch(({ message }: Error) => {
      trouble = message;
    });
    guard.#warn = warn;
    if (trouble === "") return guard;
    guard.close();
    throw new NatError(
      "NAT_ERR_GATEWAY",
      `can't keep the host's stack from the gateway's packets: ${trouble.trim()}; this needs nft ` +
        "(Debian: nftables) 1.0 or newer, Linux 5.12, and root or CAP_NET_ADMIN",
    );
  }

  /** Guards another address or other ports from now on, with no moment between. */
  change(guarded: Guarded): void {
    this.#guarded = guarded;
    const lines = [`flush chain ${chainOf(guarded)}`, ...rulesFor(guarded)];
    this.#nft?.stdin.write(`${lines.join("; ")}\n`);
  }

  close(): void {
    clearTimeout(this.#timer);
    const nft = this.#nft;
    this.#nft = null;
    nft?.stdin.end();
  }

  #begin(): ChildProcessByStdio<Writable, Readable, Readable> {
    const nft = spawn("nft", ["-i"], { stdio: ["pipe", "pipe", "pipe"] });
    this.#nft = nft;
    nft.on("error", ({ message }) => this.#warn(message));
    nft.stdin.on("error", () => {}); // it ended, and that is told
    nft.stdout.on("data", () => {});
    nft.stderr.on("data", (text: Buffer) => this.#warn(text.toString()));
    nft.on("exit", () => {
      if (this.#nft !== nft) return;
      this.#warn("nft ended, and with it the rules that keep the host's stack from our packets");
      this.#timer = setTimeout(() => this.#begin(), AGAIN);
    });
    const chain = chainOf(this.#guarded);
    const lines = [
      `add table ${tableOf(this.#guarded)} { flags owner; }`,
      `add chain ${chain} { type filter hook ingress device "${this.#guarded.interface}" priority 0; }`,
      ...rulesFor(this.#guarded),
    ];
    nft.stdin.write(`${lines.join("; ")}\n`);
    return nft;
  }
}

function tableOf({ interface: name }: Guarded): string {
  return `netdev napt-${name.replace(/[^\w.]/g, "_")}`;
}

function chainOf(guarded: Guarded): string {
  return `${tableOf(guarded)} ingress`;
}

function rulesFor(guarded: Guarded): string[] {
  const { address, ports } = guarded;
  const rule = (protocols: string, ranges: readonly PortRange[]) =>
    `add rule ${chainOf(guarded)} ip daddr ${formatIpv4(address)} ip protocol ${protocols} ` +
    `th dport { ${ranges.map(({ lo, hi }) => `${lo}-${hi}`).join(", ")} } drop`;
  return [rule("tcp", ports.tcp), rule("udp", ports.udp), rule("{ sctp, dccp, udplite }", ports.other)];
}
