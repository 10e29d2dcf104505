"""Recorded traffic of real `kiro-cli acp` runs, played as the agent's side: every update becomes the right item once.

The expectation is computed from the recording by the plain code below, which shares nothing with the client. The
recordings are not part of the project; the variable KIRO_RECORDINGS names their folder.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bridge.core.feed import ApprovalAsked, FeedEvent, TextDelta, UsageSeen
from bridge.core.items import Item
from tests.kiro.acp.agents import ACP_HELP, agent
from tests.kiro.acp.conftest import Conversation, Making, conversation

from .acp_player import Frame, Recording

__all__ = ["conversation"]

_FOLDER = os.environ.get("KIRO_RECORDINGS", "")
if not _FOLDER:
    pytest.skip("KIRO_RECORDINGS is not set: no recordings to replay", allow_module_level=True)
RECORDINGS = Path(_FOLDER)
NAMES = sorted(str(path.relative_to(RECORDINGS)) for path in RECORDINGS.glob("acp-v[23]/*.jsonl"))
PLAYER = Path(__file__).with_name("acp_player.py")
WITH_AUTH = ACP_HELP + "      --auth-method <AUTH_METHOD>\n          [possible values: cli]\n"
ENDED = ("completed", "failed")


def test_there_are_recordings() -> None:
    """A folder that is named but holds nothing must not look like a success."""
    assert len(NAMES) > 20


@dataclass
class Expected:
    """What a turn tells, by its frames alone."""

    text: str = ""
    thought: str = ""
    tools: dict[str, str | None] = field(default_factory=dict)
    approvals: list[Frame] = field(default_factory=list)
    credits: float | None = None
    pieces: int = 0


def expected(frames: list[Frame], session: str) -> Expected:
    """Read the frames of a turn up to its end."""
    found = Expected()
    for frame in frames:
        if "ended" in frame:
            break
        params = frame.get("params", {})
        if frame.get("method") == "session/request_permission":
            found.approvals.append(frame)
        elif frame.get("method") == "_kiro.dev/metadata" and "meteringUsage" in params:
            if params["sessionId"] == session:
                found.credits = sum(one["value"] for one in params["meteringUsage"])
        elif "update" in params:
            _expect_update(params["update"], params["sessionId"] == session, found)
    return found


def _expect_update(update: Frame, own: bool, found: Expected) -> None:
    kiro = (update.get("_meta") or {}).get("kiro") or {}
    kind = update["sessionUpdate"]
    if kiro.get("replay"):
        return
    if kind == "agent_message_chunk" and own and "agentSubtaskId" not in kiro:
        found.text += update["content"]["text"]
        found.pieces += 1
    elif kind == "agent_thought_chunk" and own and "agentSubtaskId" not in kiro:
        found.thought += update["content"]["text"]
    elif kind in ("tool_call", "tool_call_update", "tool_call_chunk"):
        before = found.tools.get(update["toolCallId"])
        status = update.get("status")
        found.tools[update["toolCallId"]] = status if status in ENDED else before
    elif kiro.get("kind") == "turn_completion" and own and kiro.get("promptTurnSummaries"):
        found.credits = sum(one["usage"] for one in kiro["promptTurnSummaries"])


class Playing:
    """A conversation with the player of one recording."""

    def __init__(self, making: Making, folder: Path, name: str, way: str) -> None:
        self.recording = Recording(RECORDINGS / name)
        self.log = folder / "answers.jsonl"
        body = (
            f"os.execv({sys.executable!r}, [{sys.executable!r}, {str(PLAYER)!r}, {str(RECORDINGS / name)!r}, {way!r}])"
        )
        binary = agent(folder / "player", body, help_of_acp=WITH_AUTH)
        engine: Any = "v3" if "acp-v3" in name else "v2"
        self.talk: Conversation = making(engine, binary=binary, PLAYER_LOG=str(self.log))
        if self.recording.loads:
            sessions = Path(os.environ["HOME"]) / ".kiro/sessions/cli"
            sessions.mkdir(parents=True)
            (sessions / f"{self.recording.loads}.jsonl").touch()
            self.talk.kiro_id, self.talk.engine = self.recording.loads, engine

    def answers(self) -> list[dict[str, Any]]:
        """What the client answered to the agent's requests."""
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []


