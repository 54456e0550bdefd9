// Why is it not working? What is checked, what was not understood and what would help, and what was commanded.
import { get } from "../api.js";
import { called, undo, undoable } from "../commands.js";
import { h, paint } from "../dom.js";
import { age, at, duration, integer } from "../format.js";
import { link, toSensor } from "../links.js";
import { CHECKS, REJECTIONS, plain, short } from "../words.js";

const REFRESH = 5_000; // ms
const ROWS = 50;
const LISTEN = "mosquitto_sub -v -t '#'";

export function show(root, _route, { live, on }) {
  const seen = { problems: null, commands: [] };
  const draw = () => seen.problems && live.overview && paint(root, page(live.overview, seen));
  const load = async () => {
    const [problems, commands] = await Promise.all([get("problems"), get("commands")]);
    Object.assign(seen, { problems, commands: commands.items });
    draw();
  };
  const stop = [on("overview", draw), on("command", load)];
  return { title: "Why is it not working?", load, every: REFRESH, close: () => stop.forEach((end) => end()) };
}

function page(overview, { problems, commands }) {
  const { hints, rejections, unmatched, clocks } = problems;
  return [
    h("h1", { tabindex: "-1", key: "title" }, "Why is it not working?"),
    hints.length > 0 &&
      h(
        "ul",
        { class: "hints", key: "hints" },
        hints.map((hint) => h("li", {}, marked(hint))),
      ),
    h(
      "div",
      { class: "columns", key: "columns" },
      section("Checks", checklist(overview.checks), "tall"),
      section("Sensors' clocks", clocks.length ? offsets(clocks) : nothing("No sensor's clock is off by much.")),
      section(
        "Topics that no source takes",
        unmatched.length
          ? topics(unmatched)
          : nothing(
              "Every topic that comes is taken. ",
              h(
                "span",
                { class: "dim" },
                "What else the broker carries is not subscribed to: ",
                h("code", {}, LISTEN),
                " shows it.",
              ),
            ),
      ),
      section(
        "Rejected",
        rejections.length ? rejected(rejections) : nothing("Everything was understood and accepted."),
        "full",
      ),
      section(
        "Commands",
        commands.length
          ? log(commands, overview.commands)
          : h("p", { class: "panel empty" }, "Nothing has been commanded."),
        "full",
      ),
    ),
  ];
}

const section = (name, content, kind = "") => h("section", { class: kind, key: name }, h("h2", {}, name), content);
const nothing = (...text) => h("p", { class: "panel empty good" }, text);
const marked = (text) => text.split("`").map((part, k) => (k % 2 ? h("code", {}, part) : part));

/** What is checked, and what is wrong with it. */
export function checklist(all) {
  const rows = Object.entries(all).map(([name, text]) =>
    h(
      "li",
      { key: name, class: text === "ok" ? "passed" : "failed" },
      h("i", { "aria-hidden": "true" }),
      h("b", {}, name),
      h("span", {}, text === "ok" ? ["ok", CHECKS[name] && `: ${CHECKS[name]}`] : plain(text)),
    ),
  );
  return h("ul", { class: "panel checks" }, rows);
}

function table(name, columns, rows, kind = "") {
  return h(
    "div",
    { class: "scroll panel", tabindex: "0", role: "region", "aria-label": name },
    h(
      "table",
      { class: `list ${kind}` },
      h("caption", { class: "unseen" }, name),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          columns.map((column) => h("th", { scope: "col" }, column)),
        ),
      ),
      h("tbody", {}, rows),
    ),
  );
}

function offsets(clocks) {
  const words = (offset) => (offset > 0 ? `${duration(offset)} ahead` : `${duration(-offset)} behind`);
  const rows = clocks
    .slice(0, ROWS)
    .map((one) =>
      h(
        "tr",
        { key: `${one.group}\n${one.sensor}` },
        h("th", { scope: "row" }, h("a", { href: toSensor(one) }, short(one.sensor))),
        h("td", {}, words(one.offset)),
      ),
    );
  return table("Sensors whose clocks are off", ["Sensor", "Its timestamps are"], rows);
}

function rejected(rejections) {
  const rows = rejections.map(({ reason, count, latest }) => {
    const [why, help] = REJECTIONS[reason] || [reason, ""];
    return h(
      "tr",
      { key: reason },
      h("th", { scope: "row" }, h("code", { class: "whole" }, reason)),
      h("td", { class: "number" }, integer(count)),
      h("td", { class: "broad" }, why, h("span", { class: "dim" }, ` ${help}`)),
      h(
        "td",
        { class: "broad" },
        h("code", { class: "topic" }, latest.topic),
        h("span", { class: "dim" }, latest.detail),
      ),
      h("td", { class: "number" }, age(latest.at)),
    );
  });
  return table("Rejected, by reason", ["Reason", "Count", "What it means", "The latest", "When"], rows, "blocks");
}

function topics(unmatched) {
  const rows = unmatched
    .slice(0, ROWS)
    .map(({ topic, count }) =>
      h(
        "tr",
        { key: topic },
        h("th", { scope: "row" }, h("code", {}, topic)),
        h("td", { class: "number" }, integer(count)),
      ),
    );
  return table("Topics that no source takes", ["Topic", "Messages"], rows);
}

function log(commands, enabled) {
  const undone = new Set(commands.filter(({ verb, ok }) => verb === "undo" && ok).map(({ argument }) => argument));
  const rows = commands.slice(0, ROWS).map((one) =>
    h(
      "tr",
      { key: one.id, class: one.ok ? "" : "failed" },
      h("td", {}, at(one.at)),
      h("td", {}, one.by),
      h("th", { scope: "row" }, called(one.verb)),
      h(
        "td",
        {},
        h(
          "a",
          { href: one.sensor ? toSensor(one) : link("sensors", [], { group: one.group }) },
          one.sensor ? short(one.sensor) : `all of ${one.group}`,
        ),
      ),
      h("td", { class: "broad" }, one.text, one.comment && h("q", {}, one.comment)),
      h(
        "td",
        {},
        enabled &&
          one.ok &&
          undoable(one.verb) &&
          !undone.has(one.id) &&
          h(
            "button",
            {
              class: "button quiet",
              type: "button",
              "aria-label": `Undo ${called(one.verb)} of ${one.sensor || one.group}`,
              onclick: () => undo(one, one.id),
            },
            "Undo",
          ),
        undone.has(one.id) && h("span", { class: "dim" }, "undone"),
      ),
    ),
  );
  const back = h("span", { class: "unseen" }, "Undo");
  return table("Commands that were given", ["When", "Who", "What", "Whom", "What came of it", back], rows, "blocks");
}
