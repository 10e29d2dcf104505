"""What the stand-in's "model" says: from a script file, from directives in the prompt, or the demo.

Invariant: a turn is a sequence of messages, a message a sequence of steps, and the last message of a turn calls no
tool.

**Script file** (`KIRO_STANDIN_SCRIPT` names it): JSON, a list of turns; a turn is a list of messages; a message is a
list of steps:

    {"text": "...", "chunks": 3, "delay": 0.1}      say it (chunks and delay may be missing)
    {"thought": "..."}                              think it
    {"tool": "shell", "args": {"command": "ls"}}    also read {path}, write {path, text}, or any engine's tool name
    {"subagent": {"name": "probe", "prompt": "...", "text": "..."}}   v2 and v3; over ACP also "command": what it runs
    {"tool": ..., "ask": true}                      over ACP: the user is asked, whatever is trusted
    {"question": "...", "options": ["...", "..."]}  over ACP, v3: a question to the user
    {"plan": ["...", "..."]}                        over ACP: a plan with these steps
    {"spawn": "probe", "prompt": "!standin ..."}    over ACP, v2: a session that runs beside this one
    {"sleep": 0.5}                                  the model is silent
    {"fault": "half-line", "arg": "2"}              see `faults.TABLE`

Turns are used in order, one per run; the next one's number is kept in the data folder (`KIRO_STANDIN_COUNTER` names
another file), so that consecutive processes go on. A run past the last turn fails and says so.

**Directives**: lines of the prompt that begin with `!standin `. Texts know \\n \\t \\r \\e \\0 \\\\ \\xHH \\uHHHH.

    !standin text WORDS             say WORDS
    !standin thought WORDS          think WORDS
    !standin repeat N LINE          say N equal lines
    !standin numbered N LINE        say N lines `LINE 1`, `LINE 2`, ...
    !standin size BYTES             say exactly BYTES bytes, each line of 16 beginning with its offset
    !standin twice WORDS            say WORDS in two messages of the turn
    !standin chunks N               cut later texts in N pieces
    !standin delay S                S seconds after each later piece
    !standin tool shell COMMAND     run a tool; also `tool read PATH` and `tool write PATH TEXT`
    !standin also shell COMMAND     one more call in the same model message
    !standin sleep S                the model is silent for S seconds
    !standin tool-sleep S           the shell tool runs `sleep S`
    !standin subagent NAME WORDS    a sub-agent answers WORDS (v2, v3)
    !standin ask shell COMMAND      ACP: as `tool`, but the user is asked whatever is trusted
    !standin question WORDS | A | B ACP, v3: a question to the user with the answers A and B
    !standin plan A | B | C         ACP: a plan; its first step runs
    !standin subagent-runs NAME COMMAND   ACP: a sub-agent that runs a command, asking where it has to
    !standin spawn NAME DIRECTIVE   ACP, v2: a session beside this one that follows DIRECTIVE
    !standin echo                   answer `bytes=N chars=N lines=N sha256=HEX` of the prompt
    !standin about                  answer `version= engine= session= turns= agent= model= trust= cwd=`
    !standin fault NAME [ARGUMENT]  misbehave, see `kiro-cli standin --help`

A turn whose directives say nothing after the last tool ends with `Done.`. A script or directive that cannot be
followed ends the run with an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from standin.model import Call, Json
from standin.tool_shapes import NEUTRAL

PREFIX = "!standin "
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "e": "\x1b", "0": "\0", "\\": "\\"}
_ARGUMENTS = {"shell": ("command",), "read": ("path",), "write": ("path", "text")}


class ScriptError(Exception):
    """A script or directive that cannot be followed; the text says where, why and what to do."""


@dataclass
class Step:
    """One thing the model does. `kind` is text, thought, tool, subagent, sleep, plan, spawn or fault; the other fields
    are its text, call, seconds and so on."""

    kind: str
    text: str = ""
    call: Call | None = None
    seconds: float = 0.0
    chunks: int = 0
    delay: float | None = None
    argument: str = ""


@dataclass
class Turn:
    """The messages of one turn. `outcomes` is filled while the turn runs, for a later message to look at."""

    messages: Iterator[list[Step]] | list[list[Step]]
    outcomes: list[tuple[Call, Any]] = field(default_factory=list)

    def steps(self) -> list[Step]:
        """The steps of a turn that is known beforehand."""
        if not isinstance(self.messages, list):
            return []
        return [step for message in self.messages for step in message]


def _unescape(text: str) -> str:
    """The text with its backslash sequences replaced."""

    def one(match: re.Match[str]) -> str:
        code = match.group(1)
        return _ESCAPES[code] if code in _ESCAPES else chr(int(code[1:], 16))

    return re.sub(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[ntre0\\])", one, text)


def tool_call(name: str, args: Json, purpose: str | None) -> Call:
    """A call by any engine's tool name. Raises ScriptError on an unknown tool or a missing argument."""
    tool = NEUTRAL.get(name, "")
    if tool not in _ARGUMENTS:
        raise ScriptError(f"unknown tool {name!r}: use shell, read or write")
    missing = [key for key in _ARGUMENTS[tool] if not isinstance(args.get(key), str)]
    if missing:
        raise ScriptError(f"tool {name!r} needs the text argument {missing[0]!r}")
    return Call(tool, args, purpose)


