// What a tool call is, in words: the engines name tools, arguments and titles each in their own way.

import { visible } from "./format.js";
import { pick, t } from "./strings.js";

/** @type {Record<string, string>} */
const KIND_OF_NAME = {
  execute_bash: "execute",
  shell: "execute",
  execute_cmd: "execute",
  fs_read: "read",
  read: "read",
  read_file: "read",
  read_files: "read",
  read_multiple_files: "read",
  fs_write: "edit",
  fs_append: "edit",
  write: "edit",
  str_replace: "edit",
  grep: "search",
  glob: "search",
  grep_search: "search",
  file_search: "search",
  list_directory: "search",
  web_search: "search",
  web_fetch: "fetch",
  fetch: "fetch",
  delete_file: "delete",
  subagent: "agent",
  use_subagent: "agent",
  invoke_sub_agent: "agent",
};
const TARGETS = ["command", "path", "file_path", "filePath", "pattern", "query", "url", "regex", "name", "task", "message"];

/** @param {unknown} value @returns {value is Record<string, any>} */
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** @param {Item} item @returns {string} one of the kinds that have an icon and verbs */
export function toolKind(item) {
  const named = pick(KIND_OF_NAME, item.data.name ?? "");
  if (named) return named;
  const kind = String(item.data.kind ?? "");
  return Object.hasOwn(t.verbs, kind) ? kind : "other";
}

/** @param {Item} item @returns {string} the command, path or pattern it is about */
export function toolTarget(item) {
  const input = isObject(item.data.input) ? item.data.input : {};
  const isCommand = toolKind(item) === "execute";
  for (const name of TARGETS) {
    if (name === "command" && !isCommand) continue;
    if (typeof input[name] === "string" && input[name].trim()) return visible(input[name].trim());
  }
  const operation = Array.isArray(input.operations) ? input.operations[0] : null;
  if (isObject(operation) && typeof operation.path === "string") return visible(operation.path);
  const paths = Array.isArray(input.paths) ? input.paths : item.data.locations;
  if (Array.isArray(paths) && paths.length) return visible(paths.map(String).join(", "));
  return "";
}

/**
 * What the call does: the model's own purpose, or a verb; and what it does it to.
 * @param {Item} item
 * @param {string} [folder] paths in it are shown from there
 * @param {string} [status] how the call is, where that is not what the item says
 * @returns {{kind: string, words: string, target: string}}
 */
export function describeTool(item, folder = "", status = String(item.data.status ?? "running")) {
  const kind = toolKind(item);
  const verbs = /** @type {Record<string, string[]>} */ (t.verbs)[kind] ?? t.verbs.other;
  const tense = status === "completed" ? 2 : status === "running" ? 1 : 0;
  const target = shortPath(toolTarget(item), folder);
  const title = visible(String(item.data.title ?? item.data.name ?? ""));
  const input = isObject(item.data.input) ? item.data.input : {};
  const purpose = visible(String(item.data.purpose || input.summary || input.explanation || ""));
  if (purpose) return { kind, words: purpose, target: purpose.includes(target) ? "" : target };
  if (kind === "other") return { kind, words: title || t.verbs.other[tense] || "", target };
  return { kind, words: verbs[tense] ?? "", target: target || title };
}

/** @param {string} path @param {string} folder @returns {string} */
export const shortPath = (path, folder) => (folder && path.startsWith(`${folder}/`) ? path.slice(folder.length + 1) : path);

/** @param {Item} item @returns {{path: string, before: string, after: string} | null} what a write changes */
export function toolChange(item) {
  const input = isObject(item.data.input) ? item.data.input : {};
  if (toolKind(item) !== "edit") return null;
  const text = (/** @type {string[]} */ ...names) => {
    const name = names.find((one) => typeof input[one] === "string");
    return name === undefined ? null : String(input[name]);
  };
  const after = text("new_str", "newStr", "new_string", "file_text", "content", "text");
  const before = text("old_str", "oldStr", "old_string");
  if (after === null && before === null) return null;
  return { path: toolTarget(item), before: before ?? "", after: after ?? "" };
}

/** @param {Item} item @returns {string} arguments besides those that are shown already, as JSON */
export function toolArguments(item) {
  if (!isObject(item.data.input)) return item.data.input == null ? "" : visible(JSON.stringify(item.data.input));
  const shown = new Set(["summary", "explanation", "__tool_use_purpose"]);
  const change = toolChange(item);
  if (change) for (const name of ["path", "command", "file_text", "content", "text", "old_str", "oldStr", "new_str", "newStr"]) shown.add(name);
  const rest = Object.fromEntries(Object.entries(item.data.input).filter(([name, value]) => !shown.has(name) && value !== null));
  const names = Object.keys(rest).filter((name) => rest[name] !== false);
  if (names.length === 1 && names[0] === "command" && typeof rest.command === "string") return visible(rest.command);
  return names.length ? visible(JSON.stringify(rest, null, 2)) : "";
}
