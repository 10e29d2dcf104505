// The chat page, put together.

import { call } from "./api.js";
import { Chat } from "./session.js";
import { Store } from "./store.js";
import { t } from "./strings.js";
import { byId } from "./dom.js";
import { approvalBar } from "./view/approval.js";
import { Attention } from "./view/attention.js";
import { Composer, queueView } from "./view/composer.js";
import { ConversationView } from "./view/conversation.js";
import { FilesPanel } from "./view/files.js";
import { header } from "./view/header.js";
import { Panels } from "./view/panels.js";
import { SessionsPanel } from "./view/sessions.js";
import { SettingsPanel } from "./view/settings.js";

for (const node of document.querySelectorAll("[data-t]")) node.textContent = /** @type {any} */ (t)[/** @type {HTMLElement} */ (node).dataset.t ?? ""];
for (const node of document.querySelectorAll("[data-label]")) {
  const words = /** @type {any} */ (t)[/** @type {HTMLElement} */ (node).dataset.label ?? ""];
  node.setAttribute("aria-label", words);
  if (node.tagName === "BUTTON") /** @type {HTMLElement} */ (node).title = words;
}

const store = new Store();
const chat = new Chat(store);
const panels = new Panels();
header(store, chat, panels);
const composer = new Composer(store, chat, () => conversation.toBottom());
const conversation = new ConversationView(store, chat, composer);
queueView(store, chat, { call, edit: (text) => composer.fill(text) });
approvalBar(store, chat, conversation);
const sessions = new SessionsPanel(store, chat, panels, conversation);
new SettingsPanel(store, chat, panels);
new FilesPanel(store, chat, panels);
new Attention(store);
panels.begin();

document.addEventListener("keydown", (event) => {
  if (!event.altKey || event.ctrlKey || event.metaKey) return;
  /** @type {Record<string, () => void>} */
  const keys = { KeyS: () => panels.toggle("sessions"), KeyK: () => sessions.openNew(), KeyJ: () => conversation.toBottom() };
  const action = keys[event.code];
  if (!action) return;
  event.preventDefault();
  action();
});

document.documentElement.dataset.ready = "true";
chat.begin();
if (window.matchMedia("(pointer: fine)").matches) byId("prompt").focus({ preventScroll: true });
