// A sensor's charts, one below the other: each channel on its expected band, and the score beside its threshold.
// They share the time axis: zoom one by dragging and all follow. Drawn by uPlot (window.uPlot, vendored).
import { h } from "./dom.js";
import { NONE, calendar, clock, number, points } from "./format.js";

const HEIGHTS = { channel: 168, score: 150 };
const GAP = 6; // usual intervals without a sample: the line is broken
const ROOM = 0.08; // above and below what is drawn
const BAND_ROOM = 0.6; // of the values' own span that a wide band may add to an axis
export const CHANNELS = 12; // drawn at first
const SCORES = {
  splits: (_plot, _axis, _low, high) =>
    (high < 30 ? [0, 1, 2, 3, 5, 10, 20] : [0, 3, 10, 30, 100, 300, 1000]).filter((one) => one <= high),
  filter: (_, splits) => splits,
};
const PIXELS = [56, 46]; // width of the axes on the left, and on a phone

/** `host`: an element of its own. `onZoom([from, to])` is told of a zoom by hand, in unix seconds; of null to go back. */
export class Charts {
  constructor(host, onZoom) {
    this.host = host;
    this.onZoom = onZoom;
    this.plots = [];
    this.names = "";
    this.all = false;
    this.sizes = new ResizeObserver(() => this.#resize());
    this.sizes.observe(host);
  }

  /** Draw a series document of the API over `range` [from, to]; kept charts only get the new data. */
  show(series, range) {
    this.series = series;
    this.range = range;
    const names = Object.keys(series.channels);
    const shown = this.all ? names : names.slice(0, CHANNELS);
    const breaks = gaps(series);
    const time = breaks.spread(series.time, (k) => series.time[k] + 1e-3);
    const tables = shown.map((name) => channelTable(time, series.channels[name], breaks));
    tables.push(scoreTable(time, series, breaks));
    if (this.names !== shown.join("\n")) this.#build(shown, names.length - shown.length);
    this.plots.forEach((plot, k) => {
      plot.setData(tables[k], false);
      plot.setScale("x", { min: range[0], max: range[1] });
      this.#readout(k);
    });
  }

  /** The colours have changed: all is drawn anew. */
  recolour() {
    this.names = "";
    if (this.series) this.show(this.series, this.range);
  }

  destroy() {
    this.sizes.disconnect();
    for (const plot of this.plots) plot.destroy();
    this.plots = [];
    this.host.replaceChildren();
  }

  #build(names, hidden) {
    for (const plot of this.plots) plot.destroy();
    this.names = names.join("\n");
    this.colours = palette();
    this.legends = [];
    this.plots = [];
    this.host.replaceChildren();
    for (const name of names) this.#add(name, "channel");
    if (hidden > 0)
      this.host.append(
        h("button", { class: "button", type: "button", onclick: () => this.#more() }, `Show ${hidden} more channels`),
      );
    this.#add("Score", "score");
  }

  #more() {
    this.all = true;
    this.show(this.series, this.range);
  }

  #add(name, kind) {
    const legend = h("span", { class: "readout" });
    const place = h("div", { class: "plot" });
    this.host.append(h("figure", { class: `chart ${kind}` }, h("figcaption", {}, h("b", {}, name), legend), place));
    this.legends.push(legend);
    this.plots.push(new uPlot(this.#options(kind, this.plots.length), [[]], place));
  }

  #options(kind, k) {
    const ink = this.colours;
    const axis = {
      stroke: ink.dim,
      grid: { stroke: ink.line, width: 1 },
      ticks: { show: false },
      font: "11px Inter, system-ui, sans-serif",
    };
    const narrow = this.host.clientWidth < 500;
    return {
      ...{ width: this.host.clientWidth || 600, height: HEIGHTS[kind], legend: { show: false }, pxAlign: 1 },
      padding: [8, 18, 0, 0],
      cursor: {
        sync: { key: "lstm_stream" },
        drag: { x: true, y: false, setScale: false },
        points: { size: 6 },
        y: false,
        bind: { dblclick: () => () => this.onZoom(null) },
      },
      scales: { x: { time: true }, y: kind === "score" ? this.#scoreScale() : { range: (plot) => this.#span(plot) } },
      axes: [
        { ...axis, size: 26, gap: 4, space: 80, values: (_, splits) => splits.map(label) },
        {
          ...axis,
          size: PIXELS[Number(narrow)],
          gap: 6,
          space: 32,
          values: (_, splits) => splits.map((one) => number(one)),
          ...(kind === "score" && SCORES),
        },
      ],
      series: kind === "score" ? scoreSeries(ink) : channelSeries(ink),
      bands:
        kind === "score"
          ? []
          : [
              { series: [1, 2], fill: ink.band },
              { series: [4, 5], fill: ink.soft },
            ],
      hooks: {
        drawClear: [(plot) => this.#shade(plot)],
        setCursor: [() => this.#readout(k)],
        setSelect: [(plot) => this.#select(plot)],
      },
    };
  }

  #scoreScale() {
    return {
      distr: 4, // linear up to the threshold, logarithmic above
      asinh: 3,
      range: (plot) => [
        0,
        1.15 * Math.max(4, ...plot.data[1].filter(Number.isFinite), ...plot.data[2].filter(Number.isFinite)),
      ],
    };
  }

  // The values and expected values in sight, and as much of the band as does not flatten them.
  #span(plot) {
    const sight = seen(plot.data[0], plot.scales.x);
    const [low, high] = extent([plot.data[3], plot.data[4], plot.data[5]], sight);
    if (low === Infinity) return [0, 1];
    const room = BAND_ROOM * (high - low || Math.abs(high) || 1);
    const [bottom, top] = extent([plot.data[1], plot.data[2]], sight);
    const from = Math.min(low, Math.max(bottom, low - room));
    const to = Math.max(high, Math.min(top, high + room));
    const margin = ROOM * (to - from || Math.abs(to) || 1);
    return [from - margin, to + margin];
  }

  #shade(plot) {
    const { ctx, bbox } = plot;
    const [first, last] = this.range;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const alarm of this.series.alarms) {
      if (alarm.opened > last || (alarm.closed ?? last) < first) continue;
      const from = Math.round(plot.valToPos(alarm.opened, "x", true)); // a whole pixel, or the line is a blur
      const to = plot.valToPos(alarm.closed ?? last, "x", true);
      ctx.fillStyle = this.colours.shade;
      ctx.fillRect(from, bbox.top, Math.max(2, to - from), bbox.height);
      ctx.fillStyle = this.colours.alarm;
      ctx.fillRect(from, bbox.top, Math.ceil(1.5 * devicePixelRatio), bbox.height);
    }
    for (const { time, result } of this.series.retrainings) this.#training(plot, time, result);
    ctx.restore();
  }

  #training(plot, time, result) {
    const { ctx, bbox } = plot;
    const at = plot.valToPos(time, "x", true);
    const size = 4 * devicePixelRatio;
    const bottom = bbox.top + bbox.height;
    ctx.fillStyle = this.colours.model;
    ctx.beginPath();
    ctx.moveTo(at - size, bottom);
    ctx.lineTo(at + size, bottom);
    ctx.lineTo(at, bottom - 1.6 * size);
    ctx.fill();
    if (result !== "adopted" && result !== "rollback") return;
    ctx.globalAlpha = 0.35;
    ctx.fillRect(at, bbox.top, devicePixelRatio, bbox.height);
    ctx.globalAlpha = 1;
  }

