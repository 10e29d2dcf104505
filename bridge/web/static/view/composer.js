// Where the prompt is written. What is typed stays until the bridge has it.

import { Refused } from "../api.js";
import { byId, h, icon } from "../dom.js";
import { recall, remember } from "../storage.js";
import { runningTurn } from "../store.js";
import { t } from "../strings.js";
import { Completion } from "./completion.js";
import { Uploads } from "./uploads.js";

const STOP_TWICE_MS = 1500;
const KEPT_PROMPTS = 50;

export class Composer {
  /**
   * @param {import("../store.js").Store} store
   * @param {import("../session.js").Chat} chat
   * @param {() => void} sent called when a prompt has been taken
   */
  constructor(store, chat, sent) {
    this.store = store;
    this.chat = chat;
    this.sent = sent;
    this.box = /** @type {HTMLTextAreaElement} */ (byId("prompt"));
    this.sendButton = /** @type {HTMLButtonElement} */ (byId("send"));
    this.steerButton = /** @type {HTMLButtonElement} */ (byId("steer"));
    this.stopButton = /** @type {HTMLButtonElement} */ (byId("stop"));
    this.problem = byId("send-problem");
    this.sending = false;
    /** What was sent without an answer: it is looked for in the conversation. @type {string | null} */
    this.doubtful = null;
    this.past = -1;
    this.escaped = 0;
    this.uploads = new Uploads(store, chat);
    this.completion = new Completion(store, chat, this.box);

    this.sendButton.append(icon("send"));
    this.stopButton.prepend(icon("stop"));
    this.box.addEventListener("input", () => this.#typed());
    this.box.addEventListener("keydown", (event) => this.#key(event));
    this.box.addEventListener("blur", () => this.#saveDraft());
    window.addEventListener("pagehide", () => this.#saveDraft());
    byId("composer").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.send();
    });
    this.steerButton.addEventListener("click", () => this.send(true));
    this.stopButton.addEventListener("click", () => this.stop());
    store.watch((state, touched) => this.#update(state, touched));
  }

  /** @param {State} state @param {Touched} touched */
  #update(state, touched) {
    if (touched.reset && this.session !== state.sessionId) this.#switch(state);
    if (this.doubtful !== null) this.#lookForDoubtful(state, touched);
    this.#draw(state);
  }

  /** @param {State} state */
  #switch(state) {
    this.#saveDraft();
    this.session = state.sessionId;
    this.box.value = recall(`draft:${this.session}`, "");
    this.past = -1;
    this.doubtful = null;
    this.uploads.clear();
    this.#say("");
    this.#fit();
  }

  /** @param {State} state */
  #draw(state) {
    const turn = runningTurn(state);
    const queueing = Boolean(turn) && state.features.queue;
    const text = this.box.value.trim();
    this.stopButton.hidden = !turn;
    this.stopButton.disabled = state.stopping !== null;
    const stopWords = state.stopping !== null ? t.stopping : t.stop;
    const stopLabel = this.stopButton.querySelector("span");
    if (stopLabel && stopLabel.textContent !== stopWords) stopLabel.textContent = stopWords;
    this.sendButton.hidden = Boolean(turn) && !text && !this.uploads.ready().length;
    this.sendButton.disabled = this.sending || (!text && !this.uploads.ready().length) || this.uploads.busy;
    const label = queueing ? t.sendQueue : t.send;
    this.sendButton.title = label;
    this.sendButton.setAttribute("aria-label", label);
    this.steerButton.hidden = !queueing || !text || !state.kiro?.features?.includes("steer");
    this.box.placeholder = queueing ? t.placeholderBusy : state.features.kiro || state.features.files ? t.placeholder : t.placeholderPlain;
  }

  #typed() {
    this.past = -1;
    this.#fit();
    this.#draw(this.store.state);
    this.completion.look();
    window.clearTimeout(this.saving);
    this.saving = window.setTimeout(() => this.#saveDraft(), 300);
  }

