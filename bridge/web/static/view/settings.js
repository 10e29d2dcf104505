// The settings panel. Each section asks for what it shows when the panel opens, and stays away where there is no such thing.

import { address, call, getIfThere, sessionPath } from "../api.js";
import { button, byId, h, icon, iconButton } from "../dom.js";
import { size, visible } from "../format.js";
import { currentSession } from "../store.js";
import { recall, remember } from "../storage.js";
import { EventStream } from "../stream.js";
import { pick, t } from "../strings.js";

export class SettingsPanel {
  /**
   * @param {import("../store.js").Store} store
   * @param {import("../session.js").Chat} chat
   * @param {import("./panels.js").Panels} panels
   */
  constructor(store, chat, panels) {
    this.store = store;
    this.chat = chat;
    this.panels = panels;
    this.body = h("div", { class: "panel-body" });
    byId("settings").append(h("div", { class: "panel-head" }, h("h2", { tabindex: "-1" }, t.settings), iconButton("close", t.close, () => panels.close("settings"))), this.body);
    panels.panels.settings.opened.push(() => this.#open());
    panels.panels.settings.closed.push(() => this.#closed());
    store.watch((_state, touched) => touched.reset && panels.isOpen("settings") && this.#open());
  }

  #closed() {
    this.usage?.close();
    this.usage = null;
    this.body.replaceChildren();
  }

  #open() {
    this.#closed();
    const sections = { kiro: part(), trust: part(), mcp: part(), library: part(), diagnostics: part(), export: part() };
    this.body.append(sections.kiro, sections.trust, sections.mcp, sections.library, appearance(), sections.diagnostics, sections.export, keys());
    this.#fill(sections.kiro, () => this.#kiro());
    this.#fill(sections.trust, async () => this.#trust());
    this.#fill(sections.mcp, () => this.#mcp());
    this.#fill(sections.library, () => this.#library());
    this.#fill(sections.diagnostics, () => this.#diagnostics());
    this.#fill(sections.export, async () => this.#export());
  }

  /** @param {HTMLElement} section @param {() => Promise<any[] | null>} make */
  async #fill(section, make) {
    try {
      const parts = await make();
      section.hidden = !parts;
      if (parts) section.replaceChildren(...parts);
    } catch (error) {
      section.hidden = false;
      section.replaceChildren(h("p", { class: "problem-line" }, /** @type {any} */ (error).words ?? String(error)));
    }
  }

  async #kiro() {
    await this.chat.readKiro();
    const { kiro, features } = this.store.state;
    if (!kiro || !features.manage) return null;
    const session = currentSession(this.store.state);
    const efforts = (kiro.efforts ?? []).map((id) => ({ id, name: pick(t.efforts, id) ?? id, description: "", current: false }));
    const parts = [this.#choice("model", t.model, kiro.models, session?.model ?? ""), this.#choice("agent", t.agent, kiro.agents, session?.agent ?? ""), this.#choice("effort", t.effort, efforts, session?.effort ?? "")].filter(Boolean);
    return parts.length ? parts : null;
  }

