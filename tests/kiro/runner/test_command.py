"""Command lines: the engine pinned, nothing passed that is not offered, the prompt never an argument."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from bridge.core.feed import Engine
from bridge.errors import Problem
from bridge.kiro.capabilities import Capabilities, parse_help
from bridge.kiro.command import Launch, LaunchOptions, plan

from .helptexts import help_text

VERSIONS = ("1.26.2", "1.27.0", "2.3.0", "2.4.0", "2.8.0", "2.19.2", "2.28.0")


def of(version: str) -> Capabilities:
    return Capabilities(version, parse_help(help_text(version)))


def planned(version: str, options: LaunchOptions | None = None, **how: Any) -> Launch:
    launch = plan(of(version), options or LaunchOptions(), **how)
    assert isinstance(launch, Launch)
    return launch


@pytest.mark.parametrize(
    ("version", "arguments"),
    [
        ("1.26.2", "chat --no-interactive --wrap never"),
        ("1.27.0", "chat --no-interactive --legacy-ui --wrap never"),
        ("2.3.0", "chat --no-interactive --agent-engine rust --wrap never"),
        ("2.4.0", "chat --no-interactive --agent-engine v1 --wrap never"),
        ("2.8.0", "chat --no-interactive --agent-engine v1 --wrap never"),
        ("2.19.2", "chat --no-interactive --output-format stream-json --agent-engine v2 --wrap never"),
        ("2.28.0", "chat --no-interactive --output-format stream-json --agent-engine v2 --wrap never"),
    ],
)
def test_the_engine_is_chosen_and_pinned(version: str, arguments: str) -> None:
    launch = planned(version)
    assert " ".join(launch.arguments) == arguments
    assert launch.engine == ("v2" if "v2" in arguments else "v1")
    assert launch.feed == ("stream-json" if "stream-json" in arguments else "text")
    assert launch.notices == () and launch.resume is None


@pytest.mark.parametrize(
    ("version", "engine", "pinned", "feed"),
    [
        ("2.4.0", "v2", "--agent-engine v2", "text"),
        ("2.4.0", "v3", "--agent-engine kas", "text"),
        ("2.28.0", "v1", "--agent-engine v1", "text"),
        ("2.28.0", "v3", "--agent-engine v3", "stream-json"),
    ],
)
def test_an_engine_that_was_asked_for(version: str, engine: Any, pinned: str, feed: str) -> None:
    launch = planned(version, LaunchOptions(engine=engine))
    assert pinned in " ".join(launch.arguments) and (launch.engine, launch.feed) == (engine, feed)


def test_an_engine_that_is_not_offered_is_refused_with_what_is() -> None:
    refused = plan(of("2.3.0"), LaunchOptions(engine="v2"))
    assert isinstance(refused, Problem) and refused.code == "engine_unavailable"
    assert "offers v1, v3" in refused.cause and "auto" in refused.remedy


def test_settings_are_passed_on_as_single_arguments() -> None:
    options = LaunchOptions(
        agent="-x", model="m", effort="high", trust_tools=("read", "@git/log"), require_mcp_startup=True
    )
    arguments = planned("2.28.0", options).arguments
    assert {"--agent=-x", "--model=m", "--effort=high", "--trust-tools=read,@git/log", "--require-mcp-startup"} < {
        *arguments
    }


def test_what_is_not_offered_is_left_out_and_said() -> None:
    launch = planned("2.4.0", LaunchOptions(effort="high"))
    assert not any("effort" in argument for argument in launch.arguments)
    assert [notice.key for notice in launch.notices] == ["effort_not_offered"]


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        (LaunchOptions(trust_all_tools=True, trust_tools=("x",)), "--trust-all-tools"),
        (LaunchOptions(trust_tools=()), "--trust-tools="),
        (LaunchOptions(), None),
    ],
)
def test_trust(options: LaunchOptions, argument: str | None) -> None:
    given = [one for one in planned("2.28.0", options).arguments if "trust" in one]
    assert given == ([argument] if argument else [])


def test_v3_is_not_given_the_trust_flags_it_refuses() -> None:
    launch = planned("2.19.2", LaunchOptions(engine="v3", trust_all_tools=True))
    assert not any("trust" in argument for argument in launch.arguments)
    assert [notice.key for notice in launch.notices] == ["trust_not_taken"]
    assert "--trust-all-tools" in planned("2.28.0", LaunchOptions(engine="v3", trust_all_tools=True)).arguments


def test_a_conversation_is_continued_by_its_id() -> None:
    launch = planned("2.28.0", kiro_id="abc", conversation_engine="v1")
    assert launch.resume == "id" and "--resume-id=abc" in launch.arguments
    assert launch.engine == "v1", "the engine that holds the conversation wins over the settings"


def test_the_latest_conversation_is_continued_only_if_it_is_ours() -> None:
    asked: list[tuple[Engine, str]] = []

    def is_latest(engine: Engine, kiro_id: str) -> bool:
        asked.append((engine, kiro_id))
        return kiro_id == "ours"

    ours = planned("1.27.0", kiro_id="ours", conversation_engine="v1", is_latest=is_latest)
    other = planned("1.27.0", kiro_id="other", conversation_engine="v1", is_latest=is_latest)
    assert ours.resume == "latest" and "--resume" in ours.arguments and ours.notices == ()
    assert other.resume is None and "--resume" not in other.arguments
    assert [notice.key for notice in other.notices] == ["conversation_not_continued"]
    assert asked == [("v1", "ours"), ("v1", "other")]


def test_a_conversation_whose_engine_is_gone_is_begun_anew() -> None:
    launch = planned("2.3.0", kiro_id="abc", conversation_engine="v2")
    assert launch.engine == "v1" and launch.resume is None
    assert [notice.key for notice in launch.notices] == ["engine_gone"]


@pytest.mark.parametrize("version", VERSIONS)
def test_an_unknown_flag_is_never_passed(version: str) -> None:
    offered = of(version)
    values: tuple[Any, ...] = ("auto", "v1", "v2", "v3")
    for engine, full, kiro_id in itertools.product(values, (True, False), (None, "id")):
        options = LaunchOptions(engine, *(("a", "m", "e", True, ("t",), True) if full else ()))
        launch = plan(offered, options, kiro_id=kiro_id, is_latest=lambda engine, kiro_id: True)
        for argument in launch.arguments if isinstance(launch, Launch) else ():
            flag, _, _ = argument.removeprefix("--").partition("=")
            assert not argument.startswith("-") or offered.has(flag)