  #saveDraft() {
    if (this.session) remember(`draft:${this.session}`, this.box.value || null);
  }

  /** Makes the box as high as its text, within bounds. */
  #fit() {
    this.box.style.height = "auto";
    this.box.style.height = `${this.box.scrollHeight + 2}px`;
  }

  /** @param {string} words */
  #say(words) {
    this.problem.textContent = words;
    this.problem.hidden = !words;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.isComposing || event.keyCode === 229) return;
    if (this.completion.key(event)) return;
    if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      this.send((event.ctrlKey || event.metaKey) && !this.steerButton.hidden);
    } else if (event.key === "Escape") {
      const now = Date.now();
      if (now - this.escaped < STOP_TWICE_MS) this.stop();
      this.escaped = now;
    } else if (event.key === "ArrowUp" && (this.past >= 0 || !this.box.value)) {
      this.#recall(event, 1);
    } else if (event.key === "ArrowDown" && this.past >= 0) {
      this.#recall(event, -1);
    }
  }

  /** @param {KeyboardEvent} event @param {number} step */
  #recall(event, step) {
    const turns = [...this.store.state.conversation.turns.values()].sort((a, b) => b.id - a.id);
    const prompts = [...new Set(turns.map((turn) => turn.prompt))].slice(0, KEPT_PROMPTS);
    const wanted = this.past + step;
    if (wanted >= prompts.length) return;
    event.preventDefault();
    this.past = wanted;
    this.box.value = prompts[wanted] ?? "";
    this.#fit();
    this.#draw(this.store.state);
    this.box.setSelectionRange(this.box.value.length, this.box.value.length);
  }

  /** Puts a text into the box. @param {string} text */
  fill(text) {
    this.box.value = text;
    this.box.focus();
    this.#typed();
  }

  /** @returns {string} */
  #content() {
    const files = this.uploads.ready();
    if (!files.length) return this.box.value;
    return [this.box.value.trimEnd(), `${t.attached}\n${files.map((path) => `- ${path}`).join("\n")}`].filter(Boolean).join("\n\n");
  }

  /** @param {boolean} [steer] */
  async send(steer = false) {
    const typed = this.box.value;
    const content = this.#content();
    if (!content.trim() || this.sending || this.uploads.busy) return;
    this.completion.close();
    this.sending = true;
    this.#say("");
    this.#draw(this.store.state);
    try {
      const command = this.completion.command(content);
      if (command) {
        this.#say(t.commandRuns(command.name));
        await this.chat.command(command.name, command.argument);
        this.#say("");
      } else {
        await this.chat.send(content, steer);
      }
      this.#taken(typed);
    } catch (error) {
      const refused = /** @type {Refused} */ (error);
      if (refused.unanswered) this.doubtful = content.trim();
      this.#say(refused.unanswered && refused.status === 0 ? `${t.unreachable} ${t.notKnown}` : t.notSent(refused.words ?? String(error)));
    } finally {
      this.sending = false;
      this.#draw(this.store.state);
    }
  }

  /** The bridge has what was in the box; what was typed since stays. @param {string} typed */
  #taken(typed) {
    this.box.value = this.box.value.startsWith(typed) ? this.box.value.slice(typed.length) : this.box.value;
    this.uploads.clear();
    this.doubtful = null;
    this.past = -1;
    this.#say("");
    this.#saveDraft();
    this.#fit();
    this.sent();
  }

  /** @param {State} state @param {Touched} touched */
  #lookForDoubtful(state, touched) {
    for (const id of touched.turns) {
      const turn = state.conversation.turns.get(id);
      if (turn?.prompt.trim() === this.doubtful && Date.now() - Date.parse(turn.accepted_at) < 600_000) return this.#taken(this.box.value);
    }
  }

  async stop() {
    try {
      await this.chat.stop();
    } catch (error) {
      this.#say(/** @type {Refused} */ (error).words ?? String(error));
    }
  }
}

/**
 * The prompts that wait for their turn.
 * @param {import("../store.js").Store} store
 * @param {import("../session.js").Chat} chat
 * @param {{call: typeof import("../api.js").call, edit: (text: string) => void}} means
 */
export function queueView(store, chat, { call, edit }) {
  const place = byId("queue");
  /** @param {string} method @param {string} rest @param {unknown} [body] */
  const change = async (method, rest, body) => {
    try {
      await call(method, chat.path(`queue/${rest}`), body);
    } finally {
      await chat.readQueue();
    }
  };
  /** @param {QueuedPrompt} prompt @param {number} index */
  const row = (prompt, index) => {
    const act = (/** @type {string} */ name, /** @type {string} */ label, /** @type {() => Promise<void>} */ action) => {
      const node = h("button", { type: "button", class: "icon-button", "aria-label": label, title: label }, icon(name));
      node.addEventListener("click", () => action().catch(() => {}));
      return node;
    };
    return h(
      "li",
      { class: "queued" },
      h("span", { class: "queued-text" }, prompt.content),
      index > 0 ? act("up", t.queueUp, () => change("PATCH", String(prompt.id), { position: index - 1 })) : null,
      act("edit", t.queueEdit, async () => {
        await change("DELETE", String(prompt.id));
        edit(prompt.content);
      }),
      act("close", t.queueRemove, () => change("DELETE", String(prompt.id))),
    );
  };
  store.on(["queue"], ({ queue }) => {
    const prompts = queue?.prompts ?? [];
    place.hidden = !prompts.length;
    if (!prompts.length) return place.replaceChildren();
    const head = h("div", { class: "row between" }, h("span", { class: "label" }, t.queueTitle(prompts.length)));
    if (queue?.held) {
      const go = h("button", { type: "button", class: "button small" }, t.queueResume);
      go.addEventListener("click", () => change("POST", "resume", {}).catch(() => {}));
      head.append(go);
    }
    const why = queue?.held ? h("p", { class: "small quiet" }, `${t.queueHeld}. `, queue.reason) : null;
    place.replaceChildren(head, why ?? "", h("ol", { class: "queued-list" }, ...prompts.map(row)));
  });
}
