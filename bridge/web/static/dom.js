// Making elements. Text goes in as text: what the agent wrote cannot become markup here.

/**
 * Makes an element. `on` has listeners, `data` the dataset; other names are attributes, false and null leave one out.
 * @param {string} tag
 * @param {Record<string, any> | null} [properties]
 * @param {...any} children nodes and texts; false and null are left out
 * @returns {any}
 */
export function h(tag, properties, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === false || value == null) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name === "value") /** @type {any} */ (node).value = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== false && child != null));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

/** Strokes in a square of 16. @type {Record<string, string>} */
const PATHS = {
  execute: "M3 4l4 4-4 4M8.5 12H13",
  read: "M4 2.5h5.5L12 5v8.5H4zM6.5 7.5h3M6.5 10h3",
  edit: "M3 13l.6-2.8 7-7 2.2 2.2-7 7zM9.3 4.5l2.2 2.2",
  delete: "M3.5 4.5h9M6 4.5V3h4v1.5M5 4.5l.5 8.5h5l.5-8.5",
  move: "M3 8h9M9 5l3 3-3 3",
  search: "M7 11.5a4.5 4.5 0 100-9 4.5 4.5 0 000 9zM10.3 10.3L13.5 13.5",
  fetch: "M8 13.5a5.5 5.5 0 100-11 5.5 5.5 0 000 11zM2.5 8h11M8 2.5c-4 3.5-4 7.500 0 11 4-3.5 4-7.500 0-11",
  agent: "M8 7.500a2.500 2.500 0 100-5 2.500 2.500 0 000 5zM3 13.500c.6-3 2.400-4 5-4s4.400 1 5 4",
  other: "M6.500 3.500l-3.500 4.500 3.500 4.500M9.500 3.500l3.500 4.500-3.500 4.500",
  thought: "M5.500 10.500a4 4 0 115 0c-.5.5-.8 1-.8 1.700H6.300c0-.7-.3-1.200-.8-1.700zM6.500 14h3",
  plan: "M3 4l1 1 1.500-2M3 8.500l1 1 1.500-2M3 13l1 1 1.500-2M8 4.500h5M8 9h5M8 13.500h5",
  menu: "M2.500 4.500h11M2.500 8h11M2.500 11.500h11",
  files: "M2.500 4h4l1.500 1.500h5.500v7h-11z",
  settings: "M2.500 5h5M10.500 5h3M9 3.500a1.500 1.500 0 100 3 1.500 1.500 0 000-3zM2.500 11h2M8 11h5.500M6 9.500a1.500 1.500 0 100 3 1.500 1.500 0 000-3z",
  plus: "M8 3v10M3 8h10",
  close: "M4 4l8 8M12 4l-8 8",
  send: "M8 13V3.500M4 7l4-4 4 4",
  stop: "M4.500 4.500h7v7h-7z",
  attach: "M12.500 7.500l-5 5a3 3 0 01-4.300-4.300l5.300-5.300a2 2 0 012.900 2.900l-5.200 5.200a1 1 0 01-1.500-1.400l4.600-4.700",
  down: "M8 3v9.500M4 9l4 4 4-4",
  chevron: "M6 4l4 4-4 4",
  check: "M3 8.500l3.500 3.500L13 4.500",
  failed: "M4.500 4.500l7 7M11.500 4.500l-7 7",
  alert: "M8 2.500l6 11H2zM8 6.500v3.200M8 11.500v.3",
  cancelled: "M8 13.500a5.500 5.500 0 100-11 5.500 5.500 0 000 11zM4.200 4.200l7.600 7.600",
  copy: "M5.500 5.500h7v8h-7zM3.500 10.500v-8h7",
  dots: "M3.500 8h.1M8 8h.1M12.500 8h.1",
  pin: "M6 2.500h4M6.500 2.500v4L4.500 9h7L9.500 6.500v-4M8 9v4.500",
  download: "M8 2.500v7.500M4.500 7L8 10.500 11.500 7M3 13.500h10",
  terminal: "M2.500 3.500h11v9h-11zM5 6.500l1.800 1.500L5 9.500M8.500 10h2.500",
  up: "M8 12.500v-9M4.500 7L8 3.500 11.500 7",
  back: "M10 3L5 8l5 5",
};

/** @param {string} name @returns {SVGElement} */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name] ?? PATHS.other ?? "");
  svg.append(path);
  return svg;
}

/**
 * A button that shows an icon and says what it does.
 * @param {string} name
 * @param {string} label
 * @param {(event: MouseEvent) => void} action
 * @param {Record<string, any>} [more]
 * @returns {HTMLButtonElement}
 */
export const iconButton = (name, label, action, more = {}) =>
  h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, ...more, on: { click: action } }, icon(name));

/**
 * @param {string} label
 * @param {(event: MouseEvent) => void} action
 * @param {string} [kind]
 * @returns {HTMLButtonElement}
 */
export const button = (label, action, kind = "") =>
  h("button", { type: "button", class: `button ${kind}`, on: { click: action } }, label);

/** @param {string} id @returns {any} */
export const byId = (id) => document.getElementById(id);

/**
 * Puts exactly `nodes` into `parent`, in this order, moving none that stands right.
 * @param {Element} parent
 * @param {Element[]} nodes
 */
export function arrange(parent, nodes) {
  let place = parent.firstElementChild;
  for (const node of nodes) {
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
  }
  while (place) {
    const next = place.nextElementSibling;
    place.remove();
    place = next;
  }
}

/**
 * A dialog that is there until it is closed; it holds the focus meanwhile.
 * @param {string} title
 * @param {any[]} body
 * @param {{label: string, kind?: string, action: () => Promise<void> | void}} main
 * @param {{cancel: string}} words
 */
export function openDialog(title, body, main, words) {
  const problem = h("p", { class: "problem-line", role: "alert", hidden: true });
  const go = h("button", { type: "submit", class: `button ${main.kind ?? "primary"}` }, main.label);
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", null, title),
    ...body,
    problem,
    h("div", { class: "row end" }, button(words.cancel, () => dialog.close()), go),
  );
  const dialog = h("dialog", { class: "dialog", "aria-label": title }, form);
  form.addEventListener("submit", async (/** @type {Event} */ event) => {
    event.preventDefault();
    go.disabled = true;
    try {
      await main.action();
      dialog.close();
    } catch (error) {
      problem.textContent = /** @type {any} */ (error).words ?? String(error);
      problem.hidden = false;
    } finally {
      go.disabled = false;
    }
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
