// The sessions as a table of any length: the gateway sorts and filters it, and is asked for the rows in view alone.
//
// The table stands still in a box that scrolls over a space as high as all rows would be; where it was scrolled to
// tells which rows to show. Rows are made once and get other texts.
import { byId, element, setText } from "./dom.js";
import { bits, bytes, count, duration, endpoint, short } from "./format.js";
import { ask, Refused } from "./gateway.js";

/** @import { SessionPage } from "../../control/session-pages.js" */
/** @import { ToldSession } from "../../control/told-session.js" */

/** Rows that are asked for above and below those in view. */
const MARGIN = 15;
/** Browsers have no room for elements much higher. */
const HIGHEST = 12_000_000;
/** Milliseconds from the last key until a search begins. */
const TYPING = 250;
/** More would leave no room for the others. */
const MOST_PINS = 8;

/** @type {readonly (readonly [name: string, title: string, sort: string | null])[]} */
const COLUMNS = [
  ["protocol", "Protocol", "protocol"],
  ["state", "State", "state"],
  ["inside", "Inside", "inside"],
  ["public", "Public", "public"],
  ["remote", "Remote", "remote"],
  ["bytes", "Bytes out / in", "bytes"],
  ["packets", "Packets out / in", "packets"],
  ["rate", "Rate out / in", null],
  ["age", "Age", "age"],
  ["idle", "Idle", "idle"],
  ["ends", "Ends in", "ends"],
];
/** Columns whose most interesting end is the highest. */
const HIGH_FIRST = new Set(["bytes", "packets", "age"]);

/** @typedef {{ at: number, outbound: number, inbound: number }} Seen */

export class Sessions {
  #grid = byId("grid");
  #space = byId("space");
  #rows = byId("rows");
  #pinned = byId("pinned");
  #error = byId("search-error");
  #search = /** @type {HTMLInputElement} */ (byId("search"));
  /** @type {string[]} */
  #terms = [];
  /** The latest that the gateway took. @type {string[]} */
  #understood = [];
  #sort = "bytes";
  #descending = true;
  /** @type {SessionPage} */
  #page = { at: 0, total: 0, from: 0, sessions: [], pinned: [] };
  /** @type {string[]} */
  #pins = [];
  /** @type {Map<string, Seen>} */
  #seen = new Map();
  /** @type {Map<string, string>} */
  #rates = new Map();
  #active = -1;
  #asking = false;
  #again = false;
  /** What was asked for last, and answered: another page is of other rows. */
  #shown = "";
  /** @type {number | undefined} */
  #typing;

