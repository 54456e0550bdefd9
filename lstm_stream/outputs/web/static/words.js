// What is the matter, in plain words: the sentence on top, and names for states, views, reasons and results.
import { h } from "./dom.js";
import { clock, integer, plural } from "./format.js";
import { link, toSensor } from "./links.js";

export const STATES = { alarmed: "in alarm", silent: "silent", warming: "warming up", watching: "as usual" };

export const VIEWS = {
  forecast: "unlike its forecast",
  burst: "several poor forecasts",
  level: "unusual level",
  surprise: "an error where none was",
  shape: "unusual pattern",
  clock: "unusual for this hour",
  drift: "drifting away",
  range: "out of its range",
  stuck: "stuck at one value",
  silence: "fell silent",
};

/** What each of them says of the sensor, and what to look for (docs/guide/alarms.md). */
export const MEANINGS = {
  forecast: "It left what was expected for this moment. Look for a jump, a spike, a wrong reading.",
  burst: "It has been forecast badly for a while. Look for unrest, a loose contact, a new mode.",
  level:
    "It averages elsewhere than is usual at this time of day, though single values may be within what was expected. " +
    "Look for leaks, fouling, a moved set point.",
  surprise: "It showed an error where there never was one. Look for something at an odd moment.",
  shape: "Its last samples have a mean or an unrest that they never had. Look for another way of running.",
  clock: "It has a value that it never had at this time of day. Look for what runs at night, or stands open.",
  drift:
    "It has moved slowly away from where it used to be, or from its other channels. Look for wear and calibration.",
  range: "It went beyond all that it has ever shown. Look for limits.",
  stuck: "It repeats one value far longer than it ever did. Look for a frozen sensor.",
  silence: "It sends nothing for far longer than it ever did. Look for power, network, battery.",
};

export const RESULTS = {
  adopted: "adopted: it forecasts better",
  rejected: "rejected: no better than before",
  late: "came too late",
  failed: "failed",
  rollback: "rolled back by hand",
};

/** What is checked, in other words. */
export const CHECKS = {
  line: "scores what comes",
  broker: "connected",
  subscription: "to the sources' topics",
  samples: "coming in",
  state: "saved",
};

/** A problem without the number that the operating system gives it. */
export const plain = (text) => text.replace(/\[(Errno|WinError) -?\d+\] /, "");

/** Why something was not scored, and what would help. */
export const REJECTIONS = {
  unknown_topic: ["No source takes this topic.", "Add it to sources, or leave it out of the subscription."],
  too_large: ["The payload is too large.", "Raise limits.payload, or send less at once."],
  too_deep: ["The payload is nested too deeply.", "Name the part that matters with root or include."],
  malformed: ["The payload could not be read.", "lstm-stream explain shows where reading ended."],
  no_channels: ["There was no number in it.", "Name the channels with include, or ignore the topic."],
  bad_timestamp: ["Its time could not be read or is far off.", "Check the device's clock, or set time: arrival."],
  bad_sensor: ["The sensor's name is missing or unfit.", "Check sources: sensor."],
  retained: ["A retained message without a time of its own is no sample.", "Nothing to do."],
  duplicate: ["It came twice; the first was scored.", "Nothing to do."],
  out_of_order: ["It is older than the sensor's latest sample.", "Check the clocks and how the sender buffers."],
  too_many_channels: ["The sensor has more channels than limits allow.", "Raise limits.channels, or use include."],
  unknown_channel: ["A channel that was not there during the warm-up.", "Forget the sensor to have it learnt anew."],
  too_many_sensors: ["The fleet is at its limit.", "Raise limits.sensors."],
  sequence_gap: ["Messages were lost before this one, which was scored.", "Check the broker's queue limits."],
  unsupported: ["An optional package is missing.", "pip install 'lstm_stream[formats]'"],
  internal: ["A fault of lstm_stream itself.", "Please report it; the log has the details."],
};

const SHOWN = 3; // machines named in the sentence
const RANKS = ["critical", "warning", "info"];
const CAUSES = ["line", "broker", "subscription", "samples"]; // each explains those that follow

