// Who may use the dashboard and the API over HTTP.
import { equal, match, throws } from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Access } from "../../src/control/access.js";
import type { HttpConfig } from "../../src/gateway/config.js";

const TOKEN = "0123456789abcdef0123456789abcdef";
const LOCAL: HttpConfig = { address: "127.0.0.1", port: 9469 };

/** The status that a request is refused with, or 0. */
function status(
  http: HttpConfig,
  headers: Record<string, string>,
  method = "GET",
  what: "toApi" | "toPage" = "toApi",
) {
  const request = { method, headers: { host: "127.0.0.1:9469", ...headers } } as unknown as IncomingMessage;
  return new Access(http)[what](request)?.status ?? 0;
}

describe("without a token, on this system", () => {
  test("a request has to name it: a name of somebody else's that leads here is refused", () => {
    for (const host of ["127.0.0.1:9469", "localhost:9469", "localhost", "LOCALHOST:8080", "127.8.9.1"]) {
      equal(status(LOCAL, { host }), 0, host);
      equal(status(LOCAL, { host }, "GET", "toPage"), 0, host);
    }
    for (const host of [
      "evil.example:9469",
      "127.0.0.1.evil.example",
      "localhost.evil.example",
      "",
      "192.0.2.1",
    ]) {
      equal(status(LOCAL, { host }), 403, host);
      equal(status(LOCAL, { host }, "GET", "toPage"), 403, host);
    }
  });

  test("another site's page may neither ask nor change", () => {
    for (const method of ["GET", "POST", "DELETE"]) {
      const own = { "x-napt": "1" };
      equal(status(LOCAL, { ...own, origin: "http://127.0.0.1:9469" }, method), 0);
      equal(status(LOCAL, { ...own, "sec-fetch-site": "same-origin" }, method), 0);
      for (const origin of [
        "http://evil.example",
        "http://127.0.0.1:8080",
        "http://localhost:9469",
        "null",
      ]) {
        equal(status(LOCAL, { ...own, origin }, method), 403, origin);
      }
      for (const site of ["cross-site", "same-site"]) {
        equal(status(LOCAL, { ...own, "sec-fetch-site": site }, method), 403, site);
      }
    }
    equal(status(LOCAL, { "sec-fetch-site": "none" }), 0);
  });

  test("what changes something needs a header that no form can send", () => {
    for (const method of ["POST", "DELETE", "PUT", "OPTIONS", "HEAD"]) {
      equal(status(LOCAL, {}, method), 403, method);
      equal(status(LOCAL, { "x-napt": "1" }, method), 0, method);
    }
  });

  test("on another address nobody may", () => {
    for (const address of ["0.0.0.0", "203.0.113.1"]) {
      const http = { ...LOCAL, address };
      equal(status(http, {}), 403);
      equal(status(http, { host: "localhost" }), 403);
      equal(status(http, {}, "GET", "toPage"), 403);
    }
  });
});

describe("with a token", () => {
  const everywhere: HttpConfig = { address: "0.0.0.0", port: 9469, token: TOKEN };

  test("who has it may, by whatever name he asks; the page itself is for all", () => {
    for (const http of [everywhere, { ...LOCAL, token: TOKEN }]) {
      const host = "gateway.example:9469";
      equal(status(http, { host, authorization: `Bearer ${TOKEN}` }), 0);
      equal(status(http, { host, authorization: `bearer ${TOKEN}`, "x-napt": "1" }, "POST"), 0);
      equal(status(http, { host }, "GET", "toPage"), 0);
      for (const authorization of [
        "",
        `Bearer ${TOKEN}x`,
        `Bearer ${TOKEN.slice(1)}`,
        `Basic ${TOKEN}`,
        TOKEN,
        "Bearer",
      ]) {
        equal(status(http, { host, authorization }), 401, authorization);
      }
      equal(status(http, { host }), 401);
    }
  });

  test("another site's page may not, though it had it", () => {
    const authorization = `Bearer ${TOKEN}`;
    equal(status(everywhere, { authorization, origin: "http://evil.example" }), 403);
    equal(status(everywhere, { authorization }, "POST"), 403);
  });

  test("its file is for its owner alone, and has a token in it", () => {
    const directory = mkdtempSync(join(tmpdir(), "napt-token-"));
    const tokenFile = join(directory, "token");
    const http = { ...LOCAL, tokenFile };
    try {
      throws(() => new Access(http), {
        code: "NAT_ERR_GATEWAY",
        message: /tokenFile: ".*token" can't be read: ENOENT/,
      });
      writeFileSync(tokenFile, `${TOKEN}\n`, { mode: 0o600 });
      equal(status(http, { authorization: `Bearer ${TOKEN}` }), 0);
      equal(status(http, {}), 401);
      for (const mode of [0o640, 0o604, 0o620]) {
        chmodSync(tokenFile, mode);
        throws(() => new Access(http), /may be read by others \(its mode is 6[0-9]+\); chmod 600 it/);
      }
      chmodSync(tokenFile, 0o600);
      for (const wrong of ["", "short", "with spaces in it, sadly", "x".repeat(300)]) {
        writeFileSync(tokenFile, wrong);
        throws(() => new Access(http), /has no token in it: 16 to 256 letters/, wrong);
      }
      writeFileSync(tokenFile, "x".repeat(2000));
      throws(() => new Access(http), /has 2000 bytes, which is no token/);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

test("who is refused is told why", () => {
  const request = { method: "GET", headers: { host: "evil.example" } } as unknown as IncomingMessage;
  match(new Access(LOCAL).toApi(request)!.text, /"evil\.example" is no name of this system's own/);
  match(
    new Access({ ...LOCAL, address: "0.0.0.0" }).toApi(request)!.text,
    /give a token with gateway\.http\.tokenFile/,
  );
});
