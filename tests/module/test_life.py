"""The life of a workspace, as its rendered scripts make it: first start, restarts, changes, stop."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.module.living import InCoder, Living
from tests.module.terraforming import copy_module
from tests.provision.conftest import SECRET, kiro_zip, make_database, rows, tokens, until

PROMPT = "Say 'hello' in $HOME`pwd`\n!standin tool-sleep 4\n!standin text Hello from the task."
NOTHING = "nothing to do"
REPLACED = "It is ended, and started again with those of now."


def test_task_with_a_prompt(living: Living, coder: InCoder) -> None:
    """It is sent once, whatever is started again; Coder is told, and has the last messages while all is stopped."""
    living.config["ai_prompt"] = PROMPT
    coder.task.build()
    said = living.started()
    assert "The bridge is ready" in said and "It has taken the initial prompt." in said
    coder.coderd.until_told("idle", "Done: Say 'hello' in $HOME`pwd`")
    assert coder.coderd.states() in (["working", "idle"], ["idle", "working", "idle"])
    assert coder.task.status() == "active" and coder.task.would_send()
    assert living.prompts() == [PROMPT]
    assert living.messages()[-1]["content"].endswith("Hello from the task.")

    first = living.pid
    assert NOTHING in living.started() and living.pid == first

    live = coder.task.logs()
    assert "Coder has the last messages." in living.stopped()
    coder.task.app_url = None
    assert coder.task.logs() == live and coder.command.running() == []

    asked = len(living.mirror.requests)
    told = len(coder.coderd.seen)
    coder.task.build()
    said = living.started()
    coder.task.app_url = living.url
    assert "It has taken the initial prompt." not in said and "Wrote" not in said and "Downloading" not in said
    assert len(living.mirror.requests) == asked, "a warm restart asks the network for nothing"
    coder.coderd.until(lambda it: len(it.seen) > told, "a fresh status")
    coder.coderd.until_told("idle", "Ready for a prompt")
    assert coder.task.logs() == live and coder.task.would_send()
    assert coder.task.send("More\n!standin text And more.") == 204
    assert living.prompts() == [PROMPT, "More\n!standin text And more."]

    coder.coderd.tasks.clear()
    assert "Coder keeps no messages of this task." in living.stopped()


def test_task_without_a_prompt(living: Living, coder: InCoder) -> None:
    """It is idle and waits for what is sent to it."""
    coder.task.build()
    living.started()
    coder.coderd.until_told("idle", "Ready for a prompt")
    assert coder.coderd.states() == ["idle"] and living.messages() == []
    assert coder.task.send("Begin\n!standin text Done.") == 204
    coder.coderd.until_told("idle", "Done: Begin")
    assert living.prompts() == ["Begin\n!standin text Done."]


def test_reports_go_through_the_command_for_agents(living: Living, coder: InCoder) -> None:
    """As soon as `coder exp mcp server` answers, which takes the first reports some time, they go through its tool."""
    living.started()
    for number in range(50):
        until(coder.task.would_send, "the task can be sent to")
        assert coder.task.send(f"Prompt {number}\n!standin text Done.") == 204
        coder.coderd.until_told("idle", f"Done: Prompt {number}")
        if coder.coderd.seen[-1].through == "mcp":
            break
    assert coder.coderd.seen[-1].through == "mcp"
    assert [start["argv"] for start in coder.command.log("start")] == [["exp", "mcp", "server"]]


def test_workspace_that_is_no_task_tells_nothing(living: Living, coder: InCoder) -> None:
    """Without reporting no status goes out, and without a task no messages do."""
    living.config |= {"report_tasks": False, "task_id": ""}
    living.started()
    living.send("Hello\n!standin text hi")
    assert len(living.messages()) == 2
    assert "this is no task of Coder" in living.stopped()
    assert coder.coderd.seen == [] and coder.coderd.snapshots == {} and coder.command.log("start") == []


def test_dead_coder_delays_nothing(living: Living, coder: InCoder) -> None:
    """Neither a server nor a command that hangs keeps the start or a turn; a dead server does not keep the stop."""
    coder.coderd.mode = "hang"
    coder.command.misbehave("hang-at-start")
    living.config["ai_prompt"] = PROMPT
    assert "The bridge is ready" in living.started()
    assert living.prompts() == [PROMPT]
    until(lambda: "Coder is not told the status now" in log(living), "the trouble is logged")
    coder.coderd.mode = "500"
    assert "could not be given to Coder" in living.stopped()


def log(living: Living) -> str:
    return (living.directory / "logs" / "bridge.log").read_text()


def test_other_version_and_other_login(living: Living) -> None:
    """Both are brought in by a restart; conversations stay, in Kiro's database as in the chat."""
    make_database(living.database, "an old token", talks=3, ends="2020-01-01T00:00:00Z")
    living.started(**living.login(SECRET))
    assert SECRET in tokens(living.database)
    assert rows(living.database, "SELECT count(*) FROM conversations_v2 WHERE key = '/w'") == [(3,)]
    living.send("Hello\n!standin text hi")
    assert len(living.messages()) == 2
    living.stopped()

    living.mirror.put("2.29.0", kiro_zip("kirocli/bin/kiro-cli"))
    living.config["kiro_cli_version"] = "2.29.0"
    said = living.started(**living.login("another-token", ends="2031-01-01T00:00:00Z"))
    assert "Replaced the login" in said and "Downloading kiro-cli 2.29.0" in said
    assert (living.home / ".local/bin/kiro-cli").resolve().parts[-4] == "2.29.0"
    assert "another-token" in tokens(living.database) and SECRET not in tokens(living.database)
    assert rows(living.database, "SELECT count(*) FROM conversations_v2 WHERE key = '/w'") == [(3,)]
    assert living.prompts() == ["Hello\n!standin text hi"]
    assert "taken in before; nothing to do" in living.started()


def test_inputs_that_change_while_the_bridge_runs(living: Living) -> None:
    """The start script puts another bridge in the place of the one that rests; the conversation goes on."""
    living.started()
    living.send("Hello\n!standin text hi")
    assert len(living.messages()) == 2
    before = living.pid
    living.config["model"] = "another-model"
    assert REPLACED in living.started()
    assert living.pid not in (None, before) and living.prompts() == ["Hello\n!standin text hi"]
    assert NOTHING in living.started()


def test_module_that_changes_while_the_bridge_runs(living: Living, module_copy: Path, tmp_path: Path) -> None:
    """A bridge of another version of the module takes over from the one that runs."""
    living.started()
    before = living.pid
    living.module = copy_module(tmp_path / "newer")
    shutil.copy(living.module / "versions.tf", living.module / "bridge" / "news.txt")
    assert REPLACED in living.started()
    assert living.pid not in (None, before)
    program = Path(f"/proc/{living.pid}/cmdline").read_text()
    [newest] = [folder for folder in living.directory.glob("bridge/*/src") if (folder / "bridge/news.txt").exists()]
    assert str(newest) in program
