// The list of sessions: find, open, make, rename, pin, put away, delete.

import { Refused, call, get, getIfThere, sessionPath } from "../api.js";
import { arrange, byId, h, icon, iconButton, openDialog } from "../dom.js";
import { baseName, moment, visible } from "../format.js";
import { recall, remember } from "../storage.js";
import { t } from "../strings.js";
import { phaseOf, sessionTitle } from "./header.js";

const SEARCH_MS = 200;
const MARK_BEGIN = "\ue000";
const MARK_END = "\ue001";

export class SessionsPanel {
  /**
   * @param {import("../store.js").Store} store
   * @param {import("../session.js").Chat} chat
   * @param {import("./panels.js").Panels} panels
   * @param {{showItem: (id: number) => Promise<void>}} conversation
   */
  constructor(store, chat, panels, conversation) {
    this.store = store;
    this.chat = chat;
    this.panels = panels;
    this.conversation = conversation;
    /** @type {Record<string, string>} */
    this.seen = recall("seen", {});
    /** @type {Map<string, HTMLElement & {key?: string}>} */
    this.rows = new Map();
    this.node = byId("sessions");
    this.list = h("ul", { class: "session-list" });
    this.found = h("ul", { class: "session-list", hidden: true });
    this.elsewhere = h("details", { class: "elsewhere", hidden: true });
    this.archive = h("details", { class: "elsewhere", hidden: true });
    this.archived = h("ul", { class: "session-list" });
    this.archive.append(h("summary", null, icon("chevron"), t.archived), this.archived);
    this.search = h("input", { type: "search", class: "field", placeholder: t.search, "aria-label": t.search, hidden: true });
    this.search.addEventListener("input", () => this.#typed());
    this.make = iconButton("plus", t.newSession, () => this.openNew(), { hidden: true });
    this.node.append(
      h("div", { class: "panel-head" }, h("h2", { tabindex: "-1" }, t.sessions), this.make, iconButton("close", t.close, () => panels.close("sessions"))),
      h("div", { class: "panel-body" }, this.search, this.found, this.list, this.archive, this.elsewhere),
    );
    panels.panels.sessions.opened.push(() => this.#opened());
    store.on(["sessions", "features", "turn", "approvals", "status"], (state) => this.#draw(state));
    document.addEventListener("visibilitychange", () => this.#see());
    this.#findElsewhere();
  }

  async #opened() {
    this.chat.readSessions().catch(() => {});
    if (this.searched !== undefined) return;
    try {
      this.searched = (await getIfThere("api/v1/search?q=a&limit=1")) !== null;
      this.search.hidden = !this.searched;
    } catch {
      // Looked for again the next time.
    }
  }

  /** The session that is open has been seen as it is. */
  #see() {
    const { sessionId, sessions } = this.store.state;
    const session = sessionId && sessions.get(sessionId);
    if (!session || document.hidden || this.seen[session.id] === session.updated_at) return;
    this.seen[session.id] = session.updated_at;
    remember("seen", Object.fromEntries(Object.entries(this.seen).filter(([id]) => sessions.has(id))));
  }

  /** @param {State} state */
  #draw(state) {
    this.#see();
    this.make.hidden = !state.features.manage;
    const all = [...state.sessions.values()].sort((a, b) => Number(b.pinned ?? false) - Number(a.pinned ?? false) || b.updated_at.localeCompare(a.updated_at));
    for (const id of this.rows.keys()) if (!state.sessions.has(id)) this.rows.delete(id);
    arrange(this.list, all.filter((session) => !session.archived).map((session) => this.#row(session, state)));
    const archived = all.filter((session) => session.archived);
    this.archive.hidden = !archived.length;
    arrange(this.archived, archived.map((session) => this.#row(session, state)));
  }

  /** @param {Session} session @param {State} state @returns {HTMLElement} */
  #row(session, state) {
    const current = session.id === state.sessionId;
    const phase = current ? phaseOf(state) : (session.phase ?? "ready");
    const unread = !current && (this.seen[session.id] ?? "") < session.updated_at && this.seen[session.id] !== undefined;
    const key = JSON.stringify([session, current, phase, unread, state.features.manage]);
    const known = this.rows.get(session.id);
    if (known?.key === key) return known;
    const row = known ?? h("li", { class: "session" });
    row.key = key;
    row.className = `session${current ? " current" : ""}${unread ? " unread" : ""}`;
    const words = h(
      "button",
      { type: "button", class: "session-open", "aria-current": current ? "true" : null },
      h("span", { class: "session-line" }, h("span", { class: `dot phase-${phase}`, title: t.phases[phase] }), h("span", { class: "session-title" }, sessionTitle(session)), session.pinned ? icon("pin") : null, h("span", { class: "stamp" }, moment(session.updated_at))),
      h("span", { class: "session-line sub" }, session.origin === "kiro" ? h("span", { class: "mark", title: t.elsewhereMark }, icon("terminal")) : null, h("span", { class: "session-last" }, this.#lastLine(session, phase))),
      h("span", { class: "off-screen" }, `${t.phases[phase]}${unread ? `, ${t.unread}` : ""}`),
    );
    words.addEventListener("click", () => this.#open(session.id));
    row.replaceChildren(words, state.features.manage ? this.#menu(session) : "");
    this.rows.set(session.id, row);
    return row;
  }

  /** @param {Session} session @param {Phase} phase */
  #lastLine(session, phase) {
    if (phase === "waiting") return t.phases.waiting;
    const last = session.last_line === sessionTitle(session) ? "" : visible(session.last_line ?? "").replace(/[*_`#]+/g, "");
    const queued = session.queued ? `, ${t.queuedCount(session.queued)}` : "";
    return (last || baseName(session.cwd)) + queued;
  }

  /** @param {Session} session */
  #menu(session) {
    const menu = h("div", { class: "menu", role: "menu", hidden: true });
    const open = iconButton("dots", t.more, () => toggle(menu.hidden), { class: "icon-button session-more", "aria-haspopup": "menu", "aria-expanded": "false" });
    const away = (/** @type {Event} */ event) => {
      if (!menu.contains(/** @type {Node} */ (event.target)) && event.target !== open && !open.contains(/** @type {Node} */ (event.target))) toggle(false);
    };
    const toggle = (/** @type {boolean} */ show) => {
      menu.hidden = !show;
      open.setAttribute("aria-expanded", String(show));
      if (show) menu.querySelector("button")?.focus();
      document[show ? "addEventListener" : "removeEventListener"]("click", away, true);
    };
    const item = (/** @type {string} */ label, /** @type {() => any} */ action, kind = "") => {
      const node = h("button", { type: "button", role: "menuitem", class: kind }, label);
      node.addEventListener("click", () => {
        toggle(false);
        action();
      });
      menu.append(node);
    };
    item(t.rename, () => this.#rename(session));
    item(session.pinned ? t.unpin : t.pin, () => this.#change(session, { pinned: !session.pinned }));
    item(session.archived ? t.unarchive : t.archive, () => this.#change(session, { archived: !session.archived }));
    item(t.fork, () => this.#fork(session));
    if (session.id !== this.store.state.primary) item(t.remove, () => this.#remove(session), "danger");
    menu.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      const items = [...menu.querySelectorAll("button")];
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") {
        event.preventDefault();
        toggle(false);
        open.focus();
      } else if (step) {
        event.preventDefault();
        items[(items.indexOf(/** @type {any} */ (document.activeElement)) + step + items.length) % items.length]?.focus();
      }
    });
    return h("div", { class: "menu-place" }, open, menu);
  }

  /** @param {string} id */
  async #open(id) {
    this.panels.closeOver();
    if (id !== this.store.state.sessionId) await this.chat.open(id);
    if (!this.panels.isOpen("sessions")) byId("prompt").focus({ preventScroll: true });
  }

  /** @param {Session} session @param {Partial<Session>} changes */
  async #change(session, changes) {
    try {
      await this.chat.change(changes, session.id);
    } catch (error) {
      say(error);
    }
  }

  /** @param {Session} session */
  #rename(session) {
    const name = h("input", { class: "field", "aria-label": t.title, value: session.title, maxlength: "200" });
    openDialog(t.rename, [name], { label: t.save, action: () => this.chat.change({ title: name.value.trim() }, session.id) }, { cancel: t.cancel });
    name.select();
  }

  /** @param {Session} session */
  async #fork(session) {
    try {
      const { session: made } = await call("POST", sessionPath(session.id, "fork"), {});
      this.store.dispatch({ type: "session", session: made });
      await this.#open(made.id);
    } catch (error) {
      say(error);
    }
  }

  /** @param {Session} session */
  #remove(session) {
    const kiro = h("input", { type: "checkbox" });
    const action = async () => {
      await call("DELETE", `${sessionPath(session.id)}?kiro=${kiro.checked}`);
      this.store.dispatch({ type: "session", session: { ...session, deleted: true } });
      const { primary, sessionId } = this.store.state;
      if (sessionId === session.id && primary) await this.chat.open(primary);
    };
    openDialog(t.removeTitle, [h("p", null, t.removeText(sessionTitle(session))), h("label", { class: "check" }, kiro, t.removeKiro)], { label: t.removeDo, kind: "danger", action }, { cancel: t.cancel });
  }

  async openNew() {
    if (!this.store.state.features.manage) return;
    /** @type {{root: string, folders: {path: string}[]}} */
    let known = { root: "", folders: [] };
    try {
      known = (await getIfThere("api/v1/folders")) ?? known;
    } catch {
      // A folder can still be written by hand.
    }
    const list = h("datalist", { id: "known-folders" }, ...known.folders.map((folder) => h("option", { value: folder.path })));
    const folder = h("input", { class: "field", list: "known-folders", placeholder: t.folderNew, spellcheck: "false" });
    const name = h("input", { class: "field", placeholder: t.titleHint, maxlength: "200" });
    const action = async () => {
      const body = { ...(folder.value.trim() && { cwd: folder.value.trim() }), ...(name.value.trim() && { title: name.value.trim() }) };
      const { session } = await call("POST", "api/v1/sessions", body);
      this.store.dispatch({ type: "session", session });
      this.#open(session.id).then(() => byId("prompt").focus());
    };
    openDialog(t.newSession, [h("p", { class: "quiet" }, t.newSessionText), h("label", { class: "labelled" }, t.folder, folder), list, h("label", { class: "labelled" }, t.title, name)], { label: t.create, action }, { cancel: t.cancel });
  }

  // ---- search

  #typed() {
    window.clearTimeout(this.timer);
    const wanted = this.search.value.trim();
    this.timer = window.setTimeout(() => this.#look(wanted), wanted ? SEARCH_MS : 0);
  }

  /** @param {string} wanted */
  async #look(wanted) {
    for (const other of [this.list, this.archive, this.elsewhere]) other.classList.toggle("gone", Boolean(wanted));
    this.found.hidden = !wanted;
    if (!wanted) return this.found.replaceChildren();
    try {
      const { results } = await get(`api/v1/search?limit=40&q=${encodeURIComponent(wanted)}`);
      if (wanted !== this.search.value.trim()) return;
      this.found.replaceChildren(...(results.length ? results.map((/** @type {any} */ result) => this.#result(result)) : [h("li", { class: "quiet pad" }, t.searchNone)]));
    } catch (error) {
      this.found.replaceChildren(h("li", { class: "problem-line pad" }, /** @type {Refused} */ (error).words));
    }
  }

  /** @param {{session_id: string, title: string, item_id: number | null, snippet: string, at: string}} result */
  #result(result) {
    const open = h("button", { type: "button", class: "session-open" }, h("span", { class: "session-line" }, h("span", { class: "session-title" }, visible(result.title) || t.untitled), h("span", { class: "stamp" }, moment(result.at))), h("span", { class: "session-snippet" }, ...marked(result.snippet)));
    open.addEventListener("click", async () => {
      await this.#open(result.session_id);
      if (result.item_id !== null) await this.conversation.showItem(result.item_id);
    });
    return h("li", { class: "session" }, open);
  }

  // ---- made elsewhere

  #findElsewhere() {
    const list = h("ul", { class: "session-list" });
    this.elsewhere.append(h("summary", null, icon("chevron"), t.elsewhereFind), list);
    this.store.on(["features"], (state) => (this.elsewhere.hidden = !state.features.manage));
    this.elsewhere.addEventListener("toggle", async () => {
      if (!this.elsewhere.open) return;
      try {
        const found = await getIfThere("api/v1/kiro-sessions");
        this.elsewhere.hidden = found === null;
        const others = (found?.sessions ?? []).filter((/** @type {any} */ one) => !one.session_id);
        list.replaceChildren(...(others.length ? others.map((/** @type {any} */ one) => this.#other(one)) : [h("li", { class: "quiet pad" }, t.elsewhereNone)]));
      } catch (error) {
        list.replaceChildren(h("li", { class: "problem-line pad" }, /** @type {Refused} */ (error).words));
      }
    });
  }

  /** @param {{engine: string, kiro_id: string, cwd: string, title: string, updated_at: string}} other */
  #other(other) {
    const open = h("button", { type: "button", class: "session-open" }, h("span", { class: "session-line" }, h("span", { class: "session-title" }, visible(other.title) || t.untitled), h("span", { class: "stamp" }, moment(other.updated_at))), h("span", { class: "session-line sub" }, h("span", { class: "mark" }, icon("terminal")), h("span", { class: "session-last" }, other.cwd)));
    open.addEventListener("click", async () => {
      open.disabled = true;
      try {
        const { session } = await call("POST", `api/v1/kiro-sessions/${encodeURIComponent(other.engine)}/${encodeURIComponent(other.kiro_id)}`, {});
        this.store.dispatch({ type: "session", session });
        open.closest("li").remove();
        await this.#open(session.id);
      } catch (error) {
        open.disabled = false;
        say(error);
      }
    });
    return h("li", { class: "session" }, open);
  }
}

/** @param {string} snippet @returns {(Node | string)[]} */
function marked(snippet) {
  return visible(snippet).split(MARK_BEGIN).flatMap((part, index) => {
    if (!index) return [part];
    const [hit = "", rest = ""] = part.split(MARK_END, 2);
    return [h("mark", null, hit), rest];
  });
}

/** Tells a refusal where nothing else has room for it. @param {unknown} error */
function say(error) {
  const words = error instanceof Refused ? error.words : String(error);
  openDialog(t.problemTitle, [h("p", null, words)], { label: t.close, action: () => {} }, { cancel: t.cancel });
}
