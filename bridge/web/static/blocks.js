// The one place where text becomes markup: blocks that the server rendered and sanitised.

import { h, icon } from "./dom.js";
import { t } from "./strings.js";

/** @type {{createHTML: (html: string) => any}} */
const policy = /** @type {any} */ (window).trustedTypes?.createPolicy("rendered-blocks", {
  createHTML: (/** @type {string} */ html) => html,
}) ?? { createHTML: (html) => html };

/**
 * Shows blocks in `parent`, leaving those alone that are there already.
 * @param {HTMLElement} parent
 * @param {string[]} blocks
 */
export function showBlocks(parent, blocks) {
  const shown = /** @type {(HTMLElement & {html?: string})[]} */ ([...parent.children]);
  for (const [index, html] of blocks.entries()) {
    const known = shown[index];
    if (known?.html === html) continue;
    const block = /** @type {HTMLElement & {html?: string}} */ (known ?? h("div", { class: "block" }));
    block.html = html;
    block.innerHTML = policy.createHTML(html);
    for (const code of block.querySelectorAll(".code")) addBar(/** @type {HTMLElement} */ (code));
    block.classList.toggle("goes-on", !!block.querySelector(":scope > .code.more"));
    if (!known) parent.append(block);
  }
  for (const surplus of shown.slice(blocks.length)) surplus.remove();
}

/** @param {HTMLElement} code */
function addBar(code) {
  if (code.classList.contains("more")) return;
  const copy = copyButton(() => wholeCode(code));
  code.prepend(h("div", { class: "code-bar" }, h("span", null, code.dataset.language ?? ""), copy));
}

/** @param {HTMLElement} code @returns {string} the text of a code block and of the blocks it goes on in */
function wholeCode(code) {
  let text = code.querySelector("code")?.textContent ?? "";
  let next = code.closest(".block")?.nextElementSibling;
  while (next?.classList.contains("goes-on")) {
    text += next.querySelector("code")?.textContent ?? "";
    next = next.nextElementSibling;
  }
  return text;
}

/**
 * @param {() => string} text
 * @param {string} [label]
 * @returns {HTMLButtonElement}
 */
export function copyButton(text, label = t.copy) {
  const node = h("button", { type: "button", class: "copy", "aria-label": label, title: label }, icon("copy"));
  node.addEventListener("click", async () => {
    const done = await copy(text());
    node.replaceChildren(icon(done ? "check" : "failed"));
    node.title = done ? t.copied : label;
    window.setTimeout(() => node.replaceChildren(icon("copy")), 1500);
  });
  return node;
}

/** @param {string} text @returns {Promise<boolean>} */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyOldWay(text);
  }
}

/** In a frame that may not use the clipboard itself. @param {string} text @returns {boolean} */
function copyOldWay(text) {
  const area = h("textarea", { class: "off-screen", "aria-hidden": "true" });
  area.value = text;
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  focused?.focus();
  return done;
}
