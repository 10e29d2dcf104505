// The conversation: turns from top to bottom, of which only what is near the reader is in the document.
//
// Invariants: a segment (a piece of one turn) that is far away keeps its height and nothing else. The view stays at the
// bottom only while the reader is there; nothing that is being read moves when something above or below it changes.

import { copyButton } from "../blocks.js";
import { arrange, byId, button, h, icon } from "../dom.js";
import { duration, fullTime, moment } from "../format.js";
import { OVER, currentSession, itemsOf, pendingApprovals, runningTurn } from "../store.js";
import { t } from "../strings.js";
import { bubbleView, itemView, resultView } from "./items.js";

const SEGMENT = 20;
const NEAR = "1000px 0px";
const BOTTOM = 32;
const TOP = 600;
const GUESS = 64;

/**
 * A piece of a turn: at most `SEGMENT` of its items; the first one has the prompt, the last one the end of the turn.
 * @typedef {{node: HTMLElement & {segment?: Segment}, turn: number, index: number, live: boolean, views: Map<number, import("./items.js").ItemView>, bubble: any, foot: any}} Segment
 */

export class ConversationView {
  /**
   * @param {import("../store.js").Store} store
   * @param {import("../session.js").Chat} chat
   * @param {{fill: (text: string) => void}} composer
   */
  constructor(store, chat, composer) {
    this.store = store;
    this.chat = chat;
    this.composer = composer;
    this.scroller = byId("scroller");
    this.list = byId("turns");
    this.results = byId("results");
    this.top = byId("history-top");
    this.bottomButton = byId("to-bottom");
    /** @type {Map<number, Segment[]>} */
    this.segments = new Map();
    /** @type {Set<string>} */
    this.open = new Set();
    /** @type {(() => void)[]} */
    this.sightListeners = [];
    /** @type {Set<number>} */
    this.inSight = new Set();
    this.stuck = true;
    this.lastTop = 0;
    this.around = {
      open: this.open,
      folder: () => currentSession(store.state)?.cwd ?? "",
      isAsked: (/** @type {string} */ key) => pendingApprovals(store.state).some((item) => item.data.tool_key === key),
      chat,
    };
    this.near = new IntersectionObserver((entries) => this.#moved(entries), { root: this.scroller, rootMargin: NEAR });
    this.sight = new IntersectionObserver((entries) => this.#sighted(entries), { root: this.scroller, threshold: 0.4 });
    new ResizeObserver(() => this.#stick()).observe(this.scroller);
    new ResizeObserver(() => this.#stick()).observe(byId("column"));
    this.scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.bottomButton.addEventListener("click", () => this.toBottom());
    window.setInterval(() => this.#tick(), 1000);
    store.watch((state, touched) => this.#update(state, touched));
  }

  // ---- drawing

  /** @param {State} state @param {Touched} touched */
  #update(state, touched) {
    if (touched.reset) this.#clear();
    /** @type {Set<number>} */
    const turns = new Set(touched.turns);
    for (const id of touched.items) {
      const item = state.conversation.items.get(id);
      if (item) turns.add(item.turn_id);
    }
    if (turns.size) this.#keepingPlace(() => this.#drawTurns(state, turns, touched));
    if (touched.slices.has("results")) this.#drawResults(state);
    if (touched.reset || turns.size || touched.slices.has("conversation") || touched.slices.has("sessions")) this.#drawTop(state);
    if (["turn", "stopping", "approvals"].some((slice) => touched.slices.has(slice))) this.#drawWorking(state);
    if (touched.reset) this.toBottom();
    else this.#stick(turns.size > 0);
  }

  #clear() {
    this.near.disconnect();
    this.sight.disconnect();
    this.segments.clear();
    this.inSight.clear();
    this.list.replaceChildren();
    this.results.replaceChildren();
    this.stuck = true;
  }

  /** @param {State} state @param {Set<number>} turns @param {Touched} touched */
  #drawTurns(state, turns, touched) {
    const all = [...state.conversation.turns.keys()].sort((a, b) => a - b);
    const fresh = [...turns].some((id) => !this.segments.has(id));
    // On the way in, only the end is drawn; the rest follows as it is scrolled to.
    let room = 3;
    for (const id of [...turns].sort((a, b) => b - a)) {
      if (!state.conversation.turns.has(id)) continue;
      room -= this.#drawTurn(state, id, touched, room > 0);
    }
    if (fresh) arrange(this.list, all.flatMap((id) => (this.segments.get(id) ?? []).map(({ node }) => node)));
  }

  /**
   * @param {State} state
   * @param {number} turnId
   * @param {Touched} touched
   * @param {boolean} live whether new segments are drawn at once
   * @returns {number} how many segments were new
   */
  #drawTurn(state, turnId, touched, live) {
    const items = itemsOf(state.conversation, turnId).filter(isShown);
    const count = Math.max(1, Math.ceil(items.length / SEGMENT));
    const segments = this.segments.get(turnId) ?? [];
    const known = segments.length;
    this.segments.set(turnId, segments);
    while (segments.length > count) this.#drop(/** @type {Segment} */ (segments.pop()));
    while (segments.length < count) {
      const segment = this.#segment(turnId, segments.length, live);
      const before = segments[segments.length - 1];
      segments.push(segment);
      if (before?.node.isConnected) before.node.after(segment.node);
      if (!live) segment.node.style.height = `${GUESS * Math.min(SEGMENT, items.length + 1)}px`;
    }
    for (const segment of segments) {
      if (segment.live) this.#fill(segment, state, items, touched.reset || touched.slices.has("approvals") || known !== count ? null : touched);
    }
    return count - known;
  }

  /** @param {number} turn @param {number} index @param {boolean} live @returns {Segment} */
  #segment(turn, index, live) {
    const node = /** @type {HTMLElement & {segment?: Segment}} */ (h("div", { class: "segment", data: { turn: String(turn) } }));
    const segment = { node, turn, index, live, views: new Map(), bubble: null, foot: null };
    node.segment = segment;
    this.near.observe(node);
    return segment;
  }

  /** @param {Segment} segment */
  #drop(segment) {
    this.near.unobserve(segment.node);
    segment.node.remove();
  }

