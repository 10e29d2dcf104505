"""What a file is, by its name and its first bytes, and how its bytes may be given to a browser.

Invariant: what a browser would run or lay out as a page of its own (HTML, SVG, XML, scripts) is never given as such.
"""

from __future__ import annotations

import codecs
from pathlib import PurePosixPath
from typing import Literal

Kind = Literal["text", "code", "image", "pdf", "table", "slides", "other"]

LOOK = 8192
"""Bytes that tell text from other data where the name tells nothing."""

UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

IMAGES = {
    "avif": "image/avif", "bmp": "image/bmp", "gif": "image/gif", "ico": "image/x-icon", "jpeg": "image/jpeg",
    "jpg": "image/jpeg", "png": "image/png", "webp": "image/webp",
}  # fmt: skip
WORKBOOKS = frozenset({"xlsx", "xlsm"})
SEPARATED = frozenset({"csv", "tsv"})
TEXTS = frozenset({"", "log", "markdown", "md", "rst", "text", "txt"})
LANGUAGES = {
    "bash": "bash", "c": "c", "cc": "cpp", "cfg": "ini", "cjs": "javascript", "clj": "clojure", "conf": "ini",
    "cpp": "cpp", "cs": "csharp", "css": "css", "dart": "dart", "diff": "diff", "ex": "elixir", "exs": "elixir",
    "go": "go", "gql": "graphql", "gradle": "groovy", "graphql": "graphql", "groovy": "groovy", "h": "c", "hcl": "hcl",
    "hpp": "cpp", "hs": "haskell", "htm": "html", "html": "html", "ini": "ini", "ipynb": "json", "java": "java",
    "jl": "julia", "js": "javascript", "json": "json", "jsonc": "json", "jsonl": "json", "jsx": "javascript",
    "kt": "kotlin", "kts": "kotlin", "lua": "lua", "mjs": "javascript", "ml": "ocaml", "nix": "nix", "patch": "diff",
    "php": "php", "pl": "perl", "proto": "protobuf", "ps1": "powershell", "py": "python", "pyi": "python", "r": "r",
    "rb": "ruby", "rs": "rust", "sass": "scss", "scala": "scala", "scss": "scss", "sh": "bash", "sql": "sql",
    "svelte": "html", "svg": "xml", "swift": "swift", "tf": "hcl", "tfvars": "hcl", "toml": "toml", "ts": "typescript",
    "tsx": "typescript", "vue": "html", "xhtml": "html", "xml": "xml", "yaml": "yaml", "yml": "yaml", "zig": "zig",
    "zsh": "bash",
}  # fmt: skip
NAMED = {"dockerfile": "dockerfile", "makefile": "makefile", "gemfile": "ruby", "jenkinsfile": "groovy"}


def kind_by_name(path: str) -> Kind | None:
    """Return what the name says of a file, None when it says nothing."""
    name = PurePosixPath(path)
    extension = name.suffix[1:].lower()
    if extension in IMAGES:
        return "image"
    if extension == "pdf":
        return "pdf"
    if extension in WORKBOOKS | SEPARATED:
        return "table"
    if extension == "pptx":
        return "slides"
    if language_of(path):
        return "code"
    return "text" if extension and extension in TEXTS else None


def kind_of(path: str, beginning: bytes) -> Kind:
    """Return what a file is; `beginning` are its first `LOOK` bytes."""
    named = kind_by_name(path)
    if named in ("text", "code"):  # in whatever encoding
        return "other" if b"\0" in beginning and not is_text(beginning) else named
    return named or ("text" if is_text(beginning) else "other")


def language_of(path: str) -> str:
    """Return the language that a file of code is written in, empty for other files."""
    name = PurePosixPath(path)
    return LANGUAGES.get(name.suffix[1:].lower()) or NAMED.get(name.name.lower(), "")


def is_text(beginning: bytes) -> bool:
    """Return whether these first bytes are text in UTF-8, or in UTF-16 that says so; their end may cut a character."""
    if beginning.startswith(UTF16):
        return True
    if b"\0" in beginning:
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(beginning)
    except UnicodeDecodeError:
        return False
    return True


def content_type(path: str, kind: Kind) -> str | None:
    """Return the type under which a browser may show the bytes of a file in place, None for a download."""
    if kind == "image":
        return IMAGES[PurePosixPath(path).suffix[1:].lower()]
    if kind == "pdf":
        return "application/pdf"
    separated = PurePosixPath(path).suffix[1:].lower() in SEPARATED
    return "text/plain; charset=utf-8" if kind in ("text", "code") or separated else None
