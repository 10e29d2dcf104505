"""The frames of the stand-in's `acp` have no shape that the recorded traffic does not have, but for what is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.reality import shapes
from tests.reality.test_standin_shapes import covered
from tests.standin.acp import Client, agent, choose, named, selected
from tests.standin.runs import Cli, fresh

#: What no recording has: a path with its type, or a path alone for all below it; and why it is there.
EXCEPTIONS = {
    "v2": {
        "update<tool_call>.content": "kiro-wire.md 4: the diff of `write` is in a recording outside the shared set",
        "result<_kiro.dev/commands/execute model>.result.data.contextUsagePercentage: number": "kiro-wire.md 6: 2.18",
    },
    "v3": {
        "result<session/fork>.result.configOptions[].options[]._meta.kiro.resource": "as in session/new from 2.19 on;",
        "result<session/fork>.result.modes.availableModes[]._meta.kiro.resource": "fork and load were recorded before",
        "result<session/load>.result.configOptions[].options[]._meta.kiro.resource": "the same",
        "result<session/load>.result.modes.availableModes[]._meta.kiro.resource": "the same",
        "result<session/set_config_option>.result.configOptions[].options[]._meta.kiro.defaultEffortLevel": "as in a",
        "result<session/set_config_option>.result.configOptions[].options[]._meta.kiro.effortLevels": "new session's",
        "update<agent_message_chunk>._meta.kiro.agentSubtaskId: string": "kiro-wire.md 16, outside the shared set",
        "update<agent_thought_chunk>._meta": "kiro-stores.md A.4, same shape as the text's",
        "update<tool_call>._meta.kiro.replay: boolean": "kiro-wire.md 16: every replayed update; calls are [L]",
        "update<tool_call_update>._meta.kiro.replay: boolean": "the same",
    },
}
#: Keys every recorded frame of a kind has and the stand-in's may lack, and why.
LACKING: dict[str, dict[str, str]] = {
    "v2": {
        f"result<_kiro.dev/commands/execute model>.result.data{key}": "kiro-wire.md 6: an unknown model has no data"
        for key in ("", ".model", ".model.id", ".model.name")
    },
    "v3": {},
}
#: A kind seen less often says nothing about what its frames always have.
ENOUGH = 3
RELEASES = {"v2": ("2.4.1", "2.7.0", "2.11.0", "2.19", "2.28"), "v3": ("2.11.0", "2.16.0", "2.19", "2.28")}
#: Results are compared under the method they answer, errors under one name.
OWN_KEYS = ("jsonrpc", "id")
EVERYTHING = (
    "thought hm",
    "text First.",
    "tool shell echo a; exit 3",
    "also shell echo b",
    "tool write note.txt hello",
    "tool write note.txt again",
    "tool read note.txt",
    "tool read absent",
    "subagent-runs probe echo inner",
    "text Last.",
)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Return the stand-in with an empty home and an empty working folder."""
    return fresh(tmp_path)


def body(frame: dict[str, Any]) -> dict[str, Any]:
    """The frame without its id; an update on its own is compared apart."""
    return {key: value for key, value in frame.items() if key not in OWN_KEYS}


def shaped(frames: list[dict[str, Any]], asked: dict[Any, str]) -> Iterator[tuple[str, Any]]:
    """Frames of the agent under their kinds; `asked` are methods of the client's requests by id."""
    for frame in frames:
        if frame.get("method") in ("session/update", "_kiro.dev/session/update"):
            update = frame["params"]["update"]
            kind, told = shapes.update(update)
            yield ("own " if frame["method"].startswith("_") else "") + kind, told
            outside = {key: value for key, value in frame["params"].items() if key != "update"}
            yield named(frame).split(":")[0], {**body(frame), "params": outside}
        elif "method" in frame:
            yield f"{'request' if 'id' in frame else 'push'}<{frame['method']}>", body(frame)
        elif "error" in frame:
            yield "error", body(frame)
        else:
            yield f"result<{asked.get(frame.get('id'), '?')}>", body(frame)


