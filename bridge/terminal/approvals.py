"""What Kiro asks a person, how it can be answered with a key, and what became of it.

Invariants: pure; a key means an option only while Kiro waits for it, and what a letter means never depends on Kiro's
labels: `y` allows once, `t` allows from now on, `n` and `r` refuse. Whatever else Kiro offers has a number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bridge.core.approvals import is_pending
from bridge.core.items import Item
from bridge.terminal.clean import clean, clean_line

KEYS = "ytnr123456789"

_TITLE_LENGTH = 200
_LABEL_LENGTH = 100
_LETTERS = {"allow_once": ("y", "allow once"), "allow_always": ("t", "always allow"), "reject_once": ("n", "reject")}
_ENDS = {"expired": "nobody answered in time", "interrupted": "no longer asked"}
_KINDS = {"allow_once": "allowed once", "allow_always": "always allowed"}
_REFUSALS = ("reject_once", "reject_always")


@dataclass(frozen=True)
class Way:
    """One way to answer: its key, the id of the option it takes, in words what it does, whether a reason goes along."""

    key: str
    option: str
    words: str
    why: bool = False


def ways(item: Item) -> list[Way]:
    """Return the ways to answer what Kiro asks, in the order they are shown; none when it does not wait any more."""
    if not is_pending(item):
        return []
    found: dict[str, Way] = {}
    others: list[Mapping[str, Any]] = []
    for option in _options(item):
        letter, words = _LETTERS.get(str(option.get("kind")), ("", ""))
        if letter and letter not in found and not item.data.get("question"):
            found[letter] = Way(letter, str(option.get("id")), words)
        else:
            others.append(option)
    if "n" in found:
        found["r"] = Way("r", found["n"].option, "reject and say why", why=True)
    letters = [found[key] for key in KEYS if key in found]
    numbers = (key for key in KEYS if key.isdigit())
    return letters + [
        Way(key, str(option.get("id")), _label(option)) for key, option in zip(numbers, others, strict=False)
    ]


def title(item: Item) -> str:
    """Return in one line what Kiro asks for."""
    return clean_line(str(item.data.get("title") or item.text or "Kiro asks"), _TITLE_LENGTH)


def details(item: Item) -> str:
    """Return what will run, or the question, whole and clean; empty when the title says it all."""
    text = clean(item.text or str(item.data.get("title") or "")).strip("\n")
    return "" if text.strip() == title(item) else text


def outcome(item: Item) -> str:
    """Return in one line what became of it, with the reason where one was given."""
    status = str(item.data.get("status"))
    chosen = _chosen(item)
    if status != "answered" or chosen is None:
        words = _ENDS.get(status, "answered")
    elif item.data.get("question"):
        words = f"answered {_label(chosen)!r}"
    else:
        words = _KINDS.get(str(chosen.get("kind")), "rejected" if refused(item) else _label(chosen))
    reason = clean_line(str(item.data.get("reason") or ""), _TITLE_LENGTH)
    return f"{words}: {title(item)}" + (f" ({reason})" if reason else "")


def refused(item: Item) -> bool:
    """Return whether somebody said no."""
    chosen = _chosen(item)
    return chosen is not None and not item.data.get("question") and chosen.get("kind") in _REFUSALS


def _options(item: Item) -> list[Mapping[str, Any]]:
    options = item.data.get("options")
    return [option for option in options if isinstance(option, dict)] if isinstance(options, list) else []


def _chosen(item: Item) -> Mapping[str, Any] | None:
    answer = item.data.get("answer")
    return next((option for option in _options(item) if answer is not None and option.get("id") == answer), None)


def _label(option: Mapping[str, Any]) -> str:
    return clean_line(str(option.get("label") or option.get("id")), _LABEL_LENGTH)
