// One sensor: charts that share a time axis, what is known of it, its alarms, its models, and what can be commanded.
import { get } from "../api.js";
import { CHANNELS, Charts } from "../charts.js";
import { button } from "../commands.js";
import { h, paint } from "../dom.js";
import { NONE, age, clock, duration, integer, now } from "../format.js";
import { link, remember, toModel, toSensor } from "../links.js";
import { against, beside, gauge, pill } from "../marks.js";
import { alarmCard, alarmLine } from "./alarm.js";
import { generations } from "./models.js";

const RANGES = {
  "1h": ["1 h", 3600],
  "6h": ["6 h", 21_600],
  "1d": ["1 d", 86_400],
  "7d": ["7 d", 604_800],
  all: ["All", Infinity],
};
const REFRESH = 3_000; // ms
const MODELS = 6; // of the latest rounds of training; all of them are in the view of models
const LEADS = 0.1; // a channel's part in an alarm from which on it is drawn first
const STEP = 0.25; // of the range, by a key
const ZOOM = 0.5;

export function show(root, route, { on }) {
  const [group, sensor] = route.parts;
  const { range = "1d", from, to } = route.query;
  const seen = {
    item: null,
    alarms: [],
    models: [],
    range: RANGES[range] ? range : "1d",
    zoom: from && to ? [Number(from), Number(to)] : null,
    drawn: null,
  };
  let charts = null;
  const stop = [on("command", load), on("alarm", load)];

  async function load() {
    const about = { group, sensor };
    const lists = [get("alarms", { search: sensor, limit: 20 }), get("models", about)];
    const [item, alarms, models] = await Promise.all([get("sensor", about), ...lists]);
    seen.item = item;
    seen.alarms = alarms.items.filter((alarm) => alarm.sensor === sensor && alarm.group === group);
    seen.models = models.generations;
    draw();
    await chart();
  }

  async function chart(anew = false) {
    if (!seen.item.recorded) return;
    const state = `${seen.item.last} ${seen.item.alarm} ${seen.models.length}`;
    if (!anew && state === seen.drawn) return;
    const [since, until] = extentOf(seen);
    const series = await get("series", {
      group,
      sensor,
      since: Number.isFinite(since) ? since : null,
      until: seen.zoom ? until : null,
    });
    seen.drawn = state;
    const host = root.querySelector(".charts");
    if (!host) return; // left meanwhile
    charts ??= new Charts(host, (zoom) => choose({ zoom }));
    charts.show(leading(series, seen.item.open), [
      Number.isFinite(since) ? since : (series.time[0] ?? until - 3600),
      until,
    ]);
  }

  function choose(news) {
    Object.assign(seen, news);
    const query = seen.zoom ? { from: Math.round(seen.zoom[0]), to: Math.round(seen.zoom[1]) } : { range: seen.range };
    remember(toSensor({ group, sensor }, query));
    draw();
    chart(true).catch(() => {});
  }

  // Arrows move, + and - zoom, 0 goes back to the range that was chosen. Whether the key means anything.
  function steer(key) {
    const [first, last] =
      seen.zoom || extentOf(seen).map((one, k) => (Number.isFinite(one) ? one : (charts?.range[k] ?? one)));
    const length = last - first;
    const moves = {
      ArrowLeft: [first - STEP * length, last - STEP * length],
      ArrowRight: [first + STEP * length, last + STEP * length],
      "+": [first + (length * ZOOM) / 2, last - (length * ZOOM) / 2],
      "-": [first - length / 2, last + length / 2],
      0: null,
    };
    if (key in moves) choose({ zoom: moves[key] });
    return key in moves;
  }

  const draw = () => paint(root, page(seen, choose, steer));
  const recolour = () => charts?.recolour();
  addEventListener("recolour", recolour);
  return {
    title: sensor,
    load,
    every: REFRESH,
    close() {
      removeEventListener("recolour", recolour);
      charts?.destroy();
      stop.forEach((one) => one());
    },
  };
}

// What the open alarm rests on comes first: of many channels only some are drawn.
function leading(series, alarm) {
  const part = (name) => (alarm?.channels[name]?.contribution > LEADS ? alarm.channels[name].contribution : 0);
  const names = Object.keys(series.channels);
  if (names.length <= CHANNELS) return series;
  names.sort((a, b) => part(b) - part(a));
  return { ...series, channels: Object.fromEntries(names.map((name) => [name, series.channels[name]])) };
}

/** [since, until] in data time: what was zoomed to, or the range up to the latest sample. */
function extentOf({ zoom, range, item }) {
  if (zoom) return zoom;
  const until = Number.isFinite(item.last) ? item.last : now();
  return [until - RANGES[range][1], until];
}

