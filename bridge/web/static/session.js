// What the person does and what the bridge tells: the session that is open, its pages of history and its events.
//
// Invariant: the server's record is the truth; when something does not fit together the newest page is loaded anew.

import { Refused, address, call, get, getIfThere, sessionPath } from "./api.js";
import { recall, remember } from "./storage.js";
import { EventStream } from "./stream.js";
import { runningTurn } from "./store.js";
import { t } from "./strings.js";

const FIRST_PAGE = 60;
const NEXT_PAGE = 150;
const JUMP_PAGE = 500;
const STATUS_MS = 15_000;
const RETRY_MS = 2000;
const LIST_MS = 400;

export class Chat {
  /** @param {import("./store.js").Store} store */
  constructor(store) {
    this.store = store;
    /** @type {EventStream | null} */
    this.stream = null;
    this.opening = 0;
    this.listing = 0;
    /** @type {Promise<void> | null} */
    this.older = null;
    this.questions = 0;
    /** The question, by its number, whose answer is shown, for each thing. @type {Record<string, number>} */
    this.answered = {};
    window.setInterval(() => document.hidden || this.readStatus(), STATUS_MS);
  }

  get state() {
    return this.store.state;
  }

  /** @param {string} [rest] */
  path(rest = "") {
    if (!this.state.sessionId) throw new Refused(t.noSession);
    return sessionPath(this.state.sessionId, rest);
  }

  /** Finds the sessions and opens the one that was open last, else the primary one. */
  async begin() {
    try {
      await this.readSessions();
    } catch (error) {
      this.#trouble(error);
      window.setTimeout(() => this.begin(), RETRY_MS);
      return;
    }
    const wanted = new URLSearchParams(window.location.hash.slice(1)).get("session") ?? recall("session", "");
    const { sessions, primary } = this.state;
    const id = sessions.has(wanted) ? wanted : primary;
    if (id) await this.open(id);
  }

  async readSessions() {
    const { sessions, primary } = await get("api/v1/sessions?archived=all");
    this.store.dispatch({ type: "sessions", sessions, primary });
    const managed = sessions.some((/** @type {Session} */ session) => session.pinned !== undefined);
    this.store.dispatch({ type: "feature", name: "manage", there: managed });
  }

  /** @param {string} id */
  async open(id) {
    this.stream?.close();
    this.stream = null;
    remember("session", id === this.state.primary ? null : id);
    this.store.dispatch({ type: "open", sessionId: id });
    await this.load();
    for (const read of [this.readStatus(), this.readQueue(), this.readKiro(), this.#lookForFiles()]) read.catch(() => {});
  }

  /** Loads the newest page of what is open, and follows from there. */
  async load() {
    const id = this.state.sessionId;
    const opening = ++this.opening;
    this.stream?.close();
    this.stream = null;
    try {
      const page = await get(this.path(`items?render=html&limit=${FIRST_PAGE}`));
      if (opening !== this.opening) return;
      this.store.dispatch({ type: "page", page, older: false });
      this.#follow(page.last_seq);
    } catch (error) {
      if (opening !== this.opening) return;
      if (error instanceof Refused && error.status === 404 && id !== this.state.primary && this.state.primary) {
        return this.open(this.state.primary);
      }
      this.#trouble(error);
      window.setTimeout(() => opening === this.opening && this.load(), RETRY_MS);
    }
  }

  /** @param {unknown} error */
  #trouble(error) {
    const status = error instanceof Refused ? error.status : 0;
    const phase = status === 401 || status === 403 ? "denied" : "lost";
    this.#connection(phase, status);
    if (status >= 400 && phase === "lost") {
      this.store.dispatch({ type: "conversation-problem", problem: /** @type {Refused} */ (error).words });
    }
  }

  /** @param {Connection["phase"]} phase @param {number} [status] */
  #connection(phase, status = 0) {
    const known = this.state.connection;
    const since = known.phase === phase ? known.since : Date.now();
    this.store.dispatch({ type: "set", values: { connection: { phase, since, status } } });
  }