  /** @param {"model" | "agent" | "effort"} name @param {string} label @param {Choice[]} choices @param {string} now */
  #choice(name, label, choices, now) {
    if (!choices?.length) return null;
    const problem = h("p", { class: "problem-line", role: "alert", hidden: true });
    const chosen = choices.find((choice) => choice.id === now) ? now : "";
    const current = choices.find((choice) => choice.current);
    const hint = h("span", { class: "small quiet" });
    const select = h("select", { class: "field" }, h("option", { value: "" }, current ? `${t.byDefault} (${visible(current.name)})` : t.byDefault), ...choices.map((choice) => h("option", { value: choice.id }, visible(choice.name || choice.id))));
    select.value = chosen;
    const describe = () => (hint.textContent = visible((choices.find((choice) => choice.id === select.value) ?? current)?.description ?? ""));
    describe();
    select.addEventListener("change", async () => {
      describe();
      await tried(problem, () => this.chat.change({ [name]: select.value }));
    });
    return h("label", { class: "labelled" }, label, select, hint, problem);
  }

  #trust() {
    const session = currentSession(this.store.state);
    if (!session?.trust) return null;
    const problem = h("p", { class: "problem-line", role: "alert", hidden: true });
    const tools = h("input", { class: "field", "aria-label": t.trustTools, placeholder: t.trustTools, value: (session.trust_tools ?? []).join(" "), hidden: session.trust !== "listed" });
    tools.addEventListener("change", () => tried(problem, () => this.chat.change({ trust_tools: tools.value.split(/\s+/).filter(Boolean) })));
    const choices = Object.entries(t.trustChoices).map(([value, [label = "", description = ""]]) => {
      const radio = h("input", { type: "radio", name: "trust", value, checked: session.trust === value });
      radio.addEventListener("change", async () => {
        tools.hidden = value !== "listed";
        await tried(problem, () => this.chat.change({ trust: /** @type {any} */ (value) }));
      });
      const choice = h("label", { class: "choice" }, radio, h("span", null, h("strong", null, label), h("span", { class: "small quiet" }, description)));
      return value === "listed" ? [choice, tools] : [choice];
    });
    const cannotAsk = session.transport === "headless" ? h("p", { class: "small notice-warning" }, t.headless) : null;
    return [h("fieldset", { class: "choices" }, h("legend", { class: "label" }, t.trust), ...choices.flat()), cannotAsk ?? "", problem];
  }

  async #mcp() {
    const found = await getIfThere(this.chat.path("mcp-servers"));
    if (!found) return null;
    const rows = found.servers.map((/** @type {McpServer} */ server) => this.#server(server));
    return [h("h3", { class: "label" }, t.mcp), rows.length ? h("ul", { class: "plain" }, ...rows) : h("p", { class: "small quiet" }, t.mcpNone)];
  }

  /** @param {McpServer} server @returns {HTMLElement} */
  #server(server) {
    const problem = h("p", { class: "problem-line", role: "alert", hidden: true });
    const box = h("input", { type: "checkbox", class: "switch", role: "switch", checked: server.enabled, "aria-label": server.name });
    box.addEventListener("change", async () => {
      const path = this.chat.path(`mcp-servers/${encodeURIComponent(server.scope)}/${encodeURIComponent(server.name)}`);
      if (!(await tried(problem, () => call("PATCH", path, { enabled: box.checked })))) box.checked = !box.checked;
      else row.replaceWith(this.#server({ ...server, enabled: box.checked }));
    });
    const status = server.enabled ? server.status : "disabled";
    const login = status === "needs_login" && /^https?:\/\//i.test(server.url ?? "") ? h("a", { class: "link", href: server.url, target: "_blank", rel: "noopener noreferrer" }, t.mcpLogin) : null;
    const words = [pick(t.mcpStates, status) ?? status, server.tools == null || status !== "connected" ? "" : t.mcpTools(server.tools)].filter(Boolean).join(", ");
    const row = h(
      "li",
      { class: "server" },
      h("div", { class: "row between" }, h("span", null, h("span", { class: `dot server-${status}` }), h("strong", null, visible(server.name)), " ", h("span", { class: "small quiet" }, words, " ", login)), box),
      server.detail && status !== "connected" ? h("p", { class: "small quiet" }, visible(server.detail)) : null,
      problem,
    );
    return row;
  }

  async #library() {
    const found = await getIfThere(this.chat.path("library"));
    if (!found) return null;
    const kinds = Object.entries(t.libraryKinds).map(([kind, label]) => {
      const entries = found[kind] ?? [];
      if (!entries.length) return null;
      return h("details", { class: "fold" }, h("summary", null, h("span", null, `${label} (${entries.length})`), icon("chevron")), h("ul", { class: "plain fold-body" }, ...entries.map((/** @type {any} */ one) => h("li", { class: "library-entry" }, h("strong", { title: one.path }, visible(one.name)), h("span", { class: "small quiet" }, visible(one.description ?? one.inclusion ?? one.scope ?? ""))))));
    }).filter(Boolean);
    return [h("h3", { class: "label" }, t.library), ...(kinds.length ? kinds : [h("p", { class: "small quiet" }, t.libraryNone)])];
  }

  async #diagnostics() {
    const found = await getIfThere("api/v1/diagnostics");
    if (!found) return null;
    const marks = /** @type {Record<string, string>} */ ({ ok: "check", warning: "alert", failed: "failed", unknown: "dots" });
    const rows = found.checks.map((/** @type {any} */ check) =>
      h("li", { class: `diagnosis check-${check.state}` }, icon(marks[check.state] ?? "dots"), h("div", null, h("strong", null, visible(check.name)), h("span", { class: "off-screen" }, ` ${pick(t.checkStates, check.state) ?? check.state}`), h("p", { class: "small quiet" }, visible(check.found)), check.remedy && check.state !== "ok" ? h("p", { class: "small" }, visible(check.remedy)) : null)),
    );
    const usage = h("dl", { class: "usage" });
    this.#followUsage(usage);
    const again = button(t.check, () => this.#fill(/** @type {HTMLElement} */ (again.closest("section")), () => this.#diagnostics()), "small");
    return [h("div", { class: "row between" }, h("h3", { class: "label" }, t.diagnostics), again), h("ul", { class: "plain" }, ...rows), usage];
  }

  /** @param {HTMLElement} place */
  #followUsage(place) {
    this.usage?.close();
    this.usage = new EventStream(() => address("api/v1/diagnostics/usage"), 0, {
      open: () => {},
      lost: ({ kind }) => kind === "refused" && this.usage?.close(),
      events: (events) => {
        const now = events[events.length - 1]?.data;
        if (now) place.replaceChildren(...usageRows(now));
      },
    });
  }

  #export() {
    const session = currentSession(this.store.state);
    if (!session || !this.store.state.features.files) return null;
    const links = Object.entries(t.exportKinds).map(([kind, label]) => h("a", { class: "button small", href: address(sessionPath(session.id, `export?format=${kind}`)).href, download: "" }, label));
    return [h("h3", { class: "label" }, t.export), h("div", { class: "row" }, ...links)];
  }
}

