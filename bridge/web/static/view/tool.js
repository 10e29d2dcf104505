// A tool call: one line that says what it does, to what, how long and how it is; the rest unfolds.

import { copyButton } from "../blocks.js";
import { diffLines } from "../diff.js";
import { h, icon } from "../dom.js";
import { duration, size, visible } from "../format.js";
import { describeTool, toolArguments, toolChange, toolKind } from "../tools.js";
import { pick, t } from "../strings.js";
import { folded } from "./items.js";

const SHOWN_LINES = 24;
const SHOWN_CHARS = 4000;
const MOST_CHARS = 300_000;
const MOST_DIFF_LINES = 400;

/**
 * @param {import("./items.js").Around} around
 * @param {Item} made
 * @returns {import("./items.js").ItemView}
 */
export function toolView(around, made) {
  const { node, summary, body } = folded(around, `tool${made.id}`, "tool fold");
  const kind = h("span", { class: "tool-kind" });
  const words = h("span", { class: "tool-words" });
  const target = h("code", { class: "tool-target" });
  const time = h("span", { class: "tool-time" });
  const state = h("span", { class: "tool-state" });
  summary.append(kind, words, target, time, state, icon("chevron"));
  let item = made;
  /** @type {Item | null} */
  let drawn = null;

  const draw = () => {
    if (!node.open || drawn === item) return;
    drawn = item;
    const open = around.open.has(`output${item.id}`);
    body.replaceChildren(...parts(item, open, () => around.open.add(`output${item.id}`)));
  };
  node.addEventListener("toggle", draw);

  return {
    node,
    tick() {
      if (!item.final && !around.isAsked(item.key ?? "")) time.textContent = duration(Date.now() - Date.parse(item.created_at));
    },
    update(now) {
      item = now;
      const asked = around.isAsked(item.key ?? "");
      const status = asked ? "pending" : String(item.data.status ?? "running");
      const told = describeTool(item, around.folder(), status);
      node.className = `item tool fold tool-${status}${item.data.agent ? " sub-agent" : ""}`;
      if (kind.dataset.kind !== told.kind) kind.replaceChildren(icon(told.kind));
      kind.dataset.kind = told.kind;
      words.textContent = told.words;
      target.textContent = told.target.split("\n", 1)[0] ?? "";
      target.title = told.target.slice(0, 2000);
      target.hidden = !told.target;
      time.textContent = item.final ? duration(Date.parse(item.updated_at) - Date.parse(item.created_at)) : "";
      showState(state, status, item.data.exit_code);
      draw();
    },
  };
}

/** @param {HTMLElement} place @param {string} status @param {unknown} code */
function showState(place, status, code) {
  const exit = Number.isInteger(code) && code !== 0 ? t.exit(Number(code)) : "";
  const words = pick(t.toolStates, status) ?? status;
  const key = `${status}${exit}`;
  if (place.dataset.state === key) return;
  place.dataset.state = key;
  const bad = exit || status === "failed";
  const mark = status === "running" ? h("span", { class: "spinner" }) : status === "pending" ? h("span", { class: "step-mark" }) : icon(bad ? "failed" : status === "completed" ? "check" : "cancelled");
  place.classList.toggle("bad", Boolean(bad));
  place.replaceChildren(exit ? h("span", null, exit) : "", mark, h("span", { class: "off-screen" }, words));
}

/** @param {Item} item @param {boolean} open @param {() => void} opened @returns {Node[]} */
function parts(item, open, opened) {
  const change = toolChange(item);
  const input = toolArguments(item);
  return [
    ...(change ? [section(t.changes, diff(change), () => change.after)] : []),
    ...(input ? [section(toolKind(item) === "execute" ? t.command : t.arguments, h("pre", { tabindex: "0" }, input), () => input)] : []),
    ...(item.text.trim() ? [section(t.output, output(item, open, opened), () => item.text)] : item.final && !change ? [h("p", { class: "small quiet" }, t.noOutput)] : []),
    ...(Number.isInteger(item.data.exit_code) ? [h("p", { class: "small quiet" }, t.exit(item.data.exit_code))] : []),
  ];
}

/** @param {string} title @param {HTMLElement} content @param {() => string} text */
const section = (title, content, text) =>
  h("section", { class: "tool-part" }, h("div", { class: "row between" }, h("h3", { class: "label" }, title), copyButton(text)), content);

/** @param {Item} item @param {boolean} open @param {() => void} opened */
function output(item, open, opened) {
  const whole = visible(item.text.slice(0, MOST_CHARS));
  const lines = whole.split("\n");
  const short = lines.slice(0, SHOWN_LINES).join("\n").slice(0, SHOWN_CHARS);
  const pre = h("pre", { tabindex: "0" }, open ? whole : short);
  const place = h("div", null, pre);
  if (item.text.length > MOST_CHARS) place.append(h("p", { class: "small quiet" }, t.cutOutput(size(MOST_CHARS))));
  if (open || short.length >= whole.trimEnd().length) return place;
  const more = h("button", { type: "button", class: "link" }, t.showAll(lines.length));
  more.addEventListener("click", () => {
    opened();
    pre.textContent = whole;
    more.remove();
    pre.focus();
  });
  place.append(more);
  return place;
}

/** @param {{path: string, before: string, after: string}} change */
function diff(change) {
  const lines = diffLines(visible(change.before).replace(/\n$/, ""), visible(change.after).replace(/\n$/, ""));
  const marks = { same: " ", gone: "−", new: "+" };
  const rows = lines.slice(0, MOST_DIFF_LINES).map(({ kind, text }) => h("span", { class: `diff-${kind}` }, `${marks[kind]} ${text}\n`));
  if (lines.length > MOST_DIFF_LINES) rows.push(h("span", { class: "diff-same" }, "…"));
  return h("pre", { class: "diff", tabindex: "0" }, ...rows);
}
