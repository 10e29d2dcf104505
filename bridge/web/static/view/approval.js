// What Kiro asks: a card where it was asked, and a bar above the prompt while the card is out of sight.

import { button, byId, h, icon } from "../dom.js";
import { visible } from "../format.js";
import { pendingApprovals } from "../store.js";
import { pick, t } from "../strings.js";

/** @typedef {{id: string, label: string, kind: string}} Option */

/** @param {Item} item @returns {Option[]} */
const optionsOf = (item) => (Array.isArray(item.data.options) ? item.data.options : []);

/** @param {Option} option @returns {string} */
const optionLabel = (option) =>
  pick(t.options, option.kind) ?? visible(String(option.label));

/**
 * The buttons that answer, and what became of pressing one.
 * @param {import("../session.js").Chat} chat
 * @param {Item} item
 * @param {boolean} withWhy
 */
function answers(chat, item, withWhy) {
  const problem = h("p", { class: "problem-line", role: "alert", hidden: true });
  const row = h("div", { class: "row wrap" });
  const why = h("div", { class: "why", hidden: true });

  /** @param {Option} option @param {string} [reason] */
  const choose = async (option, reason) => {
    for (const one of row.querySelectorAll("button")) one.disabled = true;
    problem.hidden = true;
    try {
      await chat.answer(item, option.id, reason);
    } catch (error) {
      const refused = /** @type {import("../api.js").Refused} */ (error);
      problem.textContent = refused.type === "already-answered" ? t.alreadyAnswered : refused.words;
      problem.hidden = false;
      for (const one of row.querySelectorAll("button")) one.disabled = false;
    }
  };

  const options = optionsOf(item);
  options.forEach((option, index) => {
    const main = index === 0 && !option.kind.startsWith("reject");
    const node = button(optionLabel(option), () => choose(option), main ? "primary" : "");
    if (index < 9) {
      node.title = t.keyHint(index + 1);
      node.dataset.key = String(index + 1);
    }
    node.dataset.kind = option.kind;
    row.append(node);
  });
  const reject = options.find((option) => option.kind === "reject_once");
  if (withWhy && reject) {
    const text = h("textarea", { class: "field", rows: "2", "aria-label": t.why, placeholder: t.why });
    const open = button(t.rejectWhy, () => {
      why.hidden = false;
      open.hidden = true;
      text.focus();
    });
    why.append(text, button(t.sendWhy, () => choose(reject, text.value.trim()), "primary"));
    row.append(open);
  }
  return { nodes: [row, why, problem], choose };
}

/** Number keys answer while the focus is in what asks. @param {HTMLElement} node */
function answerByKey(node) {
  node.addEventListener("keydown", (event) => {
    if (/** @type {HTMLElement} */ (event.target).matches("textarea") || event.altKey || event.ctrlKey || event.metaKey) return;
    /** @type {HTMLButtonElement | null} */
    const wanted = node.querySelector(`button[data-key="${CSS.escape(event.key)}"]`);
    if (wanted) {
      event.preventDefault();
      wanted.click();
    }
  });
}

/**
 * @param {import("./items.js").Around} around
 * @returns {import("./items.js").ItemView}
 */
export function approvalView(around) {
  const node = h("section", { class: "approval", tabindex: "-1" });
  answerByKey(node);
  let drawn = "";
  return {
    node,
    update(item) {
      const status = String(item.data.status);
      if (drawn === status) return;
      drawn = status;
      node.classList.toggle("pending", status === "pending");
      node.setAttribute("aria-label", item.data.question ? t.question : t.asks);
      node.replaceChildren(...(status === "pending" ? asking(item, around.chat) : [settled(item)]));
    },
  };
}

/** @param {Item} item @returns {string} the title, unless it only says again what will run */
const ownTitle = (item) => {
  const title = visible(String(item.data.title ?? ""));
  return item.text && title.includes(visible(item.text).slice(0, 60)) ? "" : title;
};

/** @param {Item} item @param {import("../session.js").Chat} chat @returns {Node[]} */
function asking(item, chat) {
  const title = ownTitle(item);
  const textClass = item.data.question ? "approval-text words" : "approval-text";
  return [
    h("div", { class: "approval-head" }, icon("alert"), h("strong", null, item.data.question ? t.question : t.asks)),
    ...(title ? [h("p", { class: "approval-title" }, title)] : []),
    ...(item.text ? [h("pre", { class: textClass, tabindex: "0" }, visible(item.text))] : []),
    ...answers(chat, item, true).nodes,
  ];
}

/** @param {Item} item */
function settled(item) {
  const option = optionsOf(item).find((one) => one.id === item.data.answer);
  const status = String(item.data.status);
  const answer = option?.kind === "answer" ? visible(String(option.label)) : pick(t.settled, option?.kind ?? status) ?? pick(t.settled, status) ?? status;
  const good = option && !option.kind.startsWith("reject");
  const title = ownTitle(item) || visible(item.text);
  const reason = item.data.reason ? `: ${visible(String(item.data.reason))}` : "";
  return h("p", { class: "settled" }, icon(good ? "check" : "cancelled"), h("strong", null, answer), h("span", { class: "settled-title" }, title + reason));
}

/**
 * @param {import("../store.js").Store} store
 * @param {import("../session.js").Chat} chat
 * @param {{showItem: (id: number) => void, isInSight: (id: number) => boolean, onSight: (listener: () => void) => void}} conversation
 */
export function approvalBar(store, chat, conversation) {
  const place = byId("approval-bar");
  answerByKey(place);
  const draw = () => {
    const pending = pendingApprovals(store.state);
    const item = pending.find((one) => !conversation.isInSight(one.id));
    const key = item ? `${item.id}/${pending.length}` : "";
    if (place.dataset.key === key) return;
    place.dataset.key = key;
    place.hidden = !item;
    if (!item) return place.replaceChildren();
    const more = pending.length > 1 ? h("span", { class: "small quiet" }, t.moreWaiting(pending.length - 1)) : null;
    place.replaceChildren(
      h("div", { class: "approval-head" }, icon("alert"), h("strong", { class: "bar-title" }, ownTitle(item) || (item.data.question ? t.question : t.asks)), more, button(t.show, () => conversation.showItem(item.id), "small")),
      item.text ? h("code", { class: "bar-text" }, visible(item.text).slice(0, 400)) : "",
      ...answers(chat, item, false).nodes,
    );
  };
  store.on(["approvals", "turn"], draw);
  conversation.onSight(draw);
  document.addEventListener("keydown", (event) => {
    if (!event.altKey || event.ctrlKey || event.metaKey) return;
    const wanted = { KeyY: ["allow_once", "answer"], KeyN: ["reject_once"] }[event.code];
    const item = wanted && pendingApprovals(store.state)[0];
    const option = item && optionsOf(item).find((one) => wanted.includes(one.kind));
    if (!item || !option) return;
    event.preventDefault();
    chat.answer(item, option.id).catch(() => conversation.showItem(item.id));
  });
}