  #select(plot) {
    const { left, width } = plot.select;
    if (width < 4) return;
    const from = plot.posToVal(left, "x");
    const to = plot.posToVal(left + width, "x");
    for (const one of this.plots) one.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    if (plot.cursor.event) this.onZoom([from, to]); // the one that was dragged; the others follow it
  }

  // What the cursor is on, or the latest.
  #readout(k) {
    const plot = this.plots[k];
    if (!plot?.data[0].length) return void this.legends[k]?.replaceChildren("no data in this range");
    let at = plot.cursor.idx ?? plot.data[0].length - 1;
    const main = plot.data[k === this.plots.length - 1 ? 1 : 4];
    if (plot.cursor.idx === null || plot.cursor.idx === undefined) while (at > 0 && !Number.isFinite(main[at])) at -= 1;
    const time = h("span", { class: "dim" }, clock(plot.data[0][at], true));
    const values = plot.data.map((column) => column[at]);
    if (k === this.plots.length - 1) {
      const over = values[1] >= values[2];
      return this.legends[k].replaceChildren(
        h("b", { class: over ? "out" : "" }, points(values[1])),
        ` threshold ${points(values[2])} `,
        time,
      );
    }
    const [, upper, lower, expected, value, least] = values;
    const range = Number.isFinite(lower) && Number.isFinite(upper) ? `${number(lower)} to ${number(upper)}` : NONE;
    const out = least < lower || value > upper;
    this.legends[k].replaceChildren(
      h("b", { class: out ? "out" : "" }, number(value)),
      ` expected ${number(expected)} `,
      h("span", { class: "dim" }, `(${range}) `),
      time,
    );
  }

  #resize() {
    const width = this.host.clientWidth;
    if (width) for (const plot of this.plots) if (plot.width !== width) plot.setSize({ width, height: plot.height });
  }
}

