// The first view: is it working, which machine misbehaves, since when, why, and what was expected.
import { get } from "../api.js";
import { h, paint } from "../dom.js";
import { age, integer, plural, points } from "../format.js";
import { link, toSensor } from "../links.js";
import { beside, spark } from "../marks.js";
import { STATES, ranked, sentence, short } from "../words.js";
import { alarmCard, alarmLine } from "./alarm.js";
import { checklist } from "./diagnosis.js";
import { tiles } from "./tiles.js";

const OPEN = 200; // alarms asked for
const CARDS = 6; // of them shown with all that speaks for them
const LINES = 12; // and in a line each
const MAP = 500; // sensors in the picture of the fleet
const NEAR = 6;
const FRESH = 6;
const CLOSED = 6;
const REFRESH = 10_000; // ms, of what no event brings

export function show(root, _route, { live, on }) {
  const seen = { open: null, closed: [], sensors: { total: null, items: [] } };
  const draw = () => live.overview && seen.open && paint(root, page(live.overview, seen));
  const follow = () => {
    draw();
    if (seen.open && Math.min(OPEN, live.overview.alarms.open) !== seen.open.length) load();
  };
  const fetched = async (path, query, keep) => {
    keep(await get(path, query));
    draw();
  };
  const load = () =>
    Promise.all([
      fetched("alarms", { state: "open", limit: OPEN }, ({ items }) => (seen.open = items)),
      fetched("alarms", { state: "closed", limit: CLOSED }, ({ items }) => (seen.closed = items)),
      fetched("sensors", { sort: "score", order: "desc", limit: MAP }, (sensors) => (seen.sensors = sensors)),
    ]);
  const stop = [on("overview", follow), on("alarm", load), on("command", load)];
  return { title: "Overview", load, every: REFRESH, close: () => stop.forEach((one) => one()) };
}

function page(overview, { open, closed, sensors }) {
  const alarmed = ranked(open);
  const { tone, text, more } = sentence(overview, alarmed);
  return [
    h(
      "section",
      { class: `verdict ${tone}`, key: "verdict" },
      h("i", { class: "lamp", "aria-hidden": "true" }),
      h("div", { role: "status" }, h("h1", { tabindex: "-1" }, text), h("p", {}, more || summary(overview))),
    ),
    h(
      "div",
      { class: "halves", key: "halves" },
      urgent(alarmed, sensors.items),
      h("aside", { class: "tiles", "aria-label": "Figures", key: "tiles" }, tiles(overview)),
      h(
        "div",
        { class: "rest", key: "rest" },
        fleet(sensors),
        nearest(sensors.items),
        learning(sensors.items),
        recent(closed),
        sensors.total === 0 && firstSteps(overview),
      ),
    ),
  ];
}

const summary = ({ messages, samples }) =>
  `${integer(messages.total)} messages and ${integer(samples.total)} samples so far.`;

function urgent(open, sensors) {
  if (!open.length) return null;
  const sparks = new Map(sensors.map((sensor) => [`${sensor.group}\n${sensor.sensor}`, sensor.spark]));
  const rest = open.length - CARDS;
  return h(
    "section",
    { class: "urgent", key: "open", "aria-labelledby": "open" },
    h("h2", { id: "open" }, "Open alarms"),
    h(
      "div",
      { class: "cards" },
      open.slice(0, CARDS).map((alarm) => alarmCard(alarm, sparks.get(`${alarm.group}\n${alarm.sensor}`))),
    ),
    rest > 0 &&
      h(
        "ul",
        { class: "panel lines further" },
        open.slice(CARDS, CARDS + LINES).map((alarm) => alarmLine(alarm)),
      ),
    rest > LINES && more(link("alarms", [], { state: "open" }), `and ${integer(rest - LINES)} more`),
  );
}

function firstSteps({ checks }) {
  return h(
    "section",
    { key: "steps", "aria-labelledby": "steps" },
    h("h2", { id: "steps" }, "On the way to the first sample"),
    checklist(checks),
    more(link("diagnosis"), "Topics that no source takes, and what was rejected"),
  );
}

