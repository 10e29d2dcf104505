"""The kinds of values a setting can have: how each is read from text or YAML, and what it refuses.

Invariant: `parse` returns a value of the one type its kind promises, or raises `Refused` with a sentence that says
why the value cannot be used and what is allowed. Text comes from flags and the environment, other types from YAML.
"""

from __future__ import annotations

import ipaddress
import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bridge.settings.addresses import Refused, parse_hosts, parse_origins

TRUE_WORDS = frozenset({"1", "t", "true", "yes", "on"})
FALSE_WORDS = frozenset({"0", "f", "false", "no", "off"})
HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


@dataclass(frozen=True)
class Surroundings:
    """What a value may depend on: the environment and the absolute directory the bridge was started in."""

    env: Mapping[str, str]
    cwd: Path

    @property
    def home(self) -> Path:
        """Return the home directory: that of the environment, else that of the user database."""
        if self.env.get("HOME"):
            return Path(self.env["HOME"])
        return Path(pwd.getpwuid(os.getuid()).pw_dir)

    @property
    def state_home(self) -> Path:
        """Return where programs keep state: `XDG_STATE_HOME` if absolute, else its standard default."""
        named = Path(self.env.get("XDG_STATE_HOME", ""))
        return named if named.is_absolute() else self.home / ".local" / "state"


class Kind(Protocol):
    """How values of a setting are read. `many` kinds are given a list of strings, others one value."""

    @property
    def name(self) -> str:
        """Return what the help and the documentation call this kind."""

    @property
    def many(self) -> bool:
        """Return whether the value is a list."""

    def parse(self, raw: object, around: Surroundings) -> Any:
        """Return the value that `raw` means. Raises `Refused` when it means none."""


@dataclass(frozen=True)
class YesNo:
    """True or false."""

    name: str = "true or false"
    many: bool = False

    def parse(self, raw: object, around: Surroundings) -> bool:
        """Return the truth value of a YAML boolean or of one of the usual words."""
        if isinstance(raw, bool):
            return raw
        word = str(raw).strip().lower()
        if word in TRUE_WORDS:
            return True
        if word in FALSE_WORDS:
            return False
        raise Refused("it must be true or false")


@dataclass(frozen=True)
class Whole:
    """A whole number from `least` to `most`. `complaint` is the sentence for a number that is too small."""

    least: int
    most: int
    complaint: str | None = None
    many: bool = False

    @property
    def name(self) -> str:
        """Return the range in words."""
        return f"{self.least} to {self.most}"

    def parse(self, raw: object, around: Surroundings) -> int:
        """Return the number, which must be in range."""
        text = str(raw).strip()
        if isinstance(raw, bool) or not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
            raise Refused(f"it must be a whole number from {self.least} to {self.most}")
        number = int(text)
        if number < self.least and self.complaint:
            raise Refused(self.complaint)
        if not self.least <= number <= self.most:
            raise Refused(f"it must be a whole number from {self.least} to {self.most}")
        return number


@dataclass(frozen=True)
class Seconds:
    """A time in seconds, at least `least` and at most `most`, fractions allowed."""

    least: float
    most: float
    many: bool = False

    @property
    def name(self) -> str:
        """Return the range in words."""
        return f"seconds, {self.least:g} to {self.most:g}"

    def parse(self, raw: object, around: Surroundings) -> float:
        """Return the number of seconds, which must be in range."""
        text = str(raw).strip()
        if not isinstance(raw, bool) and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{0,9})?", text):
            number = float(text)
            if self.least <= number <= self.most:
                return number
        raise Refused(f"it must be a number of seconds from {self.least:g} to {self.most:g}")


@dataclass(frozen=True)
class Choice:
    """One of a few words; an empty one means none where `optional`. `complaint` begins the refusal."""

    words: tuple[str, ...]
    optional: bool = False
    complaint: str = ""
    many: bool = False

    @property
    def name(self) -> str:
        """Return the words to choose from."""
        return ", ".join(self.words)

    def parse(self, raw: object, around: Surroundings) -> str | None:
        """Return the word itself."""
        word = str(raw)
        if self.optional and not word:
            return None
        if word in self.words:
            return word
        begin = f"{self.complaint}: {word}; " if self.complaint else ""
        raise Refused(f"{begin}it must be one of: {self.name}")


@dataclass(frozen=True)
class Line:
    """One line of text without control characters; `as_word`: empty is None, a leading `-` is refused."""

    as_word: bool = False
    name: str = "text"
    many: bool = False

    def parse(self, raw: object, around: Surroundings) -> str | None:
        """Return the text."""
        text = as_utf8(raw)
        if any(ord(character) < 32 or ord(character) == 127 for character in text):
            raise Refused("it must be one line of text without control characters")
        if not self.as_word:
            return text
        if text.startswith("-"):
            raise Refused("it must not begin with '-', which kiro-cli would take for a flag")
        return text.strip() or None


