// The stream of server-sent events, and whether it flows: "connecting", "live", "reconnecting" or "stale".
import { address, get } from "./api.js";
import { setClock } from "./format.js";

const LATE = 7_000; // ms without an event; they come every 2 s
const STALE = 20_000;
const listeners = { overview: new Set(), alarm: new Set(), command: new Set(), state: new Set() };
let source = null;
let heard = 0; // when, ms
let opened = 0;

export const live = { state: "connecting", overview: null, since: null };

/** Call `work` on each event of that kind ("state": when the connection's state changes); the answer stops it. */
export function on(kind, work) {
  listeners[kind].add(work);
  return () => listeners[kind].delete(work);
}

export function start() {
  get("overview").then(hear, () => look());
  connect();
  setInterval(look, 1000);
}

function connect() {
  source?.close();
  opened = Date.now();
  source = new EventSource(address("events"));
  source.addEventListener("overview", (event) => hear(JSON.parse(event.data)));
  source.addEventListener("alarm", (event) => tell("alarm", JSON.parse(event.data)));
  source.addEventListener("command", (event) => tell("command", JSON.parse(event.data)));
  source.onerror = look;
}

function hear(overview) {
  heard = Date.now();
  live.overview = overview;
  live.since = heard / 1000;
  setClock(overview.now, overview.data_time);
  look();
  tell("overview", overview);
}

function look() {
  const silent = Date.now() - (heard || opened);
  const broken = source?.readyState !== EventSource.OPEN;
  if ((broken || silent > LATE) && Date.now() - opened > LATE) connect(); // a browser gives up after some errors
  become(
    silent > STALE || (broken && silent > LATE)
      ? "stale"
      : silent > LATE
        ? "reconnecting"
        : heard
          ? "live"
          : "connecting",
  );
}

function become(state) {
  if (state === live.state) return;
  live.state = state;
  tell("state", state);
}

function tell(kind, document) {
  for (const work of [...listeners[kind]]) work(document);
}
