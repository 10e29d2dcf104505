// The line at the top: which session, what it is doing, and the ways to the panels. Also the banner below it.

import { byId, button, h, icon, iconButton } from "../dom.js";
import { baseName, visible } from "../format.js";
import { currentSession, pendingApprovals, runningTurn } from "../store.js";
import { pick, t } from "../strings.js";

const PATIENCE_MS = 1200;

/** @param {Session} session @returns {string} */
export const sessionTitle = (session) => visible(session.title || session.last_line || "") || t.untitled;

/** @param {State} state @returns {Phase} what the session that is open is doing */
export function phaseOf(state) {
  if (pendingApprovals(state).length) return "waiting";
  if (runningTurn(state)) return "working";
  const phase = state.status?.phase ?? "ready";
  return phase === "working" || phase === "waiting" ? "ready" : phase;
}

/**
 * @param {import("../store.js").Store} store
 * @param {import("../session.js").Chat} chat
 * @param {{toggle: (name: "sessions" | "settings" | "files") => void}} panels
 */
export function header(store, chat, panels) {
  const title = h("h1", { class: "header-title" }, t.app);
  const folder = h("span", { class: "header-folder" });
  const state = h("p", { class: "phase", id: "phase" });
  const badge = h("span", { class: "badge", hidden: true });
  const sessions = iconButton("menu", t.sessions, () => panels.toggle("sessions"), { id: "open-sessions" });
  sessions.append(badge);
  const files = iconButton("files", t.filesPanel, () => panels.toggle("files"), { id: "open-files", hidden: true });
  const settings = iconButton("settings", t.settings, () => panels.toggle("settings"), { id: "open-settings" });
  byId("header").append(sessions, h("div", { class: "header-words" }, title, folder), state, files, settings);

  store.on(["sessions", "status", "turn", "approvals", "connection", "stopping"], (now) => {
    const session = currentSession(now);
    title.textContent = session ? sessionTitle(session) : t.app;
    folder.textContent = session ? baseName(session.cwd) : "";
    folder.title = session?.cwd ?? "";
    const offline = now.connection.phase !== "live" && now.connection.phase !== "connecting";
    const phase = offline ? "offline" : phaseOf(now);
    state.className = `phase phase-${phase}`;
    const words = offline ? t.offline : now.stopping ? t.stopping : t.phases[/** @type {Phase} */ (phase)];
    if (state.textContent !== words) state.replaceChildren(h("span", { class: "dot" }), h("span", { class: "phase-words" }, words));
    const waiting = [...now.sessions.values()].filter((s) => s.id !== now.sessionId && s.phase === "waiting").length;
    badge.hidden = !waiting;
    badge.textContent = String(waiting);
    sessions.setAttribute("aria-label", waiting ? `${t.sessions}, ${waiting} ${t.phases.waiting}` : t.sessions);
  });
  store.on(["features"], (now) => (files.hidden = !now.features.files));
  banner(store, chat);
}

/**
 * @param {import("../store.js").Store} store
 * @param {import("../session.js").Chat} chat
 */
function banner(store, chat) {
  const place = byId("banner");
  let timer = 0;
  let dismissed = "";

  const draw = () => {
    const { connection, status } = store.state;
    window.clearTimeout(timer);
    const away = connection.phase === "lost" || connection.phase === "denied";
    const waited = Date.now() - connection.since;
    if (away && waited < PATIENCE_MS) timer = window.setTimeout(draw, PATIENCE_MS - waited + 20);
    const parts = away && waited >= PATIENCE_MS ? lostParts(connection, chat) : problemParts(status, dismissed);
    const key = parts ? parts.key : "";
    if (place.dataset.key === key) return;
    place.dataset.key = key;
    place.className = `banner ${parts?.kind ?? ""}`;
    place.hidden = !parts;
    place.replaceChildren(...(parts?.nodes ?? []));
  };

  /**
   * @param {Status | null} status
   * @param {string} hidden
   */
  const problemParts = (status, hidden) => {
    const problem = status?.problem;
    if (!problem || problem.code === hidden) return null;
    const dismiss = () => {
      dismissed = problem.code;
      draw();
    };
    return {
      key: JSON.stringify(problem),
      kind: "problem",
      nodes: [
        icon("alert"),
        h("div", { class: "banner-words" }, h("strong", null, pick(t.problemTitles, problem.code) ?? t.problemTitle), h("span", null, problem.cause), h("span", null, problem.remedy)),
        button(t.checkAgain, () => chat.readStatus(), "small"),
        iconButton("close", t.dismiss, dismiss),
      ],
    };
  };

  store.on(["connection", "status"], draw);
}

/**
 * @param {Connection} connection
 * @param {import("../session.js").Chat} chat
 */
function lostParts(connection, chat) {
  const denied = connection.phase === "denied";
  const words = denied ? t.denied : connection.status ? t.restarting : t.lost;
  return {
    key: `${connection.phase}${connection.status}`,
    kind: denied ? "problem" : "lost",
    nodes: [
      denied ? icon("alert") : h("span", { class: "spinner" }),
      h("div", { class: "banner-words" }, h("strong", null, words), h("span", null, denied ? t.deniedHint : t.lostHint)),
      denied ? button(t.reload, () => window.location.reload(), "small") : button(t.retry, () => chat.retry(), "small"),
    ],
  };
}
