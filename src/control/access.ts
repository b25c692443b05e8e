// Who may use the dashboard and the API over HTTP.
//
// With a token: who has it. Without: programs of this system, and its browsers as far as the page that asks is the
// dashboard itself. A browser also asks for other sites' pages; so a request must name this host (a name of another's
// that leads here is DNS rebinding), must not come from another site's page, and what changes something needs a header
// that such a page can't send unasked (CSRF).
import { createHash, timingSafeEqual } from "node:crypto";
import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { NatError } from "../errors.js";
import { type HttpConfig, TOKEN_PATTERN } from "../gateway/config.js";

/** The header that a request needs that changes something. */
const HEADER = "x-napt";

const LOOPBACK = /^127(\.[0-9]{1,3}){3}$/;

/** Why somebody may not. */
export interface Refusal {
  readonly status: 401 | 403 | 503;
  readonly text: string;
}

/** Who may, where the HTTP port is now. */
export class Access {
  readonly #address: string;
  readonly #token: Buffer | null;

  /** @throws NatError NAT_ERR_GATEWAY when the token's file is not right */
  constructor(http: HttpConfig) {
    this.#address = http.address;
    const token = http.token ?? (http.tokenFile === undefined ? null : readToken(http.tokenFile));
    this.#token = token === null ? null : digest(token);
  }

  /** Why a request for a page may not be answered; null: it may. The page itself has no secrets. */
  toPage({ headers }: IncomingMessage): Refusal | null {
    if (this.#token !== null) return null;
    if (!LOOPBACK.test(this.#address)) {
      return {
        status: 403,
        text: `the dashboard is not served at ${this.#address} to everybody: give a token with gateway.http.tokenFile, or listen on 127.0.0.1`,
      };
    }
    const { host = "" } = headers;
    const name = host.replace(/:[0-9]*$/, "").toLowerCase();
    if (name === "localhost" || LOOPBACK.test(name)) return null;
    return {
      status: 403,
      text: `"${host}" is no name of this system's own; ask for localhost, or give a token with gateway.http.tokenFile`,
    };
  }

  /** Why a request to the API may not be answered; null: it may. */
  toApi(request: IncomingMessage): Refusal | null {
    return this.toPage(request) ?? this.#ofStranger(request) ?? this.#withoutToken(request);
  }

  #ofStranger({ headers, method }: IncomingMessage): Refusal | null {
    const { origin, host } = headers;
    const site = headers["sec-fetch-site"] ?? "none";
    const isOwn = origin === undefined || origin.replace(/^https?:\/\//, "") === host;
    if (!isOwn || (site !== "same-origin" && site !== "none")) {
      return { status: 403, text: "another site's page may not ask this" };
    }
    if (method === "GET" || headers[HEADER] !== undefined) return null;
    return { status: 403, text: `what changes something needs the header "${HEADER}: 1"` };
  }

  #withoutToken({ headers }: IncomingMessage): Refusal | null {
    if (this.#token === null) return null;
    const [scheme, token = ""] = (headers.authorization ?? "").split(" ");
    if (scheme?.toLowerCase() === "bearer" && timingSafeEqual(digest(token), this.#token)) return null;
    const text =
      headers.authorization === undefined
        ? "this needs the gateway's token"
        : "this is not the gateway's token";
    return { status: 401, text };
  }
}

/** Of equal length, whatever the text: so a comparison tells nothing. */
function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function readToken(path: string): string {
  const wrong = (what: string) =>
    new NatError("NAT_ERR_GATEWAY", `gateway.http.tokenFile: "${path}" ${what}`);
  let text: string;
  try {
    const file = openSync(path, "r");
    try {
      const { mode, size } = fstatSync(file);
      if ((mode & 0o077) !== 0) {
        throw wrong(`may be read by others (its mode is ${(mode & 0o777).toString(8)}); chmod 600 it`);
      }
      if (size > 1024) throw wrong(`has ${size} bytes, which is no token`);
      text = readFileSync(file, "utf8").trim();
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw error instanceof NatError ? error : wrong(`can't be read: ${(error as Error).message}`);
  }
  if (TOKEN_PATTERN.test(text)) return text;
  throw wrong("has no token in it: 16 to 256 letters, digits or . _ ~ -; `openssl rand -hex 16` makes one");
}
