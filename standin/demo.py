"""The answer to an ordinary prompt: short, useful, streamed, and plain about not being Kiro.

Invariant: every demo answer says in its first message that this is a stand-in; it only runs tools that change nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from standin.model import Call
from standin.script import Step, Turn, tool_call

#: Seconds after each chunk, so that a whole answer takes 3 to 6 s.
PACE = 0.09
_READABLE = (
    "readme.md",
    "readme.rst",
    "readme.txt",
    "readme",
    "agents.md",
    "makefile",
    "pyproject.toml",
    "package.json",
)


def _readme(cwd: str) -> str | None:
    """The file worth a look, by name."""
    try:
        names = {name.lower(): name for name in os.listdir(cwd)}
    except OSError:
        return None
    return next((names[name] for name in _READABLE if name in names), None)


def _greeting(prompt: str) -> str:
    words = " ".join(prompt.split())
    shown = words if len(words) <= 80 else words[:77] + "..."
    return (
        "Hello! **I am not Kiro.** I am the stand-in `kiro-cli` of this project: no model reads your prompt, "
        f"I only show how an answer arrives. You wrote:\n\n> {shown}\n\n"
    )


def _summary(turn: Turn, cwd: str, readme: str | None) -> str:
    listed = next((outcome.stdout for call, outcome in turn.outcomes if call.tool == "shell"), "")
    names = [name for name in listed.splitlines() if name]
    read = next((outcome.text for call, outcome in turn.outcomes if call.tool == "read"), "")
    lines = ["### What I found", "", f"- The working directory is `{cwd}`."]
    if names:
        lines.append(f"- It holds {len(names)} entries, such as {', '.join(f'`{name}`' for name in names[:4])}.")
    elif turn.outcomes:
        lines.append("- It is empty, or I was not allowed to look.")
    else:
        lines.append("- I ran no tools: without trust nobody could allow them here.")
    if readme and read:
        heading = next((line.strip("# ").strip() for line in read.splitlines() if line.strip()), "(empty)")
        lines.append(f"- `{readme}` has {len(read.splitlines())} lines and begins with: *{heading[:100]}*")
    code = "```python\nfrom pathlib import Path\n\nfor entry in sorted(Path().iterdir()):\n    print(entry.name)\n```"
    end = "To talk to the real thing, install Kiro CLI and log in; this stand-in is **not Kiro**."
    return "\n".join([*lines, "", "The same look around, in Python:", "", code, "", end])


def demo_turn(prompt: str, cwd: str, allows: Callable[[Call], bool]) -> Turn:
    """The demo's turn; tools run only where `allows` says so, so that an untrusted demo does not end in a refusal."""
    readme = _readme(cwd)
    wanted = [(tool_call("shell", {"command": "ls -1"}, "List the working directory"), "First I look around.\n")]
    if readme:
        wanted.append(
            (tool_call("read", {"path": os.path.join(cwd, readme)}, f"Read {readme}"), f"Next, `{readme}`.\n")
        )
    turn = Turn([])

    def messages() -> Iterator[list[Step]]:
        opening = _greeting(prompt)
        for call, words in wanted:
            if allows(call):
                yield [Step("text", opening + words, delay=PACE), Step("tool", call=call)]
                opening = ""
        yield [Step("text", opening + _summary(turn, cwd, readme), delay=PACE)]

    turn.messages = messages()
    return turn
