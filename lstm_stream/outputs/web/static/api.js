// The daemon's JSON API, beside the page under api/v1/. Nothing else is ever asked.

const BASE = new URL("api/v1/", document.baseURI);

/** What the daemon answers when it cannot: a sentence, and what would help. `status` 0: it did not answer. */
export class ApiError extends Error {
  constructor(message, hint = "", status = 0) {
    super(message);
    this.hint = hint;
    this.status = status;
  }
}

export function address(path, query = {}) {
  const url = new URL(path, BASE);
  for (const [name, value] of Object.entries(query))
    if (value !== undefined && value !== null && (value !== "" || name === "sensor")) url.searchParams.set(name, value);
  return url;
}

export const get = (path, query) => request(address(path, query), {});

/** A command: {verb, group, sensor, argument, comment} -> {ok, text, id}. */
export function post(command) {
  const body = JSON.stringify({ sensor: "", argument: "", comment: "", ...command });
  return request(address("commands"), { method: "POST", headers: { "Content-Type": "application/json" }, body });
}

async function request(url, options) {
  let response;
  try {
    response = await fetch(url, { ...options, credentials: "same-origin", cache: "no-store" });
  } catch {
    throw new ApiError("The daemon does not answer.", "Is it running? The page tries again by itself.");
  }
  const document = await response.json().catch(() => null);
  if (response.ok && document !== null) return document;
  if (document && "ok" in document) return document; // a command that was refused says so itself
  throw new ApiError(
    document?.error || `The daemon answered ${response.status}.`,
    document?.hint || "",
    response.status,
  );
}