  /** @param {number} seq */
  #follow(seq) {
    const id = /** @type {string} */ (this.state.sessionId);
    const where = (/** @type {number} */ after) =>
      address(sessionPath(id, `events?render=html&scope=all&last_event_id=${after}`));
    const stream = new EventStream(where, seq, {
      open: () => {
        const first = this.state.connection.phase === "connecting";
        this.#connection("live");
        this.readStatus();
        if (!first) this.#refresh();
      },
      events: (events) => {
        if (stream !== this.stream) return;
        this.store.dispatch(...events.map(({ name, data }) => ({ type: /** @type {"event"} */ ("event"), name, data })));
        if (this.store.touched.reload) {
          this.store.touched.reload = false;
          this.load();
        }
        if (events.some(({ name }) => name === "turn")) {
          this.readStatus();
          this.readQueue();
          this.#listSoon();
          if (this.state.kiro && !this.state.kiro.commands.length) this.readKiro();
        }
        else if (this.store.touched.slices.has("queued")) this.readQueue();
      },
      lost: ({ kind, status }) => {
        if (stream !== this.stream) return;
        if (kind === "refused") this.load();
        else this.#connection(kind, status);
      },
    });
    this.stream = stream;
  }

  /** Reads the list again once a turn somewhere has changed what it says of its session. */
  #listSoon() {
    window.clearTimeout(this.listing);
    this.listing = window.setTimeout(() => this.readSessions().catch(() => {}), LIST_MS);
  }

  /** What may have changed without an event while there was no connection. */
  #refresh() {
    this.readSessions().catch(() => {});
    this.readQueue();
  }

  /** Tries to reach the bridge now. */
  retry() {
    if (this.stream) this.stream.retry();
    else if (this.state.sessionId) this.load();
    else this.begin();
  }

  /** @param {boolean} [jump] take as much at once as there is for one request */
  loadOlder(jump = false) {
    const { conversation } = this.state;
    if (!conversation.more || conversation.phase !== "ready") return Promise.resolve();
    this.older ??= this.#loadOlder(jump).finally(() => (this.older = null));
    return this.older;
  }

  /** @param {boolean} jump */
  async #loadOlder(jump) {
    const { conversation, sessionId } = this.state;
    const first = Math.min(...conversation.items.keys());
    const page = await get(this.path(`items?render=html&limit=${jump ? JUMP_PAGE : NEXT_PAGE}&before=${first}`));
    if (sessionId === this.state.sessionId && conversation === this.state.conversation) {
      this.store.dispatch({ type: "page", page, older: true });
    }
  }

  /** Loads history until an item is there. @param {number} itemId */
  async loadUntil(itemId) {
    while (!this.state.conversation.items.has(itemId) && this.state.conversation.more) {
      if (Math.min(...this.state.conversation.items.keys()) < itemId) return;
      await this.loadOlder(true);
    }
  }

  /**
   * Asks for something and takes the answer, unless another session is open by then or a later question was answered
   * before: a slow answer must not replace a newer one.
   * @param {string} name
   * @param {() => Promise<any>} ask
   * @param {(answer: any) => void} take
   */
  async #ask(name, ask, take) {
    const id = this.state.sessionId;
    if (!id) return;
    const question = ++this.questions;
    try {
      const answer = await ask();
      if (id !== this.state.sessionId || question < (this.answered[name] ?? 0)) return;
      this.answered[name] = question;
      take(answer);
    } catch {
      // Asked again with the next change; the stream notices a lost connection itself, a panel says what is wrong.
    }
  }

  readStatus() {
    return this.#ask(
      "status",
      async () => (await getIfThere(this.path("status"))) ?? (await get("status")),
      (status) => this.store.dispatch({ type: "set", values: { status } }),
    );
  }

  readQueue() {
    return this.#ask(
      "queue",
      () => getIfThere(this.path("queue")),
      (queue) => this.store.dispatch({ type: "feature", name: "queue", there: queue !== null }, { type: "set", values: { queue } }),
    );
  }

  readKiro() {
    return this.#ask(
      "kiro",
      () => getIfThere(this.path("kiro")),
      (kiro) => this.store.dispatch({ type: "feature", name: "kiro", there: kiro !== null }, { type: "set", values: { kiro } }),
    );
  }

  async #lookForFiles() {
    try {
      this.store.dispatch({ type: "feature", name: "files", there: (await getIfThere(this.path("files"))) !== null });
    } catch {
      // Not known: the panel stays away.
    }
  }

  /**
   * Sends a prompt. While a turn runs it waits in the queue, or goes into the turn with `steer`.
   * @param {string} content
   * @param {boolean} [steer]
   */
  async send(content, steer = false) {
    const { features } = this.state;
    /** @type {Record<string, string>} */
    const body = { content };
    if (features.queue) body.mode = steer ? "steer" : runningTurn(this.state) || this.state.queue?.prompts.length ? "queue" : "now";
    try {
      await call("POST", this.path("messages"), body);
    } catch (error) {
      const raced = error instanceof Refused && error.type === "agent-busy" && body.mode === "now";
      if (!raced) throw error;
      await call("POST", this.path("messages"), { content, mode: "queue" });
    }
    if (features.queue) this.readQueue();
  }

  async stop() {
    const turn = runningTurn(this.state);
    if (!turn) return;
    this.store.dispatch({ type: "set", values: { stopping: turn.id } });
    try {
      await call("POST", this.path("cancel"), {});
    } catch (error) {
      this.store.dispatch({ type: "set", values: { stopping: null } });
      throw error;
    }
  }

  /**
   * @param {Item} item an approval
   * @param {string} option
   * @param {string} [reason]
   */
  async answer(item, option, reason) {
    const body = reason ? { option, reason } : { option };
    const { item: answered } = await call("POST", this.path(`approvals/${item.id}`), body);
    if (answered) {
      const data = { session_id: this.state.sessionId, item: answered };
      this.store.dispatch({ type: "event", name: "item", data });
    }
  }

  /** @param {string} name @param {string} argument */
  async command(name, argument) {
    const { text } = await call("POST", this.path("commands"), { name, argument });
    this.store.dispatch({ type: "result", result: { title: `${name} ${argument}`.trim(), text } });
  }

  /** @param {Partial<Session>} changes @param {string} [id] */
  async change(changes, id = this.state.sessionId ?? "") {
    const { session } = await call("PATCH", sessionPath(id), changes);
    this.store.dispatch({ type: "session", session });
  }
}