@dataclass(frozen=True)
class Prose:
    """Text of any length and number of lines."""

    name: str = "text"
    many: bool = False

    def parse(self, raw: object, around: Surroundings) -> str:
        """Return the text as it stands."""
        return as_utf8(raw)


@dataclass(frozen=True)
class Address:
    """An IP address or a host name to listen on."""

    name: str = "address"
    many: bool = False

    def parse(self, raw: object, around: Surroundings) -> str:
        """Return the address without brackets."""
        text = as_text(raw)
        bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
        try:
            ipaddress.ip_address(bare)
        except ValueError:
            if not HOST_NAME.fullmatch(text):
                raise Refused("it must be an IP address or a host name, without scheme and port") from None
        return bare


@dataclass(frozen=True)
class FilePath:
    """A path, made absolute: `~` is the home directory, a relative one starts where the bridge did.

    An empty one is None, or refused where it is `needed`.
    """

    needed: bool = False
    name: str = "path"
    many: bool = False

    def parse(self, raw: object, around: Surroundings) -> Path | None:
        """Return the absolute path. It need not exist."""
        text = as_text(raw)
        if "\0" in text:
            raise Refused("a path holds no NUL character")
        try:
            os.fsencode(text)
        except UnicodeEncodeError:
            raise Refused("it holds a character that no path can hold") from None
        if not text and self.needed:
            raise Refused("it must name a path")
        if not text:
            return None
        if text == "~" or text.startswith("~/"):
            return around.home / text[2:]
        return Path(os.path.normpath(around.cwd / text))


@dataclass(frozen=True)
class Directory:
    """A directory that exists; the value is its real path, free of symbolic links."""

    name: str = "directory"
    many: bool = False

    def parse(self, raw: object, around: Surroundings) -> Path:
        """Return the real path of the directory."""
        path = FilePath().parse(raw, around)
        if path is None:
            raise Refused("it must name a directory")
        try:
            real = path.resolve(strict=True)
        except (OSError, RuntimeError):
            raise Refused("it must be a directory that exists; create it or name another") from None
        if not real.is_dir():
            raise Refused("it must be a directory, and this is something else")
        return real


@dataclass(frozen=True)
class Folders:
    """Paths of folders, which need not exist."""

    name: str = "list of paths"
    many: bool = True

    def parse(self, raw: object, around: Surroundings) -> tuple[Path, ...]:
        """Return the absolute paths in their order, each once."""
        paths = [FilePath().parse(entry, around) for entry in as_list(raw)]
        return tuple(dict.fromkeys(path for path in paths if path is not None))


@dataclass(frozen=True)
class Tools:
    """Names of tools; commas separate them, as in kiro-cli's own `--trust-tools`. None at all is a value."""

    name: str = "list of tool names"
    many: bool = True

    def parse(self, raw: object, around: Surroundings) -> tuple[str, ...]:
        """Return the names in their order, each once."""
        names = [name.strip() for entry in as_list(raw) for name in entry.split(",")]
        return tuple(dict.fromkeys(name for name in names if name))


@dataclass(frozen=True)
class Hosts:
    """Host names that requests may be addressed to."""

    name: str = "list of host names"
    many: bool = True

    def parse(self, raw: object, around: Surroundings) -> tuple[str, ...]:
        """Return the names as the contract lists them: in their order, IPv6 without brackets."""
        return parse_hosts(as_list(raw))


@dataclass(frozen=True)
class Origins:
    """Origins whose pages may call the bridge."""

    name: str = "list of origins"
    many: bool = True

    def parse(self, raw: object, around: Surroundings) -> tuple[str, ...]:
        """Return the origins, each as `scheme://host[:port]`."""
        return parse_origins(as_list(raw))


def as_text(raw: object) -> str:
    """Return `raw` when it is text. Raises `Refused` for what YAML made something else of."""
    if not isinstance(raw, str):
        raise Refused("it must be text; put it in quotes")
    return raw


def as_utf8(raw: object) -> str:
    """Return `raw` when it is text that can be kept and sent on. Raises `Refused` for half characters and raw bytes."""
    text = as_text(raw)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refused("it must be UTF-8 text") from None
    return text


def as_list(raw: object) -> list[str]:
    """Return `raw` when it is a list of texts. Raises `Refused` otherwise."""
    if not isinstance(raw, list) or not all(isinstance(entry, str) for entry in raw):
        raise Refused("it must be a list of texts")
    return raw
