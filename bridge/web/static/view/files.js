// The files that Kiro touched in this session, and a look into each.

import { address, get } from "../api.js";
import { byId, h, icon, iconButton } from "../dom.js";
import { moment, size, visible } from "../format.js";
import { shortPath } from "../tools.js";
import { currentSession } from "../store.js";
import { pick, t } from "../strings.js";

const REFRESH_MS = 3000;

export class FilesPanel {
  /**
   * @param {import("../store.js").Store} store
   * @param {import("../session.js").Chat} chat
   * @param {import("./panels.js").Panels} panels
   */
  constructor(store, chat, panels) {
    this.store = store;
    this.chat = chat;
    this.panels = panels;
    this.title = h("h2", { tabindex: "-1" }, t.filesPanel);
    this.back = iconButton("back", t.backToList, () => this.#list(), { hidden: true });
    this.body = h("div", { class: "panel-body" });
    byId("files").append(h("div", { class: "panel-head" }, this.back, this.title, iconButton("close", t.close, () => panels.close("files"))), this.body);
    panels.panels.files.opened.push(() => this.#list());
    this.listed = false;
    let due = 0;
    store.watch((_state, touched) => {
      if (touched.reset && panels.isOpen("files")) this.#list();
      if (!touched.items.size || due || !this.listed || !panels.isOpen("files")) return;
      due = window.setTimeout(() => {
        due = 0;
        if (this.listed) this.#list();
      }, REFRESH_MS);
    });
  }

  async #list() {
    this.listed = true;
    this.back.hidden = true;
    this.title.textContent = t.filesPanel;
    await this.#show(async () => {
      const { files } = await get(this.chat.path("files"));
      if (!files.length) return [h("p", { class: "quiet pad" }, t.filesNone)];
      return [h("ul", { class: "file-list" }, ...files.map((/** @type {TouchedFile} */ file) => this.#row(file)))];
    });
  }

  /** @param {() => Promise<Node[]>} make */
  async #show(make) {
    const asked = (this.asked = {});
    let parts;
    try {
      parts = await make();
    } catch (error) {
      parts = [h("p", { class: "problem-line pad" }, /** @type {any} */ (error).words ?? String(error))];
    }
    if (asked === this.asked) this.body.replaceChildren(...parts);
  }

  /** @param {TouchedFile} file */
  #row(file) {
    const how = file.touched.map((one) => pick(t.touched, one) ?? one).join(", ");
    const row = h("button", { type: "button", class: "file-row" }, icon(file.touched.includes("write") ? "edit" : "read"), h("span", { class: "file-name", title: file.path }, visible(this.#short(file.path))), h("span", { class: "small quiet" }, [how, file.size == null ? "" : size(file.size), moment(file.at)].filter(Boolean).join(" · ")));
    row.addEventListener("click", () => this.#preview(file.path));
    return h("li", null, row);
  }

  /** @param {string} path */
  #short(path) {
    return shortPath(path, currentSession(this.store.state)?.cwd ?? "");
  }

  /** @param {string} path */
  async #preview(path) {
    this.listed = false;
    this.back.hidden = false;
    this.title.textContent = visible(this.#short(path));
    this.back.focus();
    const content = (/** @type {boolean} */ download) => address(this.chat.path(`files/content?path=${encodeURIComponent(path)}&download=${download}`)).href;
    const ways = h("div", { class: "row pad" }, h("a", { class: "button small", href: content(true), download: "" }, icon("download"), t.download), h("a", { class: "button small", href: content(false), target: "_blank", rel: "noopener" }, t.openTab));
    await this.#show(async () => {
      const preview = await get(this.chat.path(`files/preview?path=${encodeURIComponent(path)}`));
      return [ways, ...previewParts(preview, content(false)), ...(preview.truncated ? [h("p", { class: "small quiet pad" }, t.previewCut)] : [])];
    });
  }
}

/** @param {any} preview @param {string} address @returns {Node[]} */
function previewParts(preview, address) {
  if (preview.kind === "image") return [h("img", { class: "preview-image", src: address, alt: visible(preview.path) })];
  if (preview.kind === "pdf") return [h("iframe", { class: "preview-page", src: address, title: visible(preview.path) })];
  if (preview.sheets) return preview.sheets.map((/** @type {any} */ sheet) => h("section", { class: "pad" }, preview.sheets.length > 1 ? h("h3", { class: "label" }, visible(sheet.name)) : null, table(sheet.rows), sheet.truncated ? h("p", { class: "small quiet" }, t.previewCut) : null));
  if (preview.slides) return preview.slides.map((/** @type {any} */ slide) => h("section", { class: "pad slide" }, h("h3", { class: "label" }, t.slide(slide.number)), h("p", null, visible(slide.text))));
  if (typeof preview.text === "string") return [h("pre", { class: "preview-text", tabindex: "0" }, visible(preview.text))];
  return [h("p", { class: "quiet pad" }, t.previewNone)];
}

/** @param {any[][]} rows */
function table(rows) {
  const [head = [], ...rest] = rows;
  const cells = (/** @type {string} */ tag, /** @type {any[]} */ row) => h("tr", null, ...row.map((cell) => h(tag, null, visible(String(cell ?? "")))));
  return h("div", { class: "table", tabindex: "0" }, h("table", null, h("thead", null, cells("th", head)), h("tbody", null, ...rest.map((row) => cells("td", row)))));
}
