// Lines over the last minutes.
import { element, setText } from "./dom.js";
import uPlot from "./uplot.js";

/** Seconds that a chart shows, and from one point to the next, at least. */
const SHOWN = 300;
const APART = 0.45;
const HEIGHT = 170;

/** Colours of lines, by their names in style.css. */
const COLOURS = ["--line-1", "--line-2", "--line-3", "--line-4", "--line-5", "--line-6"];

const darkness = matchMedia("(prefers-color-scheme: dark)");

/** @param {string} name */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A chart with a legend that tells the latest values in words. New lines may come; at most as many as colours. */
export class Chart {
  #format;
  /** @type {string[]} */
  #names;
  /** @type {number[]} */
  #times = [];
  /** @type {(number | null)[][]} */
  #values;
  /** @type {uPlot | null} */
  #plot = null;
  /** Its lines are others by now, or their colours. */
  #isStale = false;
  #legend = element("ul", { class: "legend" });
  #area = element("div", { class: "plot", role: "img" });

  /**
   * @param {HTMLElement} figure
   * @param {readonly string[]} names of the lines
   * @param {(value: number) => string} format
   */
  constructor(figure, names, format) {
    this.#format = format;
    this.#names = [...names];
    this.#values = names.map(() => []);
    const caption = figure.querySelector("figcaption");
    this.#area.setAttribute("aria-label", `${caption?.textContent ?? ""}, a chart of the last five minutes`);
    caption?.append(this.#legend);
    figure.append(this.#area);
    darkness.addEventListener("change", () => {
      this.#isStale = true;
      this.#draw();
    });
    new ResizeObserver(() => this.#plot?.setSize(this.#size())).observe(this.#area);
  }

  /**
   * Goes on by a point; a name that is new gets a line.
   * @param {number} at seconds
   * @param {Record<string, number>} values by name
   */
  add(at, values) {
    this.#tell(values);
    if (at - (this.#times.at(-1) ?? 0) < APART) return;
    const known = this.#names.length;
    for (const name of Object.keys(values)) {
      if (this.#names.includes(name) || this.#names.length >= COLOURS.length) continue;
      this.#names.push(name);
      this.#values.push(this.#times.map(() => null));
    }
    this.#times.push(at);
    this.#names.forEach((name, i) => {
      this.#values[i]?.push(values[name] ?? 0);
    });
    const cut = this.#times.findIndex((time) => time >= at - SHOWN);
    for (const list of [this.#times, ...this.#values]) list.splice(0, cut);
    if (this.#names.length !== known) this.#isStale = true;
    this.#draw();
  }

  /** There was no reading for a while: no line leads over that. */
  gap() {
    const last = this.#times.at(-1);
    if (last === undefined || this.#values.every((list) => list.at(-1) === null)) return;
    this.#times.push(last + 0.001);
    for (const list of this.#values) list.push(null);
  }

  /** @param {Record<string, number>} values */
  #tell(values) {
    this.#names.forEach((name, i) => {
      const item =
        this.#legend.children[i] ??
        this.#legend.appendChild(
          element("li", { class: `line-${i + 1}` }, element("span", {}, name), element("b")),
        );
      setText(/** @type {Node} */ (item.lastChild), this.#format(values[name] ?? 0));
    });
  }

  #size() {
    return { width: Math.max(200, this.#area.clientWidth), height: HEIGHT };
  }

  #draw() {
    // Of a view that is not shown nothing is drawn; it comes with the next point.
    if (this.#area.clientWidth === 0) return;
    if (this.#isStale) {
      this.#plot?.destroy();
      this.#plot = null;
      this.#isStale = false;
    }
    const data = /** @type {uPlot.AlignedData} */ ([this.#times, ...this.#values]);
    if (this.#plot === null) this.#plot = new uPlot(this.#options(), data, this.#area);
    else this.#plot.setData(data);
  }

  /** @returns {uPlot.Options} */
  #options() {
    const axis = {
      stroke: colour("--soft"),
      grid: { stroke: colour("--rule"), width: 1 },
      ticks: { show: false },
    };
    const font = "11px system-ui, sans-serif";
    return {
      ...this.#size(),
      legend: { show: false },
      cursor: { y: false, points: { size: 5 }, drag: { x: false, y: false } },
      scales: {
        x: { time: true, range: (_, __, max) => [(max ?? 0) - SHOWN, max ?? SHOWN] },
        y: { range: (_, __, max) => [0, Math.max(max ?? 0, 1) * 1.1] },
      },
      axes: [
        { ...axis, font, space: 80, size: 24, values: (_, times) => times.map((time) => this.#since(time)) },
        {
          ...axis,
          font,
          size: 66,
          space: 36,
          values: (_, values) => values.map((value) => this.#format(value)),
        },
      ],
      series: [
        {},
        ...this.#names.map((name, i) => ({
          label: name,
          stroke: colour(COLOURS[i] ?? "--ink"),
          width: 1.5,
          points: { show: false },
        })),
      ],
    };
  }

  /** @param {number} time */
  #since(time) {
    return new Date(time * 1000).toTimeString().slice(0, 8).replace(/:00$/, "");
  }
}
