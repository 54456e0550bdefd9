// Small graphics in the text: sparkline, gauge of a value in its expected range, bars, states. Pure: data in, nodes out.
import { h, svg } from "./dom.js";
import { NONE, number, percent, points as scored } from "./format.js";
import { STATES } from "./words.js";

const WIDTH = 100;
const HEIGHT = 24;
const TOP = 2.5; // a spark of score / threshold ends there

/** Score over threshold: the dashed line is the threshold, what lies above is in the colour of alarms. */
export function spark(values, label) {
  const points = values.map((value) => (Number.isFinite(value) ? Math.min(Math.max(value, 0), TOP) : null));
  const top = Math.max(1.3, ...points.filter((value) => value !== null));
  const limit = HEIGHT - 1 - (HEIGHT - 2) / top;
  const path = trace(points, top);
  const trait = () => svg("path", { d: path, class: "trait" });
  return svg(
    "svg",
    {
      class: "spark",
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": label || "score beside its threshold, recently",
    },
    svg("path", { d: `M0 ${limit}H${WIDTH}`, class: "limit" }),
    trait(),
    svg(
      "svg",
      { class: "over", width: WIDTH, height: limit, viewBox: `0 0 ${WIDTH} ${limit}`, preserveAspectRatio: "none" },
      trait(),
    ),
  );
}

/** Any series from zero up, filled: messages a second. */
export function area(values, label) {
  const points = values.map((value) => (Number.isFinite(value) ? value : null));
  const path = trace(points, 1.1 * Math.max(1e-9, ...points.map((value) => value ?? 0)));
  const ends = `L${WIDTH} ${HEIGHT}L0 ${HEIGHT}Z`;
  return svg(
    "svg",
    { class: "area", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
    points.every((value) => value !== null) && path && svg("path", { d: path + ends, class: "filled" }),
    svg("path", { d: path, class: "trait" }),
  );
}

function trace(points, top) {
  let path = "";
  let pen = false;
  points.forEach((value, k) => {
    if (value === null) return void (pen = false);
    const x = points.length > 1 ? (WIDTH * k) / (points.length - 1) : WIDTH;
    const y = HEIGHT - 1 - ((HEIGHT - 2) * value) / top;
    path += `${pen ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    pen = true;
  });
  return path;
}

/** Where the value lies beside the expected range. The numbers stand beside it, so it is decoration for a reader. */
export function gauge({ actual, expected, lower, upper }) {
  const known = [actual, expected, lower, upper].filter(Number.isFinite);
  if (!Number.isFinite(actual) || known.length < 2) return h("span", { class: "gauge empty", "aria-hidden": "true" });
  const low = Math.min(...known);
  const span = Math.max(...known) - low || 1;
  const place = (value) => `${(6 + (88 * (value - low)) / span).toFixed(2)}%`;
  const inside = (lower ?? -Infinity) <= actual && actual <= (upper ?? Infinity);
  const range = Number.isFinite(lower) && Number.isFinite(upper);
  return h(
    "span",
    { class: "gauge", "aria-hidden": "true" },
    range && h("i", { class: "range", style: { left: place(lower), right: `calc(100% - ${place(upper)})` } }),
    Number.isFinite(expected) && h("i", { class: "tick", style: { left: place(expected) } }),
    h("i", { class: inside ? "dot" : "dot out", style: { left: place(actual) } }),
  );
}

/** "84.2 instead of 61.5 (58 to 65)". */
export function against({ actual, expected, lower, upper }) {
  const range = Number.isFinite(lower) && Number.isFinite(upper);
  return h(
    "span",
    { class: "against" },
    h("b", {}, number(actual)),
    Number.isFinite(expected) && [h("span", { class: "dim" }, " expected "), number(expected)],
    range && h("span", { class: "dim" }, ` (${number(lower)} to ${number(upper)})`),
  );
}

export function share(part, label) {
  const text = Number.isFinite(part) ? percent(part) : NONE;
  return h(
    "span",
    { class: "share", title: label },
    h("i", { "aria-hidden": "true" }, h("i", { style: { width: `${Math.min(100, 100 * (part || 0))}%` } })),
    h("span", {}, text),
  );
}

/** One bar, a part for each state that occurs. */
export function proportions(sensors) {
  const parts = Object.keys(STATES).filter((state) => sensors[state]);
  return h(
    "div",
    { class: "proportions", "aria-hidden": "true" },
    parts.map((state) => h("i", { class: state, style: { "flex-grow": sensors[state] }, key: state })),
  );
}

export const pill = (state) => h("span", { class: `pill ${state}` }, STATES[state] || state);
export const severity = (level) => level && h("span", { class: `severity ${level}` }, level);

/** A score beside its threshold; `kind` marks the score. */
export const beside = ({ score, threshold }, kind) => [
  kind === undefined ? scored(score) : h("b", { class: kind }, scored(score)),
  h("span", { class: "dim" }, ` of ${scored(threshold)}`),
];
