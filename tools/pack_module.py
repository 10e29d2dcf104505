"""Make a small copy of the module for a template that keeps it as a folder: `python -m tools.pack_module FOLDER`.

Coder's archive of a template may have 1 MiB (facts/coder-platform.md 7), of which the bridge's sources would take most.
The copy has them as one compressed file, which modules/render takes in their place. Needs nothing but Python.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = "requirements.lock"
COPIED = ("main.tf", "outputs.tf", "variables.tf", "versions.tf", LOCK)
FOLDERS = ("modules", "scripts")


def main(arguments: list[str]) -> int:
    """Make the copy in the folder named by the only argument; return an exit code."""
    if len(arguments) != 1:
        print("usage: python -m tools.pack_module FOLDER", file=sys.stderr)
        return 2
    target = Path(arguments[0])
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        print(f"error: {target} is not empty: remove it, or name another folder.", file=sys.stderr)
        return 1
    target.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        shutil.copyfile(ROOT / name, target / name)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__", ".*", "*.tfstate*"))
    (target / "payload.json").write_text(json.dumps(payload()), encoding="ascii")
    return 0


def payload() -> dict[str, str]:
    """Return the bridge's sources in the form that the start script unpacks, and their digest."""
    sources = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "bridge").rglob("*") if is_source(path)}
    texts = {name: path.read_text(encoding="utf-8") for name, path in sorted({**sources, LOCK: ROOT / LOCK}.items())}
    text = json.dumps(texts, ensure_ascii=False).encode()
    data = base64.b64encode(gzip.compress(text, mtime=0)).decode("ascii")
    return {"data": data, "digest": hashlib.sha256(text).hexdigest()}


def is_source(path: Path) -> bool:
    """Return whether a path is a file of the bridge, and neither compiled nor hidden."""
    parts = path.relative_to(ROOT).parts
    return path.is_file() and not any(part == "__pycache__" or part.startswith(".") for part in parts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
