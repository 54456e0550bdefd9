// Numbers, times and durations in words. Times are unix seconds, shown in the viewer's zone, in UTC on hover.
import { h } from "./dom.js";

export const NONE = "–";
const LOCALE = "en-GB"; // the page is in English, and 24 hours leave no doubt
const NEAR = 12 * 3600; // s ago in which a time of day leaves no doubt, even before midnight
const APART = 86_400; // s between data and clock: then it is a recording that is played
let skew = 0; // seconds that the daemon's clock is ahead of this browser's
let lag = 0; // and that the latest data are behind the daemon's clock, where they are a recording

export const now = () => Date.now() / 1000 + skew;
/** Now, as the sensors have it: another time than now() where a recording is played. */
export const dataNow = () => now() - lag;
export function setClock(daemon, data) {
  skew = daemon - Date.now() / 1000;
  lag = Number.isFinite(data) && Math.abs(daemon - data) > APART ? daemon - data : 0;
}

/** Four significant digits; thousands grouped. */
export function number(value, digits = 4) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e12)) return value.toExponential(2).replace("e+", "e");
  if (size >= 10 ** (digits - 1)) return value.toLocaleString(LOCALE, { maximumFractionDigits: 0 });
  return value.toLocaleString(LOCALE, { maximumSignificantDigits: digits });
}

/** A score or a threshold: two decimals, so that those below one another can be compared. */
export const points = (value) => (Number.isFinite(value) ? value.toFixed(value < 1000 ? 2 : 0) : NONE);
export const integer = (value) => (Number.isFinite(value) ? Math.round(value).toLocaleString(LOCALE) : NONE);
export const percent = (share) => `${Math.round(100 * share)} %`;
export const plural = (count, one, many = `${one}s`) => `${integer(count)} ${count === 1 ? one : many}`;

/** 3 ms, 40 s, 12 min, 3 h 20 min, 5 d. */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return NONE;
  if (seconds > 0 && seconds < 0.95) return `${Math.ceil(1000 * seconds)} ms`;
  const s = Math.max(0, Math.round(seconds));
  if (s < 90) return `${s} s`;
  const minutes = Math.round(s / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 10) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  if (hours < 48) return `${hours} h`;
  return `${Math.round(hours / 24)} d`;
}

export function ago(seconds) {
  const age = now() - seconds;
  if (age < -5) return `in ${duration(-age)}`;
  return age < 5 ? "just now" : `${duration(age)} ago`;
}

const date = (seconds, options) => new Date(seconds * 1000).toLocaleString(LOCALE, options);

/** 03:12 today and in the last hours, 20 Nov 03:12 otherwise, with the year where it is another. */
export function clock(seconds, withSeconds = false) {
  if (!Number.isFinite(seconds)) return NONE;
  const time = date(seconds, { hour: "2-digit", minute: "2-digit", ...(withSeconds && { second: "2-digit" }) });
  const day = (at) => new Date(at * 1000).toDateString();
  const near = now() - seconds >= 0 && now() - seconds < NEAR;
  return near || day(seconds) === day(now()) ? time : `${calendar(seconds)} ${time}`;
}

/** 20 Nov, with the year where it is another. */
export function calendar(seconds) {
  const year = new Date(seconds * 1000).getFullYear() !== new Date(now() * 1000).getFullYear();
  return date(seconds, { day: "numeric", month: "short", ...(year && { year: "numeric" }) });
}

const utc = (seconds) => {
  const moment = new Date(seconds * 1000);
  return Number.isNaN(moment.getTime())
    ? ""
    : moment
        .toISOString()
        .replace("T", " ")
        .replace(/\.\d+Z$/, " UTC");
};

/** A <time>, absolute. */
export function at(seconds, withSeconds = false) {
  if (!Number.isFinite(seconds)) return h("span", { class: "dim" }, NONE);
  return h("time", { datetime: utc(seconds), title: utc(seconds) }, clock(seconds, withSeconds));
}

/** A <time> that says how long ago; app.js keeps it up to date. */
export function age(seconds) {
  if (!Number.isFinite(seconds)) return h("span", { class: "dim" }, NONE);
  const title = `${clock(seconds, true)} (${utc(seconds)})`;
  return h("time", { datetime: utc(seconds), title, "data-ago": seconds }, ago(seconds));
}
