// One event stream that comes back by itself: with `Last-Event-ID`, so that nothing is lost and nothing doubled.
//
// `fetch` instead of EventSource: the heartbeats are seen, so that a connection which is silently dead is noticed, and a
// refusal says why.

const SILENCE_MS = 40_000; // more than the longest `heartbeat` that the settings take
const PAUSES_MS = [300, 1000, 2000, 4000, 5000];
const SOON_MS = 150;

/**
 * Cuts a stream of text into events; what is not whole yet waits.
 */
export class EventParser {
  constructor() {
    this.rest = "";
    this.name = "";
    this.data = "";
    this.id = "";
  }

  /**
   * @param {string} text
   * @returns {{name: string, data: string, id: string}[]}
   */
  feed(text) {
    /** @type {{name: string, data: string, id: string}[]} */
    const events = [];
    const lines = (this.rest + text).split("\n");
    this.rest = lines.pop() ?? "";
    for (const raw of lines) {
      const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
      if (line) this.#field(line);
      else if (this.data) {
        events.push({ name: this.name || "message", data: this.data, id: this.id });
        this.name = this.data = "";
      }
    }
    return events;
  }

  /** @param {string} line */
  #field(line) {
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.name = value;
    else if (field === "data") this.data += (this.data ? "\n" : "") + value;
    else if (field === "id") this.id = value;
  }
}

/**
 * @typedef {object} StreamHandlers
 * @property {(events: {name: string, data: any}[]) => void} events what arrived together
 * @property {() => void} open
 * @property {(why: {kind: "lost" | "denied" | "refused", status: number}) => void} lost
 */

export class EventStream {
  /**
   * @param {(after: number) => URL} where
   * @param {number} after sequence after which events are wanted
   * @param {StreamHandlers} handlers
   */
  constructor(where, after, handlers) {
    this.where = where;
    this.after = after;
    this.handlers = handlers;
    this.failures = 0;
    this.closed = false;
    /** @type {AbortController | null} */
    this.request = null;
    this.timer = 0;
    this.wake = () => this.#soon();
    window.addEventListener("online", this.wake);
    this.#connect();
  }

  close() {
    this.closed = true;
    window.removeEventListener("online", this.wake);
    window.clearTimeout(this.timer);
    this.request?.abort();
  }

  /** Tries again now, if it is waiting to. */
  retry() {
    if (this.closed || this.request) return;
    window.clearTimeout(this.timer);
    this.#connect();
  }

  #soon() {
    if (this.closed || this.request) return;
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.#connect(), SOON_MS);
  }

  async #connect() {
    const request = new AbortController();
    this.request = request;
    /** @type {{kind: "lost" | "denied" | "refused", status: number}} */
    let why = { kind: "lost", status: 0 };
    try {
      const response = await fetch(this.where(this.after), {
        headers: { Accept: "text/event-stream", "Last-Event-ID": String(this.after) },
        cache: "no-store",
        credentials: "same-origin",
        signal: request.signal,
      });
      if (response.ok && response.body && response.headers.get("Content-Type")?.startsWith("text/event-stream")) {
        this.failures = 0;
        this.handlers.open();
        await this.#read(response.body, request);
      } else {
        const denied = response.status === 401 || response.status === 403 || response.ok;
        why = { kind: denied ? "denied" : response.status < 500 ? "refused" : "lost", status: response.status };
      }
    } catch {
      // Cut: told below, unless it was us.
    }
    this.request = null;
    if (this.closed) return;
    const pause = PAUSES_MS[Math.min(this.failures, PAUSES_MS.length - 1)] ?? 0;
    this.failures += 1;
    this.timer = window.setTimeout(() => this.#connect(), pause);
    this.handlers.lost(why);
  }

  /**
   * @param {ReadableStream<Uint8Array>} body
   * @param {AbortController} request
   */
  async #read(body, request) {
    const parser = new EventParser();
    const decoder = new TextDecoder();
    const reader = body.getReader();
    let watch = 0;
    try {
      for (;;) {
        window.clearTimeout(watch);
        watch = window.setTimeout(() => request.abort(), SILENCE_MS);
        const { done, value } = await reader.read();
        if (done || this.closed) return;
        const events = parser.feed(decoder.decode(value, { stream: true }));
        if (!events.length) continue;
        for (const { id } of events) if (id) this.after = Math.max(this.after, Number(id));
        this.handlers.events(events.map(({ name, data }) => ({ name, data: JSON.parse(data) })));
      }
    } finally {
      window.clearTimeout(watch);
    }
  }
}
