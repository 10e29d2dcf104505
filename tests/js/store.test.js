import assert from "node:assert/strict";
import { test } from "node:test";

import { initialState, itemsOf, pendingApprovals, reduce, runningTurn } from "../../bridge/web/static/store.js";

const at = "2026-01-01T00:00:00.000000Z";
const turn = (id, state = "running", more = {}) => ({ id, session_id: "s", prompt: `p${id}`, state, accepted_at: at, ...more });
const item = (id, turnId, position, more = {}) => ({ id, turn_id: turnId, position, kind: "text", text: "", data: {}, ...more });
const event = (name, data) => ({ type: "event", name, data: { session_id: "s", ...data } });

/** A state with a session that is open and a page of it. */
function opened(items = [], turns = [], more = false) {
  const state = initialState();
  reduce(state, { type: "sessions", sessions: [{ id: "s", title: "one" }, { id: "o", title: "other" }], primary: "s" });
  reduce(state, { type: "open", sessionId: "s" });
  reduce(state, { type: "page", page: { items, turns, more, last_seq: 1 }, older: false });
  return state;
}

test("items stand in the order of their position, whatever order they came in", () => {
  const state = opened([item(5, 1, 2), item(4, 1, 1)], [turn(1)]);
  reduce(state, event("item", { item: item(6, 1, 0) }));
  assert.deepEqual(itemsOf(state.conversation, 1).map(({ id }) => id), [6, 4, 5]);
  reduce(state, event("item", { item: item(6, 1, 9) }));
  assert.deepEqual(itemsOf(state.conversation, 1).map(({ id }) => id), [4, 5, 6]);
});

test("blocks replace those from a place on", () => {
  const state = opened([item(5, 1, 1, { blocks: ["a", "b", "c"] })], [turn(1)]);
  const touched = reduce(state, event("blocks", { item_id: 5, from: 1, blocks: ["B", "C", "D"] }));
  assert.deepEqual(state.conversation.items.get(5).blocks, ["a", "B", "C", "D"]);
  assert.deepEqual([...touched.items], [5]);
  assert.equal(touched.reload, false);
});

test("blocks that do not fit ask for a reload", () => {
  const state = opened([item(5, 1, 1, { blocks: ["a"] })], [turn(1)]);
  assert.equal(reduce(state, event("blocks", { item_id: 5, from: 3, blocks: ["x"] })).reload, true);
  assert.equal(reduce(state, event("blocks", { item_id: 99, from: 0, blocks: ["x"] })).reload, true);
  assert.deepEqual(state.conversation.items.get(5).blocks, ["a"]);
});

test("an event twice is an event once", () => {
  const state = opened([], [turn(1)]);
  for (let time = 0; time < 2; time += 1) {
    reduce(state, event("item", { item: item(7, 1, 1, { blocks: ["x"] }) }));
    reduce(state, event("blocks", { item_id: 7, from: 0, blocks: ["x", "y"] }));
  }
  assert.deepEqual(itemsOf(state.conversation, 1).map(({ blocks }) => blocks), [["x", "y"]]);
});

test("an older page adds what is not known and takes nothing back", () => {
  const state = opened([item(5, 2, 1, { text: "new" })], [turn(2)], true);
  const page = { items: [item(1, 1, 1), item(5, 2, 1, { text: "old" })], turns: [turn(1, "completed"), turn(2, "accepted")], more: false };
  reduce(state, { type: "page", page, older: true });
  assert.equal(state.conversation.items.get(5).text, "new");
  assert.equal(state.conversation.turns.get(2).state, "running");
  assert.equal(state.conversation.items.size, 2);
  assert.equal(state.conversation.more, false);
});

test("a removed item is gone, and its turn is drawn again", () => {
  const state = opened([item(5, 1, 1)], [turn(1)]);
  const touched = reduce(state, event("removed", { item_id: 5 }));
  assert.equal(itemsOf(state.conversation, 1).length, 0);
  assert.ok(touched.turns.has(1));
});

test("approvals are pending while their turn runs", () => {
  const asked = item(5, 1, 1, { kind: "approval", data: { status: "pending" } });
  const state = opened([asked], [turn(1)]);
  assert.deepEqual(pendingApprovals(state).map(({ id }) => id), [5]);
  reduce(state, event("turn", { turn: turn(1, "interrupted") }));
  assert.deepEqual(pendingApprovals(state), []);
  assert.equal(runningTurn(state), null);
});

test("stopping is over when the turn is", () => {
  const state = opened([], [turn(1)]);
  reduce(state, { type: "set", values: { stopping: 1 } });
  reduce(state, event("turn", { turn: turn(1, "running") }));
  assert.equal(state.stopping, 1);
  reduce(state, event("turn", { turn: turn(1, "cancelled") }));
  assert.equal(state.stopping, null);
});

test("what happens elsewhere changes the list and not the conversation", () => {
  const state = opened([], [turn(1)]);
  const asked = item(9, 8, 1, { kind: "approval", data: { status: "pending" } });
  reduce(state, { type: "event", name: "item", data: { session_id: "o", item: asked } });
  assert.equal(state.sessions.get("o").phase, "waiting");
  assert.equal(state.conversation.items.size, 0);
  reduce(state, { type: "event", name: "session", data: { session: { id: "o", deleted: true } } });
  assert.ok(!state.sessions.has("o"));
});

test("another session begins with nothing of the one before", () => {
  const state = opened([item(5, 1, 1)], [turn(1)]);
  reduce(state, { type: "set", values: { queue: { prompts: [{ id: 1 }], held: true, reason: "" } } });
  reduce(state, { type: "open", sessionId: "o" });
  assert.equal(state.conversation.items.size, 0);
  assert.equal(state.queue, null);
  assert.equal(state.conversation.phase, "loading");
});

test("a list that comes late does not take away the session that is open", () => {
  const state = opened();
  reduce(state, { type: "sessions", sessions: [{ id: "o", title: "other" }], primary: "o" });
  assert.equal(state.sessions.get("s").title, "one");
});

test("a change of a session whose prompts wait has the queue read again, also when their number stays", () => {
  const state = opened();
  const change = (id, queued) => reduce(state, event("session", { session: { id, title: "one", queued } })).slices.has("queued");
  assert.equal(change("s", 0), false);
  assert.equal(change("s", 1), true);
  assert.equal(change("s", 1), true);
  assert.equal(change("s", 0), true);
  assert.equal(change("s", 0), false);
  assert.equal(change("o", 1), false);
});