  /**
   * Draws what a segment shows; with `touched` only those items that have changed.
   * @param {Segment} segment
   * @param {State} state
   * @param {Item[]} items all items of the turn that are shown
   * @param {Touched | null} touched
   */
  #fill(segment, state, items, touched) {
    const turn = state.conversation.turns.get(segment.turn);
    if (!turn) return;
    const mine = items.slice(segment.index * SEGMENT, (segment.index + 1) * SEGMENT);
    const nodes = [];
    if (segment.index === 0) {
      segment.bubble ??= bubbleView(this.around);
      if (!touched || touched.turns.has(turn.id) || !segment.bubble.node.isConnected) segment.bubble.update(turn);
      nodes.push(segment.bubble.node);
    }
    const kept = new Set();
    for (const item of mine) {
      let view = segment.views.get(item.id);
      const fresh = !view;
      view ??= itemView(item, this.around);
      if (fresh && item.kind === "approval") this.sight.observe(view.node);
      segment.views.set(item.id, view);
      if (fresh || !touched || touched.items.has(item.id)) view.update(item);
      nodes.push(view.node);
      kept.add(item.id);
    }
    for (const id of segment.views.keys()) if (!kept.has(id)) segment.views.delete(id);
    if ((segment.index + 1) * SEGMENT >= items.length) {
      segment.foot ??= footView();
      segment.foot.update(turn, itemsOf(state.conversation, turn.id));
      nodes.push(segment.foot.node);
    }
    arrange(segment.node, nodes);
  }

  /** @param {State} state */
  #drawResults(state) {
    const result = state.results[state.results.length - 1];
    if (result) this.results.append(resultView(result));
    this.toBottom();
  }

  /** @param {State} state */
  #drawTop(state) {
    const { conversation } = state;
    const empty = conversation.phase === "ready" && !conversation.turns.size;
    const key = [conversation.phase, conversation.more, empty, conversation.problem, empty && currentSession(state)?.cwd].join();
    if (this.top.dataset.key === key) return;
    this.top.dataset.key = key;
    this.top.className = empty ? "empty" : "history-top";
    if (conversation.phase === "loading") this.top.replaceChildren(skeleton());
    else if (conversation.phase === "failed") this.top.replaceChildren(h("p", { class: "problem-line" }, t.loadFailed, " ", conversation.problem ?? ""));
    else if (empty) this.top.replaceChildren(...this.#emptyParts(state));
    else if (conversation.more) this.top.replaceChildren(button(t.earlier, () => this.#loadOlder(), "small"));
    else this.top.replaceChildren(h("p", { class: "small quiet" }, t.begin));
  }

  /** @param {State} state */
  #emptyParts(state) {
    return [
      h("h2", null, t.emptyTitle),
      h("p", { class: "quiet" }, t.emptyText, h("br"), h("code", null, currentSession(state)?.cwd ?? "")),
      h("div", { class: "hints" }, ...t.emptyHints.map((hint) => button(hint, () => this.composer.fill(hint), "hint"))),
    ];
  }

  /** @param {State} state */
  #drawWorking(state) {
    const turn = runningTurn(state);
    const line = byId("working");
    line.hidden = !turn;
    const waiting = pendingApprovals(state).length > 0;
    const words = state.stopping ? t.stopping : waiting ? t.waitsForYou : t.working;
    line.classList.toggle("waits", waiting);
    const place = line.querySelector(".working-words");
    if (place.textContent !== words) place.textContent = words;
    line.dataset.since = turn?.accepted_at ?? "";
    this.#tick();
  }

  #tick() {
    const line = byId("working");
    if (!line.hidden && line.dataset.since) {
      line.querySelector(".working-time").textContent = duration(Date.now() - Date.parse(line.dataset.since));
    }
    const turn = runningTurn(this.store.state);
    for (const segment of (turn && this.segments.get(turn.id)) ?? []) for (const view of segment.views.values()) view.tick?.();
  }

  // ---- the window

  /** @param {IntersectionObserverEntry[]} entries */
  #moved(entries) {
    const { state } = this.store;
    this.#keepingPlace(() => {
      for (const { target, isIntersecting } of entries) {
        const segment = /** @type {HTMLElement & {segment?: Segment}} */ (target).segment;
        if (!segment || segment.live === isIntersecting) continue;
        segment.live = isIntersecting;
        if (isIntersecting) {
          segment.node.style.height = "";
          this.#fill(segment, state, itemsOf(state.conversation, segment.turn).filter(isShown), null);
        } else {
          segment.node.style.height = `${segment.node.offsetHeight}px`;
          segment.views.clear();
          segment.bubble = segment.foot = null;
          segment.node.replaceChildren();
        }
      }
    });
  }

  /** Changes the document without moving what is being read. @param {() => void} change */
  #keepingPlace(change) {
    const anchor = this.stuck ? null : this.#firstInView();
    const before = anchor?.getBoundingClientRect().top ?? 0;
    change();
    if (!anchor?.isConnected) return;
    const moved = anchor.getBoundingClientRect().top - before;
    if (Math.abs(moved) >= 1) this.#scrollTo(this.scroller.scrollTop + moved);
  }

  /** @returns {Element | null} the first thing whose end is below the upper edge of what is seen */
  #firstInView() {
    const edge = this.scroller.getBoundingClientRect().top;
    const nodes = this.list.children;
    let low = 0;
    let high = nodes.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (nodes[middle].getBoundingClientRect().bottom > edge) high = middle;
      else low = middle + 1;
    }
    const segment = nodes[low];
    if (!segment) return null;
    return [...segment.children].find((child) => child.getBoundingClientRect().bottom > edge) ?? segment;
  }

  // ---- scrolling

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    const distance = scrollHeight - scrollTop - clientHeight;
    if (distance <= BOTTOM) this.stuck = true;
    else if (scrollTop < this.lastTop - 1) this.stuck = false;
    this.lastTop = scrollTop;
    if (this.stuck) this.bottomButton.hidden = true;
    else if (distance > clientHeight / 2 && this.bottomButton.hidden) this.#showButton(false);
    if (scrollTop < TOP && !this.stuck) this.#loadOlder();
  }

  /** @param {boolean} [news] whether something new is below */
  #stick(news = false) {
    if (this.stuck) this.#scrollTo(this.scroller.scrollHeight);
    else if (news && this.scroller.scrollHeight - this.scroller.scrollTop - this.scroller.clientHeight > BOTTOM) this.#showButton(true);
  }

  /** @param {number} top */
  #scrollTo(top) {
    this.scroller.scrollTop = top;
    this.lastTop = this.scroller.scrollTop;
  }

  /** @param {boolean} news */
  #showButton(news) {
    this.bottomButton.hidden = false;
    const words = news ? t.newMessages : t.toBottom;
    if (this.bottomButton.dataset.words === words || (!news && this.bottomButton.dataset.words === t.newMessages)) return;
    this.bottomButton.dataset.words = words;
    this.bottomButton.replaceChildren(icon("down"), h("span", { class: news ? "" : "off-screen" }, words));
  }

  toBottom() {
    this.stuck = true;
    this.bottomButton.hidden = true;
    this.bottomButton.dataset.words = "";
    this.#scrollTo(this.scroller.scrollHeight);
  }

  async #loadOlder() {
    try {
      await this.chat.loadOlder();
    } catch {
      // The banner tells of the connection; the button is still there.
    }
  }

  // ---- finding items

  /** Scrolls to an item and gives it the focus. @param {number} id */
  async showItem(id) {
    await this.chat.loadUntil(id);
    this.store.flush();
    const item = this.store.state.conversation.items.get(id);
    if (!item) return;
    const items = itemsOf(this.store.state.conversation, item.turn_id).filter(isShown);
    const index = Math.max(0, items.findIndex((one) => one.id === id));
    const segment = this.segments.get(item.turn_id)?.[Math.floor(index / SEGMENT)];
    if (!segment) return;
    this.stuck = false;
    if (!segment.live) {
      segment.live = true;
      segment.node.style.height = "";
      this.#fill(segment, this.store.state, items, null);
    }
    const node = segment.views.get(id)?.node ?? segment.node;
    node.scrollIntoView({ block: "center" });
    node.classList.add("found");
    window.setTimeout(() => node.classList.remove("found"), 2000);
    if (!node.hasAttribute("tabindex")) node.tabIndex = -1;
    node.focus({ preventScroll: true });
  }

  /** @param {number} id @returns {boolean} whether a card can be read now */
  isInSight(id) {
    return this.inSight.has(id);
  }

  /** @param {() => void} listener */
  onSight(listener) {
    this.sightListeners.push(listener);
  }

  /** @param {IntersectionObserverEntry[]} entries */
  #sighted(entries) {
    for (const { target, isIntersecting } of entries) {
      const id = Number(/** @type {HTMLElement} */ (target).dataset.item);
      if (isIntersecting) this.inSight.add(id);
      else this.inSight.delete(id);
    }
    for (const listener of this.sightListeners) listener();
  }
}

