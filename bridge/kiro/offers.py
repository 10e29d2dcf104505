"""The agents and models that this kiro-cli lists by itself, for sessions without a process that could be asked.

Invariants: nothing is listed that kiro-cli did not print. It is asked in the background, bounded in time, and only for
what its own help offers: an unknown word after `kiro-cli` may be taken for a prompt. Answers are kept until the program
or the agents' files change.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge.core.ports import Cancellation, Choice
from bridge.errors import Problem
from bridge.kiro.configuration import Configuration
from bridge.kiro.ending import Ending
from bridge.kiro.environment import home_of
from bridge.kiro.installation import Found, Installation
from bridge.kiro.process import BriefResult, run_briefly

FRESH = 60.0
"""Seconds the agents of a folder are believed, and nothing is asked again after a failure."""

_TIMEOUT = 15.0
_FOLDERS = 16
_LONGEST = 200
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x09\x0b-\x1f\x7f]")
_AGENT = re.compile(r"^(?P<mark>[* ]) (?P<name>\S+)(?:\s{2,}(?P<scope>\(Built-in\)|\S+))?(?:\s{2,}(?P<text>\S.*))?$")
_LIST = re.compile(r"^\s+list\b", re.M)


@dataclass(frozen=True)
class ListedAgent:
    """An agent as `agent list` prints it. `scope` is `built-in`, `global`, `workspace`, or the folder of its file."""

    name: str
    scope: str
    description: str = ""
    current: bool = False


@dataclass
class _Known:
    mark: Any = None
    due: float = float("-inf")
    agents: tuple[ListedAgent, ...] = ()
    models: tuple[Choice, ...] = ()
    ready: threading.Event = field(default_factory=threading.Event)


class Offers:
    """What kiro-cli lists in each folder. Safe for several threads.

    `installation` is closed with it. `monotonic` is a clock in seconds.
    """

    def __init__(
        self,
        installation: Installation,
        environ: Mapping[str, str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._installation = installation
        self._environ = dict(environ)
        self._ending = Ending()
        self._clock = monotonic
        self._lock = threading.Lock()
        self._folders: dict[str, _Known] = {}
        self._thread: threading.Thread | None = None
        self._closed = False

    def of(self, cwd: str, patience: float = 0.0) -> tuple[tuple[Choice, ...], tuple[Choice, ...]]:
        """Return the agents and the models for a folder, as far as they are known.

        The first time for a folder it waits up to `patience` seconds for them; later they are renewed meanwhile.
        """
        known = self._wanted(cwd)
        if patience:
            known.ready.wait(patience)
        agents = tuple(Choice(one.name, one.name, one.description, one.current) for one in known.agents)
        return agents, known.models

    def close(self) -> None:
        """Ask no more, and wait until nothing runs."""
        self._ending.begin()
        with self._lock:
            self._closed = True
            thread = self._thread
        if thread is not None:
            thread.join()
        self._installation.close()
        self._ending.release()

    def _wanted(self, cwd: str) -> _Known:
        with self._lock:
            known = self._folders.pop(cwd, None) or _Known()
            self._folders[cwd] = known
            while len(self._folders) > _FOLDERS:
                del self._folders[next(iter(self._folders))]
            stale = self._clock() >= known.due or known.mark != self._mark(cwd)
            if stale and self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._renew, args=(cwd, known), name="kiro-offers", daemon=True)
                self._thread.start()
            return known

    def _renew(self, cwd: str, known: _Known) -> None:
        mark = self._mark(cwd)
        try:
            found = self._installation.find(self._ending)
            if not isinstance(found, Problem):
                known.agents = list_agents(found, cwd, self._ending)
                known.models = known.models or list_models(found, self._ending)
        finally:
            with self._lock:
                known.mark, known.due = mark, self._clock() + FRESH
                self._thread = None
            known.ready.set()

    def _mark(self, cwd: str) -> Any:
        """Return what changes when an agent is added or removed."""
        roots = [root for _, root in Configuration(self._environ, cwd).roots()]
        return [_changed_at(root / name) for root in roots for name in ("agents", "settings/cli.json")]


def list_agents(found: Found, cwd: str, control: Cancellation | None = None) -> tuple[ListedAgent, ...]:
    """Return what `kiro-cli agent list` prints in a folder, nothing where it has no such command or fails."""
    offered = _run(found, ["agent", "--help"], cwd, control)
    if offered is None or not _LIST.search(_plain(offered)):
        return ()
    listed = _run(found, ["agent", "list"], cwd, control)
    return () if listed is None or listed.exit_code != 0 else parse_agents(_plain(listed))


def parse_agents(text: str) -> tuple[ListedAgent, ...]:
    """Return the agents of a table whose lines are a mark, a name, where it is from, and a description.

    The mark `*` stands at the one in use. Descriptions go on in lines that are indented deeper. Older versions have no
    mark and the folder of the file in the second column.
    """
    found: dict[str, ListedAgent] = {}
    for line in text.splitlines():
        row = _AGENT.match(line) or _AGENT.match(f"  {line}")
        if row is None or row["scope"] is None or row["name"].endswith(":"):
            continue
        scope = row["scope"].strip("()")
        known = scope.lower() in ("built-in", "global", "workspace")
        if known or "/" in scope:
            name = row["name"][:_LONGEST]
            text_of = (row["text"] or "").strip()[:_LONGEST]
            found.setdefault(name, ListedAgent(name, scope.lower() if known else scope, text_of, row["mark"] == "*"))
    return tuple(found.values())


def list_models(found: Found, control: Cancellation | None = None) -> tuple[Choice, ...]:
    """Return what `chat --list-models` says, nothing where it is not offered as JSON or fails (kiro-cli.md 5.1)."""
    if not (found.capabilities.has("list-models") and found.capabilities.has("format")):
        return ()
    listed = _run(found, ["chat", "--list-models", "--format", "json"], None, control)
    return () if listed is None or listed.exit_code != 0 else parse_models(listed.stdout)


def parse_models(text: str) -> tuple[Choice, ...]:
    """Return the models of `{"models": [{model_name, model_id, description, ...}], "default_model": id}`."""
    try:
        document = json.loads(text)
        default, rows = document.get("default_model"), document["models"]
        found = [(str(row.get("model_id") or row["model_name"]), row) for row in rows]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return ()
    return tuple(
        Choice(name, str(row.get("model_name") or name), str(row.get("description") or "")[:_LONGEST], name == default)
        for name, row in found[:_LONGEST]
    )


def _run(found: Found, words: list[str], cwd: str | None, control: Cancellation | None) -> BriefResult | None:
    home = home_of(found.env)
    place = cwd if cwd is not None and os.path.isdir(cwd) else str(home if home.is_dir() else Path("/"))
    try:
        result = run_briefly([str(found.binary), *words], env=found.env, cwd=place, timeout=_TIMEOUT, control=control)
    except OSError:
        return None
    return None if result.timed_out or result.cancelled else result


def _plain(result: BriefResult) -> str:
    """Return what was printed without colours; some versions print lists on stderr."""
    return _ESCAPES.sub("", f"{result.stdout}\n{result.stderr}")


def _changed_at(path: Path) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
