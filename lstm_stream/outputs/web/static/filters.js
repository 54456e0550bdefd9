// What narrows a list: a field to search in, selections, and how much was found.
import { h } from "./dom.js";

/** The form above a list: `label` and `placeholder` of its search, what is chosen, and what else stands in it. */
export function filters(label, placeholder, chosen, change, ...rest) {
  return h(
    "form",
    { class: "filters", role: "search", key: "filters", onsubmit: (event) => event.preventDefault() },
    h(
      "label",
      {},
      h("span", { class: "unseen" }, label),
      h("input", {
        type: "search",
        id: "search",
        placeholder,
        value: chosen.search,
        oninput: (event) => change({ search: event.target.value }),
      }),
    ),
    ...rest,
  );
}

export function choice(name, options, value, change) {
  return h(
    "label",
    { key: name },
    h("span", { class: "unseen" }, name),
    h(
      "select",
      { onchange: (event) => change(event.target.value), value },
      Object.entries(options).map(([key, text]) => h("option", { value: key, selected: key === value }, text)),
    ),
  );
}