/** The gravest first: what nobody has acknowledged, then by severity, then the latest. */
export function ranked(alarms) {
  const weight = (alarm) =>
    (alarm.acknowledged ? 10 : 0) + ((RANKS.indexOf(alarm.severity) + RANKS.length + 1) % (RANKS.length + 1));
  return [...alarms].sort((a, b) => weight(a) - weight(b) || b.opened_unix - a.opened_unix);
}

/** {tone: good|learn|alarm|broken, text, more} of the overview document and the open alarms, ranked: text and nodes. */
export function sentence(overview, alarms) {
  const failing = Object.entries(overview.checks).filter(([, text]) => text !== "ok");
  const { warming = 0, watching = 0, silent = 0, alarmed = 0 } = overview.sensors;
  const total = warming + watching + silent + alarmed;
  const awaited = !overview.messages.total && failing.every(([name]) => name === "samples");
  if (!overview.ready && failing.length && !awaited) return broken(failing, alarms);
  const more = failing.length && !awaited ? [failing.map(said).join("; "), ". ", learning(warming)] : learning(warming);
  if (alarms.length) return misbehaving(alarms, watching, total);
  if (!total) return { tone: "learn", text: "Waiting for the first message.", more: waiting(overview) };
  if (silent) return { tone: "alarm", text: `${plural(silent, "sensor is", "sensors are")} silent.`, more };
  if (!watching)
    return {
      tone: "learn",
      text: `Learning what is normal for ${plural(warming, "sensor")}.`,
      more: "Alarms begin when each has shown enough of its normal life.",
    };
  const text =
    watching === 1 ? "The one sensor behaves as usual." : `All ${integer(watching)} sensors behave as usual.`;
  return { tone: "good", text, more };
}

const said = ([name, text]) => `${name}: ${plain(text)}`.replace(/\.$/, "");
const learning = (count) => (count ? `${plural(count, "more is", "more are")} still warming up.` : "");

function broken(failing, alarms) {
  const order = ([name]) => (CAUSES.indexOf(name) + CAUSES.length + 1) % (CAUSES.length + 1);
  const [first] = [...failing].sort((a, b) => order(a) - order(b));
  const beside = alarms.length ? `${plural(alarms.length, "alarm")} open beside that. ` : "";
  return {
    tone: "broken",
    text: `Not working: ${said(first)}.`,
    more: [beside, h("a", { href: link("diagnosis") }, "What is checked, and what would help")],
  };
}

function waiting(overview) {
  const { connected, address } = overview.broker;
  return connected ? `Connected to ${address}; nothing has come yet.` : "";
}

function misbehaving(alarms, watching, total) {
  const machines = new Map();
  for (const alarm of alarms)
    if (!machines.has(`${alarm.group}\n${alarm.sensor}`)) machines.set(`${alarm.group}\n${alarm.sensor}`, alarm);
  const list = [...machines.values()];
  const named = list.slice(0, SHOWN);
  const rest = list.length - named.length;
  const text = [
    `${plural(list.length, "machine misbehaves", "machines misbehave")}: `,
    named.map((alarm, k) => [
      h("a", { class: "whole", href: toSensor(alarm) }, short(alarm.sensor)),
      " ",
      h("span", { class: "whole" }, `since ${clock(alarm.opened_unix)}${k < named.length - 1 ? "," : rest ? "" : "."}`),
      " ",
    ]),
    rest ? `and ${integer(rest)} more.` : "",
  ];
  const many = list.length >= 5 && list.length > 0.2 * total;
  const open = alarms.filter((alarm) => !alarm.acknowledged).length;
  const more = many
    ? `So many at once (${integer(list.length)} of ${integer(total)}) rather have one cause in common than a fault each.`
    : [
        open ? "" : "All of them are acknowledged. ",
        watching ? `${plural(watching, "other behaves", "others behave")} as usual.` : "",
      ].join("");
  return { tone: "alarm", text, more };
}

export const short = (name) => (name.length > 48 ? `${name.slice(0, 30)}…${name.slice(-14)}` : name);
