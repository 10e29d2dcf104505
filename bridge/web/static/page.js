// The chat page: the transcript of the primary session, live, with a box to write in and a button to stop.
//
// Invariants: what the agent wrote reaches the page through textContent and text nodes only. The server's record is the
// truth: when anything does not fit together, the transcript is loaded anew. What is typed stays until it is accepted.

const PAGE_SIZE = 100;
const RETRY_MS = 3000;
const STATUS_MS = 10000;
const OVER = new Set(["completed", "cancelled", "failed", "interrupted"]);

const base = new URL(document.documentElement.dataset.base, window.location.href);
const element = (id) => document.getElementById(id);
const [statusLine, transcript, older, turnList, problemLine, form, box, sendButton, stopButton] = [
  "status", "transcript", "older", "turns", "problem", "form", "prompt", "send", "stop",
].map(element);

const turns = new Map(); // turn id -> {turn, section, items, foot}
const items = new Map(); // item id -> {item, node, text, length}; length counts code points, as offsets do
let session = null;
let source = null;
let retry = 0;
let online = false;
let phase = "";

// ---- talking to the server

async function call(path, options) {
  const response = await fetch(new URL(path, base), { cache: "no-store", ...options }).catch(() => {
    throw new Error("The bridge cannot be reached.");
  });
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  const told = body.errors?.[0]?.message ?? body.detail ?? `The server answered ${response.status}.`;
  throw new Error(body.remedy ? `${told} ${body.remedy}` : told);
}

const sessionPath = (rest) => `api/v1/sessions/${encodeURIComponent(session)}/${rest}`;

const post = (rest, body) =>
  call(sessionPath(rest), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });

// ---- drawing

