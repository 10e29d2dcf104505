// All that the page knows, in one place, changed by one function.
//
// Invariant: `reduce` is the only writer. It says what it touched, so that a view redraws that and nothing else.

export const OVER = new Set(["completed", "cancelled", "failed", "interrupted"]);

/** @returns {Conversation} */
export const emptyConversation = () => ({
  turns: new Map(),
  items: new Map(),
  byTurn: new Map(),
  more: false,
  phase: "loading",
  problem: null,
});

/** @returns {State} */
export const initialState = () => ({
  sessionId: null,
  primary: null,
  sessions: new Map(),
  connection: { phase: "connecting", since: 0, status: 0 },
  conversation: emptyConversation(),
  status: null,
  queue: null,
  kiro: null,
  features: { manage: false, queue: false, files: false, kiro: false },
  stopping: null,
  uploads: 0,
  results: [],
});

/** @returns {Touched} */
export const nothing = () => ({ slices: new Set(), turns: new Set(), items: new Set(), reset: false, reload: false });

/**
 * Changes the state by one action and returns what was touched.
 * @param {State} state
 * @param {Action} action
 * @param {Touched} [touched]
 * @returns {Touched}
 */
export function reduce(state, action, touched = nothing()) {
  switch (action.type) {
    case "sessions": {
      const open = currentSession(state);
      state.sessions = new Map(action.sessions.map((session) => [session.id, session]));
      if (open && !state.sessions.has(open.id)) state.sessions.set(open.id, open);
      state.primary = action.primary;
      touched.slices.add("sessions");
      break;
    }
    case "open":
      state.sessionId = action.sessionId;
      state.conversation = emptyConversation();
      state.status = state.queue = state.kiro = state.stopping = null;
      state.results = [];
      touched.reset = true;
      for (const slice of ["sessions", "status", "queue", "kiro", "turn"]) touched.slices.add(slice);
      break;
    case "page":
      takePage(state, action, touched);
      break;
    case "conversation-problem":
      state.conversation.phase = "failed";
      state.conversation.problem = action.problem;
      touched.slices.add("conversation");
      break;
    case "event":
      takeEvent(state, action.name, action.data, touched);
      break;
    case "session":
      putSession(state, action.session, touched);
      break;
    case "set":
      Object.assign(state, action.values);
      for (const slice of Object.keys(action.values)) touched.slices.add(slice);
      break;
    case "feature":
      if (state.features[action.name] !== action.there) {
        state.features = { ...state.features, [action.name]: action.there };
        touched.slices.add("features");
      }
      break;
    case "result":
      state.results = [...state.results, action.result];
      touched.slices.add("results");
      break;
  }
  return touched;
}

/**
 * @param {State} state
 * @param {{page: Page, older: boolean}} action
 * @param {Touched} touched
 */
function takePage(state, { page, older }, touched) {
  const conversation = older ? state.conversation : emptyConversation();
  state.conversation = conversation;
  conversation.phase = "ready";
  conversation.more = page.more;
  for (const turn of page.turns) {
    if (!older || !conversation.turns.has(turn.id)) conversation.turns.set(turn.id, turn);
    touched.turns.add(turn.id);
  }
  for (const item of page.items) {
    if (older && conversation.items.has(item.id)) continue;
    putItem(conversation, item);
    touched.items.add(item.id);
  }
  touched.reset ||= !older;
  touched.slices.add("conversation").add("turn").add("approvals");
}

/**
 * @param {State} state
 * @param {string} name
 * @param {any} data
 * @param {Touched} touched
 */
function takeEvent(state, name, data, touched) {
  if (name === "session") return putSession(state, data.session, touched);
  if (data.session_id !== state.sessionId) return noteElsewhere(state, name, data, touched);
  const { conversation } = state;
  if (name === "turn") {
    const turn = /** @type {Turn} */ (data.turn);
    conversation.turns.set(turn.id, turn);
    touched.turns.add(turn.id);
    touched.slices.add("turn");
    if (OVER.has(turn.state) && state.stopping === turn.id) state.stopping = null;
  } else if (name === "item") {
    putItem(conversation, data.item);
    touched.items.add(data.item.id);
    if (data.item.kind === "approval") touched.slices.add("approvals");
    if (data.item.kind === "prompt") touched.turns.add(data.item.turn_id);
  } else if (name === "blocks") {
    takeBlocks(conversation, data, touched);
  } else if (name === "removed") {
    removeItem(conversation, data.item_id, touched);
  }
}

