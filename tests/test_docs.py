"""What the documentation says is what the project does."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from bridge import __version__
from bridge.settings.__main__ import main as write_settings
from bridge.settings.reference import BEGIN, END, documented
from bridge.web.operations import OPERATIONS
from tools.demo import CURL

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")
TARGET = re.compile(r"`make ([a-z]+)`|^make ([a-z]+)", re.MULTILINE)


def test_settings_page_is_up_to_date() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert documented(page) == page, "docs/settings.md is stale: run `make docs`"


def test_settings_page_is_rewritten_between_its_markers_only(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nstale\n{END}\nafter\n")
    assert write_settings([str(page)]) == 0
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\n") and text.endswith(f"{END}\nafter\n")
    assert "stale" not in text and "`--trust-all-tools`" in text and "--exit" not in text


@pytest.mark.parametrize("page", ["", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_page_without_one_pair_of_markers_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="must hold the markers"):
        documented(page)


def test_readme_has_the_lines_that_make_run_prints() -> None:
    assert CURL.format(url="http://127.0.0.1:3284") in README


def test_newest_heading_of_the_changelog_is_our_version() -> None:
    headings = re.findall(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == __version__


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_targets_that_are_written_about_exist_and_all_are() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    declared = set(re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[0].split())
    shown = {name for name in declared if not name.startswith("environment-")}
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = {first or second for page in (README, contributing) for first, second in TARGET.findall(page)}
    assert named == shown


def test_every_decision_is_listed_and_has_its_four_parts() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = set(LINK.findall((folder / "README.md").read_text(encoding="utf-8")))
    pages = sorted(folder.glob("[0-9]*.md"))
    assert listed == {page.name for page in pages}
    for number, page in enumerate(pages, start=1):
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"# {number}. "), page.name
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Alternatives", "Consequences"]


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-build.lock", "requirements-dev.lock"])
def test_lock_pins_and_hashes_everything_and_holds_no_address(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in text
    for requirement in text.replace("\\\n", " ").splitlines():
        assert re.match(r"[a-z0-9-]+==[^ ]+ .*--hash=sha256:[0-9a-f]{64}", requirement), requirement


def test_locks_agree() -> None:
    run, build, dev = (
        set(re.findall(r"^[a-z0-9-]+==\S+", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE))
        for name in ("requirements.lock", "requirements-build.lock", "requirements-dev.lock")
    )
    assert run < dev and build < dev


def codes() -> set[str]:
    """Return the code of every problem that stands in the source."""
    found: set[str] = set()
    for path in (ROOT / "bridge").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                values = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
                values += node.args[:1] if name in ("Problem", "_Rule") else []
                found |= {value.value for value in values if isinstance(value, ast.Constant)}  # type: ignore[misc]
            elif isinstance(node, ast.ClassDef):
                found |= {
                    line.value.value  # type: ignore[misc]
                    for line in node.body
                    if isinstance(line, ast.Assign)
                    and isinstance(line.value, ast.Constant)
                    and [target.id for target in line.targets if isinstance(target, ast.Name)] == ["code"]
                }
    return found


def test_every_problem_is_documented_and_no_other() -> None:
    page = (ROOT / "docs" / "problems.md").read_text(encoding="utf-8")
    first_cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    told = set(re.findall(r"`([a-z_]+)`", " ".join(first_cells)))
    inside = {"error", "not_json", "kiro_database"}
    assert len(codes()) > 40
    assert codes() - told - inside == set(), "not in docs/problems.md"
    assert told - codes() == set(), "in docs/problems.md, but not in the source"
    assert all(f"`{code}`" in page for code in inside)


def test_every_route_and_event_is_documented() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for operation in OPERATIONS:
        assert f"`{operation.method} {operation.path}`" in page, operation.path
        for event, _schema in operation.events:
            assert f"`{event}`" in page, event
