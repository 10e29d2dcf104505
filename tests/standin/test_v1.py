"""Engine v1: the row and the moments it is written."""

from __future__ import annotations

import signal
import sqlite3
from pathlib import Path

import pytest

from tests.standin.runs import Cli, finish, rows_of, signal_group, wait_for

DATA = ".local/share/kiro-cli/data.sqlite3"


def test_rows_come_with_messages_and_results_one_late(cli: Cli) -> None:
    copy = f"cp {cli.home / DATA}"
    done = cli.chat(
        "v1", "text First.", f"tool shell {copy} one; echo out", f"tool shell {copy} two; exit 3", "text **Done**."
    )
    assert done.code == 0
    assert "\u25b8 Credits: " in done.err
    kinds = [
        [next(iter(entry["assistant"])) for entry in rows_of(cli.cwd / name)[0]["history"]] for name in ("one", "two")
    ]
    assert kinds == [["ToolUse"], ["ToolUse", "ToolUse"]]
    (value,) = cli.rows()
    first, second, third = value["history"]
    assert first["user"]["content"]["Prompt"]["prompt"].startswith("!standin text First.")
    (result,) = second["user"]["content"]["ToolUseResults"]["tool_use_results"]
    assert result["content"] == [{"Json": {"exit_status": "0", "stdout": "out\n", "stderr": ""}}]
    assert result["tool_use_id"] == first["assistant"]["ToolUse"]["tool_uses"][0]["id"]
    (failed,) = third["user"]["content"]["ToolUseResults"]["tool_use_results"]
    assert (failed["status"], failed["content"][0]["Json"]["exit_status"]) == ("Success", "3")
    assert third["assistant"]["Response"]["content"] == "**Done**."
    assert value["valid_history_range"] == [0, 2]
    assert "\x1b[38;5;10m> \x1b[0m\x1b[1mDone\x1b[22m." in done.out


def test_calls_of_one_message_share_an_entry(cli: Cli) -> None:
    cli.chat("v1", "text Both.", "tool shell echo a", "also shell echo b")
    first, second = cli.rows()[0]["history"]
    assert len(first["assistant"]["ToolUse"]["tool_uses"]) == 2
    results = second["user"]["content"]["ToolUseResults"]["tool_use_results"]
    assert [result["content"][0]["Json"]["stdout"] for result in results] == ["a\n", "b\n"]


def test_files_are_written_read_and_confined(cli: Cli) -> None:
    done = cli.chat(
        "v1", "tool write note.txt hello\\n", "tool read note.txt", "tool read absent", "tool read /etc/hostname"
    )
    assert (cli.cwd / "note.txt").read_text() == "hello\n"
    contents = [
        entry["user"]["content"]["ToolUseResults"]["tool_use_results"][0] for entry in cli.rows()[0]["history"][1:]
    ]
    assert [result["content"][0]["Text"] for result in contents[:2]] == ["", "hello\n"]
    assert [result["status"] for result in contents] == ["Success", "Success", "Error", "Error"]
    assert "does not exist" in contents[2]["content"][0]["Text"]
    assert "Tool validation failed" in done.err


def test_untrusted_tool_ends_the_run(cli: Cli) -> None:
    done = cli.chat("v1", "text I run it.", "tool shell touch made", options=())
    assert (done.code, (cli.cwd / "made").exists()) == (1, False)
    assert done.err.endswith(
        "error: Tool approval required but --no-interactive was specified. "
        "Use --trust-all-tools to automatically approve tools.\n"
    )
    assert [next(iter(entry["assistant"])) for entry in cli.rows()[0]["history"]] == ["ToolUse"]


@pytest.mark.parametrize("name", ["execute_bash", "shell"])
def test_named_tools_are_trusted(cli: Cli, name: str) -> None:
    assert cli.chat("v1", "tool shell touch made", options=(f"--trust-tools={name}",)).code == 0
    assert (cli.cwd / "made").exists()