/**
 * An approval or a turn of another session: its place in the list shows it.
 * @param {State} state
 * @param {string} name
 * @param {any} data
 * @param {Touched} touched
 */
function noteElsewhere(state, name, data, touched) {
  const session = state.sessions.get(data.session_id);
  if (!session || (name !== "turn" && name !== "item")) return;
  if (name === "turn") session.phase = OVER.has(data.turn.state) ? "ready" : "working";
  else if (data.item.kind === "approval") session.phase = data.item.data.status === "pending" ? "waiting" : "working";
  touched.slices.add("sessions");
}

/**
 * @param {State} state
 * @param {Session} session
 * @param {Touched} touched
 */
function putSession(state, session, touched) {
  const known = state.sessions.get(session.id);
  if (session.deleted) state.sessions.delete(session.id);
  else state.sessions.set(session.id, { ...known, ...session });
  touched.slices.add("sessions");
  if (session.id === state.sessionId && (session.queued || known?.queued)) touched.slices.add("queued");
}

/**
 * @param {Conversation} conversation
 * @param {Item} item
 */
function putItem(conversation, item) {
  conversation.items.set(item.id, item);
  const ids = conversation.byTurn.get(item.turn_id);
  if (ids) ids.add(item.id);
  else conversation.byTurn.set(item.turn_id, new Set([item.id]));
}

/**
 * @param {Conversation} conversation
 * @param {{item_id: number, from: number, blocks: string[], length: number}} data
 * @param {Touched} touched
 */
function takeBlocks(conversation, data, touched) {
  const item = conversation.items.get(data.item_id);
  if (!item?.blocks || item.blocks.length < data.from) {
    touched.reload = true;
    return;
  }
  item.blocks.splice(data.from, Infinity, ...data.blocks);
  touched.items.add(item.id);
}

/**
 * @param {Conversation} conversation
 * @param {number} id
 * @param {Touched} touched
 */
function removeItem(conversation, id, touched) {
  const item = conversation.items.get(id);
  if (!item) return;
  conversation.items.delete(id);
  conversation.byTurn.get(item.turn_id)?.delete(id);
  touched.items.add(id);
  touched.turns.add(item.turn_id);
}

/** @param {State} state @returns {Turn | null} the turn that runs in the session that is open */
export function runningTurn(state) {
  for (const turn of [...state.conversation.turns.values()].reverse()) if (!OVER.has(turn.state)) return turn;
  return null;
}

/** @param {State} state @returns {Item[]} */
export function pendingApprovals(state) {
  const turn = runningTurn(state);
  if (!turn) return [];
  const ids = state.conversation.byTurn.get(turn.id) ?? [];
  return [...ids]
    .map((id) => /** @type {Item} */ (state.conversation.items.get(id)))
    .filter((item) => item.kind === "approval" && item.data.status === "pending");
}

/** @param {Conversation} conversation @param {number} turnId @returns {Item[]} a turn's items in their order */
export function itemsOf(conversation, turnId) {
  const ids = conversation.byTurn.get(turnId) ?? [];
  return [...ids]
    .map((id) => /** @type {Item} */ (conversation.items.get(id)))
    .sort((a, b) => a.position - b.position || a.id - b.id);
}

/** @param {State} state @returns {Session | null} */
export const currentSession = (state) => (state.sessionId && state.sessions.get(state.sessionId)) || null;

/** Holds the state, takes actions, and tells the views once per frame what has changed. */
export class Store {
  constructor() {
    this.state = initialState();
    /** @type {((state: State, touched: Touched) => void)[]} */
    this.views = [];
    this.touched = nothing();
    this.planned = false;
    document.addEventListener("visibilitychange", () => this.planned && this.flush());
  }

  /** @param {(state: State, touched: Touched) => void} view */
  watch(view) {
    this.views.push(view);
  }

  /**
   * Has `view` called when one of `slices` was touched.
   * @param {string[]} slices
   * @param {(state: State) => void} view
   */
  on(slices, view) {
    this.watch((state, touched) => slices.some((slice) => touched.slices.has(slice)) && view(state));
  }

  /** @param {Action[]} actions */
  dispatch(...actions) {
    for (const action of actions) reduce(this.state, action, this.touched);
    if (this.planned) return;
    this.planned = true;
    if (document.hidden) window.setTimeout(() => this.flush(), 100);
    else window.requestAnimationFrame(() => this.flush());
  }

  flush() {
    this.planned = false;
    const touched = this.touched;
    this.touched = nothing();
    for (const view of this.views) view(this.state, touched);
  }
}