/** @param {Item} item @returns {boolean} whether it has a place of its own; usage is told at the end of the turn */
const isShown = (item) =>
  item.kind !== "usage" && (item.kind !== "prompt" || item.data.origin === "kiro") && !(item.kind === "text" && item.final && !item.text.trim());

/** The end of a turn: how it ended, when, how long and at what cost. */
function footView() {
  const problem = h("div", { class: "turn-problem", hidden: true });
  const line = h("div", { class: "turn-line" });
  const node = h("div", { class: "turn-foot" }, problem, line);
  return {
    node,
    /** @param {Turn} turn @param {Item[]} items */
    update(turn, items) {
      const over = OVER.has(turn.state);
      const bad = turn.state === "failed" || turn.state === "interrupted";
      problem.hidden = !bad;
      if (bad) problem.replaceChildren(icon("alert"), h("div", null, ...problemWords(turn)));
      line.hidden = !over;
      if (over) line.replaceChildren(...footParts(turn, items));
    },
  };
}

/** @param {Turn} turn */
function problemWords(turn) {
  if (!turn.problem) return [h("strong", null, turn.state === "failed" ? t.outcome.failed : t.outcome.interrupted)];
  return [h("strong", null, turn.problem.cause), h("p", null, turn.problem.remedy)];
}

