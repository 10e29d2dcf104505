"""How each engine names a tool, its arguments, its title and its result.

Invariant: pure; the one place where a neutral call (shell, read, write, subagent) becomes an engine's JSON.
"""

from __future__ import annotations

import os
from typing import Any

from standin.model import Call, Json, Outcome

CANCELLED = "Tool use was cancelled by the user"
#: Tool names by engine (facts/kiro-cli.md 4.1, facts/kiro-stores.md B.4).
NAMES = {
    "v1": {"shell": "execute_bash", "read": "fs_read", "write": "fs_write", "subagent": "use_subagent"},
    "v2": {"shell": "shell", "read": "read", "write": "write", "subagent": "subagent"},
    "v3": {"shell": "execute_bash", "read": "read_file", "write": "fs_write", "subagent": "invoke_sub_agent"},
}
NAMES["v3"]["question"] = "user_input"  # facts/kiro-wire.md 13
#: Any engine's name, for scripts, trust lists and agent files (aliases: facts/kiro-cli.md 4.1).
NEUTRAL = {name: tool for names in NAMES.values() for tool, name in names.items()} | {
    tool: tool for tool in NAMES["v1"]
}
V3_KINDS = {"shell": "execute", "read": "read", "write": "edit", "subagent": "other", "question": "other"}
V3_TITLES = {
    "shell": "Run Command",
    "read": "Read File",
    "write": "Write File",
    "subagent": "Invoke Sub-agent",
    "question": "Ask User",
}


def absolute(path: str) -> str:
    """The path seen from the working folder, links resolved."""
    return os.path.realpath(path)


def arguments(engine: str, call: Call) -> Json:
    """The call's arguments as the engine's model would give them."""
    args = call.args
    if call.tool == "shell":
        by_engine: dict[str, Json] = {"v1": {"summary": call.purpose or "Run it"}, "v3": {"run_in_background": False}}
        return {"command": args["command"], **by_engine.get(engine, {}), **_purpose(engine, call)}
    if call.tool == "subagent":
        return _subagent_arguments(engine, call)
    if call.tool == "question":
        return {"question": args["question"], "options": args["options"]}
    path = absolute(str(args["path"]))
    if call.tool == "read":
        if engine == "v3":
            return {"path": path, "offset": None, "limit": None}
        return {"operations": [{"mode": "Line", "path": path}], **_purpose(engine, call)}
    if engine == "v3":
        return {"path": path, "text": args["text"]}
    key = "file_text" if engine == "v1" else "content"
    return {"command": "create", "path": path, key: args["text"], **_purpose(engine, call)}


def _purpose(engine: str, call: Call) -> Json:
    """v2's model-written reason, which may be missing (facts/kiro-wire.md 18)."""
    return {"__tool_use_purpose": call.purpose} if engine == "v2" and call.purpose else {}


def _subagent_arguments(engine: str, call: Call) -> Json:
    """Arguments of a sub-agent call: v2 as in facts/kiro-stores.md A.7, v3 [L]."""
    name, prompt = call.args["name"], call.args["prompt"]
    if engine == "v3":
        return {"name": name, "prompt": prompt, "explanation": call.purpose or f"Delegate to {name}"}
    stage = {"name": name, "role": "kiro_default", "prompt_template": prompt}
    return {**_purpose(engine, call), "task": name, "stages": [stage], "mode": "blocking"}


def v2_title(call: Call) -> str:
    """v2's title of a call (facts/kiro-wire.md 4)."""
    if call.tool == "shell":
        return f"Running: {call.args['command']}"
    if call.tool == "subagent":
        return "Spawning agent crew"
    name = os.path.basename(str(call.args["path"]))
    return f"Reading {name}:1" if call.tool == "read" else f"Creating {name}"


def v2_kind(call: Call) -> Json:
    """v2's `kind`, absent for sub-agents (facts/kiro-stores.md A.6)."""
    kinds = {"shell": "execute", "read": "read", "write": "edit"}
    return {"kind": kinds[call.tool]} if call.tool in kinds else {}


def locations(call: Call) -> Json:
    """`locations` of a call on a file."""
    return {"locations": [{"path": absolute(str(call.args["path"]))}]} if "path" in call.args else {}


def v1_content(call: Call, outcome: Outcome) -> tuple[list[Json], str]:
    """Content and status of a v1 result: shell Json with the exit code as text, an empty Text for a write
    (facts/kiro-stores.md C, facts/kiro-cli.md 14 no. 4 and 5)."""
    if outcome.status in ("cancelled", "denied"):
        return [{"Text": CANCELLED}], "Error"
    if outcome.status == "error":
        return [{"Text": f"Failed to validate tool parameters: {outcome.text}"}], "Error"
    if call.tool == "shell":
        return [
            {"Json": {"exit_status": str(outcome.exit_code), "stdout": outcome.stdout, "stderr": outcome.stderr}}
        ], "Success"
    return [{"Text": "" if call.tool == "write" else outcome.text}], "Success"


def v2_value(call: Call, outcome: Outcome) -> tuple[str, Any]:
    """Kind (`json` or `text`) and value of a v2 result (facts/kiro-wire.md 18)."""
    if outcome.status in ("cancelled", "denied"):
        return "text", CANCELLED
    if outcome.status == "error":
        return "text", f"Failed to parse the tool use: The tool arguments failed validation: {outcome.text}"
    if call.tool == "shell":
        status = f"exit status: {outcome.exit_code}"
        return "json", {"exit_status": status, "stdout": outcome.stdout, "stderr": outcome.stderr}
    if call.tool == "write":
        lines = str(call.args["text"]).count("\n") + 1
        return "text", f"Successfully created {absolute(str(call.args['path']))} ({lines} lines)."
    return "text", outcome.text


def v2_builtin(call: Call) -> Json:
    """The `kind.BuiltIn` of a v2 result line (facts/kiro-wire.md 18; the sub-agent's name is [L])."""
    given = arguments("v2", call)
    given.pop("__tool_use_purpose", None)
    if call.tool == "shell":
        return {"ExecuteCmd": {**given, "working_dir": None}}
    return {{"read": "FileRead", "write": "FileWrite", "subagent": "AgentCrew"}[call.tool]: given}


def v3_output(call: Call, outcome: Outcome) -> Json:
    """v3's `rawOutput`; its `message` is also the text of the result row (facts/kiro-stores.md A.6, B.4; kiro-wire.md
    12)."""
    if outcome.status == "denied":
        return {"message": "The user rejected this tool use"}
    if outcome.status == "cancelled":
        return {"message": "The session was interrupted"}
    if outcome.status == "error":
        return {"message": outcome.text}
    if call.tool == "shell":
        output = outcome.stdout + outcome.stderr
        code = outcome.exit_code
        return {"output": output, "exitCode": code, "message": f"Output:\n{output}\n\nExit Code: {code}"}
    if call.tool == "read":
        path = absolute(str(call.args["path"]))
        return {
            "message": f'<file name="{path}" language="plaintext" >\n<content>\n{outcome.text}\n</content>\n</file>'
        }
    if call.tool == "write":
        return {"message": f"Created the {absolute(str(call.args['path']))} file."}
    return {"message": outcome.text}


def v3_success(call: Call, outcome: Outcome) -> bool:
    """Whether v3 calls it a success: an exit code other than 0 is a failure there (facts/kiro-wire.md 12)."""
    return outcome.status == "ok" and (call.tool != "shell" or outcome.exit_code == 0)
