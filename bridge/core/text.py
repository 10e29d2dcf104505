"""Rules for text that more than one room needs. Pure functions."""

from __future__ import annotations

PROMPT_SPACE = " \t\n\r\f\v"
"""What AgentAPI strips from both ends of a prompt (facts/agentapi-contract.md 3.3)."""

TITLE_LENGTH = 80
"""Characters of a session's title: one line of a list."""


def strip_prompt(text: str) -> str:
    """Return a prompt without white space around it; what stands inside is kept as it is."""
    return text.strip(PROMPT_SPACE)


def squeezed(text: str) -> str:
    """Return `text` without any white space, for comparing texts that were wrapped or rendered differently."""
    return "".join(text.split())


def first_line(text: str, limit: int) -> str:
    """Return the first line that is not blank, cut to `limit` characters with an ellipsis."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def cut_bytes(text: str, limit: int, marker: str = "") -> str:
    """Return `text` cut to at most `limit` bytes of UTF-8, at a character, `marker` included when it was cut."""
    data = text.encode("utf-8", "replace")
    if len(data) <= limit:
        return text
    room = max(0, limit - len(marker.encode()))
    return data[:room].decode("utf-8", "ignore") + marker