function channelSeries(ink) {
  const bound = { stroke: "transparent", width: 0, points: { show: false } };
  const expected = { stroke: ink.expected, width: 1, dash: [4, 3], points: { show: false } };
  const value = { stroke: ink.value, width: 1.4, points: { show: false } };
  return [{}, bound, bound, expected, value, { ...value, width: 0.7 }]; // the last: the lowest of each coarse point
}

function scoreSeries(ink) {
  const score = {
    stroke: ink.value,
    width: 1,
    fill: ink.score,
    points: { show: false },
    paths: uPlot.paths.stepped({ align: -1 }),
  };
  return [{}, score, { stroke: ink.alarm, width: 1.2, dash: [5, 3], points: { show: false } }];
}

function channelTable(time, channel, breaks) {
  const column = (values) =>
    breaks.spread(
      values.map((value) => value ?? undefined),
      () => null,
    );
  return [
    time,
    column(channel.upper),
    column(channel.lower),
    column(channel.expected),
    column(channel.value),
    column(channel.low),
  ];
}

function scoreTable(time, series, breaks) {
  const column = (values) =>
    breaks.spread(
      values.map((value) => value ?? undefined),
      () => null,
    );
  return [time, column(series.score), column(series.threshold)];
}

// uPlot joins over `undefined` and breaks at null: after sample k of `after` one more row is put in.
function gaps({ time, fine_since: fine }) {
  const steps = time.slice(1).map((one, k) => one - time[k]);
  const isCoarse = (k) => fine !== null && time[k] < fine; // points that stand for ten minutes, before those of single samples
  const [coarse, single] = [true, false].map((kind) => median(steps.filter((_, k) => isCoarse(k) === kind)));
  const after = new Set(steps.flatMap((step, k) => (step > GAP * (isCoarse(k) ? coarse : single) ? [k] : [])));
  return {
    spread: (values, between) =>
      after.size ? values.flatMap((value, k) => (after.has(k) ? [value, between(k)] : [value])) : values,
  };
}

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1] || Infinity;

function seen(time, { min, max }) {
  const inside = (one) => one >= min && one <= max;
  const first = time.findIndex(inside);
  return first < 0 ? [0, time.length] : [first, time.findLastIndex(inside) + 1];
}

function extent(columns, [first, last]) {
  let low = Infinity;
  let high = -Infinity;
  for (const column of columns)
    for (let k = first; k < last; k += 1) {
      if (!Number.isFinite(column[k])) continue;
      low = Math.min(low, column[k]);
      high = Math.max(high, column[k]);
    }
  return [low, high];
}

// 14:05, or the date at the begin of a day; ticks lie on round times of the viewer's zone.
function label(seconds) {
  const moment = new Date(seconds * 1000);
  const midnight = moment.getHours() === 0 && moment.getMinutes() === 0 && moment.getSeconds() === 0;
  if (midnight) return calendar(seconds);
  const time = moment.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  return moment.getSeconds() ? `${time}:${String(moment.getSeconds()).padStart(2, "0")}` : time;
}

// The colours as they are now, light or dark: a canvas knows no custom properties.
function palette() {
  const probe = document.body.appendChild(h("i", { hidden: true }));
  const read = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const names = ["dim", "line", "value", "soft", "expected", "band", "alarm", "shade", "model", "score"];
  const found = Object.fromEntries(names.map((name) => [name, read(name)]));
  probe.remove();
  return found;
}