def _subagent(spec: Json) -> Call:
    args = {
        "name": str(spec.get("name", "helper")),
        "prompt": str(spec.get("prompt", "")),
        "text": str(spec.get("text", "done")),
        **({"command": str(spec["command"])} if "command" in spec else {}),
    }
    return Call("subagent", args, f"Launch a sub-agent named {args['name']}")


def _step(spec: Json) -> Step:
    """One step of a script file."""
    if "text" in spec:
        return Step("text", str(spec["text"]), chunks=int(spec.get("chunks", 0)), delay=spec.get("delay"))
    if "thought" in spec:
        return Step("thought", str(spec["thought"]))
    if "tool" in spec:
        call = tool_call(str(spec["tool"]), dict(spec.get("args", {})), spec.get("purpose"))
        call.asked = bool(spec.get("ask"))
        return Step("tool", call=call)
    if "question" in spec:
        return _question(str(spec["question"]), list(spec.get("options", [])))
    if "plan" in spec:
        return Step("plan", "\n".join(str(step) for step in spec["plan"]))
    if "spawn" in spec:
        return Step("spawn", str(spec["spawn"]), argument=str(spec.get("prompt", "")))
    if "subagent" in spec:
        return Step("subagent", call=_subagent(spec["subagent"]))
    if "sleep" in spec:
        return Step("sleep", seconds=float(spec["sleep"]))
    if "fault" in spec:
        return Step("fault", str(spec["fault"]), argument=str(spec.get("arg", "")))
    known = "text, thought, tool, question, plan, subagent, spawn, sleep, fault"
    raise ScriptError(f"a step needs one of {known}; found {sorted(spec)}")


def _question(words: str, options: list[str]) -> Step:
    """A question to the user. Raises ScriptError without answers."""
    if not options:
        raise ScriptError("a question needs at least one answer")
    return Step("tool", call=Call("question", {"question": words, "options": [str(option) for option in options]}))


def closed(messages: list[list[Step]]) -> list[list[Step]]:
    """The messages with a last one that calls no tool and, if it only follows tools, says `Done.`"""
    if not messages or any(step.call for step in messages[-1]):
        messages = [*messages, []]
    last = messages[-1]
    if not any(step.kind in ("text", "fault") for step in last):
        messages[-1] = [*last, Step("text", "Done.")]
    return messages