function make(tag, className, text = "") {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

function keepingBottom(change) {
  const atBottom = transcript.scrollHeight - transcript.scrollTop - transcript.clientHeight < 60;
  change();
  if (atBottom) transcript.scrollTop = transcript.scrollHeight;
}

// Puts `node` among the children of `parent`, which are in the order of their `order`.
function insertOrdered(parent, node, order) {
  node.order = order;
  let next = node.isConnected ? node.nextSibling : null;
  if (!node.isConnected || (next && next.order < order) || node.previousSibling?.order > order) {
    node.remove();
    next = [...parent.children].findLast((child) => child.order <= order);
    if (next) next.after(node);
    else parent.prepend(node);
  }
}

function putTurn(turn) {
  let shown = turns.get(turn.id);
  if (!shown) {
    const section = make("section", "turn");
    const list = make("div", "items");
    const foot = make("p", "state");
    section.append(make("div", "prompt", turn.prompt), list, foot);
    shown = { section, list, foot };
    turns.set(turn.id, shown);
    insertOrdered(turnList, section, turn.id);
  }
  shown.turn = turn;
  const problem = turn.problem ? `${turn.problem.cause}\n${turn.problem.remedy}` : "";
  const notable = turn.state === "completed" ? "" : turn.state;
  shown.foot.className = problem ? "problem" : "state";
  shown.foot.textContent = [notable, problem].filter(Boolean).join(": ");
  showPhase();
}

function drawTool(node, item) {
  const { title, name, status, exit_code: code } = item.data;
  const ended = Number.isInteger(code) ? `${status}, exit code ${code}` : status;
  const summary = make("summary", "", `${title || name || "tool"} — ${ended ?? "pending"}`);
  const output = make("pre", "output", item.text);
  const open = node.querySelector("details")?.open ?? false;
  const details = make("details", "");
  details.append(summary, output);
  details.open = open;
  node.replaceChildren(details);
  return output.firstChild ?? output.appendChild(document.createTextNode(""));
}

function drawUsage(node, { credits, context_percent: percent }) {
  const parts = [];
  if (Number.isFinite(credits)) parts.push(`${credits.toFixed(2)} credits`);
  if (Number.isFinite(percent)) parts.push(`${Math.round(percent)} % of the context used`);
  node.textContent = parts.join(", ");
}

function putItem(item) {
  if (item.kind === "prompt") return; // the turn shows what the user wrote
  const shown = items.get(item.id) ?? { node: make("div", "") };
  items.set(item.id, shown);
  const { node } = shown;
  node.className = `item ${item.kind}${item.data.agent ? " agent" : ""}`;
  if (item.kind === "tool") {
    shown.text = drawTool(node, item);
  } else if (item.kind === "usage") {
    drawUsage(node, item.data);
  } else {
    shown.text = document.createTextNode(item.text);
    node.replaceChildren(shown.text);
  }
  shown.length = [...item.text].length;
  const turn = turns.get(item.turn_id);
  if (turn) insertOrdered(turn.list, node, item.position);
}

function append({ item_id: id, offset, text }) {
  const shown = items.get(id);
  if (!shown?.text || offset > shown.length) {
    load();
    return;
  }
  const fresh = [...text].slice(shown.length - offset);
  shown.text.appendData(fresh.join(""));
  shown.length += fresh.length;
}

function removeItem({ item_id: id }) {
  items.get(id)?.node.remove();
  items.delete(id);
}

function showPhase() {
  const working = [...turns.values()].some(({ turn }) => !OVER.has(turn.state));
  const words = working ? "working…" : phase === "working" ? "ready" : phase || "connected";
  statusLine.textContent = online ? words : "connection lost, trying again…";
  stopButton.hidden = !working;
}

function showProblem(text) {
  problemLine.textContent = text;
  problemLine.hidden = !text;
}

// ---- following the session

function putPage(page) {
  page.turns.forEach(putTurn);
  page.items.forEach(putItem);
  older.hidden = !page.more;
}

function retryLater() {
  online = false;
  showPhase();
  window.clearTimeout(retry);
  retry = window.setTimeout(load, RETRY_MS);
}

async function load() {
  source?.close();
  window.clearTimeout(retry);
  try {
    session = (await call("api/v1/sessions")).primary;
    if (!session) throw new Error("The bridge has no session yet.");
    const page = await call(sessionPath(`items?limit=${PAGE_SIZE}`));
    turns.clear();
    items.clear();
    turnList.replaceChildren();
    putPage(page);
    transcript.scrollTop = transcript.scrollHeight;
    follow(page.last_seq);
  } catch {
    retryLater();
  }
}

function follow(seq) {
  const handlers = {
    turn: ({ turn }) => putTurn(turn),
    item: ({ item }) => putItem(item),
    delta: append,
    removed: removeItem,
    session: ({ session: { title } }) => (document.title = title ? `${title} – Kiro` : "Kiro"),
  };
  source?.close();
  const stream = new EventSource(new URL(sessionPath(`events?last_event_id=${seq}`), base));
  source = stream;
  for (const [name, handle] of Object.entries(handlers)) {
    stream.addEventListener(name, (event) => {
      if (stream === source) keepingBottom(() => handle(JSON.parse(event.data)));
    });
  }
  stream.onopen = () => {
    online = true;
    showPhase();
    refreshStatus();
  };
  stream.onerror = () => {
    if (stream !== source) return;
    online = false;
    showPhase();
    if (stream.readyState === EventSource.CLOSED) retryLater(); // else the browser connects again by itself
  };
}

async function refreshStatus() {
  try {
    const found = await call("status");
    phase = found.phase;
    showProblem(found.problem ? `${found.problem.cause}\n${found.problem.remedy}` : "");
    showPhase();
  } catch {
    // The stream notices a lost connection itself.
  }
}

// ---- what the user does

async function send(event) {
  event.preventDefault();
  const content = box.value;
  if (!content.trim() || sendButton.disabled) return;
  sendButton.disabled = true;
  try {
    if (!session) throw new Error("There is no connection to the bridge yet.");
    await post("messages", { content });
    if (box.value.startsWith(content)) box.value = box.value.slice(content.length);
    showProblem("");
    transcript.scrollTop = transcript.scrollHeight;
  } catch (error) {
    showProblem(`Not sent: ${error.message}`);
  } finally {
    sendButton.disabled = false;
  }
}

form.addEventListener("submit", send);
box.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) send(event);
});
stopButton.addEventListener("click", () => post("cancel", {}).catch((error) => showProblem(error.message)));
older.addEventListener("click", () => {
  const first = Math.min(...items.keys());
  const place = transcript.scrollHeight - transcript.scrollTop; // what is read stays where it is
  call(sessionPath(`items?limit=${PAGE_SIZE}&before=${first}`)).then(
    (page) => {
      putPage(page);
      transcript.scrollTop = transcript.scrollHeight - place;
    },
    (error) => showProblem(error.message),
  );
});
window.setInterval(() => document.hidden || refreshStatus(), STATUS_MS);
load();
