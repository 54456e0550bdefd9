// Elements from data, and the smallest change that turns one tree into another. All text goes through text nodes.
// Nothing here (or elsewhere on the page) parses HTML: a sensor may be called <img onerror=...> and stays a name.

const HANDLERS = ["onclick", "oninput", "onchange", "onsubmit", "onkeydown"];
const SVG = "http://www.w3.org/2000/svg";

/** An element: h("p", {class: "dim", onclick: f, style: {"--part": "40%"}, key: "x"}, "text", child, [children]). */
export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same in SVG. */
export function svg(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node[name] = value;
    else if (name === "style") for (const [key, one] of Object.entries(value)) node.style.setProperty(key, one);
    else if (name === "key") node.dataset.key = value;
    else node.setAttribute(name, value === true ? "" : value);
    if (name === "value") node.value = value;
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Make `target`'s children those given, keeping nodes that are alike: focus, selection and scroll stay.
 * Where what had the focus is gone, its heading gets it: who works by keyboard goes on from there. */
export function paint(target, ...children) {
  const within = target.contains(document.activeElement);
  morphChildren(target, fill(document.createDocumentFragment(), {}, children));
  if (within && document.activeElement === document.body) target.querySelector("h1")?.focus({ preventScroll: true });
}

function morphChildren(old, next) {
  const staying = new Set([...next.childNodes].map((child) => child.dataset?.key));
  const keyed = new Map();
  for (const child of [...old.childNodes])
    if (child.dataset?.key) staying.has(child.dataset.key) ? keyed.set(child.dataset.key, child) : child.remove();
  let at = old.firstChild;
  for (const wanted of [...next.childNodes]) {
    const key = wanted.dataset?.key;
    const found = key ? keyed.get(key) : at && !at.dataset?.key ? at : null;
    keyed.delete(key);
    if (found && alike(found, wanted)) {
      if (found === at) at = at.nextSibling;
      else old.insertBefore(found, at);
      morph(found, wanted);
    } else {
      old.insertBefore(wanted, at);
    }
  }
  while (at) {
    const following = at.nextSibling;
    at.remove();
    at = following;
  }
}

const alike = (old, next) => old.nodeName === next.nodeName && old.dataset?.key === next.dataset?.key;

function morph(old, next) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== next.data) old.data = next.data;
    return;
  }
  if (old.hasAttribute("data-keep")) return; // it looks after itself: a chart
  morphAttributes(old, next);
  for (const name of HANDLERS) old[name] = next[name];
  morphChildren(old, next);
  if ("value" in next && old !== document.activeElement && old.value !== next.value) old.value = next.value;
}

function morphAttributes(old, next) {
  if (old.style.cssText !== next.style.cssText) old.style.cssText = next.style.cssText;
  for (const { name } of [...old.attributes])
    if (name !== "style" && name !== "open" && !next.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of next.attributes)
    if (name !== "style" && old.getAttribute(name) !== value) old.setAttribute(name, value);
}

/** A pause before `work`; every call starts it anew. */
export function debounce(work, milliseconds) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...given), milliseconds);
  };
}
