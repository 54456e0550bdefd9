// What a person can tell the daemon: buttons, a question that says what will happen, and a way back.
import { ApiError, post } from "./api.js";
import { h } from "./dom.js";
import { clock } from "./format.js";
import { link } from "./links.js";
import { live } from "./live.js";
import { short } from "./words.js";

const WHO = (about) => about.sensor || `all sensors of ${about.group}`;

// What each command is called, and what the question before it says. Without a question it is done at once.
const VERBS = {
  acknowledge: { label: "Acknowledge", hint: "I have seen it. The alarm stays open until the sensor is quiet." },
  normal: {
    label: "Was normal",
    hint: "What it did was normal: do not alarm for it again.",
    title: (about) => `Was this normal for ${WHO(about)}?`,
    text: (about) =>
      `The pattern it has shown since ${clock(about.opened_unix)} will raise no alarm again, now or the next time. ` +
      "Everything else is still watched. You can undo this.",
    yes: "It was normal",
  },
  accept: {
    label: "Accept as new normal",
    hint: "It will stay as it is now: learn it.",
    title: (about) => `Accept the present behaviour of ${WHO(about)} as its new normal?`,
    text: () =>
      "Its alarm closes, and from now on what it does at present is what is expected: for a machine that was " +
      "repaired, moved or set to another speed. What was normal before may raise an alarm. This cannot be undone.",
    yes: "Accept as new normal",
  },
  pause: {
    label: "Pause learning",
    hint: "Keep watching, but learn nothing.",
    title: (about) => `Pause the learning of ${WHO(about)}?`,
    text: () =>
      "It is watched as before and alarms as before, but nothing is learnt from it until you resume: for works on the machine.",
    yes: "Pause learning",
  },
  resume: { label: "Resume learning", hint: "Learn again from what it does." },
  rollback: {
    label: "Roll back",
    hint: "Forecast with these former weights again.",
    title: (about) => `Roll ${WHO(about)} back to generation ${about.argument}?`,
    text: (about) =>
      `Forecasts are made with the weights of generation ${about.argument} again. Training goes on from there. ` +
      "You can undo this.",
    yes: "Roll back",
  },
  forget: {
    label: "Forget",
    hint: "Throw away all that is known of this sensor.",
    title: (about) => `Forget ${WHO(about)}?`,
    text: () =>
      "All that was learnt of it is thrown away. Should it send again, it begins anew with its warm-up, without alarms until then. This cannot be undone.",
    yes: "Forget it",
    danger: true,
  },
};
const UNDOABLE = new Set(["acknowledge", "normal", "pause", "resume", "rollback"]);

/** A button for a command about {group, sensor, ...}; an alarm's id or a generation is the `argument`. None where commands are off. */
export function button(verb, about, { quiet = false } = {}) {
  if (!live.overview?.commands) return null;
  const { label, hint, danger } = VERBS[verb];
  const style = ["button", danger && "danger", quiet && "quiet"].filter(Boolean).join(" ");
  const name = about.sensor ? `${label}: ${about.sensor}` : label;
  return h(
    "button",
    {
      class: style,
      type: "button",
      title: hint,
      "aria-label": name,
      "data-verb": verb,
      onclick: () => ask(verb, about),
    },
    label,
  );
}

/** What a command is called: by its button where there is one. */
export const called = (verb) => VERBS[verb]?.label ?? verb[0].toUpperCase() + verb.slice(1);

export const undoable = (verb) => UNDOABLE.has(verb);

/** Take back the command with that id. */
export const undo = (about, id) => send({ verb: "undo", group: about.group, sensor: about.sensor, argument: id });

async function ask(verb, about) {
  const spec = VERBS[verb];
  const comment = spec.title ? await question(spec, about) : "";
  if (comment === null) return;
  const { group, sensor = "", argument = "" } = about;
  await send({ verb, group, sensor, argument: String(argument), comment });
}

async function send(command) {
  try {
    const reply = await post(command);
    const way = reply.ok && undoable(command.verb) && reply.id;
    if (reply.ok && command.verb === "forget") location.hash = link("sensors"); // there is nothing to see any more
    toast(`${short(WHO(command))}: ${reply.text}`, reply.ok ? "good" : "bad", way && (() => undo(command, reply.id)));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    toast(`${error.message} ${error.hint}`, "bad");
  }
}

/** The comment, or null where the answer was no. */
function question(spec, about) {
  return new Promise((resolve) => {
    const comment = h("input", {
      id: "comment",
      type: "text",
      maxlength: 500,
      autocomplete: "off",
      placeholder: "bearing was changed",
    });
    const dialog = h(
      "dialog",
      { "aria-labelledby": "asked", "aria-describedby": "means" },
      h(
        "form",
        { method: "dialog", onsubmit: () => resolve(comment.value) },
        h("h2", { id: "asked" }, spec.title(about)),
        h("p", { id: "means" }, spec.text(about)),
        h("label", { for: "comment" }, "Comment, for the log ", h("span", { class: "dim" }, "(optional)")),
        comment,
        h(
          "div",
          { class: "buttons" },
          h("button", { class: "button", type: "button", onclick: () => dialog.close() }, "Cancel"),
          h("button", { class: spec.danger ? "button danger solid" : "button solid", type: "submit" }, spec.yes),
        ),
      ),
    );
    dialog.addEventListener("close", () => {
      resolve(null); // after a submit it has been resolved already
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

const SHOWN = 12_000; // ms
const TOASTS = 2; // at once: more would cover what one works on; the log of commands has the way back too

/** A message at the lower edge, with a way back where there is one. */
function toast(text, tone, back) {
  const close = () => node.remove();
  const away = back && (() => (close(), back()));
  const node = h(
    "div",
    { class: `toast ${tone}` },
    h("p", {}, text),
    back && h("button", { class: "button quiet", type: "button", onclick: away }, "Undo"),
    h("button", { class: "icon", type: "button", "aria-label": "Dismiss", onclick: close }, "×"),
  );
  const toasts = document.getElementById("toasts");
  toasts.append(node);
  while (toasts.children.length > TOASTS) toasts.firstChild.remove();
  setTimeout(close, SHOWN);
}
