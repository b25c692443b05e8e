// The page: its views, and what it shows while the gateway answers or doesn't.
import { showBehaviour } from "./behaviour.js";
import { byId, setText } from "./dom.js";
import { Explain } from "./explain.js";
import { ago } from "./format.js";
import { Forwards } from "./forwards.js";
import { Feed, Refused, setToken, takeToken } from "./gateway.js";
import { gatewayInWords, Overview } from "./overview.js";
import { Ports } from "./ports.js";
import { Sessions } from "./sessions.js";

/** @import { Reading } from "../../control/reading.js" */

const VIEWS = ["overview", "sessions", "forwards", "explain", "behaviour"];

takeToken();
const overview = new Overview();
const ports = new Ports();
const sessions = new Sessions();
const forwards = new Forwards();
new Explain();

/** When it answered last; null: not yet. @type {number | null} */
let answered = null;
let isLost = false;
let view = "";

const feed = new Feed({
  async read(reading) {
    answered = performance.now();
    show(reading);
    if (view === "sessions") await sessions.show();
    if (view === "forwards") await forwards.show();
    back();
  },
  lost,
});

/** @param {Reading} reading */
function show(reading) {
  overview.show(reading);
  if (view === "overview") ports.show(reading);
  const { running } = reading.status;
  setText(byId("gateway"), gatewayInWords(reading));
  const isDown = !reading.status.inside.up || !reading.status.outside.up;
  setState(
    running ? (isDown ? "warn" : "good") : "bad",
    running ? (isDown ? "link down" : "running") : "stopped",
  );
}

/** @param {"good" | "warn" | "bad"} kind @param {string} text */
function setState(kind, text) {
  const state = byId("state");
  state.className = `state ${kind}`;
  setText(state, text);
}

function back() {
  if (!isLost) return;
  isLost = false;
  document.body.classList.remove("lost");
  byId("lost").hidden = true;
  void byView();
}

/** @param {Refused | null} refused */
function lost(refused) {
  if (refused?.status === 401) return askForToken(refused.message);
  if (!isLost) overview.lost();
  isLost = true;
  document.body.classList.add("lost");
  byId("lost").hidden = false;
  setState("bad", refused === null ? "no connection" : "refused");
  const when = answered === null ? "" : ` It answered ${ago(performance.now() - answered)}.`;
  const what =
    refused === null
      ? `The gateway does not answer.${when} Trying again…`
      : `The gateway refuses: ${refused.message}`;
  setText(byId("lost-text"), what);
}

/** @param {string} why */
function askForToken(why) {
  setState("bad", "no access");
  const dialog = /** @type {HTMLDialogElement} */ (byId("token-dialog"));
  setText(byId("token-why"), why);
  if (!dialog.open) dialog.showModal();
}

byId("token-form").addEventListener("submit", () => {
  const field = /** @type {HTMLInputElement} */ (byId("token"));
  setToken(field.value.trim());
  field.value = "";
  feed.now();
});

const rate = /** @type {HTMLSelectElement} */ (byId("rate"));
rate.value = String(feed.rate);
rate.addEventListener("change", () => {
  feed.rate = Number(rate.value);
});

/** Shows the view that the URL names. */
function go() {
  const wanted = location.hash.slice(1);
  view = VIEWS.includes(wanted) ? wanted : "overview";
  for (const name of VIEWS) {
    byId(`view-${name}`).hidden = name !== view;
    const link = document.querySelector(`nav a[href="#${name}"]`);
    if (name === view) link?.setAttribute("aria-current", "page");
    else link?.removeAttribute("aria-current");
  }
  void byView();
  feed.now();
}

/** What a view asks for by itself. */
async function byView() {
  try {
    if (view === "behaviour") await showBehaviour();
    if (view === "forwards") await forwards.show();
  } catch {
    // The feed says what is wrong.
  }
}

addEventListener("hashchange", go);
go();
