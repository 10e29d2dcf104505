// What is told to somebody who is not looking: the title, the icon of the tab, a notification, a sound. And to somebody
// who listens: what changed, in words.

import { byId } from "../dom.js";
import { visible } from "../format.js";
import { OVER, currentSession, itemsOf } from "../store.js";
import { recall } from "../storage.js";
import { t } from "../strings.js";
import { phaseOf, sessionTitle } from "./header.js";

const SHAPE = "<path d='M4 3h24a3 3 0 013 3v15a3 3 0 01-3 3H15l-7 6v-6H4a3 3 0 01-3-3V6a3 3 0 013-3z' fill='%236a45d6'/>";
const ICON = (/** @type {string} */ dot) =>
  `data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'>${SHAPE}${dot && `<circle cx='25' cy='8' r='7' fill='${dot}' stroke='white' stroke-width='2'/>`}</svg>`;
const SPOKEN = 160;

export class Attention {
  /** @param {import("../store.js").Store} store */
  constructor(store) {
    this.store = store;
    this.news = "";
    /** @type {string | null} */
    this.dot = null;
    /** @type {Map<string, string>} */
    this.known = new Map();
    store.watch((state, touched) => this.#update(state, touched));
    for (const event of ["focus", "visibilitychange"]) {
      (event === "focus" ? window : document).addEventListener(event, () => {
        if (!this.looking) return;
        this.news = "";
        this.#draw(store.state);
      });
    }
  }

  get looking() {
    return !document.hidden && document.hasFocus();
  }

  /** @param {State} state @param {Touched} touched */
  #update(state, touched) {
    if (touched.reset) this.known.clear();
    for (const id of touched.turns) this.#turn(state, id, touched.reset);
    for (const id of touched.items) this.#item(state, id, touched.reset);
    for (const session of touched.slices.has("sessions") ? state.sessions.values() : []) {
      const before = this.known.get(session.id);
      this.known.set(session.id, session.phase ?? "");
      if (before && before !== "waiting" && session.phase === "waiting" && session.id !== state.sessionId) this.#tell("waiting", t.notifyWaiting, sessionTitle(session));
    }
    this.#draw(state);
  }

  /** @param {State} state @param {number} id @param {boolean} first */
  #turn(state, id, first) {
    const turn = state.conversation.turns.get(id);
    if (!turn) return;
    const before = this.known.get(`turn${id}`);
    this.known.set(`turn${id}`, turn.state);
    if (first || before === turn.state) return;
    if (!before && !OVER.has(turn.state)) say(t.sayWorking);
    if (!before || !OVER.has(turn.state)) return;
    if (turn.state === "cancelled") say(t.sayStopped);
    else if (turn.state === "completed") say(t.sayDone(lastWords(state, id)));
    else say(t.sayFailed, true);
    const session = currentSession(state);
    this.#tell("done", turn.state === "completed" ? t.notifyDone : t.sayFailed, session ? sessionTitle(session) : "");
  }

  /** @param {State} state @param {number} id @param {boolean} first */
  #item(state, id, first) {
    const item = state.conversation.items.get(id);
    if (item?.kind !== "approval") return;
    const key = `approval${id}`;
    const fresh = !this.known.has(key);
    this.known.set(key, String(item.data.status));
    if (!fresh || item.data.status !== "pending") return;
    const title = visible(String(item.data.title ?? ""));
    say(t.sayAsks(title), true);
    if (!first) this.#tell("waiting", t.notifyWaiting, title);
  }

  /** @param {"done" | "waiting"} news @param {string} title @param {string} words */
  #tell(news, title, words) {
    if (this.looking) return;
    this.news = news;
    if (recall("notify", false) && window.Notification?.permission === "granted") {
      const shown = new Notification(title, { body: words, tag: "kiro-chat" });
      shown.onclick = () => {
        window.focus();
        shown.close();
      };
    }
    if (recall("sound", false)) beep();
  }

  /** @param {State} state */
  #draw(state) {
    const session = currentSession(state);
    const name = session ? `${sessionTitle(session)} – ${t.app}` : t.app;
    const phase = phaseOf(state);
    const elsewhere = [...state.sessions.values()].some((one) => one.id !== state.sessionId && one.phase === "waiting");
    const waiting = phase === "waiting" || elsewhere || this.news === "waiting";
    const title = waiting ? t.titleWaiting(name) : phase === "working" ? t.titleWorking(name) : this.news ? t.titleDone(name) : name;
    if (document.title !== title) document.title = title;
    const dot = waiting ? "%23d9480f" : this.news ? "%232b8a3e" : "";
    if (this.dot === dot) return;
    this.dot = dot;
    byId("icon").href = ICON(dot);
  }
}

/** @param {State} state @param {number} turnId */
function lastWords(state, turnId) {
  const said = itemsOf(state.conversation, turnId).findLast((item) => item.kind === "text");
  return visible(said?.text ?? "").replace(/[#*`_]/g, "").slice(0, SPOKEN);
}

/** @param {string} words @param {boolean} [urgent] */
function say(words, urgent = false) {
  byId(urgent ? "say-now" : "say").textContent = words;
}

function beep() {
  try {
    const audio = new AudioContext();
    const tone = audio.createOscillator();
    const volume = audio.createGain();
    tone.frequency.value = 660;
    volume.gain.setValueAtTime(0.08, audio.currentTime);
    volume.gain.exponentialRampToValueAtTime(0.0001, audio.currentTime + 0.4);
    tone.connect(volume).connect(audio.destination);
    tone.start();
    tone.stop(audio.currentTime + 0.4);
    tone.onended = () => audio.close();
  } catch {
    // No sound here.
  }
}
