// One alarm, as a card with all that is known of it, or as a line.
import { button } from "../commands.js";
import { h } from "../dom.js";
import { age, at, dataNow, duration, points } from "../format.js";
import { cause, toAlarm, toSensor } from "../links.js";
import { against, gauge, severity, share, spark } from "../marks.js";
import { MEANINGS, VIEWS, short } from "../words.js";

const CHANNELS = 3; // on a card; all of them in the alarm's own view
const AROUND = 0.5; // of its length that is shown before and after
const ROOM = 6 * 3600; // s that are shown at least

/** The span of time to look at, [from, to] in unix seconds. */
export function around({ opened_unix: opened, closed_unix: closed }) {
  const room = Math.max(ROOM, AROUND * ((closed ?? dataNow()) - opened));
  return [Math.floor(opened - room), Math.ceil((closed ?? dataNow()) + room)];
}

function query(alarm) {
  const [from, to] = around(alarm);
  return alarm.closed_unix ? { from, to } : {};
}

export function alarmCard(alarm, values, { whole = false, explained = whole } = {}) {
  const open = alarm.state === "opened";
  const about = { ...alarm, argument: alarm.id };
  const channels = Object.entries(alarm.channels).sort(([, a], [, b]) => b.contribution - a.contribution);
  return h(
    "article",
    {
      class: `card ${open ? "open" : "closed"} ${alarm.severity || ""} ${alarm.acknowledged ? "seen" : ""}`,
      key: cause(alarm),
      "aria-label": `Alarm of ${alarm.sensor}`,
    },
    h(
      "header",
      {},
      h("h3", {}, h("a", { href: toSensor(alarm, query(alarm)) }, short(alarm.sensor)), h("small", {}, alarm.group)),
      h("p", { class: "when" }, severity(alarm.severity), lasting(alarm)),
    ),
    h("p", { class: "reason" }, alarm.why ?? alarm.reason),
    explained && MEANINGS[alarm.view] && h("p", { class: "meaning" }, MEANINGS[alarm.view]),
    channels.length > 0 && evidence(channels.slice(0, whole ? Infinity : CHANNELS), channels.length),
    h(
      "footer",
      {},
      values?.length && h("span", { class: "trend" }, spark(values)),
      h("p", { class: "dim said" }, facts(alarm), "\u00a0· ", further(alarm, whole)),
      h(
        "span",
        { class: "buttons" },
        open && !alarm.acknowledged && button("acknowledge", about),
        button("normal", about),
        open && button("accept", { ...about, argument: "" }),
      ),
    ),
  );
}

// To the alarm's own view; from there to the sensor's.
function further(alarm, whole) {
  if (whole) return h("a", { href: toSensor(alarm, query(alarm)) }, "Charts");
  return h("a", { href: toAlarm(alarm), "aria-label": `Details of the alarm of ${alarm.sensor}` }, "Details");
}

function lasting({ opened_unix: opened, closed_unix: closed }) {
  if (closed)
    return h("span", {}, at(opened), " – ", at(closed), h("span", { class: "dim" }, ` · ${duration(closed - opened)}`));
  return h("span", {}, "since ", at(opened), h("span", { class: "dim" }, ` · ${duration(dataNow() - opened)}`));
}

function facts(alarm) {
  const { acknowledged } = alarm;
  const seen = acknowledged && [
    "acknowledged",
    acknowledged.by && ` by ${acknowledged.by}`,
    acknowledged.at && [" ", age(acknowledged.at)],
  ];
  return [
    VIEWS[alarm.view] || alarm.view,
    alarm.closed_unix
      ? alarm.why && `, ${alarm.reason}`
      : alarm.threshold > 0 && `, score ${points(alarm.score)} of ${points(alarm.threshold)}`, // silence has none
    alarm.maintenance && ` · opened in maintenance (${alarm.maintenance}): sent only if it is still open afterwards`,
    seen && [" · ", seen],
  ];
}

function evidence(channels, total) {
  const hidden = total - channels.length;
  return h(
    "table",
    { class: "evidence" },
    h("caption", { class: "unseen" }, "What was measured and what was expected"),
    h(
      "thead",
      { class: "unseen" },
      h(
        "tr",
        {},
        ["Channel", "Gauge", "Measured", "Share"].map((name) => h("th", { scope: "col" }, name)),
      ),
    ),
    h(
      "tbody",
      {},
      channels.map(([name, channel]) =>
        h(
          "tr",
          { key: name },
          h("th", { scope: "row", title: name }, name),
          h("td", {}, gauge(channel)),
          h("td", {}, against(channel)),
          h("td", {}, share(channel.contribution, "share of the alarm")),
        ),
      ),
      hidden > 0 && h("tr", { key: "\n" }, h("td", { colspan: 4, class: "dim" }, `and ${hidden} more`)),
    ),
  );
}

export function alarmLine(alarm, { named = true } = {}) {
  return h(
    "li",
    { key: cause(alarm) },
    h("a", { class: "name", href: toAlarm(alarm) }, named ? short(alarm.sensor) : VIEWS[alarm.view] || alarm.view),
    named && h("span", { class: "wide dim" }, alarm.group),
    h(
      "span",
      { class: "said", title: alarm.why ?? alarm.reason },
      named && `${VIEWS[alarm.view] || alarm.view}: `,
      alarm.why ?? alarm.reason,
    ),
    h(
      "span",
      { class: "figure" },
      at(alarm.opened_unix),
      h("span", { class: "dim" }, ` · ${duration((alarm.closed_unix ?? dataNow()) - alarm.opened_unix)}`),
    ),
  );
}