function fleet({ total, items }) {
  if (total < 2) return null;
  const groups = new Map();
  const byName = [...items].sort(
    (a, b) => a.group.localeCompare(b.group) || a.sensor.localeCompare(b.sensor, undefined, { numeric: true }),
  );
  for (const item of byName) groups.set(item.group, [...(groups.get(item.group) || []), item]);
  const note =
    total > items.length
      ? `the ${integer(items.length)} nearest to an alarm of ${integer(total)}`
      : plural(total, "sensor");
  return h(
    "section",
    { key: "fleet", "aria-labelledby": "fleet" },
    h("h2", { id: "fleet" }, "Fleet ", h("small", {}, note)),
    h(
      "div",
      { class: "panel" },
      [...groups].map(([group, members]) => [
        groups.size > 1 && h("h3", {}, group, h("small", {}, integer(members.length))),
        h(
          "div",
          {
            class: `map ${size(items.length)}`,
            role: "img",
            "aria-label": `${plural(members.length, "sensor")} of ${group}, coloured by score`,
          },
          members.map(cell),
        ),
      ]),
      h(
        "p",
        { class: "scale", "aria-hidden": "true" },
        h(
          "span",
          {},
          "quiet",
          [0, 1, 2, 3, 4].map((level) => h("i", { class: `cell level${level}` })),
          "near its threshold",
        ),
        ["alarmed", "warming", "silent"].map((state) =>
          h("span", {}, h("i", { class: `cell ${state}` }), STATES[state]),
        ),
      ),
    ),
  );
}

const size = (count) => (count <= 80 ? "few" : count <= 250 ? "" : "many");

function cell(sensor) {
  const part = sensor.threshold ? (sensor.score ?? 0) / sensor.threshold : 0;
  const kind = sensor.state === "watching" ? `level${Math.min(4, Math.floor(5 * part))}` : sensor.state;
  const title = `${sensor.sensor}: ${STATES[sensor.state] || sensor.state}, score ${points(sensor.score)} of ${points(sensor.threshold)}`;
  return h("i", { class: `cell ${kind}`, title, onclick: () => (location.hash = toSensor(sensor)) }); // the list has links
}

function nearest(items) {
  const near = items.filter((item) => item.state === "watching" && item.threshold && item.score > 0).slice(0, NEAR);
  const rows = near.map((item) => sensorLine(item, spark(item.spark), h("span", { class: "figure" }, beside(item))));
  return lines("near", "Nearest to an alarm", rows);
}

// Who is new: on the first day that is everyone.
function learning(items) {
  const fresh = items.filter((item) => item.state === "warming");
  const rest = fresh.length - FRESH;
  const rows = fresh
    .slice(0, FRESH)
    .map((item) =>
      sensorLine(
        item,
        h("span", { class: "said" }, item.channels.join(", ")),
        h("span", { class: "figure" }, age(item.last)),
      ),
    );
  return lines(
    "fresh",
    "Warming up",
    rows,
    rest > 0 && more(link("sensors", [], { state: "warming" }), `and ${integer(rest)} more`),
  );
}

function recent(closed) {
  const rows = closed.map((alarm) => alarmLine(alarm));
  return lines("closed", "Over by now", rows, more(link("alarms", [], { state: "all" }), "All alarms"));
}

// A section of lines, where there are any.
function lines(id, name, rows, below) {
  if (!rows.length) return null;
  return h(
    "section",
    { key: id, "aria-labelledby": id },
    h("h2", { id }, name),
    h("ul", { class: "panel lines" }, rows),
    below,
  );
}

const sensorLine = (item, ...cells) =>
  h(
    "li",
    { key: `${item.group}\n${item.sensor}` },
    h("a", { class: "name", href: toSensor(item) }, short(item.sensor)),
    h("span", { class: "wide dim" }, item.group),
    cells,
  );

const more = (href, text) => h("p", { class: "more" }, h("a", { href }, text));