def from_file(path: Path, position: Path) -> Turn:
    """The next turn of a script file; its position moves on at once, so that a killed run does not repeat it."""
    import fcntl

    try:
        turns = json.loads(path.read_text("utf-8"))
        assert isinstance(turns, list), "it is not a list of turns"
    except (OSError, ValueError, AssertionError) as error:
        raise ScriptError(f"KIRO_STANDIN_SCRIPT names {path}, which cannot be used: {error}") from error
    position.parent.mkdir(parents=True, exist_ok=True)
    with position.open("a+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        held.seek(0)
        places = json.loads(held.read() or "{}")
        number = int(places.get(str(path.resolve()), 0))
        if number >= len(turns):
            raise ScriptError(
                f"the script {path} has {len(turns)} turns and all were used; remove {position} to begin again"
            )
        places[str(path.resolve())] = number + 1
        held.truncate(0)
        held.write(json.dumps(places))
    return Turn(closed([[_step(step) for step in message] for message in turns[number]]))


class _Directives:
    """Builds messages from directives, one after the other."""

    def __init__(self, facts: dict[str, str]) -> None:
        self.facts = facts
        self.messages: list[list[Step]] = [[]]
        self.chunks = 0
        self.delay: float | None = None

    def add(self, step: Step, same_message: bool = False) -> None:
        """Append a step; after a tool call a new message begins."""
        if any(old.call for old in self.messages[-1]) and not same_message:
            self.messages.append([])
        self.messages[-1].append(step)

    def say(self, text: str) -> None:
        """Append a text step with the cutting and pace in force."""
        self.add(Step("text", text, chunks=self.chunks, delay=self.delay))

    def follow(self, name: str, rest: str) -> None:
        """Do one directive. Raises ScriptError on a bad one."""
        number, _, line = rest.partition(" ")
        if name in ("text", "thought"):
            text = _unescape(rest)
            self.say(text) if name == "text" else self.add(Step("thought", text))
        elif name == "repeat":
            self.say("\n".join([_unescape(line)] * int(number)))
        elif name == "numbered":
            self.say("\n".join(f"{_unescape(line)} {index}" for index in range(1, int(number) + 1)))
        elif name == "size":
            self.say(sized(int(rest)))
        elif name == "twice":
            self.say(_unescape(rest))
            self.add(Step("tool", call=tool_call("shell", {"command": "true"}, None)))
            self.say(_unescape(rest))
        elif name == "chunks":
            self.chunks = int(rest)
        elif name == "delay":
            self.delay = float(rest)
        elif name == "sleep":
            self.add(Step("sleep", seconds=float(rest)))
        elif name in ("echo", "about"):
            self.say(self.facts[name])
        elif name == "fault":
            self.add(Step("fault", number, argument=_unescape(line)))
        else:
            self._tool(name, rest)

    def _tool(self, name: str, rest: str) -> None:
        first, _, line = rest.partition(" ")
        if name in ("question", "plan"):
            words, *others = [part.strip() for part in rest.split("|")]
            self.add(_question(words, others) if name == "question" else Step("plan", "\n".join([words, *others])))
        elif name == "subagent-runs":
            spec = {"name": first, "prompt": f"Run: {line}", "text": "It ran.", "command": line}
            self.add(Step("subagent", call=_subagent(spec)))
        elif name == "spawn":
            self.add(Step("spawn", first, argument=PREFIX + line))
        elif name == "tool-sleep":
            self.add(Step("tool", call=tool_call("shell", {"command": f"sleep {float(rest):g}"}, "Wait")))
        elif name == "subagent":
            self.add(
                Step("subagent", call=_subagent({"name": first, "prompt": f"Answer: {line}", "text": _unescape(line)}))
            )
        elif name in ("tool", "also", "ask"):
            tool = NEUTRAL.get(first, first)
            if tool == "write":
                path, _, text = line.partition(" ")
                args = {"path": path, "text": _unescape(text)}
            else:
                args = {_ARGUMENTS.get(tool, ("command",))[0]: line}
            purpose = "Run a command as asked" if tool == "shell" else None
            call = tool_call(first, args, purpose)
            call.asked = name == "ask"
            self.add(Step("tool", call=call), same_message=name == "also")
        else:
            raise ScriptError(f"unknown directive {name!r}")


def sized(count: int) -> str:
    """A text of exactly `count` ASCII bytes in lines of 16, each line beginning with its own offset."""
    lines = (f"{offset:015d}\n" for offset in range(0, count + 16, 16))
    return "".join(lines)[:count]


def from_prompt(prompt: str, facts: dict[str, str]) -> Turn | None:
    """The turn the prompt's directives ask for, None without any. `facts` are the answers of `echo` and `about`."""
    if PREFIX not in prompt:
        return None
    builder = _Directives(facts)
    found = False
    for line in prompt.split("\n"):
        if not line.startswith(PREFIX):
            continue
        found = True
        name, _, rest = line.removeprefix(PREFIX).rstrip("\r").strip(" ").partition(" ")
        try:
            builder.follow(name, rest)
        except (ValueError, ScriptError) as error:
            raise ScriptError(
                f"the directive {line[:200]!r} cannot be followed: {error}. See `kiro-cli standin --help`."
            ) from error
    return Turn(closed(builder.messages)) if found else None
