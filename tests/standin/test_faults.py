"""Misbehaviours: each fault of the table is asked for here and does what the table says."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from standin.failures import BY_NAME
from standin.faults import TABLE
from tests.standin.runs import DEADLINE, Cli, alive, finish, kill, signal_group, wait_for

DATA = ".local/share/kiro-cli/data.sqlite3"


def test_every_fault_is_asked_for_here() -> None:
    text = Path(__file__).read_text()
    missing = [
        name for name in TABLE if name not in BY_NAME and not re.search(f"""(fault |["'(]){name}[ "\\\\]""", text)
    ]
    assert missing == []


@pytest.mark.parametrize("name", BY_NAME)
def test_errors_on_a_terminal_and_in_the_stream(cli: Cli, name: str) -> None:
    failure = BY_NAME[name]
    done = cli.chat("v1", f"fault {name}")
    assert (done.code, failure.message in done.err, done.out) == (failure.exit_code, True, "")
    assert ("Kiro is having trouble responding right now:" in done.err) == (failure.stage == "prompt")
    assert cli.rows() == []
    streamed = cli.chat("v2", f"fault {name}", stream=True)
    assert streamed.code == failure.exit_code
    assert (streamed.last["type"] == "runError") == (not failure.plain)


@pytest.mark.parametrize(("name", "lines"), [("throttled", 1), ("auth-exit-0", 0), ("mcp-startup", 1)])
def test_errors_before_the_prompt_is_read(cli: Cli, name: str, lines: int) -> None:
    early = cli.chat("v2", "text hi", stream=True, KIRO_STANDIN_FAULT=name)
    assert (early.code, len(early.out.splitlines())) == (BY_NAME[name].exit_code, lines)


@pytest.mark.parametrize("engine", ["v1", "v2", "v3"])
def test_dying_leaves_nothing_of_the_message(cli: Cli, engine: str) -> None:
    done = cli.chat(engine, "fault die-after 2", "chunks 5", "text abcdefghij")
    assert (done.code, "abcd" in done.out, "ef" in done.out) == (-signal.SIGKILL, True, False)
    assert cli.rows() == []
    assert cli.chat(engine, "text x", "fault die").code == -signal.SIGKILL


def test_worker_dies_alone(cli: Cli) -> None:
    done = cli.chat("v2", "text x", "fault die-worker", stream=True)
    assert (done.code, done.last["type"]) == (1, "sessionUpdate")


@pytest.mark.parametrize(("fault", "code"), [("exit 7", 7), ("silent", 0)])
@pytest.mark.parametrize("engine", ["v1", "v2"])
def test_ends_without_a_word(cli: Cli, engine: str, fault: str, code: int) -> None:
    done = cli.chat(engine, f"fault {fault}")
    assert (done.code, done.out, cli.rows()) == (code, "", [])
    assert [path.read_text() for path in cli.v2_files(".jsonl")] == ([""] if engine == "v2" else [])


def test_empty_and_binary_answers(cli: Cli) -> None:
    cli.chat("v1", "fault empty-answer")
    cli.chat("v1", "fault binary-answer")
    empty, binary = (value["history"][0]["assistant"]["Response"]["content"] for value in cli.rows())
    assert (empty, "\0" in binary, "\x1b[201~" in binary) == ("", True, True)
    assert "\0" in str(cli.chat("v2", "fault binary-answer", stream=True).last["data"]["finalText"])


@pytest.mark.parametrize("engine", ["v2", "v3"])
def test_half_a_line(cli: Cli, engine: str) -> None:
    pattern = "cli/*.jsonl" if engine == "v2" else "*/sess_*/messages.jsonl"
    sessions = cli.home / ".kiro/sessions"
    cli.chat(engine, "text some words", "fault half-line-completed 0.01")
    (path,) = sessions.glob(pattern)
    assert [bool(json.loads(line)) for line in path.read_text().splitlines()]
    assert path.read_text().count("some words") == 2  # in the prompt and in the answer
    done = cli.chat(engine, "text more words", "fault half-line", options=("--resume",))
    assert done.code == -signal.SIGKILL
    *_, last = path.read_text().split("\n")
    assert last
    with pytest.raises(json.JSONDecodeError):
        json.loads(last)


def is_locked(path: Path) -> bool:
    """Whether a reader is turned away at once."""
    connection = sqlite3.connect(path, timeout=0)
    try:
        connection.execute("SELECT count(*) FROM conversations_v2").fetchone()
    except sqlite3.OperationalError:
        return True
    finally:
        connection.close()
    return False


def test_locked_database(cli: Cli) -> None:
    process = cli.start(
        "chat", "--no-interactive", "--classic", stdin="!standin fault lock-database 2\n!standin text after"
    )
    path = cli.home / DATA
    until = time.monotonic() + DEADLINE
    while not (path.exists() and is_locked(path)):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert finish(process).code == 0
    assert cli.rows()[0]["history"][0]["assistant"]["Response"]["content"] == "after"


def test_wal(cli: Cli) -> None:
    cli.chat("v1", "fault wal", "text x")
    assert (cli.home / DATA).read_bytes()[18] == 2


@pytest.mark.parametrize(("fault", "left"), [("shrink-history", 2), ("clear", 1), ("compact", 1), ("rewind", 2)])
def test_v1_histories_shrink(cli: Cli, fault: str, left: int) -> None:
    cli.chat("v1", "text one")
    cli.chat("v1", "text two", options=("--resume",))
    cli.chat("v1", f"fault {fault}", "text three", options=("--resume",))
    (value,) = cli.rows()
    assert len(value["history"]) == left
    assert value["history"][-1]["assistant"]["Response"]["content"] == "three"
    assert (value["latest_summary"] is not None) == (fault == "compact")


def test_v1_goes_on_by_itself_after_a_time_out(cli: Cli) -> None:
    cli.chat("v1", "fault model-timeout", "text late")
    first, second = cli.rows()[0]["history"]
    assert (first["assistant"]["Response"]["message_id"], first["request_metadata"]) == (None, None)
    assert second["user"]["content"]["Prompt"]["prompt"].startswith("You took too long to respond")


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("clear", "Clear"),
        ("compaction-line", "Compaction"),
        ("reset-to 1", "ResetTo"),
        ("cancelled-prompt", "CancelledPrompt"),
        ("unknown-lines", "FromTheFuture"),
    ],
)
def test_v2_marker_lines(cli: Cli, fault: str, kind: str) -> None:
    cli.chat("v2", "text one")
    cli.chat("v2", f"fault {fault}", "text two", options=("--resume",))
    assert [line["kind"] for line in cli.v2_lines()] == [
        "Prompt",
        "AssistantMessage",
        kind,
        "Prompt",
        "AssistantMessage",
    ]


def test_v2_and_v3_files_shrink(cli: Cli) -> None:
    for engine in ("v2", "v3"):
        cli.chat(engine, "text one")
        cli.chat(engine, "fault shrink-history", "text two", options=("--resume",))
    assert [line["kind"] for line in cli.v2_lines()] == ["Prompt", "AssistantMessage"]
    assert cli.v3_rows()[0]["payload"]["type"] == "assistant"


def test_rewind_goes_on_in_a_new_session(cli: Cli) -> None:
    for engine, pattern in (("v2", "cli/*.jsonl"), ("v3", "*/sess_*/messages.jsonl")):
        first = cli.chat(engine, "text one", stream=True).last["data"]["sessionId"]
        second = cli.chat(engine, "fault rewind", "text two", options=("--resume",), stream=True).last["data"][
            "sessionId"
        ]
        assert first != second
        texts = {str(path): path.read_text() for path in (cli.home / ".kiro/sessions").glob(pattern)}
        assert len(texts) == 2
        (old,) = (text for path, text in texts.items() if first in path)
        (new,) = (text for path, text in texts.items() if second in path)
        assert new.startswith(old[:40])
        assert "text one" in new


def test_v3_tombstones_and_unknown_rows(cli: Cli) -> None:
    cli.chat("v3", "fault compact", "fault clear", "fault unknown-lines", "text x")
    payloads = [row["payload"] for row in cli.v3_rows()]
    kinds = [payload["kind"] for payload in payloads if payload["type"] == "tombstone"]
    assert kinds == ["summarization", "checkpoint_revert"]
    assert "from_the_future" in [payload["type"] for payload in payloads]


def test_databases_and_conversations_vanish(cli: Cli) -> None:
    path = cli.home / DATA
    cli.chat("v1", "text one")
    assert cli.chat("v1", "fault recreate-database", "text two").code == 0
    assert cli.rows() == []
    cli.chat("v1", "tool shell true", "fault remove-conversation", "text three")
    assert cli.rows() == []
    cli.chat("v1", "text four", "fault remove-database")
    assert not path.exists()
    for engine in ("v2", "v3"):
        cli.chat(engine, "tool shell true", "fault remove-conversation", "text five")
    assert [path for path in (cli.home / ".kiro/sessions").rglob("*") if path.is_file()] == []


def test_device_login_in_the_middle(cli: Cli) -> None:
    process = cli.start("chat", "--no-interactive", "--v2", stdin="!standin fault device-login")
    assert process.stdout is not None
    assert b"Confirm the following code" in process.stdout.readline() + process.stdout.readline()
    assert process.poll() is None
    signal_group(process, signal.SIGTERM)
    finish(process)


def test_noise_on_the_outputs(cli: Cli) -> None:
    lines = (
        "fault flood 1",
        "fault flood-stderr 1",
        "fault huge-line 2",
        "fault noise",
        "fault unknown-lines",
        "text answer",
    )
    done = cli.chat("v2", *lines, stream=True)
    good = []
    for line in done.out.splitlines():
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(event, dict):
            good.append(event)
    assert good[-1]["data"]["finalText"] == "answer"
    assert len(done.out) > 2_900_000
    assert len(done.err) > 900_000
    assert max(len(line) for line in done.out.splitlines()) > 2_000_000
    assert [event["type"] for event in good].count("fromTheFuture") == 2


def test_last_lines_of_the_stream(cli: Cli) -> None:
    assert cli.chat("v2", "text x", "fault no-terminal-line", stream=True).last["type"] == "metadata"
    cut = cli.chat("v3", "size 500", "fault final-truncated", stream=True).last["data"]
    assert (len(cut["finalText"]), cut["finalTextTruncated"]) == (100, True)
    for reason, code in (("max_tokens", 0), ("refusal", 1), ("cancelled", 1)):
        done = cli.chat("v2", "text x", f"fault stop-reason {reason}", stream=True)
        assert (done.code, done.last["data"]["stopReason"]) == (code, reason)


@pytest.mark.parametrize("engine", ["v1", "v2"])
@pytest.mark.parametrize(("fault", "numbers"), [("ignore-sigint", [2]), ("ignore-signals", [1, 2, 15])])
def test_signals_are_ignored(cli: Cli, engine: str, fault: str, numbers: list[int]) -> None:
    lines = [
        f"fault {fault}",
        "text Hello.",
        "tool shell touch started; while [ ! -e go ]; do sleep 0.02; done",
        "text Bye.",
    ]
    prompt = "\n".join(f"!standin {line}" for line in lines)
    process = cli.start("chat", "--no-interactive", "-a", "--agent-engine", engine, stdin=prompt)
    until = time.monotonic() + DEADLINE
    while not (cli.cwd / "started").exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    for number in numbers:
        signal_group(process, number)
    (cli.cwd / "go").touch()
    done = finish(process)
    assert (done.code, "Bye." in done.out) == (0, True)


def sleepers(seconds: str) -> list[int]:
    """Processes that run `sleep` for that long."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if command[:2] == [b"sleep", seconds.encode()]:
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize("fault", ["leave-child", "leave-child-session", "leave-child-pipe"])
def test_children_are_left_behind(cli: Cli, fault: str) -> None:
    mark = f"7{os.getpid()}"
    process = cli.start("chat", "--no-interactive", "--v2", stdin=f"!standin fault {fault} {mark}\n!standin text x")
    assert process.wait(DEADLINE) == 0
    until = time.monotonic() + DEADLINE
    while not (left := sleepers(mark)):
        assert time.monotonic() < until
        time.sleep(0.01)
    (pid,) = left
    assert alive(pid)
    assert (os.getpgid(pid) == process.pid) == (fault != "leave-child-session")
    holds = os.readlink(f"/proc/{pid}/fd/1").startswith("pipe:")
    assert holds == (fault == "leave-child-pipe")
    kill(pid)
    assert "x" in finish(process).out


def test_lingers_after_the_last_line(cli: Cli) -> None:
    process = cli.start(
        "chat", "--no-interactive", "--v2", "--output-format", "stream-json", stdin="!standin fault linger 300"
    )
    assert process.stdout is not None
    for line in process.stdout:
        if re.match(rb'\{"type":"runFinished"', line):
            break
    assert process.poll() is None
    signal_group(process, signal.SIGKILL)
    finish(process)


def test_start_faults_that_cannot_be_are_refused(cli: Cli) -> None:
    done = cli.chat("v2", "text x", KIRO_STANDIN_FAULT="half-line")
    assert (done.code, "use a directive" in done.err) == (2, True)


def test_deaf_never_reads_stdin(cli: Cli) -> None:
    log = cli.cwd / "log"
    process = cli.start("chat", "--no-interactive", "--v2", KIRO_STANDIN_FAULT="deaf 300", KIRO_STANDIN_LOG=str(log))
    wait_for(log)
    assert process.poll() is None
    assert json.loads(log.read_text())["stdin_bytes"] is None
    signal_group(process, signal.SIGKILL)
    finish(process)
