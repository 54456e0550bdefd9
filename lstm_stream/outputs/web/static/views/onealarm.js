// One alarm at an address of its own, for links in messages: what speaks for it, and the charts from before it began.
import { ApiError, get } from "../api.js";
import { Charts } from "../charts.js";
import { h, paint } from "../dom.js";
import { cause, link } from "../links.js";
import { alarmCard, around } from "./alarm.js";
import { legend } from "./sensor.js";

const REFRESH = 10_000; // ms

export function show(root, id, on) {
  let charts = null;
  const load = async () => {
    const { items } = await get("alarms", { search: id });
    const alarm = items.find((item) => cause(item) === cause({ id }));
    const series = alarm && (await seriesOf(alarm));
    paint(root, page(alarm, series));
    const host = root.querySelector(".charts");
    if (!host) return;
    charts ??= new Charts(host, () => {});
    const [from, to] = around(alarm);
    charts.show(series, [from, Math.min(to, series.time.at(-1))]);
  };
  const stop = [on("alarm", load), on("command", load)];
  const recolour = () => charts?.recolour();
  addEventListener("recolour", recolour);
  return {
    title: "Alarm",
    load,
    every: REFRESH,
    close() {
      removeEventListener("recolour", recolour);
      charts?.destroy();
      stop.forEach((end) => end());
    },
  };
}

/** Its sensor's samples around it, the channels with the greatest part in it first; null where none are kept. */
async function seriesOf(alarm) {
  const { group, sensor } = alarm;
  const [since, until] = around(alarm);
  try {
    const series = await get("series", { group, sensor, since, until });
    if (!series.time.length) return null;
    const part = (name) => alarm.channels[name]?.contribution ?? 0;
    const names = Object.keys(series.channels).sort((a, b) => part(b) - part(a));
    return { ...series, channels: Object.fromEntries(names.map((name) => [name, series.channels[name]])) };
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

function page(alarm, series) {
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
    series &&
      h(
        "section",
        { class: "panel drawn", key: "charts", "aria-label": "Charts" },
        h("div", { class: "charts", "data-keep": true }),
        legend(),
      ),
  ];
}
