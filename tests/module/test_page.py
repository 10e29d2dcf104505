"""What the module travels as is small enough."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from tools.pack_module import main as pack

ARCHIVE = 1 << 20
"""Bytes that the archive of a Coder template may have (facts/coder-platform.md 7)."""


def test_module_fits_into_a_template(tmp_path: Path) -> None:
    """What somebody copies into a template fits into Coder's archive with room to spare, and needs no dot-file."""
    tree = tmp_path / "kiro-cli"
    assert pack([str(tree)]) == 0
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.add(tree, "kiro-cli")
    assert len(body.getvalue()) < ARCHIVE * 3 / 4
    assert not [path for path in tree.rglob("*") if path.name.startswith(".")]


def test_packing_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that has something in it is refused, and so is a command line without a folder."""
    (tmp_path / "mine").touch()
    assert pack([str(tmp_path)]) == 1
    assert "is not empty" in capsys.readouterr().err
    assert pack([]) == 2
