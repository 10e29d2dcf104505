"""docs/module.md says what the module takes, and what the module travels as is small enough."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import hcl2
import pytest

from tests.module.terraforming import ROOT
from tools.module_tables import BEGIN, END, documented, main, tables, text
from tools.pack_module import main as pack

PAGE = ROOT / "docs" / "module.md"
ARCHIVE = 1 << 20
"""Bytes that the archive of a Coder template may have (facts/coder-platform.md 7)."""


def test_tables_are_up_to_date() -> None:
    """The page holds the tables as they are made today."""
    page = PAGE.read_text(encoding="utf-8")
    assert documented(page) == page, "docs/module.md is stale: run `make docs`"


def test_tables_are_written_between_their_markers(tmp_path: Path) -> None:
    """Only what stands between the markers is replaced."""
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nstale\n{END}\nafter\n")
    assert main([str(page)]) == 0
    assert page.read_text() == f"before\n{BEGIN}\n\n{tables()}\n{END}\nafter\n"
    assert main([]) == 2


@pytest.mark.parametrize("page", ["", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_page_without_one_pair_of_markers_is_refused(page: str) -> None:
    """A page that cannot be written right is not written at all."""
    with pytest.raises(ValueError, match="must hold the markers"):
        documented(page)


def test_default_prompts_are_shown_word_for_word() -> None:
    """The page shows the defaults of the two prompts."""
    with open(ROOT / "variables.tf", encoding="utf-8") as opened:
        found = {text(name): block for entry in hcl2.load(opened)["variable"] for name, block in entry.items()}
    page = PAGE.read_text(encoding="utf-8")
    for name in ("system_prompt", "coder_mcp_instructions"):
        lines = [line.removeprefix("    ") for line in found[name]["default"].split("\n")[1:-1]]
        assert f"`{name}`:\n\n```text\n" + "\n".join(lines) + "\n```\n" in page


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