def one_of_each(items: list[Item]) -> None:
    """Nothing stands twice."""
    keys = [item.key for item in items]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("way", ["frames", "burst", "pieces"])
@pytest.mark.parametrize("name", [name for name in NAMES if "token-refused" not in name])
def test_every_update_becomes_the_right_item(conversation: Making, tmp_path: Path, name: str, way: str) -> None:
    playing = Playing(conversation, tmp_path, name, way)
    recording, talk = playing.recording, playing.talk
    asked = 0
    for number, frames in enumerate(recording.turns):
        ended = next((frame for frame in frames if "ended" in frame), None)
        wanted = expected(frames, recording.session)
        events = talk.run(f"prompt {number}", answer=_first_allowing, cancel_after=None if ended else 3.0)
        _compare(events, talk, wanted)
        _compare_end(events, ended)
        asked += sum(1 for frame in frames if frame.get("method") == "session/request_permission")
    talk.transport.close()
    _compare_answers(playing, asked)


def _first_allowing(asked: ApprovalAsked) -> str:
    return asked.options[0].id


def _compare(events: list[FeedEvent], talk: Conversation, wanted: Expected) -> None:
    one_of_each(talk.items)
    deltas = [event for event in events if isinstance(event, TextDelta) and event.agent is None]
    assert "".join(event.text for event in deltas if event.speaker == "text") == wanted.text
    assert "".join(event.text for event in deltas if event.speaker == "thought") == wanted.thought
    shown = "".join(item.text for item in talk.of_kind("text") if "agent" not in item.data and not item.recorded)
    assert "".join(shown.split()) == "".join(wanted.text.split())
    tools = {item.key: item.data["status"] for item in talk.of_kind("tool")}
    assert set(wanted.tools) <= set(tools)
    assert {key: tools[key] for key, status in wanted.tools.items() if status} == {
        key: status for key, status in wanted.tools.items() if status
    }
    approvals = {item.data["tool_key"]: item for item in talk.of_kind("approval")}
    for frame in wanted.approvals:
        item = approvals[frame["params"]["toolCall"]["toolCallId"]]
        options = frame["params"]["options"]
        question = all("-option-" in option["optionId"] for option in options)
        assert item.data["question"] is question and item.data["status"] == "answered"
        assert [option["id"] for option in item.data["options"]] == [option["optionId"] for option in options]
        assert item.text
    if wanted.credits is not None:
        spent = [event.credits for event in events if isinstance(event, UsageSeen) and event.agent is None]
        assert [one for one in spent if one is not None][-1] == pytest.approx(wanted.credits)


def _compare_end(events: list[FeedEvent], ended: Frame | None) -> None:
    outcome = getattr(events[-1], "outcome", "")
    if ended is None:
        assert outcome == "cancelled"
    elif ended["error"] or ended["ended"]["stopReason"] == "cancelled":
        assert outcome == "failed"
    else:
        assert outcome == "completed"


def _compare_answers(playing: Playing, asked: int) -> None:
    """Every request was answered: approvals with an option that was offered, all else with a refusal."""
    approvals = 0
    for one in playing.answers():
        if one["asked"]["method"] == "session/request_permission":
            approvals += 1
            offered = [option["optionId"] for option in one["asked"]["params"]["options"]]
            assert one["answer"]["result"]["outcome"] == {"outcome": "selected", "optionId": offered[0]}
        else:
            assert one["answer"]["error"]["code"] == -32601
    assert approvals == asked


@pytest.fixture(scope="module", autouse=True)
def tally(request: pytest.FixtureRequest) -> Iterator[None]:
    """Print what was replayed."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    yield
    recordings = [Recording(RECORDINGS / name) for name in NAMES]
    turns = [expected(turn, one.session) for one in recordings for turn in one.turns]
    told = (
        f"ACP: {len(recordings)} recordings, {len(turns)} turns, {sum(turn.pieces for turn in turns)} pieces of text, "
        f"{sum(len(turn.tools) for turn in turns)} tool calls, {sum(len(turn.approvals) for turn in turns)} requests"
    )
    with capture.global_and_fixture_disabled():
        print(f"\n{told}")
