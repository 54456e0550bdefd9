// The list of sensors: search, filters, order, a page at a time; what is chosen is in the address.
import { get } from "../api.js";
import { debounce, h, paint } from "../dom.js";
import { choice, filters } from "../filters.js";
import { NONE, age, integer } from "../format.js";
import { link, remember, toSensor } from "../links.js";
import { beside, pill, spark } from "../marks.js";
import { STATES, short } from "../words.js";

const PAGE = 50;
const REFRESH = 5_000; // ms
const COLUMNS = [
  ["name", "Sensor"],
  [null, "Group"],
  [null, "State"],
  ["score", "Score beside threshold", 2], // and sorted by it: thresholds differ
  ["last", "Last sample"],
  [null, "Model"],
];

export function show(root, route, { live, on }) {
  const { search = "", group = "", state = "", sort = "score", order = "desc", offset = 0 } = route.query;
  const chosen = { search, group, state, sort, order, offset: Number(offset) || 0 };
  let found = null;
  const draw = () => found && paint(root, page(found, chosen, groups(live.overview, chosen), change));
  const load = async () => {
    found = await get("sensors", { ...chosen, limit: PAGE });
    draw();
  };
  const reload = debounce(load, 150);
  function change(news) {
    Object.assign(chosen, { offset: 0 }, news);
    remember(link("sensors", [], { ...chosen, offset: chosen.offset || "" }));
    draw();
    reload();
  }
  const stop = [on("command", load), on("alarm", reload)];
  return { title: "Sensors", load, every: REFRESH, close: () => stop.forEach((one) => one()) };
}

const groups = (overview, { group }) =>
  [...new Set([...(overview?.budget || []).map((one) => one.group), group])].filter(Boolean);

function page(found, chosen, names, change) {
  return [
    h("h1", { tabindex: "-1", key: "title" }, "Sensors"),
    filters(
      "Search sensors by name",
      "Search by name",
      chosen,
      change,
      choice("State", { "": "every state", ...STATES }, chosen.state, (state) => change({ state })),
      names.length > 1 &&
        choice(
          "Group",
          { "": "every group", ...Object.fromEntries(names.map((name) => [name, name])) },
          chosen.group,
          (group) => change({ group }),
        ),
      h("p", { class: "dim", role: "status" }, found.total ? `${integer(found.total)} found` : "none found"),
    ),
    found.total > 0
      ? table(found.items, chosen, change)
      : h("p", { class: "panel empty", key: "none" }, nothing(chosen)),
    pages(found, chosen, change),
  ];
}

const nothing = ({ search, group, state }) =>
  search || group || state ? "No sensor is like that." : "No sensor has sent anything yet.";

function table(items, chosen, change) {
  const head = COLUMNS.map(([key, name, span]) => {
    if (!key) return h("th", { scope: "col" }, name);
    const sorted = chosen.sort === key && (chosen.order === "asc" ? "ascending" : "descending");
    const order = sorted ? (chosen.order === "asc" ? "desc" : "asc") : key === "name" ? "asc" : "desc";
    return h(
      "th",
      { scope: "col", colspan: span, "aria-sort": sorted || "none" },
      h("button", { type: "button", onclick: () => change({ sort: key, order }) }, name),
    );
  });
  return h(
    "table",
    { class: "list sensors", key: "table" },
    h("caption", { class: "unseen" }, "Sensors"),
    h("thead", {}, h("tr", {}, head)),
    h("tbody", {}, items.map(row)),
  );
}

function row(item) {
  return h(
    "tr",
    { key: `${item.group}\n${item.sensor}` },
    h("th", { scope: "row" }, h("a", { href: toSensor(item), title: item.sensor }, short(item.sensor))),
    h("td", { class: "group" }, item.group),
    h(
      "td",
      { class: "state" },
      pill(item.state),
      item.learning === "paused" && h("span", { class: "pill paused" }, "learning paused"),
    ),
    h("td", { class: "trend" }, spark(item.spark)),
    h(
      "td",
      { class: "number" },
      Number.isFinite(item.threshold)
        ? beside(item)
        : h("span", { class: "dim" }, NONE),
    ),
    h("td", { class: "last" }, age(item.last)),
    h("td", { class: "model" }, `gen. ${integer(item.generation)}`),
  );
}

function pages({ total, items }, { offset }, change) {
  if (total <= PAGE) return null;
  const to = (place) => () => {
    change({ offset: place });
    scrollTo({ top: 0 });
  };
  return h(
    "nav",
    { class: "pages", "aria-label": "Pages", key: "pages" },
    h(
      "button",
      { class: "button", type: "button", disabled: offset === 0, onclick: to(Math.max(0, offset - PAGE)) },
      "Previous",
    ),
    h("span", {}, `${integer(offset + 1)}–${integer(offset + items.length)} of ${integer(total)}`),
    h(
      "button",
      { class: "button", type: "button", disabled: offset + PAGE >= total, onclick: to(offset + PAGE) },
      "Next",
    ),
  );
}
