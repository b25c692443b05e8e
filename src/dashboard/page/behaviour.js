// What the NAT does, in plain words.
import { byId, element } from "./dom.js";
import { ask } from "./gateway.js";
/** @import { BehaviourInWords } from "../../explain/behaviour.js" */

/** Reads it anew: a reload may have changed it. */
export async function showBehaviour() {
  /** @type {BehaviourInWords[]} */
  const rows = await ask("/behaviour");
  byId("behaviour").replaceChildren(
    ...rows.map(({ topic, value, meaning, key }) =>
      element(
        "tr",
        {},
        element("th", { scope: "row" }, topic),
        element("td", {}, element("b", {}, value)),
        element("td", {}, meaning),
        element("td", {}, element("code", {}, key)),
      ),
    ),
  );
}
