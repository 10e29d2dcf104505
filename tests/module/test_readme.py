"""What README.md says of the module is so, and what it shows can be used as it stands."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import hcl2
import pytest

from bridge.cli import build_parser
from bridge.provision.agent import default_content
from bridge.provision.inputs import Inputs
from tests.module.terraforming import ROOT, Terraform
from tools.module_tables import BEGIN, END, blocks, documented, main, tables, text
from tools.pack_module import main as pack

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^ *```(\w+)\n(.*?)^ *```$", README, re.MULTILINE | re.DOTALL)
TERRAFORM = [content for language, content in BLOCKS if language == "tf"]
COMMANDS = [line.strip() for language, content in BLOCKS if language == "sh" for line in content.splitlines()]

PREAMBLE = {
    "terraform {": 'terraform {\n  required_providers {\n    coder = {\n      source = "coder/coder"\n    }\n  }\n}\n',
    'variable "kiro_cli_auth_tarball"': 'variable "kiro_cli_auth_tarball" {\n  default = "bG9naW4="\n}\n',
    'resource "coder_agent" "example"': 'resource "coder_agent" "example" {\n  arch = "amd64"\n  os   = "linux"\n}\n',
}
"""What a template has besides a block of README.md, by what would say that the block has it itself."""


def test_tables_are_up_to_date() -> None:
    """The page holds the tables as they are made today."""
    assert documented(README) == README, "README.md is stale: run `make docs`"


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


def test_every_input_is_named_once_in_the_tables_and_none_that_is_not() -> None:
    """The first cells of the tables are the names in the module's files."""
    named = re.findall(r"^\| `(\w+)` \|", README.partition(BEGIN)[2], re.MULTILINE)
    declared = blocks("variables.tf", "variable") + blocks("outputs.tf", "output")
    assert named == [name for name, _ in declared]


def test_what_is_written_as_an_input_is_one() -> None:
    """Names set in the Terraform blocks, and `name = value` in the text, are inputs of the module."""
    inputs = {name for name, _ in blocks("variables.tf", "variable")}
    module_blocks = [content for block in TERRAFORM for content in re.findall(r"(?ms)^module .*?^}", block)]
    assert len(module_blocks) > 8
    named = {name for content in module_blocks for name in re.findall(r"(?m)^  (\w+) += ", content)}
    named |= set(re.findall(r"`(\w+) = (?:true|false)`", README))
    assert named - inputs == {"source"}


def test_default_prompts_are_shown_word_for_word() -> None:
    """The page shows the defaults of the two prompts, where the table of inputs leads."""
    found = dict(blocks("variables.tf", "variable"))
    for name in ("system_prompt", "coder_mcp_instructions"):
        lines = [line.removeprefix("    ") for line in found[name]["default"].split("\n")[1:-1]]
        assert "\n```text\n" + "\n".join(lines) + "\n```\n" in README
        assert f"](#default-{name.replace('_', '-')})" in README


def test_default_agent_is_the_one_that_is_written() -> None:
    """The JSON of the page is what the module writes, with the prompt in its place."""
    shown: list[dict[str, Any]] = [json.loads(content) for language, content in BLOCKS if language == "json"]
    assert shown == [default_content(Inputs(workdir="/", report_tasks=False, system_prompt="${system_prompt}"))]


def test_needed_versions_are_those_of_the_module() -> None:
    """The prerequisites name the versions of Terraform and of the provider that versions.tf asks for."""
    with open(ROOT / "versions.tf", encoding="utf-8") as opened:
        asked = hcl2.load(opened)["terraform"][0]
    terraform = text(asked["required_version"]).removeprefix(">= ")
    provider = text(asked["required_providers"][0]["coder"]["version"]).removeprefix(">= ")
    assert f"Terraform or OpenTofu {terraform} or newer, provider `coder/coder` {provider} or newer." in README


def test_form() -> None:
    """One title behind the front matter, with one Terraform block; no level of headings is left out."""
    front, body = re.fullmatch(r"---\n(.*?)\n---\n\n(# .*)", README, re.DOTALL).groups()  # type: ignore[union-attr]
    assert [line.partition(":")[0] for line in front.splitlines()] == ["display_name", "description", "icon", "tags"]
    levels = [len(marks) for marks in re.findall(r"^(#+) ", outside_blocks(body), re.MULTILINE)]
    assert levels.count(1) == 1
    assert all(level <= before + 1 for before, level in itertools.pairwise(levels))
    assert body.partition("\n## ")[0].count("```tf\n") == 1
    assert {language for language, _ in BLOCKS} == {"tf", "sh", "text", "json"}


def test_links_within_the_page_lead_to_headings() -> None:
    """Every `#name` is the name that a heading of the page gets."""
    headings = re.findall(r"^#+ (.+)$", outside_blocks(README), re.MULTILINE)
    names = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    links = re.findall(r"\]\(#([^)]+)\)", README)
    assert len(links) > 15
    assert set(links) <= names


def outside_blocks(page: str) -> str:
    """Return the page without its blocks of code."""
    return re.sub(r"(?ms)^ *```.*?^ *```$", "", page)


@pytest.mark.parametrize("line", [line for line in COMMANDS if "kiro-bridge" in line])
def test_commands_of_the_bridge_are_taken(line: str) -> None:
    """The flags that the page shows are flags of the command."""
    words = shlex.split(line)
    assert words[0].endswith("/kiro-bridge")
    if "--help" not in words:
        build_parser().parse_args(words[1:])


def test_lines_of_the_log_are_the_ones_that_are_printed() -> None:
    """What the page quotes from a log stands in the start script, around its values."""
    printed = "".join((ROOT / "scripts" / name).read_text() for name in ("bootstrap.py", "start.sh.tftpl"))
    quoted = re.findall(r"^\| `([^`|]+ [^`|]+)` \|", README.partition(BEGIN)[0], re.MULTILINE)
    assert len(quoted) > 4
    for line in quoted:
        for words in re.split(r"\.\.\.|(?<![.\d])\d+(?= )", line):
            assert words.strip() in printed, line


def test_terraform_blocks_are_templates(module: Terraform, tmp_path: Path) -> None:
    """Every block is validated and planned beside a packed module, with no more than an agent and the login added."""
    assert pack([str(tmp_path / "kiro-cli")]) == 0
    calls = []
    for number, content in enumerate(TERRAFORM):
        folder = tmp_path / f"block{number}"
        folder.mkdir()
        added = "".join(lines for sign, lines in PREAMBLE.items() if sign not in content)
        (folder / "main.tf").write_text(added + content)
        shutil.copytree(tmp_path / "kiro-cli", folder / "kiro-cli")
        calls.append(f'module "block{number}" {{\n  source = "./block{number}"\n}}\n')
    (tmp_path / "main.tf").write_text("".join(calls))
    page = Terraform(tmp_path)
    for answer in (page.init(), page.run("validate"), page.plan({})):
        assert answer.code == 0, answer.text
    started = [name for name in page.planned().resources if name.endswith("module.kiro-cli.coder_script.start")]
    assert len(started) == sum('module "kiro-cli"' in content for content in TERRAFORM)


def test_terraform_blocks_are_formatted(terraform_program: str, tmp_path: Path) -> None:
    """`terraform fmt` has nothing to say of the blocks."""
    for number, content in enumerate(TERRAFORM):
        (tmp_path / f"block{number}.tf").write_text(content)
    answer = Terraform(tmp_path).run("fmt", check=True)
    assert answer.code == 0, answer.text
