"""The agents and models that kiro-cli lists by itself. What it prints is as users of it show it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.core.ports import Choice
from bridge.kiro.command import LaunchOptions
from bridge.kiro.installation import Installation
from bridge.kiro.offers import FRESH, ListedAgent, Offers, parse_agents, parse_models
from tests.kiro.runner.scripts import PATIENCE, program, until

NEW = """\
\x1b[38;5;244mWorkspace: \x1b[0m~/project/.kiro/agents
\x1b[38;5;244mGlobal:    \x1b[0m~/.kiro/agents

* kiro_default    (Built-in)    Default agent
  builder         Global        Builds things
                                and more things
  review          Workspace
"""
OLD = "default       /home/me/.aws/amazonq/cli-agents\nlong_name_x   **No path found**\n"


def test_the_table_of_newer_versions() -> None:
    plain = NEW.replace("\x1b[38;5;244m", "").replace("\x1b[0m", "")
    assert parse_agents(plain) == (
        ListedAgent("kiro_default", "built-in", "Default agent", True),
        ListedAgent("builder", "global", "Builds things"),
        ListedAgent("review", "workspace"),
    )


def test_the_table_of_older_versions() -> None:
    assert parse_agents(OLD) == (ListedAgent("default", "/home/me/.aws/amazonq/cli-agents"),)


@pytest.mark.parametrize("text", ["", "error: you are not logged in\n", "WARNING: something", "\0" * 100, "*  \n* a\n"])
def test_other_words_are_no_agents(text: str) -> None:
    assert parse_agents(text) == ()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"models": 5}', '{"models": [5]}', "no json", "[" * 100_000])
def test_what_lists_no_models(text: str) -> None:
    assert parse_models(text) == ()


def test_models() -> None:
    text = json.dumps({"models": [{"model_id": "a", "model_name": "A", "description": "best"}, {"model_name": "b"}],
                       "default_model": "b"})  # fmt: skip
    assert parse_models(text) == (Choice("a", "A", "best"), Choice("b", "b", "", True))


CLI = """
import json, pathlib, sys
words = sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(json.dumps(words) + "\\n")
if words == ["--version"]:
    print("kiro-cli 2.28.0")
elif words == ["chat", "--help"]:
    print("Options:\\n  --list-models\\n      List\\n  --format <F>\\n  --no-interactive\\n  --output-format <O>")
elif words == ["agent", "--help"]:
    print("Commands:\\n  list  List the available agents")
elif words == ["agent", "list"]:
    print({table!r}, file=sys.stderr)
elif words[:2] == ["chat", "--list-models"]:
    print('{{"models": [{{"model_id": "m", "model_name": "M"}}], "default_model": "m"}}')
else:
    sys.exit(2)
"""


def make_offers(tmp_path: Path, source: str, clock: list[float]) -> Offers:
    """Offers of a program."""
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "work").mkdir(exist_ok=True)
    environ = {"HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
    cli = program(tmp_path / "kiro-cli", source)
    installation = Installation(environ, LaunchOptions(), explicit=str(cli))
    return Offers(installation, environ, lambda: clock[0])


def test_asked_once_and_again_when_an_agent_is_added(tmp_path: Path) -> None:
    log, clock = tmp_path / "log", [0.0]
    offers = make_offers(tmp_path, CLI.format(log=str(log), table=NEW), clock)
    work = str(tmp_path / "work")
    try:
        agents, models = offers.of(work, PATIENCE)
        assert [(agent.id, agent.current) for agent in agents] == [
            ("kiro_default", True), ("builder", False), ("review", False),
        ]  # fmt: skip
        assert [model.id for model in models] == ["m"]
        asked = log.read_text()
        assert offers.of(work, PATIENCE) == (agents, models) and log.read_text() == asked
        (tmp_path / "work/.kiro/agents").mkdir(parents=True)
        assert offers.of(work) == (agents, models)
        until(lambda: log.read_text().count('["agent", "list"]') == 2)

        def asked_later() -> bool:
            clock[0] += FRESH + 1
            offers.of(work)
            return log.read_text().count('["agent", "list"]') > 2

        until(asked_later)
    finally:
        offers.close()


def test_a_cli_without_such_lists_is_not_asked_for_them(tmp_path: Path) -> None:
    log = tmp_path / "log"
    source = CLI.format(log=str(log), table=NEW).replace("list  List", "edit  Edit").replace("--list-models\\n", "")
    offers = make_offers(tmp_path, source, [0.0])
    try:
        assert offers.of(str(tmp_path / "work"), PATIENCE) == ((), ())
        assert '["agent", "list"]' not in log.read_text() and "--list-models" not in log.read_text()
    finally:
        offers.close()


def test_closing_ends_what_is_asked(tmp_path: Path) -> None:
    started = tmp_path / "started"
    source = f"import pathlib, time\npathlib.Path({str(started)!r}).touch()\ntime.sleep(600)\n"
    offers = make_offers(tmp_path, source, [0.0])
    assert offers.of(str(tmp_path / "work")) == ((), ())
    until(started.exists)
    offers.close()
    offers.close()
