// Starts the page: which view is shown, the connection's state on top, light and dark. Each view is a file of views/.
//
// A view is show(root, route, context) -> {title, load(), every, close()}; load() is called at once, every so many
// milliseconds while the page is in sight, and when the connection comes back.
import { ApiError } from "./api.js";
import { h } from "./dom.js";
import { ago, clock, integer } from "./format.js";
import { parse } from "./links.js";
import { live, on, start } from "./live.js";
import { show as alarms } from "./views/alarms.js";
import { show as diagnosis } from "./views/diagnosis.js";
import { show as models } from "./views/models.js";
import { show as overview } from "./views/overview.js";
import { show as sensor } from "./views/sensor.js";
import { show as sensors } from "./views/sensors.js";

const VIEWS = { overview, sensors, sensor, alarms, models, diagnosis };
const TABS = { sensor: "sensors" }; // the tab of a view that has none
const main = document.getElementById("main");
const byId = (id) => document.getElementById(id);
let current = null;
let timer;

function enter() {
  if (location.hash && !location.hash.startsWith("#/")) return; // the link that skips the navigation
  const first = !current;
  leave();
  const route = parse(location.hash);
  const name = VIEWS[route.view] ? route.view : "overview";
  const root = h("div", { class: `view ${name}` });
  main.replaceChildren(root);
  current = { root, view: VIEWS[name](root, route, { live, on }) };
  mark(TABS[name] || name);
  title();
  refresh(current).then(() => first || focus(root));
  scrollTo({ top: 0 });
}

function leave() {
  clearTimeout(timer);
  current?.view.close();
}

// What has been shown stays when the daemon does not answer; `live` says so.
async function refresh(entered) {
  clearTimeout(timer);
  try {
    if (!document.hidden || !entered.root.firstChild) await entered.view.load();
    if (entered === current) entered.root.querySelector(":scope > .notice")?.remove();
  } catch (error) {
    if (entered === current) complain(entered, error);
    if (!(error instanceof ApiError)) throw error;
  } finally {
    if (entered === current) timer = setTimeout(() => refresh(entered), entered.view.every);
  }
}

function complain({ root }, error) {
  const lost = error instanceof ApiError && error.status === 0;
  if (root.firstChild && (lost || error.status === 503)) return; // it is said on top, or a matter of moments
  root.replaceChildren(
    h(
      "div",
      { class: "notice panel", role: "alert" },
      h("h1", { tabindex: "-1" }, error instanceof ApiError ? error.message : "The page has met a fault of its own."),
      h("p", {}, error.hint || error.message),
    ),
  );
}

function focus(root) {
  root.querySelector("h1")?.focus({ preventScroll: true });
}

function mark(tab) {
  for (const one of document.querySelectorAll("[data-view]"))
    one.dataset.view === tab ? one.setAttribute("aria-current", "page") : one.removeAttribute("aria-current");
}

function title() {
  const open = live.overview?.alarms.open || 0;
  document.title = `${open ? `(${integer(open)}) ` : ""}${current?.view.title || "Overview"} · lstm_stream`;
  byId("count").hidden = !open;
  byId("count").textContent = integer(open);
  if (live.overview) byId("version").textContent = `lstm_stream ${live.overview.version}`;
}

function state() {
  const words = { connecting: "connecting", live: "live", reconnecting: "reconnecting" };
  const text = words[live.state] || (live.since ? `stale since ${clock(live.since, true)}` : "no answer");
  byId("live").className = `link ${live.state}`;
  byId("live").lastElementChild.textContent = text;
  const gone = live.state === "stale";
  document.body.classList.toggle("gone", gone);
  byId("gone").hidden = !gone;
  byId("gone").textContent = !gone
    ? ""
    : live.since
      ? `The daemon has not answered since ${clock(live.since, true)}. What you see is as of then. Trying again …`
      : "The daemon does not answer. Trying again …";
  if (live.state === "live" && current) refresh(current);
}

const THEMES = ["auto", "light", "dark"];

function theme(next) {
  const root = document.documentElement;
  if (next) {
    root.dataset.theme = next;
    localStorage.setItem("theme", next);
  }
  const now = root.dataset.theme;
  const name = now === "auto" ? "as the system has it" : now;
  byId("theme").title = `Colours: ${name}`;
  byId("theme").setAttribute("aria-label", `Colours: ${name}. Change`);
  dispatchEvent(new Event("recolour"));
}

addEventListener("hashchange", enter);
document.addEventListener("visibilitychange", () => document.hidden || (current && refresh(current)));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => theme());
byId("theme").onclick = () =>
  theme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length]);
on("overview", title);
on("state", state);
setInterval(() => {
  for (const one of document.querySelectorAll("time[data-ago]")) {
    const text = ago(Number(one.dataset.ago));
    if (one.textContent !== text) one.textContent = text;
  }
}, 1000);
theme();
enter();
start();