  constructor() {
    this.#makeHead();
    this.#grid.addEventListener("scroll", () => this.#moved(), { passive: true });
    this.#grid.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.#moved()).observe(this.#grid);
    this.#search.addEventListener("input", () => {
      clearTimeout(this.#typing);
      this.#typing = window.setTimeout(() => this.#begin(), TYPING);
    });
    byId("search-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#begin();
    });
    for (const example of byId("search-examples").querySelectorAll("button")) {
      example.addEventListener("click", () => {
        this.#search.value = example.textContent ?? "";
        this.#begin();
      });
    }
  }

  /** Asks for the rows in view; while an answer is on its way, once more after it. */
  async show() {
    if (this.#asking) {
      this.#again = true;
      return;
    }
    this.#asking = true;
    try {
      do {
        this.#again = false;
        await this.#ask();
      } while (this.#again);
    } finally {
      this.#asking = false;
    }
  }

  async #ask() {
    const { first, visible } = this.#view();
    const terms = this.#terms;
    /** @type {[string, string][]} */
    const query = [
      ...terms.map((term) => /** @type {[string, string]} */ (["q", term])),
      ["sort", this.#sort],
      ["order", this.#descending ? "descending" : "ascending"],
    ];
    const what = JSON.stringify(query);
    query.push(["from", String(Math.max(0, first - MARGIN))], ["count", String(visible + 2 * MARGIN)]);
    for (const pin of this.#pins) query.push(["pin", pin]);
    try {
      /** @type {SessionPage} */
      const page = await ask("/sessions/page", { query });
      this.#measure(page);
      this.#page = page;
      this.#understood = terms;
      this.#shown = what;
      this.#draw();
    } catch (error) {
      // A search that is no search, or one too many at a time: what was found before stays.
      if (!(error instanceof Refused) || ![400, 503].includes(error.status)) throw error;
      setText(this.#error, error.message);
      if (error.status === 400) this.#terms = this.#understood;
    }
  }

  /** Another search or order: from the top. */
  #begin() {
    clearTimeout(this.#typing);
    setText(this.#error, "");
    this.#terms = searchTerms(this.#search.value);
    setText(byId("found"), "searching…");
    this.#grid.scrollTop = 0;
    this.#active = -1;
    void this.show().catch(() => {});
  }

  /** Rates of rows that were told of before. @param {SessionPage} page */
  #measure({ at, sessions, pinned }) {
    /** @type {Map<string, Seen>} */
    const seen = new Map();
    for (const session of [...sessions, ...pinned]) {
      if (session === null) continue;
      const key = keyOf(session);
      const { outbound, inbound } = session.bytes;
      const before = this.#seen.get(key);
      const seconds = before === undefined ? 0 : (at - before.at) / 1000;
      // Twice within a moment, as while scrolling, is no measure.
      if (before !== undefined && seconds < 0.05) {
        seen.set(key, before);
        continue;
      }
      seen.set(key, { at, outbound, inbound });
      if (before === undefined || outbound < before.outbound) continue;
      const rate = (/** @type {number} */ from, /** @type {number} */ to) =>
        bits((8 * (to - from)) / seconds);
      this.#rates.set(key, `${rate(before.outbound, outbound)} / ${rate(before.inbound, inbound)}`);
    }
    for (const key of this.#rates.keys()) if (!seen.has(key)) this.#rates.delete(key);
    this.#seen = seen;
  }

  get #rowHeight() {
    return Number.parseFloat(getComputedStyle(this.#grid).getPropertyValue("--row"));
  }

  /** Pixels that scrolling by a row takes. */
  get #step() {
    return Math.min(this.#rowHeight, HIGHEST / Math.max(1, this.#page.total));
  }

  #view() {
    const row = this.#rowHeight;
    const above = this.#rows.offsetTop;
    const visible = Math.ceil(Math.max(0, this.#grid.clientHeight - above) / row) + 1;
    return { row, above, visible, first: Math.floor(this.#grid.scrollTop / this.#step) };
  }

  #moved() {
    this.#draw();
    const { first, visible } = this.#view();
    const { from, sessions, total } = this.#page;
    const isMissing = first < from || Math.min(first + visible, total) > from + sessions.length;
    if (isMissing) void this.show().catch(() => {});
  }

  #draw() {
    const { total, from, sessions } = this.#page;
    this.#drawPins();
    const { row, above, visible, first } = this.#view();
    const height = `${above + total * this.#step + (this.#grid.clientHeight - above - row * (visible - 1))}px`;
    if (this.#space.style.height !== height) this.#space.style.height = height;
    this.#rows.style.transform = `translateY(${-((this.#grid.scrollTop % this.#step) / this.#step) * row}px)`;
    this.#grid.setAttribute("aria-rowcount", String(total + 1));
    if (!this.#again) setText(byId("found"), total === 1 ? "1 session" : `${count(total)} sessions`);
    byId("no-sessions").hidden = total > 0 || this.#shown === "";
    const shown = Math.max(0, Math.min(visible, total - first));
    this.#fit(this.#rows, shown, false);
    for (let i = 0; i < shown; i++) {
      const line = /** @type {HTMLElement} */ (this.#rows.children[i]);
      const index = first + i;
      line.setAttribute("aria-rowindex", String(index + 2));
      line.id = `row-${index}`;
      line.classList.toggle("active", index === this.#active);
      line.classList.toggle("even", index % 2 === 0);
      this.#fill(line, sessions[index - from]);
    }
    if (this.#active >= first && this.#active < first + shown) {
      this.#grid.setAttribute("aria-activedescendant", `row-${this.#active}`);
    } else {
      this.#grid.removeAttribute("aria-activedescendant");
    }
  }

  #drawPins() {
    this.#fit(this.#pinned, this.#pins.length, true);
    this.#pins.forEach((pin, i) => {
      const line = /** @type {HTMLElement} */ (this.#pinned.children[i]);
      line.dataset.pin = pin;
      const session = this.#page.pinned[i] ?? null;
      // What was pinned this moment is not in the answer yet.
      const known = session !== null && keyOf(session) === pin;
      this.#fill(line, known ? session : null);
      line.classList.toggle("ended", !known && this.#page.pinned.length === this.#pins.length);
      if (!known) this.#fillEnded(line, pin);
    });
  }

  /** So many rows. @param {HTMLElement} parent @param {number} rows @param {boolean} pinned */
  #fit(parent, rows, pinned) {
    while (parent.children.length > rows) parent.lastElementChild?.remove();
    while (parent.children.length < rows) parent.append(this.#makeRow(pinned));
  }

  /** @param {boolean} pinned */
  #makeRow(pinned) {
    const line = element("div", { role: "row", class: "row" });
    for (const [name] of COLUMNS) line.append(element("span", { role: "gridcell", class: `c-${name}` }));
    const pin = element(
      "button",
      { type: "button", tabindex: "-1", class: "quiet" },
      pinned ? "Unpin" : "Pin",
    );
    const end = element("button", { type: "button", tabindex: "-1", class: "quiet" }, "End");
    pin.addEventListener("click", () => this.#pin(line.dataset.pin ?? ""));
    end.addEventListener("click", () => void this.#end(line.dataset.pin ?? ""));
    line.append(element("span", { role: "gridcell", class: "c-actions" }, pin, end));
    return line;
  }

  /**
   * @param {HTMLElement} line
   * @param {ToldSession | null | undefined} session undefined: not there yet; null: ended
   */
  #fill(line, session) {
    line.classList.toggle("ended", session === null);
    line.classList.toggle("waiting", session === undefined);
    if (session == null) {
      for (let i = 0; i < COLUMNS.length; i++)
        setText(/** @type {Node} */ (line.children[i]), i === 0 && session === null ? "ended" : "");
      return;
    }
    const key = keyOf(session);
    line.dataset.pin = key;
    const both = (
      /** @type {{ outbound: number, inbound: number }} */ of,
      /** @type {(n: number) => string} */ say,
    ) => `${say(of.outbound)} / ${say(of.inbound)}`;
    const texts = [
      session.protocol,
      session.state ?? "–",
      endpoint(session.inside),
      endpoint(session.public),
      endpoint(session.remote),
      both(session.bytes, bytes),
      both(session.packets, (some) => short(some)),
      this.#rates.get(key) ?? "–",
      duration(session.age),
      duration(session.idle),
      session.expiresIn === null ? "never" : duration(session.expiresIn),
    ];
    texts.forEach((text, i) => {
      setText(/** @type {Node} */ (line.children[i]), text);
    });
  }

  /** @param {HTMLElement} line @param {string} pin */
  #fillEnded(line, pin) {
    const [protocol = "", inside = "", remote = ""] = pin.split(" ");
    const texts = { 0: protocol, 1: line.classList.contains("ended") ? "ended" : "", 2: inside, 4: remote };
    for (const [i, text] of Object.entries(texts))
      setText(/** @type {Node} */ (line.children[Number(i)]), text);
  }

  #makeHead() {
    const head = byId("head");
    for (const [name, title, sort] of COLUMNS) {
      const cell = element("span", {
        role: "columnheader",
        class: `c-${name}`,
        "aria-sort": sort === null ? undefined : "none",
      });
      if (sort === null) cell.append(title);
      else {
        const button = element("button", { type: "button" }, title);
        button.addEventListener("click", () => {
          this.#descending = this.#sort === sort ? !this.#descending : HIGH_FIRST.has(sort);
          this.#sort = sort;
          this.#markSort();
          this.#begin();
        });
        cell.append(button);
      }
      head.append(cell);
    }
    head.append(
      element(
        "span",
        { role: "columnheader", class: "c-actions" },
        element("span", { class: "unseen" }, "Actions"),
      ),
    );
    this.#markSort();
  }

  #markSort() {
    COLUMNS.forEach(([, , sort], i) => {
      if (sort === null) return;
      const order = sort !== this.#sort ? "none" : this.#descending ? "descending" : "ascending";
      byId("head").children[i]?.setAttribute("aria-sort", order);
    });
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.target !== this.#grid || event.ctrlKey || event.metaKey || event.altKey) return;
    const { visible } = this.#view();
    const page = Math.max(1, visible - 2);
    const last = this.#page.total - 1;
    /** @type {Record<string, number>} */
    const moves = {
      ArrowDown: this.#active + 1,
      ArrowUp: this.#active - 1,
      PageDown: this.#active + page,
      PageUp: this.#active - page,
      Home: 0,
      End: last,
    };
    const to = moves[event.key];
    const session = this.#page.sessions[this.#active - this.#page.from];
    if (to !== undefined) this.#goTo(Math.max(0, Math.min(last, to)));
    else if (event.key === "p" && session != null) this.#pin(keyOf(session));
    else if (event.key === "Delete" && session != null) void this.#end(keyOf(session));
    else return;
    event.preventDefault();
  }

  /** @param {number} index */
  #goTo(index) {
    this.#active = index;
    const { first, visible } = this.#view();
    const whole = visible - 2;
    if (index < first) this.#grid.scrollTop = index * this.#step;
    else if (index >= first + whole) this.#grid.scrollTop = (index - whole + 1) * this.#step;
    this.#moved();
  }

  /** Pins it, or no more. @param {string} key */
  #pin(key) {
    if (this.#pins.includes(key)) this.#pins = this.#pins.filter((pin) => pin !== key);
    else if (this.#pins.length < MOST_PINS) this.#pins = [...this.#pins, key];
    this.#draw();
    void this.show().catch(() => {});
  }

  /** Ends a session, if that is meant. @param {string} key */
  async #end(key) {
    const dialog = /** @type {HTMLDialogElement} */ (byId("end-dialog"));
    const [protocol = "", inside = "", remote = ""] = key.split(" ");
    setText(byId("end-what"), `${protocol} ${inside} > ${remote}`);
    dialog.returnValue = "";
    dialog.showModal();
    await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
    if (dialog.returnValue !== "end") return;
    try {
      await ask("/sessions", { method: "DELETE", query: [["flow", key]] });
    } catch (error) {
      setText(this.#error, /** @type {Error} */ (error).message);
    }
    await this.show().catch(() => {});
  }
}

/** What names a session. @param {ToldSession} session */
function keyOf({ protocol, inside, remote }) {
  return `${protocol} ${endpoint(inside)} ${endpoint(remote)}`;
}

/**
 * The words of a search; the beginning of an address stands for all that begin so: "192.168." is 192.168.0.0/16.
 * @param {string} text
 */
export function searchTerms(text) {
  return text
    .split(/[\s,]+/)
    .filter((word) => word !== "")
    .map((word) => {
      const parts = word.replace(/\.$/, "").split(".");
      const isPart =
        parts.length < 4 &&
        /^[0-9]+(\.[0-9]+){0,2}\.?$/.test(word) &&
        (word.includes(".") || word.length > 1);
      return isPart ? `${[...parts, "0", "0", "0"].slice(0, 4).join(".")}/${parts.length * 8}` : word;
    });
}