const part = () => h("section", { class: "setting", hidden: true });

/**
 * @param {HTMLElement} problem where a refusal is told
 * @param {() => Promise<any>} action
 * @returns {Promise<boolean>}
 */
async function tried(problem, action) {
  problem.hidden = true;
  try {
    await action();
    return true;
  } catch (error) {
    problem.textContent = /** @type {any} */ (error).words ?? String(error);
    problem.hidden = false;
    return false;
  }
}

/** @param {any} now @returns {HTMLElement[]} */
function usageRows(now) {
  const percent = (/** @type {any} */ one) => (one?.cpu_percent == null ? "" : `${Math.round(one.cpu_percent)} %`);
  const bytes = (/** @type {any} */ one) => (one?.rss_bytes == null ? "" : size(one.rss_bytes));
  const share = (/** @type {any} */ one) => (one?.used_bytes == null || one?.total_bytes == null ? "" : `${size(one.used_bytes)} / ${size(one.total_bytes)}`);
  const rows = [
    [t.usage.bridge, percent(now.bridge), bytes(now.bridge)],
    [t.usage.kiro, percent(now.kiro), bytes(now.kiro), now.kiro?.processes == null ? "" : t.usage.processes(now.kiro.processes)],
    [t.usage.memory, share(now.memory)],
    [t.usage.disk, share(now.disk)],
  ];
  return rows.flatMap(([name, ...values]) => {
    const words = values.filter(Boolean).join(", ");
    return words ? [h("dt", null, name), h("dd", null, words)] : [];
  });
}

function appearance() {
  const theme = h("select", { class: "field" }, ...Object.entries(t.themes).map(([value, label]) => h("option", { value }, label)));
  theme.value = recall("theme", "system");
  theme.addEventListener("change", () => {
    remember("theme", theme.value === "system" ? null : theme.value);
    setTheme();
  });
  const denied = h("p", { class: "problem-line", hidden: true }, t.notificationsDenied);
  const notify = h("input", { type: "checkbox", checked: recall("notify", false) });
  notify.addEventListener("change", async () => {
    if (notify.checked && (await window.Notification?.requestPermission()) !== "granted") {
      notify.checked = false;
      denied.hidden = false;
    }
    remember("notify", notify.checked || null);
  });
  const sound = h("input", { type: "checkbox", checked: recall("sound", false) });
  sound.addEventListener("change", () => remember("sound", sound.checked || null));
  return h("section", { class: "setting" }, h("h3", { class: "label" }, t.appearance), h("label", { class: "labelled" }, t.theme, theme), h("label", { class: "check" }, notify, t.notifications), denied, h("label", { class: "check" }, sound, t.sound));
}

/** Shows the theme that was chosen. */
export function setTheme() {
  const theme = String(recall("theme", "system"));
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

const keys = () =>
  h("section", { class: "setting" }, h("h3", { class: "label" }, t.keys), h("dl", { class: "keys" }, ...t.keyList.flatMap(([key = "", words = ""]) => [h("dt", null, ...key.split(" ").map((one) => h("kbd", null, one))), h("dd", null, words)])));
