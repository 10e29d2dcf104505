"""Section 4.1: the state file; X4 to X6, T5 and T6 as far as they show from outside."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from .servers import Server, Workshop, unique, wait_until

KEYS = ["version", "messages", "initial_prompt", "initial_prompt_sent"]
STORED = [
    {"id": 0, "message": "earlier banner", "role": "agent", "time": "2026-01-02T03:04:05.123456789Z"},
    {"id": 1, "message": "a stored prompt", "role": "user", "time": "2026-01-02T03:04:06Z"},
    {"id": 2, "message": "a stored <answer>", "role": "agent", "time": "2026-01-02T03:04:07.5-05:00"},
]


def write_state(path: Path, **fields: Any) -> Path:
    """Write a version 1 state file with the stored messages; ``fields`` replace what it holds."""
    whole = {"version": 1, "messages": STORED, "initial_prompt": "", "initial_prompt_sent": False, **fields}
    path.write_text(json.dumps(whole) + "\n")
    return path


def restart(workshop: Workshop, server: Server, *flags: str) -> Server:
    """Stop a server and start one with the same home and these flags."""
    assert stop(server) == 0
    return workshop.launch(*flags, home=server.home)


def stop(server: Server, number: int = signal.SIGINT) -> int:
    """Send a signal and return the exit code."""
    server.process.signal(number)
    return server.process.wait()


def wait_texts(server: Server, count: int) -> list[tuple[str, str]]:
    """Wait until the conversation has that many messages and the server is stable; returns (role, text) pairs."""
    wait_until(lambda: server.status() == "stable" and len(server.texts()) == count, f"{count} messages")
    return server.texts()


def test_4_1_format(workshop: Workshop, tmp_path: Path) -> None:
    """What is written: one line, version 1, `message`, the conversation as it was, mode 0600, nested folders."""
    state = tmp_path / "deep" / "er" / "state.json"
    server = workshop.launch("--state-file", str(state))
    tag = unique("format <&>")
    server.turn(server.target.prompt_say(tag))
    listed = server.messages()
    assert stop(server) == 0
    text = state.read_text()
    assert text.endswith("}\n")
    assert text.count("\n") == 1
    assert "<" not in text
    found = json.loads(text, object_pairs_hook=list)
    assert [key for key, _ in found] == KEYS
    assert [key for key, _ in dict(found)["messages"][0]] == ["id", "message", "role", "time"]
    whole = json.loads(text)
    assert (whole["version"], whole["initial_prompt"], type(whole["initial_prompt_sent"])) == (1, "", bool)
    written = [(entry["id"], entry["message"], entry["role"], entry["time"]) for entry in whole["messages"]]
    assert written == [(entry["id"], entry["content"], entry["role"], entry["time"]) for entry in listed]
    assert state.stat().st_mode & 0o777 == 0o600
    assert [path.stat().st_mode & 0o777 for path in (state.parent, state.parent.parent)] == [0o700, 0o700]
    assert [path.name for path in state.parent.iterdir()] == ["state.json"]


def test_4_1_usr1_saves_and_goes_on(workshop: Workshop, tmp_path: Path) -> None:
    """SIGUSR1 writes the file while the server runs; nothing is written before (4.2)."""
    state = tmp_path / "state.json"
    server = workshop.launch("--state-file", str(state))
    tag = unique("usr")
    server.turn(server.target.prompt_say(tag))
    assert not state.exists()
    server.process.signal(signal.SIGUSR1)
    wait_until(state.exists, "a state file after SIGUSR1")
    assert tag in state.read_text()
    assert server.status() == "stable"


def test_4_1_dirty_rule(workshop: Workshop, tmp_path: Path) -> None:
    """An unchanged state is not written again, even when the file is gone."""
    state = tmp_path / "state.json"
    server = workshop.launch("--state-file", str(state))
    server.turn(server.target.prompt_say(unique("dirty")))
    server.process.signal(signal.SIGUSR1)
    wait_until(state.exists, "a state file after SIGUSR1")
    state.unlink()
    assert stop(server) == 0
    assert not state.exists()


def test_x4_restart(workshop: Workshop, tmp_path: Path) -> None:
    """A restarted server shows the same conversation with the same ids and times, and goes on from there."""
    state = ("--state-file", str(tmp_path / "state.json"))
    server = workshop.launch(*state)
    prompt = server.target.prompt_say(unique("before"))
    server.turn(prompt)
    listed = server.messages()
    again = restart(workshop, server, *state)
    wait_until(lambda: again.messages() == listed, f"the stored conversation, not {again.messages()}")
    tag = unique("after")
    assert again.turn(again.target.prompt_say(tag)) == tag
    assert again.messages()[: len(listed)] == listed
    ids = [message["id"] for message in again.messages()]
    assert ids == sorted(set(ids))


def microseconds(time: str) -> datetime:
    """The moment an RFC 3339 time names, without what is smaller than a microsecond."""
    stem, zone = (time[:-1], "+00:00") if time.endswith("Z") else (time[:-6], time[-6:])
    whole, _, fraction = stem.partition(".")
    return datetime.fromisoformat(f"{whole}.{fraction[:6]:0<6}{zone}")


def test_4_1_file_moves_between_homes(workshop: Workshop, tmp_path: Path) -> None:
    """The file alone carries the conversation to a server that knows nothing else."""
    state = tmp_path / "state.json"
    server = workshop.launch("--state-file", str(state))
    tag = unique("moved")
    server.turn(server.target.prompt_say(tag))
    listed = server.messages()
    assert stop(server, signal.SIGTERM) == 0
    other = workshop.launch("--state-file", str(state))
    wait_until(lambda: other.messages() == listed, "the moved conversation")


def test_4_1_reads_a_file_of_the_other_server(workshop: Workshop, tmp_path: Path) -> None:
    """A version 1 file made elsewhere: ids, roles, times and texts as stored; unknown fields are ignored."""
    state = write_state(tmp_path / "state.json", future="field")
    server = workshop.launch("--state-file", str(state))
    wait_until(lambda: "stored" in str(server.messages()), "the stored conversation")
    told = server.messages()
    assert [(m["id"], m["content"], m["role"]) for m in told] == [(m["id"], m["message"], m["role"]) for m in STORED]
    exact = server.pick("stored-times", agentapi=True, bridge=False)
    same_time: Callable[[str], object] = str if exact else microseconds
    assert [same_time(str(m["time"])) for m in told] == [same_time(str(m["time"])) for m in STORED]
    with server.events() as stream:
        # A subscriber that comes during the load sees message 0 twice and goes by the id.
        stored = {entry["id"]: entry["message"] for entry in STORED}
        stream.wait(lambda seen: {data["id"]: data["message"] for data in seen.named("message_update")} == stored)
    tag = unique("next")
    assert server.turn(server.target.prompt_say(tag)) == tag
    assert [message["id"] for message in server.messages()][3:] in ([3, 4], [4, 5])
    assert [message["content"] for message in server.messages()][:3] == [m["message"] for m in STORED]


def test_4_1_missing_file(workshop: Workshop, tmp_path: Path) -> None:
    """A state file that is not there yet is no error."""
    server = workshop.launch("--state-file", str(tmp_path / "none.json"))
    server.wait_stable()
    assert server.texts() == []
    with server.events() as stream:
        stream.wait(lambda seen: bool(seen.named("status_change")))
        assert stream.named("agent_error") == []


def test_4_1_missing_messages(workshop: Workshop, tmp_path: Path) -> None:
    """A file without `messages` is an empty conversation."""
    state = tmp_path / "state.json"
    state.write_text('{"version":1}\n')
    server = workshop.launch("--state-file", str(state))
    server.wait_stable()
    assert server.texts() == []


CORRUPT = "failed to unmarshal state (corrupted or invalid JSON): "
BAD = {
    "corrupt": ("{", CORRUPT),
    "empty": ("", CORRUPT),
    "version-2": ('{"version":2,"messages":[]}\n', "unsupported state file version 2 (expected 1)"),
    "no-version": ('{"messages":[]}\n', "unsupported state file version "),
}


@pytest.mark.parametrize("name", BAD, ids=[f"4.1-{name}" for name in BAD])
def test_4_1_unreadable(workshop: Workshop, tmp_path: Path, name: str) -> None:
    """A bad file: one warning, a fresh conversation; AgentAPI loses the file at its end, the bridge sets it aside."""
    content, text = BAD[name]
    state = tmp_path / "state.json"
    state.write_text(content)
    server = workshop.launch("--state-file", str(state))
    with server.events() as stream:
        stream.wait(lambda seen: bool(seen.named("agent_error")))
        error = stream.named("agent_error")[0]
    assert error["level"] == "warning"
    assert error["message"].startswith(f"Failed to restore previous session: {text}")
    tag = unique("fresh")
    assert server.turn(server.target.prompt_say(tag)) == tag
    assert len(server.texts()) == 2
    assert stop(server) == 0
    kept = [path for path in tmp_path.iterdir() if path.name.startswith("state.json") and path.read_text() == content]
    assert len(kept) == server.pick("unreadable-state", agentapi=0, bridge=1)
    assert tag in state.read_text()


def test_4_1_load_and_save_apart(workshop: Workshop, tmp_path: Path) -> None:
    """`--load-state=false` and `--save-state=false` each do only their half (C5)."""
    state = write_state(tmp_path / "state.json")
    content = state.read_text()
    reader = workshop.launch("--state-file", str(state), "--save-state=false")
    wait_until(lambda: "stored" in str(reader.messages()), "the stored conversation")
    reader.turn(reader.target.prompt_say(unique("unsaved")))
    assert stop(reader) == 0
    assert state.read_text() == content
    writer = workshop.launch("--state-file", str(state), "--load-state=false")
    tag = unique("saved")
    writer.turn(writer.target.prompt_say(tag))
    assert "stored" not in str(writer.messages())
    assert stop(writer) == 0
    assert tag in state.read_text()


def test_x5_initial_prompt_is_sent_once(workshop: Workshop, tmp_path: Path) -> None:
    """Restarted without or with the same initial prompt it is not sent again; a different one is (X6)."""
    state = ("--state-file", str(tmp_path / "state.json"))
    prompt, other = (workshop.target.prompt_say(unique(word)) for word in ("first", "other"))
    server = workshop.launch(*state, "--initial-prompt", prompt)
    first = wait_texts(server, 2)
    assert first[0] == ("user", prompt)
    for flags in ((), ("--initial-prompt", prompt)):
        server = restart(workshop, server, *state, *flags)
        assert wait_texts(server, 2) == first
        whole = json.loads((tmp_path / "state.json").read_text())
        assert (whole["initial_prompt"], whole["initial_prompt_sent"]) == (prompt, True)
    server = restart(workshop, server, *state, "--initial-prompt", other)
    found = wait_texts(server, 4)
    assert (found[:2], found[2]) == (first, ("user", other))
    ids = [message["id"] for message in server.messages()]
    assert ids == sorted(set(ids))


def test_t6_unsent_prompt_of_the_file(workshop: Workshop, tmp_path: Path) -> None:
    """A stored prompt that was never sent is sent after the load, when none is given."""
    tag = unique("unsent")
    prompt = workshop.target.prompt_say(tag)
    state = write_state(tmp_path / "state.json", initial_prompt=prompt, initial_prompt_sent=False)
    server = workshop.launch("--state-file", str(state))
    wait_until(
        lambda: server.status() == "stable" and tag in server.text(server.messages()[-1]), "the stored prompt's turn"
    )
    assert [message["content"] for message in server.messages()][3] == prompt


def test_4_1_kill(workshop: Workshop, tmp_path: Path) -> None:
    """SIGKILL: AgentAPI has saved nothing, the bridge shows the conversation after a restart (W16)."""
    state = ("--state-file", str(tmp_path / "state.json"))
    server = workshop.launch(*state)
    tag = unique("killed")
    server.turn(server.target.prompt_say(tag))
    listed = server.messages()
    server.process.kill_all()
    again = workshop.launch(*state, home=server.home)
    again.wait_stable()
    kept = server.pick("crash", agentapi=False, bridge=True)
    assert (again.messages() == listed) == kept
    assert (tag in str(again.messages())) == kept
