// The panels at the sides: sessions to the left, settings and files to the right. Where there is no room they lie above
// the conversation, one at a time, and go away with Escape or a press beside them.

import { byId } from "../dom.js";
import { recall, remember } from "../storage.js";

/** @typedef {"sessions" | "settings" | "files"} PanelName */

const WIDE = window.matchMedia("(min-width: 900px)");
const VERY_WIDE = window.matchMedia("(min-width: 1200px)");

export class Panels {
  constructor() {
    /** @type {Record<PanelName, {node: HTMLElement, opened: (() => void)[], closed: (() => void)[]}>} */
    this.panels = {
      sessions: { node: byId("sessions"), opened: [], closed: [] },
      settings: { node: byId("settings"), opened: [], closed: [] },
      files: { node: byId("files"), opened: [], closed: [] },
    };
    this.shade = byId("shade");
    this.shade.addEventListener("click", () => this.closeOver());
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog[open]")) return;
      if (this.closeOver()) event.preventDefault();
    });
    for (const query of [WIDE, VERY_WIDE]) query.addEventListener("change", () => this.#lay());
  }

  begin() {
    if (WIDE.matches && recall("sessions-open", WIDE.matches && window.innerHeight > 480)) this.open("sessions", false);
    this.#lay();
  }

  /** @param {PanelName} name @returns {boolean} */
  isOpen(name) {
    return !this.panels[name].node.hidden;
  }

  /** @param {PanelName} name */
  toggle(name) {
    if (this.isOpen(name)) this.close(name);
    else this.open(name);
  }

  /** @param {PanelName} name @param {boolean} [focus] */
  open(name, focus = true) {
    const beside = name === "settings" ? "files" : name === "files" ? "settings" : null;
    if (beside) this.close(beside);
    if (!WIDE.matches) for (const other of /** @type {PanelName[]} */ (Object.keys(this.panels))) if (other !== name) this.close(other);
    const panel = this.panels[name];
    panel.node.hidden = false;
    if (name === "sessions" && WIDE.matches) remember("sessions-open", true);
    this.#lay();
    for (const listener of panel.opened) listener();
    if (focus) /** @type {HTMLElement | null} */ (panel.node.querySelector("h2"))?.focus();
  }

  /** @param {PanelName} name */
  close(name) {
    const { node, closed } = this.panels[name];
    if (node.hidden) return;
    const hadFocus = node.contains(document.activeElement);
    node.hidden = true;
    if (name === "sessions" && WIDE.matches) remember("sessions-open", false);
    this.#lay();
    for (const listener of closed) listener();
    if (hadFocus) byId(`open-${name}`).focus();
  }

  /** Closes what lies above the conversation. @returns {boolean} whether there was something */
  closeOver() {
    const over = /** @type {PanelName[]} */ (Object.keys(this.panels)).filter((name) => this.isOpen(name) && this.#isOver(name));
    for (const name of over) this.close(name);
    return over.length > 0;
  }

  /** @param {PanelName} name */
  #isOver(name) {
    return name === "sessions" ? !WIDE.matches : !VERY_WIDE.matches;
  }

  #lay() {
    const names = /** @type {PanelName[]} */ (Object.keys(this.panels));
    this.shade.hidden = !names.some((name) => this.isOpen(name) && this.#isOver(name));
    for (const name of names) {
      this.panels[name].node.classList.toggle("over", this.#isOver(name));
      document.getElementById(`open-${name}`)?.setAttribute("aria-expanded", String(this.isOpen(name)));
    }
  }
}
