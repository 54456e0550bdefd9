// The figures beside the overview: what comes in, how the sensors are, alarms and their budget, learning, the broker.
import { h } from "../dom.js";
import { age, at, integer, number, plural } from "../format.js";
import { link } from "../links.js";
import { area, pill, proportions } from "../marks.js";
import { STATES, plain } from "../words.js";

const BROAD = "Alarm budget"; // the tile that takes the whole width of a phone

/** All of them, of the overview document. */
export function tiles(overview) {
  const { messages, sensors, alarms, retraining, broker, rates } = overview;
  const total = Object.values(sensors).reduce((sum, count) => sum + count, 0);
  const trouble = !broker.connected || !broker.subscribed || broker.problem;
  return [
    tile(
      "Messages a second",
      number(messages.per_s, 3),
      area(rates.messages, "messages a second in the last ten minutes"),
      lost(messages),
    ),
    tile("Sensors", integer(total), proportions(sensors), states(sensors)),
    tile(
      "Alarms",
      integer(alarms.open),
      h(
        "p",
        {},
        alarms.open > 0 && `${integer(alarms.unacknowledged)} not acknowledged, `,
        `${alarms.opened_day ? integer(alarms.opened_day) : "none"} opened in 24 h`,
      ),
    ),
    overview.budget.length > 0 && tile(BROAD, null, budgets(overview.budget)),
    tile("Learning", null, training(retraining)),
    tile(
      "Broker",
      null,
      h("p", { class: trouble ? "bad" : "" }, connection(broker)),
      h("p", {}, breakable(broker.address)),
    ),
    tile("Running since", null, h("p", {}, at(overview.started))),
  ];
}

// Broken before the port where it is too long for a line.
const breakable = (address) => address.split(/(?=:\d+$)/).flatMap((part, k) => (k ? [h("wbr"), part] : [part]));

function connection({ connected, subscribed, problem }) {
  if (problem) return plain(problem);
  if (!connected) return "not connected";
  return subscribed ? "connected and subscribed" : "connected, not subscribed";
}

function tile(name, figure, ...rest) {
  return h(
    "section",
    { class: name === BROAD ? "tile broad" : "tile", key: name, "aria-label": name },
    h("h3", {}, name),
    figure && h("p", { class: "big" }, figure),
    rest,
  );
}

function lost({ dropped, rejected }) {
  if (!dropped && !rejected) return h("p", {}, "none lost or rejected");
  const counts = [dropped && `${integer(dropped)} dropped`, rejected && `${integer(rejected)} rejected`]
    .filter(Boolean)
    .join(", ");
  return h("p", { class: dropped ? "bad" : "" }, counts, " · ", h("a", { href: link("diagnosis") }, "why"));
}

function states(sensors) {
  const parts = Object.keys(STATES).filter((state) => sensors[state]);
  if (!parts.length) return h("p", {}, "none yet");
  return h(
    "ul",
    { class: "legend" },
    parts.map((state) =>
      h(
        "li",
        { key: state },
        h("a", { href: link("sensors", [], { state }) }, h("b", {}, integer(sensors[state])), " ", pill(state)),
      ),
    ),
  );
}

function training({ last, adopted, rejected, late, failed, paused }) {
  const others = [
    [rejected, "rejected"],
    [late, "late"],
    [failed, "failed"],
  ].filter(([count]) => count);
  return [
    h("p", {}, last ? ["Last retrained ", age(last)] : "Not retrained yet"),
    h(
      "p",
      { class: failed ? "bad" : "" },
      [`${integer(adopted)} adopted`, ...others.map(([count, name]) => `${integer(count)} ${name}`)].join(", "),
    ),
    paused ? h("p", { class: "warn" }, `paused for ${plural(paused === true ? 1 : paused, "sensor")}`) : null,
  ];
}

// Alarms kept beside those asked for, a bar a group: full at twice what was asked.
function budgets(groups) {
  const words = "alarms, real ones included, of the false ones asked for";
  return [...groups.map(budget), h("p", { class: "dim", key: "\n" }, words)];
}

function budget({ group, asked_per_week: asked, kept_per_week: kept, sensor_weeks: weeks }) {
  const known = Number.isFinite(kept) && asked > 0;
  const width = `${known ? Math.min(100, (50 * kept) / asked) : 0}%`;
  return h(
    "div",
    { class: "budget", key: group },
    h(
      "p",
      {},
      h("span", {}, group),
      h("span", {}, h("b", {}, number(kept, 2)), h("span", { class: "dim" }, ` of ${number(asked, 2)} a sensor-week`)),
    ),
    h(
      "i",
      {
        class: known && kept > 2 * asked ? "over" : "",
        "aria-hidden": "true",
        title: `over ${number(weeks, 3)} sensor-weeks`,
      },
      h("i", { style: { width } }),
    ),
  );
}
