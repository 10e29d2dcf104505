"""Which variables are secrets, and how they are kept out of what others read.

Invariant: the login tarball reaches no process but our own; a secret's value never stands in what we print or keep.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from bridge.kiro.environment import API_KEY

TARBALL = "KIRO_CLI_AUTH_TARBALL"
"""The login; a long one goes on in `KIRO_CLI_AUTH_TARBALL_2`, `_3` and so on."""

_OTHERS = (API_KEY, "CODER_AGENT_TOKEN", "CODER_SESSION_TOKEN")
_PART = re.compile(rf"{TARBALL}(?:_(\d+))?")
_SHORTEST = 6
"""Below this length a value is no secret, and blotting it out would only spoil the text."""


def tarball_text(environ: Mapping[str, str]) -> str:
    """Return the login tarball's text, its parts put together in the order of their numbers; empty without one."""
    parts = {int(found[1] or 1): environ[name] for name in environ if (found := _PART.fullmatch(name))}
    return "".join(parts[number] for number in sorted(parts))


def without_login(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without the login tarball."""
    return {name: value for name, value in environ.items() if not _PART.fullmatch(name)}


def blot_out(text: str, environ: Mapping[str, str]) -> str:
    """Return the text with the values of all secrets in the environment replaced by `[hidden]`."""
    values = [value for name, value in environ.items() if name in _OTHERS or _PART.fullmatch(name)]
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= _SHORTEST:
            text = text.replace(value, "[hidden]")
    return text
