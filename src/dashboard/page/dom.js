// Elements, made and changed in one line.

/**
 * An element with attributes, listeners ("onclick") and children.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | number | boolean | EventListener | undefined>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== undefined && value !== false) made.setAttribute(name, String(value));
  }
  made.append(...children);
  return made;
}

/**
 * The element with an id, which is there.
 * @template {HTMLElement} [Kind=HTMLElement]
 * @param {string} id
 * @returns {Kind}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`there is no #${id}`);
  return /** @type {Kind} */ (found);
}

/**
 * Gives an element another text, if it is another.
 * @param {Node} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * What there is of a list as rows: as many as there are items, each filled anew.
 * @template Item
 * @param {Element} parent
 * @param {readonly Item[]} items
 * @param {() => HTMLElement} make
 * @param {(row: HTMLElement, item: Item) => void} fill
 */
export function fillRows(parent, items, make, fill) {
  while (parent.children.length > items.length) parent.lastElementChild?.remove();
  while (parent.children.length < items.length) parent.append(make());
  items.forEach((item, i) => {
    fill(/** @type {HTMLElement} */ (parent.children[i]), item);
  });
}

/**
 * A table's row with so many cells; the first is its header.
 * @param {number} cells
 */
export function tableRow(cells) {
  const row = element("tr", {}, element("th", { scope: "row" }));
  for (let i = 1; i < cells; i++) row.append(element("td"));
  return row;
}

/**
 * @param {Element} row
 * @param {readonly string[]} texts
 */
export function setCells(row, texts) {
  texts.forEach((text, i) => {
    const cell = row.children[i];
    if (cell !== undefined) setText(cell, text);
  });
}
