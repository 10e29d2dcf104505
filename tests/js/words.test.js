import assert from "node:assert/strict";
import { test } from "node:test";

import { diffLines } from "../../bridge/web/static/diff.js";
import { duration, size, visible } from "../../bridge/web/static/format.js";
import { EventParser } from "../../bridge/web/static/stream.js";
import { describeTool, toolArguments, toolChange } from "../../bridge/web/static/tools.js";

const tool = (data) => ({ data: { status: "completed", ...data } });

test("events come out whole, wherever the stream is cut", () => {
  const text = ": beat\n\nid: 3\nevent: item\ndata: {\"a\":1}\n\nid: 4\r\ndata: one\r\ndata: two\r\n\r\n";
  const whole = [
    { name: "item", data: '{"a":1}', id: "3" },
    { name: "message", data: "one\ntwo", id: "4" },
  ];
  for (let cut = 0; cut <= text.length; cut += 1) {
    const parser = new EventParser();
    assert.deepEqual([...parser.feed(text.slice(0, cut)), ...parser.feed(text.slice(cut))], whole);
  }
});

test("a diff has every line of both sides, and the common ones once", () => {
  const kinds = (before, after) => diffLines(before, after).map(({ kind, text }) => `${kind[0]}${text}`);
  assert.deepEqual(kinds("a\nb\nc", "a\nx\nc"), ["sa", "gb", "nx", "sc"]);
  assert.deepEqual(kinds("", "a\nb"), ["na", "nb"]);
  assert.deepEqual(kinds("a\nb", ""), ["ga", "gb"]);
  assert.deepEqual(kinds("a\nb\nc\nd", "b\nd\ne"), ["ga", "sb", "gc", "sd", "ne"]);
  const many = Array.from({ length: 3000 }, (_, line) => `line ${line}`).join("\n");
  assert.equal(diffLines(many, many.replaceAll("line", "row")).length, 6000);
});

test("a tool call is told by what it does, whatever the engine calls it", () => {
  const shell = { name: "execute_bash", input: { command: "ls -1" } };
  assert.deepEqual(describeTool(tool(shell)), { kind: "execute", words: "Ran", target: "ls -1" });
  assert.equal(describeTool(tool({ ...shell, status: "running" })).words, "Running");
  assert.equal(describeTool(tool({ ...shell, purpose: "List the folder" })).words, "List the folder");
  const read = { name: "read", input: { operations: [{ mode: "Line", path: "/home/me/work/a.py" }] } };
  assert.deepEqual(describeTool(tool(read), "/home/me/work"), { kind: "read", words: "Read", target: "a.py" });
  assert.deepEqual(describeTool(tool({ name: "mcp_thing", title: "Thing" })), { kind: "other", words: "Thing", target: "" });
  assert.equal(describeTool(tool({ name: "constructor", kind: "__proto__" })).kind, "other");
});

test("what a write changes, by every name of its arguments", () => {
  assert.deepEqual(toolChange(tool({ name: "fs_write", input: { path: "a", old_str: "x", new_str: "y" } })), { path: "a", before: "x", after: "y" });
  assert.equal(toolChange(tool({ name: "write", input: { path: "a", content: "c" } })).after, "c");
  assert.equal(toolChange(tool({ name: "str_replace", input: { path: "a", oldStr: "x", newStr: "" } })).before, "x");
  assert.equal(toolChange(tool({ name: "shell", input: { command: "x" } })), null);
  assert.equal(toolArguments(tool({ name: "shell", input: { command: "ls", run_in_background: false } })), "ls");
  assert.equal(toolArguments(tool({ name: "fs_write", input: { path: "a", text: "b" } })), "");
  assert.equal(toolArguments(tool({ name: "x", input: [1] })), "[1]");
});

test("numbers as people read them", () => {
  assert.deepEqual([50, 700, 4200, 61_000, 3_720_000].map(duration), ["", "0.7 s", "4 s", "1 min 1 s", "1 h 2 min"]);
  assert.deepEqual([0, 999, 1500, 12_345_678].map(size), ["0 B", "999 B", "1.5 kB", "12 MB"]);
  assert.equal(visible("a\u202eb\u200bc"), "a\ufffdb\ufffdc");
});
