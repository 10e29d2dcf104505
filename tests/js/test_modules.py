"""The chat page's modules by node's own means: their unit tests, and their types.

Neither needs anything but node; the types need `npm ci` in this folder too.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
NODE = shutil.which("node")
TYPESCRIPT = HERE / "node_modules" / "typescript" / "bin" / "tsc"

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not there: the page's modules are not tested by it")


def run(*words: str) -> None:
    """Run node in this folder, and show what it said where it failed."""
    done = subprocess.run([str(NODE), *words], cwd=HERE, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]


def test_units() -> None:
    """What the modules compute."""
    run("--import", "./as_modules.js", "--test", *(path.name for path in sorted(HERE.glob("*.test.js"))))


@pytest.mark.skipif(not TYPESCRIPT.exists(), reason="typescript is not there: run npm ci in tests/js")
def test_types() -> None:
    """The types in the comments fit, all over."""
    run(str(TYPESCRIPT), "--project", "tsconfig.json")