function page(seen, choose, steer) {
  const { item, alarms, models } = seen;
  return [
    h(
      "header",
      { class: "title", key: "title" },
      h(
        "p",
        { class: "crumbs" },
        h("a", { href: link("sensors") }, "Sensors"),
        " / ",
        h("a", { href: link("sensors", [], { group: item.group }) }, item.group),
      ),
      h("h1", { tabindex: "-1" }, item.sensor),
      pill(item.state),
      item.learning !== "on" &&
        h("span", { class: "pill paused" }, item.learning === "paused" ? "learning paused" : "learning off"),
      commands(item),
    ),
    facts(item),
    item.open &&
      h(
        "section",
        { class: "cards one", key: "open", "aria-label": "Open alarm" },
        h("h2", { class: "unseen" }, "Open alarm"),
        alarmCard(item.open, null, { explained: true }),
      ),
    h(
      "section",
      { class: "panel drawn", key: "charts", "aria-label": "Charts" },
      item.recorded && ranges(seen, choose, steer),
      !item.recorded &&
        h(
          "p",
          { class: "empty" },
          "The samples of this sensor are not kept for charts: web.recorded says of how many they are.",
        ),
      h(
        "div",
        {
          tabindex: "0",
          role: "group",
          "aria-label": "Charts: arrow keys move, plus and minus zoom, 0 goes back",
          onkeydown: (event) => pressed(event, steer),
          hidden: !item.recorded,
        },
        h("div", { class: "charts", "data-keep": true }),
      ),
      item.recorded && legend(),
    ),
    h(
      "div",
      { class: "columns pair", key: "tables" },
      latest(item),
      h(
        "section",
        { key: "alarms" },
        h("h2", {}, "Its alarms"),
        alarms.length
          ? h(
              "ul",
              { class: "panel lines" },
              alarms.map((alarm) => alarmLine(alarm, { named: false })),
            )
          : h("p", { class: "panel empty" }, "None that are kept."),
      ),
      h(
        "section",
        { class: "full", key: "models" },
        h("h2", {}, "Its models ", h("small", {}, h("a", { href: toModel(item) }, "all rounds of training"))),
        models.length
          ? generations(models.slice(0, MODELS), item)
          : h("p", { class: "panel empty" }, "None of its own: not trained yet, or its group shares one."),
      ),
    ),
  ];
}

function commands(item) {
  return h(
    "div",
    { class: "buttons" },
    item.learning === "paused" ? button("resume", item) : button("pause", item),
    !item.open && item.state !== "warming" && button("accept", item),
    button("forget", item),
  );
}

function facts(item) {
  const list = [
    [
      "Score",
      Number.isFinite(item.threshold)
        ? beside(item, item.score >= item.threshold ? "out" : "")
        : h("span", { class: "dim" }, item.state === "warming" ? "after its warm-up" : NONE),
    ],
    ["Last sample", age(item.last)],
    ["Samples", item.count < item.warmup ? warming(item) : integer(item.count)],
    ["Usual interval", duration(item.interval)],
    ["Model", `generation ${integer(item.generation)}`],
    ["Channels", integer(item.channels.length)],
  ];
  return h(
    "dl",
    { class: "facts", key: "facts" },
    list.map(([name, value]) => h("div", { key: name }, h("dt", {}, name), h("dd", {}, value))),
  );
}

function warming({ count, warmup, interval }) {
  const left = (warmup - count) * interval;
  return [
    `${integer(count)} of ${integer(warmup)} to warm up`,
    left > 0 && h("span", { class: "dim" }, `, ${duration(left)} to go`),
  ];
}

function pressed(event, steer) {
  if (!event.ctrlKey && !event.metaKey && !event.altKey && steer(event.key)) event.preventDefault();
}

const STEPS = [
  ["ArrowLeft", "‹", "Earlier"],
  ["ArrowRight", "›", "Later"],
  ["-", "−", "Zoom out"],
  ["+", "+", "Zoom in"],
];

function ranges({ range, zoom }, choose, steer) {
  return h(
    "div",
    { class: "ranges", role: "group", "aria-label": "Time range" },
    Object.entries(RANGES).map(([key, [name]]) =>
      h(
        "button",
        {
          type: "button",
          "aria-pressed": String(!zoom && key === range),
          onclick: () => choose({ range: key, zoom: null }),
          key,
        },
        name,
      ),
    ),
    zoom &&
      h(
        "span",
        { class: "zoomed", key: "zoomed" },
        `${clock(zoom[0])} – ${clock(zoom[1])}`,
        h("button", { type: "button", onclick: () => choose({ zoom: null }) }, "Reset zoom"),
      ),
    h(
      "span",
      { class: "steps" },
      STEPS.map(([key, sign, name]) =>
        h("button", { type: "button", "aria-label": name, title: name, onclick: () => steer(key) }, sign),
      ),
    ),
  );
}

export function legend() {
  const parts = [
    ["value", "measured"],
    ["expected", "expected"],
    ["band", "expected range"],
    ["threshold", "threshold"],
    ["shade", "alarm"],
    ["model", "training"],
  ];
  return h(
    "ul",
    { class: "key", "aria-hidden": "true" },
    parts.map(([kind, name]) => h("li", {}, h("i", { class: kind }), name)),
  );
}

function latest(item) {
  const rows = Object.entries(item.latest);
  return h(
    "section",
    { key: "latest" },
    h("h2", {}, "Latest sample"),
    h(
      "div",
      { class: "scroll high panel", tabindex: "0", role: "region", "aria-label": "Latest sample" },
      h(
        "table",
        { class: "list evidence" },
        h("caption", { class: "unseen" }, "Latest values beside what was expected"),
        h(
          "thead",
          { class: "unseen" },
          h(
            "tr",
            {},
            ["Channel", "Gauge", "Measured"].map((name) => h("th", { scope: "col" }, name)),
          ),
        ),
        h(
          "tbody",
          {},
          rows.map(([name, one]) => {
            const values = { ...one, actual: one.value };
            return h(
              "tr",
              { key: name },
              h("th", { scope: "row", title: name }, name),
              h("td", {}, gauge(values)),
              h("td", {}, against(values)),
            );
          }),
        ),
      ),
    ),
  );
}