@pytest.mark.parametrize("to_group", [True, False])
def test_sigint_in_a_tool_adds_the_cancellation(cli: Cli, to_group: bool) -> None:
    prompt = "!standin text Sleeping.\n!standin tool shell touch started; exec sleep 60"
    process = cli.start("chat", "--no-interactive", "-a", "--agent-engine", "v1", stdin=prompt)
    wait_for(cli.cwd / "started")
    signal_group(process, signal.SIGINT) if to_group else process.send_signal(signal.SIGINT)
    done = finish(process)
    assert (done.code, "error: Tool approval required" in done.err) == (1, True)
    last = cli.rows()[0]["history"][-1]
    assert last["user"]["content"]["CancelledToolUses"]["prompt"] == "The user interrupted the tool execution."
    assert last["assistant"]["Response"] == {
        "message_id": None,
        "content": "Tool uses were interrupted, waiting for the next user prompt",
    }
    assert last["request_metadata"] is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_resume_after_a_kill_merges_prompt_and_cancellation(cli: Cli, number: int) -> None:
    prompt = "!standin text Sleeping.\n!standin tool shell touch started; exec sleep 60"
    process = cli.start("chat", "--no-interactive", "-a", "--agent-engine", "v1", stdin=prompt)
    wait_for(cli.cwd / "started")
    signal_group(process, number)
    assert finish(process).code == -number
    assert len(cli.rows()[0]["history"]) == 1
    cli.chat("v1", "text Here again.", options=("--resume",))
    (value,) = cli.rows()
    merged = value["history"][1]["user"]
    assert merged["content"]["CancelledToolUses"]["prompt"] == "!standin text Here again."
    assert merged["timestamp"] is None
    assert merged["content"]["CancelledToolUses"]["tool_use_results"][0]["status"] == "Error"


def test_sigint_while_the_model_speaks_writes_nothing(cli: Cli) -> None:
    process = cli.start(
        "chat", "--no-interactive", "--agent-engine", "v1", stdin="!standin text Hello\n!standin sleep 60"
    )
    assert process.stdout is not None
    assert process.stdout.read(5)
    signal_group(process, signal.SIGINT)
    assert finish(process).code == 1
    assert cli.rows() == []


def test_resume_goes_on_and_a_new_run_begins_anew(cli: Cli) -> None:
    cli.chat("v1", "text one")
    cli.chat("v1", "text two", options=("--resume",))
    cli.chat("v1", "text three")
    values = cli.rows()
    assert [len(value["history"]) for value in values] == [2, 1]
    wanted = values[0]["conversation_id"]
    cli.chat("v1", "about", options=("--resume-id", wanted))
    answer = cli.rows()[0]["history"][-1]["assistant"]["Response"]["content"]
    assert f"session={wanted} turns=2 " in answer
    assert cli.chat("v1", "text x", options=("--resume-id", "absent")).code == 1


def test_legacy_table_keeps_one_conversation_per_folder(cli: Cli) -> None:
    for text in ("one", "two"):
        cli.chat("v1", f"text {text}", KIRO_STANDIN_LEGACY_TABLE="1")
    connection = sqlite3.connect(cli.home / DATA)
    ((value,),) = connection.execute("SELECT value FROM conversations").fetchall()
    connection.close()
    assert '"content":"two"' in value
    assert cli.rows() == []


def test_database_has_its_tables_mode_and_journal(cli: Cli, tmp_path: Path) -> None:
    elsewhere = tmp_path / "other.sqlite3"
    cli.chat("v1", "text hi", KIRO_TEST_DB_PATH=str(elsewhere), KIRO_STANDIN_JOURNAL="wal")
    assert elsewhere.stat().st_mode & 0o777 == 0o600
    assert elsewhere.read_bytes()[18] == 2  # the file format's mark of WAL
    cli.chat("v1", "text hi")
    connection = sqlite3.connect(cli.home / DATA)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    versions = [version for (version,) in connection.execute("SELECT version FROM migrations ORDER BY version")]
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    connection.close()
    assert tables >= {"migrations", "history", "state", "auth_kv", "conversations", "conversations_v2"}
    assert (versions, mode) == (list(range(10)), "delete")


def test_argument_wins_and_stdin_loses_its_last_line_end(cli: Cli) -> None:
    cli.run("chat", "--no-interactive", "--agent-engine", "v1", "!standin text arg", stdin="!standin text stdin")
    cli.run("chat", "--no-interactive", "--agent-engine", "v1", stdin="!standin text first\nsecond line\n")
    prompts = [value["history"][0]["user"]["content"]["Prompt"]["prompt"] for value in cli.rows()]
    assert prompts == ["!standin text arg", "!standin text first\nsecond line"]


def test_old_releases_keep_the_ancestors_fields(cli: Cli) -> None:
    prompt = "!standin tool shell echo a"
    cli.run("chat", "--no-interactive", "-a", stdin=prompt, KIRO_STANDIN_VERSION="1.28")
    first, second = cli.rows()[0]["history"]
    assert "orig_args" in first["assistant"]["ToolUse"]["tool_uses"][0]
    assert "time_between_chunks" in first["request_metadata"]
    assert second["user"]["content"]["ToolUseResults"]["tool_use_results"][0]["content"][0]["Json"]["stdout"] == "a"


def test_stream_json_is_refused(cli: Cli) -> None:
    done = cli.chat("v1", "text hi", stream=True)
    assert done.code == 1
    (event,) = done.events
    assert (event["type"], event["data"]["stage"], event["data"]["sessionId"]) == ("runError", "engine", None)
