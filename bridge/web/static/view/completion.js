// The list that opens while a command (/) or a file (@) is being written.

import { get } from "../api.js";
import { byId, h } from "../dom.js";
import { visible } from "../format.js";
import { t } from "../strings.js";

const MOST = 30;
const PAUSE_MS = 120;
const TRIES = 10;
const RETRY_MS = 500;

/** @typedef {{insert: string, name: string, description: string}} Offer */

export class Completion {
  /**
   * @param {import("../store.js").Store} store
   * @param {import("../session.js").Chat} chat
   * @param {HTMLTextAreaElement} box
   */
  constructor(store, chat, box) {
    this.store = store;
    this.chat = chat;
    this.box = box;
    this.list = byId("completion");
    /** @type {Offer[]} */
    this.offers = [];
    this.chosen = 0;
    this.start = 0;
    this.asked = 0;
    box.addEventListener("blur", () => window.setTimeout(() => this.close(), 150));
  }

  /** @returns {Command[]} */
  get commands() {
    const { kiro } = this.store.state;
    return kiro?.features?.includes("commands") || kiro?.commands?.length ? kiro.commands : [];
  }

  /** @param {string} content @returns {{name: string, argument: string} | null} the command a prompt is, if it is one */
  command(content) {
    const [, name = "", argument = ""] = /^(\/[^\s]+)\s*([\s\S]*)$/.exec(content.trim()) ?? [];
    return this.commands.some((command) => slashed(command.name) === name) ? { name, argument } : null;
  }

  /** Looks whether something is being written that can be completed. */
  look() {
    const before = this.box.value.slice(0, this.box.selectionStart);
    const command = /^\/[^\s]*$/.exec(before);
    const file = /(?:^|\s)@([^\s@]*)$/.exec(before);
    window.clearTimeout(this.timer);
    this.asked += 1;
    if (command) {
      this.#offer(0, this.#commandOffers(before), t.commands);
      if (this.store.state.kiro?.transport !== "headless" && !this.commands.length) this.#askForCommands(this.asked, TRIES);
    }
    else if (file && this.store.state.features.files) {
      const fragment = file[1] ?? "";
      this.timer = window.setTimeout(() => this.#askForFiles(fragment, this.asked, before.length - fragment.length - 1), PAUSE_MS);
    } else this.close();
  }

  /** @param {string} typed @returns {Offer[]} */
  #commandOffers(typed) {
    return this.commands
      .filter((command) => slashed(command.name).startsWith(typed))
      .map((command) => ({
        insert: `${slashed(command.name)}${command.hint || command.choices ? " " : ""}`,
        name: `${slashed(command.name)} ${command.hint ?? ""}`.trim(),
        description: command.description,
      }));
  }

  /**
   * Kiro tells its commands a moment after it has started.
   * @param {number} asked @param {number} tries
   */
  async #askForCommands(asked, tries) {
    await this.chat.readKiro();
    if (asked !== this.asked) return;
    if (this.commands.length) this.look();
    else if (tries > 1) this.timer = window.setTimeout(() => this.#askForCommands(asked, tries - 1), RETRY_MS);
  }

  /** @param {string} fragment @param {number} asked @param {number} start */
  async #askForFiles(fragment, asked, start) {
    try {
      const { paths } = await get(this.chat.path(`files/find?limit=${MOST}&q=${encodeURIComponent(fragment)}`));
      if (asked !== this.asked) return;
      this.#offer(start, paths.map((/** @type {string} */ path) => ({ insert: `@${path} `, name: path, description: "" })), t.files);
    } catch {
      this.close();
    }
  }

  /** @param {number} start @param {Offer[]} offers @param {string} label */
  #offer(start, offers, label) {
    this.start = start;
    this.offers = offers.slice(0, MOST);
    this.chosen = 0;
    if (!this.offers.length) return this.close();
    this.list.setAttribute("aria-label", label);
    this.list.replaceChildren(
      ...this.offers.map((offer, index) => {
        const row = h("li", { id: `offer-${index}`, role: "option" }, h("span", { class: "offer-name" }, visible(offer.name)), h("span", { class: "offer-text" }, visible(offer.description)));
        row.addEventListener("mousedown", (/** @type {Event} */ event) => {
          event.preventDefault();
          this.#take(index);
        });
        return row;
      }),
    );
    this.list.hidden = false;
    this.box.setAttribute("aria-expanded", "true");
    this.#mark();
  }

  #mark() {
    for (const [index, row] of [...this.list.children].entries()) {
      row.setAttribute("aria-selected", String(index === this.chosen));
      if (index === this.chosen) row.scrollIntoView({ block: "nearest" });
    }
    this.box.setAttribute("aria-activedescendant", `offer-${this.chosen}`);
  }

  /** @param {number} index */
  #take(index) {
    const offer = this.offers[index];
    if (!offer) return;
    this.box.setRangeText(offer.insert, this.start, this.box.selectionStart, "end");
    this.close();
    this.box.dispatchEvent(new Event("input", { bubbles: true }));
    this.close();
  }

  close() {
    this.asked += 1;
    window.clearTimeout(this.timer);
    this.offers = [];
    this.list.hidden = true;
    this.box.setAttribute("aria-expanded", "false");
    this.box.removeAttribute("aria-activedescendant");
  }

  /** @param {KeyboardEvent} event @returns {boolean} whether the key was for the list */
  key(event) {
    if (!this.offers.length) return false;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      this.chosen = (this.chosen + step + this.offers.length) % this.offers.length;
      this.#mark();
    } else if (event.key === "Escape") {
      this.close();
    } else if (event.key === "Tab" || (event.key === "Enter" && !event.shiftKey)) {
      const whole = this.box.value.trim() === this.offers[this.chosen]?.insert.trim();
      if (event.key === "Enter" && whole) return this.close(), false;
      this.#take(this.chosen);
    } else return false;
    event.preventDefault();
    return true;
  }
}

/** @param {string} name @returns {string} */
const slashed = (name) => (name.startsWith("/") ? name : `/${name}`);
