// The page's addresses: #/view/part/part?name=value. Names of sensors may hold anything, slashes too.

export function link(view, parts = [], query = {}) {
  const path = [view, ...parts.map(encodeURIComponent)].join("/");
  const kept = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const search = new URLSearchParams(kept).toString();
  return `#/${path}${search ? `?${search}` : ""}`;
}

export const toSensor = ({ group, sensor }, query) => link("sensor", [group, sensor], query);
export const toAlarm = (alarm) => link("alarms", [cause(alarm)]);
/** An alarm keeps this when it closes; its id then ends otherwise. */
export const cause = (alarm) => alarm.id.replace(/-(opened|closed)$/, "");
export const toModel = ({ group, sensor }) => link("models", [group, sensor]);

/** {view, parts, query} of an address. */
export function parse(hash) {
  const [path, search = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [view, ...parts] = path.split("/");
  return { view: view || "overview", parts: parts.map(decode), query: Object.fromEntries(new URLSearchParams(search)) };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Change the address without entering the view anew. */
export function remember(hash) {
  history.replaceState(null, "", hash);
}
