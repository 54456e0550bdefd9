// The list of alarms with what speaks for each; an address of its own for every one.
import { get } from "../api.js";
import { debounce, h, paint } from "../dom.js";
import { integer } from "../format.js";
import { cause, link, remember } from "../links.js";
import { alarmCard } from "./alarm.js";
import { choice } from "./sensors.js";

const PAGE = 30;
const SEARCHED = 500; // for one of an address
const REFRESH = 15_000; // ms

export function show(root, route, { on }) {
  const [id] = route.parts;
  const { state = id ? "all" : "open", search = "" } = route.query;
  const chosen = { state, search };
  const seen = { items: null, limit: id ? SEARCHED : PAGE };
  const draw = () => seen.items && paint(root, id ? one(id, seen.items) : page(seen, chosen, change));
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
  return { title: id ? "Alarm" : "Alarms", load, every: REFRESH, close: () => stop.forEach((end) => end()) };
}

function page({ items, limit }, chosen, change) {
  const more = items.length >= limit && limit < SEARCHED;
  return [
    h("h1", { tabindex: "-1", key: "title" }, "Alarms"),
    h(
      "form",
      { class: "filters", role: "search", key: "filters", onsubmit: (event) => event.preventDefault() },
      h(
        "label",
        {},
        h("span", { class: "unseen" }, "Search alarms"),
        h("input", {
          type: "search",
          id: "search",
          placeholder: "Sensor, group or reason",
          value: chosen.search,
          oninput: (event) => change({ search: event.target.value }),
        }),
      ),
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
          { class: "button", type: "button", onclick: () => change({}, Math.min(SEARCHED, 4 * limit)) },
          "Show more",
        ),
      ),
  ];
}

const nothing = ({ state, search }) =>
  search ? "No alarm is like that." : state === "open" ? "No alarm is open." : "There has been no alarm yet.";

function one(id, items) {
  const alarm = items.find((item) => cause(item) === cause({ id }));
  return [
    h(
      "header",
      { class: "title", key: "title" },
      h("p", { class: "crumbs" }, h("a", { href: link("alarms") }, "Alarms")),
      h("h1", { tabindex: "-1" }, alarm ? `Alarm of ${alarm.sensor}` : "Alarm"),
    ),
    alarm && h("h2", { class: "unseen", key: "details" }, "Details"),
    alarm
      ? h("div", { class: "cards one", key: "card" }, alarmCard(alarm, null, { whole: true }))
      : h("p", { class: "panel empty", key: "none" }, "This alarm is not among those that are kept."),
  ];
}
