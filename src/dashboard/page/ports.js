// Where a public address's ports are in use: a map of 64 ranges for each protocol, darker where more are.
import { byId, element, fillRows, setText } from "./dom.js";
import { count, percent } from "./format.js";

/** @import { Reading, AddressUse } from "../../control/reading.js" */

const RANGE = 1024;
const SHADES = 5;
const ALWAYS = ["tcp", "udp", "icmp"];

export class Ports {
  #list = byId("ports");

  /** @param {Reading} reading */
  show({ ports, addresses }) {
    const rows = ports.flatMap((use) =>
      Object.entries(use.used)
        .filter(([protocol, used]) => used > 0 || ALWAYS.includes(protocol))
        .map(([protocol, used]) => ({ use, protocol, used })),
    );
    setText(
      byId("ports-note"),
      addresses > ports.length
        ? `the ${ports.length} fullest of ${count(addresses)} addresses`
        : "ports in use, by ranges of 1,024",
    );
    fillRows(this.#list, rows, makeRow, fillRow);
  }
}

function makeRow() {
  const cells = element("div", { class: "heat", role: "img" });
  for (let i = 0; i < 64; i++) cells.append(element("i"));
  return element(
    "li",
    {},
    element("span", { class: "who" }),
    cells,
    element("b"),
    element("span", { class: "of" }),
  );
}

/**
 * @param {HTMLElement} row
 * @param {{ use: AddressUse, protocol: string, used: number }} item
 */
function fillRow(row, { use, protocol, used }) {
  const [who, heat, share, of] = /** @type {[HTMLElement, HTMLElement, HTMLElement, HTMLElement]} */ ([
    ...row.children,
  ]);
  const name = `${use.address} ${protocol}`;
  const text = `${count(used)} of ${count(use.ports)}`;
  setText(who, name);
  setText(share, percent(used, use.ports));
  setText(of, text);
  heat.hidden = use.ranges === null;
  if (use.ranges === null) return;
  const label = `${name}: ${text} ports in use`;
  if (heat.getAttribute("aria-label") !== label) heat.setAttribute("aria-label", label);
  const ranges = use.ranges[/** @type {keyof typeof use.ranges} */ (protocol)];
  ranges.forEach((some, i) => {
    const cell = /** @type {HTMLElement} */ (heat.children[i]);
    // Few ports are seen, too: the shades are a matter of orders of magnitude.
    const shade =
      some === 0 ? 0 : Math.min(SHADES, 1 + Math.floor((Math.log(some) / Math.log(RANGE + 1)) * SHADES));
    const title = `${i * RANGE}–${i * RANGE + RANGE - 1}: ${some} in use`;
    if (cell.title === title) return;
    cell.title = title;
    cell.className = `shade-${shade}`;
  });
}
