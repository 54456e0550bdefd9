// The list of alarms with what speaks for each; an address of its own for every one.
import { get } from "../api.js";
import { debounce, h, paint } from "../dom.js";
import { choice, filters } from "../filters.js";
import { integer } from "../format.js";
import { link, remember } from "../links.js";
import { alarmCard } from "./alarm.js";
import { show as showOne } from "./onealarm.js";

const PAGE = 30;
const MOST = 500;
const REFRESH = 15_000; // ms

export function show(root, route, { on }) {
  const [id] = route.parts;
  const { state = "open", search = "" } = route.query;
  if (id) return showOne(root, id, on);
  const chosen = { state, search };
  const seen = { items: null, limit: PAGE };
  const draw = () => seen.items && paint(root, page(seen, chosen, change));
  const load = async () => {
    const { items } = await get("alarms", { ...chosen, limit: seen.limit });
    seen.items = items;
    draw();
  };
  const reload = debounce(load, 150);
  function change(news, limit = PAGE) {
    Object.assign(chosen, news);
    seen.limit = limit;
    remember(link("alarms", [], chosen));
    draw();
    reload();
  }
  const stop = [on("alarm", load), on("command", load)];
  return { title: "Alarms", load, every: REFRESH, close: () => stop.forEach((end) => end()) };
}

function page({ items, limit }, chosen, change) {
  const more = items.length >= limit && limit < MOST;
  return [
    h("h1", { tabindex: "-1", key: "title" }, "Alarms"),
    filters(
      "Search alarms",
      "Sensor, group or reason",
      chosen,
      change,
      choice("State", { open: "open", closed: "closed", all: "open and closed" }, chosen.state, (state) =>
        change({ state }),
      ),
      h(
        "p",
        { class: "dim", role: "status" },
        items.length ? `${integer(items.length)}${more ? " or more" : ""} found` : "none found",
      ),
    ),
    items.length > 0 && h("h2", { class: "unseen", key: "found" }, "Alarms found"),
    items.length
      ? h(
          "div",
          { class: "cards", key: "cards" },
          items.map((alarm) => alarmCard(alarm)),
        )
      : h(
          "p",
          { class: "panel empty", key: "empty" },
          nothing(chosen),
          " ",
          chosen.state === "open" && h("a", { href: link("alarms", [], { state: "all" }) }, "Those that are over"),
        ),
    more &&
      h(
        "p",
        { class: "pages", key: "more" },
        h(
          "button",
          { class: "button", type: "button", onclick: () => change({}, Math.min(MOST, 4 * limit)) },
          "Show more",
        ),
      ),
  ];
}

const nothing = ({ state, search }) =>
  search ? "No alarm is like that." : state === "open" ? "No alarm is open." : "There has been no alarm yet.";