def recorded(folder: Path) -> Iterator[tuple[str, Any]]:
    """The agent's frames of all recordings. Where the client's side is missing, results stay unnamed."""
    for path in sorted(folder.glob("*.jsonl")):
        asked: dict[Any, str] = {}
        for line in path.read_text("utf-8").splitlines():
            entry = json.loads(line)
            frame = entry["frame"]
            if entry["from"] == "agent":
                yield from shaped([frame], asked)
            elif "method" in frame and "id" in frame:
                asked[frame["id"]] = command_of(frame)


def command_of(frame: dict[str, Any]) -> str:
    """The method of a request; of a command with the command's name, whose data is its own."""
    command = frame["params"].get("command") if isinstance(frame.get("params"), dict) else None
    if frame["method"].endswith("commands/execute") and isinstance(command, dict):
        return f"{frame['method']} {command['command']}"
    return str(frame["method"])


def play_v2(client: Client) -> None:
    """One of everything v2 can do."""
    session = client.new()
    client.prompt(session, *EVERYTHING)
    client.permission = choose("reject_once")
    client.prompt(session, "tool shell true", "fault stall", "fault retry", "text No.")
    client.answer_to(client.start_prompt(session, "fault rate-limit"))
    for name, args in (
        ("model", {"value": "standin-large"}),
        ("model", {"value": "absent"}),
        ("agent", {"value": "kiro_planner"}),
        ("agent", {"value": "absent"}),
        ("effort", {"value": "high"}),
        ("rewind", {}),
        ("rewind", {"value": "0"}),
        ("goal", {"value": "All done"}),
        ("goal", {"subcommand": "clear"}),
        ("tools", {}),
        ("context", {}),
        ("usage", {}),
        ("stats", {}),
        ("clear", {}),
    ):
        command = {"command": name, "args": args}
        client.call("_kiro.dev/commands/execute", sessionId=session, command=command)
    for name in ("model", "agent", "effort"):
        client.call("_kiro.dev/commands/options", sessionId=session, command=name, partial="")
    client.call("_session/steer", sessionId=session, message="Be brief.")
    client.prompt(session, "text Yes.")
    client.call("_session/steer", sessionId=session, message="Be brief.")
    client.call("_session/steer/clear", sessionId=session)
    client.permission = choose("allow_once")
    child = client.call("_session/spawn", sessionId=session, task="!standin ask shell true", name="lance")
    client.until(lambda frame: named(frame) == "_kiro.dev/session/inbox_notification")
    client.call("_kiro.dev/session/terminate", sessionId=child["sessionId"])
    client.call("_message/send", sessionId=session, content="!standin text Unasked.")
    client.until(lambda frame: "meteringUsage" in frame.get("params", {}))
    client.call("_kiro.dev/session/list", cwd=client.cwd)
    client.call("session/load", sessionId=session, cwd=client.cwd, mcpServers=[])
    request = client.start_prompt(session, "sleep 600")
    client.notify("session/cancel", sessionId=session)
    client.answer_to(request)
    client.error("no/such/method")
    given = [{"name": "here", "command": "sh", "args": [], "env": []}]
    client.call("session/new", cwd=client.cwd, mcpServers=given)


