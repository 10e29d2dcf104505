// How each kind of item looks in the conversation. A view is made once and then updated in place.

import { copyButton, showBlocks } from "../blocks.js";
import { h, icon } from "../dom.js";
import { fullTime, moment, visible } from "../format.js";
import { pick, t } from "../strings.js";
import { approvalView } from "./approval.js";
import { toolView } from "./tool.js";

/** @typedef {{node: HTMLElement, update: (item: Item) => void, tick?: () => void}} ItemView */

/**
 * What views of items need of the page.
 * @typedef {object} Around
 * @property {Set<string>} open names of what was unfolded by hand
 * @property {() => string} folder
 * @property {(key: string) => boolean} isAsked whether somebody has to allow the tool call with this key
 * @property {import("../session.js").Chat} chat
 */

/**
 * @param {Item} item
 * @param {Around} around
 * @returns {ItemView}
 */
export function itemView(item, around) {
  /** @type {Record<string, (around: Around, item: Item) => ItemView>} */
  const makers = { text: textView, thought: thoughtView, plan: planView, tool: toolView, approval: approvalView, notice: noticeView };
  const view = (makers[item.kind] ?? promptView)(around, item);
  view.node.classList.add("item");
  view.node.dataset.item = String(item.id);
  if (item.data.agent) {
    view.node.classList.add("sub-agent");
    view.node.dataset.agent = visible(String(item.data.agent)).slice(0, 40);
  }
  return view;
}

/** A `details` that stays as the person left it. @param {Around} around @param {string} name @param {string} kind */
export function folded(around, name, kind) {
  const summary = h("summary", null);
  const body = h("div", { class: "fold-body" });
  const node = h("details", { class: kind, open: around.open.has(name) }, summary, body);
  node.addEventListener("toggle", () => (node.open ? around.open.add(name) : around.open.delete(name)));
  return { node, summary, body };
}

/** @returns {ItemView} */
function textView() {
  const node = h("div", { class: "text md" });
  return { node, update: (item) => showBlocks(node, item.blocks ?? []) };
}

/** @param {Around} around @param {Item} made @returns {ItemView} */
function thoughtView(around, made) {
  const { node, summary, body } = folded(around, `thought${made.id}`, "thought fold");
  const label = h("span", null);
  const first = h("span", { class: "fold-hint" });
  summary.append(icon("thought"), label, first, icon("chevron"));
  body.classList.add("md");
  return {
    node,
    update(item) {
      label.textContent = item.final ? t.thought : t.thinking;
      first.textContent = visible(item.text.trim().split("\n", 1)[0] ?? "").slice(0, 120);
      showBlocks(body, item.blocks ?? []);
    },
  };
}

/** @param {Around} around @param {Item} made @returns {ItemView} */
function planView(around, made) {
  const { node, summary, body } = folded(around, `plan${made.id}`, "plan fold");
  const label = h("span", null);
  const now = h("span", { class: "fold-hint" });
  const list = h("ol", { class: "steps" });
  summary.append(icon("plan"), label, now, icon("chevron"));
  body.append(list);
  return {
    node,
    update(item) {
      /** @type {{text: string, status: string}[]} */
      const steps = Array.isArray(item.data.steps) ? item.data.steps : [];
      label.textContent = t.plan(steps.filter((step) => step.status === "completed").length, steps.length);
      now.textContent = visible(steps.find((step) => step.status === "running")?.text ?? "");
      list.replaceChildren(
        ...steps.map((step) =>
          h("li", { class: `step step-${step.status}` }, h("span", { class: "step-mark", role: "img", "aria-label": pick(t.stepStates, step.status) ?? "" }), h("span", null, visible(step.text))),
        ),
      );
    },
  };
}

/** @returns {ItemView} */
function noticeView() {
  const words = h("span", null);
  const node = h("p", { class: "notice" }, words);
  return {
    node,
    update(item) {
      const level = String(item.data.level ?? "info");
      node.className = `item notice notice-${level}`;
      if (level !== "info" && !node.querySelector(".icon")) node.prepend(icon("alert"));
      words.textContent = visible(item.text);
    },
  };
}

/** A prompt that was written in Kiro itself, or another kind that this page does not know. @returns {ItemView} */
function promptView() {
  const words = h("div", { class: "bubble-words" });
  return {
    node: h("div", { class: "bubble from-kiro" }, h("span", { class: "small" }, t.fromKiro), words),
    update: (item) => (words.textContent = visible(item.text)),
  };
}

/**
 * The person's own words at the beginning of a turn.
 * @param {Around} around
 */
export function bubbleView(around) {
  const words = h("div", { class: "bubble-words" });
  const more = h("button", { type: "button", class: "link", hidden: true });
  const time = h("time", { class: "stamp" });
  const node = h("div", { class: "bubble-row" }, time, h("div", { class: "bubble", role: "group", "aria-label": t.prompt }, words, more));
  return {
    node,
    /** @param {Turn} turn */
    update(turn) {
      const name = `turn${turn.id}`;
      words.textContent = visible(turn.prompt);
      time.dateTime = turn.accepted_at;
      time.textContent = moment(turn.accepted_at);
      time.title = fullTime(turn.accepted_at);
      const long = turn.prompt.length > 1200 || turn.prompt.split("\n").length > 14;
      more.hidden = !long;
      const draw = () => {
        words.classList.toggle("clipped", long && !around.open.has(name));
        more.textContent = around.open.has(name) ? t.showLess : t.showMore;
      };
      more.onclick = () => {
        if (!around.open.delete(name)) around.open.add(name);
        draw();
      };
      draw();
    },
  };
}

/** The answer of a command, which is not a part of the conversation. @param {{title: string, text: string}} result */
export const resultView = (result) =>
  h("div", { class: "result" }, h("div", { class: "row between" }, h("strong", null, result.title), copyButton(() => result.text)), h("pre", { tabindex: "0" }, visible(result.text)));
