// The server of both port control protocols, without a socket: datagrams in, datagrams out.
import { monotonicNow } from "../clock.js";
import { networkOf, parseCidr, parseIpv4 } from "../config/cidr.js";
import { checkTime, type SessionEndpoint } from "../conntrack.js";
import { NatError } from "../errors.js";
import type { Nat } from "../nat.js";
import { Context } from "./context.js";
import { Ledger } from "./ledger.js";
import { RESPONSE_BIT } from "./message.js";
import { answerNatPmp } from "./nat-pmp.js";
import { announcement, answerPcp } from "./pcp.js";

/** The UDP port of a server for PCP and NAT-PMP. */
export const PCP_PORT = 5351;
/** The UDP port of clients that listen for announcements, on 224.0.0.1. */
export const PCP_CLIENT_PORT = 5350;

/** How a `PcpServer` answers. */
export interface PcpServerOptions {
  /** Seconds that a mapping lives at least, whatever is asked for (RFC 6887, section 15). @default 120 */
  minLifetime?: number;
  /** And at most. @default 86400 */
  maxLifetime?: number;
  /** Where `now` comes from when a call does not say, in ms. @default performance.now, as for a `Nat` */
  clock?: () => number;
}

/**
 * Lets inside hosts control their mappings by PCP (RFC 6887) or NAT-PMP (RFC 6886).
 *
 * Supported are MAP, PEER and ANNOUNCE with the options PREFER_FAILURE and FILTER. THIRD_PARTY is not: every host
 * asks for itself.
 *
 * @example
 * const pcp = new PcpServer(nat);
 * socket.bind(PCP_PORT, "192.168.226.1"); // the NAT's inside address, so that none comes from outside
 * socket.on("message", (request, from) => {
 *   const answer = pcp.answer(request, from);
 *   if (answer !== null) socket.send(answer, from.port, from.address);
 * });
 */
export class PcpServer {
  readonly #nat: Nat;
  readonly #clock: () => number;
  readonly #lifetimes: { min: number; max: number };
  readonly #ledger = new Ledger();
  #config: Nat["config"];
  #began: number | null = null;

  /** @throws NatError NAT_ERR_ARGUMENT */
  constructor(
    nat: Nat,
    { minLifetime = 120, maxLifetime = 86_400, clock = monotonicNow }: PcpServerOptions = {},
  ) {
    if (!(minLifetime >= 1 && minLifetime <= maxLifetime && maxLifetime <= 365 * 86_400)) {
      const given = `${String(minLifetime)} and ${String(maxLifetime)}`;
      throw new NatError(
        "NAT_ERR_ARGUMENT",
        `minLifetime, maxLifetime: ${given} are not 1 s to a year in order`,
      );
    }
    this.#nat = nat;
    this.#clock = clock;
    this.#lifetimes = { min: minLifetime, max: maxLifetime };
    this.#config = nat.config;
  }

  /**
   * Answers one datagram.
   * @param from the client; of an address that is not inside nothing is answered
   * @param now ms
   * @returns the datagram to send back, or null for none
   * @throws NatError NAT_ERR_ARGUMENT, NAT_ERR_CLOSED
   */
  answer(datagram: Uint8Array, from: Pick<SessionEndpoint, "address">, now = this.#clock()): Buffer | null {
    checkTime(now);
    const request = Buffer.from(datagram.buffer, datagram.byteOffset, datagram.byteLength);
    const isRequest = request.length >= 2 && (request[1]! & RESPONSE_BIT) === 0;
    if (!isRequest || !this.#isInside(from.address)) return null;
    const epoch = this.#epoch(now);
    const context = new Context(this.#nat, this.#ledger, from.address, now, epoch, this.#lifetimes);
    return request[0] === 0 ? answerNatPmp(request, context) : answerPcp(request, context);
  }

  /**
   * What to send to 224.0.0.1, port {@link PCP_CLIENT_PORT}, when the server has begun or a new config has ended
   * mappings, so that clients ask again at once (RFC 6887, section 14.1.3).
   */
  announcement(now = this.#clock()): Buffer {
    checkTime(now);
    return announcement(this.#epoch(now));
  }

  /** Seconds since the server began, or since it lost mappings (RFC 6887, section 8.5). */
  #epoch(now: number): number {
    this.#began ??= now;
    if (this.#nat.config !== this.#config) {
      this.#config = this.#nat.config;
      if (this.#ledger.dropLost(this.#nat, now)) this.#began = now;
    }
    return Math.max(0, Math.floor((now - this.#began) / 1000)) % 2 ** 32;
  }

  #isInside(address: string): boolean {
    const number = parseIpv4(address);
    const { inside, policies } = this.#nat.config;
    const prefixes = [...inside, ...policies.flatMap((policy) => policy.inside)];
    return prefixes.some((text) => {
      const { network, bits } = parseCidr(text)!;
      return number !== null && networkOf(number, bits) === network;
    });
  }
}
