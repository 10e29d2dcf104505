// Files on their way into the session's folder: chosen, pasted or dropped; each with its progress and its result.

import { Refused, upload } from "../api.js";
import { byId, h, icon, iconButton } from "../dom.js";
import { size, visible } from "../format.js";
import { t } from "../strings.js";

/** @typedef {{file: File, name: string, part: number, path: string | null, problem: string, abort: (() => void) | null}} Upload */

export class Uploads {
  /**
   * @param {import("../store.js").Store} store
   * @param {import("../session.js").Chat} chat
   */
  constructor(store, chat) {
    this.store = store;
    this.chat = chat;
    this.place = byId("uploads");
    /** @type {Upload[]} */
    this.all = [];
    const picker = h("input", { type: "file", multiple: true, hidden: true, "aria-label": t.attach });
    picker.addEventListener("change", () => {
      this.add([...picker.files]);
      picker.value = "";
    });
    const attach = byId("attach");
    attach.append(icon("attach"), picker);
    attach.addEventListener("click", (/** @type {Event} */ event) => event.target !== picker && picker.click());
    byId("prompt").addEventListener("paste", (/** @type {ClipboardEvent} */ event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (!files.length) return;
      event.preventDefault();
      this.add(files);
    });
    this.#takeDrops();
  }

  #takeDrops() {
    const shade = byId("drop-shade");
    let depth = 0;
    const holds = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files");
    const show = () => (shade.hidden = depth <= 0);
    window.addEventListener("dragenter", (event) => holds(event) && ((depth += 1), show()));
    window.addEventListener("dragleave", (event) => holds(event) && ((depth -= 1), show()));
    window.addEventListener("dragover", (event) => holds(event) && event.preventDefault());
    window.addEventListener("drop", (event) => {
      depth = 0;
      show();
      if (!holds(event)) return;
      event.preventDefault();
      this.add([...(event.dataTransfer?.files ?? [])]);
    });
  }

  /** Whether something is still on its way. */
  get busy() {
    return this.all.some((one) => one.path === null && !one.problem);
  }

  /** @returns {string[]} where the files are that arrived */
  ready() {
    return this.all.flatMap((one) => one.path ?? []);
  }

  clear() {
    for (const one of this.all) one.abort?.();
    this.all = [];
    this.#draw();
  }

  /** @param {File[]} files */
  add(files) {
    for (const file of files) this.#send(file);
  }

  /** @param {File} file */
  async #send(file) {
    /** @type {Upload} */
    const one = { file, name: file.name || "pasted", part: 0, path: null, problem: "", abort: null };
    this.all.push(one);
    this.#draw();
    try {
      one.path = await this.#stored(one);
    } catch (error) {
      one.problem = /** @type {Refused} */ (error).words ?? String(error);
    }
    one.abort = null;
    this.#draw();
    this.store.dispatch({ type: "set", values: { uploads: this.all.length } });
  }

  /** @param {Upload} one @returns {Promise<string>} */
  async #stored(one) {
    const progress = (/** @type {number} */ part) => {
      one.part = part;
      this.#draw();
    };
    if (!this.store.state.features.files) return this.#storedByAgentApi(one, progress);
    const form = new FormData();
    form.append("files", one.file, one.name);
    const sending = upload(this.chat.path("files"), form, progress);
    one.abort = sending.abort;
    const [result] = (await sending.done).files;
    if (!result.ok) throw new Refused(result.problem ?? t.answered(200));
    return result.path;
  }

  /** @param {Upload} one @param {(part: number) => void} progress @returns {Promise<string>} */
  async #storedByAgentApi(one, progress) {
    const form = new FormData();
    form.append("file", one.file, one.name);
    const sending = upload("upload", form, progress);
    one.abort = sending.abort;
    return (await sending.done).filePath;
  }

  #draw() {
    this.place.hidden = !this.all.length;
    this.place.replaceChildren(
      ...this.all.map((one) => {
        const state = one.problem || (one.path !== null ? size(one.file.size) : t.uploading(one.part));
        const remove = () => {
          one.abort?.();
          this.all = this.all.filter((other) => other !== one);
          this.#draw();
          this.store.dispatch({ type: "set", values: { uploads: this.all.length } });
        };
        return h(
          "li",
          { class: `upload ${one.problem ? "bad" : ""}` },
          one.problem ? icon("alert") : one.path !== null ? icon("check") : h("span", { class: "spinner" }),
          h("span", { class: "upload-name" }, visible(one.name)),
          h("span", { class: "small quiet", role: one.problem ? "alert" : null }, state),
          iconButton("close", t.removeFile(one.name), remove),
        );
      }),
    );
  }
}
