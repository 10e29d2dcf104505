"""Skills, prompts and steering files."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.core.library import Library, LibraryEntry, Steering
from bridge.kiro.configuration import Configuration
from bridge.kiro.kiro_library import front_matter, library

from .conftest import Write


def test_everything_of_both_scopes(configuration: Configuration, write: Write, tmp_path: Path) -> None:
    write("work/.kiro/skills/deploy/SKILL.md", "---\nname: Deploy\ndescription: |\n  Puts it\n  out.\n---\nHow.")
    write("home/.kiro/skills/plain/SKILL.md", "No front matter")
    write("home/.kiro/skills/empty/README.md", "no skill")
    write("work/.kiro/prompts/review.md", "# Review the code\n\nWell.")
    write("work/.kiro/steering/deep/er/style.md", "---\ninclusion: manual\n---\nStyle")
    write("home/.kiro/steering/tone.md", "Be kind")
    write("work/AGENTS.md", "rules")
    found = library(configuration)
    plain = str(tmp_path / "home/.kiro/skills/plain/SKILL.md")
    assert found.skills == (
        LibraryEntry("Deploy", "Puts it out.", ".kiro/skills/deploy/SKILL.md", "workspace"),
        LibraryEntry("plain", "", plain, "global"),
    )
    assert found.prompts == (LibraryEntry("review", "Review the code", ".kiro/prompts/review.md", "workspace"),)
    assert found.steering == (
        Steering("style", ".kiro/steering/deep/er/style.md", "workspace", "manual"),
        Steering("tone", str(tmp_path / "home/.kiro/steering/tone.md"), "global", "always"),
        Steering("AGENTS", "AGENTS.md", "workspace", "always"),
    )


def test_nothing_there(configuration: Configuration) -> None:
    assert library(configuration) == Library()


def test_a_session_in_the_home_folder_lists_nothing_twice(tmp_path: Path, write: Write) -> None:
    write("home/.kiro/skills/a/SKILL.md", "x")
    found = library(Configuration({"HOME": str(tmp_path / "home")}, str(tmp_path / "home")))
    assert [skill.scope for skill in found.skills] == ["global"]


@pytest.mark.parametrize(
    "text",
    [
        "---\n: : :\n\t- broken\n---\n",
        "---\n- a list\n---\n",
        "---\nname: [1, 2]\ndescription: {a: b}\n---\n",
        "---\nname: !!python/object/apply:os.system ['touch /tmp/pwned']\n---\n",
        "---\n" + "a: &a [x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(50)) + "---\n",
        "---\nname: " + "[" * 5000 + "\n---\n",
        "---\n" + "x: y\n" * 10_000 + "---\n",
        "---\nname: never ends",
        "---",
        "",
    ],
)
def test_hostile_front_matter_names_nothing(configuration: Configuration, write: Write, text: str) -> None:
    write("work/.kiro/skills/evil/SKILL.md", text)
    assert [(skill.name, skill.description) for skill in library(configuration).skills] == [("evil", "")]


def test_other_lines_ends() -> None:
    assert front_matter("---\r\nname: x\r\n---\r\nbody") == ({"name": "x"}, "body")


def test_a_link_to_elsewhere_gives_nothing_away(configuration: Configuration, write: Write, tmp_path: Path) -> None:
    secret = write("elsewhere/secret.md", "---\ndescription: a secret\n---\na secret too")
    (tmp_path / "work/.kiro/prompts").mkdir(parents=True)
    (tmp_path / "work/.kiro/prompts/evil.md").symlink_to(secret)
    write("elsewhere/folder/x.md", "a secret")
    (tmp_path / "work/.kiro/steering").symlink_to(tmp_path / "elsewhere")
    found = library(configuration)
    assert [(prompt.name, prompt.description) for prompt in found.prompts] == [("evil", "")]
    assert "a secret" not in repr(found)


def test_many_files_are_bounded(configuration: Configuration, write: Write, tmp_path: Path) -> None:
    for number in range(600):
        write(f"work/.kiro/steering/{number}.md", "")
    assert len(library(configuration).steering) == 500
