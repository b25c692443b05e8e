// Forwards: those in force, one more, one less.
import { byId, element, fillRows, setText } from "./dom.js";
import { ask } from "./gateway.js";

/** @typedef {{ protocol: string, outside: string, inside: string }} Forward */

export class Forwards {
  #error = byId("forward-error");
  #form = /** @type {HTMLFormElement} */ (byId("forward-form"));

  constructor() {
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      const given = new FormData(this.#form);
      const forward = {
        protocol: text(given, "protocol"),
        outside: text(given, "outside"),
        inside: text(given, "inside"),
      };
      void this.#change(async () => {
        await ask("/forwards", { method: "POST", body: forward });
        this.#form.reset();
      });
    });
  }

  async show() {
    /** @type {Forward[]} */
    const forwards = await ask("/forwards");
    byId("no-forwards").hidden = forwards.length > 0;
    fillRows(byId("forwards"), forwards, makeRow, (row, forward) => {
      const [protocol, outside, inside, action] = /** @type {HTMLElement[]} */ ([...row.children]);
      const name = `${forward.protocol} ${forward.outside}`;
      if (protocol && outside && inside && action && row.dataset.name !== name + forward.inside) {
        row.dataset.name = name + forward.inside;
        setText(protocol, forward.protocol);
        setText(outside, forward.outside);
        setText(inside, forward.inside);
        const remove = element(
          "button",
          { type: "button", class: "quiet", "aria-label": `Remove the forward of ${name}` },
          "Remove",
        );
        remove.addEventListener("click", () => void this.#remove(forward));
        action.replaceChildren(remove);
      }
    });
  }

  /** @param {Forward} forward */
  #remove({ protocol, outside }) {
    const query = /** @type {const} */ ([
      ["protocol", protocol],
      ["outside", outside],
    ]);
    return this.#change(() => ask("/forwards", { method: "DELETE", query }));
  }

  /** @param {() => Promise<unknown>} what */
  async #change(what) {
    try {
      await what();
      setText(this.#error, "");
    } catch (error) {
      setText(this.#error, /** @type {Error} */ (error).message);
    }
    await this.show().catch(() => {});
  }
}

function makeRow() {
  return element(
    "tr",
    {},
    element("th", { scope: "row" }),
    element("td", { class: "mono" }),
    element("td", { class: "mono" }),
    element("td"),
  );
}

/** @param {FormData} form @param {string} name */
const text = (form, name) => String(form.get(name) ?? "").trim();
