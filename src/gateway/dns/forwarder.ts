// Hands DNS queries on to the host's resolvers, one after the other until one answers.
import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { Resolver } from "node:dns";
import { once } from "node:events";
import { answersTo, DNS_PORT, failure, idOf, isQuery, withId } from "./message.js";

/** Milliseconds that one resolver has, and rounds through all of them. */
const PATIENCE = 2000;
const ROUNDS = 2;
/** Queries under way at once, and those of one client: a guest may send any number. */
const MOST = 512;
const SHARE = 64;

/** Asks the resolvers. */
export class DnsForwarder {
  readonly #servers: readonly string[];
  #underWay = 0;
  readonly #shares = new Map<number, number>();
  /** The one that answered last is asked first. */
  #first = 0;

  /** @param servers addresses of resolvers; none: the host's */
  constructor(servers: readonly string[] = []) {
    this.#servers = servers;
  }

  /**
   * The answer to a query, or null where there is nothing to say: it is none, or there are too many.
   *
   * @param client its address
   */
  async answer(query: Buffer, client: number): Promise<Buffer | null> {
    const share = this.#shares.get(client) ?? 0;
    if (!isQuery(query) || this.#underWay >= MOST || share >= SHARE) return null;
    this.#count(client, 1);
    try {
      return await this.#ask(query);
    } finally {
      this.#count(client, -1);
    }
  }

  #count(client: number, more: 1 | -1): void {
    const share = (this.#shares.get(client) ?? 0) + more;
    if (share === 0) this.#shares.delete(client);
    else this.#shares.set(client, share);
    this.#underWay += more;
  }

  async #ask(query: Buffer): Promise<Buffer> {
    const servers = this.#servers.length > 0 ? this.#servers : hostResolvers();
    for (let i = 0; i < ROUNDS * servers.length; i++) {
      const number = (this.#first + i) % servers.length;
      const answer = await askOne(servers[number]!, withId(query, randomInt(0x10000)));
      if (answer === null) continue;
      this.#first = number;
      return withId(answer, idOf(query));
    }
    return failure(query);
  }
}

/** One resolver's answer, or null. Each query has a socket, and so a port, of its own (RFC 5452, section 9.2). */
async function askOne(server: string, query: Buffer): Promise<Buffer | null> {
  const [address = "", port = String(DNS_PORT)] = server.split("#");
  const socket = createSocket("udp4");
  try {
    const answer = new Promise<Buffer | null>((resolve) => {
      const timer = setTimeout(() => resolve(null), PATIENCE);
      const end = (message: Buffer | null) => {
        clearTimeout(timer);
        resolve(message);
      };
      // Refused: it does not listen.
      socket.on("error", () => end(null));
      socket.on("message", (message) => {
        if (answersTo(message, query)) end(message);
      });
    });
    socket.connect(Number(port), address);
    await Promise.race([once(socket, "connect"), answer]);
    socket.send(query, () => {});
    return await answer;
  } catch {
    return null;
  } finally {
    socket.close();
  }
}

/** The resolvers that the host has now, by IPv4. */
function hostResolvers(): string[] {
  return new Resolver().getServers().filter((server) => /^[0-9.]+$/.test(server));
}
