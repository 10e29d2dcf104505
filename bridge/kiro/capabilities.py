"""What this kiro-cli can do, read from its own `--version` and `chat --help`.

Invariant: a flag is only ever passed if the help text of this very binary lists it. Answers are remembered
by the binary's path, size and time, because an update replaces it in place (facts/kiro-cli.md 0.2).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bridge.core.feed import Engine
from bridge.core.ports import Cancellation
from bridge.errors import Problem
from bridge.files import replace_file
from bridge.kiro.environment import home_of
from bridge.kiro.failures import quoted
from bridge.kiro.process import BriefResult, run_briefly
from bridge.kiro.single_flight import SingleFlight

PROBE_TIMEOUT = 5.0
_FORMAT = 2
_KEPT = 8
_FLAG = re.compile(r"^ {0,8}(?:-\w, )?--([a-z][a-z0-9-]*)")
_VALUES = re.compile(r"\[possible values: ([^\]]*)\]", re.S)
_ALIASES = re.compile(r"\[alias(?:es)?: ([^\]]*)\]", re.S)
_LISTED_VALUE = re.compile(r"^\s*- ([\w-]+):", re.M)
_ACP_USAGE = re.compile(r"^\s*Usage:.*\bacp\b", re.M)
"""A program that has no such subcommand may print its general help instead of an error."""

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_ENGINE_NAMES: Mapping[str, Engine] = {"v1": "v1", "rust": "v1", "v2": "v2", "v3": "v3", "kas": "v3"}
"""Names of the engines through the versions (facts/kiro-cli.md 0.1): 2.3 says rust and kas, 2.4 to 2.7 v1,
v2 and kas.
"""


Flags = Mapping[str, tuple[str, ...]]
"""Long flags of a command, without their dashes, with the values each allows (empty: any or none)."""


@dataclass(frozen=True)
class Capabilities:
    """What one kiro-cli offers. `flags` maps each long flag of `chat --help` to its allowed values (empty:
    any or none).
    """

    version: str
    flags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def has(self, flag: str) -> bool:
        """Return whether `chat` lists `--flag`."""
        return flag in self.flags

    @property
    def number(self) -> tuple[int, ...]:
        """Return the version as three numbers, (0, 0, 0) when it is not known."""
        return version_number(self.version)

    @property
    def stream_json(self) -> bool:
        """Return whether `--output-format stream-json` is offered (from 2.19.2: facts/kiro-stores.md A.1)."""
        return "stream-json" in self.flags.get("output-format", ())

    @property
    def engine_flags(self) -> Mapping[Engine, tuple[str, ...]]:
        """Return, for each engine that can be named on the command line, the arguments that name it."""
        named: dict[Engine, tuple[str, ...]] = {}
        for value in self.flags.get("agent-engine", ()):
            if value in _ENGINE_NAMES:
                named[_ENGINE_NAMES[value]] = ("--agent-engine", value)
        by_flag: tuple[tuple[Engine, str], ...] = (
            ("v1", "legacy-ui"),
            ("v1", "classic"),
            ("v2", "v2"),
            ("v3", "v3"),
        )
        for engine, flag in by_flag:
            if flag in self.flags:
                named.setdefault(engine, (f"--{flag}",))
        return named

    @property
    def engines(self) -> tuple[Engine, ...]:
        """Return the engines that can be had; a CLI that names none has one: v2 with stream-json, else v1."""
        named: tuple[Engine, ...] = tuple(sorted(self.engine_flags))
        if named:
            return named
        return ("v2",) if self.stream_json else ("v1",)

    @property
    def takes_v3_trust(self) -> bool:
        """Return whether headless v3 takes the trust flags: refused up to 2.19.2, taken in 2.27.0, and
        nothing is known of what lies between (facts/kiro-stores.md A.9 row 2).
        """
        return self.number >= (2, 27, 0)


def version_number(text: str) -> tuple[int, ...]:
    """Return the version in `text` as three numbers, (0, 0, 0) when there is none."""
    found = _VERSION.search(text)
    return tuple(int(part) for part in found.groups()) if found else (0, 0, 0)


def parse_help(text: str) -> dict[str, tuple[str, ...]]:
    """Return the long flags of a clap help text with the values each allows; aliases count as flags.

    A flag stands at the start of a line, its values in its block, after any number of blank lines
    (facts/kiro-stores.md D.1), as `[possible values: a, b]` or as a list of `- a: ...`.
    """
    blocks: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in text.splitlines():
        found = _FLAG.match(line)
        if found:
            current = blocks.setdefault(found.group(1), [])
        if current is not None:
            current.append(line)
    flags: dict[str, tuple[str, ...]] = {}
    for name, lines in blocks.items():
        block = "\n".join(lines)
        listed = _VALUES.search(block)
        values = _words(listed.group(1)) if listed else tuple(_LISTED_VALUE.findall(block))
        flags[name] = values
        aliases = _ALIASES.search(block)
        for alias in _words(aliases.group(1)) if aliases else ():
            flags.setdefault(alias.lstrip("-"), values)
    return flags


class Prober:
    """Reads capabilities and remembers them, in memory and in `cache_file` if given. Safe for several
    threads.
    """

    def __init__(self, cache_file: Path | None = None) -> None:
        self._file = cache_file
        self._lock = threading.Lock()
        self._asking = SingleFlight()
        self._known: dict[str, Capabilities] = {}
        self._acp: dict[str, Flags | None] = {}
        if cache_file is not None:
            self._known, self._acp = _load(cache_file)

    def probe(
        self, binary: Path, env: Mapping[str, str], control: Cancellation | None = None
    ) -> Capabilities | Problem:
        """Return the capabilities of `binary`, asking it only when it has changed. Takes at most two
        time-outs.
        """
        key = _identity(binary, env)
        with self._lock:
            known = self._known.get(key)
        return known or self._asking.ask(f"chat\n{key}", lambda: self._probe(key, binary, env, control), control)

    def _probe(
        self, key: str, binary: Path, env: Mapping[str, str], control: Cancellation | None
    ) -> Capabilities | Problem:
        found = _ask(binary, env, control)
        if isinstance(found, Capabilities):
            with self._lock:
                self._known[key] = found
                self._keep()
        return found

    def probe_acp(self, binary: Path, env: Mapping[str, str], control: Cancellation | None = None) -> Flags | None:
        """Return the flags of `acp` with the values each allows, None when `binary` has no ACP or does not say so now.

        Asked only when the binary has changed; takes at most one time-out, which is asked anew the next time.
        """
        key = _identity(binary, env)
        with self._lock:
            if key in self._acp:
                return self._acp[key]
        return self._asking.ask(f"acp\n{key}", lambda: self._probe_acp(key, binary, env, control), control)

    def _probe_acp(self, key: str, binary: Path, env: Mapping[str, str], control: Cancellation | None) -> Flags | None:
        try:
            result = run_briefly(
                [str(binary), "acp", "--help"], env=env, cwd=_cwd(env), timeout=PROBE_TIMEOUT, control=control
            )
        except OSError:
            return None
        if result.cancelled or result.timed_out:
            return None
        flags = parse_help(result.stdout) if result.exit_code == 0 and _ACP_USAGE.search(result.stdout) else None
        with self._lock:
            self._acp[key] = flags
            self._keep()
        return flags

    def _keep(self) -> None:
        if self._file is not None:
            _save(self._file, self._known, self._acp)


def _cwd(env: Mapping[str, str]) -> str:
    home = home_of(env)
    return str(home) if home.is_dir() else os.sep


def _ask(binary: Path, env: Mapping[str, str], control: Cancellation | None) -> Capabilities | Problem:
    texts = []
    for arguments in (("--version",), ("chat", "--help")):
        shown = f"{binary} {' '.join(arguments)}"
        try:
            result = run_briefly(
                [str(binary), *arguments], env=env, cwd=_cwd(env), timeout=PROBE_TIMEOUT, control=control
            )
        except OSError as error:
            return _broken(f"{shown} could not be started: {error.strerror or error}.")
        if result.cancelled:
            return Problem("cancelled", "The turn was stopped before kiro-cli was started.", "")
        if result.exit_code != 0 or not result.stdout.strip():
            return _broken(f"{shown} {_mishap(result)}")
        texts.append(result.stdout)
    flags = parse_help(texts[1])
    if not flags:
        return _broken(f"The help text of {binary} lists no flags; it does not look like kiro-cli.")
    return Capabilities(version=_version(texts[0]), flags=flags)


def _mishap(result: BriefResult) -> str:
    if result.timed_out:
        return f"gave no answer within {PROBE_TIMEOUT:g} s."
    how = "was killed" if result.exit_code is None else f"ended with exit code {result.exit_code}"
    said = quoted(result.stderr or result.stdout)
    return f"{how} and said: {said}" if said else f"{how} and said nothing."


def _broken(cause: str) -> Problem:
    remedy = "Run it by hand in a terminal of this machine; if it fails there too, install kiro-cli again."
    return Problem("kiro_broken", cause, remedy)


def _version(text: str) -> str:
    found = _VERSION.search(text)
    return found.group(0) if found else text.strip()[:40]


def _words(listed: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in listed.split(",") if word.strip())


def _identity(binary: Path, env: Mapping[str, str]) -> str:
    """Return what changes when the program changes: launcher and worker are separate files in most
    versions.
    """
    real = Path(os.path.realpath(binary))
    parts = []
    for path in (real, real.with_name("kiro-cli-chat"), Path(env.get("KIRO_CHAT_CLI_BIN") or real)):
        with contextlib.suppress(OSError):
            found = os.stat(path)
            parts.append(f"{path}|{found.st_size}|{found.st_mtime_ns}")
    return "\n".join(dict.fromkeys(parts))


def _load(path: Path) -> tuple[dict[str, Capabilities], dict[str, Flags | None]]:
    """Return what the cache file holds; a missing, old or broken one holds nothing."""
    try:
        stored = json.loads(path.read_text("utf-8"))
        if stored["format"] != _FORMAT:
            return {}, {}
        known = {
            str(key): Capabilities(str(entry["version"]), _flags(entry["flags"]))
            for key, entry in stored["binaries"].items()
        }
        return known, {str(key): None if one is None else _flags(one) for key, one in stored["acp"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}, {}


def _flags(stored: Mapping[str, Any]) -> Flags:
    return {str(name): tuple(map(str, values)) for name, values in stored.items()}


def _save(path: Path, known: Mapping[str, Capabilities], acp: Mapping[str, Flags | None]) -> None:
    """Write the newest entries at once and readable by the owner alone; a cache that cannot be written is
    no error.
    """
    newest: dict[str, Any] = {key: asdict(known[key]) for key in list(known)[-_KEPT:]}
    kept = {key: acp[key] for key in list(acp)[-_KEPT:]}
    with contextlib.suppress(OSError):
        replace_file(path, json.dumps({"format": _FORMAT, "binaries": newest, "acp": kept}).encode())