def play_v3(client: Client) -> None:
    """One of everything v3 can do."""
    session = client.new(_meta={"kiro": {"streamingShellContent": True}})
    client.prompt(session, *EVERYTHING)
    client.permission = choose("reject_once")
    client.prompt(session, "tool shell true", "text No.")
    client.permission = lambda frame: selected(frame["params"]["options"][0]["optionId"])
    client.prompt(session, "question Which? | A | B", "text Good.")
    client.permission = lambda frame: None
    request = client.start_prompt(session, "question Which? | A | B")
    client.until(lambda frame: frame.get("method") == "session/request_permission")
    client.notify("session/cancel", sessionId=session)
    client.answer_to(request)
    client.answer_to(client.start_prompt(session, "fault throttled"))
    client.call("_session/steer/clear", sessionId=session)
    client.error("_session/steer", sessionId=session, text="wrong key")
    client.error("_kiro/mcp/toggle")
    client.call("session/set_config_option", sessionId=session, configId="mode", value="spec")
    client.call("session/list", cwd=client.cwd)
    forked = client.call("session/fork", sessionId=session, cwd=client.cwd, title="Aside")["sessionId"]
    client.call("session/load", sessionId=session, cwd=client.cwd, mcpServers=[])
    for name, more in (("compact", {}), ("history", {}), ("context", {}), ("rename", {"title": "Named"})):
        client.call(f"_kiro/session/{name}", sessionId=session, **more)
    client.call("_kiro/session/delete", sessionId=forked)
    given = [
        {"name": "here", "command": "sh", "args": [], "env": []},
        {"name": "gone", "command": "no-such-command-anywhere", "args": [], "env": []},
        {"type": "http", "name": "web", "url": "https://mcp.example.com/oauth", "headers": []},
    ]
    client.call("session/new", cwd=client.cwd, mcpServers=given)
    client.until(lambda frame: any(one.get("errorMessage") for one in frame.get("params", {}).get("servers", [])))


def always(pairs: Iterator[tuple[str, Any]]) -> dict[str, tuple[set[str], int]]:
    """By kind the key paths (outside of lists) that every frame of it has, and how many frames there were."""
    found: dict[str, tuple[set[str], int]] = {}
    for kind, value in pairs:
        keys = {path.split(": ")[0] for path in shapes.paths(value, kind) if "[" not in path}
        before, count = found.get(kind, (keys, 0))
        found[kind] = (before & keys, count + 1)
    return found


@pytest.mark.parametrize("engine", ["v2", "v3"])
def test_frames(cli: Cli, engine: str) -> None:
    folder = shapes.recordings()
    files = sorted((folder / f"acp-{engine}").glob("*.jsonl"))
    real = shapes.all_paths(recorded(folder / f"acp-{engine}"))
    streams = sorted((folder / "stream-json").glob(f"{engine}-*.jsonl"))
    real |= shapes.all_paths(pair for path in streams for pair in shapes.events(path.read_text("utf-8").splitlines()))
    needed = always(recorded(folder / f"acp-{engine}"))
    ours: set[str] = set()
    lacking: set[str] = set()
    count = 0
    for release in RELEASES[engine]:
        with agent(cli, engine, KIRO_STANDIN_VERSION=release) as client:
            (play_v2 if engine == "v2" else play_v3)(client)
            ours |= shapes.all_paths(shaped(client.frames, client.asked))
            count += len(client.frames)
            for kind, (keys, _) in always(shaped(client.frames, client.asked)).items():
                must, seen = needed.get(kind, (set(), 0))
                lacking |= must - keys if seen >= ENOUGH else set()
    exceptions = EXCEPTIONS[engine]
    kinds = {path.split(":")[0] for path in ours if path.endswith(": object") and "." not in path}
    print(f"\nacp {engine}: {len(files)} recordings; {count} frames of {len(kinds)} kinds, {len(ours)} shapes")
    same = {path.split(">")[0] for path in ours}
    missing = sorted(path for path in real - ours if path.split(">")[0] in same)
    print("".join(f"  recorded, not in the stand-in: {path}\n" for path in missing))
    unknown = {path for path in ours - real if not any(covered(path, one) for one in exceptions)}
    assert not unknown, f"{engine}: in no recording and no exception:\n  " + "\n  ".join(sorted(unknown))
    stale = [one for one in exceptions if not any(covered(path, one) for path in ours - real)]
    assert not stale, f"{engine}: exceptions that nothing needs: {stale}"
    assert lacking == set(LACKING[engine]), f"{engine}: always recorded, not always sent: {sorted(lacking)}"
