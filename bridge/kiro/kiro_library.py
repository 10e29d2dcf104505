"""Skills, prompts and steering files of a session (facts/kiro-cli.md 9).

Invariants: the search is bounded in files and depth, and follows no link to a folder outside. Of a file no more than
its front matter or first line is told, and that only if it lies in the session's folder or in Kiro's own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bridge.core.library import Library, LibraryEntry, Scope, Steering
from bridge.core.text import first_line
from bridge.kiro.configuration import Configuration, read_text

_FILES = 500
_DEPTH = 6
_READ = 256 * 1024
_FRONT_MATTER = 16 * 1024
_DESCRIPTION = 500
_RULES = "AGENTS.md"


def library(configuration: Configuration) -> Library:
    """Return what the session finds; a file that cannot be read is listed by its name alone."""
    skills: list[LibraryEntry] = []
    prompts: list[LibraryEntry] = []
    steering: list[Steering] = []
    reader = _Reader(configuration)
    for scope, root in configuration.roots():
        skills += (reader.skill(path, scope) for path in _skills(root / "skills"))
        prompts += (reader.prompt(path, scope) for path in _markdown(root / "prompts", 1))
        steering += (reader.steering(path, scope) for path in _markdown(root / "steering", _DEPTH))
    rules = configuration.workspace.with_name(_RULES)
    if rules.is_file():
        steering.append(Steering("AGENTS", _RULES, "workspace", "always"))
    return Library(tuple(skills), tuple(prompts), tuple(steering))


class _Reader:
    def __init__(self, configuration: Configuration) -> None:
        self._workspace = configuration.workspace.parent
        self._allowed = [os.path.realpath(path) for path in (self._workspace, configuration.home)]

    def skill(self, path: Path, scope: Scope) -> LibraryEntry:
        """Return a skill: what its front matter says, else the name of its folder."""
        front, _ = self._parts(path)
        name = _text(front, "name") or path.parent.name
        return LibraryEntry(name, _text(front, "description"), self._shown(path, scope), scope)

    def prompt(self, path: Path, scope: Scope) -> LibraryEntry:
        """Return a prompt, which is called like its file; its first line describes it where nothing else does."""
        front, text = self._parts(path)
        description = _text(front, "description") or first_line(text, _DESCRIPTION).lstrip("# ")
        return LibraryEntry(path.stem, description, self._shown(path, scope), scope)

    def steering(self, path: Path, scope: Scope) -> Steering:
        """Return a steering file, which is always read unless its front matter says otherwise."""
        front, _ = self._parts(path)
        return Steering(path.stem, self._shown(path, scope), scope, _text(front, "inclusion") or "always")

    def _shown(self, path: Path, scope: Scope) -> str:
        return str(path.relative_to(self._workspace)) if scope == "workspace" else str(path)

    def _parts(self, path: Path) -> tuple[dict[str, Any], str]:
        """Return front matter and text of a file, nothing of one that lies elsewhere."""
        try:
            real = os.path.realpath(path)
        except OSError:  # a link went away while it was followed
            return {}, ""
        if not any(os.path.commonpath((real, root)) == root for root in self._allowed):
            return {}, ""
        return front_matter(read_text(Path(real), _READ) or "")


def front_matter(text: str) -> tuple[dict[str, Any], str]:
    """Return the YAML between the two `---` lines a document begins with, and what follows; `{}` where none is."""
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[0].rstrip() != "---":
        return {}, text
    end = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), None)
    head = "\n".join(lines[1:end])
    if end is None or len(head) > _FRONT_MATTER:
        return {}, text
    import yaml  # not needed to start

    try:
        found = yaml.safe_load(head)
    except (yaml.YAMLError, RecursionError, ValueError):
        found = None
    return (found if isinstance(found, dict) else {}), "\n".join(lines[end + 1 :])


def _text(front: dict[str, Any], name: str) -> str:
    value = front.get(name)
    return " ".join(value.split())[:_DESCRIPTION] if isinstance(value, str) else ""


def _skills(folder: Path) -> Iterator[Path]:
    for name in _names(folder):
        if (folder / name / "SKILL.md").is_file():
            yield folder / name / "SKILL.md"


def _markdown(folder: Path, depth: int) -> Iterator[Path]:
    """Yield the Markdown files of a folder and those below it, `depth` levels, at most `_FILES` entries in all."""
    left = _FILES
    waiting = [(folder, depth)]
    while waiting:
        here, levels = waiting.pop(0)
        for name in _names(here):
            left -= 1
            if left < 0:
                return
            path = here / name
            if name.endswith(".md") and path.is_file():
                yield path
            elif levels > 1 and path.is_dir() and not path.is_symlink():
                waiting.append((path, levels - 1))


def _names(folder: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if name.isprintable())[:_FILES]
    except OSError:
        return []
