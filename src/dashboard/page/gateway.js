// The gateway as the page talks to it: requests with the token, and a reading again and again.
/** @import { Reading } from "../../control/reading.js" */

const TOKEN = "napt-token";
const RATE = "napt-rate";
/** Milliseconds until a request is given up, and between tries while there is no connection. */
const PATIENCE = 5000;
const TRY_EVERY = 1000;

/** What the gateway says to a request that it refuses. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The token comes once, behind the URL, and stays with the tab. */
export function takeToken() {
  const given = /^#token=(.+)$/.exec(location.hash)?.[1];
  if (given === undefined) return;
  setToken(decodeURIComponent(given));
  history.replaceState(null, "", location.pathname);
}

/** @param {string} token */
export function setToken(token) {
  sessionStorage.setItem(TOKEN, token);
}

/**
 * Asks the gateway.
 * @param {string} path below /api
 * @param {{ method?: string, body?: unknown, query?: readonly (readonly [string, string])[] }} [call]
 * @returns {Promise<any>}
 * @throws {Refused} with what the gateway says; TypeError or DOMException when it does not answer
 */
export async function ask(path, { method = "GET", body, query = [] } = {}) {
  /** @type {Record<string, string>} */
  const headers = { "x-napt": "1" };
  const token = sessionStorage.getItem(TOKEN);
  if (token !== null) headers.authorization = `Bearer ${token}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  const search = new URLSearchParams(query.map(([key, value]) => [key, value])).toString();
  const response = await fetch(`api${path}${search === "" ? "" : `?${search}`}`, {
    method,
    headers,
    signal: AbortSignal.timeout(PATIENCE),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (response.ok) return JSON.parse(text);
  throw new Refused(response.status, errorOf(text));
}

/** @param {string} text */
function errorOf(text) {
  try {
    return String(JSON.parse(text).error);
  } catch {
    return text.trim();
  }
}

/**
 * @typedef {object} Listener
 * @property {(reading: Reading) => void | Promise<void>} read with each reading
 * @property {(error: Refused | null) => void} lost it does not answer (null), or refuses
 */

/** Reads the gateway as often as is wished, while the page is to be seen. */
export class Feed {
  #listener;
  #perSecond = Number(localStorage.getItem(RATE) ?? 1);
  /** @type {number | undefined} */
  #timer;
  #busy = false;

  /** @param {Listener} listener */
  constructor(listener) {
    this.#listener = listener;
    document.addEventListener("visibilitychange", () => this.#soon(0));
    this.#soon(0);
  }

  /** Readings a second; 0: none. */
  get rate() {
    return this.#perSecond;
  }

  set rate(perSecond) {
    this.#perSecond = perSecond;
    localStorage.setItem(RATE, String(perSecond));
    this.#soon(0);
  }

  /** Reads again at once. */
  now() {
    this.#soon(0);
  }

  /** @param {number} ms */
  #soon(ms) {
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => this.#read(), ms);
  }

  async #read() {
    if (this.#busy || document.hidden) return;
    this.#busy = true;
    const began = performance.now();
    let wait = TRY_EVERY;
    try {
      await this.#listener.read(await ask("/reading"));
      wait = this.#perSecond === 0 ? Number.POSITIVE_INFINITY : 1000 / this.#perSecond;
    } catch (error) {
      this.#listener.lost(error instanceof Refused ? error : null);
      if (!(error instanceof Refused || error instanceof TypeError || error instanceof DOMException))
        throw error;
    } finally {
      this.#busy = false;
      if (Number.isFinite(wait)) this.#soon(Math.max(0, wait - (performance.now() - began)));
    }
  }
}
