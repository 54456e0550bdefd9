// Which weights are in force, where they came from, what they are worth, and the way back to former ones.
import { get } from "../api.js";
import { button } from "../commands.js";
import { debounce, h, paint } from "../dom.js";
import { filters } from "../filters.js";
import { age, at, duration, integer } from "../format.js";
import { link, remember, toModel, toSensor } from "../links.js";
import { RESULTS, short } from "../words.js";

const PAGE = 50;
const REFRESH = 10_000; // ms
const LEARNING = { on: "learns", paused: "paused", off: "off" };
const NEW = new Set(["adopted", "rollback"]); // results that begin a generation

export function show(root, route, { live, on }) {
  const [group, sensor = ""] = route.parts;
  return group === undefined ? fleet(root, route, { live, on }) : history(root, { group, sensor }, on);
}

function fleet(root, { query: { search = "" } }, { live, on }) {
  const chosen = { search, limit: PAGE };
  let found = null;
  const groups = () => (live.overview?.budget || []).map((one) => one.group);
  const draw = () => found && paint(root, page(found, groups(), chosen, change));
  const load = async () => {
    found = await get("sensors", { ...chosen, sort: "name" });
    draw();
  };
  const reload = debounce(load, 150);
  function change(news) {
    Object.assign(chosen, { limit: PAGE }, news);
    remember(link("models", [], { search: chosen.search }));
    draw();
    reload();
  }
  return { title: "Models", load, every: REFRESH, close: on("command", load) };
}

function page({ total, items }, groups, chosen, change) {
  const more = total > items.length && chosen.limit < 500;
  return [
    h("h1", { tabindex: "-1", key: "title" }, "Models"),
    h(
      "p",
      { class: "lead", key: "lead" },
      "New weights are adopted only where they forecast held-back normal samples at least as well. Every adoption can be rolled back while the former weights are kept.",
    ),
    filters(
      "Search sensors by name",
      "Search by name",
      chosen,
      change,
      h("p", { class: "dim", role: "status" }, `${integer(total)} found`),
      groups.map((group) =>
        h("a", { class: "button quiet", href: toModel({ group, sensor: "" }), key: group }, `All of ${group}`),
      ),
    ),
    h(
      "table",
      { class: "list models", key: "table" },
      h("caption", { class: "unseen" }, "Models"),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          ["Sensor", "Group", "Generation", "Learning", "Last sample"].map((name) => h("th", { scope: "col" }, name)),
        ),
      ),
      h("tbody", {}, items.map(row)),
    ),
    more &&
      h(
        "p",
        { class: "pages", key: "more" },
        h("button", { class: "button", type: "button", onclick: () => change({ limit: 500 }) }, "Show more"),
      ),
  ];
}

function row(item) {
  return h(
    "tr",
    { key: `${item.group}\n${item.sensor}` },
    h("th", { scope: "row" }, h("a", { href: toModel(item) }, short(item.sensor))),
    h("td", { class: "group" }, item.group),
    h("td", {}, `gen. ${integer(item.generation)}`),
    h("td", {}, LEARNING[item.learning]),
    h("td", { class: "last" }, age(item.last)),
  );
}

function history(root, about, on) {
  const load = async () => {
    const { generations: list } = await get("models", about);
    paint(root, pageOfOne(about, list));
  };
  return { title: `Model of ${about.sensor || about.group}`, load, every: REFRESH, close: on("command", load) };
}

function pageOfOne(about, list) {
  const whose = about.sensor || `All of ${about.group}`;
  return [
    h(
      "header",
      { class: "title", key: "title" },
      h("p", { class: "crumbs" }, h("a", { href: link("models") }, "Models"), " / ", about.group),
      h("h1", { tabindex: "-1" }, whose),
      about.sensor
        ? h("div", { class: "buttons" }, h("a", { class: "button", href: toSensor(about) }, "Its charts"))
        : h("div", { class: "buttons" }, button("pause", about), button("resume", about)),
    ),
    list.length
      ? generations(list, about)
      : h(
          "p",
          { class: "panel empty", key: "none" },
          about.sensor
            ? "No training has ended for it yet. Sensors of a group that shares weights have none of their own."
            : "This group shares no weights, or has not trained yet.",
        ),
  ];
}

/** The table of what training led to, the latest first, the losses on one scale. */
export function generations(list, about) {
  const most = Math.max(
    ...list.flatMap(({ champion, challenger }) => [champion, challenger]).filter(Number.isFinite),
    1e-12,
  );
  return h(
    "table",
    { class: "list generations", key: "generations" },
    h("caption", { class: "unseen" }, "What training led to"),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        ["Generation", "When", "Result", "Loss: former, new", "Took", "Weights"].map((name) =>
          h("th", { scope: "col" }, name),
        ),
      ),
    ),
    h(
      "tbody",
      {},
      list.map((one) => generation(one, about, most)),
    ),
  );
}

function generation(one, about, most) {
  const { generation: count, at: when, result, champion, challenger, seconds, current, kept } = one;
  return h(
    "tr",
    { class: current ? "current" : "", key: `${count} ${when} ${result}` },
    h(
      "th",
      { scope: "row", class: NEW.has(result) ? "" : "dim" },
      NEW.has(result) ? integer(count) : `still ${integer(count)}`,
      current && h("span", { class: "pill current" }, "in force"),
    ),
    h("td", {}, at(when)),
    h("td", { class: `result ${result}` }, RESULTS[result] || result),
    h(
      "td",
      { class: "losses" },
      h("span", {}, loss("former", champion, most), loss("new", challenger, most), gain(champion, challenger)),
    ),
    h("td", { class: "took" }, duration(seconds)),
    h(
      "td",
      {},
      kept && !current
        ? button("rollback", { ...about, argument: count }, { quiet: true })
        : h("span", { class: "dim" }, kept || current ? "kept" : "not kept"),
    ),
  );
}

function loss(kind, value, most) {
  if (!Number.isFinite(value)) return null;
  return h(
    "span",
    { class: `loss ${kind}` },
    h("i", { "aria-hidden": "true" }, h("i", { style: { width: `${(100 * value) / most}%` } })),
    h("span", { class: "loss-figure" }, value < 1e4 ? value.toPrecision(3) : value.toExponential(2)),
  );
}

function gain(champion, challenger) {
  if (!(champion > 0) || !Number.isFinite(challenger)) return null;
  const part = (challenger - champion) / champion;
  return h(
    "span",
    { class: part <= 0 ? "good" : "dim" },
    `${part > 0 ? "+" : "−"}${Math.abs(100 * part).toFixed(1)} %`,
  );
}
