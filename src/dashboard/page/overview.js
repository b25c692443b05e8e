// How the gateway fares: rates, sessions, drops, interfaces, notices.
import { Chart } from "./charts.js";
import { byId, element, fillRows, setCells, setText, tableRow } from "./dom.js";
import { ago, bits, bytes, count, duration, percent, perSecond, short } from "./format.js";
import { ratesOf } from "./rates.js";

/** @import { Reading } from "../../control/reading.js" */

/** Milliseconds that rates are taken over. */
const STEADY = 1000;

export class Overview {
  /** Readings of the last second. @type {Reading[]} */
  #latest = [];
  #throughput = new Chart(byId("throughput"), ["out", "in"], bits);
  #packets = new Chart(byId("packets"), ["out", "in"], perSecond);
  #sessions = new Chart(byId("by-protocol"), ["tcp", "udp", "icmp"], (value) => short(value));
  #drops = new Chart(byId("drops"), [], perSecond);

  /** @param {Reading} reading */
  show(reading) {
    const rates = this.#rates(reading);
    if (rates !== null) {
      const { at, drops } = rates;
      this.#throughput.add(at, rates.bits);
      this.#packets.add(at, rates.packets);
      this.#drops.add(at, drops);
      this.#tiles(rates);
    }
    this.#sessions.add(reading.wall / 1000, byProtocol(reading));
    const { active, peak } = reading.status.nat.sessions;
    tile("sessions", count(active), `${limitInWords(reading)}; peak ${short(peak)}`);
    byId("no-drops").hidden = Object.keys(reading.status.nat.drops).length > 0;
    this.#interfaces(reading);
    this.#notices(reading);
  }

  /** It does not answer: what comes next is no neighbour of the last reading. */
  lost() {
    this.#latest = [];
    for (const chart of [this.#throughput, this.#packets, this.#sessions, this.#drops]) chart.gap();
  }

  /** Over a second at least, where there are readings that long: shorter ones jump. @param {Reading} reading */
  #rates(reading) {
    this.#latest.push(reading);
    while (this.#latest.length > 2 && reading.at - (this.#latest[1]?.at ?? 0) >= STEADY) this.#latest.shift();
    const [first] = this.#latest;
    const rates = first === undefined || first === reading ? null : ratesOf(first, reading);
    if (rates === null) this.#latest = [reading];
    return rates;
  }

  /** @param {NonNullable<ReturnType<typeof ratesOf>>} rates */
  #tiles({ bits: flow, packets, opened, dropped, drops }) {
    tile("out", bits(flow.out), `${short(packets.out)} packets/s`);
    tile("in", bits(flow.in), `${short(packets.in)} packets/s`);
    tile("opened", perSecond(opened), "begun a second");
    const worst = Object.entries(drops).sort(([, a], [, b]) => b - a)[0];
    tile(
      "dropped",
      perSecond(dropped),
      worst !== undefined && worst[1] > 0 ? `most: ${worst[0]}` : "none now",
    );
  }

  /** @param {Reading} reading */
  #interfaces({ status }) {
    const rows = /** @type {const} */ (["inside", "outside"]).map((name) => {
      const side = status[name];
      const port = status.gateway?.[name];
      const lost =
        port === undefined
          ? 0
          : port.lost + port.cut + port.tagged + port.spoofed + port.tooLong + port.refused;
      return {
        up: side.up,
        cells: [
          name,
          `${side.interface}, ${side.up ? "up" : "down"}`,
          side.address,
          count(side.neighbours),
          port === undefined ? "–" : `${short(port.received)} frames, ${bytes(port.receivedBytes)}`,
          port === undefined ? "–" : `${short(port.sent)} frames, ${bytes(port.sentBytes)}`,
          count(lost),
        ],
      };
    });
    fillRows(
      byId("interfaces"),
      rows,
      () => tableRow(7),
      (row, { up, cells }) => {
        setCells(row, cells);
        row.classList.toggle("bad", !up);
      },
    );
  }

  /** @param {Reading} reading */
  #notices({ notices, wall }) {
    byId("no-notices").hidden = notices.length > 0;
    fillRows(
      byId("notices"),
      notices,
      () => element("li", {}, element("time"), element("span")),
      (row, { at, text }) => {
        setCells(row, [ago(wall - at), text]);
      },
    );
  }
}

/** @param {Reading} reading */
function byProtocol({ sessions }) {
  /** @type {Record<string, number>} */
  const sums = { tcp: 0, udp: 0, icmp: 0 };
  for (const { protocol, count: some } of sessions) {
    const name = protocol.startsWith("ip-") ? "other" : protocol;
    sums[name] = (sums[name] ?? 0) + some;
  }
  return sums;
}

/** @param {Reading} reading */
function limitInWords({ sessionsLimit, status }) {
  if (sessionsLimit === 0) return "no limit";
  return `${percent(status.nat.sessions.active, sessionsLimit)} of ${short(sessionsLimit)}`;
}

/**
 * @param {string} name
 * @param {string} value
 * @param {string} more
 */
function tile(name, value, more) {
  const [, figure, below] = byId(`tile-${name}`).children;
  if (figure !== undefined) setText(figure, value);
  if (below !== undefined) setText(below, more);
}

/**
 * The gateway in a line, for the top of the page.
 * @param {Reading} reading
 */
export function gatewayInWords({ status, version }) {
  const { running, uptime, inside, outside } = status;
  const ways = `${inside.interface} → ${outside.interface}`;
  return running ? `${ways}, up ${duration(uptime)}, napt ${version}` : `${ways}, not running`;
}
