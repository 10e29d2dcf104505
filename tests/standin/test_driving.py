"""Scripts, directives and the demo."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.standin.runs import Cli


def answer(cli: Cli, *lines: str, **env: str) -> str:
    """The answer of a v2 run."""
    varied = replace(cli, env={**cli.env, **env})
    return str(varied.chat("v2", *lines, stream=True).last["data"]["finalText"])


def test_script_turns_are_used_one_after_the_other(cli: Cli, tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    turns = [
        [
            [{"text": "one", "chunks": 3}, {"tool": "execute_bash", "args": {"command": "touch made"}}],
            [{"text": " and on"}],
        ],
        [[{"thought": "hm"}, {"subagent": {"name": "a", "prompt": "p", "text": "s"}}]],
    ]
    script.write_text(json.dumps(turns))
    env = {"KIRO_STANDIN_SCRIPT": str(script)}
    assert [answer(cli, "text ignored", **env) for _ in range(2)] == ["one and on", "sDone."]
    assert (cli.cwd / "made").exists()
    past = replace(cli, env=env).chat("v2", "text ignored", stream=True)
    assert (past.code, "has 2 turns and all were used" in past.last["data"]["message"]) == (1, True)
    counter = tmp_path / "counter"
    assert answer(cli, "text ignored", KIRO_STANDIN_COUNTER=str(counter), **env) == "one and on"
    assert json.loads(counter.read_text()) == {str(script.resolve()): 1}


@pytest.mark.parametrize(
    "step", [{"tool": "teleport"}, {"tool": "shell", "args": {}}, {"texts": "x"}, {"fault": "none"}]
)
def test_wrong_script_says_what_is_wrong(cli: Cli, tmp_path: Path, step: dict[str, str]) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps([[[step]]]))
    done = cli.chat("v1", "text x", KIRO_STANDIN_SCRIPT=str(script))
    assert (done.code, done.out, done.err.startswith("error: stand-in: ")) == (1, "", True)


@pytest.mark.parametrize("line", ["dance", "repeat many x", "tool teleport x", "fault none"])
def test_wrong_directive_says_what_is_wrong(cli: Cli, line: str) -> None:
    done = cli.chat("v2", line)
    assert (done.code, "`kiro-cli standin --help`" in done.err) == (1, True)


def test_sub_agents_are_refused_on_v1(cli: Cli) -> None:
    assert "a sub-agent needs engine v2 or v3" in cli.chat("v1", "subagent a b").err


def test_texts(cli: Cli) -> None:
    assert answer(cli, "repeat 3 same") == "same\nsame\nsame"
    numbered = answer(cli, "numbered 5000 line").splitlines()
    assert (len(numbered), numbered[0], numbered[-1]) == (5000, "line 1", "line 5000")
    sized = answer(cli, "size 100001")
    assert (len(sized), sized[16:32], sized[-1]) == (100001, "000000000000016\n", "0")
    assert answer(cli, "twice again") == "againagain"
    assert answer(cli, r"text a\nb\x41\u00e9\\n") == "a\nbA\u00e9\\n"


def test_chunks_are_cut_as_asked(cli: Cli) -> None:
    events = cli.chat("v2", "chunks 7", "text 0123456789abcdefghijklmnopqrs", stream=True).events
    kinds = [event["data"]["update"]["sessionUpdate"] for event in events if event["type"] == "sessionUpdate"]
    assert kinds == ["agent_message_chunk"] * 6  # 29 letters in pieces of 5


@pytest.mark.parametrize("engine", ["v1", "v2", "v3"])
def test_large_prompt_arrives_whole(cli: Cli, engine: str) -> None:
    prompt = "!standin echo\n" + "x" * 5_000_000 + "\n\x00\x1b[201~ --flag \u00e9"
    stream = ("--output-format", "stream-json") if engine != "v1" else ()
    done = cli.run("chat", "--no-interactive", "--agent-engine", engine, *stream, stdin=prompt)
    data = prompt.encode()
    expected = f"bytes={len(data)} chars={len(prompt)} lines=3 sha256={hashlib.sha256(data).hexdigest()}"
    assert done.code == 0
    assert expected in done.out if engine == "v1" else done.last["data"]["finalText"] == expected


@pytest.mark.parametrize("engine", ["v1", "v2", "v3"])
@pytest.mark.parametrize("trusted", [True, False])
def test_demo_is_useful_and_says_that_it_is_not_kiro(cli: Cli, engine: str, trusted: bool) -> None:
    (cli.cwd / "README.md").write_text("# A project\n\nText.\n")
    options = ("-a",) if trusted else ()
    done = cli.run("chat", "--no-interactive", "--agent-engine", engine, *options, stdin="What is in here?")
    assert done.code == 0
    assert "not Kiro" in done.out
    assert "> What is in here?" in done.out
    assert "begins with: *A project*" in done.out
    assert ("entries, such as" in done.out) == trusted
    assert "print(entry.name)" in done.out
