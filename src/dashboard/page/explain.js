// What would become of a packet, and why.
import { byId, element, setText } from "./dom.js";
import { ask } from "./gateway.js";
/** @import { ToldExplanation } from "../../explain/words.js" */

export class Explain {
  #form = /** @type {HTMLFormElement} */ (byId("explain-form"));
  #answer = byId("explain-answer");
  #error = byId("explain-error");

  constructor() {
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#ask();
    });
    for (const example of byId("examples").querySelectorAll("button")) {
      example.addEventListener("click", () => {
        /** @type {HTMLTextAreaElement} */ (byId("packet")).value = example.textContent ?? "";
        void this.#ask();
      });
    }
  }

  async #ask() {
    const given = new FormData(this.#form);
    const text = String(given.get("packet") ?? "").trim();
    const from = String(given.get("from") ?? "");
    const what = /^(udp|tcp|icmp)\b/i.test(text) ? { flow: text } : { packet: text };
    try {
      const body = from === "" ? what : { ...what, from };
      const told = await ask("/explain", { method: "POST", body, query: [["words", "1"]] });
      setText(this.#error, "");
      this.#tell(told);
    } catch (error) {
      this.#answer.hidden = true;
      setText(this.#error, /** @type {Error} */ (error).message);
    }
  }

  /** @param {ToldExplanation & { words: string }} told */
  #tell({ verdict, reason, words, fields }) {
    this.#answer.hidden = false;
    const title = byId("verdict");
    title.className = `verdict ${verdict}`;
    setText(title, reason === null ? verdict : `${verdict}: ${reason}`);
    setText(byId("words"), words);
    const table = byId("fields-table");
    table.hidden = fields.every(({ before, after }) => before === after);
    const rows = fields.map(({ name, before, after }) => {
      const changed = before !== after;
      const row = element(
        "tr",
        changed ? { class: "changed" } : {},
        element("th", { scope: "row" }, name),
        element("td", { class: "mono" }, String(before)),
        element("td", { class: "mono" }, changed ? String(after) : "the same"),
      );
      return row;
    });
    byId("fields").replaceChildren(...rows);
  }
}