/** @param {Turn} turn @param {Item[]} items @returns {Node[]} */
function footParts(turn, items) {
  const usage = items.findLast((item) => item.kind === "usage" && !item.data.agent)?.data ?? {};
  const ended = turn.ended_at ?? turn.changed_at;
  const parts = [
    turn.state === "cancelled" ? h("strong", { class: "stopped" }, t.outcome.cancelled) : "",
    h("time", { datetime: ended, title: fullTime(ended) }, moment(ended)),
    turn.origin === "import" ? "" : duration(Date.parse(ended) - Date.parse(turn.accepted_at)),
    Number.isFinite(usage.credits) ? t.credits(usage.credits) : "",
    Number.isFinite(usage.context_percent) ? t.context(usage.context_percent) : "",
  ].filter(Boolean);
  const said = items.filter((item) => item.kind === "text" && !item.data.agent && item.text.trim());
  const copy = said.length ? [copyButton(() => said.map((item) => item.text).join("\n\n"), t.answer)] : [];
  return [...copy, ...parts.map((part) => (typeof part === "string" ? h("span", null, part) : part))];
}

const skeleton = () =>
  h("div", { class: "skeleton", role: "status", "aria-label": t.loading }, ...["40%", "90%", "75%", "60%"].map((width) => {
    const line = h("span", null);
    line.style.width = width;
    return line;
  }));
