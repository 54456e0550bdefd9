// The first view: is it working, which machine misbehaves, since when, why, and what was expected.
import { get } from "../api.js";
import { h, paint } from "../dom.js";
import { age, at, integer, number, plural } from "../format.js";
import { link, toSensor } from "../links.js";
import { area, pill, proportions, spark } from "../marks.js";
import { STATES, ranked, sentence, short } from "../words.js";
import { alarmCard, alarmLine } from "./alarm.js";
import { checklist } from "./diagnosis.js";

const OPEN = 200; // alarms asked for
const CARDS = 6; // of them shown with all that speaks for them
const LINES = 12; // and in a line each
const MAP = 500; // sensors in the picture of the fleet
const NEAR = 6;
const CLOSED = 6;
const BROAD = "Alarm budget"; // the tile that takes the whole width of a phone
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
      h("div", { class: "rest", key: "rest" }, fleet(sensors), nearest(sensors.items), recent(closed), sensors.total === 0 && firstSteps(overview)),
    ),
  ];
}

const summary = ({ messages, samples }) => `${integer(messages.total)} messages and ${integer(samples.total)} samples so far.`;

function urgent(open, sensors) {
  if (!open.length) return null;
  const sparks = new Map(sensors.map((sensor) => [`${sensor.group}\n${sensor.sensor}`, sensor.spark]));
  const rest = open.length - CARDS;
  return h(
    "section",
    { class: "urgent", key: "open", "aria-labelledby": "open" },
    h("h2", { id: "open" }, "Open alarms"),
    h("div", { class: "cards" }, open.slice(0, CARDS).map((alarm) => alarmCard(alarm, sparks.get(`${alarm.group}\n${alarm.sensor}`)))),
    rest > 0 && h("ul", { class: "panel lines further" }, open.slice(CARDS, CARDS + LINES).map((alarm) => alarmLine(alarm))),
    rest > LINES && h("p", { class: "more" }, h("a", { href: link("alarms", [], { state: "open" }) }, `and ${integer(rest - LINES)} more`)),
  );
}

function firstSteps({ checks }) {
  return h(
    "section",
    { key: "steps", "aria-labelledby": "steps" },
    h("h2", { id: "steps" }, "On the way to the first sample"),
    checklist(checks),
    h("p", { class: "more" }, h("a", { href: link("diagnosis") }, "Topics that no source takes, and what was rejected")),
  );
}

function fleet({ total, items }) {
  if (total < 2) return null;
  const groups = new Map();
  const byName = [...items].sort((a, b) => a.group.localeCompare(b.group) || a.sensor.localeCompare(b.sensor, undefined, { numeric: true }));
  for (const item of byName) groups.set(item.group, [...(groups.get(item.group) || []), item]);
  const note = total > items.length ? `the ${integer(items.length)} nearest to an alarm of ${integer(total)}` : plural(total, "sensor");
  return h(
    "section",
    { key: "fleet", "aria-labelledby": "fleet" },
    h("h2", { id: "fleet" }, "Fleet ", h("small", {}, note)),
    h(
      "div",
      { class: "panel" },
      [...groups].map(([group, members]) => [
        groups.size > 1 && h("h3", {}, group, h("small", {}, integer(members.length))),
        h("div", { class: `map ${size(items.length)}`, role: "img", "aria-label": `${plural(members.length, "sensor")} of ${group}, coloured by score` }, members.map(cell)),
      ]),
      h(
        "p",
        { class: "scale", "aria-hidden": "true" },
        h("span", {}, "quiet", [0, 1, 2, 3, 4].map((level) => h("i", { class: `cell level${level}` })), "near its threshold"),
        ["alarmed", "warming", "silent"].map((state) => h("span", {}, h("i", { class: `cell ${state}` }), STATES[state])),
      ),
    ),
  );
}

const size = (count) => (count <= 80 ? "few" : count <= 250 ? "" : "many");

function cell(sensor) {
  const part = sensor.threshold ? (sensor.score ?? 0) / sensor.threshold : 0;
  const kind = sensor.state === "watching" ? `level${Math.min(4, Math.floor(5 * part))}` : sensor.state;
  const title = `${sensor.sensor}: ${STATES[sensor.state] || sensor.state}, score ${number(sensor.score)} of ${number(sensor.threshold)}`;
  return h("i", { class: `cell ${kind}`, title, onclick: () => (location.hash = toSensor(sensor)) }); // the list has links
}

