"""The settings file: one YAML mapping from names of settings to values.

Invariant: a file with an unknown or repeated name, or with anything but a mapping, is refused as a whole.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from yaml.constructor import SafeConstructor

from bridge.settings.addresses import Refused


@dataclass(frozen=True)
class Entry:
    """One value of the file and the number of its line, counted from 1."""

    value: object
    line: int


def read_file(path: Path | None, known: Sequence[str]) -> dict[str, Entry]:
    """Return the entries of the file by name, all of them in `known`. Raises `Refused`."""
    if path is None:
        raise Refused("it must name a file")
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = f"the file cannot be read ({error.strerror}); make it readable or name another"
        raise Refused(reason) from None
    except UnicodeDecodeError:
        raise Refused("the file is not UTF-8 text") from None
    try:
        return entries(text, known)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise Refused(f"{line}the file is not YAML ({error.problem})") from None
    except yaml.YAMLError:
        raise Refused("the file is not YAML (it holds characters that YAML does not allow)") from None
    except RecursionError:
        raise Refused("the file is nested too deeply") from None


def entries(text: str, known: Sequence[str]) -> dict[str, Entry]:
    """Return the entries of a YAML mapping. Raises `Refused` or `yaml.YAMLError`."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise Refused("the file must hold one mapping, a line `name: value` for each setting")
    found: dict[str, Entry] = {}
    for key, value in root.value:
        line = key.start_mark.line + 1
        name = str(key.value)
        if name not in known:
            raise Refused(f"line {line}: there is no setting {name!r}{suggestion(name, known)}")
        if name in found:
            raise Refused(f"line {line}: {name} stands in line {found[name].line} already")
        found[name] = Entry(constructed(value, line), line)
    return found


def constructed(node: yaml.Node, line: int) -> object:
    """Return the value that a node stands for, one that can be shown. Raises `Refused` or `yaml.YAMLError`.

    PyYAML itself lets Python's errors through: for 2026-13-45, for `!!float x`, for numbers of thousands of digits.
    """
    try:
        value: object = SafeConstructor().construct_document(node)
        repr(value)
    except (ValueError, ArithmeticError, LookupError, AttributeError, TypeError) as error:
        raise Refused(f"line {line}: the value cannot be read ({error}); put it in quotes if it is text") from None
    return value


def suggestion(name: str, known: Sequence[str]) -> str:
    """Return words that name the known setting nearest to `name`, or all when none is near."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(known)}"