function nearest(items) {
  const near = items.filter((item) => item.state === "watching" && item.threshold).slice(0, NEAR);
  if (!near.length) return null;
  return h(
    "section",
    { key: "near", "aria-labelledby": "near" },
    h("h2", { id: "near" }, "Nearest to an alarm"),
    h(
      "ul",
      { class: "panel lines" },
      near.map((item) =>
        h(
          "li",
          { key: `${item.group}\n${item.sensor}` },
          h("a", { class: "name", href: toSensor(item) }, short(item.sensor)),
          h("span", { class: "wide dim" }, item.group),
          spark(item.spark),
          h("span", { class: "figure" }, number(item.score, 3), h("span", { class: "dim" }, ` of ${number(item.threshold, 3)}`)),
        ),
      ),
    ),
  );
}

function recent(closed) {
  if (!closed.length) return null;
  return h(
    "section",
    { key: "closed", "aria-labelledby": "closed" },
    h("h2", { id: "closed" }, "Over by now"),
    h("ul", { class: "panel lines" }, closed.map((alarm) => alarmLine(alarm))),
    h("p", { class: "more" }, h("a", { href: link("alarms", [], { state: "all" }) }, "All alarms")),
  );
}

function tiles(overview) {
  const { messages, sensors, retraining, broker, rates } = overview;
  const total = Object.values(sensors).reduce((sum, count) => sum + count, 0);
  const trouble = !broker.connected || !broker.subscribed || broker.problem;
  return [
    tile("Messages a second", number(messages.per_s, 3), area(rates.messages, "messages a second in the last ten minutes"), lost(messages)),
    tile("Sensors", integer(total), proportions(sensors), states(sensors)),
    tile("Alarms", integer(overview.alarms.open), h("p", {}, `${integer(overview.alarms.unacknowledged)} not acknowledged, ${integer(overview.alarms.opened_day)} opened in 24 h`)),
    overview.budget.length > 0 && tile(BROAD, null, budgets(overview.budget)),
    tile("Learning", null, training(retraining)),
    tile("Broker", null, h("p", { class: trouble ? "bad" : "" }, broker.problem || (broker.connected ? (broker.subscribed ? "connected and subscribed" : "connected, not subscribed") : "not connected")), h("p", { class: "address" }, broker.address)),
    tile("Running since", null, h("p", {}, at(overview.started))),
  ];
}

function tile(name, figure, ...rest) {
  return h("section", { class: name === BROAD ? "tile broad" : "tile", key: name, "aria-label": name }, h("h3", {}, name), figure && h("p", { class: "big" }, figure), rest);
}

function lost({ dropped, rejected }) {
  if (!dropped && !rejected) return h("p", {}, "none lost or rejected");
  const counts = [dropped && `${integer(dropped)} dropped`, rejected && `${integer(rejected)} rejected`].filter(Boolean).join(", ");
  return h("p", { class: dropped ? "bad" : "" }, counts, " · ", h("a", { href: link("diagnosis") }, "why"));
}

function states(sensors) {
  const parts = Object.keys(STATES).filter((state) => sensors[state]);
  if (!parts.length) return h("p", {}, "none yet");
  return h("ul", { class: "legend" }, parts.map((state) => h("li", { key: state }, h("a", { href: link("sensors", [], { state }) }, h("b", {}, integer(sensors[state])), " ", pill(state)))));
}

function training({ last, adopted, rejected, late, failed, paused }) {
  const others = [[rejected, "rejected"], [late, "late"], [failed, "failed"]].filter(([count]) => count);
  return [
    h("p", {}, last ? ["Last retrained ", age(last)] : "Not retrained yet"),
    h("p", { class: failed ? "bad" : "" }, [`${integer(adopted)} adopted`, ...others.map(([count, name]) => `${integer(count)} ${name}`)].join(", ")),
    paused ? h("p", { class: "warn" }, `paused for ${plural(paused === true ? 1 : paused, "sensor")}`) : null,
  ];
}

// Alarms kept beside those asked for, a bar a group: full at twice what was asked.
function budgets(groups) {
  return groups.map(({ group, asked_per_week: asked, kept_per_week: kept, sensor_weeks: weeks }) => {
    const known = Number.isFinite(kept) && asked > 0;
    const width = `${known ? Math.min(100, (50 * kept) / asked) : 0}%`;
    return h(
      "div",
      { class: "budget", key: group },
      h("p", {}, h("span", {}, group), h("span", {}, h("b", {}, number(kept, 2)), h("span", { class: "dim" }, ` of ${number(asked, 2)} a sensor-week`))),
      h("i", { class: known && kept > 2 * asked ? "over" : "", "aria-hidden": "true", title: `over ${number(weeks, 3)} sensor-weeks` }, h("i", { style: { width } })),
    );
  });
}
